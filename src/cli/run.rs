//! The command line of run: docker's words where docker has them.

use std::ffi::OsStr;
use std::path::Path;

use super::options::{Id, Opt};
use super::words::{Grammar, Word, Words};
use super::{Command, process, security, text, wrong};
use crate::error::{Error, Result};
use crate::packed::{Packed, filled, packed};
use crate::spec::caps::CapSet;
use crate::spec::idmap::{self, Mapping};
use crate::spec::mount::{Layers, Mount, Source};
use crate::spec::namespaces::{self, Kind, Placement};
use crate::spec::process::parse_file_rule;
use crate::spec::seccomp::Seccomp;
use crate::spec::{Spec, devices, mount, mount_grammar, resources, size, sysctl, validate};
use crate::text::{self, Show};

/// `launcher run [OPTION]... [--] PROGRAM`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RunCommand {
    /// What is wanted.
    pub(crate) spec: Spec,
    /// Only print the plan.
    pub(crate) dry_run: bool,
}

/// `launcher delete [--force] NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DeleteCommand {
    /// Kill what is still running; not existing is no fault.
    pub(crate) force: bool,
    /// The container.
    pub(crate) name: &'static str,
}

/// Parses the words after `run`, and all where an option describes a container.
///
/// # Errors
/// The words make no sense, or contradict each other.
pub(crate) fn parse(words: Vec<&'static OsStr>) -> Result<Command> {
    let mut words = Words::new(words, Grammar::Run);
    // For good, as the texts in it: see spec/mod.rs.
    let command = Box::leak(Box::new(RunCommand { spec: Spec::default(), dry_run: false }));
    let mut has_tmpfs = false;
    let (mut lower, mut upper, mut work) = (Vec::new(), Path::new(""), Path::new(""));
    let mut caps = Caps { added: CapSet::NONE, dropped: CapSet::NONE };
    loop {
        match words.next()? {
            Word::Option(option, value) => match option.id {
                Id::Help => return Ok(Command::Help(None)),
                Id::Version => return Ok(Command::Version(None)),
                Id::DryRun => command.dry_run = true,
                Id::ReadOnlyTmpfs => has_tmpfs = true,
                Id::Overlay => lower = mount_grammar::parse_layers(text(option, value.unwrap_or_default())?),
                Id::OverlayUpper => upper = Path::new(value.unwrap_or_default()),
                Id::OverlayWork => work = Path::new(value.unwrap_or_default()),
                Id::CapAdd => caps.added = caps.added.with(capability(option, value.unwrap_or_default())?),
                Id::Ambient => {
                    let ambient = capability(option, value.unwrap_or_default())?;
                    caps.added = caps.added.with(ambient);
                    command.spec.process.ambient = command.spec.process.ambient.with(ambient);
                }
                Id::CapDrop => {
                    caps.dropped = caps.dropped.with(capability(option, value.unwrap_or_default())?);
                }
                _ => set(&mut command.spec, option, value.unwrap_or_default())?,
            },
            Word::Program(args) => {
                command.spec.process.args = args;
                break;
            }
            Word::End => break,
        }
    }
    lay_over(&mut command.spec, lower, upper, work)?;
    if has_tmpfs {
        mount_grammar::add_writable(&mut command.spec.mounts);
    }
    if command.spec.privileged && caps.dropped != CapSet::NONE {
        let why =
            packed!("--privileged is all capabilities: instead of it say --cap-add ALL with --cap-drop");
        return Err(Error::new(why));
    }
    let process = &mut command.spec.process;
    process.guards_nodes =
        matches!(process.seccomp, Seccomp::Standard) && !caps.added.contains(CapSet::MKNOD);
    process.bounding = caps.of_container(process.guards_nodes);
    if caps.added != CapSet::ALL {
        command.spec.process.required = caps.added;
    }
    let faults = validate::validate(&command.spec);
    if faults.is_empty() { Ok(Command::Run(command)) } else { Err(Error::new(text::join(&faults, "; "))) }
}

