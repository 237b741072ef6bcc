//! The words for the init of a machine, from three places: a file, the kernel's command line, our own arguments.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::{self, Group, Id, Opt};
use super::run::{self, RunCommand};
use super::words::{Grammar, Word, Words};
use super::{Command, init, signals, text, wrong};
use crate::error::{Error, Result};
use crate::packed::{Packed, packed};
use crate::spec::board::{Action, Board, Health, Restart, Root, Upper, Watchdog, When};
use crate::spec::{keep, size};
use crate::text::{self, Show};

/// What stands before an option on the kernel's command line, which other programs read too.
const PREFIX: &str = "launcher.";

/// What begins the program.
const END: &str = "--";

/// The options as `--NAME=VALUE`, and the program, of all that was said.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// Options, the later ones stronger.
    pub(crate) options: Vec<&'static OsStr>,
    /// The program and its arguments.
    pub(crate) program: Vec<&'static OsStr>,
}

impl Said {
    /// Reads the text of the file: one option a line, `#` before a remark. A line that begins with `--` begins the program:
    /// words on that line, then one argument a line as it is.
    pub(crate) fn read_file(&mut self, text: &str) {
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            let line = line.trim();
            match line.strip_prefix(END) {
                Some(program) if program.is_empty() || program.starts_with([' ', '\t']) => {
                    self.program = split(program);
                    self.program.extend(lines.by_ref().map(|line| OsStr::new(keep(line))));
                }
                name => {
                    let name = name.unwrap_or(line);
                    if !name.is_empty() && !name.starts_with('#') {
                        self.add(name.strip_prefix(PREFIX).unwrap_or(name));
                    }
                }
            }
        }
    }

    /// Reads the kernel's command line: `launcher.NAME=VALUE` wherever, and the program behind `--`.
    pub(crate) fn read_command_line(&mut self, text: &str) {
        let mut words = split(text).into_iter();
        while let Some(word) = words.next() {
            let word = word.to_str().unwrap_or_default();
            if word == END {
                self.program = words.by_ref().collect();
            } else if let Some(option) = word.strip_prefix(PREFIX) {
                self.add(option);
            }
        }
    }

    /// Reads our own arguments, where somebody wrote them for us: then they are as anywhere.
    pub(crate) fn read_arguments(&mut self, words: &[&'static OsStr]) {
        match words.iter().position(|word| *word == END) {
            Some(end) => {
                let (options, program) = words.split_at(end);
                self.options.extend(options);
                self.program = program.iter().skip(1).copied().collect();
            }
            None => self.options.extend(words),
        }
    }

    /// One option without what stands before it. A flag has no value to the parser, and 1 or 0 here.
    fn add(&mut self, option: &str) {
        let (name, value) = option.split_once('=').unwrap_or((option, ""));
        let is_flag = options::find(name).is_some_and(|option| option.value().is_empty());
        match value {
            // It must not become the `--` that begins the program; nobody knows this one.
            _ if name.is_empty() => self.options.push(OsStr::new(format!("{END}{PREFIX}{option}").leak())),
            "0" if is_flag => {}
            "1" if is_flag => self.options.push(OsStr::new(format!("--{name}").leak())),
            _ => self.options.push(OsStr::new(format!("--{option}").leak())),
        }
    }

    /// All of it as the words of one command.
    pub(crate) fn words(mut self) -> Vec<&'static OsStr> {
        if !self.program.is_empty() {
            self.options.push(OsStr::new(END));
            self.options.append(&mut self.program);
        }
        self.options
    }
}

/// The words of a line, by the kernel's rule (lib/cmdline.c): between two `"` a blank is a letter.
fn split(line: &str) -> Vec<&'static OsStr> {
    let (mut words, mut word, mut is_quoted, mut is_word) = (Vec::new(), Vec::new(), false, false);
    for byte in line.bytes().chain([b'\n']) {
        match byte {
            b'"' => {
                is_quoted = !is_quoted;
                is_word = true;
            }
            b' ' | b'\t' | b'\n' if !is_quoted || byte == b'\n' => {
                if is_word {
                    words.push(OsStr::from_bytes(std::mem::take(&mut word).leak()));
                }
                is_word = false;
            }
            _ => {
                word.push(byte);
                is_word = true;
            }
        }
    }
    words
}

/// What `launcher.boot=` on the kernel's command line says.
pub(crate) fn boot_word(command_line: &str) -> Option<bool> {
    let words = split(command_line);
    let is_before_program = |word: &&&OsStr| **word != END;
    let values = words.iter().take_while(is_before_program).filter_map(|word| {
        match word.to_str()?.strip_prefix(PREFIX)?.strip_prefix("boot")? {
            "" | "=1" => Some(true),
            "=0" => Some(false),
            _ => None,
        }
    });
    values.last()
}

