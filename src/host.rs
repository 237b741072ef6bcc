//! This machine as facts: what the plan needs to know and only the kernel can tell. Probing changes nothing.

use std::ffi::{CStr, OsStr};
use std::path::{Path, PathBuf};

use nix::sys::stat::FileStat;
use nix::unistd::AccessFlags;

use crate::error::{Doing, Result};
use crate::packed::{filled, packed};
use crate::spec::caps::CapSet;
use crate::spec::idmap::Mapping;
use crate::spec::mount::Mount;
use crate::spec::process::Label;
use crate::spec::seccomp::Seccomp;
use crate::spec::{Spec, keep};
use crate::sys;
use crate::text::{self, Show};

/// `CGROUP2_SUPER_MAGIC` of statfs(2).
const CGROUP2: i64 = 0x6367_7270;

/// Which interface a cgroup hierarchy has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// One hierarchy for one controller, or a few.
    V1,
    /// The unified hierarchy.
    V2,
}

/// A mounted cgroup hierarchy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Hierarchy {
    /// Its interface.
    pub(crate) version: Version,
    /// Where it is mounted.
    pub(crate) mountpoint: &'static Path,
    /// Its controllers. V2: those that its topmost cgroup could hand down.
    pub(crate) controllers: Vec<&'static str>,
    /// The cgroup that launcher runs in, as a path of the file system.
    pub(crate) own: &'static Path,
    /// V2, not root: the cgroup below which we may make ours.
    pub(crate) delegated: Option<&'static Path>,
}

/// A range of /etc/subuid or /etc/subgid.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct SubRange {
    /// First id.
    pub(crate) start: u32,
    /// How many.
    pub(crate) size: u32,
}

/// The facts. `Default` is a plain machine with root and cgroup v1 that is not looked at.
#[allow(clippy::struct_excessive_bools, reason = "facts that have nothing to do with each other")]
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Host {
    /// Effective user id.
    pub(crate) uid: u32,
    /// Effective group id.
    pub(crate) gid: u32,
    /// Our capabilities; looked up only where some are named, and for a user other than root.
    pub(crate) permitted: u64,
    /// Name of the user, as /etc/passwd has it; its number if it has none.
    pub(crate) user: String,
    /// Our process id: the container's name when it has none.
    pub(crate) pid: u32,
    /// The rootfs is no folder, but an image of one.
    pub(crate) rootfs_is_file: bool,
    /// `/` may be the initramfs, which pivot_root refuses.
    pub(crate) root_is_ram: bool,
    /// /sys/fs/cgroup is the unified hierarchy.
    pub(crate) unified: bool,
    /// Where a label is written to; `None` where the security module is not active, or no label is asked.
    pub(crate) label_file: Option<&'static CStr>,
    /// setgroups(2) is denied in the user namespace that we are root of: mostly it has one user and one group.
    pub(crate) denies_setgroups: bool,
    /// Device nodes can be made here; looked up only where the container may do so.
    pub(crate) makes_nodes: bool,
    /// Every hierarchy; looked up only where limits are asked.
    pub(crate) hierarchies: Vec<Hierarchy>,
    /// Ranges of the user in /etc/subuid; looked up only where they are asked.
    pub(crate) subuids: Vec<SubRange>,
    /// Ranges of the user in /etc/subgid.
    pub(crate) subgids: Vec<SubRange>,
    /// Version of the kernel, major times 65536 and minor; looked up only where a filter depends on it.
    pub(crate) kernel: u32,
    /// What is in the file of the seccomp profile, if there is one.
    pub(crate) profile: String,
    /// Our environment.
    pub(crate) env: Vec<&'static OsStr>,
    /// Our current directory; looked up only where it matters.
    pub(crate) cwd: PathBuf,
}

