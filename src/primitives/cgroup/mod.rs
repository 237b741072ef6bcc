//! Cgroups: one folder a container on the unified hierarchy, one a controller on the old ones, both on hybrid
//! machines. What differs between the two interfaces is behind [`Cgroup`].

pub(crate) mod bpf;
pub(crate) mod v1;
pub(crate) mod v2;

use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::error::{Error, Result, tolerate};
use crate::host::Version;
use crate::packed::{Packed, filled, packed};
use crate::spec::devices::Rule;
use crate::spec::resources::{Resources, controller_of};
use crate::sys;
use crate::sys::dir::Kind;
use crate::sys::file::write;
use crate::text::{self, Show, text_of};

/// Who may say which devices there are.
pub(crate) const ONLY_ROOT: Packed = packed!(
    "only the machine's root can limit devices: give them whole (rwm), without --device-cgroup-rule and without MKNOD"
);

/// How often a folder that is still busy is tried again, and how long we wait in between: two seconds in all.
const TRIES: u32 = 400;
/// See [`TRIES`]; milliseconds.
const PAUSE: i32 = 5;

/// A cgroup of ours: its folder and the interface that it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cgroup {
    /// In a hierarchy of one controller or a few.
    V1(&'static Path),
    /// In the unified hierarchy.
    V2(&'static Path),
}

/// A file of a cgroup and what to write to it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Limit {
    /// Name of the file.
    pub(crate) file: &'static str,
    /// What is written.
    pub(crate) value: &'static str,
    /// Not asked for by the user: a kernel without the file is no fault.
    pub(crate) is_default: bool,
}

/// The limits of one hierarchy in the making.
#[derive(Debug)]
struct Limits<'a> {
    /// What the hierarchy can enforce.
    controllers: &'a [&'a str],
    /// What is written for `u64::MAX`, which is no limit.
    unlimited: &'static str,
    /// So far.
    found: Vec<Limit>,
}

impl<'a> Limits<'a> {
    /// None yet.
    const fn new(controllers: &'a [&'a str], unlimited: &'static str) -> Self {
        Self { controllers, unlimited, found: Vec::new() }
    }

    /// Adds a limit that the user asked for, if there is a value and it is for one of the controllers.
    fn put(&mut self, file: &'static str, value: Option<u64>) {
        let text = |value| if value == u64::MAX { self.unlimited } else { text_of(&value).leak() };
        self.put_text(file, value.map(text));
    }

    /// Adds one that follows from another.
    fn put_default(&mut self, file: &'static str, value: Option<u64>) {
        let count = self.found.len();
        self.put(file, value);
        for limit in self.found.iter_mut().skip(count) {
            limit.is_default = true;
        }
    }

    /// As [`Self::put`], the text as it is.
    fn put_text(&mut self, file: &'static str, value: Option<&'static str>) {
        if let Some(value) = value.filter(|_| self.controllers.contains(&controller_of(file))) {
            self.found.push(Limit { file, value, is_default: false });
        }
    }

    /// Adds what has the same name on both interfaces, and what the user wants written as it is.
    fn finish(mut self, resources: &Resources) -> Vec<Limit> {
        self.unlimited = "max";
        self.put("pids.max", resources.pids);
        self.put_text("cpuset.cpus", resources.cpuset_cpus);
        self.put_text("cpuset.mems", resources.cpuset_mems);
        for (file, value) in &resources.raw {
            self.put_text(file, Some(value));
        }
        self.found
    }
}

impl Cgroup {
    /// A cgroup with the interface of that version.
    pub(crate) const fn new(version: Version, folder: &'static Path) -> Self {
        match version {
            Version::V1 => Self::V1(folder),
            Version::V2 => Self::V2(folder),
        }
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &'static Path {
        match self {
            Self::V1(folder) | Self::V2(folder) => folder,
        }
    }

    /// Makes the folder.
    ///
    /// # Errors
    /// EEXIST: a container of that name is running, or was killed together with its launcher.
    pub(crate) fn make(&self) -> Result<()> {
        sys::path::make_folder(self.folder()).map_err(|errno| {
            let error = Error::from(errno);
            match errno {
                Errno::EEXIST => error.hint(packed!(
                    "a container of that name exists; if it is dead: launcher delete --force NAME"
                )),
                Errno::EROFS => {
                    error.hint(packed!("the cgroup file system is mounted read-only, as inside a container"))
                }
                Errno::EACCES | Errno::EPERM => error.hint(v2::DELEGATION),
                _ => error,
            }
        })?;
        match self {
            Self::V1(folder) => v1::inherit_cpuset(folder),
            Self::V2(_) => Ok(()),
        }
    }

