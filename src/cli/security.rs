//! `--security-opt`: one option for several things, as docker has it. Each is a line of one match.

use crate::error::{Error, Result};
use crate::packed::packed;
use crate::spec::process::Label;
use crate::spec::{Spec, seccomp};
use crate::text;

/// Puts one `KEY=VALUE` into the spec; docker's older `KEY:VALUE` is the same, a lone key is true.
///
/// # Errors
/// There is no such key, or the value makes no sense.
pub(super) fn set(spec: &mut Spec, value: &'static str) -> Result<()> {
    let cut = text::cut(value, b'=').or_else(|| text::cut(value, b':'));
    let (key, text) = cut.unwrap_or((value, "true"));
    match key {
        _ if text.is_empty() => return Err(unknown()),
        "no-new-privileges" => {
            spec.process.no_new_privs = Some(match text {
                "true" => true,
                "false" => false,
                _ => return Err(unknown()),
            });
        }
        "seccomp" => spec.process.seccomp = seccomp::parse(text),
        // Nothing is asked: a label is set only where one is named.
        "apparmor" if text == "unconfined" => spec.label = None,
        "apparmor" => spec.label = Some(Label::AppArmor(text)),
        "label" if text == "disable" => spec.label = None,
        // Docker's parts of a context would need the policy to be put together.
        "label" if text::parts(text, b':').count() > 2 => spec.label = Some(Label::SeLinux(text)),
        _ => return Err(unknown()),
    }
    Ok(())
}

/// What is none of them.
fn unknown() -> Error {
    Error::new(packed!("known are no-new-privileges=false, seccomp=FILE, apparmor=PROFILE, label=CONTEXT"))
}
