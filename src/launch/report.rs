//! What became of the program, for those who read files: one line of JSON, such as kubernetes shows as the reason of an
//! end (`--report /dev/termination-log`).

use std::ffi::CString;
use std::fmt::{self, Display, Write};
use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{AT_FDCWD, OFlag};

use super::init::Ended;
use crate::error::{Doing, Error, Result};
use crate::log::{Line, warning};
use crate::packed::{Fill, filled};
use crate::sys;
use crate::sys::process::{Change, Usage};
use crate::text::Show;

/// The open file, and when the program was started.
#[derive(Debug)]
pub(crate) struct Report {
    /// Where it goes.
    file: OwnedFd,
    /// Milliseconds of the monotonic clock.
    since: u64,
}

impl Report {
    /// Opens the file and empties it: as long as it is empty the program runs. Not beside it and renamed: engines hand
    /// out a single file, mounted.
    ///
    /// # Errors
    /// It cannot be opened, or made.
    pub(crate) fn open(path: &CString) -> Result<Self> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_TRUNC | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
        // Not where our caller has closed a standard stream: warnings would go there.
        let file =
            sys::fd::open_at(AT_FDCWD, path, flags).and_then(|file| sys::fd::above_standard(file.as_fd()));
        let file = file.doing(filled!("--report {}", path.shown()))?;
        Ok(Self { file, since: sys::clock::milliseconds() })
    }

    /// The descriptor, to be kept.
    pub(crate) fn file(&self) -> std::os::fd::BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Writes how it ended; `status` is what we exit with.
    pub(crate) fn write(&self, ended: &Ended, status: u8) {
        let signal = if let Change::Killed(signal) = ended.how { signal } else { 0 };
        let Usage { user, system, max_rss } = sys::process::usage_of_children();
        let time = sys::clock::milliseconds().saturating_sub(self.since);
        let mut line = Line::new();
        let written = line.write_fmt(format_args!(
            "{{\"status\":{status},\"signal\":{signal},\"seconds\":{},\"user_seconds\":{},\"system_seconds\":{},\
             \"max_rss_kib\":{max_rss},\"reaped_orphans\":{}}}\n",
            Seconds(time),
            Seconds(user / 1000),
            Seconds(system / 1000),
            ended.reaped
        ));
        crate::error::tolerate(written, "a buffer never fails, and numbers never fill it");
        self.put(line.text());
    }

    /// Writes why the program does not run, however long that is.
    pub(crate) fn write_error(&self, error: &Error) {
        let text = filled!("{\"status\":{},\"error\":\"{}\"}\n", [&error.status, &Escaped(error)]).text();
        self.put(text.as_bytes());
    }

    /// Writes the line; the program has run, so a full disk is a warning.
    fn put(&self, line: &[u8]) {
        if let Err(errno) = nix::unistd::write(&self.file, line) {
            warning!("the report cannot be written: {}", crate::error::describe(errno));
        }
    }
}

/// Milliseconds as seconds.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

/// Text inside a JSON string; RFC 8259.
pub(crate) struct Escaped<'a>(pub(crate) &'a dyn Display);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(Escaper(f), "{}", self.0)
    }
}

/// What escapes on the way.
struct Escaper<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaper<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let is_special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
        let mut left = text;
        while let Some((at, byte)) = left.bytes().enumerate().find(|(_, byte)| is_special(byte)) {
            self.0.write_str(left.get(..at).unwrap_or_default())?;
            self.0.write_str("\\u00")?;
            for digit in [byte / 16, byte % 16].map(usize::from) {
                self.0.write_str("0123456789abcdef".get(digit..=digit).unwrap_or_default())?;
            }
            left = left.get(at + 1..).unwrap_or_default();
        }
        self.0.write_str(left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_json_whatever_is_in_it() {
        let error = Error::new("execute a\"b\\c\n");
        assert_eq!(Escaped(&error).to_string(), "execute a\\u0022b\\u005cc\\u000a");
        assert_eq!(Seconds(61_007).to_string(), "61.007");
    }
}
