//! What the kernel can do: the only floor with `unsafe`.
//!
//! Rules: one function is one call under its own name; the first line of its comment names the call and the kernel
//! that brought it; a failure is an [`Errno`], put into words by the floors above. What nix already offers as a
//! typed call is used from there; here is what it lacks, and what must not touch libc's state: after a raw clone
//! and between `vfork` and `execve` only plain system calls are allowed.
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "registers, C types and the kernel's structs have widths and signs of their own"
)]
#![allow(
    unsafe_code,
    reason = "this floor is the border to the kernel; every block says what the kernel does"
)]

#[cfg(feature = "container")]
pub(crate) mod bpf;
pub(crate) mod caps;
pub(crate) mod clock;
#[cfg(feature = "board")]
pub(crate) mod crash;
pub(crate) mod dir;
#[cfg_attr(test, allow(dead_code, reason = "the test harness brings its own main"))]
pub(crate) mod entry;
pub(crate) mod fd;
pub(crate) mod file;
#[cfg_attr(test, allow(dead_code, reason = "the test harness has threads"))]
pub(crate) mod heap;
#[cfg(feature = "container")]
pub(crate) mod landlock;
#[cfg(feature = "container")]
pub(crate) mod loop_device;
#[cfg(feature = "board")]
pub(crate) mod module;
pub(crate) mod mount;
pub(crate) mod ns;
pub(crate) mod path;
pub(crate) mod process;
#[cfg(feature = "board")]
pub(crate) mod reboot;
#[cfg(target_arch = "x86_64")]
mod relocate;
pub(crate) mod rights;
pub(crate) mod rlimit;
#[cfg(feature = "container")]
pub(crate) mod seccomp;
#[cfg(feature = "container")]
#[cfg_attr(test, allow(dead_code, reason = "the test harness has a main of its own"))]
pub(crate) mod self_exe;
pub(crate) mod signal;
pub(crate) mod terminal;
#[cfg(feature = "container")]
pub(crate) mod trial;
pub(crate) mod user;
#[cfg(feature = "board")]
pub(crate) mod watchdog;

use nix::errno::Errno;

/// The convention of system calls: -1 is a failure, anything else the result.
fn cvt(returned: libc::c_long) -> Result<libc::c_long, Errno> {
    if returned == -1 { Err(Errno::last()) } else { Ok(returned) }
}

/// The same for calls whose result fits an `int`: file descriptors, pids, zero.
fn cvt_int(returned: libc::c_long) -> Result<libc::c_int, Errno> {
    cvt(returned).and_then(|value| libc::c_int::try_from(value).map_err(|_| Errno::EOVERFLOW))
}
