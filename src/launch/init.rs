//! PID 1: forwards signals, reaps, ends as the entrypoint ended.
//!
//! Each wake-up is turned into events, each event into an action by [`decide`], which makes no system call and is
//! tested as a table. Before the entrypoint runs an error is fatal; after that PID 1 warns and goes on.

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::error::{Doing, Result};
use crate::log::warning;
use crate::spec::init::Options;
use crate::sys;
use crate::sys::process::{Change, Who};
use crate::sys::signal::Received;

/// What PID 1 knows between two events.
#[derive(Debug, Clone, Copy, PartialEq)]
struct State {
    /// The process whose end is ours.
    entrypoint: Pid,
    /// It was stopped and has not been told to continue.
    stopped: bool,
    /// It was asked to end, by SIGTERM.
    ending: bool,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Event {
    /// A signal for us.
    Signal(Received),
    /// A child of ours ended or stopped.
    Changed(Pid, Change),
}

/// What PID 1 does about it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Action {
    /// Passes this signal on; then makes a stopped entrypoint continue, so that it sees it.
    Forward {
        /// Its number.
        signal: i32,
        /// SIGCONT follows it.
        wake: bool,
    },
    /// Ends with this status.
    Finish(u8),
    /// An orphan is gone.
    Reaped(Pid),
    /// Nothing.
    Ignore,
}

/// What to do about an event: pure.
fn decide(event: Event, state: &mut State) -> Action {
    match event {
        // The kernel's own word about a child; the caller asks for the changes. A process may send one too.
        Event::Signal(Received { number: libc::SIGCHLD, code }) if code > 0 => Action::Ignore,
        // The terminal tells us that we are in the background: ours alone.
        Event::Signal(Received { number: libc::SIGTTIN | libc::SIGTTOU, .. }) => Action::Ignore,
        Event::Signal(Received { number, .. }) => {
            let ends =
                matches!(number, libc::SIGTERM | libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGCONT);
            let wake = state.stopped && ends;
            state.stopped &= !wake;
            state.ending |= number == libc::SIGTERM;
            Action::Forward { signal: number, wake: wake && number != libc::SIGCONT }
        }
        Event::Changed(pid, change) if pid == state.entrypoint => match change {
            Change::Exited(_) | Change::Killed(_) => change.status().map_or(Action::Ignore, Action::Finish),
            // Ctrl-Z: nobody outside can continue it, the terminal would hang.
            Change::Stopped(libc::SIGTSTP) => Action::Forward { signal: libc::SIGCONT, wake: false },
            // It was asked to end and stops before it sees that: it would never end.
            Change::Stopped(_) if state.ending => Action::Forward { signal: libc::SIGCONT, wake: false },
            Change::Stopped(_) => {
                state.stopped = true;
                Action::Ignore
            }
        },
        Event::Changed(pid, Change::Exited(_) | Change::Killed(_)) => Action::Reaped(pid),
        Event::Changed(_, Change::Stopped(_)) => Action::Ignore,
    }
}

/// Runs as init until `entrypoint`, a child of ours, ends; every signal must be blocked. Returns the exit status.
///
/// # Errors
/// The kernel does not let us wait for signals.
pub(crate) fn supervise(entrypoint: Pid, options: &Options) -> Result<u8> {
    let mut state = State { entrypoint, stopped: false, ending: false };
    let mut received = None;
    loop {
        // First, always: it may have ended before the first signal is looked at, its SIGCHLD may have merged with
        // another, and whether it is stopped decides what becomes of the signal.
        if let Some(status) = reap_all(&mut state, options)? {
            #[cfg(feature = "container")]
            if options.kill_rest {
                kill_descendants();
            }
            return Ok(apply_map(status, &options.as_success));
        }
        if let Some(received) = received {
            act(decide(Event::Signal(received), &mut state), state.entrypoint, options);
        }
        received = Some(sys::signal::wait_for_any().doing("wait for signals")?);
    }
}

/// Asks for changes until there are none: one SIGCHLD may stand for many. `Some`: the entrypoint ended.
///
/// # Errors
/// The kernel does not know the entrypoint as our child (any more): its end would never be told.
fn reap_all(state: &mut State, options: &Options) -> Result<Option<u8>> {
    let mut end = None;
    loop {
        match sys::process::wait(Who::AnyNow) {
            Ok(Some((pid, change))) => match decide(Event::Changed(pid, change), state) {
                // The others are reaped first: their parent is about to be gone.
                Action::Finish(status) => end = Some(status),
                action => act(action, state.entrypoint, options),
            },
            Ok(None) => return Ok(end),
            // ECHILD: it was the last one.
            Err(_) if end.is_some() => return Ok(end),
            Err(errno) => return Err(errno).doing("wait for the entrypoint"),
        }
    }
}

/// Does what was decided.
fn act(action: Action, entrypoint: Pid, options: &Options) {
    let Action::Forward { signal, wake } = action else {
        if let (Action::Reaped(pid), true) = (action, options.warn_on_reap) {
            warning!("reaped zombie process with pid={pid}");
        }
        return;
    };
    let pid = entrypoint.as_raw();
    let target = Pid::from_raw(if options.to_group { -pid } else { pid });
    let sent = match sys::process::kill(target, signal) {
        // It could not be given a group of its own.
        Err(Errno::ESRCH) if options.to_group => sys::process::kill(entrypoint, signal),
        result => result,
    };
    if wake && sent.is_ok() {
        act(Action::Forward { signal: libc::SIGCONT, wake: false }, entrypoint, options);
    }
    match sent {
        // ESRCH: it is on its way out. EPERM: it became another user, and we may not (never a reason to end).
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(errno) => warning!("signal {signal} could not be forwarded: {}", crate::error::describe(errno)),
    }
}

