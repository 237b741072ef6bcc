//! What the tests share: the binary under test, a rootfs, deadlines, and skips that CI refuses.
#![allow(dead_code, unreachable_pub, reason = "each test program uses a part")]
#![allow(unsafe_code, reason = "signals by number, and what a child does before it becomes launcher")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "these are tests"
)]

pub mod init;
pub mod siginfo;
pub mod tty;

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Longest time that anything may take here; machines that run tests are slow, so it only catches what hangs.
pub const DEADLINE: Duration = Duration::from_mins(1);

/// An ordinary user without an entry anywhere.
pub const USER: u32 = 12_345;

/// Skips a test aloud, and fails it where the environment says that nothing may be skipped.
#[macro_export]
macro_rules! require {
    ($($need:ident),+) => { $(
        if let Err(why) = $crate::common::need(stringify!($need)) {
            assert!(std::env::var_os("LAUNCHER_TESTS_MUST_RUN").is_none(), "must run, but {why}");
            eprintln!("SKIP {}: {why}", std::thread::current().name().unwrap_or("test"));
            return;
        }
    )+ };
}

/// Whether the machine has what a test needs.
pub fn need(what: &str) -> Result<(), String> {
    let has_program = |name: &str| {
        let path = std::env::var("PATH").unwrap_or_default();
        path.split(':').any(|folder| Path::new(folder).join(name).exists())
    };
    let met = match what {
        "root" => nix::unistd::geteuid().is_root(),
        "busybox" => Path::new("/bin/busybox").exists(),
        "init_only" => path_from("LAUNCHER_INIT_ONLY").is_some(),
        "aarch64" => path_from("LAUNCHER_AARCH64").is_some(),
        "armv7" => path_from("LAUNCHER_ARMV7").is_some(),
        "riscv64" => path_from("LAUNCHER_RISCV64").is_some(),
        "qemu_aarch64" => has_program("qemu-aarch64-static"),
        "qemu_arm" => has_program("qemu-arm-static"),
        "qemu_riscv64" => has_program("qemu-riscv64-static"),
        "hybrid" => need("devices_v1").is_ok() && Path::new("/sys/fs/cgroup/unified/cgroup.procs").exists(),
        "devices_v1" => Path::new("/sys/fs/cgroup/devices/devices.list").exists(),
        "memory_v1" => Path::new("/sys/fs/cgroup/memory/memory.limit_in_bytes").exists(),
        program => has_program(program),
    };
    if met { Ok(()) } else { Err(format!("{what} is missing")) }
}

/// Copies a program that is executed afterwards. Not by our own process: a descriptor that writes to it could just then be
/// inherited by what the thread of another test starts, and until that is executed it would be busy (ETXTBSY).
#[track_caller]
pub fn copy_program(from: &Path, to: &Path) {
    assert!(
        Command::new("cp").args([from, to]).status().unwrap().success(),
        "cp {} {}",
        from.display(),
        to.display()
    );
}

/// The binary under test: the shipped one if the environment names it, else the one that cargo has just built.
pub fn launcher_path() -> PathBuf {
    std::env::var_os("LAUNCHER_BIN").map_or_else(|| env!("CARGO_BIN_EXE_launcher").into(), PathBuf::from)
}

/// The static program that runs inside an empty rootfs; `make probe` builds it.
pub fn probe_path() -> PathBuf {
    std::env::var_os("LAUNCHER_PROBE").map_or_else(
        || Path::new(env!("CARGO_BIN_EXE_launcher")).with_file_name("examples").join("probe"),
        PathBuf::from,
    )
}

/// The file that a variable names, if it is there.
pub fn path_from(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.is_file())
}

/// A command that runs launcher with these arguments.
pub fn launcher<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I) -> Command {
    let mut command = Command::new(launcher_path());
    command.args(args).stdin(Stdio::null());
    command
}

/// The same as an ordinary user, without any supplementary group, with the binary where that user can reach it.
pub fn launcher_as_user<I: IntoIterator<Item = S>, S: AsRef<OsStr>>(args: I) -> Command {
    as_user(launcher(args))
}

/// Any command as that user.
pub fn as_user(mut command: Command) -> Command {
    if nix::unistd::geteuid().is_root() {
        // std takes away the supplementary groups of root when it changes the user.
        command.uid(USER).gid(USER).current_dir("/");
    }
    command
}

/// A command that runs launcher with these arguments while strace(1) makes system calls fail, or late: each fault is
/// what follows `-e inject=`.
pub fn launcher_with_faults<S: AsRef<OsStr>>(faults: &[S], args: &[&str]) -> Command {
    with_faults(launcher_path().as_os_str(), faults, args)
}

/// The same with launcher under another name.
pub fn with_faults<S: AsRef<OsStr>>(program: &OsStr, faults: &[S], args: &[&str]) -> Command {
    let mut command = Command::new("strace");
    command.args(["-f", "-qq", "-o", "/dev/null"]).stdin(Stdio::null());
    for fault in faults {
        let mut words = std::ffi::OsString::from("inject=");
        words.push(fault);
        command.arg("-e").arg(words);
    }
    command.arg("--").arg(program).args(args);
    command
}

