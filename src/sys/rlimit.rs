//! Resource limits.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::cvt;

/// `prlimit64(2)`, Linux 2.6.36: sets soft and hard limit of a process (pid 0: ours).
pub(crate) fn set(pid: Pid, resource: u32, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit64 { rlim_cur: soft, rlim_max: hard };
    // SAFETY: the kernel reads the struct, which lives until the call returns, and writes nothing.
    cvt(unsafe { libc::syscall(libc::SYS_prlimit64, pid.as_raw(), resource, &raw const limit, 0usize) })
        .map(drop)
}

/// `prlimit64(2)`: the soft and hard limit of a process.
pub(crate) fn get(pid: Pid, resource: u32) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit64 { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills the struct, which lives until the call returns.
    cvt(unsafe { libc::syscall(libc::SYS_prlimit64, pid.as_raw(), resource, 0usize, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}
