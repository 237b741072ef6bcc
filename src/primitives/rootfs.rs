//! The folder that becomes `/`: every path beneath it, and the change of root.

use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::MsFlags;
use nix::sys::stat::Mode;

use crate::error::{Doing, Error, Result};
use crate::packed::{Fill, filled, packed};
use crate::sys;
use crate::text::{self, Show};

/// A path as the kernel wants it.
///
/// # Errors
/// There is a NUL byte in it.
pub(crate) fn c_path(path: impl AsRef<Path>) -> Result<CString> {
    super::execve::c_string(path.as_ref().as_os_str())
}

/// Opens `path` as a process inside `root` would see it, as a mere handle (O_PATH). The one resolver: mount targets,
/// masks and devices all come through here (CVE-2015-1335, CVE-2019-19921, CVE-2024-45310). No link is followed: all
/// these places are real folders and files, and what an image has behind a link is not what we mean.
///
/// # Errors
/// As open(2); ELOOP for a symbolic link on the way.
pub(crate) fn resolve_in_root(
    root: BorrowedFd<'_>,
    path: &Path,
    kind: Wanted,
) -> std::result::Result<OwnedFd, Errno> {
    let name = text::c_string(path.as_os_str().as_bytes())?;
    let flags = if kind == Wanted::Folder { OFlag::O_PATH | OFlag::O_DIRECTORY } else { OFlag::O_PATH };
    match sys::fd::open_in_root(root, &name, flags) {
        // Before Linux 5.6, and under filters that do not know the call.
        Err(Errno::ENOSYS) => walk(root, path, kind),
        result => result,
    }
}

/// What may be found at a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// A folder; ENOTDIR for anything else.
    Folder,
    /// A folder, a file, a device.
    Anything,
}

/// Component by component without following any link: what can be had without openat2.
fn walk(root: BorrowedFd<'_>, path: &Path, kind: Wanted) -> std::result::Result<OwnedFd, Errno> {
    let mut place = sys::fd::open_at(root, c".", OFlag::O_PATH)?;
    for part in path.as_os_str().as_bytes().split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err(Errno::EXDEV),
            _ => {}
        }
        place = sys::fd::open_at(place.as_fd(), &text::c_string(part)?, OFlag::O_PATH | OFlag::O_NOFOLLOW)?;
        if sys::fd::kind_of(place.as_fd())? == libc::S_IFLNK {
            return Err(Errno::ELOOP);
        }
    }
    if kind == Wanted::Folder { sys::fd::open_at(place.as_fd(), c".", OFlag::O_PATH) } else { Ok(place) }
}

/// Opens the folder `path` inside `root`, making what is missing.
///
/// # Errors
/// A part of the path is a link or a file, or cannot be made.
pub(crate) fn ensure_folder(root: BorrowedFd<'_>, path: &Path) -> Result<OwnedFd> {
    let open = || resolve_in_root(root, path, Wanted::Folder);
    match open() {
        Err(Errno::ENOENT) => {}
        result => return result.map_err(|errno| refused(path, errno)),
    }
    let Some((parent, name)) = text::folder_and_name(path) else {
        return Err(refused(path, Errno::ENOENT));
    };
    let parent = ensure_folder(root, parent)?;
    let name = c_path(name)?;
    match nix::sys::stat::mkdirat(&parent, &*name, Mode::from_bits_truncate(0o755)) {
        Ok(()) | Err(Errno::EEXIST) => open().map_err(|errno| refused(path, errno)),
        Err(errno) => Err(Error::os(filled!("make the mount point {}", path.shown()), errno)
            .hint(packed!("the rootfs lacks this folder, and launcher cannot make it there"))),
    }
}

/// Says why a mount point cannot be used.
fn refused(path: &Path, errno: Errno) -> Error {
    let error = Error::os(filled!("open the mount point {}", path.shown()), errno);
    match errno {
        Errno::ELOOP => error.hint(packed!("a symbolic link stands where the rootfs should have a folder")),
        _ => error,
    }
}

/// Binds one handle on another, with all that is mounted below it, and returns a handle of the new mount.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn bind_to(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<OwnedFd> {
    match sys::mount::clone_tree(source, c"", true) {
        Ok(tree) => {
            sys::mount::attach(tree.as_fd(), target).doing(packed!("attach the bind mount"))?;
            Ok(tree)
        }
        // Before Linux 5.2, and under filters that do not know the call.
        Err(Errno::ENOSYS) => {
            sys::mount::bind(&handle_path(source), &handle_path(target), true).doing(packed!("bind"))?;
            reopen_covered(target)
        }
        Err(errno) => Err(errno).doing(packed!("clone the mount")),
    }
}

