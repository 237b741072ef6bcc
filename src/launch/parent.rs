//! The parent: prepares the host, makes the child, stands by it, cleans up after it.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::sched::CloneFlags;
use nix::unistd::Pid;

use super::backlog::Backlog;
use super::child::{self, Start};
use super::hints;
use super::parent_step::{self, ParentContext, ParentStep};
use super::plan::Plan;
use super::relay::Relay;
use super::sync::{self, Message};
use crate::error::{Doing, Error, Result, tolerate};
use crate::log::{say, warning};
use crate::packed::{Fill, filled, packed};
use crate::primitives::cgroup::Cgroup;
use crate::primitives::namespaces;
use crate::primitives::rootfs::c_path;
use crate::spec::namespaces::Kind;
use crate::spec::process::Console;
use crate::sys;
use crate::sys::fd::Closing;
use crate::sys::ns::{Side, Wish};
use crate::sys::process::{Change, Who};
use crate::sys::signal::{Disposition, Received, Set};
use crate::sys::terminal::Terminal;

/// The child from outside.
#[derive(Debug)]
struct Child {
    /// Its pid; ours to reap, so the number stays valid until we do.
    pid: Pid,
    /// Its pidfd, where the kernel has such.
    pidfd: Option<OwnedFd>,
    /// Our end of the socket.
    channel: OwnedFd,
}

