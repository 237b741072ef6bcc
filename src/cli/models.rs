//! The inits whose command lines we have: known by the name under which launcher is called.

use std::ffi::OsStr;
use std::fmt::{self, Display};
use std::os::unix::ffi::OsStrExt;

use super::help;
use super::words::Grammar;
use crate::error::{Error, Result};
use crate::packed::{Fill, filled, packed};
use crate::spec::init::Rules;
use crate::text::Show;

/// A program whose place we take. Only its options are understood, with their meanings in the one table of options.
#[derive(Debug, PartialEq)]
pub(crate) struct Model {
    /// What it is called.
    pub(crate) name: &'static str,
    /// Its rules.
    pub(crate) rules: Rules,
    /// Its short options.
    pub(crate) letters: &'static str,
    /// Its long options.
    pub(crate) names: &'static str,
}

/// Every name that we answer to.
pub(crate) const MODELS: [Model; 7] = [
    model("tini", Rules::Tini),
    model("docker-init", Rules::Tini),
    model("podman-init", Rules::Tini),
    model("init", Rules::Tini),
    model("dumb-init", Rules::DumbInit),
    model("catatonit", Rules::Catatonit),
    model("pause", Rules::Pause),
];

/// A name with the options of its rules.
const fn model(name: &'static str, rules: Rules) -> Model {
    let (letters, names) = match rules {
        Rules::DumbInit => ("hvVcr", "help version verbose single-child rewrite"),
        Rules::Catatonit => ("ghLPV", "help version"),
        Rules::Pause => ("hV", "help version"),
        Rules::Tini | Rules::Launcher => ("hvwgslpe", "help version"),
    };
    Model { name, rules, letters, names }
}

/// The model of a file's name, with or without what is often appended: `tini-static`, `dumb-init_1.2.5_x86_64`.
pub(crate) fn find(called: &OsStr) -> Option<&'static Model> {
    let name = called.as_bytes().rsplit(|byte| *byte == b'/').next()?;
    MODELS
        .iter()
        .find(|model| matches!(name.strip_prefix(model.name.as_bytes()), Some([] | [b'-' | b'_' | b'.', ..])))
}

/// The model that the user names; `launcher` is none.
///
/// # Errors
/// There is none of that name.
pub(crate) fn choose(name: &OsStr) -> Result<Option<&'static Model>> {
    match find(name) {
        None if name != "launcher" => Err(Error::new(filled!(
            "--as {}: wanted is tini, dumb-init, catatonit, pause or launcher",
            name.shown()
        ))),
        model => Ok(model),
    }
}

/// The help text of a model: its part of the table.
impl Display for &'static Model {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let usage = match self.rules {
            Rules::Pause => "",
            _ => " [OPTION]... [--] PROGRAM [ARGUMENT]...",
        };
        writeln!(f, "{} (launcher {})\n\n  {0}{usage}\n", self.name, env!("CARGO_PKG_VERSION"))?;
        for letter in self.letters.bytes() {
            if let Some(option) = Grammar::Model(self).short(letter) {
                help::line(f, option, letter)?;
            }
        }
        packed!("\nlauncher's own options work too, as variables: LAUNCHER_STOP_TIMEOUT=10 for --stop-timeout 10.\n").fmt(f)
    }
}

impl Model {
    /// The stream that help and version go to.
    pub(crate) const fn stream(&self) -> i32 {
        if matches!(self.rules, Rules::DumbInit) { 2 } else { 1 }
    }

    /// What its users look for in the first line of `--version`: dockerd wants `tini version` and the commit.
    pub(crate) fn version(&self) -> String {
        let (version, commit) = (env!("CARGO_PKG_VERSION"), env!("LAUNCHER_GIT"));
        match self.rules {
            Rules::Tini | Rules::Catatonit | Rules::Launcher => {
                filled!("tini version {}_launcher - git.{}\n", version, commit).text()
            }
            Rules::DumbInit => filled!("dumb-init v{}_launcher\n", version).text(),
            Rules::Pause => filled!("pause {}_launcher\n", version).text(),
        }
    }
}
