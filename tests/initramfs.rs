//! build-initramfs: what is in the archive, byte for byte, and what is left when it cannot be made.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "these are tests")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::process::Stdio;

use common::{Finished, Running, Temp, USER, as_user, launcher, launcher_path, run};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};

/// A command that builds with these words.
fn build(words: &[&str]) -> Command {
    let mut command = launcher(["build-initramfs"]);
    command.args(words);
    command
}

/// One entry of an archive.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    /// The twelve numbers before the check sum: inode, mode, uid, gid, nlink, mtime, size, device, device of a node, name.
    numbers: Vec<u32>,
    content: Vec<u8>,
}

impl Entry {
    fn mode(&self) -> u32 {
        self.numbers[1]
    }

    fn owner(&self) -> (u32, u32) {
        (self.numbers[2], self.numbers[3])
    }
}

/// Takes an archive apart as the kernel does; the names in their order.
fn read(bytes: &[u8]) -> (Vec<String>, BTreeMap<String, Entry>) {
    let (mut names, mut entries, mut at) = (Vec::new(), BTreeMap::new(), 0);
    loop {
        assert_eq!(&bytes[at..at + 6], b"070701", "at {at}");
        let number = |index: usize| {
            let digits = std::str::from_utf8(&bytes[at + 6 + index * 8..][..8]).unwrap();
            u32::from_str_radix(digits, 16).unwrap()
        };
        let numbers: Vec<_> = (0..13).map(number).collect();
        let (name_size, size) = (numbers[11] as usize, numbers[6] as usize);
        let name = std::str::from_utf8(&bytes[at + 110..][..name_size - 1]).unwrap().to_owned();
        assert_eq!(bytes[at + 110 + name_size - 1], 0, "{name}");
        let begin = (at + 110 + name_size).next_multiple_of(4);
        at = (begin + size).next_multiple_of(4);
        if name == "TRAILER!!!" {
            assert_eq!(at, bytes.len(), "something follows the end");
            return (names, entries);
        }
        assert_eq!((numbers[5], numbers[7], numbers[8], numbers[12]), (0, 0, 0, 0), "{name}: time, device");
        let content = bytes[begin..begin + size].to_vec();
        names.push(name.clone());
        assert!(entries.insert(name.clone(), Entry { numbers, content }).is_none(), "{name} twice");
    }
}

/// Builds into a file and takes that apart.
#[track_caller]
fn built(folder: &Temp, words: &[&str]) -> (Finished, Vec<u8>, BTreeMap<String, Entry>) {
    let out = folder.0.join("out.cpio");
    let all = [words, &["-o", out.to_str().unwrap(), "--", "/bin/app", "--flag", "two words", ""]].concat();
    let finished = run(&mut build(&all)).expect(0);
    let bytes = fs::read(&out).unwrap();
    let (_, entries) = read(&bytes);
    (finished, bytes, entries)
}

