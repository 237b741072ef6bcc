//! One-line messages on stderr, without allocation: PID 1 uses them too.

#[cfg(feature = "board")]
use std::cell::Cell;
use std::fmt::{self, Write};
#[cfg(feature = "board")]
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU8, Ordering};

#[cfg(feature = "board")]
use nix::poll::{PollFd, PollFlags};

/// A line is cut after this many bytes; longer ones could be torn apart on a pipe (`PIPE_BUF`).
const LINE: usize = 1024;

/// How much is said: 1 warnings, 2 what happens to the program, 3 every signal. Errors are always said.
static VERBOSITY: AtomicU8 = AtomicU8::new(1);

/// Text in the making that never needs the heap; what is too long is cut.
pub(crate) struct Line {
    /// The text so far.
    bytes: [u8; LINE],
    /// How much of `bytes` is text.
    len: usize,
}

impl Line {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self { bytes: [0; LINE], len: 0 }
    }

    /// The text so far.
    pub(crate) fn text(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            // The last place is kept for the newline.
            if let Some(place) = self.bytes.get_mut(self.len).filter(|_| self.len < LINE - 1) {
                *place = byte;
                self.len += 1;
            }
        }
        Ok(())
    }
}

/// Changes how much is said.
pub(crate) fn set_verbosity(level: u8) {
    VERBOSITY.store(level, Ordering::Relaxed);
}

/// Whether messages of this level are said.
pub(crate) fn says(level: u8) -> bool {
    VERBOSITY.load(Ordering::Relaxed) >= level
}

#[cfg(feature = "board")]
thread_local! {
    /// The kernel's log, once a machine's init has opened it.
    static KERNEL_LOG: Cell<Option<&'static OwnedFd>> = const { Cell::new(None) };
    /// The console of that init, which waits for nobody to take what it says.
    static CONSOLE: Cell<Option<&'static OwnedFd>> = const { Cell::new(None) };
    /// Nobody took the line before this one.
    static IS_STOPPED: Cell<bool> = const { Cell::new(false) };
}

/// What a record of ours begins with there, kmsg(4): a program's, and of the lowest level, since the console, where the
/// kernel prints the others, has it from us already.
const RECORD: &str = "<15>";

/// From now on what is said goes to the kernel's log, /dev/kmsg, too.
#[cfg(feature = "board")]
pub(crate) fn also_to(kernel_log: OwnedFd) {
    KERNEL_LOG.set(Some(Box::leak(Box::new(kernel_log))));
}

/// The descriptor of that, for who closes the others.
#[cfg(feature = "board")]
pub(crate) fn kernel_log() -> Option<&'static OwnedFd> {
    KERNEL_LOG.get()
}

/// From now on what is said goes to this descriptor instead of stderr, which is opened with O_NONBLOCK; `None`: to stderr.
/// A line that nobody takes for a second is lost, and then all until somebody does: a terminal that was stopped must not
/// stop PID 1.
#[cfg(feature = "board")]
pub(crate) fn say_on(console: Option<OwnedFd>) {
    CONSOLE.set(console.map(|console| &*Box::leak(Box::new(console))));
}

/// Writes a line to the console.
#[cfg(feature = "board")]
fn write_console(console: &OwnedFd, text: &[u8]) -> nix::Result<usize> {
    let time: u16 = if IS_STOPPED.get() { 0 } else { 1000 };
    let ready = nix::poll::poll(&mut [PollFd::new(console.as_fd(), PollFlags::POLLOUT)], time);
    IS_STOPPED.set(ready == Ok(0));
    if IS_STOPPED.get() { Ok(0) } else { nix::unistd::write(console, text) }
}

/// Writes `NAME: MESSAGE` to stderr in one write(2).
///
/// A stderr that is closed, full or broken is no reason to stop: the message is lost, the work goes on.
pub(crate) fn say_as(name: &str, message: fmt::Arguments<'_>) {
    let mut line = Line::new();
    crate::error::tolerate(writeln!(line, "{RECORD}{name}: {message}"), "write_str above never fails");
    for byte in line.bytes.iter_mut().take(line.len) {
        // What a rootfs names (an interpreter) must not command the terminal of whoever reads this.
        if byte.is_ascii_control() && *byte != b'\n' {
            *byte = b'?';
        }
    }
    if let Some(end) = line.bytes.get_mut(line.len.saturating_sub(1)) {
        *end = b'\n';
    }
    let text = line.text().get(RECORD.len()..).unwrap_or_default();
    let write = || {
        #[cfg(feature = "board")]
        if let Some(console) = CONSOLE.get() {
            return write_console(console, text);
        }
        nix::unistd::write(std::io::stderr(), text)
    };
    // Once more: what interrupted it may be over.
    crate::error::tolerate(write().or_else(|_| write()), "there is nowhere else to say it");
    #[cfg(feature = "board")]
    if let Some(log) = KERNEL_LOG.get() {
        crate::error::tolerate(nix::unistd::write(log, line.text()), "the console has it");
    }
}

/// The same under our own name.
pub(crate) fn say(message: fmt::Arguments<'_>) {
    say_as("launcher", message);
}

/// Says something that is not an error of the run: `launcher: warning: ...`.
macro_rules! warning {
    ($($words:tt)*) => {
        if crate::log::says(1) { crate::log::say(format_args!("warning: {}", format_args!($($words)*))) }
    };
}
pub(crate) use warning;

/// Says what happens to the program, where that is wanted.
macro_rules! inform {
    ($($words:tt)*) => { if crate::log::says(2) { crate::log::say(format_args!($($words)*)) } };
}
pub(crate) use inform;

/// Says what happens to each signal and orphan, where that is wanted.
macro_rules! debug {
    ($($words:tt)*) => { if crate::log::says(3) { crate::log::say(format_args!($($words)*)) } };
}
pub(crate) use debug;
