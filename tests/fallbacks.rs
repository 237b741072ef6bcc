//! Old kernels and narrow seccomp filters: each newer call is made to fail, and the container must be the same.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::process::Command;

use common::{
    Finished, Rootfs, Running, as_user, cgroups_named, children_of, eventually, launcher, launcher_as_user,
    launcher_path, launcher_with_faults, mounts, run, with_faults,
};

/// The newer calls, by what they fail with where they are missing; those that came with one kernel together.
const FAULTS: &[&str] = &[
    "clone3:error=ENOSYS",
    "clone3:error=EPERM",
    "openat2:error=ENOSYS",
    "close_range:error=ENOSYS",
    "mount_setattr:error=ENOSYS",
    "fsopen,fsconfig,fsmount:error=ENOSYS",
    "open_tree,move_mount,fsopen,fsconfig,fsmount:error=ENOSYS",
    "pidfd_send_signal,pidfd_open:error=ENOSYS",
    "statx,faccessat2,execveat:error=ENOSYS",
];

/// All of them at once: about Linux 5.1.
const ALL: &str = "clone3,openat2,close_range,mount_setattr,open_tree,move_mount,fsopen,fsconfig,fsmount,\
    pidfd_send_signal,pidfd_open,faccessat2,execveat:error=ENOSYS";

/// What a container is like. Nothing in it depends on the order of mounts or on numbers that differ between runs.
const FACTS: &str = "id -u; hostname; pwd; stat -c '%n %t:%T' /dev/*; cat /proc/self/uid_map /proc/self/setgroups
    grep -E '^(Uid|Gid|Groups|Cap.*|NoNewPrivs|Sig(Blk|Ign|Cgt)):' /proc/self/status; cat /proc/1/comm; ls /sys/fs/cgroup
    ip addr show lo | grep inet; true >>/proc/sys/kernel/core_pattern; head -c 1 /proc/timer_list; ls -A /proc/acpi /sys/firmware
    stat -c %d:%i . / /.. | sort -u | wc -l; touch /etc/new && rm /etc/new /etc/lower; ls /etc; echo end";

/// The facts of one run: what it printed, and its mounts.
type Facts = (Finished, Vec<String>);

/// Runs the scenario of these options with these faults.
fn facts(is_user: bool, faults: &[&str], options: &[&str]) -> Facts {
    let rootfs = if is_user { Rootfs::for_user() } else { Rootfs::new() };
    let lower = rootfs.path().join("etc/lower");
    fs::write(&lower, "").unwrap();
    if is_user {
        std::os::unix::fs::chown(&lower, Some(common::USER), Some(common::USER)).unwrap();
    }
    let script = format!("{FACTS}; cat /proc/self/mountinfo");
    let words = [&["--rootfs", rootfs.arg()][..], options, &["--", "sh", "-c", &script]].concat();
    let mut finished = run(&mut command(is_user, faults, &words));
    let (text, mountinfo) = finished.out.split_once("end\n").unwrap_or((&finished.out, ""));
    let mut found = mounts(mountinfo);
    found.sort();
    (finished.out, finished.err) = (text.to_owned(), finished.err.replace(rootfs.arg(), "ROOTFS"));
    (finished, found)
}

/// Launcher with these words, under strace if there are faults.
fn command(is_user: bool, faults: &[&str], words: &[&str]) -> Command {
    match (faults.is_empty(), is_user) {
        (true, true) => launcher_as_user(words),
        (true, false) => launcher(words),
        (false, true) => as_user(launcher_with_faults(faults, words)),
        (false, false) => launcher_with_faults(faults, words),
    }
}

/// How two lists of lines differ: `-` is missing, `+` is new.
fn difference(want: &[String], found: &[String]) -> Vec<String> {
    let missing = want.iter().filter(|line| !found.contains(line)).map(|line| format!("- {line}"));
    let new = found.iter().filter(|line| !want.contains(line)).map(|line| format!("+ {line}"));
    missing.chain(new).collect()
}

/// Asserts that a scenario has the same facts with each fault as without any.
#[track_caller]
fn assert_same(is_user: bool, options: &[&str]) {
    let lines = |(finished, mounts): &Facts| {
        let all = format!("status {}\n{}{}", finished.status, finished.err, finished.out);
        all.lines().map(str::to_owned).chain(mounts.iter().cloned()).collect::<Vec<_>>()
    };
    let want = facts(is_user, &[], options);
    assert!(want.0.status == 0 && want.1.len() > 6, "{want:?}");
    let mut wrong = Vec::new();
    for fault in FAULTS.iter().chain([&ALL]) {
        let found = facts(is_user, &[fault], options);
        let difference = difference(&lines(&want), &lines(&found));
        if found.0.status != want.0.status {
            wrong.push(format!("{fault}: status {}: {}", found.0.status, found.0.err));
        } else if !difference.is_empty() {
            wrong.push(format!("{fault}:\n  {}", difference.join("\n  ")));
        }
    }
    assert!(wrong.is_empty(), "{options:?}:\n{}", wrong.join("\n"));
}

