//! Who we are inside.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::unistd::Pid;

use super::rootfs::{Wanted, resolve_in_root};
use crate::error::{Doing, Error, Result};
use crate::packed::{Fill, filled, packed};
use crate::spec::caps::CapSet;
use crate::spec::process::Rlimit;
use crate::spec::user::{Identity, Principal, User, identify};
use crate::sys;
use crate::text::{Show, text_of};

/// Becomes root of the user namespace, so that what we make belongs to an id that exists there.
///
/// # Errors
/// The ids are not mapped.
pub(crate) fn become_root(may_set_groups: bool, (uid, gid): (u32, u32)) -> Result<()> {
    if may_set_groups {
        sys::user::set_groups(&[]).doing(packed!("setgroups"))?;
    }
    sys::user::set_gid(gid).doing(packed!("setresgid"))?;
    sys::user::set_uid(uid).doing(packed!("setresuid"))
}

/// No table of users is larger; what is does not fit beside a memory limit.
const TABLE_MAX: u64 = 1 << 20;

/// Finds a user in our own /etc/passwd and /etc/group, which are the container's once its root is ours. They may be
/// anything: no link is followed, nothing that blocks or has no end is read. Where numbers say all, nothing is read.
///
/// # Errors
/// There is no such user or group, or the tables are no plain files.
pub(crate) fn find(user: &User, added: &[Principal], wants_home: bool) -> Result<Identity> {
    let is_number = |one: &Principal| matches!(one, Principal::Id(_));
    let is_complete = user.group.as_ref().is_some_and(is_number) && added.iter().all(is_number);
    let (mut passwd, mut group) = (Vec::new(), Vec::new());
    if wants_home || !is_number(&user.user) || !is_complete {
        let root = sys::fd::open_path(c"/").doing(packed!("open /"))?;
        match resolve_in_root(root.as_fd(), Path::new("/etc"), Wanted::Folder) {
            Err(Errno::ENOENT) => {}
            etc => {
                let etc = etc.doing(packed!("open /etc"))?;
                passwd = read_table(etc.as_fd(), c"passwd")?;
                group = read_table(etc.as_fd(), c"group")?;
            }
        }
    }
    let mut found = identify(user, added, &passwd, &group)?;
    found.home.take_if(|_| !wants_home);
    Ok(found)
}

/// Reads a table in /etc; empty if there is none.
fn read_table(etc: BorrowedFd<'_>, name: &CStr) -> Result<Vec<u8>> {
    let what = filled!("read /etc/{}", name.shown()).text();
    // Nonblocking: opening a pipe would wait for a writer, for ever.
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    let file = match sys::fd::open_at(etc, name, flags) {
        Err(Errno::ENOENT) => return Ok(Vec::new()),
        Err(errno @ Errno::ELOOP) => {
            return Err(Error::os(what, errno).hint(
                packed!("launcher follows no link of a container; with -u UID:GID and -e HOME=DIR it need not read this"),
            ));
        }
        file => file.doing(&what)?,
    };
    let found = sys::fd::stat(file.as_fd()).doing(&what)?;
    let size = u64::try_from(found.st_size).ok().filter(|size| *size <= TABLE_MAX);
    let (libc::S_IFREG, Some(size)) = (found.st_mode & libc::S_IFMT, size) else {
        return Err(Error::new(filled!("{}: it is not a file of at most 1 MiB", &what)));
    };
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    let mut length = 0;
    while let Some(rest) = bytes.get_mut(length..).filter(|rest| !rest.is_empty()) {
        match nix::unistd::read(&file, rest).doing(&what)? {
            0 => break,
            count => length += count,
        }
    }
    bytes.truncate(length);
    Ok(bytes)
}

/// Takes every capability outside `keep` out of the bounding set.
///
/// # Errors
/// CAP_SETPCAP is missing.
pub(crate) fn drop_bounding(keep: CapSet) -> Result<()> {
    for capability in (0..64).filter(|capability| !keep.contains(*capability)) {
        match sys::caps::drop_from_bounding(capability) {
            Ok(()) => {}
            Err(Errno::EINVAL) if !sys::caps::exists(capability) => break,
            Err(errno) => return Err(errno).doing(filled!("drop {}", &CapSet(1 << capability))),
        }
    }
    Ok(())
}

/// Sets how early the kernel kills a process when memory is short, and with it all that descends from it.
///
/// # Errors
/// It would be later than before and CAP_SYS_RESOURCE is missing.
pub(crate) fn set_oom_score(pid: Pid, score: i32) -> Result<()> {
    match sys::file::write(Path::new(&filled!("/proc/{}/oom_score_adj", &pid).text()), &text_of(&score))
        .map_err(Error::from)
    {
        Err(error) if error.errno == Some(Errno::EACCES) => {
            Err(error
                .hint(packed!("below what launcher itself was given it needs CAP_SYS_RESOURCE on the host")))
        }
        result => result,
    }
}

/// Raises the hard limit of a process as far as the user asks, while we still have the host's rights. The soft
/// limit, and any lowering, is the entrypoint's own last act.
///
/// # Errors
/// The limit is above ours and CAP_SYS_RESOURCE is missing.
pub(crate) fn raise_hard_limit(pid: Pid, limit: &Rlimit) -> Result<()> {
    let (soft, hard) = sys::rlimit::get(pid, limit.resource).doing(packed!("read the limit"))?;
    if limit.hard <= hard {
        return Ok(());
    }
    sys::rlimit::set(pid, limit.resource, soft, limit.hard).map_err(|errno| {
        let error = Error::os(filled!("from {} to {}", [&hard, &limit.hard]), errno);
        if errno == Errno::EPERM {
            error.hint(packed!("raising a hard limit needs CAP_SYS_RESOURCE on the host"))
        } else {
            error
        }
    })
}
