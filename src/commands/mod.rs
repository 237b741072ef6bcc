//! One file a command.

pub(crate) mod init;

#[cfg(feature = "container")]
pub(crate) mod delete;
#[cfg(feature = "container")]
pub(crate) mod doctor;
#[cfg(feature = "container")]
pub(crate) mod run;

use std::fmt::Display;

use crate::error::{Doing, Result};

/// Writes to a standard stream, 1 or 2.
///
/// # Errors
/// It is closed or full.
pub(crate) fn print(stream: i32, text: &dyn Display) -> Result<()> {
    let text = text.to_string();
    let mut left = text.as_bytes();
    while !left.is_empty() {
        let written = nix::unistd::write(crate::sys::fd::standard(stream), left).doing(match stream {
            1 => "write to standard output",
            _ => "write to standard error",
        })?;
        left = left.get(written..).unwrap_or_default();
    }
    Ok(())
}
