//! Filters of system calls.

use nix::errno::Errno;

use super::cvt;

/// `SECCOMP_FILTER_FLAG_SPEC_ALLOW`, Linux 4.17: does not turn off speculation past stores for this process.
pub(crate) const SPEC_ALLOW: u32 = 1 << 2;
/// `SECCOMP_SET_MODE_FILTER`.
const SET_MODE_FILTER: u32 = 1;

/// `struct sock_fprog`.
#[repr(C)]
struct Program {
    /// How many instructions.
    len: libc::c_ushort,
    /// The first one.
    first: *const u64,
}

/// `seccomp(2)`, Linux 3.17, or `prctl(2)` PR_SET_SECCOMP, Linux 3.5, where a filter with flags is not wanted: from now
/// on every call is asked of this program of `struct sock_filter`s. EACCES: neither no_new_privs nor CAP_SYS_ADMIN.
/// EINVAL: the kernel knows no filters, or takes none of this length.
pub(crate) fn install(program: &[u64], flags: u32) -> Result<(), Errno> {
    let program = Program { len: program.len() as libc::c_ushort, first: program.as_ptr() };
    let set = |flags: u32| {
        // SAFETY: the kernel copies the program, whose instructions live as long as the slice.
        cvt(unsafe { libc::syscall(libc::SYS_seccomp, SET_MODE_FILTER, flags, &raw const program) })
    };
    let result = match set(flags) {
        // This flag takes a burden away, so that it may be left out. Other flags are a wish.
        Err(Errno::EINVAL) if flags & SPEC_ALLOW != 0 => set(flags & !SPEC_ALLOW),
        result => result,
    };
    match result {
        Err(Errno::ENOSYS) => {
            let mode = libc::SECCOMP_MODE_FILTER;
            // SAFETY: as above; the arguments that are not used need not be zero here.
            cvt(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_SECCOMP, mode, &raw const program) })
        }
        result => result,
    }
    .map(drop)
}
