//! What a container may do beside its files: kernel parameters, capabilities, user namespaces, who is killed first.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::process::Command;

use common::{
    Finished, Rootfs, Temp, inside, inside_as_user, launcher, launcher_path, launcher_with_faults,
    probe_path, run,
};

/// A file of the host's.
fn host(path: &str) -> String {
    fs::read_to_string(path).unwrap().trim().to_owned()
}

/// Asserts that each line of options is refused with these words, as root or as the ordinary user.
#[track_caller]
fn refused(as_user: bool, lines: &[(&str, &str)]) {
    let rootfs = Rootfs::for_user();
    for (line, want) in lines {
        let options: Vec<_> = line.split(' ').collect();
        let inside = if as_user { inside_as_user } else { inside };
        let finished: Finished = inside(&rootfs, &options, "echo no").expect(125);
        assert!(finished.err.contains(want) && finished.out.is_empty(), "{line}: {}", finished.err);
        assert_eq!(finished.err.matches("launcher: ").count(), 1, "{line}: {}", finished.err);
    }
}

#[test]
fn parameters_are_set_in_the_namespaces_of_the_container_alone() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let files =
        ["net/ipv4/ip_forward", "net/ipv4/ping_group_range", "kernel/shm_rmid_forced", "fs/mqueue/msg_max"];
    let before = files.map(|file| host(&format!("/proc/sys/{file}")));
    let script = "cd /proc/sys; cat net/ipv4/ip_forward net/ipv4/ping_group_range kernel/shm_rmid_forced fs/mqueue/msg_max
        grep ' /proc/sys ' /proc/self/mountinfo | cut -d ' ' -f 6 | cut -d , -f 1; echo 0 2>/dev/null >net/ipv4/ip_forward || echo kept";
    let options = [
        "--sysctl=net.ipv4.ip_forward=1",
        "--sysctl=net/ipv4/ping_group_range=0 0",
        "--sysctl=kernel.shm_rmid_forced=1",
        "--sysctl=fs.mqueue.msg_max=7",
    ];
    let want = "1\n0\t0\n1\n7\nro\nkept\n";
    assert_eq!(inside(&rootfs, &options, script).expect(0).out, want);
    assert_eq!(inside_as_user(&rootfs, &options, script).expect(0).out, want);
    // Without a rootfs, and without a mount namespace.
    for more in [&["--mntns", "new"][..], &["--mntns", "host"]] {
        let words = ["-e", "A=1", "--", "cat", "/proc/sys/net/ipv4/ip_forward"];
        let finished = run(launcher(more).args(options).args(words)).expect(0);
        assert_eq!(finished.out, "1\n", "{more:?}");
    }
    let user = ["--userns", "new", "--sysctl", "user.max_mnt_namespaces=3"];
    assert_eq!(inside(&rootfs, &user, "cat /proc/sys/user/max_mnt_namespaces").expect(0).out, "3\n");
    assert_eq!(files.map(|file| host(&format!("/proc/sys/{file}"))), before);
}

#[test]
fn parameters_of_the_machine_are_not_for_a_container() {
    require!(root, busybox);
    refused(
        false,
        &[
            ("--sysctl kernel.core_pattern=|/x", "--sysctl kernel.core_pattern=|/x: it has no namespace"),
            ("--sysctl net/../kernel/panic=1", "--sysctl net/../kernel/panic=1: a key has "),
            ("--sysctl net.//.kernel.panic=1", ": a key has "),
            ("--sysctl net.ipv4.ip_forward+kernel.panic=1", ": a key has "),
            ("--sysctl kernel.hostname=x", ": that is --hostname or --domainname"),
            ("--sysctl net.ipv4.ip_forward", ": wanted is KEY=VALUE"),
            ("--network host --sysctl net.ipv4.ip_forward=1", "a namespace that is not new, see --network"),
            ("--ipc host --sysctl kernel.shmmax=1", "a namespace that is not new, see --ipc"),
            ("--sysctl user.max_user_namespaces=0", "a namespace that is not new, see --userns"),
            (
                "--sysctl net.ipv4.nothing=1",
                " net/ipv4/nothing=1: net/ipv4/nothing: No such file or directory (ENOENT)\n  hint: ",
            ),
            (
                "--sysctl net.ipv4.ip_forward=x",
                ": write in /proc/sys: net/ipv4/ip_forward=x: net/ipv4/ip_forward: Invalid argument (EINVAL)\n",
            ),
            ("--sysctl net.ipv4=x", " net/ipv4: Is a directory (EISDIR)\n"),
        ],
    );
    refused(
        true,
        &[(
            "--sysctl net.ipv4.ping_group_range=5|6",
            "(EINVAL)\n  hint: both groups must be mapped in the user namespace\n",
        )],
    );
}

