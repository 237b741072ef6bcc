//! Profiles as people write them, run on the machine of seccomp_tests.rs.

use super::super::generate;
use super::super::tests::{Call, interpret};
use super::*;

/// A kernel of today and docker's capabilities.
const FACTS: Facts = Facts { bounding: CapSet::DEFAULT.0, kernel: 6 << 16 };

/// What a profile answers to a call of this machine.
#[track_caller]
fn answer(profile: &str, facts: Facts, number: libc::c_long, args: &[u64]) -> u32 {
    let (program, _) = read(profile, facts).unwrap_or_else(|error| panic!("{profile}: {error}"));
    let mut all = [0; 6];
    all[..args.len()].copy_from_slice(args);
    interpret(&program, Call { machine: MACHINE, number: u32::try_from(number).unwrap(), args: all })
}

/// A profile that refuses, with these rules.
fn profile(rules: &str) -> String {
    format!("{{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{rules}]}}")
}

#[test]
fn every_name_is_found() {
    let names = names();
    assert_eq!(names.len(), SLOTS.len());
    assert!(names.is_sorted());
    for (_, column, machine) in generate::TARGETS {
        let (text, slots) = generate::names(column);
        assert_eq!(text.iter().filter(|byte| **byte < b'0').count(), slots.len(), "a letter that is none");
        let (text, pairs) = generate::paired(text);
        assert!(machine != MACHINE || text == NAMES && pairs == PAIRS && slots == SLOTS);
    }
    for (name, number) in [
        ("read", libc::SYS_read),
        ("clone", libc::SYS_clone),
        ("clone3", libc::SYS_clone3),
        ("sched_get_priority_max", libc::SYS_sched_get_priority_max),
        ("writev", libc::SYS_writev),
        ("no_such", 0),
        ("rea", 0),
        ("", 0),
    ] {
        let place = names.binary_search_by(|(known, _)| known.as_slice().cmp(name.as_bytes())).ok();
        let got = place.map(|place| super::super::compile::number(names[place].1));
        let want = if number == 0 && name != "read" { None } else { u32::try_from(number).ok() };
        assert_eq!(got, want, "{name}");
    }
}

#[test]
fn every_action_is_the_kernels() {
    for (name, errno, want) in [
        ("SCMP_ACT_KILL", "", 0),
        ("SCMP_ACT_KILL_THREAD", "", 0),
        ("SCMP_ACT_KILL_PROCESS", "", 0x8000_0000),
        ("SCMP_ACT_TRAP", "", 0x0003_0000),
        ("SCMP_ACT_ERRNO", "", 0x0005_0001),
        ("SCMP_ACT_ERRNO", ", \"errnoRet\": 4095", 0x0005_0fff),
        ("SCMP_ACT_TRACE", ", \"errnoRet\": 7", 0x7ff0_0007),
        ("SCMP_ACT_LOG", "", 0x7ffc_0000),
        ("SCMP_ACT_ALLOW", "", 0x7fff_0000),
    ] {
        let rule = format!("{{\"names\": [\"read\"], \"action\": \"{name}\"{errno}}}");
        assert_eq!(answer(&profile(&rule), FACTS, libc::SYS_read, &[]), want, "{name}");
        let default =
            format!("{{\"defaultAction\": \"{name}\"{}}}", errno.replace("errnoRet", "defaultErrnoRet"));
        // Call 0 is the last that any rule could be about here.
        assert_eq!(answer(&default, FACTS, 0, &[]), want, "{name}");
    }
}

#[test]
fn every_comparison_is_of_64_bits() {
    let high = 5 << 32;
    for (op, value, met, not_met) in [
        ("EQ", high | 3, &[high | 3][..], &[3, high, high | 4, 0][..]),
        ("NE", high | 3, &[3, high, high | 4, 0], &[high | 3]),
        ("GT", high | 3, &[high | 4, 6 << 32, u64::MAX], &[high | 3, 7, 4 << 32 | 9]),
        ("GE", high | 3, &[high | 3, high | 4, 6 << 32], &[high | 2, 7, 4 << 32 | 9]),
        ("LT", high | 3, &[high | 2, 7, 4 << 32 | 9], &[high | 3, high | 4, 6 << 32]),
        ("LE", high | 3, &[high | 3, 7, 4 << 32 | 9], &[high | 4, 6 << 32, u64::MAX]),
        ("LT", 0, &[], &[0, 1, u64::MAX]),
        ("GE", 0, &[0, 1, u64::MAX], &[]),
    ] {
        let rule = format!(
            "{{\"name\": \"read\", \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{{\"index\": 5, \"value\": {value}, \"op\": \"SCMP_CMP_{op}\"}}]}}"
        );
        for (values, want) in [(met, ALLOW), (not_met, ERRNO | 1)] {
            for value in values {
                let got = answer(&profile(&rule), FACTS, libc::SYS_read, &[0, 0, 0, 0, 0, *value]);
                assert_eq!(got, want, "{op} {value:x}");
            }
        }
    }
    let (mask, wanted) = (0xb_0000_00ff_u64, 0xa_0000_0002_u64);
    let rule = format!(
        "{{\"name\": \"read\", \"action\": \"SCMP_ACT_ALLOW\", \"args\": [{{\"index\": 0, \"value\": {mask}, \
         \"valueTwo\": {wanted}, \"op\": \"SCMP_CMP_MASKED_EQ\"}}]}}"
    );
    for (value, want) in [
        (wanted, ALLOW),
        (0xe_0000_ff02, ALLOW),
        (0xffff_fffe_0000_0002, ALLOW),
        (2, ERRNO | 1),
        (0xb_0000_0002, ERRNO | 1),
        (0xa_0000_0003, ERRNO | 1),
    ] {
        assert_eq!(answer(&profile(&rule), FACTS, libc::SYS_read, &[value]), want, "{value:x}");
    }
}

