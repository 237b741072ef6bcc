//! Containers by an ordinary user, who has one id or a range of them, and containers of root with other ids.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;

use common::{
    Finished, Rootfs, Running, Temp, USER, as_user, cgroups_named, children_of, inside, inside_as_user,
    launcher, launcher_as_user, launcher_path, look_for_the_old_root, mountinfo, mounts, run, snapshot,
};

/// A folder of the ordinary user with a file of theirs.
fn temp_of_user() -> Temp {
    let temp = Temp::new();
    let file = temp.0.join("file");
    fs::write(&file, "before\n").unwrap();
    for path in [&temp.0, &file] {
        std::os::unix::fs::chown(path, Some(USER), Some(USER)).unwrap();
    }
    temp
}

#[test]
fn one_id_is_enough_to_be_root_inside() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let script = "id -u; id -g; cd /proc/self; awk '{ print $1, $2, $3 }' uid_map gid_map; cat setgroups; hostname
        grep -E '^Cap(Prm|Eff|Bnd)|^NoNew' status | cut -f 2; ip addr show lo | grep -o 'inet 127[^ ]*'; echo $$; cat /proc/1/comm";
    let finished = inside_as_user(&rootfs, &["-h", "mine"], script).expect(0);
    let map = format!("0 {USER} 1");
    let caps = "00000000a80425fb";
    let want = ["0", "0", &map, &map, "deny", "mine", caps, caps, caps, "1", "inet 127.0.0.1/8"];
    let lines: Vec<_> = finished.out.lines().collect();
    assert_eq!(lines[..want.len()], want);
    assert_eq!(lines[want.len()..], ["2", "launcher:init"]);
}

#[test]
fn root_of_a_namespace_with_one_id_makes_containers_too() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let script = "echo $(id -u) $(cat /proc/self/setgroups) $(awk '{ print $1, $3 }' /proc/self/gid_map)";
    for (options, want) in [
        (&[][..], "0 deny 0 1"),
        (&["--privileged"], "0 deny 0 1"),
        (&["--ephemeral", "-u", "0:0"], "0 deny 0 1"),
        (&["-t"], "0 deny 0 1"),
        (&["--userns", "new"], "0 deny 0 1"),
        (&["--uidmap", "3:0:1", "-u", "3:3"], "3 deny 3 1"),
    ] {
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user"]).arg(launcher_path()).args(["--rootfs", rootfs.arg()]);
        command.args(options).args(["--", "sh", "-c", script]);
        let finished = run(&mut as_user(command)).expect(0);
        assert_eq!(finished.out.trim_end(), want, "{options:?}");
    }
}

#[test]
fn what_is_made_inside_belongs_to_the_user() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    inside_as_user(&rootfs, &[], "mkdir /srv/new; echo x >/srv/new/file; chmod 600 /srv/new/file").expect(0);
    for name in ["srv/new", "srv/new/file"] {
        let meta = fs::metadata(rootfs.path().join(name)).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (USER, USER), "{name}");
    }
}

#[test]
fn the_mounts_are_roots_and_the_devices_are_bound() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let before = mountinfo();
    let out = inside_as_user(&rootfs, &[], "cat /proc/self/mountinfo").expect(0).out;
    let found = mounts(&out);
    let want = [
        "/proc proc rw,nosuid,nodev,noexec",
        "/sys sysfs ro,nosuid,nodev,noexec",
        "/dev tmpfs rw,nosuid",
        "/dev/pts devpts rw,nosuid,noexec",
        "/dev/shm tmpfs rw,nosuid,nodev,noexec",
        "/dev/mqueue mqueue rw,nosuid,nodev,noexec",
        "/proc/sys proc ro,nosuid,nodev,noexec",
    ];
    for line in want {
        assert!(found.iter().any(|mount| mount == line), "{line}: {found:#?}");
    }
    for device in ["null", "zero", "full", "random", "urandom", "tty"] {
        let target = format!("/dev/{device} "); // of a devtmpfs; of a tmpfs where we run in a container ourselves
        assert!(found.iter().any(|mount| mount.starts_with(&target)), "{target}: {found:#?}");
    }
    // Nothing else of the host is to be seen.
    let shown = |mount: &&String| !["/ ", "/proc", "/sys", "/dev"].iter().any(|top| mount.starts_with(top));
    assert_eq!(found.iter().filter(shown).count(), 0, "{found:#?}");
    let script = "cd /dev; stat -c '%n %t:%T' null zero full random urandom tty; echo x >null && head -c 3 zero | wc -c";
    let finished = inside_as_user(&rootfs, &[], script).expect(0);
    assert_eq!(finished.out, "null 1:3\nzero 1:5\nfull 1:7\nrandom 1:8\nurandom 1:9\ntty 5:0\n3\n");
    assert_eq!(mountinfo(), before);
}

