//! Who the program is: users and groups by name and number, from the tables of the container, and what is in them.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::process::Command;

use common::{Finished, Rootfs, USER, as_user, inside, inside_as_user, launcher, launcher_as_user, run};

/// A rootfs with these tables.
fn rootfs_with(passwd: &str, group: &str) -> Rootfs {
    let rootfs = Rootfs::for_user();
    fs::write(rootfs.path().join("etc/passwd"), passwd).unwrap();
    fs::write(rootfs.path().join("etc/group"), group).unwrap();
    rootfs
}

/// Some users, and lines that have led others astray.
const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n1000::0:0::/evil:\napp:x:1000:100::/home/app:/bin/sh
app:x:0:0::/evil:\nmax:x:4294967295:0::/:\nbig:x:4294967296:0::/:\nneg:x:-1:0::/:\nfar:x:70000:70000::/far:\nwheel\n";

/// Some groups.
const GROUP: &str =
    "root:x:0:\nusers:x:100:\naudio:x:29:app,root\nstaff:x:50:app\n1000:x:0:\nvideo:x:44:other\n";

/// Prints user, group, groups, home.
const WHO: &str = "grep -E '^(Uid|Gid|Groups):' /proc/self/status | tr -s '\\t ' ' '; echo $HOME";

/// What [`WHO`] prints, in short.
fn short(finished: &Finished) -> String {
    let field = |name: &str| {
        let line = finished.out.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
        line.trim().to_owned()
    };
    let four = |name: &str| {
        let ids = field(name);
        let ids: Vec<_> = ids.split(' ').collect();
        assert!(ids.len() == 4 && ids.iter().all(|id| *id == ids[0]), "{name} {ids:?}");
        ids[0].to_owned()
    };
    let home = finished.out.lines().last().unwrap_or_default();
    format!("{} {} [{}] {home}", four("Uid:"), four("Gid:"), field("Groups:"))
}

/// Options, and who the program is then.
const USERS: &[(&[&str], &str)] = &[
    (&["-u", "app"], "1000 100 [29 50 100] /home/app"),
    (&["-u", "1000"], "1000 100 [29 50 100] /home/app"),
    (&["-u", "1000:0"], "1000 0 [0] /home/app"),
    (&["-u", "app:staff"], "1000 50 [50] /home/app"),
    (&["-u", "app:7"], "1000 7 [7] /home/app"),
    (&["-u", "root"], "0 0 [0 29] /root"),
    (&["-u", "0"], "0 0 [0 29] /root"),
    (&["-u", "77"], "77 0 [0] /"),
    (&["-u", "77:78"], "77 78 [78] /"),
    (&["-u", "4294967294:4294967294"], "4294967294 4294967294 [4294967294] /"),
    (&["-u", "2147483648"], "2147483648 0 [0] /"),
    (&["-u", "app", "--group-add", "video", "--group-add", "9"], "1000 100 [9 29 44 50 100] /home/app"),
    (&["-u", "app:staff", "--group-add", "audio", "--group-add", "50"], "1000 50 [29 50] /home/app"),
    (&["-u", "app", "-e", "HOME=/mine"], "1000 100 [29 50 100] /mine"),
];

#[test]
fn a_name_is_looked_up_in_the_container() {
    require!(root, busybox);
    let rootfs = rootfs_with(PASSWD, GROUP);
    for (options, want) in USERS {
        assert_eq!(short(&inside(&rootfs, options, WHO).expect(0)), *want, "{options:?}");
    }
    for (options, want) in [
        (&[][..], "0 0 [0] /root"),
        (&["--group-add", "video"], "0 0 [0 44] /root"),
        (&["--uidmap", "0:5000:2000", "-u", "app"], "1000 100 [29 50 100] /home/app"),
    ] {
        assert_eq!(short(&inside(&rootfs, options, WHO).expect(0)), want, "{options:?}");
    }
}

