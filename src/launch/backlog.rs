//! Queued signals on their way to a process whose queue may be full.

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::sys;
use crate::sys::signal::Received;

/// How many milliseconds the receiver may leave its queue full. Who takes nothing for so long (it is stopped, or blocks
/// the signal for good) must not hold up the other real-time signals, which may be meant to end it.
const PATIENCE: u64 = 1000;

/// What waits for room in the receiver's queue: RLIMIT_SIGPENDING, getrlimit(2). The kernel tells nobody when there is
/// some, so it is tried again at each wake-up, of which [`sys::signal::wait_for_any`] makes a hundred a second then.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// The signal that waits. One: while it does, others of its kind stay in our own queue, in their order.
    signal: Option<Received>,
    /// Since when the queue has been full.
    since: Option<u64>,
}

impl Backlog {
    /// Whether a signal waits.
    pub(super) fn is_held_up(&self) -> bool {
        self.signal.is_some()
    }

    /// The signal that waits, to be tried again.
    pub(super) fn take(&mut self) -> Option<Received> {
        self.signal.take()
    }

    /// Sends a signal with its value, now or later.
    ///
    /// # Errors
    /// It can only be sent without: the queue has been full for too long (EAGAIN), or a filter forbids the call (ENOSYS,
    /// EPERM); kill(2) needs no room. ESRCH: nobody is there.
    pub(super) fn send(&mut self, pid: Pid, signal: Received) -> Result<(), Errno> {
        let sent = sys::signal::queue(pid, signal);
        if sent == Err(Errno::EAGAIN) {
            let now = sys::clock::milliseconds();
            let since = *self.since.get_or_insert(now);
            if self.signal.is_none() && now.saturating_sub(since) < PATIENCE {
                self.signal = Some(signal);
                return Ok(());
            }
        } else {
            self.since = None;
        }
        sent
    }
}
