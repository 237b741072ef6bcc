//! Landlock, Linux 5.13: what the calling thread may do to files, from now on and for good; landlock(7). System calls on
//! memory prepared before, since the entrypoint makes them in its last mile.

use std::ffi::CStr;
use std::os::fd::RawFd;

use nix::errno::Errno;

use super::{cvt, cvt_int};

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    /// What is allowed.
    access: u64,
    /// Below which folder, or to which file.
    parent: libc::c_int,
}

/// `landlock_create_ruleset(2)` LANDLOCK_CREATE_RULESET_VERSION: the rights that the kernel knows, bit n of the first version
/// that has it. ENOSYS: no such call; EOPNOTSUPP: it is switched off.
fn known() -> Result<u64, Errno> {
    // SAFETY: with this flag the kernel reads no attributes.
    let version =
        cvt(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, 1) })?;
    Ok(match version {
        1 => 0x1fff,
        2 => 0x3fff,     // 5.19: to rename into another folder
        3 | 4 => 0x7fff, // 6.2: to cut a file
        _ => 0xffff,     // 6.10: ioctl of devices
    })
}

/// `landlock_create_ruleset(2)`: a ruleset that forbids whatever the kernel knows, as descriptor `fd`, whatever that was.
pub(crate) fn create(fd: RawFd) -> Result<(), Errno> {
    let handled = known()?;
    // SAFETY: the kernel reads eight bytes, an older and shorter struct of attributes, from our stack.
    let ruleset = cvt_int(unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, &raw const handled, size_of::<u64>(), 0)
    })?;
    if ruleset == fd {
        return Ok(());
    }
    // SAFETY: takes three integers.
    cvt(unsafe { libc::syscall(libc::SYS_dup3, ruleset, fd, libc::O_CLOEXEC) }).map(drop)
}

/// `landlock_add_rule(2)`: allows `access` to the file `path`, or to all below the folder.
pub(crate) fn allow(ruleset: RawFd, path: &CStr, access: u64) -> Result<(), Errno> {
    /// Those of the rights that a file can have: execute, write, read, cut, ioctl.
    const OF_FILES: u64 = 0b1100_0000_0000_0111;
    let access = access & known()?;
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    // SAFETY: the path is a live `CStr`; the kernel copies it.
    let parent =
        cvt_int(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0) })?;
    let add = |access| {
        let rule = PathBeneath { access, parent };
        // SAFETY: the kernel reads one rule of type 1 (LANDLOCK_RULE_PATH_BENEATH) from our stack.
        cvt(unsafe { libc::syscall(libc::SYS_landlock_add_rule, ruleset, 1, &raw const rule, 0) }).map(drop)
    };
    match add(access) {
        // Rights of folders, and it is a file.
        Err(Errno::EINVAL) => add(access & OF_FILES),
        result => result,
    }
}

/// `landlock_restrict_self(2)`. EPERM: neither no_new_privs nor CAP_SYS_ADMIN.
pub(crate) fn restrict(ruleset: RawFd) -> Result<(), Errno> {
    // SAFETY: takes two integers.
    cvt(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, ruleset, 0) }).map(drop)
}