impl Host {
    /// Asks the machine what this spec needs to know, and no more. For good, as the plan that is made of it.
    ///
    /// # Errors
    /// A file of /proc or /sys that the spec makes necessary cannot be read.
    pub(crate) fn probe(spec: &Spec) -> Result<&'static Self> {
        let uid = nix::unistd::geteuid().as_raw();
        let host = Box::leak(Box::new(Self {
            uid,
            gid: nix::unistd::getegid().as_raw(),
            pid: std::process::id(),
            env: sys::entry::environment(),
            ..Self::default()
        }));
        if let Some(rootfs) = spec.rootfs {
            let is_file = |found: FileStat| found.st_mode & libc::S_IFMT != libc::S_IFDIR;
            host.rootfs_is_file = sys::path::stat(rootfs).is_ok_and(is_file);
            host.root_is_ram = sys::path::is_memory(Path::new("/"));
            host.unified = magic(Path::new("/sys/fs/cgroup")) == CGROUP2;
        } else {
            host.cwd = sys::process::current_dir().unwrap_or_else(|_| "/".into());
        }
        let mut paths = spec.mounts.iter().flat_map(Mount::host_paths).chain(spec.layers.paths);
        if paths.any(|path| path.is_relative()) {
            host.cwd = sys::process::current_dir().doing(packed!("find the current directory"))?;
        }
        let (marker, file) = match &spec.label {
            Some(Label::AppArmor(_)) => (c"/sys/module/apparmor", c"/proc/self/attr/apparmor/exec"),
            _ => (c"/sys/fs/selinux/enforce", c"/proc/self/attr/exec"),
        };
        host.label_file = (spec.label.is_some() && sys::process::exists(marker)).then_some(file);
        host.denies_setgroups =
            uid == 0 && !sys::user::may_set_groups() && read_or_empty("/proc/self/setgroups") == "deny\n";
        host.makes_nodes = spec.may_limit_devices()
            && (spec.best_effort || spec.process.makes_nodes())
            && sys::caps::may_make_nodes();
        if !spec.resources.is_empty() || host.makes_nodes || spec.has_device_rules() {
            host.hierarchies = probe_hierarchies(uid, &spec.resources.controllers())?;
        }
        if uid != 0 || spec.process.required != CapSet::NONE || spec.best_effort {
            host.permitted = sys::caps::permitted().doing(packed!("look at our capabilities"))?;
        }
        if !matches!(spec.process.seccomp, Seccomp::Unconfined) {
            host.kernel = sys::process::kernel_version();
        }
        if let Seccomp::File(path) = &spec.process.seccomp {
            host.profile = sys::file::read(path).doing(filled!("seccomp profile {}", path.shown()))?;
        }
        if matches!(spec.mapping, Mapping::Subordinate | Mapping::KeepId) {
            (host.user, host.subuids, host.subgids) = subordinate_ids(uid);
        }
        Ok(host)
    }
}

/// The name of a user, and its ranges in /etc/subuid and /etc/subgid.
pub(crate) fn subordinate_ids(uid: u32) -> (String, Vec<SubRange>, Vec<SubRange>) {
    let name = user_name(uid, &read_or_empty("/etc/passwd"));
    let [users, groups] =
        ["/etc/subuid", "/etc/subgid"].map(|file| parse_subids(&read_or_empty(file), &name, uid));
    (name, users, groups)
}

/// The file system type at `path`, 0 if it cannot be told.
fn magic(path: &Path) -> i64 {
    #[allow(clippy::unnecessary_cast, clippy::cast_lossless, reason = "the field is as wide as a register")]
    sys::path::filesystem_type(path).map_or(0, |found| found.0 as i64)
}

/// A file of the machine as text; what is not UTF-8 in it is replaced.
///
/// # Errors
/// It cannot be read.
pub(crate) fn read(path: &str) -> Result<String> {
    sys::file::read(Path::new(path)).doing(filled!("read {}", path))
}

/// The same for files whose absence means the same as no content.
pub(crate) fn read_or_empty(path: &str) -> String {
    read(path).unwrap_or_default()
}

/// Every cgroup hierarchy that is mounted, with what we may do there.
pub(crate) fn probe_hierarchies(uid: u32, wanted: &[&str]) -> Result<Vec<Hierarchy>> {
    let mut found = parse_hierarchies(&read("/proc/self/mountinfo")?, &read("/proc/self/cgroup")?);
    for hierarchy in &mut found {
        if !sys::dir::is_folder(hierarchy.own) {
            hierarchy.own = hierarchy.mountpoint;
        }
        if hierarchy.version == Version::V2 {
            hierarchy.controllers = words(&hierarchy.mountpoint.join("cgroup.controllers"));
            hierarchy.delegated = (uid != 0).then(|| delegated(hierarchy, wanted)).flatten();
        }
    }
    Ok(found)
}

