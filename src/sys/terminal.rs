//! The controlling terminal: who reads from it and gets its Ctrl-C; and pairs of pseudo-terminals.

use std::cell::Cell;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::unistd::Pid;

use super::{cvt, cvt_int};

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
    let group = Cell::new(Pid::from_raw(0));
    on_terminal(|fd| {
        group.set(foreground_of(fd)?);
        Ok(())
    })?;
    Ok(group.get())
}

/// The same of one descriptor. ENOTTY: no terminal, or not the one of our session.
pub(crate) fn foreground_of(fd: RawFd) -> Result<Pid, Errno> {
    let mut group = 0;
    // SAFETY: the kernel writes one pid_t.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCGPGRP, &raw mut group) })?;
    Ok(Pid::from_raw(group))
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
                let is_alone = Modes::of(1).is_ok();
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

/// `ioctl(2)` TIOCSPTLCK and TIOCGPTPEER, Linux 4.13: the other end of a pseudo-terminal. By its master and never by the
/// name that ptsname(3) would give: what lies there may be an image's (CVE-2025-52565).
pub(crate) fn peer_of(master: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let (fd, unlocked) = (master.as_raw_fd(), 0);
    // SAFETY: the kernel reads one int.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCSPTLCK, &raw const unlocked) })?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: takes integers only and returns a new descriptor.
    cvt_int(unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCGPTPEER, flags) }).map(super::fd::own)
}

/// `ioctl(2)` TIOCGWINSZ and TIOCSWINSZ: gives a terminal the size of the first standard stream that is one; those in
/// its foreground get SIGWINCH if it is another than before. `false`: none is.
pub(crate) fn copy_size(to: BorrowedFd<'_>) -> bool {
    // `struct winsize`: rows, columns, and both in pixels.
    let mut size = [0u16; 4];
    let is_there = (0..3).any(|fd| {
        // SAFETY: the kernel writes one `struct winsize`, which is as large as the array.
        unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TIOCGWINSZ, size.as_mut_ptr()) == 0 }
    });
    if is_there {
        // SAFETY: the kernel reads what it wrote above.
        unsafe { libc::syscall(libc::SYS_ioctl, to.as_raw_fd(), libc::TIOCSWINSZ, size.as_ptr()) };
    }
    is_there
}

/// What a terminal does to what passes through it: the kernel's `struct termios`, which is shorter than libc's.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub(crate) struct Modes {
    /// Input, output, control and local flags.
    flags: [u32; 4],
    /// The line discipline, then NCCS special characters.
    rest: [u8; 20],
}

impl Modes {
    /// `ioctl(2)` TCGETS: of a terminal; of its other end, if this is a master.
    pub(crate) fn of(fd: RawFd) -> Result<Self, Errno> {
        let mut modes = Self::default();
        // SAFETY: the kernel fills its struct.
        cvt(unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TCGETS, &raw mut modes) })?;
        Ok(modes)
    }

    /// The same terminal passing everything on as it comes: what cfmakeraw(3) does.
    pub(crate) fn raw(mut self) -> Self {
        let [input, output, control, local] = &mut self.flags;
        *input &= !(libc::IGNBRK | libc::BRKINT | libc::PARMRK | libc::ISTRIP | libc::IXON);
        *input &= !(libc::INLCR | libc::IGNCR | libc::ICRNL);
        *output &= !libc::OPOST;
        *control = *control & !(libc::CSIZE | libc::PARENB) | libc::CS8;
        *local &= !(libc::ECHO | libc::ECHONL | libc::ICANON | libc::ISIG | libc::IEXTEN);
        self.set(libc::VMIN, 1);
        self.set(libc::VTIME, 0);
        self
    }

    /// Sets a special character.
    fn set(&mut self, index: usize, byte: u8) {
        if let Some(place) = self.rest.get_mut(index + 1) {
            *place = byte;
        }
    }

    /// The byte that means the end of the input, at the beginning of a line: Ctrl-D.
    pub(crate) fn end_of_input(&self) -> u8 {
        self.rest.get(libc::VEOF + 1).copied().unwrap_or(4)
    }

    /// `ioctl(2)` TCSETS, at once: what was not read stays, and what was not shown is not waited for. SIGTTOU must be
    /// blocked or ignored, or the kernel stops us in the background.
    pub(crate) fn apply(&self, fd: RawFd) -> Result<(), Errno> {
        // SAFETY: the kernel reads its struct.
        cvt(unsafe { libc::syscall(libc::SYS_ioctl, fd, libc::TCSETS, &raw const *self) }).map(drop)
    }
}