#[test]
fn secrets_of_the_host_stay_out_of_reach_where_the_user_is_root_and_may_mount() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    // With CAP_SYS_ADMIN inside it may take the masks away, and then meets the permissions of the host's files.
    let script = "head -c 1 /proc/timer_list | wc -c; umount /proc/timer_list 2>/dev/null; umount /proc/sys 2>/dev/null
        mount -o remount,bind,rw /proc/sys 2>/dev/null; mount -o remount,bind,rw /sys 2>/dev/null
        head -c 1 /proc/timer_list | wc -c; true >>/proc/sys/kernel/core_pattern || echo protected";
    let finished = inside_as_user(&rootfs, &["--cap-add", "SYS_ADMIN"], script);
    assert_eq!(finished.out, "0\n0\nprotected\n", "{finished:?}");
}

#[test]
fn an_ephemeral_rootfs_can_be_changed_and_does_not_change() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    fs::create_dir_all(rootfs.path().join("srv/a/b")).unwrap();
    for name in ["etc/keep", "etc/remove", "srv/a/b/file"] {
        fs::write(rootfs.path().join(name), name).unwrap();
    }
    for name in ["", "etc", "etc/keep", "etc/remove", "srv", "srv/a", "srv/a/b", "srv/a/b/file"] {
        std::os::unix::fs::chown(rootfs.path().join(name), Some(USER), Some(USER)).unwrap();
    }
    let before = snapshot(rootfs.path());
    let script = "cd /; echo more >>etc/keep; rm etc/remove && rm -r srv/a && mkdir srv/a; echo x >srv/a/new; mv etc old;
        cat old/keep; ls old srv srv/a; [ ! -e etc ] && echo moved; stat -c %d:%i / /.. | sort -u | wc -l";
    let out = inside_as_user(&rootfs, &["--ephemeral"], script).expect(0).out;
    assert_eq!(out, "etc/keepmore\nold:\nkeep\n\nsrv:\na\n\nsrv/a:\nnew\nmoved\n1\n");
    assert_eq!(snapshot(rootfs.path()), before);
}

#[test]
fn the_root_of_the_host_can_be_the_rootfs() {
    require!(root, busybox);
    let temp = temp_of_user();
    let file = temp.0.join("file");
    for (options, is_kept) in [(&["--rootfs", "/"][..], true), (&["--rootfs", "/", "--ephemeral"], false)] {
        fs::write(&file, "before\n").unwrap();
        let script = format!(
            "echo $$; id -u; cat {0}; echo after >{0}; cat {0}; hostname; [ -w /etc/passwd ] && [ -c /dev/null ] && ls /proc/1/comm",
            file.display()
        );
        let finished =
            run(launcher_as_user(options).args(["--", "/bin/busybox", "sh", "-c", &script])).expect(0);
        assert_eq!(finished.out, "2\n0\nbefore\nafter\nlauncher\n/proc/1/comm\n", "{options:?}");
        assert_eq!(fs::read_to_string(&file).unwrap() == "after\n", is_kept, "{options:?}");
    }
}

#[test]
fn an_ephemeral_root_of_the_host_lets_system_files_go() {
    require!(root, busybox);
    let file = "/etc/subuid";
    let before = snapshot(Path::new(file));
    // The files of the host's root belong to nobody in there; what the user may not change outside stays as it is.
    let script =
        format!("touch /etc/new /new && ls /etc/new /new; rm {file} 2>/dev/null; cd /etc && ls -d ../etc");
    let mut command = launcher_as_user(["--rootfs", "/", "--ephemeral"]);
    let finished = run(command.args(["--", "/bin/busybox", "sh", "-c", &script])).expect(0);
    assert_eq!(finished.out, "/etc/new\n/new\n../etc\n");
    assert_eq!(snapshot(Path::new(file)), before);
    assert!(!Path::new("/new").exists() && !Path::new("/etc/new").exists());
}

