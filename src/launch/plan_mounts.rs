//! The mounts of a plan: from the cut to the host to the last mask.

use nix::sys::statfs::{PROC_SUPER_MAGIC, SYSFS_MAGIC};

use super::child_step::ChildStep;
use super::plan::Planner;
use super::plan_idmap::Maps;
use crate::primitives::mounts::KernelFolder;
use crate::spec::idmap::to_host;
use crate::spec::mount::{Flags, Mount, Source};
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

impl Planner<'_> {
    /// The mount namespace, from the cut to the host to the last read-only path.
    pub(super) fn mounts(&self, maps: &Maps, v1_controllers: &[String], steps: &mut Vec<ChildStep>) {
        // rslave, not rprivate: a private copy would keep alive what the host unmounts while we set up.
        steps.push(ChildStep::MakeSlave); // first: what is mounted later must not reach the host
        if self.spec.rootfs.is_none() {
            if self.is_new(Kind::Pid) {
                steps.push(ChildStep::KeepRoot);
                steps.push(ChildStep::Mount(new_mount("proc", "/proc", Flags::INERT, "")));
            }
            return;
        }
        if self.host.root_is_ram {
            steps.push(ChildStep::MakeRootPivotable); // before anything else is mounted: it copies all mounts
        }
        steps.push(if self.spec.ephemeral {
            ChildStep::MountEphemeral { in_userns: self.in_userns() }
        } else {
            ChildStep::BindRootfs
        });
        if !self.spec.privileged {
            steps.push(ChildStep::ForbidDevices); // before /dev is mounted, where they must work
        }
        let dev = new_mount("tmpfs", "/dev", Flags::NOSUID, "mode=755,size=65536k");
        steps.push(ChildStep::Mount(self.proc()));
        steps.push(ChildStep::Mount(self.sys()));
        steps.extend(self.cgroup_mounts(v1_controllers));
        steps.push(ChildStep::Mount(dev));
        steps.push(ChildStep::PopulateDev);
        steps.extend(self.dev_mounts(maps).map(ChildStep::Mount));
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
    }

    /// /proc: fresh for a new PID namespace; without one a user namespace gets only what the host shows.
    fn proc(&self) -> Mount {
        if self.is_new(Kind::Pid)
            || !self.in_userns()
            || matches!(self.placement(Kind::Pid), Placement::Join(_))
        {
            return new_mount("proc", "/proc", Flags::INERT, "");
        }
        Mount { source: Source::Host("/proc".into()), ..new_mount("proc", "/proc", Flags::INERT, "") }
    }

    /// /sys, read-only: fresh for a network namespace of ours, else what the host shows.
    fn sys(&self) -> Mount {
        let flags = Flags::INERT.with(Flags::READ_ONLY);
        if self.is_new(Kind::Network) || !self.in_userns() {
            let fresh = new_mount("sysfs", "/sys", flags, "");
            return if self.in_userns() { Mount { source: Source::SysfsOrHosts, ..fresh } } else { fresh };
        }
        Mount { source: Source::Host("/sys".into()), ..new_mount("sysfs", "/sys", flags, "") }
    }

    /// /sys/fs/cgroup, read-only. A fresh one shows our own part of the tree, and only inside a cgroup namespace: else
    /// mounting could change options of the host's. On v1 the hierarchies that we are limited in, and no more.
    fn cgroup_mounts(&self, v1_controllers: &[String]) -> Vec<ChildStep> {
        const PATH: &str = "/sys/fs/cgroup";
        let flags = Flags::INERT.with(Flags::READ_ONLY);
        if !self.is_new(Kind::Cgroup) {
            let source = Source::Host(PATH.into());
            return vec![ChildStep::Mount(Mount { source, ..new_mount("cgroup2", PATH, flags, "") })];
        }
        if self.host.unified {
            return vec![ChildStep::Mount(new_mount("cgroup2", PATH, flags, ""))];
        }
        if v1_controllers.is_empty() {
            return Vec::new();
        }
        let mut steps = vec![ChildStep::Mount(new_mount("tmpfs", PATH, Flags::INERT, "mode=755,size=0"))];
        for controllers in v1_controllers {
            let target = format!("{PATH}/{controllers}");
            steps.push(ChildStep::Mount(new_mount("cgroup", &target, flags, controllers)));
        }
        steps.push(ChildStep::MakeReadOnly(PATH));
        steps
    }

    /// What is mounted in /dev.
    fn dev_mounts(&self, maps: &Maps) -> impl Iterator<Item = Mount> + use<> {
        let flags = Flags::NOSUID.with(Flags::NOEXEC);
        // Group 5 is tty everywhere; where it is not mapped naming it is EINVAL.
        let is_joined = matches!(self.placement(Kind::User), Placement::Join(_));
        let has_tty_group = !is_joined && (!maps.is_new || to_host(&maps.gids, 5).is_some());
        let pts = if has_tty_group {
            "newinstance,ptmxmode=0666,mode=0620,gid=5"
        } else {
            "newinstance,ptmxmode=0666,mode=0620"
        };
        let mqueue = match self.placement(Kind::Ipc) {
            Placement::Host if self.in_userns() => Source::Host("/dev/mqueue".into()),
            _ => Source::New { kind: "mqueue", data: String::new() },
        };
        [
            new_mount("devpts", "/dev/pts", flags, pts),
            new_mount("tmpfs", "/dev/shm", Flags::INERT, "mode=1777,size=65536k"),
            Mount { source: mqueue, ..new_mount("mqueue", "/dev/mqueue", Flags::INERT, "") },
        ]
        .into_iter()
    }
}

/// A mount of a new file system.
fn new_mount(kind: &'static str, target: &str, flags: Flags, data: &str) -> Mount {
    Mount { source: Source::New { kind, data: data.to_owned() }, target: target.to_owned(), flags }
}
