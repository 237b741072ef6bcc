//! The last mile: from the last decision to execve, on memory prepared before.
//!
//! The child borrows its parent's memory (vfork), so a failure is simply written where the parent finds it; there
//! is no pipe. It makes system calls only: no allocation, no formatting, no panic.

use std::ffi::{CString, OsStr, OsString};
use std::fmt::{self, Display};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno;
use nix::unistd::Pid;

use crate::error::{Error, Result, STATUS_NOT_EXECUTABLE, STATUS_NOT_FOUND, tolerate};
use crate::spec::caps::CapSet;
use crate::spec::process::Rlimit;
use crate::sys;
use crate::sys::process::Pointers;
use crate::sys::signal::{Disposition, Set};
use crate::sys::terminal::Terminal;

/// Where a program is looked for when the environment has no PATH; docker's.
pub(crate) const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What the entrypoint does to itself before it becomes the program. All of it allocated beforehand.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum LastStep {
    /// Makes this descriptor standard error.
    #[cfg(feature = "container")]
    StandardError(std::os::fd::RawFd),
    /// Sets a resource limit.
    Limit(Rlimit),
    /// Enters the working directory. Not allowed to: tried again by `ConfirmDir` as the user.
    ChangeDir(CString),
    /// Replaces the supplementary groups.
    SetGroups {
        /// By these.
        groups: Vec<u32>,
        /// The namespace was made by somebody else, who may have denied setgroups(2) in it for good.
        may_be_denied: bool,
    },
    /// Changes the group id.
    SetGid(u32),
    /// Changes the user id.
    SetUid(u32),
    /// Makes sure that the working directory was entered and is inside the container.
    ConfirmDir(CString),
    /// Takes permitted and effective capabilities back to these, empties inheritable and ambient.
    SetCaps(CapSet),
    /// Dies when init dies: only where no PID namespace sees to that.
    DieWithInit,
    /// Gives up new privileges on execve.
    NoNewPrivs,
}

impl Display for LastStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |value: u64| if value == u64::MAX { "unlimited".to_owned() } else { value.to_string() };
        match self {
            #[cfg(feature = "container")]
            Self::StandardError(fd) => write!(f, "send standard error to descriptor {fd}"),
            Self::Limit(limit) => {
                write!(f, "limit {} to {}:{}", limit.name, number(limit.soft), number(limit.hard))
            }
            Self::ChangeDir(path) => write!(f, "enter {}", path.to_string_lossy()),
            Self::SetGroups { groups, .. } => {
                f.write_str("set the groups to")?;
                groups.iter().try_for_each(|group| write!(f, " {group}"))
            }
            Self::SetGid(gid) => write!(f, "become group {gid}"),
            Self::SetUid(uid) => write!(f, "become user {uid}"),
            Self::ConfirmDir(path) => {
                write!(f, "make sure that {} was entered and is inside", path.to_string_lossy())
            }
            Self::SetCaps(caps) => write!(f, "keep of the capabilities {caps}"),
            Self::DieWithInit => f.write_str("set the death signal"),
            Self::NoNewPrivs => f.write_str("set no_new_privs"),
        }
    }
}

impl LastStep {
    /// Does it; system calls only.
    fn apply(&self) -> std::result::Result<(), Errno> {
        match self {
            #[cfg(feature = "container")]
            Self::StandardError(fd) => sys::fd::copy_to(*fd, 2),
            Self::Limit(limit) => sys::rlimit::set(Pid::from_raw(0), limit.resource, limit.soft, limit.hard),
            Self::ChangeDir(path) => match sys::process::change_dir(path) {
                Err(Errno::EACCES | Errno::EPERM) => Ok(()),
                result => result,
            },
            Self::SetGroups { groups, may_be_denied } => match sys::user::set_groups(groups) {
                Err(Errno::EPERM) if *may_be_denied => Ok(()),
                result => result,
            },
            Self::SetGid(gid) => sys::user::set_gid(*gid),
            Self::SetUid(uid) => sys::user::set_uid(*uid),
            Self::ConfirmDir(path) => {
                sys::process::change_dir(path)?;
                if sys::process::cwd_is_inside()? { Ok(()) } else { Err(Errno::EXDEV) }
            }
            Self::SetCaps(caps) => sys::caps::set(caps.0 & sys::caps::permitted()?),
            Self::DieWithInit => sys::process::set_death_signal(libc::SIGKILL),
            Self::NoNewPrivs => sys::process::set_no_new_privs(),
        }
    }
}

