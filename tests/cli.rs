//! The command line: what is printed, what is refused and in which words. Needs no privileges.
#![allow(clippy::unwrap_used, clippy::panic, reason = "these are tests")]

mod common;

use std::fs::File;

use common::{Finished, Temp, cgroups_named, launcher, launcher_as_user, launcher_path, run};

/// The hint of last resort.
const SEE_HELP: &str = "launcher --help";
/// The same where a program's own option may have been meant.
const SEE_LIST: &str = "launcher --help lists them; a program's own options come after --";

/// Runs launcher with words that are separated by blanks.
fn run_line(line: &str) -> Finished {
    run(&mut launcher(line.split_whitespace()))
}

/// The message and the hint of a refusal, which must be the only words that were said.
#[track_caller]
fn complaint(line: &str, finished: Finished, status: i32) -> (String, String) {
    let finished = finished.expect(status);
    assert_eq!(finished.out, "", "{line}: something on stdout");
    let mut lines = finished.err.lines();
    let message = lines.next().and_then(|line| line.strip_prefix("launcher: "));
    let message = message.unwrap_or_else(|| panic!("{line}: no message: {}", finished.err)).to_owned();
    let hint = lines.next().map_or("", |hint| {
        hint.strip_prefix("  hint: ").unwrap_or_else(|| panic!("{line}: two messages: {}", finished.err))
    });
    assert_eq!(lines.next(), None, "{line}: more than a message and a hint: {}", finished.err);
    assert!(finished.err.ends_with('\n'), "{line}: the last line has no end");
    (message, hint.to_owned())
}

#[track_caller]
fn refuses(line: &str, message: &str, hint: &str) {
    let said = complaint(line, run_line(line), 125);
    assert_eq!((said.0.as_str(), said.1.as_str()), (message, hint), "launcher {line}");
}

#[test]
fn the_help_text_is_this_one() {
    for line in
        ["--help", "-h", "init --help", "run --help", "--rootfs /nowhere --help", "-g -h", "delete --help"]
    {
        let finished = run_line(line).expect(0);
        assert_eq!(
            finished.out,
            include_str!("cli_help.txt"),
            "{line}: launcher --help > tests/cli_help.txt"
        );
        assert_eq!(finished.err, "", "{line}");
    }
}

#[test]
fn the_version_names_the_release_and_the_commit() {
    for line in ["--version", "run --version", "init --version", "-g --version --nonsense"] {
        let finished = run_line(line).expect(0);
        let commit = finished.out.strip_prefix(concat!("launcher ", env!("CARGO_PKG_VERSION"), " ("));
        let commit = commit.and_then(|rest| rest.strip_suffix(")\n"));
        assert!(
            commit.is_some_and(|commit| !commit.is_empty() && !commit.contains(['\n', ')'])),
            "{}",
            finished.out
        );
        assert_eq!(finished.err, "", "{line}");
    }
    let licence = run_line("--license").expect(0).out;
    assert!(licence.contains("MIT") && licence.contains("Apache"), "{licence}");
}

#[test]
fn without_a_program_there_is_nothing_to_do() {
    for line in ["", "--", "-g", "-w --", "init", "init -s --"] {
        refuses(line, "no program given: launcher -- PROGRAM", SEE_HELP);
    }
    for line in ["run", "run --", "--rootfs /", "--rootfs / --dry-run --"] {
        refuses(line, "no program given: launcher --rootfs DIR -- PROGRAM [ARGUMENT...]", "");
    }
}

#[test]
fn an_unknown_option_is_answered_with_the_nearest() {
    for (line, option, near) in [
        ("--signal-grup sh", "--signal-grup", "--signal-group"),
        ("--death-singal TERM sh", "--death-singal", "--death-signal"),
        ("--hlep", "--hlep", "--help"),
        ("--versoin", "--versoin", "--version"),
        ("run --memroy 1m sh", "--memroy", "--memory"),
        ("run --rotfs / sh", "--rotfs", "--rootfs"),
        ("-m 1m --pid-limit 3 sh", "--pid-limit", "--pids-limit"),
        ("--rootfs / --read-olny sh", "--read-olny", "--read-only"),
        // Nothing before it says which command is meant: all options are near.
        ("--rotfs / sh", "--rotfs", "--rootfs"),
        ("--memroy 1m -- sh", "--memroy", "--memory"),
        ("--memory_swap=1m -- sh", "--memory_swap", "--memory-swap"),
    ] {
        refuses(line, &format!("unknown option {option}"), &format!("did you mean {near}?"));
    }
}

