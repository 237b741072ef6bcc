//! Signals, raw: the kernel's 64-bit set, so that no number is kept back by libc (it hides 32 to 34).

use nix::errno::Errno;
use nix::unistd::Pid;

use super::{cvt, cvt_int};

/// The kernel's signal set on the architectures we build for: bit n-1 is signal n.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(transparent)]
pub(crate) struct Set(u64);

impl Set {
    /// Every signal from 1 to 64. The kernel leaves SIGKILL and SIGSTOP out by itself.
    pub(crate) const ALL: Self = Self(u64::MAX);
    /// Those that the kernel merges while one of the same number waits: there is room for them in every queue.
    const MERGED: Self = Self(u64::MAX >> 33);
    /// No signal.
    pub(crate) const EMPTY: Self = Self(0);
    /// Every signal but [`FAULTS`]: for who catches those. Blocked, a fault ends the process without asking it.
    #[cfg(feature = "board")]
    pub(crate) const ALL_BUT_FAULTS: Self = {
        let (mut set, mut index) = (u64::MAX, 0);
        while index < FAULTS.len() {
            #[allow(clippy::indexing_slicing, reason = "at compile time, and below the length")]
            let signal = FAULTS[index];
            set &= !(1 << (signal - 1));
            index += 1;
        }
        Self(set)
    };
}

/// What the kernel sends who did something impossible.
#[cfg(feature = "board")]
pub(crate) const FAULTS: [i32; 7] =
    [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE, libc::SIGABRT, libc::SIGTRAP, libc::SIGSYS];

/// Bytes of a [`Set`], which the raw calls want to be told.
const SET_SIZE: usize = size_of::<Set>();

/// How many milliseconds pass until there may be room in a queue again.
const HELD_UP: u64 = 10;

/// Highest signal number.
pub(crate) const LAST: i32 = 64;

/// A signal that was received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Received {
    /// Its number.
    pub(crate) number: i32,
    /// `si_code`: above 0 the kernel sent it, at most 0 a process.
    pub(crate) code: i32,
    /// Who sent it, if a process did.
    pub(crate) pid: i32,
    /// The sender's user.
    pub(crate) uid: u32,
    /// What came with it, if it was queued.
    pub(crate) value: usize,
}

impl Received {
    /// Whether it was sent by sigqueue(3), with a value.
    pub(crate) fn is_queued(&self) -> bool {
        self.code == libc::SI_QUEUE
    }
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

/// The kernel's `siginfo_t` with what a process sends along.
#[repr(C)]
#[derive(Default)]
struct Info {
    /// Number, errno, `si_code`.
    head: [i32; 3],
    /// `_rt`, which begins at the next place for a pointer.
    sent: Sent,
    /// The kernel's struct has 128 bytes.
    rest: [u64; 14],
}

/// The part of [`Info`] that sigqueue(3) fills.
#[repr(C)]
#[derive(Default)]
struct Sent {
    /// Sender.
    pid: i32,
    /// Its user.
    uid: u32,
    /// A `union sigval`.
    value: usize,
}

/// `rt_sigtimedwait(2)`: sleeps until a blocked signal is pending and takes it, for ever or so many milliseconds. Not
/// signalfd: it is one call less for each signal, no descriptor, and no filter knows one without the other.
/// `None`: the time is over.
///
/// `is_held_up`: where they go there is no room for one more that is queued. Then the others of that kind stay where they
/// are, so that who sends them is told, and the time is short: nobody tells when there is room.
pub(crate) fn wait_for_any(milliseconds: Option<u64>, is_held_up: bool) -> Result<Option<Received>, Errno> {
    let mut info = Info::default();
    let (set, milliseconds) = if is_held_up {
        (Set::MERGED, Some(milliseconds.unwrap_or(HELD_UP).min(HELD_UP)))
    } else {
        (Set::ALL, milliseconds)
    };
    loop {
        // The kernel's own timespec, two words on every architecture; libc's is another on some.
        let time =
            milliseconds.map(|time| [time / 1000, time % 1000 * 1_000_000].map(|part| part as libc::c_long));
        let time = time.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
        // SAFETY: the kernel reads the set and the time, null for ever, and fills `info`, which has room for its struct.
        let number = cvt_int(unsafe {
            libc::syscall(libc::SYS_rt_sigtimedwait, &raw const set, &raw mut info, time, SET_SIZE)
        });
        match number {
            // A stop and continue of ours ends the call without a signal.
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if milliseconds.is_some() => return Ok(None),
            Err(errno) => return Err(errno),
            Ok(number) => {
                let ([_, _, code], Sent { pid, uid, value }) = (info.head, info.sent);
                return Ok(Some(Received { number, code, pid, uid, value }));
            }
        }
    }
}

/// `signalfd4(2)`: a descriptor that can be read from while a blocked signal is pending, for who waits for something else
/// as well. The signal is taken by [`wait_for_any`].
pub(crate) fn descriptor() -> Result<std::os::fd::OwnedFd, Errno> {
    let all = Set::ALL;
    // SAFETY: the kernel reads one set and returns a new descriptor.
    cvt_int(unsafe { libc::syscall(libc::SYS_signalfd4, -1, &raw const all, SET_SIZE, libc::SFD_CLOEXEC) })
        .map(super::fd::own)
}

/// `rt_sigqueueinfo(2)`: sends a signal on as it came, with its value and its sender. EAGAIN: RLIMIT_SIGPENDING.
pub(crate) fn queue(pid: Pid, signal: Received) -> Result<(), Errno> {
    let head = [signal.number, 0, libc::SI_QUEUE];
    let sent = Sent { pid: signal.pid, uid: signal.uid, value: signal.value };
    let info = Info { head, sent, rest: [0; 14] };
    // SAFETY: the kernel reads its struct from `info`, which has room for it.
    cvt(unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, pid.as_raw(), signal.number, &raw const info) })
        .map(drop)
}

