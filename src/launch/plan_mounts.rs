//! The mounts of a plan: from the cut to the host to the last mask.

use std::path::Path;

use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC};

use super::child_step::ChildStep;
use super::plan::Planner;
use super::plan_idmap::Maps;
use crate::error::{Error, Result};
use crate::packed::{Fill, Packed, filled, packed};
use crate::primitives::mounts::KernelFolder;
use crate::spec::idmap::to_host;
use crate::spec::mount::{Flags, Layers, Mount, Source};
use crate::spec::namespaces::{Kind, Placement};

/// What docker hides: the host's secrets and knobs that have no namespace. Folders end with a slash.
const MASKED: [KernelFolder; 2] = [
    KernelFolder {
        path: "/proc",
        magic: PROC_SUPER_MAGIC,
        names: &[
            c"acpi/",
            c"asound/",
            c"interrupts",
            c"kcore",
            c"keys",
            c"latency_stats",
            c"sched_debug",
            c"scsi/",
            c"timer_list",
            c"timer_stats",
        ],
    },
    KernelFolder { path: "/sys", magic: SYSFS_MAGIC, names: &[c"devices/virtual/powercap/", c"firmware/"] },
];

/// What docker makes read-only.
const PROTECTED_PROC: KernelFolder = KernelFolder {
    path: "/proc",
    magic: PROC_SUPER_MAGIC,
    names: &[c"bus", c"fs", c"irq", c"sys", c"sysrq-trigger"],
};

/// Where the cgroups are seen.
const CGROUP: &str = "/sys/fs/cgroup";

