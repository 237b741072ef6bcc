//! Performs mounts beneath the handle of the rootfs, never by a path that the image controls.

use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::MsFlags;
use nix::sys::statfs::PROC_SUPER_MAGIC;

use super::rootfs::{
    Wanted, add_flags_to_tree, bind_to, c_path, ensure_folder, handle_path, reopen_covered, resolve_in_root,
    set_propagation,
};
use crate::error::{Doing, Error, Result};
use crate::packed::{Fill, Packed, filled, packed};
use crate::spec::devices::Rule;
use crate::spec::mount::{Flags, Mount, Source};
use crate::spec::sysctl::Sysctl;
use crate::sys;
use crate::text::Show;

/// What of the host's is to be shown, opened.
#[derive(Debug)]
pub(crate) struct Opened {
    /// A detached copy of the mount, or a mere handle; of an overlay one for each layer.
    handles: Vec<OwnedFd>,
    /// Which of the two.
    is_detached: bool,
    /// The device that it is, and what may be done with it.
    pub(crate) device: Option<Rule>,
}

impl Opened {
    /// A mount that is nowhere yet.
    pub(super) fn detached(mount: OwnedFd) -> Self {
        Self { handles: vec![mount], is_detached: true, device: None }
    }

    /// That mount.
    pub(crate) fn into_mount(mut self) -> Option<OwnedFd> {
        self.handles.pop()
    }
}

/// Opens what a mount shows of the host, the one time that its path is used: before the rootfs is there, which may cover
/// it. `None`: it is optional and missing.
///
/// # Errors
/// It is missing, or the kernel refuses.
#[inline(never)]
pub(crate) fn open_source(mount: &Mount) -> Result<Option<Opened>> {
    let mut handles = Vec::new();
    for path in mount.host_paths() {
        match open_host(path) {
            Ok(handle) => handles.push(handle),
            Err(error) if error.errno == Some(Errno::ENOENT) && mount.flags.has(Flags::OPTIONAL) => {
                return Ok(None);
            }
            Err(error) if mount.host_paths().len() == 1 => return Err(error),
            Err(error) => return Err(error.within(filled!("{}", path.shown()))),
        }
    }
    let (Source::Host(_) | Source::Device(..), Some(handle)) = (&mount.source, handles.first()) else {
        return Ok(Some(Opened { handles, is_detached: false, device: None }));
    };
    let device =
        if let Source::Device(_, access) = mount.source { Some(rule(handle, access)?) } else { None };
    match sys::mount::clone_tree(handle.as_fd(), c"", !mount.flags.has(Flags::ALONE)) {
        Ok(handle) => Ok(Some(Opened { handles: vec![handle], is_detached: true, device })),
        // Before Linux 5.2. What is shared would not be by then, and a mount of another namespace cannot be bound.
        Err(Errno::ENOSYS) if mount.flags.0 & Flags::SHARED.with(Flags::EARLY).0 == 0 => {
            Ok(Some(Opened { handles, is_detached: false, device }))
        }
        Err(Errno::EINVAL) => Err(Error::from(Errno::EINVAL).hint(packed!(
            "an unbindable mount; or, in a user namespace, one that hides something below mounts"
        ))),
        Err(errno) if mount.flags.has(Flags::IDMAP) => Err(Error::from(errno).hint(IDMAP)),
        Err(errno) => Err(Error::from(errno)),
    }
}

/// Which device a file is.
fn rule(file: &OwnedFd, access: u8) -> Result<Rule> {
    let found = sys::fd::stat(file.as_fd()).doing(packed!("look at it"))?;
    let is_block = match found.st_mode & libc::S_IFMT {
        libc::S_IFCHR => false,
        libc::S_IFBLK => true,
        _ => {
            return Err(Error::from(Errno::ENODEV)
                .hint(packed!("that is no device; for files and folders: --volume")));
        }
    };
    Ok(Rule { is_block, major: libc::major(found.st_rdev), minor: libc::minor(found.st_rdev), access })
}

/// What mapped ids need.
const IDMAP: Packed =
    packed!("idmap needs root, Linux 5.12 and a file system that can (ext4, xfs, btrfs; tmpfs: 6.3)");

/// Opens a file or folder of the host as a mere handle.
///
/// # Errors
/// As open(2).
pub(super) fn open_host(path: &Path) -> Result<OwnedFd> {
    sys::fd::open_path(&c_path(path)?).map_err(|errno| {
        let error = Error::from(errno);
        match errno {
            Errno::ENOENT => {
                error.hint(packed!("it is not made where it is missing; --mount ...,optional skips it then"))
            }
            Errno::EMFILE => {
                error.hint(packed!("each mount takes a descriptor until it is made: raise ulimit -n"))
            }
            _ => error,
        }
    })
}

