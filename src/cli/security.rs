//! `--security-opt`: one option for several things, as docker has it. Each is a line of one match.

use super::options::Opt;
use super::wrong;
use crate::error::Result;
use crate::spec::{Spec, seccomp};

/// Puts one `KEY=VALUE` into the spec; docker's older `KEY:VALUE` is the same, a lone key is true.
///
/// # Errors
/// There is no such key, or the value makes no sense.
pub(super) fn set(spec: &mut Spec, option: &'static Opt, value: &str) -> Result<()> {
    let cut = value.split_once('=').or_else(|| value.split_once(':'));
    match cut.unwrap_or((value, "true")) {
        ("no-new-privileges", "true") => spec.process.no_new_privs = true,
        ("no-new-privileges", "false") => spec.process.no_new_privs = false,
        ("seccomp", text) if !text.is_empty() => spec.process.seccomp = seccomp::parse(text),
        _ => return Err(wrong(option, value, "wanted is seccomp=FILE or no-new-privileges=false")),
    }
    Ok(())
}
