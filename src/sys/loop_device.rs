//! Files as block devices: loop(4).

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};

use super::cvt_int;
use super::fd::open_at;
use crate::packed::{Fill, filled};

/// linux/loop.h; libc has none of it.
const LOOP_SET_FD: usize = 0x4c00;
/// See above.
const LOOP_CLR_FD: usize = 0x4c01;
/// See above.
const LOOP_SET_STATUS64: usize = 0x4c04;
/// See above; Linux 5.8.
const LOOP_CONFIGURE: usize = 0x4c0a;
/// See above; Linux 3.1.
const LOOP_CTL_GET_FREE: usize = 0x4c82;
/// Nobody writes to the file.
const READ_ONLY: u32 = 1;
/// With the last who has the device open, or mounted, it is detached again.
const AUTOCLEAR: u32 = 4;

/// How often somebody else may take the device that was free.
const TRIES: usize = 64;

/// `struct loop_info64`: all zero but for the flags.
#[repr(C)]
#[derive(Default)]
struct Info {
    /// Device, inode, offset, length; numbers and kinds of what was encryption.
    before: [u64; 6],
    /// The last of those numbers.
    key_size: u32,
    /// See [`AUTOCLEAR`].
    flags: u32,
    /// Names and keys, for which nobody asks.
    rest: [u64; 22],
}

/// `struct loop_config`.
#[repr(C)]
#[derive(Default)]
struct Config {
    /// The file.
    fd: u32,
    /// 0: the kernel's choice.
    block_size: u32,
    /// What the older call sets apart.
    info: Info,
    /// Zero.
    reserved: [u64; 8],
}

/// `ioctl(2)` with a number or an address.
fn ioctl(file: BorrowedFd<'_>, request: usize, argument: usize) -> Result<libc::c_int, Errno> {
    // SAFETY: the requests above take a number, or read a struct that lives until the call returns; none writes.
    cvt_int(unsafe { libc::syscall(libc::SYS_ioctl, file.as_raw_fd(), request, argument) })
}

/// A free device with this file behind it, and its path. Where it is to be written to the file must be open for that.
/// ENOENT, ENXIO: the kernel has no loop devices.
pub(crate) fn attach(file: BorrowedFd<'_>, writable: bool) -> Result<(OwnedFd, CString), Errno> {
    let control = open_at(AT_FDCWD, c"/dev/loop-control", OFlag::O_RDWR)?;
    let mut tries = 0;
    loop {
        let number = ioctl(control.as_fd(), LOOP_CTL_GET_FREE, 0)?;
        let path = crate::text::c_string(filled!("/dev/loop{}", &number).text())?;
        match configure(&path, file, writable) {
            // Another was faster.
            Err(Errno::EBUSY) if tries < TRIES => tries += 1,
            result => return result.map(|device| (device, path)),
        }
    }
}

/// Puts the file behind the device.
fn configure(path: &CStr, file: BorrowedFd<'_>, writable: bool) -> Result<OwnedFd, Errno> {
    let (access, flags) =
        if writable { (OFlag::O_RDWR, AUTOCLEAR) } else { (OFlag::O_RDONLY, AUTOCLEAR | READ_ONLY) };
    let device = open_at(AT_FDCWD, path, access)?;
    let own = device.as_fd();
    let fd = file.as_raw_fd() as u32;
    let config = Config { fd, info: Info { flags, ..Info::default() }, ..Config::default() };
    match ioctl(own, LOOP_CONFIGURE, &raw const config as usize) {
        // Before Linux 5.8.
        Err(Errno::EINVAL | Errno::ENOTTY) => {
            ioctl(own, LOOP_SET_FD, fd as usize)?;
            ioctl(own, LOOP_SET_STATUS64, &raw const config.info as usize).inspect_err(|_| {
                // By itself it would keep the file.
                crate::error::tolerate(ioctl(own, LOOP_CLR_FD, 0), "the other failure is told");
            })?;
        }
        result => drop(result?),
    }
    Ok(device)
}

#[cfg(test)]
mod tests {
    #[test]
    fn structs_are_as_long_as_the_kernels() {
        assert_eq!((size_of::<super::Info>(), size_of::<super::Config>()), (232, 304));
        assert_eq!(std::mem::offset_of!(super::Info, flags), 52);
    }
}
