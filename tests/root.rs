//! A container made by root, seen from inside: what is there, what is not, and what it left outside.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]
#![allow(unsafe_code, reason = "what a caller may do to launcher before it starts")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use common::{
    Finished, Rootfs, Running, Temp, children_of, eventually, inside, launcher, launcher_path,
    look_for_the_old_root, mountinfo, mounts, processes_with, run, snapshot,
};

/// A namespace file as `kind:[inode]`.
fn namespace(of: &str, kind: &str) -> String {
    fs::read_link(format!("/proc/{of}/ns/{kind}")).unwrap().display().to_string()
}

/// The lines of `/proc/self/status` of the command whose names are these, blanks squeezed.
fn status(rootfs: &Rootfs, options: &[&str], names: &str) -> Finished {
    let pattern = format!("^({names}):");
    run(launcher(["--rootfs", rootfs.arg()]).args(options).args([
        "--",
        "busybox",
        "grep",
        "-E",
        &pattern,
        "/proc/self/status",
    ]))
}

/// Has the caller of launcher do something to itself before it becomes launcher: system calls, nothing else.
fn in_child(command: &mut Command, mut act: impl FnMut() -> nix::Result<()> + Send + Sync + 'static) {
    // SAFETY: `act` makes system calls only, in a child that has one thread.
    unsafe { command.pre_exec(move || act().map_err(Into::into)) };
}

/// Capabilities that this root has: a container cannot have more.
fn own_caps() -> u64 {
    let text = fs::read_to_string("/proc/self/status").unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix("CapPrm:")).unwrap();
    u64::from_str_radix(line.trim(), 16).unwrap()
}

/// A container that runs until it is dropped, with the pid of its init.
struct Alive {
    running: Running,
    init: u32,
}

impl Alive {
    fn start(rootfs: &Rootfs, options: &[&str]) -> Self {
        let mut running = Running::start(
            launcher(["--rootfs", rootfs.arg()]).args(options).args(["--", "/probe", "pause"]),
        );
        running.wait_for("ready");
        let init = children_of(running.child.id());
        assert_eq!(init.len(), 1, "the outer launcher has one child");
        Self { running, init: init[0] }
    }

    fn stop(self) {
        self.running.signal(libc::SIGTERM);
        self.running.finish().expect(128 + libc::SIGTERM);
    }
}

#[test]
fn pid_1_is_launcher_and_the_command_its_child() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let script =
        "echo $$ $PPID; cat /proc/1/comm; ls /proc | grep -E '^[0-9]+$' | wc -l; cd /proc; echo [0-9]*";
    let finished = inside(&rootfs, &[], script).expect(0);
    // The shell, and whoever lists: nobody of the host's.
    let lines: Vec<_> = finished.out.lines().collect();
    assert_eq!(lines[..2], ["2 1", "launcher:init"]);
    assert!(lines[2].parse::<u32>().unwrap() <= 5, "{}", finished.out);
    assert_eq!(lines[3], "1 2");
}

#[test]
fn the_hostname_is_the_containers_and_only_there() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let before = nix::unistd::gethostname().unwrap();
    for (options, want) in [
        (&[][..], "launcher"),
        (&["--hostname", "web"], "web"),
        (&["--name", "root-test-c7"], "root-test-c7"),
        (&["--name", "root-test-c8", "-h", "web"], "web"),
    ] {
        let finished = inside(&rootfs, options, "hostname; echo $HOSTNAME").expect(0);
        assert_eq!(finished.out, format!("{want}\n{want}\n"), "{options:?}");
    }
    assert_eq!(nix::unistd::gethostname().unwrap(), before);
    assert_ne!(before, "web");
}

/// What is mounted in every container.
const MOUNTS: [&str; 6] = [
    "/proc proc rw,nosuid,nodev,noexec",
    "/sys sysfs ro,nosuid,nodev,noexec",
    "/dev tmpfs rw,nosuid",
    "/dev/pts devpts rw,nosuid,noexec",
    "/dev/shm tmpfs rw,nosuid,nodev,noexec",
    "/dev/mqueue mqueue rw,nosuid,nodev,noexec",
];

/// What docker makes read-only.
const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What docker masks.
const MASKED: &str = "/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats \
    /proc/sched_debug /proc/scsi /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware";

/// Every mount below `/` of a container, sorted. Of a masked file or folder only the place is told: by what it is
/// covered does not matter, and whether it holds is another test's business.
fn expected_mounts(has_masks: bool) -> Vec<String> {
    let exists = |path: &&str| Path::new(path).exists();
    let mut all: Vec<String> = MOUNTS.map(str::to_owned).to_vec();
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        all.push("/sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec".to_owned()); // nothing on v1
    }
    if has_masks {
        let read_only = READ_ONLY.iter().filter(|path| exists(path));
        all.extend(read_only.map(|path| format!("{path} proc ro,nosuid,nodev,noexec")));
        all.extend(MASKED.split(' ').filter(exists).map(|path| format!("{path} masked")));
    }
    all.sort();
    all
}

