//! The probe's part of tests/storm.rs: an entrypoint that says what it receives, beside a nursery of processes that come
//! and go.
//!
//!   test                                            probe
//!                                       <──         ready
//!   signals, a command on our stdin, 64  ──>        for each: NUMBER CODE VALUE PROCESSES
//!
//! 64 is the fence: the kernel hands out the highest number last, so that whatever was sent before it has come, or never
//! comes. With it a command is read: `g` go on, `s` start the nursery, `c` calm: end it and wait for it, `e` end with the
//! byte after it as our status, while orphans die. PROCESSES is how many the nursery has made.

use std::io::Read;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};

use super::{block_all, fork, leave, next_with_info, parent, reap, say};

/// The last signal of a round.
const FENCE: i32 = 64;

/// How many children the nursery has at a time, orphans aside.
const BATCH: usize = 24;

/// The entrypoint.
pub(crate) fn storm(seed: usize) -> i32 {
    let Some(shared) = Shared::new() else { return 1 };
    let mut nursery = None;
    block_all();
    say("ready");
    loop {
        let (number, info) = next_with_info();
        let [_, _, code] = info.head;
        // The kernel's CHLD: the nursery has ended.
        if number == libc::SIGCHLD && code > 0 {
            continue;
        }
        if number == FENCE {
            match command() {
                b's' => nursery = Some(start_nursery(shared, seed)),
                b'c' => {
                    shared.ends.store(true, SeqCst);
                    nursery.take().into_iter().for_each(reap);
                }
                b'e' => return end(shared),
                _ => {}
            }
        }
        say(&format!("{number} {code} {} {}", info.sent.value, shared.processes.load(SeqCst)));
    }
}

/// The next byte of our standard input; 0 at its end.
fn command() -> u8 {
    let mut byte = [0];
    std::io::stdin().read_exact(&mut byte).map_or(0, |()| byte[0])
}

/// Leaves while orphans die, so that their end and ours come together.
fn end(shared: &Shared) -> i32 {
    for _ in 0..BATCH {
        match shared.bear() {
            None => {
                shared.bear();
                leave(0)
            }
            Some(child) => reap(child),
        }
    }
    i32::from(command())
}

/// What forks share.
struct Shared {
    /// The nursery is to end.
    ends: AtomicBool,
    /// How many processes it has made.
    processes: AtomicU64,
}

impl Shared {
    /// Makes it: new memory is zero, which is the beginning.
    fn new() -> Option<&'static Self> {
        let (access, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: new memory, at no address that is ours.
        let memory = unsafe { libc::mmap(null_mut(), size_of::<Self>(), access, flags, -1, 0) };
        if memory == libc::MAP_FAILED {
            return None;
        }
        // SAFETY: it is never unmapped, begins a page, and all its bits may be zero.
        Some(unsafe { &*memory.cast() })
    }

    /// Makes a process. Where there is no room for one now there is later; and -1 is a pid that means everybody.
    fn bear(&self) -> Option<i32> {
        loop {
            match fork() {
                None => return None,
                Some(pid) if pid > 0 => {
                    self.processes.fetch_add(1, SeqCst);
                    return Some(pid);
                }
                Some(_) => std::thread::yield_now(),
            }
        }
    }
}

/// xorshift: the same numbers for the same seed, which must not be 0.
struct Random(u64);

impl Random {
    /// A number below `end`.
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// Makes the process that makes the others.
fn start_nursery(shared: &Shared, seed: usize) -> i32 {
    match shared.bear() {
        Some(pid) => pid,
        None => leave(nursery(shared, Random(seed as u64 | 1))),
    }
}

/// Children of every kind, batch by batch: they exit, are killed, stop and are continued or killed, leave orphans.
fn nursery(shared: &Shared, mut random: Random) -> i32 {
    while !shared.ends.load(SeqCst) {
        for _ in 0..BATCH {
            let fate = random.below(10);
            if shared.bear().is_none() {
                match fate {
                    0..4 => leave_orphans(shared, &mut random),
                    4 => leave_stopped_orphan(shared),
                    other => meet(other),
                }
                leave(0);
            }
        }
        let mut status = 0;
        loop {
            // SAFETY: the kernel writes the status.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::WUNTRACED) };
            if pid < 0 {
                break; // ECHILD: all are gone
            }
            if libc::WIFSTOPPED(status) {
                kill(pid, if random.below(2) == 0 { libc::SIGCONT } else { libc::SIGKILL });
            }
        }
    }
    0
}

/// What becomes of a process.
fn meet(fate: u64) {
    match fate {
        5 => kill(own_pid(), libc::SIGKILL),
        6 | 7 => kill(own_pid(), libc::SIGSTOP), // somebody continues or kills us
        other => leave(i32::try_from(other).unwrap_or(0)),
    }
}

/// Up to three orphans; some end before they are adopted, some after.
fn leave_orphans(shared: &Shared, random: &mut Random) {
    let middle = std::process::id();
    for _ in 0..=random.below(3) {
        let (fate, waits) = (random.below(3), random.below(2) == 0);
        if shared.bear().is_none() {
            while waits && parent() == Some(middle) {
                std::thread::yield_now();
            }
            meet(if fate == 0 { 5 } else { 8 });
        }
    }
}

/// An orphan that stops, and one that continues it until it has ended and whoever adopted it has reaped it.
fn leave_stopped_orphan(shared: &Shared) {
    match shared.bear() {
        None => meet(6),
        Some(stopped) => {
            if shared.bear().is_none() {
                // SAFETY: takes two integers.
                while unsafe { libc::kill(stopped, libc::SIGCONT) } == 0 {
                    std::thread::yield_now();
                }
                leave(0);
            }
        }
    }
}

/// Our pid; std's is unsigned.
fn own_pid() -> i32 {
    // SAFETY: takes nothing, cannot fail.
    unsafe { libc::getpid() }
}

/// Sends a signal.
fn kill(pid: i32, signal: i32) {
    // SAFETY: takes two integers.
    unsafe { libc::kill(pid, signal) };
}