/// The words of a one-line file, none if it cannot be read.
fn words(path: &Path) -> Vec<&'static str> {
    sys::file::read(path).unwrap_or_default().leak().split_ascii_whitespace().collect()
}

/// Where an ordinary user may make a cgroup: beside its own, if the controllers reach that far, else below it.
fn delegated(hierarchy: &Hierarchy, wanted: &[&str]) -> Option<&'static Path> {
    let may_write = |folder: &Path| {
        let writable = |path: &Path| sys::path::may(path, AccessFlags::W_OK).is_ok();
        ["", "cgroup.procs", "cgroup.subtree_control"].iter().all(|file| writable(&folder.join(file)))
    };
    let reached = |folder: &Path| {
        let offered = words(&folder.join("cgroup.controllers"));
        wanted.iter().all(|name| offered.iter().any(|other| other == name))
    };
    let beside = text::folder_and_name(hierarchy.own)
        .filter(|_| !text::is_same_path(hierarchy.own, hierarchy.mountpoint))
        .map(|(folder, _)| folder);
    let beside = beside.filter(|folder| may_write(folder) && reached(folder));
    beside.or(Some(hierarchy.own).filter(|folder| may_write(folder)))
}

/// Finds the hierarchies in /proc/self/mountinfo and our place in them in /proc/self/cgroup; proc(5), cgroups(7).
pub(crate) fn parse_hierarchies(mountinfo: &str, own: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in text::lines(mountinfo) {
        let mut fields = text::parts(line, b' ').skip(3);
        let (Some(root), Some(mountpoint)) = (fields.next(), fields.next()) else { continue };
        while fields.next().is_some_and(|field| field != "-") {}
        let version = match fields.next() {
            Some("cgroup") => Version::V1,
            Some("cgroup2") => Version::V2,
            _ => continue,
        };
        let options = fields.nth(1).unwrap_or_default();
        let mut controllers = Vec::new();
        for word in text::parts(options, b',') {
            if version == Version::V1 && is_controller(word) {
                controllers.push(keep(word));
            }
        }
        let is_same = |other: &Hierarchy| other.version == version && other.controllers == controllers;
        if (version == Version::V1 && controllers.is_empty()) || found.iter().any(is_same) {
            continue;
        }
        let mountpoint = Path::new(sys::mount::unescape(mountpoint).leak());
        let own = own_path(own, &controllers, root, mountpoint);
        found.push(Hierarchy { version, mountpoint, controllers, own, delegated: None });
    }
    found
}

/// Whether an option of a v1 mount is the name of a controller and not `rw` or `xattr`.
fn is_controller(word: &str) -> bool {
    const CONTROLLERS: &str =
        "cpu cpuacct cpuset memory devices freezer net_cls blkio perf_event net_prio hugetlb pids rdma misc";
    text::parts(CONTROLLERS, b' ').any(|name| name == word)
}