#[test]
fn root() {
    require!(root, busybox, strace);
    assert_same(false, &[]);
}

#[test]
fn root_with_a_read_only_rootfs() {
    require!(root, busybox, strace);
    assert_same(false, &["--read-only", "-u", "1000:1000"]);
}

#[test]
fn root_with_a_throw_away_rootfs() {
    require!(root, busybox, strace);
    assert_same(false, &["--ephemeral", "--hostname", "other"]);
}

#[test]
fn root_with_other_ids() {
    require!(root, busybox, strace);
    assert_same(false, &["--uidmap", "0:100000:65536"]);
}

#[test]
fn root_with_limits() {
    require!(root, busybox, strace, memory_v1);
    assert_same(false, &["--name", "fallback-limits", "-m", "64m", "--pids-limit", "30"]);
    assert!(cgroups_named("fallback-limits").is_empty());
}

#[test]
fn root_privileged_with_the_namespaces_of_the_host() {
    require!(root, busybox, strace);
    assert_same(false, &["--privileged", "--network", "host", "--ipc", "host", "--cgroupns", "host"]);
}

#[test]
fn an_ordinary_user() {
    require!(root, busybox, strace);
    assert_same(true, &[]);
}

#[test]
fn an_ordinary_user_with_a_throw_away_rootfs() {
    require!(root, busybox, strace);
    assert_same(true, &["--ephemeral"]);
}

#[test]
fn an_ordinary_user_with_a_read_only_rootfs() {
    require!(root, busybox, strace);
    assert_same(true, &["--read-only"]);
}

#[test]
fn an_ordinary_user_with_the_network_of_the_host() {
    require!(root, busybox, strace);
    assert_same(true, &["--network", "host"]);
}

#[test]
fn signals_arrive_without_pidfds() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    for fault in ["pidfd_send_signal:error=ENOSYS", "clone3:error=ENOSYS", ALL] {
        let words = ["--rootfs", rootfs.arg(), "--", "/probe", "signals", "9"];
        let mut running = Running::start(&mut launcher_with_faults(&[fault], &words));
        running.wait_for("ready");
        let tracer = running.child.id();
        let mut outer = Vec::new();
        eventually("launcher is strace's only child", || {
            outer = children_of(tracer);
            outer.len() == 1
        });
        for signal in [libc::SIGUSR1, libc::SIGTERM] {
            // SAFETY: kill takes two integers.
            #[allow(unsafe_code, reason = "nix does not know all signals")]
            unsafe {
                libc::kill(outer[0].try_into().unwrap(), signal);
            }
            assert_eq!(running.line(), signal.to_string(), "{fault}");
        }
        running.finish().expect(42);
    }
}

#[test]
fn descriptors_of_the_caller_stay_outside_without_close_range() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    let program = launcher_path();
    let line = format!(
        "exec 3</ 9</etc; exec strace -f -qq -o /dev/null -e inject=close_range:error=ENOSYS -- {} --rootfs {} -- /probe fds",
        program.display(),
        rootfs.arg()
    );
    assert_eq!(run(Command::new("sh").args(["-c", &line])).expect(0).out, "0 1 2\n");
}

#[test]
fn the_root_of_the_host_as_rootfs_works_or_says_that_it_cannot() {
    require!(root, busybox, strace);
    // Without open_tree nobody can lay hands on what covers `/`: better a clear refusal than half a container.
    for options in [&["--rootfs", "/"][..], &["--rootfs", "/", "--ephemeral"]] {
        for fault in
            ["open_tree,move_mount:error=ENOSYS", "openat2:error=ENOSYS", "mount_setattr:error=ENOSYS", ALL]
        {
            let script = "stat -c %d:%i / /.. | sort -u | wc -l; echo $$";
            let words = [options, &["--", "/bin/busybox", "sh", "-c", script]].concat();
            let finished = run(&mut launcher_with_faults(&[fault], &words));
            let is_refused =
                finished.status == 125 && finished.out.is_empty() && finished.err.contains("launcher: step ");
            let works = finished.status == 0 && finished.out == "1\n2\n";
            assert!(
                works || (is_refused && fault.contains("open_tree")),
                "{options:?} {fault}: {finished:?}"
            );
        }
    }
}