/// Has the ids in what was opened be those of a user namespace, whose maps are written.
///
/// # Errors
/// The kernel refuses: its own file systems can, since Linux 5.12 and later, and root only.
pub(crate) fn map_ids(source: &Opened, userns: BorrowedFd<'_>, is_recursive: bool) -> Result<()> {
    let Some(tree) = source.handles.first() else { return Ok(()) };
    sys::mount::map_ids(tree.as_fd(), userns, is_recursive).map_err(|errno| Error::from(errno).hint(IDMAP))
}

/// Shows inside what was opened outside.
///
/// # Errors
/// There is no place for it, or the kernel refuses.
#[inline(never)]
pub(crate) fn show(root: BorrowedFd<'_>, mount: &Mount, source: &Opened) -> Result<()> {
    let Some(handle) = source.handles.first().map(AsFd::as_fd) else { return Ok(()) };
    let kind = sys::fd::kind_of(handle).doing(packed!("look at it"))?;
    let target = super::target::open(root, mount.target, kind == libc::S_IFDIR)?;
    if let Source::Overlay(layers) = &mount.source {
        return super::overlay::mount(target.as_fd(), &source.handles, layers, ms_flags(mount.flags));
    }
    if source.is_detached {
        sys::mount::attach(handle, target.as_fd()).doing(packed!("attach"))?;
        return finish(handle, mount.flags);
    }
    let is_recursive = !mount.flags.has(Flags::ALONE);
    sys::mount::bind(&handle_path(handle), &handle_path(target.as_fd()), is_recursive)
        .doing(packed!("bind"))?;
    finish(reopen_covered(target.as_fd())?.as_fd(), mount.flags)
}

/// Gives what is mounted its flags. Before anything else is mounted, so that nothing is ever made in what is read-only.
fn finish(tree: BorrowedFd<'_>, flags: Flags) -> Result<()> {
    let mut added = ms_flags(flags);
    if flags.has(Flags::SHALLOW) {
        added.remove(MsFlags::MS_RDONLY);
        if flags.has(Flags::READ_ONLY) {
            super::rootfs::make_root_read_only(tree)?;
        }
    }
    if !added.is_empty() {
        add_flags_to_tree(tree, added)?;
    }
    set_propagation_of(tree, flags)
}

/// Sets what comes in and goes out of a mount later, if the flags say anything about it.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn set_propagation_of(tree: BorrowedFd<'_>, flags: Flags) -> Result<()> {
    let propagation = flags.0 & Flags::PROPAGATION.with(Flags::RECURSIVE).0;
    if propagation == 0 {
        return Ok(());
    }
    set_propagation(tree, MsFlags::from_bits_truncate(libc::c_ulong::from(propagation)))
}

/// Shows a file with this text, which has no name anywhere and is not written to the rootfs: it is made in `dev`, ours.
///
/// # Errors
/// There is no place for it, or no memory.
#[inline(never)]
pub(crate) fn show_text(root: BorrowedFd<'_>, dev: BorrowedFd<'_>, mount: &Mount, text: &str) -> Result<()> {
    const NAME: &CStr = c"file";
    let target = super::target::open(root, mount.target, false)?;
    let flags = OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_WRONLY;
    let file = sys::fd::open_at(dev, NAME, flags).doing(packed!("make the file"))?;
    sys::file::write_all(file.as_fd(), text.as_bytes()).doing(packed!("write to it"))?;
    // The descriptor would keep it writable, and the mount from becoming read-only.
    drop(file);
    let file =
        sys::fd::open_at(dev, NAME, OFlag::O_PATH | OFlag::O_NOFOLLOW).doing(packed!("open it again"))?;
    let tree = bind_to(file.as_fd(), target.as_fd())?;
    nix::unistd::unlinkat(dev, NAME, nix::unistd::UnlinkatFlags::NoRemoveDir)
        .doing(packed!("remove its name"))?;
    finish(tree.as_fd(), mount.flags)
}

/// Performs one mount of a new file system; its target is made if it is missing.
///
/// # Errors
/// The target cannot be used, or the kernel refuses the mount and there is no other way to the same end.
pub(crate) fn perform(root: BorrowedFd<'_>, mount: &Mount) -> Result<()> {
    let target = if mount.flags.has(Flags::FOLLOW) {
        super::target::open(root, mount.target, true)?
    } else {
        ensure_folder(root, Path::new(&mount.target))?
    };
    match &mount.source {
        Source::New { kind, data } => match mount_new(target.as_fd(), kind, mount.flags, data) {
            // Already there: the folder shows just this file system, bound together with what is around it.
            Err(Errno::EBUSY) if *kind == "cgroup2" => Ok(()),
            Err(errno) => Err(explain(kind, errno)),
            Ok(()) => Ok(()),
        },
        Source::Host(path) => bind(target.as_fd(), path, mount.flags),
        // Only users have these; see the step.
        Source::Overlay(_) | Source::Device(..) | Source::Text(_) | Source::Link(_) => Ok(()),
    }
}

