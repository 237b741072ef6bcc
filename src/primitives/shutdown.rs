//! The ordered end of a machine: its processes, its file systems, itself.
//!
//! PID 1 allocates nothing here; and what may hang does so in a process of its own, for which nobody waits for ever. Every
//! signal that we look at must be blocked.

use std::ffi::CString;
use std::fmt::Display;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sched::CloneFlags;
use nix::sys::reboot::RebootMode;
use nix::unistd::Pid;

use super::rootfs::c_path;
use super::{early, machine_root};
use crate::error::{STATUS_OURS, describe, tolerate};
use crate::log::{say, warning};
use crate::spec::board::Action;
use crate::sys;
use crate::sys::ns::{Side, Wish};
use crate::sys::process::{Change, Who};
use crate::text::{self, Show};

/// How many milliseconds pass at most between two calls of who wants to be called.
const TICK: u64 = 1000;

/// Milliseconds that those who were killed have to be gone: only a hanging device or a frozen file system keeps them.
const DYING: u64 = 2000;

/// Milliseconds that one unmount has until the next one begins beside it.
const UNMOUNT: u64 = 1000;

/// Milliseconds that all file systems have without any of what is to be written becoming less.
const RELEASE: u64 = 10_000;

/// So many times that long is the end of patience with a slow disk.
const PERIODS: u64 = 12;

/// Where the kernel's own file systems are, of which nothing is to be written anywhere.
const KERNELS: &str = "/proc /sys /dev";

/// Ends all processes but us: SIGTERM, and SIGCONT for who is stopped; at `until`, in milliseconds of our clock, SIGKILL.
/// Returns when nobody is left, or nothing more can be done about them. Calls `on_tick` at least once a second.
pub(crate) fn end_processes(until: u64, on_tick: &mut dyn FnMut()) {
    for (signals, is_last) in
        [([libc::SIGTERM, libc::SIGCONT], false), ([libc::SIGKILL, libc::SIGKILL], true)]
    {
        for signal in signals {
            tolerate(sys::process::kill_all_others(signal), "ESRCH: we are alone");
        }
        let until = if is_last { sys::clock::milliseconds() + DYING } else { until };
        if reap_until(until, None, on_tick).is_some() {
            return;
        }
    }
    warning!("some processes cannot be killed");
}

/// Reaps whoever ends, until it is `child`, or nobody is left; `None`: the time is over before that. Else how the child
/// ended.
fn reap_until(end: u64, child: Option<Pid>, on_tick: &mut dyn FnMut()) -> Option<Change> {
    loop {
        loop {
            match sys::process::wait(Who::AnyNow) {
                Ok(Some((pid, change))) if Some(pid) == child && change.status().is_some() => {
                    return Some(change);
                }
                Ok(Some(_)) => {}
                Ok(None) => break,
                // ECHILD: nobody is left.
                Err(_) => return Some(Change::Exited(0)),
            }
        }
        on_tick();
        let left = end.saturating_sub(sys::clock::milliseconds());
        if left == 0 {
            return None;
        }
        // Whatever signal it is: we are on our way down already.
        tolerate(sys::signal::wait_for_any(Some(left.min(TICK)), false), "then we look at once");
    }
}

/// Does some work in a process of its own; the work's value is its exit status. `None`: there can be no process, and it is
/// done here.
fn begin(work: &mut dyn FnMut() -> u8) -> Option<Pid> {
    match sys::ns::clone_process(Wish { flags: CloneFlags::empty(), cgroup: None }) {
        Ok(Side::Child) => {
            sys::crash::forget();
            sys::process::exit_now(work())
        }
        Ok(Side::Parent(born)) => Some(born.pid),
        // It may hang; but left undone it is lost for sure.
        Err(_) => {
            work();
            None
        }
    }
}

/// The same, and waits for it so many milliseconds; then it goes on beside us. `None`: it does, or never began.
fn apart(work: &mut dyn FnMut() -> u8, time: u64, on_tick: &mut dyn FnMut()) -> Option<Change> {
    begin(work)
        .and_then(|pid| reap_until(sys::clock::milliseconds().saturating_add(time), Some(pid), on_tick))
}

/// `sync(2)`, for which nobody waits longer than ten seconds: for who ends the machine out of order.
pub(crate) fn flush(on_tick: &mut dyn FnMut()) {
    apart(&mut sync, RELEASE, on_tick);
}

/// See [`flush`].
fn sync() -> u8 {
    nix::unistd::sync();
    0
}

/// Writes out and unmounts all file systems, and takes the swap out of use. What is busy, as the root is, becomes
/// read-only. Waits as long as something is written, and ten seconds more; calls `on_tick` at least once a second.
///
/// `owns_machine`: this is its PID 1, and not that of a PID namespace in it: swap, and whether a file system may be written
/// to, are the machine's. Then all is only written out; what is mounted goes with the mount namespace.
pub(crate) fn release_file_systems(owns_machine: bool, on_tick: &mut dyn FnMut()) {
    if !owns_machine {
        return flush(on_tick);
    }
    // It tells what is mounted, and what is to be written.
    tolerate(early::mount_proc().map_err(drop), "told when it began, if there never was one");
    let mut unwritten = unwritten();
    let Some(pid) = begin(&mut release) else { return };
    for _ in 0..PERIODS {
        if reap_until(sys::clock::milliseconds() + RELEASE, Some(pid), on_tick).is_some() {
            return;
        }
        let left = self::unwritten();
        if left >= unwritten {
            break;
        }
        unwritten = left;
    }
    tolerate(sys::process::kill(pid, libc::SIGKILL), "ESRCH: just now");
    warning!("a file system hangs: what is not written yet is lost");
}

