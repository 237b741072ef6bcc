//! The default profile: which groups of calls a container may make, and with which arguments.
//!
//! build.rs has this file as well, so it uses nothing of ours but compile.rs.

use super::compile::{ALLOW, Compare, ERRNO, Relation, Rule};

/// No capability opens the group.
const NONE: u8 = 63;
/// Stands among capabilities for Linux 4.8, from where on a call is filtered after its tracer has seen it.
pub(crate) const FILTERED_AFTER_TRACING: u8 = 62;

/// Any of two capabilities, by number, opens a group without conditions; without it every call of the group fails
/// with the error number, or works if that is 0.
pub(crate) struct Group(u8, u8, u8);

/// EPERM: the call is there, and is not for the container.
const EPERM: u8 = 1;
/// ENOSYS.
const ENOSYS: u8 = 38;
/// What a kernel without this protocol says.
const EPROTONOSUPPORT: u8 = 93;
/// EAFNOSUPPORT: what a kernel without this kind of socket says.
const EAFNOSUPPORT: u8 = 97;

/// CAP_DAC_READ_SEARCH and so on; capabilities(7).
const READ_SEARCH: u8 = 2;
/// CAP_SYS_MODULE, and the next in order.
const MODULE: u8 = 16;
/// CAP_SYS_RAWIO.
const RAWIO: u8 = 17;
/// CAP_SYS_CHROOT.
const CHROOT: u8 = 18;
/// CAP_SYS_PTRACE.
const PTRACE: u8 = 19;
/// CAP_SYS_PACCT.
const PACCT: u8 = 20;
/// CAP_SYS_ADMIN.
const ADMIN: u8 = 21;
/// CAP_SYS_BOOT.
const BOOT: u8 = 22;
/// CAP_SYS_NICE.
const NICE: u8 = 23;
/// CAP_SYS_TIME.
const TIME: u8 = 25;
/// CAP_SYS_TTY_CONFIG.
const TTY_CONFIG: u8 = 26;
/// CAP_MKNOD.
const MKNOD: u8 = 27;
/// CAP_SYSLOG.
const SYSLOG: u8 = 34;
/// CAP_PERFMON.
const PERFMON: u8 = 38;
/// CAP_BPF.
const BPF: u8 = 39;

/// The groups of table.rs, in its order.
pub(crate) const GROUPS: [Group; 24] = [
    Group(NONE, NONE, 0),
    Group(NONE, NONE, EPERM),
    Group(ADMIN, NONE, EPERM),
    Group(ADMIN, BPF, EPERM),
    Group(ADMIN, PERFMON, EPERM),
    Group(ADMIN, SYSLOG, EPERM),
    Group(READ_SEARCH, NONE, EPERM),
    Group(BOOT, NONE, EPERM),
    Group(CHROOT, NONE, EPERM),
    Group(MODULE, NONE, EPERM),
    Group(PACCT, NONE, EPERM),
    Group(PTRACE, NONE, EPERM),
    Group(PTRACE, FILTERED_AFTER_TRACING, EPERM),
    Group(RAWIO, NONE, EPERM),
    Group(TIME, NONE, EPERM),
    Group(TTY_CONFIG, NONE, EPERM),
    Group(NICE, NONE, EPERM),
    Group(ADMIN, NONE, EPERM),
    Group(ADMIN, NONE, ENOSYS),
    Group(NONE, NONE, 0),
    Group(NONE, NONE, EPERM),
    Group(NONE, NONE, 0),
    Group(MKNOD, NONE, 0),
    Group(MKNOD, NONE, 0),
];

/// The group of the calls for which the answers of the one before it count, as to the argument after theirs.
const SHIFTED: u8 = 23;

/// One exception to what its group says.
struct Answer {
    /// The group.
    group: u8,
    /// Which argument. The kernel takes these as 32 bits whatever is above them, so the filter does too: else a bit up
    /// there would be a way around (CVE-2019-10063).
    arg: u8,
    /// What it is answered, as in a group.
    errno: u8,
    /// The bits that count.
    mask: u32,
    /// What they are.
    value: u32,
}

