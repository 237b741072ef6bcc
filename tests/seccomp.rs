//! The seccomp filter from inside: what is refused, how, and what opens it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;

use common::{Finished, Rootfs, Temp, launcher, launcher_as_user, launcher_with_faults, run};

/// What each call of the probe was answered.
#[track_caller]
fn answers(finished: Finished) -> BTreeMap<String, i32> {
    let out = finished.expect(0).out;
    let answer = |line: &str| {
        let (name, errno) = line.split_once(' ').unwrap();
        (name.to_owned(), errno.parse().unwrap())
    };
    out.lines().map(answer).collect()
}

/// The words that run the probe in a container with these options.
fn words<'a>(rootfs: &'a Rootfs, options: &[&'a str], probe: &[&'a str]) -> Vec<&'a str> {
    [&["--rootfs", rootfs.arg()][..], options, &["--", "/probe"], probe].concat()
}

/// The same as root.
#[track_caller]
fn calls(options: &[&str]) -> BTreeMap<String, i32> {
    let rootfs = Rootfs::new();
    answers(run(&mut launcher(words(&rootfs, options, &["calls"]))))
}

/// What is answered by default, and that the kernel would have answered otherwise, or does not matter.
const REFUSED: &[(&str, i32)] = &[
    ("socket-alg", libc::EAFNOSUPPORT),
    ("socket-vsock", libc::EAFNOSUPPORT),
    ("socket-vsock-high", libc::EAFNOSUPPORT),
    ("socket-packet", libc::EAFNOSUPPORT),
    ("socket-audit", libc::EPROTONOSUPPORT),
    ("landlock", libc::ENOSYS),
    ("personality-query", libc::EPERM),
    ("personality-no-random", libc::EPERM),
    ("ioctl-tiocsti", libc::EPERM),
    ("ioctl-tiocsti-high", libc::EPERM),
    ("ioctl-tioclinux", libc::EPERM),
    ("unshare-user-bad", libc::EPERM),
    ("clone-user-bad", libc::EPERM),
    ("clone3", libc::ENOSYS),
    ("setns", libc::EPERM),
    ("mount", libc::EPERM),
    ("umount", libc::EPERM),
    ("pivot_root", libc::EPERM),
    ("fsopen", libc::EPERM),
    ("keyctl", libc::EPERM),
    ("add_key", libc::EPERM),
    ("request_key", libc::EPERM),
    ("io_uring_setup", libc::EPERM),
    ("bpf", libc::EPERM),
    ("perf_event_open", libc::EPERM),
    ("userfaultfd", libc::EPERM),
    ("settimeofday", libc::EPERM),
    ("init_module", libc::EPERM),
    ("swapoff", libc::EPERM),
    ("reboot", libc::EPERM),
    ("syslog", libc::EPERM),
    ("open_by_handle_at", libc::EPERM),
    ("mknodat-disk", libc::EPERM),
    ("mknodat-disk-high", libc::EPERM),
    ("mknodat-mem", libc::EPERM),
    ("unknown", libc::ENOSYS),
];

/// What the kernel itself answers to what is left open.
const OPEN: &[(&str, i32)] = &[
    ("getpid", 0),
    ("ptrace", libc::ESRCH),
    ("unshare-files", 0),
    ("socket-unix", 0),
    ("socket-netlink", 0),
    ("personality-linux", 0),
    ("ioctl", libc::ENOTTY),
    ("chroot", libc::ENOENT),
    ("mknodat-null", libc::ENOENT),
    ("mknodat-null-high", libc::ENOENT),
    ("mknodat-file", libc::ENOENT),
    ("mknodat-socket", libc::ENOENT),
];

#[test]
fn what_a_container_has_no_business_with_is_refused() {
    require!(root);
    let got = calls(&[]);
    for (name, want) in REFUSED.iter().chain(OPEN) {
        assert_eq!(got[*name], *want, "{name}");
    }
    assert_eq!(got.len(), REFUSED.len() + OPEN.len(), "{got:?}");
}

#[test]
fn an_ordinary_user_has_the_same_filter() {
    require!(root);
    let rootfs = Rootfs::for_user();
    let got = answers(run(&mut launcher_as_user(words(&rootfs, &[], &["calls"]))));
    for (name, want) in REFUSED.iter().chain(OPEN) {
        assert_eq!(got[*name], *want, "{name}");
    }
}

