//! Overlays: over the rootfs, mostly with a tmpfs as the layer that writes go to, and where users want one.

use std::ffi::CString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::MsFlags;
use nix::sys::stat::Mode;

use super::rootfs::{add_flags_to_tree, bind_on_itself, bind_to, c_path, handle_path, reopen_covered};
use crate::error::{Doing, Error, Result, tolerate};
use crate::packed::{Fill, filled, packed};
use crate::spec::mount::Layers;
use crate::sys;
use crate::sys::dir::Kind;
use crate::text::{self, Show, text_of};

/// How deep [`compose`] descends before it shows a folder as it is, read-only.
const DEPTH: usize = 8;

/// Mounts a tmpfs over the folder `top` and in it an overlay of that folder and of `layers`; returns a handle of the
/// overlay. All paths given to the kernel are short words relative to the tmpfs, so that nothing needs escaping, and the 500
/// layers that the kernel takes fit in a page.
///
/// # Errors
/// No overlay in this kernel, or none for this kind of rootfs.
pub(crate) fn mount_root(top: BorrowedFd<'_>, layers: &Layers, in_memory: bool) -> Result<OwnedFd> {
    let in_userns = layers.in_userns;
    // Both taken before the tmpfs covers them. In a user namespace the mounts below cannot be left out: they are locked.
    let mut handles = Vec::new();
    for path in layers.paths {
        handles
            .push(super::mounts::open_host(path).map_err(|error| error.within(filled!("{}", path.shown())))?);
    }
    let tree = sys::mount::clone_tree(top, c"", in_userns);
    let layer = mount_tmpfs(top)?;
    for name in text::parts("lower upper work merged", b' ') {
        make_folder(layer.as_fd(), name, 0o755)?;
    }
    let place = open_folder(layer.as_fd(), "lower")?;
    match tree {
        Ok(tree) => sys::mount::attach(tree.as_fd(), place.as_fd()).doing(packed!("attach the rootfs"))?,
        // Before Linux 5.2. As "." the folder is itself; its handle as a path would lead to what covers it by now.
        Err(Errno::ENOSYS) => {
            sys::fd::enter(top).doing(packed!("enter the rootfs"))?;
            // Not what is mounted below: that would be the cover.
            sys::mount::bind(c".", &handle_path(place.as_fd()), false).doing(packed!("bind the rootfs"))?;
        }
        Err(errno) => return Err(errno).doing(packed!("clone the mount of the rootfs")),
    }
    sys::fd::enter(layer.as_fd()).doing(packed!("enter the tmpfs"))?;
    let mounted = if handles.is_empty() {
        overlay_at(Path::new(""), 0, in_userns)
    } else {
        overlay_of(&handles, layers, in_memory)
    };
    match mounted {
        Ok(()) => open_folder(layer.as_fd(), "merged"),
        // A folder with locked mounts below cannot be a lower layer: its parts that have none can.
        Err(Errno::EINVAL) if in_userns && handles.is_empty() => {
            let merged = open_folder(layer.as_fd(), "merged")?;
            let merged = bind_on_itself(merged.as_fd())?;
            compose(Path::new(""), &mut 1, 0)?;
            Ok(merged)
        }
        Err(errno) => Err(explain(errno)),
    }
}

/// Mounts `merged` as an overlay of `lower` and of what was opened; the current directory is the tmpfs.
fn overlay_of(handles: &[OwnedFd], layers: &Layers, in_memory: bool) -> std::result::Result<(), Errno> {
    let mut options = "lowerdir=lower".to_owned();
    for (index, handle) in handles.iter().enumerate() {
        let name = text_of(&index);
        let link = text::c_string(&name)?;
        nix::unistd::symlinkat(&*handle_path(handle.as_fd()), nix::fcntl::AT_FDCWD, &*link)?;
        add(&mut options, &name, index, layers);
    }
    if in_memory {
        copy_owner(Path::new("lower"), Path::new("upper"));
        options.push_str(",upperdir=upper,workdir=work");
    }
    let options = finish(options, layers.in_userns)?;
    sys::mount::new_filesystem(c"overlay", c"merged", MsFlags::empty(), &options)
}

