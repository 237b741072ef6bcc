//! What the tests of init share: the probe below it, its name, what a parent does to it before it starts.

use std::collections::BTreeSet;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Temp, children_of, eventually, launcher, launcher_path, probe_path};

/// The probe with these words, as an argument list.
pub fn probe(words: &[&str]) -> Vec<String> {
    let path = probe_path().to_str().unwrap().to_owned();
    assert!(Path::new(&path).exists(), "make probe, and name it in LAUNCHER_PROBE: no {path}");
    [path].into_iter().chain(words.iter().map(|&word| word.to_owned())).collect()
}

/// launcher with options and a probe.
pub fn launcher_probe(options: &[&str], words: &[&str]) -> Command {
    let mut command = launcher(options);
    command.args(probe(words));
    command
}

/// launcher under another name, which is that of a link in `temp`.
pub fn called(temp: &Temp, name: &str) -> Command {
    let path = temp.0.join(name);
    if !path.is_symlink() {
        std::os::unix::fs::symlink(launcher_path(), &path).unwrap();
    }
    let mut command = Command::new(path);
    command.stdin(Stdio::null());
    command
}

/// The value of a field of /proc/PID/status.
pub fn status_field(pid: u32, field: &str) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field} of {pid}")).trim().to_owned()
}

/// The number of the system call that a process is in, and its arguments, as the kernel prints them.
pub fn current_call(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/syscall")).unwrap_or_default()
}

/// Whether a process is in this system call.
pub fn is_in_call(pid: u32, number: libc::c_long) -> bool {
    current_call(pid).split(' ').next() == Some(&number.to_string())
}

/// The only child of a process, once it has one.
pub fn only_child(pid: u32) -> u32 {
    eventually("one child", || children_of(pid).len() == 1);
    children_of(pid)[0]
}

/// The open descriptors of another process.
pub fn descriptors(pid: u32) -> BTreeSet<i32> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
    entries.map(|entry| entry.file_name().to_str().unwrap().parse().unwrap()).collect()
}

/// Signals another process, which must be there.
#[track_caller]
pub fn kill(pid: u32, signal: i32) {
    // SAFETY: takes two integers.
    assert_eq!(unsafe { libc::kill(pid.try_into().unwrap(), signal) }, 0, "signal {signal} to {pid}");
}

/// The kernel's set of all signals.
static ALL: u64 = u64::MAX;

/// A parent's habit: all signals blocked, and those that libc hides too.
pub fn block_all_signals() {
    // SAFETY: the kernel reads the set; the old one is not asked for.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const ALL, 0usize, 8usize) };
}

/// A parent's habit: a signal ignored.
pub fn ignore(signal: i32) {
    // SAFETY: no function is installed.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// A command under a seccomp filter.
pub fn with_filter(command: &mut Command, code: Vec<libc::sock_filter>) {
    let install = move || {
        let filter =
            libc::sock_fprog { len: code.len().try_into().unwrap_or(0), filter: code.as_ptr().cast_mut() };
        // SAFETY: takes integers; a user may have no filter otherwise.
        unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        // SAFETY: the kernel copies the program, which lives as long as this closure.
        unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter) };
    };
    with_habit(command, install);
}

/// A command whose process does this first; system calls only.
pub fn with_habit(command: &mut Command, habit: impl Fn() + Send + Sync + 'static) -> &mut Command {
    let arrange = move || {
        habit();
        Ok(())
    };
    // SAFETY: the habits make system calls only.
    unsafe { command.pre_exec(arrange) }
}

/// Lets a command inherit descriptor 77 as a copy of `number` and nothing else, whatever the tests were started with.
pub fn inherit(command: &mut Command, number: i32) -> &mut Command {
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
