//! Handles of the host that a container may get at: our executable, descriptors, processes.
#![allow(unsafe_code, reason = "what a caller may do to launcher before it starts")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::common::{
    Finished, Rootfs, Running, Temp, as_user, children_of, copy_program, launcher, launcher_as_user,
    launcher_path, launcher_with_faults, run,
};
use crate::{launcher_of, require};

/// A copy of launcher that may be spoilt, where everybody can reach it.
struct Copy(Temp);

impl Copy {
    fn new() -> Self {
        let temp = Temp::new();
        copy_program(&launcher_path(), &temp.0.join("launcher"));
        Self(temp)
    }

    /// A command that runs it with a rootfs, these options and the probe.
    fn command(&self, is_user: bool, rootfs: &Rootfs, options: &[&str], probe: &[&str]) -> Command {
        let mut command = Command::new(self.0.0.join("launcher"));
        command.args(["--rootfs", rootfs.arg()]).args(options).args(["--", "/probe"]).args(probe);
        command.stdin(Stdio::null());
        if is_user { as_user(command) } else { command }
    }

    /// Fails unless it is what it was.
    #[track_caller]
    fn assert_same(&self, what: &str) {
        let is_same = fs::read(self.0.0.join("launcher")).unwrap() == fs::read(launcher_path()).unwrap();
        assert!(is_same, "{what}: the file on the host is another");
    }
}

/// What each attempt of `probe attack` was answered.
fn answers(finished: Finished) -> BTreeMap<String, String> {
    let out = finished.expect(0).out;
    let pair = |line: &str| line.split_once(' ').map(|(name, answer)| (name.to_owned(), answer.to_owned()));
    out.lines().filter_map(pair).collect()
}

/// Who runs the container, with which options, and whether it may look into PID 1, where that is the user's wish.
const HOW: [(bool, &[&str], bool); 6] = [
    (false, &[], false),
    (false, &["--cap-add", "SYS_PTRACE"], true),
    (false, &["--privileged"], true),
    (true, &[], false),
    (true, &["--cap-add", "SYS_PTRACE"], false),
    (true, &["--privileged"], false),
];

#[test]
fn cve_2019_5736_our_binary_cannot_be_written_from_inside() {
    require!(root, busybox);
    let (rootfs, copy) = (Rootfs::for_user(), Copy::new());
    for (is_user, options, may_look) in HOW {
        let found = answers(run(&mut copy.command(is_user, &rootfs, options, &["attack"])));
        // A file that runs cannot be written by anybody; and most cannot even name it.
        let want = if may_look { libc::ETXTBSY } else { libc::EACCES }.to_string();
        assert_eq!(found["exe-write"], want, "{is_user} {options:?}");
        assert_eq!(found["exe-append"], want, "{is_user} {options:?}");
        let want = if may_look { libc::ETXTBSY } else { libc::ENOENT }.to_string();
        assert_eq!(found["exe-handle-write"], want, "{is_user} {options:?}");
        copy.assert_same(&format!("{is_user} {options:?}"));
    }
}

#[test]
fn cve_2022_0847_where_our_binary_can_be_had_it_is_a_copy() {
    require!(root, busybox);
    let (rootfs, copy) = (Rootfs::new(), Copy::new());
    let on_host = fs::metadata(copy.0.0.join("launcher")).unwrap();
    let on_host = format!("{}:{}", on_host.dev(), on_host.ino());
    for options in [&["--cap-add", "SYS_PTRACE"][..], &["--privileged"], &["--cap-add", "all"]] {
        let script = "stat -L -c %d:%i /proc/1/exe; readlink /proc/1/exe; tr '\\0' ' ' </proc/1/cmdline; cat /proc/1/comm; echo $0";
        let mut command = Command::new(copy.0.0.join("launcher"));
        command.args(["--rootfs", rootfs.arg()]).args(options).args(["--", "sh", "-c", script, "word"]);
        let out = run(&mut command).expect(0).out;
        let [file, link, command_line, word] = out.lines().collect::<Vec<_>>()[..] else { panic!("{out}") };
        assert_ne!(file, on_host, "{options:?}");
        assert_eq!(link, "/memfd:launcher (deleted)", "{options:?}");
        assert!(command_line.trim_end().ends_with("launcher:init"), "{options:?}: {command_line}");
        assert_eq!(word, "word", "{options:?}");
    }
}