#[test]
fn a_folder_that_the_user_may_not_read_is_no_empty_one() {
    require!(root, busybox, unshare);
    let rootfs = Rootfs::for_user();
    // What is mounted below is locked, so that the folder cannot be a layer of an overlay.
    let secret = rootfs.path().join("secret");
    fs::create_dir_all(secret.join("below")).unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o700)).unwrap();
    let script = r#"mount -t tmpfs test "$0/secret/below" && exec setpriv --reuid 12345 --regid 12345 --clear-groups "$@""#;
    let mut outer = Command::new("unshare");
    outer.args(["--mount", "--propagation", "private", "sh", "-c", script, rootfs.arg()]);
    outer.arg(launcher_path()).args(["--rootfs", rootfs.arg(), "--ephemeral", "--", "sh", "-c"]);
    let finished =
        run(outer.arg("echo 1 >new; ls secret; mkdir secret/new; cat new").current_dir("/")).expect(0);
    assert_eq!(finished.out, "1\n");
    assert!(finished.err.contains("ls: can't open 'secret': Permission denied"), "{}", finished.err);
    assert!(finished.err.contains("mkdir: can't create directory 'secret/new'"), "{}", finished.err);
}

#[test]
fn the_root_of_the_host_is_out_of_reach() {
    require!(root, busybox);
    let temp = temp_of_user();
    let mark = temp.0.join("file");
    let rootfs = Rootfs::for_user();
    for options in [
        &["--rootfs", rootfs.arg()][..],
        &["--rootfs", rootfs.arg(), "--ephemeral"],
        &["--rootfs", "/", "--ephemeral"],
    ] {
        let script = look_for_the_old_root(&mark);
        let finished = run(launcher_as_user(options).args(["--", "/bin/busybox", "sh", "-c", &script]));
        assert_eq!(fs::read_to_string(&mark).unwrap(), "before\n", "{options:?}");
        assert_eq!(
            finished.out, "1\n1\n",
            "{options:?}: one root, and nothing on top of it: {}",
            finished.err
        );
    }
}

#[test]
fn the_command_starts_in_the_root_of_the_container() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    for options in [&[][..], &["--ephemeral"], &["--pid", "host"], &["--network", "host"]] {
        let mut command = launcher_as_user(["--rootfs", rootfs.arg()]);
        let finished =
            run(command.args(options).args(["--", "busybox", "stat", "-c", "%d:%i", ".", "/"])).expect(0);
        let lines: Vec<_> = finished.out.lines().collect();
        assert_eq!(lines[0], lines[1], "{options:?}");
    }
}

#[test]
fn what_an_ordinary_user_cannot_have_is_refused_with_the_cure() {
    require!(root, busybox, memory_v1);
    let rootfs = Rootfs::for_user();
    for (options, fault, cure) in [
        (&["-m", "32m"][..], "", "Delegate=yes"),
        (&["--pids-limit", "9"], "", "Delegate=yes"),
        (&["-u", "1000"], "--user 1000: user id 1000 is not mapped", "--userns auto"),
        (&["-u", "0:1000"], "--user 0:1000: group id 1000 is not mapped", "--userns auto"),
        (&["--userns", "auto"], "/etc/subuid has no range", "12345:100000:65536"),
        (&["--uidmap", "0:0:1"], "write gid_map", "newgidmap"),
        (&["--uidmap", "0:100000:65536"], "gid_map", "newgidmap"),
        (&["--ulimit", "nofile=9:9999999"], "nofile", "CAP_SYS_RESOURCE"),
        (&["--userns", "host"], "capability setgid", "--userns new"),
        (&["--network", "ns:/proc/1/ns/net"], "/proc/1/ns/net", "owner"),
    ] {
        let named = [&["--name", "rootless-refused"][..], options].concat();
        let finished = inside_as_user(&rootfs, &named, "echo ran").expect(125);
        assert_eq!(finished.out, "", "{options:?}");
        assert!(finished.err.contains(fault) && finished.err.contains(cure), "{options:?}: {}", finished.err);
        assert_eq!(finished.err.matches("launcher: ").count(), 1, "{options:?}: {}", finished.err);
        assert!(cgroups_named("rootless-refused").is_empty(), "{options:?}");
    }
}

