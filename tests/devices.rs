//! Which devices may be opened, by the devices hierarchy of cgroup v1 and, where that is not mounted, by a program at a cgroup
//! of the unified one; tests/vm does the latter on another kernel.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::{
    Finished, Rootfs, Running, Temp, cgroups_named, inside, launcher, launcher_as_user, launcher_path, run,
};

/// Major number of devices that no kernel has: where the open is allowed there is ENXIO.
const NOBODY: &str = "4000";
/// The same as a shell says it.
const ALLOWED: &str = "No such device or address\n";
/// What a shell says where it is not.
const REFUSED: &str = "Operation not permitted\n";

/// Makes a node of the host's that everybody may open.
fn make_node(folder: &Temp, kind: &str, minor: &str) -> String {
    let path = folder.0.join(kind).display().to_string();
    run(Command::new("mknod").args(["-m", "666", &path, kind, NOBODY, minor])).expect(0);
    path
}

/// A script that opens files in these ways and says what came of each.
fn open(ways: &[&str]) -> String {
    ways.iter().fold(String::new(), |script, way| {
        let say = "sed 's/.*: //' /tmp/err; echo -n >/tmp/err";
        format!("{script} (exec 2>/tmp/err; exec 3{way}); {say};")
    })
}

/// What [`open`] prints where each is allowed or not.
fn answers(allowed: &[bool]) -> String {
    allowed.iter().map(|is_allowed| if *is_allowed { ALLOWED } else { REFUSED }).collect()
}

/// A command that runs launcher where the devices hierarchy is not mounted; words of `before` come before it.
fn unified(before: &[&str]) -> Command {
    let mut command = Command::new("unshare");
    let script = "umount /sys/fs/cgroup/devices && exec \"$@\"";
    command.args(["--mount", "--propagation", "private", "sh", "-c", script, "sh"]).args(before);
    command.arg(launcher_path());
    command
}

/// Runs a script in a container, by one interface or the other, and makes sure that no cgroup of it stays.
#[track_caller]
fn inside_by(is_unified: bool, rootfs: &Rootfs, options: &[&str], script: &str) -> Finished {
    let mut command = if is_unified { unified(&[]) } else { Command::new(launcher_path()) };
    let name = format!("{}-by", rootfs.path().file_name().unwrap().to_str().unwrap()); // of this test alone
    command.args(["--name", &name, "--rootfs", rootfs.arg()]).args(options);
    let finished = run(command.args(["--", "sh", "-c", script]));
    assert_eq!(cgroups_named(&name), Vec::<PathBuf>::new(), "{options:?} {finished:?}");
    finished
}

#[test]
fn a_device_is_given_for_what_was_said() {
    require!(root, busybox, hybrid, unshare);
    let (rootfs, temp) = (Rootfs::new(), Temp::new());
    let mapped = ["--uidmap", "0:100000:65536", "--tmpfs", "/tmp"];
    for (kind, modes, want) in [
        ("c", ":r", [true, false, false]),
        ("c", ":w", [false, true, false]),
        ("c", ":rw", [true, true, true]),
        ("c", ":mr", [true, false, false]),
        ("c", ":m", [false, false, false]),
        ("b", ":r", [true, false, false]),
        ("c", "", [true, true, true]),
    ] {
        let node = Temp::new();
        let path = make_node(&node, kind, "7");
        let device = format!("{path}:/dev/given{modes}");
        for (is_unified, more) in [
            (false, &["--tmpfs", "/tmp"][..]),
            (false, &mapped),
            (true, &["--tmpfs", "/tmp"]),
            (true, &mapped),
        ] {
            // Whole ones are in the list too, if there is one.
            let rule = ["--device", &device, "--device-cgroup-rule", "c 4000:9 r"];
            let options = [&rule[..if modes.is_empty() { 4 } else { 2 }], more].concat();
            let script = open(&["</dev/given", ">/dev/given", "<>/dev/given"]);
            let finished = inside_by(is_unified, &rootfs, &options, &script).expect(0);
            assert_eq!(finished.out, answers(&want), "{is_unified} {options:?}");
        }
    }
    // Docker's form without a place.
    let path = make_node(&temp, "c", "8");
    let script = open(&[&format!("<{path}"), &format!(">{path}")]);
    let options = ["--tmpfs", "/tmp", "--device", &format!("{path}:r")];
    assert_eq!(inside(&rootfs, &options, &script).expect(0).out, answers(&[true, false]));
}