/// The mounts of a container: the root's line, and the others as in [`expected_mounts`].
fn found_mounts(rootfs: &Rootfs, options: &[&str]) -> (String, Vec<String>) {
    let mut found = mounts(&inside(rootfs, options, "cat /proc/self/mountinfo").expect(0).out);
    for line in &mut found {
        let target = line.split(' ').next().unwrap().to_owned();
        if MASKED.split(' ').any(|path| path == target) {
            *line = format!("{target} masked");
        }
    }
    let root = found.remove(0);
    found.sort();
    (root, found)
}

#[test]
fn exactly_these_mounts_are_there() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let before = mountinfo();
    // A plain rootfs keeps the type and the flags of the mount that it lies on.
    for (options, flags, has_masks) in [
        (&[][..], " rw", true),
        (&["--read-only"], " ro", true),
        (&["--privileged"], " rw", false),
        (&["--ephemeral"], " overlay rw", true),
        (&["--ephemeral", "--read-only"], " overlay ro", true),
    ] {
        let (root, found) = found_mounts(&rootfs, options);
        assert!(root.starts_with("/ ") && root.contains(flags), "{options:?}: {root}");
        assert_eq!(found, expected_mounts(has_masks), "{options:?}");
    }
    assert_eq!(mountinfo(), before, "nothing of it reaches the host");
}

#[test]
fn the_only_interface_is_lo_and_it_is_up() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let script = "ls /sys/class/net; ip addr show lo | grep -o 'inet 127[^ ]*'; ip link show lo | grep -o ',UP'; \
        ping -c 1 -W 5 127.0.0.1 >/dev/null && echo reached";
    assert_eq!(inside(&rootfs, &[], script).expect(0).out, "lo\ninet 127.0.0.1/8\n,UP\nreached\n");
    // Its file cannot give an ordinary user CAP_NET_RAW under no_new_privs.
    let groups = inside(&rootfs, &[], "cat /proc/sys/net/ipv4/ping_group_range").expect(0).out;
    assert_eq!(groups, "0\t2147483647\n");
}

/// Every kind of namespace: its file, its option, and whether root gets a new one without asking.
const KINDS: [(&str, &str, bool); 8] = [
    ("user", "--userns", false),
    ("mnt", "--mntns", true),
    ("pid", "--pid", true),
    ("net", "--network", true),
    ("uts", "--uts", true),
    ("ipc", "--ipc", true),
    ("cgroup", "--cgroupns", true),
    ("time", "--timens", true),
];

#[test]
fn each_namespace_is_new_or_the_hosts_as_asked() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let look = "readlink /proc/self/ns/";
    for (kind, option, is_new) in KINDS {
        let host = namespace("self", kind);
        let out = inside(&rootfs, &[], &format!("{look}{kind}")).expect(0).out;
        assert_eq!(out.trim() != host, is_new, "{kind} by default: {out}");
        let out = inside(&rootfs, &[option, "new"], &format!("{look}{kind}")).expect(0).out;
        assert_ne!(out.trim(), host, "{kind} new");
        if kind == "mnt" {
            continue; // a rootfs needs one of its own
        }
        let finished = inside(&rootfs, &[option, "host"], &format!("{look}{kind}")).expect(0);
        assert_eq!(finished.out.trim(), host, "{kind} host");
    }
}

#[test]
fn each_namespace_can_be_another_containers() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let first = Alive::start(&rootfs, &["--time-offset", "boottime=+1h", "--hostname", "first"]);
    for (kind, option, _) in KINDS {
        // The first has the host's user namespace, which nobody can join anew; a rootfs excludes joined mounts.
        if kind == "user" || kind == "mnt" {
            continue;
        }
        let program = children_of(first.init)[0];
        let want = namespace(&program.to_string(), kind);
        assert_ne!(want, namespace("self", kind), "{kind}");
        // Its time namespace is for its children: init itself may live outside.
        for place in [format!("container:{}", first.init), format!("ns:/proc/{program}/ns/{kind}")] {
            let finished = inside(&rootfs, &[option, &place], &format!("readlink /proc/self/ns/{kind}"));
            assert_eq!(finished.expect(0).out.trim(), want, "{option} {place}");
        }
    }
    let with_init = |kind: &str| format!("{kind}:{}", first.init);
    let shared = ["--pid", &with_init("container"), "--uts", &with_init("container")];
    let finished = inside(&rootfs, &shared, "hostname; cat /proc/1/comm /proc/2/comm").expect(0);
    assert_eq!(finished.out, "first\nlauncher:init\nprobe\n", "the other container's processes are there");
    first.stop();
}

