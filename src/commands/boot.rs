//! launcher as the init of a machine: brings it up, runs the entrypoint, takes it down.

use std::cell::Cell;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, OFlag};
use nix::sched::CloneFlags;
use nix::unistd::Pid;

use crate::cli::{self, board::Said};
use crate::error::{Doing, Error, Result, STATUS_OURS, tolerate};
use crate::launch::board::{self, Starter, Verdict};
use crate::log::{self, say, warning};
use crate::packed::{Fill, filled, packed};
use crate::primitives::execve::{DEFAULT_PATH, c_string};
use crate::primitives::watchdog::Watchdog;
use crate::primitives::{early, shutdown};
use crate::spec::board::{Action, Board};
use crate::sys;
use crate::sys::fd::Closing;
use crate::sys::ns::{Side, Wish};
use crate::sys::signal::Set;
use crate::text;

/// Where options may be that do not fit the kernel's command line.
const FILE: &str = "/etc/launcher.conf";

/// The first PID namespace of a kernel; `PROC_PID_INIT_INO` of its proc_ns.h, the same since Linux 3.8.
const FIRST_NAMESPACE: &str = "pid:[4026531836]";

/// What the init of a machine has and a container's lacks: CAP_SYS_ADMIN and CAP_SYS_BOOT.
const RIGHTS: u64 = 1 << 21 | 1 << 22;

/// Does what the words of a command line say, and says what goes wrong.
type Run = fn(Vec<&'static OsStr>, &[&'static OsStr]) -> u8;

/// Whether we are to be the init of a machine: PID 1 of its first PID namespace, with the right to reboot it, and neither
/// in a container (`container=` in the environment) nor told not to by `launcher.boot=0`. `--boot` as the first word is
/// for the PID 1 of any namespace, which reboot(2) then ends.
pub(crate) fn is_wanted(args: &[&'static OsStr], env: &[&'static OsStr]) -> bool {
    if sys::process::own_pid().as_raw() != 1 {
        return false;
    }
    let first = args.get(1).map(|word| word.as_encoded_bytes()).unwrap_or_default();
    if let Some(value) = first.strip_prefix(b"--boot") {
        return matches!(value, b"" | b"=1");
    }
    if !sys::caps::permitted().is_ok_and(|has| has & RIGHTS == RIGHTS) {
        return false;
    }
    let Some((proc, is_ours)) = proc() else { return false };
    let is_wanted = decide(proc.as_fd(), args.get(1..).unwrap_or_default(), env);
    if is_ours && !is_wanted {
        tolerate(sys::mount::detach(c"/proc"), "it was just mounted");
    }
    is_wanted
}

/// The same by what this folder of a procfs says.
fn decide(proc: BorrowedFd<'_>, words: &[&'static OsStr], env: &[&'static OsStr]) -> bool {
    let is_first = is_first_namespace(proc);
    if is_first == Some(false) {
        return false;
    }
    let line = command_line(proc);
    let word = cli::board::boot_word(&line);
    let is_in_container = || env.iter().any(|entry| entry.as_encoded_bytes().starts_with(b"container="));
    // A command that somebody gave us as words of our own is meant.
    let is_command = matches!(words.first(), Some(word) if is_other_command(word))
        && !cli::board::are_the_kernels(words, &line);
    // Without CONFIG_PID_NS, or in a sandbox with a kernel of its own making, nobody is it who was not told so.
    is_first.map_or(word == Some(true), |_| !is_command && word.unwrap_or_else(|| !is_in_container()))
}

/// Whether we are in the first PID namespace, by this folder of a procfs. `None`: it knows of none.
fn is_first_namespace(proc: BorrowedFd<'_>) -> Option<bool> {
    let namespace = sys::fd::target_of(proc, c"self/ns/pid").ok()?;
    Some(namespace == FIRST_NAMESPACE)
}

/// The kernel's command line, by the same folder: a root may have none of its own.
fn command_line(proc: BorrowedFd<'_>) -> String {
    let file = sys::fd::open_at(proc, c"cmdline", OFlag::O_RDONLY);
    file.and_then(|file| sys::file::read_from(file.as_fd())).unwrap_or_default()
}

