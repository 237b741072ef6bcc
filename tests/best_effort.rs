//! `--best-effort`: runs where a part is refused, and names each protection that is lost; without it the same is an error.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::process::Command;

use common::{Finished, Rootfs, cgroups_named, launcher_as_user, launcher_path, launcher_with_faults, run};

/// What was lost, in the words behind "without".
fn losses(finished: &Finished) -> Vec<&str> {
    let lines = finished.err.lines();
    lines.map(|line| line.strip_prefix("launcher: warning: without ").unwrap_or(line)).collect()
}

/// Runs launcher with these words while these calls fail, with and without the option. Returns the former.
fn with_faults(fault: &str, words: &[&str]) -> Finished {
    let refused = run(&mut launcher_with_faults(&[fault], words));
    assert_eq!((refused.status, refused.out.as_str()), (125, ""), "{fault}: {refused:?}");
    run(&mut launcher_with_faults(&[fault], &[&["--best-effort"], words].concat()))
}

#[test]
fn where_no_namespace_can_be_made_the_command_runs_without() {
    require!(root, strace);
    // clone3 refuses for itself what the trials are refused.
    let faults = ["unshare:error=EPERM", "clone3,clone:error=EPERM:when=100"];
    let words = ["--best-effort", "--hostname", "x", "--", "sh", "-c", "echo ran; hostname"];
    let finished = run(&mut launcher_with_faults(&faults, &words)).expect(0);
    let want = ["mnt", "pid", "net", "uts", "ipc", "cgroup", "time"]
        .map(|kind| format!("a {kind} namespace: Operation not permitted"));
    assert_eq!(losses(&finished), want);
    let host = run(&mut Command::new("hostname")).out;
    assert_eq!(finished.out, format!("ran\n{host}"));
}

#[test]
fn a_change_of_root_is_never_replaced_by_chroot() {
    require!(root, strace);
    let rootfs = Rootfs::new();
    let finished =
        with_faults("unshare:error=EPERM", &["--rootfs", rootfs.arg(), "--uts", "new", "--", "true"]);
    assert_eq!(finished.status, 125);
    let want = "launcher: --best-effort: --rootfs without a mount namespace: Operation not permitted (EPERM)\n  hint: ";
    assert!(finished.err.starts_with(want), "{finished:?}");
}

#[test]
fn without_a_filter_it_runs_unfiltered() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    let words = ["--rootfs", rootfs.arg(), "--", "grep", "CapBnd:\\|Seccomp:", "/proc/self/status"];
    let finished = with_faults("seccomp:error=EINVAL", &words).expect(0);
    assert_eq!(losses(&finished), ["a seccomp filter: Invalid argument"]);
    assert_eq!(
        finished.out, "CapBnd:\t00000000a00425fb\nSeccomp:\t0\n",
        "no MKNOD: nothing guards the nodes"
    );
}

#[test]
fn what_roots_capabilities_do_not_suffice_for_is_told_once() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let start = |lacking: &str, option: &str, script: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--bounding-set", lacking, "--inh-caps", lacking]).arg(launcher_path());
        run(command.args(["--rootfs", rootfs.arg(), option, "--", "sh", "-c", script]))
    };
    let refused = start("-net_admin", "--read-only", "true").expect(125);
    assert!(
        refused.err.contains("lo up: set IFF_UP: Operation not permitted (EPERM)\n  hint: "),
        "{refused:?}"
    );
    let finished = start("-net_admin", "--best-effort", "readlink /proc/self/ns/net").expect(0);
    assert_eq!(losses(&finished), ["a net namespace: Operation not permitted"]);
    assert_eq!(finished.out.trim(), std::fs::read_link("/proc/self/ns/net").unwrap().to_str().unwrap());
    // The bounding set that is left has SYS_PTRACE, so that launcher starts anew in a copy.
    let finished = start("-setpcap", "--best-effort", "readlink /proc/1/exe").expect(0);
    assert_eq!(losses(&finished), ["a smaller bounding set: launcher lacks the capability setpcap"]);
    assert_eq!(finished.out, "/memfd:launcher (deleted)\n");
}

#[test]
fn what_is_masked_outside_costs_an_ordinary_user_that_alone() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let script = r#"eval "$4" && exec setpriv --reuid "$1" --regid "$1" --clear-groups "$0" $3 --rootfs "$2" -- \
        sh -c 'hostname; id -u'"#;
    for (cover, fault, loss) in [
        ("mount --bind /dev/null /proc/keys", "mount proc on /proc", "a pid namespace"),
        ("mount -t tmpfs none /sys/kernel", "mount sysfs on /sys", "a /sys of its own"),
    ] {
        let start = |option: &str| {
            let mut command = Command::new("unshare");
            command.args(["-m", "sh", "-c", script]).arg(launcher_path());
            run(command.args([&common::USER.to_string(), rootfs.arg(), option, cover]))
        };
        let refused = start("").expect(125);
        assert!(
            refused.err.contains(fault) && refused.err.contains("\n  hint: parts of the host's"),
            "{refused:?}"
        );
        let finished = start("--best-effort").expect(0);
        assert_eq!(losses(&finished), [format!("{loss}: Operation not permitted")]);
        assert_eq!(finished.out, "launcher\n0\n");
    }
}

#[test]
fn limits_that_are_not_delegated_are_left_out() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::for_user();
    let words = ["--name", "best-limits", "--rootfs", rootfs.arg(), "-m", "64m", "--", "echo", "ran"];
    run(&mut launcher_as_user(words)).expect(125);
    let finished = run(launcher_as_user(["--best-effort"]).args(words)).expect(0);
    assert_eq!((&*finished.out, losses(&finished).len()), ("ran\n", 1));
    assert!(losses(&finished)[0].starts_with("limits: "), "{finished:?}");
    assert!(cgroups_named("best-limits").is_empty());
}

#[test]
fn devices_that_cannot_be_limited_are_not() {
    require!(root, busybox, devices_v1, unshare);
    let rootfs = Rootfs::for_user();
    let words = [
        "--best-effort",
        "--name",
        "best-devices",
        "--rootfs",
        rootfs.arg(),
        "--device",
        "/dev/zero:/dev/y:r",
    ];
    let by_user = launcher_as_user([&words[..], &["--", "sh", "-c", "echo >/dev/y; echo ran"]].concat());
    let mut by_root_of_a_namespace = Command::new("unshare");
    by_root_of_a_namespace.args(["-U", "-r"]).arg(launcher_path());
    by_root_of_a_namespace.args([
        "--best-effort",
        "--group-add",
        "keep-groups",
        "--device-cgroup-rule",
        "c 1:1 r",
        "--",
        "echo",
        "ran",
    ]);
    for mut command in [by_user, by_root_of_a_namespace] {
        let finished = run(&mut command).expect(0);
        assert_eq!(losses(&finished), ["limits on devices: Operation not permitted"]);
        assert_eq!(finished.out, "ran\n");
    }
    assert!(cgroups_named("best-devices").is_empty());
}

#[test]
fn where_all_can_be_had_nothing_is_said() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let words = ["--best-effort", "--rootfs", rootfs.arg(), "-m", "64m", "--", "echo", "ran"];
    let finished = run(&mut common::launcher(words)).expect(0);
    assert_eq!((&*finished.out, &*finished.err), ("ran\n", ""));
}