/// tini's `-e`: some statuses count as success.
fn apply_map(status: u8, as_success: &[u64; 4]) -> u8 {
    let word = as_success.get(usize::from(status / 64)).copied().unwrap_or(0);
    if word >> (status % 64) & 1 == 1 { 0 } else { status }
}

/// Kills what descends from us and is left, where no PID namespace does: children, then theirs, which become ours
/// as orphans, until there is nobody. A subreaper's job.
#[cfg(feature = "container")]
fn kill_descendants() {
    let own = nix::unistd::getpid().to_string();
    // In a joined PID namespace /proc may be another one's, and its numbers would mean strangers.
    if std::fs::read_link("/proc/self").ok().as_deref() != Some(std::path::Path::new(&own)) {
        return;
    }
    let own = format!("{own}/task/{own}");
    let children = std::path::Path::new("/proc").join(own).join("children");
    while let Ok(text) = std::fs::read_to_string(&children) {
        for pid in text.split_ascii_whitespace().filter_map(|word| word.parse().ok()) {
            crate::error::tolerate(
                sys::process::kill(Pid::from_raw(pid), libc::SIGKILL),
                "ESRCH: gone by itself",
            );
            crate::error::tolerate(
                sys::process::wait(Who::Child(Pid::from_raw(pid))),
                "ECHILD: reaped already",
            );
        }
        if text.trim_ascii().is_empty() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entrypoint in these tests.
    const MAIN: Pid = Pid::from_raw(2);
    /// Some other child.
    const OTHER: Pid = Pid::from_raw(9);

    /// The state at the beginning.
    fn fresh() -> State {
        State { entrypoint: MAIN, stopped: false, ending: false }
    }

    /// A signal sent by a process.
    fn sent(number: i32) -> Event {
        Event::Signal(Received { number, code: 0 })
    }

    #[test]
    fn every_signal_is_forwarded_but_the_kernels_word_about_children_and_the_background() {
        for number in 1..=sys::signal::LAST {
            let mut state = fresh();
            let want = match number {
                libc::SIGTTIN | libc::SIGTTOU => Action::Ignore,
                signal => Action::Forward { signal, wake: false },
            };
            assert_eq!(decide(sent(number), &mut state), want, "{number}");
        }
        let mut state = fresh();
        let kernel = Event::Signal(Received { number: libc::SIGCHLD, code: libc::CLD_EXITED });
        assert_eq!(decide(kernel, &mut state), Action::Ignore);
    }

    #[test]
    fn the_end_of_the_entrypoint_is_ours_and_nobody_elses() {
        for (pid, change, want) in [
            (MAIN, Change::Exited(0), Action::Finish(0)),
            (MAIN, Change::Exited(255), Action::Finish(255)),
            (MAIN, Change::Killed(9), Action::Finish(137)),
            (MAIN, Change::Killed(64), Action::Finish(192)),
            (OTHER, Change::Exited(3), Action::Reaped(OTHER)),
            (OTHER, Change::Killed(9), Action::Reaped(OTHER)),
            (OTHER, Change::Stopped(libc::SIGSTOP), Action::Ignore),
        ] {
            let mut state = fresh();
            assert_eq!(decide(Event::Changed(pid, change), &mut state), want, "{change:?}");
        }
    }

    #[test]
    fn a_stopped_entrypoint_gets_to_see_a_signal_that_wants_its_end() {
        let mut state = fresh();
        assert_eq!(decide(Event::Changed(MAIN, Change::Stopped(libc::SIGSTOP)), &mut state), Action::Ignore);
        assert_eq!(
            decide(sent(libc::SIGUSR1), &mut state),
            Action::Forward { signal: libc::SIGUSR1, wake: false }
        );
        assert_eq!(
            decide(sent(libc::SIGTERM), &mut state),
            Action::Forward { signal: libc::SIGTERM, wake: true }
        );
        assert_eq!(
            decide(sent(libc::SIGTERM), &mut state),
            Action::Forward { signal: libc::SIGTERM, wake: false }
        );
    }

    #[test]
    fn who_was_asked_to_end_does_not_stay_stopped() {
        let mut state = fresh();
        assert_eq!(
            decide(sent(libc::SIGTERM), &mut state),
            Action::Forward { signal: libc::SIGTERM, wake: false }
        );
        let stopped = Event::Changed(MAIN, Change::Stopped(libc::SIGSTOP));
        assert_eq!(decide(stopped, &mut state), Action::Forward { signal: libc::SIGCONT, wake: false });
    }

    #[test]
    fn ctrl_z_cannot_freeze_a_container() {
        let mut state = fresh();
        let stopped = Event::Changed(MAIN, Change::Stopped(libc::SIGTSTP));
        assert_eq!(decide(stopped, &mut state), Action::Forward { signal: libc::SIGCONT, wake: false });
    }

    #[test]
    fn statuses_can_be_mapped_to_success() {
        let map = [1 << 3, 0, 1 << (143 - 128), 1 << 63];
        for (status, want) in [(3, 0), (4, 4), (143, 0), (255, 0), (0, 0)] {
            assert_eq!(apply_map(status, &map), want);
        }
    }
}