/// Puts the layers of the root into the spec: the topmost is its rootfs.
fn lay_over(
    spec: &mut Spec,
    mut lower: Vec<&'static Path>,
    upper: &'static Path,
    work: &'static Path,
) -> Result<()> {
    if !lower.is_empty() {
        if spec.rootfs.replace(lower.remove(0)).is_some() {
            return Err(Error::new(packed!("--overlay takes the place of --rootfs")));
        }
        // What nothing is written to is not written to, if it is one folder or several.
        spec.read_only |= lower.is_empty() && upper.as_os_str().is_empty() && !spec.ephemeral;
    }
    spec.layers = Layers::new(lower, upper, work)?;
    Ok(())
}

/// Puts one option into the spec.
fn set(spec: &mut Spec, option: &'static Opt, value: &'static OsStr) -> Result<()> {
    match option.id {
        Id::Rootfs => spec.rootfs = Some(Path::new(value)),
        Id::Ephemeral => spec.ephemeral = true,
        Id::ReadOnly => spec.read_only = true,
        Id::DisableUserns => spec.process.disable_userns = true,
        Id::Privileged => spec.privileged = true,
        Id::BestEffort => spec.best_effort = true,
        Id::EnvHost => spec.process.env_host = true,
        Id::Tty => spec.process.console.is_own = true,
        Id::Interactive => spec.process.console.has_input = true,
        Id::CgroupParent => spec.resources.parent = Some(Path::new(value)),
        _ => {
            if !process::set(&mut spec.process, option, value)? {
                let value = text(option, value)?;
                set_text(spec, option, value).map_err(|why| wrong(option, value, why))?;
            }
        }
    }
    Ok(())
}

/// Puts one option whose value is text into the spec; the error says only what is wrong with the value.
fn set_text(spec: &mut Spec, option: &'static Opt, value: &'static str) -> Result<()> {
    let limits = &mut spec.resources;
    match option.id {
        Id::Name => spec.name = Some(value),
        Id::Hostname => spec.hostname = Some(value),
        Id::Domainname => spec.domainname = Some(value),
        Id::RootfsPropagation => {
            let propagation = mount_grammar::parse_propagation(value);
            spec.propagation = Some(wanted(propagation, packed!("slave, private and the like"))?);
        }
        Id::Volume | Id::Mount | Id::Tmpfs | Id::Device | Id::File | Id::Symlink => {
            mount::insert(&mut spec.mounts, parse_mount(option.id, value)?);
        }
        Id::DeviceRule => {
            let rules = devices::parse(value, &mut spec.devices);
            wanted(rules, packed!("TYPE MAJOR:MINOR MODES, such as c 10:200 rw"))?;
        }
        Id::ShmSize => spec.shm_size = Some(bytes(value)?),
        Id::Landlock => spec.landlock.push(parse_file_rule(value)?),
        Id::Sysctl => spec.sysctls.push(sysctl::parse(value)?),
        Id::OomScoreAdj => {
            let score = text::signed(value).filter(|score| (-1000..=1000).contains(score));
            let score = score.and_then(|score| i32::try_from(score).ok());
            spec.oom_score_adj = Some(wanted(score, packed!("a number from -1000 to 1000"))?);
        }
        Id::TimeOffset => spec.time_offsets = namespaces::parse_offsets(value)?,
        Id::UidMap | Id::GidMap => add_map(spec, option.id, value)?,
        Id::SecurityOpt => security::set(spec, value)?,
        Id::Memory => limits.memory = Some(bytes(value)?),
        Id::MemorySwap if value == "-1" => limits.memory_swap = Some(u64::MAX),
        Id::MemorySwap => limits.memory_swap = Some(bytes(value)?),
        Id::Cpus => {
            limits.cpus = Some(wanted(size::parse_thousandths(value), packed!("a number such as 0.5"))?);
        }
        Id::CpuWeight => limits.cpu_weight = Some(number(value)?),
        Id::PidsLimit if value == "-1" || value == "0" => limits.pids = Some(u64::MAX),
        Id::PidsLimit => limits.pids = Some(number(value)?),
        Id::CpusetCpus => limits.cpuset_cpus = Some(list(value)?),
        Id::CpusetMems => limits.cpuset_mems = Some(list(value)?),
        Id::Cgroup => limits.raw.push(resources::parse_raw(value)?),
        _ => place(spec, option, value)?,
    }
    Ok(())
}

