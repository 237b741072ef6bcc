//! Mounts that the user asks for, seen from inside; and what they leave outside, which is nothing.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use common::{
    Finished, Rootfs, Temp, inside, inside_as_user, launcher, launcher_with_faults, mountinfo, mounts, run,
    snapshot,
};

/// A folder of the host with a file and a folder in it, owned by whoever runs launcher.
fn source(is_user: bool) -> Temp {
    let temp = Temp::new();
    fs::write(temp.0.join("file"), "host\n").unwrap();
    fs::create_dir(temp.0.join("below")).unwrap();
    if is_user {
        for name in ["", "file", "below"] {
            std::os::unix::fs::chown(temp.0.join(name), Some(common::USER), Some(common::USER)).unwrap();
        }
    }
    temp
}

/// A rootfs for the one or the other.
fn rootfs(is_user: bool) -> Rootfs {
    if is_user { Rootfs::for_user() } else { Rootfs::new() }
}

/// Runs a script with these options as root or as the ordinary user.
#[track_caller]
fn inside_of(is_user: bool, rootfs: &Rootfs, options: &[&str], script: &str) -> Finished {
    if is_user { inside_as_user(rootfs, options, script) } else { inside(rootfs, options, script) }
}

/// The flags of what is mounted on `target`, from a mountinfo; the last one, if several are.
#[track_caller]
fn flags(mountinfo: &str, target: &str) -> String {
    let wanted = format!("{target} ");
    let lines: Vec<_> = mountinfo.lines().filter(|line| line.contains(" - ")).collect();
    let found = mounts(&lines.join("\n")).into_iter().rfind(|line| line.starts_with(&wanted));
    assert!(found.is_some(), "nothing on {target}:\n{mountinfo}");
    let found = found.unwrap();
    found.rsplit(' ').next().unwrap().to_owned()
}

/// The optional fields of what is mounted on `target`: `shared:N`, `master:N`, `unbindable`, without numbers.
#[track_caller]
fn propagation(mountinfo: &str, target: &str) -> String {
    let line = mountinfo.lines().rfind(|line| line.split(' ').nth(4) == Some(target));
    assert!(line.is_some(), "nothing on {target}:\n{mountinfo}");
    let fields = line.unwrap().split(' ');
    let words = fields.skip(6).take_while(|word| *word != "-");
    words.map(|word| word.split(':').next().unwrap()).collect::<Vec<_>>().join(" ")
}

/// Runs a script in a mount namespace of its own in which everything is shared, as on a machine with systemd.
fn on_a_shared_host(script: &str) -> Command {
    let mut command = Command::new("unshare");
    command.args([
        "-m",
        "--propagation",
        "private",
        "sh",
        "-ec",
        &format!("mount --make-rshared /; {script}"),
    ]);
    command.env("LAUNCHER", common::launcher_path());
    command
}

#[test]
fn a_folder_and_a_file_of_the_host_are_seen_and_written_as_asked() {
    require!(root, busybox);
    for is_user in [false, true] {
        let (rootfs, temp) = (rootfs(is_user), source(is_user));
        let path = temp.0.to_str().unwrap();
        let volumes =
            [format!("{path}:/srv"), format!("{path}/file:/etc/new/file:ro"), format!("{path}:/ro/x:ro")];
        let options = ["-v", &volumes[0], "--volume", &volumes[1], "-v", &volumes[2]];
        let before = mountinfo();
        let script = "cat /etc/new/file; echo x >/srv/made; cat /ro/x/made; echo x >/ro/x/no || echo ro; echo x >/etc/new/file || echo ro
            cat /proc/self/mountinfo";
        let out = inside_of(is_user, &rootfs, &options, script).expect(0).out;
        assert!(out.starts_with("host\nx\nro\nro\n"), "{out}");
        for (target, want) in [("/srv", "rw,nodev"), ("/etc/new/file", "ro,nodev"), ("/ro/x", "ro,nodev")] {
            assert_eq!(flags(&out, target), want, "{target}");
            assert_eq!(propagation(&out, target), "", "{target}");
        }
        assert_eq!(fs::read_to_string(temp.0.join("made")).unwrap(), "x\n");
        assert_eq!(mountinfo(), before);
        // What was missing was made in the rootfs, and is empty.
        assert_eq!(fs::read(rootfs.path().join("etc/new/file")).unwrap(), b"");
        assert!(rootfs.path().join("ro/x").is_dir());
    }
}