/// What is in a folder.
fn names_in(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

/// A folder with every kind of file, in a folder of the test's.
fn tree() -> (Temp, PathBuf) {
    let temp = Temp::new();
    let root = temp.0.join("root");
    for path in ["", "bin", "etc", "empty", "a.d"] {
        fs::create_dir(root.join(path)).unwrap();
    }
    fs::write(root.join("bin/app"), b"#!/bin/sh\n").unwrap();
    fs::set_permissions(root.join("bin/app"), fs::Permissions::from_mode(0o4755)).unwrap();
    fs::write(root.join("a"), "before a.d").unwrap();
    fs::write(root.join("large"), vec![7; 200_001]).unwrap();
    fs::write(root.join("etc/none"), "").unwrap();
    fs::hard_link(root.join("large"), root.join("etc/second")).unwrap();
    fs::hard_link(root.join("large"), root.join("third")).unwrap();
    fs::hard_link(root.join("a"), temp.0.join("a name outside")).unwrap();
    symlink("/etc/none", root.join("absolute")).unwrap();
    symlink("../../..", root.join("etc/relative")).unwrap();
    symlink("nowhere", root.join("dangling")).unwrap();
    nix::unistd::mkfifo(&root.join("pipe"), Mode::from_bits_truncate(0o640)).unwrap();
    (temp, root)
}

#[test]
fn every_kind_of_file_is_in_it_as_it_is() {
    require!(root);
    let (temp, root) = tree();
    mknod(&root.join("disk"), SFlag::S_IFBLK, Mode::from_bits_truncate(0o600), makedev(254, 300)).unwrap();
    chown(root.join("etc/none"), Some(1000), Some(2000)).unwrap();
    let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let (finished, _, found) =
        built(&temp, &["--rootfs", root.to_str().unwrap(), "-m", "64m", "--read-only"]);
    drop(socket);
    let left_out = format!("launcher: warning: {}/socket: a socket is left out\n", root.display());
    assert_eq!(finished.err, left_out);
    let modes = [
        ("init", 0o100_755),
        ("etc/launcher.conf", 0o100_644),
        ("dev/console", 0o020_600),
        ("proc", 0o040_755),
        ("rootfs/bin/app", 0o104_755),
        ("rootfs/pipe", 0o010_640),
        ("rootfs/disk", 0o060_600),
        ("rootfs/empty", 0o040_755),
    ];
    for (name, mode) in modes {
        assert_eq!(found[name].mode(), mode, "{name}");
    }
    assert_eq!(found["init"].content, fs::read(launcher_path()).unwrap());
    assert_eq!(found["dev/console"].numbers[9..11], [5, 1]);
    assert_eq!(found["rootfs/disk"].numbers[9..11], [254, 300]);
    assert_eq!(found["rootfs/etc/none"].owner(), (1000, 2000));
    for (name, target) in [("absolute", "/etc/none"), ("etc/relative", "../../.."), ("dangling", "nowhere")] {
        let entry = &found[&format!("rootfs/{name}")];
        assert_eq!((entry.mode(), entry.content.as_slice()), (0o120_777, target.as_bytes()), "{name}");
    }
    let lines = "rootfs=/rootfs\nmemory=64m\nread-only\n--\n/bin/app\n--flag\ntwo words\n\n";
    assert_eq!(String::from_utf8(found["etc/launcher.conf"].content.clone()).unwrap(), lines);
    // Names outside do not count; what has several is there once.
    let links: Vec<_> = ["etc/second", "large", "third"].map(|name| &found[&format!("rootfs/{name}")]).into();
    assert!(links.iter().all(|entry| entry.numbers[0] == links[0].numbers[0] && entry.numbers[4] == 3));
    assert_eq!(links[0].content, vec![7; 200_001]);
    assert!(links[1..].iter().all(|entry| entry.content.is_empty()));
    assert_eq!((found["rootfs/a"].numbers[4], found["rootfs/a"].content.as_slice()), (1, &b"before a.d"[..]));
    let mut numbers: Vec<_> = found.values().map(|entry| entry.numbers[0]).collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers, (1..=u32::try_from(found.len() - 2).unwrap()).collect::<Vec<_>>());
    assert!(!found.contains_key("rootfs/socket"));
}

#[test]
fn the_same_files_make_the_same_bytes() {
    let (temp, root) = tree();
    let arg = root.to_str().unwrap();
    let (_, first, _) = built(&temp, &["--rootfs", arg]);
    let (_, second, _) = built(&temp, &["--rootfs", arg]);
    assert!(first == second, "two runs differ");
    let copy = temp.0.join("copy");
    run(Command::new("cp").arg("-a").arg(&root).arg(&copy)).expect(0);
    // In another order on the disk, of another time.
    fs::remove_file(copy.join("a")).unwrap();
    fs::write(copy.join("a"), "before a.d").unwrap();
    let (_, third, _) = built(&temp, &["--rootfs", copy.to_str().unwrap()]);
    assert!(first == third, "two copies differ");
    let out = run(&mut build(&["--rootfs", arg, "-o", "-", "--", "/bin/app", "--flag", "two words", ""]));
    assert_eq!(out.expect(0).out, String::from_utf8_lossy(&first), "standard output");
    let (names, _) = read(&first);
    let inner: Vec<_> = names.iter().filter(|name| name.starts_with("rootfs")).collect();
    let parts = |name: &&String| name.split('/').map(str::to_owned).collect::<Vec<_>>();
    assert!(inner.is_sorted_by_key(parts), "{inner:?}");
    assert_eq!(names_in(&temp.0), ["a name outside", "copy", "out.cpio", "root"], "something is left");
}

