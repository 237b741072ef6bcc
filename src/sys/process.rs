//! Processes: spawning, signalling, waiting, attributes.

use std::cell::Cell;
use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::fmt::{self, Display};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::{cvt, cvt_int};
use crate::packed::{Fill, filled};

/// How a child changed state, as wait4(2) tells it; real-time signals included, which nix cannot name.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Change {
    /// It called exit with this status.
    Exited(u8),
    /// This signal killed it.
    Killed(c_int),
    /// This signal stopped it.
    Stopped(c_int),
}

impl Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => filled!("exited with {}", status).put(f),
            Self::Killed(signal) => filled!("killed by signal {}", signal).put(f),
            Self::Stopped(signal) => filled!("stopped by signal {}", signal).put(f),
        }
    }
}

impl Change {
    /// The exit status that stands for an end, 128 + n for signal n; `None` for a stop.
    pub(crate) fn status(self) -> Option<u8> {
        match self {
            Self::Exited(status) => Some(status),
            Self::Killed(signal) => Some(status_of_signal(signal)),
            Self::Stopped(_) => None,
        }
    }
}

/// 128 + n, as the shell has it.
pub(crate) fn status_of_signal(signal: c_int) -> u8 {
    128 + u8::try_from(signal).unwrap_or(127)
}

/// Which children [`wait`] looks at.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Who {
    /// Any child, without blocking; stops are told as well.
    AnyNow,
    /// This child, until it ends.
    Child(Pid),
}

/// `wait4(2)`: the next change, reaped if it was an end. `None`: nobody has anything to tell. ECHILD: there is no such
/// child. Not waitid: it copies a siginfo out each time, also when it has nothing to tell.
pub(crate) fn wait(who: Who) -> Result<Option<(Pid, Change)>, Errno> {
    let (pid, options) = match who {
        Who::AnyNow => (-1, libc::WUNTRACED | libc::WNOHANG),
        Who::Child(pid) => (pid.as_raw(), 0),
    };
    let mut status = 0;
    let pid = loop {
        // SAFETY: the kernel writes one int; no usage is asked for.
        match cvt_int(unsafe { libc::syscall(libc::SYS_wait4, pid, &raw mut status, options, 0usize) }) {
            Err(Errno::EINTR) => {}
            result => break result?,
        }
    };
    let change = match (status & 0x7f, status >> 8 & 0xff) {
        (0, status) => Change::Exited(status as u8),
        (0x7f, signal) => Change::Stopped(signal),
        (signal, _) => Change::Killed(signal),
    };
    Ok((pid != 0).then(|| (Pid::from_raw(pid), change)))
}

/// What ended children used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Usage {
    /// Microseconds of processor time for programs.
    pub(crate) user: u64,
    /// Microseconds of processor time in the kernel.
    pub(crate) system: u64,
    /// Largest resident set of any, in KiB.
    pub(crate) max_rss: u64,
}

/// `getrusage(2)` RUSAGE_CHILDREN: what all children used that were waited for, and those that they waited for.
pub(crate) fn usage_of_children() -> Usage {
    // SAFETY: all-zero is a valid rusage.
    let mut found: libc::rusage = unsafe { MaybeUninit::zeroed().assume_init() };
    // SAFETY: the kernel fills the struct, which lives on our stack.
    unsafe { libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut found) };
    let microseconds = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    Usage {
        user: microseconds(found.ru_utime),
        system: microseconds(found.ru_stime),
        max_rss: found.ru_maxrss as u64,
    }
}

/// `kill(2)` with any signal number; a negative pid is a process group. EINVAL for 0 and -1, our own group and everybody:
/// a pid is that only where somebody took the refusal of a call, or the 0 of another namespace, for a number.
pub(crate) fn kill(pid: Pid, signal: c_int) -> Result<(), Errno> {
    if matches!(pid.as_raw(), -1 | 0) {
        return Err(Errno::EINVAL);
    }
    // SAFETY: takes two integers.
    cvt(unsafe { libc::syscall(libc::SYS_kill, pid.as_raw(), signal) }).map(drop)
}

/// `getpid(2)`; -1, which [`kill`] refuses, where a filter forbids it: musl hands on the errno as a number, and -38 is
/// the process group 38.
pub(crate) fn own_pid() -> Pid {
    Pid::from_raw(nix::unistd::getpid().as_raw().max(-1))
}