#[test]
fn without_time_namespaces_the_hosts_is_shared_unless_one_is_asked_for() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    let host = fs::read_link("/proc/self/ns/time").unwrap();
    // The first unshare is of the cgroup namespace.
    let started = |options: &[&str]| {
        let program = ["--rootfs", rootfs.arg(), "--", "readlink", "/proc/self/ns/time"];
        run(&mut launcher_with_faults(&["unshare:error=EINVAL:when=2"], &[options, &program].concat()))
    };
    assert_eq!(started(&[]).expect(0).out.trim_end(), host.to_str().unwrap());
    for options in [["--timens", "new"], ["--time-offset", "boottime=1"]] {
        let finished = started(&options).expect(125);
        assert!(finished.err.contains("time namespaces need Linux 5.6"), "{finished:?}");
    }
}

#[test]
fn the_program_is_in_the_time_namespace_before_linux_6_2_too() {
    require!(root, busybox, setarch);
    let rootfs = Rootfs::new();
    let host = fs::read_link("/proc/self/ns/time").unwrap();
    let mut outer = Command::new("setarch");
    outer.arg("--uname-2.6").arg(launcher_path()).args(["--rootfs", rootfs.arg(), "--"]);
    let out = run(outer.args(["sh", "-c", "uname -r; readlink /proc/self/ns/time"])).expect(0).out;
    let (version, own) = out.split_once('\n').unwrap();
    assert!(version.starts_with("2.6."), "{out}");
    assert!(own.starts_with("time:") && own.trim_end() != host.to_str().unwrap(), "{out}");
}

#[test]
fn a_mount_that_cannot_be_entered_is_no_obstacle() {
    require!(root, busybox, strace, unshare, setpriv);
    let rootfs = Rootfs::for_user();
    for name in ["etc/source", "etc/target"] {
        fs::write(rootfs.path().join(name), name).unwrap();
    }
    // A file, as docker mounts /etc/resolv.conf; a folder of root's alone, such as the tracefs in /sys.
    let script = r#"mount --bind "$0/etc/source" "$0/etc/target" && mount -t tmpfs -o mode=700 test "$0/srv" && exec "$@""#;
    let user = format!("{}", common::USER);
    let become_user = ["setpriv", "--reuid", &user, "--regid", &user, "--clear-groups"];
    // Without mount_setattr each mount is changed by itself.
    for faults in [&[][..], &["mount_setattr:error=ENOSYS"]] {
        for who in [&[][..], &become_user] {
            let inner = command(false, faults, &["--rootfs", rootfs.arg(), "--", "cat", "/etc/target"]);
            let mut outer = Command::new("unshare");
            outer.args(["--mount", "--propagation", "private", "sh", "-c", script, rootfs.arg()]).args(who);
            let outer = outer.arg(inner.get_program()).args(inner.get_args()).current_dir("/");
            assert_eq!(run(outer).expect(0).out, "etc/source", "{faults:?} {who:?}");
        }
    }
}

#[test]
fn without_the_hosts_dev_null_nothing_is_left_unmasked() {
    require!(root, busybox, unshare);
    let rootfs = Rootfs::new();
    for (make, want) in
        [("true", "look at the host's /dev/null"), ("echo secret >/dev/null", "is not the device")]
    {
        let script = format!("mount -t tmpfs test /dev && {make} && exec \"$@\"");
        let mut outer = Command::new("unshare");
        outer.args(["--mount", "--propagation", "private", "sh", "-c", &script, "sh"]).arg(launcher_path());
        let finished = run(outer.args(["--rootfs", rootfs.arg(), "--", "cat", "/proc/keys"])).expect(125);
        assert!(finished.out.is_empty() && finished.err.contains(want), "{finished:?}");
    }
}

#[test]
fn a_root_that_is_no_mount_is_told() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    common::copy_program(&launcher_path(), &rootfs.path().join("launcher"));
    let mut outer = Command::new("chroot");
    outer.arg(rootfs.path()).args(["/launcher", "--rootfs", "/srv", "--", "true"]);
    let finished = run(&mut outer).expect(125);
    assert!(
        finished.err.contains("make / rslave: Invalid argument (EINVAL)\n  hint: / is no mount"),
        "{finished:?}"
    );
}

/// Whether it is a machine's init is told by a procfs, which before Linux 5.2 has to be mounted to be looked at.
#[test]
fn the_init_of_a_container_without_proc_mounts_none() {
    require!(root, strace);
    let launcher = launcher_path();
    for (arrange, look, want) in [
        ("true", "[ -e /proc/self ] || echo none", "none\n"),
        // What hides it stays as well.
        ("mount -t tmpfs mask /proc && : >/proc/mask", "ls /proc", "mask\n"),
    ] {
        let script = format!("umount -l /proc && {arrange} && exec {} -- sh -c '{look}'", launcher.display());
        let words = ["-pf", "--kill-child", "-m", "--propagation", "private", "sh", "-c", &script];
        let finished = run(&mut with_faults("unshare".as_ref(), &["fsopen:error=ENOSYS"], &words)).expect(0);
        assert_eq!(finished.out, want);
    }
}