#[test]
fn who_can_make_nodes_can_open_the_usual_ones_and_what_is_allowed() {
    require!(root, busybox, hybrid, unshare);
    let rootfs = Rootfs::new();
    let nodes = "cd /dev; busybox mknod c7 c 4000 7; busybox mknod c8 c 4000 8; busybox mknod b7 b 4000 7;";
    let script = format!("{nodes} {}", open(&["<c7", ">c7", "<>c7", "<c8", "<b7"]));
    for (rules, want) in [
        (&[][..], [false; 5]),
        (&["c 4000:7 r"], [true, false, false, false, false]),
        (&["c 4000:7 r", "c 4000:7 w"], [true, true, true, false, false]),
        (&["c 4000:* rw"], [true, true, true, true, false]),
        (&["c *:8 r"], [false, false, false, true, false]),
        (&["b *:* rwm"], [false, false, false, false, true]),
        (&["a 4000:7 r"], [true, false, false, false, true]),
        (&["a *:* rwm"], [true; 5]),
        (&["a 1:1 m"], [false; 5]),
    ] {
        let caps = [&["--cap-add", "MKNOD"][..], &["--cap-add", "ALL", "-m", "64m"]];
        for (is_unified, caps) in [(false, caps[0]), (false, caps[1]), (true, caps[0]), (true, caps[1])] {
            let mut options = [caps, &["--tmpfs", "/tmp"]].concat();
            for rule in rules {
                options.extend(["--device-cgroup-rule", rule]);
            }
            let finished = inside_by(is_unified, &rootfs, &options, &script).expect(0);
            assert_eq!(finished.out, answers(&want), "{is_unified} {options:?}");
        }
    }
    // These are usual; and a terminal works.
    let script = "cd /tmp; busybox mknod -m 666 zero c 1 5; head -c 3 /dev/zero zero | wc -c; tty; echo >/dev/ptmx; \
        for name in null full random urandom tty; do : <>/dev/$name || echo $name; done";
    let options = ["--cap-add", "MKNOD", "-t", "--mount", "type=tmpfs,dst=/tmp,dev"];
    for is_unified in [false, true] {
        let out = inside_by(is_unified, &rootfs, &options, script).expect(0).out;
        assert!(out.contains("/dev/pts/0\r\n") && !out.contains("not permitted"), "{out}");
    }
}

#[test]
fn with_all_rights_all_devices_are_there() {
    require!(root, busybox, devices_v1);
    let rootfs = Rootfs::new();
    let temp = Temp::new();
    let device = format!("{}:/dev/given:r", make_node(&temp, "c", "7"));
    let options = ["--tmpfs", "/tmp", "--privileged", "--device", &device, "--device-cgroup-rule", "c 1:1 r"];
    let finished = inside(&rootfs, &options, &open(&[">/dev/given"])).expect(0);
    assert_eq!(finished.out, ALLOWED);
}

/// Whether `--dry-run` shows a list of devices, and a cgroup.
fn plan(rootfs: &Rootfs, options: &[&str]) -> (bool, bool, String) {
    let words =
        [&["--rootfs", rootfs.arg(), "--name", "dev-plan", "--dry-run"][..], options, &["--", "true"]];
    let out = run(&mut launcher(words.concat())).expect(0).out;
    (out.contains("  allow in "), out.contains("  make cgroup "), out)
}

