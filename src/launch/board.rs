//! The init of a machine while its entrypoint runs: starts it, again where that is wanted, reaps, feeds the watchdog, and
//! hears who wants the machine to go down. It never ends by itself, and allocates nothing.

use nix::unistd::Pid;

use super::respawn::{Next, Respawn};
use crate::error::{Error, Result, tolerate};
use crate::log::{say, warning};
use crate::primitives::watchdog::{self, Watchdog};
use crate::spec::board::{Action, Board, Health};
use crate::sys;
use crate::sys::process::Who;
use crate::sys::signal::Received;

/// The kernel sent it, by nobody's order: the keys Ctrl-Alt-Del; `SI_KERNEL`, sigaction(2).
const BY_KERNEL: i32 = 0x80;

/// A time that does not come.
const NEVER: u64 = u64::MAX;

/// Why the entrypoint does not run any more, and what is to become of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Verdict {
    /// What to do.
    pub(crate) action: Action,
    /// Its last exit status.
    pub(crate) status: u8,
    /// When all has to be over that ends by itself; milliseconds of our clock.
    pub(crate) until: u64,
}

/// What a signal to the init of a machine asks for; the meanings are those of busybox's init, and of systemd's real-time
/// signals. `None`: it is for the entrypoint.
fn request(received: &Received) -> Option<Action> {
    /// SIGRTMIN as everybody but the kernel counts.
    const RTMIN: i32 = 34;
    const HALT: i32 = RTMIN + 3;
    const POWER_OFF: i32 = RTMIN + 4;
    const REBOOT: i32 = RTMIN + 5;
    match received.number {
        libc::SIGTERM | REBOOT => Some(Action::Reboot),
        libc::SIGINT if received.code == BY_KERNEL => Some(Action::Reboot),
        libc::SIGUSR1 | libc::SIGPWR | HALT => Some(Action::Halt),
        libc::SIGUSR2 | POWER_OFF => Some(Action::PowerOff),
        _ => None,
    }
}

/// How a process for the entrypoint, or for the command that tells its health, is made.
pub(crate) trait Starter {
    /// The entrypoint, and what supervises it; `again`: not the first.
    fn entrypoint(&mut self, again: bool) -> Result<Pid>;
    /// The command, in a process group of its own.
    fn health(&mut self, command: &'static str, entrypoint: Pid) -> Result<Pid>;
}

/// What is known about the health of the entrypoint.
struct Checks<'a> {
    /// What is to be run.
    wish: &'a Health,
    /// The run in progress, and when it is over.
    running: Option<(Pid, u64)>,
    /// When the next is due.
    due: u64,
    /// Failures in a row.
    failures: u32,
}

/// The running init.
struct Supervisor<'a> {
    /// What the user wants.
    board: &'a Board,
    /// Its memory of the starts.
    respawn: Respawn,
    /// What runs the entrypoint.
    runner: Option<Pid>,
    /// When it is to be started.
    start_at: u64,
    /// The watchdog, and when it is to be fed.
    dog: Option<(&'a Watchdog, u64)>,
    /// Its health.
    checks: Checks<'a>,
    /// Somebody wants the machine to go down, and when it does, whatever runs.
    leaving: Option<(Action, u64)>,
}

/// How much of the grace is kept for the others if the entrypoint needs all of it: an eighth, at most a second.
const RESERVE: u64 = 1000;

/// Reaps, and feeds the watchdog, until `child` has ended or somebody wants the machine to go down. How: off after `child`.
pub(crate) fn stand_by(child: Option<Pid>, dog: Option<&Watchdog>) -> Action {
    loop {
        while let Ok(Some((pid, change))) = sys::process::wait(Who::AnyNow) {
            if Some(pid) == child && change.status().is_some() {
                return Action::PowerOff;
            }
        }
        if let Some(dog) = dog {
            dog.feed();
        }
        if let Ok(Some(received)) = sys::signal::wait_for_any(dog.map(Watchdog::interval), false)
            && let Some(action) = request(&received)
        {
            return action;
        }
    }
}

