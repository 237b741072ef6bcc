//! From argv to a command: one table of options, one lexer, two front ends.

pub(crate) mod help;
pub(crate) mod init;
pub(crate) mod models;
pub(crate) mod options;
mod process;
pub(crate) mod signals;
pub(crate) mod words;

#[cfg(feature = "board")]
pub(crate) mod board;
#[cfg(feature = "board")]
pub(crate) mod build_initramfs;
#[cfg(feature = "container")]
pub(crate) mod run;
#[cfg(feature = "container")]
mod security;

use std::ffi::OsStr;

use crate::error::{Error, Result, Words};
use crate::packed::{Fill, Packed, filled, packed};
#[cfg(feature = "container")]
use crate::text::cut;
use crate::text::{Show, parts, without_leading};
use models::Model;
use options::{Group, Opt};
#[cfg(feature = "container")]
use words::Grammar;

/// The hint where nothing better is known.
const SEE_HELP: &str = "launcher --help";

/// What the user wants launcher to do.
#[derive(Debug, PartialEq)]
pub(crate) enum Command {
    /// Print the help text: ours or a model's.
    Help(Option<&'static Model>),
    /// Print the version: same.
    Version(Option<&'static Model>),
    /// Print the licence.
    License,
    /// Be the init of a container that somebody else made.
    Init(&'static mut init::InitCommand),
    /// Make a container.
    #[cfg(feature = "container")]
    Run(&'static mut run::RunCommand),
    /// Write an initramfs.
    #[cfg(feature = "board")]
    BuildInitramfs(&'static build_initramfs::BuildCommand),
    /// Remove what a dead container left.
    #[cfg(feature = "container")]
    Delete(run::DeleteCommand),
    /// Say what this machine allows; as JSON.
    #[cfg(feature = "container")]
    Doctor(bool),
}

/// Words that are commands as the first argument. Those without an implementation are kept free.
pub(crate) const COMMANDS: &str = "run init exec ps stop kill pause resume stats inspect doctor create start state delete features \
     build-initramfs";

/// Decides the mode and parses the rest: a model by the name under which we are called; a command by its name; `run`
/// where an option describes a container; else `init`, whose options may be variables too.
///
/// # Errors
/// The words make no sense: names the option.
pub(crate) fn parse(mut args: Vec<&'static OsStr>, env: &[&'static OsStr]) -> Result<Command> {
    // The program's own name; a caller may leave out even that.
    let called = args.drain(..args.len().min(1)).next();
    if let Some(model) = called.and_then(models::find) {
        return init::parse(args, env, Some(model));
    }
    let first = args.first().and_then(|word| word.to_str());
    match parts(COMMANDS, b' ').find(|name| Some(*name) == first) {
        Some(command) => {
            args.remove(0);
            parse_command(command, args, env)
        }
        #[cfg(feature = "container")]
        None if describes_container(&args) => run::parse(args),
        None => init::parse(args, env, None),
    }
}

/// Parses what follows a command.
fn parse_command(command: &str, words: Vec<&'static OsStr>, env: &[&'static OsStr]) -> Result<Command> {
    match command {
        "init" => init::parse(words, env, None),
        #[cfg(feature = "container")]
        "run" => run::parse(words),
        #[cfg(feature = "board")]
        "build-initramfs" => build_initramfs::parse(words),
        #[cfg(feature = "container")]
        "delete" => run::parse_delete(words),
        #[cfg(feature = "container")]
        "doctor" => parse_doctor(&words),
        #[cfg(not(feature = "container"))]
        "run" | "delete" | "doctor" => {
            Err(Error::new(filled!("{}: this build of launcher is init only", command)))
        }
        #[cfg(not(feature = "board"))]
        "build-initramfs" => {
            Err(Error::new(packed!("build-initramfs: this build of launcher is not the init of a machine")))
        }
        _ => Err(Error::new(filled!("{}: this command does not exist yet", command))
            .hint(filled!("to run a program of that name: launcher -- {}", command))),
    }
}

/// Parses what follows `doctor`.
#[cfg(feature = "container")]
fn parse_doctor(words: &[&'static OsStr]) -> Result<Command> {
    match words {
        [] => Ok(Command::Doctor(false)),
        [word] if *word == "--json" => Ok(Command::Doctor(true)),
        [word, ..] if *word == "--help" => Ok(Command::Help(None)),
        _ => Err(Error::new(packed!("doctor takes no words but --json"))),
    }
}

/// Whether an option before the program describes a container. Scanning ends at a short option that means one thing
/// to tini and another to docker and takes a word in only one of them: what follows cannot be told then.
#[cfg(feature = "container")]
fn describes_container(words: &[&'static OsStr]) -> bool {
    let mut words = words.iter().map(|word| word.shown().to_string());
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, has_value) = cut(long, b'=').map_or((long, false), |(name, _)| (name, true));
            match options::find(name) {
                Some(option) if option.group == Group::Container => return true,
                Some(option) if takes_word(option) && !has_value => drop(words.next()),
                Some(_) => {}
                None => return false,
            }
        } else if let Some(cluster) = word.strip_prefix("-") {
            let mut letters = cluster.bytes();
            while let Some(letter) = letters.next() {
                match (Grammar::Init.short(letter), Grammar::Run.short(letter)) {
                    (None, Some(_)) => return true,
                    (Some(init), None) if init.value().is_empty() => {}
                    (Some(init), Some(run)) if init.value().is_empty() != run.value().is_empty() => {
                        return false;
                    }
                    // The same flag of both.
                    (Some(init), _) if init.value().is_empty() => {}
                    (Some(_), _) => {
                        if letters.len() == 0 {
                            words.next();
                        }
                        break;
                    }
                    (None, None) => return false,
                }
            }
        } else {
            return false;
        }
    }
    false
}

/// Whether the next word is the option's value.
pub(crate) fn takes_word(option: &Opt) -> bool {
    !option.value().is_empty() && !option.value().starts_with('[')
}

/// What is wrong with an option.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Refusal<'a> {
    /// There is no such letter.
    UnknownLetter(&'a str),
    /// There is no such name.
    UnknownName(&'a str),
    /// The letter needs a value.
    NoValueOfLetter(&'a str),
    /// The name needs a value.
    NoValueOfName(&'a str),
    /// The name takes none.
    ValueOfName(&'a str),
}

impl Refusal<'_> {
    /// In the words of getopt_long(3), which those who know the models expect.
    fn as_getopt(self) -> Error {
        Error::new(match self {
            Self::UnknownLetter(letter) => filled!("invalid option -- '{}'", letter).text(),
            Self::UnknownName(name) => filled!("unrecognized option '--{}'", name).text(),
            Self::NoValueOfLetter(letter) => filled!("option requires an argument -- '{}'", letter).text(),
            Self::NoValueOfName(name) => filled!("option '--{}' requires an argument", name).text(),
            Self::ValueOfName(name) => filled!("option '--{}' doesn't allow an argument", name).text(),
        })
    }

    /// In our own, with the nearest name where there is none of this one.
    fn as_ours(self) -> Error {
        match self {
            Self::UnknownLetter(letter) => unknown(&filled!("-{}", letter).text()),
            Self::UnknownName(name) => unknown(&filled!("--{}", name).text()),
            Self::NoValueOfLetter(letter) => Error::new(filled!("-{} needs a value", letter)).hint(SEE_HELP),
            Self::NoValueOfName(name) => Error::new(filled!("--{} needs a value", name)).hint(SEE_HELP),
            Self::ValueOfName(name) => Error::new(filled!("--{} takes no value", name)).hint(SEE_HELP),
        }
    }
}

/// An option that there is not, with the nearest that there is.
fn unknown(word: &str) -> Error {
    const SEE_LIST: Packed = packed!("launcher --help lists them; a program's own options come after --");
    let error = Error::new(filled!("unknown option {}", word));
    let name = without_leading(word, "-");
    if let Some(option) = options::find(name) {
        return error.hint(match option.group {
            Group::Container => {
                filled!("{} describes a container: put it first, or say launcher run", word).text()
            }
            Group::Board => filled!(
                "{} is for the init of a machine: launcher.{} on the kernel's command line",
                word,
                name
            )
            .text(),
            _ => filled!("{} belongs to launcher init", word).text(),
        });
    }
    // A longer one is near to none.
    if !cfg!(feature = "container") || !(2..40).contains(&name.len()) {
        return error.hint(SEE_LIST);
    }
    let near = options::all().map(|option| (distance(name, option.long()), option.long())).min();
    match near {
        Some((distance, long)) if distance <= 1 + name.len() / 4 => {
            error.hint(filled!("did you mean --{}?", long))
        }
        _ => error.hint(SEE_LIST),
    }
}

/// How many letters have to be changed, added, left out or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let width = b.len() + 1;
    // What it takes to make the first letters of one the first letters of the other, row by row.
    let mut table = Vec::new();
    for row in 0..=a.len() {
        for column in 0..width {
            let before =
                |rows, columns| table.iter().rev().nth(rows * width + columns - 1).copied().unwrap_or(0);
            let is_same = |back| a.get(row - 1) == b.get(column - back);
            table.push(if row == 0 || column == 0 {
                row + column
            } else {
                let changed = before(1, 1) + usize::from(!is_same(1));
                let best = changed.min(before(1, 0) + 1).min(before(0, 1) + 1);
                let is_swapped = row > 1 && column > 1 && is_same(2) && a.get(row - 2) == b.get(column - 1);
                if is_swapped { best.min(before(2, 2) + 1) } else { best }
            });
        }
    }
    table.last().copied().unwrap_or(0)
}

/// A value as text.
fn text(option: &Opt, value: &'static OsStr) -> Result<&'static str> {
    value.to_str().ok_or_else(|| wrong(option, &value.shown().to_string(), "not UTF-8"))
}

/// A value that makes no sense, in the words of the option.
fn wrong(option: &Opt, value: &str, why: impl Words) -> Error {
    Error::new(why).within(filled!("--{} {}", option.long(), value))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits at blanks.
    fn words(line: &str) -> Vec<&'static OsStr> {
        line.to_owned().leak().split_whitespace().map(OsStr::new).collect()
    }

    #[cfg(feature = "container")]
    #[test]
    fn the_mode_is_decided_by_the_options_before_the_program() {
        for (line, want) in [
            ("--rootfs /r -- sh", true),
            ("--memory=1m sh", true),
            ("-m 1m sh", true),
            ("-gm1m sh", true),
            ("-e A=1 --rootfs /r sh", true),
            ("-eA=1 -u 1 --name x sh", true),
            ("-eA=1 -u 1 sh", false),
            ("--env A=1 --umask 077 sh", false),
            ("--wait-all --rootfs /r sh", true),
            ("-s -g --rootfs /r sh", true),
            ("--death-signal TERM -m1m sh", true),
            ("-- sh --rootfs /r", false),
            ("sh --rootfs /r", false),
            ("-w --rootfs /r", false),
            ("-h", false),
            ("-e 143 sh -m 1", false),
            ("--nonsense --rootfs /r", false),
            ("", false),
        ] {
            assert_eq!(describes_container(&words(line)), want, "{line}");
        }
    }

    #[test]
    fn reserved_words_are_never_programs() {
        for name in COMMANDS.split(' ') {
            let parsed = parse(words(&format!("launcher {name}")), &[]);
            let is_program =
                matches!(&parsed, Ok(Command::Init(command)) if !command.process.args.is_empty());
            assert!(!is_program, "{name}");
        }
        let Ok(Command::Init(command)) = parse(words("launcher -- ps -l"), &[]) else { panic!("init") };
        assert_eq!(command.process.args, words("ps -l"));
    }

    #[test]
    fn a_wrong_option_brings_the_nearest_name() {
        for (line, hint) in [
            ("run --rotfs /r sh", "did you mean --rootfs?"),
            ("run --memroy 1m sh", "did you mean --memory?"),
            ("--hotsname x sh", "did you mean --hostname?"),
            ("-w --rootfs /r", "--rootfs describes a container: put it first, or say launcher run"),
            ("run --quux sh", "launcher --help lists them; a program's own options come after --"),
        ] {
            let error = parse([vec!["launcher".as_ref()], words(line)].concat(), &[]).unwrap_err();
            assert_eq!(error.hint.as_deref(), Some(hint), "{line}: {error}");
        }
    }

    #[test]
    fn distances_count_swaps_once() {
        for (a, b, want) in
            [("abc", "abc", 0), ("abc", "acb", 1), ("abc", "ab", 1), ("", "ab", 2), ("kitten", "sitting", 3)]
        {
            assert_eq!(distance(a, b), want, "{a} {b}");
        }
    }
}
