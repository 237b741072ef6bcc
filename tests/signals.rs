//! Signals on their way in, ends on their way out.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::print_stderr,
    reason = "these are tests"
)]
#![allow(unsafe_code, reason = "a controlling terminal is taken between fork and exec")]

mod common;

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command};

use nix::poll::{PollFd, PollFlags, PollTimeout};

use common::init::kill;
use common::{
    DEADLINE, Rootfs, Running, cgroups_named, children_of, eventually, finish, launcher, launcher_as_user,
    launcher_path, launcher_with_faults, processes_with, queue, run,
};

/// Sends a signal to any process.
#[track_caller]
/// Whether a process exists, zombies included.
fn exists(pid: u32) -> bool {
    Path::new(&format!("/proc/{pid}")).exists()
}

/// A container whose command is the probe.
struct Probe {
    running: Running,
    init: u32,
}

impl Probe {
    /// Starts `launcher OPTIONS -- /probe WORDS` and waits until it is ready.
    fn start(mut command: Command, words: &[&str]) -> Self {
        let mut running = Running::start(command.args(["--", "/probe"]).args(words));
        running.wait_for("ready");
        let init = children_of(running.child.id())[0];
        // Only then the parent knows that the command runs: init has told it, and closed all but 0, 1 and 2.
        let settled = || fs::read_dir(format!("/proc/{init}/fd")).is_ok_and(|open| open.count() == 3);
        eventually("init has settled", settled);
        Self { running, init }
    }

    /// The command, as the host sees it.
    fn command(&self) -> u32 {
        children_of(self.init)[0]
    }
}

/// The ways to start a container that differ in how signals reach it.
fn ways<'a>(own: &'a Rootfs, users: &'a Rootfs) -> Vec<(&'static str, Command)> {
    let as_root = |options: &[&str]| {
        let mut command = launcher(["--rootfs", own.arg()]);
        command.args(options);
        command
    };
    vec![
        ("root", as_root(&[])),
        ("another user, whom init may signal", as_root(&["-u", "1000:1000"])),
        ("without a PID namespace", as_root(&["--pid", "host"])),
        ("other ids", as_root(&["--uidmap", "0:100000:65536", "-u", "77:77"])),
        ("rootless", launcher_as_user(["--rootfs", users.arg()])),
    ]
}

#[test]
fn every_signal_reaches_the_command() {
    require!(root, busybox);
    let (own, users) = (Rootfs::new(), Rootfs::for_user());
    // KILL and STOP cannot be caught, TTIN TTOU are launcher's own business; TERM comes last.
    let own_business = [libc::SIGKILL, libc::SIGSTOP, libc::SIGTTIN, libc::SIGTTOU, libc::SIGTERM];
    let rest = (1..=64).filter(|number| !own_business.contains(number));
    for (way, command) in ways(&own, &users) {
        let mut probe = Probe::start(command, &["signals", "100"]);
        for number in rest.clone().chain([libc::SIGTERM]) {
            probe.running.signal(number);
            assert_eq!(probe.running.line(), number.to_string(), "{way}");
        }
        probe.running.finish().expect(42);
    }
}

#[test]
fn a_value_comes_along_and_waits_where_there_is_no_room() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    // Twice in each of the two processes on the way, as if too many signals waited behind it.
    let faults = ["rt_sigqueueinfo:error=EAGAIN:when=1..2"];
    let words = ["--rootfs", rootfs.arg(), "--", "/probe", "storm"];
    let mut running = Running::start(&mut launcher_with_faults(&faults, &words));
    running.wait_for("ready");
    let outer = children_of(running.child.id())[0];
    for value in 1..=3 {
        queue(outer, 34 + 5, value).unwrap();
    }
    kill(outer, libc::SIGUSR1);
    let mut got: Vec<String> = (0..4).map(|_| running.line()).collect();
    got.sort(); // USR1 does not wait for the others
    let code = libc::SI_QUEUE;
    assert_eq!(got[0], "10 0 0 0");
    assert_eq!(got[1..], [1, 2, 3].map(|value| format!("39 {code} {value} 0")));
    kill(children_of(children_of(outer)[0])[0], libc::SIGKILL);
    assert_eq!(running.finish().expect(137).err, "");
}

#[test]
fn the_status_of_the_handler_is_the_status() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (name, number) in [("TERM", libc::SIGTERM), ("INT", libc::SIGINT), ("USR1", libc::SIGUSR1)] {
        let script = format!("trap 'echo caught; exit 9' {name}; sleep 4000401 & echo ready; wait");
        let mut running =
            Running::start(&mut launcher(["--rootfs", rootfs.arg(), "--", "sh", "-c", &script]));
        running.wait_for("ready");
        running.signal(number);
        assert_eq!(running.finish().expect(9).out, "caught\n", "{name}");
    }
}

