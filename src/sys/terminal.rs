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

/// `ioctl(2)` TIOCSPGRP on standard input. SIGTTOU must be blocked or ignored, or the kernel stops us.
pub(crate) fn set_foreground(group: Pid) -> Result<(), Errno> {
    let group = group.as_raw();
    // SAFETY: the kernel reads one pid_t.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, 0, libc::TIOCSPGRP, &raw const group) }).map(drop)
}
