//! Paths that the image decides: links, and devices that are none.

use std::fs;
use std::os::unix::fs::symlink;

use crate::common::{Rootfs, Temp, USER, mountinfo, run, snapshot};
use crate::{inside_of, launcher_of, require};

/// A folder outside that everybody may write to, with a file in it.
fn outside() -> Temp {
    let temp = Temp::new();
    fs::write(temp.0.join("ptmx"), "untouched").unwrap();
    for path in [temp.0.clone(), temp.0.join("ptmx")] {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
    temp
}

#[test]
fn cve_2019_18837_a_chain_of_links_does_not_lead_out() {
    require!(root, busybox);
    let before = mountinfo();
    for is_user in [false, true] {
        // The kernel follows 40 and no more.
        for length in [1, 2, 39, 40, 41] {
            let (rootfs, outside) = (Rootfs::for_user(), outside());
            for number in 1..length {
                symlink(format!("l{}", number + 1), rootfs.path().join(format!("etc/l{number}"))).unwrap();
            }
            symlink(&outside.0, rootfs.path().join(format!("etc/l{length}"))).unwrap();
            let untouched = snapshot(&outside.0);
            for place in ["/etc/l1", "/etc/l1/new", "/etc/l1/ptmx"] {
                for kind in [["--tmpfs", place], ["-v", &format!("/etc/passwd:{place}")]] {
                    let finished = inside_of(is_user, &rootfs, &kind, "true");
                    assert!([0, 125].contains(&finished.status), "{length} {kind:?}: {finished:?}");
                    assert_eq!(snapshot(&outside.0), untouched, "{length} {kind:?}");
                }
            }
        }
    }
    assert_eq!(mountinfo(), before);
}

#[test]
fn cve_2023_27561_folders_of_the_kernel_that_are_links_are_refused_for_a_user_too() {
    require!(root, busybox);
    for name in ["proc", "sys", "dev"] {
        for options in
            [&[][..], &["--ephemeral"], &["--privileged"], &["--network", "host"], &["--pid", "host"]]
        {
            let (rootfs, outside) = (Rootfs::for_user(), outside());
            let untouched = snapshot(&outside.0);
            fs::remove_dir(rootfs.path().join(name)).unwrap();
            symlink(&outside.0, rootfs.path().join(name)).unwrap();
            let finished = inside_of(true, &rootfs, options, "echo ran").expect(125);
            assert_eq!(finished.out, "", "{name} {options:?}");
            assert_eq!(snapshot(&outside.0), untouched, "{name} {options:?}");
        }
    }
}

/// A folder for /dev in which `null` is something else, as an image or a volume may have it.
fn devices_with(null: &str, outside: &Temp) -> Temp {
    let temp = Temp::new();
    match null {
        "file" => fs::write(temp.0.join("null"), "of the image").unwrap(),
        "link" => symlink(outside.0.join("ptmx"), temp.0.join("null")).unwrap(),
        _ => fs::hard_link(outside.0.join("ptmx"), temp.0.join("null")).unwrap(),
    }
    temp
}

#[test]
fn cve_2025_31133_the_null_device_of_an_image_masks_nothing() {
    require!(root, busybox);
    for null in ["file", "link", "hard link"] {
        let (rootfs, outside) = (Rootfs::new(), outside());
        let devices = devices_with(null, &outside);
        // In the image, where our own /dev covers it, and as a volume that takes its place.
        fs::copy(outside.0.join("ptmx"), rootfs.path().join("dev/null")).unwrap();
        let volume = format!("{}:/dev", devices.0.display());
        let before = snapshot(&outside.0);
        for options in [&[][..], &["-v", &volume]] {
            let script = "stat -c %F:%t:%T /proc/timer_list /proc/keys; cat /proc/timer_list; echo more >/proc/timer_list";
            let finished = inside_of(false, &rootfs, options, script);
            let mask = "character special file:1:3\n";
            assert_eq!(finished.out, format!("{mask}{mask}"), "{null} {options:?}");
        }
        assert_eq!(snapshot(&outside.0), before, "{null}");
    }
}

#[test]
fn cve_2026_88265_the_null_device_of_an_image_is_no_standard_stream() {
    require!(root, busybox);
    for null in ["file", "link", "hard link"] {
        let (rootfs, outside) = (Rootfs::new(), outside());
        let devices = devices_with(null, &outside);
        let before = (snapshot(&outside.0), snapshot(&devices.0.join("null")));
        let volume = format!("{}:/dev", devices.0.display());
        // All streams are /dev/null of the host's; then closed ones, which launcher replaces itself.
        for redirect in ["</dev/null >/dev/null 2>&1", "<&- >&- 2>&-"] {
            let script =
                "echo text; echo text >&2; [ -c /proc/self/fd/0 ] && [ -c /proc/self/fd/1 ] && exit 7";
            let words = launcher_of(false, ["--rootfs", rootfs.arg(), "-v", &volume, "-u", "1000:1000"]);
            let mut shell = std::process::Command::new("sh");
            shell.args(["-c", &format!("exec \"$@\" {redirect}"), "sh"]).arg(words.get_program());
            shell.args(words.get_args()).args(["--", "sh", "-c", script]);
            run(&mut shell).expect(7);
            let after = (snapshot(&outside.0), snapshot(&devices.0.join("null")));
            assert_eq!(after, before, "{null} {redirect}");
        }
    }
}

#[test]
fn cve_2025_24965_nothing_of_ours_is_written_into_the_image() {
    require!(root, busybox);
    for is_user in [false, true] {
        let (rootfs, outside) = (Rootfs::for_user(), outside());
        fs::write(rootfs.path().join("etc/file"), "").unwrap();
        let volume = format!("{}:/srv", outside.0.display());
        let file = format!("{}/ptmx:/etc/file", outside.0.display());
        let before = (snapshot(rootfs.path()), snapshot(&outside.0));
        for options in [
            &["-v", &volume, "-v", &file, "--tmpfs", "/tmp", "--file", "/etc/file=x"][..4],
            &["--tmpfs", "/tmp", "--file", "/etc/file=x", "--device", "/dev/zero:/dev/nothing"],
            &["-t"],
            &["--read-only", "--sysctl", "net.ipv4.ip_forward=1", "-h", "x"],
        ] {
            inside_of(is_user, &rootfs, options, "true").expect(0);
            assert_eq!((snapshot(rootfs.path()), snapshot(&outside.0)), before, "{is_user} {options:?}");
        }
        // A start that fails at its end leaves as little.
        inside_of(is_user, &rootfs, &["--tmpfs", "/tmp", "-w", "/no"], "true").expect(125);
        assert_eq!((snapshot(rootfs.path()), snapshot(&outside.0)), before, "{is_user}");
    }
}