#[test]
fn without_a_network_of_its_own_sys_is_the_hosts_and_read_only() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let script = "cat /proc/self/mountinfo; readlink /proc/self/ns/net";
    let finished = inside_as_user(&rootfs, &["--network", "host"], script).expect(0);
    let (text, net) = finished.out.trim().rsplit_once('\n').unwrap();
    assert_eq!(net, fs::read_link("/proc/self/ns/net").unwrap().display().to_string());
    let found = mounts(text);
    let is_bound = |mount: &&String| mount.starts_with("/sys") && !mount.starts_with("/sys/firmware");
    let sys: Vec<_> = found.iter().filter(is_bound).collect();
    assert!(sys.len() > 1, "the host's cgroups are below: {found:#?}");
    for mount in sys {
        assert!(mount.rsplit(' ').next().unwrap().starts_with("ro"), "{mount}");
    }
}

#[test]
fn without_a_pid_namespace_the_hosts_processes_are_seen_and_the_masks_are_there() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let script = "readlink /proc/self/ns/pid; [ $$ -gt 2 ] && cat /proc/$PPID/comm; head -c 1 /proc/timer_list | wc -c; ls -A /proc/acpi | wc -l";
    let finished = inside_as_user(&rootfs, &["--pid", "host"], script).expect(0);
    let host = fs::read_link("/proc/self/ns/pid").unwrap();
    assert_eq!(finished.out, format!("{}\nlauncher:init\n0\n0\n", host.display()));
}

#[test]
fn a_mount_that_is_bound_has_the_flags_of_the_plan() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    for (option, target) in [("--network", "/sys"), ("--pid", "/proc"), ("--cgroupns", "/sys/fs/cgroup")] {
        let plan =
            run(&mut launcher_as_user(["--rootfs", rootfs.arg(), option, "host", "--dry-run", "--", "true"]));
        let line = format!(" on {target} (");
        let promised =
            plan.expect(0).out.lines().find_map(|text| Some(text.split_once(&line)?.1.to_owned())).unwrap();
        let finished = inside_as_user(&rootfs, &[option, "host"], "cat /proc/self/mountinfo").expect(0);
        let start = format!("{target} ");
        let found = mounts(&finished.out).into_iter().rfind(|mount| mount.starts_with(&start)).unwrap();
        for flag in promised.trim_end_matches(')').split(',') {
            assert!(found.contains(flag), "{option} host: {promised} was promised for {found}");
        }
    }
}

#[test]
fn another_container_of_the_user_can_be_joined() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let mut command = launcher_as_user(["--rootfs", rootfs.arg(), "-h", "first", "--", "/probe", "pause"]);
    let mut first = Running::start(&mut command);
    first.wait_for("ready");
    // Not init, which nobody may look into; its child is as good.
    let pid = children_of(children_of(first.child.id())[0])[0];
    let container = format!("container:{pid}");
    let options = ["--userns", &container, "--network", &container, "--uts", &container, "--pid", &container];
    let script = "hostname; for kind in user net uts pid; do readlink /proc/self/ns/$kind; done";
    let finished = inside_as_user(&rootfs, &options, script);
    let names = ["user", "net", "uts", "pid"]
        .map(|kind| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap().display().to_string());
    first.signal(libc::SIGTERM);
    first.finish().expect(128 + libc::SIGTERM);
    assert_eq!(finished.expect(0).out, format!("first\n{}\n", names.join("\n")));
}

