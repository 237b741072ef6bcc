//! One-line messages on stderr, without allocation: PID 1 uses them too.

use std::fmt::{self, Write};

/// A line is cut after this many bytes; longer ones could be torn apart on a pipe (`PIPE_BUF`).
const LINE: usize = 1024;

/// A line in the making.
struct Line {
    /// The text so far.
    bytes: [u8; LINE],
    /// How much of `bytes` is text.
    len: usize,
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

/// Writes `launcher: MESSAGE` to stderr in one write(2).
///
/// A stderr that is closed, full or broken is no reason to stop: the message is lost, the work goes on.
pub(crate) fn say(message: fmt::Arguments<'_>) {
    let mut line = Line { bytes: [0; LINE], len: 0 };
    crate::error::tolerate(writeln!(line, "launcher: {message}"), "write_str above never fails");
    if let Some(end) = line.bytes.get_mut(line.len.saturating_sub(1)) {
        *end = b'\n';
    }
    let text = line.bytes.get(..line.len).unwrap_or_default();
    crate::error::tolerate(nix::unistd::write(std::io::stderr(), text), "there is nowhere else to say it");
}

/// Says something that is not an error of the run: `launcher: warning: ...`.
macro_rules! warning {
    ($($words:tt)*) => { crate::log::say(format_args!("warning: {}", format_args!($($words)*))) };
}
pub(crate) use warning;
