//! Which signals init passes on, in which order, to whom.
#![allow(unsafe_code, reason = "signals are sent by number")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::process::{Command, Stdio};

use common::init::{current_call, is_in_call, kill, launcher_probe, only_child, status_field};
use common::{DEADLINE, Running, eventually, launcher_path, launcher_with_faults, probe_path, queue};

#[test]
fn every_signal_reaches_the_program() {
    // 9 and 19 nobody can catch. 21 and 22 tell launcher that it is in the background itself. 15 ends the probe.
    let numbers: Vec<i32> = (1..=64).filter(|number| ![9, 15, 19, 21, 22].contains(number)).collect();
    let mut running = Running::start(&mut launcher_probe(&["--"], &["signals", "100"]));
    running.wait_for("ready");
    for number in numbers {
        running.signal(number);
        assert_eq!(running.line(), number.to_string());
    }
    running.signal(21);
    running.signal(22);
    running.signal(15);
    let finished = running.finish().expect(42);
    assert_eq!((finished.out.as_str(), finished.err.as_str()), ("15\n", ""));
}

#[test]
fn queued_signals_arrive_one_by_one() {
    let mut running = Running::start(&mut launcher_probe(&["--"], &["signals", "100"]));
    running.wait_for("ready");
    (0..100).for_each(|_| running.signal(34 + 5));
    assert_eq!(running.finish().expect(0).out, "39\n".repeat(100));
}

/// A program that is stopped and whose queue is full, since launcher was sent 40 values; launcher, the program.
fn with_full_queue(count: &str) -> (Running, u32, u32) {
    // A user of its own: the kernel counts what waits for all processes of one together.
    let options = ["-u", "54321:54321", "--ulimit", "sigpending=4", "--"];
    let mut running = Running::start(&mut launcher_probe(&options, &["signals", count]));
    running.wait_for("ready");
    let init = running.child.id();
    let child = only_child(init);
    kill(child, libc::SIGSTOP);
    eventually("the program is stopped", || status_field(child, "State").starts_with('T'));
    (0..40).for_each(|value| queue(init, 34 + 5, value).unwrap());
    eventually("its queue is full", || status_field(child, "SigQ") == "4/4");
    (running, init, child)
}

#[test]
fn a_full_queue_delays_what_is_queued_and_nothing_else() {
    require!(root);
    let (running, init, child) = with_full_queue("42");
    kill(init, libc::SIGUSR1);
    eventually("USR1 goes past the others", || status_field(child, "ShdPnd").ends_with("200"));
    kill(child, libc::SIGCONT);
    let finished = running.finish().expect(0);
    let got: Vec<_> = finished.out.lines().collect();
    assert_eq!((&got[..2], &got[2..]), (&["10", "18"][..], &["39"; 40][..]));
    assert_eq!(finished.err, "");
}

#[test]
fn a_queue_that_stays_full_holds_nothing_up_for_good() {
    require!(root);
    let (mut running, init, child) = with_full_queue("100");
    let is_pending = |number: u32| {
        u64::from_str_radix(&status_field(child, "ShdPnd"), 16).unwrap() >> (number - 1) & 1 == 1
    };
    kill(init, 50);
    eventually("a higher signal goes past those that wait", || is_pending(50));
    // The last argument but one: the time after which it looks again.
    eventually("launcher sleeps for good", || {
        is_in_call(init, libc::SYS_rt_sigtimedwait) && current_call(init).split(' ').nth(3) == Some("0x0")
    });
    // With room again, values go with their signals again.
    kill(child, libc::SIGCONT);
    running.wait_for("50");
    eventually("there is room", || status_field(child, "SigQ") == "0/4");
    (0..5).for_each(|value| queue(init, 34 + 6, value).unwrap());
    (0..5).for_each(|_| running.wait_for("40"));
    kill(init, libc::SIGTERM);
    running.finish().expect(42);
}

