//! `launcher doctor`: says what there is and what there is not, and changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::process::Command;

use common::{
    Finished, as_user, launcher, launcher_as_user, launcher_path, launcher_with_faults, mountinfo, run,
};

/// The line of a check.
#[track_caller]
fn line<'a>(finished: &'a Finished, check: &str) -> &'a str {
    let mut lines = finished.out.lines();
    lines.find(|line| line.contains(&format!("{check}: "))).unwrap_or_else(|| panic!("{check}: {finished:?}"))
}

#[test]
fn root_and_users_are_told_what_they_may() {
    require!(root, memory_v1);
    let before = mountinfo();
    for (is_user, command) in [(false, launcher(["doctor"])), (true, launcher_as_user(["doctor"]))] {
        let mut command = command;
        let finished = run(&mut command).expect(0);
        assert_eq!(finished.err, "");
        for check in
            ["user namespace", "mount namespace", "fresh /proc", "overlay on tmpfs", "seccomp filters"]
        {
            assert_eq!(line(&finished, check), format!("ok       {check}: works"));
        }
        let limits = line(&finished, "controllers for limits");
        let want = if is_user { "limited  controllers for limits: memory not ours" } else { "memory on v1" };
        assert!(limits.contains(want), "{limits}");
    }
    assert_eq!(mountinfo(), before);
}

#[test]
fn each_line_of_json_is_an_object() {
    const CHECK: &str = "import json, sys
for line in sys.stdin:
    found = json.loads(line)
    assert list(found) == ['check', 'status', 'found', 'costs', 'mend'], found
    assert found['status'] == 'ok' and found['costs'] == found['mend'] == '' or found['costs'] and found['mend'], found
    print(found['check'])";
    require!(root);
    let script = r#""$0" doctor --json | python3 -c "$1""#;
    let mut command = Command::new("sh");
    command.args(["-c", script]).arg(launcher_path()).arg(CHECK);
    let finished = run(&mut as_user(command)).expect(0);
    assert!(
        finished.out.starts_with("kernel\n") && finished.out.ends_with("controllers for limits\n"),
        "{finished:?}"
    );
}

#[test]
fn what_is_refused_is_named_with_its_cost_and_its_cure() {
    require!(root, strace);
    for (fault, status, want) in [
        (
            "unshare:error=EPERM",
            1,
            "missing  mount namespace: Operation not permitted\n         costs: --rootfs",
        ),
        ("unshare:error=EINVAL", 1, "mend:  a kernel with CONFIG_NAMESPACES"),
        (
            "mount:error=EPERM:when=3",
            0,
            "limited  overlay on tmpfs: Operation not permitted\n         costs: --eph",
        ),
        (
            "openat2,mount_setattr:error=ENOSYS",
            0,
            "limited  newer system calls that are lacking: openat2 mount_setattr\n",
        ),
        ("seccomp:error=EINVAL", 0, "limited  seccomp filters: Invalid argument\n"),
        ("landlock_create_ruleset:error=EOPNOTSUPP", 0, "limited  Landlock: Operation not supported\n"),
        ("capget:error=EPERM", 1, "missing  capabilities that are lacking: chown,"),
    ] {
        let finished = run(&mut launcher_with_faults(&[fault], &["doctor"]));
        assert!(finished.out.contains(want), "{fault}: {}", finished.out);
        assert_eq!((finished.status, &*finished.err), (status, ""), "{fault}");
    }
}

#[test]
fn without_proc_nothing_is_called_well() {
    require!(root);
    let mut command = Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", "umount -l /proc && exec \"$0\" doctor"]);
    let finished = run(command.arg(launcher_path())).expect(125);
    assert_eq!(finished.out, "");
    let want = "launcher: read /proc/self/status: No such file or directory (ENOENT)\n  hint: mount it: ";
    assert!(finished.err.starts_with(want), "{finished:?}");
}

#[test]
fn a_sysctl_that_forbids_user_namespaces_is_named() {
    require!(root);
    let script = r#"echo 0 >/proc/sys/user/max_user_namespaces && exec "$0" doctor"#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "sh", "-c", script]).arg(launcher_path());
    let finished = run(&mut command);
    let want = "limited  user namespace: No space left on device\n         costs: containers of ordinary users, --userns, \
                --uidmap\n         mend:  sysctl user.max_user_namespaces=15000\n";
    assert!(finished.out.contains(want), "{finished:?}");
}

#[test]
fn a_masked_proc_is_named() {
    require!(root);
    let script = r#"mount --bind /dev/null /proc/keys && exec setpriv --reuid "$1" --regid "$1" --clear-groups "$0" doctor"#;
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", script]).arg(launcher_path()).arg(common::USER.to_string());
    let finished = run(&mut command).expect(1);
    let want = "missing  fresh /proc: Operation not permitted\n         costs: every container with a PID namespace\n";
    assert!(finished.out.contains(want), "{finished:?}");
}

#[test]
fn it_takes_one_word() {
    let finished = run(&mut launcher(["doctor", "--jsno"])).expect(125);
    assert_eq!((&*finished.out, &*finished.err), ("", "launcher: doctor takes no words but --json\n"));
}