/// A value, or the error that says what one is.
pub(super) fn wanted<T>(value: Option<T>, what: Packed) -> Result<T> {
    /// Not generic, since every type would bring a copy.
    #[cold]
    fn unwanted(what: Packed) -> Error {
        Error::new(filled!("wanted is {}", &what))
    }
    value.ok_or_else(|| unwanted(what))
}

/// What is mounted or made somewhere inside.
fn parse_mount(id: Id, value: &str) -> Result<Mount> {
    match id {
        Id::Volume => mount_grammar::parse_short("bind", value),
        Id::Tmpfs => mount_grammar::parse_short("tmpfs", value),
        Id::Device => mount_grammar::parse_short("device", value),
        Id::File => mount_grammar::parse_content(value, Source::Text),
        Id::Symlink => mount_grammar::parse_content(value, Source::Link),
        _ => mount_grammar::parse_mount(value),
    }
}

/// An amount of memory.
fn bytes(text: &str) -> Result<u64> {
    let bytes = size::parse_bytes(text).filter(|bytes| *bytes > 0);
    wanted(bytes, packed!("a number of bytes, or one with b, k, m or g"))
}

/// A number.
fn number(text: &str) -> Result<u64> {
    wanted(text::number(text), packed!("a number"))
}

/// A list of processors or nodes: `0-2,5`.
fn list(value: &'static str) -> Result<&'static str> {
    let good = value.bytes().all(|byte| byte.is_ascii_digit() || byte == b',' || byte == b'-');
    let begins = value.as_bytes().first().is_some_and(u8::is_ascii_digit);
    wanted(Some(value).filter(|_| good && begins), packed!("a list such as 0-2,5"))
}

/// Where a namespace comes from.
fn place(spec: &mut Spec, option: &'static Opt, value: &str) -> Result<()> {
    let mut kinds = Kind::ALL.into_iter();
    let kind = kinds.find(|kind| kind.option().strip_prefix("--") == Some(option.long()));
    let kind = kind.ok_or_else(|| Error::new(packed!("not an option of run")))?;
    let placement = match value {
        "auto" | "keep-id" if kind == Kind::User => {
            spec.mapping = if value == "auto" { Mapping::Subordinate } else { Mapping::KeepId };
            Placement::New
        }
        _ => namespaces::parse_placement(kind, value)?,
    };
    spec.namespaces.set(kind, placement);
    Ok(())
}

/// One more line of a map.
fn add_map(spec: &mut Spec, id: Id, value: &str) -> Result<()> {
    let map = idmap::parse(value)?;
    if !matches!(spec.mapping, Mapping::Explicit { .. }) {
        spec.mapping = Mapping::Explicit { uids: Vec::new(), gids: Vec::new() };
    }
    if let Mapping::Explicit { uids, gids } = &mut spec.mapping {
        if id == Id::UidMap { uids.push(map) } else { gids.push(map) }
    }
    Ok(())
}

/// What is added to docker's default set, and what is taken away.
#[derive(Debug, Clone, Copy)]
struct Caps {
    /// `--cap-add`
    added: CapSet,
    /// `--cap-drop`
    dropped: CapSet,
}

impl Caps {
    /// Docker's rules: `--cap-drop ALL` empties the default, and what is added by name stays; `--cap-add ALL` adds
    /// all, and what is dropped by name goes. Where no filter guards nodes MKNOD is none of the default.
    fn of_container(self, guards_nodes: bool) -> CapSet {
        let default = if guards_nodes { CapSet::DEFAULT } else { CapSet::NO_NODES };
        match (self.added, self.dropped) {
            (added, CapSet::ALL) => added,
            (added, dropped) => default.with(added).without(dropped),
        }
    }
}

/// A capability by name.
fn capability(option: &'static Opt, value: &'static OsStr) -> Result<CapSet> {
    let value = text(option, value)?;
    CapSet::parse(value).ok_or_else(|| wrong(option, value, packed!("no such capability")))
}

/// Parses the words after `delete`.
///
/// # Errors
/// No name, or one that no container has.
pub(crate) fn parse_delete(words: Vec<&'static OsStr>) -> Result<Command> {
    let mut command = DeleteCommand { force: false, name: "" };
    for word in words {
        match word.to_str() {
            Some("--force" | "-f") => command.force = true,
            Some("--help") => return Ok(Command::Help(None)),
            Some(name) if command.name.is_empty() && validate::is_valid_name(name) => {
                command.name = name;
            }
            _ => {
                return Err(Error::new(filled!("delete: not the name of a container: {}", word.shown())));
            }
        }
    }
    if command.name.is_empty() {
        return Err(Error::new(packed!("delete: no name given: launcher delete [--force] NAME")));
    }
    Ok(Command::Delete(command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::options::{self, Group};
    use crate::spec::process::EnvChange;

    /// Parses a line of options in front of `-- sh`; `~` is a blank in a word.
    fn parsed(line: &str) -> Result<RunCommand> {
        let line = line.to_owned().leak().split_whitespace();
        let words =
            line.map(|word| OsStr::new(word.replace('~', " ").leak())).chain(["--", "sh"].map(OsStr::new));
        match parse(words.collect())? {
            Command::Run(command) => Ok(command.clone()),
            _ => Err(Error::new("another command")),
        }
    }

    #[test]
    fn every_option_of_the_table_is_understood() {
        for option in
            options::all().filter(|option| matches!(option.group, Group::Container | Group::Process))
        {
            let value = match option.id {
                Id::Rootfs | Id::Workdir | Id::CgroupParent => "/x",
                Id::Cpus | Id::CpuWeight | Id::PidsLimit | Id::CpusetCpus | Id::CpusetMems => "1",
                Id::Memory | Id::ShmSize => "1m",
                Id::Volume | Id::Device => "/a:/b",
                Id::DeviceRule => "c~1:1~r",
                Id::File | Id::Symlink => "/a=b",
                Id::RootfsPropagation => "rprivate",
                Id::Mount => "src=/a,dst=/b",
                Id::Tmpfs => "/b",
                Id::Landlock => "ro:/",
                Id::OomScoreAdj => "500",
                Id::Sysctl => "net.ipv4.ip_forward=1",
                Id::MemorySwap => "2m",
                Id::User => "1:1",
                Id::Ulimit => "nofile=1",
                Id::Umask => "077",
                Id::Cgroup => "memory.high=1",
                Id::UidMap | Id::GidMap => "0:1:1",
                Id::TimeOffset => "boottime=1",
                Id::CapAdd | Id::CapDrop | Id::Ambient => "chown",
                Id::SecurityOpt => "seccomp=unconfined",
                Id::Network
                | Id::Pid
                | Id::Ipc
                | Id::Uts
                | Id::Cgroupns
                | Id::Timens
                | Id::Userns
                | Id::Mntns => "new",
                _ => "x",
            };
            let value = if option.value().is_empty() { "" } else { value };
            let needs_limit = matches!(option.id, Id::MemorySwap | Id::CgroupParent);
            let help = match option.id {
                Id::ReadOnlyTmpfs => "--read-only",
                _ if needs_limit => "--memory 1m",
                _ => "",
            };
            let help = match option.id {
                Id::Overlay => "",
                Id::OverlayUpper => "--rootfs /r --overlay-work /w",
                Id::OverlayWork => "--rootfs /r --overlay-upper /u",
                _ => &format!("--rootfs /r {help}"),
            };
            let line = format!("{help} --{} {value}", option.long());
            let result = parsed(&line);
            assert!(result.is_ok(), "{line}: {result:?}");
            assert_ne!(result.unwrap(), parsed("--rootfs /").unwrap(), "{line} changes nothing");
        }
    }

    #[test]
    fn values_are_dockers() {
        let spec =
            parsed("--rootfs /r -m 64m --cpus .5 --pids-limit -1 -e A=1 -e B -u 5:6 -h web").unwrap().spec;
        assert_eq!(spec.resources.memory, Some(64 << 20));
        assert_eq!(spec.resources.cpus, Some(500));
        assert_eq!(spec.resources.pids, Some(u64::MAX));
        assert_eq!(spec.process.env, [EnvChange::Set("A=1".as_ref()), EnvChange::Copy("B".as_ref())]);
        assert_eq!(spec.process.user.map(|user| user.to_string()).as_deref(), Some("5:6"));
        assert_eq!(spec.hostname, Some("web"));
    }

    #[test]
    fn capabilities_follow_dockers_rules() {
        for (line, want) in [
            ("", CapSet::DEFAULT.0),
            ("--cap-drop ALL", 0),
            ("--cap-drop ALL --cap-add kill", 1 << 5),
            ("--cap-add SYS_ADMIN", CapSet::DEFAULT.0 | 1 << 21),
            ("--cap-drop CAP_CHOWN", CapSet::DEFAULT.0 & !1),
            ("--cap-add ALL --cap-drop chown", !1),
            ("--cap-add mknod", CapSet::DEFAULT.0),
            ("--security-opt seccomp=unconfined", CapSet::NO_NODES.0),
            ("--security-opt seccomp=/p.json", CapSet::NO_NODES.0),
            ("--security-opt seccomp=unconfined --cap-add mknod", CapSet::DEFAULT.0),
            ("--security-opt seccomp=unconfined --security-opt seccomp=builtin", CapSet::DEFAULT.0),
        ] {
            assert_eq!(
                parsed(&format!("--rootfs /r {line}")).unwrap().spec.process.bounding.0,
                want,
                "{line}"
            );
        }
    }

    #[test]
    fn nonsense_names_the_option_and_the_value() {
        for (line, want) in [
            ("-m 64q", "--memory 64q: "),
            ("-m 0", "--memory 0: "),
            ("--cpus x", "--cpus x: "),
            ("--pids-limit many", "--pids-limit many: "),
            ("--cpuset-cpus a", "--cpuset-cpus a: "),
            ("--cgroup ../x=1", "--cgroup ../x=1: "),
            ("-v data:/x", "--volume data:/x: there are no volumes by name"),
            ("--mount type=nfs,dst=/x", "--mount type=nfs,dst=/x: type=nfs: wanted is"),
            ("--device /a:/b:x", "--device /a:/b:x: wanted is HOST"),
            ("--device-cgroup-rule x", "--device-cgroup-rule x: wanted is TYPE MAJOR:MINOR MODES"),
            ("--cgroup devices.deny=a", "--cgroup devices.deny=a: devices have --device-cgroup-rule"),
            ("--file x", "--file x: wanted is"),
            ("--rootfs-propagation up", "--rootfs-propagation up: wanted is"),
            ("--tmpfs x", "--tmpfs x: the place inside"),
            ("--overlay /a:/b", "--overlay takes the place of --rootfs"),
            ("--overlay-upper /a", "an upper folder needs a work folder"),
            ("--ephemeral --overlay-upper /a --overlay-work /b", "writes go to"),
            ("--tmpfs /x -v /a:/x/", "two mounts on /x"),
            ("-u a/b", "--user a/b: "),
            ("--uidmap 1:2", "--uidmap 1:2: "),
            ("--network bridge", "--network bridge: "),
            ("--cap-add fly", "--cap-add fly: "),
            ("--ulimit x=1", "--ulimit x=1: "),
            ("--time-offset now", "--time-offset now: "),
            ("--sysctl kernel.panic=1", "--sysctl kernel.panic=1: it has no namespace"),
            ("--oom-score-adj 1001", "--oom-score-adj 1001: "),
            ("--oom-score-adj x", "--oom-score-adj x: "),
            ("--security-opt seccomp=", "--security-opt seccomp=: "),
            ("--landlock rwx:/x", "--landlock rwx:/x: "),
            ("--landlock ro:x", "--landlock ro:x: "),
            ("--landlock ro:/ --security-opt no-new-privileges=false", "--landlock needs no-new-privileges"),
            ("--security-opt label=type:x", "--security-opt label=type:x: "),
            ("--security-opt apparmor=", "--security-opt apparmor=: "),
            ("-e =1", "--env =1: "),
            ("--read-only=1", "--read-only takes no value"),
            ("--memory-swap 1m", "--memory-swap needs --memory"),
            ("--hostname a --uts host", "--hostname needs a new UTS namespace"),
        ] {
            let error = parsed(&format!("--rootfs /r {line}")).unwrap_err();
            assert!(error.doing.starts_with(want), "{line}: {error}");
            assert_eq!(error.status, 125);
        }
    }

    #[test]
    fn names_to_delete_are_names() {
        let delete = |line: &'static str| parse_delete(line.split_whitespace().map(OsStr::new).collect());
        assert!(delete("--force web").is_ok());
        for line in ["", "..", "--force", "a/b", "../x", ".", "a b"] {
            assert!(delete(line).is_err(), "{line}");
        }
    }
}
