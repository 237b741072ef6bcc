//! Known faults of tini 0.19, dumb-init 1.2.5, catatonit 0.1.7, pid1-rs 0.1.6 and Kubernetes' pause, each tried under
//! the name that has it: launcher has none of them.
#![allow(unsafe_code, reason = "what a careless parent leaves to its children has to be made somehow")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use common::init::{
    block_all_signals, called, current_call, descriptors, ignore, inherit, is_in_call, kill, launcher_probe,
    only_child, probe, status_field, with_habit,
};
use common::tty::Terminal;
use common::{
    Running, Temp, USER, children_of, copy_program, eventually, finish, launcher, launcher_path, run,
    with_faults,
};

/// A shell script under one of the names.
fn script(temp: &Temp, name: &str, script: &str) -> Command {
    let mut command = called(temp, name);
    command.args(["--", "sh", "-c", script]);
    command
}

/// A model's command while strace(1) makes a system call fail, or late.
fn faulty(temp: &Temp, name: &str, fault: &str, words: &[&str]) -> Command {
    with_faults(called(temp, name).get_program(), &[fault], words)
}

/// Signals an init while the process that is to become its program is held in a system call before execve: what is
/// sent then must reach the program.
fn a_signal_before_exec_arrives(name: &str, options: &[&str], call: &str, number: libc::c_long) {
    let temp = Temp::new();
    let fault = format!("{call}:delay_enter=2s:when=1");
    let words = [options, &["--", "sleep", "600"]].concat();
    let running = Running::start(&mut faulty(&temp, name, &fault, &words));
    let strace = running.child.id();
    // strace has had other children before.
    let is_init = |pid: &u32| {
        std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim_end() == name)
    };
    let init = || children_of(strace).into_iter().find(is_init);
    let child = || init().and_then(|init| children_of(init).first().copied());
    eventually("the new process is held", || child().is_some_and(|child| is_in_call(child, number)));
    kill(init().unwrap(), libc::SIGTERM);
    running.finish().expect(143);
}

// ---- tini

#[test]
fn t1_c1_sigchld_ignored_on_entry_does_not_hang() {
    for name in ["tini", "catatonit", "dumb-init"] {
        let temp = Temp::new();
        let mut command = script(&temp, name, "exit 7");
        run(with_habit(&mut command, || ignore(libc::SIGCHLD))).expect(7);
    }
}

#[test]
fn t2_a_program_of_another_user_that_may_not_be_signalled_is_no_reason_to_end() {
    require!(root, setpriv);
    let own = std::fs::canonicalize(launcher_path()).unwrap();
    let mut command = Command::new("setpriv");
    command.args(["--bounding-set", "-kill", "--inh-caps", "-kill"]).arg(own);
    command.args(["--user", &format!("{USER}:{USER}"), "--", "sh", "-c", "echo ready; read line; exit 9"]);
    let mut running = Running::start(command.stdin(Stdio::piped()));
    running.wait_for("ready");
    running.signal(libc::SIGTERM);
    running.signal(libc::SIGUSR1);
    let pid = running.child.id();
    eventually("both are taken", || status_field(pid, "ShdPnd") == "0".repeat(16));
    drop(running.child.stdin.take());
    let finished = running.finish().expect(9);
    for signal in [10, 15] {
        let want =
            format!("launcher: warning: signal {signal} could not be forwarded: Operation not permitted");
        assert!(finished.err.lines().any(|line| line == want), "{}", finished.err);
    }
}

