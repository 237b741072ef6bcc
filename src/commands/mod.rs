//! One file a command.

pub(crate) mod init;

#[cfg(feature = "container")]
pub(crate) mod delete;
#[cfg(feature = "container")]
pub(crate) mod run;

use std::fmt::Display;
use std::io::Write;

use crate::error::{Doing, Result};

/// Writes to standard output.
///
/// # Errors
/// It is closed or full.
pub(crate) fn print(text: impl Display) -> Result<()> {
    let mut out = std::io::stdout();
    write!(out, "{text}").and_then(|()| out.flush()).doing("write to standard output")
}
