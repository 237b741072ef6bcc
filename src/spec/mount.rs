//! Mounts of a container.

use std::fmt::{self, Display};
use std::path::PathBuf;

/// What is mounted.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Source {
    /// A new file system of this type with these options.
    New {
        /// `proc`, `sysfs`, `tmpfs`, `devpts`, `mqueue`, `cgroup2`, `cgroup`.
        kind: &'static str,
        /// The options that the file system itself reads.
        data: String,
    },
    /// What the host has at this path, with everything mounted below it.
    Host(PathBuf),
    /// A new sysfs; where the kernel refuses one in a user namespace, because it would show more than the /sys that
    /// is there, that one.
    SysfsOrHosts,
}

/// Flags of a mount; mount(2).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four independent flags of the kernel")]
pub(crate) struct Flags {
    /// `ro`
    pub(crate) read_only: bool,
    /// `nosuid`
    pub(crate) nosuid: bool,
    /// `nodev`
    pub(crate) nodev: bool,
    /// `noexec`
    pub(crate) noexec: bool,
}

impl Flags {
    /// `nosuid,nodev,noexec`: for file systems that hold no programs.
    pub(crate) const INERT: Self = Self { read_only: false, nosuid: true, nodev: true, noexec: true };

    /// The same, read-only.
    pub(crate) const fn read_only(self) -> Self {
        Self { read_only: true, ..self }
    }
}

/// One mount beneath the rootfs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Mount {
    /// What.
    pub(crate) source: Source,
    /// Where, as the container sees it.
    pub(crate) target: String,
    /// How.
    pub(crate) flags: Flags,
}

impl Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::New { kind, .. } => write!(f, "mount {kind} on {}", self.target)?,
            Source::Host(path) => write!(f, "bind {} on {}", path.display(), self.target)?,
            Source::SysfsOrHosts => write!(f, "mount sysfs, or bind the host's, on {}", self.target)?,
        }
        let mut words = Vec::new();
        let Flags { read_only, nosuid, nodev, noexec } = self.flags;
        for (set, word) in [(read_only, "ro"), (nosuid, "nosuid"), (nodev, "nodev"), (noexec, "noexec")] {
            if set {
                words.push(word);
            }
        }
        if let Source::New { data, .. } = &self.source
            && !data.is_empty()
        {
            words.push(data);
        }
        if words.is_empty() { Ok(()) } else { write!(f, " ({})", words.join(",")) }
    }
}
