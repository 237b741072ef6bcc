//! `--best-effort`: the container goes without what this machine refuses, and the user is told what that is.
//!
//! Decided before there is a plan, by trials, so that a plan stays what will be done: a spec that asks for less comes out.

use std::path::Path;

use nix::errno::Errno;

use super::plan::Planner;
use super::plan_cgroup;
use crate::error::{Error, Result, describe};
use crate::host::Host;
use crate::packed::{Fill, filled, packed};
use crate::primitives::trials::Outcome;
use crate::spec::Spec;
use crate::spec::caps::CapSet;
use crate::spec::idmap::Mapping;
use crate::spec::namespaces::{Kind, Placement, TimeOffsets};
use crate::spec::seccomp::Seccomp;
use crate::text::folder_and_name;

/// What may be refused.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Thing<'a> {
    /// A namespace of this kind.
    Namespace(Kind),
    /// A fresh /proc.
    Proc,
    /// A fresh /sys.
    Sysfs,
    /// A seccomp filter.
    Filter,
    /// To make a cgroup in this folder.
    Cgroup(&'a Path),
    /// To have the kernel ask a program about devices.
    Devices,
}

/// Takes out of the spec what cannot be had, and returns what that is, in words that follow "without". `attempt` tries.
///
/// # Errors
/// There would be no change of root: nothing but chroot(2) is left then, which holds nobody.
pub(crate) fn adapt(
    spec: &mut Spec,
    host: &Host,
    attempt: &dyn Fn(Thing<'_>) -> Outcome,
) -> Result<Vec<String>> {
    let mut adapter = Adapter { spec, host, attempt, losses: Vec::new() };
    adapter.namespaces()?;
    adapter.rights();
    adapter.limits(); // after them: whether devices are limited depends on what is kept
    Ok(adapter.losses)
}

/// The work at hand.
struct Adapter<'a> {
    /// What is wanted, less and less of it.
    spec: &'a mut Spec,
    /// What there is.
    host: &'a Host,
    /// Tries a thing out.
    attempt: &'a dyn Fn(Thing<'_>) -> Outcome,
    /// What was lost.
    losses: Vec<String>,
}

