//! From argv to a command: one table of options, one lexer, two front ends.

pub(crate) mod help;
pub(crate) mod init;
pub(crate) mod options;
pub(crate) mod signals;

#[cfg(feature = "container")]
pub(crate) mod run;

use std::ffi::OsString;

use crate::error::{Error, Result};
use options::{Group, Opt};

/// What the user wants launcher to do.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    /// Print the help text.
    Help,
    /// Print the version.
    Version,
    /// Print the licence.
    License,
    /// Be the init of a container that somebody else made.
    Init(init::InitCommand),
    /// Make a container.
    #[cfg(feature = "container")]
    Run(Box<run::RunCommand>),
    /// Remove what a dead container left.
    #[cfg(feature = "container")]
    Delete(run::DeleteCommand),
}

/// Words that are commands as the first argument. Those without an implementation are kept free.
const COMMANDS: &str =
    "run init exec ps stop kill pause resume stats inspect doctor create start state delete features";

/// Decides the mode and parses the rest: a command by its name; `run` where an option describes a container; else
/// `init`.
///
/// # Errors
/// The words make no sense: names the option.
pub(crate) fn parse(mut args: Vec<OsString>) -> Result<Command> {
    // The program's own name; a caller may leave out even that.
    args.drain(..args.len().min(1));
    let first = args.first().and_then(|word| word.to_str());
    match COMMANDS.split(' ').find(|name| Some(*name) == first) {
        Some(command) => {
            args.remove(0);
            parse_command(command, args)
        }
        None if cfg!(feature = "container") && describes_container(&args) => parse_command("run", args),
        None => init::parse(args),
    }
}

/// Parses what follows a command.
fn parse_command(command: &str, words: Vec<OsString>) -> Result<Command> {
    match command {
        "init" => init::parse(words),
        #[cfg(feature = "container")]
        "run" => run::parse(words),
        #[cfg(feature = "container")]
        "delete" => run::parse_delete(words),
        #[cfg(not(feature = "container"))]
        "run" | "delete" => Err(Error::new(format_args!("{command}: this build of launcher is init only"))),
        _ => Err(Error::new(format_args!("{command}: this command does not exist yet"))
            .hint(format_args!("to run a program of that name: launcher -- {command}"))),
    }
}