/// `kill(2)` of everybody that we may signal, but us; only for PID 1, whose namespace that is.
pub(crate) fn kill_all_others(signal: c_int) -> Result<(), Errno> {
    // SAFETY: takes two integers.
    cvt(unsafe { libc::syscall(libc::SYS_kill, -1, signal) }).map(drop)
}

/// `pidfd_send_signal(2)`, Linux 5.1: as kill, and never to a stranger that got the number later.
pub(crate) fn kill_pidfd(pidfd: BorrowedFd<'_>, signal: c_int) -> Result<(), Errno> {
    let fd = pidfd.as_raw_fd();
    // SAFETY: no siginfo is passed; takes integers only.
    cvt(unsafe { libc::syscall(libc::SYS_pidfd_send_signal, fd, signal, 0usize, 0) }).map(drop)
}

/// `prctl(2)` with up to one argument that matters.
fn prctl(option: c_int, argument: libc::c_ulong) -> Result<c_int, Errno> {
    // SAFETY: the options below take integers; unused arguments are zero, as newer options demand.
    cvt_int(unsafe { libc::syscall(libc::SYS_prctl, option, argument, 0usize, 0usize, 0usize) })
}

/// PR_SET_PDEATHSIG: this signal when our parent dies; 0 for none. Cleared by a change of ids and by set-id programs.
pub(crate) fn set_death_signal(signal: c_int) -> Result<(), Errno> {
    prctl(libc::PR_SET_PDEATHSIG, signal as libc::c_ulong).map(drop)
}

/// PR_SET_DUMPABLE 0: no core dump, and only a process with CAP_SYS_PTRACE where we were executed may look into us:
/// memory, environment, descriptors, executable. execve makes a program dumpable again.
pub(crate) fn hide_from_ptrace() -> Result<(), Errno> {
    prctl(libc::PR_SET_DUMPABLE, 0).map(drop)
}

/// `keyctl(2)` KEYCTL_JOIN_SESSION_KEYRING, Linux 2.6.10: a new session keyring without a name. EDQUOT: too many keys.
pub(crate) fn new_session_keyring() -> Result<(), Errno> {
    // SAFETY: no name is given; takes integers only.
    cvt(unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, 0usize) }).map(drop)
}

/// PR_SET_CHILD_SUBREAPER, Linux 3.4: orphans below us come to us instead of PID 1.
pub(crate) fn become_subreaper() -> Result<(), Errno> {
    prctl(libc::PR_SET_CHILD_SUBREAPER, 1).map(drop)
}

/// PR_SET_NO_NEW_PRIVS, Linux 3.5: execve grants nothing any more, for us and all our children.
pub(crate) fn set_no_new_privs() -> Result<(), Errno> {
    // The kernel refuses anything but 1 0 0 0 here.
    prctl(libc::PR_SET_NO_NEW_PRIVS, 1).map(drop)
}

/// `uname(2)`: the version of the kernel, major times 65536 and minor; 0 if it says none.
#[cfg(feature = "container")]
pub(crate) fn kernel_version() -> u32 {
    let mut names = MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: the kernel fills the struct, which is ours.
    unsafe { libc::syscall(libc::SYS_uname, names.as_mut_ptr()) };
    // SAFETY: all zero is a valid value of every field.
    let names = unsafe { names.assume_init() };
    let mut numbers = [0u32; 2];
    let mut place = numbers.iter_mut();
    let mut current = place.next();
    for byte in names.release.map(|byte| byte as u8) {
        match (byte, &mut current) {
            (b'0'..=b'9', Some(number)) => {
                **number = number.wrapping_mul(10).wrapping_add(u32::from(byte - b'0'));
            }
            (b'.', Some(_)) => current = place.next(),
            _ => break,
        }
    }
    numbers[0] << 16 | numbers[1] & 0xffff
}

/// PR_SET_NAME: what ps shows for us; at most 15 bytes count.
pub(crate) fn set_name(name: &CStr) -> Result<(), Errno> {
    prctl(libc::PR_SET_NAME, name.as_ptr() as libc::c_ulong).map(drop)
}

/// Room for the path of a program, which a spawned process writes while we are suspended. It always ends with a NUL.
pub(crate) struct PathBuffer([Cell<u8>; PATH_MAX]);

/// Longest path that the kernel takes, with its NUL.
pub(crate) const PATH_MAX: usize = libc::PATH_MAX as usize;

