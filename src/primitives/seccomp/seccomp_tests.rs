#![allow(clippy::cast_possible_truncation, reason = "halves of words, and small numbers")]
//! The programs run on a machine of the tests, over every call of every target, beside the rules in plain words.

use super::compile::{ALLOW, Compare, ERRNO, KILL, LONGEST, NO_SUCH_CALL, Relation, Rule, compile, number};
use super::generate::{TARGETS, calls, map, program, slot};
use super::*;
use crate::spec::caps::CapSet;

/// EPERM.
const REFUSED: u32 = ERRNO | 1;

/// What the kernel asks a filter about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) machine: u32,
    pub(super) number: u32,
    pub(super) args: [u64; 6],
}

/// Runs a program as the kernel does: only what seccomp takes, and every jump inside.
#[track_caller]
pub(super) fn interpret(program: &[u64], call: Call) -> u32 {
    let mut data = vec![call.number, call.machine, 0x1234, 0x5678];
    data.extend(call.args.iter().flat_map(|arg| [*arg as u32, (*arg >> 32) as u32]));
    let (mut at, mut loaded) = (0, 0);
    loop {
        let word = program[at];
        let (code, yes, no) = (word as u16, (word >> 16) as u8, (word >> 24) as u8);
        let operand = (word >> 32) as u32;
        let skip = match code {
            0x06 => return operand,
            0x20 => {
                assert!(operand.is_multiple_of(4), "not aligned");
                loaded = data[operand as usize / 4];
                0
            }
            0x54 => {
                loaded &= operand;
                0
            }
            0x05 => operand as usize,
            0x15 | 0x25 | 0x35 => {
                let holds = match code {
                    0x15 => loaded == operand,
                    0x25 => loaded > operand,
                    _ => loaded >= operand,
                };
                usize::from(if holds { yes } else { no })
            }
            _ => panic!("instruction {code:#x} at {at}"),
        };
        at += 1 + skip;
    }
}

/// The same rules without any cleverness.
fn evaluate(default: u32, rules: &[Rule], call: u16, args: [u64; 6]) -> u32 {
    let is_met = |compare: &Compare| {
        let arg = args[usize::from(compare.arg)];
        compare.negated
            != match compare.relation {
                Relation::Equal => arg & compare.mask == compare.value,
                Relation::Greater => arg > compare.value,
                Relation::AtLeast => arg >= compare.value,
            }
    };
    let is_met_by = |rule: &Rule| {
        let mut compares = rule.compares.iter();
        if rule.any { compares.any(is_met) } else { compares.all(is_met) }
    };
    let rule = rules.iter().find(|rule| rule.calls.contains(&call) && is_met_by(rule));
    rule.map_or(default, |rule| rule.action)
}

/// Whether making such a file gives nothing away.
fn is_harmless(mode: u64, device: u64) -> bool {
    let device = device as u32;
    let usual = [(1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 2), (0, 0)];
    match mode as u32 & libc::S_IFMT {
        libc::S_IFBLK => false,
        libc::S_IFCHR => usual.iter().any(|(major, minor)| libc::makedev(*major, *minor) == device.into()),
        _ => true,
    }
}

