//! The words for the init of a machine, from three places: a file, the kernel's command line, our own arguments.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::build_initramfs::BuildCommand;
use super::options::{self, Group, Id, Opt};
use super::run::{RunCommand, wanted};
use super::words::{Grammar, Word, Words};
use super::{Command, signals, takes_word, text, wrong};
use crate::error::{Error, Result};
use crate::packed::{Packed, packed};
use crate::spec::board::{Action, Board, Restart, Upper, Watchdog, When};
use crate::spec::{keep, size};
use crate::text::{self, cut, join};

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
    /// Reads the text of the file: one option a line, `#` before a remark. A line that begins with `--` has the program, or if
    /// it has no more, all lines after it are the program, one argument a line as it is.
    pub(crate) fn read_file(&mut self, text: &str) {
        let mut lines = text::lines(text);
        while let Some(line) = lines.next() {
            let line = line.trim_ascii();
            match line.strip_prefix(END) {
                Some(program) if matches!(program.as_bytes(), [] | [b' ' | b'\t', ..]) => {
                    self.program = split(program);
                    if self.program.is_empty() {
                        for line in lines.by_ref() {
                            self.program.push(OsStr::new(keep(line.strip_suffix("\r").unwrap_or(line))));
                        }
                    }
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
        for word in self.take_program(&split(text)) {
            if let Some(option) = word.to_str().and_then(|word| word.strip_prefix(PREFIX)) {
                self.add(option);
            }
        }
    }

    /// Reads our own arguments, where somebody wrote them for us: then they are as anywhere.
    pub(crate) fn read_arguments(&mut self, words: &[&'static OsStr]) {
        let options = self.take_program(words);
        self.options.extend_from_slice(options);
    }

    /// The program behind `--`, if there is one; returns what stands before.
    fn take_program<'a>(&mut self, words: &'a [&'static OsStr]) -> &'a [&'static OsStr] {
        match words.iter().position(|word| *word == END).and_then(|end| words.split_at_checked(end)) {
            Some((options, program)) => {
                self.program = program.get(1..).unwrap_or_default().to_vec();
                options
            }
            None => words,
        }
    }

    /// One option without what stands before it. A flag has no value to the parser, and 1 or 0 here, which takes back what
    /// was said before.
    fn add(&mut self, option: &str) {
        let (name, value) = cut(option, b'=').unwrap_or((option, ""));
        let is_flag = options::find(name).is_some_and(|option| option.value().is_empty());
        let (prefix, word) = match value {
            // It must not become the `--` that begins the program; nobody knows this one.
            _ if name.is_empty() => (PREFIX, option),
            "0" if is_flag => {
                let flag = join(&[END, name], "");
                return self.options.retain(|word| **word != *flag);
            }
            "1" if is_flag => ("", name),
            _ => ("", option),
        };
        self.options.push(OsStr::new(join(&[END, prefix, word], "").leak()));
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

/// The words of a line, by the kernel's rule (next_arg() in lib/cmdline.c): between two `"` a blank is a letter; and they go
/// where they begin and end a word, or its value.
fn split(line: &str) -> Vec<&'static OsStr> {
    let (mut words, mut word, mut is_quoted) = (Vec::new(), Vec::new(), false);
    for byte in line.bytes().chain([b'\n']) {
        match byte {
            b' ' | b'\t' | b'\n' if !is_quoted || byte == b'\n' => {
                if !word.is_empty() {
                    words.push(OsStr::from_bytes(unquoted(std::mem::take(&mut word)).leak()));
                }
            }
            _ => {
                is_quoted ^= byte == b'"';
                word.push(byte);
            }
        }
    }
    words
}

/// A word without the quotes that are not meant.
fn unquoted(mut word: Vec<u8>) -> Vec<u8> {
    let value = word.iter().position(|byte| *byte == b'=').map(|equals| equals + 1);
    for begin in [value, Some(0)].into_iter().flatten() {
        if word.get(begin) == Some(&b'"') {
            word.remove(begin);
            if word.ends_with(b"\"") {
                word.pop();
            }
        }
    }
    word
}

/// What `launcher.boot=` on the kernel's command line says.
pub(crate) fn boot_word(command_line: &str) -> Option<bool> {
    let mut said = Said::default();
    said.read_command_line(command_line);
    let mut boots = None;
    for word in &said.options {
        if *word == "--boot" || *word == "--boot=1" {
            boots = Some(true);
        } else if *word == "--boot=0" {
            boots = Some(false);
        }
    }
    boots
}

/// Whether the kernel took our arguments from its command line; else somebody wrote them for us.
pub(crate) fn are_the_kernels(arguments: &[&OsStr], command_line: &str) -> bool {
    let words = split(command_line);
    arguments.iter().all(|argument| words.contains(argument))
}

/// Parses the words of a machine's init: its own options go to `board`, those of run, or of init where the program runs
/// plainly, into the command line that is returned. What is understood before an error stays in `board`: what becomes of
/// the machine then is said there.
///
/// # Errors
/// The words make no sense; or there is no program.
pub(crate) fn parse(words: Vec<&'static OsStr>, board: &mut Board) -> Result<Vec<&'static OsStr>> {
    read(words, board, None)
}

/// The same for a machine, or for `build`, which takes what is its own and keeps a copy of the rest; nothing is returned
/// where it is asked for help.
///
/// # Errors
/// See [`parse`] and [`BuildCommand`].
pub(super) fn read(
    words: Vec<&'static OsStr>,
    board: &mut Board,
    mut build: Option<&mut BuildCommand>,
) -> Result<Vec<&'static OsStr>> {
    look_ahead(&words, board)?;
    let mut words = Words::new(words, Grammar::Board(board.in_container));
    let mode = if board.in_container { "run" } else { "init" };
    let mut rest = vec![OsStr::new("launcher"), OsStr::new(mode)];
    let (mut has_rootfs, mut needs_root, mut needs_health) = (false, false, false);
    let program = loop {
        match words.next()? {
            Word::Option(option, value) => {
                if let Some(build) = &mut build {
                    match option.id {
                        Id::Help => return Ok(Vec::new()),
                        _ if build.take(option, value)? => continue,
                        _ => {}
                    }
                }
                if option.group != Group::Board && option.id != Id::StopTimeout {
                    has_rootfs |= matches!(option.id, Id::Rootfs | Id::Overlay);
                    rest.push(spell(option, value));
                    continue;
                }
                let value = text(option, value.unwrap_or_default())?;
                set(board, option.id, value).map_err(|why| wrong(option, value, why))?;
                needs_root |=
                    matches!(option.id, Id::RootType | Id::RootMode | Id::RootOverlay | Id::RootWait);
                needs_health |= matches!(option.id, Id::HealthEvery | Id::HealthTime | Id::HealthTries);
            }
            Word::Program(program) => break program,
            Word::End => break Vec::new(),
        }
    };
    if needs_root && board.root.source.is_empty() || needs_health && board.health.command.is_empty() {
        return Err(Error::new(packed!("options of --root and --health-cmd need these")));
    }
    let mut rootfs = (board.in_container && !has_rootfs).then_some(OsStr::new("--rootfs=/"));
    if let Some(build) = build {
        rootfs = build.finish(!board.root.source.is_empty(), &program)?.or(rootfs);
    }
    if let Some(rootfs) = rootfs {
        rest.push(rootfs);
    }
    if program.is_empty() {
        return Err(Error::new(packed!("no program given"))
            .hint(packed!("it stands behind -- on the kernel's command line, or in /etc/launcher.conf")));
    }
    rest.push(OsStr::new(END));
    rest.extend(program);
    match super::parse(rest.clone(), &[])? {
        Command::Run(RunCommand { dry_run: false, .. }) | Command::Init(_) => Ok(rest),
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
fn look_ahead(words: &[&'static OsStr], board: &mut Board) -> Result<()> {
    let (mut boots, mut all) = (true, Ok(()));
    let mut words =
        words.iter().take_while(|word| **word != END).map(|word| word.to_str().unwrap_or_default());
    while let Some(word) = words.next() {
        let Some(word) = word.strip_prefix(END) else { continue };
        let (name, value) = cut(word, b'=').map_or((word, None), |(name, value)| (name, Some(value)));
        let Some(option) = options::find(name) else { continue };
        let next = || if takes_word(option) { words.next() } else { None };
        let value = value.or_else(next).unwrap_or_default();
        match option.id {
            Id::Boxed => board.in_container = value != "0",
            Id::Boot => boots = value != "0",
            Id::OnExit | Id::OnFail => {
                // What follows may still say what becomes of the machine now.
                all = all.and(set(board, option.id, value).map_err(|why| wrong(option, value, why)));
            }
            _ => {}
        }
    }
    all?;
    if !boots {
        return Err(Error::new(packed!("--boot 0: launcher has begun to boot by now"))
            .hint(packed!("on the kernel's command line it is in time: launcher.boot=0")));
    }
    Ok(())
}

/// An option as one word.
pub(super) fn spell(option: &Opt, value: Option<&'static OsStr>) -> &'static OsStr {
    let mut word = [END.as_bytes(), option.long().as_bytes()].concat();
    if let Some(value) = value {
        word.push(b'=');
        word.extend_from_slice(value.as_bytes());
    }
    OsStr::from_bytes(word.leak())
}

/// One option of the table's part; the error says only what is wrong with the value.
fn set(board: &mut Board, id: Id, value: &'static str) -> Result<()> {
    match id {
        // Both were looked at before.
        Id::Boot if value.is_empty() => {}
        Id::Boot | Id::Boxed => one_of(value, "1", "0", packed!("0 or 1"))?,
        Id::Modules => board.modules.extend(text::parts(value, b',').filter(|name| !name.is_empty())),
        Id::Root => board.root.source = path(value)?,
        Id::RootOverlay if value == "tmpfs" => board.root.overlay = Some(Upper::Tmpfs),
        Id::RootOverlay => board.root.overlay = Some(Upper::Device(path(value)?)),
        Id::RootType => board.root.kind = Some(value),
        Id::RootMode => {
            one_of(value, "ro", "rw", packed!("ro or rw"))?;
            board.root.writable = value == "rw";
        }
        Id::HealthCmd => board.health.command = value,
        Id::HealthTries => board.health.retries = number(value)?,
        Id::Restart => {
            board.restart = wanted(restart(value), packed!("no, or on-failure or always, maybe with :N/T"))?;
        }
        Id::OnExit => board.on_exit = action(value)?,
        Id::OnFail => board.on_fail = Some(action(value)?),
        Id::Watchdog => {
            let (device, seconds) = cut(value, b':').unwrap_or((value, "30"));
            let seconds = number(seconds)?;
            board.watchdog = Some(Watchdog { device: path(device)?, seconds });
        }
        Id::ExitPort => {
            let port = match value.strip_prefix("0x") {
                Some(digits) => text::number_of(16, digits),
                None => text::number(value),
            };
            board.exit_port = Some(wanted(port, packed!("a port such as 0xf4"))?);
        }
        Id::Output => return Err(Error::new(packed!("it is for build-initramfs"))),
        Id::StopSignal => board.stop_signal = wanted(signals::parse(value), packed!("a signal"))?,
        _ => {
            let time = wanted(size::parse_thousandths(value), packed!("a number of seconds"))?;
            match id {
                Id::RootWait => board.root.patience = time,
                Id::HealthEvery => board.health.interval = time.max(100),
                Id::HealthTime => board.health.timeout = time.max(100),
                _ => board.grace = time, // StopTimeout
            }
        }
    }
    Ok(())
}

/// Whether it is one of two words.
fn one_of(value: &str, first: &str, second: &str, what: Packed) -> Result<()> {
    wanted((value == first || value == second).then_some(()), what)
}

/// An absolute path.
fn path(value: &'static str) -> Result<&'static str> {
    wanted(Some(value).filter(|value| value.starts_with('/')), packed!("an absolute path"))
}

/// A number from 1.
fn number(value: &str) -> Result<u32> {
    wanted(text::number(value).filter(|number| *number > 0), packed!("a number from 1"))
}

/// When to start again: `on-failure:5/60s`.
fn restart(value: &str) -> Option<Restart> {
    let (when, limit) = cut(value, b':').map_or((value, None), |(when, limit)| (when, Some(limit)));
    let when = match when {
        "no" if limit.is_none() => When::Never,
        "on-failure" => When::Failed,
        "always" => When::Always,
        _ => return None,
    };
    let limit = match limit {
        None => None,
        Some(limit) => {
            let (count, time) = cut(limit, b'/')?;
            let time = size::parse_thousandths(time.strip_suffix("s").unwrap_or(time))?;
            Some((text::number(count).filter(|count| *count > 0)?, time))
        }
    };
    Some(Restart { when, limit })
}

/// What to do in the end.
fn action(value: &'static str) -> Result<Action> {
    let action = match value {
        "poweroff" => Some(Action::PowerOff),
        "reboot" => Some(Action::Reboot),
        "halt" => Some(Action::Halt),
        "panic" => Some(Action::Panic),
        "shell" => Some(Action::Shell),
        "hang" => Some(Action::Hang),
        _ => {
            let path = value.strip_prefix("exec:").filter(|path| path.starts_with('/'));
            path.map(|path| Action::Exec(Box::leak(Box::new(path))))
        }
    };
    wanted(action, packed!("poweroff, reboot, halt, panic, shell, hang or exec:PATH, an absolute one"))
}

#[cfg(test)]
#[path = "board_tests.rs"]
mod tests;
