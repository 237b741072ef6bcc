//! The command lines of init: our own, which has tini's options, and those of the models.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use super::models::{self, Model};
use super::options::{self, Group, Id, Opt};
#[cfg(feature = "container")]
use super::process;
use super::words::{Grammar, Word, Words};
use super::{Command, Refusal, SEE_HELP, signals, text, wrong};
use crate::error::{Error, Result};
use crate::packed::{filled, packed};
use crate::spec::init::{JobControl, Options, Place, Rules, Target};
use crate::spec::process::Process;
use crate::spec::size;
use crate::text::{self, Show};

/// `launcher [OPTION]... [--] PROGRAM`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InitCommand {
    /// The name under which failures are told.
    pub(crate) name: &'static str,
    /// How PID 1 behaves.
    pub(crate) options: Options,
    /// What launcher itself gets when its parent dies.
    pub(crate) death_signal: Option<i32>,
    /// Where to write how it ended.
    pub(crate) report: Option<&'static OsStr>,
    /// The program and its surroundings; without arguments there is none (pause).
    pub(crate) process: Process,
    /// There is to be none.
    pause: bool,
}

/// How long `--wait-all` waits without a number: half of what `docker stop` allows for everything.
const WAIT_ALL: Duration = Duration::from_secs(5);

/// Parses the words after `init`, or all where there is no command. `called` is the model whose name we run under;
/// LAUNCHER_AS overrules that.
///
/// # Errors
/// The words make no sense, or there is no program; told under the model's name and with its exit status.
pub(crate) fn parse(
    words: Vec<&'static OsStr>,
    env: &[&'static OsStr],
    called: Option<&'static Model>,
) -> Result<Command> {
    match variable(env, "LAUNCHER_AS") {
        Some(name) => parse_as(words, env, models::choose(name)?),
        None => parse_as(words, env, called),
    }
}

/// The same by the rules of a model, or our own.
fn parse_as(
    words: Vec<&'static OsStr>,
    env: &[&'static OsStr],
    model: Option<&'static Model>,
) -> Result<Command> {
    let (name, rules) = model.map_or(("launcher", Rules::Launcher), |model| (model.name, model.rules));
    // For good, as the words in it: we end with the program.
    let command = Box::leak(Box::new(InitCommand {
        name,
        options: Options { rules, ..Options::DEFAULT },
        death_signal: None,
        report: None,
        process: Process::default(),
        pause: rules == Rules::Pause,
    }));
    command.read(words, env, model).map_err(|error| {
        let status = rules.status(error.status);
        error.status(status).said_by(name)
    })
}

/// The value of a variable.
fn variable(env: &[&'static OsStr], name: &str) -> Option<&'static OsStr> {
    let find = |entry: &&'static OsStr| entry.as_bytes().strip_prefix(name.as_bytes())?.strip_prefix(b"=");
    env.iter().find_map(find).map(OsStr::from_bytes)
}

/// The options of init that may be variables too.
pub(crate) fn settings() -> impl Iterator<Item = &'static Opt> {
    let is_setting =
        |option: &&Opt| option.group == Group::Init && !matches!(option.id, Id::As | Id::Pause | Id::License);
    options::all().filter(is_setting)
}

/// Whether `LAUNCHER_` and `name` is the variable of an option: `LAUNCHER_STOP_TIMEOUT` of `--stop-timeout`.
fn is_variable_of(option: &Opt, name: &[u8]) -> bool {
    let upper = option.long().bytes().map(|byte| if byte == b'-' { b'_' } else { byte.to_ascii_uppercase() });
    upper.eq(name.iter().copied())
}

impl InitCommand {
    /// The models' variables first, then ours, then the words: what is later overrules what was before.
    fn read(
        &'static mut self,
        words: Vec<&'static OsStr>,
        env: &[&'static OsStr],
        model: Option<&'static Model>,
    ) -> Result<Command> {
        self.read_models_variables(env)?;
        env.iter().try_for_each(|entry| self.read_variable(entry))?;
        // The original looks at nothing else, in any place.
        if self.options.rules == Rules::Pause && words.iter().any(|word| word.eq_ignore_ascii_case("-v")) {
            return Ok(Command::Version(model));
        }
        let count = words.len();
        let mut words = Words::new(words, model.map_or(Grammar::Init, Grammar::Model));
        loop {
            let (option, value) = match words.next()? {
                Word::Option(option, value) => (option, value),
                Word::Program(args) => {
                    self.process.args = args;
                    break;
                }
                Word::End => break,
            };
            match option.id {
                Id::Help => return Ok(Command::Help(model)),
                // To tini it is one only where it is alone.
                Id::Version if self.options.rules == Rules::Tini && count > 1 => {
                    return Err(Refusal::UnknownName("version").as_getopt());
                }
                Id::Version => return Ok(Command::Version(model)),
                Id::License => return Ok(Command::License),
                Id::As => {
                    let model = models::choose(value.unwrap_or_default())?;
                    let left = words.left();
                    return if left.len() + 2 < count {
                        Err(Error::new(packed!("--as must come first")))
                    } else {
                        parse_as(left, env, model)
                    };
                }
                _ => self.set(option, value)?,
            }
        }
        self.finish()
    }

    /// `LAUNCHER_STOP_TIMEOUT=10` is `--stop-timeout 10`: who starts us may be an engine that passes no options on.
    /// Variables that are no settings of init are somebody else's.
    fn read_variable(&mut self, entry: &'static OsStr) -> Result<()> {
        let Some(bytes) = entry.as_bytes().strip_prefix(b"LAUNCHER_") else { return Ok(()) };
        let cut = bytes.iter().position(|byte| *byte == b'=').unwrap_or(bytes.len());
        let (name, value) = bytes.split_at(cut);
        let Some(option) = settings().find(|option| is_variable_of(option, name)) else {
            return Ok(());
        };
        match (value, option.value()) {
            ([] | b"=" | b"=0", "") | ([] | b"=", _) => Ok(()),
            ([b'=', level @ b'1'..=b'9'], "") if option.id == Id::Verbose => {
                self.options.verbosity = self.options.verbosity.saturating_add(level - b'0');
                Ok(())
            }
            (b"=1", "") => self.set(option, None),
            (_, "") => Err(wrong(option, &entry.shown().to_string(), packed!("as a variable it is 1 or 0"))),
            (value, _) => self.set(option, Some(OsStr::from_bytes(value.get(1..).unwrap_or_default()))),
        }
    }

    /// The variables of those whose rules are followed.
    fn read_models_variables(&mut self, env: &[&'static OsStr]) -> Result<()> {
        let options = &mut self.options;
        match options.rules {
            Rules::Launcher | Rules::Tini => {
                if variable(env, "TINI_KILL_PROCESS_GROUP").is_some() {
                    options.target = Target::Group;
                }
                // What is no number is 0 to tini.
                if let Some(level) = variable(env, "TINI_VERBOSITY") {
                    let level = text::number(level.as_bytes());
                    options.verbosity = level.unwrap_or(0);
                }
            }
            Rules::DumbInit => {
                options.place = Place::Session;
                options.target = Target::Group;
                options.job_control = JobControl::Suspend;
                if variable(env, "DUMB_INIT_DEBUG") == Some(OsStr::new("1")) {
                    options.verbosity = 3;
                }
                if variable(env, "DUMB_INIT_SETSID") == Some(OsStr::new("0")) {
                    self.set_single();
                }
            }
            Rules::Catatonit => {
                options.job_control = JobControl::Drop;
                if variable(env, "CATATONIT_DEBUG").is_some() {
                    options.verbosity = 3;
                }
                if variable(env, "CATATONIT_LOG").is_some() {
                    return Err(Error::new(packed!("CATATONIT_LOG is set: there is no log file")));
                }
            }
            Rules::Pause => {}
        }
        Ok(())
    }

    /// One option.
    fn set(&mut self, option: &'static Opt, value: Option<&'static OsStr>) -> Result<()> {
        let options = &mut self.options;
        match option.id {
            Id::Group => options.target = Target::Group,
            Id::Single => self.set_single(),
            Id::Warn => options.warn_on_reap = true,
            Id::Verbose if options.rules == Rules::DumbInit => options.verbosity = 3,
            Id::Verbose => options.verbosity = options.verbosity.saturating_add(1),
            Id::Pause => self.pause = true,
            // Always so.
            Id::Subreaper => {}
            Id::Report => self.report = value,
            #[cfg(feature = "container")]
            _ if option.group == Group::Process => {
                process::set(&mut self.process, option, value.unwrap_or_default())?;
            }
            _ => self.set_text(option, text(option, value.unwrap_or_default())?)?,
        }
        Ok(())
    }

    /// The program stays where we are, and only it is signalled.
    fn set_single(&mut self) {
        self.options.place = Place::Same;
        self.options.target = Target::Child;
    }

    /// One option whose value is text.
    fn set_text(&mut self, option: &'static Opt, value: &str) -> Result<()> {
        let options = &mut self.options;
        match option.id {
            Id::SignalTo => {
                options.target = match value {
                    "child" => Target::Child,
                    "group" => Target::Group,
                    "all" => Target::All,
                    _ => return Err(wrong(option, value, packed!("wanted is child, group or all"))),
                }
            }
            Id::DeathSignal => self.death_signal = Some(signal(option, value)?),
            Id::EndOrphans => options.end_orphans = Some(signal(option, value)?),
            Id::WaitAll if value.is_empty() => options.wait_all = Some(WAIT_ALL),
            Id::StopDelay => options.stop_delay = seconds(option, value)?,
            Id::StopTimeout => options.stop_timeout = seconds(option, value)?,
            Id::WaitAll => options.wait_all = seconds(option, value)?,
            _ => text::parts(value, b',').try_for_each(|part| self.set_part(option, part))?,
        }
        Ok(())
    }

    /// One of several values with commas between them.
    fn set_part(&mut self, option: &'static Opt, value: &str) -> Result<()> {
        let pair = text::cut(value, b':').ok_or_else(|| wrong(option, value, option.value()));
        match option.id {
            Id::Success => self.options.exit_map.put(code(option, value)?, 0),
            Id::ExitMap => {
                let (from, to) = pair?;
                self.options.exit_map.put(code(option, from)?, code(option, to)?);
            }
            _ => {
                let (from, to) = pair?;
                let to = if to == "0" { 0 } else { signal(option, to)? };
                self.options.rewrite_as(signal(option, from)?, to);
            }
        }
        Ok(())
    }

    /// What follows from all options together.
    fn finish(&'static mut self) -> Result<Command> {
        if self.options.place == Place::Session {
            for number in libc::SIGTSTP..=libc::SIGTTOU {
                // A session has no job control from outside: its leader is stopped the hard way, unless -r says how.
                if self.options.sent_for(number) == number {
                    self.options.rewrite_as(number, libc::SIGSTOP);
                }
            }
        }
        if self.pause {
            self.process.args.clear();
        } else if self.process.args.is_empty() {
            return Err(Error::new(filled!("no program given: {} -- PROGRAM", self.name)).hint(SEE_HELP));
        }
        Ok(Command::Init(self))
    }
}

/// A signal by name or number.
fn signal(option: &'static Opt, value: &str) -> Result<i32> {
    signals::parse(value).ok_or_else(|| wrong(option, value, packed!("no such signal")))
}

/// An exit status.
fn code(option: &'static Opt, value: &str) -> Result<u8> {
    text::number(value).ok_or_else(|| wrong(option, value, packed!("wanted is a number from 0 to 255")))
}

/// A time in seconds, such as 2 or 0.5.
fn seconds(option: &'static Opt, value: &str) -> Result<Option<Duration>> {
    match size::parse_thousandths(value) {
        None => Err(wrong(option, value, packed!("wanted is a number of seconds"))),
        milliseconds => Ok(milliseconds.map(Duration::from_millis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_variables_together_are_never_quieter_than_one() {
        let env = ["TINI_VERBOSITY=250", "LAUNCHER_VERBOSE=9"].map(OsStr::new);
        let Ok(Command::Init(command)) = parse(vec!["true".as_ref()], &env, None) else { panic!("init") };
        assert_eq!(command.options.verbosity, u8::MAX);
    }
}