#[test]
fn an_option_that_is_like_no_other_is_answered_with_the_list() {
    for line in ["--frobnicate sh", "run --frobnicate sh", "-Z sh", "-gZ sh", "run -Z sh"] {
        let option = if line.contains("--") { "--frobnicate" } else { "-Z" };
        refuses(line, &format!("unknown option {option}"), SEE_LIST);
    }
}

#[test]
fn an_option_of_the_other_command_is_answered_with_that_command() {
    refuses(
        "run --signal-group sh",
        "unknown option --signal-group",
        "--signal-group belongs to launcher init",
    );
    refuses(
        "--rootfs / --warn-on-reap sh",
        "unknown option --warn-on-reap",
        "--warn-on-reap belongs to launcher init",
    );
    let hint = "--rootfs describes a container: put it first, or say launcher run";
    refuses("init --rootfs / sh", "unknown option --rootfs", hint);
    refuses("-w --rootfs / sh", "unknown option --rootfs", hint);
}

#[test]
fn a_value_is_there_where_it_is_wanted_and_only_there() {
    for (line, message) in [
        ("--rootfs", "--rootfs needs a value"),
        ("--rootfs / --name", "--name needs a value"),
        ("-m", "-m needs a value"),
        ("-e", "-e needs a value"),
        ("-p", "-p needs a value"),
        ("run -u", "-u needs a value"),
        ("--signal-group=1 sh", "--signal-group takes no value"),
        ("--rootfs / --read-only=1 sh", "--read-only takes no value"),
        ("--rootfs / --dry-run= sh", "--dry-run takes no value"),
    ] {
        refuses(line, message, SEE_HELP);
    }
}

#[test]
fn a_value_that_makes_no_sense_is_named_with_what_would() {
    for (line, message) in [
        ("-e 256 sh", "--success-code 256: wanted is a number from 0 to 255"),
        ("-e x sh", "--success-code x: wanted is a number from 0 to 255"),
        ("-e -1 sh", "--success-code -1: wanted is a number from 0 to 255"),
        ("-p TERMINATE sh", "--death-signal TERMINATE: no such signal"),
        ("-p 65 sh", "--death-signal 65: no such signal"),
        ("-p 0 sh", "--death-signal 0: no such signal"),
        ("--rootfs / -m 64q sh", "--memory 64q: wanted is a number of bytes, or one with b, k, m or g"),
        ("--rootfs / -m 0 sh", "--memory 0: wanted is a number of bytes, or one with b, k, m or g"),
        ("--rootfs / --cpus many sh", "--cpus many: wanted is a number such as 0.5"),
        ("--rootfs / --cpu-weight 0 sh", "--cpu-weight takes 1 to 10000, not 0"),
        ("--rootfs / --cpuset-cpus x sh", "--cpuset-cpus x: wanted is a list such as 0-2,5"),
        ("--rootfs / --cap-add fly sh", "--cap-add fly: no such capability"),
        ("--rootfs / -e =1 sh", "--env =1: a variable needs a name"),
        ("--rootfs / --workdir srv sh", "--workdir takes an absolute path, not srv"),
        (
            "--rootfs / -m 1m --cgroup-parent /a/../b sh",
            "--cgroup-parent takes an absolute path without .., not /a/../b",
        ),
    ] {
        refuses(line, message, "");
    }
}

#[test]
fn wrong_values_name_the_option_whatever_else_they_say() {
    for (line, start) in [
        ("--rootfs / -u -1 sh", "--user -1: "),
        ("--rootfs / --ulimit files=1 sh", "--ulimit files=1: "),
        ("--rootfs / --network bridge sh", "--network bridge: "),
        ("--rootfs / --pid old sh", "--pid old: "),
        ("--rootfs / --uidmap 0:1 sh", "--uidmap 0:1: "),
        ("--rootfs / --time-offset now sh", "--time-offset now: "),
        ("--rootfs / --cgroup ../x=1 sh", "--cgroup ../x=1: "),
        ("--rootfs / --security-opt seccomp= sh", "--security-opt seccomp=: "),
        ("--rootfs / --name .. sh", "--name takes "),
        ("--rootfs / --hostname a/b sh", "--hostname takes "),
    ] {
        let (message, _) = complaint(line, run_line(line), 125);
        assert!(message.starts_with(start) && message.len() > start.len(), "launcher {line}: {message}");
    }
}