/// Binds the folder `here` on itself: pivot_root wants a mount, and one that is not the current root.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn bind_on_itself(here: BorrowedFd<'_>) -> Result<OwnedFd> {
    bind_to(here, here)
}

/// `/proc/self/fd/N`: a handle as a path, for calls that take nothing else. Only before the root changes, while
/// /proc is the host's.
pub(crate) fn handle_path(handle: BorrowedFd<'_>) -> CString {
    // A number has no NUL byte in it.
    text::c_string(filled!("/proc/self/fd/{}", &handle.as_raw_fd()).text()).unwrap_or_default()
}

/// A handle of what was just mounted over `covered`, for kernels that cannot hand out one: the path is looked up again.
///
/// # Errors
/// The path leads elsewhere by now: somebody moves folders while we work. Or it is `/`, which leads to our root and
/// never to what covers it: that needs Linux 5.2.
pub(crate) fn reopen_covered(covered: BorrowedFd<'_>) -> Result<OwnedFd> {
    let path = sys::fd::path_of(covered).doing(packed!("find the mount again"))?;
    let name = c_path(&path)?;
    let mounted = sys::fd::open_at(nix::fcntl::AT_FDCWD, &name, OFlag::O_PATH | OFlag::O_NOFOLLOW);
    let mounted = mounted.doing(packed!("open the mount"))?;
    let is_new = sys::fd::mount_id(mounted.as_fd()) != sys::fd::mount_id(covered);
    let is_there = sys::fd::path_of(mounted.as_fd()).doing(packed!("find the mount again"))? == path;
    if is_new && is_there {
        Ok(mounted)
    } else {
        Err(Error::new(packed!("find the mount again: its path leads elsewhere")))
    }
}

/// Lays a copy of the whole tree of mounts over `/` and makes it our root. The initramfs itself cannot be pivoted
/// (EINVAL: its mount has no parent); a copy that is mounted on it can.
///
/// # Errors
/// The kernel refuses one of the calls.
pub(crate) fn make_root_pivotable() -> Result<()> {
    let root = sys::fd::open_path(c"/").doing(packed!("open /"))?;
    let copy = bind_on_itself(root.as_fd())?;
    // The folder that the parent entered lies in the mounts beneath; its path is found again in the copy.
    let cwd = sys::process::current_dir().doing(packed!("find the rootfs"))?;
    sys::fd::enter(copy.as_fd()).doing(packed!("enter the copy"))?;
    enter_as_root()?;
    sys::path::enter(&cwd).doing(filled!("enter {} in the copy", cwd.shown()))
}

/// Makes `root` our `/` and throws the old one away. pivot_root(2): with "." for both, the old root ends up on top
/// of the new one and is detached from there, so that no folder is needed to put it. Returns a handle of the old one
/// where that could not be: it is covered, by the new root.
///
/// # Errors
/// The kernel refuses one of the calls.
pub(crate) fn pivot(root: BorrowedFd<'_>, covers_all: bool) -> Result<Option<OwnedFd>> {
    let old = sys::fd::open_path(c"/").doing(packed!("open the old root"))?;
    sys::fd::enter(root).doing(packed!("enter the new root"))?;
    let covered = match sys::mount::pivot_root(c".", c".") {
        Ok(()) => {
            detach_old_root(old.as_fd())?;
            None
        }
        // An initramfs that could not be laid over: the new root is moved on top of everything, which hides the rest.
        Err(Errno::EINVAL) => {
            if !covers_all {
                sys::mount::move_path(c".", c"/")
                    .doing(packed!("pivot_root, then move the new root over /"))?;
            }
            enter_as_root()?;
            Some(old)
        }
        Err(errno) => return Err(errno).doing(packed!("pivot_root")),
    };
    nix::unistd::chdir(c"/").doing(packed!("enter /"))?;
    Ok(covered)
}

