//! Which system calls the program may make.

/// Where the filter comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Seccomp {
    /// Our own profile; none where the container is privileged.
    #[default]
    Standard,
    /// None.
    Unconfined,
}

/// Parses docker's words: `unconfined`, and `builtin` or `default`.
pub(crate) fn parse(text: &str) -> Option<Seccomp> {
    match text {
        "unconfined" => Some(Seccomp::Unconfined),
        "builtin" | "default" => Some(Seccomp::Standard),
        _ => None,
    }
}
