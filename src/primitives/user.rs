//! Who we are inside.

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::error::{Doing, Error, Result};
use crate::spec::caps::CapSet;
use crate::spec::process::Rlimit;
use crate::sys;

/// Becomes root of the user namespace, so that what we make belongs to an id that exists there.
///
/// # Errors
/// Id 0 is not mapped.
pub(crate) fn become_root(may_set_groups: bool) -> Result<()> {
    if may_set_groups {
        sys::user::set_groups(&[]).doing("setgroups")?;
    }
    sys::user::set_gid(0).doing("setresgid 0")?;
    sys::user::set_uid(0).doing("setresuid 0")
}

/// Takes every capability outside `keep` out of the bounding set.
///
/// # Errors
/// CAP_SETPCAP is missing.
pub(crate) fn drop_bounding(keep: CapSet) -> Result<()> {
    for capability in (0..64).filter(|capability| !keep.contains(*capability)) {
        match sys::caps::drop_from_bounding(capability) {
            Ok(()) => {}
            Err(Errno::EINVAL) if !sys::caps::exists(capability) => break,
            Err(errno) => return Err(errno).doing(format_args!("drop {}", CapSet(1 << capability))),
        }
    }
    Ok(())
}

/// Raises the hard limit of a process as far as the user asks, while we still have the host's rights. The soft
/// limit, and any lowering, is the entrypoint's own last act.
///
/// # Errors
/// The limit is above ours and CAP_SYS_RESOURCE is missing.
pub(crate) fn raise_hard_limit(pid: Pid, limit: &Rlimit) -> Result<()> {
    let (soft, hard) = sys::rlimit::get(pid, limit.resource).doing("read the limit")?;
    if limit.hard <= hard {
        return Ok(());
    }
    sys::rlimit::set(pid, limit.resource, soft, limit.hard).map_err(|errno| {
        let error = Error::os(format_args!("from {hard} to {}", limit.hard), errno);
        if errno == Errno::EPERM {
            error.hint("raising a hard limit needs CAP_SYS_RESOURCE on the host")
        } else {
            error
        }
    })
}