#[test]
fn a_parameter_is_not_written_to_what_covers_it() {
    require!(root, unshare);
    let temp = Temp::new();
    fs::create_dir_all(temp.0.join("ipv4")).unwrap();
    let file = temp.0.join("ipv4/ip_forward");
    fs::write(&file, "untouched").unwrap();
    let elsewhere = "Invalid cross-device link (EXDEV)\n";
    for (cover, want) in [
        (format!("mount --bind {} /proc/sys/net", temp.0.display()), elsewhere),
        // It is a procfs, and another folder in it.
        ("mount --bind /proc/sys/kernel /proc/sys/net".to_owned(), elsewhere),
        ("mount -t tmpfs none /proc".to_owned(), "another file system is there"),
    ] {
        let script = format!("{cover} && exec \"$0\" --mntns host --sysctl net.ipv4.ip_forward=1 -- echo no");
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "sh", "-c", &script]).arg(launcher_path());
        let finished = run(&mut command).expect(125);
        assert!(finished.err.contains(want) && finished.out.is_empty(), "{cover}: {}", finished.err);
    }
    assert_eq!(fs::read_to_string(file).unwrap(), "untouched");
}

#[test]
fn the_domain_name_is_the_containers_and_only_there() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let before = host("/proc/sys/kernel/domainname");
    for inside in [inside, inside_as_user] {
        let finished =
            inside(&rootfs, &["--domainname", "d.example"], "cat /proc/sys/kernel/domainname").expect(0);
        assert_eq!(finished.out, "d.example\n");
    }
    assert_eq!(host("/proc/sys/kernel/domainname"), before);
    refused(
        false,
        &[
            ("--domainname a/b", "--domainname takes up to 64 letters"),
            ("--domainname a --uts host", "--domainname needs a new UTS namespace"),
        ],
    );
}

#[test]
fn the_order_of_killing_is_the_containers_and_only_there() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let own: i32 = host("/proc/self/oom_score_adj").parse().unwrap();
    let (later, sooner) = (own.to_string(), (own + 100).min(1000).to_string());
    for inside in [inside, inside_as_user] {
        for score in [&later, &sooner] {
            let script = "cat /proc/self/oom_score_adj /proc/1/oom_score_adj";
            let finished = inside(&rootfs, &["--oom-score-adj", score], script).expect(0);
            assert_eq!(finished.out, format!("{score}\n{score}\n"));
        }
    }
    let hint = "write -1000 to oom_score_adj: Permission denied (EACCES)\n  hint: below what launcher itself was given it needs CAP_SYS_RESOURCE on the host\n";
    refused(true, &[("--oom-score-adj -1000", hint)]);
    refused(
        false,
        &[("--oom-score-adj 1001", "--oom-score-adj 1001: wanted is a number from -1000 to 1000\n")],
    );
    assert_eq!(host("/proc/self/oom_score_adj").parse(), Ok(own));
}

/// The capability sets of a process, as words.
const SETS: &str = "grep -E '^Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status | cut -f 2 | tr '\\n' ' '";

#[test]
fn nothing_is_inheritable_that_was_not_asked_for() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let none = "0000000000000000";
    let docker = "00000000a80425fb";
    let bind = "0000000000000400";
    for (line, [inherited, has, bounding, ambient]) in [
        ("-u 0", [none, docker, docker, none]),  // CVE-2022-29162
        ("-u 1000", [none, none, docker, none]), // CVE-2016-8867
        ("-u 1000 --ambient NET_BIND_SERVICE", [bind, bind, docker, bind]),
        ("-u 1000 --cap-drop ALL --ambient CAP_NET_BIND_SERVICE", [bind, bind, bind, bind]),
        ("-u 1000 --cap-drop ALL --ambient net_bind_service --ambient kill", ["0000000000000420"; 4]),
        (
            "-u 1000 --ambient SYS_NICE",
            ["0000000000800000", "0000000000800000", "00000000a88425fb", "0000000000800000"],
        ),
        (
            "-u 1000 --security-opt no-new-privileges=false --ambient net_bind_service",
            [bind, bind, docker, bind],
        ),
    ] {
        let options: Vec<_> = line.split(' ').collect();
        let want = format!("{inherited} {has} {has} {bounding} {ambient} ");
        assert_eq!(inside(&rootfs, &options, SETS).expect(0).out, want, "{line}");
        let mapped = [&["--uidmap", "0:5000:2000"], &options[..]].concat();
        assert_eq!(inside(&rootfs, &mapped, SETS).expect(0).out, want, "{line}");
    }
    refused(
        false,
        &[
            ("--ambient fly", "--ambient fly: no such capability"),
            ("--ambient kill --cap-drop kill", "--ambient kill: --cap-drop takes it away\n"),
            ("--ambient SYS_RESOURCE", "--cap-add sys_resource"),
        ],
    );
}