impl Adapter<'_> {
    /// Whether a namespace of this kind is to be made.
    fn is_new(&self, kind: Kind) -> bool {
        Planner { spec: self.spec, host: self.host }.is_new(kind)
    }

    /// Goes without a namespace.
    fn share(&mut self, kind: Kind, errno: Errno) {
        self.spec.namespaces.set(kind, Placement::Host);
        self.losses.push(filled!("a {} namespace: {}", [&kind.file(), &describe(errno)]).text());
    }

    /// Namespaces, and what hangs on each.
    fn namespaces(&mut self) -> Result<()> {
        let is_user = self.host.uid != 0;
        for kind in Kind::ALL {
            if !self.is_new(kind) {
                continue;
            }
            if let Err(errno) = (self.attempt)(Thing::Namespace(kind)) {
                if kind == Kind::Mount && self.spec.rootfs.is_some() {
                    return Err(Error::os(
                        packed!("--best-effort: --rootfs without a mount namespace"),
                        errno,
                    )
                    .hint(packed!("chroot alone holds nobody: leave --rootfs out, or see launcher doctor")));
                }
                self.share(kind, errno);
                if kind == Kind::User {
                    self.spec.mapping = Mapping::Own;
                    // Nobody else's ids and rights can be had then, and none of ours taken away.
                    self.spec.process.groups.kept |= is_user;
                    if is_user {
                        self.spec.process.bounding = CapSet::ALL;
                    }
                }
            }
        }
        if self.is_new(Kind::Pid)
            && self.is_new(Kind::Mount)
            && let Err(errno) = (self.attempt)(Thing::Proc)
        {
            self.share(Kind::Pid, errno);
        }
        if self.spec.rootfs.is_some()
            && self.is_new(Kind::Network)
            && let Err(errno) = (self.attempt)(Thing::Sysfs)
        {
            self.spec.hosts_sys = true;
            self.losses.push(filled!("a /sys of its own: {}", &describe(errno)).text());
        }
        if !self.is_new(Kind::Uts) {
            (self.spec.hostname, self.spec.domainname) = (None, None);
        }
        if !self.is_new(Kind::Time) {
            self.spec.time_offsets = TimeOffsets::default();
        }
        let mut sysctls = std::mem::take(&mut self.spec.sysctls);
        sysctls.retain(|sysctl| self.is_new(sysctl.kind));
        self.spec.sysctls = sysctls;
        Ok(())
    }

    /// All limits or none: half of them would look like all. Where devices alone cannot be limited the rest is.
    fn limits(&mut self) {
        let limits_devices = Planner { spec: self.spec, host: self.host }.limits_devices();
        if limits_devices {
            let refused = if !self.host.makes_nodes {
                Err(Errno::EPERM) // we are not the machine's root, or have few rights
            } else if self.host.hierarchies.iter().any(|one| plan_cgroup::has(one, plan_cgroup::DEVICES)) {
                Ok(())
            } else {
                (self.attempt)(Thing::Devices)
            };
            if let Err(errno) = refused {
                self.spec.all_devices = true;
                self.losses.push(filled!("limits on devices: {}", &describe(errno)).text());
            }
        }
        let fault = match plan_cgroup::plan(self.spec, self.host, "") {
            Err(error) => error.doing.clone(),
            Ok(plan) => {
                let parents = plan
                    .cgroups
                    .iter()
                    .filter_map(|cgroup| Some((folder_and_name(cgroup.folder())?.0, cgroup)));
                let refused = |(parent, _): (&Path, _)| (self.attempt)(Thing::Cgroup(parent)).err();
                let Some(errno) = parents.into_iter().find_map(refused) else { return };
                describe(errno).to_string()
            }
        };
        let also = if limits_devices && !self.spec.all_devices { ", also on devices" } else { "" };
        self.spec.all_devices = true;
        self.spec.resources = crate::spec::resources::Resources::default();
        self.losses.push(filled!("limits{}: {}", [&also, &fault]).text());
    }

    /// Capabilities and the filter.
    fn rights(&mut self) {
        let process = &mut self.spec.process;
        let has = CapSet(self.host.permitted);
        let lacking = process.required.without(has);
        if lacking != CapSet::NONE && self.host.uid == 0 {
            process.required = process.required.without(lacking);
            self.losses.push(filled!("the capabilities {}", &lacking).text());
        }
        if self.host.uid == 0 && !has.contains(CapSet::SETPCAP) && process.bounding != CapSet::ALL {
            process.bounding = CapSet::ALL;
            process.guards_nodes = false; // with all of them there are other ways to a device: its list is what counts
            self.losses.push("a smaller bounding set: launcher lacks the capability setpcap".to_owned());
        }
        if !matches!(process.seccomp, Seccomp::Unconfined)
            && let Err(errno) = (self.attempt)(Thing::Filter)
        {
            process.seccomp = Seccomp::Unconfined;
            if process.guards_nodes {
                process.bounding.0 &= !(1 << CapSet::MKNOD); // nothing else stands behind it
            }
            self.losses.push(filled!("a seccomp filter: {}", &describe(errno)).text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is lost where these things are refused; and what is left of the wish.
    fn lost(uid: u32, mut spec: Spec, refused: &[Thing<'_>]) -> (Result<Vec<String>>, Spec) {
        let host = Host { uid, permitted: u64::MAX, ..Host::default() };
        let attempt = |thing: Thing<'_>| if refused.contains(&thing) { Err(Errno::EPERM) } else { Ok(()) };
        (adapt(&mut spec, &host, &attempt), spec)
    }

    #[test]
    fn what_is_there_is_not_touched() {
        let wanted = Spec { hostname: Some("x"), ..Spec::default() };
        assert_eq!(lost(0, wanted.clone(), &[]), (Ok(Vec::new()), wanted));
    }

    #[test]
    fn what_hangs_on_a_namespace_goes_with_it() {
        let wanted = Spec { hostname: Some("x"), ..Spec::default() };
        let (losses, spec) = lost(0, wanted, &[Thing::Namespace(Kind::Uts), Thing::Filter]);
        let want = ["a uts namespace: Operation not permitted", "a seccomp filter: Operation not permitted"];
        assert_eq!(losses.unwrap(), want);
        assert_eq!((spec.hostname, spec.process.seccomp), (None, Seccomp::Unconfined));
        assert_eq!(spec.process.bounding, CapSet::NO_NODES);
        assert_eq!(spec.namespaces.get(Kind::Uts), Some(&Placement::Host));
    }

    #[test]
    fn a_proc_that_is_refused_costs_the_pid_namespace() {
        let (losses, spec) = lost(1, Spec::default(), &[Thing::Proc]);
        assert_eq!(losses.unwrap(), ["a pid namespace: Operation not permitted"]);
        assert_eq!(spec.namespaces.get(Kind::Pid), Some(&Placement::Host));
    }

    #[test]
    fn a_sys_that_is_refused_is_the_hosts() {
        let wanted = Spec { rootfs: Some("/r".as_ref()), ..Spec::default() };
        let (losses, spec) = lost(1, wanted, &[Thing::Sysfs]);
        assert_eq!(losses.unwrap(), ["a /sys of its own: Operation not permitted"]);
        assert!(spec.hosts_sys);
    }

    #[test]
    fn without_a_user_namespace_a_user_keeps_what_it_is() {
        let (_, spec) = lost(1, Spec::default(), &[Thing::Namespace(Kind::User)]);
        assert!(spec.process.groups.kept && spec.process.bounding == CapSet::ALL);
    }

    #[test]
    fn a_rootfs_needs_a_mount_namespace() {
        let wanted = Spec { rootfs: Some("/r".as_ref()), ..Spec::default() };
        let error = lost(0, wanted, &[Thing::Namespace(Kind::Mount)]).0.unwrap_err();
        assert_eq!(error.doing, "--best-effort: --rootfs without a mount namespace");
    }
}
