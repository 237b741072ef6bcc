//! Completions: what the templates of the three shells need of the tables, in each shell's writing.

use std::ffi::OsStr;

use super::cli::options::{self, Group, Opt};
use super::cli::words::Grammar;
use super::cli::{self, COMMANDS};
use super::{Lists, values};

/// What the words before the cursor have decided.
#[derive(Clone, Copy, PartialEq)]
enum Mode {
    /// Nothing yet: it is init, unless an option that describes a container comes.
    Any,
    /// The options of init follow.
    Init,
    /// Those of run.
    Run,
    /// Those of run and of a machine's init.
    Build,
}

impl Mode {
    /// All, with the names that the templates have for them.
    const ALL: [(Self, &str); 4] =
        [(Self::Any, "any"), (Self::Init, "init"), (Self::Run, "run"), (Self::Build, "build-initramfs")];

    /// Whether the option may follow.
    fn has(self, option: &Opt) -> bool {
        match self {
            Self::Any => option.group != Group::Board,
            Self::Init => Grammar::Init.long(option.long()).is_some(),
            Self::Run => Grammar::Run.long(option.long()).is_some(),
            Self::Build => Grammar::Board(true).long(option.long()).is_some(),
        }
    }

    /// Whether the option has its letter there.
    fn has_letter(self, option: &Opt) -> bool {
        let found = match self {
            Self::Any => Grammar::Init.short(option.short()).or(Grammar::Run.short(option.short())),
            Self::Init => Grammar::Init.short(option.short()),
            Self::Run => Grammar::Run.short(option.short()),
            Self::Build => Grammar::Board(true).short(option.short()),
        };
        found == Some(option)
    }

    /// The options that may follow.
    fn options(self) -> impl Iterator<Item = &'static Opt> {
        options::all().filter(move |option| self.has(option))
    }

    /// The letters that may follow whose option is like this.
    fn letters(self, is_wanted: impl Fn(&Opt) -> bool) -> String {
        self.options().filter(|option| self.has_letter(option) && is_wanted(option)).map(letter).collect()
    }
}

/// The letter of an option that has one.
fn letter(option: &Opt) -> char {
    option.short().into()
}

/// The commands that there are: those whose `--help` is not refused.
fn commands() -> Vec<&'static str> {
    let exists =
        |name: &&'static str| cli::parse(["launcher", name, "--help"].map(OsStr::new).into(), &[]).is_ok();
    COMMANDS.split(' ').filter(exists).collect()
}

/// What a command is, for shells that show it.
fn describe(command: &str) -> &'static str {
    match command {
        "run" => "make a container",
        "init" => "be init in a container that is there",
        "delete" => "remove what a killed container left",
        "doctor" => "say what this machine lets launcher do",
        "build-initramfs" => "write an initramfs with launcher as its init",
        _ => "",
    }
}

/// The long names of those, such as `--rootfs`, between these.
fn names(is_wanted: impl Fn(&Opt) -> bool, between: &str) -> String {
    let names = options::all().filter(|option| is_wanted(option));
    names.map(|option| format!("--{}", option.long())).collect::<Vec<_>>().join(between)
}

/// What each shell needs to find the program: which words are values, and which decide the mode as cli::parse does.
fn scan() -> Lists {
    // The same letter is a flag in one and takes a word in the other: nobody can tell, launcher takes it as init's.
    let is_unclear = |option: &Opt| {
        let runs = Grammar::Run.short(option.short());
        runs.is_some_and(|other| other.value().is_empty() != option.value().is_empty())
    };
    let is_runs = |option: &Opt| Grammar::Init.short(option.short()).is_none();
    vec![
        ("commands", commands().join(" ")),
        ("valued", names(cli::takes_word, " ")),
        ("valued_init", Mode::Init.letters(cli::takes_word)),
        ("valued_run", Mode::Run.letters(cli::takes_word)),
        ("valued_build", Mode::Build.letters(cli::takes_word)),
        ("container", names(|option| option.group == Group::Container, " ")),
        ("container_letters", Mode::Run.letters(is_runs)),
        ("init_letters", Mode::Init.letters(is_unclear)),
    ]
}

/// Lists that every shell has.
fn common() -> Lists {
    vec![("signals", values::signals()), ("capabilities", values::capabilities())]
}

/// For bash.
pub(super) fn bash() -> Lists {
    let words = |mode: Mode| {
        let names = mode.options().map(|option| format!("--{}", option.long()));
        let letters = mode.letters(|_| true);
        names.chain(letters.chars().map(|letter| format!("-{letter}"))).collect::<Vec<_>>().join(" ")
    };
    let mut lists = common();
    lists.extend(scan());
    lists.extend([
        ("any", words(Mode::Any)),
        ("init", words(Mode::Init)),
        ("run", words(Mode::Run)),
        ("build", words(Mode::Build)),
        ("values", bash_values()),
    ]);
    lists
}

