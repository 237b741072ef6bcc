//! The build without the container part: a tini of 56 KiB.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::process::{Command, Stdio};

use common::{Finished, path_from, run};

/// Runs the small binary.
fn init_only(words: &[&str]) -> Finished {
    let path = path_from("LAUNCHER_INIT_ONLY").unwrap();
    run(Command::new(path).args(words).stdin(Stdio::null()))
}

#[test]
fn it_is_an_init() {
    require!(init_only);
    assert_eq!(init_only(&["echo", "--rootfs", "/"]).expect(0).out, "--rootfs /\n");
    init_only(&["--", "sh", "-c", "exit 7"]).expect(7);
    init_only(&["-e", "7", "sh", "-c", "exit 7"]).expect(0);
    init_only(&["sh", "-c", "kill -TERM $$"]).expect(1015);
    init_only(&["--", "/no/such/program"]).expect(127);
    init_only(&["--", "/"]).expect(126);
    assert!(init_only(&["--version"]).expect(0).out.starts_with("launcher "));
}

#[test]
fn it_says_by_name_that_it_makes_no_containers() {
    require!(init_only);
    for words in [&["run", "sh"], &["delete", "web"], &["run", "--help"]] {
        let finished = init_only(words).expect(125);
        let message = format!("launcher: {}: this build of launcher is init only\n", words[0]);
        assert_eq!((finished.out.as_str(), finished.err.as_str()), ("", message.as_str()));
    }
    for words in [&["--rootfs", "/", "sh"], &["-m", "1m", "sh"], &["--privileged", "--dry-run", "sh"]] {
        let finished = init_only(words).expect(125);
        let first = finished.err.lines().next().unwrap();
        assert_eq!(
            (finished.out.as_str(), first),
            ("", format!("launcher: unknown option {}", words[0]).as_str())
        );
    }
}

#[test]
fn its_help_is_the_part_that_it_can_do() {
    require!(init_only);
    let own = init_only(&["--help"]).expect(0).out;
    let whole = include_str!("cli_help.txt");
    for line in own.lines().filter(|line| line.starts_with("  -") || line.starts_with("      --")) {
        assert!(whole.lines().any(|other| other == line), "{line}");
    }
    assert!(own.contains("--death-signal") && !own.contains("--memory"), "{own}");
    assert!(
        !own.contains("launcher run") && !own.contains("--rootfs DIR"),
        "it offers what it refuses:\n{own}"
    );
}
