//! How ids inside a user namespace relate to ids outside.

use crate::error::{Error, Result};
use crate::packed::{Fill, filled, packed};
use crate::text;
use std::fmt::{self, Display};

/// One line of uid_map or gid_map: `size` ids from `container_id` on stand for those from `host_id` on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct IdMap {
    /// First id as the container sees it.
    pub(crate) container_id: u32,
    /// First id as the parent namespace sees it.
    pub(crate) host_id: u32,
    /// How many.
    pub(crate) size: u32,
}

impl Display for IdMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        filled!("{} {} {}", [&self.container_id, &self.host_id, &self.size]).put(f)
    }
}

/// Where the maps of a new user namespace come from.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Mapping {
    /// Root inside is the caller outside; no other id exists. Needs nobody's permission.
    #[default]
    Own,
    /// Root inside is the caller, 1 and up are the caller's ranges in /etc/subuid and /etc/subgid. For root: 0 and
    /// up are root's ranges, so that nothing inside is root outside.
    Subordinate,
    /// The caller has the same ids inside; the others are from its ranges, if it has any. Not for root.
    KeepId,
    /// As the user says.
    Explicit {
        /// `--uidmap`, in order.
        uids: Vec<IdMap>,
        /// `--gidmap`, in order; the same as `uids` if not given.
        gids: Vec<IdMap>,
    },
}

/// Parses `CONTAINER:HOST:SIZE`; three decimal numbers, size at least 1. The last id is at most 4294967294: -1 is
/// "no id" to the kernel, and a map with it EINVAL.
pub(crate) fn parse(text: &str) -> Result<IdMap> {
    let mut numbers = text::parts(text, b':').map(text::number);
    let (Some(Some(container_id)), Some(Some(host_id)), Some(Some(size)), None) =
        (numbers.next(), numbers.next(), numbers.next(), numbers.next())
    else {
        return Err(Error::new(packed!("wanted is CONTAINER:HOST:SIZE, three numbers below 4294967296")));
    };
    if size == 0u32 {
        return Err(Error::new(packed!("a map of no ids")));
    }
    if u32::checked_add(container_id, size).is_none() || u32::checked_add(host_id, size).is_none() {
        return Err(Error::new(packed!("the range ends above 4294967294")));
    }
    Ok(IdMap { container_id, host_id, size })
}

/// The host id that `id` inside stands for; `None` if it is not mapped.
pub(crate) fn to_host(maps: &[IdMap], id: u32) -> Option<u32> {
    let map = maps.iter().find(|map| id >= map.container_id && id - map.container_id < map.size)?;
    map.host_id.checked_add(id - map.container_id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_three_numbers() {
        for (text, want) in [
            ("0:100000:65536", Ok((0, 100_000, 65_536))),
            ("4294967294:0:1", Ok((4_294_967_294, 0, 1))),
            ("4294967295:0:1", Err("the range ends above 4294967294")),
            ("0:4294967295:1", Err("the range ends above 4294967294")),
            ("0:1", Err("wanted is CONTAINER:HOST:SIZE, three numbers below 4294967296")),
            ("0:1:2:3", Err("wanted is CONTAINER:HOST:SIZE, three numbers below 4294967296")),
            ("0:-1:2", Err("wanted is CONTAINER:HOST:SIZE, three numbers below 4294967296")),
            ("0:4294967296:1", Err("wanted is CONTAINER:HOST:SIZE, three numbers below 4294967296")),
            ("", Err("wanted is CONTAINER:HOST:SIZE, three numbers below 4294967296")),
            ("0:0:0", Err("a map of no ids")),
            ("0:0:4294967295", Ok((0, 0, 4_294_967_295))),
            ("1:0:4294967295", Err("the range ends above 4294967294")),
        ] {
            let got = parse(text).map(|map| (map.container_id, map.host_id, map.size));
            assert_eq!(got.map_err(|fault| fault.to_string()), want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn an_id_is_looked_up_in_every_range() {
        let maps = [
            IdMap { container_id: 0, host_id: 1000, size: 1 },
            IdMap { container_id: 1, host_id: 5000, size: 9 },
        ];
        for (id, want) in [(0, Some(1000)), (1, Some(5000)), (9, Some(5008)), (10, None)] {
            assert_eq!(to_host(&maps, id), want, "{id}");
        }
    }
}
