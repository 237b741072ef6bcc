//! The help text, from the table.

use std::fmt::{self, Display};

use super::options::{self, Group, Opt};
use crate::packed::{Fill, Packed, filled, packed};

/// The whole text of `--help`.
#[derive(Debug)]
pub(crate) struct Help;

/// What stands above the options.
const HEAD: Packed = if cfg!(feature = "container") {
    packed!(
        "\
launcher: makes a container, and is PID 1 in it

  launcher [OPTION]... [--] PROGRAM [ARGUMENT]...      init: in a container that somebody else made
  launcher --rootfs DIR [OPTION]... [--] PROGRAM ...   run: makes the container
  launcher run [OPTION]... [--] PROGRAM ...            the same, without guessing
  launcher delete --force NAME                         removes what a killed container left
  launcher doctor [--json]                             says what this machine lets launcher do
"
    )
} else {
    packed!(
        "\
launcher: PID 1 of a container

  launcher [OPTION]... [--] PROGRAM [ARGUMENT]...
"
    )
};

/// The use that a build without the init of a machine lacks.
const BUILD: Packed = packed!(
    "  launcher build-initramfs [OPTION]... -o FILE -- PROGRAM ...
                                                       writes an initramfs, with launcher as its init
"
);

/// How one of them is chosen.
const MODE: Packed = packed!(
    "
What the first word or an option says decides: a command; else run, if an option describes a container and stands
before the program; else init, which works under any seccomp filter. As PID 1 of a machine it is that machine's init.
"
);

/// What stands below them.
const TAIL: Packed = packed!(
    "
Exit status: the program's own; 128 + n if signal n killed it; 125 if launcher failed; 126 if the program cannot be
executed; 127 if it, or its interpreter, is not there.
"
);

impl Display for Help {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        HEAD.fmt(f)?;
        if cfg!(feature = "board") {
            BUILD.fmt(f)?;
        }
        if cfg!(feature = "container") {
            MODE.fmt(f)?;
        }
        section(f, "All:", Group::Common)?;
        section(f, "As init:", Group::Init)?;
        section(f, "For the program (letters only as options of run, but -u):", Group::Process)?;
        if cfg!(feature = "container") {
            section(f, "For a container (run):", Group::Container)?;
        }
        if cfg!(feature = "board") {
            section(f, "As the init of a machine (launcher.NAME=VALUE for its kernel):", Group::Board)?;
        }
        TAIL.fmt(f)
    }
}

/// One group of options.
fn section(f: &mut fmt::Formatter<'_>, title: &str, group: Group) -> fmt::Result {
    writeln!(f, "\n{title}")?;
    options::all()
        .filter(|option| option.group == group)
        .try_for_each(|option| line(f, option, option.short()))
}

/// One option, with this letter.
pub(super) fn line(f: &mut fmt::Formatter<'_>, option: &Opt, letter: u8) -> fmt::Result {
    match letter {
        b'-' => f.write_str("      ")?,
        letter => filled!("  -{}, ", std::str::from_utf8(&[letter]).unwrap_or_default()).put(f)?,
    }
    let space = if option.value().is_empty() || option.value().starts_with('[') { "" } else { " " };
    let name = filled!("--{}{}{}", [&option.long(), &space, &option.value()]).text();
    writeln!(f, "{name:<26} {}", option.help())
}
