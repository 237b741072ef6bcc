//! Who the entrypoint becomes, as far as that is known before the tables of the container are.

use super::child_step::ChildStep;
use super::plan_idmap::Maps;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::packed::{Fill, filled, packed};
use crate::primitives::execve::kept_c_string;
use crate::primitives::last_step::LastStep;
use crate::spec::Spec;
use crate::spec::caps::CapSet;
use crate::spec::namespaces::Placement;
use crate::spec::process::{Label, Process};
use crate::spec::user::{Identity, Principal};

/// The number of a user or group that is given by its number.
const fn number(one: &Principal) -> Option<u32> {
    if let Principal::Id(id) = one { Some(*id) } else { None }
}

/// The step that finds the user; none where nobody is named.
pub(super) fn find(process: &Process, maps: &Maps, steps: &mut Vec<ChildStep>) {
    let added = process.groups.added.clone();
    if process.user.is_some() || !added.is_empty() {
        steps.push(ChildStep::FindUser {
            user: *process.user(),
            added: added.leak(),
            wants_home: process.user.is_some() && !process.names_home(),
            has_terminal: process.console.is_own,
            maps: *maps,
        });
    }
}

/// The steps by which the entrypoint becomes its user; `userns` is what becomes of the user namespace.
///
/// # Errors
/// An id is not there, or we may not change ids.
pub(super) fn plan(
    spec: &Spec,
    host: &Host,
    maps: &Maps,
    userns: &Placement,
    steps: &mut Vec<LastStep>,
) -> Result<()> {
    let process = &spec.process;
    let (user, groups) = (process.user(), &process.groups);
    let in_userns = *userns != Placement::Host;
    let lacking = process.required.without(CapSet(host.permitted));
    if !in_userns && lacking != CapSet::NONE {
        return Err(Error::new(filled!("--cap-add {}: launcher does not have it itself", &lacking)));
    }
    let may_set_ids = host.uid == 0 || CapSet(host.permitted).contains(CapSet::SETGID);
    if !in_userns && !may_set_ids {
        return Err(Error::new(packed!("without a user namespace: launcher lacks the capability setgid"))
            .hint(packed!("--userns new needs none, and is the default for an ordinary user")));
    }
    if groups.kept && matches!(userns, Placement::Join(_)) {
        return Err(Error::new(packed!("--group-add keep-groups cannot be had in a joined user namespace")));
    }
    let is_denied = !in_userns && host.denies_setgroups;
    let can_set_groups = !is_denied && (!maps.is_new || maps.may_set_groups);
    if !can_set_groups && !groups.added.is_empty() {
        return Err(Error::new(packed!(
            "--group-add: groups cannot be set where only your own id is mapped"
        ))
        .hint(packed!(
            "map more ids: --userns auto with ranges in /etc/subuid; or --group-add keep-groups"
        )));
    }
    // The ids of init are always there.
    let known = |one: Option<&Principal>, init| one.and_then(number).unwrap_or(init);
    maps.check(&Identity::of(known(Some(&user.user), maps.init.0), known(user.group.as_ref(), maps.init.1)))
        .map_err(|error| error.within(filled!("--user {}", user)))?;
    if can_set_groups && !groups.kept {
        let may_be_denied = matches!(userns, Placement::Join(_));
        steps.push(LastStep::SetGroups { may_be_denied }); // the caller's never survive
    }
    // Root's own group is not given: it may be any, as of a set-id caller or of setpriv.
    if user.group != Some(Principal::Id(0)) || (!in_userns && host.gid != 0) {
        steps.push(LastStep::SetGid(user.group)); // before the user id: no right to it afterwards
    }
    if process.ambient != CapSet::NONE {
        steps.push(LastStep::KeepCaps); // the change of the user id would take them
    }
    if user.user != Principal::Id(0) {
        steps.push(LastStep::SetUid(user.user));
    }
    Ok(())
}

/// The step that asks a security module for a label.
///
/// # Errors
/// The module is not active: nothing would come of it.
pub(super) fn label(spec: &Spec, host: &Host, steps: &mut Vec<LastStep>) -> Result<()> {
    let (module, text) = match spec.label {
        None => return Ok(()),
        Some(Label::AppArmor(profile)) => ("AppArmor", &*filled!("exec {}", profile).text().leak()),
        Some(Label::SeLinux(context)) => ("SELinux", context),
    };
    let Some(file) = host.label_file else {
        return Err(Error::new(filled!("--security-opt: {} is not active on this machine", module)));
    };
    steps.push(LastStep::SetLabel(kept_c_string(text)?, file));
    Ok(())
}

/// The steps that leave the entrypoint only the files that are named.
///
/// # Errors
/// A path cannot be one.
pub(super) fn landlock(spec: &Spec, steps: &mut Vec<LastStep>) -> Result<()> {
    if spec.landlock.is_empty() {
        return Ok(());
    }
    steps.push(LastStep::ForbidFiles);
    for rule in &spec.landlock {
        steps.push(LastStep::AllowFile(kept_c_string(rule.path)?, rule.access));
    }
    steps.push(LastStep::RestrictFiles);
    Ok(())
}

/// A limit of our user namespace holds for all in it but those who may go beyond limits.
///
/// # Errors
/// `--disable-userns` would be void.
pub(super) fn check_disabled_userns(spec: &Spec, is_new: bool) -> Result<()> {
    let has_power = spec.privileged || spec.process.bounding.contains(CapSet::SYS_RESOURCE);
    let why = match (spec.process.disable_userns, is_new, has_power) {
        (true, false, _) => packed!("needs a new user namespace, see --userns"),
        (true, true, true) => packed!("is void for who has the capability sys_resource"),
        _ => return Ok(()),
    };
    Err(Error::new(filled!("--disable-userns {}", &why)))
}