#[test]
fn without_the_filter_the_kernel_answers() {
    require!(root);
    for options in [&["--security-opt", "seccomp=unconfined"][..], &["--privileged"]] {
        let got = calls(options);
        for (name, want) in [
            ("ioctl-tiocsti", libc::ENOTTY),
            ("unshare-user-bad", libc::EINVAL),
            ("clone-user-bad", libc::EINVAL),
            ("keyctl", 0),
            ("personality-no-random", 0),
            ("setns", libc::EBADF),
        ] {
            assert_eq!(got[name], want, "{options:?} {name}");
        }
    }
    // The word may stand behind either sign, and the last one counts.
    let options = ["--security-opt", "seccomp=unconfined", "--security-opt", "seccomp:builtin"];
    assert_eq!(calls(&options)["keyctl"], libc::EPERM);
}

#[test]
fn a_capability_opens_what_it_is_for() {
    require!(root);
    let by_default = calls(&[]);
    for (capability, opened) in [
        (
            "SYS_ADMIN",
            &[
                "unshare-user-bad",
                "clone-user-bad",
                "clone3",
                "setns",
                "mount",
                "umount",
                "pivot_root",
                "fsopen",
                "landlock",
            ][..],
        ),
        ("SYS_TIME", &["settimeofday"]),
        ("DAC_READ_SEARCH", &["open_by_handle_at"]),
        ("AUDIT_CONTROL", &[]),
    ] {
        let got = calls(&["--cap-add", capability]);
        for (name, errno) in &got {
            // perf_event_open and bpf: the kernel may have reasons of its own. syslog is 0 then.
            if ["perf_event_open", "bpf", "syslog"].contains(&name.as_str()) {
                continue;
            }
            let is_open = *errno != by_default[name];
            assert_eq!(is_open, opened.contains(&name.as_str()), "{capability} {name}: {errno}");
        }
    }
    assert_eq!(calls(&["--cap-drop", "SYS_CHROOT"])["chroot"], libc::EPERM);
}

/// Which of these can be made: each name is what busybox's mknod is told.
#[track_caller]
fn made(run: impl Fn(&Rootfs, &[&str], &str) -> Finished, options: &[&str], nodes: &[&str]) -> Vec<String> {
    let script = |node: &&str| format!("busybox mknod {node} 2>/dev/null && echo '{node}'; ");
    let script: String = nodes.iter().map(script).collect();
    let finished = run(&Rootfs::for_user(), options, &format!("cd /dev/shm; {script} :")).expect(0);
    finished.out.lines().map(str::to_owned).collect()
}

#[test]
fn of_devices_only_the_nodes_of_harmless_ones_are_made() {
    require!(root, busybox);
    let plain = ["pipe p", "gone c 0 0"];
    let harmless = [
        "null c 1 3",
        "zero c 1 5",
        "full c 1 7",
        "random c 1 8",
        "urandom c 1 9",
        "tty c 5 0",
        "ptmx c 5 2",
    ];
    let others = [
        "disk b 8 0",
        "null b 1 3",
        "nodev b 0 0",
        "virtual b 254 0",
        "mem c 1 1",
        "port c 1 4",
        "kmsg c 1 11",
        "tty0 c 4 0",
        "console c 5 1",
        "tun c 10 200",
        "fuse c 10 229",
        "far c 1 259",
        "high c 257 3",
    ];
    let others = others.map(|node| format!("x{node}")); // another name than a harmless one
    let all: Vec<&str> = plain.into_iter().chain(harmless).chain(others.iter().map(String::as_str)).collect();
    for (options, count) in [
        (&[][..], 9),
        (&["--cap-add", "SYS_ADMIN"], 9),
        (&["--security-opt", "no-new-privileges=false"], 9),
        (&["--cap-drop", "MKNOD"], 2),
        (&["--security-opt", "seccomp=unconfined"], 2),
        (&["--uidmap", "0:100000:65536"], 2),
        (&["--cap-add", "MKNOD"], all.len()),
        (&["--security-opt", "seccomp=unconfined", "--cap-add", "MKNOD"], all.len()),
        (&["--cap-add", "ALL"], all.len()),
        (&["--privileged"], all.len()),
    ] {
        assert_eq!(made(common::inside, options, &all), all[..count], "{options:?}");
    }
    assert_eq!(made(common::inside_as_user, &[], &all), all[..2], "the kernel's word to an ordinary user");
}

