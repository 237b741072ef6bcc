//! launcher as init where somebody else made the container: as a subreaper, so that it needs no privileges here.
#![allow(unsafe_code, reason = "what a careless parent leaves to its children has to be made somehow")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::collections::BTreeSet;
use std::ffi::{CStr, CString};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::init::{
    block_all_signals, current_call, descriptors, ignore, inherit, is_in_call, kill, launcher_probe,
    only_child, probe, status_field, with_habit,
};
use common::{Finished, Running, Temp, eventually, launcher, launcher_path, launcher_with_faults, run};

/// Runs `launcher -- sh -c SCRIPT`.
fn sh(script: &str) -> Finished {
    run(&mut launcher(["--", "sh", "-c", script]))
}

// ---- how it ends

#[test]
fn it_exits_as_the_program_exited() {
    for status in [0, 1, 2, 7, 42, 124, 125, 126, 127, 128, 130, 137, 143, 200, 254, 255] {
        let finished = sh(&format!("exit {status}")).expect(status);
        assert_eq!((finished.out.as_str(), finished.err.as_str()), ("", ""), "exit {status}");
    }
}

#[test]
fn it_dies_of_the_signal_that_killed_the_program() {
    for signal in [1, 2, 3, 4, 6, 9, 10, 11, 13, 15, 31, 32, 33, 34, 39, 64] {
        let mut command = launcher_probe(&["--"], &["die", &signal.to_string()]);
        assert_eq!(run(&mut command).expect(1000 + signal).err, "", "signal {signal}");
    }
}

#[test]
fn statuses_of_the_users_choice_are_success() {
    for (options, script, status) in [
        (&["-e", "3"][..], "exit 3", 0),
        (&["-e3"], "exit 4", 4),
        (&["-e", "3", "--success-code", "255"], "exit 255", 0),
        (&["-e", "143"], "kill -TERM $$", 0),
        (&["-e", "143"], "kill -KILL $$", 1009),
        (&["-se0"], "exit 1", 1),
    ] {
        run(launcher(options).args(["--", "sh", "-c", script])).expect(status);
    }
}

// ---- what it starts

/// A file in a folder of the test's own.
fn file(folder: &Path, name: &str, content: &[u8], mode: u32) {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
}

/// A copy of a dynamic program of this machine whose dynamic linker is not there.
fn program_without_linker() -> Option<Vec<u8>> {
    let mut bytes = std::fs::read("/bin/sh").unwrap();
    let at = bytes.windows(7).position(|window| window == b"/ld-lin")?;
    bytes[at + 1] = b'x';
    Some(bytes)
}

#[test]
fn programs_that_cannot_be_executed_are_told_apart() {
    let temp = Temp::new();
    file(&temp.0, "plain", b"exit 7\n", 0o755);
    file(&temp.0, "empty", b"", 0o755);
    file(&temp.0, "no-x", b"#!/bin/sh\n", 0o644);
    file(&temp.0, "no-interpreter", b"#!/no/such/interpreter -x\n", 0o755);
    file(&temp.0, "escape", b"#!/no\x1b[2J/such\n", 0o755);
    file(&temp.0, "crlf", b"#!/bin/sh\r\nexit 0\r\n", 0o755);
    file(&temp.0, "damaged", b"\x7fELF\x02\x01\x01 this is no program", 0o755);
    file(&temp.0, "no-linker", &program_without_linker().expect("/bin/sh is dynamic"), 0o755);
    std::os::unix::fs::symlink("loop", temp.0.join("loop")).unwrap();
    for (name, status, words) in [
        ("plain", 7, &[][..]), // without #!: a script for sh, execvp(3)
        ("empty", 0, &[]),
        ("no-x", 126, &["execute @/no-x: Permission denied (EACCES)", "  hint: is it a file with the x bit"]),
        (".", 126, &["execute @/.: Permission denied (EACCES)"]),
        ("loop", 126, &["execute @/loop: ", "(ELOOP)"]),
        ("missing", 127, &["execute @/missing: No such file or directory (ENOENT)"]),
        ("plain/x", 127, &["execute @/plain/x: Not a directory (ENOTDIR)"]),
        ("no-interpreter", 127, &["@/no-interpreter: its interpreter /no/such/interpreter: No such file"]),
        ("escape", 127, &["@/escape: its interpreter /no?[2J/such: No such file"]),
        ("no-linker", 127, &["@/no-linker: its interpreter /", "xd-lin", "  hint: install the interpreter"]),
        (
            "crlf",
            127,
            &["@/crlf: its interpreter /bin/sh\\r: No such file", "  hint: the script has Windows line ends"],
        ),
        (
            "damaged",
            126,
            &["execute @/damaged: Exec format error (ENOEXEC)", "hint: it is no program for this machine"],
        ),
    ] {
        let finished = run(launcher(["--"]).arg(temp.0.join(name)));
        assert_eq!(finished.status, status, "{name}: {}", finished.err);
        for word in words {
            let word = word.replace('@', temp.0.to_str().unwrap());
            assert!(finished.err.contains(&word), "{name}: {word:?} is not in {}", finished.err);
        }
        let messages = finished.err.lines().filter(|line| line.starts_with("launcher: ")).count();
        assert_eq!(messages, usize::from(!words.is_empty()), "{name}: {}", finished.err);
        assert!(finished.err.lines().count() <= 2, "{name}: {}", finished.err);
    }
}

