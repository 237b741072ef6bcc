//! Namespaces: making a process in new ones, leaving for others.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::Pid;

use super::fd::own;
use super::{cvt, cvt_int};

/// Linux 5.7; libc has it for some targets only, and too narrow.
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Which side of a clone we are on.
#[derive(Debug)]
pub(crate) enum Side {
    /// The new process.
    Child,
    /// The old one, with what it learns of the new.
    Parent(Born),
}

/// A process that has just been made.
#[derive(Debug)]
pub(crate) struct Born {
    /// Its process id as we see it.
    pub(crate) pid: Pid,
    /// Its pidfd; `None` before Linux 5.2.
    pub(crate) pidfd: Option<OwnedFd>,
    /// Whether the kernel placed it in the cgroup that was asked for.
    pub(crate) in_cgroup: bool,
}

/// What a clone is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// CLONE_NEW* and CLONE_PARENT.
    pub(crate) flags: CloneFlags,
    /// A cgroup v2 folder that the child starts in.
    pub(crate) cgroup: Option<BorrowedFd<'a>>,
}

/// Makes a process with a copy of our memory in new namespaces: `clone3(2)` (Linux 5.3; into a cgroup 5.7), or
/// `clone(2)` where clone3 is unknown or forbidden (ENOSYS, and EPERM from filters that know no better).
///
/// libc is not told: in the child its cached thread id is stale, so no raise(), abort() or pthread call there.
pub(crate) fn clone_process(wish: Wish<'_>) -> Result<Side, Errno> {
    match clone3(wish) {
        Err(Errno::ENOSYS | Errno::EPERM) => clone_old(wish.flags),
        // E2BIG: the kernel's struct has no cgroup field yet. EINVAL: it has the field and not the flag.
        Err(Errno::E2BIG | Errno::EINVAL) if wish.cgroup.is_some() => {
            clone_process(Wish { cgroup: None, ..wish })
        }
        result => result,
    }
}

/// The signal that tells the parent of the child's end. With CLONE_PARENT the child inherits ours, and giving one is
/// EINVAL in clone3.
fn exit_signal(flags: CloneFlags) -> libc::c_int {
    if flags.contains(CloneFlags::CLONE_PARENT) { 0 } else { libc::SIGCHLD }
}

/// `struct clone_args`; libc lacks it for some targets. All zero is valid: no stack, no TLS, no tid pointers.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    /// CLONE_*.
    flags: u64,
    /// Where the pidfd is written.
    pidfd: u64,
    /// Not ours: child_tid, parent_tid.
    tids: [u64; 2],
    /// The signal of the child's end.
    exit_signal: u64,
    /// Not ours: stack, stack_size, tls, set_tid, set_tid_size.
    rest: [u64; 5],
    /// Linux 5.7: a descriptor of the cgroup to start in.
    cgroup: u64,
}

/// `clone3(2)`, Linux 5.3.
fn clone3(wish: Wish<'_>) -> Result<Side, Errno> {
    let mut pidfd: libc::c_int = -1;
    let mut args = CloneArgs::default();
    let flags = u64::from(wish.flags.bits() as libc::c_uint);
    args.flags = flags | libc::CLONE_PIDFD as u64;
    args.pidfd = &raw mut pidfd as u64;
    args.exit_signal = exit_signal(wish.flags) as u64;
    if let Some(cgroup) = wish.cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child runs on its own copy of this stack, as after fork. The kernel writes
    // `pidfd` in the parent before either side returns.
    let pid = cvt_int(unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) })?;
    Ok(side(pid, pidfd, wish.cgroup.is_some()))
}

/// `clone(2)`: no cgroup, no time namespace. CLONE_PIDFD is ignored before 5.2 and leaves -1 behind.
fn clone_old(flags: CloneFlags) -> Result<Side, Errno> {
    let mut pidfd: libc::c_int = -1;
    let bits = flags.bits() | libc::CLONE_PIDFD | exit_signal(flags);
    // SAFETY: as in clone3. The third argument is the pidfd's place on every architecture; the others are unused.
    let pid =
        cvt_int(unsafe { libc::syscall(libc::SYS_clone, bits, 0usize, &raw mut pidfd, 0usize, 0usize) })?;
    Ok(side(pid, pidfd, false))
}

/// Tells the two returns of a clone apart.
fn side(pid: libc::c_int, pidfd: libc::c_int, in_cgroup: bool) -> Side {
    match pid {
        0 => Side::Child,
        pid => {
            Side::Parent(Born { pid: Pid::from_raw(pid), pidfd: (pidfd >= 0).then(|| own(pidfd)), in_cgroup })
        }
    }
}

/// `unshare(2)` of the time namespace, Linux 5.6; nix has no name for it. Children enter it, we do not.
pub(crate) fn unshare_time() -> Result<(), Errno> {
    // SAFETY: takes one integer.
    cvt(unsafe { libc::syscall(libc::SYS_unshare, libc::CLONE_NEWTIME) }).map(drop)
}

/// CLONE_NEWTIME as setns(2) knows it; nix has no name for it.
pub(crate) const NEW_TIME: CloneFlags = CloneFlags::from_bits_retain(libc::CLONE_NEWTIME);

/// `setns(2)`. EINVAL: the descriptor is no namespace of this kind.
pub(crate) fn join(namespace: BorrowedFd<'_>, kind: CloneFlags) -> Result<(), Errno> {
    nix::sched::setns(namespace, kind)
}

/// `setdomainname(2)`: of the UTS namespace; nix has no name for it.
pub(crate) fn set_domainname(name: &[u8]) -> Result<(), Errno> {
    // SAFETY: the kernel reads `len` bytes from the live slice.
    cvt(unsafe { libc::syscall(libc::SYS_setdomainname, name.as_ptr(), name.len()) }).map(drop)
}

/// `ioctl(2)` SIOCSIFFLAGS: brings the network interface of that name up; netdevice(7).
pub(crate) fn raise_interface(socket: std::os::fd::RawFd, name: [u8; libc::IFNAMSIZ]) -> Result<(), Errno> {
    // SAFETY: all-zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { MaybeUninit::zeroed().assume_init() };
    request.ifr_name = name.map(|byte| byte as libc::c_char);
    request.ifr_ifru.ifru_flags = libc::IFF_UP as libc::c_short;
    // SAFETY: the kernel reads one ifreq, which lives until the call returns.
    cvt(unsafe { libc::syscall(libc::SYS_ioctl, socket, libc::SIOCSIFFLAGS, &raw const request) }).map(drop)
}
