//! User and group ids of the calling thread, raw: libc's wrappers signal every thread and take locks.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::cvt;

/// The numbers of the 32-bit id calls: on arm the plain names are the 16-bit ones of old.
#[cfg(target_arch = "arm")]
mod number {
    pub(super) use libc::{
        SYS_setgroups32 as SETGROUPS, SYS_setresgid32 as SETRESGID, SYS_setresuid32 as SETRESUID,
    };
}
/// The numbers of the id calls.
#[cfg(not(target_arch = "arm"))]
mod number {
    pub(super) use libc::{
        SYS_setgroups as SETGROUPS, SYS_setresgid as SETRESGID, SYS_setresuid as SETRESUID,
    };
}

/// `setresuid(2)`: real, effective and saved user id.
pub(crate) fn set_uid(uid: u32) -> Result<(), Errno> {
    // SAFETY: takes three integers.
    cvt(unsafe { libc::syscall(number::SETRESUID, uid, uid, uid) }).map(drop)
}

/// `setresgid(2)`: real, effective and saved group id.
pub(crate) fn set_gid(gid: u32) -> Result<(), Errno> {
    // SAFETY: takes three integers.
    cvt(unsafe { libc::syscall(number::SETRESGID, gid, gid, gid) }).map(drop)
}

/// `setgroups(2)`: the supplementary groups, all of them.
pub(crate) fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `len` ids from the live slice.
    cvt(unsafe { libc::syscall(number::SETGROUPS, groups.len(), groups.as_ptr()) }).map(drop)
}

/// Whether the call above would be allowed: of more groups than anybody can have the kernel says EINVAL to who may, and
/// EPERM to who may not.
pub(crate) fn may_set_groups() -> bool {
    const TOO_MANY: usize = 65_537;
    // SAFETY: the kernel looks at the number first, and refuses it.
    cvt(unsafe { libc::syscall(number::SETGROUPS, TOO_MANY, 0usize) }) == Err(Errno::EINVAL)
}

/// `fchownat(2)` AT_EMPTY_PATH: gives what a descriptor is of to another user; its group stays. Not fchown, whose ids have
/// 16 bits on arm.
pub(crate) fn give(file: BorrowedFd<'_>, uid: u32) -> Result<(), Errno> {
    let (fd, path) = (file.as_raw_fd(), c"".as_ptr());
    // SAFETY: the path is a literal; the kernel works on the descriptor. -1 is no group.
    cvt(unsafe { libc::syscall(libc::SYS_fchownat, fd, path, uid, -1, libc::AT_EMPTY_PATH) }).map(drop)
}