#[test]
fn an_image_and_modules_are_in_it() {
    let (temp, _) = tree();
    for (name, text) in [("image", "hsqs"), ("b.ko", "first"), ("a.ko", "second"), ("c.ko", "third")] {
        fs::write(temp.0.join(name), text).unwrap();
    }
    let path = |name: &str| temp.0.join(name).to_str().unwrap().to_owned();
    let modules = format!("{},{}", path("b.ko"), path("a.ko"));
    let (_, _, found) =
        built(&temp, &["--modules", &modules, "--rootfs", &path("image"), "--modules", &path("c.ko")]);
    for (name, text) in [
        ("rootfs.img", "hsqs"),
        ("modules/0-b.ko", "first"),
        ("modules/1-a.ko", "second"),
        ("modules/2-c.ko", "third"),
    ] {
        assert_eq!(found[name].content, text.as_bytes(), "{name}");
    }
    let lines = String::from_utf8(found["etc/launcher.conf"].content.clone()).unwrap();
    let wanted =
        "modules=/modules/0-b.ko\nmodules=/modules/1-a.ko\nmodules=/modules/2-c.ko\nrootfs=/rootfs.img\n--\n";
    assert!(lines.starts_with(wanted), "{lines}");
    assert!(!found.contains_key("rootfs"));
}

#[test]
fn on_another_root_a_rootfs_is_a_path_there() {
    let temp = Temp::new();
    let (_, _, found) = built(&temp, &["--root=/dev/vda", "--rootfs=/srv/box", "--on-exit", "reboot"]);
    let lines = String::from_utf8(found["etc/launcher.conf"].content.clone()).unwrap();
    assert!(lines.starts_with("root=/dev/vda\non-exit=reboot\nrootfs=/srv/box\n--\n"), "{lines}");
    assert!(!found.keys().any(|name| name.starts_with("rootfs")));
    let (_, _, found) = built(&temp, &["--root=/dev/vda"]);
    assert!(found["etc/launcher.conf"].content.starts_with(b"root=/dev/vda\n--\n"));
}

#[test]
fn what_the_machine_would_not_understand_is_refused_now() {
    let (temp, root) = tree();
    let (root, out) = (root.to_str().unwrap(), temp.0.join("out"));
    let out = out.to_str().unwrap();
    for (words, message) in [
        (vec!["-o", out, "--", "a"], "build-initramfs: there is no -o FILE, or no rootfs"),
        (vec!["--rootfs", root, "--", "a"], "build-initramfs: there is no -o FILE, or no rootfs"),
        (vec!["--rootfs", root, "-o", out], "no program given"),
        (vec!["--rootfs", root, "-o", out, "--memroy=1m", "--", "a"], "unknown option --memroy"),
        (vec!["--rootfs", root, "-o", out, "--on-exit=explode", "--", "a"], "--on-exit explode: wanted is"),
        (vec!["--rootfs", root, "-o", out, "-m", "64q", "--", "a"], "--memory 64q: wanted is"),
        (vec!["--rootfs", root, "-o", out, "--", "a", "two\nlines"], "build-initramfs: two\n"),
        (vec!["--rootfs", root, "-o", out, "--hostname=a\nb", "--", "a"], "build-initramfs: --hostname=a\n"),
        (vec!["--rootfs", root, "-o", out, "--file=/a=b ", "--", "a"], "build-initramfs: --file=/a=b"),
    ] {
        let finished = run(&mut build(&words)).expect(125);
        assert!(finished.err.starts_with(&format!("launcher: {message}")), "{words:?}: {}", finished.err);
        assert!(finished.err.lines().count() <= 2 && finished.out.is_empty(), "{words:?}: {}", finished.err);
    }
    assert_eq!(names_in(&temp.0), ["a name outside", "root"]);
}