#[test]
fn what_is_asked_for_beside_privileged_is_had_or_refused() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let script = "grep -E '^(CapEff|CapAmb|NoNewPrivs)' /proc/self/status | cut -f 2 | tr '\\n' ' '; unshare -u true && echo may";
    let all = inside(&rootfs, &["--privileged"], script).expect(0).out;
    let [caps, none, ..] = all.split(' ').collect::<Vec<_>>()[..] else { panic!("{all}") };
    let nice = "0000000000800000";
    for (line, want) in [
        ("", format!("{caps} {none} 0 may\n")),
        ("--security-opt no-new-privileges", format!("{caps} {none} 1 may\n")),
        ("--security-opt no-new-privileges --landlock rx:/", format!("{caps} {none} 1 may\n")),
        ("--landlock rx:/", format!("{caps} {none} 0 may\n")),
        ("--ambient SYS_NICE", format!("{caps} {nice} 0 may\n")),
        ("-u 1000 --ambient SYS_NICE", format!("{nice} {nice} 0 ")),
        ("-u 1000", format!("{none} {none} 0 ")),
    ] {
        for first in [true, false] {
            let words: Vec<_> = line.split_ascii_whitespace().collect();
            let (before, after) =
                if first { (&["--privileged"][..], &[][..]) } else { (&[][..], &["--privileged"][..]) };
            assert_eq!(inside(&rootfs, &[before, &words, after].concat(), script).out, want, "{line}");
        }
    }
    let why = "launcher: --privileged is all capabilities: instead of it say --cap-add ALL with --cap-drop\n";
    let landlock = "force: Operation not permitted (EPERM)\n  hint: for another user than root it needs --security-opt no-new-privileges\n";
    refused(
        false,
        &[
            ("--privileged --cap-drop MKNOD", why),
            ("--cap-drop all --privileged", why),
            ("--privileged -u 1000 --landlock rx:/", landlock),
        ],
    );
}

#[test]
fn user_namespaces_can_be_forbidden_for_good() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let script = "busybox unshare -U true && echo made; echo 9 2>/dev/null >/proc/sys/user/max_user_namespaces || echo kept
        cat /proc/sys/user/max_user_namespaces";
    let power = "mount -t proc none /srv && cd /srv/sys/user && echo 9 2>/dev/null >max_user_namespaces || echo kept; cat max_user_namespaces
        busybox unshare -U true && echo made";
    for inside in [inside, inside_as_user] {
        // The filter forbids it by another way.
        let open = ["--userns", "new", "--security-opt", "seccomp=unconfined"];
        let options = [&open[..], &["--disable-userns"]].concat();
        let finished = inside(&rootfs, &options, script);
        assert_eq!(finished.out, "kept\n0\n", "{}", finished.err);
        assert!(finished.err.contains("unshare"), "{}", finished.err);
        let finished = inside(&rootfs, &open, script).expect(0);
        assert!(finished.out.starts_with("made\n"), "{}", finished.out);
        // Who may mount may have a /proc that can be written, and still may not go beyond the limit.
        let strong = [&options[..], &["--cap-add", "SYS_ADMIN", "--cap-add", "DAC_OVERRIDE"]].concat();
        assert_eq!(inside(&rootfs, &strong, power).out, "kept\n0\n");
    }
    refused(
        false,
        &[
            ("--disable-userns", "--disable-userns needs a new user namespace, see --userns\n"),
            (
                "--userns new --disable-userns --cap-add ALL",
                "--disable-userns is void for who has the capability sys_resource\n",
            ),
            ("--userns new --disable-userns --privileged", "--disable-userns is void"),
        ],
    );
}

