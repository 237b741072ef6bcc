//! launcher as init where somebody else made the container: as a subreaper, so that it needs no privileges here.
#![allow(unsafe_code, reason = "what a careless parent leaves to its children has to be made somehow")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, OsStr};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use common::tty::Terminal;
use common::{
    Finished, Running, Temp, children_of, eventually, finish, launcher, launcher_path, launcher_with_faults,
    probe_path, run,
};

/// Runs `launcher -- sh -c SCRIPT`.
fn sh(script: &str) -> Finished {
    run(&mut launcher(["--", "sh", "-c", script]))
}

/// The probe with these words, as an argument list.
fn probe(words: &[&str]) -> Vec<String> {
    let path = probe_path().to_str().unwrap().to_owned();
    assert!(Path::new(&path).exists(), "make probe, and name it in LAUNCHER_PROBE: no {path}");
    [path].into_iter().chain(words.iter().map(|&word| word.to_owned())).collect()
}

/// launcher with options and a probe.
fn launcher_probe(options: &[&str], words: &[&str]) -> Command {
    let mut command = launcher(options);
    command.args(probe(words));
    command
}

/// The value of a field of /proc/PID/status.
fn status_field(pid: u32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} of {pid}")).trim().to_owned()
}

/// The only child of a process, once it has one.
fn only_child(pid: u32) -> u32 {
    eventually("one child", || children_of(pid).len() == 1);
    children_of(pid)[0]
}

/// The open descriptors of another process.
fn descriptors(pid: u32) -> BTreeSet<i32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect()
}

fn kill(pid: u32, signal: i32) {
    // SAFETY: takes two integers.
    assert_eq!(unsafe { libc::kill(pid.try_into().unwrap(), signal) }, 0, "signal {signal} to {pid}");
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

// ---- what it forwards

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

// ---- what it inherits and hands on

/// What a parent does to itself before it starts launcher.
type Habit = fn();

fn block_all_signals() {
    // SAFETY: the kernel reads the set; the old one is not asked for.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const ALL, 0usize, 8usize) };
}

/// The kernel's set of all signals.
static ALL: u64 = u64::MAX;

fn ignore(signal: i32) {
    // SAFETY: no function is installed.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

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
        let [want, got] = [Command::new("grep"), launcher(["--", "grep"])].map(|mut command| {
            let arrange = move || {
                habit();
                Ok(())
            };
            // SAFETY: the habits make system calls only.
            run(unsafe { command.args(arguments).pre_exec(arrange) }).expect(0)
        });
        assert_eq!(got.out.lines().count(), 2, "{}", got.out);
        assert_eq!((&got.out, got.err.as_str()), (&want.out, ""), "{name}");
    }
}

/// Lets a command inherit descriptor 77 as a copy of `number` and nothing else, whatever the tests were started with.
fn inherit(command: &mut Command, number: i32) -> &mut Command {
    let arrange = move || {
        // SAFETY: takes integers; what is closed on exec stays usable here.
        nix::errno::Errno::result(unsafe { libc::close_range(3, u32::MAX, 4) })?; // CLOSE_RANGE_CLOEXEC
        // SAFETY: takes three integers.
        nix::errno::Errno::result(unsafe { libc::dup3(number, 77, 0) })?;
        Ok(())
    };
    // SAFETY: the closure makes two system calls.
    unsafe { command.pre_exec(arrange) }
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
    let call = || std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap();
    let number = libc::SYS_rt_sigtimedwait.to_string();
    eventually("it waits for signals", || call().split(' ').next() == Some(&number));
    let switches =
        || (status_field(pid, "voluntary_ctxt_switches"), status_field(pid, "nonvoluntary_ctxt_switches"));
    let before = (call(), switches());
    for _ in 0..20 {
        sh("exit 0").expect(0);
    }
    assert_eq!((call(), switches()), before, "it woke up");
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
    "waitid",
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
    for needed in ["execve", "rt_sigtimedwait", "waitid", "setpgid", "prctl"] {
        assert!(calls.contains(needed), "strace did not see {needed}: {calls:?}");
    }
    let others: Vec<_> = calls.iter().filter(|call| !HARMLESS.contains(&call.as_str())).collect();
    assert!(others.is_empty(), "{others:?}");
}

// ---- on a terminal

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
    terminal.send("\x1a");
    terminal.wait_for("^Z", 1);
    terminal.send("hello\n");
    terminal.wait_for("hello", 2);
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

// ---- what the models do not have, and the models' own names

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

/// launcher under another name.
fn called(temp: &Temp, name: &str) -> Command {
    let path = temp.0.join(name);
    std::os::unix::fs::symlink(launcher_path(), &path).unwrap();
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

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
fn a_pause_container_holds_until_it_is_told_to_end() {
    for (name, args, signal) in [("pause", &[][..], libc::SIGTERM), ("catatonit", &["-P"], libc::SIGINT)] {
        let temp = Temp::new();
        let mut running = Running::start(called(&temp, name).args(args));
        let pid = running.child.id();
        eventually("it waits", || {
            std::fs::read_to_string(format!("/proc/{pid}/syscall"))
                .is_ok_and(|call| call.split(' ').next() == Some(&libc::SYS_rt_sigtimedwait.to_string()))
        });
        running.signal(libc::SIGHUP);
        running.signal(signal);
        assert_eq!(running.line(), "");
        running.finish().expect(0);
    }
}
