//! What contradicts itself is told before anything is made: small checks on plain data, all run.

use std::os::unix::ffi::OsStrExt;

use super::Spec;
use super::caps::CapSet;
use super::idmap::Mapping;
use super::namespaces::{Kind, Placement};
use crate::packed::{Fill, filled, packed};
use crate::text::Show;

/// One check: `Some` is the fault, in the words of the options.
type Check = fn(&Spec) -> Option<String>;

/// Every check there is.
const CHECKS: &[Check] = &[
    has_program,
    hostname_is_legal,
    hostname_needs_uts,
    rootfs_has_a_name,
    rootfs_needs_mounts,
    ephemeral_needs_rootfs,
    read_only_needs_rootfs,
    mounts_need_rootfs,
    writes_go_to_one_place,
    mount_points_are_unique,
    shm_has_one_size,
    maps_need_new_userns,
    offsets_need_new_timens,
    swap_needs_memory,
    cpu_numbers_are_in_range,
    name_is_a_file_name,
    cgroup_parent_is_absolute,
    cgroup_parent_needs_a_limit,
    workdir_is_absolute,
    terminal_needs_known_dev,
    landlock_needs_no_new_privs,
    ambient_is_not_dropped,
];

/// All faults of a spec; empty is good.
pub(crate) fn validate(spec: &Spec) -> Vec<String> {
    let mut faults = Vec::new();
    for check in CHECKS {
        if let Some(fault) = check(spec) {
            faults.push(fault);
        }
    }
    faults
}

/// Whether `kind` is to be shared with the host or joined.
fn is_not_new(spec: &Spec, kind: Kind) -> bool {
    matches!(spec.namespaces.get(kind), Some(Placement::Host | Placement::Join(_)))
}

/// There must be something to run.
fn has_program(spec: &Spec) -> Option<String> {
    spec.process
        .args
        .is_empty()
        .then(|| packed!("no program given: launcher --rootfs DIR -- PROGRAM [ARGUMENT...]").into())
}

/// sethostname(2) and setdomainname(2) take 64 bytes; a name is what hostname(7) allows.
fn hostname_is_legal(spec: &Spec) -> Option<String> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let is_good = |name: &str| {
        (1..=64).contains(&name.len())
            && name.bytes().all(legal)
            && !matches!(name.as_bytes(), [b'-' | b'.', ..])
    };
    let (option, name) = hostnames(spec).find(|(_, name)| !is_good(name))?;
    Some(filled!("{} takes up to 64 letters, digits, '-', '_' and '.', not {}", option, name).text())
}

/// The names of a UTS namespace, with their options.
fn hostnames(spec: &Spec) -> impl Iterator<Item = (&'static str, &'static str)> {
    let both = [("--hostname", spec.hostname), ("--domainname", spec.domainname)];
    both.into_iter().filter_map(|(option, name)| Some((option, name?)))
}

/// The name would be the host's.
fn hostname_needs_uts(spec: &Spec) -> Option<String> {
    let (option, _) = hostnames(spec).next()?;
    is_not_new(spec, Kind::Uts)
        .then(|| filled!("{} needs a new UTS namespace, and --uts says otherwise", option).text())
}

/// An empty path is mostly a variable of a script that is not set.
fn rootfs_has_a_name(spec: &Spec) -> Option<String> {
    let rootfs = spec.rootfs?;
    rootfs.as_os_str().is_empty().then(|| packed!("--rootfs needs the name of a folder").into())
}

/// Without mounts of our own the host's root would be changed.
fn rootfs_needs_mounts(spec: &Spec) -> Option<String> {
    (spec.rootfs.is_some() && is_not_new(spec, Kind::Mount))
        .then(|| packed!("--rootfs needs a new mount namespace, and --mntns says otherwise").into())
}

/// There is nothing to lay the tmpfs over.
fn ephemeral_needs_rootfs(spec: &Spec) -> Option<String> {
    (spec.ephemeral && spec.rootfs.is_none()).then(|| packed!("--ephemeral needs --rootfs").into())
}

/// The host's root is not ours to change.
fn read_only_needs_rootfs(spec: &Spec) -> Option<String> {
    (spec.read_only && spec.rootfs.is_none()).then(|| packed!("--read-only needs --rootfs").into())
}

/// Missing mount points would be made on the host's root.
fn mounts_need_rootfs(spec: &Spec) -> Option<String> {
    let has_any = !spec.mounts.is_empty() || spec.shm_size.is_some() || spec.propagation.is_some();
    (has_any && spec.rootfs.is_none())
        .then(|| packed!("what is mounted or made inside needs --rootfs").into())
}