#[test]
fn it_is_a_copy_too_where_others_may_look_who_were_there_before() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let start = |options: &[&str]| {
        let script = ["--", "sh", "-c", "echo ready; exec sleep 60"];
        let mut running = Running::start(launcher(options).args(script));
        running.wait_for("ready");
        let init = children_of(running.child.id())[0];
        (running, init)
    };
    let (first, init) = start(&["--rootfs", rootfs.arg()]);
    let place = format!("container:{init}");
    for options in
        [&["--rootfs", rootfs.arg(), "--pid", &place][..], &["--pid", &place, "--uidmap", "0:100000:65536"]]
    {
        let (second, init) = start(options);
        let link = fs::read_link(format!("/proc/{init}/exe")).unwrap();
        assert_eq!(link.to_str(), Some("/memfd:launcher (deleted)"), "{options:?}");
        second.signal(libc::SIGTERM);
        second.finish().expect(143);
    }
    first.signal(libc::SIGTERM);
    first.finish().expect(143);
    // An ordinary user can join those only who are in a user namespace, and may be unable to read our file.
    for (mut command, want) in [(launcher([""; 0]), true), (launcher_as_user([""; 0]), false)] {
        let plan = run(command.args(["--pid", "container:1", "--dry-run", "--", "true"])).expect(0).out;
        assert_eq!(plan.contains("run a sealed copy"), want, "{plan}");
    }
}

#[test]
fn a_copy_that_may_not_be_so_long_is_an_error_with_words() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -f 1; exec \"$0\" \"$@\""]).arg(launcher_path());
    command.args(["--privileged", "--rootfs", rootfs.arg(), "--", "true"]);
    let want = "launcher: step 1: run a sealed copy of launcher: File too large (EFBIG)\n";
    assert_eq!(run(&mut command).expect(125).err, want);
}

#[test]
fn the_copy_starts_as_the_first_was_started() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    let words = ["--cap-add", "SYS_PTRACE", "--rootfs", rootfs.arg(), "--", "sh", "-c"];
    // Ignored and blocked signals, and what they mean to the parent: nohup's is not for the program.
    let script = "exec \"$0\" \"$@\" 'grep -E \"^Sig(Blk|Ign)\" /proc/self/status; env | sort'";
    let look = |ptrace: bool| {
        let mut command = Command::new("env");
        command.args(["-i", "--ignore-signal=HUP", "--block-signal=USR1", "A=b c"]);
        command.args(["sh", "-c", script]).arg(launcher_path()).args(&words[if ptrace { 0 } else { 2 }..]);
        run(&mut command).expect(0).out
    };
    assert_eq!(look(true), look(false));
    // A kernel that does not know the newest flag; and one that refuses altogether.
    let starts =
        |fault: &str| run(&mut launcher_with_faults(&[fault], &[&words[..], &["echo runs"]].concat()));
    assert_eq!(starts("memfd_create:error=EINVAL:when=1").expect(0).out, "runs\n");
    for fault in ["memfd_create:error=ENOSYS", "sendfile:error=ENOSPC", "execve:error=EACCES:when=1"] {
        let finished = starts(fault).expect(125);
        let want = "launcher: step 1: run a sealed copy of launcher: ";
        assert!(finished.err.starts_with(want) && finished.out.is_empty(), "{fault}: {finished:?}");
    }
}

#[test]
fn pid_1_is_neither_traced_nor_read_nor_killed_from_inside() {
    require!(root, busybox);
    let (rootfs, copy) = (Rootfs::for_user(), Copy::new());
    for (is_user, options, may_look) in HOW {
        let found = answers(run(&mut copy.command(is_user, &rootfs, options, &["attack"])));
        for (name, open) in [("seize", "0"), ("memory", "14"), ("mem", "0"), ("descriptor", "0")] {
            let refused = if name == "mem" { "13" } else { "1" };
            let want = if may_look { open } else { refused };
            assert_eq!(found[name], want, "{name} {is_user} {options:?}");
        }
        assert!(["S", "R"].contains(&&*found["state"]), "{found:?} {is_user} {options:?}");
    }
}

#[test]
fn cve_2019_12499_our_binary_outlives_a_handle_that_is_held_at_the_end() {
    require!(root, busybox);
    let (rootfs, copy) = (Rootfs::new(), Copy::new());
    // The one who may have such a handle writes at the moment at which our file runs no more.
    for (signal, status) in [(libc::SIGTERM, 143), (libc::SIGKILL, 1009), (libc::SIGKILL, 1009)] {
        let options = ["--cap-add", "SYS_PTRACE"];
        let mut running = Running::start(&mut copy.command(false, &rootfs, &options, &["hold"]));
        running.wait_for("ready");
        running.signal(signal);
        running.finish().expect(status);
        copy.assert_same("after the end");
    }
}

