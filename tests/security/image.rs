//! What lies in an image, beside it, or where a container is started, and is not to count.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use crate::common::{Rootfs, Temp, USER, launcher, launcher_path, launcher_with_faults, run, snapshot};
use crate::{inside_of, require};

/// Names under which container programs look for their settings, for `x` as the name of the rootfs.
const DECOYS: [&str; 12] = [
    "launcher.conf",
    ".launcher",
    ".launcherrc",
    "launcher.json",
    "config.json",
    "x.nspawn",
    "x.conf",
    "x.json",
    ".env",
    "launcher",
    "seccomp.json",
    "manifest",
];

/// What each of them says: in every format something that would be seen.
const SAYS: &str = "{\"process\": {\"args\": [\"echo\", \"escaped\"]}, \"root\": {\"path\": \"/\"}}\n\
    [Exec]\nCapability=all\nprivileged=1\n--privileged\nLAUNCHER_VERBOSE=3\n";

/// Every path that launcher's processes looked at before they executed a program inside, of what strace(1) wrote.
fn paths_in(trace: &str) -> Vec<String> {
    let mut started = Vec::new();
    let mut paths = Vec::new();
    let launcher = format!("execve(\"{}\"", launcher_path().display());
    for line in trace.lines().skip_while(|line| !line.contains(&launcher)) {
        let (pid, call) = line.split_once(' ').unwrap();
        // The first text of a line, behind a descriptor or not.
        let Some(path) = call.split('"').nth(1) else { continue };
        if call.trim_start().starts_with("execve") && path == "/bin/busybox" {
            started.push(pid);
        }
        if !started.contains(&pid) {
            paths.push(path.to_owned());
        }
    }
    paths
}

#[test]
fn cve_2026_40226_nothing_is_read_that_was_not_named() {
    require!(root, busybox, strace, setpriv);
    for is_user in [false, true] {
        let (place, rootfs) = (Temp::new(), Rootfs::for_user());
        let image = place.0.join("x");
        fs::rename(rootfs.path(), &image).unwrap();
        let home = image.join("root");
        for folder in [&place.0, &image, &image.join("etc"), &home] {
            for decoy in DECOYS {
                fs::write(folder.join(decoy), SAYS).unwrap();
            }
        }
        std::os::unix::fs::chown(&place.0, Some(USER), None).unwrap();
        let trace = place.0.join("trace");
        let script =
            "cat /proc/self/uid_map /proc/self/status | grep -E 'CapBnd|^Seccomp:'; echo $LAUNCHER_VERBOSE";
        for words in [
            &["--rootfs", "x", "--", "/bin/busybox", "sh", "-c", script][..],
            &["--rootfs", image.to_str().unwrap(), "--ephemeral", "--", "/bin/busybox", "sh", "-c", script],
        ] {
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-e", "trace=%file", "-o"]).arg(&trace);
            if is_user {
                // Root's strace: a user's cannot read what an undumpable process says.
                let ids = [format!("--reuid={USER}"), format!("--regid={USER}")];
                command.arg("setpriv").args(ids).arg("--clear-groups");
            }
            command.arg(launcher_path()).args(words);
            // All the places where settings may be expected.
            command
                .current_dir(&place.0)
                .env("HOME", &home)
                .env("XDG_CONFIG_HOME", &place.0)
                .env("XDG_CONFIG_DIRS", &place.0);
            let finished = run(&mut command).expect(0);
            assert_eq!(finished.out, "CapBnd:\t00000000a80425fb\nSeccomp:\t2\n\n", "{is_user} {words:?}");
            let paths = paths_in(&fs::read_to_string(&trace).unwrap());
            assert!(paths.len() > 60, "{paths:?}");
            for path in paths {
                let name = path.rsplit('/').next().unwrap();
                let is_decoy = DECOYS.contains(&name) && path != launcher_path().to_str().unwrap();
                let is_beside =
                    path.starts_with(place.0.to_str().unwrap()) && path != image.to_str().unwrap();
                assert!(!is_decoy && !is_beside, "{is_user} {words:?}: {path}");
            }
            fs::remove_file(&trace).unwrap();
        }
        fs::rename(&image, rootfs.path()).unwrap();
    }
}

#[test]
fn cve_2026_115521_a_read_only_root_does_not_depend_on_the_proc_of_the_image() {
    require!(root, busybox, strace);
    let (rootfs, fake) = (Rootfs::new(), Temp::new());
    // A tree in which every descriptor is another folder: where the image has it, and where it is mounted instead of ours.
    for proc in [&fake.0, &rootfs.path().join("proc")] {
        for folder in ["self/fd", "thread-self/fd", "1/fd"] {
            fs::create_dir_all(proc.join(folder)).unwrap();
            for number in 0..16 {
                symlink("/srv", proc.join(folder).join(number.to_string())).unwrap();
            }
        }
    }
    let before = snapshot(rootfs.path());
    let covered = format!("{}:/proc", fake.0.display());
    let script = "touch /new /bin/new; echo; touch /srv/new; echo done";
    for faults in [
        &[][..],
        &["mount_setattr:error=ENOSYS"],
        &["open_tree,move_mount,mount_setattr:error=ENOSYS", "openat2:error=ENOSYS"],
    ] {
        for more in [&[][..], &["--privileged", "-v", &covered]] {
            let words =
                [&["--rootfs", rootfs.arg(), "--read-only"][..], more, &["--", "sh", "-c", script]].concat();
            let finished = run(&mut if faults.is_empty() {
                launcher(&words)
            } else {
                launcher_with_faults(faults, &words)
            });
            let finished = finished.expect(0);
            assert_eq!(
                finished.err.matches("Read-only file system").count(),
                3,
                "{faults:?} {more:?}: {finished:?}"
            );
            assert_eq!(snapshot(rootfs.path()), before, "{faults:?} {more:?}");
        }
    }
    // The tree is what is seen there: it was not left out.
    let seen =
        inside_of(false, &rootfs, &["--privileged", "-v", &covered], "readlink /proc/1/fd/7").expect(0);
    assert_eq!(seen.out, "/srv\n");
}