#[test]
fn a_command_without_a_handler_dies_of_the_signal() {
    require!(root, busybox);
    let (own, users) = (Rootfs::new(), Rootfs::for_user());
    // As PID 1 it would not: that is what init is for.
    let fatal = [
        libc::SIGTERM,
        libc::SIGINT,
        libc::SIGHUP,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGALRM,
        libc::SIGRTMIN() + 3,
    ];
    for number in fatal {
        for (way, command) in ways(&own, &users) {
            let probe = Probe::start(command, &["pause"]);
            probe.running.signal(number);
            let finished = probe.running.finish();
            assert_eq!(finished.status, 128 + number, "{way}: {finished:?}");
            assert_eq!(finished.err, "", "{way}: nothing went wrong");
        }
    }
}

#[test]
fn a_command_that_a_signal_killed_gives_128_and_its_number() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for number in [1, 2, 3, 4, 6, 8, 9, 11, 13, 14, 15, 31, 34, 37, 64] {
        let mut command = launcher(["--rootfs", rootfs.arg(), "--ulimit", "core=0", "--", "/probe", "die"]);
        run(command.arg(number.to_string())).expect(128 + number);
    }
    for status in [0, 1, 2, 42, 125, 126, 127, 128, 255] {
        let script = format!("exit {status}");
        run(&mut launcher(["--rootfs", rootfs.arg(), "--", "sh", "-c", &script])).expect(status);
    }
}

#[test]
fn the_end_of_init_or_of_the_command_by_sigkill_is_137() {
    require!(root, busybox);
    let (own, users) = (Rootfs::new(), Rootfs::for_user());
    for of_init in [true, false] {
        for (way, command) in ways(&own, &users) {
            let probe = Probe::start(command, &["pause"]);
            let command = probe.command();
            kill(if of_init { probe.init } else { command }, libc::SIGKILL);
            let finished = probe.running.finish();
            assert_eq!(finished.status, 137, "{way}, init: {of_init}: {finished:?}");
            eventually("the command is gone", || !exists(command));
        }
    }
}

#[test]
fn the_command_cannot_kill_init() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let script =
        "for signal in KILL STOP TERM INT SEGV; do kill -$signal 1; done; cat /proc/1/comm; kill -9 $$";
    // What init forwards comes back: the shell lives through it.
    let script = format!("trap : TERM INT SEGV; {script}");
    let finished = run(&mut launcher(["--rootfs", rootfs.arg(), "--", "sh", "-c", &script])).expect(137);
    assert_eq!(finished.out, "launcher:init\n");
}

/// The state of a process as one letter.
fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

#[test]
fn a_stopped_command_gets_to_see_the_request_to_end() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let probe = Probe::start(launcher(["--rootfs", rootfs.arg()]), &["signals", "9"]);
    let (init, command) = (probe.init, probe.command());
    kill(command, libc::SIGSTOP);
    eventually("it is stopped", || state(command) == Some('T'));
    // Init has seen that when it sleeps again with nothing pending.
    let is_idle = || {
        let status = fs::read_to_string(format!("/proc/{init}/status")).unwrap();
        state(init) == Some('S') && status.contains("ShdPnd:\t0000000000000000")
    };
    eventually("init has heard of it", is_idle);
    probe.running.signal(libc::SIGTERM);
    probe.running.finish().expect(42);
}

/// Holds a process until it is dropped, as a debugger does: no signal is needed for it.
struct Held(u32);

impl Held {
    fn seize(pid: u32) -> Self {
        let held = Self(pid);
        held.ptrace(libc::PTRACE_SEIZE);
        held.ptrace(libc::PTRACE_INTERRUPT);
        // SAFETY: no status is asked for.
        let stopped = unsafe { libc::waitpid(pid.try_into().unwrap(), std::ptr::null_mut(), libc::__WALL) };
        assert_eq!(u32::try_from(stopped), Ok(pid));
        held
    }

    fn ptrace(&self, request: libc::c_uint) {
        let none = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: these requests take no memory of ours.
        assert_eq!(unsafe { libc::ptrace(request, self.0, none, none) }, 0, "ptrace {request}");
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.ptrace(libc::PTRACE_DETACH);
    }
}

#[test]
fn a_request_to_end_that_comes_together_with_the_stop_is_seen_as_well() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let probe = Probe::start(launcher(["--rootfs", rootfs.arg()]), &["signals", "9"]);
    let command = probe.command();
    // Both wait for init when it wakes up, and the kernel hands out the lower number first: TERM before CHLD.
    let held = Held::seize(probe.init);
    kill(command, libc::SIGSTOP);
    eventually("it is stopped", || state(command) == Some('T'));
    kill(probe.init, libc::SIGTERM);
    drop(held);
    let mut is_over = false;
    let end = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while !is_over && std::time::Instant::now() < end {
        is_over = state(command).is_none_or(|state| state == 'Z');
        std::thread::yield_now();
    }
    // A container that hangs is let go, so that the failure does not have to wait for the deadline.
    probe.running.signal(libc::SIGCONT);
    assert!(is_over, "stopped for ever, with the request to end pending");
    probe.running.finish().expect(42);
}