#[test]
fn each_word_has_its_effect() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let path = temp.0.to_str().unwrap();
    for (words, want) in [
        ("rw", "rw,nodev"),
        ("ro", "ro,nodev"),
        ("dev", "rw"),
        ("nosuid,noexec", "rw,nosuid,nodev,noexec"),
        ("dev,nosuid,suid,exec", "rw"),
    ] {
        let out = inside(&rootfs, &["-v", &format!("{path}:/srv:{words}")], "cat /proc/self/mountinfo")
            .expect(0)
            .out;
        assert_eq!(flags(&out, "/srv"), want, "{words}");
    }
    for (mount, want) in [
        (format!("type=bind,src={path},dst=/srv,readonly"), "ro,nodev"),
        (format!("\"src={path}\",dst=/srv,ro=false,noexec"), "rw,nodev,noexec"),
        ("type=tmpfs,dst=/srv".to_owned(), "rw,nosuid,nodev,noexec"),
        ("type=tmpfs,dst=/srv,exec,ro".to_owned(), "ro,nosuid,nodev"),
        ("type=proc,dst=/srv".to_owned(), "rw,nosuid,nodev,noexec"),
        ("type=mqueue,dst=/srv".to_owned(), "rw,nosuid,nodev,noexec"),
        ("type=devpts,dst=/srv".to_owned(), "rw,nosuid,noexec"),
        ("type=cgroup2,dst=/srv".to_owned(), "ro,nosuid,nodev,noexec"),
    ] {
        let out = inside(&rootfs, &["--mount", &mount], "cat /proc/self/mountinfo").expect(0).out;
        assert_eq!(flags(&out, "/srv"), want, "{mount}");
    }
    let out = inside(&rootfs, &["--privileged", "-v", &format!("{path}:/srv")], "cat /proc/self/mountinfo")
        .expect(0)
        .out;
    assert_eq!(flags(&out, "/srv"), "rw", "privileged");
}

#[test]
fn memory_is_mounted_with_its_size_and_mode() {
    require!(root, busybox);
    for is_user in [false, true] {
        let rootfs = rootfs(is_user);
        let options = [
            "--tmpfs",
            "/tmp/a:size=64k,mode=700,exec",
            "--tmpfs",
            "/run",
            "--shm-size",
            "1m",
            "--mount",
            "type=tmpfs,dst=/srv/b,tmpfs-size=32k,tmpfs-mode=1770",
        ];
        let script = "for at in /tmp/a /run /srv/b /dev/shm; do stat -c '%n %a' $at; done
            df -k /tmp/a /srv/b /dev/shm | tail -n 3 | awk '{ print $2 }'; dd if=/dev/zero of=/tmp/a/big bs=1k count=100 2>/dev/null || echo full
            cp /bin/busybox /tmp/ 2>/dev/null; ls -A /run; cat /proc/self/mountinfo";
        let out = inside_of(is_user, &rootfs, &options, script).expect(0).out;
        let want = "/tmp/a 700\n/run 1777\n/srv/b 1770\n/dev/shm 1777\n64\n32\n1024\nfull\n";
        assert!(out.starts_with(want), "{out}");
        assert_eq!(flags(&out, "/tmp/a"), "rw,nosuid,nodev");
        assert_eq!(flags(&out, "/run"), "rw,nosuid,nodev,noexec");
    }
}

#[test]
fn a_read_only_rootfs_can_have_writable_places() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let volume = format!("{}:/tmp", temp.0.display());
    let script = "for at in / /run /tmp /var/tmp /dev/shm; do echo x >$at/new 2>/dev/null && echo $at; done";
    let out = inside(&rootfs, &["--read-only", "--read-only-tmpfs", "-v", &volume], script).expect(0).out;
    assert_eq!(out, "/run\n/tmp\n/var/tmp\n/dev/shm\n");
    assert!(temp.0.join("new").exists(), "a volume comes before the tmpfs");
    let out = inside(&rootfs, &["--read-only"], script);
    assert_eq!(out.out, "/dev/shm\n", "docker's --read-only alone");
}

#[test]
fn parents_come_before_children_whatever_the_order_of_the_words() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let volume = format!("{}:/srv/a/b", temp.0.display());
    for options in [["-v", &volume, "--tmpfs", "/srv"], ["--tmpfs", "/srv", "-v", &volume]] {
        let out = inside(&rootfs, &options, "cat /srv/a/b/file").expect(0).out;
        assert_eq!(out, "host\n", "{options:?}");
    }
    assert!(!rootfs.path().join("srv/a").exists(), "its place was made in the tmpfs");
}

