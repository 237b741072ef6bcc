//! PID 1: forwards signals, reaps, ends as the entrypoint ended.
//!
//! Each wake-up is turned into events, each event into an action by [`decide`], which makes no system call and is
//! tested as a table. Before the entrypoint runs an error is fatal; after that PID 1 warns and goes on. Nothing here
//! allocates memory.

use nix::errno::Errno;
use nix::unistd::Pid;

use super::backlog::Backlog;
use super::decide::{Action, Event, State, decide, depends_on_children};
use crate::error::{Doing, Result, describe, tolerate};
use crate::log::{debug, inform, warning};
use crate::packed::packed;
use crate::primitives::descendants;
use crate::spec::init::{Options, Place, Rules, Target};
use crate::sys;
use crate::sys::process::{Change, Who};
use crate::sys::signal::Received;
use crate::sys::terminal::{self, Terminal};

/// How many orphans that got their signal are remembered; more get it once more.
const TOLD: usize = 64;

/// How many signals may be passed on between two looks at our children.
const UNSEEN: u8 = 16;

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Ended {
    /// The end of the entrypoint.
    pub(crate) how: Change,
    /// How many orphans were reaped.
    pub(crate) reaped: u64,
}

impl Ended {
    /// The exit status that is ours: the entrypoint's, 128 + n for signal n, or what the user wants instead.
    pub(crate) fn status(&self, options: &Options) -> u8 {
        options.exit_map.get(self.how.status().unwrap_or(0))
    }
}

/// Runs as init until `entrypoint`, a child of ours, ends; every signal must be blocked. Without an entrypoint until
/// SIGTERM or SIGINT.
///
/// # Errors
/// The kernel does not let us wait for signals.
pub(crate) fn supervise(entrypoint: Option<Pid>, options: &Options, terminal: Terminal) -> Result<Ended> {
    let state = State::new(entrypoint, sys::process::own_pid(), options, now(options));
    let backlog = Backlog::default();
    let mut init = Init { state, options, terminal, backlog, told: [0; TOLD], reaped: 0 };
    let how = init.run().inspect_err(|_| {
        // Nobody would hear of its end.
        if let Some(pid) = entrypoint {
            tolerate(sys::process::kill(pid, libc::SIGKILL), "ESRCH: it has ended");
        }
    })?;
    match entrypoint {
        // dumb-init's way to tell those who are left in the session.
        Some(pid) if options.rules == Rules::DumbInit && options.place == Place::Session => {
            let group = Pid::from_raw(-pid.as_raw());
            tolerate(sys::process::kill(group, libc::SIGTERM), "ESRCH: nobody is left in it");
        }
        _ => {}
    }
    if options.shares_pids {
        kill_descendants();
    }
    Ok(Ended { how, reaped: init.reaped })
}

/// Milliseconds of the monotonic clock; not looked at where no timer can be.
fn now(options: &Options) -> u64 {
    let has_timers = options.stop_delay.is_some()
        || options.stop_timeout.is_some()
        || options.wait_all.is_some()
        || options.end_orphans.is_some();
    if has_timers { sys::clock::milliseconds() } else { 0 }
}

/// The running init.
struct Init<'a> {
    /// What it knows.
    state: State,
    /// What the user wants.
    options: &'a Options,
    /// What became of the terminal.
    terminal: Terminal,
    /// The queued signal that the entrypoint's queue has no room for.
    backlog: Backlog,
    /// The orphans that got their signal; 0 is a free place.
    told: [i32; TOLD],
    /// How many orphans were reaped.
    reaped: u64,
}

