//! The options that say what becomes of the program itself: the same of `init` and `run`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::{Id, Opt};
use super::{text, wrong};
use crate::error::{Error, Result};
use crate::packed::packed;
use crate::spec::process::{EnvChange, Process, parse_rlimit, parse_umask};
use crate::spec::user::{Groups, Principal, parse_user};
use crate::text::Show;

/// Puts one of these options into the process; `false` if it is another.
///
/// # Errors
/// The value makes no sense.
pub(super) fn set(process: &mut Process, option: &'static Opt, value: &'static OsStr) -> Result<bool> {
    match option.id {
        Id::Env => process.env.push(env(option, value)?),
        Id::Workdir => process.cwd = Some(Path::new(value)),
        Id::User | Id::GroupAdd | Id::Umask | Id::Ulimit => {
            let value = text(option, value)?;
            set_text(process, option.id, value).map_err(|why| wrong(option, value, why))?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Those whose value is text; the error says only what is wrong with it.
fn set_text(process: &mut Process, id: Id, value: &str) -> Result<()> {
    match id {
        Id::User => process.user = Some(parse_user(value)?),
        Id::GroupAdd => add_group(&mut process.groups, value)?,
        Id::Umask => process.umask = Some(parse_umask(value)?),
        _ => process.rlimits.push(parse_rlimit(value)?),
    }
    Ok(())
}

/// A group, or the word for those of the caller, which can be kept only by leaving them alone.
fn add_group(groups: &mut Groups, value: &str) -> Result<()> {
    match value {
        "keep-groups" => groups.kept = true,
        _ => groups.added.push(Principal::parse(value)?),
    }
    if groups.kept && !groups.added.is_empty() {
        return Err(Error::new(packed!("keep-groups cannot be had together with other groups")));
    }
    Ok(())
}

/// `NAME=VALUE` or `NAME`.
fn env(option: &'static Opt, value: &'static OsStr) -> Result<EnvChange> {
    match value.as_bytes() {
        [] | [b'=', ..] => Err(wrong(option, &value.shown().to_string(), packed!("a variable needs a name"))),
        bytes if bytes.contains(&b'=') => Ok(EnvChange::Set(value)),
        _ => Ok(EnvChange::Copy(value)),
    }
}