#[test]
fn a_name_is_looked_for_in_path() {
    let temp = Temp::new();
    for folder in ["locked", "good"] {
        std::fs::create_dir(temp.0.join(folder)).unwrap();
    }
    file(&temp.0, "good/tool", b"exit 5\n", 0o755);
    file(&temp.0, "locked/tool", b"exit 6\n", 0o644);
    file(&temp.0, "locked/only", b"exit 6\n", 0o644);
    for (path, name, status) in [
        ("good", "tool", 5),
        ("nowhere:good", "tool", 5),
        ("good/tool:good", "tool", 5),
        ("locked:good", "tool", 5), // as execvp(3): the one that must not be executed is not the end
        ("good:locked", "only", 126),
        ("locked", "tool", 126),
        ("good", "missing", 127),
        ("good", "", 127),
    ] {
        let whole: Vec<_> =
            path.split(':').map(|part| temp.0.join(part).to_str().unwrap().to_owned()).collect();
        let finished = run(launcher(["--", name]).env("PATH", whole.join(":")));
        assert_eq!(finished.status, status, "{path} {name:?}: {}", finished.err);
        assert_eq!(finished.err.is_empty(), status == 5, "{path} {name:?}: {}", finished.err);
    }
}

#[test]
fn a_program_gets_its_arguments_and_environment_untouched() {
    // More than std's Command can say: what is no variable, what is there twice, what is no text.
    let environment =
        [c"B=2", c"A=1", c"A=again", c"EMPTY=", c"=C:=x", c"bare", c"RAW=\xff\xfe", c"PATH=/bin:/usr/bin"];
    let arguments = [c"--", c"cat", c"/proc/self/environ", c"/proc/self/cmdline", c"-", c""];
    let path = CString::new(launcher_path().as_os_str().as_bytes()).unwrap();
    let own = [c"launcher"];
    let pointers = |words: Vec<&CStr>| -> Vec<usize> {
        words.iter().map(|word| word.as_ptr() as usize).chain([0]).collect()
    };
    let (argv, envp) = (pointers(own.into_iter().chain(arguments).collect()), pointers(environment.to_vec()));
    let mut command = launcher([""; 0]);
    let execute = move || {
        // SAFETY: both arrays end with a null and their strings outlive the child that executes this.
        unsafe { libc::execve(path.as_ptr(), argv.as_ptr().cast(), envp.as_ptr().cast()) };
        Err(std::io::Error::last_os_error())
    };
    // SAFETY: the closure makes one system call on memory prepared before.
    let output = unsafe { command.pre_exec(execute) }.output().unwrap();
    let join = |words: &[&CStr]| {
        words.iter().flat_map(|word| word.to_bytes_with_nul()).copied().collect::<Vec<u8>>()
    };
    let want = [join(&environment), join(&arguments[1..])].concat();
    let show = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace('\0', " | ");
    assert_eq!(show(&output.stdout), show(&want));
}

// ---- what it inherits and hands on

/// What a parent does to itself before it starts launcher.
type Habit = fn();

