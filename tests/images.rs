//! A rootfs in a file: it is mounted by a loop device, and nothing of it stays.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::init::kill;
use common::{
    Rootfs, Running, Temp, as_user, children_of, eventually, launcher, launcher_as_user, launcher_path, run,
};

/// Makes an image of a rootfs by the program of its kind.
fn image(kind: &str, rootfs: &Rootfs, folder: &Temp) -> PathBuf {
    let path = folder.0.join(kind);
    let (from, to) = (rootfs.arg(), path.to_str().unwrap());
    let words = match kind {
        "squashfs" => format!("mksquashfs {from} {to} -quiet -no-progress"),
        "erofs" => format!("mkfs.erofs --quiet {to} {from}"),
        ext => format!("truncate -s 16M {to} && mke2fs -q -t {ext} -d {from} {to}"),
    };
    run(Command::new("sh").args(["-c", &words])).expect(0);
    path
}

/// The loop devices that have this file.
fn attached(path: &Path) -> usize {
    let backing = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("loop/backing_file")).ok();
    let files = fs::read_dir("/sys/block").unwrap().filter_map(|entry| backing(entry.unwrap()));
    files.filter(|file| Path::new(file.trim_end()) == path).count()
}

/// Fails unless the file is soon free of them: the kernel lets go a moment after the last mount.
fn assert_detached(path: &Path) {
    eventually("the loop device is free", || attached(path) == 0);
}

#[test]
fn an_image_is_a_rootfs_that_cannot_be_written() {
    require!(root, busybox, mksquashfs, mke2fs);
    let (rootfs, folder) = (Rootfs::new(), Temp::new());
    fs::write(rootfs.path().join("etc/mark"), "of the image\n").unwrap();
    for kind in ["squashfs", "erofs", "ext2", "ext4"] {
        let path = image(kind, &rootfs, &folder);
        let before = fs::read(&path).unwrap();
        let started = |options: &[&str], script: &str| {
            let words = [&["--rootfs", path.to_str().unwrap()][..], options, &["--", "sh", "-c", script]];
            run(&mut launcher(words.concat())).expect(0).out
        };
        // All the box has is there as in a folder.
        let script =
            "cat /etc/mark; touch /new 2>&1 | grep -c 'Read-only'; stat -c %d:%i / /.. | sort -u | wc -l
            awk '$2 == \"/\" { print $3, $4 }' /proc/mounts | grep -o 'ro,nodev'; echo >/dev/null";
        let out = started(&["--hostname", "x", "--tmpfs", "/tmp"], script);
        assert_eq!(out, "of the image\n1\n1\nro,nodev\n", "{kind}");
        let out = started(&["--ephemeral"], "echo changed >/etc/mark; cat /etc/mark");
        assert_eq!(out, "changed\n", "{kind}");
        let out =
            started(&["--uidmap", "0:0:65536", "--cap-add", "SYS_PTRACE"], "cat /etc/mark; stat -c %u /");
        assert_eq!(out, "of the image\n0\n", "{kind}");
        assert_detached(&path);
        assert_eq!(fs::read(&path).unwrap(), before, "{kind}: the image has changed");
    }
}

#[test]
fn nothing_of_an_image_stays_whatever_ends_the_container() {
    require!(root, busybox, mksquashfs);
    let (rootfs, folder) = (Rootfs::new(), Temp::new());
    let path = image("squashfs", &rootfs, &folder);
    let words = ["--rootfs", path.to_str().unwrap(), "--", "/probe", "pause"];
    let mut several: Vec<_> = (0..5).map(|_| Running::start(&mut launcher(words))).collect();
    for running in &mut several {
        running.wait_for("ready");
    }
    assert_eq!(attached(&path), 5);
    for (running, number) in several.into_iter().zip(0..) {
        match number {
            0 => kill(children_of(running.child.id())[0], libc::SIGKILL),
            1 | 2 => running.signal(libc::SIGKILL),
            _ => running.signal(libc::SIGTERM),
        }
        running.finish();
    }
    assert_detached(&path);
}

#[test]
fn what_is_no_image_or_cannot_be_mounted_is_refused() {
    require!(root, busybox, mksquashfs, strace);
    let (rootfs, folder) = (Rootfs::for_user(), Temp::new());
    fs::set_permissions(&folder.0, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let good = image("squashfs", &rootfs, &folder);
    let bad = folder.0.join("bad");
    fs::write(&bad, [b"hsqs".as_slice(), &[0xff; 3000]].concat()).unwrap();
    let pipe = folder.0.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    for (path, want) in [
        (bad.as_path(), ": mount it as squashfs: Invalid argument (EINVAL)\n"),
        (&pipe, ": it is no folder, and no image\n  hint: --rootfs takes an unpacked folder, or a file with"),
        (Path::new("/dev/null"), ": it is no folder, and no image\n"),
    ] {
        let finished = run(&mut launcher(["--rootfs", path.to_str().unwrap(), "--", "true"])).expect(125);
        let step = format!("launcher: step 1: open the image {}", path.display());
        assert!(finished.err.starts_with(&step) && finished.err.contains(want), "{}", finished.err);
        assert_detached(path);
    }
    let finished = run(&mut launcher_as_user(["--rootfs", good.to_str().unwrap(), "--", "true"])).expect(125);
    assert!(finished.err.contains("\n  hint: an image needs root, and loop devices"), "{}", finished.err);
    let alone = run(&mut as_user(Command::new("true")));
    assert_eq!(alone.status, 0, "the user can run something at all");
}

#[test]
fn loop_devices_are_had_before_linux_5_8_and_beside_others() {
    require!(root, busybox, mksquashfs, strace);
    let (rootfs, folder) = (Rootfs::new(), Temp::new());
    let path = image("squashfs", &rootfs, &folder);
    // What the call answers when it is not known, and when somebody else has taken the device: then another is tried.
    for (errno, want) in [("EINVAL", "LOOP_SET_STATUS64"), ("EBUSY", "LOOP_CTL_GET_FREE")] {
        let log = folder.0.join(errno);
        let find = |text: &str| text.lines().position(|line| line.contains("LOOP_CONFIGURE"));
        let start = |fault: &str, status: i32| {
            let mut command = Command::new("strace");
            command.args(["-qq", "-e", "trace=ioctl", "-o"]).arg(&log).args(fault.split_whitespace());
            command.arg("--").arg(launcher_path()).args(["--rootfs", path.to_str().unwrap(), "--", "true"]);
            run(&mut command).expect(status);
            fs::read_to_string(&log).unwrap()
        };
        let number = find(&start("", 0)).unwrap() + 1;
        let text = start(&format!("-e inject=ioctl:error={errno}:when={number}"), 0);
        let rest: Vec<_> = text.lines().skip(number - 1).collect();
        assert!(rest[0].contains("LOOP_CONFIGURE") && rest[0].contains("(INJECTED)"), "{text}");
        assert!(rest[1..].iter().any(|line| line.contains(want)), "{text}");
        assert_detached(&path);
        if want == "LOOP_SET_STATUS64" {
            let text = start(&format!("-e inject=ioctl:error={errno}:when={number}+2"), 125);
            assert!(text.lines().any(|line| line.contains(want) && line.contains("(INJECTED)")), "{text}");
            assert_detached(&path);
        }
    }
}
