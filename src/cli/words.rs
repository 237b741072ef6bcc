//! The words of a command line, one option after the other, in the grammar of getopt_long(3): `-abc`, `-p TERM`,
//! `-pTERM`, `--name VALUE`, `--name=VALUE`, `--`. The first word that is no option is the program, and what follows
//! it is the program's own (tini and catatonit eat options out of `tini ls -l`).

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::Refusal;
use super::models::Model;
use super::options::{self, Group, Opt};
use crate::error::{Error, Result};
use crate::packed::filled;
use crate::text::{self, Show};

/// Whose options are understood.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Grammar {
    /// `launcher init`.
    Init,
    /// `launcher run`.
    #[cfg(feature = "container")]
    Run,
    /// The init of a machine: its own and those of run, or if `false` of init.
    #[cfg(feature = "board")]
    Board(bool),
    /// Another program's, under whose name we run.
    Model(&'static Model),
}

impl Grammar {
    /// Which of two options with the same letter: the lower number; `None` for one that is not understood.
    fn rank(self, option: &Opt) -> Option<u8> {
        match (self, option.group) {
            // It is the whole machine's there.
            #[cfg(feature = "board")]
            (Self::Board(_), _) if option.id == options::Id::StopTimeout => Some(0),
            #[cfg(feature = "board")]
            (Self::Board(true), Group::Container) | (Self::Board(_), Group::Board) => Some(0),
            #[cfg(feature = "board")]
            (Self::Board(true), Group::Init) => None,
            #[cfg(feature = "container")]
            (Self::Run, Group::Container) => Some(0),
            #[cfg(feature = "container")]
            (Self::Run, Group::Init) => None,
            (_, Group::Container | Group::Board) => None,
            (_, Group::Init) => Some(0),
            (_, Group::Common) => Some(1),
            (_, Group::Process) => Some(2),
        }
    }

    /// The option of that letter.
    pub(crate) fn short(self, letter: u8) -> Option<&'static Opt> {
        let letter = match self {
            Self::Model(model) if !model.letters.as_bytes().contains(&letter) => return None,
            // catatonit's licence is another letter than tini's.
            Self::Model(_) if letter == b'L' => b'l',
            _ => letter,
        };
        let mut found: Option<&'static Opt> = None;
        for option in options::all().filter(|option| option.short() == letter && letter != b'-') {
            let rank = self.rank(option);
            if rank.is_some() && found.is_none_or(|other| rank < self.rank(other)) {
                found = Some(option);
            }
        }
        found
    }

    /// The option of that name. A model's may be cut short as long as one fits.
    pub(crate) fn long(self, name: &str) -> Option<&'static Opt> {
        let Self::Model(model) = self else {
            return options::find(name).filter(|option| self.rank(option).is_some());
        };
        let mut fitting =
            text::parts(model.names, b' ').filter(|long| long.starts_with(name) && !name.is_empty());
        let found = fitting.next()?;
        if fitting.next().is_some() { None } else { options::find(found) }
    }
}

/// One step through the arguments.
#[derive(Debug)]
pub(crate) enum Word {
    /// An option of the table, with its value if it takes one; `None` where that is left out and may be.
    Option(&'static Opt, Option<&'static OsStr>),
    /// The program and its arguments.
    Program(Vec<&'static OsStr>),
    /// The end.
    End,
}

/// The arguments of one command.
#[derive(Debug)]
pub(crate) struct Words {
    /// What was not looked at, the next one last.
    left: Vec<&'static OsStr>,
    /// The letters that are left of `-abc`.
    cluster: &'static [u8],
    /// Whose options these are.
    grammar: Grammar,
}

impl Words {
    /// Reads `words` in this grammar.
    pub(crate) fn new(mut words: Vec<&'static OsStr>, grammar: Grammar) -> Self {
        words.reverse();
        Self { left: words, cluster: &[], grammar }
    }

    /// The next option, or the program with all that follows.
    ///
    /// # Errors
    /// There is no such option, or its value is missing or one too many.
    pub(crate) fn next(&mut self) -> Result<Word> {
        if !self.cluster.is_empty() {
            return self.letter();
        }
        let Some(word) = self.left.pop() else { return Ok(Word::End) };
        match word.as_bytes() {
            b"--" => Ok(match self.left.pop() {
                Some(program) => self.program(program),
                None => Word::End,
            }),
            [b'-', b'-', long @ ..] => self.name(OsStr::from_bytes(long)),
            [b'-', letters @ ..] if !letters.is_empty() => {
                self.cluster = letters;
                self.letter()
            }
            _ => Ok(self.program(word)),
        }
    }

    /// The words that were not looked at.
    pub(crate) fn left(&mut self) -> Vec<&'static OsStr> {
        self.left.reverse();
        std::mem::take(&mut self.left)
    }

    /// The program, and what is left is its own.
    fn program(&mut self, program: &'static OsStr) -> Word {
        self.left.push(program);
        Word::Program(self.left())
    }

    /// The next letter of a cluster.
    fn letter(&mut self) -> Result<Word> {
        let (letter, rest) = self.cluster.split_at_checked(1).unwrap_or_default();
        self.cluster = rest;
        let option = letter.first().and_then(|letter| self.grammar.short(*letter));
        let letter = std::str::from_utf8(letter).unwrap_or("?");
        let option = option.ok_or_else(|| self.refuse(Refusal::UnknownLetter(letter)))?;
        if option.value().is_empty() {
            return Ok(Word::Option(option, None));
        }
        self.cluster = &[];
        let value = match rest.strip_prefix(b"=").unwrap_or(rest) {
            [] if rest.is_empty() => self.left.pop(),
            value => Some(OsStr::from_bytes(value)),
        };
        let value = value.ok_or_else(|| self.refuse(Refusal::NoValueOfLetter(letter)))?;
        Ok(Word::Option(option, Some(value)))
    }

    /// A long option.
    fn name(&mut self, word: &'static OsStr) -> Result<Word> {
        let Some(text) = word.to_str() else {
            return Err(Error::new(filled!("not UTF-8: --{}", word.shown())).hint(super::SEE_HELP));
        };
        let (name, value) = text::cut(text, b'=').map_or((text, None), |(name, value)| (name, Some(value)));
        let option = self.grammar.long(name).ok_or_else(|| self.refuse(Refusal::UnknownName(name)))?;
        let value = match (value, option.value()) {
            (Some(_), "") => return Err(self.refuse(Refusal::ValueOfName(option.long()))),
            (None, "") => None,
            // Its value may be left out, and is never the next word then.
            (value, _) if value.is_some() || !super::takes_word(option) => value.map(OsStr::new),
            _ => Some(self.left.pop().ok_or_else(|| self.refuse(Refusal::NoValueOfName(option.long())))?),
        };
        Ok(Word::Option(option, value))
    }

    /// Says what is wrong, in the words of those whose grammar it is.
    fn refuse(&self, refusal: Refusal<'_>) -> Error {
        match self.grammar {
            Grammar::Model(_) => refusal.as_getopt(),
            #[cfg(feature = "board")]
            Grammar::Board(_) => refusal.as_ours(),
            #[cfg(feature = "container")]
            Grammar::Run => refusal.as_ours(),
            Grammar::Init => refusal.as_ours(),
        }
    }
}