#[test]
fn a_place_of_ours_can_be_taken() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let path = temp.0.display();
    let at = |place: &str| format!("{path}:{place}");
    for place in ["/dev/shm", "/dev/mqueue", "/sys/fs/cgroup"] {
        let out = inside(
            &rootfs,
            &["-v", &at(place)],
            &format!("cat {place}/file; grep -c ' {place} ' /proc/self/mountinfo"),
        );
        assert_eq!(out.expect(0).out, "host\n1\n", "{place}");
    }
    // The host's /dev stays as it is; what belongs to the container is laid over it.
    let before = snapshot(&temp.0).len();
    let out = inside(&rootfs, &["-v", &at("/dev")], "cat /dev/file; cat /proc/self/mountinfo").expect(0).out;
    assert!(out.starts_with("host\n") && flags(&out, "/dev/shm").starts_with("rw"), "{out}");
    assert_eq!(snapshot(&temp.0).len(), before + 3, "pts, shm, mqueue, and nothing of the masks");
    // Of the host's own /proc and /sys the same is masked.
    let script = "head -c 1 /proc/timer_list; ls -A /sys/firmware; true 2>/dev/null >>/proc/sys/kernel/core_pattern || echo protected";
    let options = ["-v", "/proc:/proc", "-v", "/sys:/sys"];
    assert_eq!(inside(&rootfs, &options, script).expect(0).out, "protected\n");
}

#[test]
fn masks_cannot_be_mounted_away() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let path = temp.0.display().to_string();
    let refused = "that place is masked, or read-only; --privileged leaves it alone";
    for (place, why) in [
        ("/proc/sys", refused),
        ("/proc/sys/kernel", refused),
        ("/proc/timer_list", refused),
        ("/sys/firmware/acpi", refused),
        ("/sys/devices/virtual/powercap", refused),
        ("/proc", "another file system is there, in which nothing can be masked"),
        ("/sys", "another file system is there, in which nothing can be masked"),
    ] {
        let finished = inside(&rootfs, &["-v", &format!("{path}:{place}")], "true").expect(125);
        assert!(finished.err.contains(why) && finished.err.contains(place), "{}", finished.err);
    }
    let finished = inside(&rootfs, &["--mount", "type=sysfs,dst=/srv"], "true").expect(125);
    assert!(finished.err.contains("only on /sys are the host's secrets in it masked"), "{}", finished.err);
    // A link of the image is no way round it.
    symlink("/proc", rootfs.path().join("link")).unwrap();
    let finished = inside(&rootfs, &["--tmpfs", "/link"], "true").expect(125);
    assert!(finished.err.contains("another file system is there"), "{}", finished.err);
    // Another /proc shows processes and none of what is masked in the first.
    let out =
        inside(&rootfs, &["--mount", "type=proc,dst=/srv"], "ls /srv | grep -v '[0-9]'; cat /srv/self/comm")
            .expect(0)
            .out;
    assert_eq!(out, "self\nthread-self\ncat\n");
    // What is not masked is free, such as the files that lxcfs makes.
    let volume = format!("{path}/file:/proc/cpuinfo:ro");
    assert_eq!(inside(&rootfs, &["-v", &volume], "cat /proc/cpuinfo").expect(0).out, "host\n");
}

/// What an image may have at the place of a mount, or above it.
const LINKS: [&str; 7] = [
    "OUTSIDE",
    "../../../../../../..OUTSIDE",
    "missing/dangling",
    "/proc/self/root",
    "/proc/self/cwd",
    "loop",
    "chain",
];

