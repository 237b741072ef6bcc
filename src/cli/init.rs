//! The command line of init: tini's.

use std::ffi::OsString;

use super::options::{Group, Id};
use super::{Command, Word, Words, signals, text, wrong};
use crate::error::{Error, Result};
use crate::spec::init::Options;

/// `launcher [OPTION]... [--] PROGRAM`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct InitCommand {
    /// How PID 1 behaves.
    pub(crate) options: Options,
    /// What launcher itself gets when its parent dies.
    pub(crate) death_signal: Option<i32>,
    /// The program and its arguments.
    pub(crate) args: Vec<OsString>,
}

/// Parses the words after `init`, or all where there is no command.
///
/// # Errors
/// The words make no sense, or there is no program.
pub(crate) fn parse(words: Vec<OsString>) -> Result<Command> {
    let mut words = Words::new(words, Group::Init);
    let mut command = InitCommand { options: Options::DEFAULT, death_signal: None, args: Vec::new() };
    loop {
        let (option, value) = match words.next()? {
            Word::Option(option, value) => (option, value),
            Word::Program(args) => {
                command.args = args;
                return Ok(Command::Init(command));
            }
            Word::End => {
                return Err(Error::new("no program given: launcher -- PROGRAM").hint("launcher --help"));
            }
        };
        match option.id {
            Id::Help => return Ok(Command::Help),
            Id::Version => return Ok(Command::Version),
            Id::License => return Ok(Command::License),
            Id::Group => command.options.to_group = true,
            Id::Warn => command.options.warn_on_reap = true,
            Id::DeathSignal => {
                let value = text(option, value)?;
                let signal = signals::parse(&value).ok_or_else(|| wrong(option, &value, "no such signal"))?;
                command.death_signal = Some(signal);
            }
            Id::Success => {
                let value = text(option, value)?;
                let code: u8 =
                    value.parse().map_err(|_| wrong(option, &value, "wanted is a number from 0 to 255"))?;
                if let Some(word) = command.options.as_success.get_mut(usize::from(code / 64)) {
                    *word |= 1 << (code % 64);
                }
            }
            // -s, which launcher does anyway; the rest of the table belongs to run and does not get here.
            _ => {}
        }
    }
}