#[test]
fn nothing_inside_survives_the_outer_launcher() {
    require!(root, busybox);
    let (own, users) = (Rootfs::new(), Rootfs::for_user());
    let script = "trap '' TERM HUP; setsid sleep 4000402 & sleep 4000402 & echo ready; sleep 4000402";
    for (way, mut command) in ways(&own, &users) {
        if way == "without a PID namespace" {
            continue; // nobody kills those who have left the family there
        }
        let mut running = Running::start(command.args(["--", "sh", "-c", script]));
        running.wait_for("ready");
        let init = children_of(running.child.id())[0];
        running.signal(libc::SIGKILL);
        eventually("init is gone", || !exists(init));
        eventually(way, || processes_with("sleep\x004000402").is_empty());
        running.finish().expect(1000 + libc::SIGKILL);
    }
}

#[test]
fn without_a_pid_namespace_the_command_still_dies_with_the_outer_launcher() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for user in ["0:0", "1000:1000"] {
        // The change of ids clears the death signal, unless it is set after that.
        let probe =
            Probe::start(launcher(["--rootfs", rootfs.arg(), "--pid", "host", "-u", user]), &["pause"]);
        let (init, command) = (probe.init, probe.command());
        probe.running.signal(libc::SIGKILL);
        eventually("both are gone", || !exists(init) && !exists(command));
        probe.running.finish().expect(1000 + libc::SIGKILL);
    }
}

/// Starts a container whose first mount takes long, sends a signal when its child is there, and returns the end.
fn interrupted(rootfs: &Rootfs, name: &str, signal: i32) -> common::Finished {
    let slow = ["mount:delay_enter=1000000:when=1"];
    let options = ["--rootfs", rootfs.arg(), "--name", name, "-m", "64m", "--", "/probe", "pause"];
    let running = Running::start(&mut launcher_with_faults(&slow, &options));
    let tracer = running.child.id();
    let mut outer = None;
    eventually("the child is being set up", || {
        // strace's other child is gone once it has found out what the kernel can do.
        outer = children_of(tracer).into_iter().find(|pid| !children_of(*pid).is_empty());
        outer.is_some_and(|pid| children_of(pid).iter().any(|child| exists(*child)))
    });
    kill(outer.unwrap(), signal);
    let mut finished = running.finish();
    // strace's own words about a process that dies while it is being delayed.
    finished.err = finished.err.lines().filter(|line| !line.starts_with("strace: ")).collect();
    finished
}

#[test]
fn a_request_to_end_is_heard_during_the_set_up() {
    require!(root, busybox, memory_v1, strace);
    let rootfs = Rootfs::new();
    for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGQUIT] {
        let finished = interrupted(&rootfs, "sig-setup", signal);
        assert_eq!((finished.status, &*finished.out, &*finished.err), (128 + signal, "", ""), "{signal}");
        assert!(cgroups_named("sig-setup").is_empty(), "{signal}");
        assert!(processes_with("sig-setup").is_empty(), "{signal}");
    }
}

#[test]
fn a_command_that_has_spoken_hears_the_request_to_end() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    // What init tells comes late; the command must not be heard before it.
    let words = ["--rootfs", rootfs.arg(), "--", "/probe", "signals", "9"];
    let mut running = Running::start(&mut launcher_with_faults(&["sendto:delay_enter=500ms"], &words));
    running.wait_for("ready");
    kill(children_of(running.child.id())[0], libc::SIGTERM);
    assert_eq!(running.finish().expect(42).out, "15\n");
}

#[test]
fn other_signals_wait_until_the_command_runs() {
    require!(root, busybox, memory_v1, strace);
    let rootfs = Rootfs::new();
    // Its default action is the proof that it came.
    let finished = interrupted(&rootfs, "sig-later", libc::SIGUSR1);
    assert_eq!(finished.status, 128 + libc::SIGUSR1, "{finished:?}");
    assert!(cgroups_named("sig-later").is_empty());
}

/// Makes a new session, whose terminal is standard input.
fn lead_session() -> std::io::Result<()> {
    nix::unistd::setsid()?;
    // SAFETY: takes an integer.
    nix::errno::Errno::result(unsafe { libc::ioctl(0, libc::TIOCSCTTY, 0) })?;
    Ok(())
}