#[test]
fn init_looks_in_its_own_tables() {
    require!(root, busybox, unshare);
    let rootfs = rootfs_with(PASSWD, GROUP);
    // As the init of a container that somebody else made.
    let init = |options: &[&str], script: &str| {
        common::copy_program(&common::launcher_path(), &rootfs.path().join("launcher"));
        let root = format!("--root={}", rootfs.arg());
        let mut command = Command::new("unshare");
        command.args(["--pid", "--fork", "--kill-child", "--mount", "--propagation", "private"]);
        command.args([&root, "--mount-proc", "/launcher"]).args(options).args(["--", "sh", "-c", script]);
        run(command.env_remove("HOME"))
    };
    for (options, want) in USERS {
        let options: Vec<_> = options.iter().map(|word| if *word == "-e" { "--env" } else { word }).collect();
        assert_eq!(short(&init(&options, WHO).expect(0)), *want, "{options:?}");
    }
    for (options, want) in [
        (&["-u", "nobody"][..], "launcher: --user nobody: no user nobody in /etc/passwd\n"),
        (&["-u", "app:wheel"], "launcher: --user app:wheel: no group wheel in /etc/group\n"),
        (&["--group-add", "9"], "launcher: --group-add needs --user\n"),
    ] {
        assert_eq!(init(options, "echo no").expect(125).err, want, "{options:?}");
    }
}

#[test]
fn who_is_not_there_is_refused_by_name() {
    require!(root, busybox);
    let rootfs = rootfs_with(PASSWD, GROUP);
    for (words, want) in [
        ("-u nobody", ": find user nobody in /etc/passwd and /etc/group: no user nobody in /etc/passwd\n"),
        ("-u max", ": no user max in /etc/passwd\n"),
        ("-u big", ": no user big in /etc/passwd\n"),
        ("-u neg", ": no user neg in /etc/passwd\n"),
        ("-u wheel", ": no user wheel in /etc/passwd\n"),
        ("-u app:wheel", ": no group wheel in /etc/group\n"),
        (
            "-u app --group-add wheel",
            ", group wheel in /etc/passwd and /etc/group: no group wheel in /etc/group\n",
        ),
        ("-u -1", "launcher: --user -1: "),
        ("-u 4294967295", "launcher: --user 4294967295: "),
        ("-u 4294967296", "launcher: --user 4294967296: "),
        ("-u 1:4294967295", "launcher: --user 1:4294967295: "),
        ("-u app:", "launcher: --user app:: "),
        ("-u :0", "launcher: --user :0: "),
        (
            "--group-add keep-groups --group-add 5",
            "launcher: --group-add 5: keep-groups cannot be had together",
        ),
        (
            "--uidmap 0:5000:2000 -u far",
            ": user id 70000 is not mapped in the user namespace\n  hint: map more ids: ",
        ),
        (
            "--uidmap 0:5000:2000 -u 2000",
            "launcher: --user 2000: user id 2000 is not mapped in the user namespace\n",
        ),
        ("--uidmap 0:5000:2000 -u 5:2000", "launcher: --user 5:2000: group id 2000 is not mapped"),
        (
            "--uidmap 0:5000:2000 -u 5 --group-add 2000",
            ": group id 2000 is not mapped in the user namespace\n",
        ),
        (
            "--uidmap 0:5000:2000 --gidmap 0:5000:30 -u app",
            ": group id 100 is not mapped in the user namespace\n",
        ),
    ] {
        let options: Vec<_> = words.split(' ').collect();
        let finished = inside(&rootfs, &options, "echo no").expect(125);
        assert!(finished.err.contains(want) && finished.out.is_empty(), "{words}: {}", finished.err);
    }
}

