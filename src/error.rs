//! The one error type: what was being done, on what, the kernel's answer, and the cure if it is known.

use std::fmt::{self, Display};

use nix::errno::Errno;

use crate::packed::Packed;

mod names;

/// Result of everything that can fail above the system calls.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Exit status for a failure of launcher itself, as in docker-run(1) and env(1).
pub(crate) const STATUS_OURS: u8 = 125;
/// Exit status for an entrypoint that was found and could not be executed.
pub(crate) const STATUS_NOT_EXECUTABLE: u8 = 126;
/// Exit status for an entrypoint, or its interpreter, that was not found.
pub(crate) const STATUS_NOT_FOUND: u8 = 127;

/// Bytes of what was being done that `{:#}` prints: what is long is a list, and the reason behind it must fit the line.
const LONGEST: usize = 600;

/// A failure, made once where it happens and printed once by `main`. One pointer wide: it travels through every `?`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Error(Box<Fault>);

/// What there is to say about a failure.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fault {
    /// What was being done and on what, lower case: `open /srv/alpine`.
    pub(crate) doing: String,
    /// The kernel's answer; `None` when the fault is in the words of the user.
    pub(crate) errno: Option<Errno>,
    /// One sentence that says what to do about it.
    pub(crate) hint: Option<String>,
    /// Exit status of the program: 125, 126 or 127, or another's numbers under its name.
    pub(crate) status: u8,
    /// Who says it: launcher, or the program under whose name it runs.
    pub(crate) said_by: &'static str,
}

impl Error {
    /// A fault that no system call reported.
    pub(crate) fn new(doing: impl Display) -> Self {
        Self::make(&doing, None)
    }

    /// A fault that the kernel reported.
    pub(crate) fn os(doing: impl Display, errno: Errno) -> Self {
        Self::make(&doing, Some(errno))
    }

    /// The one place where errors are put together; not generic, since every caller would carry a copy.
    #[cold]
    #[inline(never)]
    fn make(doing: &dyn Display, errno: Option<Errno>) -> Self {
        Self(Box::new(Fault {
            doing: doing.to_string(),
            errno,
            hint: None,
            status: STATUS_OURS,
            said_by: "launcher",
        }))
    }

    /// The same error with a sentence that says what to do.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        self.set_hint(&hint);
        self
    }

    /// See [`Self::make`].
    #[cold]
    #[inline(never)]
    fn set_hint(&mut self, hint: &dyn Display) {
        self.0.hint = Some(hint.to_string());
    }

    /// The same error with another exit status.
    pub(crate) fn status(mut self, status: u8) -> Self {
        self.0.status = status;
        self
    }

    /// The same error, said under another name.
    pub(crate) fn said_by(mut self, name: &'static str) -> Self {
        self.0.said_by = name;
        self
    }

    /// The same error as a part of something larger: its name comes first, then what the error says by itself.
    pub(crate) fn within(mut self, whole: impl Display) -> Self {
        self.put_within(&whole);
        self
    }

    /// See [`Self::make`].
    #[cold]
    #[inline(never)]
    fn put_within(&mut self, whole: &dyn Display) {
        let detail = std::mem::take(&mut self.0.doing);
        self.0.doing = if detail.is_empty() { whole.to_string() } else { format!("{whole}: {detail}") };
    }
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Self(Box::new(fault))
    }
}

impl std::ops::Deref for Error {
    type Target = Fault;

    fn deref(&self) -> &Fault {
        &self.0
    }
}

impl Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.doing.get(..self.doing.floor_char_boundary(LONGEST)) {
            Some(begin) if f.alternate() && begin.len() < self.doing.len() => write!(f, "{begin}...")?,
            _ => f.write_str(&self.doing)?,
        }
        if let Some(errno) = self.errno {
            let (name, text) = names::describe(errno);
            write!(f, ": {text} ({name})")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

/// Adds to a bare errno what was being done.
pub(crate) trait Doing<T> {
    /// `what` is formatted only on failure, so `format_args!` costs nothing on the good path.
    fn doing(self, what: impl Display) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, Errno> {
    fn doing(self, what: impl Display) -> Result<T> {
        self.map_err(|errno| Error::os(what, errno))
    }
}

/// What an error number means, in words.
pub(crate) fn describe(errno: Errno) -> Packed {
    names::describe(errno).1
}

/// Lets a failure pass, for the reason given: the only way to do so, hence the list of all that is tolerated.
pub(crate) fn tolerate<T, E>(_: std::result::Result<T, E>, _why: &'static str) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_then_one_hint() {
        let error = Error::os("mount proc on /proc", Errno::EPERM).hint("mask less");
        let text = error.to_string();
        assert_eq!(text, "mount proc on /proc: Operation not permitted (EPERM)\n  hint: mask less");
        assert_eq!(error.status, 125);
    }

    #[test]
    fn the_reason_is_told_however_long_the_list_is() {
        let text = format!("{:#}", Error::os("write ä".repeat(200), Errno::EINVAL));
        assert!(text.len() < 700 && text.ends_with("...: Invalid argument (EINVAL)"), "{text}");
    }
}
