//! What the launch leaves on the host and takes away again, in reverse order, success or not.

use crate::error::Result;
use crate::log::warning;
use crate::primitives::cgroup::{Cgroup, v2};

/// One thing to undo, pushed when it was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Undo {
    /// Remove a cgroup of ours, with all that is in it.
    RemoveCgroup(Cgroup),
    /// Put back what was changed on the way to it.
    RevertCgroups(v2::Change),
}

impl Undo {
    /// Undoes it.
    fn apply(&self) -> Result<()> {
        match self {
            Self::RemoveCgroup(cgroup) => cgroup.remove(),
            Self::RevertCgroups(change) => v2::revert(change),
        }
    }
}

/// The stack. Failures on the way back are told and do not stop the rest.
#[derive(Debug, Default)]
pub(crate) struct Stack(Vec<Undo>);

impl Stack {
    /// Remembers something that has just been done.
    pub(crate) fn push(&mut self, undo: Undo) {
        self.0.push(undo);
    }

    /// Undoes everything, last things first.
    pub(crate) fn run(&mut self) {
        while let Some(undo) = self.0.pop() {
            if let Err(error) = undo.apply() {
                warning!("{error}");
            }
        }
    }
}