/// Runs the entrypoint as often as is wanted. Every signal but those of faults must be blocked.
pub(crate) fn supervise(board: &Board, dog: Option<&Watchdog>, starter: &mut dyn Starter) -> Verdict {
    let now = sys::clock::milliseconds();
    let wish = &board.health;
    let due = if wish.command.is_empty() { NEVER } else { now + wish.interval };
    let mut supervisor = Supervisor {
        board,
        respawn: Respawn::new(board.restart),
        runner: None,
        start_at: now,
        dog: dog.map(|dog| (dog, now)),
        checks: Checks { wish, running: None, due, failures: 0 },
        leaving: None,
    };
    loop {
        if let Some(verdict) = supervisor.reap() {
            return verdict;
        }
        if let Some(verdict) = supervisor.do_what_is_due(starter) {
            return verdict;
        }
        let now = sys::clock::milliseconds();
        let due = supervisor.next_due();
        let time = (due != NEVER).then(|| due.saturating_sub(now));
        // The call cannot be refused to the first process of a machine; if it is, this becomes a loop that still works.
        if let Ok(Some(received)) = sys::signal::wait_for_any(time, false) {
            supervisor.heed(received);
        }
    }
}

impl Supervisor<'_> {
    /// When to wake up at the latest.
    fn next_due(&self) -> u64 {
        let check = self.checks.running.map_or(self.checks.due, |(_, until)| until);
        let dog = self.dog.map_or(NEVER, |(_, due)| due);
        let end = self.leaving.map_or(NEVER, |(_, until)| until);
        self.start_at.min(check).min(dog).min(end)
    }

    /// Reaps all who have ended. `Some`: it is over.
    fn reap(&mut self) -> Option<Verdict> {
        let mut verdict = None;
        while let Ok(Some((pid, change))) = sys::process::wait(Who::AnyNow) {
            let Some(status) = change.status() else { continue };
            if self.runner == Some(pid) {
                self.runner = None;
                verdict = self.ended(status);
            } else if self.checks.running.is_some_and(|(running, _)| running == pid) {
                self.checks.running = None;
                self.checks.end(status);
            }
        }
        verdict
    }

    /// The entrypoint has ended.
    fn ended(&mut self, status: u8) -> Option<Verdict> {
        say(format_args!("entrypoint exited {status}"));
        if self.leaving.is_some() {
            return self.left(status);
        }
        let now = sys::clock::milliseconds();
        let action = match self.respawn.end(status, now) {
            Next::Again(delay) => {
                self.start_at = now + delay;
                return None;
            }
            Next::Done => self.board.on_exit,
            Next::Failed => self.board.on_fail.unwrap_or(self.board.on_exit),
        };
        Some(Verdict { action, status, until: now + self.board.grace })
    }

    /// What is left to do where somebody wants the machine to go down.
    fn left(&self, status: u8) -> Option<Verdict> {
        self.leaving.map(|(action, until)| Verdict { action, status, until: until + self.reserve() })
    }

    /// See [`RESERVE`].
    fn reserve(&self) -> u64 {
        (self.board.grace / 8).min(RESERVE)
    }

    /// Does what the time has come for. `Some`: it is over.
    fn do_what_is_due(&mut self, starter: &mut dyn Starter) -> Option<Verdict> {
        let now = sys::clock::milliseconds();
        if self.leaving.is_some_and(|(_, until)| now >= until || self.runner.is_none()) {
            return self.left(0);
        }
        if self.start_at <= now {
            self.start_at = NEVER;
            let again = self.respawn.has_started();
            self.respawn.start(now);
            match starter.entrypoint(again) {
                Ok(pid) => self.runner = Some(pid),
                Err(error) => return self.ended(told(&error)),
            }
            self.checks.begin(now);
        }
        let entrypoint = || watchdog::entrypoint_of(self.runner?, self.board.in_container);
        self.checks.go_on(now, &entrypoint, starter);
        if let Some((dog, due)) = self.dog
            && due <= now
        {
            self.dog = Some((dog, now + dog.interval()));
            if self.is_well() {
                dog.feed();
            }
        }
        None
    }

    /// Whether the entrypoint lives, and is well as far as anybody can tell; or does not live because we let it wait.
    fn is_well(&self) -> bool {
        let lives = |runner| {
            watchdog::entrypoint_of(runner, self.board.in_container).is_some_and(watchdog::is_running)
        };
        self.runner.map_or(self.start_at != NEVER, lives) && self.checks.failures < self.checks.wish.retries
    }

    /// A signal: somebody wants the machine to go down, or it is for the entrypoint.
    fn heed(&mut self, received: Received) {
        if received.number == libc::SIGCHLD {
            return;
        }
        let Some(action) = request(&received) else {
            if let Some(runner) = self.runner {
                tolerate(sys::process::kill(runner, received.number), "ESRCH: it has ended");
            }
            return;
        };
        // Who asks twice waits as long.
        if self.leaving.is_none() {
            let time = self.board.grace - self.reserve();
            self.leaving = Some((action, sys::clock::milliseconds() + time));
            self.start_at = NEVER;
            if let Some(runner) = self.runner {
                tolerate(sys::process::kill(runner, self.board.stop_signal), "ESRCH: it has ended");
            }
        }
    }
}

