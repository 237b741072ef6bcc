//! What the child does inside, before it becomes init.

use std::fmt::{self, Display};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sched::CloneFlags;

use super::plan_idmap::Maps;
use crate::error::{Doing, Error, Result};
use crate::packed::{Fill, Packed, filled, packed};
use crate::primitives::mounts::{KernelFolder, Opened};
use crate::primitives::{dev, mounts, namespaces, overlay, pty, rootfs, target, user};
use crate::spec::caps::CapSet;
use crate::spec::mount::{Flags, Layers, Mount, Source};
use crate::spec::namespaces::{Kind, TimeOffsets};
use crate::spec::sysctl::Sysctl;
use crate::spec::user::{Identity, Principal, User};
use crate::sys;
use crate::text::Show;

/// One step. Each is a line of `--dry-run`, and the line that an error names.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum ChildStep {
    /// Becomes root of the user namespace that was made or joined.
    BecomeRoot {
        /// setgroups(2) is not denied there.
        may_set_groups: bool,
        /// Its user and group id, which are not 0 where that is not mapped.
        ids: (u32, u32),
    },
    /// Dies with the parent; set anew after every change of ids.
    SetDeathSignal,
    /// Makes a cgroup namespace, whose root is the cgroup that we are in.
    UnshareCgroup,
    /// Makes a time namespace for the entrypoint.
    UnshareTime {
        /// Shifts of its clocks.
        offsets: TimeOffsets,
        /// A kernel without time namespaces is a failure.
        is_wanted: bool,
    },
    /// No core, no ptrace, no look at our memory and descriptors from inside.
    HideFromPtrace,
    /// Leaves the keys of the caller's session behind: keyrings have no namespace.
    LeaveKeyring,
    /// Joins a namespace that the parent opened.
    Join(Kind),
    /// Cuts propagation to the host.
    MakeSlave,
    /// Lays a copy of the mounts over an initramfs.
    MakeRootPivotable,
    /// Brings lo up.
    RaiseLoopback,
    /// Sets the host name.
    SetHostname(&'static str),
    /// Sets the NIS domain name.
    SetDomainname(&'static str),
    /// Sets kernel parameters of our namespaces.
    SetSysctls(&'static [Sysctl]),
    /// Makes the folder we are in a mount.
    BindRootfs,
    /// Mounts the image that the parent opened, and makes it the folder we are in.
    AttachImage,
    /// Lays an overlay over it.
    MountOverlay {
        /// What is below it, and where writes go if not to memory.
        layers: Layers,
        /// They go to memory.
        in_memory: bool,
    },
    /// Makes device nodes in the rootfs useless.
    ForbidDevices,
    /// Opens what a mount shows of the host.
    OpenSource(Mount),
    /// Takes the host's root as the one to mount in.
    KeepRoot,
    /// Mounts something beneath the rootfs.
    Mount(Mount),
    /// Sets which mounts come in and go out of the rootfs later.
    SetPropagation(Flags),
    /// Fills /dev.
    PopulateDev,
    /// Makes a terminal for the container.
    OpenTerminal {
        /// In its own devpts, and shown as its /dev/console; else in the host's.
        is_in_own_dev: bool,
    },
    /// Makes the rootfs `/`.
    PivotRoot,
    /// Hides files and folders of the kernel's.
    Mask(&'static [KernelFolder]),
    /// Makes files and folders of the kernel's read-only.
    Protect(&'static KernelFolder),
    /// Makes a folder read-only.
    MakeReadOnly(&'static str),
    /// Makes the rootfs read-only.
    MakeRootReadOnly,
    /// Orphans below us are ours to reap.
    BecomeSubreaper,
    /// Gives up capabilities for good.
    DropBounding(CapSet),
    /// Finds the user in the tables of the container.
    FindUser {
        /// Who.
        user: User,
        /// Other groups.
        added: &'static [Principal],
        /// The home directory is wanted too.
        wants_home: bool,
        /// The terminal becomes the user's.
        has_terminal: bool,
        /// Which ids there are.
        maps: Maps,
    },
}

/// What the child's steps work on.
#[derive(Debug)]
pub(crate) struct ChildContext<'a> {
    /// Our end of the socket.
    pub(crate) channel: BorrowedFd<'a>,
    /// Namespaces to join, opened by the parent.
    pub(crate) namespaces: Vec<(Kind, OwnedFd)>,
    /// The rootfs, once it is a mount.
    pub(crate) root: Option<OwnedFd>,
    /// Our /dev, once it is filled: what is laid over it does not matter.
    pub(crate) dev: Option<OwnedFd>,
    /// By the place inside what is shown there; `None` is to be left out.
    pub(crate) sources: Vec<(&'static str, Option<Opened>)>,
    /// Whom the entrypoint becomes: root, unless another is found.
    pub(crate) who: Identity,
}

impl Display for ChildStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BecomeRoot { ids: (uid, gid), .. } if (*uid, *gid) != (0, 0) => {
                filled!("become {}:{} in the user namespace", [&uid, &gid]).put(f)
            }
            Self::UnshareTime { offsets, is_wanted } => {
                let condition = if *is_wanted { "" } else { ", if the kernel has them" };
                filled!("unshare the time namespace{}{}", [&condition, &offsets]).put(f)
            }
            Self::Join(kind) => filled!("join the {} namespace", kind.file()).put(f),
            Self::SetHostname(name) => filled!("set the hostname to {}", name).put(f),
            Self::SetDomainname(name) => filled!("set the domain name to {}", name).put(f),
            Self::SetSysctls(sysctls) => {
                f.write_str("write in /proc/sys:")?;
                sysctls.iter().try_for_each(|sysctl| filled!(" {}={}", sysctl.path, sysctl.value).put(f))
            }
            Self::MountOverlay { layers, in_memory } => overlay_words(f, layers, *in_memory),
            Self::SetPropagation(flags) => filled!("make the rootfs {}", flags).put(f),
            Self::OpenSource(Mount {
                source: Source::Host(path) | Source::Device(path, _), target, ..
            }) => filled!("open {} to mount it on {}", [&path.shown(), &target]).put(f),
            Self::OpenSource(Mount { source: Source::Overlay(layers), target, .. }) => {
                filled!("open {} to mount them on {}", [&layers, &target]).put(f)
            }
            Self::OpenSource(mount) | Self::Mount(mount) => mount.fmt(f),
            Self::Mask(folders) => {
                f.write_str("mask")?;
                folders.iter().try_for_each(|folder| names(f, folder))
            }
            Self::Protect(folder) => {
                f.write_str("protect")?;
                names(f, folder)
            }
            Self::MakeReadOnly(path) => filled!("make {} read-only", path).put(f),
            Self::DropBounding(keep) => {
                filled!("drop all capabilities but {} from the bounding set", keep).put(f)
            }
            Self::FindUser { user, added, .. } => {
                filled!("find user {}", user).put(f)?;
                added.iter().try_for_each(|group| filled!(", group {}", group).put(f))?;
                f.write_str(" in /etc/passwd and /etc/group")
            }
            other => other.words().fmt(f),
        }
    }
}

impl ChildStep {
    /// The words of those that have always the same.
    const fn words(&self) -> Packed {
        match self {
            Self::BecomeRoot { .. } => packed!("become root of the user namespace"),
            Self::SetDeathSignal => packed!("set the death signal"),
            Self::UnshareCgroup => packed!("unshare the cgroup namespace"),
            Self::HideFromPtrace => packed!("become undumpable"),
            Self::LeaveKeyring => packed!("join a new session keyring"),
            Self::MakeSlave => packed!("make / rslave"),
            Self::MakeRootPivotable => packed!("lay a copy of all mounts over the initramfs"),
            Self::RaiseLoopback => packed!("bring lo up"),
            Self::BindRootfs => packed!("bind the rootfs on itself"),
            Self::AttachImage => packed!("attach the image over /"),
            Self::ForbidDevices => packed!("make the rootfs nodev"),
            Self::KeepRoot => packed!("keep the host's root"),
            Self::PopulateDev => {
                packed!("fill /dev: null zero full random urandom tty, fd stdin stdout stderr ptmx")
            }
            Self::OpenTerminal { is_in_own_dev: true } => packed!("open a terminal, show it as /dev/console"),
            Self::OpenTerminal { .. } => packed!("open a terminal of the host's"),
            Self::PivotRoot => packed!("pivot_root into the rootfs and detach the old root"),
            Self::MakeRootReadOnly => packed!("make / read-only"),
            Self::BecomeSubreaper => packed!("become subreaper"),
            _ => packed!(""),
        }
    }

    /// Does it. The error holds only what goes beyond the words of the step.
    ///
    /// # Errors
    /// The kernel refuses.
    pub(crate) fn apply(&self, context: &mut ChildContext<'_>) -> Result<()> {
        match self {
            Self::BecomeRoot { may_set_groups, ids } => user::become_root(*may_set_groups, *ids),
            Self::SetDeathSignal => set_death_signal(context.channel),
            Self::UnshareCgroup => nix::sched::unshare(CloneFlags::CLONE_NEWCGROUP).map_err(Error::from),
            Self::UnshareTime { offsets, is_wanted } => namespaces::unshare_time(*offsets, *is_wanted),
            Self::HideFromPtrace => sys::process::hide_from_ptrace().map_err(Error::from),
            Self::LeaveKeyring => match sys::process::new_session_keyring() {
                // A kernel without keyrings, or a filter as docker's that lets nobody at them.
                Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
                result => result.map_err(Error::from),
            },
            Self::Join(kind) => join(*kind, &mut context.namespaces),
            Self::MakeSlave => make_slave(),
            Self::MakeRootPivotable => rootfs::make_root_pivotable(),
            Self::RaiseLoopback => namespaces::raise_loopback().map(|()| namespaces::allow_ping()),
            Self::SetHostname(name) => nix::unistd::sethostname(name).map_err(Error::from),
            Self::SetDomainname(name) => sys::ns::set_domainname(name.as_bytes()).map_err(Error::from),
            Self::SetSysctls(sysctls) => mounts::set_sysctls(context.root.as_ref().map(AsFd::as_fd), sysctls),
            Self::BindRootfs => {
                context.root = Some(rootfs::bind_on_itself(open_here()?.as_fd())?);
                Ok(())
            }
            Self::AttachImage => attach_image(context),
            Self::MountOverlay { layers, in_memory } => {
                context.root = Some(overlay::mount_root(open_here()?.as_fd(), layers, *in_memory)?);
                Ok(())
            }
            Self::KeepRoot => {
                context.root = Some(sys::fd::open_path(c"/").doing(packed!("open /"))?);
                Ok(())
            }
            Self::ForbidDevices => rootfs::forbid_devices(root(context)?),
            Self::OpenSource(mount) => {
                context.sources.push((mount.target, mounts::open_source(mount)?));
                Ok(())
            }
            Self::Mount(mount) => perform(mount, context),
            Self::SetPropagation(flags) => mounts::set_propagation_of(root(context)?, *flags),
            Self::PopulateDev => {
                context.dev = Some(dev::populate(root(context)?, true)?);
                Ok(())
            }
            Self::OpenTerminal { is_in_own_dev } => open_terminal(context, *is_in_own_dev),
            Self::PivotRoot => rootfs::pivot(root(context)?, false).map(drop),
            Self::Mask(folders) => mounts::mask(root(context)?, opened(context.dev.as_ref())?, folders),
            Self::Protect(folder) => mounts::make_names_read_only(root(context)?, folder),
            Self::MakeReadOnly(path) => mounts::make_read_only(root(context)?, path),
            Self::MakeRootReadOnly => rootfs::make_root_read_only(root(context)?),
            Self::BecomeSubreaper => sys::process::become_subreaper().map_err(Error::from),
            Self::DropBounding(keep) => user::drop_bounding(*keep),
            Self::FindUser { user, added, wants_home, has_terminal, maps } => {
                context.who = user::find(user, added, *wants_home)?;
                maps.check(&context.who)?;
                // As login(1): the user may open it by name.
                if *has_terminal { pty::give_to(context.who.uid) } else { Ok(()) }
            }
        }
    }
}

/// What is mounted later stays in our namespace; what the host mounts comes in.
fn make_slave() -> Result<()> {
    sys::mount::set_propagation(c"/", MsFlags::MS_SLAVE | MsFlags::MS_REC).map_err(|errno| match errno {
        Errno::EINVAL => Error::from(errno).hint(packed!("/ is no mount, as in a chroot")),
        _ => Error::from(errno),
    })
}

/// Over `/`, which needs no folder for it: what is there is not what becomes `/`.
fn attach_image(context: &mut ChildContext<'_>) -> Result<()> {
    let image = take_source(context, "/").and_then(|(_, image)| image?.into_mount());
    let image = image.ok_or_else(|| Error::new(packed!("it was not opened")))?;
    let place = sys::fd::open_path(c"/").doing(packed!("open /"))?;
    sys::mount::attach(image.as_fd(), place.as_fd())?;
    sys::fd::enter(image.as_fd()).doing(packed!("enter it"))?;
    context.root = Some(image);
    Ok(())
}

/// What is laid over what.
fn overlay_words(f: &mut fmt::Formatter<'_>, layers: &Layers, in_memory: bool) -> fmt::Result {
    let article = if in_memory { "a throw-away" } else { "an" };
    let others = if layers.lower_count() == 0 { "" } else { " and below it " };
    filled!("mount {} overlay over the rootfs{}{}", [&article, &others, &layers]).put(f)
}

/// Takes what was opened for that place, see [`ChildContext::sources`].
fn take_source(context: &mut ChildContext<'_>, target: &str) -> Option<(&'static str, Option<Opened>)> {
    let index = context.sources.iter().position(|(place, _)| *place == target)?;
    Some(context.sources.swap_remove(index))
}

/// One mount, or what is made in its stead.
fn perform(mount: &Mount, context: &mut ChildContext<'_>) -> Result<()> {
    let source = if mount.host_paths().is_empty() { None } else { take_source(context, mount.target) };
    match (source, &mount.source) {
        (Some((_, Some(source))), _) => mounts::show(root(context)?, mount, &source),
        (Some((_, None)), _) => Ok(()),
        (None, Source::Text(text)) => {
            mounts::show_text(root(context)?, opened(context.dev.as_ref())?, mount, text)
        }
        (None, Source::Link(to)) => target::make_link(root(context)?, mount.target, to),
        _ => mounts::perform(root(context)?, mount),
    }
}

/// A folder and names in it.
fn names(f: &mut fmt::Formatter<'_>, folder: &KernelFolder) -> fmt::Result {
    filled!(" in {}:", folder.path).put(f)?;
    folder.names.iter().try_for_each(|name| filled!(" {}", name.shown()).put(f))
}

/// Opens the terminal and hands its other end to the parent.
fn open_terminal(context: &ChildContext<'_>, is_in_own_dev: bool) -> Result<()> {
    let place = if is_in_own_dev { Some((root(context)?, opened(context.dev.as_ref())?)) } else { None };
    let master = pty::open(place)?;
    super::sync::send_terminal(context.channel, master.as_fd())
}

/// The handle of the rootfs.
fn root<'a>(context: &'a ChildContext<'_>) -> Result<BorrowedFd<'a>> {
    opened(context.root.as_ref())
}

/// A handle that a step before has opened.
fn opened(handle: Option<&OwnedFd>) -> Result<BorrowedFd<'_>> {
    handle.map(AsFd::as_fd).ok_or_else(|| Error::new(packed!("it is not there yet")))
}

/// A handle of the current directory: the rootfs that the parent entered, seen in our own mounts.
fn open_here() -> Result<OwnedFd> {
    sys::fd::open_path(c".").doing(packed!("open the rootfs"))
}

/// SIGKILL when the parent dies, and now if it has died already.
///
/// # Errors
/// The kernel refuses; or the parent is dead, and nobody reads this.
pub(crate) fn set_death_signal(channel: BorrowedFd<'_>) -> Result<()> {
    sys::process::set_death_signal(libc::SIGKILL)?;
    if super::sync::parent_is_alive(channel) {
        Ok(())
    } else {
        Err(Error::new(packed!("the parent is dead")))
    }
}

/// Joins the opened namespace of that kind and closes its descriptor.
fn join(kind: Kind, opened: &mut Vec<(Kind, OwnedFd)>) -> Result<()> {
    let Some(index) = opened.iter().position(|(other, _)| *other == kind) else {
        return Err(Error::new(packed!("it was not opened")));
    };
    let (_, file) = opened.swap_remove(index);
    namespaces::join(kind, file.as_fd())
}