#[test]
fn links_of_the_image_do_not_lead_out() {
    require!(root, busybox);
    for is_user in [false, true] {
        let (temp, outside) = (source(is_user), source(is_user));
        let (path, out_path) = (temp.0.to_str().unwrap(), outside.0.to_str().unwrap());
        let before = snapshot(&outside.0);
        for link in LINKS {
            let rootfs = rootfs(is_user);
            symlink(link.replace("OUTSIDE", out_path), rootfs.path().join("etc/link")).unwrap();
            symlink("loop", rootfs.path().join("etc/loop")).unwrap();
            symlink(format!("../..{out_path}"), rootfs.path().join("etc/chain")).unwrap();
            for kind in [
                ["-v", &format!("{path}:PLACE")],
                ["-v", &format!("{path}/file:PLACE")],
                ["--tmpfs", "PLACE"],
                ["--mount", "type=proc,dst=PLACE"],
            ] {
                for place in ["/etc/link", "/etc/link/new", "/etc/link/below", "/etc/link/a/b"] {
                    let option = kind[1].replace("PLACE", place);
                    let finished = inside_of(is_user, &rootfs, &[kind[0], &option], "true");
                    assert!([0, 125].contains(&finished.status), "{link} {option}: {finished:?}");
                    assert_eq!(snapshot(&outside.0), before, "{link} {option}: {finished:?}");
                }
            }
        }
    }
}

#[test]
fn links_are_followed_as_inside() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    fs::create_dir(rootfs.path().join("var")).unwrap();
    symlink("/run", rootfs.path().join("var/run")).unwrap();
    symlink("../../etc/conf", rootfs.path().join("srv/conf")).unwrap();
    let path = temp.0.display();
    let volumes = [format!("{path}/file:/var/run/app/file"), format!("{path}:/srv/conf")];
    let script =
        "cat /run/app/file /etc/conf/file; grep -c -E ' /(run/app/file|etc/conf) ' /proc/self/mountinfo";
    let out = inside(&rootfs, &["-v", &volumes[0], "-v", &volumes[1]], script).expect(0).out;
    assert_eq!(out, "host\nhost\n2\n");
}

#[test]
fn nothing_is_made_in_what_is_mounted_read_only() {
    require!(root, busybox, strace);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let before = snapshot(&temp.0);
    let volume = format!("{}:/m:ro", temp.0.display());
    for options in [["--tmpfs", "/m/new"], ["-v", "/etc/hostname:/m/name"]] {
        for faults in [&[][..], &["mount_setattr:error=ENOSYS"], &["open_tree,mount_setattr:error=ENOSYS"]] {
            let words = [&["--rootfs", rootfs.arg(), "-v", &volume][..], &options, &["--", "true"]].concat();
            let finished = if faults.is_empty() {
                run(&mut launcher(&words))
            } else {
                run(&mut launcher_with_faults(faults, &words))
            };
            let finished = finished.expect(125);
            assert!(finished.err.contains("Read-only file system (EROFS)"), "{}", finished.err);
            assert!(
                finished.err.contains("would have to be made in what is mounted read-only"),
                "{}",
                finished.err
            );
            assert_eq!(snapshot(&temp.0), before, "{options:?} {faults:?}");
        }
    }
    // What is there already can be mounted on.
    inside(&rootfs, &["-v", &volume, "--tmpfs", "/m/below"], "echo x >/m/below/new").expect(0);
    assert_eq!(snapshot(&temp.0), before);
}

/// A host on which something is mounted below the folder that is shown.
const NESTED: &str =
    "mount -t tmpfs one \"$DIR/below\"; mkdir \"$DIR/below/deep\"; mount -t tmpfs two \"$DIR/below/deep\";
    exec \"$@\"";

#[test]
fn read_only_holds_for_what_is_mounted_below() {
    require!(root, busybox, strace);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let path = temp.0.to_str().unwrap();
    let script = "for at in /m /m/below /m/below/deep; do echo x 2>/dev/null >$at/new && echo $at; done; cat /proc/self/mountinfo";
    for (words, want) in [
        (format!("src={path},dst=/m,ro"), ""),
        (format!("src={path},dst=/m,ro,bind-recursive=readonly"), ""),
        (format!("src={path},dst=/m,ro,bind-recursive=writable"), "/m/below\n/m/below/deep\n"),
        (format!("src={path},dst=/m,ro,bind-recursive=disabled"), ""),
        (format!("src={path},dst=/m"), "/m\n/m/below\n/m/below/deep\n"),
    ] {
        for fault in ["none", "mount_setattr:error=ENOSYS", "open_tree,move_mount,mount_setattr:error=ENOSYS"]
        {
            let words = ["--rootfs", rootfs.arg(), "--mount", &words, "--", "sh", "-c", script];
            let command =
                if fault == "none" { launcher(words) } else { launcher_with_faults(&[fault], &words) };
            let mut host = on_a_shared_host(NESTED);
            host.arg("sh").arg(command.get_program()).args(command.get_args()).env("DIR", path);
            let finished = run(&mut host).expect(0);
            let (found, mountinfo) = finished.out.split_at(want.len());
            assert_eq!(found, want, "{words:?} {fault}: {}", finished.out);
            let is_there = !words[3].contains("disabled");
            assert_eq!(mountinfo.contains(" /m/below/deep "), is_there, "{words:?} {fault}");
        }
        fs::remove_file(temp.0.join("new")).ok();
    }
}