#[test]
fn the_mounts_and_the_ids_of_another_container_can_be_joined() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    fs::write(rootfs.path().join("etc/mark"), "first\n").unwrap();
    let first = Alive::start(&rootfs, &["--uidmap", "0:100000:65536"]);
    let container = format!("container:{}", first.init);
    let both = run(launcher(["--userns", &container, "--mntns", &container, "--pid", &container]).args([
        "--workdir",
        "/",
        "--",
        "/bin/sh",
        "-c",
        "cat /etc/mark; readlink /proc/self/ns/user; pwd",
    ]))
    .expect(0);
    let user = namespace(&first.init.to_string(), "user");
    assert_eq!(both.out, format!("first\n{user}\n/\n"));
    first.stop();
}

#[test]
fn namespaces_that_are_not_there_are_refused_by_name() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (option, place, words) in [
        ("--network", "container:4194000", "no such namespace"),
        ("--ipc", "ns:/nonexistent", "/nonexistent"),
        ("--uts", "ns:/etc/passwd", "uts"),
        ("--uts", "ns:/proc/self/ns/net", "uts"),
        ("--userns", "ns:/proc/self/ns/user", "or the user namespace that launcher is in already"),
    ] {
        let finished = inside(&rootfs, &[option, place], "true");
        assert_eq!(finished.status, 125, "{option} {place}");
        assert!(finished.err.contains(words), "{option} {place}: {}", finished.err);
    }
}

/// Seconds that /proc/uptime says.
fn seconds(uptime: &str) -> f64 {
    uptime.split([' ', '\n']).next().unwrap().parse().unwrap()
}

#[test]
fn a_time_offset_shifts_the_uptime_and_not_the_date() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let script = "cat /proc/uptime; date +%s; cat /proc/self/timens_offsets";
    let options = ["--time-offset", "boottime=+1d,monotonic=+2h"];
    let before = seconds(&fs::read_to_string("/proc/uptime").unwrap());
    let out = inside(&rootfs, &options, script).expect(0).out;
    let after = seconds(&fs::read_to_string("/proc/uptime").unwrap());
    let lines: Vec<_> = out.lines().collect();
    let shifted = seconds(lines[0]) - 86_400.0;
    assert!((before - 1.0..=after + 1.0).contains(&shifted), "{before} <= {shifted} <= {after}");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    assert!(now.abs_diff(lines[1].parse().unwrap()) < 60, "the wall clock has no namespace");
    let words: Vec<_> = lines[2..].iter().flat_map(|line| line.split_whitespace()).collect();
    assert_eq!(words, ["monotonic", "7200", "0", "boottime", "86400", "0"]);
}

#[test]
fn dev_has_these_devices_and_links_and_no_more() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let script =
        "cd /dev; stat -c '%n %F %t:%T %a %u:%g' *; for link in fd ptmx std*; do readlink $link; done";
    let want = "fd symbolic link 0:0 777 0:0
full character special file 1:7 666 0:0
mqueue directory 0:0 1777 0:0
null character special file 1:3 666 0:0
ptmx symbolic link 0:0 777 0:0
pts directory 0:0 755 0:0
random character special file 1:8 666 0:0
shm directory 0:0 1777 0:0
stderr symbolic link 0:0 777 0:0
stdin symbolic link 0:0 777 0:0
stdout symbolic link 0:0 777 0:0
tty character special file 5:0 666 0:0
urandom character special file 1:9 666 0:0
zero character special file 1:5 666 0:0
/proc/self/fd
pts/ptmx
/proc/self/fd/2
/proc/self/fd/0
/proc/self/fd/1
";
    assert_eq!(inside(&rootfs, &[], script).expect(0).out, want);
}

#[test]
fn the_devices_work() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (script, want) in [
        ("echo lost >/dev/null && cat /dev/null | wc -c", "0"),
        ("head -c 5 /dev/zero | tr '\\0' z", "zzzzz"),
        (
            "head -c 7 /dev/urandom | wc -c; echo x 2>&1 >/dev/full | grep -o 'No space.*'",
            "7\nNo space left on device",
        ),
        ("echo out >/dev/stdout; echo text | cat /dev/stdin", "out\ntext"),
        ("stat -L -c %t:%T /dev/ptmx; ls /dev/pts", "5:2\nptmx"),
        (
            "echo x >/dev/shm/file && cat /dev/shm/file; df -k /dev/shm | grep -o 65536 | head -n 1",
            "x\n65536",
        ),
    ] {
        assert_eq!(inside(&rootfs, &[], script).expect(0).out.trim(), want, "{script}");
    }
}

