//! The man page and the completions, as bash, zsh, fish and mandoc take them. Needs no privileges.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "these are tests")]

mod common;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use common::tty::Terminal;
use common::{Finished, Temp, finish, launcher, run};

/// One option as `--help` tells it.
struct Told {
    /// `-x`, if it has a letter.
    letter: Option<String>,
    /// `--name`.
    name: String,
    /// Whether a word for its value follows.
    has_value: bool,
}

/// Every option of `--help`.
fn told() -> Vec<Told> {
    let help = run(&mut launcher(["--help"])).expect(0).out;
    let option = |line: &str| {
        let (letter, rest) = match line.strip_prefix("      ") {
            Some(rest) => (None, rest),
            None => line.strip_prefix("  ")?.split_once(", ").map(|(letter, rest)| (Some(letter), rest))?,
        };
        let name = rest.split([' ', '[']).next().filter(|name| name.starts_with("--"))?;
        let value = rest[name.len()..].strip_prefix(' ');
        let has_value = value.is_some_and(|value| value.starts_with(|next: char| next.is_ascii_uppercase()));
        Some(Told { letter: letter.map(str::to_owned), name: name.to_owned(), has_value })
    };
    let told: Vec<_> = help.lines().filter_map(option).collect();
    assert!(told.len() > 50 && told.iter().any(|option| option.name == "--memory"), "{help}");
    told
}

/// The folder of the files under test: what the environment names, or else what the example makes now.
fn folder() -> &'static Path {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        std::env::var_os("LAUNCHER_DOCS").map_or_else(
            || {
                let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
                let example =
                    Path::new(env!("CARGO_BIN_EXE_launcher")).with_file_name("examples").join("docs");
                run(Command::new(example).arg(folder)).expect(0);
                folder.to_owned()
            },
            PathBuf::from,
        )
    })
}

/// One of them, by its path.
fn path(name: &str) -> String {
    folder().join(name).to_str().unwrap().to_owned()
}

/// One of them, by its text.
fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}: make docs"))
}

/// A program with these words and nothing on its standard input.
fn program(name: &str, words: &[&str]) -> Finished {
    run(Command::new(name).args(words).stdin(Stdio::null()))
}