#[test]
fn missing_and_mismatching_sources_are_named() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let path = temp.0.to_str().unwrap();
    fs::write(rootfs.path().join("etc/file"), "").unwrap();
    let before = snapshot(rootfs.path());
    for (volume, words) in [
        (
            format!("{path}/no:/srv"),
            &["open ", "/no to mount it on /srv: No such file or directory (ENOENT)", "optional"][..],
        ),
        (format!("{path}/file/no:/srv"), &["/file/no to mount it on /srv: Not a directory (ENOTDIR)"]),
        (
            format!("{path}/file:/srv"),
            &["/file on /srv (", "Is a directory (EISDIR)", "a folder stands where a file"],
        ),
        (
            format!("{path}:/etc/file"),
            &[" on /etc/file (", "Not a directory (ENOTDIR)", "a file stands where a folder"],
        ),
        (format!("{path}:/etc/file/x"), &[" on /etc/file/x (", "Not a directory (ENOTDIR)"]),
    ] {
        let finished = inside(&rootfs, &["-v", &volume], "true").expect(125);
        assert!(words.iter().all(|word| finished.err.contains(word)), "{volume}: {}", finished.err);
        assert_eq!(snapshot(rootfs.path()), before, "{volume}");
    }
    let optional = format!("src={path}/no,dst=/srv/no,optional");
    let out = inside(&rootfs, &["--mount", &optional], "ls /srv; echo end").expect(0).out;
    assert_eq!(out, "end\n");
    let refused = format!("src={path}/file/no,dst=/srv/no,optional");
    inside(&rootfs, &["--mount", &refused], "true").expect(125);
}

#[test]
fn relative_sources_are_relative_to_where_launcher_was_started() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    for (volume, file) in
        [("./below/../file:/srv/file", "/srv/file"), (".:/srv", "/srv/file"), ("below/..:/srv", "/srv/file")]
    {
        let mut command = launcher(["--rootfs", rootfs.arg(), "-v", volume, "--", "cat", file]);
        assert_eq!(run(command.current_dir(&temp.0)).expect(0).out, "host\n", "{volume}");
    }
}

#[test]
fn a_part_of_a_throw_away_rootfs_can_be_kept() {
    require!(root, busybox);
    for is_user in [false, true] {
        let rootfs = rootfs(is_user);
        let volume = format!("{}/srv:/srv", rootfs.arg());
        let out = inside_of(
            is_user,
            &rootfs,
            &["--ephemeral", "-v", &volume],
            "echo kept >/srv/new; echo x >/etc/new",
        );
        out.expect(0);
        assert_eq!(fs::read_to_string(rootfs.path().join("srv/new")).unwrap(), "kept\n");
        assert!(!rootfs.path().join("etc/new").exists());
    }
}

#[test]
fn inherited_flags_stay_in_a_user_namespace() {
    require!(root, busybox, strace);
    let (rootfs, temp) = (Rootfs::for_user(), source(true));
    let path = temp.0.to_str().unwrap();
    for fault in ["none", "mount_setattr:error=ENOSYS"] {
        let volume = format!("{path}/below:/m:ro,suid,dev,exec");
        let words = ["--rootfs", rootfs.arg(), "-v", &volume, "--", "cat", "/proc/self/mountinfo"];
        let command = if fault == "none" { launcher(words) } else { launcher_with_faults(&[fault], &words) };
        let mut host = on_a_shared_host(
            "mount -t tmpfs -o nosuid,nodev,noexec,mode=777 x \"$DIR/below\"; exec setpriv --reuid 12345 --regid 12345 --clear-groups \"$@\"",
        );
        host.arg("sh").arg(command.get_program()).args(command.get_args()).env("DIR", path).current_dir("/");
        let out = run(&mut host).expect(0).out;
        assert_eq!(flags(&out, "/m"), "ro,nosuid,nodev,noexec", "{fault}");
    }
}