#[test]
fn mask_and_ignored_signals_are_handed_on_as_they_came() {
    let habits: [(&str, Habit); 6] = [
        ("nothing", || {}),
        ("SIGCHLD ignored", || ignore(libc::SIGCHLD)), // tini and catatonit hang on this one
        ("as nohup", || ignore(libc::SIGHUP)),
        ("SIGPIPE, SIGTTOU and SIGTTIN ignored", || [13, 21, 22].into_iter().for_each(ignore)),
        ("all ignored", || (1..=64).for_each(ignore)),
        ("all blocked", block_all_signals),
    ];
    for (name, habit) in habits {
        let arguments = ["-E", "^Sig(Blk|Ign)", "/proc/self/status"];
        let [want, got] = [Command::new("grep"), launcher(["--", "grep"])]
            .map(|mut command| run(with_habit(command.args(arguments), habit)).expect(0));
        assert_eq!(got.out.lines().count(), 2, "{}", got.out);
        assert_eq!((&got.out, got.err.as_str()), (&want.out, ""), "{name}");
    }
}

#[test]
fn a_closed_standard_stream_stays_closed() {
    for closed in [0, 2] {
        let mut command = launcher(["--", "sh", "-c", "echo ready; exec sleep 600"]);
        let close = move || {
            // SAFETY: takes an integer; nobody uses the descriptor between here and execve.
            unsafe { libc::close(closed) };
            Ok(())
        };
        // SAFETY: the closure makes one system call.
        let mut running = Running::start(unsafe { inherit(&mut command, 1).pre_exec(close) });
        running.wait_for("ready");
        let child = only_child(running.child.id());
        let want: BTreeSet<i32> = [0, 1, 2, 77].into_iter().filter(|fd| *fd != closed).collect();
        // The dynamic linker of sleep(1) opens and closes files at the lowest free number.
        eventually("the program's", || descriptors(child) == want);
        let want: BTreeSet<i32> = want.into_iter().filter(|fd| *fd != 77).collect();
        eventually("launcher's", || descriptors(running.child.id()) == want);
        running.signal(libc::SIGTERM);
        running.finish().expect(1015);
    }
}

#[test]
fn inherited_descriptors_are_the_programs_and_not_kept() {
    let (reader, writer) = std::io::pipe().unwrap();
    let number = writer.as_raw_fd();
    let mut command = launcher(["--", "sh", "-c", "echo ready; exec sleep 600"]);
    let mut running = Running::start(inherit(&mut command, number));
    drop(writer);
    running.wait_for("ready");
    let child = only_child(running.child.id());
    eventually("the program has them", || descriptors(child) == BTreeSet::from([0, 1, 2, 77]));
    eventually("launcher has closed its own", || {
        descriptors(running.child.id()) == BTreeSet::from([0, 1, 2])
    });
    running.signal(libc::SIGTERM);
    running.finish().expect(1015);
    assert_eq!(std::io::read_to_string(reader).unwrap(), "", "the pipe has ended");
}

// ---- whom it reaps

#[test]
fn orphans_are_adopted_and_reaped() {
    let finished = run(&mut launcher_probe(&["--"], &["adopted", "50"])).expect(0);
    assert_eq!((finished.out.as_str(), finished.err.as_str()), ("adopted 50\nzombies 0\n", ""));
}

#[test]
fn each_reaped_orphan_is_told_where_that_is_wanted() {
    for option in ["-w", "--warn-on-reap"] {
        let finished = run(&mut launcher_probe(&[option], &["adopted", "3"])).expect(0);
        assert_eq!(finished.out, "adopted 3\nzombies 0\n");
        let told: Vec<_> = finished.err.lines().collect();
        let is_pid = |line: &&str| {
            let pid = line.strip_prefix("launcher: warning: Reaped zombie process with pid=");
            pid.is_some_and(|pid| pid.parse::<u32>().is_ok())
        };
        assert!(told.len() == 3 && told.iter().all(is_pid), "{told:?}");
    }
}

#[test]
fn the_end_of_an_orphan_is_not_the_end() {
    let finished = sh("(sh -c 'exit 9' & ) ; (kill -KILL $(sh -c 'echo $PPID') & ) ; exit 4").expect(4);
    assert_eq!(finished.err, "");
}

// ---- what it needs

#[test]
fn it_sleeps_in_one_call_until_there_is_something_to_do() {
    let mut running = Running::start(&mut launcher_probe(&["--"], &["pause"]));
    running.wait_for("ready");
    let pid = running.child.id();
    eventually("it waits for signals", || is_in_call(pid, libc::SYS_rt_sigtimedwait));
    let switches =
        || (status_field(pid, "voluntary_ctxt_switches"), status_field(pid, "nonvoluntary_ctxt_switches"));
    let before = (current_call(pid), switches());
    for _ in 0..20 {
        sh("exit 0").expect(0);
    }
    assert_eq!((current_call(pid), switches()), before, "it woke up");
    assert_eq!(status_field(pid, "Threads"), "1");
    running.signal(libc::SIGTERM);
    running.finish().expect(1015);
}

