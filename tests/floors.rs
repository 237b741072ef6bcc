//! The architecture, kept by a test: imports point down, unsafe has one place, nothing grows past its measure.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The floors from the ground; see main.rs. A module uses those below its own.
const FLOORS: &[&[&str]] = &[
    &["error", "log", "packed", "text"],
    &["sys", "spec"],
    &["cli", "oci", "host"],
    &["primitives"],
    &["launch"],
    &["state"],
    &["commands"],
    &["main", "docs"],
];

/// Neighbours of one floor that may use each other: who, whom, why.
const NEIGHBOURS: &[(&str, &str, &str)] = &[
    ("log", "error", "a message that cannot be said is let pass by name"),
    ("error", "packed", "the names of errors are packed"),
    ("error", "text", "an error names files"),
    ("packed", "text", "a packed text has names of files in it"),
];

/// What is forbidden although it lies below: who, what, why.
const FORBIDDEN: &[(&str, &str, &str)] = &[
    ("spec", "std::fs", "spec is plain data"),
    ("spec", "std::process", "spec is plain data"),
    ("spec", "nix::unistd", "spec is plain data"),
    ("cli", "crate::sys", "parsing looks at words only"),
    ("cli", "std::fs", "parsing looks at words only"),
    ("cli", "std::env", "parsing looks at words only"),
    ("oci", "crate::sys", "parsing looks at words only"),
    ("host", "std::fs", "sys::file and sys::dir do it without 10 KB"),
    ("sys", "std::fs", "sys::file and sys::dir do it without 10 KB"),
    ("primitives", "std::fs", "sys::file and sys::dir do it without 10 KB"),
    ("launch", "std::fs", "sys::file and sys::dir do it without 10 KB"),
    ("commands", "std::fs", "sys::file and sys::dir do it without 10 KB"),
];

/// One file of src/ without its tests: what is compiled for them is an empty line.
struct Source {
    /// `launch/plan.rs`
    path: String,
    /// Its code, without comments and strings.
    lines: Vec<String>,
    /// The same with them.
    whole: Vec<String>,
}

impl Source {
    /// The module of the floors that it belongs to.
    fn module(&self) -> &str {
        self.path.split(['/', '.']).next().unwrap()
    }

    /// The lines that have `word` in them, as `path:number: line`; a word does not end inside a name.
    fn lines_with(&self, word: &str) -> Vec<String> {
        let numbered = self.lines.iter().enumerate().filter(|(_, line)| has_word(line, word));
        numbered.map(|(index, line)| format!("src/{}:{}: {}", self.path, index + 1, line.trim())).collect()
    }
}

/// Whether a name goes on with this letter.
fn is_name(letter: Option<char>) -> bool {
    letter.is_some_and(|letter| letter.is_alphanumeric() || letter == '_')
}

/// Whether `word` stands in `line` and is not a part of a longer name.
fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| {
        let (before, after) = (line[..at].chars().next_back(), line[at + word.len()..].chars().next());
        let starts = !is_name(word.chars().next()) || !is_name(before);
        starts && (!is_name(word.chars().next_back()) || !is_name(after))
    })
}

/// Empties comments and string literals; a literal may go on over lines.
fn without_text(source: &str) -> Vec<String> {
    let mut in_string = false;
    source.lines().map(|line| strip_line(line, &mut in_string)).collect()
}

/// One line without comments and literals.
fn strip_line(line: &str, in_string: &mut bool) -> String {
    let mut code = String::new();
    let mut letters = line.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if *in_string => drop(letters.next()),
            '"' => *in_string = !*in_string,
            _ if *in_string => {}
            '/' if letters.peek() == Some(&'/') => break,
            // '"' and '\"' are characters, not the beginning of a string.
            '\'' => {
                let rest: String = letters.clone().take(3).collect();
                let skip = if rest.starts_with("\"'") {
                    2
                } else if rest == "\\\"'" || rest == "\\''" {
                    3
                } else {
                    0
                };
                letters.by_ref().take(skip).for_each(drop);
            }
            _ => code.push(letter),
        }
    }
    code
}

