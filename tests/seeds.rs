//! The mistakes of the tutorials that launcher grew from, one test each: none of them may come back.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use common::{
    Finished, Rootfs, Running, USER, cgroups_named, inside, inside_as_user, launcher, launcher_path,
    mountinfo, run,
};

#[test]
fn ids_are_read_before_the_user_namespace_hides_them() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    // Read after unshare(2) they are 65534, and so would be what the map leads to.
    let finished = inside_as_user(&rootfs, &[], "cat /proc/self/uid_map /proc/self/gid_map").expect(0);
    let words: Vec<_> = finished.out.split_whitespace().collect();
    let user = USER.to_string();
    assert_eq!(words, ["0", &user, "1", "0", &user, "1"]);
}

#[test]
fn a_rootfs_on_the_mount_of_the_root_can_be_pivoted_to() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // Without a bind mount of its own that is EBUSY.
    let (top, own) = (fs::metadata("/").unwrap(), fs::metadata(rootfs.path()).unwrap());
    assert_eq!(
        top.dev(),
        own.dev(),
        "TMPDIR must be on the file system of / for this test to mean something"
    );
    let finished = inside(&rootfs, &[], "stat -c %d:%i /").expect(0);
    assert_eq!(finished.out, format!("{}:{}\n", own.dev(), own.ino()));
}

/// Runs launcher in a mount namespace of the test's own, where the rootfs is a mount of its own and all mounts have
/// this propagation. The last line of the output says whether the mounts around it are still the same.
fn with_propagation(rootfs: &Rootfs, propagation: &str, options: &str) -> Finished {
    let (folder, program) = (rootfs.arg(), launcher_path());
    let script = format!(
        "mount --bind {folder} {folder} && mount --make-r{propagation} / && before=$(cat /proc/self/mountinfo) &&
         {} --rootfs {folder} {options} -- sh -c 'cat /proc/1/comm; stat -c %i / /..'; echo $?
         [ \"$before\" = \"$(cat /proc/self/mountinfo)\" ] && echo same",
        program.display()
    );
    run(Command::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", &script]))
}

#[test]
fn shared_mounts_neither_stop_the_pivot_nor_learn_of_it() {
    require!(root, busybox, unshare);
    let before = mountinfo();
    let rootfs = Rootfs::new();
    for propagation in ["private", "shared", "slave", "unbindable"] {
        for options in ["", "--ephemeral", "--read-only"] {
            let finished = with_propagation(&rootfs, propagation, options).expect(0);
            let lines: Vec<_> = finished.out.lines().collect();
            assert_eq!(lines[0], "launcher:init", "{propagation} {options}: {finished:?}");
            assert_eq!(lines[1], lines[2], "{propagation} {options}: nothing above the root");
            assert_eq!(lines[3..], ["0", "same"], "{propagation} {options}: {finished:?}");
        }
    }
    assert_eq!(mountinfo(), before);
}

#[test]
fn limits_hold_from_the_first_instruction_of_the_command() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::new();
    let limits = ["--name", "seed-first", "-m", "48m", "--pids-limit", "7", "--cpuset-cpus", "0"];
    let files = ["memory/memory.limit_in_bytes", "pids/pids.max", "cpuset/cpuset.cpus"];
    let paths = files.map(|file| format!("/sys/fs/cgroup/{file}"));
    // The command itself, not a child of a shell that had time to be moved; and both it and init are in.
    let mut command = launcher(["--rootfs", rootfs.arg()]);
    let finished = run(command.args(limits).args(["--", "busybox", "cat"]).args(&paths)).expect(0);
    assert_eq!(finished.out, format!("{}\n7\n0\n", 48 << 20));
    for controller in ["memory", "pids", "cpuset"] {
        let mut command = launcher(["--rootfs", rootfs.arg()]);
        let members = format!("/sys/fs/cgroup/{controller}/cgroup.procs");
        let finished = run(command.args(limits).args(["--", "busybox", "cat", &members])).expect(0);
        assert_eq!(finished.out, "1\n2\n", "{controller}");
    }
    assert!(cgroups_named("seed-first").is_empty(), "what joins a cgroup of its own must remove it, too");
}

/// Climbs out of a chroot of its own making, as root can, and says what is at the very top.
const ESCAPE: &str = "
    mkdir -p /x/bin /x/proc && cp /bin/busybox /x/bin/ && mount -t proc proc /x/proc || exit 9
    exec 3</
    chroot /x /bin/busybox sh -c 'cd -P /proc/self/fd/3/ && cd -P ../../../../../.. && cat etc/mark; stat -c %i .'
    # The root of the mount namespace itself, with whatever lies on top of it.
    nsenter -t 1 -m /bin/busybox sh -c 'cat /etc/mark; cd -P /..; cat etc/mark'";

#[test]
fn the_root_is_no_mere_chroot() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    fs::write(rootfs.path().join("etc/mark"), "inside\n").unwrap();
    for options in [&["--privileged"][..], &["--privileged", "--ephemeral"]] {
        let finished = inside(&rootfs, options, ESCAPE).expect(0);
        let lines: Vec<_> = finished.out.lines().collect();
        assert_eq!(lines.len(), 4, "{options:?}: {finished:?}");
        assert_eq!([lines[0], lines[2], lines[3]], ["inside"; 3], "{options:?}: {finished:?}");
        let host = fs::metadata("/").unwrap().ino().to_string();
        assert!(options.len() > 1 || lines[1] != host, "{options:?}: {finished:?}");
    }
}

#[test]
fn nothing_of_the_host_hangs_below_a_throw_away_root() {
    require!(root, busybox);
    // The same with `/` as the rootfs, where everything looks right at first sight: only the mounts can tell.
    let script = "nsenter -t 1 -m /bin/busybox sh -c 'stat -c %d:%i /'; stat -c %d:%i /";
    let mut command = launcher(["--rootfs", "/", "--ephemeral", "--privileged"]);
    let finished = run(command.args(["--", "/bin/busybox", "sh", "-c", script])).expect(0);
    let lines: Vec<_> = finished.out.lines().collect();
    assert_eq!(lines[0], lines[1], "the root of the mount namespace is the root of its processes");
}

#[test]
fn a_signal_without_a_handler_ends_the_command() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // As PID 1 of a namespace the command would not hear it; as the child of one it does.
    let mut running = Running::start(&mut launcher([
        "--rootfs",
        rootfs.arg(),
        "--",
        "sh",
        "-c",
        "echo ready; exec sleep 4000501",
    ]));
    running.wait_for("ready");
    running.signal(libc::SIGTERM);
    running.finish().expect(128 + libc::SIGTERM);
}

#[test]
fn every_zombie_is_reaped_and_the_status_is_the_commands() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // Orphans that end before, with and after others; the last word is the command's.
    let script = "for i in 1 2 3 4 5 6 7 8 9; do (sleep 0 & exit $i); done; exit 33";
    inside(&rootfs, &[], script).expect(33);
}