/// Goes on in the sealed copy, if the plan has one: before anything else, as it inherits what we change and say.
///
/// # Errors
/// There can be no copy.
pub(crate) fn seal(plan: &Plan) -> Result<()> {
    match plan.host.first() {
        Some(ParentStep::SealSelf) => parent_step::seal_self().map_err(|error| at_step(plan, 1, error)),
        _ => Ok(()),
    }
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Ending {
    /// With this exit status.
    Exited(u8),
    /// Something in it asked for a reboot, reboot(2).
    Reboot,
}

/// Carries out the plan and returns how the entrypoint ended; [`seal`] comes before it.
///
/// # Errors
/// A step failed; everything that was made on the host has been removed again.
pub(crate) fn launch(plan: &Plan) -> Result<Ending> {
    let mut context = ParentContext::default();
    // Descriptors of our caller are not the container's business; and none of ours may land on 0, 1 or 2.
    sys::fd::fill_closed_stdio(c"/dev/null").doing(packed!("open /dev/null on a closed standard stream"))?;
    sys::fd::close_from(3, Closing::OnExec);
    // From here on every signal waits until we look. Ignored, SIGCHLD would take away the child's status.
    sys::signal::set_disposition(libc::SIGCHLD, Disposition::Default).doing(packed!("reset SIGCHLD"))?;
    sys::signal::set_mask(Set::ALL).doing(packed!("block signals"))?;
    // Blocked, they reach us even if our caller ignores them (nohup): then they are not meant for us.
    let mut ignored = Vec::new();
    for signal in &[libc::SIGHUP, libc::SIGINT, libc::SIGQUIT, libc::SIGTERM] {
        if sys::signal::set_disposition(*signal, Disposition::Default) == Ok(Disposition::Ignored) {
            ignored.push(*signal);
        }
    }
    // With a terminal of its own the program leads a session there, and ours stays with us.
    let terminal = if plan.console.is_own { Terminal::Move } else { Terminal::probe() };
    let result = start(plan, &mut context, terminal).and_then(|child| stand_by(plan, &child, &ignored));
    if result.is_ok() {
        report_oom(plan.cgroups);
    }
    context.undo.run();
    // The entrypoint's group had it, which is gone; a shell that has it by now keeps it. SIGTTOU is blocked.
    let is_left = |group: Pid| sys::process::kill(Pid::from_raw(-group.as_raw()), 0) != Err(Errno::ESRCH);
    if terminal == Terminal::Give && !sys::terminal::foreground().is_ok_and(is_left) {
        tolerate(
            sys::terminal::set_foreground(nix::unistd::getpgrp()),
            "EIO, ENOTTY: the terminal has gone, nothing to take back",
        );
    }
    result
}

/// Steps on the host, the clone, steps for the child. A child that was made and cannot be completed is killed.
fn start(plan: &Plan, context: &mut ParentContext, terminal: Terminal) -> Result<Child> {
    for (index, step) in plan.host.iter().enumerate() {
        step.apply(context).map_err(|error| at_step(plan, index + 1, error))?;
    }
    let child = clone_child(plan, context, terminal)?;
    complete(plan, context, &child).inspect_err(|_| kill(&child))?;
    Ok(child)
}

/// What the child waits for.
fn complete(plan: &Plan, context: &mut ParentContext, child: &Child) -> Result<()> {
    // The rootfs must not be kept busy by us.
    nix::unistd::chdir(c"/").doing(packed!("enter /"))?;
    context.namespaces.clear();
    context.child = Some(child.pid);
    for (index, step) in plan.map.iter().enumerate() {
        step.apply(context).map_err(|error| at_step(plan, plan.host.len() + 2 + index, error))?;
    }
    context.sources.clear();
    if plan.waits_for_go() { sync::send_go(child.channel.as_fd()) } else { Ok(()) }
}

/// Makes the child in its namespaces.
fn clone_child(plan: &Plan, context: &mut ParentContext, terminal: Terminal) -> Result<Child> {
    let number = plan.host.len() + 1;
    let (channel, childs_end) = sync::channel()?;
    let namespaces = std::mem::take(&mut context.namespaces);
    let sources = std::mem::take(&mut context.sources);
    let start = Start { plan, channel: childs_end, namespaces, sources, terminal };
    if !plan.courier.is_empty() {
        let (pid, channel) =
            send_courier(plan, start, channel).map_err(|error| at_step(plan, number, error))?;
        return Ok(Child { pid, pidfd: None, channel });
    }
    let cgroup = open_cgroup(plan.cgroups);
    let wish = Wish { flags: plan.clone, cgroup: cgroup.as_ref().map(AsFd::as_fd) };
    match sys::ns::clone_process(wish) {
        Ok(Side::Child) => {
            drop(channel);
            drop(cgroup);
            child::run(start)
        }
        Ok(Side::Parent(born)) => {
            context.child_in_cgroup = born.in_cgroup;
            context.sources = start.sources; // the same mounts as the child's
            Ok(Child { pid: born.pid, pidfd: born.pidfd, channel })
        }
        Err(errno) => Err(at_step(plan, number, clone_error(plan.clone, errno))),
    }
}

/// A failed clone, with its usual cause.
fn clone_error(flags: CloneFlags, errno: Errno) -> Error {
    let error = Error::from(errno);
    match hints::for_clone(flags, errno) {
        Some(hint) => error.hint(hint),
        None => error,
    }
}

/// The v2 cgroup as a handle to be born in. Whoever cannot open it is attached the old way.
fn open_cgroup(cgroups: &[Cgroup]) -> Option<OwnedFd> {
    let folder = cgroups.iter().find_map(|cgroup| match cgroup {
        Cgroup::V2(folder) => Some(folder),
        Cgroup::V1(_) => None,
    })?;
    sys::fd::open_path(&c_path(folder).ok()?).ok()
}

/// Sends a process into the namespaces that the child must be born in, to make it there on our behalf.
fn send_courier(plan: &Plan, mut start: Start<'_>, channel: OwnedFd) -> Result<(Pid, OwnedFd)> {
    let courier = match sys::ns::clone_process(Wish { flags: CloneFlags::empty(), cgroup: None })
        .doing(packed!("fork"))?
    {
        Side::Parent(born) => born.pid,
        Side::Child => {
            // Held open in here, it would hide the parent's death from the child.
            drop(channel);
            let made = deliver(plan, &mut start);
            match made {
                Ok(Side::Child) => child::run(start),
                Ok(Side::Parent(born)) => {
                    sync::tell(start.channel.as_fd(), &Message::Born(born.pid.as_raw()));
                    sys::process::exit_now(0)
                }
                Err(error) => {
                    sync::tell(start.channel.as_fd(), &Message::Failed(None, error));
                    sys::process::exit_now(crate::error::STATUS_OURS)
                }
            }
        }
    };
    drop(start);
    sys::process::wait(Who::Child(courier)).doing(packed!("wait for the courier"))?;
    // The courier has spoken before it ended; its child, holding the other end, has nothing to say before Go.
    match sync::receive(channel.as_fd())? {
        Some(Message::Born(pid)) => Ok((Pid::from_raw(pid), channel)),
        Some(Message::Failed(_, error)) => Err(error),
        Some(Message::Ready) | None => Err(Error::new(packed!("the courier died"))),
    }
}

/// The courier's work: joins, then makes the child as a child of our parent.
fn deliver(plan: &Plan, start: &mut Start<'_>) -> Result<Side> {
    // Those inside could look into us from the moment we are there (CVE-2016-9962).
    sys::process::hide_from_ptrace().doing(packed!("become undumpable"))?;
    for kind in &plan.courier {
        let Some(index) = start.namespaces.iter().position(|(other, _)| other == kind) else { continue };
        let (_, file) = start.namespaces.swap_remove(index);
        namespaces::join(*kind, file.as_fd())
            .map_err(|error| error.within(filled!("join the {} namespace", kind.file())))?;
        if *kind == Kind::User {
            // Our groups have no meaning there.
            tolerate(sys::user::set_groups(&[]), "EPERM: setgroups is denied in there");
            crate::primitives::user::become_root(false, (0, 0))?;
        }
    }
    let flags = plan.clone | CloneFlags::CLONE_PARENT;
    sys::ns::clone_process(Wish { flags, cgroup: None }).map_err(|errno| clone_error(plan.clone, errno))
}

/// Puts the words of a step in front of what went wrong there.
fn at_step(plan: &Plan, number: usize, error: Error) -> Error {
    let step = plan.describe(number).unwrap_or_default();
    error.within(filled!("step {}: {}", [&number, &step]))
}

/// Kills and reaps a child that is not to be.
fn kill(child: &Child) {
    tolerate(send(child, libc::SIGKILL), "ESRCH: gone already");
    tolerate(sys::process::wait(Who::Child(child.pid)), "ECHILD: reaped already");
}

/// Waits until init ends, and forwards signals to it meanwhile. A child that we cannot wait for is killed.
///
/// Nothing wakes us while the child sets up: what it says lies in the socket until it ends, or until a signal comes
/// whose meaning depends on whether the set-up is over.
fn stand_by(plan: &Plan, child: &Child, ignored: &[i32]) -> Result<Ending> {
    let ended = wait_until_ended(plan, child, ignored).inspect_err(|_| kill(child))?;
    match ended {
        Ended::ByRequest(signal) => {
            kill(child);
            Ok(Ending::Exited(sys::process::status_of_signal(signal)))
        }
        Ended::ByItself(change) => outcome(plan, child, change),
    }
}

/// How the wait for init ended.
#[derive(Debug, Clone, Copy)]
enum Ended {
    /// It is gone.
    ByItself(Change),
    /// It still sets up, and somebody sent this signal to end us.
    ByRequest(i32),
}

/// Forwards signals until init ends, and bytes if the container has a terminal of its own.
fn wait_until_ended(plan: &Plan, child: &Child, ignored: &[i32]) -> Result<Ended> {
    let Console { is_own, has_input } = plan.console;
    let mut relay = is_own.then(|| Relay::new(child.channel.as_fd(), has_input)).transpose()?;
    let mut is_ready = false;
    let mut backlog = Backlog::default();
    loop {
        // First, always: its SIGCHLD may have come, or merged with another's, before we waited.
        if let Some(change) = end_of(child)? {
            if let Some(relay) = &mut relay {
                relay.finish(is_request_to_end);
            }
            return Ok(Ended::ByItself(change));
        }
        if let Some(signal) = backlog.take() {
            forward(child, signal, &mut backlog);
        }
        let received = match &mut relay {
            None => {
                sys::signal::wait_for_any(None, backlog.is_held_up()).doing(packed!("wait for signals"))?
            }
            Some(relay) => relay.wait(backlog.is_held_up())?,
        };
        let Some(received) = received else { continue };
        let Received { number, code, .. } = received;
        // The kernel's word about a child is ours; a process may send one too.
        let is_ours = (number == libc::SIGCHLD && code > 0) || ignored.contains(&number);
        if is_ours || relay.as_mut().is_some_and(|relay| relay.heed(&received)) {
            continue;
        }
        // A child that still sets up keeps the others for its entrypoint: it has blocked them all.
        if !is_ready && is_request_to_end(number) {
            is_ready = sync::peek(child.channel.as_fd())?;
            if !is_ready {
                return Ok(Ended::ByRequest(number));
            }
        }
        forward(child, received, &mut backlog);
    }
}

/// Whether a signal asks for an end where nothing has begun yet.
fn is_request_to_end(signal: i32) -> bool {
    matches!(signal, libc::SIGTERM | libc::SIGINT | libc::SIGHUP | libc::SIGQUIT)
}

/// What an ended child leaves: how init ended; or what failed before it was init.
fn outcome(plan: &Plan, child: &Child, change: Change) -> Result<Ending> {
    let mut was_ready = false;
    loop {
        match sync::receive(child.channel.as_fd())? {
            // The entrypoint may have failed to start all the same.
            Some(Message::Ready) => was_ready = true,
            Some(Message::Failed(Some(step), error)) => return Err(at_step(plan, usize::from(step), error)),
            Some(Message::Failed(None, error)) => return Err(error),
            Some(Message::Born(_)) => return Err(Error::new(packed!("the child spoke out of turn"))),
            None if was_ready => return Ok(ending(change)),
            None => return Err(silent_death(plan, change)),
        }
    }
}

/// What the end of init means. It has blocked all signals: of these two it only dies where reboot(2) was called in its PID
/// namespace, to restart it or to halt or power it off.
fn ending(change: Change) -> Ending {
    match change {
        Change::Killed(libc::SIGHUP) => Ending::Reboot,
        Change::Killed(libc::SIGINT) => Ending::Exited(0),
        _ => Ending::Exited(change.status().unwrap_or(crate::error::STATUS_OURS)),
    }
}

/// Says how a child died that left no word.
fn silent_death(plan: &Plan, change: Change) -> Error {
    let how = match change {
        Change::Killed(signal) => filled!("killed by {}", &signal_name(signal)).text(),
        other => other.to_string(),
    };
    Error::new(filled!("the child died during the set-up: {}", &how))
        .hint(hints::for_silent_death(!plan.cgroups.is_empty()))
}

/// A signal by name, or by number.
fn signal_name(signal: i32) -> String {
    signal_hook::low_level::signal_name(signal)
        .map_or_else(|| filled!("signal {}", &signal).text(), str::to_owned)
}

/// How init ended, if it has.
fn end_of(child: &Child) -> Result<Option<Change>> {
    while let Some((pid, change)) =
        sys::process::wait(Who::AnyNow).doing(packed!("wait for the container"))?
    {
        if pid == child.pid && change.status().is_some() {
            return Ok(Some(change));
        }
    }
    Ok(None)
}

/// Sends init a signal.
fn send(child: &Child, signal: i32) -> std::result::Result<(), Errno> {
    match &child.pidfd {
        Some(pidfd) => match sys::process::kill_pidfd(pidfd.as_fd(), signal) {
            Err(Errno::ENOSYS) => sys::process::kill(child.pid, signal),
            result => result,
        },
        None => sys::process::kill(child.pid, signal),
    }
}

/// Passes a signal on to init, which passes it on to the entrypoint.
fn forward(child: &Child, received: Received, backlog: &mut Backlog) {
    let signal = received.number;
    let queued = if received.is_queued() { backlog.send(child.pid, received) } else { Err(Errno::ENOSYS) };
    let sent = match queued {
        Err(Errno::EAGAIN | Errno::ENOSYS | Errno::EPERM) => send(child, signal),
        result => result,
    };
    match sent {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => {
            warning!("{} could not be forwarded: {}", signal_name(signal), crate::error::describe(errno));
        }
    }
}

/// Says that the memory limit killed, which a status of 137 alone does not.
fn report_oom(cgroups: &[Cgroup]) {
    let kills: u64 = cgroups.iter().filter_map(Cgroup::oom_kills).sum();
    if kills > 0 {
        say(format_args!(
            "{}",
            filled!(
                "out of memory: the kernel killed {} process(es) at the memory limit of the container",
                &kills
            )
        ));
    }
}