/// Whether a word is a command that is not to run something.
fn is_other_command(word: &OsStr) -> bool {
    text::parts(cli::COMMANDS, b' ').any(|name| word == name && name != "run" && name != "init")
}

/// The folder of a procfs: the one that is there, or our own; and whether we have mounted it on /proc. `None`: it cannot be
/// had, so this is a container.
fn proc() -> Option<(OwnedFd, bool)> {
    if sys::process::exists(c"/proc/self/stat") {
        return sys::fd::open_path(c"/proc").ok().map(|proc| (proc, false));
    }
    if let Ok(detached) = sys::mount::new_detached(c"proc", &[]) {
        return Some((detached, false));
    }
    // Before Linux 5.2. Whatever else is there, nobody but a container's maker puts it there.
    if early::is_mounted("/proc") {
        return None;
    }
    early::mount_proc().ok()?;
    sys::fd::open_path(c"/proc").ok().map(|proc| (proc, true))
}

thread_local! {
    /// What is done when something failed, for who cannot be told otherwise.
    static ON_FAIL: Cell<Action> = const { Cell::new(Action::PowerOff) };
}

/// Is the init of the machine; ends with it, or where the machine cannot be ended.
pub(crate) fn be_init(args: &[&'static OsStr], env: &[&'static OsStr], run: Run) -> u8 {
    tolerate(sys::signal::set_mask(Set::ALL_BUT_FAULTS), "never refused");
    tolerate(sys::crash::catch(crashed), "never refused; without it a fault of ours is the kernel's panic");
    let mut told = |error: Error| warning!("{error:#}");
    early::first_mounts(&mut told);
    early::stdio().unwrap_or_else(&mut told);
    if let Ok(file) = sys::fd::open_at(AT_FDCWD, c"/dev/kmsg", OFlag::O_WRONLY) {
        log::also_to(file);
    }
    if sys::fd::kind_of(sys::fd::standard(2)) == Ok(libc::S_IFCHR) {
        let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY | OFlag::O_NONBLOCK;
        log::say_on(sys::fd::open_at(AT_FDCWD, c"/proc/self/fd/2", flags).ok());
    }
    tolerate(shutdown::disable_ctrl_alt_del(), "EINVAL, EPERM: this is no machine but a PID namespace");
    let proc = proc().map(|(proc, _)| proc);
    let is_whole = proc.as_ref().is_some_and(|proc| is_first_namespace(proc.as_fd()) != Some(false));
    let line = proc.map(|proc| command_line(proc.as_fd())).unwrap_or_default();
    let mut board = Board::DEFAULT;
    let (said, is_file_read) = read(args, &line);
    // What is wrong with the file is told first; what becomes of the machine then may be said elsewhere.
    let words = cli::board::parse(said, &mut board);
    let words = is_file_read.and(words);
    let on_fail = board.on_fail.unwrap_or(board.on_exit);
    ON_FAIL.set(on_fail);
    let words = words.and_then(|words| early::prepare(&board, &mut told).map(|()| words));
    tolerate(nix::unistd::chdir(c"/"), "EACCES: it cannot be, for root");
    let watchdog = board.watchdog.and_then(|wish| Watchdog::open(&wish).map_err(&mut told).ok());
    let mut machine = Machine { words: Vec::new(), env, run, in_container: board.in_container, is_whole };
    let verdict = match words {
        Ok(words) => {
            machine.words = words;
            board::supervise(&board, watchdog.as_ref(), &mut machine)
        }
        Err(error) => {
            say(format_args!("{error:#}"));
            let until = sys::clock::milliseconds() + board.grace;
            Verdict { action: on_fail, status: error.status, until }
        }
    };
    end(&board, verdict, watchdog, &mut machine)
}

