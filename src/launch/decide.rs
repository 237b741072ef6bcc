//! What PID 1 does about what happens: pure, tested as tables.

use std::time::Duration;

use nix::unistd::Pid;

use crate::spec::init::{JobControl, Options};
use crate::sys::process::Change;
use crate::sys::signal::Received;

/// What PID 1 knows between two events.
#[allow(clippy::struct_excessive_bools, reason = "four facts that have nothing to do with each other")]
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct State {
    /// The process whose end is ours; `None` where there is none (pause).
    pub(super) entrypoint: Option<Pid>,
    /// Ourselves.
    pub(super) own: Pid,
    /// The entrypoint was stopped and has not been told to continue.
    pub(super) stopped: bool,
    /// It was asked to end, by SIGTERM.
    pub(super) ending: bool,
    /// We were asked to stop, and may hold that back.
    pub(super) asked: bool,
    /// The stop signal that is held back.
    pub(super) held: Option<Received>,
    /// How the entrypoint ended, while the others are waited for.
    pub(super) ended: Option<Change>,
    /// They got SIGKILL.
    pub(super) killed: bool,
    /// When which timer is due, in milliseconds of the monotonic clock.
    pub(super) due: [Option<u64>; Timer::COUNT],
}

/// What may become due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Timer {
    /// A stop signal was held back for long enough.
    Held,
    /// The time after a stop signal is over.
    Stop,
    /// The time of those that are left is over.
    Rest,
    /// Orphans are looked for. The kernel tells nobody that a process was given to us.
    Orphans,
}

impl Timer {
    /// How many there are.
    const COUNT: usize = 4;
    /// All, in the order in which they are looked at.
    pub(super) const ALL: [Self; Self::COUNT] = [Self::Held, Self::Stop, Self::Rest, Self::Orphans];
}

/// How often orphans are looked for where that is wanted.
const ORPHANS: Duration = Duration::from_secs(1);

/// How long those who were killed may take to vanish: one may hang in the kernel.
const VANISH: Duration = Duration::from_secs(2);

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Event {
    /// A signal for us.
    Signal(Received),
    /// A child of ours ended or stopped.
    Changed(Pid, Change),
    /// We have no child any more.
    Alone,
    /// A timer is due.
    Due(Timer),
}

/// What PID 1 does about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Action {
    /// Passes a signal on.
    Forward {
        /// What came.
        received: Received,
        /// What is sent for it.
        signal: i32,
        /// SIGCONT follows it: a stopped entrypoint is to see it.
        wake: bool,
        /// Then stops ourselves.
        suspend: bool,
    },
    /// Makes the entrypoint continue.
    Continue,
    /// Signals everybody but us.
    SignalAll(i32),
    /// Stops us as this signal stopped the entrypoint.
    StopAlong(i32),
    /// Signals the orphans that were given to us.
    EndOrphans(i32),
    /// Ends as the entrypoint did.
    Finish(Change),
    /// An orphan is gone.
    Reaped(Pid),
    /// Nothing.
    Ignore,
}

impl State {
    /// The beginning, at this time.
    pub(super) fn new(entrypoint: Option<Pid>, own: Pid, options: &Options, now: u64) -> Self {
        let mut state = Self {
            entrypoint,
            own,
            stopped: false,
            ending: false,
            asked: false,
            held: None,
            ended: None,
            killed: false,
            due: [None; Timer::COUNT],
        };
        if options.end_orphans.is_some() {
            state.arm(Timer::Orphans, ORPHANS, now);
        }
        state
    }

    /// Whether we are PID 1, whom nobody stops or continues.
    pub(super) fn is_first(&self) -> bool {
        self.own.as_raw() == 1
    }

    /// Sets a timer.
    fn arm(&mut self, timer: Timer, after: Duration, now: u64) {
        let after = u64::try_from(after.as_millis()).unwrap_or(u64::MAX);
        if let Some(place) = self.due.get_mut(timer as usize) {
            *place = Some(now.saturating_add(after));
        }
    }

    /// When a timer is due.
    fn due(&self, timer: Timer) -> Option<u64> {
        self.due.get(timer as usize).copied().flatten()
    }

    /// Nothing is held back any more.
    fn release(&mut self) {
        self.held = None;
        if let Some(place) = self.due.get_mut(Timer::Held as usize) {
            *place = None;
        }
    }

    /// When the next timer is due; `None`: there is nothing but signals to wait for.
    pub(super) fn next_due(&self) -> Option<u64> {
        self.due.iter().copied().flatten().min()
    }

    /// Takes the first timer that is due.
    pub(super) fn take_due(&mut self, now: u64) -> Option<Timer> {
        Timer::ALL.into_iter().find(|timer| {
            let place = self.due.get_mut(*timer as usize);
            place.is_some_and(|place| place.take_if(|time| *time <= now).is_some())
        })
    }
}

