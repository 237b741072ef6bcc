//! The plan: which steps, in which order, by whom. Pure: from a spec and facts to data that can be printed, tested
//! and carried out.

use std::ffi::OsStr;
use std::fmt::{self, Display};

use nix::sched::CloneFlags;

use super::child_step::ChildStep;
use super::parent_step::ParentStep;
use super::plan_cgroup;
use super::plan_filter;
use super::plan_idmap::{self, Maps};
use super::plan_user;
use crate::error::{Error, Result};
use crate::host::Host;
use crate::packed::{Fill, filled};
use crate::primitives::cgroup::Cgroup;
use crate::primitives::execve::{DEFAULT_PATH, Program, kept_c_string};
use crate::primitives::last_step::LastStep;
use crate::primitives::namespaces::flag;
use crate::spec::Spec;
use crate::spec::caps::CapSet;
use crate::spec::idmap::Mapping;
use crate::spec::mount::{Flags, Mount};
use crate::spec::namespaces::{Kind, Placement};
use crate::spec::process::{Console, EnvChange, change_env, name_of};
use crate::spec::seccomp::Seccomp;
use crate::spec::sysctl::Sysctl;
use crate::spec::user::Principal;
use crate::text;

/// The launch as data.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Plan {
    /// By the parent, before there is a child.
    pub(crate) host: Vec<ParentStep>,
    /// Namespaces that the clone itself makes.
    pub(crate) clone: CloneFlags,
    /// Namespaces that the child must be born in: joined by a courier who then makes it.
    pub(crate) courier: Vec<Kind>,
    /// By the parent, while the child waits.
    pub(crate) map: Vec<ParentStep>,
    /// By the child, inside.
    pub(crate) child: Vec<ChildStep>,
    /// By the entrypoint, before it becomes the program.
    pub(crate) entrypoint: Vec<LastStep>,
    /// The program.
    pub(crate) program: Program,
    /// The cgroups of the container.
    pub(crate) cgroups: &'static [Cgroup],
    /// A PID namespace of our own kills what is left when init ends; without one init must.
    pub(crate) has_own_pids: bool,
    /// The terminal of the program.
    pub(crate) console: Console,
}

impl Plan {
    /// Decides everything that can be decided before the first system call.
    ///
    /// # Errors
    /// The spec asks for what this machine, or this user, cannot have.
    pub(crate) fn new(spec: &Spec, host: &Host) -> Result<&'static Self> {
        let planner = Planner { spec, host };
        let name = spec.name.unwrap_or_else(|| text::text_of(&host.pid).leak());
        let cgroups = plan_cgroup::plan(spec, host, name)?;
        // For good, as the spec: we end with the container, and to free it page by page would make the caller wait.
        let plan = Box::leak(Box::new(Self {
            host: Vec::new(),
            clone: planner.clone_flags(),
            courier: Vec::new(),
            map: Vec::new(),
            child: Vec::with_capacity(28), // a block of 4 KiB, and enough where little is asked
            entrypoint: Vec::new(),
            program: Program::new(&spec.process.args, planner.environment().leak())?,
            cgroups: &cgroups.cgroups,
            has_own_pids: planner.is_new(Kind::Pid),
            console: spec.process.console,
        }));
        let users = planner.users()?;
        planner.host(&cgroups.steps, &users, plan);
        let maps = planner.map(&users, plan)?;
        if let Some(sysctl) = spec.sysctls.iter().find(|sysctl| !planner.is_new(sysctl.kind)) {
            return Err(Error::new(filled!(
                "--sysctl {} belongs to a namespace that is not new, see {}",
                sysctl.path,
                sysctl.kind.option()
            )));
        }
        plan_user::check_disabled_userns(spec, planner.is_new(Kind::User))?;
        planner.child(&maps, &cgroups.v1_controllers, users, &mut plan.child);
        planner.entrypoint(&maps, &mut plan.entrypoint)?;
        Ok(plan)
    }

    /// Whether the child begins only when the parent says so: there is something to do for it first, or a courier has to
    /// speak before it.
    pub(crate) fn waits_for_go(&self) -> bool {
        !self.map.is_empty() || !self.courier.is_empty()
    }

    /// Number of the first child step, as `--dry-run` counts; the clone is a step of its own.
    pub(crate) fn first_child_step(&self) -> usize {
        self.host.len() + 1 + self.map.len() + 1
    }

    /// Number of the first step of the entrypoint.
    pub(crate) fn first_last_step(&self) -> usize {
        self.first_child_step() + self.child.len()
    }

    /// The clone as a line.
    fn clone_line(&self) -> String {
        let mut line = "clone".to_owned();
        for (kind, word) in CLONED.into_iter().zip(text::parts(CLONED_NAMES, b' ')) {
            if self.clone.contains(flag(kind)) {
                line.push_str(&filled!(" new-{}", word).text());
            }
        }
        for kind in &self.courier {
            line.push_str(&filled!(" inside the joined {} namespace", kind.file()).text());
        }
        line
    }

    /// Every line of the plan in order, with who does it.
    pub(crate) fn lines(&self) -> Vec<(&'static str, String)> {
        let mut lines = Vec::new();
        let mut add = |who, step: &dyn Display| lines.push((who, text::text_of(step)));
        for step in &self.host {
            add("host", step);
        }
        add("host", &self.clone_line());
        for step in &self.map {
            add("host", step);
        }
        for step in &self.child {
            add("init", step);
        }
        for step in &self.entrypoint {
            add("entrypoint", step);
        }
        add("entrypoint", &filled!("execute {}", &self.program.name()));
        lines
    }

    /// The words of step `number`.
    pub(crate) fn describe(&self, number: usize) -> Option<String> {
        self.lines().into_iter().nth(number.checked_sub(1)?).map(|(_, text)| text)
    }
}