/// Whether the kernel took our arguments from its command line; else somebody wrote them for us.
pub(crate) fn are_the_kernels(arguments: &[&OsStr], command_line: &str) -> bool {
    let words = split(command_line);
    arguments.iter().all(|argument| words.contains(argument))
}

/// What is not said about health.
const NO_HEALTH: Health = Health { command: "", interval: 30_000, timeout: 30_000, retries: 3 };

/// The same about the root.
fn no_root() -> Root {
    Root { source: Path::new(""), kind: None, writable: false, overlay: None, patience: 10_000 }
}

/// Parses the words of a machine's init: its own options go to `board`, those of run, or of init where the program runs
/// plainly, into the command line that is returned. What is understood before an error stays in `board`: what becomes of
/// the machine then is said there.
///
/// # Errors
/// The words make no sense; or there is no program.
pub(crate) fn parse(words: Vec<&'static OsStr>, board: &mut Board) -> Result<Vec<&'static OsStr>> {
    look_ahead(&words, board)?;
    let mut words = Words::new(words, Grammar::Board(board.in_container));
    let (mut rest, mut has_rootfs) = (Vec::new(), false);
    let (mut health, mut root) = (NO_HEALTH, no_root());
    let program = loop {
        match words.next()? {
            Word::Option(option, value) if option.group == Group::Board || option.id == Id::StopTimeout => {
                let value = value.unwrap_or_default();
                if !set_root(&mut root, option, value)?
                    && !set_health(&mut health, option, text(option, value)?)?
                {
                    set(board, option, text(option, value)?)?;
                }
            }
            Word::Option(option, value) => {
                has_rootfs |= matches!(option.id, Id::Rootfs | Id::Overlay);
                rest.push(spell(option, value));
            }
            Word::Program(program) => break program,
            Word::End => break Vec::new(),
        }
    };
    let has_root = !root.source.as_os_str().is_empty();
    // Not all at once: a comparison of paths is 900 bytes.
    let Root { kind, writable, overlay, patience, .. } = root;
    let has_more = kind.is_some() || writable || overlay.is_some() || patience != no_root().patience;
    if (has_more && !has_root) || (health.command.is_empty() && health != NO_HEALTH) {
        return Err(Error::new(packed!("options of --root and --health-cmd need these")));
    }
    board.health = Some(health).filter(|health| health != &NO_HEALTH);
    board.root = has_root.then_some(root);
    if board.in_container && !has_rootfs {
        rest.push(OsStr::new("--rootfs=/"));
    }
    if program.is_empty() {
        return Err(Error::new(packed!("no program given"))
            .hint(packed!("it stands behind -- on the kernel's command line, or in /etc/launcher.conf")));
    }
    rest.push(OsStr::new(END));
    rest.extend(program);
    let command = if board.in_container { "run" } else { "init" };
    let parsed =
        if board.in_container { run::parse(rest.clone())? } else { init::parse(rest.clone(), &[], None)? };
    match parsed {
        Command::Run(RunCommand { dry_run: false, .. }) | Command::Init(_) => {
            rest.splice(0..0, ["launcher", command].map(OsStr::new));
            Ok(rest)
        }
        _ => Err(Error::new(packed!(
            "--help, --version and --dry-run run nothing: a machine would have nothing to do"
        ))),
    }
}

/// What has to be known before the rest is read: what becomes of a machine whose options are wrong, and whose the options
/// besides ours are.
///
/// # Errors
/// An action that there is not; or boot mode is refused where it is too late for that.
pub(super) fn look_ahead(words: &[&'static OsStr], board: &mut Board) -> Result<()> {
    let mut boot = "1";
    for word in words.iter().take_while(|word| **word != END).filter_map(|word| word.to_str()) {
        match word.split_once('=') {
            Some(("--container", value)) => board.in_container = value != "0",
            Some(("--boot", value)) => boot = value,
            Some((name @ ("--on-exit" | "--on-fail"), value)) => {
                if let Some(option) = name.strip_prefix(END).and_then(options::find) {
                    set(board, option, value)?;
                }
            }
            _ => {}
        }
    }
    if boot == "0" {
        return Err(Error::new(packed!("--boot 0: launcher has begun to boot by now"))
            .hint(packed!("on the kernel's command line it is in time: launcher.boot=0")));
    }
    Ok(())
}

/// An option as one word.
pub(super) fn spell(option: &Opt, value: Option<&'static OsStr>) -> &'static OsStr {
    let mut word = Vec::new();
    word.extend_from_slice(b"--");
    word.extend_from_slice(option.long().as_bytes());
    if let Some(value) = value {
        word.push(b'=');
        word.extend_from_slice(value.as_bytes());
    }
    OsStr::from_bytes(word.leak())
}

/// An option about the root, if it is one.
fn set_root(root: &mut Root, option: &'static Opt, value: &'static OsStr) -> Result<bool> {
    match option.id {
        Id::Root => root.source = path(option, value)?,
        Id::RootOverlay if value == "tmpfs" => root.overlay = Some(Upper::Tmpfs),
        Id::RootOverlay => root.overlay = Some(Upper::Device(path(option, value)?)),
        Id::RootType => root.kind = Some(text(option, value)?),
        Id::RootMode if value == "ro" || value == "rw" => root.writable = value == "rw",
        Id::RootMode => return Err(wrong(option, text(option, value)?, option.value())),
        Id::RootWait => root.patience = milliseconds(option, text(option, value)?)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// An option about health, if it is one.
fn set_health(health: &mut Health, option: &'static Opt, value: &'static str) -> Result<bool> {
    match option.id {
        Id::HealthCmd => health.command = value,
        Id::HealthEvery => health.interval = milliseconds(option, value)?.max(100),
        Id::HealthTime => health.timeout = milliseconds(option, value)?.max(100),
        Id::HealthTries => health.retries = number(option, value)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// Any other option of the table's part.
fn set(board: &mut Board, option: &'static Opt, value: &'static str) -> Result<()> {
    match option.id {
        // Both were looked at before.
        Id::Boxed if value == "0" || value == "1" => {}
        Id::Boot if matches!(value, "" | "0" | "1") => {}
        Id::Modules => {
            board.modules.extend(value.split(',').filter(|name| !name.is_empty()).map(Path::new));
        }
        Id::Restart => board.restart = restart(value).ok_or_else(|| wrong(option, value, option.value()))?,
        Id::OnExit => board.on_exit = action(option, value)?,
        Id::OnFail => board.on_fail = Some(action(option, value)?),
        Id::Watchdog => {
            let (device, seconds) = match value.rsplit_once(':') {
                Some((device, seconds)) => (device, number(option, seconds)?),
                None => (value, 30),
            };
            board.watchdog = Some(Watchdog { device: path(option, OsStr::new(device))?, seconds });
        }
        Id::ExitPort => {
            let port = match value.strip_prefix("0x") {
                Some(digits) => text::number_of(16, digits),
                None => text::number(value),
            };
            board.exit_port =
                Some(port.ok_or_else(|| wrong(option, value, packed!("wanted is a port such as 0xf4")))?);
        }
        Id::StopSignal => {
            board.stop_signal =
                signals::parse(value).ok_or_else(|| wrong(option, value, packed!("no such signal")))?;
        }
        Id::StopTimeout => board.grace = milliseconds(option, value)?,
        _ => return Err(wrong(option, value, option.value())),
    }
    Ok(())
}

/// An absolute path.
fn path(option: &'static Opt, value: &'static OsStr) -> Result<&'static Path> {
    if value.as_bytes().first() == Some(&b'/') {
        return Ok(Path::new(value));
    }
    Err(wrong(option, &value.shown().to_string(), packed!("wanted is an absolute path")))
}

/// Seconds, in thousandths.
fn milliseconds(option: &'static Opt, value: &str) -> Result<u64> {
    size::parse_thousandths(value)
        .ok_or_else(|| wrong(option, value, packed!("wanted is a number of seconds")))
}

/// A number from 1.
fn number(option: &'static Opt, value: &str) -> Result<u32> {
    let number = text::number(value).filter(|number| *number > 0);
    number.ok_or_else(|| wrong(option, value, packed!("wanted is a number from 1")))
}

/// When to start again: `on-failure:5/60s`.
fn restart(value: &str) -> Option<Restart> {
    let (when, limit) = value.split_once(':').map_or((value, None), |(when, limit)| (when, Some(limit)));
    let when = match when {
        "no" if limit.is_none() => When::Never,
        "on-failure" => When::Failed,
        "always" => When::Always,
        _ => return None,
    };
    let limit = match limit {
        None => None,
        Some(limit) => {
            let (count, time) = limit.split_once('/')?;
            let time = size::parse_thousandths(time.strip_suffix('s').unwrap_or(time))?;
            Some((text::number(count).filter(|count| *count > 0)?, time))
        }
    };
    Some(Restart { when, limit })
}

/// What to do in the end.
fn action(option: &'static Opt, value: &'static str) -> Result<Action> {
    const WANTED: Packed = packed!("wanted is poweroff, reboot, halt, panic, shell, hang or exec:PATH");
    Ok(match value {
        "poweroff" => Action::PowerOff,
        "reboot" => Action::Reboot,
        "halt" => Action::Halt,
        "panic" => Action::Panic,
        "shell" => Action::Shell,
        "hang" => Action::Hang,
        _ => {
            let program = value.strip_prefix("exec:").ok_or_else(|| wrong(option, value, WANTED))?;
            Action::Exec(path(option, OsStr::new(program))?.as_os_str())
        }
    })
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