#[test]
fn the_calls_of_another_machine_are_refused() {
    require!(root);
    if cfg!(target_arch = "x86_64") {
        let rootfs = Rootfs::new();
        // A kernel without i386 kills as well; one without x32 knows no such call.
        run(&mut launcher(words(&rootfs, &[], &["foreign", "1"]))).expect(128 + libc::SIGSYS);
        let x32 = run(&mut launcher(words(&rootfs, &[], &["foreign", "2"]))).expect(0);
        assert_eq!(x32.out, format!("{}\n", libc::ENOSYS));
        let open = ["--security-opt", "seccomp=unconfined"];
        let i386 = run(&mut launcher(words(&rootfs, &open, &["foreign", "1"])));
        assert_ne!(i386.status, 128 + libc::SIGSYS, "nothing else kills so: {i386:?}");
    }
}

/// What the kernel says about the filters of the program, and of init.
const STATUS: &str =
    "sed -n 's/^\\(NoNewPrivs\\|Seccomp\\):\\t//p' /proc/self/status /proc/1/status | tr '\\n' ' '";

#[test]
fn the_filter_is_on_by_default_with_or_without_new_privileges() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // The numbers: no_new_privs and the filter (2) of the program, then of init, which has neither.
    for (options, want) in [
        (&[][..], "1 2 0 0 "),
        (&["-u", "1000:1000"], "1 2 0 0 "),
        (&["--security-opt", "no-new-privileges=false"], "0 2 0 0 "),
        (&["--security-opt", "no-new-privileges:false", "-u", "1000:1000", "-w", "/tmp"], "0 2 0 0 "),
        (&["--userns", "auto", "--uidmap", "0:100000:65536"], "1 2 0 0 "),
        (&["--pid", "host"], ""),
        (&["--privileged"], "0 0 0 0 "),
        (&["--security-opt", "seccomp=unconfined"], "1 0 0 0 "),
    ] {
        let finished = common::inside(&rootfs, options, STATUS).expect(0);
        assert!(
            finished.out == want || want.is_empty() && finished.out.starts_with("1 2 "),
            "{options:?}: {finished:?}"
        );
    }
}

#[test]
fn older_kernels_get_the_same_filter_another_way() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    // 4.17 brought the flag, 3.17 the call.
    for fault in ["seccomp:error=EINVAL:when=1", "seccomp:error=ENOSYS"] {
        let words = words(&rootfs, &[], &["calls"]);
        let got = answers(run(&mut launcher_with_faults(&[fault], &words)));
        for (name, want) in REFUSED {
            assert_eq!(got[*name], *want, "{fault} {name}");
        }
    }
}

#[test]
fn a_kernel_without_filters_is_an_error_with_a_way_out() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    let words = words(&rootfs, &[], &["calls"]);
    let finished = run(&mut launcher_with_faults(&["seccomp:error=EINVAL"], &words)).expect(125);
    let (error, hint) = finished.err.split_once('\n').unwrap();
    assert!(error.ends_with("install the default seccomp filter: Invalid argument (EINVAL)"), "{error}");
    assert!(hint.contains("--security-opt seccomp=unconfined"), "{hint}");
    assert_eq!(finished.out, "");
    // Without no_new_privs the right to install one is needed.
    let words = [&["--security-opt", "no-new-privileges=false"][..], &words].concat();
    let finished = run(&mut launcher_with_faults(&["seccomp:error=EACCES"], &words)).expect(125);
    assert!(finished.err.contains("leave out no-new-privileges=false"), "{}", finished.err);
}

/// Writes a profile and says by which option it is used.
fn profile(folder: &Path, text: &str) -> String {
    let path = folder.join("profile.json");
    std::fs::write(&path, text).unwrap();
    format!("seccomp={}", path.display())
}

/// Runs a script under a profile.
#[track_caller]
fn under(text: &str, options: &[&str], script: &str) -> Finished {
    let (rootfs, temp) = (Rootfs::new(), Temp::new());
    let option = profile(&temp.0, text);
    common::inside(&rootfs, &[&["--security-opt", &option][..], options].concat(), script)
}

/// A profile that allows all but what its rules say.
fn open_but(rules: &str) -> String {
    format!("{{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"syscalls\": [{rules}]}}")
}

#[test]
fn a_profile_of_a_file_is_what_counts() {
    require!(root, busybox);
    let text = open_but(
        r#"{"names": ["mkdir", "mkdirat", "call_of_2040"], "action": "SCMP_ACT_ERRNO", "errnoRet": 30},
           {"name": "kill", "action": "SCMP_ACT_ERRNO", "args": [{"index": 1, "value": 10, "op": "SCMP_CMP_EQ"}]},
           {"names": ["sethostname"], "action": "SCMP_ACT_KILL_PROCESS", "excludes": {"caps": ["CAP_SYS_ADMIN"]}}"#,
    );
    let script = "mkdir /tmp/new; kill -USR1 $$; kill -0 $$ && echo alive; hostname other; echo $?";
    let finished = under(&text, &[], script).expect(0);
    assert_eq!(finished.out, format!("alive\n{}\n", 128 + libc::SIGSYS));
    assert!(
        finished.err.contains("Read-only file system") && finished.err.contains("not permitted"),
        "{finished:?}"
    );
    let finished = under(&text, &["--cap-add", "SYS_ADMIN"], "hostname other; hostname").expect(0);
    assert_eq!(finished.out, "other\n");
    // Even where all else is open: --privileged leaves out our profile, not the user's.
    let finished = under(&text, &["--privileged"], "mkdir /tmp/new; hostname other").expect(0);
    assert!(finished.err.contains("Read-only file system"), "{finished:?}");
}

