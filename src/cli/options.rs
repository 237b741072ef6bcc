//! The one table of options: the parsers, `--help` and the README come from it.

use crate::packed::{Packed, packed};
use crate::text;

/// Which command an option belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Group {
    /// Every command.
    Common,
    /// `launcher init`, and launcher without a command.
    Init,
    /// What becomes of the program itself: `init` and `run`. In `init` a letter may be taken by an option above.
    Process,
    /// `launcher run`: any of these makes launcher without a command mean `run`.
    Container,
    /// The init of a machine.
    Board,
}

/// One option. Its words are a line of [`WORDS`] and one of [`HELP`]: references would cost more in relocations than
/// they have of text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Opt {
    /// What the parsers match on.
    pub(crate) id: Id,
    /// Whose it is.
    pub(crate) group: Group,
    /// Where its line begins.
    at: u16,
}

impl Opt {
    /// One of its words.
    fn word(&self, index: usize) -> &'static str {
        let rest = WORDS.get(usize::from(self.at)..).unwrap_or_default();
        text::parts(rest, b'\t').nth(index).unwrap_or_default()
    }

    /// Its letter; `-` if it has none.
    pub(crate) fn short(&self) -> u8 {
        WORDS.as_bytes().get(usize::from(self.at)).copied().unwrap_or(b'-')
    }

    /// Its name.
    pub(crate) fn long(&self) -> &'static str {
        self.word(1)
    }

    /// The word for its value; empty if it takes none.
    pub(crate) fn value(&self) -> &'static str {
        self.word(2)
    }

    /// One line of help.
    pub(crate) fn help(&self) -> Packed {
        HELP.part(self.id as usize, b'\n')
    }
}

/// Where the words of option `number` begin: after those of the options before it, each ended by a tab.
#[allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "at compile time, in a short text"
)]
const fn place(number: usize) -> u16 {
    let (mut at, mut words) = (0, 0);
    while words < 3 * number {
        words += (WORDS.as_bytes()[at] == b'\t') as usize;
        at += 1;
    }
    at as u16
}

/// Makes the tables and the enum of ids together, so that none has a member the others lack.
macro_rules! options {
    (@tables $($id:ident $short:literal $long:literal $value:literal $group:ident $help:literal;)*) => {
        /// Every option there is.
        static TABLE: &[Opt] =
            &[$(Opt { id: Id::$id, group: Group::$group, at: place(Id::$id as usize) }),*];

        /// Letter or `-`, name, word for the value.
        const WORDS: &str = concat!($($short, "\t", $long, "\t", $value, "\t"),*);

        /// A line each.
        const HELP: Packed = packed!(concat!($($help, "\n"),*));
    };
    (
        $($id:ident $short:literal $long:literal $value:literal $group:ident $help:literal;)*
        --- $($cid:ident $cshort:literal $clong:literal $cvalue:literal $cgroup:ident $chelp:literal;)*
        --- $($bid:ident $bshort:literal $blong:literal $bvalue:literal $bgroup:ident $bhelp:literal;)*
    ) => {
        /// An option by name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Id { $(#[doc = $help] $id,)* $(#[doc = $chelp] $cid,)* $(#[doc = $bhelp] $bid,)* }

        #[cfg(not(feature = "container"))]
        options!(@tables $($id $short $long $value $group $help;)*);

        #[cfg(all(feature = "container", not(feature = "board")))]
        options!(@tables
            $($id $short $long $value $group $help;)* $($cid $cshort $clong $cvalue $cgroup $chelp;)*);

        #[cfg(feature = "board")]
        options!(@tables
            $($id $short $long $value $group $help;)* $($cid $cshort $clong $cvalue $cgroup $chelp;)*
            $($bid $bshort $blong $bvalue $bgroup $bhelp;)*);
    };
}

/// Every option there is.
pub(crate) fn all() -> std::slice::Iter<'static, Opt> {
    TABLE.iter()
}

/// The option of that long name.
pub(crate) fn find(name: &str) -> Option<&'static Opt> {
    all().find(|option| option.long() == name)
}