impl Checks<'_> {
    /// A run has ended.
    fn end(&mut self, status: u8) {
        if status == 0 {
            self.failures = 0;
            return;
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures == self.wish.retries {
            warning!("the entrypoint is not well: {} ended with {status}", self.wish.command);
        }
    }

    /// The entrypoint is started: what was found before was another's.
    fn begin(&mut self, now: u64) {
        self.failures = 0;
        if let Some((pid, _)) = self.running.take() {
            kill_group(pid);
        }
        if self.due != NEVER {
            self.due = now + self.wish.interval;
        }
    }

    /// Begins a run, or ends one that takes too long. There is none without an entrypoint.
    fn go_on(&mut self, now: u64, entrypoint: &dyn Fn() -> Option<Pid>, starter: &mut dyn Starter) {
        if let Some((pid, until)) = self.running {
            if now >= until {
                kill_group(pid);
                self.running = Some((pid, now + 1000));
            }
        } else if now >= self.due {
            self.due = now + self.wish.interval;
            let Some(entrypoint) = entrypoint() else { return };
            match starter.health(self.wish.command, entrypoint) {
                Ok(pid) => self.running = Some((pid, now + self.wish.timeout)),
                Err(error) => self.end(told(&error)),
            }
        }
    }
}

/// Kills a process and its children.
fn kill_group(leader: Pid) {
    tolerate(sys::process::kill(Pid::from_raw(-leader.as_raw()), libc::SIGKILL), "ESRCH: it has ended");
}

/// Says what went wrong; its exit status.
pub(crate) fn told(error: &Error) -> u8 {
    say(format_args!("{error:#}"));
    error.status
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_ask_for_what_busybox_makes_of_them() {
        let received = |number, code| Received { number, code, pid: 0, uid: 0, value: 0 };
        for (number, code, want) in [
            (libc::SIGTERM, 0, Some(Action::Reboot)),
            (libc::SIGINT, BY_KERNEL, Some(Action::Reboot)),
            (libc::SIGINT, 0, None),
            (libc::SIGUSR1, 0, Some(Action::Halt)),
            (libc::SIGUSR2, 0, Some(Action::PowerOff)),
            (libc::SIGPWR, BY_KERNEL, Some(Action::Halt)),
            (37, 0, Some(Action::Halt)),
            (38, 0, Some(Action::PowerOff)),
            (39, 0, Some(Action::Reboot)),
            (40, 0, None),
            (libc::SIGHUP, 0, None),
            (libc::SIGWINCH, BY_KERNEL, None),
        ] {
            assert_eq!(request(&received(number, code)), want, "{number} {code}");
        }
    }
}