/// Fails, and leaves the old file as it is and nothing beside it.
#[track_caller]
fn fails_and_leaves(temp: &Temp, command: &mut Command, message: &str) {
    let before = names_in(&temp.0);
    fs::write(temp.0.join("out"), "old").unwrap();
    let finished = run(command).expect(125);
    assert!(finished.err.starts_with(&format!("launcher: build-initramfs: {message}")), "{}", finished.err);
    assert_eq!(fs::read(temp.0.join("out")).unwrap(), b"old");
    fs::remove_file(temp.0.join("out")).unwrap();
    assert_eq!(names_in(&temp.0), before);
}

#[test]
fn a_failure_leaves_what_was_there() {
    let (temp, root) = tree();
    let (arg, out) = (root.to_str().unwrap(), temp.0.join("out"));
    let out = out.to_str().unwrap();
    fails_and_leaves(
        &temp,
        &mut build(&["--rootfs", "/nowhere", "-o", out, "--", "a"]),
        "/nowhere: No such file or directory (ENOENT)\n",
    );
    fails_and_leaves(
        &temp,
        &mut build(&["--rootfs", arg, "--modules", "/nowhere.ko", "-o", out, "--", "a"]),
        "/nowhere.ko: No such file or directory (ENOENT)\n",
    );
    let huge = root.join("etc/huge");
    fs::File::create_new(&huge).unwrap().set_len(1 << 32).unwrap();
    fails_and_leaves(
        &temp,
        &mut build(&["--rootfs", arg, "-o", out, "--", "a"]),
        &format!(
            "{}: File too large (EFBIG)\n  hint: a file of an initramfs has less than 4 GiB",
            huge.display()
        ),
    );
    fs::remove_file(&huge).unwrap();
    let message = "launcher: build-initramfs: /dev/full: No space left on device (ENOSPC)\n";
    let finished = run(&mut build(&["--rootfs", arg, "-o", "/dev/full", "--", "a"])).expect(125);
    assert_eq!(finished.err, message);
    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = build(&["--rootfs", arg, "-o", "-", "--", "a"]);
    let finished = common::finish(command.stdout(full).stderr(Stdio::piped()).spawn().unwrap()).expect(125);
    assert_eq!(finished.err, "launcher: build-initramfs: -: No space left on device (ENOSPC)\n");
}

#[test]
fn a_full_disk_and_other_mounts() {
    require!(root);
    let (temp, root) = tree();
    let (arg, here) = (root.to_str().unwrap(), temp.0.to_str().unwrap());
    let launcher = launcher_path();
    // In mounts of its own: a small disk for the output, another file system below the rootfs.
    let script = format!(
        "mount -t tmpfs -o size=300k small {arg}/empty && echo old >{arg}/empty/out && echo mine >{arg}/empty/hidden
        {launcher} build-initramfs --rootfs {here}/root/etc -o {arg}/empty/out -- a; echo $?; ls {arg}/empty
        cat {arg}/empty/out
        {launcher} build-initramfs --rootfs {arg} -o {here}/out -- a; echo $?; grep -c mine {here}/out",
        launcher = launcher.display()
    );
    let unshare = ["-m", "--propagation", "private", "sh", "-c", &script];
    let finished = run(Command::new("unshare").args(unshare)).expect(1);
    assert_eq!(finished.out, "125\nhidden\nout\nold\n0\n0\n");
    let messages = format!(
        "launcher: build-initramfs: {arg}/empty/out: No space left on device (ENOSPC)\n\
         launcher: warning: {arg}/empty: what is mounted there is left out\n"
    );
    assert_eq!(finished.err, messages);
    let (_, found) = read(&fs::read(temp.0.join("out")).unwrap());
    assert_eq!(found["rootfs/empty"].mode() & 0o170_000, 0o040_000);
}

