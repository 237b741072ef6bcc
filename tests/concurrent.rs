//! Many containers, one after the other and all at once: the host is afterwards what it was before.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::collections::BTreeSet;
use std::fs;

use common::{
    Rootfs, Running, cgroups_named, children_of, launcher, launcher_as_user, mountinfo, processes_with, run,
};

/// What containers may not change about the host, as far as other tests leave it alone.
#[derive(Debug, PartialEq)]
struct Host {
    mounts: String,
    run: BTreeSet<String>,
    hostname: std::ffi::OsString,
    interfaces: String,
}

impl Host {
    fn look() -> Self {
        let names =
            fs::read_dir("/run").unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        Self {
            mounts: mountinfo(),
            run: names.collect(),
            hostname: nix::unistd::gethostname().unwrap(),
            interfaces: fs::read_to_string("/proc/net/dev")
                .unwrap()
                .lines()
                .filter_map(|line| line.split(':').next())
                .collect(),
        }
    }
}

/// Nothing of the containers whose names begin with `prefix` is left.
#[track_caller]
fn assert_clean(prefix: &str) {
    assert_eq!(cgroups_named(prefix), Vec::<std::path::PathBuf>::new());
    assert_eq!(processes_with(prefix), Vec::<u32>::new());
}

#[test]
fn two_hundred_in_a_row_leave_nothing() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let before = Host::look();
    for number in 0..200 {
        let name = format!("row-{number}");
        let mut command =
            launcher(["--rootfs", rootfs.arg(), "--name", &name, "-m", "16m", "--pids-limit", "9"]);
        let finished = run(command.args(["--", "busybox", "hostname"])).expect(0);
        assert_eq!((&*finished.out, &*finished.err), (&*format!("{name}\n"), ""), "{number}");
    }
    assert_clean("row-");
    assert_eq!(Host::look(), before);
}

#[test]
fn fifty_at_once_do_not_see_each_other_and_leave_nothing() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let before = Host::look();
    let start = |number: usize| {
        let name = format!("crowd-{number}");
        let script = "hostname; ls /proc | grep -c '^[0-9]*$' >/dev/null; cat /sys/fs/cgroup/memory/cgroup.procs | wc -l; echo ready; read end";
        let mut command =
            launcher(["--rootfs", rootfs.arg(), "--name", &name, "-m", "16m", "--", "sh", "-c", script]);
        // A pipe that stays open: the containers wait for each other there.
        command.stdin(std::process::Stdio::piped());
        Running::start(&mut command)
    };
    let mut all: Vec<_> = (0..50).map(start).collect();
    for (number, running) in all.iter_mut().enumerate() {
        assert_eq!(running.line(), format!("crowd-{number}"));
        // Init, the shell, cat and wc: never a neighbour.
        assert!(running.line().parse::<u32>().unwrap() <= 4);
        running.wait_for("ready");
    }
    assert_eq!(cgroups_named("launcher-crowd-").len(), 50, "all run at the same time");
    let inits: BTreeSet<_> = all.iter().map(|running| children_of(running.child.id())[0]).collect();
    let spaces = inits.iter().map(|init| fs::read_link(format!("/proc/{init}/ns/net")).unwrap());
    assert_eq!(spaces.collect::<BTreeSet<_>>().len(), 50, "each has a network of its own");
    for running in all {
        running.signal(libc::SIGTERM);
        running.finish().expect(128 + libc::SIGTERM);
    }
    assert_clean("crowd-");
    assert_eq!(Host::look(), before);
}

#[test]
fn starts_that_race_for_one_name_have_one_winner() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let options =
        ["--rootfs", rootfs.arg(), "--name", "race-one", "-m", "16m", "--", "sh", "-c", "echo ran; read end"];
    let start = |_| {
        let mut command = launcher(options);
        Running::start(command.stdin(std::process::Stdio::piped()))
    };
    let all: Vec<_> = (0..20).map(start).collect();
    let mut winners = 0;
    let mut statuses = Vec::new();
    for mut running in all {
        if running.line() == "ran" {
            winners += 1;
            running.signal(libc::SIGTERM);
        }
        statuses.push(running.finish().status);
    }
    // One after the other may win: the first may be gone before the last has come.
    assert!(winners >= 1);
    assert_eq!(statuses.iter().filter(|status| **status == 143).count(), winners, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 125).count(), 20 - winners, "{statuses:?}");
    assert_clean("race-one");
}

#[test]
fn root_and_others_side_by_side_leave_nothing() {
    require!(root, busybox, memory_v1);
    let (own, users) = (Rootfs::new(), Rootfs::for_user());
    let before = Host::look();
    let mut all = Vec::new();
    for number in 0..10 {
        let name = format!("side-{number}");
        for (mut command, more) in [
            (launcher(["--rootfs", own.arg()]), &["-m", "16m"][..]),
            (launcher(["--rootfs", own.arg(), "--ephemeral"]), &["--uidmap", "0:100000:65536"]),
            (launcher_as_user(["--rootfs", users.arg()]), &[]),
            (launcher_as_user(["--rootfs", users.arg(), "--ephemeral"]), &[]),
        ] {
            command.args(more).args([
                "-h",
                &name,
                "--",
                "sh",
                "-c",
                "hostname; echo x >/dev/shm/x; cat /dev/shm/x",
            ]);
            all.push((name.clone(), Running::start(&mut command)));
        }
    }
    for (name, running) in all {
        assert_eq!(running.finish().expect(0).out, format!("{name}\nx\n"));
    }
    assert_clean("side-");
    assert_eq!(Host::look(), before);
}
