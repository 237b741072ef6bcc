//! Writes launcher's man page and its completions for bash, zsh and fish: `docs FOLDER`, which is `make docs`.
//!
//! A program of its own over the lower floors of launcher: options, commands, names and letters come from the tables and
//! the grammar that the shipped file parses with, so a new row of src/cli/options.rs is in all four without another
//! edit, and not a byte of them is in that file. What only a person can write are the templates in docs/: text with
//! `@name@` where a list belongs.
#![allow(dead_code, reason = "of these floors the tables are used, not what works with them")]

mod cli;
mod error;
mod packed;
mod spec;
mod text;

#[path = "docs/man.rs"]
mod man;
#[path = "docs/shells.rs"]
mod shells;
#[path = "docs/values.rs"]
mod values;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Lists by the name that stands for them in a template.
type Lists = Vec<(&'static str, String)>;

/// Makes all files in the folder that is named.
fn main() -> Result<(), Box<dyn Error>> {
    let folder = PathBuf::from(env::args_os().nth(1).ok_or("usage: docs FOLDER")?);
    for (name, template, lists) in [
        ("launcher.1", include_str!("docs/launcher.1"), man::lists()),
        ("launcher.bash", include_str!("docs/launcher.bash"), shells::bash()),
        ("_launcher", include_str!("docs/_launcher"), shells::zsh()),
        ("launcher.fish", include_str!("docs/launcher.fish"), shells::fish()),
    ] {
        let text = fill(template, &lists).map_err(|why| format!("{name}: {why}"))?;
        put(&folder, name, &text).map_err(|error| format!("{}/{name}: {error}", folder.display()))?;
    }
    Ok(())
}

/// The template with every list in its place. What is named on one side only is a mistake.
fn fill(template: &str, lists: &Lists) -> Result<String, String> {
    let mut text = template.to_owned();
    for (name, list) in lists {
        let mark = format!("@{name}@");
        if !text.contains(&mark) {
            return Err(format!("there is no {mark}"));
        }
        text = text.replace(&mark, list.trim_end());
    }
    let is_name =
        |word: &&str| !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    // "$@" and ${x[@]} of the shells are no marks: what is between two of them is no name.
    match text.split('@').skip(1).find(is_name) {
        Some(name) => Err(format!("nothing stands for @{name}@")),
        None => Ok(text),
    }
}

/// Writes a file beside its place and renames it: whoever reads it never sees a half.
fn put(folder: &Path, name: &str, text: &str) -> std::io::Result<()> {
    let beside = folder.join(format!(".{name}"));
    fs::write(&beside, text)?;
    fs::rename(&beside, folder.join(name))
}
