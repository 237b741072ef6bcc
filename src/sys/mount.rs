//! Mounts: mount(2) split into what it does, and the descriptor-based calls of Linux 5.2 and 5.12.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::mount::MsFlags;

use super::fd::own;
use super::{cvt, cvt_int};
use crate::text;

/// `mount(2)` of a new file system on the current directory: no path, hence nothing to be led astray by.
pub(crate) fn new_filesystem_here(kind: &CStr, flags: MsFlags, data: &CStr) -> Result<(), Errno> {
    nix::mount::mount(Some(kind), c".", Some(kind), flags, Some(data))
}

/// `mount(2)` of a new file system on a path relative to the current directory.
pub(crate) fn new_filesystem(kind: &CStr, target: &CStr, flags: MsFlags, data: &CStr) -> Result<(), Errno> {
    nix::mount::mount(Some(kind), target, Some(kind), flags, Some(data))
}

/// `mount(2)` of the file system on a device, over everything that is mounted on `/` by now.
pub(crate) fn cover_root(device: &CStr, kind: &CStr, flags: MsFlags, data: &CStr) -> Result<(), Errno> {
    nix::mount::mount(Some(device), c"/", Some(kind), flags, Some(data))
}

/// `mount(2)` with MS_BIND, the old way: by path.
pub(crate) fn bind(source: &CStr, target: &CStr, recursive: bool) -> Result<(), Errno> {
    let recursive = if recursive { MsFlags::MS_REC } else { MsFlags::empty() };
    nix::mount::mount(Some(source), target, None::<&CStr>, MsFlags::MS_BIND | recursive, None::<&CStr>)
}

/// `mount(2)` with MS_REMOUNT|MS_BIND: replaces the flags of the mount, not of the file
/// system. In a user namespace flags that were inherited must be repeated, or EPERM.
pub(crate) fn remount_bind(target: &CStr, flags: MsFlags) -> Result<(), Errno> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_BIND | flags;
    nix::mount::mount(None::<&CStr>, target, None::<&CStr>, flags, None::<&CStr>)
}

/// `mount(2)` that changes the propagation of `target`, and with MS_REC of everything below it.
pub(crate) fn set_propagation(target: &CStr, propagation: MsFlags) -> Result<(), Errno> {
    nix::mount::mount(None::<&CStr>, target, None::<&CStr>, propagation, None::<&CStr>)
}

/// `mount(2)` with MS_MOVE.
pub(crate) fn move_path(source: &CStr, target: &CStr) -> Result<(), Errno> {
    nix::mount::mount(Some(source), target, None::<&CStr>, MsFlags::MS_MOVE, None::<&CStr>)
}

/// `open_tree(2)`, Linux 5.2: a detached copy of the mount at `path` beneath `dir` (`c""`: of `dir` itself).
pub(crate) fn clone_tree(dir: BorrowedFd<'_>, path: &CStr, recursive: bool) -> Result<OwnedFd, Errno> {
    let mut flags = libc::OPEN_TREE_CLONE | libc::OPEN_TREE_CLOEXEC | libc::AT_EMPTY_PATH as libc::c_uint;
    if recursive {
        flags |= libc::AT_RECURSIVE as libc::c_uint;
    }
    // SAFETY: the path is a live `CStr`; the kernel copies it and returns a new descriptor.
    cvt_int(unsafe { libc::syscall(libc::SYS_open_tree, dir.as_raw_fd(), path.as_ptr(), flags) }).map(own)
}