#[test]
fn contradictions_are_told_before_anything_is_made() {
    for (line, message) in [
        ("--ephemeral sh", "--ephemeral needs --rootfs"),
        ("run --read-only sh", "--read-only needs --rootfs"),
        ("--rootfs / --memory-swap 1m sh", "--memory-swap needs --memory"),
        (
            "--rootfs / --hostname a --uts host sh",
            "--hostname needs a new UTS namespace, and --uts says otherwise",
        ),
        ("--rootfs / --mntns host sh", "--rootfs needs a new mount namespace, and --mntns says otherwise"),
        // Both faults in one message.
        ("--read-only --memory-swap 1m sh", "--read-only needs --rootfs; --memory-swap needs --memory"),
    ] {
        refuses(line, message, "");
    }
    for (line, word) in [
        ("--rootfs / -m 2m --memory-swap 1m sh", "--memory"),
        ("--rootfs / --uidmap 0:0:1 --userns host sh", "--userns"),
        ("--rootfs / --shm-size 1m --tmpfs /dev/shm sh", "--shm-size: another mount takes"),
        ("--rootfs / --time-offset boottime=1 --timens host sh", "--timens"),
    ] {
        let (message, _) = complaint(line, run_line(line), 125);
        assert!(message.contains(word), "launcher {line}: {message}");
    }
}

#[test]
fn words_that_may_become_commands_are_refused_with_the_way_out() {
    for name in "exec ps stop kill pause resume stats inspect create start state features".split_whitespace()
    {
        let hint = format!("to run a program of that name: launcher -- {name}");
        refuses(name, &format!("{name}: this command does not exist yet"), &hint);
        refuses(&format!("{name} --help"), &format!("{name}: this command does not exist yet"), &hint);
    }
    // The way out works: the program is looked for, whatever its name.
    let said = complaint("-- doctor", run(launcher(["--", "doctor"]).env("PATH", "/nowhere")), 127);
    assert_eq!(said.0, "execute doctor: No such file or directory (ENOENT)");
}

#[test]
fn delete_wants_one_name() {
    for (line, message) in [
        ("delete", "delete: no name given: launcher delete [--force] NAME"),
        ("delete --force", "delete: no name given: launcher delete [--force] NAME"),
        ("delete ../x", "delete: not the name of a container: ../x"),
        ("delete a b", "delete: not the name of a container: b"),
        ("delete --frobnicate", "delete: not the name of a container: --frobnicate"),
        ("delete no-such-container", "delete no-such-container: there is no container of that name"),
    ] {
        refuses(line, message, "");
    }
}

#[test]
fn a_rootfs_that_is_none_is_named() {
    let temp = Temp::new();
    let file = temp.0.join("file");
    std::fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let message = "step 1: enter the rootfs /nowhere/at/all: No such file or directory (ENOENT)";
    refuses("--rootfs /nowhere/at/all sh", message, "");
    let message = format!("step 1: enter the rootfs {file}/x: Not a directory (ENOTDIR)");
    refuses(&format!("--rootfs {file}/x sh"), &message, "");
    let message = format!("step 1: open the image {file}: it is no folder, and no image");
    refuses(
        &format!("--rootfs {file} sh"),
        &message,
        "--rootfs takes an unpacked folder, or a file with squashfs, erofs or ext4",
    );
    complaint("--rootfs=", run_line("--rootfs= sh"), 125);
}

#[test]
fn what_follows_the_program_is_the_programs() {
    for line in [
        "echo --rootfs /nowhere -m x",
        "echo -l --help --version",
        "-- echo --dry-run -- -g",
        "-s -- echo run",
        "init echo --frobnicate",
    ] {
        let own = line.split_once("echo ").unwrap().1;
        let finished = run_line(line).expect(0);
        assert_eq!((finished.out.trim_end(), finished.err.as_str()), (own, ""), "launcher {line}");
    }
}

