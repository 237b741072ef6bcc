//! A container with a terminal of its own (`-t`), and what it leaves of its caller's.
#![allow(unsafe_code, reason = "signals by number")]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::fmt::Write as _;
use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::process::{Child, Command, Stdio};

use common::init::{kill, only_child, status_field};
use common::tty::Terminal;
use common::{
    Rootfs, Running, Temp, as_user, children_of, eventually, finish, inside, launcher, launcher_path,
    launcher_with_faults, run, snapshot,
};

/// launcher with a rootfs, these options, and a program.
fn command(rootfs: &Rootfs, options: &[&str], program: &[&str]) -> Command {
    let mut command = Command::new(launcher_path());
    command.args(["--rootfs", rootfs.arg()]).args(options).arg("--").args(program);
    command
}

/// The same on a terminal, with `-it`.
fn start(terminal: &Terminal, rootfs: &Rootfs, program: &[&str]) -> Child {
    terminal.start(&mut command(rootfs, &["-it"], program))
}

/// An interactive shell of the host on a terminal, which has shown its first prompt.
fn host_shell(terminal: &mut Terminal, rootfs: &Rootfs) -> Child {
    let mut shell = Command::new("sh");
    shell.arg("-i").env("PS1", "prompt> ").env("ENV", "");
    shell.env("RUN", format!("{} --rootfs {} -it --", launcher_path().display(), rootfs.arg()));
    let shell = terminal.start(&mut shell);
    terminal.wait_for("prompt> ", 1);
    shell
}

/// What ends a container: given launcher, and the pid of the init.
type End = fn(&Child, u32);

/// Whether a process is stopped.
fn is_stopped(pid: u32) -> bool {
    status_field(pid, "State").starts_with('T')
}

/// A script about its terminal; cat is the shell's own process, which leads the session.
const ASK: &str = "tty; stty size; stat -c '%t:%a:%u' /dev/console /dev/pts/0; echo term $TERM; \
    echo to console >/dev/console; exec cat /proc/self/stat";

/// What it has to print.
const ANSWER: &str = "/dev/pts/0\r\n24 80\r\n88:620:0\r\n88:620:0\r\nterm vt102\r\nto console\r\n";

#[test]
fn the_program_leads_a_session_on_a_terminal_of_the_containers() {
    require!(root, busybox);
    for is_root in [true, false] {
        let rootfs = Rootfs::for_user();
        let mut terminal = Terminal::new();
        let mut command = command(&rootfs, &["-it"], &["sh", "-c", ASK]);
        command.env("TERM", "vt102");
        let mut command = if is_root { command } else { as_user(command) };
        finish(terminal.start(&mut command)).expect(0);
        terminal.wait_for("(cat)", 1);
        terminal.wait_for("\r\n", ANSWER.lines().count() + 1);
        let stat = terminal.shown.strip_prefix(ANSWER).unwrap_or_else(|| panic!("{}", terminal.shown));
        let fields: Vec<_> = stat.split(' ').collect();
        // Process, group, session, terminal (pts/0), its foreground.
        assert_eq!([fields[0], fields[4], fields[5], fields[6], fields[7]], ["2", "2", "2", "34816", "2"]);
    }
}

#[test]
fn no_process_inside_has_the_callers_terminal() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::new();
    let program = &["sh", "-c", "/probe inject; echo ready; read line; read line; exec cat"];
    // The filter would forbid it on every terminal; here the kernel may allow it on the own one.
    let options = &["-it", "--security-opt", "seccomp=unconfined"];
    let launcher = terminal.start(&mut command(&rootfs, options, program));
    terminal.wait_for("ready", 1);
    let init = only_child(launcher.id());
    for pid in [init, only_child(init)] {
        for entry in std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten() {
            let found = std::fs::metadata(entry.path()).unwrap();
            assert_ne!((found.dev(), found.ino()), terminal.place(), "{pid}: {}", entry.path().display());
        }
        // Nor may it open /dev/tty and get that: field 7 is the terminal of the session.
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let own = std::fs::read_to_string(format!("/proc/{}/stat", launcher.id())).unwrap();
        let session = |stat: &str| stat.rsplit(')').next().unwrap().split(' ').nth(4).unwrap().to_owned();
        assert_ne!(session(&stat), session(&own), "{pid} is in our caller's session");
    }
    kill(launcher.id(), libc::SIGTERM);
    finish(launcher).expect(143);
    assert!(terminal.shown.contains("injected "), "{}", terminal.shown);
    assert_eq!(terminal.waiting(), 0, "it has typed on our terminal");
}

