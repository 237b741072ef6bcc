//! One file a command.

pub(crate) mod init;

#[cfg(feature = "board")]
pub(crate) mod boot;
#[cfg(feature = "board")]
pub(crate) mod build_initramfs;
#[cfg(feature = "container")]
pub(crate) mod delete;
#[cfg(feature = "container")]
pub(crate) mod doctor;
#[cfg(feature = "container")]
pub(crate) mod run;

use std::fmt::Display;

use crate::error::{Doing, Result};
use crate::sys;

/// Writes to a standard stream, 1 or 2.
///
/// # Errors
/// It is closed or full.
pub(crate) fn print(stream: i32, text: &dyn Display) -> Result<()> {
    let doing = if stream == 1 { "write to standard output" } else { "write to standard error" };
    sys::file::write_all(sys::fd::standard(stream), text.to_string().as_bytes()).doing(doing)
}
