//! What runs, and as whom.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::caps::CapSet;
use super::keep;
use super::seccomp::Seccomp;
use super::user::{Groups, User};
use crate::error::{Error, Result};
use crate::packed::{filled, packed};
use crate::text;

/// The entrypoint and its surroundings.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Process {
    /// Program and arguments; never empty after validation.
    pub(crate) args: Vec<&'static OsStr>,
    /// Changes to the environment, in order.
    pub(crate) env: Vec<EnvChange>,
    /// The environment starts from launcher's own instead of the small default one.
    pub(crate) env_host: bool,
    /// Where it starts, as the container sees it. `None`: `/`, or launcher's own without a rootfs.
    pub(crate) cwd: Option<&'static Path>,
    /// Its user. `None`: root of the container, or whoever launcher is as init.
    pub(crate) user: Option<User>,
    /// Its supplementary groups beside those of the user.
    pub(crate) groups: Groups,
    /// Permissions that new files do not get. `None`: 022, or launcher's own as init.
    pub(crate) umask: Option<u32>,
    /// Its resource limits.
    pub(crate) rlimits: Vec<Rlimit>,
    /// What its capabilities can ever be.
    pub(crate) bounding: CapSet,
    /// MKNOD is among them by default alone: the filter keeps it from making nodes that could do harm.
    pub(crate) guards_nodes: bool,
    /// Those that it has as another user than root too.
    pub(crate) ambient: CapSet,
    /// Nobody can make another user namespace.
    pub(crate) disable_userns: bool,
    /// Those of them that the user named: launcher must have them to give.
    pub(crate) required: CapSet,
    /// Whether set-id programs and file capabilities give it nothing. `None`: unless it is privileged.
    pub(crate) no_new_privs: Option<bool>,
    /// Which system calls it may make.
    pub(crate) seccomp: Seccomp,
    /// Its terminal.
    pub(crate) console: Console,
}

/// What the program has for a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Console {
    /// One of its own; else its standard streams are launcher's.
    pub(crate) is_own: bool,
    /// What launcher reads is passed on to that.
    pub(crate) has_input: bool,
}

impl Default for Process {
    fn default() -> Self {
        Self {
            args: Vec::new(),
            env: Vec::new(),
            env_host: false,
            cwd: None,
            user: None,
            groups: Groups::default(),
            umask: None,
            rlimits: Vec::new(),
            bounding: CapSet::DEFAULT,
            guards_nodes: true,
            ambient: CapSet::NONE,
            disable_userns: false,
            required: CapSet::NONE,
            no_new_privs: None,
            seccomp: Seccomp::Standard,
            console: Console::default(),
        }
    }
}

impl Process {
    /// Who it is; root where nobody is named.
    pub(crate) fn user(&self) -> &User {
        static ROOT: User = User::ROOT;
        self.user.as_ref().unwrap_or(&ROOT)
    }

    /// Whether it may make the node of any device, as far as capabilities and filter go.
    pub(crate) const fn makes_nodes(&self) -> bool {
        self.bounding.contains(CapSet::MKNOD) && !self.guards_nodes
    }

    /// Whether its home directory is said by a variable, and not by passwd(5).
    pub(crate) fn names_home(&self) -> bool {
        self.env.iter().any(|change| match change {
            EnvChange::Set(entry) => name_of(entry) == Some(b"HOME"),
            EnvChange::Copy(name) => *name == "HOME",
        })
    }
}

/// One `--landlock`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct FileRule {
    /// A file or folder, as the container sees it.
    pub(crate) path: &'static Path,
    /// LANDLOCK_ACCESS_FS_* of landlock(7).
    pub(crate) access: u64,
}

/// Parses `ro:/PATH`, `rx:/PATH` or `rw:/PATH`. Who may write may make, rename and remove, but not execute.
pub(crate) fn parse_file_rule(text: &str) -> Result<FileRule> {
    let access = match text::cut(text, b':') {
        Some(("ro", path)) => (path, 0b1100),
        Some(("rx", path)) => (path, 0b1101),
        Some(("rw", path)) => (path, !1),
        _ => ("", 0),
    };
    match access {
        (path, access) if path.starts_with('/') => Ok(FileRule { path: Path::new(keep(path)), access }),
        _ => Err(Error::new(packed!("wanted is ro:/PATH, rx:/PATH or rw:/PATH"))),
    }
}

