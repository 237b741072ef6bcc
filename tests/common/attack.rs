//! What a process inside may try on its PID 1, and on those that join it; and what each attempt was answered.

use std::ffi::CString;

use crate::calls::errno;

/// Opens a path; the error number is negative.
fn open(path: &str, flags: libc::c_int) -> i32 {
    let path = CString::new(path).unwrap_or_default();
    // SAFETY: the path is a C string that lives until the call returns.
    let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC) };
    if fd < 0 { -errno(-1) } else { fd }
}

/// The error number of an attempt to open, 0 if it worked.
fn opened(path: &str, flags: libc::c_int) -> i32 {
    let fd = open(path, flags);
    // SAFETY: it is ours; -1 and the like are none.
    unsafe { libc::close(fd) };
    (-fd).max(0)
}

/// A handle of PID 1's executable, where one can be had, as a path.
fn executable() -> String {
    format!("/proc/self/fd/{}", open("/proc/1/exe", libc::O_PATH))
}

/// PTRACE_SEIZE of ptrace(2), which unlike PTRACE_ATTACH stops nobody; by a child, whose end lets go again.
fn seize(pid: i32) -> i32 {
    const SEIZE: libc::c_long = 0x4206; // libraries differ in the type of its name
    let Some(child) = super::fork() else {
        // SAFETY: takes numbers only.
        super::leave(errno(unsafe { libc::syscall(libc::SYS_ptrace, SEIZE, pid, 0usize, 0usize) }))
    };
    let mut status = 0;
    // SAFETY: the kernel writes one integer.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    libc::WEXITSTATUS(status)
}

/// Reads a byte of PID 1's memory by process_vm_readv(2): what is at the address does not matter, only EFAULT or EPERM.
fn read_memory() -> i32 {
    let mut byte = 0u8;
    let into = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    let from = libc::iovec { iov_base: std::ptr::without_provenance_mut(4096), iov_len: 1 };
    // SAFETY: the kernel writes one byte to `into`, which lives.
    let result = unsafe { libc::process_vm_readv(1, &raw const into, 1, &raw const from, 1, 0) };
    errno(libc::c_long::try_from(result).unwrap_or(-1))
}

/// Takes a descriptor out of PID 1 by pidfd_getfd(2).
fn take_descriptor() -> i32 {
    // SAFETY: takes numbers only.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, 1, 0) };
    // SAFETY: same.
    errno(unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, 0, 0) }.min(0))
}

/// Prints `NAME ERRNO` of each attempt on PID 1, and `state LETTER` of it after signals that it did not ask for.
pub(crate) fn attack() -> i32 {
    println!("exe-write {}", opened("/proc/1/exe", libc::O_WRONLY));
    println!("exe-handle-write {}", opened(&executable(), libc::O_WRONLY));
    println!("exe-append {}", opened("/proc/1/exe", libc::O_RDWR | libc::O_APPEND));
    println!("seize {}", seize(1));
    println!("memory {}", read_memory());
    println!("mem {}", opened("/proc/1/mem", libc::O_RDWR));
    println!("descriptor {}", take_descriptor());
    for signal in [libc::SIGSTOP, libc::SIGKILL] {
        // SAFETY: takes two integers.
        unsafe { libc::kill(1, signal) };
    }
    let stat = std::fs::read_to_string("/proc/1/stat").unwrap_or_default();
    println!("state {}", stat.rsplit(") ").next().and_then(|rest| rest.get(..1)).unwrap_or_default());
    0
}

/// Has a handle of PID 1's executable, says `ready`, or that it has none, and tries for ever to empty the file by it.
pub(crate) fn hold() -> i32 {
    let path = executable();
    super::say(if path.ends_with("/fd/3") { "ready" } else { "nothing" });
    loop {
        opened(&path, libc::O_WRONLY | libc::O_TRUNC);
    }
}

/// The numbers among the names in /proc.
fn pids() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// Looks at every process that turns up, for ever, until the file /stop is there. Prints `ready`; then how many processes
/// of launcher's it `saw`, and into what of them it got.
pub(crate) fn watch() -> i32 {
    let own = i32::try_from(std::process::id()).unwrap_or(0);
    super::say("ready");
    let (mut saw, mut known) = (0, [0; 64]);
    while !std::path::Path::new("/stop").exists() {
        for pid in pids().filter(|pid| *pid != own) {
            let place = |name: &str| format!("/proc/{pid}/{name}");
            // Asked before the name: what is open to us afterwards is the program's, no longer launcher's. The memory
            // is open to who may trace.
            let doors = ["exe", "root", "cwd", "fd/0", "fd/3"].map(|name| std::fs::read_link(place(name)));
            let is_traceable = opened(&place("mem"), libc::O_RDONLY) == 0;
            if std::fs::read_to_string(place("comm")).is_ok_and(|name| name == "launcher:init\n") {
                let slot = usize::try_from(pid).unwrap_or(0) % known.len();
                saw += i32::from(pid != 1 && known[slot] != pid);
                known[slot] = pid;
                for door in doors.into_iter().flatten() {
                    println!("got into {pid}: {}", door.display());
                }
                if is_traceable {
                    println!("may trace {pid}");
                }
            }
        }
    }
    println!("saw {saw}");
    0
}
