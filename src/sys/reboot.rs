//! The end of a machine, besides reboot(2) itself, which nix has.

use std::ffi::CStr;

use nix::errno::Errno;

use super::cvt;

/// `swapoff(2)`. EINVAL: it is none, or not in use. ENOMEM: what is out there has no room here.
pub(crate) fn swap_off(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is a live `CStr`; the kernel copies it.
    cvt(unsafe { libc::syscall(libc::SYS_swapoff, path.as_ptr()) }).map(drop)
}

/// `ioperm(2)` and one byte to an I/O port. Not by /dev/port: Debian's cloud kernel is one of those without it. EPERM: no
/// CAP_SYS_RAWIO, or the kernel is locked down. ENOSYS: CONFIG_X86_IOPL_IOPERM is off.
#[cfg(target_arch = "x86_64")]
pub(crate) fn write_port(port: u16, byte: u8) -> Result<(), Errno> {
    // SAFETY: takes three integers; lets us reach one port.
    cvt(unsafe { libc::syscall(libc::SYS_ioperm, libc::c_long::from(port), 1, 1) })?;
    // SAFETY: the kernel let us have the port; what the device behind it does is what the user asked for.
    unsafe {
        std::arch::asm!("out dx, al", in("dx") port, in("al") byte, options(nomem, nostack, preserves_flags));
    }
    Ok(())
}

/// `pwrite(2)` to /dev/port, where a byte's place is its port. ENOENT: the kernel has none (CONFIG_DEVPORT).
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn write_port(port: u16, byte: u8) -> Result<(), Errno> {
    let ports = super::fd::open_at(nix::fcntl::AT_FDCWD, c"/dev/port", nix::fcntl::OFlag::O_WRONLY)?;
    nix::sys::uio::pwrite(ports, &[byte], port.into()).map(drop)
}