/// Runs a line of shell as an ordinary user who has subordinate ids, as these two files say: in a mount namespace of
/// the test's own that has them, since those of the machine are not ours to change.
fn with_ranges(subuid: &str, subgid: &str, line: &str) -> Finished {
    let temp = Temp::new();
    let passwd = fs::read_to_string("/etc/passwd").unwrap() + &format!("ranger:x:{USER}:{USER}::/:/bin/sh\n");
    for (name, text) in [("subuid", subuid), ("subgid", subgid), ("passwd", &*passwd)] {
        fs::write(temp.0.join(name), text).unwrap();
    }
    let folder = temp.0.display();
    let script = format!(
        "for name in subuid subgid passwd; do mount --bind {folder}/$name /etc/$name || exit 99; done
         exec setpriv --reuid {USER} --regid {USER} --clear-groups {line}"
    );
    run(Command::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", &script]))
}

#[test]
fn subordinate_ids_make_more_than_one_user() {
    require!(root, busybox, newuidmap, unshare, setpriv);
    let rootfs = Rootfs::for_user();
    let (program, folder) = (launcher_path(), rootfs.arg());
    let run = format!("{} --rootfs {folder} --userns auto", program.display());
    for ranges in [format!("{USER}:100000:65536\n"), "ranger:100000:65536\nother:1:1\n".to_owned()] {
        let line = format!(
            "{run} -- sh -c \"id -u; awk '{{ print \\$1, \\$2, \\$3 }}' /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups; chown 5:6 /srv && stat -c %u:%g /srv /dev/pts\""
        );
        let finished = with_ranges(&ranges, &ranges, &line).expect(0);
        let map = format!("0 {USER} 1\n1 100000 65536\n");
        assert_eq!(finished.out, format!("0\n{map}{map}allow\n5:6\n0:0\n"), "{ranges}");
        let srv = fs::metadata(rootfs.path().join("srv")).unwrap();
        assert_eq!((srv.uid(), srv.gid()), (100_004, 100_005), "{ranges}");
    }
    let ranges = format!("{USER}:100000:65536\n");
    let facts = "grep -E '^(Uid|Gid|Groups|CapEff):' /proc/self/status";
    let finished =
        with_ranges(&ranges, &ranges, &format!("{run} -u 1000:100 -- sh -c \"{facts}\"")).expect(0);
    let want =
        "Uid:\t1000\t1000\t1000\t1000\nGid:\t100\t100\t100\t100\nGroups:\t100\nCapEff:\t0000000000000000\n";
    assert_eq!(finished.out.replace(" \n", "\n"), want);
}

#[test]
fn ranges_that_do_not_suffice_are_told() {
    require!(root, busybox, newuidmap, unshare, setpriv);
    let rootfs = Rootfs::for_user();
    let line =
        |options: &str| format!("{} --rootfs {} {options} -- true", launcher_path().display(), rootfs.arg());
    let ranges = format!("{USER}:100000:65536\n");
    for (subuid, subgid, options, words) in [
        (&*ranges, "", "--userns auto", "/etc/subgid has no range for ranger"),
        ("", &*ranges, "--userns auto", "/etc/subuid has no range for ranger"),
        (&*ranges, &*ranges, "--userns auto -u 65537", "not mapped"),
        // The helper's own words are passed on.
        (&*ranges, &*ranges, "--uidmap 0:12345:1 --uidmap 1:200000:10", "newgidmap: "),
    ] {
        let finished = with_ranges(subuid, subgid, &line(options)).expect(125);
        assert!(finished.err.contains(words), "{options}: {}", finished.err);
        assert_eq!(finished.err.matches("launcher: ").count(), 1, "{options}: {}", finished.err);
    }
}

#[test]
fn root_can_give_a_container_other_ids() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let secret = rootfs.path().join("etc/secret");
    fs::write(&secret, "x").unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    for (options, uid, gid) in [
        (&["--uidmap", "0:100000:65536"][..], 100_000, 100_000),
        (&["--uidmap", "0:100000:65536", "--gidmap", "0:200000:65536"], 100_000, 200_000),
        (&["--uidmap", "0:300000:1", "--uidmap", "1:400000:9"], 300_000, 300_000),
    ] {
        let mut command = launcher(["--rootfs", rootfs.arg()]);
        let mut running = Running::start(command.args(options).args(["--", "/probe", "pause"]));
        running.wait_for("ready");
        let init = children_of(running.child.id())[0];
        for pid in [init, children_of(init)[0]] {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
            let ids = format!("Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nGid:\t{gid}\t{gid}\t{gid}\t{gid}\n");
            assert!(status.contains(&ids), "{options:?}: {status}");
        }
        running.signal(libc::SIGTERM);
        running.finish().expect(128 + libc::SIGTERM);
        let script = "id -u; cat /etc/secret 2>/dev/null; touch /etc/new 2>/dev/null; echo $?; cat /proc/self/setgroups";
        assert_eq!(inside(&rootfs, options, script).expect(0).out, "0\n1\nallow\n", "{options:?}");
    }
}

#[test]
fn maps_that_make_no_sense_are_refused() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for (options, words) in [
        (&["--uidmap", "1000:100000:65536"][..], "--user 0:0: user id 0 is not mapped"),
        (&["--uidmap", "0:100000:10", "-u", "10"], "not mapped"),
        (&["--uidmap", "0:100000:10", "-u", "9:10"], "not mapped"),
        (&["--uidmap", "0:100000"], "--uidmap"),
        (&["--uidmap", "0:100000:10", "--userns", "host"], "--userns"),
        // Overlapping: the kernel's to say.
        (&["--uidmap", "0:100000:10", "--uidmap", "5:200000:10"], "write"),
    ] {
        let finished = inside(&rootfs, options, "echo ran").expect(125);
        assert!(finished.out.is_empty() && finished.err.contains(words), "{options:?}: {}", finished.err);
    }
}
