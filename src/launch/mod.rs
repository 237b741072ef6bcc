//! The launch: what is done, in which order, by whom; and PID 1 afterwards.

mod backlog;
mod decide;
pub(crate) mod init;
pub(crate) mod report;

#[cfg(feature = "container")]
pub(crate) mod best_effort;
#[cfg(feature = "board")]
pub(crate) mod board;
#[cfg(feature = "container")]
pub(crate) mod child;
#[cfg(feature = "container")]
pub(crate) mod child_step;
#[cfg(feature = "container")]
pub(crate) mod hints;
#[cfg(feature = "container")]
pub(crate) mod parent;
#[cfg(feature = "container")]
pub(crate) mod parent_step;
#[cfg(feature = "container")]
pub(crate) mod plan;
#[cfg(feature = "container")]
pub(crate) mod plan_cgroup;
#[cfg(feature = "container")]
mod plan_filter;
#[cfg(feature = "container")]
mod plan_idmap;
#[cfg(feature = "container")]
mod plan_mounts;
#[cfg(feature = "container")]
mod plan_user;
#[cfg(feature = "container")]
mod relay;
#[cfg(feature = "board")]
mod respawn;
#[cfg(feature = "container")]
pub(crate) mod sync;
#[cfg(feature = "container")]
pub(crate) mod undo;