#[test]
fn the_plan_says_what_is_allowed_and_only_where_it_must() {
    require!(root, busybox, devices_v1);
    let rootfs = Rootfs::new();
    for (options, want) in [
        (&[][..], false),
        (&["--device", "/dev/zero:/dev/y"], false),
        (&["--device", "/dev/zero:/dev/y:rwm"], false),
        (&["--device", "/dev/zero:/dev/y:rw"], true),
        (&["--device-cgroup-rule", "b 8:* r"], true),
        (&["--cap-add", "mknod"], true),
        (&["--ambient", "mknod"], true),
        (&["--cap-add", "ALL", "--cap-drop", "MKNOD"], false),
        (&["--cap-add", "mknod", "--uidmap", "0:100000:65536"], false),
        (&["--cap-add", "mknod", "--privileged"], false),
        (&["--security-opt", "seccomp=unconfined"], false),
        (&["--cap-add", "SYS_ADMIN"], false),
    ] {
        let (list, cgroup, out) = plan(&rootfs, options);
        assert_eq!((list, cgroup), (want, want), "{options:?}: {out}");
    }
    let options =
        ["--device", "/dev/zero:/dev/y:rw", "--device-cgroup-rule", "a 8:* r", "--cgroup-parent", "/p"];
    let (_, _, out) = plan(&rootfs, &options);
    let folder = "/sys/fs/cgroup/devices/p/launcher-dev-plan";
    let lines = [
        "open for: mount the device /dev/zero (rw) on /dev/y (".to_owned(),
        format!("make cgroup {folder}\n"),
        format!("allow in {folder} of all devices the usual ones and those given, c 8:* r, b 8:* r\n"),
        "clone ".to_owned(),
        format!("attach to {folder}\n"),
    ];
    let places: Vec<_> =
        lines.iter().map(|line| out.find(line).unwrap_or_else(|| panic!("{line}{out}"))).collect();
    assert!(places.is_sorted(), "{out}");
    assert!(cgroups_named("dev-plan").is_empty());
}

#[test]
fn only_the_machines_root_can_limit_devices() {
    require!(root, busybox, devices_v1, unshare);
    let rootfs = Rootfs::for_user();
    for option in [["--device", "/dev/zero:/dev/y:r"], ["--device-cgroup-rule", "c 4000:7 r"]] {
        let words = ["--name", "dev-user", "--rootfs", rootfs.arg(), option[0], option[1]];
        let finished = run(launcher_as_user(words).args(["--", "true"])).expect(125);
        let want = "launcher: limit devices\n  hint: only the machine's root can limit devices: ";
        assert!(finished.err.starts_with(want), "{}", finished.err);
        // Root of a user namespace: the kernel's word.
        let mut command = Command::new("unshare");
        let finished =
            run(command.args(["-U", "-r", "-m"]).arg(launcher_path()).args(words).args(["--", "true"]))
                .expect(125);
        let want = "forbid all: Operation not permitted (EPERM)\n  hint: only the machine's root";
        assert!(finished.err.contains(want), "{}", finished.err);
        assert_eq!(cgroups_named("dev-user"), Vec::<PathBuf>::new());
    }
    // Whole devices are a user's business.
    let words =
        ["--rootfs", rootfs.arg(), "--device", "/dev/zero:/dev/y", "--cap-add", "MKNOD", "--", "true"];
    run(&mut launcher_as_user(words)).expect(0);
}

/// A cgroup of the devices controller that goes with the test.
struct Parent(PathBuf);

impl Parent {
    fn new(name: &str, rules: &[&str]) -> Self {
        let parent = Self(Path::new("/sys/fs/cgroup/devices").join(name));
        fs::create_dir(&parent.0).unwrap();
        fs::write(parent.0.join("devices.deny"), "a").unwrap();
        for rule in rules {
            fs::write(parent.0.join("devices.allow"), rule).unwrap();
        }
        parent
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        fs::remove_dir(&self.0).ok();
    }
}