/// Sends a signal to ourselves with its default action and unblocked for that time, then blocks it again.
fn suffer(signal: i32) -> Result<(), Errno> {
    crate::error::tolerate(
        set_disposition(signal, Disposition::Default),
        "EINVAL: KILL and STOP have no other",
    );
    super::process::kill(super::process::own_pid(), signal)?;
    let blocked = set_mask(Set(!(1 << (signal - 1))))?;
    set_mask(blocked).map(drop)
}

/// Stops us by this signal. `false`: the kernel does not, since our process group is an orphaned one; setpgid(2).
pub(crate) fn stop_self(signal: i32) -> bool {
    let pending = || {
        let mut set = Set(0);
        // SAFETY: the kernel writes one set.
        unsafe { libc::syscall(libc::SYS_rt_sigpending, &raw mut set, SET_SIZE) };
        set.0 >> (libc::SIGCONT - 1) & 1 == 1
    };
    // Who was stopped runs again only after a SIGCONT, which is blocked and waits for us.
    suffer(signal).is_ok() && pending()
}

/// Ends us by this signal, without a core of ours beside the program's. Returns only as PID 1, which no signal ends.
pub(crate) fn die_of(signal: i32) {
    let undumpable = super::process::hide_from_ptrace();
    crate::error::tolerate(undumpable.and_then(|()| suffer(signal)), "the caller exits with 128 + n then");
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

/// What the kernel calls on a signal: its number, its `siginfo_t`, the registers.
#[cfg(feature = "board")]
pub(crate) type Handler<T> = extern "C" fn(i32, *const T, *const std::ffi::c_void);

/// `rt_sigaction(2)`: has this function called on a signal, on the stack of sigaltstack(2), and again when the signal comes
/// meanwhile; `None`: the default. Not libc's: it unblocks signals that it keeps for itself.
#[cfg(feature = "board")]
pub(crate) fn set_handler<T>(signal: i32, handler: Option<Handler<T>>) -> Result<(), Errno> {
    let handler = handler.map_or(libc::SIG_DFL, |handler| handler as *const () as usize);
    let flags = (libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER) as libc::c_ulong;
    // x86 is the one that has no way back of its own from a handler.
    #[cfg(target_arch = "x86_64")]
    let (flags, restorer) = (flags | SA_RESTORER, restore as *const () as usize);
    #[cfg(not(target_arch = "x86_64"))]
    let restorer = 0;
    let new = KernelAction { handler, flags, restorer, mask: 0 };
    // SAFETY: the kernel reads one struct, at least its size; the functions are there as long as we are.
    cvt(unsafe { libc::syscall(libc::SYS_rt_sigaction, signal, &raw const new, 0usize, SET_SIZE) }).map(drop)
}

/// The flag that says there is a restorer; libc keeps it to itself.
#[cfg(all(feature = "board", target_arch = "x86_64"))]
const SA_RESTORER: libc::c_ulong = 0x0400_0000;

/// `rt_sigreturn(2)`: where a handler returns to. The kernel finds what was interrupted at the stack pointer.
#[cfg(all(feature = "board", target_arch = "x86_64"))]
#[unsafe(naked)]
extern "C" fn restore() {
    std::arch::naked_asm!("mov eax, 15", "syscall")
}