    /// Sets one limit.
    ///
    /// # Errors
    /// The kernel has no such file, or does not take the value.
    pub(crate) fn limit(&self, limit: &Limit) -> Result<()> {
        match write(&self.folder().join(limit.file), limit.value) {
            // Swap accounting may be off; without a word of the user about swap that is as good as it gets.
            Err(Errno::ENOENT | Errno::EOPNOTSUPP) if limit.is_default => Ok(()),
            Err(Errno::ENOENT) => Err(Error::from(Errno::ENOENT).hint(packed!(
                "the kernel has no such limit; for swap it may need swapaccount=1 on its command line"
            ))),
            result => result.map_err(Error::from),
        }
    }

    /// Has those in it open and make these devices only; the first rules are [`crate::spec::devices::DEFAULT`].
    ///
    /// # Errors
    /// The kernel refuses, or the cgroup above has less to give.
    pub(crate) fn allow_devices(&self, rules: &[Rule]) -> Result<()> {
        match self {
            Self::V1(folder) => v1::allow_devices(folder, rules),
            Self::V2(folder) => bpf::allow_devices(folder, rules),
        }
    }

    /// Puts a process in.
    ///
    /// # Errors
    /// The caller may not move processes here.
    pub(crate) fn attach(&self, pid: Pid) -> Result<()> {
        write(&self.folder().join("cgroup.procs"), &text_of(&pid)).map_err(|errno| {
            let error = Error::from(errno);
            match errno {
                Errno::EACCES | Errno::EPERM => error.hint(v2::DELEGATION),
                _ => error,
            }
        })
    }

    /// How many processes in it the kernel killed for want of memory; `None` if memory is not counted here.
    pub(crate) fn oom_kills(&self) -> Option<u64> {
        let file = match self {
            Self::V1(_) => "memory.oom_control",
            Self::V2(_) => "memory.events",
        };
        let text = sys::file::read(&self.folder().join(file)).ok()?;
        parse_oom_kills(&text)
    }

    /// Kills what is left in it and removes the folder with everything below.
    ///
    /// # Errors
    /// Something in it does not die within two seconds.
    pub(crate) fn remove(&self) -> Result<()> {
        let mut last = Errno::EBUSY;
        for attempt in 0..TRIES {
            match remove_tree(self.folder()) {
                Ok(()) => return Ok(()),
                Err(errno) => last = errno,
            }
            // The first EBUSY is mostly the last process still on its way out.
            if attempt > 0 {
                self.kill_all();
            }
            sys::clock::pass(PAUSE);
        }
        Err(Error::os(filled!("remove cgroup {}", self.folder().shown()), last))
    }

    /// Whether any process is in it, or in a cgroup below.
    pub(crate) fn is_populated(&self) -> bool {
        folders(self.folder()).iter().any(|folder| !processes(folder).is_empty())
    }

    /// SIGKILL to all in it: at once by cgroup.kill (Linux 5.14), else one by one, which a fork bomb can outrun and
    /// the caller therefore repeats.
    pub(crate) fn kill_all(&self) {
        if write(&self.folder().join("cgroup.kill"), "1").is_ok() {
            return;
        }
        // Frozen processes of v1 would not see the signal.
        tolerate(write(&self.folder().join("freezer.state"), "THAWED"), "most hierarchies have no freezer");
        for folder in folders(self.folder()) {
            for pid in processes(&folder) {
                tolerate(
                    sys::process::kill(Pid::from_raw(pid), libc::SIGKILL),
                    "ESRCH: it has gone by itself",
                );
            }
        }
    }
}

/// A cgroup and all below it.
fn folders(top: &Path) -> Vec<PathBuf> {
    let mut found = vec![top.to_path_buf()];
    for folder in folders_in(top) {
        found.append(&mut folders(&folder));
    }
    found
}

/// The cgroups right below one; none if it has gone.
fn folders_in(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in sys::dir::list(folder).unwrap_or_default() {
        if entry.kind == Kind::Folder {
            found.push(folder.join(entry.name));
        }
    }
    found
}