impl PathBuffer {
    /// An empty path.
    pub(crate) const fn new() -> Self {
        Self([const { Cell::new(0) }; PATH_MAX])
    }

    /// Puts the parts one behind the other; `false` if that is longer than the kernel takes.
    pub(crate) fn write(&self, parts: [&[u8]; 3]) -> bool {
        let Some((_, places)) = self.0.split_last() else { return false };
        let mut places = places.iter();
        for part in parts {
            for byte in part {
                let Some(place) = places.next() else { return false };
                place.set(*byte);
            }
        }
        if let Some(place) = places.next() {
            place.set(0);
        }
        true
    }

    /// Hands the path to a function that does not write to it.
    pub(crate) fn read<T>(&self, reader: impl FnOnce(&CStr) -> T) -> T {
        // SAFETY: the last byte is a NUL for good, `write` leaves it out. Whoever shares this memory is suspended.
        reader(unsafe { CStr::from_ptr(self.0.as_ptr().cast()) })
    }

    /// The bytes, of which the last is a NUL.
    pub(crate) const fn cells(&self) -> &[Cell<u8>] {
        &self.0
    }
}

/// `execve(2)`. Returns only on failure.
pub(crate) fn execve(path: &CStr, argv: &Pointers<'_>, envp: &Pointers<'_>) -> Errno {
    // SAFETY: `Pointers` are null-terminated arrays of live strings; the kernel copies them all.
    let result =
        cvt(unsafe { libc::syscall(libc::SYS_execve, path.as_ptr(), argv.0.as_ptr(), envp.0.as_ptr()) });
    result.err().unwrap_or(Errno::ENOEXEC)
}

/// A null-terminated array of strings for execve, made before the last mile.
#[derive(Debug)]
pub(crate) struct Pointers<'a>(Vec<*const c_char>, std::marker::PhantomData<&'a CStr>);

impl<'a> Pointers<'a> {
    /// Borrows the strings for as long as the array lives.
    pub(crate) fn new<S: AsRef<CStr>>(words: &'a [S]) -> Self {
        let pointers = words.iter().map(|word| word.as_ref().as_ptr()).chain([std::ptr::null()]);
        Self(pointers.collect(), std::marker::PhantomData)
    }

    /// The same with one string before all others.
    pub(crate) fn after<S: AsRef<CStr>>(first: &'a CStr, words: &'a [S]) -> Self {
        let mut pointers = Self::new(words);
        pointers.0.insert(0, first.as_ptr());
        pointers
    }

    /// Puts another string in the place of one.
    pub(crate) fn set(&mut self, index: usize, text: &'a CStr) {
        if let Some(place) = self.0.get_mut(index) {
            *place = text.as_ptr();
        }
    }

    /// Puts another string in the place of one; it ends with a NUL, whatever is written to it until execve.
    pub(crate) fn replace(&mut self, index: usize, text: &'a [Cell<u8>]) {
        if let Some(place) = self.0.get_mut(index).filter(|_| text.last().is_some_and(|last| last.get() == 0))
        {
            *place = text.as_ptr().cast();
        }
    }
}

/// `exit_group(2)`: no handlers, no buffers, no destructors.
pub(crate) fn exit_now(status: u8) -> ! {
    // SAFETY: _exit only makes the system call.
    unsafe { libc::_exit(c_int::from(status)) }
}

/// Bytes of stack for the child of [`spawn`]: it makes system calls on prepared memory, nothing deeper.
const STACK: usize = 32 * 1024;

/// Runs `child` in a new process that borrows our memory until it executes a program or exits, and waits for that:
/// `clone(2)` with CLONE_VM|CLONE_VFORK, which copies no page tables and hands back what the child wrote to our
/// variables. The value of `child` is its exit status.
///
/// `child` may make system calls and nothing else: no allocation, no lock, no panic.
pub(crate) fn spawn<F: FnMut() -> c_int>(mut child: F) -> Result<Pid, Errno> {
    /// The child's first function.
    extern "C" fn start<F: FnMut() -> c_int>(argument: *mut c_void) -> c_int {
        // SAFETY: `argument` is the `child` below; its owner is suspended and cannot touch it.
        let child = unsafe { &mut *argument.cast::<F>() };
        child()
    }
    // Not on our stack: the compiler touches each page of a large frame, and what was touched once stays ours.
    let mut stack = Box::<Stack>::new_uninit();
    // SAFETY: one past the end of the array is a valid place to grow down from; `Stack` is aligned to 16.
    let top = unsafe { stack.as_mut_ptr().add(1) };
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD;
    // SAFETY: the kernel suspends us until the child is done with our memory, so the stack and `child` outlive it.
    let pid = unsafe { libc::clone(start::<F>, top.cast(), flags, (&raw mut child).cast()) };
    cvt_int(libc::c_long::from(pid)).map(Pid::from_raw)
}