#[test]
fn ctrl_c_comes_once_and_to_the_foreground_alone() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::new();
    let launcher = start(&terminal, &rootfs, &["/probe", "signals", "2"]);
    terminal.wait_for("ready", 1);
    terminal.send("\x03");
    terminal.wait_for("^C2\r\n", 1);
    terminal.send("\x1c");
    finish(launcher).expect(0);
    terminal.wait_for("3\r\n", 1);
    assert_eq!(terminal.shown, "ready\r\n^C2\r\n^\\3\r\n");
}

#[test]
fn a_shell_inside_has_job_control() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::new();
    let launcher = terminal.start(&mut command(&rootfs, &["-it", "-e", "PS1=in> "], &["sh", "-i"]));
    terminal.wait_for("in> ", 1);
    assert!(!terminal.shown.contains("job control turned off"), "{}", terminal.shown);
    // The shell reads its line in a mode of its own; what is typed afterwards waits for the program's word.
    terminal.send("sh -c 'echo first; exec cat'\n");
    terminal.wait_for("first\r\n", 1);
    terminal.send("one\n");
    terminal.wait_for("one\r\none\r\n", 1);
    terminal.send("\x03");
    terminal.wait_for("in> ", 2);
    terminal.send("echo status $?; sh -c 'echo second; exec cat'\n");
    terminal.wait_for("status 130\r\nsecond\r\n", 1);
    terminal.send("two\n");
    terminal.wait_for("two\r\ntwo\r\n", 1);
    terminal.send("\x1a");
    terminal.wait_for("Stopped", 1);
    terminal.wait_for("in> ", 3);
    terminal.send("fg\n");
    terminal.wait_for("fg\r\nsh -c", 1);
    terminal.send("three\n");
    terminal.wait_for("three\r\nthree\r\n", 1);
    terminal.send("\x04");
    terminal.wait_for("in> ", 4);
    terminal.send("exit 7\n");
    finish(launcher).expect(7);
    assert!(!terminal.is_raw());
}

#[test]
fn a_new_size_is_passed_on() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::new();
    let script = "trap 'stty size; exit 3' WINCH; echo ready; sleep 600 & wait";
    let launcher = start(&terminal, &rootfs, &["sh", "-c", script]);
    terminal.wait_for("ready", 1);
    terminal.resize(50, 132);
    terminal.wait_for("50 132", 1);
    finish(launcher).expect(3);
}

#[test]
fn the_callers_terminal_is_raw_meanwhile_and_as_before_after_any_end() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let init_of = |launcher: &Child| only_child(launcher.id());
    let ends: [(End, i32); 6] = [
        (|launcher, _| kill(launcher.id(), libc::SIGTERM), 143),
        (|launcher, _| kill(launcher.id(), libc::SIGHUP), 129),
        (|launcher, _| kill(launcher.id(), libc::SIGINT), 130),
        (|launcher, _| kill(launcher.id(), libc::SIGRTMIN() + 3), 128 + libc::SIGRTMIN() + 3),
        (|_, init| kill(init, libc::SIGKILL), 137),
        (|_, init| kill(only_child(init), libc::SIGSEGV), 139),
    ];
    for (end, status) in ends {
        let mut terminal = Terminal::new();
        let before = terminal.modes();
        let launcher = start(&terminal, &rootfs, &["sh", "-c", "echo ready; exec sleep 600"]);
        terminal.wait_for("ready", 1);
        eventually("it is raw", || terminal.is_raw());
        let init = init_of(&launcher);
        end(&launcher, init);
        finish(launcher).expect(status);
        assert_eq!(terminal.modes(), before, "after {status}");
    }
    let mut terminal = Terminal::new();
    let before = terminal.modes();
    finish(start(&terminal, &rootfs, &["missing"])).expect(127);
    assert_eq!(terminal.modes(), before);
    // The line breaks are the terminal's again.
    terminal.wait_for("launcher: execute missing: No such file or directory (ENOENT)\r\n", 1);
}

