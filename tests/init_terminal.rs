//! init on a terminal: as the leader of its session, as a job of a shell, in the background.
#![allow(unsafe_code, reason = "signals by number, and what a careless parent leaves to its children")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::ffi::OsStr;
use std::process::Command;

use common::init::{called, kill, only_child, probe, status_field};
use common::tty::Terminal;
use common::{Rootfs, Temp, eventually, finish, launcher_path};

#[test]
fn the_program_becomes_the_foreground_and_gets_what_is_typed() {
    let mut terminal = Terminal::new();
    let init = terminal.start(Command::new(launcher_path()).args(["--", "sh", "-c", "echo ready; exec cat"]));
    terminal.wait_for("ready", 1);
    let child = only_child(init.id());
    assert_eq!(terminal.foreground(), i32::try_from(child).unwrap());
    terminal.send("hello\n");
    terminal.wait_for("hello", 2); // the terminal's echo and the program's
    terminal.send("\x03");
    finish(init).expect(1000 + libc::SIGINT);
}

#[test]
fn ctrl_z_does_not_freeze_the_program() {
    let mut terminal = Terminal::new();
    let init = terminal.start(Command::new(launcher_path()).args(["--", "sh", "-c", "echo ready; exec cat"]));
    terminal.wait_for("ready", 1);
    terminal.suspend_in_vain();
    terminal.send("\x04");
    finish(init).expect(0);
}

#[test]
fn in_the_background_it_leaves_the_terminal_alone() {
    let mut terminal = Terminal::new();
    let script = r#"set -m; "$0" -- sh -c 'echo ready; read line </dev/null; exec sleep 600' & wait"#;
    let mut shell = Command::new("sh");
    let shell = terminal.start(shell.args([OsStr::new("-c"), OsStr::new(script)]).arg(launcher_path()));
    terminal.wait_for("ready", 1);
    assert_eq!(terminal.foreground(), i32::try_from(shell.id()).unwrap());
    let init = only_child(shell.id());
    kill(init, libc::SIGTERM);
    finish(shell).expect(0);
}

#[test]
fn a_new_size_of_the_terminal_is_told() {
    let mut terminal = Terminal::new();
    let mut command = Command::new(launcher_path());
    let init = terminal.start(command.arg("--").args(probe(&["signals", "1"])));
    terminal.wait_for("ready", 1);
    // An engine signals launcher, not the terminal's foreground.
    kill(init.id(), libc::SIGWINCH);
    terminal.wait_for("28", 1);
    finish(init).expect(0);
}

#[test]
fn a_shell_gets_the_terminal_back_when_its_job_is_stopped() {
    let mut terminal = Terminal::new();
    let mut shell = Command::new("sh");
    // An interactive shell: it has job control, and tells of the stop with a prompt of its own.
    shell.args(["-i"]).env("PS1", "prompt> ").env("ENV", "").env("LAUNCHER", launcher_path());
    let shell = terminal.start(&mut shell);
    terminal.wait_for("prompt> ", 1);
    terminal.send("$LAUNCHER -- sh -c 'echo rea\"\"dy; exec cat'\n");
    terminal.wait_for("ready", 1);
    let init = only_child(shell.id());
    let child = only_child(init);
    eventually("the program has the terminal", || terminal.foreground() == i32::try_from(child).unwrap());
    terminal.send("\x1a");
    terminal.wait_for("prompt> ", 2);
    for pid in [init, child] {
        assert!(status_field(pid, "State").starts_with('T'), "{pid} runs");
    }
    assert_eq!(terminal.foreground(), i32::try_from(shell.id()).unwrap());
    terminal.send("fg\n");
    eventually("it has it again", || terminal.foreground() == i32::try_from(child).unwrap());
    terminal.send("hello\n");
    terminal.wait_for("hello", 2);
    terminal.send("\x04");
    terminal.wait_for("prompt> ", 3);
    terminal.send("exit 7\n");
    finish(shell).expect(7);
}

#[test]
fn under_dumb_inits_name_the_program_leads_a_session_with_the_terminal() {
    let temp = Temp::new();
    let mut terminal = Terminal::new();
    let init = terminal.start(called(&temp, "dumb-init").args(["--", "sh", "-c", "echo ready; exec cat"]));
    terminal.wait_for("ready", 1);
    let child = i32::try_from(only_child(init.id())).unwrap();
    let session = nix::unistd::getsid(Some(nix::unistd::Pid::from_raw(child))).unwrap();
    assert_eq!((session.as_raw(), terminal.foreground()), (child, child));
    terminal.send("hello\n");
    terminal.wait_for("hello", 2);
    terminal.send("\x03");
    finish(init).expect(130);
}

#[test]
fn a_script_that_goes_on_after_it_can_read() {
    let mut terminal = Terminal::new();
    let script = r#""$0" -- true; echo ready; read line && echo "got $line""#;
    let mut shell = Command::new("sh");
    let shell = terminal.start(shell.args([OsStr::new("-c"), OsStr::new(script)]).arg(launcher_path()));
    terminal.wait_for("ready", 1);
    terminal.send("hello\n");
    terminal.wait_for("got hello", 1);
    finish(shell).expect(0);
}

#[test]
fn without_a_pid_namespace_a_container_is_not_frozen_either() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::new();
    // Its init could stop, as outside a container; but launcher, for whom the shell waits, does not.
    let words = ["--rootfs", rootfs.arg(), "--pid", "host", "--", "sh", "-c", "echo ready; exec cat"];
    let launcher = terminal.start(Command::new(launcher_path()).args(words));
    terminal.wait_for("ready", 1);
    terminal.suspend_in_vain();
    terminal.send("\x04");
    finish(launcher).expect(0);
}