/// Adds what is known about a refusal. The step says the rest.
pub(super) fn explain(kind: &str, errno: Errno) -> Error {
    let error = Error::from(errno);
    match (kind, errno) {
        ("proc", Errno::EPERM) => error.hint(
            packed!("parts of the host's /proc are covered, as inside a container, and the kernel gives no fresh one then; \
             uncover them (docker: --security-opt systempaths=unconfined) or use --pid host. Nor does it where --pid \
             joins what belongs to another user namespace: join that too"),
        ),
        ("sysfs", Errno::EPERM) => error.hint(
            packed!("parts of the host's /sys are covered, as inside a container, and the kernel gives no fresh one then; \
             --best-effort shows the host's"),
        ),
        (_, Errno::ENODEV) => error.hint(packed!("the kernel has no such file system")),
        _ => error,
    }
}

/// Mounts a new file system on a handle, by way of the current directory.
fn mount_new(target: BorrowedFd<'_>, kind: &str, flags: Flags, data: &str) -> std::result::Result<(), Errno> {
    let (kind, data) = (c_path(kind).map_err(|_| Errno::EINVAL)?, c_path(data).map_err(|_| Errno::EINVAL)?);
    sys::fd::enter(target)?;
    sys::mount::new_filesystem_here(&kind, ms_flags(flags), &data)
}

/// The kernel's flags for ours.
fn ms_flags(flags: Flags) -> MsFlags {
    MsFlags::from_bits_truncate(libc::c_ulong::from(flags.0 & Flags::KERNELS.0))
}

/// Shows the host's `source`, and all that is mounted below it, at `target`.
fn bind(target: BorrowedFd<'_>, source: &Path, flags: Flags) -> Result<()> {
    let name = c_path(source)?;
    let source = sys::fd::open_path(&name).doing(filled!("open {}", source.shown()))?;
    let tree = bind_to(source.as_fd(), target)?;
    add_flags_to_tree(tree.as_fd(), ms_flags(flags))
}

/// Makes what is at `path` read-only, mounts below included. What does not exist needs no protection.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn make_read_only(root: BorrowedFd<'_>, path: &str) -> Result<()> {
    let place = match resolve_in_root(root, Path::new(path), Wanted::Anything) {
        Err(Errno::ENOENT) => return Ok(()),
        result => result.doing(path)?,
    };
    let tree = bind_to(place.as_fd(), place.as_fd()).map_err(|error| error.within(path))?;
    add_flags_to_tree(tree.as_fd(), MsFlags::MS_RDONLY).map_err(|error| error.within(path))
}

/// Enters a file system of the kernel's that was mounted before, and makes sure that we are in it: nobody may have
/// moved the mount point meanwhile. Names in it are the kernel's, so from here on they may be used as paths.
///
/// # Errors
/// Something else is there.
pub(super) fn enter_kernel_filesystem(root: BorrowedFd<'_>, folder: &KernelFolder) -> Result<OwnedFd> {
    let what = filled!("enter {}", folder.path).text();
    let place = resolve_in_root(root, Path::new(folder.path), Wanted::Folder).doing(&what)?;
    let found = nix::sys::statfs::fstatfs(&place).doing(&what)?.filesystem_type();
    if found != folder.magic {
        return Err(Error::new(what).hint(packed!(
            "another file system is there, in which nothing can be masked; --privileged masks nothing"
        )));
    }
    sys::fd::enter(place.as_fd()).doing(&what)?;
    Ok(place)
}