#[test]
fn t3_a_closed_stdin_or_a_terminal_that_refuses_is_no_reason_to_end() {
    require!(strace);
    for name in ["tini", "catatonit"] {
        let temp = Temp::new();
        let mut command = script(&temp, name, "exit 7");
        let close = || {
            // SAFETY: takes an integer; nobody uses the descriptor between here and execve.
            unsafe { libc::close(0) };
        };
        assert_eq!(run(with_habit(&mut command, close)).expect(7).err, "");
    }
    for errno in ["EACCES", "EPERM", "EBADF"] {
        let temp = Temp::new();
        let terminal = Terminal::new();
        let fault = format!("ioctl:error={errno}");
        let child = terminal.start(&mut faulty(&temp, "tini", &fault, &["--", "sh", "-c", "exit 7"]));
        finish(child).expect(7);
    }
}

#[test]
fn t4_c3_a_signal_for_the_group_is_kept_until_there_is_one() {
    require!(strace);
    for name in ["tini", "catatonit"] {
        a_signal_before_exec_arrives(name, &["-g"], "setpgid", libc::SYS_setpgid);
    }
}

#[test]
fn t5_ctrl_z_does_not_freeze_a_container_and_sigterm_ends_it() {
    require!(root, unshare);
    for name in ["tini", "catatonit", "dumb-init"] {
        let temp = Temp::new();
        let mut terminal = Terminal::new();
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child"]).arg(called(&temp, name).get_program());
        let outer = terminal.start(command.args(["--", "sh", "-c", "echo ready; exec cat"]));
        terminal.wait_for("ready", 1);
        terminal.suspend_in_vain();
        kill(only_child(outer.id()), libc::SIGTERM);
        finish(outer).expect(143);
    }
}

#[test]
fn t6_c4_the_foreground_is_not_taken_from_a_shell() {
    for name in ["tini", "catatonit"] {
        let temp = Temp::new();
        let mut terminal = Terminal::new();
        let script = r#"set -m; "$0" -- sh -c 'echo ready; exec sleep 600' & wait"#;
        let mut shell = Command::new("sh");
        shell.args([OsStr::new("-c"), OsStr::new(script), called(&temp, name).get_program()]);
        let shell = terminal.start(&mut shell);
        terminal.wait_for("ready", 1);
        assert_eq!(terminal.foreground(), i32::try_from(shell.id()).unwrap());
        kill(only_child(shell.id()), libc::SIGTERM);
        finish(shell).expect(0);
    }
}

#[test]
fn t7_c5_options_of_the_program_are_not_eaten() {
    for name in ["tini", "catatonit", "dumb-init"] {
        let temp = Temp::new();
        let out = run(called(&temp, name).args(["echo", "-l", "-h", "--version"])).expect(0).out;
        assert_eq!(out, "-l -h --version\n", "{name}");
    }
    let mut command = launcher(["echo", "-l", "-h"]);
    assert_eq!(run(&mut command).expect(0).out, "-l -h\n");
}

#[test]
fn t8_it_sleeps_without_a_time_out() {
    for name in ["tini", "dumb-init", "catatonit"] {
        let temp = Temp::new();
        let mut running = Running::start(called(&temp, name).arg("--").args(probe(&["pause"])));
        running.wait_for("ready");
        let pid = running.child.id();
        eventually("it waits for signals", || is_in_call(pid, libc::SYS_rt_sigtimedwait));
        let call = current_call(pid);
        assert_eq!(call.split(' ').nth(3), Some("0x0"), "{name} has a time-out: {call}");
        running.signal(libc::SIGTERM);
        running.finish().expect(143);
    }
}

#[test]
fn t9_neither_descriptors_nor_the_working_directory_are_held() {
    let temp = Temp::new();
    let (_reader, writer) = std::io::pipe().unwrap();
    let mut command = script(&temp, "tini", "echo ready; exec sleep 600");
    let mut running =
        Running::start(inherit(command.current_dir(&temp.0), std::os::fd::AsRawFd::as_raw_fd(&writer)));
    running.wait_for("ready");
    let (init, child) = (running.child.id(), only_child(running.child.id()));
    eventually("init has closed its own", || descriptors(init) == BTreeSet::from([0, 1, 2]));
    let cwd = |pid: u32| std::fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
    eventually("init has left the folder", || cwd(init) == Path::new("/"));
    assert_eq!(cwd(child), temp.0);
    assert!(descriptors(child).contains(&77));
    running.signal(libc::SIGTERM);
    running.finish().expect(143);
}

