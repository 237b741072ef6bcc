//! The devices and links of /dev.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, makedev, mkdirat, mknodat};

use super::rootfs::{bind_to, c_path, ensure_folder};
use crate::error::{Doing, Error, Result};
use crate::packed::{Fill, filled};
use crate::sys;
use crate::text::Show;

/// The devices of every container: name, major, minor; Documentation/admin-guide/devices.txt.
const DEVICES: [(&CStr, u64, u64); 6] = [
    (c"null", 1, 3),
    (c"zero", 1, 5),
    (c"full", 1, 7),
    (c"random", 1, 8),
    (c"urandom", 1, 9),
    (c"tty", 5, 0),
];

/// What is mounted in /dev later.
const FOLDERS: [&CStr; 3] = [c"pts", c"shm", c"mqueue"];

/// The links of every container; the OCI runtime specification has the same.
const LINKS: [(&CStr, &CStr); 5] = [
    (c"fd", c"/proc/self/fd"),
    (c"stdin", c"/proc/self/fd/0"),
    (c"stdout", c"/proc/self/fd/1"),
    (c"stderr", c"/proc/self/fd/2"),
    (c"ptmx", c"pts/ptmx"),
];

/// Fills /dev, and returns a handle of it. Nothing is in it yet where it is a fresh tmpfs of ours; in a machine's,
/// which the kernel fills, what is there already is right.
///
/// # Errors
/// The kernel refuses a node and the host has none to show instead.
pub(crate) fn populate(root: BorrowedFd<'_>, is_fresh: bool) -> Result<OwnedFd> {
    let done = |made, name: &CStr| match made {
        Err(Errno::EEXIST) if !is_fresh => Ok(()),
        made => made.doing(filled!("make /dev/{}", name.shown())),
    };
    let dev = ensure_folder(root, Path::new("/dev"))?;
    for (name, major, minor) in DEVICES {
        let mode = Mode::from_bits_truncate(0o666);
        match mknodat(&dev, name, SFlag::S_IFCHR, mode, makedev(major, minor)) {
            // Where it should work its refusal is a fault.
            Err(Errno::EPERM) if !sys::caps::may_make_nodes() => {
                show_hosts(dev.as_fd(), name, makedev(major, minor))?;
            }
            made => done(made, name)?,
        }
    }
    for name in FOLDERS {
        done(mkdirat(&dev, name, Mode::from_bits_truncate(0o755)), name)?;
    }
    for (name, target) in LINKS {
        done(nix::unistd::symlinkat(target, &dev, name), name)?;
    }
    Ok(dev)
}

/// Binds the host's device of that name into ours, having made sure that it is the right one.
fn show_hosts(dev: BorrowedFd<'_>, name: &CStr, number: libc::dev_t) -> Result<()> {
    let text = name.shown();
    let host = sys::fd::open_path(&c_path(filled!("/dev/{}", text).text())?)
        .doing(filled!("open the host's /dev/{}", text))?;
    let found = sys::fd::stat(host.as_fd()).doing(filled!("look at the host's /dev/{}", text))?;
    if found.st_mode & libc::S_IFMT != libc::S_IFCHR || found.st_rdev != number {
        return Err(Error::new(filled!("the host's /dev/{} is not the device of that name", text)));
    }
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_WRONLY;
    let place = sys::fd::open_at(dev, name, flags).doing(filled!("make /dev/{}", text))?;
    bind_to(host.as_fd(), place.as_fd()).map(drop)
}
