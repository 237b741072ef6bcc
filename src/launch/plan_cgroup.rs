//! Which cgroups a spec needs on this machine: decided for each controller, since a hybrid machine has some on the
//! unified hierarchy and some on hierarchies of their own.

use std::ffi::OsString;
use std::path::Path;

use super::parent_step::ParentStep;
use super::plan::Planner;
use crate::error::{Error, Result};
use crate::host::{Hierarchy, Host, Version};
use crate::packed::{Fill, filled, packed};
use crate::primitives::cgroup::{Cgroup, ONLY_ROOT, v1, v2};
use crate::spec::Spec;
use crate::text::{self, Show};

/// The controller of what devices may be opened.
pub(super) const DEVICES: &str = "devices";

/// The cgroups of a container.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct CgroupPlan {
    /// Steps that make them and set the limits.
    pub(crate) steps: Vec<ParentStep>,
    /// All of them.
    pub(crate) cgroups: Vec<Cgroup>,
    /// V1: what to mount below /sys/fs/cgroup, as the option of the mount.
    pub(crate) v1_controllers: Vec<&'static str>,
}

/// The folder of the cgroup of a container of that name.
pub(crate) fn folder_name(name: &str) -> String {
    filled!("launcher-{}", name).text()
}

/// Decides.
///
/// # Errors
/// A controller that a limit needs is on no hierarchy, or nobody lets us make a cgroup there.
pub(crate) fn plan(spec: &Spec, host: &Host, name: &str) -> Result<&'static CgroupPlan> {
    let plan = Box::leak(Box::new(CgroupPlan::default()));
    let mut wanted = spec.resources.controllers();
    if (Planner { spec, host }).limits_devices() {
        if host.uid != 0 {
            return Err(Error::new(packed!("limit devices")).hint(ONLY_ROOT));
        }
        wanted.push(DEVICES);
    }
    let mut chosen = Vec::new();
    for controller in &wanted {
        chosen.push(choose(&host.hierarchies, controller)?);
    }
    for hierarchy in &host.hierarchies {
        let mut controllers = Vec::new();
        for (controller, one) in wanted.iter().zip(&chosen) {
            if std::ptr::eq(*one, hierarchy) {
                controllers.push(*controller);
            }
        }
        if !controllers.is_empty() {
            plan.add(spec, host, hierarchy, name, controllers)?;
        }
    }
    Ok(plan)
}

impl CgroupPlan {
    /// The cgroup in one hierarchy, for these controllers.
    fn add(
        &mut self,
        spec: &Spec,
        host: &Host,
        hierarchy: &Hierarchy,
        name: &str,
        mut controllers: Vec<&'static str>,
    ) -> Result<()> {
        let has_devices = controllers.contains(&DEVICES);
        let is_v1 = hierarchy.version == Version::V1;
        if !is_v1 {
            controllers.retain(|name| *name != DEVICES);
        }
        let controllers = &*controllers.leak();
        let parent = parent(spec, host, hierarchy, controllers)?;
        let is_ours = spec.resources.parent.is_some();
        if is_v1 && is_ours {
            self.steps.push(ParentStep::MakeParentFolders { top: hierarchy.mountpoint, parent });
        } else if !is_v1 && (is_ours || !controllers.is_empty()) {
            let top = delegated_top(hierarchy, parent);
            self.steps.push(ParentStep::EnableControllers { top, parent, controllers });
        }
        let cgroup = Cgroup::new(hierarchy.version, parent.join(folder_name(name)).leak());
        self.steps.push(ParentStep::MakeCgroup(cgroup));
        let limits = if is_v1 { v1::limits } else { v2::limits };
        for limit in limits(&spec.resources, controllers) {
            self.steps.push(ParentStep::SetLimit(cgroup, limit));
        }
        if has_devices {
            self.steps.push(ParentStep::AllowDevices(cgroup, spec.devices.clone().leak()));
        }
        if is_v1 {
            self.v1_controllers.push(text::join(&hierarchy.controllers, ",").leak());
        }
        self.cgroups.push(cgroup);
        Ok(())
    }
}

/// Whether a hierarchy has a controller.
pub(super) fn has(hierarchy: &Hierarchy, controller: &str) -> bool {
    hierarchy.controllers.contains(&controller)
}

/// The hierarchy that has a controller. The unified one first: a controller is never on both.
fn choose<'a>(hierarchies: &'a [Hierarchy], controller: &str) -> Result<&'a Hierarchy> {
    let has = |hierarchy: &&Hierarchy| has(hierarchy, controller);
    let unified = hierarchies.iter().filter(|hierarchy| hierarchy.version == Version::V2).find(has);
    // What the old interface has a controller for is there a program that every cgroup can have.
    let last = |one: &&Hierarchy| controller == DEVICES && one.version == Version::V2;
    let found = unified.or_else(|| hierarchies.iter().find(has)).or_else(|| hierarchies.iter().find(last));
    found.ok_or_else(|| {
        let error = Error::new(filled!("limit {}: no cgroup hierarchy here has the {} controller", controller, controller));
        if hierarchies.is_empty() {
            return error.hint(packed!("mount one: mount -t cgroup2 none /sys/fs/cgroup"));
        }
        error.hint(packed!("see /proc/cgroups, the kernel's configuration (CONFIG_CGROUPS and below), and cgroup_disable= on its command line"))
    })
}