/// `fspick(2)`, `fsconfig(2)`, Linux 5.2: makes the file system of this mount read-only, also one that is mounted nowhere any
/// more and that only its users, as an overlay, know. EBUSY: something is being written.
#[cfg(feature = "board")]
pub(crate) fn make_file_system_read_only(mount: BorrowedFd<'_>) -> Result<(), Errno> {
    /// FSPICK_CLOEXEC and FSPICK_EMPTY_PATH; linux/mount.h.
    const FLAGS: libc::c_uint = 1 | 8;
    /// FSCONFIG_SET_FLAG.
    const SET_FLAG: libc::c_uint = 0;
    /// FSCONFIG_CMD_RECONFIGURE.
    const RECONFIGURE: libc::c_uint = 7;
    // SAFETY: the path is a C string; the kernel returns a new descriptor.
    let context = cvt_int(unsafe { libc::syscall(libc::SYS_fspick, mount.as_raw_fd(), c"".as_ptr(), FLAGS) })
        .map(own)?;
    let fd = context.as_raw_fd();
    // SAFETY: the key is a C string, which the kernel copies.
    cvt(unsafe { libc::syscall(libc::SYS_fsconfig, fd, SET_FLAG, c"ro".as_ptr(), 0usize, 0) })?;
    // SAFETY: the command takes no further arguments.
    cvt(unsafe { libc::syscall(libc::SYS_fsconfig, fd, RECONFIGURE, 0usize, 0usize, 0) }).map(drop)
}

/// `fsopen(2)`, `fsconfig(2)`, `fsmount(2)`, Linux 5.2: a new file system with these options, of which some have values,
/// mounted nowhere yet and without devices.
pub(crate) fn new_detached(kind: &CStr, options: &[(&CStr, Option<&CStr>)]) -> Result<OwnedFd, Errno> {
    /// linux/mount.h; libc has the numbers of the calls only.
    const FSCONFIG_SET_FLAG: libc::c_uint = 0;
    /// See above.
    const FSCONFIG_SET_STRING: libc::c_uint = 1;
    /// See above.
    const FSCONFIG_CMD_CREATE: libc::c_uint = 6;
    // FSOPEN_CLOEXEC and FSMOUNT_CLOEXEC are both 1.
    // SAFETY: the name is a live `CStr`; the kernel copies it and returns a new descriptor.
    let context = cvt_int(unsafe { libc::syscall(libc::SYS_fsopen, kind.as_ptr(), 1) }).map(own)?;
    let fd = context.as_raw_fd();
    for (key, value) in options {
        let (command, value) = match value {
            Some(value) => (FSCONFIG_SET_STRING, value.as_ptr()),
            None => (FSCONFIG_SET_FLAG, std::ptr::null()),
        };
        // SAFETY: key and value are live strings, which the kernel copies.
        cvt(unsafe { libc::syscall(libc::SYS_fsconfig, fd, command, key.as_ptr(), value, 0) })?;
    }
    // SAFETY: the command takes no further arguments.
    cvt(unsafe { libc::syscall(libc::SYS_fsconfig, fd, FSCONFIG_CMD_CREATE, 0usize, 0usize, 0) })?;
    // SAFETY: takes integers only and returns a new descriptor.
    cvt_int(unsafe { libc::syscall(libc::SYS_fsmount, fd, 1, libc::MOUNT_ATTR_NODEV) }).map(own)
}

/// `move_mount(2)`, Linux 5.2: attaches a detached mount on what `target` refers to.
pub(crate) fn attach(mount: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<(), Errno> {
    let flags = libc::MOVE_MOUNT_F_EMPTY_PATH | libc::MOVE_MOUNT_T_EMPTY_PATH;
    let (from, to) = (mount.as_raw_fd(), target.as_raw_fd());
    // SAFETY: both paths are the empty string literal; the kernel works on the descriptors.
    cvt(unsafe { libc::syscall(libc::SYS_move_mount, from, c"".as_ptr(), to, c"".as_ptr(), flags) }).map(drop)
}

/// `mount_setattr(2)`, Linux 5.12: adds flags to the mount that `mount` refers to and removes none. Read-only, nosuid,
/// nodev and noexec are the same bits here as in mount(2); others are not for this call.
pub(crate) fn add_flags(mount: BorrowedFd<'_>, flags: MsFlags, recursive: bool) -> Result<(), Errno> {
    #[allow(clippy::unnecessary_cast, reason = "the flags of mount(2) are as wide as a register")]
    let attributes = flags.bits() as u64;
    set_attributes(mount, attributes, 0, recursive)
}

/// The same call with MOUNT_ATTR_IDMAP: who owns a file in this detached mount is looked up in that user namespace.
pub(crate) fn map_ids(mount: BorrowedFd<'_>, userns: BorrowedFd<'_>, recursive: bool) -> Result<(), Errno> {
    set_attributes(mount, libc::MOUNT_ATTR_IDMAP, userns.as_raw_fd() as u64, recursive)
}

/// See the two.
fn set_attributes(
    mount: BorrowedFd<'_>,
    attr_set: u64,
    userns_fd: u64,
    recursive: bool,
) -> Result<(), Errno> {
    let attr = libc::mount_attr { attr_set, attr_clr: 0, propagation: 0, userns_fd };
    let flags = libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 };
    let (fd, size) = (mount.as_raw_fd(), size_of::<libc::mount_attr>());
    // SAFETY: the kernel reads `size` bytes of `attr`, which lives until the call returns.
    cvt(unsafe { libc::syscall(libc::SYS_mount_setattr, fd, c"".as_ptr(), flags, &raw const attr, size) })
        .map(drop)
}