/// Mounts an overlay of what was opened on `target`. Its options have no path of the user's in them, only descriptors.
///
/// # Errors
/// No overlay in this kernel, or none of these folders.
pub(super) fn mount(
    target: BorrowedFd<'_>,
    handles: &[OwnedFd],
    layers: &Layers,
    flags: MsFlags,
) -> Result<()> {
    let mut options = String::new();
    for (index, handle) in handles.iter().enumerate() {
        add(&mut options, &handle_path(handle.as_fd()).shown().to_string(), index, layers);
    }
    sys::fd::enter(target).doing(packed!("enter the mount point"))?;
    finish(options, layers.in_userns)
        .and_then(|options| sys::mount::new_filesystem_here(c"overlay", flags, &options))
        .map_err(explain)
}

/// One more layer: that of `layers` at this index.
fn add(options: &mut String, name: &str, index: usize, layers: &Layers) {
    options.push_str(match index.checked_sub(layers.lower_count()) {
        None if options.is_empty() => "lowerdir=",
        None => ":",
        Some(0) => ",upperdir=",
        Some(_) => ",workdir=",
    });
    options.push_str(name);
}

/// All options of an overlay. Whiteouts are kept in `user.*` attributes in a user namespace (Linux 5.11), or removing files of
/// a lower layer would fail. E2BIG: more than a page, which mount(2) would cut off.
fn finish(mut options: String, in_userns: bool) -> std::result::Result<CString, Errno> {
    if in_userns {
        options.push_str(",userxattr");
    }
    if options.len() < 4096 { text::c_string(options) } else { Err(Errno::E2BIG) }
}

/// Mounts a tmpfs on `place` and returns a handle of it.
fn mount_tmpfs(place: BorrowedFd<'_>) -> Result<OwnedFd> {
    match sys::mount::new_detached(c"tmpfs", &[(c"mode", Some(c"755"))]) {
        Ok(layer) => {
            sys::mount::attach(layer.as_fd(), place).doing(packed!("attach the tmpfs"))?;
            Ok(layer)
        }
        // Before Linux 5.2.
        Err(Errno::ENOSYS) => {
            sys::fd::enter(place).doing(packed!("enter the rootfs"))?;
            sys::mount::new_filesystem_here(c"tmpfs", MsFlags::MS_NODEV, c"mode=755")
                .doing(packed!("mount tmpfs"))?;
            reopen_covered(place)
        }
        Err(errno) => Err(errno).doing(packed!("mount tmpfs")),
    }
}

/// Says what may be wrong with an overlay.
pub(super) fn explain(errno: Errno) -> Error {
    let error = Error::os(packed!("mount overlay"), errno);
    match errno {
        Errno::ENODEV => {
            error.hint(packed!("the kernel has no overlay file system (CONFIG_OVERLAY_FS, module overlay)"))
        }
        Errno::EPERM => error.hint(packed!("overlay in a user namespace needs Linux 5.11")),
        Errno::EINVAL => error.hint(
            packed!("the upper folder and its work folder must be on one file system, and not on overlay, vfat or NFS; \
             no layer may be in another; 500 are the most"),
        ),
        Errno::EBUSY => error.hint(packed!("another overlay writes to the same folders")),
        Errno::E2BIG => error.hint(packed!("too many layers: their names fill more than a page")),
        _ => error,
    }
}

/// Mounts `merged/PATH` as an overlay of `lower/PATH`; the current directory is the tmpfs. `number` keeps the upper
/// folders of several overlays apart.
fn overlay_at(path: &Path, number: usize, in_userns: bool) -> std::result::Result<(), Errno> {
    // Short words of ours instead of the path, which might hold `:` or `,`: lower layers are reached by a link.
    let (upper, work, below) = (
        filled!("upper/{}", &number).text(),
        filled!("work/{}", &number).text(),
        filled!("work/{}.lower", &number).text(),
    );
    sys::path::make_folder(Path::new(&upper))?;
    sys::path::make_folder(Path::new(&work))?;
    copy_owner(&Path::new("lower").join(path), Path::new(&upper));
    sys::path::make_link(&Path::new("../lower").join(path), Path::new(&below))?;
    let options =
        finish(filled!("lowerdir={},upperdir={},workdir={}", [&below, &upper, &work]).text(), in_userns)?;
    let target = c_path(Path::new("merged").join(path)).map_err(|_| Errno::EINVAL)?;
    sys::mount::new_filesystem(c"overlay", &target, MsFlags::empty(), &options)
}