/// What to do about an event.
pub(super) fn decide(event: Event, state: &mut State, options: &Options, now: u64) -> Action {
    match event {
        // The kernel's own word about a child; the caller asks for the changes. A process may send one too.
        Event::Signal(Received { number: libc::SIGCHLD, code, .. }) if code > 0 => Action::Ignore,
        // HUP and CONT by which the kernel says that we gave up our terminal: nobody else sends under our name.
        Event::Signal(Received { code: libc::SI_USER, pid, .. }) if pid == state.own.as_raw() => {
            Action::Ignore
        }
        Event::Signal(received) => signal(received, state, options, now),
        Event::Changed(pid, change) if Some(pid) == state.entrypoint && state.ended.is_none() => match change
        {
            Change::Exited(_) | Change::Killed(_) => end(change, state, options, now),
            Change::Stopped(how) => stop(how, state, options),
        },
        Event::Changed(pid, Change::Exited(_) | Change::Killed(_)) => Action::Reaped(pid),
        Event::Changed(_, Change::Stopped(_)) => Action::Ignore,
        Event::Alone => state.ended.map_or(Action::Ignore, Action::Finish),
        Event::Due(timer) => due(timer, state, options, now),
    }
}

/// A signal came.
fn signal(received: Received, state: &mut State, options: &Options, now: u64) -> Action {
    let number = received.number;
    if state.entrypoint.is_none() && state.ended.is_none() {
        let ends = matches!(number, libc::SIGTERM | libc::SIGINT);
        return if ends { end(Change::Exited(0), state, options, now) } else { Action::Ignore };
    }
    let is_terminals = matches!(number, libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU);
    match options.job_control {
        JobControl::Drop if is_terminals => return Action::Ignore,
        // The terminal tells us that we are in the background: ours alone.
        JobControl::Forward if matches!(number, libc::SIGTTIN | libc::SIGTTOU) => return Action::Ignore,
        _ => {}
    }
    if state.ended.is_some() {
        return match options.sent_for(number) {
            0 => Action::Ignore,
            signal => Action::SignalAll(signal),
        };
    }
    if is_stop(number) {
        match (options.stop_delay, state.held) {
            (Some(delay), None) if !state.asked => {
                state.asked = true;
                state.held = Some(received);
                state.arm(Timer::Held, delay, now);
                return Action::Ignore;
            }
            // Asked twice: nobody wants to wait.
            _ => state.release(),
        }
    }
    let suspend = is_terminals && options.job_control == JobControl::Suspend;
    forward(received, suspend, state, options, now)
}

/// Whether a signal asks for an end, as far as timers are concerned.
const fn is_stop(number: i32) -> bool {
    matches!(number, libc::SIGTERM | libc::SIGINT | libc::SIGQUIT)
}

/// Whether a stopped entrypoint is woken for a signal: one that asks for an end, or to go on.
const fn wakes(signal: i32) -> bool {
    matches!(signal, libc::SIGTERM | libc::SIGHUP | libc::SIGINT | libc::SIGQUIT | libc::SIGCONT)
}

/// Whether what becomes of a signal may be another after a look at what has happened to our children.
pub(super) fn depends_on_children(received: Received, options: &Options) -> bool {
    let number = received.number;
    wakes(options.sent_for(number))
        || is_stop(number)
        || number == libc::SIGCHLD
        || options.wait_all.is_some()
}

/// Passes a signal on, as what it is rewritten to.
fn forward(received: Received, suspend: bool, state: &mut State, options: &Options, now: u64) -> Action {
    if let Some(timeout) = options.stop_timeout
        && is_stop(received.number)
        && state.due(Timer::Stop).is_none()
    {
        state.arm(Timer::Stop, timeout, now);
    }
    let signal = options.sent_for(received.number);
    if signal == 0 {
        return Action::Ignore;
    }
    let wake = state.stopped && wakes(signal);
    state.stopped &= !wake;
    state.ending |= signal == libc::SIGTERM;
    Action::Forward { received, signal, wake: wake && signal != libc::SIGCONT, suspend }
}

/// The entrypoint has ended.
fn end(change: Change, state: &mut State, options: &Options, now: u64) -> Action {
    match options.wait_all {
        None => Action::Finish(change),
        Some(time) => {
            state.ended = Some(change);
            state.release();
            state.arm(Timer::Rest, time, now);
            Action::SignalAll(libc::SIGTERM)
        }
    }
}

