//! The last mile: from the last decision to execve, on memory prepared before.
//!
//! The child borrows its parent's memory (vfork), so a failure is simply written where the parent finds it; there
//! is no pipe. It makes system calls only: no allocation, no formatting, no panic.

use std::cell::Cell;
use std::ffi::{CStr, CString, OsStr};
use std::os::unix::ffi::OsStrExt;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::interpreter::interpreter_of;
use super::last_step::LastStep;
use crate::error::{Error, Result, STATUS_NOT_EXECUTABLE, STATUS_NOT_FOUND, tolerate};
use crate::packed::{filled, packed};
use crate::spec::user::Identity;
use crate::sys;
use crate::sys::process::{PathBuffer, Pointers};
use crate::sys::signal::{Disposition, Set};
use crate::sys::terminal::Terminal;
use crate::text::{self, Show};

/// Where a program is looked for when the environment has no such variable; docker's.
pub(crate) const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A program as execve wants it: where it may be, its arguments and its environment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    /// The folders in which it may be, with `:` between them; none if its name says where it is.
    search: Option<Vec<u8>>,
    /// The arguments, the program's name first.
    argv: Vec<CString>,
    /// The environment.
    envp: Vec<CString>,
    /// The place of LISTEN_PID in it, if that names us and is to name the program.
    listen_pid: Option<usize>,
}

/// The variable by which systemd says to whom the sockets from descriptor 3 on belong; sd_listen_fds(3).
const LISTEN_PID: &[u8] = b"LISTEN_PID=";

impl Program {
    /// Prepares a program: a name without a slash is looked for in the PATH of `env`, as execvp(3) does.
    ///
    /// # Errors
    /// No name, or a NUL byte in a word (possible only in words that do not come from argv).
    pub(crate) fn new(args: &[&OsStr], env: &[&OsStr]) -> Result<Self> {
        let name = args.first().map_or(&b""[..], |name| name.as_bytes());
        if name.is_empty() {
            return Err(Error::new(packed!("execute a program without a name")).status(STATUS_NOT_FOUND));
        }
        let folders = |entry: &&OsStr| Some(entry.as_bytes().strip_prefix(b"PATH=")?.to_vec());
        let search = if name.contains(&b'/') {
            None
        } else {
            env.iter().find_map(folders).or_else(|| folders(&OsStr::new(DEFAULT_PATH)))
        };
        Ok(Self { search, argv: c_strings(args)?, envp: c_strings(env)?, listen_pid: None })
    }

    /// Hands on sockets that were meant for us: LISTEN_PID will name the program, if it names `own`.
    pub(crate) fn hand_on_sockets(&mut self, own: Pid) {
        let names_us = |entry: &CString| {
            entry.as_bytes().strip_prefix(LISTEN_PID).and_then(text::number) == Some(own.as_raw())
        };
        self.listen_pid = self.envp.iter().position(names_us);
        // The newer word for the same, which cannot be made for a process that is not there yet.
        let other = self.envp.iter().position(|entry| entry.as_bytes().starts_with(b"LISTEN_PIDFDID="));
        if let (Some(index), Some(other)) = (self.listen_pid, other) {
            self.envp.swap_remove(other);
            // The last one has taken its place.
            if index == self.envp.len() {
                self.listen_pid = Some(other);
            }
        }
    }

    /// The place of HOME in the environment.
    fn home(&self) -> Option<usize> {
        self.envp.iter().position(|entry| entry.as_bytes().starts_with(b"HOME="))
    }

    /// The program's name as it was given.
    pub(crate) fn name(&self) -> String {
        self.argv.first().map_or_else(String::new, |name| name.shown().to_string())
    }

    /// Why `errno` came of executing `path`: 127 with the name of what is missing, 126 with what is wrong.
    pub(crate) fn explain(&self, errno: Errno, path: &CStr) -> Error {
        let path = path.shown().to_string();
        if matches!(errno, Errno::ENOENT | Errno::ENOTDIR) {
            return match interpreter_of(&path).filter(|_| errno == Errno::ENOENT) {
                None => Error::os(filled!("execute {}", &self.name()), errno),
                Some(interpreter) => {
                    let error =
                        Error::os(filled!("execute {}: its interpreter {}", [&path, &interpreter]), errno);
                    if interpreter.ends_with("\\r") {
                        error
                            .hint(packed!("the script has Windows line ends; convert it (sed -i 's/\\r$//')"))
                    } else {
                        error.hint(packed!(
                            "install the interpreter in the rootfs, or link the program statically"
                        ))
                    }
                }
            }
            .status(STATUS_NOT_FOUND);
        }
        let error = Error::os(filled!("execute {}", &path), errno).status(STATUS_NOT_EXECUTABLE);
        match errno {
            Errno::EACCES => error
                .hint(packed!("is it a file with the x bit, on a file system that is not mounted noexec?")),
            Errno::ENOEXEC => {
                error.hint(packed!("it is no program for this machine: another architecture, or damaged"))
            }
            _ => error,
        }
    }
}