/// Detaches the old root and all that is stacked on it, from the top: where the rootfs is `/`, the layers of an overlay
/// are. Every mount is a slave of the host's since the first step, so that this stays in here.
fn detach_old_root(old: BorrowedFd<'_>) -> Result<()> {
    sys::fd::enter(old).doing(packed!("enter the old root"))?;
    loop {
        // Asked from inside the old root, this never means the new one.
        sys::mount::detach(c".").doing(packed!("detach the old root"))?;
        // It can be reached as long as it is mounted anywhere.
        if !sys::process::cwd_is_inside().doing(packed!("look for the old root"))? {
            return Ok(());
        }
    }
}

/// Makes the current directory our root. No isolation, and not meant as one: what is left outside is covered by a
/// mount that nobody inside can take away.
fn enter_as_root() -> Result<()> {
    #[allow(clippy::disallowed_methods, reason = "only of a mount that lies over the whole old root")]
    nix::unistd::chroot(".").doing(packed!("chroot"))
}

/// Makes device nodes in `root` and in what is mounted below it useless: an image may bring its own, of the host's disk.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn forbid_devices(root: BorrowedFd<'_>) -> Result<()> {
    add_flags_to_tree(root, MsFlags::MS_NODEV)
}

/// Makes the mount of `root` read-only, and none of those below it.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn make_root_read_only(root: BorrowedFd<'_>) -> Result<()> {
    match sys::mount::add_flags(root, MsFlags::MS_RDONLY, false) {
        // Before Linux 5.12.
        Err(Errno::ENOSYS) => remount(root, MsFlags::MS_RDONLY),
        result => result.doing(packed!("set the attribute")),
    }
}

/// Adds flags to a mount and to all below it, and takes none away.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn add_flags_to_tree(top: BorrowedFd<'_>, flags: MsFlags) -> Result<()> {
    match sys::mount::add_flags(top, flags, true) {
        // Before Linux 5.12.
        Err(Errno::ENOSYS) => remount_tree(top, flags),
        result => result.doing(packed!("set its flags")),
    }
}

/// Adds flags to a mount the old way: repeats those that the mount has.
///
/// # Errors
/// The kernel refuses.
fn remount(place: BorrowedFd<'_>, flags: MsFlags) -> Result<()> {
    let flags = flags | flags_of(place)?;
    sys::mount::remount_bind(&path_now(place)?, flags).doing(packed!("remount"))
}

/// Sets what comes in and goes out of a mount, and with MS_REC of those below it.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn set_propagation(place: BorrowedFd<'_>, propagation: MsFlags) -> Result<()> {
    sys::mount::set_propagation(&path_now(place)?, propagation).doing(packed!("set the propagation"))
}

/// A path to what is mounted, for calls that take nothing else: the current directory, where it can be that.
fn path_now(place: BorrowedFd<'_>) -> Result<CString> {
    match sys::fd::enter(place) {
        Ok(()) => Ok(c".".to_owned()),
        // A file that is mounted on a file, as docker does with /etc/resolv.conf; or a folder that we may not enter, such
        // as the tracefs in the host's /sys.
        Err(Errno::ENOTDIR | Errno::EACCES) => Ok(handle_path(place)),
        Err(errno) => Err(errno).doing(packed!("enter the folder")),
    }
}

/// The same for a mount and all below it: what mount_setattr(2) does in one call since Linux 5.12. Only before the root
/// changes, while /proc is the host's.
///
/// # Errors
/// The kernel refuses.
fn remount_tree(top: BorrowedFd<'_>, flags: MsFlags) -> Result<()> {
    let base = sys::fd::path_of(top).doing(packed!("find the mount"))?;
    remount(top, flags)?;
    for below in sys::mount::points_below(Path::new(&base)).doing(packed!("read /proc/self/mountinfo"))? {
        let place =
            sys::fd::open_at(nix::fcntl::AT_FDCWD, &c_path(&below)?, OFlag::O_PATH | OFlag::O_NOFOLLOW);
        let place = place.doing(filled!("open {}", below.shown()))?;
        remount(place.as_fd(), flags).map_err(|error| error.within(filled!("{}", below.shown())))?;
    }
    Ok(())
}

/// The flags that a remount has to repeat: it drops those not named, and in a user namespace it may drop none. The
/// kind of atime is kept where none is named.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn flags_of(folder: BorrowedFd<'_>) -> Result<MsFlags> {
    let has = nix::sys::statfs::fstatfs(folder).doing(packed!("look at the mount"))?.flags();
    // The four have the same bits in statfs(2) and mount(2).
    let repeated = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    Ok(MsFlags::from_bits_truncate(has.bits()) & repeated)
}
