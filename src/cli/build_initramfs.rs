//! The command line of build-initramfs: the words of a machine's init, and where the archive goes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::options::Id;
use super::words::{Grammar, Word, Words};
use super::{Command, board};
use crate::error::{Error, Result};
use crate::packed::packed;
use crate::spec::board::Board;
use crate::text::Shown;

/// `launcher build-initramfs [OPTION]... -o FILE -- PROGRAM [ARGUMENT]...`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildCommand {
    /// Where the archive goes; `-` is standard output.
    pub(crate) output: &'static Path,
    /// The folder or image of this machine that goes into it.
    pub(crate) rootfs: Option<&'static Path>,
    /// Kernel modules of this machine that go into it.
    pub(crate) modules: Vec<&'static Path>,
    /// The other options and the program, as lines of /etc/launcher.conf.
    pub(crate) lines: Vec<u8>,
}

/// Parses the words after `build-initramfs`; what the init of the machine would not understand is refused now.
///
/// # Errors
/// The words make no sense there, or cannot be a line; or there is nothing to make an initramfs of.
pub(crate) fn parse(words: Vec<&'static OsStr>) -> Result<Command> {
    let mut board = Board::DEFAULT;
    board::look_ahead(&words, &mut board)?;
    let mut words = Words::new(words, Grammar::Board(board.in_container));
    let (mut output, mut rootfs, mut has_root) = (None, None, false);
    let (mut modules, mut all) = (Vec::new(), Vec::new());
    let program = loop {
        match words.next()? {
            Word::Option(option, value) => match option.id {
                Id::Help => return Ok(Command::Help(None)),
                Id::Output => output = value,
                Id::Rootfs => rootfs = value,
                Id::Modules => {
                    let names = value.unwrap_or_default().as_bytes().split(|byte| *byte == b',');
                    modules.extend(names.map(|name| Path::new(OsStr::from_bytes(name))));
                }
                id => {
                    has_root |= id == Id::Root;
                    all.push(board::spell(option, value));
                }
            },
            Word::Program(program) => break program,
            Word::End => break Vec::new(),
        }
    };
    let (Some(output), true) = (output, has_root || rootfs.is_some()) else {
        return Err(Error::new(packed!("build-initramfs: there is no -o FILE, or no rootfs"))
            .hint(packed!("--rootfs DIR or IMAGE puts one in; --root DEVICE is one of the machine")));
    };
    // On another root it is a path of that.
    if let Some(path) = rootfs.take_if(|_| has_root) {
        all.push(OsStr::from_bytes([b"--rootfs=", path.as_bytes()].concat().leak()));
    }
    let mut lines = Vec::new();
    for option in &all {
        add_line(&mut lines, option, 2)?;
    }
    lines.extend_from_slice(b"--\n");
    for argument in &program {
        add_line(&mut lines, argument, 0)?;
    }
    if rootfs.is_some() {
        all.push(OsStr::new("--rootfs=/rootfs"));
    }
    all.push(OsStr::new("--"));
    all.extend(program);
    board::parse(all, &mut board)?;
    Ok(Command::BuildInitramfs(BuildCommand {
        output: Path::new(output),
        rootfs: rootfs.map(Path::new),
        modules,
        lines,
    }))
}

/// Adds a word without its first bytes, as the file is read: by lines, those of options without blanks around them.
fn add_line(lines: &mut Vec<u8>, word: &'static OsStr, dashes: usize) -> Result<()> {
    let bytes = word.as_bytes();
    let is_whole = dashes == 0 || bytes.trim_ascii_end().len() == bytes.len();
    if !is_whole || bytes.contains(&b'\n') || bytes.ends_with(b"\r") || word.to_str().is_none() {
        let begin = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        return Err(Error::new(Shown(begin))
            .within("build-initramfs")
            .hint(packed!("no line of a file: it has a newline, ends with a blank, or is not UTF-8")));
    }
    lines.extend_from_slice(bytes.get(dashes..).unwrap_or_default());
    lines.push(b'\n');
    Ok(())
}