/// What the default profile says, in words that are not the tables'.
fn expected(name: &str, group: u16, args: [u64; 6], caps: u64) -> u32 {
    let has = |bit: u32| caps >> bit & 1 == 1;
    let allow_if = |allowed: bool| if allowed { ALLOW } else { REFUSED };
    match name {
        "clone" | "unshare" => allow_if(has(21) || args[0] & 0x7e02_0080 == 0),
        "clone3" | "landlock_create_ruleset" | "landlock_add_rule" | "landlock_restrict_self" => {
            if has(21) {
                ALLOW
            } else {
                NO_SUCH_CALL
            }
        }
        "socket" if matches!(args[0] as u32, 17 | 38 | 40) => ERRNO + 97,
        "socket" if args[2] as u32 == 9 => ERRNO + 93,
        "personality" => allow_if(matches!(args[0] as u32, 0 | 8 | 0x20000 | 0x20008)),
        "ioctl" => allow_if(!matches!(args[1] as u32, 0x5412 | 0x541c)),
        "mknod" => allow_if(has(27) || is_harmless(args[1], args[2])),
        "mknodat" => allow_if(has(27) || is_harmless(args[2], args[3])),
        "bpf" => allow_if(has(21) || has(39)),
        "perf_event_open" => allow_if(has(21) || has(38)),
        "syslog" => allow_if(has(21) || has(34)),
        "ptrace" | "process_vm_readv" | "process_vm_writev" => ALLOW,
        "kcmp" | "pidfd_getfd" | "process_madvise" => allow_if(has(19)),
        "chroot" => allow_if(has(18)),
        "reboot" => allow_if(has(22)),
        "acct" => allow_if(has(20)),
        "vhangup" => allow_if(has(26)),
        "iopl" | "ioperm" => allow_if(has(17)),
        "open_by_handle_at" => allow_if(has(2)),
        "settimeofday" | "clock_settime" | "clock_settime64" => allow_if(has(25)),
        "init_module" | "finit_module" | "delete_module" => allow_if(has(16)),
        "mbind" | "set_mempolicy" | "get_mempolicy" | "set_mempolicy_home_node" => allow_if(has(23)),
        "mount" | "umount2" | "pivot_root" | "setns" | "fsopen" | "move_mount" => allow_if(has(21)),
        "keyctl" | "add_key" | "request_key" | "io_uring_setup" | "userfaultfd" | "kexec_load" => REFUSED,
        // Every other call is what its group says.
        _ => allow_if(group == 0 || group == 19 || group == 21 || (group == 2 && has(21))),
    }
}

/// Arguments that matter to some call, and some that do not.
fn interesting() -> Vec<[u64; 6]> {
    let values: [u64; 20] = [
        0,
        1,
        2,
        8,
        9,
        17,
        38,
        39,
        40,
        41,
        0x5412,
        0x541c,
        0x20000,
        0x20008,
        0xffff_ffff,
        0x1000_0011,
        0x80,
        0x0200_0000,
        0x1_0000_5412,
        u64::MAX,
    ];
    // What is made, with which permissions and bits that nobody looks at; and which device.
    let modes =
        [0, 0x1000, 0x2000, 0x3000, 0x4000, 0x6000, 0x8000, 0xa000, 0xc000, 0xf000, 0x21b6, 0x61b6, 0x7_2000];
    let devices = (0..16).map(|minor| 0x100 | minor).chain((0..4).map(|minor| 0x500 | minor));
    let others = [0, 1, 3, 0x800, 0x10_0103, 0x1000_0103, 0x1_0000_0103, 0x7_0000_0801, 0xf_0103, 0x1103];
    let devices: Vec<u64> = devices.chain(others).collect();
    let nodes = modes.into_iter().flat_map(|mode| devices.iter().map(move |device| (mode, *device)));
    let nodes: Vec<_> =
        nodes.flat_map(|(mode, device)| [[9, mode, device, 9, 0, 0], [9, 9, mode, device, 0, 0]]).collect();
    let high = values.iter().map(|value| value | 7 << 32);
    values
        .iter()
        .copied()
        .chain(high)
        .flat_map(|value| [[value, 0, 0, 0, 0, 0], [3, value, 0, 0, 0, 0]])
        .chain(nodes)
        .collect()
}

