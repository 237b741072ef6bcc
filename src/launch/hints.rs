//! What to do about a refusal that has one usual cause.

use nix::errno::Errno;
use nix::sched::CloneFlags;

use crate::packed::{Packed, packed};
use crate::primitives::last_step::LastStep;

/// Hint for a clone with these namespaces that failed with this errno.
pub(crate) fn for_clone(flags: CloneFlags, errno: Errno) -> Option<Packed> {
    let has_user = flags.contains(CloneFlags::CLONE_NEWUSER);
    match errno {
        Errno::EPERM if has_user => Some(packed!(
            "user namespaces are forbidden here: by sysctl kernel.unprivileged_userns_clone=0, by a security module, \
             or by the seccomp filter of a container (docker: --security-opt seccomp=unconfined)"
        )),
        Errno::EPERM => Some(packed!(
            "making namespaces needs CAP_SYS_ADMIN; inside a container it is mostly forbidden (docker: --privileged), \
             and launcher -- PROGRAM works as plain init there"
        )),
        Errno::ENOSPC => Some(packed!("the limit is reached: see the sysctls user.max_*_namespaces")),
        Errno::EUSERS => {
            Some(packed!("user or PID namespaces are nested too deep: 32 is the kernel's limit"))
        }
        Errno::EINVAL => Some(packed!(
            "the kernel lacks one of these kinds: see CONFIG_NAMESPACES and the options below it"
        )),
        Errno::EAGAIN => {
            Some(packed!("too many processes: see ulimit -u, the pids limit of this cgroup, kernel.pid_max"))
        }
        _ => None,
    }
}

/// Hint for a step of the entrypoint that failed with this errno.
pub(crate) fn for_last_step(step: &LastStep, errno: Errno) -> Option<Packed> {
    match (step, errno) {
        (LastStep::Filter(_), Errno::EACCES) => Some(packed!(
            "without no_new_privs a filter needs CAP_SYS_ADMIN: leave out no-new-privileges=false"
        )),
        (LastStep::Filter(_), Errno::EINVAL | Errno::ENOSYS) => Some(packed!(
            "the kernel lacks CONFIG_SECCOMP_FILTER; --security-opt seccomp=unconfined goes without this protection"
        )),
        (LastStep::SetGroups { .. } | LastStep::SetGid(_) | LastStep::SetUid(_), Errno::EINVAL) => {
            Some(packed!("the id is not mapped in the user namespace"))
        }
        (LastStep::ForbidFiles, Errno::ENOSYS | Errno::EOPNOTSUPP) => Some(packed!(
            "Landlock needs Linux 5.13 with CONFIG_SECURITY_LANDLOCK, and its name in lsm= of the kernel"
        )),
        (LastStep::RestrictFiles, Errno::EPERM) => {
            Some(packed!("for another user than root it needs --security-opt no-new-privileges"))
        }
        _ => None,
    }
}

/// Hint for the death of a child that said nothing.
pub(crate) fn for_silent_death(has_memory_limit: bool) -> Packed {
    if has_memory_limit {
        packed!("the memory limit may be too low even for the start; raise --memory")
    } else {
        packed!("see dmesg")
    }
}