impl Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (who, text)) in self.lines().iter().enumerate() {
            writeln!(f, "{:>3}  {who:<10}  {text}", number + 1)?;
        }
        Ok(())
    }
}

/// What the clone makes. The cgroup namespace waits until we are in the cgroup that becomes its root; the time namespace
/// until its offsets are written, which a child born in it would be too late for.
const CLONED: [Kind; 6] = [Kind::User, Kind::Mount, Kind::Pid, Kind::Network, Kind::Uts, Kind::Ipc];

/// Their names in words.
const CLONED_NAMES: &str = "user mount pid network uts ipc";

/// Whether a process can only be born in such a namespace (pid), or joining it decides what else it may do (user).
const fn is_born_in(kind: Kind) -> bool {
    matches!(kind, Kind::User | Kind::Pid)
}

/// The two inputs, and the questions that several parts of the plan ask of them.
#[derive(Debug, Clone, Copy)]
pub(super) struct Planner<'a> {
    /// What is wanted.
    pub(super) spec: &'a Spec,
    /// What there is.
    pub(super) host: &'a Host,
}

impl<'a> Planner<'a> {
    /// What becomes of a namespace: the wish, or the default of its kind.
    pub(super) fn placement(&self, kind: Kind) -> &'a Placement {
        let new_if = |new| if new { &Placement::New } else { &Placement::Host };
        self.spec.namespaces.get(kind).unwrap_or_else(|| match kind {
            Kind::User => new_if(self.host.uid != 0 || self.spec.mapping != Mapping::Own),
            _ => &Placement::New,
        })
    }

    /// Whether a namespace of this kind is made.
    pub(super) fn is_new(&self, kind: Kind) -> bool {
        matches!(self.placement(kind), Placement::New)
    }

    /// Whether the container is in another user namespace than we.
    pub(super) fn in_userns(&self) -> bool {
        !matches!(self.placement(Kind::User), Placement::Host)
    }

    /// Whether the container may open some devices only: by the user's wish, or because it can make the node of any. Where
    /// it sees all files of the host, /dev is among them and nodes are nothing new.
    pub(super) fn limits_devices(&self) -> bool {
        let sees_all =
            self.spec.rootfs.is_none() && !matches!(self.placement(Kind::Mount), Placement::Join(_));
        let makes_nodes = self.host.makes_nodes && self.spec.process.makes_nodes();
        let is_open = makes_nodes && !sees_all && !self.in_userns();
        self.spec.has_device_rules() || (is_open && self.spec.may_limit_devices())
    }

    /// The parent's steps before the clone, and the namespaces in which the child has to be born.
    fn host(&self, cgroup_steps: &[ParentStep], users: &[Mount], plan: &mut Plan) {
        let steps = &mut plan.host;
        // Without that capability, or from a user namespace, nobody can look into init. What those have whose PID namespace
        // root joins is not ours to say; others can join those alone that are in a user namespace.
        let may_look = self.spec.privileged || self.spec.process.bounding.contains(CapSet::SYS_PTRACE);
        let is_joined = self.host.uid == 0 && matches!(self.placement(Kind::Pid), Placement::Join(_));
        if is_joined || (may_look && !self.in_userns()) {
            steps.push(ParentStep::SealSelf);
        }
        if let Some(rootfs) = self.spec.rootfs {
            let opened = self.host.rootfs_is_file;
            steps.push(if opened { ParentStep::OpenImage(rootfs) } else { ParentStep::EnterRootfs(rootfs) });
        }
        for mount in users.iter().filter(|mount| mount.flags.has(Flags::EARLY)) {
            steps.push(ParentStep::OpenSource(*mount)); // before the cgroup: what is opened is what it allows
        }
        for step in cgroup_steps {
            steps.push(*step); // after the rootfs is known to be there: it is the likeliest fault
        }
        for kind in Kind::ALL {
            if let Placement::Join(path) = self.placement(kind) {
                steps.push(ParentStep::OpenNamespace(kind, path));
                if is_born_in(kind) {
                    plan.courier.push(kind);
                }
            }
        }
    }

    /// The parent's steps while the child waits; those that need the maps come after those that write them.
    fn map(&self, users: &[Mount], plan: &mut Plan) -> Result<Maps> {
        let steps = &mut plan.map;
        for limit in &self.spec.process.rlimits {
            steps.push(ParentStep::RaiseLimit(*limit));
        }
        if let Some(score) = self.spec.oom_score_adj {
            steps.push(ParentStep::SetOomScore(score));
        }
        for cgroup in plan.cgroups {
            steps.push(ParentStep::Attach(*cgroup));
        }
        let maps = plan_idmap::plan(self.spec, self.host, self.is_new(Kind::User), steps)?;
        for mount in users.iter().filter(|mount| mount.flags.has(Flags::IDMAP)) {
            steps.push(ParentStep::MapIds(*mount));
        }
        Ok(maps)
    }

    /// What the clone makes.
    fn clone_flags(&self) -> CloneFlags {
        let mut flags = CloneFlags::empty();
        for kind in CLONED {
            if self.is_new(kind) {
                flags |= flag(kind);
            }
        }
        flags
    }

    /// Steps of the child, in an order whose reasons stand beside them and are tested below.
    fn child(
        &self,
        maps: &Maps,
        v1_controllers: &[&'static str],
        users: Vec<Mount>,
        steps: &mut Vec<ChildStep>,
    ) {
        if self.in_userns() {
            let may_set_groups = maps.may_set_groups && !self.spec.process.groups.kept;
            steps.push(ChildStep::BecomeRoot { may_set_groups, ids: maps.init });
            steps.push(ChildStep::SetDeathSignal); // after it: the kernel clears it when ids change
        }
        if self.is_new(Kind::Cgroup) {
            steps.push(ChildStep::UnshareCgroup); // after the attach: where we are becomes its root
        }
        if self.is_new(Kind::Time) {
            let offsets = self.spec.time_offsets;
            let is_wanted = offsets.is_some() || self.spec.namespaces.get(Kind::Time).is_some();
            steps.push(ChildStep::UnshareTime { offsets, is_wanted }); // while the host's /proc is there
        }
        steps.push(ChildStep::HideFromPtrace); // before the first join: those inside could look into us (CVE-2016-9962)
        if self.spec.privileged || !matches!(self.spec.process.seccomp, Seccomp::Standard) {
            steps.push(ChildStep::LeaveKeyring); // the default filter lets nobody at the keys, and a user may have 200
        }
        if self.is_new(Kind::Network) {
            steps.push(ChildStep::RaiseLoopback); // writes to /proc by path: before one that others made (CVE-2015-1334)
        }
        for kind in Kind::ALL {
            if matches!(self.placement(kind), Placement::Join(_)) && !is_born_in(kind) {
                steps.push(ChildStep::Join(kind));
            }
        }
        if self.is_new(Kind::Uts) {
            steps.push(ChildStep::SetHostname(self.hostname()));
        }
        if let Some(name) = self.spec.domainname {
            steps.push(ChildStep::SetDomainname(name));
        }
        if self.is_new(Kind::Mount) {
            self.mounts(maps, v1_controllers, users, steps);
        } else {
            self.set_sysctls(steps);
        }
        if self.spec.rootfs.is_none() {
            self.terminal(false, steps);
        }
        if !self.is_new(Kind::Pid) {
            steps.push(ChildStep::BecomeSubreaper);
        }
        plan_user::find(&self.spec.process, maps, steps); // after the change of root: the tables are the container's
        if !self.spec.privileged {
            steps.push(ChildStep::DropBounding(self.spec.process.bounding)); // needs CAP_SETPCAP: before the ids change
        }
    }

    /// The parameters of our namespaces.
    pub(super) fn set_sysctls(&self, steps: &mut Vec<ChildStep>) {
        let mut sysctls = self.spec.sysctls.clone();
        if self.spec.process.disable_userns {
            sysctls.push(Sysctl::NO_USER_NAMESPACES);
        }
        if !sysctls.is_empty() {
            steps.push(ChildStep::SetSysctls(sysctls.leak()));
        }
    }

    /// A terminal, if one is wanted.
    pub(super) fn terminal(&self, is_in_own_dev: bool, steps: &mut Vec<ChildStep>) {
        if self.spec.process.console.is_own {
            steps.push(ChildStep::OpenTerminal { is_in_own_dev });
        }
    }

    /// The host name of the container.
    fn hostname(&self) -> &'static str {
        let name = self.spec.name.filter(|name| name.len() <= 64);
        self.spec.hostname.or(name).unwrap_or("launcher")
    }

    /// What the entrypoint does to itself.
    fn entrypoint(&self, maps: &Maps, steps: &mut Vec<LastStep>) -> Result<()> {
        let process = &self.spec.process;
        let user = &process.user().user;
        for limit in &process.rlimits {
            steps.push(LastStep::Limit(*limit));
        }
        if let Some(mask) = process.umask {
            steps.push(LastStep::SetUmask(mask));
        }
        // `/` is where the change of root has left us.
        let cwd = match (&process.cwd, &self.spec.rootfs) {
            (Some(cwd), _) => Some(kept_c_string(cwd)?),
            (None, Some(_)) => None,
            // setns(2) has put us in the root of the other mount namespace.
            (None, None) if matches!(self.placement(Kind::Mount), Placement::Join(_)) => None,
            (None, None) => Some(kept_c_string(&self.host.cwd)?),
        };
        let (early, late) = plan_filter::plan(self.spec, self.host)?;
        if let Some(filter) = early {
            steps.push(filter);
        }
        if let Some(cwd) = cwd
            && *user != Principal::Id(0)
        {
            steps.push(LastStep::ChangeDir(cwd)); // root may enter what the user may not
        }
        plan_user::plan(self.spec, self.host, maps, self.placement(Kind::User), steps)?;
        if let Some(cwd) = cwd {
            steps.push(LastStep::ConfirmDir(cwd)); // again as the user, and it must be inside (CVE-2024-21626)
        }
        if !self.spec.privileged || process.ambient != CapSet::NONE {
            // A name may yet turn out to be root's.
            let is_other = matches!(user, Principal::Id(1..));
            let all = if self.spec.privileged { CapSet::ALL } else { process.bounding };
            let caps = if is_other { CapSet::NONE } else { all };
            // Inheritable stays empty but for what is asked (CVE-2022-29162).
            steps.push(LastStep::SetCaps(caps, process.ambient));
        }
        if !self.is_new(Kind::Pid) {
            steps.push(LastStep::DieWithInit); // after the change of ids, which clears it
        }
        plan_user::label(self.spec, self.host, steps)?; // before no_new_privs, which forbids most changes
        if self.spec.no_new_privs() {
            steps.push(LastStep::NoNewPrivs);
        }
        plan_user::landlock(self.spec, steps)?; // after it: the kernel wants that
        if let Some(filter) = late {
            steps.push(filter);
        }
        Ok(())
    }

    /// The environment: a small one of its own for a rootfs, the caller's where the caller's root is kept.
    fn environment(&self) -> Vec<&'static OsStr> {
        let process = &self.spec.process;
        let callers = &self.host.env;
        let mut env = Vec::new();
        if process.env_host || self.spec.rootfs.is_none() {
            for entry in callers {
                if name_of(entry).is_some() {
                    env.push(*entry);
                }
            }
            if process.user.is_some()
                && !process.names_home()
                && !env.iter().any(|entry| name_of(entry) == Some(b"HOME"))
            {
                env.push(OsStr::new("HOME=/")); // a place for the user's
            }
        } else {
            let home = if process.user().user == Principal::Id(0) { "HOME=/root" } else { "HOME=/" };
            env.extend([DEFAULT_PATH, home, "container=launcher"].map(OsStr::new));
            if self.is_new(Kind::Uts) {
                env.push(OsStr::new(filled!("HOSTNAME={}", self.hostname()).text().leak()));
            }
            change_env(&mut env, &[EnvChange::Copy(OsStr::new("TERM"))], callers);
        }
        if process.console.is_own && !env.iter().any(|entry| name_of(entry) == Some(b"TERM")) {
            env.push(OsStr::new("TERM=xterm")); // as docker
        }
        change_env(&mut env, &process.env, callers);
        env
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
