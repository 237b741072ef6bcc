//! The watchdogs of machines: Documentation/watchdog/watchdog-api.rst.

use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

use super::cvt;

/// `_IOR('W', 5, int)`; libc has none of these.
const WDIOC_KEEPALIVE: usize = 0x8004_5705;
/// `_IOWR('W', 6, int)`
const WDIOC_SETTIMEOUT: usize = 0xc004_5706;
/// `_IOR('W', 7, int)`
const WDIOC_GETTIMEOUT: usize = 0x8004_5707;

/// `ioctl(2)` with the address of a number.
fn ioctl(device: BorrowedFd<'_>, request: usize, number: &mut libc::c_int) -> Result<(), Errno> {
    let number = std::ptr::from_mut(number);
    // SAFETY: the requests above read and write one int, which lives until the call returns, or none.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, device.as_raw_fd(), request, number) }).map(drop)
}

/// WDIOC_SETTIMEOUT, and WDIOC_GETTIMEOUT where that is refused (EINVAL: out of its range. EOPNOTSUPP: it has one time-out
/// only): the seconds after which the machine is reset now. A driver may round; one that tells nothing took what it was told.
pub(crate) fn set_timeout(device: BorrowedFd<'_>, seconds: u32) -> u32 {
    let wanted = seconds as libc::c_int;
    let (mut set, mut found) = (wanted, wanted);
    let set = ioctl(device, WDIOC_SETTIMEOUT, &mut set).map(|()| set);
    let answer = set.or_else(|_| ioctl(device, WDIOC_GETTIMEOUT, &mut found).map(|()| found));
    answer.ok().and_then(|answer| u32::try_from(answer).ok()).filter(|answer| *answer > 0).unwrap_or(seconds)
}

/// WDIOC_KEEPALIVE: the time begins anew. A byte that is written says the same to drivers that do not know it.
pub(crate) fn feed(device: BorrowedFd<'_>) -> Result<(), Errno> {
    ioctl(device, WDIOC_KEEPALIVE, &mut 0).or_else(|_| nix::unistd::write(device, b"1").map(drop))
}