/// A program as execve wants it: where it may be, its arguments and its environment.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Program {
    /// Paths to try in turn.
    candidates: Vec<CString>,
    /// The arguments, the program's name first.
    argv: Vec<CString>,
    /// The environment.
    envp: Vec<CString>,
}

impl Program {
    /// Prepares a program: a name without a slash is looked for in the PATH of `env`, as execvp(3) does.
    ///
    /// # Errors
    /// No name, or a NUL byte in a word (possible only in words that do not come from argv).
    pub(crate) fn new(args: &[OsString], env: Vec<OsString>) -> Result<Self> {
        let name = args.first().filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| Error::new("execute a program without a name").status(STATUS_NOT_FOUND))?;
        let path = env.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH="));
        let path = path.unwrap_or(DEFAULT_PATH.as_bytes());
        let candidates = if name.as_bytes().contains(&b'/') {
            vec![c_string(name.clone())?]
        } else {
            let join = |folder: &[u8]| {
                // An empty part of PATH means the current directory.
                let folder = if folder.is_empty() { OsStr::new(".") } else { OsStr::from_bytes(folder) };
                let mut whole = folder.to_owned();
                whole.push("/");
                whole.push(name);
                c_string(whole)
            };
            path.split(|byte| *byte == b':').map(join).collect::<Result<_>>()?
        };
        let argv = args.iter().cloned().map(c_string).collect::<Result<_>>()?;
        Ok(Self { candidates, argv, envp: env.into_iter().map(c_string).collect::<Result<_>>()? })
    }

    /// The program's name as it was given.
    pub(crate) fn name(&self) -> String {
        self.argv.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned())
    }

    /// The arguments that make /bin/sh run each candidate: a script without `#!` (ENOEXEC) is the shell's, execvp(3).
    fn shell_words(&self) -> Vec<Vec<CString>> {
        let words = |path: &CString| {
            let rest = self.argv.iter().skip(1).cloned();
            [c"/bin/sh".to_owned(), path.clone()].into_iter().chain(rest).collect()
        };
        self.candidates.iter().map(words).collect()
    }

    /// Why `errno` came of executing this: 127 with the name of what is missing, 126 with what is wrong.
    pub(crate) fn explain(&self, errno: Errno, candidate: usize) -> Error {
        let path = self
            .candidates
            .get(candidate)
            .map_or_else(|| self.name(), |path| path.to_string_lossy().into_owned());
        if matches!(errno, Errno::ENOENT | Errno::ENOTDIR) {
            return match interpreter_of(&path).filter(|_| errno == Errno::ENOENT) {
                None => Error::os(format_args!("execute {}", self.name()), errno),
                Some(interpreter) => {
                    let error =
                        Error::os(format_args!("execute {path}: its interpreter {interpreter}"), errno);
                    if interpreter.ends_with("\\r") {
                        error.hint("the script has Windows line ends; convert it (sed -i 's/\\r$//')")
                    } else {
                        error.hint("install the interpreter in the rootfs, or link the program statically")
                    }
                }
            }
            .status(STATUS_NOT_FOUND);
        }
        let error = Error::os(format_args!("execute {path}"), errno).status(STATUS_NOT_EXECUTABLE);
        match errno {
            Errno::EACCES => {
                error.hint("is it a file with the x bit, on a file system that is not mounted noexec?")
            }
            Errno::ENOEXEC => {
                error.hint("it is no program for this machine: another architecture, or damaged")
            }
            _ => error,
        }
    }
}

/// A word for the kernel.
fn c_string(word: OsString) -> Result<CString> {
    CString::new(word.into_vec()).map_err(|error| {
        Error::new(format_args!(
            "a NUL byte in {}",
            String::from_utf8_lossy(&error.into_vec()).replace('\0', "\\0")
        ))
    })
}