#[test]
fn t10_what_it_tells_goes_to_stderr_and_once() {
    let temp = Temp::new();
    let finished = run(called(&temp, "tini").args(["-vvvv", "--", "sh", "-c", "exit 3"])).expect(3);
    assert_eq!(finished.out, "");
    assert!(finished.err.contains("exited with 3"), "{}", finished.err);
    let finished = run(called(&temp, "tini").args(["-vvvv", "--", "/no/such/program"])).expect(127);
    assert_eq!(finished.out, "");
    let mut lines: Vec<_> = finished.err.lines().collect();
    let count = lines.len();
    lines.sort_unstable();
    lines.dedup();
    assert_eq!(lines.len(), count, "{}", finished.err);
    assert_eq!(finished.err.matches("/no/such/program").count(), 1, "{}", finished.err);
}

#[test]
fn t11_every_failure_to_execute_is_126_or_127() {
    let temp = Temp::new();
    std::fs::write(temp.0.join("file"), "").unwrap();
    std::os::unix::fs::symlink("loop", temp.0.join("loop")).unwrap();
    let long = "x".repeat(5000);
    for (path, status) in [("file/x", 127), ("loop", 126), (&long, 126), ("missing", 127), ("file", 126)] {
        run(called(&temp, "tini").arg("--").arg(temp.0.join(path))).expect(status);
    }
}

#[test]
fn t12_a_parent_that_dies_before_the_death_signal_is_set_is_noticed() {
    require!(strace);
    let temp = Temp::new();
    let mark = temp.0.join("started");
    // -D: launcher is the shell's own child.
    let script = r#"strace -D -f -qq -o /dev/null -e inject=prctl:delay_enter=2s:when=1 -- \
                    "$0" -p KILL -- touch "$1" & echo $!; read line"#;
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).args([launcher_path(), mark.clone()]).stdin(Stdio::piped());
    let mut running = Running::start(&mut shell);
    let init: u32 = running.line().parse().unwrap();
    eventually("launcher is about to set it", || is_in_call(init, libc::SYS_prctl));
    running.signal(libc::SIGKILL);
    let finished = running.finish().expect(1009);
    let want = "launcher: the parent died during the start\n";
    assert_eq!((finished.out.as_str(), finished.err.as_str()), ("", want));
    assert!(!mark.exists(), "the program was started");
}

// ---- dumb-init

#[test]
fn d1_a_signal_just_before_exec_is_not_swallowed() {
    require!(strace);
    for options in [&[][..], &["-c"]] {
        a_signal_before_exec_arrives("dumb-init", options, "rt_sigprocmask", libc::SYS_rt_sigprocmask);
    }
}

#[test]
fn d2_a_signal_before_the_session_is_not_lost() {
    require!(strace);
    a_signal_before_exec_arrives("dumb-init", &[], "setsid", libc::SYS_setsid);
}

#[test]
fn d3_ignored_signals_and_the_mask_are_handed_on() {
    let temp = Temp::new();
    for habit in [|| ignore(libc::SIGHUP), block_all_signals] {
        let arguments = ["-E", "^Sig(Blk|Ign)", "/proc/self/status"];
        let mut own = called(&temp, "dumb-init");
        own.args(["--", "grep"]);
        let [want, got] = [Command::new("grep"), own]
            .map(|mut command| run(with_habit(command.args(arguments), habit)).expect(0).out);
        assert_eq!(got, want);
    }
}

#[test]
fn d4_the_program_starts_where_init_was_started() {
    let temp = Temp::new();
    for _ in 0..50 {
        let mut command = script(&temp, "dumb-init", "pwd -P");
        let out = run(command.current_dir(&temp.0)).expect(0).out;
        assert_eq!(out.trim_end(), std::fs::canonicalize(&temp.0).unwrap().to_str().unwrap());
    }
}

