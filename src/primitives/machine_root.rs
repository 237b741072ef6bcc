//! The root of the machine: what is on a device, in an image file or in a folder becomes `/`, maybe with a layer over it
//! that is written to.
//!
//! Whatever is mounted for it is mounted on `/`, over what was there before. That needs no folder, which a read-only
//! root may not have; nobody notices, since we stay in the mount beneath until all is ready; and it is where the new
//! root has to be in the end, on every kernel. `/..` is the way up to what was mounted last.

use std::cell::Cell;
use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::mount::MsFlags;

use super::rootfs::{c_path, ensure_folder, handle_path, make_root_read_only, pivot};
use super::{early, image, overlay};
use crate::error::{Doing, Error, Result, tolerate};
use crate::packed::{Fill, filled, packed};
use crate::spec::board::{Root, Upper};
use crate::sys;
use crate::sys::dir::Kind;
use crate::text::{self, Show, Shown};

/// What goes along into the new root, where it is a mount.
const MOVED: &str = "/dev /proc /sys /run /tmp";

thread_local! {
    /// The file system on the device that the overlay of the root writes to: it is mounted nowhere any more, and has to be
    /// read-only when the machine ends.
    static UPPER: Cell<Option<&'static OwnedFd>> = const { Cell::new(None) };
}

/// Makes that one read-only, if there is one; the root must be so already.
///
/// # Errors
/// As of fspick(2) and fsconfig(2): ENOSYS before Linux 5.2.
pub(crate) fn close_upper() -> std::result::Result<(), Errno> {
    UPPER.get().map_or(Ok(()), |upper| sys::mount::make_file_system_read_only(upper.as_fd()))
}

/// What is mounted over `/`.
#[derive(Debug)]
struct Cover {
    /// How many mounts.
    count: u32,
    /// The new root is, or needs, a folder of the old one.
    needs_old: bool,
}

/// Makes `root` the `/` of the machine. What cannot go along is told to `say`. Nothing stays mounted after a failure before
/// the change itself.
///
/// # Errors
/// No such device in time; nothing on it that the kernel can mount; or the kernel refuses the change.
pub(crate) fn switch(root: &Root, say: &mut dyn FnMut(Error)) -> Result<()> {
    // Only what the kernel unpacked is so called: pivot_root(2) is refused for it, and nobody else has it.
    let mounts = sys::file::read(Path::new("/proc/self/mounts")).unwrap_or_default();
    // Asked before `/..` leads elsewhere.
    let mut moved = Vec::new();
    for name in text::parts(MOVED, b' ') {
        if early::is_mounted(name) {
            moved.push(name);
        }
    }
    let mut cover = Cover { count: 0, needs_old: false };
    let top = cover.pile_up(root).map_err(|error| {
        for _ in 0..cover.count {
            tolerate(sys::mount::detach(c"/.."), "the other failure is told");
        }
        error.within(filled!("mount the root {}", root.source))
    })?;
    for name in &moved {
        move_along(top.as_fd(), name)
            .unwrap_or_else(|error| say(error.within(filled!("move {} to the new root", *name))));
    }
    if cover.needs_old && root.overlay.is_none() && !root.writable {
        make_root_read_only(top.as_fd()).map_err(|error| error.within(packed!("make the root read-only")))?;
    }
    let old = pivot(top.as_fd(), true)?;
    if let Some(old) = old
        && mounts.starts_with("rootfs / rootfs ")
        && !cover.needs_old
    {
        free(old.as_fd());
    }
    Ok(())
}