/// Memory or a folder; and there must be something to write over.
fn writes_go_to_one_place(spec: &Spec) -> Option<String> {
    if spec.layers.has_upper && spec.ephemeral {
        return Some(
            packed!("writes go to --overlay-upper or, with --ephemeral, to memory: not to both").into(),
        );
    }
    (!spec.layers.paths.is_empty() && spec.rootfs.is_none())
        .then(|| packed!("--overlay-upper needs --overlay or --rootfs").into())
}

/// Docker's rule: the first would be there for nothing.
fn mount_points_are_unique(spec: &Spec) -> Option<String> {
    let mut targets = spec.mounts.iter().map(|mount| &mount.target);
    while let Some(target) = targets.next() {
        if targets.clone().any(|other| other == target) {
            return Some(filled!("two mounts on {}", target).text());
        }
    }
    None
}

/// Maps can be written once, by the maker of the namespace.
fn maps_need_new_userns(spec: &Spec) -> Option<String> {
    (spec.mapping != Mapping::Own && is_not_new(spec, Kind::User)).then(|| {
        packed!("--uidmap and --gidmap need a new user namespace, and --userns says otherwise").into()
    })
}

/// Offsets can be set once, by the maker of the namespace.
fn offsets_need_new_timens(spec: &Spec) -> Option<String> {
    (spec.time_offsets.is_some() && is_not_new(spec, Kind::Time))
        .then(|| packed!("--time-offset needs a new time namespace, and --timens says otherwise").into())
}

/// Docker's rule: the total of memory and swap cannot be below the memory.
fn swap_needs_memory(spec: &Spec) -> Option<String> {
    let swap = spec.resources.memory_swap?;
    match spec.resources.memory {
        None => Some(packed!("--memory-swap needs --memory").into()),
        Some(memory) if swap < memory => {
            Some(packed!("--memory-swap counts memory and swap together and cannot be below --memory").into())
        }
        Some(_) => None,
    }
}

/// The kernel takes a quota of at least 1 ms, and weights from 1 to 10000.
fn cpu_numbers_are_in_range(spec: &Spec) -> Option<String> {
    // 8192 is what the largest kernels are built for.
    if spec.resources.cpus.is_some_and(|cpus| !(10..=8_192_000).contains(&cpus)) {
        return Some(packed!("--cpus takes 0.01 to 8192").into());
    }
    let weight = spec.resources.cpu_weight?;
    (!(1..=10_000).contains(&weight))
        .then(|| filled!("--cpu-weight takes 1 to 10000, not {}", &weight).text())
}

/// Names become folders: nothing that could lead elsewhere (crun before 1.28 removed `..`).
fn name_is_a_file_name(spec: &Spec) -> Option<String> {
    let name = spec.name?;
    (!is_valid_name(name)).then(|| {
        filled!("--name takes up to 200 letters, digits, '_', '.', '+' and '-', not {}", name).text()
    })
}

/// Whether `name` may be a container's id: `[A-Za-z0-9_][A-Za-z0-9_.+-]*`.
pub(crate) fn is_valid_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"_.+-".contains(&byte);
    (1..=200).contains(&name.len())
        && name.bytes().all(legal)
        && !matches!(name.as_bytes(), [b'.' | b'-' | b'+', ..])
}

/// Relative to what would be a guess, and `..` would leave the hierarchy.
fn cgroup_parent_is_absolute(spec: &Spec) -> Option<String> {
    let parent = spec.resources.parent?;
    let bytes = parent.as_os_str().as_bytes();
    let plain = bytes.first() == Some(&b'/') && bytes.split(|byte| *byte == b'/').all(|part| part != b"..");
    (!plain)
        .then(|| filled!("--cgroup-parent takes an absolute path without .., not {}", parent.shown()).text())
}

/// Without a limit there is no cgroup to make there.
fn cgroup_parent_needs_a_limit(spec: &Spec) -> Option<String> {
    (spec.resources.parent.is_some() && spec.resources.has_no_limit() && !spec.has_device_rules())
        .then(|| packed!("--cgroup-parent needs a limit, such as --memory").into())
}

/// As docker: a relative one would depend on where launcher was started.
fn workdir_is_absolute(spec: &Spec) -> Option<String> {
    let cwd = spec.process.cwd?;
    (!cwd.is_absolute()).then(|| filled!("--workdir takes an absolute path, not {}", cwd.shown()).text())
}

/// In there /dev/ptmx is what others have made it.
fn terminal_needs_known_dev(spec: &Spec) -> Option<String> {
    let is_joined = matches!(spec.namespaces.get(Kind::Mount), Some(Placement::Join(_)));
    (spec.process.console.is_own && is_joined)
        .then(|| packed!("--tty cannot be had in a joined mount namespace").into())
}

