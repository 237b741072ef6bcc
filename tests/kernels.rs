//! Kernels that were built without one kind of namespace, where a filter answers as they do; and machines without cgroups or
//! without /proc. What is lost has a name, and without `--best-effort` nothing is.
#![allow(unsafe_code, reason = "a filter is installed by a system call")]
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::process::Command;

use common::init::with_filter;
use common::{Finished, Rootfs, launcher, launcher_as_user, run};

/// Kinds by their file below /proc/PID/ns, and the flags that ask for them. Not `time`, whose flag is a signal's number in
/// clone(2): fallbacks.rs.
const KINDS: &[(&str, libc::c_int)] = &[
    ("mnt", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("uts", libc::CLONE_NEWUTS),
    ("ipc", libc::CLONE_NEWIPC),
    ("cgroup", libc::CLONE_NEWCGROUP),
];

/// Runs a command on a kernel without the kind of this flag: EINVAL from `clone` and `unshare`, and no `clone3`, whose flags
/// a filter cannot see.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of calls and errors are small"
)]
fn run_without(flag: libc::c_int, command: &mut Command) -> Finished {
    let put = |code: u32, k: u32, jt, jf| libc::sock_filter { code: code as u16, jt, jf, k };
    let load = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
    let equal = libc::BPF_JMP | libc::BPF_JEQ;
    let refuse = |errno: i32| libc::SECCOMP_RET_ERRNO | errno as u32;
    let code = [
        put(load, 0, 0, 0), // the number of the call
        put(equal, libc::SYS_clone3 as u32, 6, 0),
        put(equal, libc::SYS_clone as u32, 1, 0),
        put(equal, libc::SYS_unshare as u32, 0, 2),
        put(load, 16, 0, 0), // its first argument
        put(libc::BPF_JMP | libc::BPF_JSET, flag as u32, 1, 0),
        put(libc::BPF_RET, libc::SECCOMP_RET_ALLOW, 0, 0),
        put(libc::BPF_RET, refuse(libc::EINVAL), 0, 0),
        put(libc::BPF_RET, refuse(libc::ENOSYS), 0, 0),
    ];
    with_filter(command, code.to_vec());
    run(command)
}

#[test]
fn a_container_is_refused_with_the_options_of_the_kernel() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (kind, flag) in KINDS {
        let words = ["--rootfs", rootfs.arg(), "--cgroupns", "new", "--", "echo", "ran"];
        let finished = run_without(*flag, &mut launcher(words)).expect(125);
        assert_eq!(finished.out, "", "{kind}");
        let want = match *kind {
            "cgroup" => "unshare the cgroup namespace: Invalid argument (EINVAL)\n",
            _ => "Invalid argument (EINVAL)\n  hint: the kernel lacks ",
        };
        assert!(finished.err.contains(want), "{kind}: {}", finished.err);
    }
}

#[test]
fn with_best_effort_the_one_that_is_lost_is_named() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (kind, flag) in KINDS.iter().filter(|(kind, _)| *kind != "mnt") {
        let words = ["--best-effort", "--rootfs", rootfs.arg(), "--", "readlink"];
        let mut command = launcher(words);
        let finished = run_without(*flag, command.arg(format!("/proc/self/ns/{kind}"))).expect(0);
        let want = format!("launcher: warning: without a {kind} namespace: Invalid argument\n");
        assert_eq!(finished.err, want, "{kind}");
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
        assert_eq!(finished.out.trim_end(), host.to_str().unwrap(), "{kind}");
    }
    let words = ["--best-effort", "--rootfs", rootfs.arg(), "--", "echo", "ran"];
    let finished = run_without(libc::CLONE_NEWNS, &mut launcher(words)).expect(125);
    let want = "launcher: --best-effort: --rootfs without a mount namespace: Invalid argument (EINVAL)\n";
    assert!(finished.err.starts_with(want), "{finished:?}");
}

#[test]
fn an_ordinary_user_cannot_do_without_user_namespaces() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let words = ["--rootfs", rootfs.arg(), "--", "echo", "ran"];
    let finished = run_without(libc::CLONE_NEWUSER, &mut launcher_as_user(words)).expect(125);
    assert_eq!(finished.out, "");
    assert!(finished.err.contains("new-user") && finished.err.contains("the kernel lacks "), "{finished:?}");
    // As a plain init nothing of it is needed.
    let finished = run_without(libc::CLONE_NEWUSER, &mut launcher_as_user(["--", "echo", "ran"])).expect(0);
    assert_eq!((&*finished.out, &*finished.err), ("ran\n", ""));
}

#[test]
fn doctor_names_each() {
    require!(root);
    for (flag, want) in [
        (libc::CLONE_NEWNS, "missing  mount namespace: Invalid argument\n"),
        (libc::CLONE_NEWPID, "PID namespace: Invalid argument\n"),
        (libc::CLONE_NEWNET, "network namespace: Invalid argument\n"),
        (libc::CLONE_NEWUTS, "UTS namespace: Invalid argument\n"),
        (libc::CLONE_NEWIPC, "IPC namespace: Invalid argument\n"),
        (libc::CLONE_NEWCGROUP, "cgroup namespace: Invalid argument\n"),
        (libc::CLONE_NEWUSER, "limited  user namespace: Invalid argument\n"),
    ] {
        let finished = run_without(flag, &mut launcher(["doctor"]));
        assert!(finished.out.contains(want), "{want}: {}", finished.out);
        assert!(finished.out.contains("CONFIG_"), "{want}: {}", finished.out);
    }
}

/// A container with these options, made in a mount namespace where a script was run before.
fn run_after(script: &str, rootfs: &Rootfs, options: &[&str], program: &[&str]) -> Finished {
    let script = format!("{script} && exec \"$0\" \"$@\"");
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).arg(common::launcher_path());
    run(command.args(options).args(["--rootfs", rootfs.arg(), "--"]).args(program))
}

#[test]
fn without_cgroups_there_are_no_limits_and_that_is_told() {
    require!(root, busybox, unshare);
    let rootfs = Rootfs::new();
    let start =
        |options: &[&str]| run_after("umount -R -l /sys/fs/cgroup", &rootfs, options, &["echo", "ran"]);
    let finished = start(&[]).expect(0);
    assert_eq!((&*finished.out, &*finished.err), ("ran\n", ""));
    let loss = "limit memory: no cgroup hierarchy here has the memory controller\n";
    let finished = start(&["-m", "64m"]).expect(125);
    assert_eq!(finished.out, "");
    assert!(finished.err.starts_with(&format!("launcher: {loss}  hint: mount one: ")), "{finished:?}");
    let finished = start(&["--best-effort", "-m", "64m"]).expect(0);
    assert_eq!(finished.out, "ran\n");
    assert_eq!(finished.err, format!("launcher: warning: without limits: {loss}"));
}

#[test]
fn without_proc_a_container_has_its_own_and_limits_are_refused() {
    require!(root, busybox, unshare);
    let rootfs = Rootfs::new();
    let start = |options: &[&str]| run_after("umount -l /proc", &rootfs, options, &["cat", "/proc/1/comm"]);
    let finished = start(&[]).expect(0);
    assert_eq!((&*finished.out, &*finished.err), ("launcher:init\n", ""));
    let finished = start(&["-m", "64m"]).expect(125);
    let want = "launcher: read /proc/self/mountinfo: No such file or directory (ENOENT)\n";
    assert_eq!((&*finished.out, &*finished.err), ("", want));
}