#[test]
fn only_the_files_that_are_named_can_be_used() {
    require!(root, busybox, strace);
    let rootfs = Rootfs::for_user();
    let path = |name: &str| rootfs.path().join(name);
    fs::create_dir(path("srv/rw")).unwrap();
    fs::write(path("etc/secret"), "secret\n").unwrap();
    fs::write(path("srv/read"), "read\n").unwrap();
    std::os::unix::fs::symlink("bin", path("programs")).unwrap();
    std::os::unix::fs::chown(path("srv/rw"), Some(common::USER), Some(common::USER)).unwrap();
    let script = "cat /srv/read /etc/secret; echo x >/srv/new; echo x >>/srv/read; cd /srv/rw; echo y >new && mkdir sub && mv new sub/moved
        cat sub/moved; cp /bin/busybox here 2>/dev/null || busybox cp /bin/busybox here; ./here true || echo no exec; ls / ; rm -r sub here; echo z >/dev/null && ls";
    let options = [
        "--landlock",
        "rx:/programs",
        "--landlock",
        "ro:/srv",
        "--landlock",
        "rw:/srv/rw",
        "--landlock",
        "rw:/dev/null",
    ];
    for inside in [inside, inside_as_user] {
        let finished = inside(&rootfs, &options, script);
        assert_eq!(finished.out, "read\ny\nno exec\n", "{}", finished.err);
        for name in ["/etc/secret", "/srv/new", "/srv/read", "./here", "ls: can't open '/'"] {
            let line = finished.err.lines().find(|line| line.contains(name));
            assert!(line.is_some_and(|line| line.contains("ermission denied")), "{name}: {}", finished.err);
        }
    }
    refused(
        false,
        &[
            (
                "--landlock rx:/bin --landlock ro:/nowhere",
                ": allow to read /nowhere: No such file or directory (ENOENT)\n",
            ),
            (
                "--landlock ro:/ --security-opt no-new-privileges=false",
                "launcher: --landlock needs no-new-privileges\n",
            ),
        ],
    );
    // What the program itself needs is not guessed.
    assert_eq!(inside(&rootfs, &["--landlock", "ro:/"], "echo no").status, 126);
    assert_eq!(
        inside(&rootfs, &["--privileged", "--landlock", "rx:/"], "echo yes; echo x >/srv/new").out,
        "yes\n"
    );
    let words = ["--rootfs", rootfs.arg(), "--landlock", "rx:/", "--", "echo", "no"];
    for (errno, text) in [("ENOSYS", "Function not implemented"), ("EOPNOTSUPP", "")] {
        let fault = format!("landlock_create_ruleset:error={errno}");
        let finished = run(&mut launcher_with_faults(&[fault], &words)).expect(125);
        let want = format!(": begin a Landlock ruleset: {text}");
        assert!(finished.err.contains(&want), "{}", finished.err);
        assert!(finished.err.contains("  hint: Landlock needs Linux 5.13 "), "{}", finished.err);
    }
}

#[test]
fn a_label_that_would_be_ignored_is_refused() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let has = |path: &str| std::path::Path::new(path).exists();
    assert!(
        !has("/sys/module/apparmor") && !has("/sys/fs/selinux/enforce"),
        "written for a machine without such modules"
    );
    refused(
        false,
        &[
            (
                "--security-opt apparmor=docker-default",
                "launcher: --security-opt: AppArmor is not active on this machine\n",
            ),
            (
                "--security-opt label=a:b:c:d",
                "launcher: --security-opt: SELinux is not active on this machine\n",
            ),
            ("--security-opt label=type:x", "--security-opt label=type:x: known are "),
        ],
    );
    for nothing in ["apparmor=unconfined", "apparmor:unconfined", "label=disable", "label:disable"] {
        assert_eq!(inside(&rootfs, &["--security-opt", nothing], "echo yes").expect(0).out, "yes\n");
    }
}

#[test]
fn the_keys_of_the_caller_are_out_of_reach() {
    require!(root, strace);
    let rootfs = Rootfs::new();
    let keyring = |options: &[&str]| {
        let words = [&["--rootfs", rootfs.arg()], options, &["--", "/probe", "keyring"]].concat();
        run(&mut launcher(words)).expect(0).out
    };
    // Asking for it makes one where there is none: all of us here have the same from now on.
    let callers = run(Command::new(probe_path()).arg("keyring")).expect(0).out;
    assert_eq!(keyring(&[]), "-1\n", "by the filter");
    for options in [&["--privileged"][..], &["--security-opt", "seccomp=unconfined"]] {
        assert_ne!(keyring(options), callers, "{options:?}");
    }
    // What would be seen: an init leaves them as they are.
    let program = probe_path();
    assert_eq!(run(launcher(["--"]).arg(&program).arg("keyring")).expect(0).out, callers);
    let words = ["--privileged", "--rootfs", rootfs.arg(), "--", "/probe", "keyring"];
    let full = run(&mut launcher_with_faults(&["keyctl:error=EDQUOT:when=1"], &words)).expect(125);
    assert!(full.err.contains("join a new session keyring: Disk quota exceeded (EDQUOT)"), "{full:?}");
}
