//! Programs that the kernel asks: `bpf(2)`, Linux 3.18; libc has no wrapper.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::cvt_int;
use super::fd::own;

/// `union bpf_attr` in words of 64 bits, each of one field or of two, the first in the lower half: little-endian, as all
/// machines that we build for. Longer than what any call here reads: Linux 6.17 to 7.1 write to fields of it whatever size
/// they are told, so that a short one would be overrun. What is not used is zero, as the kernel wants it.
type Attributes = [u64; 16];

/// `bpf(2)` with the first words of its attributes.
fn bpf(command: libc::c_int, first: [u64; 3]) -> Result<libc::c_int, Errno> {
    let mut attributes: Attributes = [0; 16];
    let [one, two, three, ..] = &mut attributes;
    [*one, *two, *three] = first;
    // SAFETY: the kernel reads the attributes, and what they point to while the call lasts; what it may write to is ours.
    cvt_int(unsafe { libc::syscall(libc::SYS_bpf, command, &raw mut attributes, size_of::<Attributes>()) })
}

/// `bpf(2)` BPF_PROG_LOAD of a BPF_PROG_TYPE_CGROUP_DEVICE, Linux 4.15: a program that is asked about every device that is
/// opened or made. EINVAL: no CONFIG_CGROUP_BPF; ENOSYS: no CONFIG_BPF_SYSCALL; EPERM: not root of the machine.
pub(crate) fn load_device_program(program: &[u64]) -> Result<OwnedFd, Errno> {
    let (kind, licence) = (15, c"MIT".as_ptr());
    bpf(5, [kind | (program.len() as u64) << 32, program.as_ptr() as u64, licence as u64]).map(own)
}

/// `bpf(2)` BPF_PROG_ATTACH with BPF_F_ALLOW_MULTI, Linux 4.15: from now on the program is asked for a cgroup and all below
/// it, besides those of the cgroups above. It goes with the cgroup.
pub(crate) fn attach_device_program(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> Result<(), Errno> {
    let (kind, flags) = (6, 2);
    let fds = cgroup.as_raw_fd() as u64 | (program.as_raw_fd() as u64) << 32;
    bpf(8, [fds, kind | flags << 32, 0]).map(drop)
}

#[cfg(test)]
mod tests {
    /// Where the affected kernels write: at 56, eight bytes. The longest attributes of today have some 150.
    #[test]
    fn the_attributes_have_room_for_what_kernels_write() {
        assert!(size_of::<super::Attributes>() >= 128);
    }
}
