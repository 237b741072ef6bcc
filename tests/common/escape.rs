//! Ways out of a root, each of which ends with a look for a file that only the old one has.

#![allow(clippy::disallowed_methods, reason = "whoever wants out walks by name")]

use std::ffi::CStr;
use std::path::Path;

use super::{fork, leave};

/// Whether the file is there now, at the root or where we stand.
fn seen(name: &str) -> bool {
    Path::new("/").join(name).exists() || Path::new(name).exists()
}

/// Up from here as far as it goes, and that as the root.
fn climb() {
    for _ in 0..64 {
        std::env::set_current_dir("..").ok();
    }
    change_root(c".");
}

/// chroot(2).
fn change_root(path: &CStr) {
    // SAFETY: the path is a C string.
    unsafe { libc::chroot(path.as_ptr()) };
}

/// The oldest way: a chroot below us leaves where we stand outside of it.
fn by_chroot() {
    std::fs::create_dir("/tmp/below").ok();
    change_root(c"/tmp/below");
    climb();
}

/// The roots and folders of other processes.
fn by_processes() {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    for way in entries.flat_map(|entry| ["root", "cwd"].map(|link| entry.path().join(link))) {
        std::env::set_current_dir(way).ok();
        if Path::new("proc/self").exists() {
            continue; // a root like ours
        }
        climb();
    }
}

/// What our root is mounted on: without it, whoever joins the mount namespace starts there.
fn by_unmounting() {
    // In a mount namespace of our own: on a machine without containers this one is everybody's.
    // SAFETY: takes an integer only.
    unsafe { libc::unshare(libc::CLONE_NEWNS) };
    let own = std::fs::File::open("/proc/self/ns/mnt");
    // SAFETY: the path is a C string.
    unsafe { libc::umount2(c"/".as_ptr(), libc::MNT_DETACH) };
    if let Ok(own) = own {
        // SAFETY: takes integers only.
        unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&own), libc::CLONE_NEWNS) };
    }
    climb();
}

/// The root of the mount namespace, which joining it leads to.
fn by_joining() {
    if let Ok(own) = std::fs::File::open("/proc/self/ns/mnt") {
        // SAFETY: takes integers only.
        unsafe { libc::setns(std::os::fd::AsRawFd::as_raw_fd(&own), libc::CLONE_NEWNS) };
    }
    climb();
}

/// Prints `escaped by WAY` of each way that leads to the file, `kept in` if there is none.
pub(crate) fn escape(name: &str) -> i32 {
    let ways: [(&str, fn()); 5] = [
        ("climbing", climb),
        ("chroot", by_chroot),
        ("processes", by_processes),
        ("joining", by_joining),
        ("unmounting", by_unmounting),
    ];
    let mut escaped = 0;
    for (way, go) in ways {
        let Some(child) = fork() else {
            go();
            leave(i32::from(seen(name)))
        };
        let mut status = 0;
        // SAFETY: the kernel writes one integer.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        if status != 0 {
            super::say(&format!("escaped by {way}"));
            escaped = 1;
        }
    }
    if escaped == 0 {
        super::say("kept in");
    }
    escaped
}