impl Init<'_> {
    /// Until the end.
    fn run(&mut self) -> Result<Change> {
        let mut received = None;
        let mut unseen = 0;
        loop {
            // First: it may have ended before the first signal is looked at, its SIGCHLD may have merged with another,
            // and whether it is stopped decides what becomes of many a signal. The others are passed on sooner; but not
            // for long, or a flood of SIGUSR1, which the kernel hands out before SIGCHLD, would hide every death.
            unseen += 1;
            let mut end = None;
            if unseen > UNSEEN || received.is_none_or(|signal| depends_on_children(signal, self.options)) {
                unseen = 0;
                end = self.reap_all()?;
            }
            if end.is_none() {
                end = received.take().and_then(|received| self.take(Event::Signal(received)));
            }
            while end.is_none()
                && let Some(timer) = self.state.take_due(now(self.options))
            {
                end = self.take(Event::Due(timer));
            }
            if let Some(how) = end {
                return Ok(how);
            }
            if let Some(signal) = self.backlog.take() {
                self.queue(signal);
            }
            let time = self.state.next_due().map(|due| due.saturating_sub(now(self.options)));
            received = sys::signal::wait_for_any(time, self.backlog.is_held_up())
                .doing(packed!("wait for signals"))?;
        }
    }

    /// Asks for changes until there are none: one SIGCHLD may stand for many. `Some`: this is the end.
    fn reap_all(&mut self) -> Result<Option<Change>> {
        let mut end = None;
        loop {
            match sys::process::wait(Who::AnyNow) {
                // Those who have ended with it are reaped first: their parent is about to be gone.
                Ok(Some((pid, change))) => end = self.take(Event::Changed(pid, change)).or(end),
                Ok(None) => return Ok(end),
                Err(Errno::ECHILD) if end.is_some() => return Ok(end),
                Err(Errno::ECHILD) if self.state.ended.is_some() => return Ok(self.take(Event::Alone)),
                Err(Errno::ECHILD) if self.state.entrypoint.is_none() => return Ok(None),
                // The kernel does not know the entrypoint as our child: its end would never be told.
                Err(errno) => return Err(errno).doing(packed!("wait for the entrypoint")),
            }
        }
    }

    /// Decides and acts. `Some`: this is the end.
    fn take(&mut self, event: Event) -> Option<Change> {
        match decide(event, &mut self.state, self.options, now(self.options)) {
            Action::Finish(how) => {
                inform!("ended: {how}");
                return Some(how);
            }
            Action::Forward { received, signal, wake, suspend } => {
                self.forward(received, signal, wake);
                if suspend {
                    tolerate(sys::process::kill(self.state.own, libc::SIGSTOP), "never refused");
                }
            }
            Action::Continue => self.send(libc::SIGCONT),
            Action::SignalAll(signal) => self.signal_all(signal),
            Action::StopAlong(signal) => self.stop_along(signal),
            Action::EndOrphans(signal) => self.end_orphans(signal),
            Action::Reaped(pid) => self.note_reaped(pid),
            Action::Ignore => {}
        }
        None
    }

    /// Passes a signal on.
    fn forward(&mut self, received: Received, signal: i32, wake: bool) {
        debug!("signal {} from {}: forwarded as {signal}", received.number, received.pid);
        if signal == libc::SIGCONT {
            self.give_terminal_back();
        }
        // Only one process can be sent a value.
        if received.is_queued() && self.options.target == Target::Child {
            self.queue(Received { number: signal, ..received });
        } else {
            self.send(signal);
        }
        if wake {
            self.send(libc::SIGCONT);
        }
    }

    /// Sends the entrypoint a signal with its value.
    fn queue(&mut self, signal: Received) {
        let Some(pid) = self.state.entrypoint.filter(|_| self.state.ended.is_none()) else { return };
        let sent = match self.backlog.send(pid, signal) {
            Err(Errno::EAGAIN | Errno::ENOSYS | Errno::EPERM) => sys::process::kill(pid, signal.number),
            result => result,
        };
        report(signal.number, sent);
    }

    /// Sends a signal to whom the user wants.
    fn send(&self, signal: i32) {
        let Some(pid) = self.state.entrypoint else { return };
        match self.options.target {
            Target::Child => report(signal, sys::process::kill(pid, signal)),
            Target::Group => {
                let sent = match sys::process::kill(Pid::from_raw(-pid.as_raw()), signal) {
                    // It could not be given a group of its own.
                    Err(Errno::ESRCH) => sys::process::kill(pid, signal),
                    result => result,
                };
                report(signal, sent);
            }
            Target::All => self.signal_all(signal),
        }
    }

    /// Signals everybody but us: all of our PID namespace, or where we are not PID 1 all that descend from us.
    fn signal_all(&self, signal: i32) {
        debug!("signal {signal} to all");
        if self.state.is_first() {
            report(signal, sys::process::kill_all_others(signal));
        } else if descendants::are_visible() {
            descendants::visit_all(self.state.own, &mut |pid| {
                report(signal, sys::process::kill(pid, signal));
            });
        } else if let Some(pid) = self.state.entrypoint {
            report(signal, sys::process::kill(pid, signal));
        }
    }

    /// Stops ourselves as the entrypoint was stopped, so that the shell we were started from has the terminal again.
    fn stop_along(&mut self, signal: i32) {
        let has_stopped = sys::signal::stop_self(signal);
        // Of an orphaned group nobody would continue us, and the kernel does not stop us. Then it must go on.
        if !has_stopped && signal == libc::SIGTSTP {
            self.state.stopped = false;
            self.send(libc::SIGCONT);
        }
    }

    /// Gives the terminal to the entrypoint again after we were continued, if it came back to us.
    fn give_terminal_back(&self) {
        if let (Terminal::Give, Some(pid)) = (self.terminal, self.state.entrypoint)
            && terminal::foreground() == Ok(nix::unistd::getpgrp())
        {
            tolerate(terminal::set_foreground(pid), "ENOTTY, EIO: the terminal has gone meanwhile");
        }
    }

    /// Signals each child of ours that is not the entrypoint, once.
    fn end_orphans(&mut self, signal: i32) {
        let (entrypoint, told) = (self.state.entrypoint, &mut self.told);
        descendants::visit_children(self.state.own, &mut |pid| {
            if Some(pid) == entrypoint || told.contains(&pid.as_raw()) {
                return;
            }
            if let Some(place) = told.iter_mut().find(|place| **place == 0) {
                *place = pid.as_raw();
            }
            report(signal, sys::process::kill(pid, signal));
        });
    }

    /// An orphan is gone.
    fn note_reaped(&mut self, pid: Pid) {
        self.reaped += 1;
        if self.options.end_orphans.is_some()
            && let Some(place) = self.told.iter_mut().find(|place| **place == pid.as_raw())
        {
            *place = 0;
        }
        if self.options.warn_on_reap {
            // tini's words: people look for them.
            warning!("Reaped zombie process with pid={pid}");
        } else {
            debug!("reaped process {pid}");
        }
    }
}

/// Says that a signal could not be sent.
fn report(signal: i32, sent: std::result::Result<(), Errno>) {
    match sent {
        // ESRCH: it is on its way out. EPERM: it became another user, and we may not (never a reason to end).
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => warning!("signal {signal} could not be forwarded: {}", describe(errno)),
    }
}

/// Kills what descends from us and is left, where no PID namespace does: children, then theirs, which become ours
/// as orphans, until there is nobody. A subreaper's job.
fn kill_descendants() {
    let mut is_left = descendants::are_visible();
    while is_left {
        is_left = false;
        descendants::visit_children(nix::unistd::getpid(), &mut |pid| {
            is_left = true;
            tolerate(sys::process::kill(pid, libc::SIGKILL), "ESRCH: gone by itself");
            tolerate(sys::process::wait(Who::Child(pid)), "ECHILD: reaped already");
        });
    }
}