/// `pivot_root(2)`, any kernel we support; no libc wrapper. Both may be `"."`: see primitives/rootfs.rs.
pub(crate) fn pivot_root(new_root: &CStr, put_old: &CStr) -> Result<(), Errno> {
    // SAFETY: both pointers come from live `CStr`s; the kernel copies them and keeps nothing.
    cvt(unsafe { libc::syscall(libc::SYS_pivot_root, new_root.as_ptr(), put_old.as_ptr()) }).map(drop)
}

/// `umount2(2)` with MNT_DETACH: out of sight now, gone when the last user is.
pub(crate) fn detach(target: &CStr) -> Result<(), Errno> {
    nix::mount::umount2(target, nix::mount::MntFlags::MNT_DETACH)
}

/// `umount2(2)` with UMOUNT_NOFOLLOW. EBUSY: somebody has a file of it open, or something is mounted on it.
#[cfg(feature = "container")]
pub(crate) fn unmount(target: &CStr) -> Result<(), Errno> {
    nix::mount::umount2(target, nix::mount::MntFlags::UMOUNT_NOFOLLOW)
}

/// `mount(2)` with MS_REMOUNT|MS_RDONLY: the file system itself, wherever it is mounted. EBUSY: a file is open for writing.
#[cfg(feature = "container")]
pub(crate) fn remount_read_only(target: &CStr) -> Result<(), Errno> {
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    nix::mount::mount(None::<&CStr>, target, None::<&CStr>, flags, None::<&CStr>)
}

/// The mount points below `folder`, from /proc/self/mountinfo.
pub(crate) fn points_below(folder: &Path) -> Result<Vec<PathBuf>, Errno> {
    Ok(parse_points(&super::file::read(Path::new("/proc/self/mountinfo"))?, folder))
}

/// The same of a text.
pub(crate) fn parse_points(text: &str, folder: &Path) -> Vec<PathBuf> {
    // as text, which is enough: neither side has a `.` or a `//`, and only `/` ends with a slash
    let above = folder.as_os_str().as_bytes();
    let above = above.strip_suffix(b"/").unwrap_or(above);
    let mut found = Vec::new();
    for line in text::lines(text) {
        let point = unescape(text::parts(line, b' ').nth(4).unwrap_or_default());
        if matches!(point.as_bytes().strip_prefix(above), Some([b'/', _, ..])) {
            found.push(PathBuf::from(point));
        }
    }
    found
}

/// Paths in mountinfo have blank, tab, newline and backslash as three octal digits; proc(5).
pub(crate) fn unescape(text: &str) -> String {
    let mut parts = text::parts(text, b'\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (letter, rest) = match part.split_at_checked(3) {
            Some(("040", rest)) => (' ', rest),
            Some(("011", rest)) => ('\t', rest),
            Some(("012", rest)) => ('\n', rest),
            Some(("134", rest)) => ('\\', rest),
            _ => ('\\', part),
        };
        plain.push(letter);
        plain.push_str(rest);
    }
    plain
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_mountinfo_escapes_comes_back() {
        let cases = [
            ("/a\\040b\\011c\\012d\\134e", "/a b\tc\nd\\e"),
            ("/a\\134040b", "/a\\040b"),
            ("/plain", "/plain"),
            ("/other\\777", "/other\\777"),
            ("/end\\", "/end\\"),
            ("", ""),
        ];
        for (text, want) in cases {
            assert_eq!(super::unescape(text), want, "{text}");
        }
    }
}
