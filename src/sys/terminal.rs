//! The controlling terminal: who reads from it and gets its Ctrl-C.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::cvt;

/// `ioctl(2)` TIOCGPGRP on standard input: its foreground process group as our pid namespace sees it, 0 for a
/// group outside. ENOTTY: no terminal of ours.
pub(crate) fn foreground() -> Result<Pid, Errno> {
    let mut group: libc::pid_t = 0;
    // SAFETY: the kernel writes one pid_t.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, 0, libc::TIOCGPGRP, &raw mut group) })?;
    Ok(Pid::from_raw(group))
}

/// What becomes of the terminal on standard input when a program is started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    /// Its process group gets the foreground: job control and Ctrl-C are its own.
    Give,
    /// We are one of several in the foreground, as in a pipeline, and those after us must not lose it. The program gets
    /// a session of its own: it can read, and Ctrl-C comes to it through us.
    Share,
    /// There is none, or we are in the background: it stays as it is.
    Leave,
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
}

/// `ioctl(2)` TIOCSPGRP on standard input. SIGTTOU must be blocked or ignored, or the kernel stops us.
pub(crate) fn set_foreground(group: Pid) -> Result<(), Errno> {
    let group = group.as_raw();
    // SAFETY: the kernel reads one pid_t.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, 0, libc::TIOCSPGRP, &raw const group) }).map(drop)
}