#[test]
fn rules_join_as_under_docker() {
    let arg = |index: u8, value: u64| {
        format!("{{\"index\": {index}, \"value\": {value}, \"op\": \"SCMP_CMP_EQ\"}}")
    };
    let rule = |action: &str, args: &str| {
        format!(
            "{{\"names\": [\"read\", \"from_2040\"], \"action\": \"SCMP_ACT_{action}\", \"args\": [{args}]}}"
        )
    };
    // (rules, arguments, answer)
    for (rules, args, want) in [
        // All conditions on several arguments, any of those on one.
        (vec![rule("ALLOW", &[arg(0, 1), arg(1, 2)].join(","))], &[1, 2][..], ALLOW),
        (vec![rule("ALLOW", &[arg(0, 1), arg(1, 2)].join(","))], &[1, 3], ERRNO | 1),
        (vec![rule("ALLOW", &[arg(0, 1), arg(0, 2)].join(","))], &[2, 0], ALLOW),
        (vec![rule("ALLOW", &[arg(0, 1), arg(0, 2)].join(","))], &[3, 0], ERRNO | 1),
        // Several rules: any; the first of two that differ; one without conditions wins wherever it stands.
        (vec![rule("ALLOW", &arg(0, 1)), rule("ALLOW", &arg(1, 2))], &[0, 2], ALLOW),
        (vec![rule("LOG", &arg(0, 1)), rule("ALLOW", &arg(1, 2))], &[1, 2], LOG),
        (vec![rule("TRAP", &arg(0, 1)), rule("ALLOW", "")], &[1], ALLOW),
        (vec![rule("ALLOW", ""), rule("TRAP", &arg(0, 1))], &[1], ALLOW),
        // What says the default is no rule.
        (vec![rule("ERRNO", ""), rule("ALLOW", &arg(0, 1))], &[1], ALLOW),
    ] {
        assert_eq!(
            answer(&profile(&rules.join(",")), FACTS, libc::SYS_read, args),
            want,
            "{rules:?} {args:?}"
        );
    }
}

#[test]
fn conditions_are_about_capabilities_machine_and_kernel() {
    let old = Facts { bounding: 0, kernel: 4 << 16 | 7 };
    for (conditions, today, then) in [
        ("\"includes\": {}, \"excludes\": {}", true, true),
        ("\"includes\": null, \"excludes\": null", true, true),
        ("\"includes\": {\"caps\": [], \"arches\": []}", true, true),
        ("\"includes\": {\"caps\": [\"CAP_CHOWN\", \"CAP_KILL\"]}", true, false),
        ("\"includes\": {\"caps\": [\"CAP_CHOWN\", \"CAP_SYS_ADMIN\"]}", false, false),
        ("\"includes\": {\"caps\": [\"CAP_OF_2040\"]}", false, false),
        ("\"excludes\": {\"caps\": [\"CAP_CHOWN\", \"CAP_SYS_ADMIN\"]}", false, true),
        ("\"includes\": {\"minKernel\": \"4.8\"}", true, false),
        ("\"excludes\": {\"minKernel\": \"4.8\"}", false, true),
        ("\"includes\": {\"arches\": [\"s390x\", \"ARCH\"]}", true, true),
        ("\"includes\": {\"arches\": [\"ARCH\", \"s390x\"]}", true, true),
        ("\"includes\": {\"arches\": [\"s390x\"]}", false, false),
        ("\"excludes\": {\"arches\": [\"s390x\", \"ARCH\"]}", false, false),
        ("\"excludes\": {\"arches\": [\"s390x\"]}", true, true),
        ("\"includes\": {\"caps\": [\"CAP_CHOWN\"], \"arches\": [\"s390x\"]}", false, false),
        ("\"includes\": {\"caps\": [\"CAP_CHOWN\"]}, \"excludes\": {\"minKernel\": \"7.0\"}", true, false),
    ] {
        let conditions = conditions.replace("ARCH", ARCH);
        let rule = format!("{{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\", {conditions}}}");
        for (facts, want) in [(FACTS, today), (old, then)] {
            let got = answer(&profile(&rule), facts, libc::SYS_read, &[]) == ALLOW;
            assert_eq!(got, want, "{conditions} {facts:?}");
        }
    }
}