/// What a script or a dynamic program asks the kernel to run it with; `None` if the file asks for nothing.
fn interpreter_of(path: &str) -> Option<String> {
    let file = sys::fd::open_at(nix::fcntl::AT_FDCWD, &CString::new(path).ok()?, nix::fcntl::OFlag::O_RDONLY)
        .ok()?;
    let mut head = [0; 4096];
    let length = nix::unistd::read(&file, &mut head).ok()?;
    let head = head.get(..length)?;
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?;
        let words = line.split(|byte| *byte == b' ' || *byte == b'\t');
        let first = words.into_iter().find(|word| !word.is_empty())?;
        return Some(String::from_utf8_lossy(first).replace('\r', "\\r"));
    }
    elf_interpreter(head)
}

/// The PT_INTERP of an ELF file whose first bytes these are; elf(5). Only the byte order of this machine counts.
fn elf_interpreter(head: &[u8]) -> Option<String> {
    const PT_INTERP: u32 = 3;
    let is_64 = match head.get(..5)? {
        [0x7f, b'E', b'L', b'F', class] => *class == 2,
        _ => return None,
    };
    let half = |at: usize| head.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes).map(usize::from);
    let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let wide = |at: usize| {
        if !is_64 {
            return word(at).and_then(|value| usize::try_from(value).ok());
        }
        let bytes = head.get(at..at + 8)?.try_into().ok()?;
        usize::try_from(u64::from_ne_bytes(bytes)).ok()
    };
    let (table, size, count) =
        if is_64 { (wide(32)?, half(54)?, half(56)?) } else { (wide(28)?, half(42)?, half(44)?) };
    let entry = (0..count.min(64)).find_map(|index| {
        let entry = table.checked_add(index * size)?;
        (word(entry)? == PT_INTERP).then_some(entry)
    })?;
    let (offset, length) =
        if is_64 { (wide(entry + 8)?, wide(entry + 32)?) } else { (wide(entry + 4)?, wide(entry + 16)?) };
    let text = head.get(offset..offset.checked_add(length)?)?;
    let text = text.split(|byte| *byte == 0).next()?;
    Some(String::from_utf8_lossy(text).into_owned())
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
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Failed {
    /// No process could be made.
    Spawn(Errno),
    /// Step number so and so.
    Step(usize, Errno),
    /// execve of this candidate.
    Exec(usize, Errno),
}

/// Starts the program in a process group of its own. Returns when it runs.
///
/// # Errors
/// It does not run; the process that was to become it is gone.
pub(crate) fn start(
    program: &Program,
    steps: &[LastStep],
    inherited: Inherited,
    terminal: Terminal,
) -> std::result::Result<Pid, Failed> {
    let (argv, envp) = (Pointers::new(&program.argv), Pointers::new(&program.envp));
    let shell_words = program.shell_words();
    let shell: Vec<_> = shell_words.iter().map(|words| Pointers::new(words)).collect();
    let mut failed = None;
    let child = || {
        // Either fails only for leaders, and a new process is none.
        let leads = match terminal {
            Terminal::Share => sys::process::lead_session().is_ok(),
            Terminal::Give | Terminal::Leave => sys::process::lead_group().is_ok(),
        };
        if terminal == Terminal::Give && leads {
            let own = nix::unistd::getpid();
            tolerate(sys::terminal::set_foreground(own), "ENOTTY, EIO: the terminal has gone meanwhile");
        }
        for (index, step) in steps.iter().enumerate() {
            if let Err(errno) = step.apply() {
                failed = Some(Failed::Step(index, errno));
                return i32::from(crate::error::STATUS_OURS);
            }
        }
        let restored = sys::signal::set_disposition(libc::SIGCHLD, inherited.child_signal);
        tolerate(
            restored.and_then(|_| sys::signal::set_mask(inherited.mask)),
            "cannot fail with valid numbers",
        );
        let (candidate, errno) = execute(program, &argv, &envp, &shell);
        failed = Some(Failed::Exec(candidate, errno));
        i32::from(if errno == Errno::ENOENT { STATUS_NOT_FOUND } else { STATUS_NOT_EXECUTABLE })
    };
    let pid = sys::process::spawn(child).map_err(Failed::Spawn)?;
    match failed {
        None => Ok(pid),
        Some(failed) => {
            tolerate(sys::process::wait(sys::process::Who::Child(pid)), "it has said what we want to know");
            Err(failed)
        }
    }
}

