//! launcher under the names of other inits: their command lines and numbers, without their faults.
#![allow(unsafe_code, reason = "signals by number, and what a careless parent leaves to its children")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::process::{Command, Stdio};

use common::init::{called, is_in_call};
use common::{Running, Temp, eventually, probe_path, run};

#[test]
fn under_another_name_it_has_that_programs_numbers() {
    for (name, missing, not_executable, usage) in [
        ("tini", 127, 126, 1),
        ("tini-static", 127, 126, 1),
        ("docker-init", 127, 126, 1),
        ("podman-init", 127, 126, 1),
        ("init", 127, 126, 1),
        ("dumb-init_1.2.5_x86_64", 2, 2, 1),
        ("catatonit", 1, 1, 1),
    ] {
        let temp = Temp::new();
        let words = called(&temp, name).get_program().to_owned();
        let command = |args: &[&str]| run(Command::new(&words).args(args).stdin(Stdio::null()));
        command(&["--", "/no/such/program"]).expect(missing);
        command(&["--", "/etc"]).expect(not_executable);
        command(&["--", "sh", "-c", "exit 42"]).expect(42);
        command(&["--", "sh", "-c", "kill -KILL $$"]).expect(137);
        assert_eq!(
            command(&["--", "echo", "-g", "-l"]).expect(0).out,
            "-g -l\n",
            "{name}: not its own options"
        );
        let told = command(&["--yolo", "x"]).expect(usage).err;
        let own = name.split(['_']).next().unwrap().trim_end_matches("-static");
        assert_eq!(told, format!("{own}: unrecognized option '--yolo'\n"));
        command(&["-h"]).expect(0);
        command(&[]).expect(usage);
    }
    for (name, start) in
        [("tini", "tini version "), ("docker-init", "tini version "), ("catatonit", "tini version ")]
    {
        let out = run(called(&Temp::new(), name).arg("--version")).expect(0).out;
        assert!(out.starts_with(start) && out.contains(" - git."), "{out}");
    }
}

#[test]
fn what_a_model_refuses_is_refused() {
    let temp = Temp::new();
    for (name, variable, words, want) in [
        ("tini", "A=1", &["--version", "true"][..], "tini: unrecognized option '--version'\n"),
        ("docker-init", "A=1", &["-g", "--version"], "docker-init: unrecognized option '--version'\n"),
        ("catatonit", "CATATONIT_LOG=", &["true"], "catatonit: CATATONIT_LOG is set: there is no log file\n"),
    ] {
        let (key, value) = variable.split_once('=').unwrap();
        let finished = run(called(&temp, name).env(key, value).args(words)).expect(1);
        assert_eq!((&*finished.out, &*finished.err), ("", want));
    }
}

#[test]
fn a_pause_container_waits_for_the_others_where_that_is_wanted() {
    let temp = Temp::new();
    let pause = called(&temp, "pause").get_program().to_owned();
    // Forked before the exec, the probe is a child of pause's, as the rest of a pod is PID 1's.
    let mut command = Command::new("sh");
    command.args(["-c", r#""$0" signals 9 & exec "$1""#]).arg(probe_path()).arg(pause);
    command.env("LAUNCHER_WAIT_ALL", "30");
    let mut running = Running::start(command.stdin(Stdio::null()));
    running.wait_for("ready");
    eventually("it waits", || is_in_call(running.child.id(), libc::SYS_rt_sigtimedwait));
    running.signal(libc::SIGTERM);
    assert_eq!(running.finish().expect(0).out, "15\n");
}

#[test]
fn a_pause_container_holds_until_it_is_told_to_end() {
    for (name, args, signal) in [("pause", &[][..], libc::SIGTERM), ("catatonit", &["-P"], libc::SIGINT)] {
        let temp = Temp::new();
        let mut running = Running::start(called(&temp, name).args(args));
        let pid = running.child.id();
        eventually("it waits", || is_in_call(pid, libc::SYS_rt_sigtimedwait));
        running.signal(libc::SIGHUP);
        running.signal(signal);
        assert_eq!(running.line(), "");
        running.finish().expect(0);
    }
}
