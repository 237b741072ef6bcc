//! What is set inside fresh namespaces, and how existing ones are opened.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sched::CloneFlags;

use crate::error::{Doing, Error, Result, tolerate};
use crate::packed::{Fill, filled, packed};
use crate::spec::namespaces::{Kind, TimeOffsets};
use crate::sys;

/// Opens the file of a namespace that is to be joined.
///
/// # Errors
/// There is none at this path, or it is not a namespace of this kind.
pub(crate) fn open(kind: Kind, path: &Path) -> Result<OwnedFd> {
    let name = super::rootfs::c_path(path)?;
    sys::fd::open_at(nix::fcntl::AT_FDCWD, &name, OFlag::O_RDONLY).map_err(|errno| {
        let error = Error::os(kind.option(), errno);
        match errno {
            Errno::ENOENT => error
                .hint(packed!("no such namespace: is the process still running, the file still mounted?")),
            Errno::EACCES | Errno::EPERM => {
                error.hint(packed!("only root, or its owner, may join a namespace"))
            }
            _ => error,
        }
    })
}

/// Brings the loopback device up; the kernel adds 127.0.0.1 and ::1 by itself.
///
/// # Errors
/// No socket, or no such device.
pub(crate) fn raise_loopback() -> Result<()> {
    // The ioctl is answered by any socket; one of the unix family exists on kernels without INET too.
    let socket = sys::fd::any_socket().doing(packed!("open a socket"))?;
    sys::ns::raise_interface(socket.as_raw_fd(), *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0").map_err(|errno| {
        let error = Error::os(packed!("set IFF_UP"), errno);
        match errno {
            Errno::EPERM => error.hint(packed!(
                "it needs CAP_NET_ADMIN, or a user namespace (--userns); --network host needs neither"
            )),
            _ => error,
        }
    })
}

/// Lets every group use ping without CAP_NET_RAW, which under no_new_privs its file cannot give; icmp(7), Linux 3.0.
pub(crate) fn allow_ping() {
    let groups = Path::new("/proc/sys/net/ipv4/ping_group_range");
    // Where not all ids exist the kernel takes the range of those that do: one at least.
    if sys::file::write(groups, "0 2147483647").is_err() {
        tolerate(sys::file::write(groups, "0 0"), "a kernel without IPv4, or a /proc that is covered");
    }
}

/// Linux 6.2, as [`sys::process::kernel_version`] says it: since then execve(2) enters the time namespace of the children.
const EXECVE_ENTERS: u32 = 6 << 16 | 2;

/// Makes a time namespace for our children and shifts its clocks, which can be done only while it is empty.
///
/// # Errors
/// Linux before 5.6 where the namespace is wanted, or an offset that would make a clock negative (ERANGE).
pub(crate) fn unshare_time(offsets: TimeOffsets, is_wanted: bool) -> Result<()> {
    match sys::ns::unshare_time() {
        Ok(()) => {}
        Err(Errno::EINVAL) if !is_wanted => return Ok(()),
        Err(Errno::EINVAL) => {
            return Err(Error::os(packed!("unshare"), Errno::EINVAL)
                .hint(packed!("time namespaces need Linux 5.6 with CONFIG_TIME_NS")));
        }
        Err(errno) => return Err(Error::os(packed!("unshare"), errno)),
    }
    let mut text = String::new();
    let mut add = |clock, seconds: Option<i64>| {
        if let Some(seconds) = seconds {
            text.push_str(&filled!("{} {} 0\n", [&clock, &seconds]).text());
        }
    };
    add("monotonic", offsets.monotonic);
    add("boottime", offsets.boottime);
    if !text.is_empty() {
        let file = Path::new("/proc/self/timens_offsets");
        sys::file::write(file, &text).doing(packed!("write /proc/self/timens_offsets"))?;
    }
    if sys::process::kernel_version() >= EXECVE_ENTERS {
        return Ok(());
    }
    // A process that was spawned with shared memory stays in ours: enter it too.
    let own = sys::fd::open_at(nix::fcntl::AT_FDCWD, c"/proc/self/ns/time_for_children", OFlag::O_RDONLY);
    sys::ns::join(own.doing(packed!("open the new time namespace"))?.as_fd(), sys::ns::NEW_TIME)
        .doing(packed!("enter it"))
}

/// What the kernel calls a kind.
pub(crate) const fn flag(kind: Kind) -> CloneFlags {
    match kind {
        Kind::User => CloneFlags::CLONE_NEWUSER,
        Kind::Mount => CloneFlags::CLONE_NEWNS,
        Kind::Pid => CloneFlags::CLONE_NEWPID,
        Kind::Network => CloneFlags::CLONE_NEWNET,
        Kind::Uts => CloneFlags::CLONE_NEWUTS,
        Kind::Ipc => CloneFlags::CLONE_NEWIPC,
        Kind::Cgroup => CloneFlags::CLONE_NEWCGROUP,
        Kind::Time => sys::ns::NEW_TIME,
    }
}

/// Joins a namespace that [`open`] opened.
///
/// # Errors
/// It is one of another kind, or its owner does not let us in.
pub(crate) fn join(kind: Kind, file: BorrowedFd<'_>) -> Result<()> {
    sys::ns::join(file, flag(kind)).map_err(|errno| {
        let error = Error::from(errno);
        match errno {
            Errno::EINVAL => error.hint(packed!(
                "the file is no namespace of this kind, or the user namespace that launcher is in already"
            )),
            Errno::EPERM => {
                error.hint(packed!("joining needs CAP_SYS_ADMIN in the user namespace that owns it"))
            }
            _ => error,
        }
    })
}