/// KiB that are in memory and belong on disks, from /proc/meminfo; 0 where it cannot be read. Allocates nothing.
fn unwritten() -> u64 {
    let mut buffer = [0; 2048];
    let read = sys::fd::open_at(AT_FDCWD, c"/proc/meminfo", OFlag::O_RDONLY)
        .and_then(|file| nix::unistd::read(file, &mut buffer));
    unwritten_in(buffer.get(..read.unwrap_or(0)).unwrap_or_default())
}

/// The same of a text.
fn unwritten_in(text: &[u8]) -> u64 {
    let mut sum = 0;
    for line in text::lines(std::str::from_utf8(text).unwrap_or_default()) {
        if line.starts_with("Dirty:") || line.starts_with("Writeback:") {
            sum += text::parts(line, b' ').find_map(text::number).unwrap_or(0);
        }
    }
    sum
}

/// The work of [`release_file_systems`]. It may allocate, and does what may hang in processes of its own, so that the
/// others have their turn.
fn release() -> u8 {
    apart(&mut empty_swap, RELEASE / 2, &mut || {});
    // What was unmounted may have held what was mounted before it, as the device of a loop does.
    while unmount_all() {}
    let mut points = points();
    points.push(c"/".to_owned());
    for point in &points {
        let work = &mut || tell(sys::mount::remount_read_only(point), &point.shown());
        apart(work, UNMOUNT, &mut || {});
    }
    apart(&mut || tell(machine_root::close_upper(), &"the device of the overlay"), UNMOUNT, &mut || {});
    // Those that still go on; who waits for us has the clock.
    reap_until(u64::MAX, None, &mut || {});
    sync()
}

/// Says what could not be made read-only; the exit status of who tried.
fn tell(tried: Result<(), Errno>, what: &dyn Display) -> u8 {
    let Err(errno) = tried else { return 0 };
    warning!("{what} stays writable: {}", describe(errno));
    1
}

/// Writes all out, then takes the swap out of use, as its files keep their file systems busy.
fn empty_swap() -> u8 {
    nix::unistd::sync();
    let swaps = sys::file::read(Path::new("/proc/swaps")).unwrap_or_default();
    for line in text::lines(&swaps).skip(1) {
        let name = sys::mount::unescape(text::parts(line, b' ').next().unwrap_or_default());
        if let Ok(path) = c_path(Path::new(&name)) {
            tolerate(sys::reboot::swap_off(&path), "ENOMEM: it keeps its file system busy then, no more");
        }
    }
    0
}

/// Where something is mounted that may have to be written out, in the order of mounting, but for the root.
fn points() -> Vec<CString> {
    let mut points = Vec::new();
    for path in &sys::mount::points_below(Path::new("/")).unwrap_or_default() {
        let bytes = path.as_os_str().as_bytes();
        let is_ours = text::parts(KERNELS, b' ')
            .all(|folder| !matches!(bytes.strip_prefix(folder.as_bytes()), Some([] | [b'/', ..])));
        if is_ours && let Ok(point) = c_path(path) {
            points.push(point);
        }
    }
    points
}

/// Unmounts what can be, the last first. Whether that was something.
fn unmount_all() -> bool {
    let mut any = false;
    for point in points().iter().rev() {
        let work = &mut || u8::from(sys::mount::unmount(point).is_err());
        any |= apart(work, UNMOUNT, &mut || {}) == Some(Change::Exited(0));
    }
    any
}

/// `reboot(2)` RB_DISABLE_CAD: Ctrl-Alt-Del sends us SIGINT, from the kernel, instead of ending the machine at once.
pub(crate) fn disable_ctrl_alt_del() -> Result<(), Errno> {
    nix::sys::reboot::set_cad_enabled(false)
}

/// Ends the machine, or in a PID namespace its processes; `status`, that of the entrypoint, is told to `exit_port` before.
/// `Panic` is that we end, with that status. What is none of the four ways to end powers off.
pub(crate) fn reboot(how: Action, status: u8, exit_port: Option<u16>) -> ! {
    // What was said last may still be on its way through a serial line, which both ways to end cut off.
    let mut drain = || u8::from(nix::sys::termios::tcdrain(sys::fd::standard(2)).is_err());
    apart(&mut drain, UNMOUNT, &mut || {});
    if let Some(port) = exit_port
        && let Err(errno) = sys::reboot::write_port(port, status)
    {
        warning!("the status cannot be told to the I/O port {port}: {}", describe(errno));
    }
    let mode = match how {
        Action::Panic => sys::process::exit_now(status),
        Action::Reboot => RebootMode::RB_AUTOBOOT,
        Action::Halt => RebootMode::RB_HALT_SYSTEM,
        _ => RebootMode::RB_POWER_OFF,
    };
    // Where the machine cannot do it the kernel ends who asked, which must not be us.
    let mut work = || {
        nix::sys::reboot::reboot(mode)
            .map_or_else(|errno| u8::try_from(errno as i32).unwrap_or(u8::MAX), |never| match never {})
    };
    let refused = match apart(&mut work, u64::MAX, &mut || {}) {
        Some(Change::Exited(0)) | None => None,
        Some(Change::Exited(errno)) => Some(Errno::from_raw(errno.into())),
        Some(_) => Some(Errno::EINTR),
    };
    if let Some(errno) = refused {
        say(format_args!("end the machine: {}", describe(errno)));
        sys::process::exit_now(STATUS_OURS);
    }
    loop {
        tolerate(sys::signal::wait_for_any(None, false), "nothing is left to do");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unwritten_is_the_sum_of_two_lines() {
        let text =
            b"MemFree: 9 kB\nDirty:             148 kB\nWriteback:          12 kB\nWritebackTmp:   7 kB\n";
        assert_eq!(unwritten_in(text), 160);
        assert_eq!(unwritten_in(b""), 0);
    }
}
