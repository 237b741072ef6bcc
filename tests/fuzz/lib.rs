//! launcher's floors as a library, for the fuzz targets: the same files, by path.
#![allow(dead_code, unused_imports, reason = "of these floors the parsers are used")]

/// Not each module by a path of its own: it would look for its parts in src/ itself.
#[path = "../../src"]
mod floors {
    pub(crate) mod cli;
    pub(crate) mod error;
    pub(crate) mod host;
    pub(crate) mod launch;
    pub(crate) mod log;
    #[macro_use]
    pub(crate) mod packed;
    pub(crate) mod primitives;
    pub(crate) mod spec;
    pub(crate) mod sys;
    pub(crate) mod text;
}

mod checks;

use floors::*;

/// Runs the check of that name.
pub fn check(name: &str, data: &[u8]) {
    let (_, check) = checks::ALL.iter().find(|(known, _)| *known == name).expect("a name of the list");
    check(data);
}
