//! Faults of our own, where the kernel would panic: PID 1 of a machine must not end.

use std::cell::UnsafeCell;
use std::ffi::c_int;
use std::fmt::Write;
use std::sync::atomic::{AtomicPtr, AtomicU8, Ordering};

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};

use super::cvt;
use super::signal::{FAULTS, set_handler};
use crate::error::tolerate;
use crate::log::Line;

/// Bytes of the stack for the handler. The kernel puts all registers there first: 11 KB with AMX.
const STACK: usize = 64 * 1024;

/// The memory of that stack: not touched, so not there, until it is used.
#[repr(align(16))]
struct Stack(UnsafeCell<[u8; STACK]>);

// SAFETY: nobody but the kernel, which is told its address, uses it.
unsafe impl Sync for Stack {}

/// See [`STACK`].
static STACK_MEMORY: Stack = Stack(UnsafeCell::new([0; STACK]));

/// What is done about a crash: a `fn(i32)`.
static ON_CRASH: AtomicPtr<()> = AtomicPtr::new(std::ptr::null_mut());

/// How many crashes there were; the second is one of what is done about the first.
static CRASHES: AtomicU8 = AtomicU8::new(0);

/// `struct sigaltstack`.
#[repr(C)]
struct AlternateStack {
    /// Its lowest address.
    start: *mut [u8; STACK],
    /// 0: in use from now on.
    flags: c_int,
    /// Bytes.
    size: usize,
}

/// The kernel's `siginfo_t` of a fault.
#[repr(C)]
struct Fault {
    /// Number, errno, `si_code`.
    head: [i32; 3],
    /// `si_addr`: of the instruction for SIGILL, SIGFPE and SIGTRAP, else of what it wanted.
    address: usize,
}

/// `sigaltstack(2)`, `rt_sigaction(2)`: from now on a crash of ours (a panic ends in one too) is told on the console and in
/// the kernel's log, and `on_crash` called with the signal, on a stack of its own; it shall not return, nor use the heap,
/// which may be what is broken. What a process sends with kill(2) is not heeded. None of [`FAULTS`] may be blocked, or the
/// kernel ends us without asking. Who is forked inherits it: see [`forget`].
pub(crate) fn catch(on_crash: fn(signal: i32)) -> Result<(), Errno> {
    ON_CRASH.store(on_crash as *mut (), Ordering::Relaxed);
    let stack = AlternateStack { start: STACK_MEMORY.0.get(), flags: 0, size: STACK };
    // SAFETY: the kernel reads the struct; the memory that it names is static and nobody else's.
    cvt(unsafe { libc::syscall(libc::SYS_sigaltstack, &raw const stack, 0usize) })?;
    FAULTS.into_iter().try_for_each(|signal| set_handler(signal, Some(handle)))
}

/// Lets a process that we have made crash as any other.
pub(crate) fn forget() {
    for signal in FAULTS {
        tolerate(set_handler::<Fault>(signal, None), "never refused");
    }
}

/// The handler.
extern "C" fn handle(signal: c_int, fault: *const Fault, _: *const std::ffi::c_void) {
    // SAFETY: the kernel laid its siginfo on our stack, 128 bytes of it.
    let Fault { head: [_, _, code], address } = unsafe { std::ptr::read(fault) };
    // A process sent it: to take note of it would let everybody with CAP_KILL end the machine.
    if code <= 0 {
        return;
    }
    let crashes = CRASHES.fetch_add(1, Ordering::Relaxed);
    if crashes == 0 {
        tell(signal, address);
    }
    if crashes < 2 {
        // SAFETY: only a `fn(i32)` is ever stored there, before this handler is installed.
        let on_crash = unsafe { std::mem::transmute::<*mut (), fn(i32)>(ON_CRASH.load(Ordering::Relaxed)) };
        on_crash(signal);
    }
    super::process::exit_now(crate::error::STATUS_OURS)
}

/// Says what happened, to descriptor 2 and the kernel's log: there as a debug message, or it would be on the console twice.
fn tell(signal: c_int, address: usize) {
    let name = signal_hook::low_level::signal_name(signal).unwrap_or_default();
    let mut line = Line::new();
    tolerate(writeln!(line, "<15>launcher: {name} in PID 1 at {address:#x}"), "a buffer never fails");
    let text = line.text();
    if let Ok(log) = super::fd::open_at(AT_FDCWD, c"/dev/kmsg", OFlag::O_WRONLY | OFlag::O_NONBLOCK) {
        tolerate(nix::unistd::write(log, text), "there is the console");
    }
    let text = text.strip_prefix(b"<15>").unwrap_or(text);
    tolerate(nix::unistd::write(super::fd::standard(2), text), "there is nowhere else to say it");
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_fault_is_where_the_kernel_has_it() {
        let want = if size_of::<usize>() == 8 { 16 } else { 12 };
        assert_eq!(std::mem::offset_of!(super::Fault, address), want);
    }
}