#[test]
fn a_thousand_mounts() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let mut command = launcher(["--rootfs", rootfs.arg(), "--tmpfs", "/m"]);
    for number in 0..900 {
        command.args(["-v", &format!("{}:/m/{number}:ro", temp.0.display())]);
    }
    for number in 900..1000 {
        command.args(["--tmpfs", &format!("/m/{number}")]);
    }
    let script = "grep -c ' /m/' /proc/self/mountinfo; cat /m/899/file; ls /m | wc -l";
    let before = mountinfo();
    let out = run(command.args(["--", "sh", "-c", script])).expect(0).out;
    assert_eq!(out, "1000\nhost\n1000\n");
    assert_eq!(mountinfo(), before);
}

#[test]
fn propagation_is_as_asked_and_nothing_gets_out_unasked() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let path = temp.0.to_str().unwrap();
    for (words, want) in [
        ("", ""),
        (":rprivate", ""),
        (":private", ""),
        (":rslave", "master"),
        (":slave", "master"),
        (":rshared", "shared"),
        (":shared", "shared"),
        (":runbindable", "unbindable"),
        (":unbindable", "unbindable"),
    ] {
        let volume = format!("{path}:/m{words}");
        let mut host = on_a_shared_host("mount --bind \"$DIR\" \"$DIR\"; exec \"$@\"");
        host.args([
            "sh",
            launcher(["x"]).get_program().to_str().unwrap(),
            "--rootfs",
            rootfs.arg(),
            "-v",
            &volume,
        ]);
        let out = run(host.args(["--", "cat", "/proc/self/mountinfo"]).env("DIR", path)).expect(0).out;
        assert_eq!(propagation(&out, "/m"), want, "{words}");
    }
}

/// Starts a container that shows DIR on /m, and when it runs plugs in a stick at DIR/below.
const STICK: &str = "mount -t tmpfs x \"$DIR\"; mkfifo \"$DIR/up\" \"$DIR/go\"; mkdir \"$DIR/below\"
    \"$LAUNCHER\" --rootfs \"$ROOTFS\" -v \"$DIR:/m$WORDS\" -- sh -c 'echo >/m/up; read line </m/go; ls /m/below' &
    read line <\"$DIR/up\"; mount -t tmpfs stick \"$DIR/below\"; echo >\"$DIR/below/on-the-stick\"; echo >\"$DIR/go\"; wait $!";

#[test]
fn a_stick_that_is_plugged_in_later_is_seen_by_a_slave_alone() {
    require!(root, busybox);
    for (words, want) in
        [(":rslave", "on-the-stick\n"), (":rshared", "on-the-stick\n"), (":rprivate", ""), ("", "")]
    {
        let (rootfs, temp) = (Rootfs::new(), source(false));
        let mut host = on_a_shared_host(STICK);
        host.env("DIR", &temp.0).env("ROOTFS", rootfs.arg()).env("WORDS", words);
        assert_eq!(run(&mut host).expect(0).out, want, "{words}");
    }
}

#[test]
fn what_is_shared_goes_out_and_nothing_else() {
    require!(root, busybox);
    for (words, want) in [(":rshared", "1\n"), (":rslave", "0\n"), ("", "0\n")] {
        let (rootfs, temp) = (Rootfs::new(), source(false));
        let script = format!(
            "mount -t tmpfs x \"$DIR\"; mkdir \"$DIR/below\"
            \"$LAUNCHER\" --rootfs \"$ROOTFS\" --privileged -v \"$DIR:/m{words}\" -- mount -t tmpfs x /m/below
            grep -c \" $DIR/below \" /proc/self/mountinfo || true",
        );
        let mut host = on_a_shared_host(&script);
        assert_eq!(run(host.env("DIR", &temp.0).env("ROOTFS", rootfs.arg())).expect(0).out, want, "{words}");
    }
}

