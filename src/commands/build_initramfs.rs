//! `launcher build-initramfs`: an archive with launcher as /init, a rootfs, and what it is to do.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::cli::build_initramfs::BuildCommand;
use crate::error::{Doing, Error, Result, tolerate};
use crate::packed::{Fill, filled, packed};
use crate::primitives::cpio::{Archive, FILE, FOLDER};
use crate::sys;
use crate::text::{self, Show, Shown};

/// Where a regular file goes.
struct Place {
    /// In the end.
    name: &'static Path,
    /// Until it is complete.
    beside: &'static Path,
}

/// Writes the archive beside its place and renames it, or straight to what is no regular file.
///
/// # Errors
/// Something cannot be read or written; then nothing is left of it, and what was there stays.
pub(crate) fn run(command: &BuildCommand) -> Result<u8> {
    let output = Path::new(command.output);
    let (out, place) = open(command.output).doing(filled!("build-initramfs: {}", output.shown()))?;
    // What is there, and what is written: neither is a part of it.
    let left_out = [sys::path::stat(output), sys::fd::stat(out.as_fd())].map(|found| {
        let found = found.ok()?;
        Some((found.st_dev, found.st_ino))
    });
    let mut archive = Archive::new(out.as_fd(), left_out);
    let result = write(command, &mut archive).and_then(|()| {
        archive.is_broken = true; // what fails now is not what was read
        let Some(place) = &place else { return Ok(()) };
        nix::unistd::fsync(&out).and_then(|()| sys::path::rename(place.beside, place.name))
    });
    let Err(errno) = result else { return Ok(0) };
    if let Some(place) = &place {
        tolerate(sys::path::remove_file(place.beside), "what failed before is told");
    }
    let subject = if archive.is_broken { command.output.shown() } else { Shown(&archive.subject) };
    let error = Error::os(filled!("build-initramfs: {}", subject), errno);
    Err(match errno {
        _ if archive.is_broken => error,
        Errno::EBUSY => error.hint(packed!("its size is not what it was, or it is no file")),
        Errno::EFBIG => error.hint(packed!("a file of an initramfs has less than 4 GiB")),
        _ => error,
    })
}

/// Opens the output. With its place, and its name until it is complete, if it is a regular file: of a link that to which
/// it leads.
fn open(path: &'static OsStr) -> std::result::Result<(OwnedFd, Option<Place>), Errno> {
    if path == "-" {
        return Ok((sys::fd::above_standard(sys::fd::standard(1))?, None));
    }
    let place: &OsStr = match sys::path::open(Path::new(path), OFlag::O_PATH) {
        Ok(there) if sys::fd::kind_of(there.as_fd())? == libc::S_IFREG => {
            sys::fd::path_of(there.as_fd())?.leak()
        }
        Ok(_) => return Ok((sys::path::open(Path::new(path), OFlag::O_WRONLY)?, None)),
        Err(Errno::ENOENT) => path,
        Err(errno) => return Err(errno),
    };
    let end = filled!(".{}", &std::process::id()).text();
    let beside = Path::new(OsStr::from_bytes([place.as_bytes(), end.as_bytes()].concat().leak()));
    Ok((sys::path::create(beside)?, Some(Place { name: Path::new(place), beside })))
}

/// Writes all of it.
fn write(command: &BuildCommand, archive: &mut Archive<'_>) -> std::result::Result<(), Errno> {
    for name in text::parts("dev etc modules proc run sys tmp", b' ') {
        archive.add(name.as_bytes(), FOLDER, 0)?;
    }
    archive.add(b"dev/console", libc::S_IFCHR | 0o600, 0)?;
    archive.add_copy("init", OsStr::new("/proc/self/exe"), libc::S_IFREG | 0o755)?;
    let mut lines = String::new();
    for (number, path) in command.modules.iter().enumerate() {
        let name = text::parts(path, b'/').last().unwrap_or_default();
        let name = filled!("modules/{}-{}", [&number, &name]).text();
        archive.add_copy(&name, OsStr::new(path), FILE)?;
        lines.push_str(&filled!("modules=/{}\n", name.as_str()).text());
    }
    if !command.rootfs.is_empty() {
        let is_folder = sys::dir::is_folder(Path::new(command.rootfs));
        let (name, mode) = if is_folder { ("rootfs", FOLDER) } else { ("rootfs.img", FILE) };
        archive.add_copy(name, command.rootfs, mode)?;
        lines.push_str(&filled!("rootfs=/{}\n", name).text());
    }
    let lines = [lines.as_bytes(), &command.lines].concat();
    archive.add(b"etc/launcher.conf", FILE, lines.len())?;
    archive.put(&lines)?;
    archive.finish()
}