#[test]
fn what_is_newer_than_the_profile_is_not_there() {
    let rule = "{\"names\": [\"openat2\"], \"action\": \"SCMP_ACT_ALLOW\"}";
    let newest = libc::SYS_openat2;
    for (action, beyond) in [
        ("ERRNO", NO_SUCH_CALL),
        ("KILL_PROCESS", NO_SUCH_CALL),
        ("TRAP", NO_SUCH_CALL),
        ("LOG", LOG),
        ("TRACE", TRACE | 1),
    ] {
        let profile = profile(rule).replace("SCMP_ACT_ERRNO", &format!("SCMP_ACT_{action}"));
        assert_eq!(answer(&profile, FACTS, newest, &[]), ALLOW, "{action}");
        assert_eq!(answer(&profile, FACTS, newest + 1, &[]), beyond, "{action}");
        assert_ne!(answer(&profile, FACTS, newest - 1, &[]), NO_SUCH_CALL, "{action}");
        // x32's numbers are no way around.
        assert_eq!(answer(&profile, FACTS, 1 << 30, &[]), NO_SUCH_CALL, "{action}");
    }
}

#[test]
fn flags_are_those_of_the_profile_or_ours() {
    for (flags, want) in [
        ("", SPEC_ALLOW),
        (", \"flags\": []", 0),
        (", \"flags\": [\"SECCOMP_FILTER_FLAG_LOG\", \"SECCOMP_FILTER_FLAG_TSYNC\"]", 2),
        (", \"flags\": [\"SECCOMP_FILTER_FLAG_SPEC_ALLOW\"]", SPEC_ALLOW),
    ] {
        let text = format!("{{\"defaultAction\": \"SCMP_ACT_ALLOW\"{flags}}}");
        assert_eq!(read(&text, FACTS).unwrap().1, want, "{flags}");
    }
}

#[test]
fn what_would_be_overlooked_is_an_error() {
    let rule =
        |more: &str| profile(&format!("{{\"names\": [\"read\"], \"action\": \"SCMP_ACT_ALLOW\"{more}}}"));
    for (text, want) in [
        (String::new(), "line 1, column 1: "),
        ("{}".into(), "no action is given"),
        ("{\"defaultAction\": \"SCMP_ACT_ALLOW\"} x".into(), "wanted is the end"),
        ("{\"defaultAction\": \"ALLOW\"}".into(), "not understood: ALLOW"),
        ("{\"defaultAction\": \"SCMP_ACT_NOTIFY\"}".into(), "not understood: SCMP_ACT_NOTIFY"),
        ("{\"defaultAction\": 5}".into(), "column 19: wanted is \""),
        ("{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"defaultErrnoRet\": 4096}".into(), "no such error number"),
        ("{\"listenerPath\": \"/x\"}".into(), "column 16: not understood: listenerPath"),
        ("{\"flags\": [\"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV\"]}".into(), "WAIT_KILLABLE_RECV"),
        ("{\"archMap\": [{\"arch\": \"x\"}]}".into(), "not understood: arch"),
        (profile("{\"names\": [\"read\"]}"), "no action is given"),
        (rule(", \"argz\": []"), "not understood: argz"),
        (rule(", \"args\": [{\"index\": 6, \"op\": \"SCMP_CMP_EQ\"}]"), "wanted are an index"),
        (rule(", \"args\": [{\"op\": \"SCMP_CMP_EQ\"}]"), "wanted are an index"),
        (rule(", \"args\": [{\"index\": 0}]"), "wanted are an index"),
        (rule(", \"args\": [{\"index\": 0, \"op\": \"SCMP_CMP_LIKE\"}]"), "not understood: SCMP_CMP_LIKE"),
        (
            rule(", \"args\": [{\"index\": 0, \"value\": -1, \"op\": \"SCMP_CMP_EQ\"}]"),
            "wanted is a whole number",
        ),
        (rule(", \"includes\": {\"minKernel\": \"4\"}"), "wanted is a version"),
        (rule(", \"includes\": {\"kernel\": \"4.8\"}"), "not understood: kernel"),
        (rule(", \"action\": \"SCMP_ACT_LOG\""), "this stands here twice"),
    ] {
        let error = read(&text, FACTS).unwrap_err().to_string();
        assert!(error.starts_with("line ") && error.contains(want), "{text}: {error}");
    }
}
