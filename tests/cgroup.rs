//! Limits on a machine whose controllers are on hierarchies of their own (cgroup v1); tests/vm has the unified one.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;

use common::{
    Finished, Rootfs, Running, cgroups_named, children_of, eventually, inside, launcher, launcher_as_user,
    run,
};

/// Runs a script in a container of that name and makes sure that no cgroup of it stays.
#[track_caller]
fn limited(rootfs: &Rootfs, name: &str, options: &[&str], script: &str) -> Finished {
    let finished = inside(rootfs, &[&["--name", name][..], options].concat(), script);
    assert_eq!(cgroups_named(name), Vec::<std::path::PathBuf>::new(), "{options:?}: {finished:?}");
    finished
}

/// A container with a memory limit that says it is ready and waits.
fn start(rootfs: &Rootfs, name: &str, options: &[&str]) -> Running {
    let mut command = launcher(["--rootfs", rootfs.arg(), "--name", name, "-m", "64m"]);
    let mut running = Running::start(command.args(options).args(["--", "/probe", "pause"]));
    running.wait_for("ready");
    assert_eq!(cgroups_named(&format!("launcher-{name}")).len(), 1);
    running
}

/// Ends a container of [`start`] by a signal.
#[track_caller]
fn stop(running: Running) {
    running.signal(libc::SIGTERM);
    running.finish().expect(128 + libc::SIGTERM);
}

/// `launcher delete` with these words.
fn delete(words: &[&str]) -> Finished {
    run(launcher(["delete"]).args(words))
}

#[test]
fn each_option_sets_its_file_before_the_command_starts() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    for (options, file, want) in [
        (&["-m", "32m"][..], "memory/memory.limit_in_bytes", "33554432"),
        (&["-m", "32m"], "memory/memory.memsw.limit_in_bytes", "67108864"),
        (&["-m", "32m", "--memory-swap", "48m"], "memory/memory.memsw.limit_in_bytes", "50331648"),
        (&["-m", "32m", "--memory-swap", "-1"], "memory/memory.memsw.limit_in_bytes", "9223372036854771712"),
        (&["--cpus", "0.5"], "cpu/cpu.cfs_quota_us", "50000"),
        (&["--cpus", "1.5"], "cpu/cpu.cfs_quota_us", "150000"),
        (&["--cpu-weight", "50"], "cpu/cpu.shares", "512"),
        (&["--pids-limit", "20"], "pids/pids.max", "20"),
        (&["--pids-limit", "-1"], "pids/pids.max", "max"),
        (&["--cpuset-cpus", "0"], "cpuset/cpuset.cpus", "0"),
        (&["--cpuset-mems", "0"], "cpuset/cpuset.mems", "0"),
        (
            &["--cgroup", "memory.soft_limit_in_bytes=16777216"],
            "memory/memory.soft_limit_in_bytes",
            "16777216",
        ),
        (&["--cgroup", "memory.swappiness=7"], "memory/memory.swappiness", "7"),
        (&["-m", "32m", "--pids-limit", "9", "--cpus", "1"], "pids/pids.max", "9"),
        (&["-m", "32m", "--pids-limit", "9", "--cpus", "1"], "cpu/cpu.cfs_quota_us", "100000"),
    ] {
        let finished = limited(&rootfs, "cg-file", options, &format!("cat /sys/fs/cgroup/{file}"));
        assert_eq!(finished.expect(0).out.trim(), want, "{options:?}");
    }
}

#[test]
fn the_command_sees_its_own_cgroups_and_cannot_change_them() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let options = ["-m", "32m", "--pids-limit", "20"];
    // Only the hierarchies that limit it, each as its root, read-only; no way to the agent of CVE-2022-0492.
    let script = "ls /sys/fs/cgroup; grep -E ':(memory|pids):' /proc/self/cgroup | cut -d: -f3; cd /sys/fs/cgroup/memory;
        grep -c '^1$' cgroup.procs; mkdir x 2>/dev/null; echo $?; ls release_agent 2>/dev/null; find /sys/fs/cgroup -type d | wc -l";
    let finished = limited(&rootfs, "cg-view", &options, script).expect(0);
    assert_eq!(finished.out, "memory\npids\n/\n/\n1\n1\n3\n");
    let finished =
        limited(&rootfs, "cg-view", &options, "echo -1 >/sys/fs/cgroup/memory/memory.limit_in_bytes");
    assert!(finished.err.contains("Read-only file system"), "{finished:?}");
}