#[test]
fn the_default_profile_is_the_table_on_every_target() {
    for (arch, column, machine) in TARGETS {
        let map = map(column);
        let known = calls(column);
        for caps in [
            CapSet::NO_NODES.0,
            CapSet::DEFAULT.0,
            0,
            u64::MAX >> 2,
            CapSet::NO_NODES.0 | 1 << 21,
            1 << 19,
            1 << 34 | 1 << 25,
        ] {
            let program = program(machine, &map, caps);
            assert!(program.len() < 256, "{arch}: {} instructions", program.len());
            let numbers =
                (0..1100).chain(0xf_0000..0xf_0010).chain([1 << 30, (1 << 30) + 56, 1 << 31, u32::MAX]);
            for number in numbers {
                let call = known.iter().find(|(_, other, _)| *other == number);
                for args in interesting() {
                    let want =
                        call.map_or(NO_SUCH_CALL, |(name, _, group)| expected(name, *group, args, caps));
                    let got = interpret(&program, Call { machine, number, args });
                    assert_eq!(got, want, "{arch}: {number} {call:?} {args:x?} {caps:x}");
                }
                for (_, _, other) in TARGETS.into_iter().filter(|(.., other)| *other != machine) {
                    let args = [0; 6];
                    assert_eq!(
                        interpret(&program, Call { machine: other, number, args }),
                        KILL,
                        "{arch} {other:x}"
                    );
                }
                // AUDIT_ARCH_I386
                assert_eq!(interpret(&program, Call { machine: 0x4000_0003, number, args: [0; 6] }), KILL);
            }
        }
    }
}

#[test]
fn the_program_of_the_build_is_that_of_the_run() {
    let new = 4 << 16 | 8;
    let standard = Filter::standard(CapSet::NO_NODES.0, new);
    assert!(std::ptr::eq(standard.program, &raw const DEFAULT[..]));
    assert_eq!(standard.program[..], program(MACHINE, &MAP, CapSet::NO_NODES.0)[..]);
    let other = Filter::standard(CapSet::NO_NODES.0 | 1 << 21, new);
    assert!(!std::ptr::eq(other.program, &raw const DEFAULT[..]));
    assert_eq!(other.program[..], program(MACHINE, &MAP, CapSet::NO_NODES.0 | 1 << 21)[..]);
    // A capability without a call behind it changes nothing.
    assert!(std::ptr::eq(
        Filter::standard(CapSet::NO_NODES.0 | 1 << 13, u32::MAX).program,
        &raw const DEFAULT[..]
    ));
}

#[test]
fn a_kernel_that_is_traced_around_its_filter_traces_only_with_the_capability() {
    let ptrace = u32::try_from(libc::SYS_ptrace).unwrap();
    for (kernel, caps, want) in [
        (4 << 16 | 7, 0, REFUSED),
        ((3 << 16) + 18, 1 << 19, ALLOW),
        (4 << 16 | 8, 0, ALLOW),
        (6 << 16 | 1, 0, ALLOW),
    ] {
        let filter = Filter::standard(caps, kernel);
        let got = interpret(filter.program, Call { machine: MACHINE, number: ptrace, args: [0; 6] });
        assert_eq!(got, want, "{kernel:x} {caps:x}");
    }
    // The bits that stand for no capability are not the user's to give: --cap-add ALL sets them all.
    let filter = Filter::standard(!(1 << 19), 4 << 16);
    let got = interpret(filter.program, Call { machine: MACHINE, number: ptrace, args: [0; 6] });
    assert_eq!(got, REFUSED);
    let keyctl = u32::try_from(libc::SYS_keyctl).unwrap();
    let got = interpret(filter.program, Call { machine: MACHINE, number: keyctl, args: [0; 6] });
    assert_eq!(got, REFUSED);
}

