//! What the entrypoint does to itself, in the last mile: every step is a system call or two on memory prepared before.

use std::ffi::CStr;
use std::fmt::{self, Display};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::seccomp::Filter;
use crate::packed::{Fill, filled, packed};
use crate::spec::caps::CapSet;
use crate::spec::process::Rlimit;
use crate::spec::user::{Identity, Principal};
use crate::sys;
use crate::text::{Show, text_of};

/// What the entrypoint does to itself before it becomes the program. All of it allocated beforehand.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum LastStep {
    /// Makes this descriptor standard error.
    StandardError(std::os::fd::RawFd),
    /// Sets a resource limit.
    Limit(Rlimit),
    /// Sets which permissions new files do not get.
    SetUmask(u32),
    /// Enters the working directory. Not allowed to: tried again by `ConfirmDir` as the user.
    ChangeDir(&'static CStr),
    /// Replaces the supplementary groups by the user's.
    SetGroups {
        /// The namespace was made by somebody else, who may have denied setgroups(2) in it for good.
        may_be_denied: bool,
    },
    /// Changes the group id to the user's, in words if it is known.
    SetGid(Option<Principal>),
    /// Changes the user id to the user's.
    SetUid(Principal),
    /// Makes sure that the working directory was entered and is inside the container.
    ConfirmDir(&'static CStr),
    /// Keeps the permitted capabilities when the user id changes.
    KeepCaps,
    /// Takes permitted and effective capabilities back to the first, inheritable and ambient to the second, which is all that
    /// a user other than root has.
    SetCaps(CapSet, CapSet),
    /// Dies when init dies: only where no PID namespace sees to that.
    DieWithInit,
    /// Gives up new privileges on execve.
    NoNewPrivs,
    /// Gives up system calls.
    Filter(Filter),
    /// Tells a security module what the program is to run as; what is written, and to which file.
    SetLabel(&'static CStr, &'static CStr),
    /// Begins a Landlock ruleset, which forbids everything.
    ForbidFiles,
    /// Allows something in it.
    AllowFile(&'static CStr, u64),
    /// Puts it in force.
    RestrictFiles,
}

impl Display for LastStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { text_of(&value) };
        match self {
            Self::StandardError(fd) => filled!("send standard error to descriptor {}", fd).put(f),
            Self::Limit(limit) => {
                filled!("limit {} to {}:{}", [&limit.name, &number(limit.soft), &number(limit.hard)]).put(f)
            }
            Self::SetUmask(mask) => {
                filled!("set the umask to {}{}{}", [&(mask >> 6 & 7), &(mask >> 3 & 7), &(mask & 7)]).put(f)
            }
            Self::ChangeDir(path) => filled!("enter {}", path.shown()).put(f),
            Self::SetGroups { .. } => packed!("set the groups of the user").fmt(f),
            Self::SetGid(None) => packed!("become the group of the user").fmt(f),
            Self::SetGid(Some(group)) => filled!("become group {}", group).put(f),
            Self::SetUid(uid) => filled!("become user {}", uid).put(f),
            Self::ConfirmDir(path) => {
                filled!("make sure that {} was entered and is inside", path.shown()).put(f)
            }
            Self::KeepCaps => packed!("keep capabilities as another user").fmt(f),
            Self::SetCaps(caps, CapSet::NONE) => filled!("keep of the capabilities {}", caps).put(f),
            Self::SetCaps(caps, ambient) => {
                filled!("keep of the capabilities {}, ambient {}", [&caps, &ambient]).put(f)
            }
            Self::DieWithInit => packed!("set the death signal").fmt(f),
            Self::NoNewPrivs => f.write_str("set no_new_privs"),
            Self::Filter(filter) => filter.fmt(f),
            Self::SetLabel(label, _) => filled!("be labelled {}", label.shown()).put(f),
            Self::ForbidFiles => packed!("begin a Landlock ruleset").fmt(f),
            Self::AllowFile(path, access) => {
                let how = ["read", "read and execute", "read and write"];
                let how = how.get(usize::from(*access == 13) + 2 * usize::from(*access > 13)).unwrap_or(&"");
                filled!("allow to {} {}", [&how, &path.shown()]).put(f)
            }
            Self::RestrictFiles => packed!("put the Landlock ruleset in force").fmt(f),
        }
    }
}

/// The descriptor of the ruleset: of those that the entrypoint has from here on none is used any more.
const RULESET: std::os::fd::RawFd = 3;

impl LastStep {
    /// Does it; system calls only. `init` is our parent, `who` whom we become.
    pub(super) fn apply(&self, init: Pid, who: &Identity) -> Result<(), Errno> {
        match self {
            Self::StandardError(fd) => sys::fd::copy_to(*fd, 2),
            Self::Limit(limit) => sys::rlimit::set(Pid::from_raw(0), limit.resource, limit.soft, limit.hard),
            Self::SetUmask(mask) => {
                nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(*mask));
                Ok(())
            }
            Self::ChangeDir(path) => match sys::process::change_dir(path) {
                Err(Errno::EACCES | Errno::EPERM) => Ok(()),
                result => result,
            },
            Self::SetGroups { may_be_denied } => match sys::user::set_groups(&who.groups) {
                Err(Errno::EPERM) if *may_be_denied => Ok(()),
                result => result,
            },
            Self::SetGid(_) => sys::user::set_gid(who.gid),
            Self::SetUid(_) => sys::user::set_uid(who.uid),
            Self::ConfirmDir(path) => {
                sys::process::change_dir(path)?;
                if sys::process::cwd_is_inside()? { Ok(()) } else { Err(Errno::EXDEV) }
            }
            Self::KeepCaps => sys::caps::keep(),
            Self::SetCaps(caps, ambient) => {
                let permitted = sys::caps::permitted()?;
                let ambient = CapSet(ambient.0 & permitted);
                // Only root keeps others, whatever name it goes by.
                let caps = if who.uid == 0 { caps.0 & permitted } else { 0 };
                sys::caps::set(caps | ambient.0, ambient.0)?;
                (0..64).filter(|number| ambient.contains(*number)).try_for_each(sys::caps::raise_ambient)
            }
            Self::DieWithInit => {
                sys::process::set_death_signal(libc::SIGKILL)?;
                // It may have died before.
                if nix::unistd::getppid() == init { Ok(()) } else { Err(Errno::ESRCH) }
            }
            Self::NoNewPrivs => sys::process::set_no_new_privs(),
            Self::Filter(filter) => filter.install(),
            Self::SetLabel(label, file) => sys::process::write_to(file, label.to_bytes()),
            Self::ForbidFiles => sys::landlock::create(RULESET),
            Self::AllowFile(path, access) => sys::landlock::allow(RULESET, path, *access),
            Self::RestrictFiles => sys::landlock::restrict(RULESET),
        }
    }
}