impl Cover {
    /// Mounts everything, and returns a handle of what is on top.
    fn pile_up(&mut self, root: &Root) -> Result<OwnedFd> {
        let writable = root.writable && root.overlay.is_none();
        let lower = self.add(root.source, root.kind, writable, root.patience)?;
        let upper = match root.overlay {
            None => return Ok(lower),
            Some(Upper::Tmpfs) => self
                .mount(c"tmpfs", c"tmpfs", MsFlags::empty(), c"mode=755,size=30%")
                .doing(packed!("mount tmpfs"))?,
            Some(Upper::Device(path)) => self
                .add(path, Some("ext4"), true, root.patience)
                .map_err(|error| error.within(filled!("the overlay {}", path)))?,
        };
        let top = self.add_overlay(lower.as_fd(), upper.as_fd())?;
        UPPER.set(Some(Box::leak(Box::new(upper))));
        Ok(top)
    }

    /// Mounts a device, an image file or a folder.
    fn add(&mut self, path: &str, kind: Option<&str>, writable: bool, patience: u64) -> Result<OwnedFd> {
        let file = wait_for(path, writable, patience)?;
        let place = c_path(path)?;
        let form = sys::fd::kind_of(file.as_fd()).doing(packed!("look at it"))?;
        if form == libc::S_IFDIR {
            self.needs_old = true;
            return self.on_top(sys::mount::bind(&place, c"/", true)).doing(packed!("bind it"));
        }
        let kind = match kind {
            Some(name) => c_path(name)?,
            None => image::probe(file.as_fd(), packed!("--root-type says what it is"))?.to_owned(),
        };
        let is_file = form != libc::S_IFBLK;
        let (_device, device) = if is_file { image::attach(file.as_fd(), writable)? } else { (file, place) };
        let flags = if writable { MsFlags::empty() } else { MsFlags::MS_RDONLY };
        // The journal of a device is played back; a file that nobody may write to is taken as it is.
        let data = if is_file && !writable && *kind == *image::EXT4 { c"noload" } else { c"" };
        self.mount(&device, &kind, flags, data).map_err(|errno| {
            let error = image::refused(&kind, errno);
            if errno == Errno::ENODEV {
                error.hint(packed!(
                    "the kernel has no such file system built in (CONFIG_EXT4_FS, CONFIG_SQUASHFS, CONFIG_EROFS_FS ...): \
                     name its module with --modules"
                ))
            } else {
                error
            }
        })
    }

    /// Mounts an overlay of the two. `upper` has two folders for it, which are made where they are missing.
    fn add_overlay(&mut self, lower: BorrowedFd<'_>, upper: BorrowedFd<'_>) -> Result<OwnedFd> {
        sys::fd::enter(upper).doing(packed!("enter the upper layer"))?;
        let lower = handle_path(lower);
        for name in text::parts("work upper", b' ') {
            match sys::path::make_folder(Path::new(name)) {
                Ok(()) => {
                    overlay::copy_owner(Path::new(OsStr::from_bytes(lower.to_bytes())), Path::new(name));
                }
                Err(Errno::EEXIST) => {}
                Err(errno) => {
                    return Err(errno).doing(filled!("make the folder {} of the upper layer", name));
                }
            }
        }
        let mut mount = |end: &str| {
            let options = filled!("lowerdir={},upperdir=upper,workdir=work{}", lower.shown(), end).text();
            self.mount(c"overlay", c"overlay", MsFlags::empty(), &text::c_string(options)?)
        };
        let mounted = match mount("") {
            // Another root was beneath it before, as after an update: the index, of Linux 4.13, has handles of that one.
            Err(Errno::ESTALE) => mount(",index=off"),
            mounted => mounted,
        };
        let mounted = mounted.map_err(overlay::explain)?;
        // What the kernel makes of a folder `work` that it cannot clean.
        if super::rootfs::flags_of(mounted.as_fd())?.contains(MsFlags::MS_RDONLY) {
            return Err(Error::os("mount overlay", Errno::EROFS)
                .hint(packed!("the kernel cannot use the folder work of the upper layer: remove it")));
        }
        Ok(mounted)
    }

    /// One mount more on `/`.
    fn mount(
        &mut self,
        device: &CStr,
        kind: &CStr,
        flags: MsFlags,
        data: &CStr,
    ) -> std::result::Result<OwnedFd, Errno> {
        let mounted = sys::mount::cover_root(device, kind, flags, data);
        self.on_top(mounted)
    }