#[test]
fn memory_above_the_limit_kills_and_it_is_said_why() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let mut command = launcher(["--rootfs", rootfs.arg(), "--name", "cg-oom", "-m", "32m"]);
    let finished = run(command.args(["--", "busybox", "tail", "/dev/zero"])).expect(137);
    let words =
        "launcher: out of memory: the kernel killed 1 process(es) at the memory limit of the container\n";
    assert_eq!(finished.err, words);
    assert!(cgroups_named("cg-oom").is_empty());
}

#[test]
fn a_container_that_survives_an_oom_kill_ends_as_its_command_ends() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let finished =
        limited(&rootfs, "cg-oom2", &["-m", "32m"], "busybox tail /dev/zero; echo $?; exit 5").expect(5);
    assert_eq!(finished.out, "137\n");
    assert!(finished.err.contains("out of memory: the kernel killed 1 process"), "{}", finished.err);
}

#[test]
fn one_mebibyte_is_enough_to_start() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let finished =
        run(&mut launcher(["--rootfs", rootfs.arg(), "--name", "cg-1m", "-m", "1m", "--", "/probe", "fds"]));
    assert_eq!(finished.expect(0).out, "0 1 2\n");
    assert!(cgroups_named("cg-1m").is_empty());
}

#[test]
fn a_limit_too_low_to_start_with_is_said_to_be_that() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let finished = limited(&rootfs, "cg-tiny", &["-m", "100k"], "echo ran").expect(137);
    assert!(finished.out.is_empty() && finished.err.contains("at the memory limit"), "{finished:?}");
}

#[test]
fn a_fork_bomb_ends_at_the_limit_of_processes() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    // The loop is bounded, lest a broken limit takes the machine along; only builtins can look at the end of it.
    let script = "(i=0; while [ $i -lt 60 ]; do sleep 4000201 & i=$((i + 1)); done); cd /sys/fs/cgroup/pids;
        read current <pids.current; read word refused <pids.events; echo $current $word $refused";
    let finished = limited(&rootfs, "cg-pids", &["--pids-limit", "20"], script).expect(0);
    let words: Vec<_> = finished.out.split_whitespace().collect();
    assert!(finished.err.contains("can't fork"), "{finished:?}");
    // The subshell was one of the twenty.
    assert_eq!(words[..2], ["19", "max"]);
    assert_ne!(words[2], "0");
}

#[test]
fn a_share_of_a_processor_is_not_exceeded() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    // A busy machine may give it less than its share for a while: it goes on until it got that, and was stopped at it.
    let script = "until grep '^nr_throttled [1-9]' /sys/fs/cgroup/cpu/cpu.stat; do
        i=0; while [ $i -lt 3000 ]; do i=$((i + 1)); done; done";
    let finished = limited(&rootfs, "cg-cpus", &["--cpus", "0.05"], script).expect(0);
    assert!(finished.out.starts_with("nr_throttled "), "{finished:?}");
}

#[test]
fn a_set_of_processors_is_kept_to() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let script = "nproc; grep Cpus_allowed_list /proc/self/status";
    let finished = limited(&rootfs, "cg-set", &["--cpuset-cpus", "0"], script).expect(0);
    assert_eq!(finished.out, "1\nCpus_allowed_list:\t0\n");
}

