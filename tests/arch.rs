//! The builds for other machines under qemu's user mode: the same words, plans and statuses as on this machine. What a kernel
//! of theirs does for them is in tests/vm/run-all.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "these are tests")]

mod common;

use std::path::Path;
use std::process::{Command, Stdio};

use common::{Finished, Running, launcher, path_from, run};

/// A build for another machine.
struct Build {
    /// The variable with its path.
    variable: &'static str,
    /// What translates it.
    qemu: &'static str,
    /// `e_machine`, elf(5).
    machine: u16,
    /// `EI_CLASS`: 1 is 32 bits, 2 is 64.
    class: u8,
}

/// The tests of one build, each by its name.
macro_rules! tests {
    ($need:ident, $qemu_need:ident, $build:expr, $($test:ident),+) => {
        mod $need {
            $(#[test]
            fn $test() {
                crate::require!($need, $qemu_need);
                super::$test(&$build);
            })+
        }
    };
}

/// The same tests for every build.
macro_rules! builds {
    ($($need:ident, $qemu_need:ident, $build:expr;)+) => { $(
        tests!(
            $need, $qemu_need, $build,
            it_prints_what_the_native_one_prints, it_refuses_what_the_native_one_refuses,
            it_runs_programs_as_their_parent, it_forwards_signals, it_is_static_and_hardened
        );
    )+ };
}

builds! {
    aarch64, qemu_aarch64, crate::AARCH64;
    armv7, qemu_arm, crate::ARMV7;
    riscv64, qemu_riscv64, crate::RISCV64;
}

/// See [`Build`].
const AARCH64: Build =
    Build { variable: "LAUNCHER_AARCH64", qemu: "qemu-aarch64-static", machine: 183, class: 2 };
/// See [`Build`].
const ARMV7: Build = Build { variable: "LAUNCHER_ARMV7", qemu: "qemu-arm-static", machine: 40, class: 1 };
/// See [`Build`].
const RISCV64: Build =
    Build { variable: "LAUNCHER_RISCV64", qemu: "qemu-riscv64-static", machine: 243, class: 2 };

/// The foreign binary with these words.
fn command(build: &Build, words: &[&str]) -> Command {
    let mut command = Command::new(build.qemu);
    command.arg(path_from(build.variable).unwrap()).args(words).stdin(Stdio::null());
    command
}

/// The same build for this machine, with the same words.
fn native(words: &[&str]) -> Finished {
    run(&mut launcher(words))
}

/// Runs it.
fn foreign(build: &Build, words: &[&str]) -> Finished {
    run(&mut command(build, words))
}

/// What was printed, without the one number in it that is not the same in two runs.
fn without_pid(finished: &Finished, own: &str) -> String {
    finished.out.replace(own, "NAME")
}

fn it_prints_what_the_native_one_prints(build: &Build) {
    for words in [
        &["--help"][..],
        &["--license"],
        &["--rootfs", "/", "--name", "arch", "--dry-run", "--", "sh"],
        &["--rootfs", "/", "--name", "arch", "--ephemeral", "--read-only", "-u", "5:6", "--dry-run", "sh"],
        &["--pid", "new", "--name", "arch", "--cap-drop", "ALL", "--ulimit", "nofile=64", "--dry-run", "sh"],
        // wider than a register of 32 bits
        &[
            "--rootfs",
            "/",
            "--name",
            "arch",
            "--dry-run",
            "-m",
            "9g",
            "--uidmap",
            "0:4000000000:1000",
            "--tmpfs",
            "/x:size=8g",
            "--ulimit",
            "fsize=8589934592",
            "--shm-size",
            "5g",
            "sh",
        ],
    ] {
        let (native, foreign) = (native(words).expect(0), foreign(build, words).expect(0));
        assert_eq!(without_pid(&foreign, "arch"), without_pid(&native, "arch"), "{words:?}");
        assert!(native.out.lines().count() > 1 || words == ["--license"], "{}", native.out);
        assert_eq!(foreign.err, "", "{words:?}");
    }
    assert!(foreign(build, &["--version"]).expect(0).out.starts_with(concat!(
        "launcher ",
        env!("CARGO_PKG_VERSION"),
        " ("
    )));
}

