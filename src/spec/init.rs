//! How PID 1 behaves.

/// What the user may change about the init.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Options {
    /// Signals go to the entrypoint's whole process group.
    pub(crate) to_group: bool,
    /// Says so when an orphan is reaped.
    pub(crate) warn_on_reap: bool,
    /// Exit statuses that are turned into 0, one bit each.
    pub(crate) as_success: [u64; 4],
    /// What is left when the entrypoint ends is killed; a PID namespace does that by itself.
    pub(crate) kill_rest: bool,
}

impl Options {
    /// What a container's init does, and launcher's own without options.
    pub(crate) const DEFAULT: Self =
        Self { to_group: false, warn_on_reap: false, as_success: [0; 4], kill_rest: false };
}