#[test]
fn secrets_of_the_host_are_masked_and_its_knobs_read_only() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // Opens them and writes nothing: that would change the host if the protection failed.
    for path in [
        "/proc/sys/kernel/core_pattern",
        "/proc/sys/vm/overcommit_memory",
        "/proc/sysrq-trigger",
        "/proc/irq/default_smp_affinity",
        "/sys/kernel/mm/transparent_hugepage/enabled",
    ] {
        if Path::new(path).exists() {
            let finished = inside(&rootfs, &[], &format!("cat {path} >/dev/null; : >>{path}"));
            let words = format!("can't create {path}: Read-only file system");
            assert!(finished.err.contains(&words), "{path}: {finished:?}");
        }
    }
    for path in ["/proc/keys", "/proc/timer_list", "/proc/interrupts", "/proc/kcore", "/proc/sched_debug"] {
        if Path::new(path).exists() {
            let script = format!("stat -c %F {path}; head -c 1 {path} | wc -c");
            assert_eq!(inside(&rootfs, &[], &script).expect(0).out, "character special file\n0\n", "{path}");
        }
    }
    for path in ["/proc/acpi", "/proc/scsi", "/sys/firmware"] {
        if Path::new(path).exists() {
            let script = format!(
                "ls -A {path} | wc -l; touch {path}/x 2>/dev/null; mkdir {path}/y 2>/dev/null; echo $?"
            );
            assert_eq!(inside(&rootfs, &[], &script).expect(0).out, "0\n1\n", "{path}");
        }
    }
}

#[test]
fn privileged_opens_what_is_masked() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let script = ": >>/proc/sys/kernel/core_pattern && echo writable; head -c 1 /proc/timer_list | wc -c";
    assert_eq!(inside(&rootfs, &["--privileged"], script).expect(0).out, "writable\n1\n");
}

#[test]
fn the_command_starts_in_the_root_of_the_container() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // Not a folder that some step of the set-up happened to be in; relative names must mean what they say.
    for options in
        [&[][..], &["--privileged"], &["--ephemeral"], &["--read-only"], &["--uidmap", "0:100000:65536"]]
    {
        let finished = run(launcher(["--rootfs", rootfs.arg()])
            .args(options)
            .args(["--", "busybox", "stat", "-c", "%d:%i", ".", "/", "/.."]));
        let lines: Vec<_> = finished.out.lines().collect();
        assert!(lines.len() == 3 && lines.iter().all(|line| *line == lines[0]), "{options:?}: {finished:?}");
    }
}

/// Docker's fourteen capabilities.
const DEFAULT: u64 = 0xa804_25fb;

#[test]
fn capabilities_are_dockers_plus_and_minus_what_is_asked() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (options, want) in [
        (&[][..], DEFAULT),
        (&["-w", "/"], DEFAULT),
        (&["--uidmap", "0:100000:65536"], DEFAULT),
        (&["--cap-add", "MKNOD"], DEFAULT),
        // Nothing guards the nodes there.
        (&["--security-opt", "seccomp=unconfined"], DEFAULT & !(1 << 27)),
        (&["--security-opt", "seccomp=unconfined", "--cap-add", "MKNOD"], DEFAULT),
        (&["--cap-drop", "ALL"], 0),
        (&["--cap-drop", "all", "--cap-add", "KILL"], 1 << 5),
        (&["--cap-drop", "CAP_CHOWN", "--cap-drop", "kill"], DEFAULT & !(1 | 1 << 5)),
        (&["--cap-add", "SYS_ADMIN"], DEFAULT | 1 << 21),
        // What this root does not have itself cannot be given, and is no reason to fail.
        (&["--cap-add", "ALL"], own_caps()),
        (&["--privileged"], own_caps()),
    ] {
        let finished = status(&rootfs, options, "CapInh|CapPrm|CapEff|CapBnd|CapAmb").expect(0);
        let none = "0000000000000000";
        let text = format!(
            "CapInh:\t{none}\nCapPrm:\t{want:016x}\nCapEff:\t{want:016x}\nCapBnd:\t{want:016x}\nCapAmb:\t{none}\n"
        );
        assert_eq!(finished.out, text, "{options:?}");
    }
}

#[test]
fn new_privileges_are_off_unless_asked() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (options, want) in [
        (&[][..], 1),
        (&["--security-opt", "no-new-privileges"], 1),
        (&["--security-opt", "no-new-privileges=false"], 0),
        (&["--privileged"], 0),
    ] {
        let finished = status(&rootfs, options, "NoNewPrivs").expect(0);
        assert_eq!(finished.out, format!("NoNewPrivs:\t{want}\n"), "{options:?}");
    }
}

