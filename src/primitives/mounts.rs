//! Performs mounts beneath the handle of the rootfs, never by a path that the image controls.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::MsFlags;

use super::rootfs::{c_path, ensure_folder, handle_path, remount, resolve_in_root};
use crate::error::{Doing, Error, Result};
use crate::spec::mount::{Flags, Mount, Source};
use crate::sys;

/// Performs one mount; its target is made if it is missing.
///
/// # Errors
/// The target cannot be used, or the kernel refuses the mount and there is no other way to the same end.
pub(crate) fn perform(root: BorrowedFd<'_>, mount: &Mount) -> Result<()> {
    let target = ensure_folder(root, &mount.target)?;
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
    let mut bits = MsFlags::empty();
    for (set, bit) in [
        (flags.read_only, MsFlags::MS_RDONLY),
        (flags.nosuid, MsFlags::MS_NOSUID),
        (flags.nodev, MsFlags::MS_NODEV),
        (flags.noexec, MsFlags::MS_NOEXEC),
    ] {
        if set {
            bits |= bit;
        }
    }
    bits
}

/// The same for mount_setattr(2).
fn attributes(flags: Flags) -> u64 {
    [
        (flags.read_only, sys::mount::ATTR_RDONLY),
        (flags.nosuid, libc::MOUNT_ATTR_NOSUID),
        (flags.nodev, libc::MOUNT_ATTR_NODEV),
        (flags.noexec, libc::MOUNT_ATTR_NOEXEC),
    ]
    .into_iter()
    .filter(|(set, _)| *set)
    .fold(0, |bits, (_, bit)| bits | bit)
}

/// Shows the host's `source`, and all that is mounted below it, at `target`.
fn bind(target: BorrowedFd<'_>, source: &Path, flags: Flags) -> Result<()> {
    let name = c_path(source)?;
    let source = nix::fcntl::open(&*name, OFlag::O_PATH | OFlag::O_CLOEXEC, nix::sys::stat::Mode::empty())
        .doing(format_args!("open {}", source.display()))?;
    let tree = bind_to(source.as_fd(), target)?;
    match sys::mount::set_attributes(tree.as_fd(), attributes(flags), true) {
        // Before Linux 5.12 only the topmost mount can be changed.
        Err(Errno::ENOSYS) => remount(tree.as_fd(), ms_flags(flags)),
        result => result.doing("set its flags"),
    }
}

/// Binds one handle on another and returns a handle of the new mount.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn bind_to(source: BorrowedFd<'_>, target: BorrowedFd<'_>) -> Result<OwnedFd> {
    match sys::mount::clone_tree(source, c"", true) {
        Ok(tree) => {
            sys::mount::attach(tree.as_fd(), target).doing("attach the bind mount")?;
            Ok(tree)
        }
        Err(Errno::ENOSYS) => {
            sys::mount::bind(&handle_path(source), &handle_path(target), true).doing("bind")?;
            super::rootfs::reopen_covered(target)
        }
        Err(errno) => Err(errno).doing("clone the mount"),
    }
}

/// Makes what is at each of `paths` read-only, mounts below included. What does not exist needs no protection.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn make_read_only(root: BorrowedFd<'_>, paths: &[&str]) -> Result<()> {
    for path in paths {
        let Some(place) = existing(root, path)? else { continue };
        let tree = bind_to(place.as_fd(), place.as_fd()).map_err(|error| on(path, error))?;
        match sys::mount::set_attributes(tree.as_fd(), sys::mount::ATTR_RDONLY, true) {
            Err(Errno::ENOSYS) => {
                remount(tree.as_fd(), MsFlags::MS_RDONLY).map_err(|error| on(path, error))?
            }
            result => result.doing(path)?,
        }
    }
    Ok(())
}

/// Hides what is at each of `paths`: files behind the container's /dev/null, which is ours (CVE-2025-31133), folders
/// behind one empty read-only tmpfs.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn mask(root: BorrowedFd<'_>, paths: &[&str]) -> Result<()> {
    let mut empty: Option<OwnedFd> = None;
    for path in paths {
        let Some(place) = existing(root, path)? else { continue };
        let found = nix::sys::stat::fstat(&place).doing(path)?;
        if found.st_mode & libc::S_IFMT != libc::S_IFDIR {
            let null = resolve_in_root(root, Path::new("/dev/null")).doing("open /dev/null")?;
            drop(bind_to(null.as_fd(), place.as_fd()).map_err(|error| on(path, error))?);
        } else if let Some(empty) = &empty {
            drop(bind_to(empty.as_fd(), place.as_fd()).map_err(|error| on(path, error))?);
        } else {
            mount_new(place.as_fd(), "tmpfs", Flags::INERT.read_only(), "size=0").doing(path)?;
            empty = Some(resolve_in_root(root, Path::new(path)).doing(path)?);
        }
    }
    Ok(())
}

/// A handle of `path`, `None` if there is nothing. Links are refused: /proc and /sys are ours and have none there.
fn existing(root: BorrowedFd<'_>, path: &str) -> Result<Option<OwnedFd>> {
    match resolve_in_root(root, Path::new(path)) {
        Ok(place) => Ok(Some(place)),
        Err(Errno::ENOENT | Errno::ENOTDIR) => Ok(None),
        Err(errno) => Err(errno).doing(path),
    }
}

/// Names the path in front of what went wrong.
fn on(path: &str, error: Error) -> Error {
    error.within(path)
}
