//! The smallest build has no options for what the program does to itself: nothing of last_step.rs is in it.

use std::fmt::{self, Display};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::spec::user::Identity;

/// No step at all.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LastStep {}

impl Display for LastStep {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {}
    }
}

impl LastStep {
    /// There is none that could be done.
    pub(super) fn apply(&self, _: Pid, _: &Identity) -> Result<(), Errno> {
        match *self {}
    }
}