#[test]
fn more_maps_than_the_kernel_takes_are_refused_with_the_reason() {
    require!(root, busybox);
    let rootfs = Rootfs::new();
    // 340 lines, and no more than a page.
    let maps: Vec<_> = (0..341).map(|id| format!("{}:{}:1", id * 2, 100_000 + id * 2)).collect();
    let options: Vec<_> = maps.iter().flat_map(|map| ["--uidmap", map]).collect();
    let finished = inside(&rootfs, &options, "echo no").expect(125);
    assert!(finished.err.ends_with("...: Invalid argument (EINVAL)\n"), "{}", finished.err);
    let finished = inside(&rootfs, &options[..400], "tail -n 1 /proc/self/uid_map").expect(0);
    assert_eq!(finished.out.split_whitespace().collect::<Vec<_>>(), ["398", "100398", "1"]);
}

/// Makes one of the tables what an image may well make of it.
fn spoil(rootfs: &Rootfs, name: &str, how: &str) {
    let path = rootfs.path().join("etc").join(name);
    fs::remove_file(&path).unwrap();
    match how {
        "pipe" => nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap(),
        "huge" => {
            fs::write(&path, "").unwrap();
            nix::unistd::truncate(&path, 1 << 40).unwrap();
        }
        "folder" => fs::create_dir(&path).unwrap(),
        "device" => {
            let kind = nix::sys::stat::SFlag::S_IFCHR;
            let zero = nix::sys::stat::makedev(1, 5);
            nix::sys::stat::mknod(&path, kind, nix::sys::stat::Mode::S_IRWXU, zero).unwrap();
        }
        target => symlink(target, &path).unwrap(),
    }
}

#[test]
fn tables_that_are_no_files_are_refused_at_once() {
    require!(root, busybox);
    let not_a_file = "it is not a file of at most 1 MiB\n";
    for (how, want) in [
        ("pipe", not_a_file),
        ("huge", not_a_file),
        ("folder", not_a_file),
        ("device", "Permission denied (EACCES)\n"),
        ("/dev/zero", "Too many levels of symbolic links (ELOOP)\n  hint: launcher follows no link"),
        ("/proc/kmsg", "Too many"),
        ("/proc/self/fd/0", "Too many"),
    ] {
        for name in ["passwd", "group"] {
            let rootfs = rootfs_with(PASSWD, GROUP);
            spoil(&rootfs, name, how);
            // Also where there is hardly any memory: nothing is read into it.
            for options in [&["-u", "app"][..], &["-u", "1000", "-m", "1m"]] {
                let finished = inside(&rootfs, options, "echo no").expect(125);
                let want = format!("read /etc/{name}: {want}");
                assert!(finished.err.contains(&want), "{how} {name}: {}", finished.err);
            }
            // Who says everything needs no tables.
            let said = inside(&rootfs, &["-u", "5:6", "-e", "HOME=/x"], WHO).expect(0);
            assert_eq!(short(&said), "5 6 [6] /x", "{how} {name}");
        }
    }
}

#[test]
fn without_tables_numbers_are_enough() {
    require!(root, busybox);
    let rootfs = Rootfs::for_user();
    assert_eq!(short(&inside(&rootfs, &["-u", "5"], WHO).expect(0)), "5 0 [0] /");
    fs::remove_dir(rootfs.path().join("etc")).unwrap();
    assert_eq!(short(&inside(&rootfs, &["-u", "5:6"], WHO).expect(0)), "5 6 [6] /");
    let finished = inside(&rootfs, &["-u", "app"], "echo no").expect(125);
    assert!(finished.err.ends_with("no user app in /etc/passwd\n"), "{}", finished.err);
    // The folder of the tables may be a link too.
    symlink("/proc/1/root/etc", rootfs.path().join("etc")).unwrap();
    let finished = inside(&rootfs, &["-u", "app"], "echo no").expect(125);
    assert!(
        finished.err.contains("open /etc: Too many levels of symbolic links (ELOOP)"),
        "{}",
        finished.err
    );
}