/// The arms of a case: `--name`, or `init-n` for a letter.
fn bash_values() -> String {
    let mut arms: Vec<(String, Vec<String>)> = Vec::new();
    for option in options::all() {
        let call = values::of(option);
        if call.is_empty() {
            continue;
        }
        let modes = Mode::ALL.into_iter().filter(|(mode, _)| *mode != Mode::Any && mode.has_letter(option));
        let names = modes.map(|(_, name)| format!("{name}-{}", letter(option)));
        let names = std::iter::once(format!("--{}", option.long())).chain(names);
        match arms.iter_mut().find(|(other, _)| *other == call) {
            Some((_, patterns)) => patterns.extend(names),
            None => arms.push((call, names.collect())),
        }
    }
    let arm =
        |(call, patterns): &(String, Vec<String>)| format!("    {}) set -- {call} ;;\n", patterns.join("|"));
    arms.iter().map(arm).collect()
}

/// For zsh.
pub(super) fn zsh() -> Lists {
    let specs = |mode: Mode| mode.options().map(|option| zsh_spec(option, mode.has_letter(option))).collect();
    let described = |name: &&str| format!("    '{name}:{}'\n", describe(name));
    let mut lists = common();
    lists.extend([
        ("commands", commands().join("|")),
        ("described", commands().iter().map(described).collect()),
        ("container", names(|option| option.group == Group::Container, "|")),
        ("any", specs(Mode::Any)),
        ("init", specs(Mode::Init)),
        ("run", specs(Mode::Run)),
        ("build", specs(Mode::Build)),
    ]);
    lists
}

/// One line of `_arguments`: `'(-u --user)'{-u+,--user=}'[help]:UID\:GID:action'`.
fn zsh_spec(option: &Opt, has_letter: bool) -> String {
    let name = option.long();
    let plain =
        |text: &str| text.replace('\\', r"\\").replace(':', r"\:").replace(']', r"\]").replace('[', r"\[");
    let (joined, equals, argument) = match option.value() {
        "" => ("", "", String::new()),
        value if cli::takes_word(option) => ("+", "=", format!(":{}: ", plain(value))),
        // May be left out, and is never the next word.
        value => ("-", "=-", format!("::{}: ", plain(value.trim_matches(['[', '=', ']'])))),
    };
    let call = values::of(option);
    let action = if call.is_empty() { call } else { format!("_launcher_value {}", plain(&call)) };
    let rest = format!("[{}]{argument}{action}", plain(&option.help().to_string())).replace('\'', r"'\''");
    let letter = letter(option);
    let others = match option.group {
        _ if option.help().to_string().contains("repeatable") => "*".to_owned(),
        Group::Common => "(- *)".to_owned(),
        _ if has_letter => format!("(-{letter} --{name})"),
        _ => String::new(),
    };
    if has_letter {
        format!("    '{others}'{{-{letter}{joined},--{name}{equals}}}'{rest}'\n")
    } else {
        format!("    '{others}--{name}{equals}{rest}'\n")
    }
}

/// For fish.
pub(super) fn fish() -> Lists {
    let described = |name: &&str| {
        format!("complete -c launcher -n '__launcher_is first' -a {name} -d '{}'\n", describe(name))
    };
    let mut lists = common();
    lists.extend(scan());
    lists.extend([
        ("described", commands().iter().map(described).collect()),
        ("options", options::all().map(fish_lines).collect()),
    ]);
    lists
}

/// An option's `complete`; two where its letter is not everywhere where its name is.
fn fish_lines(option: &Opt) -> String {
    let modes = |is_wanted: &dyn Fn(Mode) -> bool| {
        let wanted = Mode::ALL.into_iter().filter(|(mode, _)| is_wanted(*mode));
        wanted.map(|(_, name)| name).collect::<Vec<_>>().join(" ")
    };
    let (named, lettered) = (modes(&|mode| mode.has(option)), modes(&|mode| mode.has_letter(option)));
    let call = values::of(option);
    let value = match call.as_str() {
        _ if !cli::takes_word(option) => String::new(),
        "" => " -x".to_owned(),
        "files" => " -r -F".to_owned(),
        _ => format!(" -x -a '(__launcher_value {call})'"),
    };
    let help = option.help().to_string().replace('\\', r"\\").replace('\'', r"\'");
    let line = |modes: &str, names: &str| {
        format!("complete -c launcher -n '__launcher_is {modes}' {names}{value} -d '{help}'\n")
    };
    let (letter, name) = (letter(option), option.long());
    match lettered.as_str() {
        "" => line(&named, &format!("-l {name}")),
        _ if lettered == named => line(&named, &format!("-s {letter} -l {name}")),
        _ => line(&named, &format!("-l {name}")) + &line(&lettered, &format!("-s {letter}")),
    }
}
