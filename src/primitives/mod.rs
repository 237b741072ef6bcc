//! One concern of the kernel each: takes a type of `spec`, makes calls of `sys`, says what it was doing.

pub(crate) mod descendants;
pub(crate) mod execve;
pub(crate) mod interpreter;
#[cfg_attr(not(feature = "container"), path = "no_last_step.rs")]
pub(crate) mod last_step;

#[cfg(feature = "container")]
pub(crate) mod cgroup;
#[cfg(feature = "board")]
pub(crate) mod cpio;
#[cfg(feature = "container")]
pub(crate) mod dev;
#[cfg(feature = "board")]
pub(crate) mod early;
#[cfg(feature = "container")]
pub(crate) mod idmap;
#[cfg(feature = "container")]
pub(crate) mod image;
#[cfg(feature = "board")]
pub(crate) mod machine_root;
#[cfg(feature = "board")]
pub(crate) mod modules;
#[cfg(feature = "container")]
pub(crate) mod mounts;
#[cfg(feature = "container")]
pub(crate) mod namespaces;
#[cfg(feature = "container")]
pub(crate) mod overlay;
#[cfg(feature = "container")]
pub(crate) mod pty;
#[cfg(feature = "container")]
pub(crate) mod rootfs;
#[cfg(feature = "container")]
pub(crate) mod seccomp;
#[cfg(feature = "board")]
pub(crate) mod shutdown;
#[cfg(feature = "container")]
pub(crate) mod target;
#[cfg(feature = "container")]
pub(crate) mod trials;
#[cfg(feature = "container")]
pub(crate) mod user;
#[cfg(feature = "board")]
pub(crate) mod watchdog;
