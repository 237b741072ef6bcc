//! The one error type: what was being done, on what, the kernel's answer, and the cure if it is known.

#![allow(clippy::inline_always, reason = "what only hands words on, taken apart into registers: 3 KB less")]

use std::fmt::{self, Display};

use nix::errno::Errno;

use crate::packed::{Fill, Filled, Named, Names, One, Packed, filled};
use crate::text::{Shown, text_of};

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
    #[inline(always)]
    pub(crate) fn new(doing: impl Words) -> Self {
        doing.error(None)
    }

    /// A fault that the kernel reported.
    #[inline(always)]
    pub(crate) fn os(doing: impl Words, errno: Errno) -> Self {
        doing.error(Some(errno))
    }

    /// The one place where errors are put together; not generic, since every caller would carry a copy.
    #[cold]
    #[inline(never)]
    fn make(doing: &dyn Display, errno: Option<Errno>) -> Self {
        Self(Box::new(Fault {
            doing: text_of(doing),
            errno,
            hint: None,
            status: STATUS_OURS,
            said_by: "launcher",
        }))
    }

    /// The same error with a sentence that says what to do.
    #[inline(always)]
    pub(crate) fn hint(self, hint: impl Words) -> Self {
        hint.hint_of(self)
    }

    /// See [`Self::make`].
    #[cold]
    #[inline(never)]
    fn with_hint(mut self, hint: String) -> Self {
        self.0.hint = Some(hint);
        self
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
    #[inline(always)]
    pub(crate) fn within(self, whole: impl Words) -> Self {
        whole.around(self)
    }

    /// See [`Self::make`].
    #[cold]
    #[inline(never)]
    fn put_within(mut self, mut whole: String) -> Self {
        if !self.0.doing.is_empty() {
            whole.push_str(": ");
            whole.push_str(&self.0.doing);
        }
        self.0.doing = whole;
        self
    }
}

/// Where the step says what was being done.
impl From<Errno> for Error {
    #[cold]
    #[inline(never)]
    fn from(errno: Errno) -> Self {
        Self::make(&"", Some(errno))
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
            Some(begin) if f.alternate() && begin.len() < self.doing.len() => {
                filled!("{}...", begin).put(f)?;
            }
            _ => f.write_str(&self.doing)?,
        }
        if let Some(errno) = self.errno {
            let (name, text) = names::describe(errno);
            filled!(": {} ({})", [&text, &name]).put(f)?;
        }
        match &self.hint {
            Some(hint) => filled!("\n  hint: {}", hint).put(f),
            None => Ok(()),
        }
    }
}

/// What an error can be told in.
pub(crate) trait Words: Sized {
    /// See [`Error::new`] and [`Error::os`].
    fn error(self, errno: Option<Errno>) -> Error;
    /// As a text of its own.
    fn say(self) -> String;
    /// See [`Error::hint`].
    #[inline(always)]
    fn hint_of(self, error: Error) -> Error {
        error.with_hint(self.say())
    }
    /// See [`Error::within`].
    #[inline(always)]
    fn around(self, error: Error) -> Error {
        error.put_within(self.say())
    }
    /// See [`Doing`].
    fn fault_of<T>(self, result: std::result::Result<T, Errno>) -> Result<T> {
        result.map_err(|errno| self.error(Some(errno)))
    }
}

/// What is one thing that can be printed.
macro_rules! plain_words {
    ($($kind:ty),*) => {$(
        impl Words for $kind {
            fn error(self, errno: Option<Errno>) -> Error {
                Error::make(&self, errno)
            }

            fn say(self) -> String {
                text_of(&self)
            }

            fn hint_of(self, error: Error) -> Error {
                error.with_hint(text_of(&self))
            }

            fn around(self, error: Error) -> Error {
                error.put_within(text_of(&self))
            }
        }
    )*};
}
plain_words!(Packed, Shown<'_>, fmt::Arguments<'_>, &str, String, &String);

/// An error is told as it is.
impl Words for Error {
    fn error(self, _: Option<Errno>) -> Error {
        self
    }

    fn say(self) -> String {
        self.0.doing
    }
}

/// A text with values, which the functions take one by one, see [`Fill`].
macro_rules! filled_words {
    ($kind:ident($($value:ident: $of:ty),*), $make:ident, $fault:ident) => {
        impl Words for $kind<'_> {
            #[inline(always)]
            fn error(self, errno: Option<Errno>) -> Error {
                let $kind(text, $($value),*) = self;
                $make(errno, text, $($value),*)
            }

            #[inline(always)]
            fn say(self) -> String {
                self.text()
            }

            #[inline(always)]
            fn fault_of<T>(self, result: std::result::Result<T, Errno>) -> Result<T> {
                let $kind(text, $($value),*) = self;
                $fault(result, text, $($value),*)
            }
        }

        /// See [`Words::error`].
        #[cold]
        #[inline(never)]
        fn $make(errno: Option<Errno>, text: Packed, $($value: $of),*) -> Error {
            Error::make(&$kind(text, $($value),*), errno)
        }

        /// See [`Words::fault_of`].
        #[inline(never)]
        fn $fault<T>(result: std::result::Result<T, Errno>, text: Packed, $($value: $of),*) -> Result<T> {
            result.map_err(|errno| $make(Some(errno), text, $($value),*))
        }
    };
}
filled_words!(Named(name: &[u8]), make_named, fault_named);
filled_words!(Names(first: &[u8], second: &[u8]), make_names, fault_names);
filled_words!(One(value: &dyn Display), make_one, fault_one);
filled_words!(Filled(values: &[&dyn Display]), make_all, fault_all);

/// Adds to a bare errno what was being done.
pub(crate) trait Doing<T> {
    /// `what` is formatted only on failure.
    fn doing(self, what: impl Words) -> Result<T>;
}

impl<T> Doing<T> for std::result::Result<T, Errno> {
    #[inline(always)]
    fn doing(self, what: impl Words) -> Result<T> {
        what.fault_of(self)
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