/// Words for the kernel.
fn c_strings(words: &[&OsStr]) -> Result<Vec<CString>> {
    let mut strings = Vec::with_capacity(words.len());
    for word in words {
        strings.push(c_string(word)?);
    }
    Ok(strings)
}

/// A word for the kernel.
///
/// # Errors
/// There is a NUL byte in it.
pub(crate) fn c_string(word: &OsStr) -> Result<CString> {
    text::c_string(word.as_bytes()).map_err(|_| Error::new(filled!("a NUL byte in {}", word.shown())))
}

/// A word for a step of the last mile, which owns nothing.
///
/// # Errors
/// As [`c_string`].
pub(crate) fn kept_c_string(word: impl AsRef<OsStr>) -> Result<&'static CStr> {
    Ok(Box::leak(c_string(word.as_ref())?.into_boxed_c_str()))
}

/// What launcher changed in itself and the entrypoint gets back.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Inherited {
    /// The signal mask that launcher was started with; empty in a container.
    pub(crate) mask: Set,
    /// What SIGCHLD did before; it must not be ignored while we wait for children.
    pub(crate) child_signal: Disposition,
}

/// Where in the last mile something went wrong.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Failed {
    /// No process could be made.
    Spawn(Errno),
    /// Step number so and so.
    Step(usize, Errno),
    /// execve of this file.
    Exec(CString, Errno),
}

/// Starts the program, as `who` where the steps say so, in a process group of its own. Returns when it runs.
///
/// # Errors
/// It does not run; the process that was to become it is gone.
pub(crate) fn start(
    program: &Program,
    steps: &[LastStep],
    who: &Identity,
    inherited: Inherited,
    terminal: Terminal,
) -> std::result::Result<Pid, Failed> {
    let (argv, mut envp) = (Pointers::new(&program.argv), Pointers::new(&program.envp));
    let listen_pid = [const { Cell::new(0) }; LISTEN_PID.len() + 11];
    if let Some(index) = program.listen_pid {
        envp.replace(index, &listen_pid);
    }
    if let Some((home, index)) = who.home.as_ref().zip(program.home()) {
        envp.set(index, home);
    }
    let path = PathBuffer::new();
    // A script without `#!` (ENOEXEC) is the shell's, execvp(3): /bin/sh PATH ARGUMENT...
    let mut shell = Pointers::after(c"/bin/sh", &program.argv);
    shell.replace(1, path.cells());
    let mut failed = None;
    let own = nix::unistd::getpid();
    let child = || {
        place(terminal);
        if program.listen_pid.is_some() {
            write_listen_pid(&listen_pid);
        }
        let mut is_restored = false;
        for (index, step) in steps.iter().enumerate() {
            #[cfg(feature = "container")]
            if matches!(step, LastStep::Filter(_)) {
                restore(inherited, &mut is_restored); // it may forbid that
            }
            if let Err(errno) = step.apply(own, who) {
                failed = Some(Fault::Step(index, errno));
                return i32::from(crate::error::STATUS_OURS);
            }
        }
        restore(inherited, &mut is_restored);
        let errno = execute(program, &path, &argv, &shell, &envp);
        failed = Some(Fault::Exec(errno));
        i32::from(if errno == Errno::ENOENT { STATUS_NOT_FOUND } else { STATUS_NOT_EXECUTABLE })
    };
    let pid = sys::process::spawn(child).map_err(Failed::Spawn)?;
    match failed {
        None => Ok(pid),
        Some(fault) => {
            tolerate(sys::process::wait(sys::process::Who::Child(pid)), "it has said what we want to know");
            Err(match fault {
                Fault::Step(index, errno) => Failed::Step(index, errno),
                Fault::Exec(errno) => Failed::Exec(path.read(CStr::to_owned), errno),
            })
        }
    }
}

/// Gives back what launcher changed in itself, once and late: what stopped us would stop the parent, whose memory we have.
fn restore(inherited: Inherited, is_restored: &mut bool) {
    if !std::mem::replace(is_restored, true) {
        let restored = sys::signal::set_disposition(libc::SIGCHLD, inherited.child_signal);
        tolerate(
            restored.and_then(|_| sys::signal::set_mask(inherited.mask)),
            "fails only for wrong numbers",
        );
    }
}

/// What the new process tells of a failure: no memory may be allocated there.
#[derive(Debug, Clone, Copy)]
enum Fault {
    /// At this step.
    Step(usize, Errno),
    /// At execve.
    Exec(Errno),
}

/// Writes `FOLDER/NAME`, or only the name where there is no folder; `false` if that is too long.
fn write_path(path: &PathBuffer, folder: Option<&[u8]>, name: &[u8]) -> bool {
    path.write(match folder {
        None => [name, b"", b""],
        Some(b"") => [b".", b"/", name], // an empty part of PATH means the current directory
        Some(folder) => [folder, b"/", name],
    })
}

