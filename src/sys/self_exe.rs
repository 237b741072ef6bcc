//! A copy of our own executable that nobody can change.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};

use super::fd::{open_at, own};
use super::{cvt, cvt_int, entry};
use crate::packed::{Fill, filled};

/// No change of the length, no write, and no seal but these.
const SEALS: libc::c_int = libc::F_SEAL_SEAL | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_WRITE;

/// Linux 6.3: it will be executed, which a machine may forbid to those that do not say so (sysctl vm.memfd_noexec).
const MFD_EXEC: libc::c_uint = 0x10;

/// What we run from. ENOENT: without /proc nobody can tell.
fn open() -> Result<OwnedFd, Errno> {
    open_at(AT_FDCWD, c"/proc/self/exe", OFlag::O_RDONLY)
}

/// `fcntl(2)` F_GET_SEALS: whether we run from such a copy. EINVAL is the answer for a file that has no seals.
pub(crate) fn is_sealed() -> Result<bool, Errno> {
    let file = open()?;
    // SAFETY: takes two integers.
    Ok(unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), libc::F_GET_SEALS) } == SEALS.into())
}

/// Goes on in a sealed copy in memory, from the first instruction on, with the same arguments and environment:
/// `memfd_create(2)`, Linux 3.17. Returns only on failure.
pub(crate) fn run_sealed() -> Errno {
    copy().map_or_else(|errno| errno, |copy| execute(copy.as_fd()))
}

/// Makes the copy.
fn copy() -> Result<OwnedFd, Errno> {
    let file = open()?;
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    let copy = match memory_file(flags | MFD_EXEC) {
        Err(Errno::EINVAL) => memory_file(flags),
        result => result,
    }?;
    loop {
        // SAFETY: takes two descriptors of ours; a null offset is the file's own place, and the length is a wish.
        let result = unsafe {
            libc::syscall(libc::SYS_sendfile, copy.as_raw_fd(), file.as_raw_fd(), 0usize, 1usize << 30)
        };
        if cvt(result)? == 0 {
            break;
        }
    }
    // SAFETY: takes three integers.
    cvt(unsafe { libc::syscall(libc::SYS_fcntl, copy.as_raw_fd(), libc::F_ADD_SEALS, SEALS) })?;
    Ok(copy)
}

/// `memfd_create(2)`.
fn memory_file(flags: libc::c_uint) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel copies the name, a C string.
    cvt_int(unsafe { libc::syscall(libc::SYS_memfd_create, c"launcher".as_ptr(), flags) }).map(own)
}

/// `execve(2)` of an open file; not execveat, which a filter may not know.
fn execute(file: BorrowedFd<'_>) -> Errno {
    let Ok(path) = crate::text::c_string(filled!("/proc/self/fd/{}", &file.as_raw_fd()).text()) else {
        return Errno::EINVAL;
    };
    // SAFETY: both arrays are the kernel's own, null-terminated, and unchanged; it copies them and the path.
    let result = unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), entry::argv(), entry::envp()) };
    cvt(result).err().unwrap_or(Errno::ENOEXEC)
}