/// What bash offers for a line whose words it has split at blanks, `=` and `:`, as readline does.
fn bash(line: &str) -> Vec<String> {
    const SCRIPT: &str = r#"
        source "$1"
        COMP_LINE=$2 COMP_POINT=${#2} COMP_WORDS=("${@:3}") COMP_CWORD=$(($# - 3))
        _launcher
        printf '%s\n' "${COMPREPLY[@]}""#;
    let apart = line.replace('=', " = ").replace(':', " : ");
    let mut words: Vec<_> = apart.split_whitespace().collect();
    if line.ends_with(' ') {
        words.push("");
    }
    let script = path("launcher.bash");
    let all = [&["--norc", "-c", SCRIPT, "bash", &script, line], &words[..]].concat();
    let finished = program("bash", &all).expect(0);
    assert_eq!(finished.err, "", "{line}");
    finished.out.lines().filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// What fish offers, without the descriptions.
fn fish(line: &str) -> Vec<String> {
    let script = format!("source {}; complete -C '{line}'", path("launcher.fish"));
    let home = Temp::new();
    let mut command = Command::new("fish");
    let command = command.args(["--no-config", "-c", &script]).env("HOME", &home.0).stdin(Stdio::null());
    let finished = run(command).expect(0);
    assert_eq!(finished.err, "", "{line}");
    finished.out.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// Whether it is the machine that refuses a command line, and not launcher.
fn is_machines(finished: &Finished) -> bool {
    finished.err.starts_with("launcher: step ") || finished.err.contains("/etc/subuid has no range")
}

#[test]
fn every_option_is_in_the_man_page() {
    let page = text("launcher.1");
    let all = page.lines().filter(|line| line.starts_with("\\fB\\-")).count();
    assert_eq!(all, told().len(), "more options than --help has");
    for option in told() {
        let bold = |text: &str| format!("\\fB{}\\fR", text.replace('-', "\\-"));
        let letter = option.letter.map_or_else(String::new, |letter| format!("{}, ", bold(&letter)));
        let item = format!("\n.TP\n{letter}{}", bold(&option.name));
        assert!(page.contains(&item), "{item}");
    }
}

#[test]
fn the_man_page_has_no_fault() {
    require!(mandoc);
    let finished = program("mandoc", &["-T", "lint", "-W", "all", &path("launcher.1")]);
    assert_eq!((finished.out.as_str(), finished.err.as_str()), ("", ""));
    let page = text("launcher.1");
    for section in [
        "NAME",
        "SYNOPSIS",
        "DESCRIPTION",
        "OPTIONS",
        "SIGNALS",
        "ENVIRONMENT",
        "EXIT STATUS",
        "NAMES",
        "EXAMPLES",
        "NOTES",
        "SEE ALSO",
    ] {
        assert!(page.contains(&format!("\n.SH {section}\n")), "{section}");
    }
}

#[test]
fn every_command_has_a_part_of_the_man_page() {
    let page = text("launcher.1");
    for name in bash("launcher ").into_iter().filter(|word| !word.starts_with('-')) {
        assert!(page.contains(&format!("\n.SS launcher {name}\n")), "{name}");
    }
}

#[test]
fn the_examples_of_the_man_page_are_understood() {
    let page = text("launcher.1").replace("\\-", "-");
    let examples: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("launcher --")).collect();
    assert!(examples.len() > 4, "{examples:?}");
    for example in examples {
        let finished = run(&mut launcher(format!("--dry-run --{example}").split_whitespace()));
        let is_plan = finished.status == 0 && finished.out.starts_with("  1  host");
        assert!(is_plan || is_machines(&finished), "{example}: {finished:?}");
    }
}

#[test]
fn every_option_is_completed_by_bash_and_fish() {
    require!(fish);
    let wanted: BTreeSet<_> = told().into_iter().map(|option| option.name).collect();
    // Those of a machine's init are none of launcher's own words but there.
    let everywhere = |offer: fn(&str) -> Vec<String>, begin: &str| -> BTreeSet<String> {
        ["launcher ", "launcher build-initramfs "]
            .iter()
            .flat_map(|line| offer(&[line, begin].concat()))
            .collect()
    };
    for (shell, offer) in [("bash", bash as fn(&str) -> _), ("fish", fish)] {
        assert_eq!(everywhere(offer, "--"), wanted, "{shell}");
    }
    let letters: BTreeSet<_> = told().into_iter().filter_map(|option| option.letter).collect();
    for (shell, offer) in [("bash", bash as fn(&str) -> _), ("fish", fish)] {
        let mut offered = everywhere(offer, "-");
        offered.retain(|word| !word.starts_with("--"));
        assert_eq!(offered, letters, "{shell}");
    }
}

#[test]
fn every_option_is_in_the_completion_of_zsh() {
    let script = text("_launcher");
    for option in told() {
        let (name, ends) = (&option.name, if option.has_value { "=" } else { "[=}" });
        let is_there = script.match_indices(name.as_str()).any(|(at, _)| {
            let line = script[..at].lines().next_back().unwrap_or_default();
            line.starts_with("    '") && script[at + name.len()..].starts_with(|next| ends.contains(next))
        });
        assert!(is_there, "{name}");
    }
}

#[test]
fn the_completions_are_in_the_language_of_their_shells() {
    require!(zsh, fish);
    for (shell, name) in [("bash", "launcher.bash"), ("zsh", "_launcher"), ("fish", "launcher.fish")] {
        let finished = program(shell, &["-n", &path(name)]).expect(0);
        assert_eq!((finished.out.as_str(), finished.err.as_str()), ("", ""), "{shell}");
    }
}

/// Lines, and what is offered for the last word: all of it, or after `..` what must be among it, after `!` what must not.
const OFFERS: &[(&str, &str)] = &[
    ("launcher --net", "--network"),
    ("launcher ", ".. run init delete doctor build-initramfs"),
    ("launcher --on-e", ""),
    ("launcher build-initramfs --on-e", "--on-exit"),
    ("launcher build-initramfs --", "! --signal-group --report"),
    ("launcher build-initramfs -o x -m 1m --re", "--read-only --read-only-tmpfs --restart"),
    ("launcher build-initramfs --on-fail p", "poweroff panic"),
    ("launcher init --", ".. --signal-group --user --help"),
    ("launcher init --", "! --rootfs --memory --dry-run"),
    ("launcher run --", ".. --rootfs --user --help"),
    ("launcher run --", "! --signal-group --report"),
    ("launcher --rootfs / --si", ""),
    ("launcher --signal-group --si", ".. --signal-to --single-child"),
    ("launcher -m 1m --re", "--read-only --read-only-tmpfs"),
    ("launcher -gm1m --re", "--read-only --read-only-tmpfs"),
    // To tini -w is a flag, to docker the working directory: it is init's.
    ("launcher -w --re", ".. --rewrite --report"),
    ("launcher -w --re", "! --read-only"),
    ("launcher delete --", "--force --help"),
    ("launcher doctor --", "--json --help"),
    ("launcher --pid ", "new private host ns: container:"),
    ("launcher --userns a", "auto"),
    ("launcher --timens container:sel", ""),
    ("launcher --signal-to ", "child group all"),
    ("launcher --death-signal TE", "TERM"),
    ("launcher -p TE", "TERM"),
    ("launcher -gp TE", "TERM"),
    ("launcher --rewrite TE", "TERM:"),
    ("launcher --cap-add NET_", "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW"),
    ("launcher --cap-drop AL", "ALL"),
    ("launcher --as d", "docker-init dumb-init"),
    ("launcher --ulimit no", "nofile="),
    ("launcher --time-offset ", "boottime= monotonic="),
    ("launcher run -e HOM", "HOME"),
    // As an option of init it is a number.
    ("launcher init -e HOM", ""),
    ("launcher -g -- trunc", ".. truncate"),
    ("launcher trunc", ".. truncate"),
    ("launcher run trunc", ".. truncate"),
    // What follows the program is its own.
    ("launcher sh --net", "! --network"),
    ("launcher -- sh --net", "! --network"),
];

#[test]
fn what_is_offered_fits_the_place() {
    require!(fish);
    for (line, wanted) in OFFERS {
        for (shell, offered) in [("bash", bash(line)), ("fish", fish(line))] {
            let offered: BTreeSet<_> = offered.iter().map(String::as_str).collect();
            let (first, rest) = wanted.split_once(' ').unwrap_or((wanted, ""));
            let words = |text: &'static str| text.split_whitespace().collect::<BTreeSet<_>>();
            match first {
                ".." => assert!(words(rest).is_subset(&offered), "{shell}: {line}: {offered:?}"),
                "!" => assert!(words(rest).is_disjoint(&offered), "{shell}: {line}: {offered:?}"),
                _ => assert_eq!(offered, words(wanted), "{shell}: {line}"),
            }
        }
    }
}

#[test]
fn bash_is_given_what_it_takes_for_a_word() {
    // At = and : a word of bash begins, but not of launcher.
    for (line, wanted) in [
        ("launcher --network=n", "none new ns:"),
        ("launcher --name --net", ""),
        ("launcher --network=", "none new private host ns: container:"),
        ("launcher --rewrite TERM:QU", "QUIT"),
        ("launcher --rewrite=TERM:QU", "QUIT"),
        ("launcher --rootfs=/srv/a:b --si", ""),
        ("launcher --security-opt no-new-privileges=f", "false"),
    ] {
        assert_eq!(bash(line), wanted.split_whitespace().collect::<Vec<_>>(), "{line}");
    }
}

#[test]
fn what_is_offered_is_accepted() {
    let (inits, runs) = (bash("launcher init --"), bash("launcher run --"));
    let mut count = 0;
    for option in told().into_iter().filter(|option| option.has_value && option.name != "--as") {
        let (command, words): (&[&str], &[&str]) = if inits.contains(&option.name) {
            (&[], &["--", "true"])
        } else if runs.contains(&option.name) {
            (&[], &["--dry-run", "--", "true"])
        } else {
            (&["build-initramfs", "-o", "-", "--root", "/dev/vda"], &["--", "true"])
        };
        for offered in bash(&format!("launcher {} ", option.name)) {
            let value = match offered.as_str() {
                "ns:" => "ns:/proc/self/ns/net".to_owned(),
                "container:" => "container:1".to_owned(),
                _ if option.name == "--env" => continue, // the variables of whoever runs this
                "exec:" => "exec:/init".to_owned(),
                "on-failure:" | "always:" => format!("{offered}5/60s"),
                begun if begun.ends_with(':') => format!("{begun}TERM"),
                begun if begun.ends_with('=') => format!("{begun}1"),
                whole => whole.to_owned(),
            };
            let finished = run(launcher(command).args([&option.name, &value]).args(words));
            let refusal = format!("launcher: {} {value}: ", option.name);
            assert!(!finished.err.starts_with(&refusal) || is_machines(&finished), "{}", finished.err);
            count += 1;
        }
    }
    assert!(count > 200, "only {count} values");
    for name in bash("launcher --as ") {
        run(&mut launcher(["--as", &name, "--help"])).expect(0);
    }
}

/// Lines as they are typed, `>` for the tabulator key, and what launcher is called with.
const TYPED: &[(&str, &str)] = &[
    ("launcher --netw> ne> sh", "--network new sh"),
    ("launcher --network=ne> sh", "--network=new sh"),
    ("launcher -r TERM:QU> sh", "-r TERM:QUIT sh"),
    ("launcher init --sing> sh", "init --single-child sh"),
    ("launcher run --sing> sh", "run --sing sh"),
    ("launcher --rootfs / --sing> sh", "--rootfs / --sing sh"),
    ("launcher --rootfs HERE/fold> sh", "--rootfs HERE/folder/ sh"),
    ("launcher --rootfs=HERE/fold> sh", "--rootfs=HERE/folder/ sh"),
    ("launcher --report HERE/fil> sh", "--report HERE/file sh"),
    ("launcher --network ns:HERE/fil> sh", "--network ns:HERE/file sh"),
    ("launcher --cap-add NET_R> sh", "--cap-add NET_RAW sh"),
    ("launcher --ulimit nofi>5 sh", "--ulimit nofile=5 sh"),
    ("launcher dele> --forc> box", "delete --force box"),
    ("launcher -- trunca> HERE/fil>", "-- truncate HERE/file"),
    ("launcher trunca> HERE/fil>", "truncate HERE/file"),
];

/// Types lines into a shell on a terminal, where launcher is a function that shows its words.
fn type_into(shell: &str, words: &[&str], setup: &str) {
    let home = Temp::new();
    std::fs::create_dir(home.0.join("folder")).unwrap();
    std::fs::write(home.0.join("file"), "").unwrap();
    let here = home.0.to_str().unwrap();
    let mut terminal = Terminal::new();
    let mut command = Command::new(shell);
    command.args(words).env("HOME", here).env("TERM", "dumb").env_remove("ENV");
    let child = terminal.start(&mut command);
    terminal.send(&format!("{setup}; echo re''ady\n"));
    terminal.wait_for("ready", 1);
    for (line, wanted) in TYPED {
        let before = terminal.shown.len();
        terminal.send(&(line.replace('>', "\t").replace("HERE", here) + "\n"));
        terminal.wait_for("<end>", terminal.shown.matches("<end>").count() + 1);
        // zsh takes the slash of a folder away when the word ends there.
        let shown = terminal.shown[before..].replace("/ ", " ");
        let wanted = format!("<{}>", wanted.replace("HERE", here)).replace("/ ", " ");
        assert!(shown.contains(&wanted), "{shell}: {line}: no {wanted} in\n{shown}");
    }
    terminal.send("exit\n");
    finish(child).expect(0);
}

#[test]
fn the_tabulator_key_works_in_bash() {
    let setup =
        format!("PS1=; source {}; launcher() {{ echo \"<$*>\"; echo '<'end'>'; }}", path("launcher.bash"));
    type_into("bash", &["--norc", "--noprofile", "-i"], &setup);
}

#[test]
fn the_tabulator_key_works_in_zsh() {
    require!(zsh);
    let setup = format!(
        "PS1=; fpath=({} $fpath); autoload -Uz compinit; compinit -u -D; \
         launcher() {{ echo \"<$*>\"; echo '<'end'>'; }}",
        folder().display()
    );
    type_into("zsh", &["-f", "-i"], &setup);
}

#[test]
fn the_tabulator_key_works_in_fish() {
    require!(fish);
    let setup = format!(
        "function fish_prompt; end; source {}; \
         function launcher; echo \"<$argv>\"; echo '<'end'>'; end",
        path("launcher.fish")
    );
    type_into("fish", &["--no-config", "-i"], &setup);
}