/// Sets kernel parameters by way of a procfs of ours (CVE-2019-16884): nothing that is mounted over a part of it, and no
/// link, is followed.
///
/// # Errors
/// The kernel has no such parameter here, or does not take the value.
pub(crate) fn set_sysctls(root: Option<BorrowedFd<'_>>, sysctls: &[Sysctl]) -> Result<()> {
    const PROC: KernelFolder = KernelFolder { path: "/proc", magic: PROC_SUPER_MAGIC, names: &[] };
    let own = sys::fd::open_path(c"/").doing(packed!("open /"))?;
    let proc = enter_kernel_filesystem(root.unwrap_or(own.as_fd()), &PROC)?;
    for Sysctl { path, value, .. } in sysctls {
        let name = c_path(filled!("sys/{}", path).text())?;
        let file = match sys::fd::open_beneath(proc.as_fd(), &name, OFlag::O_WRONLY) {
            // Before Linux 5.6: in a procfs there are no links on this way, and nobody but us is here yet.
            Err(Errno::ENOSYS) => sys::fd::open_at(proc.as_fd(), &name, OFlag::O_WRONLY | OFlag::O_NOFOLLOW),
            result => result,
        };
        if let Err(errno) = file.and_then(|file| nix::unistd::write(file, value.as_bytes())) {
            let error = Error::os(*path, errno);
            return Err(match errno {
                Errno::ENOENT => error.hint(packed!("the kernel has no such parameter in this namespace")),
                Errno::EINVAL if path.ends_with("ping_group_range") => {
                    error.hint(packed!("both groups must be mapped in the user namespace"))
                }
                _ => error,
            });
        }
    }
    Ok(())
}

/// A file system of the kernel's and names in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct KernelFolder {
    /// Where it is mounted.
    pub(crate) path: &'static str,
    /// What statfs(2) says of it.
    pub(crate) magic: nix::sys::statfs::FsType,
    /// Files and folders in it.
    pub(crate) names: &'static [&'static CStr],
}

/// Makes what has these names read-only. What does not exist needs no protection.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn make_names_read_only(root: BorrowedFd<'_>, folder: &KernelFolder) -> Result<()> {
    let place = enter_kernel_filesystem(root, folder)?;
    let flags = MsFlags::MS_RDONLY | super::rootfs::flags_of(place.as_fd())?;
    for name in folder.names {
        match sys::mount::bind(name, name, false) {
            Err(Errno::ENOENT) => {}
            // Mounts below, locked in a user namespace, must come along and be changed too.
            Err(Errno::EINVAL) => {
                make_read_only(root, &filled!("{}/{}", folder.path, name.shown()).text())?;
                sys::fd::enter(place.as_fd()).doing(packed!("come back"))?;
            }
            result => {
                result
                    .and_then(|()| sys::mount::remount_bind(name, flags))
                    .doing(filled!("{}", name.shown()))?;
            }
        }
    }
    Ok(())
}

/// Hides what has these names: files behind the host's /dev/null (the image's may be anything, CVE-2025-31133),
/// folders behind an empty one of `dev`, ours, that loses its name afterwards, so that nothing can ever be put in.
///
/// # Errors
/// The kernel refuses.
pub(crate) fn mask(root: BorrowedFd<'_>, dev: BorrowedFd<'_>, folders: &[KernelFolder]) -> Result<()> {
    // Missing, it would look below as if the file to hide were; a file of the host's must not be shown, nor written to.
    let null = sys::path::stat(Path::new("/dev/null")).doing(packed!("look at the host's /dev/null"))?;
    if null.st_rdev != nix::sys::stat::makedev(1, 3) {
        return Err(Error::new(packed!("the host's /dev/null is not the device of that name")));
    }
    let what = "make an empty folder";
    nix::sys::stat::mkdirat(dev, c"masked", nix::sys::stat::Mode::from_bits_truncate(0o555)).doing(what)?;
    let empty = sys::fd::open_at(dev, c"masked", OFlag::O_PATH | OFlag::O_NOFOLLOW).doing(what)?;
    for folder in folders {
        let place = enter_kernel_filesystem(root, folder)?;
        for name in folder.names {
            hide(place.as_fd(), name, empty.as_fd())
                .map_err(|error| error.within(filled!("{}", name.shown())))?;
        }
    }
    nix::unistd::unlinkat(dev, c"masked", nix::unistd::UnlinkatFlags::RemoveDir)
        .doing(packed!("remove its name"))
}

/// Hides one name in `place`, which is the current directory. What does not exist needs no mask.
fn hide(place: BorrowedFd<'_>, name: &CStr, empty: BorrowedFd<'_>) -> Result<()> {
    // Known beforehand: a bind of the wrong kind, which the kernel takes back, costs a tenth of the whole start.
    if !name.to_bytes().ends_with(b"/") {
        return match sys::mount::bind(c"/dev/null", name, false) {
            Err(Errno::ENOENT) => Ok(()),
            result => result.map_err(Error::from),
        };
    }
    match sys::fd::open_at(place, name, OFlag::O_PATH | OFlag::O_NOFOLLOW) {
        Err(Errno::ENOENT) => Ok(()),
        below => bind_to(empty, below?.as_fd()).map(drop),
    }
}