/// What was said in all three places, the kernel's own arguments standing on its command line; and whether the file could
/// be read.
fn read(args: &[&'static OsStr], line: &str) -> (Vec<&'static OsStr>, Result<()>) {
    let mut said = Said::default();
    let is_file_read = match sys::file::read(Path::new(FILE)) {
        Ok(text) => {
            said.read_file(&text);
            Ok(())
        }
        Err(Errno::ENOENT) => Ok(()),
        Err(errno) => Err(Error::os(packed!("read /etc/launcher.conf"), errno)),
    };
    said.read_command_line(line);
    let words = args.get(1..).unwrap_or_default();
    if !cli::board::are_the_kernels(words, line) {
        let words = match words {
            [command, rest @ ..] if *command == "run" => rest,
            [command, rest @ ..] if *command == "init" => {
                said.options.push(OsStr::new("--container=0"));
                rest
            }
            words => words,
        };
        said.read_arguments(words);
    }
    (said.words(), is_file_read)
}

/// How the option begins that names a container.
const NAME: &str = "--name=";

/// What makes the processes that the machine's init runs.
struct Machine<'a> {
    /// The command line of the entrypoint.
    words: Vec<&'static OsStr>,
    /// The environment that the kernel gave us.
    env: &'a [&'static OsStr],
    /// What carries it out.
    run: Run,
    /// The entrypoint is below the init of a container.
    in_container: bool,
    /// It is a machine, and not a PID namespace of one.
    is_whole: bool,
}

impl Machine<'_> {
    /// A process that does what these words say, in a session on the console if it is not beside the entrypoint. They are
    /// put together in there: what we allocate ourselves is for good.
    fn start(&self, words: &dyn Fn() -> Vec<&'static OsStr>, has_console: bool) -> Result<Pid> {
        match sys::ns::clone_process(Wish { flags: CloneFlags::empty(), cgroup: None })
            .doing(packed!("make a process"))?
        {
            Side::Parent(born) => Ok(born.pid),
            Side::Child => {
                sys::crash::forget();
                log::say_on(None);
                // The watchdog's above all: it counts who has it open.
                match log::kernel_log() {
                    Some(log) => sys::fd::close_all_but(log.as_fd()),
                    None => sys::fd::close_from(3, Closing::Now),
                }
                if has_console {
                    tolerate(sys::process::lead_session(), "a child leads nothing yet");
                    tolerate(sys::terminal::take(), "ENOTTY, EIO: there is no console, and no job control");
                } else {
                    tolerate(sys::process::lead_group(), "a child leads nothing yet");
                }
                tolerate(sys::signal::set_mask(Set::EMPTY), "never refused");
                let mut words = words();
                if words.get(1).is_some_and(|command| *command == "init") && !self.has_path() {
                    words.insert(2, OsStr::new("--env"));
                    words.insert(3, OsStr::new(DEFAULT_PATH)); // the kernel gives none
                }
                sys::entry::set_arguments(&words);
                sys::process::exit_now((self.run)(words, self.env))
            }
        }
    }

    /// Whether our own environment says where programs are.
    fn has_path(&self) -> bool {
        self.env.iter().any(|entry| entry.as_encoded_bytes().starts_with(b"PATH="))
    }

    /// A shell on the console, until it ends or somebody wants the machine to go down; what is to be done then. Where the
    /// machine has none, as an initramfs around a rootfs, it is that of the rootfs, with all rights.
    fn run_shell(&self, dog: Option<&Watchdog>) -> Action {
        let words = || {
            let mut words: Vec<_> = ["launcher", "init", "--", "/bin/sh"].map(OsStr::new).into();
            if let Some(rootfs) = self.option("--rootfs=").filter(|_| !sys::process::exists(c"/bin/sh")) {
                let all = ["run", "--privileged", "--network=host", "--pid=host"].map(OsStr::new);
                words.splice(1..2, all.into_iter().chain([rootfs]));
            }
            words
        };
        match self.start(&words, true) {
            Ok(shell) => board::stand_by(Some(shell), dog),
            Err(error) => {
                board::told(&error);
                Action::PowerOff
            }
        }
    }

    /// An option of the entrypoint's command line that begins so.
    fn option(&self, begin: &str) -> Option<&'static OsStr> {
        let words = self.words.iter().take_while(|word| **word != "--");
        words.copied().find(|word| word.as_encoded_bytes().starts_with(begin.as_bytes()))
    }
}

