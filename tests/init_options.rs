//! What init can do and none of its models: the options of launcher itself.
#![allow(unsafe_code, reason = "signals by number, and what a careless parent leaves to its children")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::process::Command;

use common::init::{called, is_in_call, kill, launcher_probe, only_child, probe, status_field, with_habit};
use common::{Running, Temp, USER, children_of, eventually, launcher, launcher_path, run};

#[test]
fn who_ignores_the_request_to_end_is_killed_after_the_time_of_the_user() {
    for (options, variable) in [(&["--stop-timeout", "0.1"][..], ""), (&[], "0.1")] {
        let script = "trap '' TERM; echo ready; while :; do sleep 600; done";
        let mut command = launcher(options);
        command.env("LAUNCHER_STOP_TIMEOUT", variable).args(["--", "sh", "-c", script]);
        let mut running = Running::start(&mut command);
        running.wait_for("ready");
        running.signal(libc::SIGTERM);
        running.finish().expect(1009);
    }
}

#[test]
fn those_who_are_left_get_time_to_end() {
    let script = "sh -c \"trap 'echo cleaned up; exit' TERM; echo ready >&2; while :; do sleep 0.01; done\" & \
                  until [ -e $0 ]; do :; done; exit 3";
    let temp = Temp::new();
    let mark = temp.0.join("ready");
    let script = script.replace("echo ready >&2", &format!("echo >{}", mark.display()));
    let finished = run(launcher(["--wait-all", "--", "sh", "-c", &script]).arg(&mark)).expect(3);
    assert_eq!(finished.out, "cleaned up\n");
}

#[test]
fn signals_and_statuses_can_be_others() {
    let mut running = Running::start(&mut launcher_probe(
        &["-r", "USR1:TERM,15:0", "--exit-map", "42:7"],
        &["signals", "9"],
    ));
    running.wait_for("ready");
    running.signal(libc::SIGTERM);
    running.signal(libc::SIGUSR1);
    assert_eq!(running.finish().expect(7).out, "15\n");
}

#[test]
fn a_report_says_how_it_ended_or_why_it_did_not_start() {
    let temp = Temp::new();
    let report = temp.0.join("report");
    let read = || std::fs::read_to_string(&report).unwrap();
    run(launcher(["--report"]).arg(&report).args(["--", "sh", "-c", "exit 3"])).expect(3);
    assert!(
        read().starts_with("{\"status\":3,\"signal\":0,\"seconds\":") && read().ends_with("}\n"),
        "{}",
        read()
    );
    run(launcher(["--report"]).arg(&report).args(["--", "sh", "-c", "kill -KILL $$"])).expect(1009);
    assert!(read().starts_with("{\"status\":137,\"signal\":9,"), "{}", read());
    run(launcher(["--report"]).arg(&report).args(["--", "/no/such/program"])).expect(127);
    let want =
        "{\"status\":127,\"error\":\"execute /no/such/program: No such file or directory (ENOENT)\"}\n";
    assert_eq!(read(), want);
    let long = format!("/{}", "no/such/\"program\"/".repeat(200));
    run(launcher(["--report"]).arg(&report).args(["--", &long])).expect(127);
    let text = read();
    assert!(text.len() > long.len() && text.ends_with(" (ENOENT)\"}\n"), "{text}");
}

#[test]
fn a_report_is_never_on_a_standard_stream() {
    let temp = Temp::new();
    let report = temp.0.join("report");
    for closed in [0, 2] {
        let mut command = launcher(["-w", "--report"]);
        let close = move || {
            // SAFETY: takes an integer; nobody uses the descriptor between here and execve.
            unsafe { libc::close(closed) };
        };
        // It ends when the orphan has been reaped.
        let orphan = probe(&["adopted", "1"]);
        let finished = run(with_habit(command.arg(&report).arg("--").args(orphan), close)).expect(0);
        let text = std::fs::read_to_string(&report).unwrap();
        assert!(text.starts_with("{\"status\":0,"), "{closed}: {text}");
        assert_eq!(finished.err.contains("Reaped zombie"), closed == 0, "{closed}: {}", finished.err);
    }
}

#[test]
fn sockets_of_systemd_are_handed_on() {
    // Only the process itself knows its number in time.
    let script = r#"LISTEN_PID=$$ LISTEN_PIDFDID=1 LISTEN_FDS=1 exec "$0" -- sh -c 'echo $LISTEN_PID $$ $LISTEN_PIDFDID'"#;
    let out = run(Command::new("sh").args(["-c", script]).arg(launcher_path())).expect(0).out;
    let words: Vec<_> = out.split_whitespace().collect();
    assert!(words.len() == 2 && words[0] == words[1], "{out}");
}

#[test]
fn the_process_options_change_the_program_alone() {
    let options = ["--umask", "027", "--workdir", "/tmp", "--env", "A=1", "--ulimit", "core=0"];
    let finished =
        run(launcher(options).args(["--", "sh", "-c", "umask; pwd; echo $A; ulimit -c"])).expect(0);
    assert_eq!(finished.out, "0027\n/tmp\n1\n0\n");
}

#[test]
fn signals_go_to_whom_the_user_wants() {
    for (to, payload, want) in [
        ("child", "family", "child got nothing"),
        ("group", "family", "child got USR1"),
        ("group", "escaped", "child got nothing"),
        ("all", "escaped", "child got USR1"),
    ] {
        let option = format!("--signal-to={to}");
        let mut by_variable = launcher_probe(&["--"], &[payload]);
        by_variable.env("LAUNCHER_SIGNAL_TO", to);
        for mut command in [launcher_probe(&[&option], &[payload]), by_variable] {
            let mut running = Running::start(&mut command);
            running.wait_for("ready");
            running.signal(libc::SIGUSR1);
            running.signal(libc::SIGUSR2);
            assert_eq!(running.finish().expect(0).out.trim_end(), want, "{to} {payload}");
        }
    }
}

