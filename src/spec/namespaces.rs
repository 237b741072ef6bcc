//! The eight kinds of namespaces and what becomes of each.

use std::fmt::{self, Display};
use std::path::Path;

use super::keep;
use crate::error::{Error, Result};
use crate::packed::{Fill, filled, packed};
use crate::text;

/// A kind of namespace; namespaces(7).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Ids and capabilities.
    User,
    /// Mounts.
    Mount,
    /// Process ids.
    Pid,
    /// Network devices, addresses, ports.
    Network,
    /// Host name.
    Uts,
    /// System V IPC and POSIX message queues.
    Ipc,
    /// The view of the cgroup tree.
    Cgroup,
    /// Offsets of the monotonic and boot-time clocks.
    Time,
}

impl Kind {
    /// All of them. The user namespace comes first: joining it gives the right to join the others.
    pub(crate) const ALL: [Self; 8] =
        [Self::User, Self::Mount, Self::Pid, Self::Network, Self::Uts, Self::Ipc, Self::Cgroup, Self::Time];

    /// The file below /proc/PID/ns.
    pub(crate) const fn file(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Mount => "mnt",
            Self::Pid => "pid",
            Self::Network => "net",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }

    /// The option that places it, as the user types it.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::User => "--userns",
            Self::Mount => "--mntns",
            Self::Pid => "--pid",
            Self::Network => "--network",
            Self::Uts => "--uts",
            Self::Ipc => "--ipc",
            Self::Cgroup => "--cgroupns",
            Self::Time => "--timens",
        }
    }
}

/// What becomes of one namespace.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Placement {
    /// A new one is made.
    New,
    /// The one that launcher runs in.
    Host,
    /// An existing one, by the path of its file.
    Join(&'static Path),
}

/// The wish for each kind; `None` leaves it to the default of that kind.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Namespaces([Option<Placement>; 8]);

impl Namespaces {
    /// The wish for `kind`.
    pub(crate) fn get(&self, kind: Kind) -> Option<&Placement> {
        Kind::ALL.iter().zip(&self.0).find(|(each, _)| **each == kind).and_then(|(_, wish)| wish.as_ref())
    }

    /// Sets the wish for `kind`.
    pub(crate) fn set(&mut self, kind: Kind, placement: Placement) {
        if let Some((_, wish)) = Kind::ALL.iter().zip(&mut self.0).find(|(each, _)| **each == kind) {
            *wish = Some(placement);
        }
    }
}

/// Parses the value of an option of [`Kind::option`]: `new` (or `private`), `host`, `ns:PATH`, `container:PID`.
pub(crate) fn parse_placement(kind: Kind, text: &str) -> Result<Placement> {
    match text::cut(text, b':') {
        None if text == "new" || text == "private" => Ok(Placement::New),
        None if text == "none" && kind == Kind::Network => Ok(Placement::New),
        None if text == "host" => Ok(Placement::Host),
        Some(("ns", path)) if path.starts_with('/') => Ok(Placement::Join(Path::new(keep(path)))),
        Some(("container", pid)) if text::number(pid).is_some_and(|pid: u32| pid > 0) => {
            // An init may live outside the time namespace that it made for its program.
            let suffix = if kind == Kind::Time { "_for_children" } else { "" };
            Ok(Placement::Join(Path::new(
                filled!("/proc/{}/ns/{}{}", [&pid, &kind.file(), &suffix]).text().leak(),
            )))
        }
        _ => Err(Error::new(filled!("wanted is new, host, ns:/PATH or container:PID, not {}", text))),
    }
}

/// How far the clocks of a time namespace are ahead of the host's, in seconds; time_namespaces(7), Linux 5.6.
/// The wall clock has no namespace.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct TimeOffsets {
    /// CLOCK_BOOTTIME, and with it /proc/uptime.
    pub(crate) boottime: Option<i64>,
    /// CLOCK_MONOTONIC.
    pub(crate) monotonic: Option<i64>,
}

impl TimeOffsets {
    /// Whether any clock is shifted.
    pub(crate) const fn is_some(self) -> bool {
        self.boottime.is_some() || self.monotonic.is_some()
    }
}

impl Display for TimeOffsets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut put = |clock, seconds: Option<i64>| {
            seconds.map_or(Ok(()), |seconds| write!(f, ", {clock} {seconds:+} s"))
        };
        put("boottime", self.boottime)?;
        put("monotonic", self.monotonic)
    }
}

/// Parses `boottime=+1d,monotonic=-30`: seconds, or a number with s, m, h or d.
pub(crate) fn parse_offsets(text: &str) -> Result<TimeOffsets> {
    let mut offsets = TimeOffsets::default();
    for part in text::parts(text, b',') {
        let (clock, value) = text::cut(part, b'=')
            .ok_or_else(|| Error::new(packed!("wanted is boottime=SECONDS,monotonic=SECONDS")))?;
        let seconds = Some(
            parse_seconds(value).ok_or_else(|| Error::new(filled!("not a number of seconds: {}", value)))?,
        );
        match clock {
            "boottime" => offsets.boottime = seconds,
            "monotonic" => offsets.monotonic = seconds,
            _ => {
                return Err(Error::new(filled!(
                    "no clock of that name: {} (there are boottime and monotonic)",
                    clock
                )));
            }
        }
    }
    Ok(offsets)
}

/// `+1d` is 86400, `-30` is -30.
fn parse_seconds(text: &str) -> Option<i64> {
    let unit = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3600,
        b'd' => 86_400,
        _ => return text::signed(text),
    };
    text::signed(text.get(..text.len() - 1)?)?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placements_name_their_source() {
        let join = |path: &str| Ok(Placement::Join(Path::new(keep(path))));
        for (kind, text, want) in [
            (Kind::Pid, "new", Ok(Placement::New)),
            (Kind::Network, "none", Ok(Placement::New)),
            (Kind::Network, "host", Ok(Placement::Host)),
            (Kind::Network, "ns:/run/netns/x", join("/run/netns/x")),
            (Kind::Mount, "container:12", join("/proc/12/ns/mnt")),
            (Kind::Time, "container:12", join("/proc/12/ns/time_for_children")),
        ] {
            assert_eq!(parse_placement(kind, text), want, "{text}");
        }
        for text in ["none", "ns:relative", "container:0", "container:x", "container:-1", "bridge", ""] {
            assert!(parse_placement(Kind::Pid, text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_wish_is_found_again() {
        let mut namespaces = Namespaces::default();
        namespaces.set(Kind::Ipc, Placement::Host);
        for kind in Kind::ALL {
            let want = (kind == Kind::Ipc).then_some(&Placement::Host);
            assert_eq!(namespaces.get(kind), want, "{}", kind.option());
        }
    }

    #[test]
    fn offsets_have_units_and_signs() {
        for (text, boottime, monotonic) in [
            ("boottime=+1d,monotonic=-30", Some(86_400), Some(-30)),
            ("monotonic=2h", None, Some(7200)),
            ("boottime=5m", Some(300), None),
            ("boottime=7s", Some(7), None),
        ] {
            assert_eq!(parse_offsets(text), Ok(TimeOffsets { boottime, monotonic }), "{text}");
        }
        for text in
            ["", "boottime", "realtime=1", "boottime=x", "boottime=1y", "boottime=9223372036854775807d"]
        {
            assert!(parse_offsets(text).is_err(), "{text}");
        }
    }
}