impl Starter for Machine<'_> {
    fn entrypoint(&mut self, again: bool) -> Result<Pid> {
        let words = || {
            // Of a runner that was killed the cgroup is left, and its name is taken.
            if let Some(option) = self.option(NAME).filter(|_| again && self.in_container) {
                let name = OsStr::from_bytes(option.as_bytes().get(NAME.len()..).unwrap_or_default());
                (self.run)(
                    ["launcher", "delete", "--force"].map(OsStr::new).into_iter().chain([name]).collect(),
                    self.env,
                );
            }
            self.words.clone()
        };
        self.start(&words, true)
    }

    fn health(&mut self, command: &'static str, entrypoint: Pid) -> Result<Pid> {
        let words = || {
            let mut words = ["launcher", "init", "--single-child", "--env"].map(OsStr::new).to_vec();
            words.push(OsStr::new(filled!("LAUNCHER_PID={}", &entrypoint).text().leak()));
            words.push(OsStr::new("--"));
            let parts = text::parts(command, b' ').filter(|part| !part.is_empty());
            words.extend(parts.map(OsStr::new));
            words
        };
        self.start(&words, false)
    }
}

/// Takes the machine down, or does what else is wanted in the end.
fn end(board: &Board, verdict: Verdict, mut watchdog: Option<Watchdog>, machine: &mut Machine<'_>) -> u8 {
    let Verdict { mut action, status, mut until } = verdict;
    if matches!(action, Action::Hang | Action::Shell) {
        action = if action == Action::Shell { machine.run_shell(watchdog.as_ref()) } else { hang() };
        until = sys::clock::milliseconds() + board.grace;
    }
    if let Action::Exec(program) = action {
        if let Some(watchdog) = watchdog.take() {
            watchdog.release();
        }
        become_other(program);
        action = Action::PowerOff;
    }
    let mut feed = || {
        if let Some(watchdog) = &watchdog {
            watchdog.feed();
        }
    };
    if action == Action::Panic {
        shutdown::flush(&mut || {});
    } else {
        shutdown::end_processes(until, &mut feed);
        shutdown::release_file_systems(machine.is_whole, &mut feed);
    }
    if let Some(watchdog) = watchdog {
        watchdog.leave_armed();
    }
    shutdown::reboot(action, status, board.exit_port)
}

/// Stays, and reaps who ends, until somebody wants the machine to go down: how. The watchdog is not fed: nothing lives.
fn hang() -> Action {
    board::stand_by(None, None)
}

/// Executes another init in our place; returns only on failure.
fn become_other(program: &str) {
    let env: Vec<_> =
        sys::entry::environment().into_iter().filter_map(|entry| c_string(entry).ok()).collect();
    tolerate(sys::signal::set_mask(Set::EMPTY), "never refused");
    let Ok(path) = text::c_string(program) else { return };
    let words = [path];
    let [path] = &words;
    let pointers = (sys::process::Pointers::new(&words), sys::process::Pointers::new(&env));
    let errno = sys::process::execve(path, &pointers.0, &pointers.1);
    tolerate(sys::signal::set_mask(Set::ALL_BUT_FAULTS), "never refused");
    say(format_args!("execute {program}: {}", crate::error::describe(errno)));
}

/// What is done about a crash of ours: what is wanted on failure, with as little as possible.
fn crashed(_signal: i32) {
    let mut action = ON_FAIL.get();
    shutdown::flush(&mut || {});
    if action == Action::Hang {
        action = hang();
    }
    match action {
        Action::Exec(program) => become_other(program),
        // It would be a child of one who is broken.
        Action::Shell => become_other("/bin/sh"),
        _ => {}
    }
    shutdown::reboot(action, STATUS_OURS, None)
}