#[test]
fn d5_real_time_signals_arrive_in_a_session_too() {
    let temp = Temp::new();
    let mut command = called(&temp, "dumb-init");
    let mut running = Running::start(command.arg("--").args(probe(&["signals", "33"])));
    running.wait_for("ready");
    for number in 32..=64 {
        running.signal(number);
        assert_eq!(running.line(), number.to_string());
    }
    running.finish().expect(0);
}

#[test]
fn d6_c6_what_cannot_be_executed_is_told_apart() {
    // Under their names 2 and 1 are what their users test for; under its own:
    run(&mut launcher(["--", "/no/such/program"])).expect(127);
    run(&mut launcher(["--", "/etc/passwd"])).expect(126);
}

#[test]
fn d7_those_who_are_left_may_be_given_time() {
    let temp = Temp::new();
    let mark = temp.0.join("ready");
    let script = "sh -c \"trap 'echo cleaned up; exit' TERM; >$0; while :; do sleep 0.01; done\" & \
                  until [ -e $0 ]; do :; done; exit 3";
    let mut command = called(&temp, "dumb-init");
    command.env("LAUNCHER_WAIT_ALL", "20").args(["--", "sh", "-c", script]).arg(&mark);
    assert_eq!(run(&mut command).expect(3).out, "cleaned up\n");
}

#[test]
fn d8_orphans_are_adopted_where_it_is_not_pid_1() {
    for name in ["dumb-init", "tini"] {
        let temp = Temp::new();
        let finished = run(called(&temp, name).arg("--").args(probe(&["adopted", "5"]))).expect(0);
        assert_eq!((finished.out.as_str(), finished.err.as_str()), ("adopted 5\nzombies 0\n", ""), "{name}");
    }
}

#[test]
fn d9_who_leads_no_session_keeps_the_terminal() {
    let temp = Temp::new();
    let mut terminal = Terminal::new();
    let script = r#""$0" -- sh -c 'echo ready; exec cat'; echo status $?"#;
    let mut shell = Command::new("sh");
    let shell = terminal.start(shell.args([
        OsStr::new("-c"),
        OsStr::new(script),
        called(&temp, "dumb-init").get_program(),
    ]));
    terminal.wait_for("ready", 1);
    terminal.send("hello\n");
    terminal.wait_for("hello", 2);
    terminal.send("\x04");
    terminal.wait_for("status 0", 1);
    finish(shell).expect(0);
    assert!(!terminal.shown.contains("not permitted"), "{}", terminal.shown);
}

#[test]
fn d10_who_made_a_session_of_its_own_can_be_signalled_as_well() {
    let temp = Temp::new();
    let mut command = called(&temp, "dumb-init");
    command.env("LAUNCHER_SIGNAL_TO", "all").arg("--").args(probe(&["escaped"]));
    let mut running = Running::start(&mut command);
    running.wait_for("ready");
    running.signal(libc::SIGUSR1);
    running.signal(libc::SIGUSR2);
    assert_eq!(running.finish().expect(0).out, "child got USR1\n");
}

// ---- catatonit

#[test]
fn c2_no_signal_of_the_terminal_is_blocked_in_the_program() {
    let temp = Temp::new();
    let mut command = called(&temp, "catatonit");
    let out = run(command.args(["--", "grep", "^SigBlk", "/proc/self/status"])).expect(0).out;
    assert_eq!(out, format!("SigBlk:\t{}\n", "0".repeat(16)));
}

#[test]
fn c7_help_is_no_error() {
    let temp = Temp::new();
    let finished = run(called(&temp, "catatonit").arg("--help")).expect(0);
    assert!(finished.out.contains("--version") && finished.err.is_empty(), "{finished:?}");
}

// ---- pid1-rs

