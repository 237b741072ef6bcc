//! Every step made to fail: one line that names the step, status 125, and nothing left of it. strace(1) is the saboteur.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::process::Command;

use common::{
    Finished, Rootfs, Temp, as_user, cgroups_named, eventually, inside, launcher, launcher_as_user,
    launcher_path, mountinfo, mounts, processes_with, run,
};

/// A container to be spoilt.
struct Scenario {
    rootfs: Rootfs,
    log: Temp,
    /// Its name: what is left of it has that somewhere.
    name: &'static str,
    is_user: bool,
    options: &'static [&'static str],
}

impl Scenario {
    fn new(name: &'static str, is_user: bool, options: &'static [&'static str]) -> Self {
        let rootfs = if is_user { Rootfs::for_user() } else { Rootfs::new() };
        let log = Temp::new();
        fs::set_permissions(&log.0, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        Self { rootfs, log, name, is_user, options }
    }

    /// The words for launcher; the command prints what the container is like and makes hardly a call of its own.
    fn words(&self, more: &[&'static str]) -> Vec<&str> {
        let fixed = ["--rootfs", self.rootfs.arg(), "--name", self.name];
        let command = ["--", "busybox", "cat", "/proc/self/mountinfo", "/proc/self/status"];
        [&fixed[..], self.options, more, &command].concat()
    }

    /// The lines of `--dry-run`, without numbers and actors.
    fn plan(&self) -> Vec<String> {
        let words = self.words(&["--dry-run"]);
        let mut command = if self.is_user { launcher_as_user(&words) } else { launcher(&words) };
        let text = |line: &str| line.get(17..).unwrap_or_default().to_owned();
        run(&mut command).expect(0).out.lines().map(text).collect()
    }

    /// Runs it with one fault; `None` if nothing was there to spoil.
    fn spoilt(&self, fault: &str) -> Option<Finished> {
        let log = self.log.0.join("log");
        fs::remove_file(&log).ok();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-e", &format!("inject={fault}"), "-o"]).arg(&log).arg("--");
        command.arg(launcher_path()).args(self.words(&[])).stdin(std::process::Stdio::null());
        let finished = run(&mut if self.is_user { as_user(command) } else { command });
        // Init may be gone before strace has written its last line; what was spoilt was there before.
        let text = fs::read_to_string(&log).unwrap_or_default();
        let was_spoilt = text.contains("(INJECTED)") || text.contains("+++ killed by SIGKILL");
        was_spoilt.then_some(finished)
    }

    /// What is wrong with the way in which a run ended.
    fn complaints(
        &self,
        fault: &str,
        plan: &[String],
        healthy: &[String],
        finished: &Finished,
    ) -> Vec<&'static str> {
        let mut wrong = Vec::new();
        let mut must = |holds: bool, why| {
            if !holds {
                wrong.push(why);
            }
        };
        must(cgroups_named(self.name).is_empty(), "a cgroup is left");
        must(processes_with(self.name).is_empty(), "a process is left");
        if finished.status == 0 {
            must(facts(finished) == healthy, "it ran, and not as it should");
            return wrong;
        }
        must(matches!(finished.status, 125..=127), "the status");
        // The parent hears of a command that runs by the very calls that were spoilt.
        must(finished.out.is_empty() || fault.starts_with("recvfrom"), "the command ran");
        must(finished.err.matches("launcher: ").count() == 1, "not exactly one message");
        must(finished.err.lines().count() <= 2, "more than a line and a hint");
        if let Some(rest) = finished.err.strip_prefix("launcher: step ") {
            let (number, text) = rest.split_once(": ").unwrap_or_default();
            let line = number.parse::<usize>().ok().and_then(|number| plan.get(number.checked_sub(1)?));
            must(
                line.is_some_and(|line| text.starts_with(&**line)),
                "not the words of that step in --dry-run",
            );
        }
        wrong
    }

    /// Makes each of `calls` fail at each place where it is made, with each of these errors, one at a time.
    #[track_caller]
    fn sweep(&self, calls: &[&str], errors: &[&str]) {
        let (plan, before) = (self.plan(), mountinfo());
        let healthy = facts(&run(&mut launcher_like(self)).expect(0));
        let mut wrong = Vec::new();
        for call in calls {
            for error in errors {
                let places = (1..MOST).map_while(|place| {
                    let fault = format!("{call}:error={error}:when={place}");
                    self.spoilt(&fault).map(|finished| (fault, finished))
                });
                let mut count = 0;
                for (fault, finished) in places {
                    count += 1;
                    let complaints = self.complaints(&fault, &plan, &healthy, &finished);
                    if !complaints.is_empty() {
                        wrong.push(format!(
                            "{fault}: {complaints:?}: status {}: {}",
                            finished.status, finished.err
                        ));
                    }
                }
                assert!((1..MOST - 1).contains(&count), "{call} was spoilt {count} times: is it still made?");
            }
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        assert_eq!(mountinfo(), before);
    }
}

/// More often no call is made on the way.
const MOST: usize = 120;

/// The scenario unspoilt.
fn launcher_like(scenario: &Scenario) -> Command {
    let words = scenario.words(&[]);
    if scenario.is_user { launcher_as_user(words) } else { launcher(words) }
}

/// What a container is like: its mounts, and of its status what launcher sets.
fn facts(finished: &Finished) -> Vec<String> {
    let (mountinfo, status): (Vec<_>, Vec<_>) = finished.out.lines().partition(|line| line.contains(" - "));
    let names = [
        "Uid",
        "Gid",
        "Groups",
        "SigBlk",
        "SigIgn",
        "CapInh",
        "CapPrm",
        "CapEff",
        "CapBnd",
        "CapAmb",
        "NoNewPrivs",
    ];
    let is_ours = |line: &&str| names.iter().any(|name| line.split(':').next() == Some(*name));
    let mut all = mounts(&mountinfo.join("\n"));
    all.extend(status.into_iter().filter(is_ours).map(str::to_owned));
    all
}

/// What the kernel says when it will not, when a security module will not, and when it has nothing left.
const ERRORS: &[&str] = &["EPERM", "EACCES", "ENOMEM"];

/// Everything that root can ask for at once.
const FULL: &[&str] = &[
    "-m",
    "64m",
    "--pids-limit",
    "30",
    "--read-only",
    "-w",
    "/srv",
    "-u",
    "5:5",
    "--ulimit",
    "nofile=64:64",
    "--time-offset",
    "boottime=+1d",
    "--ipc",
    "ns:/proc/self/ns/ipc",
];

/// A scenario of root's with all that, for calls that come up in it.
fn full(name: &'static str) -> Scenario {
    Scenario::new(name, false, FULL)
}

#[test]
fn mounts_that_fail() {
    require!(root, busybox, memory_v1, strace);
    full("errors-mount").sweep(&["mount", "umount2", "pivot_root", "mount_setattr"], ERRORS);
}

#[test]
fn handles_that_fail() {
    require!(root, busybox, memory_v1, strace);
    full("errors-handle").sweep(&["openat2", "open_tree", "move_mount", "fstatfs"], ERRORS);
}

#[test]
fn folders_and_devices_that_fail() {
    require!(root, busybox, memory_v1, strace);
    let calls = ["mkdirat", "mknodat", "symlinkat", "unlinkat", "fchdir", "chdir", "mkdir"];
    full("errors-folder").sweep(&calls, ERRORS);
}

#[test]
fn ids_and_rights_that_fail() {
    require!(root, busybox, memory_v1, strace);
    let calls = ["capset", "setgroups", "setgid", "setuid", "capget"];
    full("errors-ids").sweep(&calls, ERRORS);
    full("errors-prctl").sweep(&["prctl"], &["EPERM"]);
}

#[test]
fn namespaces_and_names_that_fail() {
    require!(root, busybox, memory_v1, strace);
    let calls = ["unshare", "setns", "sethostname", "clone3,clone", "ioctl", "socket"];
    full("errors-namespace").sweep(&calls, ERRORS);
}

#[test]
fn the_wires_between_the_processes_that_fail() {
    require!(root, busybox, memory_v1, strace);
    let calls = ["socketpair", "rt_sigtimedwait", "poll", "recvfrom", "sendto", "close_range"];
    full("errors-wire").sweep(&calls, ERRORS);
}

#[test]
fn files_of_cgroups_that_fail() {
    require!(root, busybox, memory_v1, strace);
    // musl's open(2); the command, linked with glibc, has openat(2) only.
    full("errors-cgroup").sweep(&["open"], ERRORS);
}

#[test]
fn a_throw_away_rootfs_that_fails() {
    require!(root, busybox, strace);
    let calls = [
        "fsopen",
        "fsconfig",
        "fsmount",
        "mount",
        "open_tree",
        "move_mount",
        "mkdirat",
        "mkdir",
        "symlinkat",
    ];
    Scenario::new("errors-ephemeral", false, &["--ephemeral"]).sweep(&calls, &["EPERM", "ENOMEM"]);
}

#[test]
fn rootless_steps_that_fail() {
    require!(root, busybox, strace);
    let calls = [
        "mount",
        "pivot_root",
        "openat2",
        "open_tree",
        "move_mount",
        "setresuid",
        "setresgid",
        "capset",
        "open",
    ];
    Scenario::new("errors-rootless", true, &[]).sweep(&calls, &["EACCES", "ENOMEM"]);
}

#[test]
fn a_program_that_cannot_be_executed_is_126_or_127() {
    require!(root, busybox, memory_v1, strace);
    let scenario = full("errors-exec");
    // The first execve is launcher's own, or the first place of PATH; the error meets all that follow.
    for (error, status) in
        [("EACCES", 126), ("ENOENT", 127), ("ENOMEM", 126), ("EPERM", 126), ("E2BIG", 126), ("ETXTBSY", 126)]
    {
        let finished = scenario.spoilt(&format!("execve:error={error}:when=2+")).unwrap().expect(status);
        assert!(finished.err.starts_with("launcher: execute "), "{error}: {}", finished.err);
        assert!(finished.err.contains(error), "{error}: {}", finished.err);
        assert_eq!(scenario.complaints("", &[], &[], &finished), Vec::<&str>::new(), "{error}: {finished:?}");
    }
}

#[test]
fn what_is_wrong_with_a_program_is_said() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let put = |name: &str, content: &[u8], mode| {
        let path = rootfs.path().join("bin").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    };
    put("plain", b"#!/bin/sh\necho ran\n", 0o644);
    put("windows", b"#!/bin/sh\r\necho ran\r\n", 0o755);
    put("lost", b"#!/bin/python\n", 0o755);
    put("damaged", b"\x7fELF and no more", 0o755);
    for (program, status, words) in [
        ("/nonexistent", 127, "execute /nonexistent: No such file or directory (ENOENT)"),
        ("nonexistent", 127, "execute nonexistent: No such file or directory (ENOENT)"),
        ("/bin/plain/x", 127, "execute /bin/plain/x: Not a directory (ENOTDIR)"),
        ("/bin", 126, "execute /bin: Permission denied (EACCES)"),
        ("/bin/plain", 126, "x bit"),
        ("plain", 126, "/bin/plain"),
        ("/bin/windows", 127, "Windows line ends"),
        ("/bin/lost", 127, "its interpreter /bin/python"),
        ("/bin/damaged", 126, "/bin/damaged"),
    ] {
        let finished = run(&mut launcher(["--rootfs", rootfs.arg(), "--", program])).expect(status);
        assert!(
            finished.err.starts_with("launcher: execute ") && finished.err.contains(words),
            "{}",
            finished.err
        );
        assert_eq!(finished.err.matches("launcher: ").count(), 1, "{}", finished.err);
    }
    // A script without a first line is the shell's.
    put("bare", b"echo ran $1\n", 0o755);
    let finished = run(&mut launcher(["--rootfs", rootfs.arg(), "--", "bare", "well"])).expect(0);
    assert_eq!(finished.out, "ran well\n");
}

#[test]
fn a_rootfs_that_is_none_is_refused() {
    require!(root, busybox);
    for (path, words) in [
        ("/nonexistent", "/nonexistent: No such file or directory (ENOENT)"),
        ("/etc/passwd", "/etc/passwd: it is no folder, and no image"),
        ("", "--rootfs needs the name of a folder"),
    ] {
        let finished = run(&mut launcher(["--rootfs", path, "--", "true"])).expect(125);
        assert!(finished.err.contains(words), "{path}: {}", finished.err);
    }
    // One that launcher's caller may not enter, or of which it sees nothing.
    let rootfs = Rootfs::new();
    fs::set_permissions(rootfs.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let finished = run(&mut launcher_as_user(["--rootfs", rootfs.arg(), "--", "true"])).expect(125);
    assert!(finished.err.contains(rootfs.arg()) && finished.err.contains("EACCES"), "{}", finished.err);
}

#[test]
fn a_process_that_is_killed_half_way_leaves_what_delete_can_find() {
    require!(root, busybox, memory_v1, strace);
    let scenario = full("errors-killed");
    let before = mountinfo();
    let mut count = 0;
    for call in [
        "mkdir",
        "chdir",
        "socketpair",
        "clone3",
        "sendto",
        "recvfrom",
        "mount",
        "pivot_root",
        "unshare",
        "capset",
        "setuid",
    ] {
        // Each is made by the parent or by the child, or by both: so many that the interesting places are among them.
        for place in 1..4 {
            let fault = format!("{call}:signal=KILL:when={place}");
            let Some(finished) = scenario.spoilt(&fault) else { break };
            assert_ne!(finished.status, 0, "{fault}: {finished:?}");
            count += 1;
            eventually("nobody is left", || processes_with("errors-killed").is_empty());
            run(&mut launcher(["delete", "--force", "errors-killed"])).expect(0);
            assert!(cgroups_named("errors-killed").is_empty(), "{fault}");
        }
    }
    assert!(count > 10, "{count} kills");
    assert_eq!(mountinfo(), before);
    inside(&scenario.rootfs, &["--name", "errors-killed", "-m", "64m"], "true").expect(0);
}
