//! Which devices may be opened and made: docker's grammar.

use std::fmt::{self, Display};

use super::Spec;
use super::mount::Source;

/// Kinds of access, in the bits of `BPF_DEVCG_ACC_*`: make, read, write.
pub(crate) const ALL: u8 = 7;
/// Stands for every number.
pub(crate) const ANY: u32 = u32::MAX;

/// What runc and crun allow always, but for tun: to make the node of any device, and to use null, zero, full, random,
/// urandom, tty, console, ptmx and every terminal; Documentation/admin-guide/devices.txt.
pub(crate) const DEFAULT: [Rule; 11] = [
    Rule { is_block: false, major: ANY, minor: ANY, access: 1 },
    Rule { is_block: true, major: ANY, minor: ANY, access: 1 },
    usual(1, 3),
    usual(1, 5),
    usual(1, 7),
    usual(1, 8),
    usual(1, 9),
    usual(5, 0),
    usual(5, 1),
    usual(5, 2),
    usual(136, ANY),
];

/// A character device that may be used.
const fn usual(major: u32, minor: u32) -> Rule {
    Rule { is_block: false, major, minor, access: ALL }
}

/// Devices, and what may be done with them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rule {
    /// Block devices, not character devices.
    pub(crate) is_block: bool,
    /// Of a driver, or [`ANY`].
    pub(crate) major: u32,
    /// Of one of its devices, or [`ANY`].
    pub(crate) minor: u32,
    /// See [`ALL`].
    pub(crate) access: u8,
}

impl Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_block { "b" } else { "c" };
        write!(f, "{kind} {}:{} {}", Number(self.major), Number(self.minor), modes(self.access))
    }
}

/// A number or [`ANY`].
struct Number(u32);

impl Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == ANY { f.write_str("*") } else { self.0.fmt(f) }
    }
}

/// Kinds of access in letters.
pub(crate) fn modes(access: u8) -> &'static str {
    const PLACES: [(u8, u8); 8] = [(0, 0), (2, 3), (0, 1), (2, 4), (1, 2), (1, 3), (0, 2), (0, 3)];
    let (from, to) = PLACES.get(usize::from(access)).copied().unwrap_or_default();
    "rwmr".get(from.into()..to.into()).unwrap_or_default()
}

/// Some of r, w and m.
pub(crate) fn parse_modes(text: &[u8]) -> Option<u8> {
    let mut access = 0;
    for letter in text {
        access |= match letter {
            b'm' => 1,
            b'r' => 2,
            b'w' => 4,
            _ => return None,
        };
    }
    (access != 0).then_some(access)
}

/// Adds the rules that `TYPE MAJOR:MINOR MODES` stands for; `a` is two. `None`: that is none.
pub(crate) fn parse(text: &str, rules: &mut Vec<Rule>) -> Option<()> {
    let [kind @ b'a'..=b'c', b' ', rest @ ..] = text.as_bytes() else { return None };
    // The kernel has 12 and 20 bits for them; beyond that a number could come to be another.
    let (major, rest) = number(rest, b':', 1 << 12)?;
    let (minor, rest) = number(rest, b' ', 1 << 20)?;
    let access = parse_modes(rest)?;
    // Not left to the kernel: in the files of cgroup v1 `a` is everything, whatever stands behind it.
    for (is_block, other) in [(false, b'b'), (true, b'c')] {
        if *kind != other {
            rules.push(Rule { is_block, major, minor, access });
        }
    }
    Some(())
}

/// A number below `end`, or `*`, before this byte; and what is behind that.
fn number(mut text: &[u8], stop: u8, end: u32) -> Option<(u32, &[u8])> {
    let mut number = None;
    loop {
        let [byte, rest @ ..] = text else { return None };
        text = rest;
        number = match (*byte, number) {
            (b'*', None) => Some(ANY),
            (digit @ b'0'..=b'9', _) => {
                let longer = u32::checked_mul(number.unwrap_or(0), 10)? + u32::from(digit - b'0');
                Some(if longer < end { longer } else { return None })
            }
            (byte, Some(number)) if byte == stop => return Some((number, text)),
            _ => return None,
        }
    }
}

impl Spec {
    /// Whether the user says which devices may be opened.
    pub(crate) fn has_device_rules(&self) -> bool {
        let is_partial = |source: &Source| matches!(source, Source::Device(_, access) if *access != ALL);
        self.may_limit_devices()
            && (!self.devices.is_empty() || self.mounts.iter().any(|mount| is_partial(&mount.source)))
    }

    /// Whether devices are limited if there is a reason.
    pub(crate) const fn may_limit_devices(&self) -> bool {
        !self.privileged && !self.all_devices
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rules as they are printed.
    fn shown(text: &str) -> Option<String> {
        let mut rules = Vec::new();
        parse(text, &mut rules)?;
        Some(crate::text::join(&rules.iter().map(ToString::to_string).collect::<Vec<_>>(), ", "))
    }

    #[test]
    fn rules_are_dockers() {
        for (text, want) in [
            ("c 1:3 rwm", "c 1:3 rwm"),
            ("b 8:* r", "b 8:* r"),
            ("c *:* mw", "c *:* wm"),
            ("c 1:1 rm", "c 1:1 mr"),
            ("c 1:1 m", "c 1:1 m"),
            ("c 1:1 w", "c 1:1 w"),
            ("c 1:1 rw", "c 1:1 rw"),
            ("a *:* rwm", "c *:* rwm, b *:* rwm"),
            ("a 1:3 r", "c 1:3 r, b 1:3 r"),
            ("c 4095:1048575 rr", "c 4095:1048575 r"),
        ] {
            assert_eq!(shown(text).as_deref(), Some(want), "{text}");
        }
        for text in [
            "",
            "a",
            "c",
            "c 1:3",
            "c 1:3 ",
            "c 1:3 x",
            "c 1:3 rwmx",
            "c 1:3 R",
            "d 1:3 r",
            "u 1:3 r",
            "ac 1:3 r",
            "c 1 r",
            "c :3 r",
            "c 1: r",
            "c -1:3 r",
            "c 1:3 r r",
            " c 1:3 r",
            "c  1:3 r",
            "c 1:3\tr",
            "c x:3 r",
            "c **:3 r",
            "c 4096:0 r",
            "c 0:1048576 r",
            "c 4294967295:3 r",
            "c 1:4294967295 r",
            "c 1:3:4 r",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }
}
