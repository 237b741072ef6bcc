//! The processes below one, as /proc tells them: for a subreaper, which cannot signal all of a PID namespace. Needs a
//! kernel with CONFIG_PROC_CHILDREN. Nothing here allocates memory.

use std::ffi::CStr;
use std::fmt::Write;

use nix::fcntl::{AT_FDCWD, OFlag};
use nix::unistd::Pid;

use crate::error::tolerate;
use crate::log::Line;
use crate::sys;

/// How deep [`visit_all`] goes.
const DEPTH: usize = 64;

/// Whether /proc is that of our own PID namespace, and tells children. In a joined one its numbers may mean strangers.
pub(crate) fn are_visible() -> bool {
    let mut head = [0; 16];
    let Ok(stat) = sys::fd::open_at(AT_FDCWD, c"/proc/self/stat", OFlag::O_RDONLY) else { return false };
    let length = nix::unistd::read(&stat, &mut head).unwrap_or(0);
    let own = head.get(..length).and_then(|head| head.split(|byte| *byte == b' ').next());
    let own = own.and_then(crate::text::number);
    own == Some(nix::unistd::getpid().as_raw()) && sys::process::exists(c"/proc/thread-self/children")
}

/// Calls `visit` for each child of a process.
pub(crate) fn visit_children(parent: Pid, visit: &mut dyn FnMut(Pid)) {
    let mut path = Line::new();
    tolerate(write!(path, "/proc/{parent}/task/{parent}/children\0"), "a buffer never fails");
    let Ok(path) = CStr::from_bytes_until_nul(path.text()) else { return };
    let Ok(file) = sys::fd::open_at(AT_FDCWD, path, OFlag::O_RDONLY) else { return };
    let (mut bytes, mut pid) = ([0; 2048], 0);
    loop {
        let length = nix::unistd::read(&file, &mut bytes).unwrap_or(0);
        for byte in bytes.get(..length).unwrap_or_default() {
            match byte {
                b'0'..=b'9' => pid = pid * 10 + i32::from(byte - b'0'),
                // A blank follows each.
                _ if pid > 0 => visit(Pid::from_raw(std::mem::take(&mut pid))),
                _ => {}
            }
        }
        if length == 0 {
            return;
        }
    }
}

/// Calls `visit` for all that descend from a process, parents before their children.
pub(crate) fn visit_all(top: Pid, visit: &mut dyn FnMut(Pid)) {
    visit_below(top, DEPTH, visit);
}

/// See [`visit_all`].
fn visit_below(top: Pid, depth: usize, visit: &mut dyn FnMut(Pid)) {
    visit_children(top, &mut |child| {
        visit(child);
        if depth > 0 {
            visit_below(child, depth - 1, visit);
        }
    });
}
