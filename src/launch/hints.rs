//! What to do about a refusal that has one usual cause.

use nix::errno::Errno;
use nix::sched::CloneFlags;

use crate::primitives::last_step::LastStep;

/// Hint for a clone with these namespaces that failed with this errno.
pub(crate) fn for_clone(flags: CloneFlags, errno: Errno) -> Option<&'static str> {
    let has_user = flags.contains(CloneFlags::CLONE_NEWUSER);
    match errno {
        Errno::EPERM if has_user => Some(
            "user namespaces are forbidden here: by sysctl kernel.unprivileged_userns_clone=0, by a security module, \
             or by the seccomp filter of a container (docker: --security-opt seccomp=unconfined)",
        ),
        Errno::EPERM => Some(
            "making namespaces needs CAP_SYS_ADMIN; inside a container it is mostly forbidden (docker: --privileged), \
             and launcher -- PROGRAM works as plain init there",
        ),
        Errno::ENOSPC => Some("the limit is reached: see the sysctls user.max_*_namespaces"),
        Errno::EUSERS => Some("user or PID namespaces are nested too deep: 32 is the kernel's limit"),
        Errno::EINVAL => {
            Some("the kernel lacks one of these kinds: see CONFIG_NAMESPACES and the options below it")
        }
        Errno::EAGAIN => {
            Some("too many processes: see ulimit -u, the pids limit of this cgroup, kernel.pid_max")
        }
        _ => None,
    }
}

/// Hint for a step of the entrypoint that failed with this errno.
pub(crate) fn for_last_step(step: &LastStep, errno: Errno) -> Option<&'static str> {
    match (step, errno) {
        (LastStep::Filter(_), Errno::EACCES) => {
            Some("without no_new_privs a filter needs CAP_SYS_ADMIN: leave out no-new-privileges=false")
        }
        (LastStep::Filter(_), Errno::EINVAL | Errno::ENOSYS) => Some(
            "the kernel lacks CONFIG_SECCOMP_FILTER; --security-opt seccomp=unconfined goes without this protection",
        ),
        (LastStep::SetGroups { .. } | LastStep::SetGid(_) | LastStep::SetUid(_), Errno::EINVAL) => {
            Some("the id is not mapped in the user namespace")
        }
        (LastStep::ForbidFiles, Errno::ENOSYS | Errno::EOPNOTSUPP) => Some(
            "Landlock needs Linux 5.13 with CONFIG_SECURITY_LANDLOCK, and its name in lsm= of the kernel",
        ),
        _ => None,
    }
}

/// Hint for the death of a child that said nothing.
pub(crate) fn for_silent_death(has_memory_limit: bool) -> &'static str {
    if has_memory_limit {
        "the memory limit may be too low even for the start; raise --memory"
    } else {
        "see dmesg"
    }
}