#[rustfmt::skip]
options! {
    Help        'h' "help"         ""              Common    "print this text (as an option of run: only --help)";
    Version     'V' "version"      ""              Common    "print the version";

    Group       'g' "signal-group" ""              Init      "signal the program's whole process group";
    SignalTo    '-' "signal-to"    "WHOM"          Init      "signal child (default), group or all";
    Rewrite     'r' "rewrite"      "FROM:TO"       Init      "send TO instead of FROM, nothing if it is 0; repeatable";
    Single      'c' "single-child" ""              Init      "leave the program in our group, signal it alone";
    Subreaper   's' "subreaper"    ""              Init      "accepted for tini's sake: launcher always reaps orphans";
    DeathSignal 'p' "death-signal" "SIGNAL"        Init      "signal for launcher itself when its parent dies";
    StopDelay   '-' "stop-delay"   "SECONDS"       Init      "hold the first TERM, INT or QUIT back for so long";
    StopTimeout '-' "stop-timeout" "SECONDS"       Init      "kill everything so long after TERM, INT or QUIT";
    WaitAll     '-' "wait-all"     "[=SECONDS]"    Init      "at the end send TERM to the rest, wait (5), then kill";
    EndOrphans  '-' "end-orphans"  "SIGNAL"        Init      "signal processes whose parent has died";
    Success     'e' "success-code" "CODE"          Init      "exit 0 where the program exits with CODE; repeatable";
    ExitMap     '-' "exit-map"     "FROM:TO"       Init      "exit with TO where the program exits with FROM; repeatable";
    Report      '-' "report"       "FILE"          Init      "write how the program ended to FILE, as JSON";
    Warn        'w' "warn-on-reap" ""              Init      "say so when an orphan is reaped";
    Verbose     'v' "verbose"      ""              Init      "say more; repeatable";
    Pause       'P' "pause"        ""              Init      "run no program: reap until TERM or INT";
    As          '-' "as"           "NAME"          Init      "be tini, dumb-init, catatonit or pause; comes first";
    License     'l' "license"      ""              Init      "print the licence";

    --- // below: not in the smallest build
    Env         'e' "env"          "NAME[=VALUE]"  Process   "set a variable, or copy it; repeatable";
    Workdir     'w' "workdir"      "DIR"           Process   "working directory";
    User        'u' "user"         "USER[:GROUP]"  Process   "run the program as this user, by name or number";
    GroupAdd    '-' "group-add"    "GROUP"         Process   "supplementary group, or keep-groups; repeatable";
    Umask       '-' "umask"        "MODE"          Process   "permissions that new files do not get (octal)";
    Ulimit      '-' "ulimit"       "NAME=SOFT[:HARD]" Process "resource limit; repeatable";
    Rootfs      '-' "rootfs"       "DIR|FILE"      Container "folder that becomes /, or an image of one";
    Ephemeral   '-' "ephemeral"    ""              Container "writes go to memory and are forgotten";
    Overlay     '-' "overlay"      "DIR[:DIR]"     Container "folders laid over each other become /, the topmost first";
    OverlayUpper '-' "overlay-upper" "DIR"         Container "writes go there";
    OverlayWork '-' "overlay-work" "DIR"           Container "empty folder beside it, for the kernel's own use";
    ReadOnly    '-' "read-only"    ""              Container "mount the rootfs read-only";
    ReadOnlyTmpfs '-' "read-only-tmpfs" ""         Container "/run, /tmp and /var/tmp are in memory (for --read-only)";
    Volume      'v' "volume"       "SRC:DST[:OPT]" Container "show a file or folder of the host inside; repeatable";
    Mount       '-' "mount"        "KEY=VALUE,..." Container "mount a bind, tmpfs, proc, ... as docker does; repeatable";
    Tmpfs       '-' "tmpfs"        "DST[:OPT]"     Container "mount an empty folder in memory; repeatable";
    Device      '-' "device"       "HOST[:DST][:rwm]" Container "give a device of the host, to read, write, make; repeatable";
    DeviceRule  '-' "device-cgroup-rule" "RULE"    Container "allow devices by number, such as 'c 10:200 rw'; repeatable";
    File        '-' "file"         "DST=TEXT"      Container "a small file with this text; repeatable";
    Symlink     '-' "symlink"      "DST=TARGET"    Container "make a symbolic link; repeatable";
    RootfsPropagation '-' "rootfs-propagation" "MODE" Container "mounts that come or go later: slave (default), private, ...";
    ShmSize     '-' "shm-size"     "SIZE"          Container "size of /dev/shm, default 64m";
    Name        '-' "name"         "NAME"          Container "name of the container: its cgroup, its default hostname";
    Hostname    'h' "hostname"     "NAME"          Container "hostname inside";
    Domainname  '-' "domainname"   "NAME"          Container "NIS domain name inside";
    EnvHost     '-' "env-host"     ""              Container "start from launcher's own environment";
    Tty         't' "tty"          ""              Container "give it a terminal of its own, /dev/console too";
    Interactive 'i' "interactive"  ""              Container "with -t: pass standard input on; without it always is";
    Memory      'm' "memory"       "SIZE"          Container "memory limit (b, k, m, g)";
    MemorySwap  '-' "memory-swap"  "SIZE"          Container "limit of memory and swap together; -1 for no limit";
    Cpus        '-' "cpus"         "N"             Container "processor time, such as 0.5";
    CpuWeight   '-' "cpu-weight"   "N"             Container "share of processor time, 1 to 10000, default 100";
    CpusetCpus  '-' "cpuset-cpus"  "LIST"          Container "processors to run on, such as 0-2,5";
    CpusetMems  '-' "cpuset-mems"  "LIST"          Container "memory nodes to use";
    PidsLimit   '-' "pids-limit"   "N"             Container "limit of processes and threads; -1 for none";
    OomScoreAdj '-' "oom-score-adj" "N"            Container "when memory is short be killed sooner (1000) or later (-1000)";
    Cgroup      '-' "cgroup"       "KEY=VALUE"     Container "write any file of the cgroup; repeatable";
    CgroupParent '-' "cgroup-parent" "PATH"        Container "make the cgroup below this one";
    Network     '-' "network"      "WHERE"         Container "none (new, only lo), host, ns:PATH, container:PID";
    Pid         '-' "pid"          "WHERE"         Container "PID namespace: new, host, ns:PATH, container:PID";
    Ipc         '-' "ipc"          "WHERE"         Container "IPC namespace, same";
    Uts         '-' "uts"          "WHERE"         Container "UTS namespace, same";
    Cgroupns    '-' "cgroupns"     "WHERE"         Container "cgroup namespace, same";
    Mntns       '-' "mntns"        "WHERE"         Container "mount namespace, same";
    Timens      '-' "timens"       "WHERE"         Container "time namespace, same";
    Userns      '-' "userns"       "WHERE"         Container "user namespace, same, auto (ranges of /etc/subuid) or keep-id";
    DisableUserns '-' "disable-userns" ""         Container "no user namespaces inside its own one";
    UidMap      '-' "uidmap"       "C:H:N"         Container "map N user ids from C inside to H outside; repeatable";
    GidMap      '-' "gidmap"       "C:H:N"         Container "same for group ids; default: as the user ids";
    TimeOffset  '-' "time-offset"  "CLOCK=SECONDS" Container "shift boottime, monotonic (+1d, -30); comma between";
    Sysctl      '-' "sysctl"       "KEY=VALUE"     Container "set a kernel parameter of a namespace; repeatable";
    CapAdd      '-' "cap-add"      "NAME"          Container "add a capability, or ALL; repeatable";
    CapDrop     '-' "cap-drop"     "NAME"          Container "drop a capability, or ALL; repeatable";
    Ambient     '-' "ambient"      "NAME"          Container "keep a capability as another user than root; repeatable";
    SecurityOpt '-' "security-opt" "OPTION"        Container "seccomp=FILE or unconfined; no-new-privileges=false";
    Landlock    '-' "landlock"     "HOW:PATH"      Container "allow only ro, rx or rw below these paths; repeatable";
    Privileged  '-' "privileged"   ""              Container "all capabilities, nothing masked";
    BestEffort  '-' "best-effort"  ""              Container "go without protections that are refused here, naming them";
    DryRun      '-' "dry-run"      ""              Container "print the plan, make nothing";
    ---
    Boot        '-' "boot"         "[=0|1]"        Board     "be the machine's init, or (0) in no case";
    Boxed       '-' "container"    "0|1"           Board     "0: run the program plainly, with the options of init";
    Modules     '-' "modules"      "FILE[,FILE]"   Board     "load kernel modules, in this order; repeatable";
    Root        '-' "root"         "SOURCE"        Board     "what becomes /: a device, an image or a folder";
    RootType    '-' "root-type"    "TYPE"          Board     "its file system, if it does not say so itself";
    RootMode    '-' "root-mode"    "ro|rw"         Board     "whether it can be written to (ro)";
    RootOverlay '-' "root-overlay" "tmpfs|DEVICE"  Board     "write to memory, or to this device, instead";
    RootWait    '-' "root-wait"    "SECONDS"       Board     "how long devices may take to appear (10)";
    Restart     '-' "restart"      "WHEN[:N/T]"    Board     "no, on-failure or always; at most N times in T seconds";
    OnExit      '-' "on-exit"      "ACTION"        Board     "at the end: poweroff, reboot, halt, panic, shell, hang";
    OnFail      '-' "on-fail"      "ACTION"        Board     "the same where it failed; exec:PATH: another init";
    Watchdog    '-' "watchdog"     "DEVICE[:SECS]" Board     "feed it while the program lives (30)";
    HealthCmd   '-' "health-cmd"   "COMMAND"       Board     "feed it only while this exits with 0";
    HealthEvery '-' "health-interval" "SECONDS"    Board     "how often (30)";
    HealthTime  '-' "health-timeout" "SECONDS"     Board     "how long it may take (30)";
    HealthTries '-' "health-retries" "N"           Board     "how many failures in a row are one (3)";
    ExitPort    '-' "exit-port"    "PORT"          Board     "write the exit status to this I/O port";
    StopSignal  '-' "stop-signal"  "SIGNAL"        Board     "what asks the program to end (TERM)";
    Output      'o' "output"       "FILE"          Board     "build-initramfs: where it goes; - is standard output";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_used_twice() {
        for (index, option) in all().enumerate() {
            for other in all().skip(index + 1) {
                assert_ne!(option.long(), other.long());
                let same_letter =
                    option.short() != b'-' && option.short() == other.short() && option.group == other.group;
                assert!(!same_letter, "{} {}", option.long(), other.long());
            }
        }
    }

    #[test]
    fn help_lines_fit_a_terminal() {
        for option in all() {
            assert!(option.help().to_string().len() <= 62, "{}: {}", option.long(), option.help());
        }
    }
}
