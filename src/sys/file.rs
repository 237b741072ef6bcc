//! Whole files by path: those of /proc, /sys and cgroupfs, which are short and do not tell their length.
//!
//! Not by `std::fs`: its errors may hold a text of their own, and what prints that brings tables of Unicode along.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

/// No file that we read has so many bytes; a device may have no end.
const MOST: usize = 1 << 24;

/// `open(2)` and `read(2)` to the end; what is not UTF-8 is replaced. EFBIG: it has more than 16 MiB.
pub(crate) fn read(path: &Path) -> Result<String, Errno> {
    read_from(super::path::open(path, OFlag::O_RDONLY)?.as_fd())
}

/// The same from an open file or pipe.
pub(crate) fn read_from(file: BorrowedFd<'_>) -> Result<String, Errno> {
    let (mut bytes, mut part) = (Vec::new(), [0; 4096]);
    loop {
        match nix::unistd::read(file, &mut part) {
            Ok(0) => return Ok(crate::text::from_bytes(bytes)),
            Ok(_) if bytes.len() > MOST => return Err(Errno::EFBIG),
            Ok(length) => bytes.extend_from_slice(part.get(..length).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

/// `open(2)` of a file that is there, and one `write(2)`, as these file systems want it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), Errno> {
    let file = super::path::open(path, OFlag::O_WRONLY)?;
    nix::unistd::write(file, text.as_bytes()).map(drop)
}

/// `write(2)`, as often as it takes.
pub(crate) fn write_all(file: BorrowedFd<'_>, mut left: &[u8]) -> Result<(), Errno> {
    while !left.is_empty() {
        let written = nix::unistd::write(file, left)?;
        left = left.get(written..).unwrap_or_default();
    }
    Ok(())
}
