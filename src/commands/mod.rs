//! One file a command.

pub(crate) mod init;

#[cfg(feature = "container")]
pub(crate) mod delete;
#[cfg(feature = "container")]
pub(crate) mod run;

use std::fmt::Display;

use crate::error::{Doing, Result};

/// Writes to standard output.
///
/// # Errors
/// It is closed or full.
pub(crate) fn print(text: impl Display) -> Result<()> {
    let text = text.to_string();
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let written =
            nix::unistd::write(crate::sys::fd::standard(1), left).doing("write to standard output")?;
        left = left.get(written..).unwrap_or_default();
    }
    Ok(())
}
