//! What launcher does as the init of a machine, besides the container.

/// The machine as the user wants it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Board {
    /// The entrypoint runs in a container; else as any process of the machine.
    pub(crate) in_container: bool,
    /// Files of kernel modules, in the order of loading.
    pub(crate) modules: Vec<&'static str>,
    /// What becomes `/` of the machine.
    pub(crate) root: Root,
    /// When the entrypoint is started again.
    pub(crate) restart: Restart,
    /// What is done when it has ended for good with status 0.
    pub(crate) on_exit: Action,
    /// The same with another status, and after a failure of our own. `None`: as `on_exit`.
    pub(crate) on_fail: Option<Action>,
    /// The watchdog that is fed while the entrypoint lives.
    pub(crate) watchdog: Option<Watchdog>,
    /// What tells whether it is well.
    pub(crate) health: Health,
    /// The I/O port that is told the exit status in the end.
    pub(crate) exit_port: Option<u16>,
    /// What asks the entrypoint to end.
    pub(crate) stop_signal: i32,
    /// Milliseconds that everything has to end, before it is killed.
    pub(crate) grace: u64,
}

impl Board {
    /// What is done where nothing is said.
    pub(crate) const DEFAULT: Self = Self {
        in_container: true,
        modules: Vec::new(),
        root: Root { source: "", kind: None, writable: false, overlay: None, patience: 10_000 },
        restart: Restart { when: When::Never, limit: None },
        on_exit: Action::PowerOff,
        on_fail: None,
        watchdog: None,
        health: Health { command: "", interval: 30_000, timeout: 30_000, retries: 3 },
        exit_port: None,
        stop_signal: libc::SIGTERM,
        grace: 10_000,
    };
}

/// Where `/` comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Root {
    /// A block device, an image file, or a folder. Empty: it stays as it is.
    pub(crate) source: &'static str,
    /// The file system, as the kernel calls it; `None`: what the first bytes say.
    pub(crate) kind: Option<&'static str>,
    /// It may be written to.
    pub(crate) writable: bool,
    /// What lies over it.
    pub(crate) overlay: Option<Upper>,
    /// Milliseconds that devices may take to appear.
    pub(crate) patience: u64,
}

/// Where what is written over a root goes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Upper {
    /// Into memory.
    Tmpfs,
    /// Into the folders `upper` and `work` of the file system on this device.
    Device(&'static str),
}

/// When the entrypoint is started again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Restart {
    /// After which ends.
    pub(crate) when: When,
    /// So many starts, in so many milliseconds; more than that is a failure.
    pub(crate) limit: Option<(u32, u64)>,
}

/// After which ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum When {
    /// None.
    Never,
    /// With another status than 0.
    Failed,
    /// Each.
    Always,
}

/// What becomes of the machine.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Action {
    /// `reboot(2)` with RB_POWER_OFF.
    PowerOff,
    /// With RB_AUTOBOOT.
    Reboot,
    /// With RB_HALT_SYSTEM.
    Halt,
    /// PID 1 ends, which the kernel answers with a panic.
    Panic,
    /// A shell on the console; then power off.
    Shell,
    /// It stays as it is.
    Hang,
    /// This program becomes PID 1 instead of us. By reference: an action is passed on in two registers then.
    Exec(&'static &'static str),
}

/// A watchdog.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Watchdog {
    /// Its device.
    pub(crate) device: &'static str,
    /// Seconds after which it resets the machine.
    pub(crate) seconds: u32,
}

/// The command that tells whether the entrypoint is well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Health {
    /// Program and arguments, with blanks between. Empty: nobody asks.
    pub(crate) command: &'static str,
    /// Milliseconds between two runs.
    pub(crate) interval: u64,
    /// Milliseconds that one may take.
    pub(crate) timeout: u64,
    /// So many failures in a row are one.
    pub(crate) retries: u32,
}
