//! The child: ordinary code in a copy of the parent's memory, until it becomes init.

use std::os::fd::{AsFd, OwnedFd};

use super::child_step::{ChildContext, set_death_signal};
use super::plan::Plan;
use super::sync::{self, Message};
use super::{hints, init};
use crate::error::{Doing, Error, Result, tolerate};
use crate::log::warning;
use crate::packed::packed;
use crate::primitives::execve::{self, Failed, Inherited};
use crate::primitives::mounts::Opened;
use crate::spec::caps::CapSet;
use crate::spec::init::Options;
use crate::spec::namespaces::Kind;
use crate::spec::user::Identity;
use crate::sys;
use crate::sys::signal::{Disposition, Set};
use crate::sys::terminal::Terminal;

/// What the child is given.
#[derive(Debug)]
pub(crate) struct Start<'a> {
    /// The plan.
    pub(crate) plan: &'a Plan,
    /// The child's end of the socket.
    pub(crate) channel: OwnedFd,
    /// Namespaces to join, opened.
    pub(crate) namespaces: Vec<(Kind, OwnedFd)>,
    /// What is shown of the host, as far as the parent had to open it.
    pub(crate) sources: Vec<(&'static str, Option<Opened>)>,
    /// What becomes of the terminal.
    pub(crate) terminal: Terminal,
}

/// Where it failed: the number of the step, if it was one.
type Fault = (Option<usize>, Error);

/// Sets up, becomes init, ends as the entrypoint ends.
pub(crate) fn run(start: Start<'_>) -> ! {
    let status = match set_up(start) {
        Err((step, error, channel)) => {
            let step = step.and_then(|step| u16::try_from(step).ok());
            let status = error.status;
            sync::tell(channel.as_fd(), &Message::Failed(step, error));
            status
        }
        Ok((entrypoint, options)) => match init::supervise(Some(entrypoint), &options, Terminal::Leave) {
            Ok(ended) => ended.status(&options),
            Err(error) => {
                warning!("{error}");
                crate::error::STATUS_OURS
            }
        },
    };
    sys::process::exit_now(status)
}

/// Everything up to the running entrypoint. A failure comes with the socket to tell it through.
fn set_up(
    start: Start<'_>,
) -> std::result::Result<(nix::unistd::Pid, Options), (Option<usize>, Error, OwnedFd)> {
    let Start { plan, channel, namespaces, sources, terminal } = start;
    let context = ChildContext {
        channel: channel.as_fd(),
        namespaces,
        root: None,
        dev: None,
        sources,
        who: Identity::of(0, 0),
    };
    let result = prepare(plan, context).and_then(|who| {
        // What is left of the host's descriptors, before anybody inside can look at ours.
        sys::fd::close_all_but(channel.as_fd());
        // Before it is true: afterwards somebody could hear from the entrypoint sooner than our parent from us. What comes
        // for it until then waits, since we have blocked all signals.
        sync::tell(channel.as_fd(), &Message::Ready);
        spawn(plan, &who, terminal)
    });
    let entrypoint = match result {
        Ok(entrypoint) => entrypoint,
        Err((step, error)) => return Err((step, error, channel)),
    };
    drop(channel);
    settle();
    Ok((entrypoint, Options { shares_pids: !plan.has_own_pids, ..Options::DEFAULT }))
}

/// The steps of the plan; returns whom the entrypoint becomes.
fn prepare(plan: &Plan, mut context: ChildContext<'_>) -> std::result::Result<Identity, Fault> {
    let channel = context.channel;
    let begin = || -> Result<bool> {
        sys::entry::forget_arguments();
        tolerate(sys::process::set_name(c"launcher:init"), "it is for those who read ps");
        // What is sent to our parent's group, it passes on: directly it would come twice. Where the container has a
        // terminal of its own, that of our caller's session is not even ours.
        if plan.console.is_own {
            sys::process::lead_session().doing(packed!("leave the session"))?;
        } else {
            tolerate(sys::process::lead_group(), "fails only for a leader of a session");
        }
        set_death_signal(channel).map_err(|error| error.within(packed!("set the death signal")))?;
        Ok(!plan.waits_for_go() || sync::wait_for_go(channel))
    };
    match begin() {
        Ok(true) => {}
        Ok(false) => sys::process::exit_now(crate::error::STATUS_OURS),
        Err(error) => return Err((None, error)),
    }
    for signal in 1..=sys::signal::LAST {
        // The container's processes start with defaults, whatever our caller ignored (nohup, SIGPIPE of a daemon).
        tolerate(
            sys::signal::set_disposition(signal, Disposition::Default),
            "EINVAL: KILL and STOP are never ignored",
        );
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::empty());
    for (index, step) in plan.child.iter().enumerate() {
        step.apply(&mut context).map_err(|error| (Some(plan.first_child_step() + index), error))?;
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    Ok(context.who)
}

/// Starts the entrypoint.
fn spawn(plan: &Plan, who: &Identity, terminal: Terminal) -> std::result::Result<nix::unistd::Pid, Fault> {
    let inherited = Inherited { mask: Set::EMPTY, child_signal: Disposition::Default };
    execve::start(&plan.program, &plan.entrypoint, who, inherited, terminal).map_err(|failed| match failed {
        Failed::Spawn(errno) => (None, Error::os(packed!("make the process of the entrypoint"), errno)),
        Failed::Step(index, errno) => {
            let error = Error::from(errno);
            let hint = plan.entrypoint.get(index).and_then(|step| hints::for_last_step(step, errno));
            (
                Some(plan.first_last_step() + index),
                match hint {
                    Some(hint) => error.hint(hint),
                    None => error,
                },
            )
        }
        Failed::Exec(path, errno) => (None, plan.program.explain(errno, &path)),
    })
}

/// Gives up the capabilities that init does not need any more. Not fatal, the entrypoint runs already.
fn settle() {
    // To signal an entrypoint that became another user. Without it there are fewer still, which is fine.
    let caps = sys::caps::permitted().and_then(|has| sys::caps::set(has & CapSet::KILL.0, 0));
    if let Err(errno) = caps {
        warning!("init could not give up its capabilities: {}", crate::error::describe(errno));
    }
}
