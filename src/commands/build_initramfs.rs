//! `launcher build-initramfs`: an archive with launcher as /init, a rootfs, and what it is to do.

use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::cli::build_initramfs::BuildCommand;
use crate::error::{Doing, Error, Result, tolerate};
use crate::packed::{Fill, filled, packed};
use crate::primitives::cpio::Archive;
use crate::sys;
use crate::text::{Show, Shown};

/// Writes the archive beside its place and renames it, or straight to what is no regular file.
///
/// # Errors
/// Something cannot be read or written; then nothing is left of it, and what was there stays.
pub(crate) fn run(command: &BuildCommand) -> Result<u8> {
    let (out, place) = open(command.output).doing(filled!("build-initramfs: {}", command.output.shown()))?;
    // What is there, and what is written: neither is a part of it.
    let left_out = [sys::path::stat(command.output), sys::fd::stat(out.as_fd())].map(|found| {
        let found = found.ok()?;
        Some((found.st_dev, found.st_ino))
    });
    let mut archive = Archive::new(out.as_fd(), left_out);
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
/// it leads.
fn open(path: &Path) -> std::result::Result<(OwnedFd, Option<(PathBuf, PathBuf)>), Errno> {
    if path.as_os_str() == "-" {
        return Ok((sys::fd::above_standard(sys::fd::standard(1))?, None));
    }
    let place = match sys::path::open(path, OFlag::O_PATH) {
        Ok(there) if sys::fd::kind_of(there.as_fd())? == libc::S_IFREG => sys::fd::path_of(there.as_fd())?,
        Ok(_) => return Ok((sys::path::open(path, OFlag::O_WRONLY)?, None)),
        Err(Errno::ENOENT) => path.into(),
        Err(errno) => return Err(errno),
    };
    let mut beside = place.clone();
    beside.push(filled!(".{}", &std::process::id()).text());
    Ok((sys::path::create(beside.as_ref())?, Some((place.into(), beside.into()))))
}

/// Writes all of it.
fn write(command: &BuildCommand, archive: &mut Archive<'_>) -> std::result::Result<(), Errno> {
    let mut lines = Vec::new();
    let mut copies = vec![("init".to_owned(), Path::new("/proc/self/exe"))];
    for (number, path) in command.modules.iter().enumerate() {
        let name = path.as_os_str().as_bytes().rsplit(|byte| *byte == b'/').next().unwrap_or_default();
        let name = filled!("modules/{}-{}", [&number, &Shown(name)]).text();
        lines.extend_from_slice(filled!("modules=/{}\n", &*name).text().as_bytes());
        copies.push((name, path));
    }
    if let Some(path) = command.rootfs {
        archive.subject = path.as_os_str().as_bytes().to_vec();
        let name = if sys::dir::is_folder(path) { "rootfs" } else { "rootfs.img" };
        lines.extend_from_slice(filled!("rootfs=/{}\n", name).text().as_bytes());
        copies.push((name.to_owned(), path));
    }
    lines.extend_from_slice(&command.lines);
    for name in ["dev", "etc", "modules", "proc", "run", "sys", "tmp"] {
        archive.add(name.as_bytes(), libc::S_IFDIR | 0o755, 0)?;
    }
    archive.add(b"dev/console", libc::S_IFCHR | 0o600, 0)?;
    archive.add(b"etc/launcher.conf", libc::S_IFREG | 0o644, lines.len())?;
    archive.put(&lines)?;
    for (name, path) in copies {
        archive.subject = path.as_os_str().as_bytes().to_vec();
        let file = sys::path::open(path, OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
        match &*name {
            "rootfs" => archive.add_tree(name.as_bytes(), file.as_fd())?,
            "init" => archive.add_copy(name.as_bytes(), file.as_fd(), 0o755)?,
            _ => archive.add_copy(name.as_bytes(), file.as_fd(), 0o644)?,
        }
    }
    archive.finish()
}
