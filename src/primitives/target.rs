//! The place of a mount that a user asked for: found, and made where it is missing, without a step out of the rootfs.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, mkdirat, mknodat};
use nix::sys::statfs::{PROC_SUPER_MAGIC, fstatfs};

use crate::error::{Error, Result};
use crate::packed::packed;
use crate::sys;

/// As many links on one way as the kernel follows; path_resolution(7).
const LINKS: usize = 40;

/// Opens the place of a mount as a mere handle (O_PATH); `is_folder` says what is mounted. What is missing of the path
/// is made, component by component, each in the handle of the one before.
///
/// Links are followed as a process inside would follow them: what leads out of the rootfs leads to its top. Not by
/// openat2(2), which could neither make what is missing nor be had before Linux 5.6. Each name is looked up in a folder that
/// we hold, and no link is followed by the kernel, so there is nothing to race for (CVE-2021-30465, CVE-2024-45310).
///
/// # Errors
/// The path leads to `/`, through a link of /proc, or to a file where a folder is mounted and the reverse; or something
/// cannot be made, as in what is mounted read-only: a missing place is never made in the source of such a mount.
pub(crate) fn open(root: BorrowedFd<'_>, path: &str, is_folder: bool) -> Result<OwnedFd> {
    find(root, path, is_folder, None).map_err(|errno| explain(errno, is_folder))
}

/// Makes a symbolic link to `to` where nothing is; one to the same is as good.
///
/// # Errors
/// As [`open`]; or something else is there.
pub(crate) fn make_link(root: BorrowedFd<'_>, path: &str, to: &str) -> Result<()> {
    let to = super::rootfs::c_path(to)?;
    find(root, path, true, Some(&to)).map(drop).map_err(|errno| match errno {
        Errno::EEXIST => Error::from(errno),
        _ => explain(errno, true),
    })
}

/// Says why a place cannot be used.
fn explain(errno: Errno, is_folder: bool) -> Error {
    Error::os(packed!("open or make the mount point"), errno).hint(match errno {
        Errno::EROFS => packed!("it is missing, and would have to be made in what is mounted read-only"),
        Errno::ELOOP => packed!("too many symbolic links, or one of /proc"),
        Errno::EBUSY => packed!("a symbolic link leads to / itself"),
        Errno::ENOTDIR if is_folder => packed!("a file stands where a folder is to be mounted, or above it"),
        Errno::EISDIR => packed!("a folder stands where a file is to be mounted"),
        _ => packed!("the rootfs lacks it, and launcher cannot make it there"),
    })
}

/// Goes down component by component; the kernel never follows a link.
fn find(
    root: BorrowedFd<'_>,
    path: &str,
    is_folder: bool,
    link: Option<&CStr>,
) -> std::result::Result<OwnedFd, Errno> {
    // The names to go, the next one last; and the folders that we came through.
    let (mut left, mut way) = (Vec::new(), Vec::<OwnedFd>::new());
    push(&mut left, path.as_bytes())?;
    let mut links = 0;
    while let Some(name) = left.pop() {
        if name.as_bytes() == b".." {
            way.pop(); // at the top there is no way up, as for a process inside
            continue;
        }
        let here = way.last().map_or(root, AsFd::as_fd);
        let open = || sys::fd::open_at(here, &name, OFlag::O_PATH | OFlag::O_NOFOLLOW);
        if let (true, Some(to)) = (left.is_empty(), link) {
            return match nix::unistd::symlinkat(to, here, &*name) {
                Err(Errno::EEXIST)
                    if sys::fd::target_of(here, &name)
                        .is_ok_and(|found| found.as_bytes() == to.to_bytes()) =>
                {
                    open()
                }
                result => result.and_then(|()| open()),
            };
        }
        let place = match open() {
            Err(Errno::ENOENT) => {
                make(here, &name, is_folder || !left.is_empty())?;
                open()
            }
            result => result,
        }?;
        let kind = sys::fd::kind_of(place.as_fd())?;
        if kind == libc::S_IFLNK {
            links += 1;
            // What is behind those of /proc, such as /proc/self/root, has no place in a tree.
            if links > LINKS || fstatfs(here)?.filesystem_type() == PROC_SUPER_MAGIC {
                return Err(Errno::ELOOP);
            }
            let target = sys::fd::target_of(place.as_fd(), c"")?; // of the very link that we hold, Linux 2.6.39
            if target.as_bytes().starts_with(b"/") {
                way.clear();
            }
            push(&mut left, target.as_bytes())?;
        } else if left.is_empty() && (kind == libc::S_IFDIR) != is_folder {
            return Err(if is_folder { Errno::ENOTDIR } else { Errno::EISDIR });
        } else {
            way.push(place);
        }
    }
    way.pop().ok_or(Errno::EBUSY)
}

/// Makes what is missing; somebody else may have been quicker, which is seen when it is opened.
fn make(here: BorrowedFd<'_>, name: &CStr, is_folder: bool) -> std::result::Result<(), Errno> {
    let made = if is_folder {
        mkdirat(here, name, Mode::from_bits_truncate(0o755))
    } else {
        mknodat(here, name, SFlag::S_IFREG, Mode::from_bits_truncate(0o644), 0)
    };
    if made == Err(Errno::EEXIST) { Ok(()) } else { made }
}

/// Puts the parts of a path before the names that are left to go.
fn push(left: &mut Vec<CString>, path: &[u8]) -> std::result::Result<(), Errno> {
    for part in path.split(|byte| *byte == b'/').rev() {
        if !part.is_empty() && part != b"." {
            left.push(crate::text::c_string(part)?);
        }
    }
    Ok(())
}
