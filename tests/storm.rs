//! The storm: signals of every number in random order, while processes fork, stop, continue and die below launcher.
//!
//! Rounds. Each ends with a fence, signal 64, that the entrypoint answers after all that was sent before it: the kernel
//! hands out the lowest number first. Then both sides are compared: what was sent to launcher, what the entrypoint got.
//!
//! - Real-time numbers, 32 and 33 too: one for one, in order for each number, with value and `si_code`.
//! - The others the kernel merges while one of the same number waits. In an *exact* round each is sent at most once after
//!   the last was answered, and has to arrive; in a *burst* many times, and has to arrive at least once.
//!
//! What is treated in another way:
//! - KILL and STOP nobody can block: to PID 1 from outside they do what they say.
//! - CHLD is sent as well and may arrive or not: the kernel merges it with its own about each dead orphan.
//! - TTIN and TTOU tell launcher that it is in the background itself, as tini sees it: never passed on (decide.rs).
//! - The kernel drops a waiting CONT when a TSTP, TTIN or TTOU comes, and the other way round: one of the two a round.
//!
//! LAUNCHER_STORM_SECONDS (5) is how long it lasts at least, LAUNCHER_STORM_SEED repeats a storm as far as the scheduler
//! does. With LAUNCHER_BIN another init can be looked at; what it does wrong is counted to the end. It must signal its
//! child alone (dumb-init -c): the others in the child's group take no signals, and would fill the queue of their user.
#![allow(unsafe_code, reason = "signals by number")]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    clippy::use_debug,
    reason = "these are tests"
)]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::process::{ChildStdin, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use common::{
    DEADLINE, Rootfs, Running, children_of, eventually, launcher, launcher_path, probe_path, queue,
};
use libc::{SIGCHLD, SIGCONT, SIGKILL, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
use nix::errno::Errno;

/// The signal that ends a round.
const FENCE: i32 = 64;
/// From here on the kernel queues signals one by one; those below it merges.
const QUEUED: i32 = 32;
/// What a storm has at least.
const SIGNALS: usize = 2_000;
const PROCESSES: usize = 10_000;

/// What was sent or received: `si_code` and value by number, in order.
type Signals = BTreeMap<i32, Vec<(i32, usize)>>;

/// What an init went through: by kind of fault and number, how often.
type Faults = BTreeMap<(&'static str, i32), usize>;

/// xorshift: the same numbers for the same seed.
struct Random(u64);

impl Random {
    /// A number below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % end as u64).unwrap()
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// So many of a list, with repetitions.
    fn choose(&mut self, count: usize, list: &[i32]) -> Vec<i32> {
        (0..count).map(|_| list[self.below(list.len())]).collect()
    }

    fn shuffle(&mut self, list: &mut [i32]) {
        for index in (1..list.len()).rev() {
            list.swap(index, self.below(index + 1));
        }
    }
}

/// Sends a signal, with a value or, as kill(2), without.
fn send(pid: u32, number: i32, code: i32, value: usize) {
    loop {
        let sent = if code == libc::SI_QUEUE {
            queue(pid, number, value)
        } else {
            // SAFETY: takes two integers.
            Errno::result(unsafe { libc::syscall(libc::SYS_kill, pid, number) }).map(drop)
        };
        match sent {
            // RLIMIT_SIGPENDING: there is no room in the queue now, nothing was sent.
            Err(Errno::EAGAIN) => std::thread::yield_now(),
            result => break assert_eq!(result, Ok(()), "signal {number}"),
        }
    }
}

/// The processes of launcher.
struct Place {
    /// Gets the signals.
    target: u32,
    /// PID 1.
    init: u32,
}

struct Storm {
    running: Running,
    commands: ChildStdin,
    place: Place,
    random: Random,
    sent: usize,
    rounds: usize,
    processes: usize,
    faults: Faults,
}

impl Storm {
    /// Starts a command whose last words run the probe; `place` is told the pid.
    fn start(mut command: Command, seed: u64, time: Duration, place: fn(u32) -> Place) -> Self {
        let mut running = Running::start_for(command.stdin(Stdio::piped()), time);
        running.wait_for("ready");
        let commands = running.child.stdin.take().unwrap();
        let place = place(running.child.id());
        let random = Random(seed << 1 | 1); // never 0
        Self { running, commands, place, random, sent: 0, rounds: 0, processes: 0, faults: Faults::new() }
    }

    /// A round: these signals in this order, then the fence with a command.
    fn round(&mut self, numbers: &[i32], command: u8, is_exact: bool) {
        let mut sent = Signals::new();
        for number in numbers.iter().copied().chain([FENCE]) {
            self.sent += 1;
            // Both kinds have to come as they were sent.
            let is_plain = number != FENCE && self.random.one_in(4);
            let (code, value) = if is_plain { (libc::SI_USER, 0) } else { (libc::SI_QUEUE, self.sent) };
            if number == FENCE {
                self.commands.write_all(&[command]).unwrap();
            }
            send(self.place.target, number, code, value);
            sent.entry(number).or_default().push((code, value));
        }
        let got = self.answers();
        self.rounds += 1;
        for number in 1..=FENCE {
            let [sent, got] = [&sent, &got].map(|all| all.get(&number).map_or(&[][..], Vec::as_slice));
            for (kind, count) in faults(number, sent, got, is_exact) {
                *self.faults.entry((kind, number)).or_default() += count;
            }
        }
    }

    /// What the entrypoint got, up to the fence.
    fn answers(&mut self) -> Signals {
        let mut got = Signals::new();
        while !got.contains_key(&FENCE) {
            let line = self.running.line();
            let words: Vec<_> = line.split(' ').collect();
            let [number, code, value, processes] = words[..] else { panic!("{line:?}, did it end?") };
            got.entry(number.parse().unwrap())
                .or_default()
                .push((code.parse().unwrap(), value.parse().unwrap()));
            self.processes = processes.parse().unwrap();
        }
        got
    }

    /// The numbers of a round.
    fn numbers(&mut self, is_exact: bool) -> Vec<i32> {
        let absent: &[i32] = if self.random.one_in(2) { &[SIGCONT] } else { &[SIGTSTP, SIGTTIN, SIGTTOU] };
        let is_sent = |number: &i32| ![SIGKILL, SIGSTOP].contains(number) && !absent.contains(number);
        let merged: Vec<i32> = (1..QUEUED).filter(is_sent).collect();
        let mut numbers = if is_exact {
            merged.into_iter().filter(|_| self.random.one_in(2)).collect()
        } else {
            let count = self.random.below(300);
            self.random.choose(count, &merged)
        };
        let count = self.random.below(200);
        numbers.extend(self.random.choose(count, &(QUEUED..FENCE).collect::<Vec<_>>()));
        self.random.shuffle(&mut numbers);
        numbers
    }

    /// Until the time is over and enough has happened.
    fn rage(&mut self, seconds: u64) {
        let end = Instant::now() + Duration::from_secs(seconds);
        let (sent, processes) = (self.sent + SIGNALS, self.processes + PROCESSES);
        while Instant::now() < end || self.sent < sent || self.processes < processes {
            let is_exact = !self.random.one_in(3);
            let numbers = self.numbers(is_exact);
            self.round(&numbers, b'g', is_exact);
        }
    }

    /// What each process of launcher uses when nobody is left below PID 1 but the entrypoint, no zombie either.
    fn usage(&self) -> Vec<Usage> {
        let Place { target, init } = self.place;
        let is_calm = || matches!(children_of(init)[..], [one] if children_of(one).is_empty());
        eventually("all orphans are reaped", is_calm);
        let pids = if target == init { vec![init] } else { vec![target, init] };
        pids.into_iter().map(Usage::of).collect()
    }
}

/// What is wrong with one number, and how often.
fn faults(
    number: i32,
    sent: &[(i32, usize)],
    got: &[(i32, usize)],
    is_exact: bool,
) -> impl Iterator<Item = (&'static str, usize)> {
    let (lost, extra) = (sent.len().saturating_sub(got.len()), got.len().saturating_sub(sent.len()));
    let found = match number {
        SIGCHLD => [("", 0); 3],
        SIGTTIN | SIGTTOU => [("passed on", got.len()), ("", 0), ("", 0)],
        ..QUEUED if !is_exact => {
            let unknown = got.iter().filter(|one| !sent.contains(one)).count();
            [("lost", usize::from(got.is_empty() && lost > 0)), ("more", extra), ("changed", unknown)]
        }
        _ => {
            let changed = sent.iter().zip(got).filter(|(one, other)| one != other).count();
            [("lost", lost), ("more", extra), ("changed", changed)]
        }
    };
    found.into_iter().filter(|(_, count)| *count > 0)
}

/// What a process uses.
#[derive(Debug)]
struct Usage {
    descriptors: usize,
    /// Memory that it has written to.
    private_kib: usize,
}

impl Usage {
    fn of(pid: u32) -> Self {
        let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap();
        let line = rollup.lines().find_map(|line| line.strip_prefix("Private_Dirty:")).unwrap();
        let private_kib = line.trim().trim_end_matches(" kB").parse().unwrap();
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        Self { descriptors, private_kib }
    }
}

/// A number from the environment.
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap())
}

/// Runs a storm: first each path once in calm weather, so that all memory is in use that ever should be.
fn storm(command: Command, place: fn(u32) -> Place) {
    let seconds = number("LAUNCHER_STORM_SECONDS").unwrap_or(5);
    let seed = number("LAUNCHER_STORM_SEED")
        .unwrap_or_else(|| SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos().into());
    eprintln!("LAUNCHER_STORM_SEED={seed}");
    let mut storm = Storm::start(command, seed, DEADLINE + Duration::from_secs(seconds), place);
    storm.round(&[1, 2, 3, 33, 34, 35], b'g', true);
    let before = storm.usage();
    storm.round(&[], b's', true);
    storm.rage(seconds);
    storm.round(&[], b'c', true);
    let after = storm.usage();
    let status = u8::try_from(storm.random.below(256)).unwrap();
    storm.commands.write_all(&[b'e', status]).unwrap();
    send(storm.place.target, FENCE, libc::SI_QUEUE, 0);
    let ended = storm.running.finish();
    let (sent, rounds, processes) = (storm.sent, storm.rounds, storm.processes);
    eprintln!("{sent} signals in {rounds} rounds, {processes} processes, {before:?}, then {after:?}");
    assert_eq!(storm.faults, Faults::new(), "how often by kind and signal");
    for (before, after) in before.iter().zip(&after) {
        assert_eq!(before.descriptors, after.descriptors);
        // Two pages more: what reaps has not run before and may reach deeper into the stack. Nothing is allocated.
        assert!(after.private_kib <= before.private_kib + 8, "{before:?}, then {after:?}");
    }
    assert_eq!((ended.status, ended.out.as_str(), ended.err.as_str()), (i32::from(status), "", ""));
}

#[test]
fn over_pid_1() {
    require!(root, unshare);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child"]).arg(launcher_path()).arg("--").arg(probe_path());
    command.args(["storm", "7"]);
    storm(command, |unshare| {
        let init = children_of(unshare)[0];
        Place { target: init, init }
    });
}

#[test]
fn over_a_container() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let command = launcher(["--rootfs", rootfs.arg(), "--", "/probe", "storm", "7"]);
    storm(command, |outer| Place { target: outer, init: children_of(outer)[0] });
}
