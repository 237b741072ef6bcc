//! Which ids a new user namespace has, and the steps that give them to it.

use super::parent_step::ParentStep;
use crate::error::{Error, Result};
use crate::host::{Host, SubRange};
use crate::packed::{filled, packed};
use crate::primitives::idmap::Ids;
use crate::spec::Spec;
use crate::spec::idmap::{IdMap, Mapping, to_host};
use crate::spec::user::Identity;

/// The maps of the new user namespace.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Maps {
    /// Users.
    pub(crate) uids: &'static [IdMap],
    /// Groups.
    pub(crate) gids: &'static [IdMap],
    /// setgroups(2) works inside.
    pub(crate) may_set_groups: bool,
    /// User and group id of init: root's where that is mapped.
    pub(crate) init: (u32, u32),
    /// There is a new user namespace at all.
    pub(crate) is_new: bool,
}

impl Maps {
    /// Refuses ids that the new user namespace does not have. Where groups cannot be set, only the first one counts.
    ///
    /// # Errors
    /// Names the first of them.
    pub(crate) fn check(&self, who: &Identity) -> Result<()> {
        let count = if self.may_set_groups { who.groups.len() } else { 1 };
        let users = [("user", self.uids, who.uid)].into_iter();
        let groups = who.groups.iter().take(count).map(|gid| ("group", self.gids, *gid));
        match users.chain(groups).find(|(_, maps, id)| self.is_new && to_host(maps, *id).is_none()) {
            None => Ok(()),
            Some((kind, _, id)) => {
                Err(Error::new(filled!("{} id {} is not mapped in the user namespace", [&kind, &id])).hint(
                    packed!(
                        "map more ids: --userns auto with ranges in /etc/subuid, or --uidmap and --gidmap"
                    ),
                ))
            }
        }
    }
}

/// Decides.
///
/// # Errors
/// The user has no ranges, or the maps leave out the id that init needs.
pub(crate) fn plan(spec: &Spec, host: &Host, is_new: bool, steps: &mut Vec<ParentStep>) -> Result<Maps> {
    if !is_new {
        return Ok(Maps::default());
    }
    let own = |host_id| vec![IdMap { container_id: 0, host_id, size: 1 }];
    let keep = |id| Some(IdMap { container_id: id, host_id: id, size: 1 });
    let (uids, gids) = match &spec.mapping {
        Mapping::Own => (own(host.uid), own(host.gid)),
        Mapping::Subordinate => (
            subordinate(host, &host.subuids, host.uid, "/etc/subuid")?,
            subordinate(host, &host.subgids, host.gid, "/etc/subgid")?,
        ),
        Mapping::KeepId if host.uid == 0 => {
            return Err(Error::new(packed!(
                "--userns keep-id is for ordinary users: root keeps its id with --userns host"
            )));
        }
        Mapping::KeepId if host.subuids.is_empty() || host.subgids.is_empty() => {
            (around(keep(host.uid), &[]), around(keep(host.gid), &[]))
        }
        Mapping::KeepId => (around(keep(host.uid), &host.subuids), around(keep(host.gid), &host.subgids)),
        Mapping::Explicit { uids, gids } if gids.is_empty() => (uids.clone(), uids.clone()),
        Mapping::Explicit { uids, gids } => (uids.clone(), gids.clone()),
    };
    let (uids, gids): (&[_], &[_]) = (uids.leak(), gids.leak());
    // The maker of a user namespace may do everything in it under any name.
    let first = |maps: &[IdMap]| {
        maps.first().filter(|_| to_host(maps, 0).is_none()).map_or(0, |map| map.container_id)
    };
    let init = (first(uids), first(gids));
    // An ordinary user may write its own id, and must give up setgroups for that; ranges go through the helpers.
    let is_own = |maps: &[IdMap], id| matches!(maps, [IdMap { host_id, size: 1, .. }] if *host_id == id);
    let by_helper = host.uid != 0 && !(is_own(uids, host.uid) && is_own(gids, host.gid));
    let may_set_groups = (host.uid == 0 && !host.denies_setgroups) || by_helper;
    if !may_set_groups {
        steps.push(ParentStep::DenySetgroups); // before the gid_map, which is refused otherwise
    }
    steps.push(ParentStep::WriteMap { ids: Ids::Groups, maps: gids, by_helper });
    steps.push(ParentStep::WriteMap { ids: Ids::Users, maps: uids, by_helper });
    Ok(Maps { uids, gids, may_set_groups, init, is_new: true })
}

/// The map of one id of the caller's, if any, and around it inside what there is in ranges, as far as ids go.
fn around(own: Option<IdMap>, ranges: &[SubRange]) -> Vec<IdMap> {
    let taken = own.map_or(u32::MAX, |own| own.container_id);
    let (mut maps, mut next) = (Vec::from_iter(own), 0u32);
    for SubRange { mut start, mut size } in ranges.iter().copied() {
        while size > 0 {
            if next == taken {
                next = next.saturating_add(1); // it is there already
            }
            let part = size.min(if next < taken { taken } else { u32::MAX } - next);
            if part == 0 {
                break; // more would spoil the whole map
            }
            maps.push(IdMap { container_id: next, host_id: start, size: part });
            (start, size, next) = (start.saturating_add(part), size - part, next + part);
        }
    }
    maps
}

/// The maps from a user's subordinate ranges: root inside is the user itself, or for root its first subordinate id.
fn subordinate(host: &Host, ranges: &[SubRange], own: u32, file: &str) -> Result<Vec<IdMap>> {
    if ranges.is_empty() {
        let user = &host.user;
        return Err(Error::new(filled!("--userns auto: {} has no range for {}", [&file, &user])).hint(
            filled!("add the line {}:100000:65536 to {}, or leave --userns auto out", [&user, &file]),
        ));
    }
    let own = IdMap { container_id: 0, host_id: own, size: 1 };
    Ok(around((host.uid != 0).then_some(own), ranges))
}