#[test]
fn the_plan_shows_each_mount_and_nothing_is_touched() {
    let words = [
        "--rootfs",
        "/nowhere",
        "-v",
        "/nope:/a/b:ro",
        "--tmpfs",
        "/a",
        "--mount",
        "src=/x,dst=/m,optional,bind-propagation=rslave",
        "--dry-run",
        "--",
        "sh",
    ];
    let out = run(&mut launcher(words)).expect(0).out;
    let at = |text: &str| out.find(text).ok_or_else(|| format!("{text}: {out}")).unwrap();
    let order = [
        "make / rslave",
        "open /x to mount it on /m",
        "open /nope to mount it on /a/b",
        "bind the rootfs",
        "fill /dev",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{out}");
    let order = [
        "fill /dev",
        "mount tmpfs on /a (nosuid,nodev,noexec)",
        "mount /x on /m (nodev,rslave,optional)",
        "mount /nope on /a/b (ro,nodev,rprivate)",
        "protect in /proc",
    ];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{out}");
    assert!(!Path::new("/nowhere").exists());
}

#[test]
fn devices_of_the_host_are_given_whole_and_nothing_else_is() {
    require!(root, busybox);
    let temp = Temp::new();
    symlink("/dev/zero", temp.0.join("zero")).unwrap();
    let link = format!("{}/zero:/etc/new/zero", temp.0.display());
    for is_user in [false, true] {
        let rootfs = rootfs(is_user);
        let options =
            ["--device", "/dev/zero:/dev/nothing", "--device", "/dev/full:/srv/full:rwm", "--device", &link];
        let script = "stat -c '%n %t:%T' /dev/nothing /srv/full /etc/new/zero; head -c 3 /dev/nothing | wc -c; head -c 3 /etc/new/zero | wc -c
            echo x 2>/dev/null >/srv/full || echo full; cat /proc/self/mountinfo";
        let out = inside_of(is_user, &rootfs, &options, script).expect(0).out;
        let want = "/dev/nothing 1:5\n/srv/full 1:7\n/etc/new/zero 1:5\n3\n3\nfull\n";
        assert!(out.starts_with(want), "{out}");
        assert!(!flags(&out, "/srv/full").contains("nodev"));
        for (device, why) in [
            ("/etc/passwd:/dev/x", "No such device (ENODEV)\n  hint: that is no device"),
            ("/dev:/srv", "No such device (ENODEV)\n  hint: that is no device"),
            (
                "/dev/no-such",
                "open /dev/no-such to mount it on /dev/no-such: No such file or directory (ENOENT)",
            ),
        ] {
            let finished = inside_of(is_user, &rootfs, &["--device", device], "true").expect(125);
            assert!(finished.err.contains(why), "{}", finished.err);
        }
        // A node of the image's or in a volume is no way to have one.
        inside_of(is_user, &rootfs, &["-v", "/dev:/m"], "head -c 1 /m/zero").expect(1);
    }
}

#[test]
fn small_files_are_there_and_nowhere_else() {
    require!(root, busybox);
    for is_user in [false, true] {
        let rootfs = rootfs(is_user);
        fs::write(rootfs.path().join("etc/hosts"), "image\n").unwrap();
        let options = ["--file", "/etc/hosts=127.0.0.1 a=b\n", "--file", "/new/empty=", "--read-only"];
        let script = "cat /etc/hosts; stat -c '%n %s %a' /new/empty /etc/hosts; ls -A /dev | grep file; echo more >>/etc/hosts; tail -n 1 /etc/hosts";
        let out = inside_of(is_user, &rootfs, &options, script).expect(0).out;
        assert_eq!(out, "127.0.0.1 a=b\n/new/empty 0 644\n/etc/hosts 14 644\nmore\n");
        assert_eq!(fs::read_to_string(rootfs.path().join("etc/hosts")).unwrap(), "image\n");
        let large = format!("/srv/large={}", "x".repeat(100_000));
        let out = inside_of(is_user, &rootfs, &["--file", &large], "wc -c </srv/large").expect(0).out;
        assert_eq!(out, "100000\n");
        let finished = inside_of(is_user, &rootfs, &["--file", "/srv=x"], "true").expect(125);
        assert!(finished.err.contains("Is a directory (EISDIR)"), "{}", finished.err);
    }
}

#[test]
fn links_are_made_where_nothing_is() {
    require!(root, busybox);
    for is_user in [false, true] {
        let (rootfs, outside) = (rootfs(is_user), source(is_user));
        symlink(&outside.0, rootfs.path().join("etc/out")).unwrap();
        fs::write(rootfs.path().join("etc/file"), "").unwrap();
        let before = snapshot(&outside.0);
        let script = "for at in /link /etc/new/link /etc/out/link; do readlink $at; done";
        let options =
            ["--symlink", "/link=/etc", "--symlink", "/etc/new/link=../x", "--symlink", "/etc/out/link=y"];
        for _ in 0..2 {
            let out = inside_of(is_user, &rootfs, &options, script).expect(0).out;
            assert_eq!(out, "/etc\n../x\ny\n", "and once more, where they are already");
        }
        assert_eq!(snapshot(&outside.0), before);
        for place in ["/etc/file", "/link", "/srv"] {
            let finished =
                inside_of(is_user, &rootfs, &["--symlink", &format!("{place}=z")], "true").expect(125);
            assert!(finished.err.contains("File exists (EEXIST)"), "{}", finished.err);
        }
        let out =
            inside_of(is_user, &rootfs, &["--ephemeral", "--symlink", "/srv/gone=z"], "readlink /srv/gone");
        assert_eq!(out.expect(0).out, "z\n");
        assert!(rootfs.path().join("srv/gone").symlink_metadata().is_err());
    }
}

#[test]
fn the_root_has_the_propagation_that_is_asked_for() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), source(false));
    let volume = format!("{}:/m:rslave", temp.0.display());
    for (mode, want) in [
        ("", "master"),
        ("rslave", "master"),
        ("private", ""),
        ("rprivate", ""),
        ("shared", "shared"),
        ("unbindable", "unbindable"),
    ] {
        let words = if mode.is_empty() { vec![] } else { vec!["--rootfs-propagation", mode] };
        let words =
            [&["--rootfs", rootfs.arg(), "-v", &volume][..], &words, &["--", "cat", "/proc/self/mountinfo"]]
                .concat();
        let command = launcher(&words);
        let mut host = on_a_shared_host("exec \"$@\"");
        let finished = run(host.arg("sh").arg(command.get_program()).args(command.get_args())).expect(0);
        let found = propagation(&finished.out, "/");
        assert!(found.split(' ').any(|word| word == want), "{mode}: {found}");
        assert_eq!(propagation(&finished.out, "/m"), "master", "{mode}: a mount has its own");
    }
}

