//! Mounts of a container.

use crate::error::{Error, Result};
use crate::packed::{Fill, filled, packed};
use crate::text::{self, Show};
use std::fmt::{self, Display};
use std::path::Path;

/// What is mounted.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Source {
    /// A new file system of this type with these options.
    New {
        /// `proc`, `sysfs`, `tmpfs`, `devpts`, `mqueue`, `cgroup2`, `cgroup`.
        kind: &'static str,
        /// The options that the file system itself reads.
        data: &'static str,
    },
    /// What the host has at this path; with everything mounted below it, unless [`Flags::ALONE`].
    Host(&'static Path),
    /// A device of the host, and nothing else; what may be done with it, see [`super::devices`].
    Device(&'static Path, u8),
    /// A file of ours with this text.
    Text(&'static str),
    /// A symbolic link to this.
    Link(&'static str),
    /// An overlay of folders of the host.
    Overlay(Layers),
}

/// Folders that an overlay is made of, the topmost first.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Layers {
    /// Those that are only read; then, if it can be written, where that goes and a folder for the overlay's own use.
    pub(crate) paths: &'static [&'static Path],
    /// Whether those two are there.
    pub(crate) has_upper: bool,
    /// It is made in a user namespace, where an overlay has its own rules.
    pub(crate) in_userns: bool,
}

impl Layers {
    /// All of them; an empty `upper` and `work` are none.
    ///
    /// # Errors
    /// One of the two is missing, or a name among the others: made absolute it would be the current directory.
    pub(crate) fn new(
        mut paths: Vec<&'static Path>,
        upper: &'static Path,
        work: &'static Path,
    ) -> Result<Self> {
        let has_upper = !upper.as_os_str().is_empty();
        if has_upper == work.as_os_str().is_empty() {
            return Err(Error::new(packed!(
                "an upper folder needs a work folder beside it, and the reverse"
            )));
        }
        if paths.iter().any(|path| path.as_os_str().is_empty()) {
            return Err(Error::new(packed!("a folder without a name")));
        }
        if has_upper {
            paths.push(upper);
            paths.push(work);
        }
        Ok(Self { paths: paths.leak(), has_upper, in_userns: false })
    }

    /// How many are only read.
    pub(crate) fn lower_count(&self) -> usize {
        self.paths.len() - if self.has_upper { 2 } else { 0 }
    }
}

impl Display for Layers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (index, path) in self.paths.iter().enumerate() {
            match index.checked_sub(self.lower_count()) {
                None if index == 9 => f.write_str(" and more")?, // errors are one line
                None if index > 9 => {}
                None => f.write_str(separator)?,
                Some(0) => f.write_str(", written to ")?,
                Some(_) => f.write_str(" with ")?,
            }
            separator = ":";
            if index < 9 || index >= self.lower_count() {
                filled!("{}", path.shown()).put(f)?;
            }
        }
        Ok(())
    }
}

/// Flags of a mount, in the bits of mount(2), and what else is to be said about it in bits that mount(2) has not.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Flags(pub(crate) u32);

impl Flags {
    /// `ro`
    pub(crate) const READ_ONLY: Self = Self(1);
    /// `nosuid`
    pub(crate) const NOSUID: Self = Self(2);
    /// `nodev`
    pub(crate) const NODEV: Self = Self(4);
    /// `noexec`
    pub(crate) const NOEXEC: Self = Self(8);
    /// `nosuid,nodev,noexec`: for file systems that hold no programs.
    pub(crate) const INERT: Self = Self(14);
    /// The four that the kernel keeps in a mount.
    pub(crate) const KERNELS: Self = Self(15);
    /// The propagation is that of the mounts below, too.
    pub(crate) const RECURSIVE: Self = Self(1 << 14);
    /// `private`
    pub(crate) const PRIVATE: Self = Self(1 << 18);
    /// `shared`
    pub(crate) const SHARED: Self = Self(1 << 20);
    /// Every kind of propagation: unbindable, private, slave, shared.
    pub(crate) const PROPAGATION: Self = Self(0b1111 << 17);
    /// `dev`: device nodes work.
    pub(crate) const DEV: Self = Self(1 << 24);
    /// `bind`: without the mounts below.
    pub(crate) const ALONE: Self = Self(1 << 25);
    /// `ro` of itself only, not of the mounts below.
    pub(crate) const SHALLOW: Self = Self(1 << 26);
    /// Left out where its source is missing.
    pub(crate) const OPTIONAL: Self = Self(1 << 27);

