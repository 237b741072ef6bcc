//! When the entrypoint of a machine is started again: a state machine without a clock or a call of its own.

use crate::spec::board::{Restart, When};

/// Milliseconds between an end and the next start: at first, and at most; each is twice the one before.
const DELAYS: (u64, u64) = (100, 5_000);

/// Who ran for so many milliseconds has not failed to start.
const STEADY: u64 = 10_000;

/// What follows on an end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// Start it again in so many milliseconds.
    Again(u64),
    /// It has done what it had to.
    Done,
    /// It has failed for good.
    Failed,
}

/// What is known of the starts so far; times are milliseconds of one clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Respawn {
    /// What the user wants.
    wish: Restart,
    /// When the time of the limit began.
    begin: u64,
    /// Starts since then.
    starts: u32,
    /// The last start.
    started: u64,
    /// What was waited before it.
    delay: u64,
}

impl Respawn {
    /// Before the first start.
    pub(crate) const fn new(wish: Restart) -> Self {
        Self { wish, begin: 0, starts: 0, started: 0, delay: 0 }
    }

    /// Whether there was a start.
    pub(crate) const fn has_started(&self) -> bool {
        self.starts > 0
    }

    /// Notes a start.
    pub(crate) fn start(&mut self, now: u64) {
        if self.starts == 0 || !self.is_within(now) {
            (self.begin, self.starts) = (now, 0);
        }
        self.starts = self.starts.saturating_add(1);
        self.started = now;
    }

    /// Whether the time of the limit is not over.
    fn is_within(&self, now: u64) -> bool {
        self.wish.limit.is_none_or(|(_, time)| now.saturating_sub(self.begin) < time)
    }

    /// What follows on an end with this status.
    pub(crate) fn end(&mut self, status: u8, now: u64) -> Next {
        let is_wanted = match self.wish.when {
            When::Never => false,
            When::Failed => status != 0,
            When::Always => true,
        };
        if !is_wanted {
            return if status == 0 { Next::Done } else { Next::Failed };
        }
        if let Some((count, _)) = self.wish.limit
            && self.starts >= count
            && self.is_within(now)
        {
            return Next::Failed;
        }
        let is_steady = now.saturating_sub(self.started) >= STEADY;
        self.delay = if is_steady { DELAYS.0 } else { (self.delay * 2).clamp(DELAYS.0, DELAYS.1) };
        Next::Again(self.delay)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What follows on starts that end so much later with these statuses, without what is waited.
    fn follow(when: When, limit: Option<(u32, u64)>, ends: &[(u64, u8)]) -> Vec<Next> {
        let mut respawn = Respawn::new(Restart { when, limit });
        let mut now = 1_000_000;
        let mut follow = |(time, status): &(u64, u8)| {
            respawn.start(now);
            now += time;
            let next = respawn.end(*status, now);
            if let Next::Again(delay) = next {
                now += delay;
            }
            next
        };
        ends.iter().map(&mut follow).collect()
    }

    #[test]
    fn the_wish_decides() {
        use Next::{Again, Done, Failed};
        for (when, status, want) in [
            (When::Never, 0, Done),
            (When::Never, 3, Failed),
            (When::Failed, 0, Done),
            (When::Failed, 3, Again(100)),
            (When::Failed, 139, Again(100)),
            (When::Always, 0, Again(100)),
            (When::Always, 1, Again(100)),
        ] {
            assert_eq!(follow(when, None, &[(5, status)]), [want], "{when:?} {status}");
        }
    }

    #[test]
    fn the_pause_doubles_up_to_five_seconds_and_begins_anew_after_a_steady_run() {
        let quick = [(1, 1); 8];
        let pauses = [100, 200, 400, 800, 1600, 3200, 5000, 5000].map(Next::Again);
        assert_eq!(follow(When::Failed, None, &quick), pauses);
        let ends = [(1, 1), (1, 1), (10_000, 1), (1, 1)];
        assert_eq!(follow(When::Failed, None, &ends), [100, 200, 100, 200].map(Next::Again));
    }

    #[test]
    fn the_limit_counts_starts_in_its_time() {
        let limit = Some((3, 60_000));
        let quick = follow(When::Failed, limit, &[(1, 1); 3]);
        assert_eq!(quick, [Next::Again(100), Next::Again(200), Next::Failed]);
        // Each third start falls into a time of its own.
        let slow = follow(When::Always, limit, &[(25_000, 0); 9]);
        assert_eq!(slow, [Next::Again(100); 9]);
        assert_eq!(follow(When::Always, Some((1, 1000)), &[(1, 0)]), [Next::Failed]);
        assert_eq!(follow(When::Failed, Some((1, 1000)), &[(1, 0)]), [Next::Done]);
    }

    #[test]
    fn nothing_overflows() {
        let mut respawn = Respawn::new(Restart { when: When::Always, limit: Some((u32::MAX, u64::MAX)) });
        (respawn.begin, respawn.starts) = (u64::MAX, u32::MAX);
        respawn.start(u64::MAX);
        assert_eq!(respawn.end(1, 0), Next::Failed, "a clock that goes back is no reason to panic");
    }
}
