//! Writes the maps of a user namespace.

use std::ffi::OsStr;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::execve;
use crate::error::{Error, Result};
use crate::packed::{Fill, filled, packed};
use crate::spec::idmap::IdMap;
use crate::sys;
use crate::text::{self, text_of};

/// Which of the two maps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ids {
    /// User ids.
    Users,
    /// Group ids.
    Groups,
}

impl Ids {
    /// The file below /proc/PID.
    pub(crate) const fn file(self) -> &'static str {
        if matches!(self, Self::Users) { "uid_map" } else { "gid_map" }
    }

    /// The set-id helper of the shadow package that may write ranges for an ordinary user.
    const fn helper(self) -> &'static str {
        if matches!(self, Self::Users) { "newuidmap" } else { "newgidmap" }
    }
}

/// Forbids setgroups(2) in the namespace of `pid`: an ordinary user may write a gid_map only then (CVE-2014-8989).
///
/// # Errors
/// The file cannot be written.
pub(crate) fn deny_setgroups(pid: Pid) -> Result<()> {
    sys::file::write(filled!("/proc/{}/setgroups", &pid).text().as_ref(), "deny").map_err(Error::from)
}

/// Writes a map in one write(2), as the kernel demands.
///
/// # Errors
/// EPERM: the caller may not map these ids.
pub(crate) fn write(pid: Pid, ids: Ids, maps: &[IdMap]) -> Result<()> {
    let text = maps.iter().fold(String::new(), |text, map| text + &filled!("{}\n", map).text());
    match sys::file::write(filled!("/proc/{}/{}", [&pid, &ids.file()]).text().as_ref(), &text).map_err(Error::from) {
        Err(error) if matches!(error.errno, Some(Errno::EPERM | Errno::EACCES)) => Err(error.hint(
            packed!("an ordinary user may map its own id only, or ranges of /etc/subuid with --userns auto; where even that \
             is refused, see sysctl kernel.apparmor_restrict_unprivileged_userns"),
        )),
        result => result,
    }
}

/// Has newuidmap(1) or newgidmap(1) write a map: they are set-id and check /etc/subuid and /etc/subgid.
///
/// # Errors
/// The helper is missing or refuses; its own first line is passed on.
pub(crate) fn write_by_helper(pid: Pid, ids: Ids, maps: &[IdMap]) -> Result<()> {
    let helper = ids.helper();
    let mut words = vec![helper.to_owned(), text_of(&pid)];
    for map in maps {
        words.extend([map.container_id, map.host_id, map.size].map(|number| text_of(&number)));
    }
    let words: Vec<_> = words.iter().map(OsStr::new).collect();
    match execve::run_helper(&words)? {
        (0, _) => Ok(()),
        (_, said) => {
            let first = text::lines(&said).next().unwrap_or("it refused and did not say why");
            Err(Error::new(first.trim_ascii()))
        }
    }
}