/// Gives a new folder the mode and, where that is allowed, the owner of another.
pub(super) fn copy_owner(from: &Path, to: &Path) {
    let Ok(found) = sys::path::stat(from) else { return };
    let mode = Mode::from_bits_truncate(found.st_mode & 0o7777);
    tolerate(
        sys::path::set_owner(to, found.st_uid, found.st_gid),
        "an id without a map cannot be given away; it stays ours",
    );
    tolerate(sys::path::set_mode(to, mode), "it is as readable as it can be");
}

/// Fills `merged/PATH` with an overlay for each folder of `lower/PATH` that can have one, its links, and its files.
fn compose(path: &Path, number: &mut usize, depth: usize) -> Result<()> {
    let folder = Path::new("lower").join(path);
    let entries = match sys::dir::list(&folder) {
        Ok(entries) => entries,
        // Unreadable for us outside as well.
        Err(Errno::EACCES) => return show_read_only(&folder, &Path::new("merged").join(path)),
        Err(errno) => return Err(errno).doing(filled!("read {}", folder.shown())),
    };
    for entry in entries {
        let below = path.join(&entry.name);
        let (from, to) = (folder.join(&entry.name), Path::new("merged").join(&below));
        match entry.kind {
            Kind::Link => {
                let target = sys::path::target_of(&from).doing(filled!("read the link {}", below.shown()))?;
                sys::path::make_link(Path::new(&target), &to)
                    .doing(filled!("make the link {}", below.shown()))?;
            }
            Kind::Folder => {
                sys::path::make_folder(&to).doing(filled!("make the folder {}", below.shown()))?;
                copy_owner(&from, &to);
                compose_folder(&below, number, depth)?;
            }
            Kind::File => {
                sys::path::open(&to, OFlag::O_WRONLY | OFlag::O_CREAT)
                    .doing(filled!("make the file {}", below.shown()))?;
                show_read_only(&from, &to)?;
            }
            Kind::Other => {}
        }
    }
    Ok(())
}

/// One folder of a composed root: an overlay, or where the kernel refuses one a composition of its parts.
fn compose_folder(path: &Path, number: &mut usize, depth: usize) -> Result<()> {
    // These get file systems of their own in a moment.
    if matches!(path.as_os_str().as_bytes(), b"proc" | b"sys" | b"dev") {
        return Ok(());
    }
    *number += 1;
    match overlay_at(path, *number, true) {
        Ok(()) => Ok(()),
        Err(Errno::EINVAL) if depth < DEPTH => compose(path, number, depth + 1),
        // A kind of file system that overlay cannot use as a layer.
        Err(_) => show_read_only(&Path::new("lower").join(path), &Path::new("merged").join(path)),
    }
}

/// Binds a file or folder of the lower layer into the merged tree so that it cannot be changed.
fn show_read_only(from: &Path, to: &Path) -> Result<()> {
    let open = |path: &Path| {
        sys::fd::open_at(nix::fcntl::AT_FDCWD, &c_path(path)?, OFlag::O_PATH | OFlag::O_NOFOLLOW)
            .doing(filled!("open {}", path.shown()))
    };
    let tree = bind_to(open(from)?.as_fd(), open(to)?.as_fd())?;
    add_flags_to_tree(tree.as_fd(), MsFlags::MS_RDONLY)
        .map_err(|error| error.within(filled!("make {} read-only", to.shown())))
}

/// Makes a folder of that name in another.
fn make_folder(dir: BorrowedFd<'_>, name: &str, mode: libc::mode_t) -> Result<()> {
    let path = c_path(name)?;
    nix::sys::stat::mkdirat(dir, &*path, Mode::from_bits_truncate(mode)).doing(filled!("make {}", name))
}

/// Opens what is at that name in a folder, mounts included.
fn open_folder(dir: BorrowedFd<'_>, name: &str) -> Result<OwnedFd> {
    sys::fd::open_at(dir, &c_path(name)?, OFlag::O_PATH | OFlag::O_DIRECTORY).doing(filled!("open {}", name))
}
