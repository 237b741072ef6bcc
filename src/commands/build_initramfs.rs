//! `launcher build-initramfs`: an archive with launcher as /init, a rootfs, and what it is to do.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::cli::build_initramfs::BuildCommand;
use crate::error::{Doing, Error, Result, tolerate};
use crate::packed::{filled, packed};
use crate::primitives::cpio::Archive;
use crate::sys;
use crate::text::Show;

/// Writes the archive beside its place and renames it, or straight to what is no regular file.
///
/// # Errors
/// Something cannot be read or written; then nothing is left of it, and what was there stays.
pub(crate) fn run(command: &BuildCommand) -> Result<u8> {
    let mut known = [(0, 0); 2];
    let (out, place) =
        open(command.output, &mut known).doing(filled!("build-initramfs: {}", command.output.shown()))?;
    let mut archive = Archive::new(out.as_fd(), known);
    let result = write(command, &mut archive).and_then(|()| {
        archive.is_broken = true; // what fails now is not what was read
        let Some((place, beside)) = &place else { return Ok(()) };
        nix::unistd::fsync(&out).and_then(|()| sys::path::rename(beside, place))
    });
    let Err(errno) = result else { return Ok(0) };
    if let Some((_, beside)) = &place {
        tolerate(sys::path::remove_file(beside), "what failed before is told");
    }
    let subject =
        if archive.is_broken { command.output } else { Path::new(OsStr::from_bytes(&archive.subject)) };
    let error = Error::os(filled!("build-initramfs: {}", subject.shown()), errno);
    Err(match errno {
        Errno::EBUSY if !archive.is_broken => {
            error.hint(packed!("its size is not what it was, or it is no file"))
        }
        Errno::EFBIG if !archive.is_broken => {
            error.hint(packed!("a file of an initramfs has less than 4 GiB"))
        }
        _ => error,
    })
}

/// Opens the output. With its place, and its name until it is complete, if it is a regular file: of a link that to which
/// it leads. Tells which files these are: what is there, and what is written.
fn open(
    path: &Path,
    known: &mut [(u64, u64); 2],
) -> std::result::Result<(OwnedFd, Option<(PathBuf, PathBuf)>), Errno> {
    let mut place = path.to_path_buf();
    let mut is_new = true;
    let there = if path.as_os_str() == "-" {
        sys::fd::above_standard(sys::fd::standard(1)).map(Some)
    } else {
        sys::path::open(path, OFlag::O_PATH)
            .map(Some)
            .or_else(|errno| if errno == Errno::ENOENT { Ok(None) } else { Err(errno) })
    }?;
    if let Some(there) = there {
        let found = sys::fd::stat(there.as_fd())?;
        known[0] = (found.st_dev, found.st_ino);
        if path.as_os_str() == "-" {
            return Ok((there, None));
        }
        is_new = found.st_mode & libc::S_IFMT == libc::S_IFREG;
        if is_new {
            place = sys::fd::path_of(there.as_fd())?.into();
        }
    }
    if !is_new {
        return Ok((sys::path::open(path, OFlag::O_WRONLY)?, None));
    }
    let mut beside = place.clone().into_os_string();
    beside.push(format!(".{}", std::process::id()));
    let file = sys::path::create(beside.as_ref())?;
    let found = sys::fd::stat(file.as_fd())?;
    known[1] = (found.st_dev, found.st_ino);
    Ok((file, Some((place, beside.into()))))
}

/// Writes all of it.
fn write(command: &BuildCommand, archive: &mut Archive<'_>) -> std::result::Result<(), Errno> {
    let mut lines = Vec::new();
    let mut copies: Vec<(Vec<u8>, &[u8])> = vec![(b"init".to_vec(), b"/proc/self/exe")];
    for path in &command.modules {
        let mut name = format!("modules/{:02}-", copies.len() - 1).into_bytes();
        name.extend_from_slice(path.rsplit(|byte| *byte == b'/').next().unwrap_or_default());
        lines.extend_from_slice(b"modules=/");
        lines.extend_from_slice(&name);
        lines.push(b'\n');
        copies.push((name, path));
    }
    if let Some(path) = command.rootfs {
        let path = path.as_os_str().as_bytes();
        archive.subject = path.to_vec();
        let is_folder = sys::dir::is_folder(Path::new(OsStr::from_bytes(path)));
        let name = if is_folder { "rootfs" } else { "rootfs.img" };
        lines.extend_from_slice(format!("rootfs=/{name}\n").as_bytes());
        copies.push((name.into(), path));
    }
    lines.extend_from_slice(&command.lines);
    for name in ["dev", "etc", "modules", "proc", "run", "sys", "tmp"] {
        archive.add(name.as_bytes(), libc::S_IFDIR | 0o755, 0)?;
    }
    archive.add(b"dev/console", libc::S_IFCHR | 0o600, 0)?;
    archive.add(b"etc/launcher.conf", libc::S_IFREG | 0o644, lines.len())?;
    archive.put(&lines)?;
    for (name, path) in copies {
        archive.subject = path.to_vec();
        let file = sys::path::open(Path::new(OsStr::from_bytes(path)), OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
        match name.as_slice() {
            b"rootfs" => archive.add_tree(&name, file.as_fd())?,
            b"init" => archive.add_copy(&name, file.as_fd(), 0o755)?,
            _ => archive.add_copy(&name, file.as_fd(), 0o644)?,
        }
    }
    archive.finish()
}
