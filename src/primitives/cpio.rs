//! An archive that the kernel unpacks as its first root: `newc` of cpio(5), as Documentation/driver-api/early-userspace/
//! buffer-format.rst has it. The same files make the same bytes: names are sorted, inode numbers counted, times 0.

use std::ffi::{CStr, OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::FileStat;

use crate::log::warning;
use crate::sys;
use crate::text::{self, Shown};

/// The mode of a folder of root's.
pub(crate) const FOLDER: u32 = libc::S_IFDIR | 0o755;

/// The mode of a file of root's.
pub(crate) const FILE: u32 = libc::S_IFREG | 0o644;

/// Bytes that are read at once.
const PART: usize = 64 * 1024;

/// The longest name, with its NUL, that the kernel does not leave out; PATH_MAX.
const LONGEST: usize = 4096;

/// How files are opened: no link is followed, and nobody waits for what took the place of a file.
const READING: OFlag = OFlag::O_RDONLY.union(OFlag::O_NOFOLLOW).union(OFlag::O_NONBLOCK);

/// What is told of a file beside its name.
#[derive(Debug, Clone, Copy, Default)]
struct Facts {
    /// Type and permissions, as `st_mode`.
    mode: u32,
    /// Of a device: major and minor.
    device: [u32; 2],
    /// The length of what follows.
    size: u32,
    /// Numbers of its user and its group.
    owner: [u32; 2],
    /// How many names it has.
    names: u32,
    /// By what the kernel finds the others; 0: the next number.
    number: u32,
}

/// A file with several names.
#[derive(Debug)]
struct Link {
    /// File system and inode.
    file: (u64, u64),
    /// How many of its names are in the tree.
    names: u32,
    /// Its number in the archive; 0 before it is there.
    number: u32,
}

/// An archive in the making.
pub(crate) struct Archive<'a> {
    /// Where it goes.
    pub(crate) out: BorrowedFd<'a>,
    /// It could not be written; else what failed is [`Self::subject`].
    pub(crate) is_broken: bool,
    /// The path on this machine of what is read.
    pub(crate) subject: Vec<u8>,
    /// Files that are not taken.
    pub(crate) left_out: [Option<(u64, u64)>; 2],
    /// Its name in the archive.
    name: Vec<u8>,
    /// The number of the last file.
    number: u32,
    /// How many bytes were written, of which only the last two bits count.
    length: usize,
    /// The names of files are counted, nothing is written: the first one tells how many there are.
    is_counting: bool,
    /// Those with several.
    links: Vec<Link>,
    /// Whose files become root's: an ordinary user's own, since root would not own its root else.
    owner: [u32; 2],
}

impl<'a> Archive<'a> {
    /// An empty one.
    pub(crate) fn new(out: BorrowedFd<'a>, left_out: [Option<(u64, u64)>; 2]) -> Self {
        let user = nix::unistd::geteuid();
        let owner = if user.is_root() { [0; 2] } else { [user.as_raw(), nix::unistd::getegid().as_raw()] };
        Self {
            out,
            is_broken: false,
            subject: Vec::new(),
            left_out,
            name: Vec::new(),
            number: 0,
            length: 0,
            is_counting: false,
            links: Vec::new(),
            owner,
        }
    }

