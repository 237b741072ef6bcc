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
    match cut.unwrap_or((value, "true")) {
        ("no-new-privileges", "true") => spec.process.no_new_privs = Some(true),
        ("no-new-privileges", "false") => spec.process.no_new_privs = Some(false),
        ("seccomp", text) if !text.is_empty() => spec.process.seccomp = seccomp::parse(text),
        // Nothing is asked: a label is set only where one is named.
        ("apparmor", "unconfined") | ("label", "disable") => spec.label = None,
        ("apparmor", profile) if !profile.is_empty() => {
            spec.label = Some(Label::AppArmor(profile));
        }
        // Docker's parts of a context would need the policy to be put together.
        ("label", context) if text::parts(context, b':').count() > 2 => {
            spec.label = Some(Label::SeLinux(context));
        }
        _ => {
            let known =
                packed!("known are no-new-privileges=false, seccomp=FILE, apparmor=PROFILE, label=CONTEXT");
            return Err(Error::new(known));
        }
    }
    Ok(())
}