#[test]
fn a_flood_of_signals_hides_no_end() {
    require!(strace);
    // Held up for a moment at each signal, so that there is always another one: the kernel hands out USR1 before CHLD.
    let faults = ["rt_sigtimedwait:delay_exit=50ms"];
    let script = "trap '' USR1; echo ready; exec sleep 600";
    let mut running = Running::start(&mut launcher_with_faults(&faults, &["--", "sh", "-c", script]));
    running.wait_for("ready");
    let init = only_child(running.child.id());
    kill(init, libc::SIGUSR1);
    kill(only_child(init), libc::SIGTERM);
    let end = std::time::Instant::now() + DEADLINE;
    while running.child.try_wait().unwrap().is_none() {
        // SAFETY: takes two integers; ESRCH is the end that we wait for.
        unsafe { libc::kill(init.try_into().unwrap(), libc::SIGUSR1) };
        assert!(std::time::Instant::now() < end, "the end was not seen");
    }
    running.finish().expect(1015);
}

#[test]
fn the_group_of_the_program_gets_signals_where_that_is_wanted() {
    for (options, want) in [(&["-g"][..], "child got USR1"), (&["--"], "child got nothing")] {
        let mut running = Running::start(&mut launcher_probe(options, &["family"]));
        running.wait_for("ready");
        running.signal(libc::SIGUSR1);
        running.signal(libc::SIGUSR2);
        assert_eq!(running.finish().expect(0).out.trim_end(), want, "{options:?}");
    }
}

#[test]
fn a_signal_may_come_when_the_parent_dies() {
    let launcher = launcher_path();
    let script = r#""$0" -p TERM -- "$1" signals 9 & wait"#;
    let mut parent = Command::new("sh");
    parent.args(["-c", script]).arg(launcher).arg(probe_path()).stdin(Stdio::null());
    let mut running = Running::start(&mut parent);
    running.wait_for("ready");
    running.signal(libc::SIGKILL);
    running.wait_for("15");
    assert_eq!(running.finish().status, 1000 + libc::SIGKILL);
}

#[test]
fn a_stopped_program_gets_to_see_what_wants_its_end() {
    let mut running = Running::start(&mut launcher_probe(&["--"], &["signals", "9"]));
    running.wait_for("ready");
    let child = only_child(running.child.id());
    kill(child, libc::SIGSTOP);
    eventually("the program is stopped", || status_field(child, "State").starts_with('T'));
    // A signal that is not for the end does not wake it, and shows that launcher has looked at the stop.
    running.signal(libc::SIGUSR1);
    eventually("USR1 waits", || status_field(child, "ShdPnd").ends_with("200"));
    assert!(status_field(child, "State").starts_with('T'));
    running.signal(libc::SIGTERM);
    // CONT comes with TERM or after it: which is taken first is the kernel's choice.
    running.wait_for("15");
    running.finish().expect(42);
}

#[test]
fn a_program_that_stops_at_the_moment_of_the_signal_sees_it_too() {
    require!(strace);
    // launcher is held between looking at its children and waiting for signals: stop and TERM are both there then.
    let path = probe_path();
    let words = ["--", path.to_str().unwrap(), "signals", "9"];
    let faults = ["rt_sigtimedwait:delay_enter=2s:when=1"];
    let mut running = Running::start(&mut launcher_with_faults(&faults, &words));
    running.wait_for("ready");
    let init = only_child(running.child.id());
    let child = only_child(init);
    kill(child, libc::SIGSTOP);
    eventually("the program is stopped", || status_field(child, "State").starts_with(['T', 't']));
    kill(init, libc::SIGTERM);
    running.wait_for("15");
    running.finish().expect(42);
}

#[test]
fn a_signal_that_may_not_be_sent_is_a_warning() {
    require!(strace);
    let path = probe_path();
    let words = ["--", path.to_str().unwrap(), "signals", "9"];
    let mut running = Running::start(&mut launcher_with_faults(&["kill:error=EPERM:when=1"], &words));
    running.wait_for("ready");
    let init = only_child(running.child.id());
    kill(init, libc::SIGUSR1);
    kill(init, libc::SIGTERM);
    let finished = running.finish().expect(42);
    assert_eq!(finished.out, "15\n");
    let want = "launcher: warning: signal 10 could not be forwarded: Operation not permitted\n";
    assert_eq!(finished.err, want);
}

#[test]
fn without_a_group_of_its_own_the_program_gets_signals_itself() {
    require!(strace);
    let path = probe_path();
    let words = ["-g", "--", path.to_str().unwrap(), "signals", "9"];
    let mut running = Running::start(&mut launcher_with_faults(&["setpgid:error=EPERM"], &words));
    running.wait_for("ready");
    kill(only_child(running.child.id()), libc::SIGTERM);
    running.wait_for("15");
    running.finish().expect(42);
}