/// Which lines are compiled for tests only: the item after `#[cfg(test)]`, to the brace or semicolon that ends it.
fn test_lines(code: &[String]) -> Vec<bool> {
    // The indentation of the item, and whether it is a module, which only a lone brace ends.
    let mut item: Option<(usize, Option<bool>)> = None;
    let mut is_test = |line: &String| {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim();
        if line == "#[cfg(test)]" {
            item = Some((depth, None));
        } else if let Some((indent, is_module)) = item
            && !line.starts_with("#[")
        {
            let is_module = is_module.unwrap_or(line.starts_with("mod ") && line.ends_with('{'));
            let ends = depth == indent && if is_module { line == "}" } else { line.ends_with(['}', ';']) };
            item = (!ends).then_some((indent, Some(is_module)));
            return true;
        }
        item.is_some()
    };
    code.iter().map(&mut is_test).collect()
}

/// The lines that are not for tests; the others become empty.
fn without_tests(lines: Vec<String>, tests: &[bool]) -> Vec<String> {
    lines.into_iter().zip(tests).map(|(line, is_test)| if *is_test { String::new() } else { line }).collect()
}

/// Every file below a folder.
fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        if entry.path().is_dir() { walk(&entry.path(), found) } else { found.push(entry.path()) }
    }
}

/// The whole of src/ but files that are tests.
fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    // Beside code src/docs has templates, which are roff and shell.
    let is_code = |path: &&PathBuf| {
        path.extension().is_some_and(|end| end == "rs") && !path.to_str().unwrap().ends_with("_tests.rs")
    };
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let relative = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
        let code = without_text(&text);
        let tests = test_lines(&code);
        let whole = without_tests(text.lines().map(str::to_owned).collect(), &tests);
        Source { path: relative, lines: without_tests(code, &tests), whole }
    };
    let sources: Vec<_> = paths.iter().filter(is_code).map(read).collect();
    assert!(sources.len() > 40, "only {} files: is this src/?", sources.len());
    sources
}