/// Whether an option before the program describes a container. Scanning ends at a short option that means one thing
/// to tini and another to docker and takes a word in only one of them: what follows cannot be told then.
fn describes_container(words: &[OsString]) -> bool {
    let mut words = words.iter().map(|word| word.to_string_lossy());
    while let Some(word) = words.next() {
        if let Some(long) = word.strip_prefix("--") {
            let (name, has_value) = long.split_once('=').map_or((long, false), |(name, _)| (name, true));
            match find_long(name) {
                Some(option) if option.group == Group::Container => return true,
                Some(option) if !option.value().is_empty() && !has_value => drop(words.next()),
                Some(_) => {}
                None => return false,
            }
        } else if let Some(cluster) = word.strip_prefix('-') {
            let mut letters = cluster.chars();
            while let Some(letter) = letters.next() {
                let init = find_short(Group::Init, letter).or_else(|| find_short(Group::Common, letter));
                let run = find_short(Group::Container, letter);
                match (init, run) {
                    (None, Some(_)) => return true,
                    (Some(init), None) if init.value().is_empty() => {}
                    (Some(init), Some(run)) if init.value().is_empty() != run.value().is_empty() => {
                        return false;
                    }
                    (Some(_), _) => {
                        if letters.as_str().is_empty() {
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

/// The option of that long name.
fn find_long(name: &str) -> Option<&'static Opt> {
    options::all().find(|option| option.long() == name)
}

/// The option of that letter in a group.
fn find_short(group: Group, letter: char) -> Option<&'static Opt> {
    options::all().find(|option| option.group == group && option.short == Some(letter))
}

/// One step through the arguments.
#[derive(Debug)]
enum Word {
    /// An option of the table, with its value if it takes one.
    Option(&'static Opt, OsString),
    /// The program and its arguments.
    Program(Vec<OsString>),
    /// The end.
    End,
}

/// The arguments of one command.
struct Words {
    /// The lexer.
    parser: lexopt::Parser,
    /// Whose options these are.
    group: Group,
}

impl Words {
    /// Reads `words` with the options of `group` and those that all have.
    fn new(words: Vec<OsString>, group: Group) -> Self {
        Self { parser: lexopt::Parser::from_args(words), group }
    }

    /// The next option, or the program with all that follows: its own options are never ours.
    fn next(&mut self) -> Result<Word> {
        let found = match self.parser.next().map_err(|error| usage(&error))? {
            None => return Ok(Word::End),
            Some(lexopt::Arg::Value(program)) => {
                let rest = self.parser.raw_args().map_err(|error| usage(&error))?;
                return Ok(Word::Program([program].into_iter().chain(rest).collect()));
            }
            Some(lexopt::Arg::Short(letter)) => find_short(self.group, letter)
                .or_else(|| find_short(Group::Common, letter))
                .ok_or_else(|| unknown(&format!("-{letter}"))),
            Some(lexopt::Arg::Long(name)) => find_long(name)
                .filter(|option| option.group == self.group || option.group == Group::Common)
                .ok_or_else(|| unknown(&format!("--{name}"))),
        };
        let option = found?;
        let value = if option.value().is_empty() {
            OsString::new()
        } else {
            self.parser.value().map_err(|error| usage(&error))?
        };
        Ok(Word::Option(option, value))
    }
}

/// A word that the lexer could not take, in our style.
fn usage(error: &lexopt::Error) -> Error {
    Error::new(match error {
        lexopt::Error::MissingValue { option } => {
            format!("{} needs a value", option.as_deref().unwrap_or("an option"))
        }
        lexopt::Error::UnexpectedValue { option, .. } => format!("{option} takes no value"),
        lexopt::Error::NonUnicodeValue(word) => format!("not UTF-8: {}", word.to_string_lossy()),
        _ => "the command line cannot be understood".to_owned(),
    })
    .hint("launcher --help")
}

/// An option that there is not, with the nearest that there is.
fn unknown(word: &str) -> Error {
    let error = Error::new(format_args!("unknown option {word}"));
    let name = word.trim_start_matches('-');
    if let Some(option) = find_long(name) {
        return error.hint(match option.group {
            Group::Container => format!("{word} describes a container: put it first, or say launcher run"),
            _ => format!("{word} belongs to launcher init"),
        });
    }
    if !cfg!(feature = "container") {
        return error.hint("launcher --help lists them; a program's own options come after --");
    }
    let near = options::all().map(|option| (distance(name, option.long()), option.long())).min();
    match near {
        Some((distance, long)) if distance <= 1 + name.len() / 4 && name.len() > 1 => {
            error.hint(format_args!("did you mean --{long}?"))
        }
        _ => error.hint("launcher --help lists them; a program's own options come after --"),
    }
}

/// How many letters have to be changed, added, left out or swapped with their neighbour.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<_> = b.chars().collect();
    let (mut before, mut last): (Vec<usize>, Vec<usize>) = (Vec::new(), (0..=b.len()).collect());
    let mut previous = None;
    for (row, letter) in a.chars().enumerate() {
        let mut line = vec![row + 1];
        for (column, other) in b.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX / 2);
            let changed = at(&last, column) + usize::from(letter != *other);
            let mut best = changed.min(at(&last, column + 1) + 1).min(at(&line, column) + 1);
            let swapped = column > 0 && b.get(column - 1) == Some(&letter) && previous == Some(*other);
            if swapped {
                best = best.min(at(&before, column - 1) + 1);
            }
            line.push(best);
        }
        previous = Some(letter);
        before = std::mem::replace(&mut last, line);
    }
    last.last().copied().unwrap_or(0)
}

/// A value as text.
fn text(option: &Opt, value: OsString) -> Result<String> {
    value.into_string().map_err(|value| wrong(option, &value.to_string_lossy(), "not UTF-8"))
}

/// A value that makes no sense, in the words of the option.
fn wrong(option: &Opt, value: &str, why: impl std::fmt::Display) -> Error {
    Error::new(format_args!("--{} {value}: {why}", option.long()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits at blanks.
    fn words(line: &str) -> Vec<OsString> {
        line.split_whitespace().map(OsString::from).collect()
    }

    #[test]
    fn the_mode_is_decided_by_the_options_before_the_program() {
        for (line, want) in [
            ("--rootfs /r -- sh", true),
            ("--memory=1m sh", true),
            ("-m 1m sh", true),
            ("-gm1m sh", true),
            ("-e A=1 --rootfs /r sh", true),
            ("-eA=1 -u 1 sh", true),
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
            let parsed = parse(words(&format!("launcher {name}")));
            let is_program = matches!(&parsed, Ok(Command::Init(command)) if !command.args.is_empty());
            assert!(!is_program, "{name}");
        }
        let Ok(Command::Init(command)) = parse(words("launcher -- ps -l")) else { panic!("init") };
        assert_eq!(command.args, words("ps -l"));
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
            let error = parse([vec!["launcher".into()], words(line)].concat()).unwrap_err();
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
