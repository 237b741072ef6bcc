//! What the parent does on the host: before there is a child, and while it waits.

use std::fmt::{self, Display};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Pid;

use super::undo::{Stack, Undo};
use crate::error::{Doing, Error, Result, tolerate};
use crate::packed::{Fill, filled, packed};
use crate::primitives::cgroup::{self, Cgroup, Limit, v2};
use crate::primitives::idmap::{self, Ids};
use crate::primitives::mounts::{self, Opened};
use crate::primitives::{image, namespaces, user};
use crate::spec::devices::{self, Rule};
use crate::spec::idmap::IdMap;
use crate::spec::mount::{Flags, Mount};
use crate::spec::namespaces::Kind;
use crate::spec::process::Rlimit;
use crate::sys::signal::Disposition;
use crate::sys::{self, self_exe};
use crate::text::{Show, join};

/// One step. Each is a line of `--dry-run`, and the line that an error names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ParentStep {
    /// Goes on in a copy of our executable that cannot be written: those inside can get hold of it (CVE-2019-5736).
    SealSelf,
    /// V1: makes the folders from `top` down to `parent` that are missing.
    MakeParentFolders {
        /// The root of the hierarchy.
        top: &'static Path,
        /// The last folder.
        parent: &'static Path,
    },
    /// V2: makes and prepares the cgroups from `top` down to `parent`.
    EnableControllers {
        /// The first cgroup that is ours to change.
        top: &'static Path,
        /// The last one.
        parent: &'static Path,
        /// What its children need.
        controllers: &'static [&'static str],
    },
    /// Makes a cgroup of ours.
    MakeCgroup(Cgroup),
    /// Sets a limit in it.
    SetLimit(Cgroup, Limit),
    /// Has those in a cgroup open and make but these devices, those that every container has and those opened before.
    AllowDevices(Cgroup, &'static [Rule]),
    /// Opens a namespace that is to be joined, while its path means the host's.
    OpenNamespace(Kind, &'static Path),
    /// Enters the folder that becomes `/`; the child inherits that, and needs no path.
    EnterRootfs(&'static Path),
    /// Opens the file system in a file, which becomes `/`.
    OpenImage(&'static Path),
    /// Raises a hard limit while we have the host's rights.
    RaiseLimit(Rlimit),
    /// Says how early the kernel kills the child when memory is short.
    SetOomScore(i32),
    /// Forbids setgroups(2) in the child's user namespace.
    DenySetgroups,
    /// Writes a map of the child's user namespace.
    WriteMap {
        /// Which.
        ids: Ids,
        /// Its lines.
        maps: &'static [IdMap],
        /// By newuidmap or newgidmap: they are more than our own id.
        by_helper: bool,
    },
    /// Opens what a mount with mapped ids shows: mapping needs rights of the host's.
    OpenSource(Mount),
    /// Maps the ids in it by the child's user namespace.
    MapIds(Mount),
    /// Puts the child in a cgroup that the clone could not put it in.
    Attach(Cgroup),
}

/// What the parent's steps work on.
#[derive(Debug, Default)]
pub(crate) struct ParentContext {
    /// The child, once there is one.
    pub(crate) child: Option<Pid>,
    /// Namespaces to join, opened.
    pub(crate) namespaces: Vec<(Kind, OwnedFd)>,
    /// As the child's, which inherits them.
    pub(crate) sources: Vec<(&'static str, Option<Opened>)>,
    /// Whether the clone has put the child in its v2 cgroup.
    pub(crate) child_in_cgroup: bool,
    /// What has to be undone.
    pub(crate) undo: Stack,
}

impl Display for ParentStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SealSelf => f.write_str("run a sealed copy of launcher"),
            Self::MakeParentFolders { parent, .. }
            | Self::EnableControllers { parent, controllers: [], .. } => {
                filled!("make the folders of {}", parent.shown()).put(f)
            }
            Self::EnableControllers { parent, controllers, .. } => {
                filled!("enable {} below {}", [&join(controllers, " "), &parent.shown()]).put(f)
            }
            Self::MakeCgroup(cgroup) => filled!("make cgroup {}", cgroup.folder().shown()).put(f),
            Self::SetLimit(cgroup, limit) => {
                let condition = if limit.is_default { ", if it exists" } else { "" };
                filled!(
                    "write {} to {}{}",
                    [&limit.value, &cgroup.folder().join(limit.file).shown(), &condition]
                )
                .put(f)
            }
            Self::AllowDevices(cgroup, rules) => {
                let folder = cgroup.folder().shown();
                filled!("allow in {} of all devices the usual ones and those given", folder).put(f)?;
                rules.iter().try_for_each(|rule| filled!(", {}", rule).put(f))
            }
            Self::OpenNamespace(kind, path) => {
                filled!("open the {} namespace {}", kind.file(), path.shown()).put(f)
            }
            Self::EnterRootfs(path) => filled!("enter the rootfs {}", path.shown()).put(f),
            Self::OpenImage(path) => filled!("open the image {}", path.shown()).put(f),
            Self::RaiseLimit(limit) => {
                filled!("raise the hard limit of {} if it is lower", limit.name).put(f)
            }
            Self::SetOomScore(score) => filled!("write {} to oom_score_adj", score).put(f),
            Self::DenySetgroups => f.write_str("write deny to setgroups"),
            Self::WriteMap { ids, maps, by_helper } => {
                filled!("write {}", ids.file()).put(f)?;
                for (index, map) in maps.iter().enumerate() {
                    f.write_str(if index == 0 { " " } else { ", " })?;
                    map.fmt(f)?;
                }
                f.write_str(if *by_helper { " by its helper" } else { "" })
            }
            Self::OpenSource(mount) => filled!("open for: {}", mount).put(f),
            Self::MapIds(mount) => filled!("map the ids for: {}", mount).put(f),
            Self::Attach(cgroup) => filled!("attach to {}", cgroup.folder().shown()).put(f),
        }
    }
}

impl ParentStep {
    /// Does it. The error holds only what goes beyond the words of the step.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn apply(&self, context: &mut ParentContext) -> Result<()> {
        let child = || context.child.ok_or_else(|| Error::new(packed!("there is no child yet")));
        let undo = &mut context.undo;
        match self {
            Self::SealSelf => Ok(()), // done before all others, see parent::seal
            Self::MakeParentFolders { top, parent } => make_folders(top, parent, undo),
            Self::EnableControllers { top, parent, controllers } => {
                v2::prepare_parent(top, parent, controllers, &mut |change| {
                    undo.push(Undo::RevertCgroups(change));
                })
            }
            Self::MakeCgroup(cgroup) => {
                let made = cgroup.make();
                // Half made is made: all but these leave a folder, or removing finds none.
                if !matches!(&made, Err(error) if matches!(error.errno, Some(Errno::EEXIST | Errno::EROFS))) {
                    undo.push(Undo::RemoveCgroup(*cgroup));
                }
                made
            }
            Self::SetLimit(cgroup, limit) => cgroup.limit(limit),
            Self::AllowDevices(cgroup, rules) => {
                let mut all = devices::DEFAULT.to_vec();
                all.extend_from_slice(rules);
                for (_, source) in &context.sources {
                    all.extend(source.as_ref().and_then(|source| source.device));
                }
                cgroup.allow_devices(&all)
            }
            Self::OpenNamespace(kind, path) => {
                context.namespaces.push((*kind, namespaces::open(*kind, path)?));
                Ok(())
            }
            Self::EnterRootfs(path) => sys::path::enter(path).map_err(Error::from),
            Self::OpenImage(path) => {
                context.sources.push(("/", Some(image::open(path)?)));
                Ok(())
            }
            Self::RaiseLimit(limit) => user::raise_hard_limit(child()?, limit),
            Self::SetOomScore(score) => user::set_oom_score(child()?, *score),
            Self::DenySetgroups => idmap::deny_setgroups(child()?),
            Self::WriteMap { ids, maps, by_helper: false } => idmap::write(child()?, *ids, maps),
            Self::WriteMap { ids, maps, by_helper: true } => idmap::write_by_helper(child()?, *ids, maps),
            Self::OpenSource(mount) => {
                context.sources.push((mount.target, mounts::open_source(mount)?));
                Ok(())
            }
            Self::MapIds(mount) => {
                let path = PathBuf::from(filled!("/proc/{}/ns/user", &child()?).text());
                let userns = namespaces::open(Kind::User, &path)?;
                let source = context.sources.iter().find(|(target, _)| *target == mount.target);
                source.and_then(|(_, source)| source.as_ref()).map_or(Ok(()), |source| {
                    mounts::map_ids(source, userns.as_fd(), !mount.flags.has(Flags::ALONE))
                })
            }
            Self::Attach(Cgroup::V2(_)) if context.child_in_cgroup => Ok(()),
            Self::Attach(cgroup) => cgroup.attach(child()?),
        }
    }
}

/// Executes the copy, or finds that we are it.
///
/// # Errors
/// There can be no copy.
pub(super) fn seal_self() -> Result<()> {
    if !self_exe::is_sealed().doing(packed!("look at /proc/self/exe"))? {
        // RLIMIT_FSIZE holds for the copy too, and would kill without a word. The child resets all dispositions.
        tolerate(sys::signal::set_disposition(libc::SIGXFSZ, Disposition::Ignored), "never refused");
        return Err(Error::from(self_exe::run_sealed()));
    }
    // The kernel named us by a descriptor.
    sys::process::set_name(c"launcher").map_err(Error::from)
}

/// Makes the missing folders between `top` and `parent` in a v1 hierarchy; they go again if nobody else uses them.
fn make_folders(top: &Path, parent: &'static Path, undo: &mut Stack) -> Result<()> {
    for folder in cgroup::folders_between(top, parent) {
        match Cgroup::V1(folder).make() {
            Ok(()) => undo.push(Undo::RevertCgroups(v2::Change::Made(folder))),
            Err(error) if error.errno == Some(Errno::EEXIST) => {}
            Err(error) => return Err(error.within(filled!("make {}", folder.shown()))),
        }
    }
    Ok(())
}
