//! The watchdog that resets the machine when nobody feeds it, and whether a process is well enough that we do.

use std::ffi::CStr;
use std::fmt::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::unistd::Pid;

use super::descendants::visit_children;
use crate::error::{Error, Result, describe, tolerate};
use crate::log::{Line, warning};
use crate::packed::{filled, packed};
use crate::spec::board;
use crate::sys;

/// A watchdog that runs.
///
/// Who is forked and does not execute a program must close its copy: a driver heeds the last one that is closed only.
#[derive(Debug)]
pub(crate) struct Watchdog {
    /// Its device. Closed without a word it goes on, with most drivers.
    device: OwnedFd,
    /// Seconds after which it resets the machine.
    seconds: u32,
}

impl Watchdog {
    /// Opens it, which starts it. Its time-out is what its driver makes of what is wanted.
    ///
    /// # Errors
    /// It is not there, or somebody else's.
    pub(crate) fn open(wanted: &board::Watchdog) -> Result<Self> {
        let device = sys::path::open(Path::new(wanted.device), OFlag::O_WRONLY).map_err(|errno| {
            let error = Error::os(filled!("open the watchdog {}", wanted.device), errno);
            match errno {
                Errno::ENOENT | Errno::ENODEV | Errno::ENXIO => error.hint(packed!(
                    "no driver: --modules with the board's, or softdog, and their dependency watchdog (CONFIG_WATCHDOG)"
                )),
                Errno::EBUSY => error.hint(packed!("another process feeds it; there can be one")),
                _ => error,
            }
        })?;
        let seconds = sys::watchdog::set_timeout(device.as_fd(), wanted.seconds);
        if seconds != wanted.seconds {
            warning!("the watchdog's time-out is {seconds} s: its driver has none of {} s", wanted.seconds);
        }
        Ok(Self { device, seconds })
    }

    /// Milliseconds between two feeds.
    pub(crate) fn interval(&self) -> u64 {
        u64::from(self.seconds) * 500
    }

    /// Feeds it. Allocates nothing.
    pub(crate) fn feed(&self) {
        if let Err(errno) = sys::watchdog::feed(self.device.as_fd()) {
            warning!("the watchdog takes nothing: {}", describe(errno));
        }
    }

    /// Stops it, for a machine that stays up without us: the magic close. A driver with nowayout goes on all the same.
    pub(crate) fn release(self) {
        tolerate(nix::unistd::write(self.device, b"V"), "it goes on then, as one with nowayout does");
    }

    /// Leaves it as it is, to reset a machine that hangs on its way down. Not closed: some drivers stop then.
    pub(crate) fn leave_armed(self) {
        std::mem::forget(self);
    }
}

/// The process that a runner has started: its child, or in a container its init's. `None`: there is none (yet).
pub(crate) fn entrypoint_of(runner: Pid, in_container: bool) -> Option<Pid> {
    let first_child = |parent| {
        let mut first = None;
        visit_children(parent, &mut |child| first = first.or(Some(child)));
        first
    };
    first_child(runner).and_then(|child| if in_container { first_child(child) } else { Some(child) })
}

/// Whether a process is there, and neither a zombie nor stopped, by a signal, a tracer or its cgroup. Allocates nothing.
/// What cannot be looked at, without a /proc, counts as running.
pub(crate) fn is_running(pid: Pid) -> bool {
    let mut buffer = [0; 512];
    match read(pid, "stat", &mut buffer) {
        Ok(stat) if !is_active(stat) => return false,
        Err(Errno::ESRCH) => return false,
        Err(_) => return sys::process::kill(pid, 0) != Err(Errno::ESRCH),
        Ok(_) => {}
    }
    // The kernel's function in which it sleeps: a frozen process looks as any that sleeps, but for that.
    !read(pid, "wchan", &mut buffer).is_ok_and(is_frozen)
}

/// The beginning of a file in the folder of a process.
fn read<'a>(pid: Pid, name: &str, buffer: &'a mut [u8; 512]) -> std::result::Result<&'a [u8], Errno> {
    let mut path = Line::new();
    tolerate(write!(path, "/proc/{pid}/{name}\0"), "a buffer never fails");
    let path = CStr::from_bytes_until_nul(path.text()).map_err(|_| Errno::EINVAL)?;
    let file = sys::fd::open_at(AT_FDCWD, path, OFlag::O_RDONLY)?;
    let length = nix::unistd::read(file, buffer)?;
    Ok(buffer.get(..length).unwrap_or_default())
}

/// What the letter in /proc/PID/stat says; proc(5). A name may have blanks and parentheses in it, what follows has none.
fn is_active(stat: &[u8]) -> bool {
    let mut words = stat.rsplit(|byte| *byte == b')').next().unwrap_or_default().split(|byte| *byte == b' ');
    match words.nth(1) {
        Some(b"T" | b"t" | b"X" | b"x") => false,
        // Its first thread has ended; where it has others they go on. Their number is the 18th word from the letter on.
        Some(b"Z") => words.nth(16) != Some(b"1"),
        _ => true,
    }
}

/// Whether the freezer of cgroup v2 has it, by either name that compilers leave of one function, or that of v1. Who is stopped
/// by a signal sleeps elsewhere.
fn is_frozen(function: &[u8]) -> bool {
    [&b"get_signal"[..], b"do_freezer_trap", b"__refrigerator"].contains(&function)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stopped_and_dead_processes_are_not_active() {
        let rest = "1 2 3 0 -1 4194560 1 0 0 0 0 0 0 0 20 0";
        let cases = [
            ("7 (sh) S", "1", true),
            ("7 (sh) R", "1", true),
            ("7 (sh) D", "4", true),
            ("7 (sh) T", "1", false),
            ("7 (sh) t", "2", false),
            ("7 (a) T (b) S", "1", true),
            ("7 () S) T", "1", false),
            ("7 (sh) Z", "1", false),
            ("7 (sh) Z", "2", true),
            ("7 (sh) X", "0", false),
        ];
        for (begin, threads, want) in cases {
            assert_eq!(
                is_active(format!("{begin} {rest} {threads} 0 99\n").as_bytes()),
                want,
                "{begin} {threads}"
            );
        }
    }

    #[test]
    fn a_process_of_ours_stops_and_ends() {
        let mut child =
            std::process::Command::new("cat").stdin(std::process::Stdio::piped()).spawn().unwrap();
        let pid = Pid::from_raw(child.id().cast_signed());
        assert!(is_running(pid));
        sys::process::kill(pid, libc::SIGSTOP).unwrap();
        nix::sys::wait::waitpid(pid, Some(nix::sys::wait::WaitPidFlag::WUNTRACED)).unwrap();
        assert!(!is_running(pid), "stopped");
        sys::process::kill(pid, libc::SIGKILL).unwrap();
        child.wait().unwrap();
        assert!(!is_running(pid), "gone");
    }
}