/// The folders on the way from `top`, itself left out, to `parent` somewhere below it, which is the last.
pub(crate) fn folders_between(top: &Path, parent: &'static Path) -> Vec<&'static Path> {
    let (mut found, mut folder) = (Vec::new(), parent);
    while !text::is_same_path(folder, top) {
        found.insert(0, folder);
        let Some((above, _)) = text::folder_and_name(folder) else { break };
        folder = above;
    }
    found
}

/// The processes of one cgroup.
fn processes(folder: &Path) -> Vec<i32> {
    parse_processes(&sys::file::read(&folder.join("cgroup.procs")).unwrap_or_default())
}

/// The lines of cgroup.procs; 0 is a process outside of our PID namespace.
pub(crate) fn parse_processes(text: &str) -> Vec<i32> {
    let mut found = Vec::new();
    for line in text::lines(text) {
        if let Some(pid @ 1..) = text::number(line) {
            found.push(pid);
        }
    }
    found
}

/// The count in memory.events, or memory.oom_control of v1 (Linux 4.13). Where the limit was never reached, which v2 counts
/// too, it was the machine whose memory had come to an end.
pub(crate) fn parse_oom_kills(text: &str) -> Option<u64> {
    let count = |name| text::lines(text).find_map(|line| text::number(line.strip_prefix(name)?));
    if count("oom ") == Some(0) { None } else { count("oom_kill ") }
}

/// Removes a folder of cgroupfs: its sub-cgroups first, the files in it go by themselves.
fn remove_tree(folder: &Path) -> std::result::Result<(), Errno> {
    let remove = || match sys::path::remove_folder(folder) {
        Err(Errno::ENOENT) => Ok(()),
        result => result,
    };
    match remove() {
        Err(Errno::EBUSY | Errno::ENOTEMPTY) => {}
        result => return result,
    }
    folders_in(folder).iter().try_for_each(|folder| remove_tree(folder))?;
    remove()
}

/// Adds the folders of a container's name below a hierarchy, wherever they are: the name alone finds it again.
pub(crate) fn find(version: Version, mountpoint: &Path, name: &str, found: &mut Vec<Cgroup>) {
    let mut left = vec![mountpoint.to_path_buf()];
    while let Some(folder) = left.pop() {
        for folder in folders_in(&folder) {
            if text::folder_and_name(&folder).is_some_and(|(_, last)| last == name) {
                found.push(Cgroup::new(version, folder.leak()));
            } else {
                left.push(folder);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_is_found_by_its_name_at_any_depth() {
        let top = crate::tests::temp_folder("cgroup-find");
        for folder in ["launcher-a", "x/y/launcher-a", "x/launcher-ab"] {
            std::fs::create_dir_all(top.join(folder)).unwrap();
        }
        let mut cgroups = Vec::new();
        find(Version::V1, &top, "launcher-a", &mut cgroups);
        let mut found: Vec<_> = cgroups.iter().map(Cgroup::folder).collect();
        found.sort();
        assert_eq!(found, [top.join("launcher-a"), top.join("x/y/launcher-a")]);
        std::fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn a_default_limit_may_be_missing_and_a_wanted_one_not() {
        let top: &Path = crate::tests::temp_folder("cgroup-limit").leak();
        let cgroup = Cgroup::V2(top);
        let limit = |is_default| Limit { file: "memory.swap.max", value: "1", is_default };
        assert!(cgroup.limit(&limit(true)).is_ok());
        assert_eq!(cgroup.limit(&limit(false)).unwrap_err().errno, Some(Errno::ENOENT));
        assert!(!top.join("memory.swap.max").exists(), "files are never made");
        std::fs::remove_dir_all(top).unwrap();
    }

    #[test]
    fn oom_kills_are_read_from_either_interface() {
        let top: &Path = crate::tests::temp_folder("cgroup-oom").leak();
        assert_eq!(Cgroup::V2(top).oom_kills(), None);
        std::fs::write(top.join("memory.events"), "low 0\noom 3\noom_kill 2\noom_group_kill 0\n").unwrap();
        std::fs::write(top.join("memory.oom_control"), "oom_kill_disable 0\nunder_oom 0\noom_kill 5\n")
            .unwrap();
        assert_eq!(Cgroup::V2(top).oom_kills(), Some(2));
        assert_eq!(Cgroup::V1(top).oom_kills(), Some(5));
        assert_eq!(parse_oom_kills("max 0\noom 0\noom_kill 1\n"), None, "the machine's own memory");
        std::fs::remove_dir_all(top).unwrap();
    }
}