/// A label of a security module.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Label {
    /// The name of an AppArmor profile.
    AppArmor(&'static str),
    /// An SELinux context.
    SeLinux(&'static str),
}

/// One `-e`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum EnvChange {
    /// `NAME=VALUE`
    Set(&'static OsStr),
    /// `NAME`: its value in launcher's own environment, nothing if it has none.
    Copy(&'static OsStr),
}

/// Applies changes to an environment; `callers` is where copies come from. Every entry is `NAME=VALUE`, or what the caller
/// had that is no variable, which stays as it is.
pub(crate) fn change_env(env: &mut Vec<&'static OsStr>, changes: &[EnvChange], callers: &[&'static OsStr]) {
    for change in changes {
        let entry = match change {
            EnvChange::Set(entry) => Some(entry),
            EnvChange::Copy(name) => callers.iter().find(|entry| name_of(entry) == Some(name.as_bytes())),
        };
        if let Some(entry) = entry {
            env.retain(|other| name_of(other) != name_of(entry));
            env.push(*entry);
        }
    }
}

/// What stands before the `=` of a variable.
pub(crate) fn name_of(entry: &OsStr) -> Option<&[u8]> {
    let bytes = entry.as_bytes();
    bytes.get(..bytes.iter().position(|byte| *byte == b'=')?)
}

/// Parses a mask of permissions in octal digits, 0 to 777; umask(2).
pub(crate) fn parse_umask(text: &str) -> Result<u32> {
    let mask = text::number_of(8, text).filter(|mask| *mask <= 0o777 && !text.starts_with('+'));
    mask.ok_or_else(|| Error::new(packed!("wanted is an octal number from 0 to 777")))
}

/// One resource limit; getrlimit(2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rlimit {
    /// The resource by docker's name.
    pub(crate) name: &'static str,
    /// Its number on this architecture.
    pub(crate) resource: u32,
    /// What is enforced.
    pub(crate) soft: u64,
    /// How far the process may raise it.
    pub(crate) hard: u64,
}

/// Resources by docker's names. The numbers are the kernel's generic ones; no architecture of ours differs.
pub(crate) const RLIMITS: [(&str, u32); 16] = [
    ("cpu", 0),
    ("fsize", 1),
    ("data", 2),
    ("stack", 3),
    ("core", 4),
    ("rss", 5),
    ("nproc", 6),
    ("nofile", 7),
    ("memlock", 8),
    ("as", 9),
    ("locks", 10),
    ("sigpending", 11),
    ("msgqueue", 12),
    ("nice", 13),
    ("rtprio", 14),
    ("rttime", 15),
];

/// Parses `NAME=SOFT[:HARD]`; numbers, `unlimited` or -1.
pub(crate) fn parse_rlimit(text: &str) -> Result<Rlimit> {
    let (name, values) =
        text::cut(text, b'=').ok_or_else(|| Error::new(packed!("wanted is NAME=SOFT[:HARD]")))?;
    let (name, resource) = RLIMITS
        .iter()
        .find(|(known, _)| *known == name)
        .ok_or_else(|| Error::new(filled!("no resource limit of that name: {}", name)))?;
    let number = |word: &str| match word {
        "unlimited" | "-1" => Ok(u64::MAX),
        _ => text::number(word).ok_or_else(|| Error::new(filled!("not a limit: {}", word))),
    };
    let (soft, hard) = text::cut(values, b':').unwrap_or((values, values));
    let (soft, hard) = (number(soft)?, number(hard)?);
    if soft > hard {
        return Err(Error::new(filled!("the soft limit is above the hard one: {}", values)));
    }
    Ok(Rlimit { name, resource: *resource, soft, hard })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_for_files_have_a_word_and_an_absolute_path() {
        for (text, want) in [
            ("ro:/a:b", Some(("/a:b", 12))),
            ("rx:/", Some(("/", 13))),
            ("rw:/x", Some(("/x", u64::MAX - 1))),
            ("rw:x", None),
            ("rwx:/x", None),
            ("/x", None),
            ("ro:", None),
            ("", None),
        ] {
            let rule = parse_file_rule(text).ok();
            assert_eq!(rule.as_ref().map(|rule| (rule.path.to_str().unwrap(), rule.access)), want, "{text}");
        }
    }

    #[test]
    fn variables_are_set_copied_and_replaced() {
        fn words(words: &[&'static str]) -> Vec<&'static OsStr> {
            words.iter().copied().map(OsStr::new).collect()
        }
        let mut env = words(&["A=1", "bare", "B=2", "A=again"]);
        let changes = [
            EnvChange::Set("A=3".as_ref()),
            EnvChange::Set("C=x=y".as_ref()),
            EnvChange::Copy("D".as_ref()),
            EnvChange::Copy("E".as_ref()),
        ];
        change_env(&mut env, &changes, &words(&["D=4", "A=9"]));
        assert_eq!(env, words(&["bare", "B=2", "A=3", "C=x=y", "D=4"]));
    }

    #[test]
    fn masks_are_octal() {
        for (text, want) in
            [("022", Some(0o22)), ("0", Some(0)), ("777", Some(0o777)), ("1000", None), ("8", None)]
        {
            assert_eq!(parse_umask(text).ok(), want, "{text}");
        }
        assert!(parse_umask("").is_err() && parse_umask("+7").is_err() && parse_umask("-1").is_err());
    }

    #[test]
    fn limits_have_a_soft_and_a_hard_half() {
        for (text, want) in [
            ("nofile=1024:2048", Some(("nofile", 1024, 2048))),
            ("core=0", Some(("core", 0, 0))),
            ("memlock=unlimited", Some(("memlock", u64::MAX, u64::MAX))),
            ("nofile=2:1", None),
            ("files=1", None),
            ("nofile", None),
            ("nofile=x", None),
        ] {
            let got = parse_rlimit(text).ok().map(|limit| (limit.name, limit.soft, limit.hard));
            assert_eq!(got, want, "{text}");
        }
    }
}