/// Lowers the limit of descriptors: without close_range each of them is a call, and strace stops at each.
fn with_few_descriptors(mut command: Command) -> Command {
    let lower = || {
        use nix::sys::resource::{Resource, setrlimit};
        Ok(setrlimit(Resource::RLIMIT_NOFILE, 128, 128)?)
    };
    // SAFETY: the closure makes one system call.
    unsafe { command.pre_exec(lower) };
    command
}

#[test]
fn a_surrounding_that_forbids_a_call_does_not_stop_it() {
    require!(strace);
    for call in ["prctl", "close_range", "setpgid", "ioctl", "faccessat", "prctl,close_range,setpgid,ioctl"] {
        for errno in ["EPERM", "ENOSYS"] {
            let words = ["--", "sh", "-c", "exit 7"];
            let command = launcher_with_faults(&[format!("{call}:error={errno}")], &words);
            let finished = run(&mut with_few_descriptors(command)).expect(7);
            let warned = finished.err.starts_with("launcher: warning: orphans go past us");
            assert_eq!(warned, call.contains("prctl"), "{call} {errno}: {}", finished.err);
            assert_eq!(finished.err.lines().count(), usize::from(warned), "{call} {errno}: {}", finished.err);
        }
    }
}

#[test]
fn descriptors_are_closed_without_close_range_too() {
    require!(strace);
    let words = ["--", "sh", "-c", "echo ready; exec sleep 600"];
    let mut command = with_few_descriptors(launcher_with_faults(&["close_range:error=ENOSYS"], &words));
    let (_reader, writer) = std::io::pipe().unwrap();
    let number = writer.as_raw_fd();
    let mut running = Running::start(inherit(&mut command, number));
    running.wait_for("ready");
    let init = only_child(running.child.id());
    assert!(descriptors(only_child(init)).contains(&77), "strace hands it on");
    eventually("launcher has closed its own", || descriptors(init) == BTreeSet::from([0, 1, 2]));
    kill(init, libc::SIGTERM);
    running.finish().expect(1015);
}

/// What init mode may ask of the kernel: nothing that docker's seccomp filter, or a sane one, refuses.
const HARMLESS: &[&str] = &[
    "access",
    "arch_prctl",
    "brk",
    "chdir",
    "clone",
    "close",
    "close_range",
    "execve",
    "exit",
    "exit_group",
    "faccessat",
    "getpgid",
    "getpgrp",
    "getpid",
    "getppid",
    "ioctl",
    "kill",
    "lseek",
    "madvise",
    "mmap",
    "mprotect",
    "munmap",
    "newfstatat",
    "open",
    "openat",
    "poll",
    "prctl",
    "read",
    "readlink",
    "rt_sigaction",
    "rt_sigprocmask",
    "rt_sigtimedwait",
    "set_tid_address",
    "setpgid",
    "stat",
    "fstat",
    "fcntl",
    "vfork",
    "wait4",
    "write",
];

#[test]
fn it_makes_no_call_that_containers_forbid() {
    require!(strace);
    let temp = Temp::new();
    let log = temp.0.join("log");
    let mut strace = Command::new("strace");
    // The static probe: a dynamic program would add the calls of its linker.
    strace
        .args(["-f", "-o"])
        .arg(&log)
        .arg(launcher_path())
        .args(["-g", "-p", "TERM", "--"])
        .args(probe(&["fds"]));
    run(strace.stdin(Stdio::null())).expect(0);
    let log = std::fs::read_to_string(log).unwrap();
    let init = log.split(' ').next().unwrap();
    let mut calls = BTreeSet::new();
    let mut child_is_ours = true;
    for line in log.lines() {
        let (pid, rest) = line.split_once(' ').unwrap();
        let call = rest.trim_start().split('(').next().unwrap();
        let is_call = call.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_call && (pid == init || child_is_ours) {
            calls.insert(call.to_owned());
        }
        child_is_ours &= pid == init || call != "execve"; // after it the child is the program
    }
    for needed in ["execve", "rt_sigtimedwait", "wait4", "setpgid", "prctl"] {
        assert!(calls.contains(needed), "strace did not see {needed}: {calls:?}");
    }
    let others: Vec<_> = calls.iter().filter(|call| !HARMLESS.contains(&call.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
}
