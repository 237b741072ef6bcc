//! Whether a system call is there, without doing anything with it.

use nix::errno::Errno;

use super::cvt;

/// A call with arguments that it must refuse: the first is -1, the others are 0. For calls of which that is true alone.
/// ENOSYS: the kernel, or a filter, does not know it; EPERM: forbidden; anything else: it is there.
pub(crate) fn call(number: libc::c_long) -> Errno {
    // SAFETY: the kernel is given no memory: it finds -1 or null where it wants a pointer, and refuses.
    cvt(unsafe { libc::syscall(number, -1isize, 0usize, 0usize, 0usize, 0usize) })
        .err()
        .unwrap_or(Errno::EINVAL)
}

/// `landlock_create_ruleset(2)` LANDLOCK_CREATE_RULESET_VERSION, Linux 5.13: whether it is there. ENOSYS: not in this
/// kernel; EOPNOTSUPP: not switched on at boot.
pub(crate) fn landlock() -> Result<(), Errno> {
    // SAFETY: with this flag the kernel wants no memory and makes nothing.
    cvt(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, 0usize, 0usize, 1) }).map(drop)
}

/// `seccomp(2)` SECCOMP_GET_ACTION_AVAIL, Linux 4.14: whether filters may answer with an errno.
pub(crate) fn seccomp_filters() -> Result<(), Errno> {
    let action = libc::SECCOMP_RET_ERRNO;
    // SAFETY: the kernel reads one word, which lives on our stack.
    cvt(unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_GET_ACTION_AVAIL, 0, &raw const action) })
        .map(drop)
}