#[test]
fn a_user_by_name_has_roots_capabilities_only_as_root() {
    require!(root, busybox);
    let rootfs = rootfs_with(PASSWD, GROUP);
    let script = "grep -E '^Cap(Inh|Prm|Eff|Amb)' /proc/self/status | cut -f 2 | tr '\\n' ' '";
    let none = "0000000000000000";
    let docker = "00000000a80425fb";
    for (user, caps) in [("app", none), ("1000", none), ("root", docker), ("0", docker)] {
        let want = format!("{none} {caps} {caps} {none} ");
        assert_eq!(inside(&rootfs, &["-u", user], script).expect(0).out, want, "{user}");
    }
}

/// As somebody with groups: those the caller has.
fn with_groups(mut command: Command, groups: &'static [u32]) -> Command {
    let act = move || {
        let groups: Vec<_> = groups.iter().map(|gid| nix::unistd::Gid::from_raw(*gid)).collect();
        nix::unistd::setgroups(&groups).map_err(Into::into)
    };
    // SAFETY: one system call and memory that the child has for itself.
    #[allow(unsafe_code, reason = "what a caller may be before it starts launcher")]
    unsafe {
        command.pre_exec(act);
    }
    command
}

#[test]
fn the_callers_groups_go_unless_they_are_to_stay() {
    require!(root, busybox);
    let rootfs = rootfs_with(PASSWD, GROUP);
    for (options, want) in [
        (&["-u", "77:78"][..], "77 78 [78] /"),
        (&["-u", "77:78", "--group-add", "keep-groups"], "77 78 [4141 4242] /"),
        (&["--uidmap", "0:5000:2000", "--group-add", "keep-groups"], "0 0 [65534 65534] /root"),
    ] {
        let mut command = launcher(["--rootfs", rootfs.arg()]);
        command.args(options).args(["--", "sh", "-c", WHO]);
        assert_eq!(short(&run(&mut with_groups(command, &[4141, 4242])).expect(0)), want, "{options:?}");
    }
}

#[test]
fn an_ordinary_user_finds_only_itself() {
    require!(root, busybox);
    let rootfs = rootfs_with(PASSWD, GROUP);
    assert_eq!(short(&inside_as_user(&rootfs, &["-u", "root"], WHO).expect(0)), "0 0 [] /root");
    for (options, want) in [
        (&["-u", "app"][..], ": user id 1000 is not mapped in the user namespace\n  hint: map more ids: "),
        (&["-u", "1000"], "launcher: --user 1000: user id 1000 is not mapped"),
        (&["-u", "root:staff"], ": group id 50 is not mapped in the user namespace\n"),
        (
            &["--group-add", "0"],
            "launcher: --group-add: groups cannot be set where only your own id is mapped\n",
        ),
    ] {
        let finished = inside_as_user(&rootfs, options, "echo no").expect(125);
        assert!(finished.err.contains(want), "{options:?}: {}", finished.err);
    }
    // Of its groups it keeps what it cannot give up, with or without the word.
    for options in [&[][..], &["--group-add", "keep-groups"]] {
        let mut command = launcher(["--rootfs", rootfs.arg()]);
        command.args(options).args(["--", "sh", "-c", WHO]);
        let mut command = as_user_with_groups(&command);
        assert_eq!(short(&run(&mut command).expect(0)), "0 0 [65534] /root", "{options:?}");
    }
    assert_eq!(run(&mut launcher_as_user(["-u", "root", "--", "true"])).status, 125);
    assert_eq!(run(&mut as_user(Command::new("true"))).status, 0);
}

/// The ordinary user, by setpriv(1), which leaves the groups as they are.
fn as_user_with_groups(command: &Command) -> Command {
    let mut with = with_groups(Command::new("setpriv"), &[4141]);
    let user = USER.to_string();
    with.args(["--reuid", &user, "--regid", &user, "--keep-groups"]).arg(command.get_program());
    with.args(command.get_args()).current_dir("/");
    with
}