/// Places the new process among processes and terminals.
fn place(terminal: Terminal) {
    // Either fails only for leaders, and a new process is none; or where a filter forbids it.
    let leads = match terminal {
        Terminal::Share | Terminal::Move => sys::process::lead_session().is_ok(),
        Terminal::Give | Terminal::Leave => sys::process::lead_group().is_ok(),
        Terminal::Join => false,
    };
    let taken = match terminal {
        Terminal::Give if leads => sys::terminal::set_foreground(nix::unistd::getpid()),
        Terminal::Move if leads => sys::terminal::take(),
        _ => Ok(()),
    };
    tolerate(taken, "ENOTTY, EIO: the terminal has gone meanwhile");
}

/// Writes LISTEN_PID with our own number into the place that was left for it.
fn write_listen_pid(place: &[Cell<u8>]) {
    let number = nix::unistd::getpid().as_raw().unsigned_abs();
    let mut places = place.iter();
    let mut put = |byte| places.next().map(|place| place.set(byte));
    for byte in LISTEN_PID {
        put(*byte);
    }
    let mut unit = 1_000_000_000;
    while unit > 0 {
        if number >= unit {
            put(b'0' + u8::try_from(number / unit % 10).unwrap_or(0));
        }
        unit /= 10;
    }
}

/// Runs a program of the host that helps us, with nothing of our environment but PATH, and waits for its end.
/// Returns its exit status and what it wrote to standard error.
///
/// # Errors
/// It cannot be executed.
#[cfg(feature = "container")]
pub(crate) fn run_helper(words: &[&OsStr]) -> Result<(u8, String)> {
    use std::os::fd::{AsFd, AsRawFd};

    use crate::error::Doing;

    let path = sys::entry::variable(b"PATH=");
    let program = Program::new(words, path.as_slice())?;
    let (reader, writer) = sys::fd::pipe().doing(packed!("make a pipe"))?;
    let steps = [LastStep::StandardError(writer.as_raw_fd())];
    let inherited = Inherited { mask: Set::EMPTY, child_signal: Disposition::Default };
    let pid =
        start(&program, &steps, &Identity::NOBODY, inherited, Terminal::Leave).map_err(
            |failed| match failed {
                Failed::Spawn(errno) | Failed::Step(_, errno) => {
                    Error::os(filled!("run {}", &program.name()), errno)
                }
                Failed::Exec(path, errno) => program
                    .explain(errno, &path)
                    .hint(packed!("install the package uidmap (shadow-utils), or leave --userns auto out"))
                    .status(crate::error::STATUS_OURS),
            },
        )?;
    drop(writer);
    let status =
        match sys::process::wait(sys::process::Who::Child(pid)).doing(packed!("wait for the helper"))? {
            Some((_, sys::process::Change::Exited(status))) => status,
            _ => crate::error::STATUS_OURS,
        };
    // Now, and not while it runs: that would wait for who else has the other end. What it says fits into a pipe.
    let said = sys::file::read_from(reader.as_fd()).doing(filled!("listen to {}", &program.name()))?;
    Ok((status, said))
}

/// Tries each folder as execvp(3) does: goes on where there is none, remembers one that must not be executed. `path`
/// holds what was tried last, or what was the worst.
fn execute(
    program: &Program,
    path: &PathBuffer,
    argv: &Pointers<'_>,
    shell: &Pointers<'_>,
    envp: &Pointers<'_>,
) -> Errno {
    let name = program.argv.first().map_or(&b""[..], |name| name.to_bytes());
    let Some(search) = &program.search else {
        write_path(path, None, name);
        return execute_at(path, argv, shell, envp);
    };
    let mut worst = (&b""[..], Errno::ENOENT);
    for folder in search.split(|byte| *byte == b':').filter(|folder| write_path(path, Some(folder), name)) {
        match execute_at(path, argv, shell, envp) {
            Errno::ENOENT | Errno::ENOTDIR => {
                // A missing interpreter is an ENOENT too: the last one is as good as any to look at.
                if worst.1 == Errno::ENOENT && path.read(sys::process::exists) {
                    worst.0 = folder;
                }
            }
            Errno::EACCES => worst = (folder, Errno::EACCES),
            errno => return errno,
        }
    }
    write_path(path, Some(worst.0), name);
    worst.1
}

/// Executes what is at `path`; a script without `#!` by the shell.
fn execute_at(path: &PathBuffer, argv: &Pointers<'_>, shell: &Pointers<'_>, envp: &Pointers<'_>) -> Errno {
    path.read(|path| {
        let errno = sys::process::execve(path, argv, envp);
        // A damaged or foreign program is not a script.
        if errno == Errno::ENOEXEC && !sys::process::is_elf(path) {
            sys::process::execve(c"/bin/sh", shell, envp);
        }
        errno
    })
}

#[cfg(test)]
#[path = "execve_tests.rs"]
mod tests;