/// Runs a shell script in a container of `rootfs` with these options.
#[track_caller]
pub fn inside(rootfs: &Rootfs, options: &[&str], script: &str) -> Finished {
    run(launcher(["--rootfs", rootfs.arg()]).args(options).args(["--", "sh", "-c", script]))
}

/// The same by the ordinary user.
#[track_caller]
pub fn inside_as_user(rootfs: &Rootfs, options: &[&str], script: &str) -> Finished {
    run(launcher_as_user(["--rootfs", rootfs.arg()]).args(options).args(["--", "sh", "-c", script]))
}

/// The processes whose parent is `pid`.
pub fn children_of(pid: u32) -> Vec<u32> {
    let text = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// The processes whose command line has `part` in it.
pub fn processes_with(part: &str) -> Vec<u32> {
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let has = |pid: &u32| {
        fs::read(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| String::from_utf8_lossy(&line).contains(part))
    };
    pids.filter(has).collect()
}

/// What a finished run left.
#[derive(Debug)]
pub struct Finished {
    /// Its exit status; 1000 + n if signal n killed launcher itself.
    pub status: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Finished {
    /// Fails with everything that is known unless the status is this.
    #[track_caller]
    pub fn expect(self, status: i32) -> Self {
        assert_eq!(self.status, status, "\nstdout: {}\nstderr: {}", self.out, self.err);
        self
    }
}

/// Runs to the end, or to the deadline.
#[track_caller]
pub fn run(command: &mut Command) -> Finished {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spawn");
    finish(child)
}

/// Waits for a child to end, or for the deadline.
#[track_caller]
pub fn finish(mut child: Child) -> Finished {
    let watchdog = Watchdog::start(child.id(), DEADLINE);
    let finished = collect(&mut child);
    watchdog.stop();
    finished
}

/// What a child still says, and how it ended.
fn collect(child: &mut Child) -> Finished {
    // Small outputs only: one stream after the other cannot block within a pipe's 64 KiB.
    let out = child.stdout.take().map_or_else(String::new, read_all);
    let err = child.stderr.take().map_or_else(String::new, read_all);
    let status = child.wait().unwrap();
    let status = status.signal().map_or_else(|| status.code().unwrap(), |number| 1000 + number);
    Finished { status, out, err }
}

/// The rest of a stream as text.
fn read_all(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Kills a process and all that descends from it: any of them may hold the pipe that a test reads from.
fn kill_tree(pid: u32) {
    // From the top: who is killed cannot make more.
    let children = children_of(pid);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid.try_into().unwrap()), nix::sys::signal::SIGKILL)
        .ok();
    children.into_iter().for_each(kill_tree);
}

/// Kills what outlives the deadline.
struct Watchdog(std::sync::mpsc::Sender<()>);

impl Watchdog {
    #[allow(clippy::disallowed_methods, reason = "the test may have threads, launcher may not")]
    fn start(pid: u32, time: Duration) -> Self {
        let (sender, receiver) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            if receiver.recv_timeout(time) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                eprintln!("deadline: killing {pid}");
                kill_tree(pid);
            }
        });
        Self(sender)
    }

    fn stop(&self) {
        self.0.send(()).ok();
    }
}

/// A run that goes on: its output can be waited for, line by line. Killed with all its children when a test fails.
pub struct Running {
    /// The process.
    pub child: Child,
    lines: BufReader<ChildStdout>,
    watchdog: Watchdog,
}

impl Running {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        Self::start_for(command, DEADLINE)
    }

    /// Starts what may take this long.
    pub fn start_for(command: &mut Command, time: Duration) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spawn");
        let lines = BufReader::new(child.stdout.take().unwrap());
        let watchdog = Watchdog::start(child.id(), time);
        Self { child, lines, watchdog }
    }

    /// The next line of its output, without the newline; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// Reads until a line is this one.
    #[track_caller]
    pub fn wait_for(&mut self, wanted: &str) {
        loop {
            let line = self.line();
            assert!(!line.is_empty(), "it ended before it said {wanted}");
            if line == wanted {
                return;
            }
        }
    }

    /// Sends a signal by number.
    pub fn signal(&self, number: i32) {
        // SAFETY: kill takes two integers.
        unsafe { libc::kill(self.child.id().try_into().unwrap(), number) };
    }

    /// Waits for the end; `out` is what was not read before.
    pub fn finish(mut self) -> Finished {
        let mut out = String::new();
        self.lines.read_to_string(&mut out).unwrap();
        let finished = collect(&mut self.child);
        self.watchdog.stop();
        Finished { out, ..finished }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            kill_tree(self.child.id());
            self.child.wait().ok();
        }
    }
}

