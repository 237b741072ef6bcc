//! What the words for the init of a machine become.

use std::path::Path;

use super::*;

/// The words of what was said.
fn words(read: impl FnOnce(&mut Said)) -> String {
    let mut said = Said::default();
    read(&mut said);
    said.words().join(OsStr::new("|")).into_string().unwrap()
}

/// The board of a line of words.
fn board(line: &'static str) -> Result<(Board, Command)> {
    let mut board = Board::DEFAULT;
    let words = parse(line.split(' ').map(OsStr::new).collect(), &mut board)?;
    Ok((board, super::super::parse(words, &[])?))
}

#[test]
fn the_command_line_is_read_by_the_kernels_rules() {
    let line = "console=ttyS0 launcher.rootfs=/r single launcher.tty launcher.read-only=1 launcher.privileged=0 \
                launcher.hostname=\"a b\" -- /app --flag k=v \"two words\"\n";
    assert_eq!(
        words(|said| said.read_command_line(line)),
        "--rootfs=/r|--tty|--read-only|--hostname=a b|--|/app|--flag|k=v|two words"
    );
    assert_eq!(words(|said| said.read_command_line("quiet -- ")), "");
    let quoted = "\"launcher.name=a b\" launcher.env=\"c d\" -- a\"b c\"d \"e f\"g \"\"\n";
    assert_eq!(words(|said| said.read_command_line(quoted)), "--name=a b|--env=c d|--|a\"b c\"d|e f\"g|");
    assert_eq!(
        words(|said| said.read_command_line("launcher. launcher.=1 -- /app")),
        "--launcher.|--launcher.=1|--|/app"
    );
}

#[test]
fn the_file_has_an_option_a_line() {
    let text =
        "# board\n\nmemory=64m\n launcher.tty=1 \n--on-exit=reboot\n-- /app \"a b\"\nread-only\n# a remark\n";
    assert_eq!(
        words(|said| said.read_file(text)),
        "--memory=64m|--tty|--on-exit=reboot|--read-only|--|/app|a b"
    );
    assert_eq!(words(|said| said.read_file("--\n/app\nc d\n# no remark\n\n")), "--|/app|c d|# no remark|");
}

#[test]
fn what_is_said_later_is_stronger_and_one_program_is_enough() {
    let all = words(|said| {
        said.read_file("memory=1m\n-- /file");
        said.read_command_line("launcher.memory=2m -- /line");
        said.read_arguments(&["--memory=3m".as_ref(), "--".as_ref(), "/argument".as_ref()]);
    });
    assert_eq!(all, "--memory=1m|--memory=2m|--memory=3m|--|/argument");
    let flags = words(|said| {
        said.read_file("privileged\nread-only\n");
        said.read_command_line("launcher.privileged=0");
    });
    assert_eq!(flags, "--read-only");
}

#[test]
fn boot_words_count_before_the_program() {
    for (line, want) in [
        ("quiet", None),
        ("launcher.boot=1", Some(true)),
        ("launcher.boot", Some(true)),
        ("launcher.boot=1 launcher.boot=0 x", Some(false)),
        ("launcher.boot=maybe launcher.boots", None),
        ("-- launcher.boot=1", None),
    ] {
        assert_eq!(boot_word(line), want, "{line}");
    }
}

#[test]
fn the_kernels_arguments_stand_on_its_command_line() {
    let line = "console=ttyS0 single -- /app --flag \"two words\"";
    for (arguments, want) in [
        (&["single", "/app", "--flag", "two words"][..], true),
        (&[], true),
        (&["--rootfs", "/r", "--", "/app"], false),
    ] {
        let arguments: Vec<_> = arguments.iter().map(OsStr::new).collect();
        assert_eq!(are_the_kernels(&arguments, line), want, "{arguments:?}");
    }
}

#[test]
fn the_machines_options_are_told_from_the_containers() {
    let line = "--root=/dev/vda --root-overlay=tmpfs --memory 64m --restart=on-failure:5/60s --on-exit=reboot \
                --on-fail=exec:/sbin/init --watchdog=/dev/watchdog0:20 --exit-port=0xf4 --stop-timeout=2.5 -- /app -x";
    let (board, command) = board(line).unwrap();
    let root = board.root;
    assert_eq!((root.source, root.overlay, root.patience), ("/dev/vda", Some(Upper::Tmpfs), 10_000));
    assert_eq!(board.restart, Restart { when: When::Failed, limit: Some((5, 60_000)) });
    assert_eq!((board.on_exit, board.on_fail), (Action::Reboot, Some(Action::Exec(&"/sbin/init"))));
    assert_eq!((board.exit_port, board.grace), (Some(0xf4), 2500));
    let Command::Run(run) = command else { panic!("a container") };
    assert_eq!((run.spec.rootfs, run.spec.resources.memory), (Some(Path::new("/")), Some(64 << 20)));
    assert_eq!(run.spec.process.args, ["/app", "-x"]);
}

#[test]
fn without_a_container_the_options_are_inits() {
    let (board, command) = board("--container=0 --wait-all=1 --user=5 -- /app").unwrap();
    let Command::Init(init) = command else { panic!("init") };
    assert!(!board.in_container && init.options.wait_all.is_some() && init.process.user.is_some());
    assert!(board_fails("--container=0 --memory=1m -- /app").contains("--memory"));
    assert!(board_fails("--wait-all -- /app").contains("--wait-all"));
}

#[test]
fn what_becomes_of_the_machine_is_known_whatever_else_is_wrong() {
    for line in [
        "--on-exit=explode --on-fail=reboot -- /app",
        "--memroy=1m --on-fail reboot -- /app",
        "--on-fail=reboot",
    ] {
        let mut board = Board::DEFAULT;
        assert!(parse(line.split(' ').map(OsStr::new).collect(), &mut board).is_err(), "{line}");
        assert_eq!(board.on_fail, Some(Action::Reboot), "{line}");
    }
}

/// Why a line is refused.
fn board_fails(line: &'static str) -> String {
    board(line).unwrap_err().to_string()
}

#[test]
fn nonsense_is_named() {
    for line in [
        "--on-exit=explode -- /app",
        "--on-exit=exec:init -- /app",
        "--restart=sometimes -- /app",
        "--restart=no:1/1s -- /app",
        "--restart=always:0/5s -- /app",
        "--restart=always:5 -- /app",
        "--watchdog=watchdog0 -- /app",
        "--watchdog=/dev/watchdog0:0 -- /app",
        "--exit-port=0x1ffff -- /app",
        "--root=vda -- /app",
        "--root-mode=rx -- /app",
        "--root-wait=soon -- /app",
        "--container=2 -- /app",
        "--boot=2 -- /app",
        "--stop-signal=NONE -- /app",
        "--health-retries=0 -- /app",
        "--output=5 -- /app",
    ] {
        let name = line.split('=').next().unwrap();
        assert!(board_fails(line).starts_with(name), "{line}: {}", board_fails(line));
    }
    for line in ["--root-mode=rw -- /app", "--health-retries=1 -- /app"] {
        assert!(board_fails(line).contains("need"), "{line}: {}", board_fails(line));
    }
    assert!(board_fails("--boot=1 --boot=0 -- /app").starts_with("--boot 0"));
    assert!(board("--boot=0 --boot=1 -- /app").is_ok(), "the last one counts");
    assert!(!board("--container 0 -- /app").unwrap().0.in_container);
    assert!(board_fails("--root=/dev/vda").starts_with("no program given"));
}