/// The cgroup below which ours is made: what the user says; else our own on v1, and on v2 the top for root (the only
/// one that may hold processes as well) and what is delegated to everybody else.
fn parent(spec: &Spec, host: &Host, hierarchy: &Hierarchy, controllers: &[&str]) -> Result<&'static Path> {
    if let Some(parent) = &spec.resources.parent {
        // absolute, see spec/validate.rs: it would replace what it were joined to
        let folder = [hierarchy.mountpoint.as_os_str(), parent.as_os_str()];
        return Ok(Path::new(folder.into_iter().collect::<OsString>().leak()));
    }
    match hierarchy.version {
        Version::V1 => Ok(hierarchy.own),
        Version::V2 if host.uid == 0 => Ok(hierarchy.mountpoint),
        Version::V2 => hierarchy.delegated.ok_or_else(|| {
            let (own, names) = (hierarchy.own.shown(), text::join(controllers, ", "));
            Error::new(filled!("limit {}: the cgroup {} is not delegated to you", [&names, &own]))
                .hint(v2::DELEGATION)
        }),
    }
}

/// From where on controllers are ours to enable.
fn delegated_top(hierarchy: &Hierarchy, parent: &'static Path) -> &'static Path {
    if hierarchy.delegated.is_some_and(|folder| text::is_same_path(folder, parent)) {
        parent
    } else {
        hierarchy.mountpoint
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::resources::Resources;

    /// A hierarchy for these tests.
    fn hierarchy(
        version: Version,
        mountpoint: &'static str,
        controllers: &[&'static str],
        own: &'static str,
    ) -> Hierarchy {
        Hierarchy {
            version,
            mountpoint: mountpoint.as_ref(),
            controllers: controllers.to_vec(),
            own: own.as_ref(),
            delegated: None,
        }
    }

    /// A hybrid machine: memory on v1, pids unified.
    fn hybrid() -> Host {
        let hierarchies = vec![
            hierarchy(Version::V1, "/c/memory", &["memory"], "/c/memory/me"),
            hierarchy(Version::V2, "/c/unified", &["pids"], "/c/unified/me"),
        ];
        Host { hierarchies, ..Host::default() }
    }

    /// A spec with these limits.
    fn spec(resources: Resources) -> Spec {
        Spec { resources, ..Spec::default() }
    }

    #[test]
    fn each_controller_goes_where_it_lives() {
        let spec = spec(Resources { memory: Some(1024), pids: Some(5), ..Resources::default() });
        let plan = plan(&spec, &hybrid(), "x").unwrap();
        let text: Vec<_> = plan.steps.iter().map(ToString::to_string).collect();
        assert_eq!(
            text,
            [
                "make cgroup /c/memory/me/launcher-x",
                "write 1024 to /c/memory/me/launcher-x/memory.limit_in_bytes",
                "write 2048 to /c/memory/me/launcher-x/memory.memsw.limit_in_bytes, if it exists",
                "enable pids below /c/unified",
                "make cgroup /c/unified/launcher-x",
                "write 5 to /c/unified/launcher-x/pids.max",
            ]
        );
    }

    #[test]
    fn a_limit_that_no_hierarchy_can_enforce_names_its_controller() {
        let error =
            plan(&spec(Resources { cpus: Some(500), ..Resources::default() }), &hybrid(), "x").unwrap_err();
        assert!(error.doing.contains("the cpu controller"), "{error}");
    }

    #[test]
    fn an_ordinary_user_needs_delegation() {
        let host = Host { uid: 1000, ..hybrid() };
        let wanted = spec(Resources { pids: Some(5), ..Resources::default() });
        let error = plan(&wanted, &host, "x").unwrap_err();
        assert!(error.hint.as_ref().is_some_and(|hint| hint.contains("Delegate=yes")));
        let mut host = host;
        host.hierarchies[1].delegated = Some("/c/unified/me".as_ref());
        let plan = plan(&wanted, &host, "x").unwrap();
        assert_eq!(plan.cgroups, [Cgroup::V2("/c/unified/me/launcher-x".as_ref())]);
    }

    #[test]
    fn the_users_parent_is_made_below_every_hierarchy() {
        let resources = Resources { memory: Some(1), parent: Some("/a/b".as_ref()), ..Resources::default() };
        let plan = plan(&spec(resources), &hybrid(), "x").unwrap();
        let first: Vec<_> = plan.steps.iter().take(2).map(ToString::to_string).collect();
        assert_eq!(first, ["make the folders of /c/memory/a/b", "make cgroup /c/memory/a/b/launcher-x"]);
    }
}