    /// A handle of it, if there is one.
    fn on_top(&mut self, mounted: std::result::Result<(), Errno>) -> std::result::Result<OwnedFd, Errno> {
        mounted?;
        self.count += 1;
        sys::fd::open_path(c"/..")
    }
}

/// Opens a device, which may take its time to appear, or a file or folder.
fn wait_for(path: &str, writable: bool, patience: u64) -> Result<OwnedFd> {
    /// Milliseconds between two looks: the kernel tells nobody but netlink.
    const PAUSE: libc::c_int = 10;
    let is_device = path.starts_with("/dev/");
    let since = sys::clock::milliseconds();
    let mut access = if writable { OFlag::O_RDWR } else { OFlag::O_RDONLY };
    loop {
        let errno = match sys::path::open(Path::new(path), access | OFlag::O_NONBLOCK) {
            // A folder.
            Err(Errno::EISDIR) if access != OFlag::O_RDONLY => {
                access = OFlag::O_RDONLY;
                continue;
            }
            Err(errno) => errno,
            Ok(file) => return Ok(file),
        };
        if !is_device || !matches!(errno, Errno::ENOENT | Errno::ENXIO) {
            return Err(Error::os("open it", errno));
        }
        if sys::clock::milliseconds() - since >= patience {
            let seconds = patience / 1000;
            let mut found = devices();
            if found.is_empty() {
                found.extend_from_slice(b" none: is its driver a module? --modules");
            }
            let hint =
                filled!("no such device after {} s; the kernel has found{}", [&seconds, &Shown(&found)]);
            return Err(Error::from(errno).hint(hint));
        }
        sys::clock::pass(PAUSE);
    }
}

/// The names of the disks and partitions, but for those that are made of memory or files, with a blank before each.
fn devices() -> Vec<u8> {
    let mut names = Vec::new();
    for entry in &sys::dir::list(Path::new("/sys/class/block")).unwrap_or_default() {
        let name = entry.name.as_bytes();
        if !name.starts_with(b"loop") && !name.starts_with(b"ram") && names.len() < 200 {
            names.push(b' ');
            names.extend_from_slice(name);
        }
    }
    names
}

/// Moves the mount `name` to the same place beneath `top`, if no file system is there.
fn move_along(top: BorrowedFd<'_>, name: &str) -> Result<()> {
    let place = ensure_folder(top, Path::new(name))?;
    let device = |folder: BorrowedFd<'_>| sys::fd::stat(folder).map_or(0, |found| found.st_dev);
    if device(place.as_fd()) != device(top) {
        return Ok(());
    }
    sys::fd::enter(place.as_fd()).doing(packed!("enter it"))?;
    sys::mount::move_path(&c_path(name)?, c".").map_err(Error::from)
}

/// Frees the memory of the initramfs: removes what is in it. By way of the current directory, since no path leads there.
fn free(old: BorrowedFd<'_>) {
    if sys::fd::enter(old).is_err() {
        return;
    }
    if let Ok(found) = sys::fd::stat(old)
        && sys::path::is_memory(Path::new("."))
    {
        remove_all(Path::new(""), found.st_dev);
    }
    tolerate(nix::unistd::chdir(c"/"), "it was just entered");
}

/// Removes what is in a folder and on this device. What cannot be removed stays, and is in nobody's way.
fn remove_all(folder: &Path, device: libc::dev_t) {
    let here = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    for entry in &sys::dir::list(here).unwrap_or_default() {
        let path = folder.join(&entry.name);
        if entry.kind != Kind::Folder {
            tolerate(sys::path::remove_file(&path), "a file that is mounted over");
        } else if sys::path::stat(&path).is_ok_and(|found| found.st_dev == device) {
            remove_all(&path, device);
            tolerate(sys::path::remove_folder(&path), "a folder that is not empty");
        }
    }
}