#[test]
fn without_interactive_nothing_is_read_and_nothing_changed() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::new();
    let before = terminal.modes();
    let script = "trap 'echo got INT; exit 4' INT; echo ready; sleep 600 & wait";
    let launcher = terminal.start(&mut command(&rootfs, &["-t"], &["sh", "-c", script]));
    terminal.wait_for("ready", 1);
    assert_eq!(terminal.modes(), before);
    // Typed to us: the terminal sends us a signal, which is forwarded.
    terminal.send("\x03");
    terminal.wait_for("got INT", 1);
    finish(launcher).expect(4);
    let mut launcher = command(&rootfs, &["-t"], &["sh", "-c", "echo ready; exec cat"]);
    let mut running = Running::start(launcher.stdin(Stdio::piped()));
    running.wait_for("ready");
    writeln!(running.child.stdin.as_ref().unwrap(), "hello").unwrap();
    drop(running.child.stdin.take());
    running.signal(libc::SIGTERM);
    let finished = running.finish().expect(143);
    assert_eq!(finished.out, "");
}

#[test]
fn a_stop_gives_the_terminal_back_until_we_are_in_the_foreground_again() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::new();
    let shell = host_shell(&mut terminal, &rootfs);
    terminal.send("$RUN sh -c 'trap \"stty size\" WINCH; echo rea\"\"dy; sleep 600 & wait; wait'\n");
    terminal.wait_for("ready", 1);
    eventually("it is raw", || terminal.is_raw());
    let launcher = only_child(shell.id());
    kill(launcher, libc::SIGTSTP);
    terminal.wait_for("prompt> ", 2);
    assert!(is_stopped(launcher) && !terminal.is_raw());
    terminal.resize(30, 90);
    terminal.send("echo out\"\"side\n");
    terminal.wait_for("outside", 1);
    terminal.send("fg\n");
    terminal.wait_for("30 90", 1);
    eventually("it is raw again", || terminal.is_raw());
    kill(launcher, libc::SIGTERM);
    terminal.wait_for("prompt> ", 4);
    assert!(!terminal.is_raw());
    terminal.send("exit 7\n");
    finish(shell).expect(7);
}

#[test]
fn in_the_background_it_waits_for_the_foreground_before_it_touches_the_terminal() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut terminal = Terminal::new();
    let shell = host_shell(&mut terminal, &rootfs);
    let before = terminal.modes();
    terminal.send("$RUN cat &\n");
    terminal.wait_for("prompt> ", 2);
    let launcher = only_child(shell.id());
    eventually("it is stopped", || is_stopped(launcher));
    assert_eq!(terminal.modes(), before);
    assert_eq!(terminal.foreground(), i32::try_from(shell.id()).unwrap());
    terminal.send("fg\n");
    eventually("it is raw", || terminal.is_raw());
    terminal.send("hello\r");
    terminal.wait_for("hello\r\nhello\r\n", 1);
    terminal.send("\x04");
    terminal.wait_for("prompt> ", 3);
    assert_eq!(terminal.modes(), before);
    terminal.send("exit 7\n");
    finish(shell).expect(7);
}

#[test]
fn all_output_arrives_and_in_order() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let finished = run(command(&rootfs, &["-t"], &["seq", "1", "150000"]).stdin(Stdio::null())).expect(0);
    let mut want = String::new();
    (1..=150_000).for_each(|number| write!(want, "{number}\r\n").unwrap());
    assert!(want.len() > 1 << 20 && finished.out == want, "{} of {} bytes", finished.out.len(), want.len());
    // A file has its own place to write to, which the next program goes on from.
    let temp = Temp::new();
    let file = temp.0.join("out");
    let mut shell = Command::new("sh");
    shell.args(["-c", r#"(echo before; "$0" --rootfs "$1" -t -- echo inside; echo after) >"$2""#]);
    shell.arg(launcher_path()).args([rootfs.path(), &file]).stdin(Stdio::null());
    run(&mut shell).expect(0);
    assert_eq!(std::fs::read_to_string(file).unwrap(), "before\ninside\r\nafter\n");
}

#[test]
fn who_does_not_read_our_output_holds_up_nothing_but_its_rest() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for gives_up in [false, true] {
        let running = Running::start(command(&rootfs, &["-t"], &["yes"]).stdin(Stdio::null()));
        let pid = running.child.id();
        let init = only_child(pid);
        let program = only_child(init);
        let pipe = std::fs::File::open(format!("/proc/{pid}/fd/1")).unwrap();
        eventually("the program waits for a reader", || {
            let mut unread = 0;
            // SAFETY: the kernel writes one int.
            unsafe { libc::ioctl(pipe.as_raw_fd(), libc::FIONREAD, &raw mut unread) };
            let place = std::fs::read_to_string(format!("/proc/{program}/wchan")).unwrap_or_default();
            unread > 1 << 15 && place == "wait_woken"
        });
        drop(pipe);
        running.signal(libc::SIGTERM);
        eventually("the container has ended", || children_of(pid).is_empty());
        if gives_up {
            running.signal(libc::SIGTERM);
        }
        let out = running.finish().expect(143).out;
        assert!(out.len() > 1 << 15 && out.starts_with("y\r\ny\r\n"), "{}", out.len());
    }
}