/// Where a group depends on arguments.
const ANSWERS: [Answer; 21] = [
    // No namespace is asked for: CLONE_NEW*, of which NEWTIME (0x80) is a signal's number in clone. What is left of
    // unshare is what threads do among themselves.
    Answer { group: 17, arg: 0, errno: 0, mask: 0x7e02_0080, value: 0 },
    // AF_ALG (CVE-2026-31431) and AF_VSOCK, which has no namespace and speaks to the hypervisor.
    Answer { group: 19, arg: 0, errno: EAFNOSUPPORT, mask: u32::MAX, value: 38 },
    Answer { group: 19, arg: 0, errno: EAFNOSUPPORT, mask: u32::MAX, value: 40 },
    // AF_PACKET: the packets of all who share the network, headers included.
    Answer { group: 19, arg: 0, errno: EAFNOSUPPORT, mask: u32::MAX, value: 17 },
    // NETLINK_AUDIT, which has no namespace: libaudit knows this for a kernel without it. The same number is a protocol of
    // routers in AF_INET, which no program in a container speaks.
    Answer { group: 19, arg: 2, errno: EPROTONOSUPPORT, mask: u32::MAX, value: 9 },
    // PER_LINUX, PER_LINUX32, both with UNAME26.
    Answer { group: 20, arg: 0, errno: 0, mask: u32::MAX, value: 0 },
    Answer { group: 20, arg: 0, errno: 0, mask: u32::MAX, value: 8 },
    Answer { group: 20, arg: 0, errno: 0, mask: u32::MAX, value: 0x2_0000 },
    Answer { group: 20, arg: 0, errno: 0, mask: u32::MAX, value: 0x2_0008 },
    // TIOCSTI (CVE-2017-5226) and TIOCLINUX (CVE-2023-28100).
    Answer { group: 21, arg: 1, errno: EPERM, mask: u32::MAX, value: 0x5412 },
    Answer { group: 21, arg: 1, errno: EPERM, mask: u32::MAX, value: 0x541c },
    // No nodes of the host's disks, where others than the container may come upon them: block devices (S_IFBLK under
    // S_IFMT), and character devices (S_IFCHR) but these, whose numbers are makedev(3)'s: null, zero, full, random,
    // urandom, tty, ptmx, and the mark of overlayfs for what was deleted, which is no device. /dev/console is the
    // machine's. Last of all come files, pipes and sockets, which these numbers mean nothing to.
    Answer { group: 22, arg: 1, errno: EPERM, mask: 0o170_000, value: 0o060_000 },
    node(0x103),
    node(0x105),
    node(0x107),
    node(0x108),
    node(0x109),
    node(0x500),
    node(0x502),
    node(0),
    Answer { group: 22, arg: 1, errno: EPERM, mask: 0o170_000, value: 0o020_000 },
];

/// A device whose node may be made, as the kernel has both its numbers in one.
const fn node(number: u32) -> Answer {
    Answer { group: 22, arg: 2, errno: 0, mask: u32::MAX, value: number }
}

/// An error number as an answer of the filter.
fn action(errno: u8) -> u32 {
    if errno == 0 { ALLOW } else { ERRNO | u32::from(errno) }
}

/// Which groups these capabilities open, as bits.
pub(crate) fn opened(granted: u64) -> u32 {
    let is_open = |group: &Group| (granted >> group.0 | granted >> group.1) & 1 == 1;
    let bits = (0..).zip(&GROUPS).filter(|(_, group)| is_open(group));
    bits.fold(0, |bits, (index, _)| bits | 1 << index)
}

/// The rules. `map` says for each call from which one on which group is in force: the call, and the group times 1024.
/// A group beyond the last one is of calls that are not there.
pub(crate) fn rules(opened: u32, map: &[u16]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for (index, group) in (0u8..).zip(&GROUPS) {
        let mut calls = Vec::new();
        for pair in map.windows(2) {
            if let [start, end] = pair
                && *start >> 10 == u16::from(index)
            {
                calls.extend(start & 1023..end & 1023);
            }
        }
        let is_open = opened >> index & 1 == 1;
        let shift = u8::from(index == SHIFTED);
        for answer in ANSWERS.iter().filter(|answer| answer.group + shift == index && !is_open) {
            let (mask, value) = (answer.mask.into(), answer.value.into());
            let compare =
                Compare { arg: answer.arg + shift, relation: Relation::Equal, negated: false, mask, value };
            let action = action(answer.errno);
            rules.push(Rule { calls: calls.clone(), compares: vec![compare], any: false, action });
        }
        let action = if is_open { ALLOW } else { action(group.2) };
        rules.push(Rule { calls, compares: Vec::new(), any: false, action });
    }
    rules
}
