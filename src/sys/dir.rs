//! Folders: what is in them, without libc's opendir, which would bring its malloc along.

use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{FileStat, SFlag};

use super::cvt;
use super::fd::stat_at;

/// What an entry of a folder is, as far as we ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
    /// A device, a pipe, a socket.
    Other,
}

/// An entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its name.
    pub(crate) name: OsString,
    /// What it is; a link is not followed.
    pub(crate) kind: Kind,
}

/// `getdents64(2)` until nothing is left: all entries but `.` and `..`, in the order of the file system.
pub(crate) fn list(path: &Path) -> Result<Vec<Entry>, Errno> {
    list_open(super::path::open(path, OFlag::O_RDONLY | OFlag::O_DIRECTORY)?.as_fd())
}

/// The same of a folder that was just opened.
#[inline(never)]
pub(crate) fn list_open(folder: BorrowedFd<'_>) -> Result<Vec<Entry>, Errno> {
    let mut bytes = [0u8; 4096];
    let mut found = Vec::new();
    loop {
        let (fd, buffer) = (folder.as_raw_fd(), bytes.as_mut_ptr());
        // SAFETY: the kernel writes at most `len` bytes into the array.
        let length = cvt(unsafe { libc::syscall(libc::SYS_getdents64, fd, buffer, bytes.len()) })?;
        let mut left = bytes.get(..length as usize).unwrap_or_default();
        if left.is_empty() {
            return Ok(found);
        }
        while let Some((name, kind, rest)) = split(left) {
            if name != c"." && name != c".." {
                let kind = kind_of(kind, folder, name)?;
                found.push(Entry { name: OsStr::from_bytes(name.to_bytes()).to_owned(), kind });
            }
            left = rest;
        }
    }
}

/// The first `struct linux_dirent64`: inode and offset, 16 bytes that do not matter here, then its length, the type, and
/// the name up to a NUL. With what follows it.
fn split(bytes: &[u8]) -> Option<(&CStr, u8, &[u8])> {
    let length = u16::from_ne_bytes([*bytes.get(16)?, *bytes.get(17)?]);
    let (record, rest) = bytes.split_at_checked(length.into())?;
    let name = CStr::from_bytes_until_nul(record.get(19..)?).ok()?;
    Some((name, *record.get(18)?, rest))
}

/// The kind that the folder tells, or else the file itself: some file systems tell none.
fn kind_of(told: u8, folder: BorrowedFd<'_>, name: &CStr) -> Result<Kind, Errno> {
    Ok(match told {
        libc::DT_DIR => Kind::Folder,
        libc::DT_REG => Kind::File,
        libc::DT_LNK => Kind::Link,
        libc::DT_UNKNOWN => kind_of_mode(&stat_at(folder, name, AtFlags::AT_SYMLINK_NOFOLLOW)?),
        _ => Kind::Other,
    })
}

/// Whether a folder is there, or a link to one.
pub(crate) fn is_folder(path: &Path) -> bool {
    super::path::stat(path).is_ok_and(|found| kind_of_mode(&found) == Kind::Folder)
}

/// The kind by the mode of a file.
fn kind_of_mode(found: &FileStat) -> Kind {
    match SFlag::from_bits_truncate(found.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFDIR => Kind::Folder,
        SFlag::S_IFREG => Kind::File,
        SFlag::S_IFLNK => Kind::Link,
        _ => Kind::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_is_told_once_with_its_kind() {
        let folder = crate::tests::temp_folder("list");
        std::fs::create_dir(folder.join("a folder")).unwrap();
        std::os::unix::fs::symlink("a folder", folder.join("link")).unwrap();
        for number in 0..500 {
            std::fs::write(folder.join(format!("a rather long name of a file {number}")), "").unwrap();
        }
        let found = list(&folder).unwrap();
        assert_eq!(found.len(), 502, "more than one buffer holds");
        let kind = |name: &str| found.iter().find(|entry| entry.name == name).map(|entry| entry.kind);
        assert_eq!(kind("a folder"), Some(Kind::Folder));
        assert_eq!(kind("link"), Some(Kind::Link));
        assert_eq!(kind("a rather long name of a file 499"), Some(Kind::File));
        let by_mode = |name| kind_of(libc::DT_UNKNOWN, std::fs::File::open(&folder).unwrap().as_fd(), name);
        assert_eq!(by_mode(c"link"), Ok(Kind::Link));
        assert_eq!(by_mode(c"missing"), Err(Errno::ENOENT));
        std::fs::remove_dir_all(folder).unwrap();
        assert_eq!(
            kind_of(libc::DT_CHR, std::fs::File::open("/dev").unwrap().as_fd(), c"x"),
            Ok(Kind::Other)
        );
    }

    #[test]
    fn a_damaged_record_ends_the_list() {
        assert_eq!(split(&[0; 10]), None);
        assert_eq!(split(&[255; 40]), None);
    }
}
