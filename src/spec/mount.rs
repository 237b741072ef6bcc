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

/// Flags of a mount, in the bits of mount(2).
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    /// `ro`
    pub(crate) const READ_ONLY: Self = Self(1);
    /// `nosuid`
    pub(crate) const NOSUID: Self = Self(2);
    /// `noexec`
    pub(crate) const NOEXEC: Self = Self(8);
    /// `nosuid,nodev,noexec`: for file systems that hold no programs.
    pub(crate) const INERT: Self = Self(14);

    /// Those of both.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether all of `other` are set.
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
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
        for (bit, word) in ["ro", "nosuid", "nodev", "noexec"].into_iter().enumerate() {
            if self.flags.has(Flags(1 << bit)) {
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
