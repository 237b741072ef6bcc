//! `launcher [--] PROGRAM`: init where somebody else made the container.
//!
//! Makes none of the calls that containers forbid, and survives a refusal of all that are not needed.

use std::ffi::OsStr;

use nix::unistd::Pid;

use crate::cli::init::InitCommand;
use crate::error::{Doing, Error, Result, tolerate};
use crate::launch::init::{self, Ended};
use crate::launch::report::Report;
use crate::log::{inform, set_verbosity, warning};
#[cfg(feature = "container")]
use crate::packed::filled;
use crate::packed::packed;
use crate::primitives::execve::{self, Failed, Inherited, Program, c_string};
use crate::primitives::last_step::LastStep;
use crate::spec::init::{Place, Rules};
use crate::spec::process::Process;
#[cfg(feature = "container")]
use crate::spec::process::{change_env, name_of};
#[cfg(feature = "container")]
use crate::spec::user::Groups;
use crate::spec::user::Identity;
use crate::sys;
use crate::sys::fd::Closing;
use crate::sys::process::Change;
use crate::sys::signal::{Disposition, Set};
use crate::sys::terminal::Terminal;

/// Runs the program as a child of ours and returns its exit status. Where a signal killed it, and we are not PID 1, we
/// die of it too: whoever waits for us sees what happened.
///
/// # Errors
/// The program cannot be executed (126, 127), or a call fails that no system forbids.
pub(crate) fn run(command: &InitCommand) -> Result<u8> {
    set_verbosity(command.options.verbosity);
    let say = |error: Error| {
        let status = command.options.rules.status(error.status);
        error.status(status).said_by(command.name)
    };
    let report =
        command.report.as_ref().map(|path| Report::open(&c_string(path)?)).transpose().map_err(say)?;
    match supervise(command, report.as_ref()).map_err(say) {
        Ok(ended) => {
            let status = ended.status(&command.options);
            if let Some(report) = &report {
                report.write(&ended, status);
            }
            end_as(ended.how, status, command.options.rules);
            Ok(status)
        }
        Err(error) => {
            if let Some(report) = &report {
                report.write_error(&error);
            }
            Err(error)
        }
    }
}

/// Dies as the program died, where that can be and nobody wants another status.
fn end_as(how: Change, status: u8, rules: Rules) {
    if let Change::Killed(signal) = how
        && how.status() == Some(status)
        && rules == Rules::Launcher
        && nix::unistd::getpid().as_raw() != 1
    {
        sys::signal::die_of(signal);
    }
}

/// Starts the program and stands by it.
fn supervise(command: &InitCommand, report: Option<&Report>) -> Result<Ended> {
    let options = &command.options;
    // Every signal waits until the loop takes it: nothing is lost between start and exec.
    let mask = sys::signal::set_mask(Set::ALL).doing(packed!("block signals"))?;
    // Ignored, SIGCHLD would take away the child's status. The child gets back what we got.
    let child_signal =
        sys::signal::set_disposition(libc::SIGCHLD, Disposition::Default).doing(packed!("reset SIGCHLD"))?;
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
    let terminal = match options.place {
        Place::Group => Terminal::probe(),
        Place::Session => Terminal::probe_session(),
        Place::Same => Terminal::Join,
    };
    let entrypoint = if command.process.args.is_empty() {
        None
    } else {
        Some(start(&command.process, Inherited { mask, child_signal }, terminal)?)
    };
    // The program has its own copies; ours would keep files, pipes and file systems alive that it leaves.
    match report {
        Some(report) => sys::fd::close_all_but(report.file()),
        None => sys::fd::close_from(3, Closing::Now),
    }
    tolerate(nix::unistd::chdir(c"/"), "EACCES: where we are we cannot do harm either");
    let ended = init::supervise(entrypoint, options, terminal);
    // Still the program's group: a script that goes on after us could not read. Anybody else's is not ours to take.
    if terminal == Terminal::Give && sys::terminal::foreground().ok() == entrypoint {
        tolerate(sys::terminal::set_foreground(nix::unistd::getpgrp()), "EIO, ENOTTY: the terminal has gone");
    }
    ended
}

