//! A rootfs in a file: squashfs, erofs or ext2 to ext4 by what the file begins with, mounted read-only by a loop device.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use super::mounts::{Opened, explain};
use crate::error::{Doing, Error, Result};
use crate::packed::{Packed, filled, packed};
use crate::sys;
use crate::text::Show;

/// Where the mark of a file system is, and what it is; linux/magic.h. And what the kernel calls it.
const KINDS: [(usize, &[u8], &CStr); 3] = [
    (0, b"hsqs", c"squashfs"),
    (1024, b"\xe2\xe1\xf5\xe0", c"erofs"),
    (1080, b"\x53\xef", EXT4), // its driver reads the older two as well
];

/// The one with a journal, which must not be played back where nothing may be written.
pub(super) const EXT4: &CStr = c"ext4";

/// The file system that begins so.
fn kind_of(begin: &[u8]) -> Option<&'static CStr> {
    for (at, mark, kind) in KINDS {
        if begin.get(at..).is_some_and(|rest| rest.starts_with(mark)) {
            return Some(kind);
        }
    }
    None
}

/// The file system in a file or on a device, by its first bytes.
///
/// # Errors
/// None that we know: `cure` says what to do then. Or it cannot be read.
pub(super) fn probe(file: BorrowedFd<'_>, cure: Packed) -> Result<&'static CStr> {
    let mut begin = [0; 2048];
    let length = nix::unistd::read(file, &mut begin).doing(packed!("read it"))?;
    kind_of(begin.get(..length).unwrap_or_default())
        .ok_or_else(|| Error::new(packed!("it is no folder, and no image")).hint(cure))
}

/// Makes a block device of a file. It is there as long as it is open, or mounted.
///
/// # Errors
/// No loop device.
pub(super) fn attach(file: BorrowedFd<'_>, writable: bool) -> Result<(OwnedFd, CString)> {
    sys::loop_device::attach(file, writable)
        .map_err(|errno| Error::os(packed!("attach it to a loop device"), errno).hint(LOOP))
}

/// Says why what is on a device cannot be mounted.
pub(super) fn refused(kind: &CStr, errno: Errno) -> Error {
    let kind = kind.shown().to_string();
    explain(&kind, errno).within(filled!("mount it as {}", &kind))
}

/// Mounts the image, nowhere yet. What was needed for it goes with the last who has it.
///
/// # Errors
/// No image that we know; no loop device, or no such file system in this kernel; Linux before 5.2.
pub(crate) fn open(path: &Path) -> Result<Opened> {
    let file = sys::path::open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
    let cure = packed!("--rootfs takes an unpacked folder, or a file with squashfs, erofs or ext4");
    let kind = probe(file.as_fd(), cure)?;
    let (_device, path) = attach(file.as_fd(), false)?;
    let options = [(c"source", Some(path.as_c_str())), (c"ro", None), (c"noload", None)];
    let options = options.get(..if kind == EXT4 { 3 } else { 2 }).unwrap_or_default();
    let mount = sys::mount::new_detached(kind, options).map_err(|errno| {
        let error = refused(kind, errno);
        if errno == Errno::ENOSYS { error.hint(packed!("images need Linux 5.2")) } else { error }
    })?;
    Ok(Opened::detached(mount))
}

/// What it takes.
const LOOP: Packed = packed!("an image needs root, and loop devices: CONFIG_BLK_DEV_LOOP, /dev/loop-control");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_systems_are_told_by_their_marks() {
        let with = |at: usize, mark: &[u8]| {
            let mut begin = vec![0; 2048];
            begin.splice(at..at + mark.len(), mark.iter().copied());
            kind_of(&begin)
        };
        assert_eq!(with(0, b"hsqs"), Some(c"squashfs"));
        assert_eq!(with(1024, &0xe0f5_e1e2_u32.to_le_bytes()), Some(c"erofs"));
        assert_eq!(with(1080, &0xef53_u16.to_le_bytes()), Some(c"ext4"));
        assert_eq!((with(0, b"sqsh"), kind_of(b""), kind_of(&[0; 1081])), (None, None, None));
    }
}