#[test]
fn numbers_are_the_kernels() {
    let known = calls(TARGETS.into_iter().find(|(_, _, machine)| *machine == MACHINE).unwrap().1);
    for (name, want) in [
        ("read", libc::SYS_read),
        ("clone", libc::SYS_clone),
        ("clone3", libc::SYS_clone3),
        ("unshare", libc::SYS_unshare),
        ("setns", libc::SYS_setns),
        ("socket", libc::SYS_socket),
        ("ioctl", libc::SYS_ioctl),
        ("keyctl", libc::SYS_keyctl),
        ("mount", libc::SYS_mount),
        ("bpf", libc::SYS_bpf),
        ("openat2", libc::SYS_openat2),
        ("futex_waitv", libc::SYS_futex_waitv),
    ] {
        let got = known.iter().find(|(other, ..)| *other == name).unwrap().1;
        assert_eq!(libc::c_long::from(got), want, "{name}");
    }
    for (_, column, _) in TARGETS {
        let mut known = calls(column);
        let count = known.len();
        assert!(count > 300, "{count}");
        known.sort_unstable_by_key(|(_, number, _)| *number);
        known.dedup_by_key(|(_, number, _)| *number);
        assert_eq!(known.len(), count, "a number twice");
        known.sort_unstable();
        known.dedup_by_key(|(name, ..)| *name);
        assert_eq!(known.len(), count, "a name twice");
        for (name, of_kernel, _) in known {
            assert_eq!(slot(of_kernel).map(number), Some(of_kernel), "{name}");
        }
    }
    assert_eq!((slot(512), slot(0xf_0007 + 1), slot(u32::MAX), slot(1 << 30)), (None, None, None, None));
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn value(&mut self) -> u64 {
        [0, 1, 5, 0xffff_ffff, 1 << 32, 5 << 32 | 5, u64::MAX, 6 << 32]
            [usize::try_from(self.roll(8)).unwrap()]
    }

    fn rule(&mut self) -> Rule {
        let call = |dice: &mut Self| u16::try_from(dice.roll(470)).unwrap();
        let compare = |dice: &mut Self| {
            let relation = [Relation::Equal, Relation::Greater, Relation::AtLeast][dice.roll(3) as usize];
            let mask = if relation == Relation::Equal { dice.value() } else { u64::MAX };
            Compare {
                arg: dice.roll(2) as u8,
                relation,
                negated: dice.roll(2) == 1,
                mask,
                value: dice.value(),
            }
        };
        let calls = (0..=self.roll(25)).map(|_| call(self)).collect();
        let compares: Vec<_> = (0..self.roll(4)).map(|_| compare(self)).collect();
        let action = [ALLOW, REFUSED, KILL, NO_SUCH_CALL, ERRNO | 5][self.roll(5) as usize];
        Rule { any: compares.len() > 1 && self.roll(2) == 1, calls, compares, action }
    }
}

#[test]
fn any_rules_mean_what_they_say_however_far_the_jumps_go() {
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let mut longest = 0;
    for _ in 0..60 {
        let rules: Vec<_> = (0..=dice.roll(25)).map(|_| dice.rule()).collect();
        let last = rules.iter().flat_map(|rule| &rule.calls).max().unwrap();
        let program = compile(MACHINE, KILL, ERRNO | 7, &rules);
        longest = longest.max(program.len());
        for call in 0..512 {
            for _ in 0..6 {
                let args = [dice.value(), dice.value(), 0, 0, 0, 0];
                let want = if call > *last { ERRNO | 7 } else { evaluate(KILL, &rules, call, args) };
                let got = interpret(&program, Call { machine: MACHINE, number: call.into(), args });
                assert_eq!(got, want, "{call} {args:x?}");
            }
        }
    }
    assert!(longest > 1000 && longest < LONGEST, "{longest}: no jump was long, or the dice are too wild");
}

#[test]
fn all_conditions_of_a_rule_are_needed() {
    // CVE-2017-18367: they were alternatives.
    let is = |arg, value| Compare { arg, relation: Relation::Equal, negated: false, mask: u64::MAX, value };
    let rules =
        [Rule { calls: vec![9], compares: vec![is(0, 1), is(2, 1 << 40)], any: false, action: ALLOW }];
    let program = compile(MACHINE, REFUSED, REFUSED, &rules);
    for (first, third, want) in [
        (1, 1 << 40, ALLOW),
        (1, 0, REFUSED),
        (0, 1 << 40, REFUSED),
        (1, 1 << 40 | 1, REFUSED),
        (0, 0, REFUSED),
    ] {
        let args = [first, 0, third, 0, 0, 0];
        assert_eq!(interpret(&program, Call { machine: MACHINE, number: 9, args }), want, "{first} {third}");
    }
}