#[test]
fn cve_2016_9962_those_who_join_are_not_looked_into() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut words = launcher_of(false, ["--rootfs", rootfs.arg(), "--", "/probe", "watch"]);
    let mut running = Running::start(&mut words);
    running.wait_for("ready");
    let container = format!("container:{}", children_of(running.child.id())[0]);
    for _ in 0..100 {
        let words = ["--rootfs", rootfs.arg(), "--pid", &container, "--", "/bin/busybox", "true"];
        run(&mut launcher_of(false, words)).expect(0);
    }
    fs::write(rootfs.path().join("stop"), "").unwrap();
    let out = running.finish().expect(0).out;
    let saw = out.lines().find_map(|line| line.strip_prefix("saw ")).unwrap();
    assert_ne!(saw, "0", "it was too slow to see any, which says nothing");
    assert_eq!(out.lines().count(), 1, "{out}");
}

/// Opens `/` and a pipe as descriptors without close-on-exec, as a careless caller does.
fn leak() -> std::io::Result<()> {
    // SAFETY: the path is a C string.
    let root = unsafe { libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) };
    // SAFETY: takes two integers.
    unsafe { libc::dup2(root, 9) };
    let mut ends = [0; 2];
    // SAFETY: the kernel writes two integers.
    if unsafe { libc::pipe(ends.as_mut_ptr()) } == 0 { Ok(()) } else { Err(std::io::Error::last_os_error()) }
}

/// launcher by a caller that leaks.
fn leaking(is_user: bool, rootfs: &Rootfs, options: &[&str], program: &[&str]) -> Command {
    let mut command = launcher_of(is_user, ["--rootfs", rootfs.arg()]);
    command.args(options).arg("--").args(program);
    // SAFETY: system calls only, in a child that has one thread.
    unsafe { command.pre_exec(leak) };
    command
}

#[test]
fn cve_2024_21626_descriptors_of_the_caller_stay_outside_of_a_users_container_too() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    symlink("/proc/self/fd/9", rootfs.path().join("nine")).unwrap();
    // Such a caller: the probe itself would tell.
    let mut told = Command::new(crate::common::probe_path());
    // SAFETY: as above.
    unsafe { told.arg("fds").pre_exec(leak) };
    assert!(run(&mut told).expect(0).out.contains(" 9"), "the caller does not leak");
    for is_user in [false, true] {
        let finished = run(&mut leaking(is_user, &rootfs, &[], &["/probe", "fds"])).expect(0);
        assert_eq!(finished.out, "0 1 2\n", "{is_user}");
        for place in ["/proc/self/fd/9", "/proc/thread-self/fd/9", "/proc/1/fd/9", "/nine", "/nine/etc"] {
            let finished =
                run(&mut leaking(is_user, &rootfs, &["-w", place], &["busybox", "ls"])).expect(125);
            assert_eq!(finished.out, "", "{is_user} {place}");
        }
        let mount = ["--tmpfs", "/proc/self/fd/9/srv"];
        run(&mut leaking(is_user, &rootfs, &mount, &["busybox", "true"])).expect(125);
    }
}

#[test]
fn cve_2020_15257_no_socket_of_ours_is_in_the_hosts_network() {
    require!(root, busybox, unshare);
    let rootfs = Rootfs::new();
    // A network in which nobody else has sockets; --network host shares it.
    let script = "\"$0\" \"$@\" --network host -- sh -c 'wc -l </proc/net/unix'; exit $?";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", script]).arg(launcher_path()).args(["--rootfs", rootfs.arg()]);
    // The header, and the pair without a name over which child and parent talk.
    let lines: u32 = run(&mut command).expect(0).out.trim().parse().unwrap();
    assert!(lines <= 3, "{lines}");
    let names = "\"$0\" \"$@\" --network host -- sh -c 'cut -d : -f 2 /proc/net/unix | grep -c /; grep -c @ /proc/net/unix'; exit 0";
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", names]).arg(launcher_path()).args(["--rootfs", rootfs.arg()]);
    assert_eq!(run(&mut command).expect(0).out, "0\n0\n");
}