#[test]
fn a_parent_is_made_and_removed() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let running = start(&rootfs, "cg-child", &["--cgroup-parent", "/launcher-test-cgp/below"]);
    let expected = "/sys/fs/cgroup/memory/launcher-test-cgp/below/launcher-cg-child";
    assert_eq!(cgroups_named("launcher-cg-child"), [std::path::PathBuf::from(expected)]);
    stop(running);
    assert!(cgroups_named("launcher-test-cgp").is_empty());
}

#[test]
fn a_parent_that_two_share_outlives_the_first() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let parent = ["--cgroup-parent", "/launcher-test-shared"];
    let first = start(&rootfs, "cg-shared-1", &parent);
    let second = start(&rootfs, "cg-shared-2", &parent);
    stop(first);
    assert_eq!(cgroups_named("launcher-cg-shared-2").len(), 1);
    stop(second);
    // The second found the parent there and cannot know that launcher made it; crun and runc leave it as well.
    for folder in cgroups_named("launcher-test-shared") {
        fs::remove_dir(folder).unwrap();
    }
}

#[test]
fn what_the_kernel_refuses_is_named_and_leaves_nothing() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    for (options, words) in [
        (&["--cgroup", "nosuch.thing=1"][..], "the nosuch controller"),
        (&["--cgroup", "memory.nosuch=1"], "memory.nosuch"),
        (&["--cgroup", "memory.limit_in_bytes=abc"], "write abc to "),
        (&["--cpuset-cpus", "4000"], "cpuset.cpus"),
        (&["-m", "32m", "--pids-limit", "9", "--cpuset-cpus", "4000"], "cpuset.cpus"),
        (&["-m", "32m", "--cgroup", "memory.swappiness=5000"], "memory.swappiness"),
        (
            &["-m", "32m", "--cgroup-parent", "/launcher-test-refused", "--cgroup", "memory.nosuch=1"],
            "memory.nosuch",
        ),
    ] {
        let finished = limited(&rootfs, "cg-refused", options, "echo ran").expect(125);
        assert!(finished.out.is_empty() && finished.err.contains(words), "{options:?}: {finished:?}");
        assert_eq!(finished.err.matches("launcher: ").count(), 1, "{options:?}: {}", finished.err);
        assert!(cgroups_named("launcher-test-refused").is_empty(), "{options:?}");
    }
}

#[test]
fn a_failure_after_the_limits_leaves_nothing() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let limits = ["--rootfs", rootfs.arg(), "--name", "cg-late", "-m", "32m", "--pids-limit", "9"];
    for (words, status) in [
        (&["--", "/nonexistent"][..], 127),
        (&["--", "/etc"], 126),
        (&["-w", "/nonexistent", "--", "true"], 125),
        (&["--network", "ns:/nonexistent", "--", "true"], 125),
    ] {
        run(launcher(limits).args(words)).expect(status);
        assert!(cgroups_named("cg-late").is_empty(), "{words:?}");
    }
}

#[test]
fn a_name_can_be_used_once_at_a_time() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let first = start(&rootfs, "cg-twice", &[]);
    let options = ["--name", "cg-twice", "-m", "32m", "--pids-limit", "9"];
    let second = inside(&rootfs, &options, "echo ran").expect(125);
    assert!(second.out.is_empty() && second.err.contains("a container of that name exists"), "{second:?}");
    let left = cgroups_named("cg-twice");
    assert_eq!(left.len(), 1, "the first one's, and nothing of the second's: {left:?}");
    let limit = fs::read_to_string(left[0].join("memory.limit_in_bytes")).unwrap();
    assert_eq!(limit.trim(), (64 << 20).to_string());
    stop(first);
    assert!(cgroups_named("cg-twice").is_empty());
}