#[test]
fn what_the_cgroup_above_denies_stays_denied() {
    require!(root, busybox, devices_v1);
    let rootfs = Rootfs::new();
    let _parent = Parent::new("launcher-test-above", &["c *:* m", "b *:* m", "c 1:3 rwm", "c 4000:7 r"]);
    let run_below = |rule: &str| {
        let words =
            ["--name", "dev-below", "--cgroup-parent", "/launcher-test-above", "--device-cgroup-rule", rule];
        let script = format!("busybox mknod /dev/n c 4000 7; {}", open(&["</dev/n", "</dev/zero"]));
        let finished =
            inside(&rootfs, &[&words[..], &["--tmpfs", "/tmp", "--cap-add", "MKNOD"]].concat(), &script);
        assert_eq!(cgroups_named("dev-below"), Vec::<PathBuf>::new(), "{finished:?}");
        finished
    };
    // The usual ones that nobody asked for are gone without a word.
    assert_eq!(run_below("c 4000:7 r").expect(0).out, answers(&[true, false]));
    for rule in ["c 4000:7 rw", "c 4000:* r", "b 4000:7 r", "a *:* rwm"] {
        let finished = run_below(rule).expect(125);
        let want = ": Operation not permitted (EPERM)\n  hint: the cgroup above does not allow it either\n";
        assert!(finished.err.contains("allow in /sys/fs/cgroup/devices/"), "{}", finished.err);
        assert!(finished.err.ends_with(want), "{rule}: {}", finished.err);
    }
}

#[test]
fn nothing_is_left_after_a_failure_or_a_kill() {
    require!(root, busybox, devices_v1);
    let rootfs = Rootfs::new();
    let start = ["--rootfs", rootfs.arg(), "--name", "dev-left", "--device-cgroup-rule", "c 4000:7 r"];
    for (words, status) in [
        (&["--", "/nonexistent"][..], 127),
        (&["--device", "/dev/no-such", "--", "true"], 125),
        (&["--device", "/etc/passwd:/dev/x:r", "--", "true"], 125),
        (&["--cpuset-cpus", "4000", "--", "true"], 125),
    ] {
        run(launcher(start).args(words)).expect(status);
        assert_eq!(cgroups_named("dev-left"), Vec::<PathBuf>::new(), "{words:?}");
    }
    let mut running = Running::start(launcher(start).args(["--", "/probe", "pause"]));
    running.wait_for("ready");
    assert_eq!(cgroups_named("dev-left"), [Path::new("/sys/fs/cgroup/devices/launcher-dev-left")]);
    running.signal(libc::SIGKILL);
    running.finish().expect(1000 + libc::SIGKILL);
    run(&mut launcher(["delete", "--force", "dev-left"])).expect(0);
    assert_eq!(cgroups_named("dev-left"), Vec::<PathBuf>::new());
}

#[test]
fn what_the_kernel_lacks_is_named() {
    require!(root, busybox, hybrid, unshare, strace);
    let rootfs = Rootfs::new();
    let temp = Temp::new();
    let device = format!("{}:/dev/given:r", make_node(&temp, "c", "7"));
    let program =
        "allow in /sys/fs/cgroup/unified/launcher-dev-lacks of all devices the usual ones and those given: ";
    let old = "\n  hint: the kernel lacks CONFIG_CGROUP_BPF, or is older than 4.15\n";
    let user = "\n  hint: only the machine's root can limit devices: ";
    for (fault, step, end) in [
        ("bpf:error=EINVAL", &*format!("{program}load the program: Invalid argument (EINVAL)"), old),
        ("bpf:error=ENOSYS", &format!("{program}load the program: Function not implemented (ENOSYS)"), old),
        ("bpf:error=EPERM", &format!("{program}load the program: Operation not permitted (EPERM)"), user),
        ("bpf:error=EINVAL:when=2", &format!("{program}attach the program: Invalid argument (EINVAL)"), "\n"),
        ("open_tree:error=ENOSYS", ": Function not implemented (ENOSYS)", "\n"),
        ("open_tree:error=ENOSYS", "open for: mount the device ", "\n"),
    ] {
        let mut command =
            unified(&["strace", "-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={fault}")]);
        command.args(["--name", "dev-lacks", "--rootfs", rootfs.arg(), "--device", &device, "--", "true"]);
        let finished = run(&mut command).expect(125);
        assert!(finished.err.contains(step) && finished.err.contains(end), "{fault}: {}", finished.err);
        assert_eq!(cgroups_named("dev-lacks"), Vec::<PathBuf>::new(), "{fault}");
    }
}
