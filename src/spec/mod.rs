//! What is wanted: plain data without I/O, the vocabulary of every floor above.

#[cfg(feature = "board")]
pub(crate) mod board;
pub(crate) mod caps;
pub(crate) mod devices;
pub(crate) mod idmap;
pub(crate) mod init;
#[cfg(feature = "container")]
pub(crate) mod json;
pub(crate) mod mount;
pub(crate) mod mount_grammar;
pub(crate) mod namespaces;
pub(crate) mod process;
pub(crate) mod resources;
pub(crate) mod seccomp;
pub(crate) mod size;
pub(crate) mod sysctl;
pub(crate) mod user;
pub(crate) mod validate;

use std::path::Path;

use idmap::Mapping;
use mount::{Flags, Layers, Mount};
use namespaces::{Namespaces, TimeOffsets};
use process::{FileRule, Label, Process};
use resources::Resources;
use sysctl::Sysctl;

/// A copy for good. What is wanted is asked for until the container ends, and launcher with it: nothing of it is freed,
/// and a reference is copied where a string would be made anew.
pub(crate) fn keep(text: &str) -> &'static str {
    text.to_owned().leak()
}

/// A container as the user wants it. `cli` and later `oci` make one; `launch::plan` turns it into steps.
#[allow(clippy::struct_excessive_bools, reason = "wishes that have nothing to do with each other")]
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Spec {
    /// The container's id; names its cgroup. `None`: one is made from our pid.
    pub(crate) name: Option<&'static str>,
    /// The folder that becomes `/`. `None`: the container keeps the host's.
    pub(crate) rootfs: Option<&'static Path>,
    /// What lies below the rootfs, and where writes go.
    pub(crate) layers: Layers,
    /// Writes go to a tmpfs over the rootfs and are forgotten.
    pub(crate) ephemeral: bool,
    /// The rootfs is mounted read-only.
    pub(crate) read_only: bool,
    /// What is mounted besides /proc and the like, parents before children.
    pub(crate) mounts: Vec<Mount>,
    /// What mounts come and go later below `/`; a slave of the host's if nothing is said.
    pub(crate) propagation: Option<Flags>,
    /// Size of /dev/shm in bytes.
    pub(crate) shm_size: Option<u64>,
    /// Host name; needs a UTS namespace of its own.
    pub(crate) hostname: Option<&'static str>,
    /// NIS domain name, same.
    pub(crate) domainname: Option<&'static str>,
    /// Kernel parameters of the namespaces.
    pub(crate) sysctls: Vec<Sysctl>,
    /// How early the kernel kills it when memory is short, -1000 to 1000; proc(5).
    pub(crate) oom_score_adj: Option<i32>,
    /// Which namespaces are made, shared or joined.
    pub(crate) namespaces: Namespaces,
    /// How ids inside relate to ids outside, where a user namespace is made.
    pub(crate) mapping: Mapping,
    /// Shift of the clocks; makes a time namespace.
    pub(crate) time_offsets: TimeOffsets,
    /// Devices that may be opened besides those that always may and those that are given; see [`devices`].
    pub(crate) devices: Vec<devices::Rule>,
    /// Limits, set through cgroups.
    pub(crate) resources: Resources,
    /// What runs.
    pub(crate) process: Process,
    /// What the program may do to which files; empty: all that others allow.
    pub(crate) landlock: Vec<FileRule>,
    /// The name by which a security module is to know it.
    pub(crate) label: Option<Label>,
    /// Every capability, nothing masked.
    pub(crate) privileged: bool,
    /// Goes without what the machine refuses.
    pub(crate) best_effort: bool,
    /// Shows the host's /sys, where there is no other to be had.
    pub(crate) hosts_sys: bool,
    /// Every device that is there may be opened, whatever was wished.
    pub(crate) all_devices: bool,
}

impl Spec {
    /// Whether set-id programs and file capabilities give the program nothing: what the user says, else the default.
    pub(crate) fn no_new_privs(&self) -> bool {
        self.process.no_new_privs.unwrap_or(!self.privileged)
    }
}
