//! Performs mounts beneath the handle of the rootfs, never by a path that the image controls.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::MsFlags;

use super::rootfs::{Wanted, add_flags_to_tree, bind_to, c_path, ensure_folder, resolve_in_root};
use crate::error::{Doing, Error, Result};
use crate::spec::mount::{Flags, Mount, Source};
use crate::sys;

/// Performs one mount; its target is made if it is missing.
///
/// # Errors
/// The target cannot be used, or the kernel refuses the mount and there is no other way to the same end.
pub(crate) fn perform(root: BorrowedFd<'_>, mount: &Mount) -> Result<()> {
    let target = ensure_folder(root, Path::new(&mount.target))?;
    match &mount.source {
        Source::New { kind, data } => match mount_new(target.as_fd(), kind, mount.flags, data) {
            // Already there: the folder shows just this file system, bound together with what is around it.
            Err(Errno::EBUSY) if *kind == "cgroup2" => Ok(()),
            Err(errno) => Err(explain(kind, errno)),
            Ok(()) => Ok(()),
        },
        Source::Host(path) => bind(target.as_fd(), path, mount.flags),
        Source::SysfsOrHosts => match mount_new(target.as_fd(), "sysfs", mount.flags, "") {
            Err(Errno::EPERM) => bind(target.as_fd(), Path::new("/sys"), mount.flags),
            result => result.doing(""),
        },
    }
}

/// Adds what is known about a refusal. The step says the rest.
fn explain(kind: &str, errno: Errno) -> Error {
    let error = Error::os("", errno);
    match (kind, errno) {
        ("proc", Errno::EPERM) => error.hint(
            "parts of the host's /proc are covered, as inside a container, and the kernel gives no fresh one then; \
             uncover them (docker: --security-opt systempaths=unconfined) or use --pid host",
        ),
        (_, Errno::ENODEV) => error.hint("the kernel has no such file system"),
        _ => error,
    }
}

/// Mounts a new file system on a handle, by way of the current directory.
fn mount_new(target: BorrowedFd<'_>, kind: &str, flags: Flags, data: &str) -> std::result::Result<(), Errno> {
    let (kind, data) = (c_path(kind).map_err(|_| Errno::EINVAL)?, c_path(data).map_err(|_| Errno::EINVAL)?);
    nix::unistd::fchdir(target)?;
    sys::mount::new_filesystem_here(&kind, ms_flags(flags), &data)
}

/// The kernel's flags for ours.
fn ms_flags(flags: Flags) -> MsFlags {
    MsFlags::from_bits_truncate(libc::c_ulong::from(flags.0))
}

/// Shows the host's `source`, and all that is mounted below it, at `target`.
fn bind(target: BorrowedFd<'_>, source: &Path, flags: Flags) -> Result<()> {
    let name = c_path(source)?;
    let source = sys::fd::open_path(&name).doing(format_args!("open {}", source.display()))?;
    let tree = bind_to(source.as_fd(), target)?;
    add_flags_to_tree(tree.as_fd(), ms_flags(flags))
}

/// Makes what is at `path` read-only, mounts below included. What does not exist needs no protection.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn make_read_only(root: BorrowedFd<'_>, path: &str) -> Result<()> {
    let place = match resolve_in_root(root, Path::new(path), Wanted::Anything) {
        Err(Errno::ENOENT) => return Ok(()),
        result => result.doing(path)?,
    };
    let tree = bind_to(place.as_fd(), place.as_fd()).map_err(|error| error.within(path))?;
    add_flags_to_tree(tree.as_fd(), MsFlags::MS_RDONLY).map_err(|error| error.within(path))
}

