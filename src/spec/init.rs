//! How PID 1 behaves.

use std::time::Duration;

use crate::error::{STATUS_NOT_EXECUTABLE, STATUS_NOT_FOUND, STATUS_OURS};

/// Whose rules are followed: our own, or those of the program under whose name we run. They differ in what becomes of
/// the terminal's signals, in how the program is placed, and in the numbers of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rules {
    /// tini's behaviour with launcher's exit statuses.
    Launcher,
    /// tini, and docker-init, podman-init and init, which are tini or are called as it is.
    Tini,
    /// dumb-init: a session for the program, signals to all of it.
    DumbInit,
    /// catatonit.
    Catatonit,
    /// The pause container of kubernetes: no program at all.
    Pause,
}

impl Rules {
    /// The exit status for a failure that is `status` by launcher's own rules (125, 126, 127).
    pub(crate) const fn status(self, status: u8) -> u8 {
        match (self, status) {
            (Self::Launcher, _) | (Self::Tini, STATUS_NOT_EXECUTABLE | STATUS_NOT_FOUND) => status,
            (Self::DumbInit, STATUS_NOT_EXECUTABLE | STATUS_NOT_FOUND) => 2,
            (_, STATUS_OURS | STATUS_NOT_EXECUTABLE | STATUS_NOT_FOUND) => 1,
            _ => status,
        }
    }
}

/// Who gets the signals that init gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    /// The program.
    Child,
    /// Its process group.
    Group,
    /// Every process that init sees: all of its PID namespace, or all that descend from it.
    All,
}

/// What becomes of the signals that a terminal sends to those who use it in the wrong moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum JobControl {
    /// TSTP is forwarded; TTIN and TTOU are init's own business.
    Forward,
    /// All three stop the program, and then init itself (dumb-init).
    Suspend,
    /// All three are dropped (catatonit).
    Drop,
}

/// How the program is placed among processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    /// Leader of a process group; has the terminal if that is ours to give.
    Group,
    /// Leader of a session (dumb-init).
    Session,
    /// Where init is.
    Same,
}

/// What the user may change about the init.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Options {
    /// Whose rules.
    pub(crate) rules: Rules,
    /// Who gets signals.
    pub(crate) target: Target,
    /// How the program is placed.
    pub(crate) place: Place,
    /// What becomes of TSTP, TTIN and TTOU.
    pub(crate) job_control: JobControl,
    /// The signal that is sent instead of each; 0 for none.
    pub(crate) rewrite: [u8; 65],
    /// The exit status that is reported instead of each.
    pub(crate) exit_map: ExitMap,
    /// How long a first stop signal is held back.
    pub(crate) stop_delay: Option<Duration>,
    /// How long after a stop signal everything is killed.
    pub(crate) stop_timeout: Option<Duration>,
    /// How long the others may take to end, after the program has ended and they got SIGTERM.
    pub(crate) wait_all: Option<Duration>,
    /// What processes get whose parent has died.
    pub(crate) end_orphans: Option<i32>,
    /// The container has no PID namespace of its own, which kills what is left when the program ends: we must. And
    /// a shell waits for our parent, not for us.
    pub(crate) shares_pids: bool,
    /// Says so when an orphan is reaped.
    pub(crate) warn_on_reap: bool,
    /// How much is told: 1 warnings, 2 starts and ends, 3 every signal.
    pub(crate) verbosity: u8,
}

impl Options {
    /// What a container's init does, and launcher's own without options.
    pub(crate) const DEFAULT: Self = Self {
        rules: Rules::Launcher,
        target: Target::Child,
        place: Place::Group,
        job_control: JobControl::Forward,
        rewrite: identity(),
        exit_map: ExitMap(identity()),
        stop_delay: None,
        stop_timeout: None,
        wait_all: None,
        end_orphans: None,
        shares_pids: false,
        warn_on_reap: false,
        verbosity: 1,
    };
}

impl Options {
    /// Sends `to` instead of `from`; nothing if it is 0.
    pub(crate) fn rewrite_as(&mut self, from: i32, to: i32) {
        let place = usize::try_from(from).ok().and_then(|from| self.rewrite.get_mut(from));
        if let (Some(place), Ok(to)) = (place, u8::try_from(to)) {
            *place = to;
        }
    }

    /// What is sent instead of a signal; 0 for nothing.
    pub(crate) fn sent_for(&self, number: i32) -> i32 {
        let to = usize::try_from(number).ok().and_then(|number| self.rewrite.get(number));
        i32::from(to.copied().unwrap_or(0))
    }
}

/// Every number is itself.
const fn identity<const N: usize>() -> [u8; N] {
    let mut map = [0; N];
    let mut number = 0;
    while number < N {
        #[allow(clippy::cast_possible_truncation, clippy::indexing_slicing, reason = "N is at most 256")]
        {
            map[number] = number as u8;
        }
        number += 1;
    }
    map
}

/// Exit statuses and what is reported instead of them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct ExitMap([u8; 256]);

impl ExitMap {
    /// Reports `to` instead of `from`.
    pub(crate) fn put(&mut self, from: u8, to: u8) {
        if let Some(place) = self.0.get_mut(usize::from(from)) {
            *place = to;
        }
    }

    /// What is reported.
    pub(crate) fn get(&self, status: u8) -> u8 {
        self.0.get(usize::from(status)).copied().unwrap_or(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_have_the_numbers_of_those_whose_rules_they_are() {
        for (rules, ours, not_executable, not_found) in [
            (Rules::Launcher, 125, 126, 127),
            (Rules::Tini, 1, 126, 127),
            (Rules::DumbInit, 1, 2, 2),
            (Rules::Catatonit, 1, 1, 1),
            (Rules::Pause, 1, 1, 1),
        ] {
            assert_eq!([125, 126, 127].map(|status| rules.status(status)), [ours, not_executable, not_found]);
        }
    }

    #[test]
    fn what_is_not_mapped_stays() {
        let mut map = Options::DEFAULT.exit_map;
        map.put(143, 0);
        map.put(255, 7);
        assert_eq!([0, 1, 143, 254, 255].map(|status| map.get(status)), [0, 1, 0, 254, 7]);
    }
}
