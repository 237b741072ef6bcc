//! Descriptors: opening beneath a root, closing what was inherited.

use std::ffi::{CStr, OsString};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, OpenHow, ResolveFlag};
use nix::sys::stat::FileStat;

use super::cvt_int;
use crate::packed::{Fill, filled};
use crate::text;

/// `openat2(2)`, Linux 5.6: `path` as seen by a process whose root is `root`; ELOOP for any link on the way.
/// ENOSYS before 5.6: the caller walks the path itself.
pub(crate) fn open_in_root(root: BorrowedFd<'_>, path: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    open_resolved(root, path, flags, ResolveFlag::RESOLVE_IN_ROOT)
}

/// The same for `path` beneath `dir`, on the very file system that is there (EXDEV for another's).
pub(crate) fn open_beneath(dir: BorrowedFd<'_>, path: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    open_resolved(dir, path, flags, ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_XDEV)
}

/// `openat2(2)`, Linux 5.6.
fn open_resolved(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlag,
    resolve: ResolveFlag,
) -> Result<OwnedFd, Errno> {
    let resolve = resolve | ResolveFlag::RESOLVE_NO_SYMLINKS | ResolveFlag::RESOLVE_NO_MAGICLINKS;
    let how = OpenHow::new().flags(flags | OFlag::O_CLOEXEC).resolve(resolve);
    loop {
        match nix::fcntl::openat2(dir, path, how) {
            // EAGAIN: something was renamed meanwhile and the kernel cannot tell whether we would have left the root.
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            result => return result,
        }
    }
}

/// A standard stream by number; std's own handles come with buffers and locks.
pub(crate) fn standard(number: RawFd) -> BorrowedFd<'static> {
    // SAFETY: 0, 1 and 2 are never closed by us; closed by our caller, a call on them is EBADF and no more.
    unsafe { BorrowedFd::borrow_raw(number) }
}

/// `openat(2)` of one path component or a path of ours, close-on-exec.
pub(crate) fn open_at(dir: BorrowedFd<'_>, path: &CStr, flags: OFlag) -> Result<OwnedFd, Errno> {
    open_with_mode(dir, path, flags, 0o644)
}

/// `openat(2)` of a path of the host, as a mere handle (O_PATH), close-on-exec.
pub(crate) fn open_path(path: &CStr) -> Result<OwnedFd, Errno> {
    open_at(AT_FDCWD, path, OFlag::O_PATH)
}

/// `openat(2)`, close-on-exec; a file that it makes has this mode. O_LARGEFILE is what libc adds, for 32 bits.
#[inline(never)]
pub(super) fn open_with_mode(
    dir: BorrowedFd<'_>,
    path: &CStr,
    flags: OFlag,
    mode: libc::mode_t,
) -> Result<OwnedFd, Errno> {
    let (fd, flags) = (dir.as_raw_fd(), flags.bits() | libc::O_CLOEXEC | libc::O_LARGEFILE);
    // SAFETY: the path is a live `CStr`; the kernel copies it and returns a new descriptor.
    cvt_int(unsafe { libc::syscall(libc::SYS_openat, fd, path.as_ptr(), flags, mode) }).map(own)
}

/// `fchdir(2)`. libc's has a way by /proc besides, for O_PATH before Linux 3.5.
pub(crate) fn enter(folder: BorrowedFd<'_>) -> Result<(), Errno> {
    // SAFETY: takes an integer.
    cvt_int(unsafe { libc::syscall(libc::SYS_fchdir, folder.as_raw_fd()) }).map(drop)
}

/// What [`close_from`] does to a descriptor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Closing {
    /// At once.
    Now,
    /// At the next execve.
    OnExec,
}

/// `close_range(2)`, Linux 5.9 (`OnExec` 5.11): every descriptor from `first` up. Older kernels: one by one below
/// the RLIMIT_NOFILE of the day, at most 65,536.
pub(crate) fn close_from(first: RawFd, how: Closing) {
    close_between(first, RawFd::MAX, how);
}

/// The same for all descriptors above 2 but one.
pub(crate) fn close_all_but(kept: BorrowedFd<'_>) {
    let kept = kept.as_raw_fd();
    if kept > 3 {
        close_between(3, kept - 1, Closing::Now);
    }
    close_between(kept + 1, RawFd::MAX, Closing::Now);
}