/// The entrypoint was stopped by this signal.
fn stop(how: i32, state: &mut State, options: &Options) -> Action {
    // It was asked to end and stops before it sees that: it would never end.
    if state.ending {
        return Action::Continue;
    }
    let is_in_container = state.is_first() || options.shares_pids;
    match how {
        // Ctrl-Z: nobody outside can continue a container, its terminal would hang.
        libc::SIGTSTP if is_in_container => return Action::Continue,
        // A shell waits for us to stop as well; it continues us, and we the entrypoint.
        libc::SIGTSTP | libc::SIGTTIN | libc::SIGTTOU if !is_in_container => {
            state.stopped = true;
            return Action::StopAlong(how);
        }
        _ => state.stopped = true,
    }
    Action::Ignore
}

/// A timer is due.
fn due(timer: Timer, state: &mut State, options: &Options, now: u64) -> Action {
    match timer {
        Timer::Held => match state.held.take() {
            Some(received) => forward(received, false, state, options, now),
            None => Action::Ignore,
        },
        Timer::Stop => Action::SignalAll(libc::SIGKILL),
        Timer::Rest => match state.ended {
            Some(change) if state.killed => Action::Finish(change),
            _ => {
                state.killed = true;
                state.arm(Timer::Rest, VANISH, now);
                Action::SignalAll(libc::SIGKILL)
            }
        },
        Timer::Orphans => {
            state.arm(Timer::Orphans, ORPHANS, now);
            options.end_orphans.map_or(Action::Ignore, Action::EndOrphans)
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

    /// The beginning, as PID 1.
    fn fresh(options: &Options) -> State {
        State::new(Some(MAIN), Pid::from_raw(1), options, 0)
    }

    /// A signal sent by a process.
    fn received(number: i32) -> Received {
        Received { number, code: 0, pid: 5, uid: 0, value: 0 }
    }

    /// What is done about a signal, by its number alone.
    fn sent(number: i32, state: &mut State, options: &Options, now: u64) -> Option<(i32, bool)> {
        match decide(Event::Signal(received(number)), state, options, now) {
            Action::Forward { signal, wake, .. } => Some((signal, wake)),
            _ => None,
        }
    }

    #[test]
    fn every_signal_is_forwarded_but_the_kernels_word_about_children_and_the_background() {
        let options = Options::DEFAULT;
        for number in 1..=64 {
            let want = (![libc::SIGTTIN, libc::SIGTTOU].contains(&number)).then_some((number, false));
            assert_eq!(sent(number, &mut fresh(&options), &options, 0), want, "{number}");
        }
        for kernels in [
            Received { code: libc::CLD_EXITED, ..received(libc::SIGCHLD) },
            Received { pid: 1, ..received(libc::SIGHUP) },
        ] {
            let action = decide(Event::Signal(kernels), &mut fresh(&options), &options, 0);
            assert_eq!(action, Action::Ignore);
        }
    }

    #[test]
    fn the_end_of_the_entrypoint_is_ours_and_nobody_elses() {
        let options = Options::DEFAULT;
        for (pid, change, want) in [
            (MAIN, Change::Exited(3), Action::Finish(Change::Exited(3))),
            (MAIN, Change::Killed(64), Action::Finish(Change::Killed(64))),
            (OTHER, Change::Exited(3), Action::Reaped(OTHER)),
            (OTHER, Change::Killed(9), Action::Reaped(OTHER)),
            (OTHER, Change::Stopped(libc::SIGSTOP), Action::Ignore),
            (MAIN, Change::Stopped(libc::SIGTSTP), Action::Continue), // Ctrl-Z cannot freeze a container
            (MAIN, Change::Stopped(libc::SIGSTOP), Action::Ignore),
        ] {
            assert_eq!(
                decide(Event::Changed(pid, change), &mut fresh(&options), &options, 0),
                want,
                "{change}"
            );
        }
        let mut state = State { own: Pid::from_raw(77), ..fresh(&options) };
        let stopped = Event::Changed(MAIN, Change::Stopped(libc::SIGTSTP));
        assert_eq!(decide(stopped, &mut state, &options, 0), Action::StopAlong(libc::SIGTSTP));
    }

    #[test]
    fn a_stopped_entrypoint_gets_to_see_a_signal_that_wants_its_end() {
        let options = Options::DEFAULT;
        let mut state = fresh(&options);
        let stopped = Event::Changed(MAIN, Change::Stopped(libc::SIGSTOP));
        assert_eq!(decide(stopped, &mut state, &options, 0), Action::Ignore);
        assert_eq!(sent(libc::SIGUSR1, &mut state, &options, 0), Some((libc::SIGUSR1, false)));
        assert_eq!(sent(libc::SIGTERM, &mut state, &options, 0), Some((libc::SIGTERM, true)));
        assert_eq!(sent(libc::SIGTERM, &mut state, &options, 0), Some((libc::SIGTERM, false)));
        // Who was asked to end does not stay stopped.
        assert_eq!(decide(stopped, &mut state, &options, 0), Action::Continue);
    }

    #[test]
    fn a_signal_waits_for_a_look_at_the_children_where_that_decides_about_it() {
        let waits = |options: &Options| -> Vec<i32> {
            (1..=64).filter(|number| depends_on_children(received(*number), options)).collect()
        };
        assert_eq!(waits(&Options::DEFAULT), [1, 2, 3, 15, 17, 18]);
        let mut rewriting = Options::DEFAULT;
        rewriting.rewrite_as(10, 15);
        rewriting.rewrite_as(1, 12);
        assert_eq!(waits(&rewriting), [2, 3, 10, 15, 17, 18]);
        let waiting = Options { wait_all: Some(Duration::ZERO), ..Options::DEFAULT };
        assert_eq!(waits(&waiting).len(), 64);
    }

    #[test]
    fn a_stop_signal_is_held_back_once_and_everything_killed_after_it() {
        let second = Some(Duration::from_secs(1));
        let options = Options { stop_delay: second, stop_timeout: second, ..Options::DEFAULT };
        let mut state = fresh(&options);
        assert_eq!(sent(libc::SIGTERM, &mut state, &options, 0), None);
        assert_eq!((state.next_due(), state.take_due(999)), (Some(1000), None));
        assert_eq!(state.take_due(1000), Some(Timer::Held));
        let action = decide(Event::Due(Timer::Held), &mut state, &options, 1000);
        assert!(matches!(action, Action::Forward { signal: libc::SIGTERM, .. }), "{action:?}");
        assert_eq!(state.take_due(2000), Some(Timer::Stop));
        let action = decide(Event::Due(Timer::Stop), &mut state, &options, 2000);
        assert_eq!(action, Action::SignalAll(libc::SIGKILL));
        // Asked twice: at once.
        let mut state = fresh(&options);
        assert_eq!(sent(libc::SIGTERM, &mut state, &options, 0), None);
        assert_eq!(sent(libc::SIGINT, &mut state, &options, 1), Some((libc::SIGINT, false)));
        assert_eq!(state.next_due(), Some(1001));
    }

    #[test]
    fn the_rest_is_asked_to_end_waited_for_and_killed() {
        let options = Options { wait_all: Some(Duration::from_secs(5)), ..Options::DEFAULT };
        let mut state = fresh(&options);
        let end = Change::Exited(3);
        let action = decide(Event::Changed(MAIN, end), &mut state, &options, 0);
        assert_eq!(action, Action::SignalAll(libc::SIGTERM));
        let again = decide(Event::Changed(MAIN, Change::Exited(7)), &mut state, &options, 0);
        assert_eq!(again, Action::Reaped(MAIN), "the number belongs to another by now");
        assert_eq!(decide(Event::Alone, &mut state, &options, 0), Action::Finish(end));
        let action = decide(Event::Due(Timer::Rest), &mut state, &options, 5000);
        assert_eq!(action, Action::SignalAll(libc::SIGKILL));
        assert_eq!(decide(Event::Due(Timer::Rest), &mut state, &options, 7000), Action::Finish(end));
    }

    #[test]
    fn the_rules_of_others_are_theirs() {
        let mut dumb = Options { job_control: JobControl::Suspend, ..Options::DEFAULT };
        dumb.rewrite_as(libc::SIGTSTP, libc::SIGSTOP);
        dumb.rewrite_as(libc::SIGUSR1, 0);
        let event = Event::Signal(received(libc::SIGTSTP));
        let action = decide(event, &mut fresh(&dumb), &dumb, 0);
        assert!(matches!(action, Action::Forward { signal: libc::SIGSTOP, suspend: true, .. }), "{action:?}");
        assert_eq!(sent(libc::SIGUSR1, &mut fresh(&dumb), &dumb, 0), None);
        let catatonit = Options { job_control: JobControl::Drop, ..Options::DEFAULT };
        assert_eq!(decide(event, &mut fresh(&catatonit), &catatonit, 0), Action::Ignore);
        let mut pause = State { entrypoint: None, ..fresh(&catatonit) };
        let hup = Event::Signal(received(libc::SIGHUP));
        assert_eq!(decide(hup, &mut pause, &catatonit, 0), Action::Ignore);
        let term = Event::Signal(received(libc::SIGTERM));
        assert_eq!(decide(term, &mut pause, &catatonit, 0), Action::Finish(Change::Exited(0)));
        let waiting = Options { wait_all: Some(Duration::from_secs(1)), ..catatonit };
        assert_eq!(decide(term, &mut pause, &waiting, 0), Action::SignalAll(libc::SIGTERM));
        assert_eq!(decide(hup, &mut pause, &waiting, 0), Action::SignalAll(libc::SIGHUP), "they are told");
        assert_eq!(decide(Event::Alone, &mut pause, &waiting, 0), Action::Finish(Change::Exited(0)));
    }
}
