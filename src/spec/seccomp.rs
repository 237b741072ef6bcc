//! Which system calls the program may make.

use std::path::PathBuf;

/// Where the filter comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Seccomp {
    /// Our own profile; none where the container is privileged.
    #[default]
    Standard,
    /// None.
    Unconfined,
    /// A profile in docker's format.
    File(PathBuf),
}

/// Parses docker's words, `unconfined` and `builtin`, or a file.
pub(crate) fn parse(text: &str) -> Seccomp {
    match text {
        "unconfined" => Seccomp::Unconfined,
        "builtin" => Seccomp::Standard,
        file => Seccomp::File(file.into()),
    }
}