impl Planner<'_> {
    /// The mount namespace, from the cut to the host to the last read-only path.
    pub(super) fn mounts(
        &self,
        maps: &Maps,
        v1_controllers: &[&'static str],
        users: Vec<Mount>,
        steps: &mut Vec<ChildStep>,
    ) {
        let is_shared = users.iter().any(|mount| mount.flags.has(Flags::SHARED));
        // rslave, not rprivate: a private copy would keep alive what the host unmounts while we set up.
        if !is_shared {
            steps.push(ChildStep::MakeSlave); // first: what is mounted later must not reach the host
        }
        for mount in
            users.iter().filter(|mount| !mount.host_paths().is_empty() && !mount.flags.has(Flags::EARLY))
        {
            steps.push(ChildStep::OpenSource(*mount)); // before the rootfs is there, which may cover it
        }
        if is_shared {
            steps.push(ChildStep::MakeSlave); // what is shared stays the host's peer. Nothing was mounted until now
        }
        if self.spec.rootfs.is_none() {
            if self.is_new(Kind::Pid) {
                steps.push(ChildStep::KeepRoot);
                push_new(steps, "proc", "/proc", Flags::INERT, "");
            }
            self.set_sysctls(steps);
            return;
        }
        if self.host.root_is_ram {
            steps.push(ChildStep::MakeRootPivotable); // before anything else is mounted: it copies all mounts
        }
        if self.host.rootfs_is_file {
            steps.push(ChildStep::AttachImage);
        }
        if self.spec.ephemeral || !self.spec.layers.paths.is_empty() {
            let mut layers = self.spec.layers;
            self.complete(&mut layers);
            steps.push(ChildStep::MountOverlay { layers, in_memory: self.spec.ephemeral });
        } else if !self.host.rootfs_is_file {
            steps.push(ChildStep::BindRootfs);
        }
        if !self.spec.privileged {
            steps.push(ChildStep::ForbidDevices); // before /dev is mounted, where they must work
        }
        let propagation = self.spec.propagation.map(ChildStep::SetPropagation);
        let (before, after) = if self.spec.propagation.is_some_and(|flags| flags.has(Flags::SHARED)) {
            (None, propagation)
        } else {
            (propagation, None)
        };
        if let Some(before) = before {
            steps.push(before); // before the mounts, which have their own
        }
        self.mount_all(users, maps, v1_controllers, steps);
        if self.spec.read_only {
            steps.push(ChildStep::MakeRootReadOnly); // after the mounts: their folders may have to be made
        }
        if !self.spec.privileged {
            // Before the pivot: files are hidden behind the host's /dev/null, which no image can have exchanged. The
            // names are those of the kernel's file systems, so they mean the container's as well before as after it.
            steps.push(ChildStep::Protect(&PROTECTED_PROC));
            steps.push(ChildStep::Mask(&MASKED));
        }
        steps.push(ChildStep::PivotRoot); // after all mounts: their sources are the host's
        if let Some(after) = after {
            steps.push(after); // what is shared cannot be pivoted
        }
    }

    /// Ours and the users', whose mount on the place of one of ours comes instead of it; only /dev is laid over ours.
    fn mount_all(
        &self,
        users: Vec<Mount>,
        maps: &Maps,
        v1_controllers: &[&'static str],
        steps: &mut Vec<ChildStep>,
    ) {
        self.proc(steps);
        self.set_sysctls(steps); // while /proc/sys can be written
        self.sys(steps);
        if !users.iter().any(|mount| mount.target == CGROUP) {
            self.cgroup_mounts(v1_controllers, steps);
        }
        push_new(steps, "tmpfs", "/dev", Flags::NOSUID, "mode=755,size=65536k");
        steps.push(ChildStep::PopulateDev);
        self.dev_mounts(maps, steps);
        self.terminal(true, steps); // before the pivot, while it can be bound; a mount of the user's may cover it
        let ours = steps.len();
        for mount in users {
            let is_same =
                |step: &ChildStep| matches!(step, ChildStep::Mount(other) if other.target == mount.target);
            let place = steps.iter().take(ours).position(is_same);
            match (place, place.and_then(|place| steps.get_mut(place))) {
                (Some(place), _) if mount.target == "/dev" => {
                    steps.insert(place + 2, ChildStep::Mount(mount));
                }
                (_, Some(same)) => *same = ChildStep::Mount(mount),
                _ => steps.push(ChildStep::Mount(mount)), // parents before children, as they are in the spec
            }
        }
    }

    /// The mounts that the user asked for, with what goes without saying.
    ///
    /// # Errors
    /// A mount would undo what hides the host's secrets, or cannot be had with these namespaces.
    pub(super) fn users(&self) -> Result<Vec<Mount>> {
        let (mut mounts, is_limited) = (Vec::new(), self.limits_devices());
        for mount in &self.spec.mounts {
            if let Some(why) = self.fault_of(mount) {
                return Err(Error::new(filled!("{}: {}", [&mount, &why])));
            }
            let mut mount = *mount;
            mount.flags = mount.flags.with(Flags::FOLLOW);
            if !self.spec.privileged && !mount.flags.has(Flags::DEV) {
                mount.flags = mount.flags.with(Flags::NODEV); // which devices there are is said by other options
            }
            if mount.flags.has(Flags::IDMAP) || (is_limited && matches!(mount.source, Source::Device(..))) {
                mount.flags = mount.flags.with(Flags::EARLY);
            }
            match &mut mount.source {
                Source::Host(path) | Source::Device(path, _) => *path = self.absolute(path),
                Source::Overlay(layers) => self.complete(layers),
                // Another /proc is not masked, but can do without all that has to be; Linux 5.8.
                Source::New { kind: "proc", data } if mount.target != "/proc" && !self.spec.privileged => {
                    *data = "subset=pid";
                }
                _ => {}
            }
            mounts.push(mount);
        }
        Ok(mounts)
    }

    /// What an overlay has to know besides its folders.
    fn complete(&self, layers: &mut Layers) {
        let paths: Vec<_> = layers.paths.iter().map(|path| self.absolute(path)).collect();
        layers.paths = paths.leak();
        layers.in_userns = self.in_userns();
    }

    /// Paths of the user's are relative to where launcher was started; the child is elsewhere.
    fn absolute(&self, path: &Path) -> &'static Path {
        self.host.cwd.join(path).leak() // an absolute one is left alone
    }

    /// Why a mount is refused: it would show what is masked, or hide it where the mask is laid.
    fn fault_of(&self, mount: &Mount) -> Option<Packed> {
        match mount.source {
            Source::New { kind: "cgroup2", .. } if !self.is_new(Kind::Cgroup) => {
                return Some(packed!("without a cgroup namespace it would be the host's"));
            }
            _ if mount.flags.has(Flags::IDMAP) => {
                // The child has to be ours, born in a user namespace of its own.
                let is_joined = matches!(self.placement(Kind::Pid), Placement::Join(_));
                let is_bind = matches!(mount.source, Source::Host(_));
                if !is_bind || is_joined || !self.is_new(Kind::User) {
                    return Some(packed!(
                        "idmap is for a bind and a new user namespace (--uidmap or --userns)"
                    ));
                }
            }
            _ => {}
        }
        match mount.source {
            _ if self.spec.privileged => return None,
            Source::New { kind: "sysfs", .. } if mount.target != "/sys" => {
                return Some(packed!("only on /sys are the host's secrets in it masked"));
            }
            _ => {}
        }
        let is_covered = |folder: &KernelFolder| {
            let below = mount.target.strip_prefix(folder.path).and_then(|rest| rest.strip_prefix("/"));
            folder.names.iter().any(|name| {
                let name = name.to_bytes();
                let rest = below
                    .and_then(|below| below.as_bytes().strip_prefix(name.strip_suffix(b"/").unwrap_or(name)));
                rest.is_some_and(|rest| rest.first().is_none_or(|next| *next == b'/'))
            })
        };
        MASKED
            .iter()
            .chain([&PROTECTED_PROC])
            .any(is_covered)
            .then_some(packed!("that place is masked, or read-only; --privileged leaves it alone"))
    }

    /// /proc: fresh for a new PID namespace; without one a user namespace gets only what the host shows.
    fn proc(&self, steps: &mut Vec<ChildStep>) {
        if self.is_new(Kind::Pid)
            || !self.in_userns()
            || matches!(self.placement(Kind::Pid), Placement::Join(_))
        {
            push_new(steps, "proc", "/proc", Flags::INERT, "");
        } else {
            push(steps, Source::Host(Path::new("/proc")), "/proc", Flags::INERT);
        }
    }

    /// /sys, read-only: fresh for a network namespace of ours, else what the host shows.
    fn sys(&self, steps: &mut Vec<ChildStep>) {
        if self.spec.hosts_sys || (self.in_userns() && !self.is_new(Kind::Network)) {
            push(steps, Source::Host(Path::new("/sys")), "/sys", INERT_READ_ONLY);
        } else {
            push_new(steps, "sysfs", "/sys", INERT_READ_ONLY, "");
        }
    }

    /// /sys/fs/cgroup, read-only. A fresh one shows our own part of the tree, and only inside a cgroup namespace: else
    /// mounting could change options of the host's. On v1 the hierarchies that we are limited in, and no more.
    fn cgroup_mounts(&self, v1_controllers: &[&'static str], steps: &mut Vec<ChildStep>) {
        if !self.is_new(Kind::Cgroup) {
            push(steps, Source::Host(Path::new(CGROUP)), CGROUP, INERT_READ_ONLY);
        } else if self.host.unified {
            push_new(steps, "cgroup2", CGROUP, INERT_READ_ONLY, "");
        } else if !v1_controllers.is_empty() {
            push_new(steps, "tmpfs", CGROUP, Flags::INERT, "mode=755,size=0");
            for controllers in v1_controllers {
                let target = filled!("{}/{}", [&CGROUP, &controllers]).text().leak();
                push_new(steps, "cgroup", target, INERT_READ_ONLY, controllers);
            }
            steps.push(ChildStep::MakeReadOnly(CGROUP));
        }
    }

    /// What is mounted in /dev.
    fn dev_mounts(&self, maps: &Maps, steps: &mut Vec<ChildStep>) {
        // Group 5 is tty everywhere; where it is not mapped naming it is EINVAL.
        let has_tty_group = match self.placement(Kind::User) {
            Placement::Host => !self.host.denies_setgroups,
            Placement::New => to_host(maps.gids, 5).is_some(),
            Placement::Join(_) => false,
        };
        let pts = if has_tty_group {
            "newinstance,ptmxmode=0666,mode=0620,gid=5"
        } else {
            "newinstance,ptmxmode=0666,mode=0620"
        };
        push_new(steps, "devpts", "/dev/pts", Flags::NOSUID.with(Flags::NOEXEC), pts);
        let data = match self.spec.shm_size {
            None => "mode=1777,size=65536k",
            Some(bytes) => filled!("mode=1777,size={}", &bytes).text().leak(),
        };
        push_new(steps, "tmpfs", "/dev/shm", Flags::INERT, data);
        match self.placement(Kind::Ipc) {
            Placement::Host if self.in_userns() => {
                push(steps, Source::Host(Path::new("/dev/mqueue")), "/dev/mqueue", Flags::INERT);
            }
            _ => push_new(steps, "mqueue", "/dev/mqueue", Flags::INERT, ""),
        }
    }
}

/// Flags of what only tells.
const INERT_READ_ONLY: Flags = Flags::INERT.with(Flags::READ_ONLY);

/// A mount of ours.
#[inline(never)] // a mount is large: it is put together once, not at every call
fn push(steps: &mut Vec<ChildStep>, source: Source, target: &'static str, flags: Flags) {
    steps.push(ChildStep::Mount(Mount { source, target, flags }));
}

/// The same of a new file system.
#[inline(never)]
fn push_new(
    steps: &mut Vec<ChildStep>,
    kind: &'static str,
    target: &'static str,
    flags: Flags,
    data: &'static str,
) {
    push(steps, Source::New { kind, data }, target, flags);
}
