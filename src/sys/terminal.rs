//! The controlling terminal: who reads from it and gets its Ctrl-C.

use std::cell::Cell;
use std::os::fd::{AsRawFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::unistd::Pid;

use super::cvt;

/// Makes a call on the terminal: standard input, or where that is none /dev/tty, the controlling terminal of our
/// session (`program | launcher -- less`).
fn on_terminal(request: impl Fn(RawFd) -> Result<(), Errno>) -> Result<(), Errno> {
    match request(0) {
        Err(Errno::ENOTTY | Errno::EBADF) => {
            let flags = OFlag::O_RDWR | OFlag::O_NOCTTY;
            let tty = super::fd::open_at(AT_FDCWD, c"/dev/tty", flags)?;
            request(tty.as_raw_fd())
        }
        result => result,
    }
}

/// `ioctl(2)` TIOCGPGRP: the foreground process group of our terminal as our pid namespace sees it, 0 for a group
/// outside. ENOTTY, ENXIO, ENOENT: no terminal of ours.
pub(crate) fn foreground() -> Result<Pid, Errno> {
    let group = Cell::new(0);
    on_terminal(|fd| {
        // SAFETY: the kernel writes one pid_t.
        cvt(unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCGPGRP, group.as_ptr()) }).map(drop)
    })?;
    Ok(Pid::from_raw(group.get()))
}

/// What becomes of the terminal when a program is started, and with it how the program is placed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// Its process group gets the foreground: job control and Ctrl-C are its own.
    Give,
    /// We are one of several in the foreground, as in a pipeline, and those after us must not lose it. The program gets
    /// a session of its own: it can read, and Ctrl-C comes to it through us.
    Share,
    /// The program leads a session of its own, whose terminal it becomes; we had it and gave it up.
    Move,
    /// There is none, or we are in the background: it stays as it is.
    Leave,
    /// The program stays in our group.
    Join,
}

impl Terminal {
    /// What we may do: it is ours if we are in the foreground, and alone if standard output is a terminal too.
    pub(crate) fn probe() -> Self {
        match foreground() {
            Ok(group) if group == nix::unistd::getpgrp() => {
                let is_alone = nix::unistd::isatty(super::fd::standard(1)).unwrap_or(false);
                if is_alone { Self::Give } else { Self::Share }
            }
            _ => Self::Leave,
        }
    }

    /// Where the program is to have a session: the terminal moves along if we lead the one it belongs to. Who does not
    /// lead cannot move it, and the program would lose it: then as above.
    pub(crate) fn probe_session() -> Self {
        let leads = nix::unistd::getsid(None) == Ok(nix::unistd::getpid());
        if leads && give_up().is_ok() {
            return Self::Move;
        }
        match Self::probe() {
            Self::Leave => Self::Share,
            other => other,
        }
    }
}

/// `ioctl(2)` TIOCNOTTY on standard input: our session has no terminal any more, and its foreground group gets SIGHUP
/// and SIGCONT. Who forwards signals must not forward these.
fn give_up() -> Result<(), Errno> {
    // SAFETY: takes integers only.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, 0, libc::TIOCNOTTY, 0) }).map(drop)
}

/// `ioctl(2)` TIOCSCTTY on standard input: it becomes the terminal of the session that we lead.
pub(crate) fn take() -> Result<(), Errno> {
    // SAFETY: takes integers only.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, 0, libc::TIOCSCTTY, 0) }).map(drop)
}

/// `ioctl(2)` TIOCSPGRP. SIGTTOU must be blocked or ignored, or the kernel stops us.
pub(crate) fn set_foreground(group: Pid) -> Result<(), Errno> {
    let group = group.as_raw();
    on_terminal(|fd| {
        // SAFETY: the kernel reads one pid_t.
        cvt(unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCSPGRP, &raw const group) }).map(drop)
    })
}
