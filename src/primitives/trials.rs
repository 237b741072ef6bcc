//! Tries out what this machine lets us do. Each trial is a process of its own in namespaces of its own, and leaves
//! nothing: a probe that mounts before it unshares changes the host.

use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sched::{CloneFlags, unshare};

use super::idmap::{self, Ids};
use super::namespaces::{flag, raise_loopback};
use crate::error::{Doing, Error, Result};
use crate::packed::packed;
use crate::spec::idmap::IdMap;
use crate::spec::namespaces::Kind;
use crate::sys;
use crate::sys::ns::{Side, Wish};
use crate::sys::process::{Change, Who};
use crate::sys::signal::Disposition;

/// Who tries.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trials {
    /// Our effective user id; for other users than root everything is tried inside a user namespace.
    pub(crate) uid: u32,
    /// Our effective group id.
    pub(crate) gid: u32,
}

/// What came of a trial.
pub(crate) type Outcome = std::result::Result<(), Errno>;

impl Trials {
    /// Ours, who must hear of their ends: ignored, SIGCHLD would take them away.
    ///
    /// # Errors
    /// SIGCHLD cannot be reset.
    pub(crate) fn new() -> Result<Self> {
        sys::signal::set_disposition(libc::SIGCHLD, Disposition::Default).doing(packed!("reset SIGCHLD"))?;
        Ok(Self { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() })
    }

    /// A namespace of this kind. A user namespace with our own id in it, and a mount made there: Ubuntu's AppArmor lets one
    /// be made and forbids everything in it. A network namespace with its lo up, which root without NET_ADMIN cannot have.
    pub(crate) fn namespace(self, kind: Kind) -> Outcome {
        in_child(&|| match kind {
            Kind::User => {
                self.enter_user_namespace().and_then(|()| enter_mount_namespace(CloneFlags::empty()))
            }
            Kind::Time => self.enter(CloneFlags::empty()).and_then(|()| sys::ns::unshare_time()),
            Kind::Network => {
                self.enter(flag(kind)).and_then(|()| raise_loopback().map_err(|error| number(&error)))
            }
            kind => self.enter(flag(kind)),
        })
    }

    /// A fresh /proc in a PID namespace: refused where a part of the one that we see is masked; mount_too_revealing() in
    /// the kernel's fs/namespace.c.
    pub(crate) fn proc(self) -> Outcome {
        self.mount(Kind::Pid, c"proc", c"/proc")
    }

    /// A fresh /sys in a network namespace; same.
    pub(crate) fn sysfs(self) -> Outcome {
        self.mount(Kind::Network, c"sysfs", c"/sys")
    }

    /// An overlay whose upper layer is a tmpfs; in a user namespace Linux 5.11.
    pub(crate) fn overlay(self) -> Outcome {
        let data = if self.uid == 0 {
            c"lowerdir=l,upperdir=u,workdir=w"
        } else {
            c"lowerdir=l,upperdir=u,workdir=w,userxattr"
        };
        in_child(&|| {
            self.enter(CloneFlags::empty())?;
            // Any folder will do that is there for sure.
            sys::mount::new_filesystem(c"tmpfs", c"/proc", MsFlags::empty(), c"")?;
            nix::unistd::chdir(c"/proc")?;
            for folder in [c"l", c"u", c"w", c"m"] {
                nix::unistd::mkdir(folder, nix::sys::stat::Mode::S_IRWXU)?;
            }
            sys::mount::new_filesystem(c"overlay", c"m", MsFlags::empty(), data)
        })
    }

    /// A file system that belongs to a namespace of this kind.
    fn mount(self, kind: Kind, name: &std::ffi::CStr, target: &std::ffi::CStr) -> Outcome {
        in_child(&|| {
            self.enter(flag(kind))?;
            // Only a child is born in the PID namespace.
            in_child(&|| sys::mount::new_filesystem(name, target, MsFlags::empty(), c""))
        })
    }

    /// Enters namespaces of these kinds and a mount namespace; an ordinary user a user namespace first, which owns them.
    fn enter(self, kinds: CloneFlags) -> Outcome {
        if self.uid != 0 {
            self.enter_user_namespace()?;
        }
        enter_mount_namespace(kinds)
    }

    /// Enters a user namespace in which we are root.
    fn enter_user_namespace(self) -> Outcome {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        let own = nix::unistd::getpid();
        let map = |host_id| [IdMap { container_id: 0, host_id, size: 1 }];
        idmap::deny_setgroups(own)
            .and_then(|()| idmap::write(own, Ids::Users, &map(self.uid)))
            .and_then(|()| idmap::write(own, Ids::Groups, &map(self.gid)))
            .map_err(|error| number(&error))
    }
}

/// What the kernel said; of a trial nobody wants to hear more.
fn number(error: &Error) -> Errno {
    error.errno.unwrap_or(Errno::EIO)
}

/// Enters a mount namespace of our own, from which nothing reaches the host, and others.
fn enter_mount_namespace(others: CloneFlags) -> Outcome {
    unshare(CloneFlags::CLONE_NEWNS | others)?;
    sys::mount::set_propagation(c"/", MsFlags::MS_PRIVATE)
}

/// Tries something in a process of its own. Whoever is killed for it (a filter may do that) was forbidden to.
fn in_child(attempt: &dyn Fn() -> Outcome) -> Outcome {
    let born = match sys::ns::clone_process(Wish { flags: CloneFlags::empty(), cgroup: None })? {
        Side::Child => {
            let errno = attempt().map_or_else(|errno| errno as i32, |()| 0);
            sys::process::exit_now(u8::try_from(errno).unwrap_or(u8::MAX))
        }
        Side::Parent(born) => born,
    };
    match sys::process::wait(Who::Child(born.pid))? {
        Some((_, Change::Exited(0))) => Ok(()),
        Some((_, Change::Exited(errno))) => Err(Errno::from_raw(errno.into())),
        _ => Err(Errno::EPERM),
    }
}