#[test]
fn pid_1_signals_its_whole_namespace() {
    require!(root, unshare);
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc"]).arg(launcher_path());
    let mut running = Running::start(command.args(["--signal-to", "all"]).args(probe(&["escaped"])));
    running.wait_for("ready");
    let init = only_child(running.child.id());
    kill(init, libc::SIGUSR1);
    kill(init, libc::SIGUSR2);
    assert_eq!(running.finish().expect(0).out, "child got USR1\n");
}

#[test]
fn a_single_child_stays_in_the_group_and_session_of_init() {
    let mut running = Running::start(&mut launcher_probe(&["-c"], &["pause"]));
    running.wait_for("ready");
    let (init, child) = (running.child.id(), only_child(running.child.id()));
    let place = |pid: u32| {
        let pid = Some(nix::unistd::Pid::from_raw(pid.try_into().unwrap()));
        (nix::unistd::getpgid(pid).unwrap(), nix::unistd::getsid(pid).unwrap())
    };
    assert_eq!(place(child), place(init));
    running.signal(libc::SIGTERM);
    running.finish().expect(1015);
}

#[test]
fn orphans_get_their_signal_while_the_program_runs() {
    // The orphan says which signal ended it; the program waits for that.
    let script = "(sh -c 'trap \"echo ended by HUP; exit\" HUP; echo ready; while :; do sleep 0.01; done' &); read line";
    let mut command = launcher(["--end-orphans", "HUP", "--", "sh", "-c", script]);
    let mut running = Running::start(command.stdin(std::process::Stdio::piped()));
    running.wait_for("ready");
    running.wait_for("ended by HUP");
    let pid = running.child.id();
    eventually("it is reaped", || children_of(pid).len() == 1);
    drop(running.child.stdin.take());
    running.finish().expect(1);
}

#[test]
fn a_request_to_end_is_held_back_for_the_time_of_the_user() {
    let mut running = Running::start(&mut launcher_probe(&["--stop-delay", "600"], &["signals", "9"]));
    running.wait_for("ready");
    let init = running.child.id();
    running.signal(libc::SIGTERM);
    eventually("it is taken", || status_field(init, "ShdPnd") == "0".repeat(16));
    // Other signals are not held back, and show that the first was looked at.
    running.signal(libc::SIGUSR1);
    assert_eq!(running.line(), "10");
    assert_eq!(status_field(only_child(init), "ShdPnd"), "0".repeat(16));
    running.signal(libc::SIGTERM); // asked twice: nobody wants to wait
    assert_eq!(running.line(), "15");
    running.finish().expect(42);
    let mut running = Running::start(&mut launcher_probe(&["--stop-delay", "0.05"], &["signals", "9"]));
    running.wait_for("ready");
    running.signal(libc::SIGTERM);
    running.finish().expect(42);
}

#[test]
fn the_program_may_be_another_user() {
    require!(root);
    let script =
        "id -u; id -g; id -G; grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status | cut -f 2 | sort -u; pwd";
    let user = format!("{USER}:{}", USER + 1);
    for words in [&["--user", &user, "--workdir", "/"][..], &["init", "-u", &user, "-w", "--workdir", "/"]] {
        let finished = run(launcher(words).args(["--", "sh", "-c", script])).expect(0);
        let want = format!("{USER}\n{0}\n{0}\n{1}\n/\n", USER + 1, "0".repeat(16));
        assert_eq!((finished.out, finished.err.as_str()), (want, ""), "{words:?}");
    }
    let finished = run(&mut launcher(["--user", "a/b", "--", "true"])).expect(125);
    assert!(finished.err.starts_with("launcher: --user a/b: "), "{}", finished.err);
}

#[test]
fn variables_set_options_under_every_name() {
    for name in ["tini", "docker-init", "podman-init", "dumb-init", "catatonit"] {
        let temp = Temp::new();
        let mut command = called(&temp, name);
        command.env("LAUNCHER_REWRITE", "TERM:USR1").env("LAUNCHER_EXIT_MAP", "0:3");
        let mut running = Running::start(command.arg("--").args(probe(&["signals", "1"])));
        running.wait_for("ready");
        running.signal(libc::SIGTERM);
        assert_eq!(running.finish().expect(3).out, "10\n", "{name}");
        let mut command = called(&temp, name);
        let finished = run(command.env("LAUNCHER_STOP_TIMEOUT", "soon").args(["--", "true"])).expect(1);
        assert!(finished.err.contains("soon: wanted is a number of seconds"), "{name}: {}", finished.err);
    }
}

#[test]
fn another_ones_rules_can_be_had_without_its_name() {
    for (word, missing) in [("tini", 127), ("dumb-init", 2), ("catatonit", 1), ("launcher", 127)] {
        run(&mut launcher(["--as", word, "--", "/no/such/program"])).expect(missing);
        run(launcher(["--", "/no/such/program"]).env("LAUNCHER_AS", word)).expect(missing);
    }
    run(&mut launcher(["init", "--as", "tini", "--", "sh", "-c", "exit 5"])).expect(5);
    let finished = run(&mut launcher(["--as", "systemd", "--", "true"])).expect(125);
    assert!(finished.err.contains("--as systemd: wanted is tini, dumb-init"), "{}", finished.err);
}

#[test]
fn a_pause_of_its_own_ends_when_it_is_told_to() {
    let running = Running::start(&mut launcher(["-P"]));
    let pid = running.child.id();
    eventually("it waits", || is_in_call(pid, libc::SYS_rt_sigtimedwait));
    running.signal(libc::SIGUSR1);
    running.signal(libc::SIGTERM);
    running.finish().expect(0);
}
