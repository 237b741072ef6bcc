//! A pseudo-terminal whose other end a test holds: what ssh or `docker run -t` give a shell.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// The test's end.
pub struct Terminal {
    master: File,
    /// Kept open: a terminal that nobody has open is hung up.
    slave: OwnedFd,
    /// All that was printed.
    pub shown: String,
}

impl Terminal {
    /// Makes one, 24 by 80.
    pub fn new() -> Self {
        let size = nix::pty::Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        let pair = nix::pty::openpty(&size, None).unwrap();
        for end in [&pair.master, &pair.slave] {
            fcntl(end, FcntlArg::F_SETFD(nix::fcntl::FdFlag::FD_CLOEXEC)).unwrap();
        }
        fcntl(&pair.master, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_RDWR)).unwrap();
        Self { master: pair.master.into(), slave: pair.slave, shown: String::new() }
    }

    /// Starts a command as leader of a session of its own on this terminal, as login does.
    pub fn start(&self, command: &mut Command) -> Child {
        let slave = self.slave.as_raw_fd();
        let take = move || {
            nix::unistd::setsid()?;
            // A shell that starts the tests in the background ignores it; login does not.
            // SAFETY: installs no function.
            unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
            // SAFETY: takes integers; we are a session leader without a terminal.
            nix::errno::Errno::result(unsafe { libc::ioctl(slave, libc::TIOCSCTTY, 0) })?;
            Ok(())
        };
        let end = || self.slave.try_clone().unwrap();
        command.stdin(end()).stdout(end()).stderr(end());
        // SAFETY: the closure makes system calls only.
        unsafe { command.pre_exec(take) };
        command.spawn().unwrap()
    }

    /// The process group in the foreground.
    pub fn foreground(&self) -> i32 {
        let mut group = 0;
        // SAFETY: the kernel writes one pid_t.
        unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCGPGRP, &raw mut group) };
        group
    }

    /// Another size; the foreground is told by the kernel.
    pub fn resize(&self, rows: u16, columns: u16) {
        let size = nix::pty::Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: the kernel reads the struct.
        unsafe { libc::ioctl(self.master.as_raw_fd(), libc::TIOCSWINSZ, &raw const size) };
    }

    /// What the terminal does with what is typed and printed: input, output and local flags.
    pub fn modes(&self) -> [libc::tcflag_t; 3] {
        // SAFETY: all-zero is a valid struct.
        let mut modes: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: libc fills the struct.
        unsafe { libc::tcgetattr(self.slave.as_raw_fd(), &raw mut modes) };
        [modes.c_iflag, modes.c_oflag, modes.c_lflag]
    }

    /// Whether each byte goes through it as it is.
    pub fn is_raw(&self) -> bool {
        let [_, output, local] = self.modes();
        output & libc::OPOST == 0 && local & (libc::ECHO | libc::ICANON | libc::ISIG) == 0
    }

    /// How many bytes wait to be read by programs on it.
    pub fn waiting(&self) -> i32 {
        let mut count = 0;
        // SAFETY: the kernel writes one int.
        unsafe { libc::ioctl(self.slave.as_raw_fd(), libc::FIONREAD, &raw mut count) };
        count
    }

    /// Where it is: no two terminals have the same.
    pub fn place(&self) -> (u64, u64) {
        let found = nix::sys::stat::fstat(&self.slave).unwrap();
        (found.st_dev, found.st_ino)
    }

    /// Types.
    pub fn send(&mut self, text: &str) {
        self.master.write_all(text.as_bytes()).unwrap();
    }

    /// Presses Ctrl-Z, after which a program that repeats what is typed has to go on doing so.
    #[track_caller]
    pub fn suspend_in_vain(&mut self) {
        self.send("\x1a");
        self.wait_for("^Z", 1);
        self.send("hello\n");
        self.wait_for("hello", 2); // the terminal's echo and the program's
    }

    /// Waits until the terminal shows `text` for the `count`th time.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str, count: usize) {
        super::eventually(&format!("{count} x {text:?} on the terminal"), || {
            let mut bytes = [0; 4096];
            // EAGAIN: nothing new; EIO cannot be, we hold the other end too.
            if let Ok(length) = self.master.read(&mut bytes) {
                self.shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
            }
            self.shown.matches(text).count() >= count
        });
    }
}
