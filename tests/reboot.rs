//! reboot(2) in a container: it is of the container, not of the machine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use common::{Finished, Rootfs, cgroups_named, inside};

/// Runs a script that may ask for a reboot, in a container with a cgroup of its own.
fn rebooting(script: &str, name: &str) -> (Finished, Rootfs) {
    let rootfs = Rootfs::new();
    let options =
        ["--cap-add", "SYS_BOOT", "--security-opt", "seccomp=unconfined", "--name", name, "-m", "32m"];
    let finished = inside(&rootfs, &options, script);
    assert!(cgroups_named(name).is_empty(), "nothing of it is left");
    (finished, rootfs)
}

#[test]
fn a_reboot_starts_the_container_again() {
    require!(root, busybox, memory_v1);
    let script = "echo $$; [ -e /second ] && exit 4; touch /second; busybox reboot -f; sleep 60";
    let (finished, _rootfs) = rebooting(script, "reboot-again");
    assert_eq!((&*finished.expect(4).out), "2\n2\n");
}

#[test]
fn power_off_and_halt_end_it_well() {
    require!(root, busybox, memory_v1);
    for word in ["poweroff", "halt"] {
        let (finished, _rootfs) = rebooting(&format!("busybox {word} -f; sleep 60"), "reboot-off");
        assert_eq!(finished.expect(0).err, "", "{word}");
    }
}

#[test]
fn without_the_capability_it_is_refused() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let finished = inside(&rootfs, &[], "busybox reboot -f; echo on");
    assert_eq!(finished.expect(0).out, "on\n");
}
