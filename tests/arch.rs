//! The aarch64 build under qemu's user mode: the same words, plans and statuses as on this machine.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::process::{Command, Stdio};

use common::{Finished, launcher, path_from, run};

/// Runs the foreign binary.
fn foreign(words: &[&str]) -> Finished {
    let mut command = Command::new("qemu-aarch64-static");
    run(command.arg(path_from("LAUNCHER_AARCH64").unwrap()).args(words).stdin(Stdio::null()))
}

/// What was printed, without the one number in it that is not the same in two runs.
fn without_pid(finished: &Finished, own: &str) -> String {
    finished.out.replace(own, "NAME")
}

#[test]
fn it_prints_what_the_native_one_prints() {
    require!(aarch64, qemu_aarch64);
    for words in [
        &["--help"][..],
        &["--license"],
        &["--rootfs", "/", "--name", "arch", "--dry-run", "--", "sh"],
        &["--rootfs", "/", "--name", "arch", "--ephemeral", "--read-only", "-u", "5:6", "--dry-run", "sh"],
        &["--pid", "new", "--name", "arch", "--cap-drop", "ALL", "--ulimit", "nofile=64", "--dry-run", "sh"],
    ] {
        let (native, foreign) = (run(&mut launcher(words)).expect(0), foreign(words).expect(0));
        assert_eq!(without_pid(&foreign, "arch"), without_pid(&native, "arch"), "{words:?}");
        assert!(native.out.lines().count() > 1 || words == ["--license"], "{}", native.out);
        assert_eq!(foreign.err, "", "{words:?}");
    }
    assert!(foreign(&["--version"]).expect(0).out.starts_with(concat!(
        "launcher ",
        env!("CARGO_PKG_VERSION"),
        " ("
    )));
}

#[test]
fn it_refuses_what_the_native_one_refuses() {
    require!(aarch64, qemu_aarch64);
    for words in [
        &[][..],
        &["--frobnicate"],
        &["ps"],
        &["--rootfs"],
        &["--rootfs", "/nowhere", "sh"],
        &["-p", "NONE", "sh"],
        &["--ephemeral", "sh"],
    ] {
        let (native, foreign) = (run(&mut launcher(words)).expect(125), foreign(words).expect(125));
        assert_eq!((&foreign.out, &foreign.err), (&native.out, &native.err), "{words:?}");
    }
}

#[test]
fn it_runs_programs_as_their_parent() {
    require!(aarch64, qemu_aarch64);
    // qemu runs programs of this machine as they are; only launcher is translated.
    for (words, status) in [
        (&["--", "/bin/true"][..], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["-e", "7", "sh", "-c", "exit 7"], 0),
        (&["sh", "-c", "kill -KILL $$"], 1009),
        (&["--", "/nonexistent"], 127),
        (&["--", "/"], 126),
    ] {
        foreign(words).expect(status);
    }
}

/// The fields of the ELF header and program header that say what kind of file it is; elf(5), 64 bits, little-endian.
fn elf(path: &std::path::Path) -> (u16, u16, Vec<u32>) {
    let bytes = std::fs::read(path).unwrap();
    assert_eq!(&bytes[..6], b"\x7fELF\x02\x01", "a 64-bit little-endian ELF file");
    let half = |at: usize| u16::from_le_bytes(bytes[at..at + 2].try_into().unwrap());
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let table = usize::try_from(u64::from_le_bytes(bytes[32..40].try_into().unwrap())).unwrap();
    let (size, count) = (usize::from(half(54)), usize::from(half(56)));
    (half(16), half(18), (0..count).map(|index| word(table + index * size)).collect())
}

#[test]
fn the_files_are_static_and_position_independent() {
    const ET_DYN: u16 = 3;
    const PT_LOAD: u32 = 1;
    const PT_INTERP: u32 = 3;
    require!(aarch64);
    let native = if cfg!(target_arch = "aarch64") { 183 } else { 62 };
    for (path, machine) in [(path_from("LAUNCHER_AARCH64").unwrap(), 183), (common::launcher_path(), native)]
    {
        let (kind, found, segments) = elf(&path);
        assert_eq!((kind, found), (ET_DYN, machine), "{}", path.display());
        assert!(
            segments.contains(&PT_LOAD) && !segments.contains(&PT_INTERP),
            "{}: {segments:?}",
            path.display()
        );
    }
}