/// Runs a program of the host that helps us, with nothing of our environment but PATH, and waits for its end.
/// Returns its exit status and what it wrote to standard error.
///
/// # Errors
/// It cannot be executed.
#[cfg(feature = "container")]
pub(crate) fn run_helper(words: &[OsString]) -> Result<(u8, String)> {
    use std::io::Read;
    use std::os::fd::AsRawFd;

    use crate::error::Doing;

    let path = std::env::var_os("PATH").map(|path| [OsStr::new("PATH="), &path].into_iter().collect());
    let program = Program::new(words, path.into_iter().collect())?;
    let (reader, writer) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).doing("make a pipe")?;
    let steps = [LastStep::StandardError(writer.as_raw_fd())];
    let inherited = Inherited { mask: Set::EMPTY, child_signal: Disposition::Default };
    let pid = start(&program, &steps, inherited, Terminal::Leave).map_err(|failed| match failed {
        Failed::Spawn(errno) | Failed::Step(_, errno) => {
            Error::os(format_args!("run {}", program.name()), errno)
        }
        Failed::Exec(candidate, errno) => program
            .explain(errno, candidate)
            .hint("install the package uidmap (shadow-utils), or leave --userns auto out")
            .status(crate::error::STATUS_OURS),
    })?;
    drop(writer);
    let mut said = Vec::new();
    std::fs::File::from(reader).read_to_end(&mut said).doing(format_args!("listen to {}", program.name()))?;
    let status = match sys::process::wait(sys::process::Who::Child(pid)).doing("wait for the helper")? {
        Some((_, sys::process::Change::Exited(status))) => status,
        _ => crate::error::STATUS_OURS,
    };
    Ok((status, String::from_utf8_lossy(&said).into_owned()))
}

/// Tries each candidate as execvp(3) does: goes on where there is none, remembers one that must not be executed.
fn execute(
    program: &Program,
    argv: &Pointers<'_>,
    envp: &Pointers<'_>,
    shell: &[Pointers<'_>],
) -> (usize, Errno) {
    let mut worst = (0, Errno::ENOENT);
    for (index, (path, shell)) in program.candidates.iter().zip(shell).enumerate() {
        match sys::process::execve(path, argv, envp) {
            Errno::ENOENT | Errno::ENOTDIR if program.candidates.len() > 1 => {
                // A missing interpreter is an ENOENT too: the last one is as good as any to look at.
                if worst.1 == Errno::ENOENT && sys::process::exists(path) {
                    worst.0 = index;
                }
            }
            Errno::EACCES if program.candidates.len() > 1 => worst = (index, Errno::EACCES),
            // A damaged or foreign program is not a script.
            Errno::ENOEXEC if sys::process::is_elf(path) => return (index, Errno::ENOEXEC),
            Errno::ENOEXEC => {
                sys::process::execve(c"/bin/sh", shell, envp);
                return (index, Errno::ENOEXEC);
            }
            errno => return (index, errno),
        }
    }
    worst
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_name_is_looked_for_in_the_path_of_the_environment() {
        let words = |args: &[&str]| args.iter().map(OsString::from).collect::<Vec<_>>();
        let program = Program::new(&words(&["ls", "-l"]), words(&["A=1", "PATH=/a::/b"])).unwrap();
        assert_eq!(program.candidates, [c"/a/ls".to_owned(), c"./ls".to_owned(), c"/b/ls".to_owned()]);
        let program = Program::new(&words(&["./ls"]), words(&["PATH=/a"])).unwrap();
        assert_eq!(program.candidates, [c"./ls".to_owned()]);
        let program = Program::new(&words(&["ls"]), Vec::new()).unwrap();
        assert_eq!(program.candidates.len(), 6, "docker's default path");
    }

    #[test]
    fn a_program_without_a_name_is_not_found() {
        for args in [vec![], vec![OsString::new()]] {
            assert_eq!(Program::new(&args, Vec::new()).unwrap_err().status, 127);
        }
    }

    #[test]
    fn the_interpreter_of_this_very_program_is_found() {
        let own = std::env::current_exe().unwrap();
        let found = interpreter_of(own.to_str().unwrap());
        // The test program is dynamic on every host that cargo test runs on; a static one asks for nothing.
        assert!(found.is_none_or(|path| path.starts_with('/')));
        assert_eq!(elf_interpreter(b"\x7fELF\x02"), None, "cut short");
        assert_eq!(elf_interpreter(&[0x7f; 4096]), None, "no ELF");
    }
}