#[test]
fn another_user_has_its_ids_and_nothing_else() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (user, uid, gid, caps) in
        [("1000:1000", 1000, 1000, 0u64), ("7:70", 7, 70, 0), ("9", 9, 0, 0), ("0:50", 0, 50, DEFAULT)]
    {
        // The caller's own groups must not come along.
        let mut command = launcher(["--rootfs", rootfs.arg(), "-u", user, "--", "busybox", "grep", "-E"]);
        command.args(["^(Uid|Gid|Groups|CapPrm|CapEff|CapInh|CapAmb):", "/proc/self/status"]);
        in_child(&mut command, || nix::unistd::setgroups(&[nix::unistd::Gid::from_raw(12_345)]));
        let out = run(&mut command).expect(0).out.replace(" \n", "\n");
        let four = |id: u32| [id; 4].map(|id| id.to_string()).join("\t");
        let want = format!(
            "Uid:\t{}\nGid:\t{}\nGroups:\t{gid}\nCapInh:\t{:016x}\nCapPrm:\t{caps:016x}\nCapEff:\t{caps:016x}\nCapAmb:\t{:016x}\n",
            four(uid),
            four(gid),
            0,
            0
        );
        assert_eq!(out, want, "-u {user}");
    }
}

#[test]
fn limits_of_the_process_are_set() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let options = ["--ulimit", "nofile=64:128", "--ulimit", "core=0"];
    let out = inside(&rootfs, &options, "ulimit -Sn; ulimit -Hn; ulimit -Hc").expect(0).out;
    assert_eq!(out, "64\n128\n0\n");
    if own_caps() & 1 << 24 == 0 {
        // Nobody without CAP_SYS_RESOURCE can go above its own limit: said before anything runs.
        let finished = inside(&rootfs, &["--ulimit", "nofile=64:1000000"], "echo ran").expect(125);
        assert_eq!(finished.out, "");
        assert!(
            finished.err.contains("nofile") && finished.err.contains("CAP_SYS_RESOURCE"),
            "{}",
            finished.err
        );
    }
}

/// A container's environment, sorted, as its command gets it.
fn environment(rootfs: &Rootfs, options: &[&str]) -> Vec<String> {
    let mut command = launcher(["--rootfs", rootfs.arg()]);
    command.env_clear().envs([
        ("SECRET", "hunter2"),
        ("TERM", "vt100"),
        ("LANG", "xx"),
        ("PATH", "/host/bin"),
    ]);
    let finished = run(command.args(options).args(["--", "busybox", "env"])).expect(0);
    let mut lines: Vec<_> = finished.out.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn the_environment_is_small_and_the_containers_own() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (options, want) in [
        (&[][..], &["HOME=/root", "HOSTNAME=launcher", path, "TERM=vt100", "container=launcher"][..]),
        (&["-u", "5:5", "-h", "w"], &["HOME=/", "HOSTNAME=w", path, "TERM=vt100", "container=launcher"]),
        (
            &["-e", "A=1", "-e", "LANG", "-e", "UNSET", "-e", "TERM=x=y", "-e", "A=2", "-e", "E="],
            &[
                "A=2",
                "E=",
                "HOME=/root",
                "HOSTNAME=launcher",
                "LANG=xx",
                path,
                "TERM=x=y",
                "container=launcher",
            ],
        ),
    ] {
        assert_eq!(environment(&rootfs, options), want, "{options:?}");
    }
}

#[test]
fn the_environment_of_the_caller_is_there_only_on_request() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut command = launcher(["--rootfs", rootfs.arg(), "--env-host", "--", "/bin/busybox", "env"]);
    command.env_clear().envs([("SECRET", "hunter2"), ("PATH", "/host/bin")]);
    assert_eq!(run(&mut command).expect(0).out, "PATH=/host/bin\nSECRET=hunter2\n");
}

#[test]
fn the_callers_secrets_are_not_to_be_found_in_pid_1() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // Even for those who may look into every process of the container.
    for options in [&[][..], &["--cap-add", "SYS_PTRACE"], &["--privileged"]] {
        let mut command = launcher(["--rootfs", rootfs.arg(), "--name", "root-test-secret"]);
        let script = "cat /proc/1/environ /proc/1/cmdline 2>/dev/null | tr '\\0' '\\n'";
        command
            .args(options)
            .args(["-e", "TOKEN=letmein", "--", "sh", "-c", script])
            .env("SECRET", "hunter2");
        let out = run(&mut command).out;
        let leaked = ["hunter2", "letmein", "root-test-secret"].map(|word| out.contains(word));
        assert_eq!(leaked, [false; 3], "environment, words of -e, other words of the caller: {options:?}");
    }
}