#[test]
fn a_profile_that_allows_little_is_enough_for_a_small_program() {
    require!(root);
    let (rootfs, temp) = (Rootfs::new(), Temp::new());
    let allowed = "arch_prctl brk close execve exit_group fcntl ioctl mmap mprotect munmap poll ppoll prlimit64 read \
                   rt_sigaction rt_sigprocmask set_tid_address set_robust_list sigaltstack write writev";
    let names: Vec<_> = allowed.split_whitespace().map(|name| format!("\"{name}\"")).collect();
    let text = |names: &[String]| {
        format!(
            "{{\"defaultAction\": \"SCMP_ACT_ERRNO\", \"syscalls\": [{{\"names\": [{}], \"action\": \"SCMP_ACT_ALLOW\"}}]}}",
            names.join(", ")
        )
    };
    let option = profile(&temp.0, &text(&names));
    let words_of = |options: &[&str]| {
        let options = [&["--security-opt", option.as_str()][..], options].concat();
        run(&mut launcher(words(&rootfs, &options, &["fds"])))
    };
    // The signal mask is given back before: the profile has no need to allow what we do after it but execve.
    assert_eq!(words_of(&[]).expect(0).out, "0 1 2\n");
    // Installed before the user changes it must allow that too, and says where it does not.
    let early = words_of(&["--security-opt", "no-new-privileges=false", "-u", "1:1"]).expect(125);
    assert!(early.err.contains(": set the groups "), "{early:?}");
    profile(&temp.0, &text(&names[..3]));
    let finished = words_of(&[]);
    assert_eq!(finished.status, 126, "{finished:?}");
}

#[test]
fn a_profile_that_is_none_is_told_before_anything_is_made() {
    require!(root, busybox);
    for (text, want) in [
        ("", "line 1, column 1: wanted is {"),
        ("{\n  \"defaultAction\": \"SCMP_ACT_ALOW\"\n}", "line 2, column 35: not understood: SCMP_ACT_ALOW"),
        ("{\"defaultAction\": \"SCMP_ACT_NOTIFY\"}", "line 1, column 36: not understood: SCMP_ACT_NOTIFY"),
        ("{\"defaultAction\": \"SCMP_ACT_ALLOW\", \"sycalls\": []}", ": not understood: sycalls"),
    ] {
        let finished = under(text, &[], "echo started").expect(125);
        assert!(finished.out.is_empty() && finished.err.lines().count() == 1, "{finished:?}");
        assert!(
            finished.err.starts_with("launcher: seccomp profile /") && finished.err.contains(want),
            "{finished:?}"
        );
    }
    // Each of these calls has so many conditions that the kernel has no room for the whole.
    let arg = r#"{"index": 0, "value": 1, "op": "SCMP_CMP_NE"}"#;
    let names =
        "read write open close stat fstat lstat poll lseek mmap mprotect munmap brk ioctl readv writev";
    let names: Vec<_> = names.split(' ').map(|name| format!("\"{name}\"")).collect();
    let names = names.join(", ");
    let args = [arg; 80].join(", ");
    let rule = format!("{{\"names\": [{names}], \"action\": \"SCMP_ACT_LOG\", \"args\": [{args}]}}");
    let finished = under(&open_but(&rule), &[], "echo started").expect(125);
    assert!(finished.err.contains("instructions, of which the kernel takes 4096"), "{finished:?}");
    let rootfs = Rootfs::new();
    for (file, want) in [
        ("/nowhere.json", "No such file or directory (ENOENT)"),
        ("/dev", "Is a directory (EISDIR)"),
        ("/dev/zero", "File too large (EFBIG)"),
    ] {
        let option = format!("seccomp={file}");
        let finished = common::inside(&rootfs, &["--security-opt", &option], "echo started").expect(125);
        assert_eq!(finished.err, format!("launcher: seccomp profile {file}: {want}\n"));
    }
}
