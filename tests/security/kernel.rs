//! What the kernel is asked to keep: masks, maps of ids, cgroups; and who may ask launcher for it.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use crate::common::tty::Terminal;
use crate::common::{
    Rootfs, Temp, as_user, copy_program, finish, inside, inside_as_user, launcher, launcher_path, mountinfo,
    run,
};
use crate::require;

/// Tries to take away every mount below /proc and /sys, and to make writable those that are not; says where that worked.
const UNLOCK: &str = "grep -E ' /(proc|sys)/[^ ]* ' /proc/self/mountinfo | cut -d ' ' -f 5,6 | sort -r >/tmp/list; wc -l </tmp/list
    while read at flags; do umount $at 2>/dev/null && echo took $at; umount -l $at 2>/dev/null && echo took $at lazily
        case $flags in ro*) mount -o remount,bind,rw $at 2>/dev/null && echo opened $at; esac; done </tmp/list
    mount -o remount,bind,rw /sys 2>/dev/null && echo opened /sys
    mount -t tmpfs x /srv && echo may mount";

#[test]
fn cve_2014_9717_no_mask_can_be_taken_away_in_a_user_namespace() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    fs::write(rootfs.path().join("unlock"), UNLOCK).unwrap();
    // The filter would forbid the namespace, and no_new_privs does not matter for it.
    let options = ["--security-opt", "seccomp=unconfined", "--tmpfs", "/tmp"];
    let script = "busybox unshare -U -r -m sh /unlock";
    let of_root = [&["--uidmap", "0:100000:65536"], &options[..]].concat();
    for finished in [
        inside_as_user(&rootfs, &options, script),
        inside(&rootfs, &options, script),
        inside(&rootfs, &of_root, script),
    ] {
        let lines: Vec<_> = finished.out.lines().collect();
        assert!(lines.first().is_some_and(|count| count.parse::<u32>().unwrap() >= 9), "{finished:?}");
        assert_eq!(lines[1..], ["may mount"], "{finished:?}");
    }
    // Who gives SYS_ADMIN to the container itself gives it the masks too.
    let given = inside(&rootfs, &["--cap-add", "SYS_ADMIN"], "sh /unlock");
    assert!(given.out.contains("took /proc/sys\n") && given.out.contains("opened /sys\n"), "{given:?}");
}

#[test]
fn cve_2018_18955_maps_of_many_lines_are_what_was_asked_for() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // Five are kept in the kernel's first cache line; 340 is its limit, if they fit into a page.
    for count in [1, 2, 5, 6, 340] {
        let maps: Vec<_> = (0..count).map(|at| format!("{}:{}:1", at * 2, 1000 + at * 3)).collect();
        let mut command = launcher(["--rootfs", rootfs.arg()]);
        for map in &maps {
            command.args(["--uidmap", map]);
        }
        let script = "cat /proc/self/uid_map | tr -s ' ' : | cut -c 2-; cmp /proc/self/uid_map /proc/self/gid_map && echo same";
        let out = run(command.args(["--", "busybox", "sh", "-c", script])).expect(0).out;
        assert_eq!(out.lines().collect::<Vec<_>>(), [&maps[..], &["same".to_owned()]].concat(), "{count}");
    }
}

#[test]
fn cve_2022_31214_launcher_with_the_set_user_id_bit_is_refused() {
    require!(root, busybox);
    let (rootfs, temp) = (Rootfs::for_user(), Temp::new());
    let copy = temp.0.join("launcher");
    copy_program(&launcher_path(), &copy);
    let secret = temp.0.join("secret");
    fs::write(&secret, "secret\n").unwrap();
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o600)).unwrap();
    let secret = secret.to_str().unwrap();
    let lines: [&[&str]; 6] = [
        &["--rootfs", rootfs.arg(), "--", "sh", "-c", "id -u"],
        &["run", "--rootfs", "/", "--", "cat", secret],
        &["run", "--mntns", "host", "--", "cat", secret],
        &["--", "cat", secret],
        &["delete", "--force", "no-such-container"],
        &["doctor"],
    ];
    for (mode, is_refused) in [(0o4755, true), (0o2755, true), (0o6755, true), (0o755, false)] {
        fs::set_permissions(&copy, fs::Permissions::from_mode(mode)).unwrap();
        for line in lines {
            let finished = run(&mut as_user({
                let mut command = Command::new(&copy);
                command.args(line).env("LD_PRELOAD", "/nowhere").env("LAUNCHER_VERBOSE", "1");
                command
            }));
            assert!(!finished.out.contains("secret"), "{mode:o} {line:?}");
            let refused = "launcher: it must not have the set-user-ID or set-group-ID bit\n";
            assert_eq!(finished.err == refused, is_refused, "{mode:o} {line:?}: {}", finished.err);
            assert!(!is_refused || (finished.status, &*finished.out) == (125, ""), "{mode:o} {line:?}");
        }
    }
}

