//! init under a seccomp filter that allows what README.md lists, and nothing else.
#![allow(unsafe_code, reason = "a filter is installed by a system call")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "these are tests"
)]

mod common;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::init::{is_in_call, kill, only_child, with_filter};
use common::{Running, Temp, children_of, eventually, launcher_as_user, launcher_path, run};

/// The calls that README.md says are needed, by number.
fn needed() -> Vec<libc::c_long> {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let (_, rest) = readme.split_once("It needs nine system calls: ").expect("README.md lists them");
    let (list, _) = rest.split_once(". ").unwrap();
    let names: Vec<_> = list.split('`').skip(1).step_by(2).collect();
    assert_eq!(names.len(), 9, "{list}");
    names.into_iter().map(number).collect()
}

/// The number of a call.
fn number(name: &str) -> libc::c_long {
    match name {
        "arch_prctl" => libc::SYS_arch_prctl,
        "clone" => libc::SYS_clone,
        "execve" => libc::SYS_execve,
        "exit_group" => libc::SYS_exit_group,
        "kill" => libc::SYS_kill,
        "rt_sigaction" => libc::SYS_rt_sigaction,
        "rt_sigprocmask" => libc::SYS_rt_sigprocmask,
        "rt_sigtimedwait" => libc::SYS_rt_sigtimedwait,
        "wait4" => libc::SYS_wait4,
        other => panic!("a call that the test does not know: {other}"),
    }
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "numbers of calls and errors are small"
)]
/// A BPF program that allows these calls and answers all others with `errno`.
fn program(allowed: &[libc::c_long], errno: i32) -> Vec<libc::sock_filter> {
    let statement = |code: u32, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf: 0, k };
    let mut code = vec![statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0)]; // the number
    for call in allowed {
        let skip = libc::sock_filter { jf: 1, ..statement(libc::BPF_JMP | libc::BPF_JEQ, *call as u32) };
        code.extend([skip, statement(libc::BPF_RET, libc::SECCOMP_RET_ALLOW)]);
    }
    code.push(statement(libc::BPF_RET, libc::SECCOMP_RET_ERRNO | errno as u32));
    code
}

/// Lets a command run under such a filter.
fn filtered(command: &mut Command, allowed: &[libc::c_long], errno: i32) {
    with_filter(command, program(allowed, errno));
}

/// The smallest programs: one ends at once, one sleeps; they need `exit_group` and `ppoll`.
fn payloads(folder: &Path) -> [PathBuf; 2] {
    [&["-O2"][..], &["-DPAUSE"]].map(|options| {
        let path = folder.join(options[0]);
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/true.c");
        let mut gcc = Command::new("gcc");
        gcc.args(["-static", "-nostdlib", "-O2", "-s", source, "-o"]).arg(&path).args(options);
        run(&mut gcc).expect(0);
        path
    })
}

/// launcher as a user who can harm nobody else: what a refused call leads to may be a signal to the wrong process.
fn launcher<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(words: I, program: &Path) -> Command {
    let mut command = launcher_as_user(words);
    command.arg(program);
    command
}

#[test]
fn init_needs_no_more_than_it_says() {
    require!(gcc);
    let temp = Temp::new();
    let [quick, pause] = payloads(&temp.0);
    for errno in [libc::EPERM, libc::ENOSYS] {
        let mut allowed = needed();
        let mut command = launcher(["--"], &quick);
        filtered(&mut command, &allowed, errno);
        let finished = run(&mut command).expect(0);
        assert_eq!(finished.out, "", "{errno}");
        allowed.push(libc::SYS_ppoll); // the program's
        // Twice: the inner one is a program that has to forward as well.
        let mut command = launcher([OsStr::new("--"), launcher_path().as_os_str(), OsStr::new("--")], &pause);
        filtered(&mut command, &allowed, errno);
        let running = Running::start(&mut command);
        let inner = only_child(running.child.id());
        let program = || children_of(inner).first().copied();
        eventually("the program runs", || program().is_some_and(|pid| is_in_call(pid, libc::SYS_ppoll)));
        eventually("init waits", || is_in_call(running.child.id(), libc::SYS_rt_sigtimedwait));
        kill(running.child.id(), libc::SIGWINCH); // of no effect to the program
        kill(running.child.id(), libc::SIGTERM);
        running.finish().expect(143);
    }
}

#[test]
fn each_of_them_is_needed() {
    require!(gcc);
    let temp = Temp::new();
    let [_, pause] = payloads(&temp.0);
    let needed = needed();
    // Without these no program can be started, ended or signalled at all.
    let basic = [libc::SYS_execve, libc::SYS_exit_group, libc::SYS_kill];
    for call in needed.iter().filter(|call| !basic.contains(call)) {
        let others = needed.iter().copied().filter(|other| other != call);
        let fewer: Vec<_> = others.chain([libc::SYS_ppoll]).collect();
        let mut command = launcher(["--"], &pause);
        filtered(&mut command, &fewer, libc::EPERM);
        assert_ne!(run(&mut command).status, 0, "call {call} is not needed");
    }
}