#[test]
fn pid_1_cannot_be_looked_into() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let init = "/proc/1";
    for (script, path) in [
        ("cat", "stack"),
        ("cat", "environ"),
        ("cat", "maps"),
        ("cat", "mem"),
        ("cat", "syscall"),
        ("cat", "auxv"),
        ("readlink", "exe"),
        ("readlink", "cwd"),
        ("readlink", "root"),
        ("readlink", "fd/0"),
        ("readlink", "ns/mnt"),
        ("ls", "root/"),
    ] {
        let finished =
            inside(&rootfs, &[], &format!("{script} {init}/{path} >/tmp/out; s=$?; cat /tmp/out; exit $s"));
        assert_eq!(finished.out, "", "{script} {path}");
        assert_eq!(finished.status, 1, "{script} {path}");
    }
    // It closes the rest once the command runs; the loop ends at the deadline if it does not.
    let script = "until [ \"$(cd /proc/1/fd; echo *)\" = '0 1 2' ]; do :; done; echo closed";
    assert_eq!(
        inside(&rootfs, &[], script).expect(0).out,
        "closed\n",
        "nothing of the host's stays open in there"
    );
}

#[test]
fn the_working_directory_is_made_sure_of() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    fs::create_dir(rootfs.path().join("srv/closed")).unwrap();
    fs::set_permissions(
        rootfs.path().join("srv/closed"),
        std::os::unix::fs::PermissionsExt::from_mode(0o700),
    )
    .unwrap();
    symlink("/srv", rootfs.path().join("link")).unwrap();
    symlink("/proc/self/fd", rootfs.path().join("fds")).unwrap();
    for (options, status, text) in [
        (&["-w", "/srv"][..], 0, "/srv\n"),
        (&["-w", "/link"], 0, "/srv\n"),
        (&["-w", "/srv/closed"], 0, "/srv/closed\n"),
        (&["-w", "/srv/closed", "-u", "1000"], 125, "/srv/closed"),
        (&["-w", "/missing"], 125, "/missing"),
        (&["-w", "/bin/busybox"], 125, "/bin/busybox"),
        (&["-w", "srv"], 125, "--workdir"),
    ] {
        let finished = inside(&rootfs, options, "pwd").expect(status);
        let said = if status == 0 { &finished.out } else { &finished.err };
        assert!(said.contains(text), "{options:?}: {finished:?}");
    }
}

#[test]
fn no_descriptor_leads_the_working_directory_outside() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // CVE-2024-21626: some descriptor of launcher, or of its caller, is a folder of the host.
    for number in 0..16 {
        let cwd = format!("/proc/self/fd/{number}");
        let mut command = launcher(["--rootfs", rootfs.arg(), "-w", &cwd, "--", "busybox", "ls"]);
        in_child(&mut command, || leak_root_as(9));
        let finished = run(&mut command);
        assert_eq!(finished.status, 125, "{cwd}: {finished:?}");
    }
}

/// Opens `/` as a descriptor without close-on-exec.
fn leak_root_as(number: i32) -> nix::Result<()> {
    // SAFETY: the path is a C string.
    let root = unsafe { libc::open(c"/".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) };
    // SAFETY: takes two integers.
    nix::errno::Errno::result(unsafe { libc::dup2(root, number) }).map(drop)
}

#[test]
fn descriptors_of_the_caller_stay_outside() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for options in [&[][..], &["--pid", "host"], &["--ephemeral"], &["--privileged"]] {
        let mut command = launcher(["--rootfs", rootfs.arg()]);
        command.args(options).args(["--", "/probe", "fds"]);
        in_child(&mut command, || leak_root_as(9).and(leak_root_as(900)));
        assert_eq!(run(&mut command).expect(0).out, "0 1 2\n", "{options:?}");
    }
}

#[test]
fn closed_standard_streams_are_no_trap() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // What launcher opens itself would land on 0 and 1 otherwise, and the command would inherit it.
    for closed in [&[0][..], &[1], &[0, 1]] {
        let mut command = launcher(["--rootfs", rootfs.arg(), "--", "sh", "-c"]);
        command
            .arg("/probe fds >&2; for fd in 0 1; do name=$(readlink /proc/$$/fd/$fd); echo $name >&2; done");
        in_child(&mut command, move || closed.iter().try_for_each(|fd| nix::unistd::close(*fd)));
        let finished = run(&mut command).expect(0);
        let lines: Vec<_> = finished.err.lines().collect();
        assert_eq!(lines[0], "0 1 2", "{closed:?}");
        assert!(
            closed.iter().all(|fd| lines[usize::try_from(*fd).unwrap() + 1] == "/dev/null"),
            "{closed:?}: {lines:?}"
        );
    }
}