/// The stack of a spawned child, aligned as every ABI we build for wants it.
#[repr(align(16))]
struct Stack(#[allow(dead_code, reason = "only its size and alignment matter")] [u8; STACK]);

/// `setpgid(0, 0)`: we lead a new process group.
pub(crate) fn lead_group() -> Result<(), Errno> {
    // SAFETY: takes two integers.
    cvt(unsafe { libc::syscall(libc::SYS_setpgid, 0, 0) }).map(drop)
}

/// `setsid(2)`: we lead a new session and process group, without a controlling terminal.
pub(crate) fn lead_session() -> Result<(), Errno> {
    // SAFETY: takes nothing.
    cvt(unsafe { libc::syscall(libc::SYS_setsid) }).map(drop)
}

/// `chdir(2)` without libc's state.
pub(crate) fn change_dir(path: &CStr) -> Result<(), Errno> {
    // SAFETY: the path is a live `CStr`; the kernel copies it.
    cvt(unsafe { libc::syscall(libc::SYS_chdir, path.as_ptr()) }).map(drop)
}

/// `getcwd(2)`: the current directory with a NUL at its end. The kernel says `(unreachable)/...` for one that cannot be
/// reached from our root.
fn getcwd(path: &mut [u8; PATH_MAX]) -> Result<&[u8], Errno> {
    // SAFETY: the kernel writes at most `len` bytes into the array.
    let length = cvt(unsafe { libc::syscall(libc::SYS_getcwd, path.as_mut_ptr(), path.len()) })?;
    Ok(path.get(..(length as usize).saturating_sub(1)).unwrap_or_default())
}

/// Whether the current directory can be reached from our root (CVE-2024-21626).
pub(crate) fn cwd_is_inside() -> Result<bool, Errno> {
    getcwd(&mut [0; _]).map(|path| path.starts_with(b"/"))
}

/// The path of the current directory. Not libc's call, which would bring its malloc along.
pub(crate) fn current_dir() -> Result<PathBuf, Errno> {
    getcwd(&mut [0; _]).map(|path| OsStr::from_bytes(path).into())
}

/// `openat(2)`, `write(2)`, `close(2)`: all of it at once, to a file of the kernel's.
pub(crate) fn write_to(path: &CStr, text: &[u8]) -> Result<(), Errno> {
    let flags = libc::O_WRONLY | libc::O_CLOEXEC;
    // SAFETY: the path is a live `CStr`; the kernel copies it.
    let fd = cvt(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0) })?;
    // SAFETY: the kernel reads `len` bytes from the live slice.
    let written = cvt(unsafe { libc::syscall(libc::SYS_write, fd, text.as_ptr(), text.len()) });
    // SAFETY: the descriptor is the one opened above, and nobody else's.
    unsafe { libc::syscall(libc::SYS_close, fd) };
    written.map(drop)
}

/// `faccessat(2)` F_OK: whether there is anything at `path`.
pub(crate) fn exists(path: &CStr) -> bool {
    // SAFETY: the path is a live `CStr`; the kernel copies it.
    unsafe { libc::syscall(libc::SYS_faccessat, libc::AT_FDCWD, path.as_ptr(), libc::F_OK) == 0 }
}

/// Whether the file at `path` begins as an ELF program does: `openat(2)`, `read(2)`, `close(2)`.
pub(crate) fn is_elf(path: &CStr) -> bool {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC;
    // SAFETY: the path is a live `CStr`; the kernel copies it.
    let Ok(fd) = cvt(unsafe { libc::syscall(libc::SYS_openat, libc::AT_FDCWD, path.as_ptr(), flags, 0) })
    else {
        return false;
    };
    let mut head = [0u8; 4];
    // SAFETY: the kernel writes at most `len` bytes into the array.
    let length = unsafe { libc::syscall(libc::SYS_read, fd, head.as_mut_ptr(), head.len()) };
    // SAFETY: the descriptor is the one opened above, and nobody else's.
    unsafe { libc::syscall(libc::SYS_close, fd) };
    length == 4 && head == *b"\x7fELF"
}
