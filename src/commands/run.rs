//! `launcher run`: spec, facts, plan, launch.

use crate::cli::run::RunCommand;
use crate::error::Result;
use crate::host::Host;
use crate::launch::parent;
use crate::launch::plan::Plan;

/// Makes the container, or prints how it would.
///
/// # Errors
/// Something that was asked for cannot be had here, or a step failed.
pub(crate) fn run(command: &RunCommand) -> Result<u8> {
    let host = Host::probe(&command.spec)?;
    let plan = Plan::new(&command.spec, &host)?;
    if command.dry_run {
        super::print(1, &plan)?;
        return Ok(0);
    }
    parent::launch(&plan)
}