#[test]
fn the_root_of_the_host_is_out_of_reach() {
    require!(root, busybox);
    let temp = Temp::new();
    fs::write(temp.0.join("mark"), "host").unwrap();
    let rootfs = Rootfs::new();
    let mark = temp.0.join("mark");
    for options in [
        &["--rootfs", rootfs.arg()][..],
        &["--rootfs", rootfs.arg(), "--ephemeral"],
        &["--rootfs", "/", "--ephemeral"],
    ] {
        let script = look_for_the_old_root(&mark);
        let finished = run(launcher(options).args(["--", "/bin/sh", "-c", &script]));
        assert_eq!(fs::read_to_string(&mark).unwrap(), "host", "{options:?}");
        assert_eq!(finished.out, "1\n1\n", "{options:?}: one root, and nothing on top of it");
    }
}

#[test]
fn read_only_means_the_rootfs_and_not_what_is_mounted_in_it() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let script = "touch /etc/new 2>&1 | grep -o 'Read-only.*'; touch /dev/shm/new && echo shm";
    let out = inside(&rootfs, &["--read-only"], script).expect(0).out;
    assert_eq!(out, "Read-only file system\nshm\n");
    assert!(!rootfs.path().join("etc/new").exists());
}

#[test]
fn missing_mount_points_are_made() {
    require!(root, busybox);
    for options in [&[][..], &["--read-only"], &["--ephemeral"]] {
        let rootfs = Rootfs::new();
        for name in ["proc", "sys", "dev"] {
            fs::remove_dir(rootfs.path().join(name)).unwrap();
        }
        let script = "[ -c /dev/null ] && [ -d /sys/kernel ] && cat /proc/1/comm";
        assert_eq!(inside(&rootfs, options, script).expect(0).out, "launcher:init\n", "{options:?}");
        let is_kept = !options.contains(&"--ephemeral");
        assert_eq!(
            rootfs.path().join("proc").exists(),
            is_kept,
            "{options:?}: only a real rootfs is written to"
        );
    }
}

#[test]
fn an_ephemeral_rootfs_can_be_changed_and_does_not_change() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    fs::create_dir_all(rootfs.path().join("srv/a/b")).unwrap();
    for name in ["etc/keep", "etc/remove", "srv/a/b/file"] {
        fs::write(rootfs.path().join(name), name).unwrap();
    }
    let before = snapshot(rootfs.path());
    let script = "cd /; echo more >>etc/keep; rm etc/remove; rm -r srv/a; mkdir srv/a; echo x >srv/a/new; mv tmp old; \
        chmod 700 root; chown 5:5 etc; cat etc/keep; ls etc srv srv/a; [ -d old ] && echo moved";
    let out = inside(&rootfs, &["--ephemeral"], script).expect(0).out;
    assert_eq!(out, "etc/keepmore\netc:\nkeep\n\nsrv:\na\n\nsrv/a:\nnew\nmoved\n");
    assert_eq!(snapshot(rootfs.path()), before);
}

#[test]
fn the_root_of_the_host_can_be_the_rootfs() {
    require!(root, busybox);
    let temp = Temp::new();
    let file = temp.0.join("file");
    for (options, is_kept) in [(&["--rootfs", "/"][..], true), (&["--rootfs", "/", "--ephemeral"], false)] {
        fs::write(&file, "before\n").unwrap();
        let script = format!("echo $$; cat {0}; echo after >{0}; cat {0}", file.display());
        let finished = run(launcher(options).args(["--", "/bin/sh", "-c", &script])).expect(0);
        assert_eq!(finished.out, "2\nbefore\nafter\n", "{options:?}");
        assert_eq!(fs::read_to_string(&file).unwrap() == "after\n", is_kept, "{options:?}");
    }
}

#[test]
fn a_rootfs_cannot_lead_mounts_astray() {
    require!(root, busybox);
    let before = mountinfo();
    for (name, target) in [
        ("proc", None),
        ("sys", None),
        ("dev", None),
        ("proc", Some("../outside")),
        ("dev", Some("/nowhere")),
    ] {
        for options in [&[][..], &["--ephemeral"], &["--privileged"]] {
            let rootfs = Rootfs::new();
            let outside = Temp::new();
            fs::write(outside.0.join("ptmx"), "mine").unwrap();
            let untouched = snapshot(&outside.0);
            fs::remove_dir(rootfs.path().join(name)).unwrap();
            let target = target.unwrap_or(outside.0.to_str().unwrap());
            symlink(target, rootfs.path().join(name)).unwrap();
            let finished = inside(&rootfs, options, "echo ran").expect(125);
            assert_eq!(finished.out, "", "{name} -> {target} {options:?}");
            assert!(finished.err.contains(&format!("/{name}")), "{name} -> {target}: {}", finished.err);
            assert_eq!(snapshot(&outside.0), untouched, "{name} -> {target} {options:?}");
        }
    }
    assert_eq!(mountinfo(), before);
}

