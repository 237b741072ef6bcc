//! What a machine needs before anything runs on it, made only where it is absent: a kernel may have done it, or whoever
//! started us. Nothing of it is worth not to start: what fails is told, and the next is done.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::mount::MsFlags;
use nix::sys::stat::{Mode, SFlag, makedev, mknodat, umask};

use super::mounts::explain;
use super::{machine_root, modules};
use crate::error::{Doing, Error, Result, tolerate};
use crate::packed::{Fill, filled, packed};
use crate::spec::board::Board;
use crate::sys;
use crate::text::{self, c_string};

/// The mounts that the change of root needs: kind, place, flags of mount(2) (2 nosuid, 4 nodev, 8 noexec), options.
const FIRST: &str = "proc /proc 14 \nsysfs /sys 14 \ndevtmpfs /dev 2 mode=755";

/// The others, which belong to the root that is there in the end. The files in all of them are half of the memory at most:
/// the kernel's default, half for each, is a panic beside an initramfs that any user can bring about.
const REST: &str = "devpts /dev/pts 10 gid=5,mode=620,ptmxmode=666\ntmpfs /dev/shm 6 mode=1777,size=20%\n\
    tmpfs /run 6 mode=755,size=10%\ntmpfs /tmp 6 mode=1777,size=20%\ncgroup2 /sys/fs/cgroup 14 ";

/// What follows on [`first_mounts`] and [`stdio`], when the options are known.
///
/// # Errors
/// The root that is wanted cannot be had. All else is told to `say`.
pub(crate) fn prepare(board: &Board, say: &mut dyn FnMut(Error)) -> Result<()> {
    for path in &board.modules {
        modules::load(path).unwrap_or_else(&mut *say);
    }
    if !board.root.source.is_empty() {
        machine_root::switch(&board.root, say)?;
    }
    mounts(say);
    loopback().unwrap_or_else(&mut *say);
    hostname().unwrap_or_else(say);
    Ok(())
}

/// /proc: before all else, or again where somebody has unmounted all.
///
/// # Errors
/// There is no folder for it, or the kernel refuses.
pub(crate) fn mount_proc() -> Result<()> {
    text::lines(FIRST).find_map(row).filter(|row| !is_mounted(row.target)).map_or(Ok(()), Row::mount)
}

/// /proc, /sys and /dev, where a kernel without devtmpfs gets a tmpfs with the devices that every program counts on.
pub(crate) fn first_mounts(say: &mut dyn FnMut(Error)) {
    // Nodes are to have the modes that they are made with.
    let mask = umask(Mode::empty());
    mount_rows(FIRST, say);
    fill_dev().unwrap_or_else(say);
    umask(mask);
}

/// Terminals, shared memory, /run, /tmp, and the cgroups: version 1's where the kernel has no other.
fn mounts(say: &mut dyn FnMut(Error)) {
    mount_rows(REST, say);
}

/// Mounts each row on whose place nothing is mounted.
fn mount_rows(rows: &'static str, say: &mut dyn FnMut(Error)) {
    for row in text::lines(rows).filter_map(row) {
        if !is_mounted(row.target) {
            row.mount().unwrap_or_else(&mut *say);
        }
    }
}

/// A new file system.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Row<'a> {
    /// Of which kind.
    kind: &'a str,
    /// Where.
    target: &'a str,
    /// Flags of mount(2).
    flags: libc::c_ulong,
    /// Its options.
    data: &'a str,
}

/// A row of the tables.
fn row(line: &str) -> Option<Row<'_>> {
    let mut words = text::parts(line, b' ');
    let (kind, target, flags) = (words.next()?, words.next()?, text::number(words.next()?)?);
    Some(Row { kind, target, flags, data: words.next()? })
}

/// Whether a file system begins at this folder.
pub(crate) fn is_mounted(folder: &str) -> bool {
    let device = |path: &Path| sys::path::stat(path).map(|found| found.st_dev);
    let path = Path::new(folder);
    matches!((device(path), device(&path.join(".."))), (Ok(own), Ok(above)) if own != above)
}