/// The same from `first` to `last`, both included.
fn close_between(first: RawFd, last: RawFd, how: Closing) {
    let flags = if how == Closing::OnExec { libc::CLOSE_RANGE_CLOEXEC } else { 0 };
    // SAFETY: takes three integers. Callers own no descriptor in this range that they use afterwards.
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, flags) } == 0 {
        return;
    }
    let mut limit = libc::rlimit { rlim_cur: 1024, rlim_max: 1024 };
    // SAFETY: the kernel fills the struct, which lives on our stack; on failure it keeps 1024.
    unsafe { libc::syscall(libc::SYS_prlimit64, 0, libc::RLIMIT_NOFILE, 0usize, &raw mut limit) };
    let end = RawFd::try_from(limit.rlim_cur.min(65_536)).unwrap_or(65_536).min(last.saturating_add(1));
    for fd in first..end {
        match how {
            // SAFETY: as above; EBADF for numbers not in use is what we expect.
            Closing::Now => unsafe { libc::syscall(libc::SYS_close, fd) },
            // SAFETY: takes integers only.
            Closing::OnExec => unsafe { libc::syscall(libc::SYS_fcntl, fd, libc::F_SETFD, libc::FD_CLOEXEC) },
        };
    }
}

/// Which of descriptors 0, 1 and 2 are closed: `poll(2)` tells all three in one call.
pub(crate) fn closed_stdio() -> [bool; 3] {
    let mut polled = [0, 1, 2].map(|fd| libc::pollfd { fd, events: 0, revents: 0 });
    // SAFETY: the kernel writes `revents` of the three entries, which live on our stack.
    unsafe { libc::poll(polled.as_mut_ptr(), 3, 0) };
    polled.map(|entry| entry.revents & libc::POLLNVAL != 0)
}

/// Opens `device` on descriptors 0, 1 and 2 where they are closed, so that none of our own lands there and is
/// taken by the entrypoint for its input or output.
pub(crate) fn fill_closed_stdio(device: &CStr) -> Result<(), Errno> {
    for (fd, _) in closed_stdio().iter().enumerate().filter(|(_, closed)| **closed) {
        let opened = open_raw(device, libc::O_RDWR)?;
        // The lowest free number is always taken, so going upwards lands exactly there.
        debug_assert_eq!(usize::try_from(opened), Ok(fd), "the lowest free descriptor");
    }
    Ok(())
}

/// `openat(2)` from the current directory without close-on-exec; the caller owns the number.
fn open_raw(path: &CStr, flags: libc::c_int) -> Result<RawFd, Errno> {
    // SAFETY: the path is a live `CStr`; the kernel copies it.
    cvt_int(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0) })
}

/// `dup3(2)`: makes `to` a copy of `from` that outlives execve.
pub(crate) fn copy_to(from: RawFd, to: RawFd) -> Result<(), Errno> {
    // SAFETY: takes three integers; `to` is a standard stream, which nobody of us owns.
    cvt_int(unsafe { libc::syscall(libc::SYS_dup3, from, to, 0) }).map(drop)
}

/// `fcntl(2)` F_DUPFD_CLOEXEC: the same file at a number above the standard streams'.
pub(crate) fn above_standard(file: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // SAFETY: takes three integers and returns a new descriptor.
    cvt_int(unsafe { libc::syscall(libc::SYS_fcntl, file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 3) }).map(own)
}

/// `pipe2(2)`, close-on-exec, on which no call waits: the ends to read from and to write to. Raw as the next two: libc's wrappers go on where
/// the kernel is older than close-on-exec.
pub(crate) fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let mut ends: [RawFd; 2] = [-1; 2];
    // SAFETY: the kernel writes two descriptors into the array.
    cvt_int(unsafe {
        libc::syscall(libc::SYS_pipe2, ends.as_mut_ptr(), libc::O_CLOEXEC | libc::O_NONBLOCK)
    })?;
    Ok((own(ends[0]), own(ends[1])))
}

/// `socketpair(2)` of Unix sockets that keep messages apart, close-on-exec.
pub(crate) fn socket_pair() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (kind, mut ends): (_, [RawFd; 2]) = (libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, [-1; 2]);
    // SAFETY: the kernel writes two descriptors into the array.
    cvt_int(unsafe { libc::syscall(libc::SYS_socketpair, libc::AF_UNIX, kind, 0, ends.as_mut_ptr()) })?;
    Ok((own(ends[0]), own(ends[1])))
}

/// `socket(2)` of no use but for an ioctl(2) on the network, close-on-exec.
pub(crate) fn any_socket() -> Result<OwnedFd, Errno> {
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: takes three integers and returns a new descriptor.
    cvt_int(unsafe { libc::syscall(libc::SYS_socket, libc::AF_UNIX, kind, 0) }).map(own)
}

/// `poll(2)`: waits until one of these descriptors can be read from or written to without waiting, or has an error to
/// tell, for ever (-1) or so many milliseconds. Says which; none if the time is over, or we were stopped and continued.
pub(crate) fn poll<const N: usize>(
    wishes: [(Option<RawFd>, libc::c_short); N],
    milliseconds: libc::c_int,
) -> Result<[bool; N], Errno> {
    let mut polled = wishes.map(|(fd, events)| libc::pollfd { fd: fd.unwrap_or(-1), events, revents: 0 });
    // SAFETY: the kernel writes `revents` of the N entries, which live on our stack.
    match cvt_int(unsafe { libc::poll(polled.as_mut_ptr(), N as libc::nfds_t, milliseconds) }.into()) {
        Ok(_) | Err(Errno::EINTR) => Ok(polled.map(|entry| entry.revents != 0)),
        Err(errno) => Err(errno),
    }
}