#[test]
fn delete_removes_what_a_killed_launcher_left() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    for words in [&["cg-killed"][..], &["--force", "cg-killed"], &["cg-killed", "-f"]] {
        let running = start(&rootfs, "cg-killed", &[]);
        let init = children_of(running.child.id())[0];
        running.signal(libc::SIGKILL);
        running.finish().expect(1000 + libc::SIGKILL);
        if words.len() == 1 {
            // Its processes die with it, in their own time; without force that is waited for.
            eventually("init is gone", || !std::path::Path::new(&format!("/proc/{init}")).exists());
        }
        assert_eq!(cgroups_named("cg-killed").len(), 1, "nobody was left to remove it");
        delete(words).expect(0);
        assert!(cgroups_named("cg-killed").is_empty(), "{words:?}");
    }
    let again = delete(&["cg-killed"]).expect(125);
    assert!(again.err.contains("no container of that name"), "{}", again.err);
    delete(&["--force", "cg-killed"]).expect(0);
}

#[test]
fn delete_finds_every_hierarchy_and_parent() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let options = ["--cgroup-parent", "/launcher-test-delete/x"];
    let mut running = Running::start(
        launcher([
            "--rootfs",
            rootfs.arg(),
            "--name",
            "cg-all",
            "-m",
            "64m",
            "--pids-limit",
            "9",
            "--cpus",
            "1",
        ])
        .args(options)
        .args(["--", "/probe", "pause"]),
    );
    running.wait_for("ready");
    running.signal(libc::SIGKILL);
    running.finish().expect(1000 + libc::SIGKILL);
    assert_eq!(cgroups_named("launcher-cg-all").len(), 3);
    delete(&["--force", "cg-all"]).expect(0);
    assert!(cgroups_named("launcher-cg-all").is_empty());
    // The parents are the user's: a name says nothing about them.
    for folder in cgroups_named("launcher-test-delete") {
        fs::remove_dir(folder.join("x")).unwrap();
        fs::remove_dir(folder).unwrap();
    }
}

#[test]
fn delete_spares_the_living_unless_forced() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let running = start(&rootfs, "cg-alive", &[]);
    let refused = delete(&["cg-alive"]).expect(125);
    assert!(refused.err.contains("it is running") && refused.err.contains("--force"), "{}", refused.err);
    assert_eq!(cgroups_named("cg-alive").len(), 1);
    delete(&["--force", "cg-alive"]).expect(0);
    assert!(cgroups_named("cg-alive").is_empty());
    running.finish().expect(137);
}

#[test]
fn delete_takes_names_and_nothing_that_leads_elsewhere() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let running = start(&rootfs, "cg-safe", &[]);
    for words in [
        &["--force", ".."][..],
        &["--force", "."],
        &["--force", ""],
        &["--force", "a/../cg-safe"],
        &["--force", "/"],
        &["--force", "*"],
        &["--force", "cg-safe", "cg-safe"],
        &["--force"],
        &[],
    ] {
        let finished = delete(words).expect(125);
        assert!(finished.err.starts_with("launcher: delete: "), "{words:?}: {}", finished.err);
    }
    // A part of a name, and another's name that contains it.
    for name in ["cg-saf", "safe", "launcher-cg-safe", "cg-safe-2"] {
        delete(&["--force", name]).expect(0);
    }
    assert_eq!(cgroups_named("launcher-cg-safe").len(), 1);
    stop(running);
}

#[test]
fn an_ordinary_user_cannot_delete_another_ones_container() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let running = start(&rootfs, "cg-others", &[]);
    run(&mut launcher_as_user(["delete", "--force", "cg-others"])).expect(125);
    assert_eq!(cgroups_named("cg-others").len(), 1);
    stop(running);
}

#[test]
fn a_hierarchy_that_is_read_only_is_one_error() {
    require!(root, memory_v1);
    let script = "mount -o remount,bind,ro /sys/fs/cgroup/memory && exec \"$0\" --name ro -m 64m -- true";
    let mut command = std::process::Command::new("unshare");
    command.args(["-m", "--propagation", "private", "sh", "-c", script]).arg(common::launcher_path());
    let err = run(&mut command).expect(125).err;
    assert!(err.ends_with("launcher-ro: Read-only file system (EROFS)\n  hint: the cgroup file system is mounted read-only, as inside a container\n"), "{err}");
    assert_eq!(err.lines().count(), 2, "{err}");
}
