//! Capabilities of the calling thread.

use std::path::Path;

use nix::errno::Errno;

use super::cvt;

/// `_LINUX_CAPABILITY_VERSION_3`, Linux 2.6.26: two 32-bit words a set.
const VERSION: u32 = 0x2008_0522;

/// `struct __user_cap_header_struct`.
#[repr(C)]
struct Header {
    /// [`VERSION`].
    version: u32,
    /// 0: ourselves.
    pid: libc::c_int,
}

/// `struct __user_cap_data_struct`, one of two.
#[repr(C)]
#[derive(Clone, Copy)]
struct Half {
    /// In force now.
    effective: u32,
    /// May be put in force.
    permitted: u32,
    /// Kept over execve where the file says so.
    inheritable: u32,
}

/// `capset(2)`: permitted and effective become `bits`, inheritable becomes the other; ambient loses what inheritable loses.
pub(crate) fn set(bits: u64, inheritable: u64) -> Result<(), Errno> {
    let header = Header { version: VERSION, pid: 0 };
    let half = |word: u64, inheritable: u64| Half {
        effective: word as u32,
        permitted: word as u32,
        inheritable: inheritable as u32,
    };
    let data = [half(bits, inheritable), half(bits >> 32, inheritable >> 32)];
    // SAFETY: the kernel reads the header and two halves, both on our stack.
    cvt(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}

/// `capget(2)`: the permitted set.
pub(crate) fn permitted() -> Result<u64, Errno> {
    let header = Header { version: VERSION, pid: 0 };
    let mut data = [Half { effective: 0, permitted: 0, inheritable: 0 }; 2];
    // SAFETY: the kernel reads the header and fills two halves, both on our stack.
    cvt(unsafe { libc::syscall(libc::SYS_capget, &raw const header, data.as_mut_ptr()) })?;
    let [low, high] = data;
    Ok(u64::from(low.permitted) | u64::from(high.permitted) << 32)
}

/// Whether `mknod(2)` makes devices for us: with CAP_MKNOD, outside of any user namespace.
pub(crate) fn may_make_nodes() -> bool {
    /// Number of the capability.
    const MKNOD: u32 = 27;
    // Without that file there are no user namespaces.
    let has_all_ids = |map: String| map.split_ascii_whitespace().eq(["0", "0", "4294967295"]);
    super::file::read(Path::new("/proc/self/uid_map")).map_or(true, has_all_ids)
        && permitted().is_ok_and(|bits| bits >> MKNOD & 1 == 1)
}

/// PR_CAPBSET_DROP, Linux 2.6.25: this capability can never be gained again. EINVAL: the kernel has no such one.
pub(crate) fn drop_from_bounding(capability: u32) -> Result<(), Errno> {
    // SAFETY: takes integers only.
    cvt(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_CAPBSET_DROP, capability, 0usize, 0usize, 0usize) })
        .map(drop)
}

/// PR_SET_KEEPCAPS, Linux 2.2.18: a change of the user id from 0 leaves permitted as it is; until execve.
pub(crate) fn keep() -> Result<(), Errno> {
    // SAFETY: takes integers only.
    cvt(unsafe { libc::syscall(libc::SYS_prctl, libc::PR_SET_KEEPCAPS, 1usize, 0usize, 0usize, 0usize) })
        .map(drop)
}

/// PR_CAP_AMBIENT_RAISE, Linux 4.3: a capability that is permitted and inheritable outlives execve of any user.
pub(crate) fn raise_ambient(capability: u32) -> Result<(), Errno> {
    let (call, raise) = (libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE);
    // SAFETY: takes integers only.
    cvt(unsafe { libc::syscall(libc::SYS_prctl, call, raise, capability, 0usize, 0usize) }).map(drop)
}

/// PR_CAPBSET_READ, Linux 2.6.25: whether the kernel has a capability of this number.
pub(crate) fn exists(capability: u32) -> bool {
    // SAFETY: takes integers only.
    unsafe { libc::syscall(libc::SYS_prctl, libc::PR_CAPBSET_READ, capability, 0usize, 0usize, 0usize) >= 0 }
}