    /// Writes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), Errno> {
        self.length = self.length.wrapping_add(bytes.len());
        let done = sys::file::write_all(self.out, bytes);
        self.is_broken |= done.is_err();
        done
    }

    /// What stands before the content of each file: the zeros that end the one before, a mark, thirteen numbers, the name.
    fn header(&mut self, facts: &mut Facts) -> Result<(), Errno> {
        if self.name.len() >= LONGEST {
            return Err(Errno::ENAMETOOLONG);
        }
        if facts.number == 0 {
            self.number += 1;
            facts.number = self.number;
        }
        let bytes = header(self.length, &self.name, facts);
        self.put(&bytes)
    }

    /// A file of root's, of which the content follows. The only device is a console.
    pub(crate) fn add(&mut self, name: &[u8], mode: u32, size: usize) -> Result<(), Errno> {
        let size = u32::try_from(size).map_err(|_| Errno::EFBIG)?;
        let device = if mode & libc::S_IFMT == libc::S_IFCHR { [5, 1] } else { [0; 2] };
        self.name = name.to_vec();
        self.header(&mut Facts { mode, size, device, names: 1, ..Facts::default() })
    }

    /// The content of a file. EBUSY: it is of another size.
    fn content(&mut self, file: BorrowedFd<'_>, size: u32) -> Result<(), Errno> {
        let (mut left, mut part) = (size as usize, vec![0; PART]);
        loop {
            let length = nix::unistd::read(file, &mut part)?;
            if length > left || (length == 0 && left > 0) {
                return Err(Errno::EBUSY);
            }
            if length == 0 {
                return Ok(());
            }
            left -= length;
            self.put(part.get(..length).unwrap_or_default())?;
        }
    }

    /// The end.
    pub(crate) fn finish(&mut self) -> Result<(), Errno> {
        self.add(b"TRAILER!!!", 0, 0)?;
        self.put(zeros(self.length))
    }

    /// Puts all that is in a folder below `name`, with its path in [`Self::subject`]: what is on its file system, but sockets.
    /// Each file is looked up in a folder that is held open.
    ///
    /// A file with several names is there once: its content follows the first one, of which the kernel makes links for the
    /// others (init/initramfs.c).
    fn add_tree(&mut self, name: &[u8], folder: BorrowedFd<'_>) -> Result<(), Errno> {
        let device = sys::fd::stat(folder)?.st_dev;
        for is_counting in [true, false] {
            self.is_counting = is_counting;
            self.name = name.to_vec();
            self.visit(folder, c".", device)?;
        }
        Ok(())
    }

    /// One file, or a folder with all in it.
    fn visit(&mut self, parent: BorrowedFd<'_>, name: &CStr, device: u64) -> Result<(), Errno> {
        let mut found = sys::fd::stat_at(parent, name, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        if self.left_out.contains(&Some((found.st_dev, found.st_ino))) {
            return Ok(());
        }
        let mut file = None;
        let kind = found.st_mode & libc::S_IFMT;
        let is_other = kind == libc::S_IFDIR && found.st_dev != device;
        if is_other || kind == libc::S_IFSOCK {
            if !self.is_counting {
                let what = if is_other { "what is mounted there" } else { "a socket" };
                warning!("{}: {what} is left out", Shown(&self.subject));
            }
            if !is_other {
                return Ok(());
            }
        } else if kind == libc::S_IFDIR || kind == libc::S_IFREG {
            let opened = sys::fd::open_at(parent, name, READING)?;
            found = sys::fd::stat(opened.as_fd())?;
            file = Some(opened);
        }
        self.emit(parent, name, &found, file.as_ref().map(AsFd::as_fd))?;
        match file {
            Some(folder) if found.st_mode & libc::S_IFMT == libc::S_IFDIR => {
                self.descend(folder.as_fd(), device)
            }
            _ => Ok(()),
        }
    }

    /// All in a folder, in the order of the names.
    fn descend(&mut self, folder: BorrowedFd<'_>, device: u64) -> Result<(), Errno> {
        let mut names = Vec::new();
        for entry in &sys::dir::list_open(folder)? {
            let name = text::c_string(entry.name.as_bytes())?;
            let at = names.partition_point(|other| *other < name);
            names.insert(at, name);
        }
        for name in &names {
            let (length, subject) = (self.name.len(), self.subject.len());
            for path in [&mut self.name, &mut self.subject] {
                path.push(b'/');
                path.extend_from_slice(name.as_bytes());
            }
            self.visit(folder, name, device)?;
            self.name.truncate(length);
            self.subject.truncate(subject);
        }
        Ok(())
    }

    /// Counts the names of a file, or writes it with what it holds. EFBIG: the archive cannot say its size.
    fn emit(
        &mut self,
        parent: BorrowedFd<'_>,
        name: &CStr,
        found: &FileStat,
        file: Option<BorrowedFd<'_>>,
    ) -> Result<(), Errno> {
        let kind = found.st_mode & libc::S_IFMT;
        let mut facts = Facts { mode: found.st_mode, names: 1, ..Facts::default() };
        // Of a symbolic link the kernel makes copies.
        let mut is_first = true;
        if found.st_nlink > 1 && kind != libc::S_IFDIR && kind != libc::S_IFLNK {
            let identity = (found.st_dev, found.st_ino);
            match self.links.iter_mut().find(|link| link.file == identity) {
                Some(link) if self.is_counting => link.names += 1,
                Some(link) => {
                    is_first = link.number == 0;
                    if is_first {
                        link.number = self.number + 1;
                    } else {
                        facts.number = link.number;
                    }
                    facts.names = link.names;
                }
                None if self.is_counting => self.links.push(Link { file: identity, names: 1, number: 0 }),
                None => {} // it has come meanwhile
            }
        }
        if self.is_counting {
            return Ok(());
        }
        let owner = |number, own| if number == own { 0 } else { number };
        facts.owner = [owner(found.st_uid, self.owner[0]), owner(found.st_gid, self.owner[1])];
        let mut target = OsString::new();
        match kind {
            libc::S_IFDIR => facts.names = 2,
            libc::S_IFCHR | libc::S_IFBLK => {
                facts.device = [libc::major(found.st_rdev), libc::minor(found.st_rdev)];
            }
            libc::S_IFLNK => {
                target = sys::fd::target_of(parent, name)?;
                facts.size = u32::try_from(target.len()).unwrap_or_default();
            }
            libc::S_IFREG if is_first => {
                facts.size = u32::try_from(found.st_size).map_err(|_| Errno::EFBIG)?;
            }
            _ => {}
        }
        self.header(&mut facts)?;
        match file {
            Some(file) if kind == libc::S_IFREG && is_first => self.content(file, facts.size),
            _ => self.put(target.as_bytes()),
        }
    }

    /// A file of this machine as root's with this mode, or if that is one of a folder all that is in it as it is.
    pub(crate) fn add_copy(&mut self, name: &str, path: &OsStr, mode: u32) -> Result<(), Errno> {
        self.subject = path.as_bytes().to_vec();
        let file = sys::path::open(Path::new(path), OFlag::O_RDONLY | OFlag::O_NONBLOCK)?;
        if mode == FOLDER {
            return self.add_tree(name.as_bytes(), file.as_fd());
        }
        let size = u32::try_from(sys::fd::stat(file.as_fd())?.st_size).map_err(|_| Errno::EFBIG)?;
        self.add(name.as_bytes(), mode, size as usize)?;
        self.content(file.as_fd(), size)
    }
}