impl Row<'_> {
    /// Mounts it, or what comes instead of it.
    fn mount(self) -> Result<()> {
        let mounted = match self.try_mount() {
            Err(Errno::ENODEV) if matches!(self.kind, "devtmpfs" | "cgroup2") => {
                let mounted = Row { kind: "tmpfs", data: "mode=755", ..self }.try_mount();
                if mounted.is_ok() && self.kind == "cgroup2" {
                    return mount_v1();
                }
                mounted
            }
            mounted => mounted,
        };
        mounted.map_err(|errno| {
            explain(self.kind, errno).within(filled!("mount {} on {}", self.kind, self.target))
        })
    }

    /// By its path, which is the machine's own: nobody else is there yet.
    fn try_mount(self) -> std::result::Result<(), Errno> {
        tolerate(sys::path::make_folder(Path::new(self.target)), "EEXIST; mount(2) tells all else");
        let flags = MsFlags::from_bits_truncate(self.flags);
        sys::mount::new_filesystem(
            &c_string(self.kind)?,
            &c_string(self.target)?,
            flags,
            &c_string(self.data)?,
        )
    }
}

/// One folder for each controller of version 1.
fn mount_v1() -> Result<()> {
    let text = sys::file::read(Path::new("/proc/cgroups")).doing(packed!("read /proc/cgroups"))?;
    let mut all = Ok(());
    for name in controllers(&text) {
        let target = filled!("/sys/fs/cgroup/{}", name).text();
        all = Row { kind: "cgroup", target: &target, flags: 14, data: name }.mount().and(all);
    }
    all
}

/// Those that are enabled; cgroups(7): name, hierarchy, number of cgroups, whether it is.
fn controllers(text: &str) -> impl Iterator<Item = &str> {
    text::lines(text).filter(|line| line.ends_with("\t1")).filter_map(|line| text::parts(line, b'\t').next())
}

/// The nodes, links and folders that /dev lacks.
fn fill_dev() -> Result<()> {
    let root = sys::fd::open_path(c"/").doing(packed!("open /"))?;
    let dev = super::dev::populate(root.as_fd(), false)?;
    match mknodat(&dev, c"console", SFlag::S_IFCHR, Mode::from_bits_truncate(0o600), makedev(5, 1)) {
        Err(Errno::EEXIST) => Ok(()),
        made => made.doing(packed!("make /dev/console")),
    }
}

/// Opens the console where the kernel could not: an initramfs, or a root, without its node.
///
/// # Errors
/// There is no /dev/null either.
pub(crate) fn stdio() -> Result<()> {
    sys::fd::fill_closed_stdio(c"/dev/console")
        .or_else(|_| sys::fd::fill_closed_stdio(c"/dev/null"))
        .doing(packed!("open /dev/console, then /dev/null"))
}

/// Brings the loopback device up.
///
/// # Errors
/// The kernel has no network.
fn loopback() -> Result<()> {
    super::namespaces::raise_loopback().map_err(|error| error.within("bring lo up"))
}

/// Gives the machine the name that is in /etc/hostname, hostname(5).
///
/// # Errors
/// It is no name.
fn hostname() -> Result<()> {
    let text = sys::file::read(Path::new("/etc/hostname")).unwrap_or_default();
    match name_in(&text) {
        Some(name) => nix::unistd::sethostname(name).doing(filled!("set the hostname {}", name)),
        None => Ok(()),
    }
}

/// The first line that is no comment.
fn name_in(text: &str) -> Option<&str> {
    text::lines(text).map(str::trim_ascii).find(|line| !line.is_empty() && !line.starts_with('#'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_can_be_read() {
        let targets = |rows: &'static str| -> Vec<_> {
            rows.split('\n').map(|line| row(line).unwrap().target).collect()
        };
        assert_eq!(targets(FIRST), ["/proc", "/sys", "/dev"]);
        assert_eq!(targets(REST), ["/dev/pts", "/dev/shm", "/run", "/tmp", "/sys/fs/cgroup"]);
        let pts = row(REST.lines().next().unwrap()).unwrap();
        let data = "gid=5,mode=620,ptmxmode=666";
        assert_eq!(pts, Row { kind: "devpts", target: "/dev/pts", flags: 2 | 8, data });
    }

    #[test]
    fn what_is_mounted_is_told() {
        for (folder, want) in [("/proc", true), ("/proc/self", false), ("/usr/missing", false), ("/", false)]
        {
            assert_eq!(is_mounted(folder), want, "{folder}");
        }
    }

    #[test]
    fn enabled_controllers_are_told() {
        let text = "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\nmemory\t0\t71\t0\npids\t9\t10\t1\n";
        assert_eq!(controllers(text).collect::<Vec<_>>(), ["cpuset", "pids"]);
    }

    #[test]
    fn the_name_is_the_first_line_that_is_one() {
        for (text, want) in [("a\n", Some("a")), ("# x\n\n b \nc", Some("b")), ("", None), ("#a", None)] {
            assert_eq!(name_in(text), want, "{text}");
        }
    }
}