#[test]
fn who_closes_our_output_hangs_the_terminal_up() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut launcher = command(&rootfs, &["-t"], &["yes"]);
    let mut child =
        launcher.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let finished = finish(child).expect(128 + libc::SIGHUP);
    assert_eq!(finished.err, "");
}

#[test]
fn a_stranger_that_writes_to_the_terminal_for_ever_does_not_keep_us() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut running = Running::start(
        command(&rootfs, &["-it"], &["sh", "-c", "echo ready; read line; exit 3"]).stdin(Stdio::piped()),
    );
    running.wait_for("ready");
    let console = format!("/proc/{}/root/dev/console", only_child(running.child.id()));
    let opened = std::fs::OpenOptions::new().write(true).open(console).unwrap();
    let mut stranger = Command::new("yes").stdout(opened).spawn().unwrap();
    assert_eq!(running.line(), "y");
    drop(running.child.stdin.take());
    running.finish().expect(3);
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn a_read_that_fails_once_is_no_hangup() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    let words = |script| ["--rootfs", rootfs.arg(), "-t", "--", "sh", "-c", script];
    // The last one comes when all inside have ended, and what they wrote is still to be read.
    for when in ["when=1", "when=2", "when=3", "delay_enter=300000:when=1"] {
        let fault = format!("read:error=EIO:{when}");
        let finished =
            run(&mut launcher_with_faults(&[fault], &words("echo one; busybox true; echo two"))).expect(0);
        assert_eq!((&*finished.out, &*finished.err), ("one\r\ntwo\r\n", ""), "{when}");
    }
    // One that fails for ever is told, and hangs the terminal up. The program itself must not read.
    let finished = run(&mut launcher_with_faults(&["read:error=EIO"], &words("echo one; exec /probe pause")))
        .expect(129);
    assert_eq!(finished.err, "launcher: warning: the container's terminal: Input/output error\n");
}

#[test]
fn the_end_of_a_pipe_is_told_as_by_ctrl_d() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (text, want) in
        [("", ""), ("line\n", "line\r\nline\r\n"), ("un\nfinished", "un\r\nfinishedun\r\nfinished")]
    {
        let mut launcher = command(&rootfs, &["-it"], &["sh", "-c", "echo ready; exec cat"]);
        let mut running = Running::start(launcher.stdin(Stdio::piped()));
        running.wait_for("ready");
        let mut stdin = running.child.stdin.take().unwrap();
        stdin.write_all(text.as_bytes()).unwrap();
        drop(stdin);
        let finished = running.finish().expect(0);
        let sorted = |text: &str| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.sort_unstable();
            bytes
        };
        // The terminal's echo and the program's words come in either order.
        assert_eq!((sorted(&finished.out), finished.err.as_str()), (sorted(want), ""), "{}", finished.out);
    }
    // More than any buffer holds, and each line is there once more in the echo.
    let text: String = (1..=50_000).fold(String::new(), |text, number| text + &format!("{number}\n"));
    let (reader, writer) = nix::unistd::pipe().unwrap();
    let mut writer = std::fs::File::from(writer);
    nix::fcntl::fcntl(&writer, nix::fcntl::FcntlArg::F_SETPIPE_SZ(1 << 20)).unwrap();
    writer.write_all(text.as_bytes()).unwrap();
    drop(writer);
    let finished = run(command(&rootfs, &["-it"], &["wc", "-l"]).stdin(reader)).expect(0);
    assert!(finished.out.ends_with("50000\r\n50000\r\n"), "{}", &finished.out[finished.out.len() - 40..]);
}