/// Sends a signal with a value, whatever numbers libc keeps for itself.
pub fn queue(pid: u32, number: i32, value: usize) -> nix::Result<()> {
    let sent =
        siginfo::Sent { pid: std::process::id().cast_signed(), uid: nix::unistd::getuid().as_raw(), value };
    let info = siginfo::Info { head: [number, 0, libc::SI_QUEUE], sent, rest: [0; 14] };
    // SAFETY: the kernel reads its struct from `info`, which has room for it.
    let result = unsafe { libc::syscall(libc::SYS_rt_sigqueueinfo, pid, number, &raw const info) };
    nix::errno::Errno::result(result).map(drop)
}

/// Waits until `condition` holds, or fails at the deadline. For states that nobody announces.
#[track_caller]
pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + DEADLINE;
    while !condition() {
        assert!(Instant::now() < end, "never came true: {what}");
        std::thread::yield_now();
    }
}

/// A folder of the test's own, removed with all in it.
pub struct Temp(pub PathBuf);

impl Temp {
    /// Makes it; everybody may enter.
    pub fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("launcher-test-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// A small root file system: busybox under its names, and the probe.
pub struct Rootfs(pub Temp);

impl Rootfs {
    /// Makes one that belongs to whoever runs the tests.
    pub fn new() -> Self {
        let temp = Temp::new();
        for folder in ["bin", "dev", "etc", "proc", "root", "srv", "sys", "tmp"] {
            fs::create_dir(temp.0.join(folder)).unwrap();
        }
        copy_program(Path::new("/bin/busybox"), &temp.0.join("bin/busybox"));
        for name in [
            "awk", "cat", "chmod", "cut", "dd", "df", "echo", "env", "false", "grep", "head", "hostname",
            "id", "ip", "kill", "ln", "ls", "mkdir", "mount", "mv", "nproc", "ps", "pwd", "readlink", "rm",
            "sed", "seq", "sh", "sleep", "sort", "stat", "stty", "tail", "test", "touch", "tr", "true",
            "tty", "umount", "uniq", "wc", "yes",
        ] {
            symlink("busybox", temp.0.join("bin").join(name)).unwrap();
        }
        if probe_path().exists() {
            copy_program(&probe_path(), &temp.0.join("probe"));
        }
        Self(temp)
    }

    /// The same, owned by [`USER`], for runs as that user.
    pub fn for_user() -> Self {
        let rootfs = Self::new();
        if nix::unistd::geteuid().is_root() {
            chown_tree(rootfs.path());
        }
        rootfs
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.0.0
    }

    /// Its path as text, for argument lists.
    pub fn arg(&self) -> &str {
        self.path().to_str().unwrap()
    }
}

/// Gives a tree to [`USER`].
fn chown_tree(path: &Path) {
    std::os::unix::fs::lchown(path, Some(USER), Some(USER)).unwrap();
    if path.is_dir() && !path.is_symlink() {
        for entry in fs::read_dir(path).unwrap() {
            chown_tree(&entry.unwrap().path());
        }
    }
}

/// Every cgroup below /sys/fs/cgroup whose name has `part` in it.
pub fn cgroups_named(part: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut left = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = left.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                if entry.file_name().to_string_lossy().contains(part) {
                    found.push(entry.path());
                }
                left.push(entry.path());
            }
        }
    }
    found
}

/// Every path below a folder with what a container could change about it.
pub fn snapshot(top: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut left = vec![top.to_path_buf()];
    while let Some(path) = left.pop() {
        let meta = fs::symlink_metadata(&path).unwrap();
        let times = (meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec());
        let content = if meta.is_file() { fs::read(&path).unwrap() } else { Vec::new() };
        let facts = format!(
            "{:o} {}:{} {times:?} {}",
            meta.mode(),
            meta.uid(),
            meta.gid(),
            content.iter().fold(0u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(*byte)))
        );
        found.insert(path.display().to_string(), facts);
        if meta.is_dir() {
            left.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
    }
    found
}

/// Mounts as `target type flags`, flags without the kernel's own `relatime`.
pub fn mounts(text: &str) -> Vec<String> {
    let short = |line: &str| {
        let fields: Vec<_> = line.split(' ').collect();
        let kind = fields[fields.iter().position(|word| *word == "-").unwrap() + 1];
        format!("{} {kind} {}", fields[4], fields[5].replace(",relatime", ""))
    };
    text.lines().map(short).collect()
}

/// The mounts of the host.
pub fn mountinfo() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// A script for inside: how many roots there are on the way up, and mounts on `/`; tries to write to a file of the host.
/// pivot_root leaves the old root on top of the new one: `..` finds what was not detached.
pub fn look_for_the_old_root(file: &Path) -> String {
    format!(
        "stat -c %d:%i / /.. /../.. | sort -u | wc -l; echo changed 2>/dev/null >/..{}; \
         cut -d ' ' -f 5 /proc/self/mountinfo | grep -c '^/$'",
        file.display()
    )
}
