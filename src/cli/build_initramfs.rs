//! The command line of build-initramfs: the words of a machine's init, and where the archive goes.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::options::{Id, Opt};
use super::{Command, board};
use crate::error::{Error, Result};
use crate::packed::packed;
use crate::spec::board::Board;
use crate::text::Shown;

/// `launcher build-initramfs [OPTION]... -o FILE -- PROGRAM [ARGUMENT]...`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BuildCommand {
    /// Where the archive goes; `-` is standard output.
    pub(crate) output: &'static OsStr,
    /// The folder or image of this machine that goes into it; empty: none.
    pub(crate) rootfs: &'static OsStr,
    /// Kernel modules of this machine that go into it.
    pub(crate) modules: Vec<&'static str>,
    /// The other options and the program, as lines of /etc/launcher.conf.
    pub(crate) lines: Vec<u8>,
}

/// Parses the words after `build-initramfs`; what the init of the machine would not understand is refused now.
///
/// # Errors
/// The words make no sense there, or cannot be a line; or there is nothing to make an initramfs of.
pub(crate) fn parse(words: Vec<&'static OsStr>) -> Result<Command> {
    // For good, as the texts in it: see spec/mod.rs.
    let command: &'static mut BuildCommand = Box::leak(Box::default());
    let mut board = Board::DEFAULT;
    if board::read(words, &mut board, Some(command))?.is_empty() {
        return Ok(Command::Help(None));
    }
    command.modules = board.modules;
    Ok(Command::BuildInitramfs(command))
}

impl BuildCommand {
    /// Takes an option that is not for the machine, and writes down one that is. Whether it was taken.
    pub(super) fn take(&mut self, option: &Opt, value: Option<&'static OsStr>) -> Result<bool> {
        match option.id {
            Id::Output => self.output = value.unwrap_or_default(),
            Id::Rootfs => self.rootfs = value.unwrap_or_default(),
            // They are called otherwise there.
            Id::Modules => return Ok(false),
            _ => return self.add_line(board::spell(option, value), 2).map(|()| false),
        }
        Ok(true)
    }

    /// All was read: the option for the rootfs of the container, which on another root is a path of that; and the program
    /// is written down.
    pub(super) fn finish(
        &mut self,
        has_root: bool,
        program: &[&'static OsStr],
    ) -> Result<Option<&'static OsStr>> {
        let has_rootfs = !self.rootfs.is_empty();
        if self.output.is_empty() || !has_root && !has_rootfs {
            return Err(Error::new(packed!("build-initramfs: there is no -o FILE, or no rootfs"))
                .hint(packed!("--rootfs DIR or IMAGE puts one in; --root DEVICE is one of the machine")));
        }
        let mut word = OsStr::new("--rootfs=/rootfs");
        if has_root && has_rootfs {
            word = OsStr::from_bytes([b"--rootfs=", self.rootfs.as_bytes()].concat().leak());
            self.rootfs = OsStr::new("");
            self.add_line(word, 2)?;
        }
        self.lines.extend_from_slice(b"--\n");
        for argument in program {
            self.add_line(argument, 0)?;
        }
        Ok(has_rootfs.then_some(word))
    }

    /// Adds a word without its first bytes, as the file is read: by lines, those of options without blanks around them.
    fn add_line(&mut self, word: &'static OsStr, dashes: usize) -> Result<()> {
        let bytes = word.as_bytes();
        let is_whole = dashes == 0 || bytes.trim_ascii_end().len() == bytes.len();
        if !is_whole || bytes.contains(&b'\n') || bytes.ends_with(b"\r") || word.to_str().is_none() {
            let begin = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
            return Err(Error::new(Shown(begin))
                .within("build-initramfs")
                .hint(packed!("no line of a file: it has a newline, ends with a blank, or is not UTF-8")));
        }
        self.lines.extend_from_slice(bytes.get(dashes..).unwrap_or_default());
        self.lines.push(b'\n');
        Ok(())
    }
}