/// A user as whom nothing else runs. Root is not bound by a limit of processes.
const NOBODY_ELSE: u32 = USER + 1;

/// A habit: this user may not have more than so many processes.
fn limit_processes(most: u64) {
    use nix::sys::resource::{Resource, setrlimit};
    setrlimit(Resource::RLIMIT_NPROC, most, most).ok();
}

#[test]
fn p1_no_process_more_is_needed_to_end() {
    require!(root);
    let own = Temp::new();
    let path = own.0.join("launcher");
    copy_program(&launcher_path(), &path);
    let start = |most: u64, script: &str| {
        let mut command = Command::new(&path);
        std::os::unix::process::CommandExt::uid(&mut command, NOBODY_ELSE).current_dir("/");
        command.args(["--", "sh", "-c", script]).stdin(Stdio::null());
        with_habit(&mut command, move || limit_processes(most));
        command
    };
    let mut running = Running::start(&mut start(2, "trap 'exit 9' TERM; echo ready; while :; do :; done"));
    running.wait_for("ready");
    running.signal(libc::SIGTERM);
    running.finish().expect(9);
    let finished = run(&mut start(1, "exit 7")).expect(125);
    let want = "launcher: make a process for the program: Resource temporarily unavailable (EAGAIN)\n";
    assert_eq!(finished.err, want);
}

#[test]
fn p2_all_signals_blocked_on_entry_do_not_hang() {
    let mut command = launcher_probe(&["--"], &["signals", "9"]);
    let mut running = Running::start(with_habit(&mut command, block_all_signals));
    running.wait_for("ready");
    running.signal(libc::SIGTERM);
    assert_eq!(running.finish().expect(42).out, "15\n");
}

#[test]
fn p3_more_than_two_signals_are_forwarded() {
    let mut running = Running::start(&mut launcher_probe(&["--"], &["signals", "3"]));
    running.wait_for("ready");
    for number in [libc::SIGHUP, libc::SIGUSR2, libc::SIGWINCH] {
        running.signal(number);
        assert_eq!(running.line(), number.to_string());
    }
    running.finish().expect(0);
}

#[test]
fn p4_nobody_is_killed_who_takes_long_to_end() {
    // No longer than that model's two seconds, and no sleep to wait for something: the time itself is the matter.
    let script = "trap 'sleep 2.2; exit 9' TERM; echo ready; while :; do sleep 0.01; done";
    let mut running = Running::start(&mut launcher(["--", "sh", "-c", script]));
    running.wait_for("ready");
    running.signal(libc::SIGTERM);
    running.finish().expect(9);
}

#[test]
fn p5_the_program_leads_a_group_and_has_the_terminal() {
    let mut terminal = Terminal::new();
    let init = terminal.start(Command::new(launcher_path()).args(["sh", "-c", "echo ready; read line"]));
    terminal.wait_for("ready", 1);
    let child = only_child(init.id());
    assert_eq!(terminal.foreground(), i32::try_from(child).unwrap());
    terminal.send("\n");
    finish(init).expect(0);
}

#[test]
fn p6_a_program_needs_no_dashes_before_it() {
    run(&mut launcher(["sh", "-c", "exit 5"])).expect(5);
}

// ---- pause

#[test]
fn k1_no_handler_runs_in_the_middle_of_something() {
    let temp = Temp::new();
    for name in ["pause", "tini"] {
        let mut command = called(&temp, name);
        if name != "pause" {
            command.arg("--").args(probe(&["pause"]));
        }
        let running = Running::start(&mut command);
        let pid = running.child.id();
        eventually("it waits", || is_in_call(pid, libc::SYS_rt_sigtimedwait));
        assert_eq!(status_field(pid, "SigCgt"), "0".repeat(16), "{name} has a handler");
        running.signal(libc::SIGTERM);
        running.finish().expect(if name == "pause" { 0 } else { 143 });
    }
}
