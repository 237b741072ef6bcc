//! launcher makes a container and is PID 1 in it.
//!
//! A *container* is a tree of processes with namespaces of its own. Its *rootfs* is the folder that becomes its `/`.
//! *Init* is our process in it: PID 1, which starts the *entrypoint*, forwards signals to it, reaps orphans, and ends
//! as it ended. *Parent* and *child* are the two sides of the launch until the child is init. A *step* is what the
//! *plan* consists of; *undo* is what a step leaves to be done backwards.
//!
//! Floors, from the ground; a module uses those below it: `error` `log` `packed` `text` | `sys` `spec` | `cli` `host` |
//! `primitives` | `launch` | `commands` | `main`. tests/floors.rs keeps it so. `docs`, beside `main`, is another program.
#![cfg_attr(not(test), no_main)]
#![cfg_attr(not(feature = "board"), allow(dead_code, reason = "a smaller build uses a part of each floor"))]

mod cli;
mod commands;
mod error;
mod launch;
mod log;
mod packed;
mod primitives;
mod spec;
mod sys;
mod text;

#[cfg(feature = "container")]
mod host;

use std::ffi::OsStr;

use cli::Command;
use error::Result;
use packed::{Packed, packed};

/// What `--version` prints.
const VERSION: &str = concat!("launcher ", env!("CARGO_PKG_VERSION"), " (", env!("LAUNCHER_GIT"), ")\n");

/// What `--license` prints.
const LICENSE: Packed =
    packed!("launcher is free software under the MIT licence or the Apache licence 2.0, as you like.\n");

/// All memory comes from here; why not from libc: see sys/heap.rs.
#[cfg(not(test))]
#[global_allocator]
static HEAP: sys::heap::Heap = sys::heap::Heap::new();

/// The C runtime starts here; why not std's `main`: see sys/entry.rs.
#[cfg(not(test))]
#[allow(unsafe_code, reason = "the name by which the C runtime finds us")]
#[unsafe(no_mangle)]
extern "C" fn main(_argc: std::ffi::c_int, argv: sys::entry::Argv) -> std::ffi::c_int {
    start(argv.collect(), &sys::entry::environment()).into()
}

/// The init of a machine, or whoever the words say.
#[cfg(feature = "board")]
#[cfg_attr(test, allow(dead_code, reason = "main calls it, which is not there"))]
fn start(args: Vec<&'static OsStr>, env: &[&'static OsStr]) -> u8 {
    if commands::boot::is_wanted(&args, env) {
        return commands::boot::be_init(&args, env, run);
    }
    run(args, env)
}

/// Whoever the words say.
#[cfg(not(feature = "board"))]
#[cfg_attr(test, allow(dead_code, reason = "main calls it, which is not there"))]
fn start(args: Vec<&'static OsStr>, env: &[&'static OsStr]) -> u8 {
    run(args, env)
}

/// Does what the words say; the one place where an error is printed.
fn run(args: Vec<&'static OsStr>, env: &[&'static OsStr]) -> u8 {
    let result = cli::parse(args, env).and_then(execute);
    result.unwrap_or_else(|error| {
        log::say_as(error.said_by, format_args!("{error:#}"));
        error.status
    })
}

/// Carries out a command and returns the exit status.
fn execute(command: Command) -> Result<u8> {
    match command {
        Command::Help(None) => commands::print(1, &cli::help::Help).map(|()| 0),
        Command::Help(Some(model)) => commands::print(model.stream(), &model).map(|()| 0),
        Command::Version(None) => commands::print(1, &VERSION).map(|()| 0),
        Command::Version(Some(model)) => commands::print(model.stream(), &model.version()).map(|()| 0),
        Command::License => commands::print(1, &LICENSE).map(|()| 0),
        // Nothing of what follows was written to be trusted with more rights than its caller has (CVE-2022-31214).
        _ if sys::entry::is_set_id() => {
            Err(error::Error::new(packed!("it must not have the set-user-ID or set-group-ID bit")))
        }
        Command::Init(command) => commands::init::run(command),
        #[cfg(feature = "container")]
        Command::Run(command) => commands::run::run(command),
        #[cfg(feature = "board")]
        Command::BuildInitramfs(command) => commands::build_initramfs::run(command),
        #[cfg(feature = "container")]
        Command::Delete(command) => commands::delete::run(&command),
        #[cfg(feature = "container")]
        Command::Doctor(json) => commands::doctor::run(json),
    }
}

/// What has to hold for every input of the parsers.
#[cfg(all(test, feature = "board"))]
#[path = "../tests/fuzz/checks.rs"]
mod checks;

#[cfg(test)]
mod tests {
    #[cfg(feature = "board")]
    #[test]
    fn what_the_fuzz_targets_began_with_or_found_passes() {
        let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus");
        let files = |folder| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        assert_eq!(files(corpus.clone()).count(), super::checks::ALL.len(), "a folder for each target");
        for (name, check) in super::checks::ALL {
            let mut count = 0;
            for file in files(corpus.join(name)) {
                println!("{}", file.display());
                check(&std::fs::read(&file).unwrap());
                count += 1;
            }
            assert!(count > 0, "{name}");
        }
    }

    #[test]
    fn nonsense_is_our_own_failure() {
        assert_eq!(super::run(vec!["launcher".as_ref(), "--nonsense".as_ref()], &[]), 125);
    }

    /// A folder of a test's own; the test removes it.
    pub(crate) fn temp_folder(name: &str) -> std::path::PathBuf {
        let folder = std::env::temp_dir().join(format!("launcher-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        folder
    }
}