/// Runs a script in a container with these words, on a host where DIR is a tmpfs with a file of root's and one of 1000's.
fn with_owners(rootfs: &Rootfs, temp: &Temp, words: &[&str], script: &str) -> Finished {
    let words = [&["--rootfs", rootfs.arg()][..], words, &["--", "sh", "-c", script]].concat();
    let command = launcher(&words);
    let mut host = on_a_shared_host(
        "mount -t tmpfs x \"$DIR\"; cd \"$DIR\"; touch roots users; chown 1000:1000 users; cd /
        \"$@\"; stat -c '%n %u' \"$DIR\"/*",
    );
    host.arg("sh").arg(command.get_program()).args(command.get_args()).env("DIR", &temp.0);
    run(&mut host)
}

#[test]
fn ids_of_a_mount_are_those_of_the_user_namespace() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::new(), Temp::new());
    let at = |words: &str| format!("{}:/m{words}", temp.0.display());
    fs::create_dir(rootfs.path().join("m")).unwrap(); // root inside may make nothing in what is root's outside
    let map = ["--uidmap", "0:100000:65536", "-v"];
    let script = "cd /m; stat -c '%n %u' *; touch new 2>/dev/null || echo no";
    let outside = |names: &str| {
        let line = |line: &str| format!("{}/{}\n", temp.0.display(), line.replace('=', " "));
        names.split(' ').map(line).collect::<String>()
    };
    let out = with_owners(&rootfs, &temp, &[&map[..], &[&at(":idmap")]].concat(), script).expect(0).out;
    assert_eq!(out, format!("roots 0\nusers 1000\n{}", outside("new=0 roots=0 users=1000")));
    let out = with_owners(&rootfs, &temp, &[&map[..], &[&at("")]].concat(), script).expect(0).out;
    assert_eq!(out, format!("roots 65534\nusers 65534\n{}", outside("new=100000 roots=0 users=1000")));
    let out = with_owners(&rootfs, &temp, &[&map[..], &[&at(":idmap,ro")]].concat(), script).expect(0).out;
    assert_eq!(out, format!("roots 0\nusers 1000\nno\n{}", outside("roots=0 users=1000")));
    let finished = inside(&rootfs, &["-v", &at(":idmap")], "true").expect(125);
    assert!(finished.err.contains("idmap is for a bind and a new user namespace"), "{}", finished.err);
    let rootfs = Rootfs::for_user();
    let finished = inside_as_user(&rootfs, &["-v", &at(":idmap")], "true").expect(125);
    assert!(finished.err.contains("(EPERM)\n  hint: idmap needs root"), "{}", finished.err);
}
