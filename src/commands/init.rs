//! `launcher [--] PROGRAM`: init where somebody else made the container.
//!
//! Makes none of the calls that containers forbid, and survives a refusal of all that are not needed.

use crate::cli::init::InitCommand;
use crate::error::{Doing, Error, Result};
use crate::launch::init;
use crate::log::warning;
use crate::primitives::execve::{self, Failed, Inherited, Program};
use crate::sys;
use crate::sys::fd::Closing;
use crate::sys::signal::{Disposition, Set};
use crate::sys::terminal::Terminal;

/// Runs the program as a child of ours and returns its exit status.
///
/// # Errors
/// The program cannot be executed (126, 127), or a call fails that no system forbids.
pub(crate) fn run(command: &InitCommand) -> Result<u8> {
    let program = Program::new(&command.args, sys::entry::environment())?;
    // Every signal waits until the loop takes it: nothing is lost between start and exec.
    let mask = sys::signal::set_mask(Set::ALL).doing("block signals")?;
    // Ignored, SIGCHLD would take away the child's status. The child gets back what we got.
    let child_signal =
        sys::signal::set_disposition(libc::SIGCHLD, Disposition::Default).doing("reset SIGCHLD")?;
    if let Some(signal) = command.death_signal {
        die_with_parent(signal)?;
    }
    if nix::unistd::getpid().as_raw() != 1
        && let Err(errno) = sys::process::become_subreaper()
    {
        warning!(
            "orphans go past us, we are not PID 1 and cannot be subreaper: {}",
            crate::error::describe(errno)
        );
    }
    let inherited = Inherited { mask, child_signal };
    let entrypoint =
        execve::start(&program, &[], inherited, Terminal::probe()).map_err(|failed| match failed {
            Failed::Spawn(errno) | Failed::Step(_, errno) => {
                Error::os("make a process for the program", errno)
            }
            Failed::Exec(candidate, errno) => program.explain(errno, candidate),
        })?;
    // The program has its own copies; ours would keep files and pipes alive that it closes.
    sys::fd::close_from(3, Closing::Now);
    init::supervise(entrypoint, &command.options)
}

/// Asks for a signal when our parent dies, and takes it now if it has died already.
fn die_with_parent(signal: i32) -> Result<()> {
    let parent = nix::unistd::getppid();
    sys::process::set_death_signal(signal).doing("set the death signal")?;
    if nix::unistd::getppid() != parent {
        return Err(Error::new("the parent died during the start"));
    }
    Ok(())
}