/// Enters a file system of the kernel's that was mounted before, and makes sure that we are in it: nobody may have
/// moved the mount point meanwhile. Names in it are the kernel's, so from here on they may be used as paths.
fn enter_kernel_filesystem(root: BorrowedFd<'_>, folder: &KernelFolder) -> Result<OwnedFd> {
    let what = format_args!("enter {}", folder.path).to_string();
    let place = resolve_in_root(root, Path::new(folder.path), Wanted::Folder).doing(&what)?;
    let found = nix::sys::statfs::fstatfs(&place).doing(&what)?.filesystem_type();
    if found != folder.magic {
        return Err(Error::new(what).hint("another file system is there than the one that launcher mounted"));
    }
    nix::unistd::fchdir(&place).doing(&what)?;
    Ok(place)
}

/// A file system of the kernel's and names in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KernelFolder {
    /// Where it is mounted.
    pub(crate) path: &'static str,
    /// What statfs(2) says of it.
    pub(crate) magic: nix::sys::statfs::FsType,
    /// Files and folders in it.
    pub(crate) names: &'static [&'static CStr],
}

/// Makes what has these names read-only. What does not exist needs no protection.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn make_names_read_only(root: BorrowedFd<'_>, folder: &KernelFolder) -> Result<()> {
    let place = enter_kernel_filesystem(root, folder)?;
    let flags = MsFlags::MS_RDONLY | super::rootfs::flags_of(place.as_fd())?;
    for name in folder.names {
        match sys::mount::bind(name, name, false) {
            Err(Errno::ENOENT) => {}
            // Mounts below, locked in a user namespace, must come along and be changed too.
            Err(Errno::EINVAL) => {
                make_read_only(root, &format!("{}/{}", folder.path, name.to_string_lossy()))?;
                nix::unistd::fchdir(&place).doing("come back")?;
            }
            result => {
                result.and_then(|()| sys::mount::remount_bind(name, flags)).doing(name.to_string_lossy())?;
            }
        }
    }
    Ok(())
}

/// Hides what has these names: files behind the host's /dev/null (the image's may be anything, CVE-2025-31133),
/// folders behind an empty one that loses its name afterwards, so that nothing can ever be put in.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn mask(root: BorrowedFd<'_>, folders: &[KernelFolder]) -> Result<()> {
    // Missing, it would look below as if the file to hide were; a file of the host's must not be shown, nor written to.
    let null = nix::sys::stat::stat("/dev/null").doing("look at the host's /dev/null")?;
    if null.st_rdev != nix::sys::stat::makedev(1, 3) {
        return Err(Error::new("the host's /dev/null is not the device of that name"));
    }
    let what = "make an empty folder";
    let dev = resolve_in_root(root, Path::new("/dev"), Wanted::Folder).doing("open /dev")?;
    nix::sys::stat::mkdirat(&dev, c"masked", nix::sys::stat::Mode::from_bits_truncate(0o555)).doing(what)?;
    let empty = sys::fd::open_at(dev.as_fd(), c"masked", OFlag::O_PATH | OFlag::O_NOFOLLOW).doing(what)?;
    for folder in folders {
        let place = enter_kernel_filesystem(root, folder)?;
        for name in folder.names {
            hide(place.as_fd(), name, empty.as_fd()).map_err(|error| error.within(name.to_string_lossy()))?;
        }
    }
    nix::unistd::unlinkat(&dev, c"masked", nix::unistd::UnlinkatFlags::RemoveDir).doing("remove its name")
}

/// Hides one name in `place`, which is the current directory. What does not exist needs no mask.
fn hide(place: BorrowedFd<'_>, name: &CStr, empty: BorrowedFd<'_>) -> Result<()> {
    // Known beforehand: a bind of the wrong kind, which the kernel takes back, costs a tenth of the whole start.
    if !name.to_bytes().ends_with(b"/") {
        return match sys::mount::bind(c"/dev/null", name, false) {
            Err(Errno::ENOENT) => Ok(()),
            result => result.doing(""),
        };
    }
    match sys::fd::open_at(place, name, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(()),
        below => bind_to(empty, below.doing("")?.as_fd()).map(drop),
    }
}
