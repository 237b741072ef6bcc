//! Signals, raw: the kernel's 64-bit set, so that no number is kept back by libc (it hides 32 to 34).

use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::fd::own;
use super::{cvt, cvt_int};

/// The kernel's signal set on the architectures we build for: bit n-1 is signal n.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(transparent)]
pub(crate) struct Set(u64);

impl Set {
    /// Every signal from 1 to 64. The kernel leaves SIGKILL and SIGSTOP out by itself.
    pub(crate) const ALL: Self = Self(u64::MAX);
    /// No signal.
    pub(crate) const EMPTY: Self = Self(0);
}

/// Bytes of a [`Set`], which the raw calls want to be told.
const SET_SIZE: usize = size_of::<Set>();

/// Highest signal number.
pub(crate) const LAST: i32 = 64;

/// A signal that was received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Received {
    /// Its number.
    pub(crate) number: i32,
    /// `si_code`: above 0 the kernel sent it, at most 0 a process.
    pub(crate) code: i32,
}

/// `rt_sigprocmask(2)`: replaces the mask of blocked signals and returns the old one.
pub(crate) fn set_mask(mask: Set) -> Result<Set, Errno> {
    let mut old = Set(0);
    // SAFETY: the kernel reads one set and writes the other; both live on our stack.
    cvt(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, &raw mut old, SET_SIZE)
    })?;
    Ok(old)
}

/// `rt_sigtimedwait(2)` without a time-out: sleeps until a blocked signal is pending and takes it.
pub(crate) fn wait_for_any() -> Result<Received, Errno> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    let all = Set::ALL;
    loop {
        // SAFETY: the kernel reads the set and fills `info`; a null time-out means for ever.
        let number = cvt_int(unsafe {
            libc::syscall(libc::SYS_rt_sigtimedwait, &raw const all, info.as_mut_ptr(), 0usize, SET_SIZE)
        });
        match number {
            // A stop and continue of ours ends the call without a signal.
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
            // SAFETY: the call succeeded, so the kernel has filled it.
            Ok(number) => return Ok(Received { number, code: unsafe { info.assume_init() }.si_code }),
        }
    }
}

/// `signalfd4(2)`, Linux 2.6.27: a descriptor that reads every blocked signal; close-on-exec, does not block.
pub(crate) fn descriptor() -> Result<OwnedFd, Errno> {
    let all = Set::ALL;
    let flags = libc::SFD_CLOEXEC | libc::SFD_NONBLOCK;
    // SAFETY: the kernel copies the set and returns a new descriptor.
    cvt_int(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const all, SET_SIZE, flags) }).map(own)
}

/// Takes the next signal from a [`descriptor`]; `None` when none is pending.
pub(crate) fn read(descriptor: BorrowedFd<'_>) -> Result<Option<Received>, Errno> {
    let mut info = [0u8; size_of::<libc::signalfd_siginfo>()];
    match nix::unistd::read(descriptor, &mut info) {
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(None),
        Err(errno) => Err(errno),
        // The struct opens with ssi_signo, ssi_errno and ssi_code, each 32 bits; the kernel never cuts one short.
        Ok(_) => {
            let (words, _) = info.as_chunks::<4>();
            let field = |index: usize| words.get(index).map_or(0, |word| i32::from_ne_bytes(*word));
            Ok(Some(Received { number: field(0), code: field(2) }))
        }
    }
}

/// The kernel's own `struct sigaction`, which differs from libc's.
#[repr(C)]
#[derive(Clone, Copy)]
struct KernelAction {
    /// SIG_DFL, SIG_IGN or a function.
    handler: usize,
    /// SA_*.
    flags: libc::c_ulong,
    /// Only x86 keeps a restorer here in fact; elsewhere these bytes are the mask and zero is right for both.
    restorer: usize,
    /// Blocked while the handler runs.
    mask: u64,
}

/// What a process does about a signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Disposition {
    /// What the kernel does by itself.
    Default,
    /// Nothing.
    Ignored,
}

/// `rt_sigaction(2)`: sets what happens on a signal and says whether it was ignored before.
pub(crate) fn set_disposition(signal: i32, wanted: Disposition) -> Result<Disposition, Errno> {
    let handler = if wanted == Disposition::Ignored { libc::SIG_IGN } else { libc::SIG_DFL };
    let new = KernelAction { handler, flags: 0, restorer: 0, mask: 0 };
    let mut old = KernelAction { handler: 0, flags: 0, restorer: 0, mask: 0 };
    // SAFETY: no function is installed; the kernel reads one struct and writes the other, both at least its size.
    cvt(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const new, &raw mut old, SET_SIZE) })?;
    Ok(if old.handler == libc::SIG_IGN { Disposition::Ignored } else { Disposition::Default })
}