#[test]
fn the_plan_is_printed_and_nothing_is_made() {
    let name = format!("cli-dry-run-{}", std::process::id());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let words =
        ["--rootfs", "/", "--name", &name, "--hostname", "box", "--dry-run", "--", "/no/such/program"];
    for mut command in [launcher(words), launcher_as_user(words)] {
        let finished = run(&mut command).expect(0);
        assert_eq!(finished.err, "");
        for (number, line) in finished.out.lines().enumerate() {
            let mut parts = line.split_whitespace();
            assert_eq!(parts.next(), Some((number + 1).to_string().as_str()), "{line}");
            assert!(matches!(parts.next(), Some("host" | "init" | "entrypoint")), "{line}");
        }
        let at =
            |text: &str| finished.out.find(text).unwrap_or_else(|| panic!("no {text} in\n{}", finished.out));
        assert!(at("clone") < at("set the hostname to box"));
        assert!(at("set the hostname to box") < at("pivot_root"));
        assert!(at("pivot_root") < at("execute /no/such/program"));
    }
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    assert_eq!(cgroups_named(&name), Vec::<std::path::PathBuf>::new());
}

#[test]
fn the_plan_names_the_cgroup_and_does_not_make_it() {
    require!(root);
    let name = format!("cli-dry-limit-{}", std::process::id());
    let finished = run(&mut launcher(["-m", "32m", "--name", &name, "--dry-run", "sh"])).expect(0);
    let made = finished
        .out
        .lines()
        .find_map(|line| line.split_once("make cgroup "))
        .map(|(_, path)| path.to_owned());
    let made = made.unwrap_or_else(|| panic!("no cgroup in\n{}", finished.out));
    assert!(made.starts_with("/sys/fs/cgroup/") && made.ends_with(&name), "{made}");
    assert!(finished.out.contains("33554432"), "{}", finished.out);
    assert!(finished.out.contains(&format!("attach to {made}")), "{}", finished.out);
    assert_eq!(cgroups_named(&name), Vec::<std::path::PathBuf>::new());
}

#[test]
fn printing_a_plan_only_reads() {
    require!(strace);
    let temp = Temp::new();
    let log = temp.0.join("log");
    let mut strace = std::process::Command::new("strace");
    let dry_run = ["--rootfs", "/", "--ephemeral", "-m", "32m", "--userns", "new", "--dry-run", "--", "sh"];
    run(strace.args(["-f", "-y", "-o"]).arg(&log).arg(launcher_path()).args(dry_run)).expect(0);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.contains("/mountinfo"), "strace saw nothing: {log}");
    let changes = [
        " write(", "O_WRONLY", "O_RDWR", "O_CREAT", "mkdir", "mount(", "clone", "fork", "unshare(", "setns(",
        "kill(",
    ];
    for line in log.lines().filter(|line| !line.contains(" write(1<") && !line.contains(" execve(")) {
        assert!(!changes.iter().any(|change| line.contains(change)), "{line}");
    }
}

#[test]
fn output_that_cannot_be_written_is_an_error() {
    for line in ["--help", "--version", "--license", "--rootfs / --dry-run sh"] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let mut command = launcher(line.split_whitespace());
        let child = command.stdout(full).stderr(std::process::Stdio::piped()).spawn().unwrap();
        let said = complaint(line, common::finish(child), 125);
        assert_eq!(said.0, "write to standard output: No space left on device (ENOSPC)", "{line}");
    }
}

#[test]
fn a_long_message_is_cut_before_what_it_ends_with() {
    let long = "x".repeat(5000);
    let finished = run(&mut launcher([format!("--{long}")])).expect(125);
    let (first, hint) = finished.err.split_once('\n').unwrap();
    assert!(first.starts_with("launcher: unknown option --xxxx") && first.ends_with("xx..."), "{first}");
    assert!(
        first.len() < 700 && hint.starts_with("  hint: launcher --help") && hint.ends_with("--\n"),
        "{hint}"
    );
}

#[test]
fn words_that_are_not_text_are_refused_where_text_is_wanted() {
    use std::os::unix::ffi::OsStrExt;
    let raw = std::ffi::OsStr::from_bytes;
    for words in [
        [b"--name".as_slice(), b"\xff", b"sh"],
        [b"--mem\xff".as_slice(), b"1m", b"sh"],
        [b"-e".as_slice(), b"\xff", b"sh"],
    ] {
        let finished = run(&mut launcher(words.map(raw)));
        complaint("not UTF-8", finished, 125);
    }
}