/// Our cgroup in the hierarchy of these controllers, as a path; the mount may show only a part of the tree.
fn own_path(own: &str, controllers: &[&str], root: &str, mountpoint: &'static Path) -> &'static Path {
    let inside = text::lines(own).find_map(|line| {
        let (_, rest) = text::cut(line, b':')?;
        let (names, path) = text::cut(rest, b':')?;
        let same = if controllers.is_empty() {
            names.is_empty()
        } else {
            text::parts(names, b',').any(|name| controllers.contains(&name))
        };
        same.then_some(path)
    });
    let root = sys::mount::unescape(root);
    let root = root.strip_suffix("/").unwrap_or(&root);
    let below = inside.and_then(|path| path.strip_prefix(root));
    // What lies outside of our cgroup namespace begins with `/..` here, and there is no such folder below the mount.
    let is_below = |rest: &&str| {
        rest.is_empty() || rest.starts_with('/') && text::parts(rest, b'/').all(|part| part != "..")
    };
    below.filter(is_below).map_or(mountpoint, |rest| mountpoint.join(text::without_leading(rest, "/")).leak())
}

/// The name of a user in passwd(5); its number if it has none there.
pub(crate) fn user_name(uid: u32, passwd: &str) -> String {
    let uid = text::text_of(&uid);
    let name = text::lines(passwd).find_map(|line| {
        let mut fields = text::parts(line, b':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&uid)).then(|| name.to_owned())
    });
    name.unwrap_or(uid)
}

/// The ranges of a user in subuid(5), by name or by number; without those that go beyond 4294967294, the last id.
pub(crate) fn parse_subids(text: &str, user: &str, uid: u32) -> Vec<SubRange> {
    let mut ranges = Vec::new();
    for line in text::lines(text) {
        let mut fields = text::parts(line.trim_ascii(), b':');
        let owner = fields.next().unwrap_or_default();
        let mut number = || text::number(fields.next()?);
        let (Some(start), Some(size)) = (number(), number()) else { continue };
        if size > 0
            && u32::checked_add(start, size).is_some()
            && (owner == user || text::number(owner) == Some(uid))
        {
            ranges.push(SubRange { start, size });
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A hybrid machine in short: two v1 hierarchies, one of two controllers, and the unified one.
    const HYBRID: &str = "\
24 1 0:21 / /proc rw - proc proc rw
30 25 0:27 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory
31 25 0:28 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 25 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
33 25 0:30 / /sys/fs/cgroup/uni\\040fied rw - cgroup2 cgroup2 rw
34 25 0:27 / /mnt/again rw - cgroup cgroup rw,memory
";

    #[test]
    fn hybrid_hierarchies_are_found_once_each() {
        let own = "9:memory:/a/b\n4:cpu,cpuacct:/\n1:name=systemd:/x\n0::/init.scope\n";
        let found = parse_hierarchies(HYBRID, own);
        let short: Vec<_> = found
            .iter()
            .map(|one| {
                (
                    one.version,
                    one.mountpoint.to_str().unwrap(),
                    one.controllers.join("+"),
                    one.own.to_str().unwrap(),
                )
            })
            .collect();
        assert_eq!(
            short,
            [
                (Version::V1, "/sys/fs/cgroup/memory", "memory".into(), "/sys/fs/cgroup/memory/a/b"),
                (
                    Version::V1,
                    "/sys/fs/cgroup/cpu,cpuacct",
                    "cpu+cpuacct".into(),
                    "/sys/fs/cgroup/cpu,cpuacct/"
                ),
                (Version::V2, "/sys/fs/cgroup/uni fied", String::new(), "/sys/fs/cgroup/uni fied/init.scope"),
            ]
        );
    }

    #[test]
    fn a_mount_that_shows_a_part_is_taken_into_account() {
        for (root, own, want) in [
            ("/docker/1", "0::/docker/1/sub\n", "/sys/fs/cgroup/sub"),
            ("/docker/1", "0::/docker/1\n", "/sys/fs/cgroup/"),
            ("/docker/1", "0::/elsewhere\n", "/sys/fs/cgroup"),
            ("/docker/1", "", "/sys/fs/cgroup"),
            ("/a\\040b", "0::/a b/sub\n", "/sys/fs/cgroup/sub"),
            ("/", "0::/../sub\n", "/sys/fs/cgroup"),
            ("/..", "0::/../sub\n", "/sys/fs/cgroup/sub"),
        ] {
            let mountinfo = format!("30 25 0:27 {root} /sys/fs/cgroup ro - cgroup2 cgroup2 rw\n");
            assert_eq!(parse_hierarchies(&mountinfo, own)[0].own, Path::new(want), "{root} {own}");
        }
    }

    #[test]
    fn ranges_belong_to_a_name_or_a_number() {
        let text =
            "root:1:2\nuser:100000:65536\n1000:300000:10\nuser:x:1\nuser:5:0\nother:7:7\nuser:2:4294967294\n";
        let got: Vec<_> =
            parse_subids(text, "user", 1000).iter().map(|range| (range.start, range.size)).collect();
        assert_eq!(got, [(100_000, 65_536), (300_000, 10)]);
    }

    #[test]
    fn users_without_an_entry_are_numbers() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n";
        for (uid, want) in [(0, "root"), (1000, "user"), (7, "7")] {
            assert_eq!(user_name(uid, passwd), want);
        }
    }
}