/// Opens a standard stream anew, so that no call on it waits: O_NONBLOCK on the one that we have would be on our caller's
/// too. Only of pipes and devices, which have no place that both must know; a call on a file does not wait.
/// The same description where it cannot be opened, as a socket or another user's terminal.
pub(crate) fn standard_without_waiting(number: RawFd) -> Result<OwnedFd, Errno> {
    let stream = standard(number);
    let kind = kind_of(stream)?;
    let access = if number == 0 { OFlag::O_RDONLY } else { OFlag::O_WRONLY };
    let path = if number == 0 { c"/proc/self/fd/0" } else { c"/proc/self/fd/1" };
    if matches!(kind, libc::S_IFIFO | libc::S_IFCHR)
        && let Ok(opened) = open_at(AT_FDCWD, path, access | OFlag::O_NONBLOCK | OFlag::O_NOCTTY)
    {
        return Ok(opened);
    }
    above_standard(stream)
}

/// Takes over a descriptor that the kernel has just handed out.
pub(super) fn own(fd: RawFd) -> OwnedFd {
    // SAFETY: called only with the fresh result of a system call, which nobody else knows.
    unsafe { OwnedFd::from_raw_fd(fd) }
}

/// The id of the mount that a handle is on, from /proc/self/fdinfo (Linux 3.15).
pub(crate) fn mount_id(fd: BorrowedFd<'_>) -> Option<u64> {
    let text = super::file::read(filled!("/proc/self/fdinfo/{}", &fd.as_raw_fd()).text().as_ref()).ok()?;
    text::lines(&text).find_map(|line| text::number(line.strip_prefix("mnt_id:")?.trim_ascii()))
}

/// `readlink("/proc/self/fd/N")`: the path of a descriptor as the kernel sees it now.
pub(crate) fn path_of(fd: BorrowedFd<'_>) -> Result<OsString, Errno> {
    let path = text::c_string(filled!("/proc/self/fd/{}", &fd.as_raw_fd()).text())?;
    target_of(fd, &path)
}

/// `fstat(2)`: the kind of file, as the bits of S_IFMT.
#[inline(never)]
pub(crate) fn kind_of(fd: BorrowedFd<'_>) -> Result<libc::mode_t, Errno> {
    stat(fd).map(|found| found.st_mode & libc::S_IFMT)
}

/// `fstat(2)`.
pub(crate) fn stat(file: BorrowedFd<'_>) -> Result<FileStat, Errno> {
    stat_at(file, c"", AtFlags::AT_EMPTY_PATH)
}

/// `newfstatat(2)`. libc's is 700 bytes with its ways for kernels that count time in 32 bits; those are for where the
/// kernel's struct is not libc's.
#[inline(never)]
pub(crate) fn stat_at(dir: BorrowedFd<'_>, name: &CStr, flags: AtFlags) -> Result<FileStat, Errno> {
    let (fd, name, flags) = (dir.as_raw_fd(), name.as_ptr(), flags.bits());
    let mut found = MaybeUninit::<FileStat>::uninit();
    #[cfg(target_pointer_width = "64")]
    // SAFETY: the name is a live `CStr`; the kernel fills its struct.
    cvt_int(unsafe { libc::syscall(libc::SYS_newfstatat, fd, name, found.as_mut_ptr(), flags) })?;
    #[cfg(not(target_pointer_width = "64"))]
    // SAFETY: the name is a live `CStr`; libc fills its struct.
    cvt_int(unsafe { libc::fstatat(fd, name, found.as_mut_ptr(), flags) }.into())?;
    // SAFETY: it was filled, or we would not be here.
    Ok(unsafe { found.assume_init() })
}

/// `readlinkat(2)`: where a link leads, in the folder `dir`; `c""`, since Linux 2.6.39: where the link `dir` itself does.
pub(crate) fn target_of(dir: BorrowedFd<'_>, name: &CStr) -> Result<OsString, Errno> {
    let mut bytes = vec![0; 4096]; // PATH_MAX
    let (fd, buffer) = (dir.as_raw_fd(), bytes.as_mut_ptr());
    // SAFETY: the kernel reads the name and writes at most 4096 bytes into the buffer.
    let length = cvt_int(unsafe { libc::syscall(libc::SYS_readlinkat, fd, name.as_ptr(), buffer, 4096) })?;
    bytes.truncate(usize::try_from(length).unwrap_or(0));
    Ok(OsString::from_vec(bytes))
}