/// The kernel's rule: else a set-id program could be made to fail in ways that nobody expects.
fn landlock_needs_no_new_privs(spec: &Spec) -> Option<String> {
    let has_right = spec.no_new_privs() || spec.privileged;
    (!spec.landlock.is_empty() && !has_right).then(|| packed!("--landlock needs no-new-privileges").into())
}

/// The size is that of our own /dev/shm.
fn shm_has_one_size(spec: &Spec) -> Option<String> {
    let is_replaced = spec.shm_size.is_some() && spec.mounts.iter().any(|mount| mount.target == "/dev/shm");
    is_replaced
        .then(|| packed!("--shm-size: another mount takes the place of /dev/shm, give it its size").into())
}

/// The kernel's rule: what is ambient is in the bounding set.
fn ambient_is_not_dropped(spec: &Spec) -> Option<String> {
    let lost = spec.process.ambient.without(spec.process.bounding);
    (lost != CapSet::NONE).then(|| filled!("--ambient {}: --cap-drop takes it away", &lost).text())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::process::{Console, Process};
    use crate::spec::resources::Resources;

    /// A spec without a fault.
    fn good() -> Spec {
        Spec {
            rootfs: Some("/r".as_ref()),
            process: Process { args: vec!["true".as_ref()], ..Process::default() },
            ..Spec::default()
        }
    }

    #[test]
    #[allow(clippy::large_stack_arrays, reason = "a table, read once")]
    fn each_fault_is_told_once() {
        assert_eq!(validate(&good()), Vec::<String>::new());
        let limits = |resources| Spec { resources, ..good() };
        let placed = |kind, spec: Spec| {
            let mut spec = spec;
            spec.namespaces.set(kind, Placement::Host);
            spec
        };
        for (spec, word) in vec![
            (Spec { process: Process::default(), ..good() }, "no program"),
            (Spec { rootfs: Some("".as_ref()), ..good() }, "--rootfs"),
            (Spec { hostname: Some(""), ..good() }, "--hostname"),
            (Spec { hostname: Some("a b"), ..good() }, "--hostname"),
            (placed(Kind::Uts, Spec { hostname: Some("x"), ..good() }), "--uts"),
            (Spec { domainname: Some("-a"), ..good() }, "--domainname"),
            (placed(Kind::Uts, Spec { domainname: Some("x"), ..good() }), "--domainname"),
            (placed(Kind::Mount, good()), "--mntns"),
            (Spec { ephemeral: true, rootfs: None, ..good() }, "--ephemeral"),
            (Spec { read_only: true, rootfs: None, ..good() }, "--read-only"),
            (placed(Kind::User, Spec { mapping: Mapping::Subordinate, ..good() }), "--userns"),
            (limits(Resources { memory_swap: Some(1), ..Resources::default() }), "--memory-swap"),
            (
                limits(Resources { memory: Some(2), memory_swap: Some(1), ..Resources::default() }),
                "--memory-swap",
            ),
            (limits(Resources { cpus: Some(9), ..Resources::default() }), "--cpus"),
            (limits(Resources { cpus: Some(8_192_001), ..Resources::default() }), "--cpus"),
            (limits(Resources { cpu_weight: Some(0), ..Resources::default() }), "--cpu-weight"),
            (
                limits(Resources { parent: Some("/a/../b".as_ref()), pids: Some(1), ..Resources::default() }),
                "--cgroup-parent",
            ),
            (
                limits(Resources { parent: Some("a".as_ref()), pids: Some(1), ..Resources::default() }),
                "--cgroup-parent",
            ),
            (Spec { name: Some(".."), ..good() }, "--name"),
            (
                Spec { process: Process { cwd: Some("srv".as_ref()), ..good().process }, ..good() },
                "--workdir",
            ),
        ] {
            let faults = validate(&spec);
            assert!(faults.len() == 1 && faults[0].contains(word), "{word}: {faults:?}");
        }
    }

    #[test]
    fn a_terminal_needs_a_dev_that_nobody_else_has_made() {
        let console = Console { is_own: true, has_input: false };
        let process = Process { console, ..good().process };
        let mut terminal_elsewhere = Spec { process, rootfs: None, ..Spec::default() };
        terminal_elsewhere.namespaces.set(Kind::Mount, Placement::Join("/m".as_ref()));
        let faults = validate(&terminal_elsewhere);
        assert!(faults.len() == 1 && faults[0].starts_with("--tty"), "{faults:?}");
    }

    #[test]
    fn names_cannot_lead_elsewhere() {
        for name in ["", ".", "..", "../x", "a/b", "-x", "a\nb", "a b", &"x".repeat(300)] {
            assert!(!is_valid_name(name), "{name}");
        }
        for name in ["a", "web-1", "A_b.c+d", "0"] {
            assert!(is_valid_name(name), "{name}");
        }
    }
}