#[test]
fn what_an_image_has_in_dev_is_neither_followed_nor_changed() {
    require!(root, busybox);
    for name in ["console", "pts", "ptmx", "pts/0", "pts/ptmx"] {
        let (rootfs, outside) = (Rootfs::new(), Temp::new());
        let link = rootfs.path().join("dev").join(name);
        std::fs::create_dir_all(link.parent().unwrap()).unwrap();
        std::fs::write(outside.0.join("file"), "untouched").unwrap();
        let target = if name == "pts" { outside.0.clone() } else { outside.0.join("file") };
        std::os::unix::fs::symlink(target, &link).unwrap();
        let before = snapshot(&outside.0);
        let mut words = command(&rootfs, &["-t"], &["stat", "-c", "%F %t", "/dev/console", "/dev/pts/0"]);
        let finished = run(words.stdin(Stdio::null())).expect(0);
        let device = "character special file 88\r\n";
        assert_eq!(finished.out, format!("{device}{device}"), "{name}");
        assert_eq!(snapshot(&outside.0), before, "{name}");
    }
    // A link for the whole of /dev is refused.
    let (rootfs, outside) = (Rootfs::new(), Temp::new());
    std::fs::remove_dir(rootfs.path().join("dev")).unwrap();
    std::os::unix::fs::symlink(&outside.0, rootfs.path().join("dev")).unwrap();
    let before = snapshot(&outside.0);
    run(command(&rootfs, &["-t"], &["true"]).stdin(Stdio::null())).expect(125);
    assert_eq!(snapshot(&outside.0), before);
}

#[test]
fn a_user_has_its_terminal_by_name_too() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let script = "stat -c %u:%a /dev/pts/0; echo by name >/dev/stderr; echo by tty >/dev/tty; id -u";
    let finished =
        run(command(&rootfs, &["-t", "-u", "1000:1000"], &["sh", "-c", script]).stdin(Stdio::null()))
            .expect(0);
    assert_eq!(finished.out, "1000:620\r\nby name\r\nby tty\r\n1000\r\n");
}

#[test]
fn without_a_rootfs_it_is_a_terminal_of_the_hosts() {
    require!(root);
    for options in [&["-t"][..], &["-t", "--pid", "host"], &["-t", "--mntns", "host", "--pid", "host"]] {
        for is_root in [true, false] {
            let mut command = launcher(options);
            command.args(["--", "sh", "-c", "tty; tty </dev/tty; echo $TERM"]).env_remove("TERM");
            let mut command = if is_root { command } else { as_user(command) };
            let finished = run(&mut command).expect(0);
            let lines: Vec<_> = finished.out.split("\r\n").collect();
            assert!(
                lines[0].starts_with("/dev/pts/") && lines[1..] == ["/dev/tty", "xterm", ""],
                "{lines:?}"
            );
        }
    }
    let finished = run(&mut launcher(["-t", "--mntns", "ns:/proc/self/ns/mnt", "--", "true"])).expect(125);
    assert!(
        finished.err.starts_with("launcher: --tty cannot be had in a joined mount namespace"),
        "{}",
        finished.err
    );
}

#[test]
fn without_tty_the_streams_are_ours_as_before() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let finished = inside(&rootfs, &["-i"], "ls /dev/pts; ls /dev/console; test -t 0 || echo none");
    assert_eq!((finished.status, finished.out.as_str()), (0, "ptmx\nnone\n"));
}

#[test]
fn what_fails_is_named() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::new();
    for (fault, words) in [
        ("ioctl:error=EIO:when=1+", "open a terminal, show it as /dev/console: open its other end"),
        ("sendmsg:error=ENOBUFS", "hand it to the parent"),
        ("setsid:error=EPERM", "launcher: leave the session: Operation not permitted (EPERM)"),
        ("signalfd4:error=ENOSYS", "make a signalfd: "),
    ] {
        let options = ["--rootfs", rootfs.arg(), "-t", "--network", "host", "--", "true"];
        let mut command = launcher_with_faults(&[fault], &options);
        let finished = run(&mut command).expect(125);
        assert!(finished.err.contains(words), "{fault}: {}", finished.err);
    }
}