#[test]
fn cve_2024_32462_words_of_the_program_are_no_options() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for name in ["--privileged", "--rootfs", "-v", "delete", "@file"] {
        let path = rootfs.path().join("bin").join(name);
        fs::write(&path, "#!/bin/sh\necho program \"$@\"\ngrep CapBnd /proc/self/status\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        let words = ["--rootfs", rootfs.arg(), "--", name, "--privileged", "--", "--rootfs=/"];
        let out = run(&mut launcher(words)).expect(0).out;
        assert_eq!(out, "program --privileged -- --rootfs=/\nCapBnd:\t00000000a80425fb\n", "{name}");
    }
    // Nor are those behind the first word that is none.
    let words = ["--rootfs", rootfs.arg(), "echo", "--privileged", "-v", "/:/host"];
    assert_eq!(run(&mut launcher(words)).expect(0).out, "--privileged -v /:/host\n");
}

#[test]
fn cve_2019_12439_no_folder_of_everybodys_is_used() {
    require!(root, busybox, unshare);
    let rootfs = Rootfs::new();
    // No place to write to but the container's: whatever was made in /tmp, or read from there, would be missed.
    let script = "mount -t tmpfs x /mnt && mkdir /mnt/root && mount --rbind \"$ROOTFS\" /mnt/root && cp \"$LAUNCHER\" /mnt/launcher
        for at in /tmp /run /var/tmp /dev/shm; do mount -t tmpfs -o ro,mode=777 x $at || exit 9; done
        cd /mnt && for more in '' --ephemeral '--tmpfs /srv' '--pids-limit 20' -t; do
            env -i /mnt/launcher --rootfs /mnt/root $more -- sh -c 'echo ran' </dev/null || exit 8; done";
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", script]);
    command.env("ROOTFS", rootfs.arg()).env("LAUNCHER", launcher_path());
    assert_eq!(run(&mut command).expect(0).out.replace('\r', ""), "ran\n".repeat(5));
}

#[test]
fn cve_2023_25809_no_cgroup_is_writable_without_a_cgroup_namespace() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    let script = "busybox find /sys/fs/cgroup -type d >/tmp/all; wc -l </tmp/all
        while read at; do mkdir $at/new 2>/tmp/why && echo made $at; grep -qE 'Read-only|denied|No such' /tmp/why || cat /tmp/why
            echo $$ 2>/dev/null >$at/cgroup.procs && echo moved to $at; done </tmp/all
        busybox find /sys -name release_agent -writable 2>/dev/null";
    for options in [&["--cgroupns", "host"][..], &["--cgroupns", "host", "--network", "host"]] {
        let finished = inside_as_user(&rootfs, options, script);
        assert_eq!(finished.out.lines().count(), 1, "{options:?}: {}", finished.out);
    }
    let finished = inside(&rootfs, &["--network", "host", "--cgroupns", "host"], script);
    assert_eq!(finished.out.lines().count(), 1, "{}", finished.out);
}

#[test]
fn cgroups_that_lead_elsewhere_are_refused() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    for options in [
        ["--cgroup-parent", "../x"],
        ["--cgroup-parent", "/../../x"],
        ["--cgroup-parent", "/a/../../x"],
        ["--cgroup", "../memory.limit_in_bytes=1"],
        ["--cgroup", "a/memory.max=1"],
        ["--name", "../x"],
        ["--name", ".."],
    ] {
        let all = [&["--pids-limit", "20"][..], &options].concat();
        let finished = inside(&rootfs, &all, "echo ran").expect(125);
        assert!(
            finished.out.is_empty() && finished.err.contains(options[0]),
            "{options:?}: {}",
            finished.err
        );
    }
}

