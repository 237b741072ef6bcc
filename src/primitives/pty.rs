//! A terminal of the container's own.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sys::stat::{major, minor};
use nix::sys::statfs::DEVPTS_SUPER_MAGIC;

use super::mounts::{KernelFolder, enter_kernel_filesystem};
use super::rootfs::bind_to;
use crate::error::{Doing, Result};
use crate::packed::packed;
use crate::sys;

/// The file system that we mounted for terminals.
const PTS: KernelFolder = KernelFolder { path: "/dev/pts", magic: DEVPTS_SUPER_MAGIC, names: &[] };

/// Makes a terminal, makes it our standard input, output and error, and returns its master, on which no call waits.
/// With the root and the /dev of a container it is one of its own devpts, shown as /dev/console too; else of the host's.
///
/// # Errors
/// Something else is there than what was mounted, or the kernel refuses.
pub(crate) fn open(place: Option<(BorrowedFd<'_>, BorrowedFd<'_>)>) -> Result<OwnedFd> {
    let flags = OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
    let master = match place {
        Some((root, _)) => {
            let folder = enter_kernel_filesystem(root, &PTS)?;
            sys::fd::open_at(folder.as_fd(), c"ptmx", flags | OFlag::O_NOFOLLOW)
        }
        None => sys::fd::open_at(AT_FDCWD, c"/dev/ptmx", flags),
    };
    let master = master.doing(packed!("open ptmx"))?;
    expect_device(master.as_fd(), 5).doing(packed!("ptmx"))?;
    let slave = sys::terminal::peer_of(master.as_fd()).doing(packed!("open its other end"))?;
    expect_device(slave.as_fd(), 136).doing(packed!("its other end"))?;
    if let Some((_, dev)) = place {
        show_as_console(dev, slave.as_fd())?;
    }
    // Before the program can look; what is no terminal of our caller's has no size.
    sys::terminal::copy_size(slave.as_fd());
    for stream in 0..3 {
        sys::fd::copy_to(slave.as_raw_fd(), stream).doing(packed!("make it a standard stream"))?;
    }
    Ok(master)
}

/// Gives the terminal that is our standard input to a user.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn give_to(uid: u32) -> Result<()> {
    let given = if uid == 0 { Ok(()) } else { sys::user::give(sys::fd::standard(0), uid) };
    given.doing(packed!("give it the terminal"))
}

/// ENODEV unless this is a character device of that major number: for 5 /dev/ptmx, for 136 a terminal;
/// Documentation/admin-guide/devices.txt.
fn expect_device(file: BorrowedFd<'_>, wanted: u64) -> std::result::Result<(), Errno> {
    let found = sys::fd::stat(file)?;
    let device = found.st_rdev;
    let is_wanted = found.st_mode & libc::S_IFMT == libc::S_IFCHR
        && major(device) == wanted
        && (wanted != 5 || minor(device) == 2);
    if is_wanted { Ok(()) } else { Err(Errno::ENODEV) }
}

/// Binds the terminal on a new console in a /dev of our making, where nothing can be before (CVE-2026-88264).
fn show_as_console(dev: BorrowedFd<'_>, slave: BorrowedFd<'_>) -> Result<()> {
    let what = "make /dev/console";
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_WRONLY;
    let place = sys::fd::open_at(dev, c"console", flags).doing(what)?;
    bind_to(slave, place.as_fd()).map_err(|error| error.within(what)).map(drop)
}
