//! Calls by the path of a file. nix makes a C string of it anew for every call and every type of path; here is one place
//! for all. EINVAL: there is a NUL byte in the path.

use std::ffi::{CString, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag};
use nix::sys::stat::{FileStat, Mode};
use nix::unistd::AccessFlags;

use super::cvt;

/// The path as the kernel wants it.
#[inline(never)]
fn c(path: &Path) -> Result<CString, Errno> {
    crate::text::c_string(path.as_os_str().as_bytes())
}

/// `open(2)`, close-on-exec. A file that it makes can be read by its owner. By openat(2) only where the machine has no
/// other call: tests tell by it our files from those of a program of glibc.
pub(crate) fn open(path: &Path, flags: OFlag) -> Result<OwnedFd, Errno> {
    let path = c(path)?;
    #[cfg(not(target_arch = "x86_64"))]
    return super::fd::open_with_mode(AT_FDCWD, &path, flags, 0o400);
    #[cfg(target_arch = "x86_64")]
    {
        let flags = flags.bits() | libc::O_CLOEXEC;
        // SAFETY: the path is a live `CStr`; the kernel copies it and returns a new descriptor.
        super::cvt_int(unsafe { libc::syscall(libc::SYS_open, path.as_ptr(), flags, 0o400) })
            .map(super::fd::own)
    }
}

/// `mkdir(2)`, for all to look into.
pub(crate) fn make_folder(path: &Path) -> Result<(), Errno> {
    nix::unistd::mkdir(&*c(path)?, Mode::from_bits_truncate(0o755))
}

/// `rmdir(2)`.
pub(crate) fn remove_folder(path: &Path) -> Result<(), Errno> {
    nix::unistd::unlinkat(AT_FDCWD, &*c(path)?, nix::unistd::UnlinkatFlags::RemoveDir)
}

/// `unlink(2)`.
#[cfg(feature = "container")]
pub(crate) fn remove_file(path: &Path) -> Result<(), Errno> {
    nix::unistd::unlinkat(AT_FDCWD, &*c(path)?, nix::unistd::UnlinkatFlags::NoRemoveDir)
}

/// `open(2)` of a file that was not there, for all to read.
#[cfg(feature = "board")]
pub(crate) fn create(path: &Path) -> Result<OwnedFd, Errno> {
    super::fd::open_at(AT_FDCWD, &c(path)?, OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL)
}

/// `rename(2)`.
#[cfg(feature = "board")]
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), Errno> {
    nix::fcntl::renameat(AT_FDCWD, &*c(from)?, AT_FDCWD, &*c(to)?)
}

/// `symlink(2)`: makes the link `path`, which leads to `to`.
pub(crate) fn make_link(to: &Path, path: &Path) -> Result<(), Errno> {
    nix::unistd::symlinkat(&*c(to)?, AT_FDCWD, &*c(path)?)
}

/// `readlink(2)`: where a link leads.
pub(crate) fn target_of(path: &Path) -> Result<OsString, Errno> {
    super::fd::target_of(AT_FDCWD, &c(path)?)
}

/// `chdir(2)`.
pub(crate) fn enter(path: &Path) -> Result<(), Errno> {
    nix::unistd::chdir(&*c(path)?)
}

/// `access(2)`: whether we may do this there.
pub(crate) fn may(path: &Path, what: AccessFlags) -> Result<(), Errno> {
    nix::unistd::access(&*c(path)?, what)
}

/// `stat(2)`.
pub(crate) fn stat(path: &Path) -> Result<FileStat, Errno> {
    super::fd::stat_at(AT_FDCWD, &c(path)?, AtFlags::empty())
}

/// `statfs(2)`: the type of the file system.
pub(crate) fn filesystem_type(path: &Path) -> Result<nix::sys::statfs::FsType, Errno> {
    nix::sys::statfs::statfs(&*c(path)?).map(|found| found.filesystem_type())
}

/// Whether what is in this folder is in memory only, as an initramfs is: `RAMFS_MAGIC` and `TMPFS_MAGIC` of statfs(2).
#[cfg(feature = "container")]
#[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the field is as wide as a register")]
pub(crate) fn is_memory(path: &Path) -> bool {
    filesystem_type(path).is_ok_and(|found| matches!(found.0 as i64, 0x8584_58f6 | 0x0102_1994))
}

/// `chown(2)`.
pub(crate) fn set_owner(path: &Path, uid: u32, gid: u32) -> Result<(), Errno> {
    nix::unistd::chown(&*c(path)?, Some(uid.into()), Some(gid.into()))
}

/// `chmod(2)`. Not nix's fchmodat: libc emulates what its flag may ask for.
pub(crate) fn set_mode(path: &Path, mode: Mode) -> Result<(), Errno> {
    let path = c(path)?;
    // SAFETY: the path is a live `CStr`; the kernel copies it.
    cvt(unsafe { libc::chmod(path.as_ptr(), mode.bits()) }.into()).map(drop)
}