#[test]
fn a_file_where_a_mount_belongs_is_refused() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    fs::remove_dir(rootfs.path().join("proc")).unwrap();
    fs::write(rootfs.path().join("proc"), "").unwrap();
    let finished = inside(&rootfs, &[], "true").expect(125);
    assert!(finished.err.contains("/proc") && finished.err.contains("ENOTDIR"), "{}", finished.err);
}

/// Runs launcher where `rootfs` is mounted read-only, in a mount namespace of the test's own.
fn with_read_only_rootfs(rootfs: &Rootfs, options: &str) -> Finished {
    let (folder, program) = (rootfs.arg(), launcher_path());
    let script = format!(
        "mount --bind {folder} {folder} && mount -o remount,bind,ro {folder} && \
         exec {} --rootfs {folder} {options} -- sh -c 'touch /etc/new; echo $?'",
        program.display()
    );
    run(Command::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", &script]))
}

#[test]
fn a_rootfs_on_a_read_only_file_system_works_if_it_has_the_folders() {
    require!(root, busybox, unshare);
    let rootfs = Rootfs::new();
    assert_eq!(with_read_only_rootfs(&rootfs, "").expect(0).out, "1\n");
    assert_eq!(with_read_only_rootfs(&rootfs, "--ephemeral").expect(0).out, "0\n");
    fs::remove_dir(rootfs.path().join("sys")).unwrap();
    let finished = with_read_only_rootfs(&rootfs, "").expect(125);
    assert!(finished.err.contains("/sys") && finished.err.contains("EROFS"), "{}", finished.err);
    assert_eq!(with_read_only_rootfs(&rootfs, "--ephemeral").expect(0).out, "0\n");
}

#[test]
fn the_umask_is_022_whatever_the_callers() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let mut command =
        launcher(["--rootfs", rootfs.arg(), "--", "sh", "-c", "umask; >/tmp/f; stat -c %a /tmp/f /dev/null"]);
    in_child(&mut command, || {
        nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o777));
        Ok(())
    });
    assert_eq!(run(&mut command).expect(0).out, "0022\n644\n666\n");
}

/// Ignores signals and blocks all, as daemons, nohup and test drivers leave things behind.
fn spoil_signals() -> nix::Result<()> {
    for signal in [libc::SIGPIPE, libc::SIGHUP, libc::SIGCHLD, libc::SIGUSR1, libc::SIGRTMIN() + 2] {
        // SAFETY: installs no function.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
    let all = u64::MAX;
    // SAFETY: the kernel reads eight bytes that live until the call returns.
    nix::errno::Errno::result(unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const all, 0usize, 8usize)
    })
    .map(drop)
}

#[test]
fn the_command_starts_with_clean_signals() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for options in [&[][..], &["--pid", "host"]] {
        let mut command = launcher(["--rootfs", rootfs.arg()]);
        command.args(options).args([
            "--",
            "busybox",
            "grep",
            "-E",
            "^Sig(Blk|Ign|Cgt):",
            "/proc/self/status",
        ]);
        in_child(&mut command, spoil_signals);
        let none = "0000000000000000";
        let want = format!("SigBlk:\t{none}\nSigIgn:\t{none}\nSigCgt:\t{none}\n");
        assert_eq!(run(&mut command).expect(0).out, want, "{options:?}");
    }
}

#[test]
fn orphans_are_reaped() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let finished =
        run(&mut launcher(["--rootfs", rootfs.arg(), "--", "/probe", "orphans", "10000"])).expect(0);
    assert_eq!(finished.out, "zombies 0\n");
}

#[test]
fn nothing_outlives_the_command() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (options, seconds) in [(&[][..], "4000101"), (&["--pid", "host"], "4000102")] {
        // setsid: out of reach of whoever kills a process group.
        let script = format!("setsid sleep {seconds} & sleep {seconds} & exit 3");
        inside(&rootfs, options, &script).expect(3);
        let is_gone = || processes_with(&format!("sleep\0{seconds}")).is_empty();
        eventually("the sleepers are gone", is_gone);
    }
}

#[test]
fn a_namespace_can_be_made_without_a_rootfs() {
    require!(root, busybox);
    let before = (mountinfo(), nix::unistd::gethostname().unwrap());
    let finished = run(launcher(["--pid", "new", "--hostname", "inner"])
        .args(["--", "/bin/busybox", "sh", "-c", "echo $$; hostname; cat /proc/1/comm; pwd"])
        .current_dir("/usr"))
    .expect(0);
    assert_eq!(finished.out, "2\ninner\nlauncher:init\n/usr\n");
    assert_eq!((mountinfo(), nix::unistd::gethostname().unwrap()), before);
}