/// Starts the program.
fn start(process: &Process, inherited: Inherited, terminal: Terminal) -> Result<Pid> {
    let env = environment(process);
    let mut program = Program::new(&process.args, &env)?;
    program.hand_on_sockets(nix::unistd::getpid());
    let who = identity(process)?;
    let steps = steps(process)?;
    let pid = execve::start(&program, &steps, &who, inherited, terminal).map_err(|failed| match failed {
        Failed::Spawn(errno) => Error::os(packed!("make a process for the program"), errno),
        Failed::Step(index, errno) => {
            let step = steps.get(index).map(ToString::to_string).unwrap_or_default();
            Error::os(step, errno)
        }
        Failed::Exec(path, errno) => program.explain(errno, &path),
    })?;
    inform!("started {} as process {pid}", program.name());
    Ok(pid)
}

/// Ours; the smallest build has no options for it.
#[cfg(not(feature = "container"))]
fn environment(_: &Process) -> Vec<&'static OsStr> {
    sys::entry::environment()
}

/// Ours with the changes that are asked for.
#[cfg(feature = "container")]
fn environment(process: &Process) -> Vec<&'static OsStr> {
    let callers = sys::entry::environment();
    let mut env = callers.clone();
    if process.user.is_some() && !env.iter().any(|entry| name_of(entry) == Some(b"HOME")) {
        env.push(OsStr::new("HOME=/")); // a place for the user's
    }
    change_env(&mut env, &process.env, &callers);
    env
}

/// What the program does to itself: the smallest build has no options for it.
#[cfg(not(feature = "container"))]
#[allow(clippy::unnecessary_wraps, reason = "as below")]
const fn steps(_: &Process) -> Result<Vec<LastStep>> {
    Ok(Vec::new())
}

/// What the program does to itself; nothing where nothing is asked.
#[cfg(feature = "container")]
fn steps(process: &Process) -> Result<Vec<LastStep>> {
    let mut steps: Vec<_> = process.rlimits.iter().copied().map(LastStep::Limit).collect();
    steps.extend(process.umask.map(LastStep::SetUmask));
    let cwd = process.cwd.map(execve::kept_c_string).transpose()?;
    if let Some(user) = &process.user {
        steps.extend(cwd.map(LastStep::ChangeDir)); // who we are may enter what the user may not
        if !process.groups.kept {
            steps.push(LastStep::SetGroups { may_be_denied: false });
        }
        steps.push(LastStep::SetGid(user.group)); // before the user id: no right to it afterwards
        steps.push(LastStep::SetUid(user.user));
    }
    steps.extend(cwd.map(LastStep::ConfirmDir));
    Ok(steps)
}

/// Whom the program becomes, which is not looked at where nobody is named.
#[cfg(not(feature = "container"))]
#[allow(clippy::unnecessary_wraps, reason = "as below")]
const fn identity(_: &Process) -> Result<Identity> {
    Ok(Identity::NOBODY)
}

/// Whom the program becomes, which is not looked at where nobody is named.
#[cfg(feature = "container")]
fn identity(process: &Process) -> Result<Identity> {
    let groups = &process.groups;
    match &process.user {
        None if *groups == Groups::default() => Ok(Identity::NOBODY),
        None => Err(Error::new(packed!("--group-add needs --user"))),
        Some(user) => crate::primitives::user::find(user, &groups.added, !process.names_home())
            .map_err(|error| error.within(filled!("--user {}", user))),
    }
}

/// Asks for a signal when our parent dies, and takes it now if it has died already.
fn die_with_parent(signal: i32) -> Result<()> {
    let parent = nix::unistd::getppid();
    sys::process::set_death_signal(signal).doing(packed!("set the death signal"))?;
    if nix::unistd::getppid() != parent {
        return Err(Error::new(packed!("the parent died during the start")));
    }
    Ok(())
}