fn it_refuses_what_the_native_one_refuses(build: &Build) {
    for words in [
        &[][..],
        &["--frobnicate"],
        &["ps"],
        &["--rootfs"],
        &["--rootfs", "/nowhere", "sh"],
        &["-p", "NONE", "sh"],
        &["--ephemeral", "sh"],
        &["--boot", "--root", "UUID=1", "--", "sh"],
    ] {
        let (native, foreign) = (native(words).expect(125), foreign(build, words).expect(125));
        assert_eq!((&foreign.out, &foreign.err), (&native.out, &native.err), "{words:?}");
    }
}

fn it_runs_programs_as_their_parent(build: &Build) {
    // qemu runs programs of this machine as they are; only launcher is translated.
    for (words, status) in [
        (&["--", "/bin/true"][..], 0),
        (&["sh", "-c", "exit 7"], 7),
        (&["-e", "7", "sh", "-c", "exit 7"], 0),
        (&["sh", "-c", "kill -KILL $$"], 1009),
        (&["--", "/nonexistent"], 127),
        (&["--", "/"], 126),
    ] {
        foreign(build, words).expect(status);
    }
}

fn it_forwards_signals(build: &Build) {
    let probe = common::probe_path();
    let mut running =
        Running::start(&mut command(build, &["-v", "--", probe.to_str().unwrap(), "signals", "9"]));
    running.wait_for("ready");
    for signal in [libc::SIGUSR1, libc::SIGHUP, libc::SIGTERM] {
        running.signal(signal);
        assert_eq!(running.line(), signal.to_string());
    }
    running.finish().expect(42);
}

/// The head of a program, little-endian, of either width; elf(5).
struct Elf(Vec<u8>);

impl Elf {
    fn of(path: &Path, class: u8) -> Self {
        let bytes = std::fs::read(path).unwrap();
        assert_eq!(&bytes[..6], &[0x7f, b'E', b'L', b'F', class, 1], "{}", path.display());
        Self(bytes)
    }

    fn is_wide(&self) -> bool {
        self.0[4] == 2
    }

    fn half(&self, at: usize) -> u16 {
        u16::from_le_bytes(self.0[at..at + 2].try_into().unwrap())
    }

    fn word(&self, at: usize) -> u32 {
        u32::from_le_bytes(self.0[at..at + 4].try_into().unwrap())
    }

    /// Type and flags of each segment.
    fn segments(&self) -> Vec<(u32, u32)> {
        let (table, sizes, flags) = if self.is_wide() { (32, 54, 4) } else { (28, 42, 24) };
        let table = usize::try_from(self.word(table)).unwrap(); // no file of ours has more than 4 GiB
        let (size, count) = (usize::from(self.half(sizes)), usize::from(self.half(sizes + 2)));
        (0..count)
            .map(|index| table + index * size)
            .map(|at| (self.word(at), self.word(at + flags)))
            .collect()
    }
}

/// What every shipped file is like.
#[track_caller]
fn assert_hardened(path: &Path, machine: u16, class: u8) {
    const ET_DYN: u16 = 3;
    const PT_LOAD: u32 = 1;
    const PT_INTERP: u32 = 3;
    const PT_GNU_STACK: u32 = 0x6474_e551;
    const PT_GNU_RELRO: u32 = 0x6474_e552;
    const PF_X: u32 = 1;
    const PF_W: u32 = 2;
    let elf = Elf::of(path, class);
    assert_eq!((elf.half(16), elf.half(18)), (ET_DYN, machine), "{}", path.display());
    let segments = elf.segments();
    let has = |wanted| segments.iter().any(|(kind, _)| *kind == wanted);
    assert!(has(PT_LOAD) && has(PT_GNU_RELRO) && !has(PT_INTERP), "{}: {segments:x?}", path.display());
    let stack = segments.iter().find(|(kind, _)| *kind == PT_GNU_STACK);
    assert!(stack.is_some_and(|(_, flags)| flags & PF_X == 0), "{}: {segments:x?}", path.display());
    assert!(segments.iter().all(|(_, flags)| flags & (PF_X | PF_W) != PF_X | PF_W), "{segments:x?}");
}

fn it_is_static_and_hardened(build: &Build) {
    assert_hardened(&path_from(build.variable).unwrap(), build.machine, build.class);
}

#[test]
fn the_native_one_is_static_and_hardened() {
    let Some(path) = path_from("LAUNCHER_BIN") else { return };
    assert_hardened(&path, if cfg!(target_arch = "aarch64") { 183 } else { 62 }, 2);
}