/// The floor of a module.
fn floor(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The modules that a line names as `crate::module` or `crate::{module, ..}`.
fn used(line: &str) -> Vec<String> {
    let name = |text: &str| text.chars().take_while(|letter| is_name(Some(*letter))).collect::<String>();
    let mut found = Vec::new();
    for (at, _) in line.match_indices("crate::") {
        let rest = &line[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => {
                let parts = group.trim_end_matches(['}', ';']).split(',');
                found.extend(parts.map(|part| name(part.trim())));
            }
            None => found.push(name(rest)),
        }
    }
    found
}

/// What is wrong with `module` using `other`; `None` if nothing is.
fn fault(module: &str, other: &str) -> Option<String> {
    let (Some(own), Some(below)) = (floor(module), floor(other)) else {
        // Constants and macros of main.rs itself, or a module without a floor.
        return Some(format!("{module} uses {other}, which is on no floor"));
    };
    let may =
        own > below || module == other || NEIGHBOURS.iter().any(|(a, b, _)| (*a, *b) == (module, other));
    (!may).then(|| format!("{module} (floor {own}) uses {other} (floor {below})"))
}

#[test]
fn imports_point_down() {
    let mut faults = Vec::new();
    for source in sources() {
        if floor(source.module()).is_none() {
            faults.push(format!("src/{}: on no floor", source.path));
        }
        for (index, line) in source.lines.iter().enumerate() {
            let wrong = used(line).into_iter().filter_map(|other| fault(source.module(), &other));
            faults.extend(wrong.map(|fault| format!("src/{}:{}: {fault}", source.path, index + 1)));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn the_two_grounds_and_the_front_ends_are_pure() {
    let mut faults = Vec::new();
    for source in sources() {
        let rules = FORBIDDEN.iter().filter(|(who, _, _)| *who == source.module());
        for (_, what, why) in rules {
            faults.extend(source.lines_with(what).into_iter().map(|line| format!("{line}: {why}")));
        }
        // A primitive is told what to do; of the host it knows only which cgroup version it talks to.
        if source.module() == "primitives" {
            let lines = source.lines_with("crate::host").into_iter();
            faults.extend(lines.filter(|line| !line.contains("crate::host::Version;")));
        }
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

#[test]
fn unsafe_is_in_sys() {
    let sources = sources();
    let outside = sources.iter().filter(|source| source.module() != "sys");
    let found: Vec<_> = outside.flat_map(|source| source.lines_with("unsafe")).collect();
    let is_entry = |line: &String| line.starts_with("src/main.rs:") && line.ends_with("#[unsafe(no_mangle)]");
    let (entry, others): (Vec<_>, Vec<_>) = found.into_iter().partition(is_entry);
    assert!(others.is_empty(), "\n{}", others.join("\n"));
    assert_eq!(entry.len(), 1, "main.rs says once by which name the C runtime finds it: {entry:?}");
    assert!(sources.iter().any(|source| !source.lines_with("unsafe").is_empty() && source.module() == "sys"));
}

#[test]
fn the_fuzz_targets_have_the_floors_that_they_parse_with() {
    // Built only by `make fuzz`, they would be found broken late.
    let fuzz = include_str!("fuzz/lib.rs");
    for module in FLOORS[..5].concat().into_iter().filter(|module| *module != "oci") {
        assert!(fuzz.contains(&format!("mod {module};")), "{module}");
    }
}

#[test]
fn no_file_is_longer_than_500_lines() {
    let long: Vec<_> = sources().into_iter().filter(|source| source.whole.len() > 500).collect();
    let long: Vec<_> =
        long.iter().map(|source| format!("src/{}: {} lines", source.path, source.whole.len())).collect();
    assert!(long.is_empty(), "\n{}", long.join("\n"));
}

#[test]
fn nothing_panics_and_nothing_prints_debug_text() {
    let words =
        ["unwrap()", "expect(", "panic!", "todo!", "unimplemented!", "unreachable!", "dbg!", "println!"];
    let sources = sources();
    let mut found: Vec<_> =
        sources.iter().flat_map(|source| words.map(|word| source.lines_with(word))).flatten().collect();
    // Formats are inside strings.
    for source in &sources {
        let formats = source.whole.iter().enumerate().filter(|(_, line)| {
            !line.trim_start().starts_with("//") && (line.contains(":?}") || line.contains(":#?}"))
        });
        found.extend(
            formats.map(|(index, line)| format!("src/{}:{}: {}", source.path, index + 1, line.trim())),
        );
    }
    assert!(found.is_empty(), "\n{}", found.join("\n"));
}

/// The long names of src/cli/options.rs.
fn option_names() -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/options.rs");
    let text = std::fs::read_to_string(path).unwrap();
    let name = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        let letter = words.next()?;
        let is_row = letter.len() == 3 && letter.starts_with('\'') && letter.ends_with('\'');
        let name = words.next().filter(|_| is_row)?.strip_prefix('"')?.strip_suffix('"')?;
        Some(name.to_owned())
    };
    text.lines().filter_map(name).collect()
}

#[test]
fn every_option_is_in_the_readme() {
    let names = option_names();
    assert!(names.len() > 30 && names.contains("rootfs") && names.contains("signal-group"), "{names:?}");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = std::fs::read_to_string(path).expect("README.md is there");
    // --memory is not in the text because --memory-swap is.
    let is_named = |name: &String| {
        let option = format!("--{name}");
        let ends = |at: usize| {
            !readme[at + option.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '-')
        };
        readme.match_indices(&option).any(|(at, _)| ends(at))
    };
    let missing: Vec<_> = names.into_iter().filter(|name| !is_named(name)).collect();
    assert!(missing.is_empty(), "not in README.md: --{}", missing.join(" --"));
}

#[test]
fn this_test_sees_what_it_looks_for() {
    for (module, line, is_wrong) in [
        ("sys", "use crate::spec::Spec;", true),
        ("spec", "use crate::sys;", true),
        ("cli", "use crate::host::Host;", true),
        ("cli", "use crate::launch::init::Options;", true),
        ("error", "    crate::log::say(x);", true),
        ("log", "crate::error::tolerate(x)", false),
        ("launch", "use crate::{error::Error, commands};", true),
        ("primitives", "use crate::{error, sys};", false),
        ("main", "use crate::commands;", false),
        ("commands", "let x = crate::VERSION;", true),
    ] {
        let found = used(line).iter().any(|other| fault(module, other).is_some());
        assert_eq!(found, is_wrong, "{module}: {line}");
    }
    let text = "a(); // unsafe\nb(\"unsafe\\\" {:?}\", '\"', \"x\n unsafe\");\n#[cfg(test)]\nmod tests {\n    A = \"\n\";\n    unsafe {}\n}\nunsafe {}";
    let code = without_text(text);
    let tests = test_lines(&code);
    let lines = without_tests(code, &tests);
    let found: Vec<_> =
        (1..).zip(&lines).filter(|(_, line)| has_word(line, "unsafe")).map(|(number, _)| number).collect();
    assert_eq!(found, [10], "{lines:?}");
    assert!(
        has_word("x.unwrap()", "unwrap()")
            && !has_word("#[expect_used]", "expect(")
            && !has_word("unsafe_code", "unsafe")
    );
}