#[test]
fn ids_can_stay_what_they_are() {
    require!(root, busybox);
    let rootfs = rootfs_with(&format!("{PASSWD}caller:x:{USER}:5::/home/caller:\n"), GROUP);
    let script = format!(
        "{WHO}; cat /proc/self/uid_map /proc/self/gid_map | tr -s ' '; touch /srv/mine; stat -c %u:%g /srv/mine"
    );
    for options in [&["--userns", "keep-id"][..], &["--userns", "keep-id", "-u", "caller:12345"]] {
        let finished = inside_as_user(&rootfs, options, &script).expect(0);
        let lines: Vec<_> = finished.out.lines().collect();
        let map = format!(" {USER} {USER} 1");
        let same = format!("{USER}:{USER}");
        assert_eq!(lines[3..], ["/home/caller", &map, &map, &same]);
        assert!(lines[0].starts_with(&format!("Uid: {USER} {USER}")), "{lines:?}");
    }
    // All that a container has is there although nobody is root.
    let script = "for path in /dev/null /dev/pts /dev/shm /proc /sys; do [ -e $path ] || echo no $path; done
        grep -E '^Cap(Prm|Eff|Amb)' /proc/self/status | cut -f 2 | sort -u; cat /proc/1/comm; hostname; head -c 1 /proc/timer_list | wc -c";
    for options in [&["--userns", "keep-id"][..], &["--userns", "keep-id", "--ephemeral"]] {
        let finished = inside_as_user(&rootfs, options, script).expect(0);
        assert_eq!(finished.out, "0000000000000000\nlauncher:init\nlauncher\n0\n", "{options:?}");
    }
    let user = USER.to_string();
    let map = format!("{user}:{user}:1");
    let explicit = ["--uidmap", &map, "-u", &format!("{user}:{user}")];
    assert_eq!(
        short(&inside_as_user(&rootfs, &explicit, WHO).expect(0)),
        format!("{user} {user} [] /home/caller")
    );
    let finished = inside_as_user(&rootfs, &["--userns", "keep-id", "-u", "0"], "echo no").expect(125);
    assert!(finished.err.starts_with("launcher: --user 0: user id 0 is not mapped"), "{}", finished.err);
    let finished = inside(&rootfs, &["--userns", "keep-id"], "echo no").expect(125);
    assert!(finished.err.starts_with("launcher: --userns keep-id is for ordinary users"), "{}", finished.err);
}

#[test]
fn ids_that_stay_have_the_users_ranges_around_them() {
    require!(root, busybox, unshare, setpriv, newuidmap);
    let rootfs = rootfs_with(PASSWD, GROUP);
    let temp = common::Temp::new();
    let table = temp.0.join("passwd");
    fs::write(&table, format!("root:x:0:0::/:\nranger:x:{USER}:{USER}::/:\n")).unwrap();
    // By name and by number; the first range ends before the user's own id, or goes beyond it.
    for (ranges, want) in [
        ("ranger:100000:20000\n", " 12345 12345 1\n 0 100000 12345\n 12346 112345 7655\n"),
        ("12345:100000:10\nranger:200000:12335\n", " 12345 12345 1\n 0 100000 10\n 10 200000 12335\n"),
        ("ranger:100000:10\n", " 12345 12345 1\n 0 100000 10\n"),
    ] {
        let subids = temp.0.join("subids");
        fs::write(&subids, ranges).unwrap();
        let script = format!(
            "mount --bind {0} /etc/passwd && for f in /etc/subuid /etc/subgid; do [ -e $f ] || exit 9; mount --bind {1} $f; done
             exec setpriv --reuid {USER} --regid {USER} --clear-groups \"$0\" \"$@\"",
            table.display(),
            subids.display()
        );
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "--propagation", "private", "sh", "-c", &script])
            .arg(common::launcher_path());
        command.args(["--rootfs", rootfs.arg(), "--userns", "keep-id", "--", "sh", "-c"]);
        command.arg("id -u; cat /proc/self/uid_map | tr -s ' '");
        let finished = run(command.current_dir("/")).expect(0);
        assert_eq!(finished.out, format!("{USER}\n{want}"), "{ranges}");
    }
}