    /// Ids in it are those of the user namespace.
    pub(crate) const IDMAP: Self = Self(1 << 29);
    /// Its place may be behind links of the rootfs.
    pub(crate) const FOLLOW: Self = Self(1 << 28);
    /// Its source is opened before the container is there.
    pub(crate) const EARLY: Self = Self(1 << 30);

    /// Those of both.
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are not in `other`.
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether all of `other` are set.
    pub(crate) const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

/// The words for flags, in the order of [`BITS`].
const WORDS: &str =
    "ro nosuid nodev noexec unbindable private slave shared nothing-below writable-below optional idmap";

/// The numbers of their bits.
const BITS: [u8; 12] = [0, 1, 2, 3, 17, 18, 19, 20, 25, 26, 27, 29];

impl Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (bit, word) in BITS.iter().zip(text::parts(WORDS, b' ')) {
            let flag = Self(1 << *bit);
            if self.has(flag) {
                let is_for_all = Self::PROPAGATION.has(flag) && self.has(Self::RECURSIVE);
                filled!("{}{}{}", [&separator, &if is_for_all { "r" } else { "" }, &word]).put(f)?;
                separator = ",";
            }
        }
        Ok(())
    }
}

/// One mount beneath the rootfs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Mount {
    /// What.
    pub(crate) source: Source,
    /// Where, as the container sees it: absolute, without `.`, `..` and doubled slashes.
    pub(crate) target: &'static str,
    /// How.
    pub(crate) flags: Flags,
}

impl Mount {
    /// What of the host's is shown.
    pub(crate) fn host_paths(&self) -> &[&'static Path] {
        match &self.source {
            Source::Host(path) | Source::Device(path, _) => std::slice::from_ref(path),
            Source::Overlay(layers) => layers.paths,
            _ => &[],
        }
    }
}

impl Display for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::New { kind, .. } => filled!("mount {} on {}", [&kind, &self.target]).put(f)?,
            Source::Host(path) => filled!("mount {} on {}", path.shown(), self.target).put(f)?,
            Source::Device(path, access) => {
                let modes = super::devices::modes(*access);
                filled!("mount the device {} ({}) on {}", [&path.shown(), &modes, &self.target]).put(f)?;
            }
            Source::Text(text) => {
                filled!("mount a file of {} bytes on {}", [&text.len(), &self.target]).put(f)?;
            }
            Source::Link(to) => return filled!("make the link {} to {}", [&self.target, &to]).put(f),
            Source::Overlay(layers) => filled!("mount overlay {} on {}", [&layers, &self.target]).put(f)?,
        }
        let mut words = text::text_of(&self.flags);
        if let Source::New { data, .. } = &self.source
            && !data.is_empty()
        {
            words.push_str(if words.is_empty() { "" } else { "," });
            words.push_str(data);
        }
        if words.is_empty() { Ok(()) } else { filled!(" ({})", &words).put(f) }
    }
}

/// Puts a mount among others so that what is mounted on less deep folders comes first, and what is equally deep in the
/// order of the command line: docker's order. A mount on a folder is never hidden by one on a folder above it.
pub(crate) fn insert(mounts: &mut Vec<Mount>, mount: Mount) {
    let depth = |mount: &Mount| mount.target.bytes().filter(|byte| *byte == b'/').count();
    let own = depth(&mount);
    let place = mounts.iter().position(|other| depth(other) > own).unwrap_or(mounts.len());
    mounts.insert(place, mount);
}