/// A session with a terminal of its own, whose leader is a shell that runs a script.
struct Terminal {
    master: File,
    leader: Child,
    pending: Vec<u8>,
}

impl Terminal {
    fn start(script: &str) -> Self {
        let pty = nix::pty::openpty(None, None).unwrap();
        let mut command = Command::new("/bin/busybox");
        command.args(["sh", "-c", script]);
        let stream = || pty.slave.try_clone().unwrap();
        command.stdin(stream()).stdout(stream()).stderr(stream());
        // SAFETY: `lead_session` makes system calls only, in a child that has one thread.
        unsafe { command.pre_exec(lead_session) };
        let leader = command.spawn().unwrap();
        Self { master: pty.master.into(), leader, pending: Vec::new() }
    }

    /// The next line that appears; fails at the deadline.
    #[track_caller]
    fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.pending.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.pending.drain(..=end).collect();
                return String::from_utf8_lossy(&line).trim_end().to_owned();
            }
            let timeout = PollTimeout::try_from(DEADLINE).unwrap();
            let ready = nix::poll::poll(&mut [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)], timeout);
            assert_eq!(ready, Ok(1), "so far: {:?}", String::from_utf8_lossy(&self.pending));
            let mut bytes = [0; 1024];
            // EIO: the last process has closed the terminal.
            let count = self.master.read(&mut bytes).unwrap_or(0);
            assert_ne!(count, 0, "ended after {:?}", String::from_utf8_lossy(&self.pending));
            self.pending.extend(&bytes[..count]);
        }
    }

    /// Types a key.
    fn press(&mut self, key: u8) {
        self.master.write_all(&[key]).unwrap();
    }

    /// The process group in the foreground.
    fn foreground(&self) -> i32 {
        // SAFETY: takes an integer.
        unsafe { libc::tcgetpgrp(self.master.as_raw_fd()) }
    }
}

/// A script that runs launcher, then tells how it ended and whether the shell has the terminal back.
fn in_terminal(rootfs: &Rootfs, words: &str) -> String {
    let (program, rootfs) = (launcher_path(), rootfs.arg());
    format!(
        "stty -echo; {} --rootfs {rootfs} {words}; echo status $?; set -- $(cat /proc/$$/stat); [ $5 = $8 ] && echo back",
        program.display()
    )
}

/// Ctrl-C.
const INTERRUPT: u8 = 3;
/// Ctrl-Z.
const SUSPEND: u8 = 26;

#[test]
fn the_command_has_the_terminal_and_the_caller_gets_it_back() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // Group and foreground group of the command, then of the caller's.
    let words = "-- sh -c 'set -- $(cat /proc/$$/stat); echo $1 $5 $8; tty >/dev/null; exit 7'";
    let mut terminal = Terminal::start(&in_terminal(&rootfs, words));
    assert_eq!([(); 3].map(|()| terminal.line()), ["2 2 2", "status 7", "back"]);
    finish(terminal.leader).expect(0);
}

#[test]
fn ctrl_c_arrives_exactly_once() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::start(&in_terminal(&rootfs, "-- /probe signals 3"));
    assert_eq!(terminal.line(), "ready");
    let outer = children_of(terminal.leader.id())[0];
    assert_ne!(terminal.foreground(), i32::try_from(outer).unwrap());
    terminal.press(INTERRUPT);
    assert_eq!(terminal.line(), libc::SIGINT.to_string());
    // Behind a second one, which would come the long way through both launchers.
    kill(outer, libc::SIGUSR1);
    kill(outer, libc::SIGUSR2);
    let rest = [(); 4].map(|()| terminal.line());
    assert_eq!(rest, [&*libc::SIGUSR1.to_string(), &*libc::SIGUSR2.to_string(), "status 0", "back"]);
    finish(terminal.leader).expect(0);
}

#[test]
fn ctrl_z_does_not_freeze_and_ctrl_c_ends() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::start(&in_terminal(&rootfs, "-- /probe pause"));
    assert_eq!(terminal.line(), "ready");
    terminal.press(SUSPEND);
    terminal.press(INTERRUPT);
    assert_eq!([(); 2].map(|()| terminal.line()), ["status 130", "back"]);
    finish(terminal.leader).expect(0);
}

#[test]
fn the_terminal_comes_back_after_every_kind_of_end() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (words, status) in [
        ("-- /nonexistent 2>/dev/null", 127),
        ("-w /nonexistent -- true 2>/dev/null", 125),
        ("-- /probe die 9", 137),
        ("-- sh -c 'kill -9 $$'", 137),
    ] {
        let mut terminal = Terminal::start(&in_terminal(&rootfs, words));
        assert_eq!([(); 2].map(|()| terminal.line()), [&*format!("status {status}"), "back"], "{words}");
        finish(terminal.leader).expect(0);
    }
}