#[test]
fn an_ordinary_users_files_are_roots() {
    require!(root);
    let (temp, root) = tree();
    run(Command::new("chown").args(["-hR", &format!("{USER}:{USER}")]).arg(&temp.0)).expect(0);
    chown(root.join("etc/none"), Some(1000), Some(USER)).unwrap();
    let (arg, out) = (root.to_str().unwrap(), temp.0.join("out"));
    let words = ["--rootfs", arg, "-o", out.to_str().unwrap(), "--", "a"];
    run(&mut as_user(build(&words))).expect(0);
    let (_, found) = read(&fs::read(&out).unwrap());
    assert_eq!(found["rootfs/large"].owner(), (0, 0));
    assert_eq!(found["rootfs/etc/none"].owner(), (1000, 0));
    fs::remove_file(&out).unwrap();
    chown(root.join("etc/none"), Some(0), Some(0)).unwrap();
    fs::set_permissions(root.join("etc/none"), fs::Permissions::from_mode(0o600)).unwrap();
    let message = format!("launcher: build-initramfs: {arg}/etc/none: Permission denied (EACCES)\n");
    assert_eq!(run(&mut as_user(build(&words))).expect(125).err, message);
    assert_eq!(names_in(&temp.0), ["a name outside", "root"]);
}

#[test]
fn the_output_is_not_in_itself() {
    let (temp, root) = tree();
    let (arg, out) = (root.to_str().unwrap(), root.join("etc/out"));
    let words = ["--rootfs", arg, "-o", out.to_str().unwrap(), "--", "a"];
    let mut bytes = Vec::new();
    for _ in 0..3 {
        run(&mut build(&words)).expect(0);
        bytes.push(fs::read(&out).unwrap());
    }
    assert!(bytes[0] == bytes[1] && bytes[1] == bytes[2], "it grows");
    assert_eq!(names_in(&root.join("etc")), ["none", "out", "relative", "second"]);
    assert!(!read(&bytes[0]).0.iter().any(|name| name.contains("out")));
    // By a link: what it leads to is replaced, the link stays.
    let link = temp.0.join("link");
    symlink(&out, &link).unwrap();
    fs::write(&out, "old").unwrap();
    run(&mut build(&["--rootfs", arg, "-o", link.to_str().unwrap(), "--", "a"])).expect(0);
    assert!(link.is_symlink() && fs::read(&out).unwrap() == bytes[0]);
}

#[test]
fn who_is_killed_leaves_no_output() {
    require!(strace);
    let (temp, root) = tree();
    let out = temp.0.join("out");
    fs::write(&out, "old").unwrap();
    let words = ["--rootfs", root.to_str().unwrap(), "-o", out.to_str().unwrap(), "--", "a"];
    let mut command = Command::new("strace");
    command.args([
        "-qq",
        "-e",
        "trace=write",
        "-e",
        "inject=write:signal=KILL:when=20",
        "-o",
        "/dev/null",
        "--",
    ]);
    command.arg(launcher_path()).arg("build-initramfs").args(words);
    let running = Running::start(&mut command);
    assert_ne!(running.finish().status, 0);
    assert_eq!(fs::read(&out).unwrap(), b"old");
}

#[test]
fn a_file_that_changes_meanwhile_is_named() {
    require!(strace);
    let (temp, root) = tree();
    let out = temp.0.join("out");
    let words =
        ["build-initramfs", "--rootfs", root.to_str().unwrap(), "-o", out.to_str().unwrap(), "--", "a"];
    // The end of a file comes before its size says so: reading stands still at the first bytes of the rootfs.
    let own = fs::metadata(launcher_path()).unwrap().len().div_ceil(65536) + 1;
    let fault = format!("read:retval=0:when={}", own + 1);
    let finished = run(&mut common::launcher_with_faults(&[fault], &words)).expect(125);
    let message =
        format!("launcher: build-initramfs: {}/a: Device or resource busy (EBUSY)\n", root.display());
    assert!(finished.err.starts_with(&message), "{}", finished.err);
    assert!(
        finished.err.ends_with("  hint: its size is not what it was, or it is no file\n"),
        "{}",
        finished.err
    );
    assert_eq!(names_in(&temp.0), ["a name outside", "root"]);
}