#[test]
fn the_knobs_of_the_host_are_closed_to_its_root_in_a_user_namespace() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    // The file's owner is the host's root, whom none of these namespaces makes anybody else: the mount has to protect it.
    for options in [
        &[][..],
        &["--userns", "new"],
        &["--uidmap", "0:0:65536"],
        &["--uidmap", "0:0:65536", "--cap-add", "ALL", "--security-opt", "seccomp=unconfined"],
        &["--pid", "host"],
        &["--ephemeral"],
    ] {
        // It is opened and nothing is written: that would change the host if the protection failed.
        let script = "for file in core_pattern modprobe hotplug; do [ ! -e /proc/sys/kernel/$file ] || true >>/proc/sys/kernel/$file
            done; cat /proc/sys/kernel/core_pattern >/dev/null && echo read";
        let finished = inside(&rootfs, options, script);
        let count = finished.err.matches("can't create /proc/sys/kernel/").count();
        assert_eq!(
            finished.err.matches(": Read-only file system").count(),
            count,
            "{options:?} {finished:?}"
        );
        assert!(count >= 1 && finished.out == "read\n", "{options:?} {finished:?}");
    }
}

#[test]
fn a_cgroup2_of_the_host_is_neither_mounted_nor_changed() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // A mount without a namespace of its own would set the options of all mounts of it (runc's issue 5258).
    let cgroup2 =
        || mountinfo().lines().filter(|line| line.contains(" - cgroup2 ")).map(str::to_owned).collect();
    let before: Vec<String> = cgroup2();
    let mount = ["--mount", "type=cgroup2,dst=/srv"];
    let finished = inside(&rootfs, &[&mount[..], &["--cgroupns", "host"]].concat(), "echo ran").expect(125);
    assert!(finished.err.contains("without a cgroup namespace it would be the host's"), "{finished:?}");
    assert_eq!(inside(&rootfs, &mount, "grep -c ' /srv cgroup2 ro' /proc/mounts").expect(0).out, "1\n");
    assert_eq!(cgroup2(), before);
}

#[test]
fn without_a_mount_namespace_no_mount_and_no_propagation_changes() {
    require!(root, busybox, unshare);
    // A host whose mounts are shared, as systemd's; it was runc that made them private.
    let script = "mount --make-rshared / && before=$(cat /proc/self/mountinfo)
        for more in '' '--pid host' '--uts host --ipc host' '--privileged' '--sysctl net.ipv4.ip_forward=1'; do
            \"$LAUNCHER\" --mntns host $more -- true || exit 8; done
        [ \"$before\" = \"$(cat /proc/self/mountinfo)\" ] && echo same; grep -c shared: /proc/self/mountinfo";
    let mut command = Command::new("unshare");
    command
        .args(["--mount", "--propagation", "private", "sh", "-c", script])
        .env("LAUNCHER", launcher_path());
    let out = run(&mut command).expect(0).out;
    let count = out.strip_prefix("same\n").unwrap_or_else(|| panic!("{out}"));
    assert!(count.trim().parse::<u32>().unwrap() > 0, "{count}");
    // With a rootfs there is always one.
    let rootfs = Rootfs::new();
    inside(&rootfs, &["--mntns", "host"], "echo ran").expect(125);
}

#[test]
fn cve_2016_2779_nothing_is_typed_on_the_callers_terminal_where_it_is_handed_on() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    for is_user in [false, true] {
        // Without -t the streams are the caller's terminal.
        for more in [&[][..], &["--cap-add", "SYS_TTY_CONFIG"], &["-u", "0:0"]] {
            let mut terminal = Terminal::new();
            let mut command = launcher(["--rootfs", rootfs.arg()]);
            command.args(more).args(["--", "sh", "-c", "test -t 0 && /probe inject"]);
            let mut command = if is_user { as_user(command) } else { command };
            finish(terminal.start(&mut command)).expect(0);
            terminal.wait_for("injected 0\r\n", 1);
            assert_eq!(terminal.waiting(), 0, "{is_user} {more:?}");
        }
    }
}

#[test]
fn ghsa_g54h_m393_cpwq_a_node_made_inside_opens_no_disk_of_the_host() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    let disk = fs::metadata("/").unwrap().dev();
    let (major, minor) = (libc::major(disk), libc::minor(disk));
    // A rule for character devices of its numbers, and one to make it, are none to open it.
    let rules = [format!("c {major}:{minor} rwm"), "c *:* rwm".to_owned(), format!("b {major}:{minor} m")];
    let script = format!("busybox mknod /dev/disk b {major} {minor} && head -c 1 /dev/disk; : >>/dev/disk");
    for caps in ["MKNOD", "ALL"] {
        for rule in rules.iter().map(|rule| vec!["--device-cgroup-rule", rule]).chain([Vec::new()]) {
            let options = [&["--cap-add", caps][..], &rule].concat();
            let err = inside(&rootfs, &options, &script).err;
            assert_eq!(err.matches("/dev/disk: Operation not permitted").count(), 2, "{options:?}: {err}");
        }
    }
}