/// The zeros that are missing to a multiple of four.
fn zeros(length: usize) -> &'static [u8] {
    b"\0\0\0".get(..length.wrapping_neg() & 3).unwrap_or_default()
}

/// The bytes of a header behind so many others.
fn header(length: usize, name: &[u8], facts: &Facts) -> Vec<u8> {
    let Facts { mode, device: [major, minor], size, owner: [uid, gid], names, number } = *facts;
    let of_name = u32::try_from(name.len() + 1).unwrap_or_default();
    let mut bytes = zeros(length).to_vec();
    let start = bytes.len();
    bytes.extend_from_slice(b"070701");
    for value in [number, mode, uid, gid, names, 0, size, 0, 0, major, minor, of_name, 0] {
        let mut left = value;
        for _ in 0..8 {
            left = left.rotate_left(4);
            bytes.extend(b"0123456789abcdef".get(left as usize & 15));
        }
    }
    bytes.extend_from_slice(name);
    bytes.push(0);
    bytes.extend_from_slice(zeros(bytes.len() - start));
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_is_a_mark_thirteen_numbers_and_the_name() {
        let facts = Facts {
            mode: 0o100_755,
            device: [5, 1],
            size: 4780,
            owner: [1000, 0xffff_fffe],
            names: 3,
            number: 26,
        };
        let wanted = [
            "070701",
            "0000001a",
            "000081ed",
            "000003e8",
            "fffffffe",
            "00000003",
            "00000000",
            "000012ac",
            "00000000",
            "00000000",
            "00000005",
            "00000001",
            "00000004",
            "00000000",
            "a/b\0\0\0",
        ];
        assert_eq!(String::from_utf8(header(0, b"a/b", &facts)).unwrap(), wanted.concat());
    }

    #[test]
    fn headers_begin_and_end_at_multiples_of_four() {
        for before in 0..8 {
            for name in ["a", "ab", "abc", "abcd"] {
                let bytes = header(before, name.as_bytes(), &Facts::default());
                assert_eq!((before + bytes.len()) % 4, 0, "{before} {name}");
                let mark = bytes.windows(6).position(|mark| mark == b"070701").unwrap();
                assert!((before + mark).is_multiple_of(4) && mark < 4, "{before} {name}");
            }
        }
    }
}
