//! The order rules of a launch: each says what must come before what, and fails as well if one of the two is missing.

use super::*;
use crate::host::{Hierarchy, SubRange, Version};
use crate::spec::idmap::IdMap;
use crate::spec::namespaces::TimeOffsets;
use crate::spec::process::{Process, Rlimit};
use crate::spec::resources::Resources;
use crate::spec::seccomp::Seccomp;

/// A spec that uses everything.
fn full() -> Spec {
    Spec {
        rootfs: Some("/r".as_ref()),
        read_only: true,
        hostname: Some("web"),
        time_offsets: TimeOffsets { boottime: Some(1), monotonic: None },
        resources: Resources { memory: Some(1 << 20), ..Resources::default() },
        mapping: Mapping::Explicit {
            uids: vec![IdMap { container_id: 0, host_id: 5000, size: 2000 }],
            gids: Vec::new(),
        },
        process: Process {
            args: vec!["app".as_ref()],
            cwd: Some("/srv".as_ref()),
            user: crate::spec::user::parse_user("1000:100").ok(),
            rlimits: vec![Rlimit { name: "nofile", resource: 7, soft: 1, hard: 2 }],
            ..Process::default()
        },
        ..Spec::default()
    }
}

/// Root on a machine with the memory controller on v1.
fn rootful() -> Host {
    let memory = Hierarchy {
        version: Version::V1,
        mountpoint: "/c".as_ref(),
        controllers: vec!["memory"],
        own: "/c".as_ref(),
        delegated: None,
    };
    Host { pid: 7, root_is_ram: true, hierarchies: vec![memory], ..Host::default() }
}

/// The lines of a plan.
fn lines(spec: &Spec, host: &Host) -> Vec<String> {
    Plan::new(spec, host).unwrap().lines().into_iter().map(|(_, text)| text).collect()
}

/// The only place of a line that begins with these words.
#[track_caller]
fn place(lines: &[String], words: &str) -> usize {
    let found: Vec<_> = (0..lines.len()).filter(|index| lines[*index].starts_with(words)).collect();
    assert_eq!(found.len(), 1, "{words}: {lines:#?}");
    found[0]
}

/// Asserts that each line is there once, in this order.
#[track_caller]
fn assert_order(lines: &[String], words: &[&str]) {
    for pair in words.windows(2) {
        assert!(place(lines, pair[0]) < place(lines, pair[1]), "{} before {}", pair[0], pair[1]);
    }
}

#[test]
fn limits_are_raised_before_the_user_namespace_is_in_force() {
    assert_order(
        &lines(&full(), &rootful()),
        &["raise the hard limit of nofile", "write uid_map", "become root"],
    );
}

#[test]
fn namespaces_are_opened_before_the_first_is_joined() {
    let mut spec = full();
    spec.namespaces.set(Kind::Network, Placement::Join("/n".as_ref()));
    spec.namespaces.set(Kind::Ipc, Placement::Join("/i".as_ref()));
    let lines = lines(&spec, &rootful());
    assert_order(
        &lines,
        &["open the net namespace /n", "open the ipc namespace /i", "clone", "join the net namespace"],
    );
    assert_order(&lines, &["become undumpable", "join the net namespace", "join the ipc namespace"]);
}

#[test]
fn what_is_written_to_proc_by_path_goes_to_the_hosts() {
    let mut spec = Spec { rootfs: None, read_only: false, ..full() };
    spec.namespaces.set(Kind::Mount, Placement::Join("/m".as_ref()));
    for written in ["unshare the time namespace", "bring lo up"] {
        assert_order(&lines(&spec, &rootful()), &[written, "join the mnt namespace"]);
    }
}

#[test]
fn the_cgroup_is_limited_then_entered_then_made_the_root_of_its_namespace() {
    let order = [
        "make cgroup",
        "write 1048576 to",
        "clone",
        "attach to /c/launcher-7",
        "unshare the cgroup namespace",
    ];
    assert_order(&lines(&full(), &rootful()), &order);
}

/// [`rootful`] with the devices controller on v1, able to make nodes.
fn with_devices() -> Host {
    let mut host = Host { makes_nodes: true, ..rootful() };
    host.hierarchies[0].controllers = vec!["devices"];
    host
}

/// A rootfs, what may be done there, and a device to read.
fn limited(bounding: CapSet, given: &[&str]) -> Spec {
    let mounts =
        given.iter().map(|text| crate::spec::mount_grammar::parse_short("device", text).unwrap()).collect();
    let process = Process { args: vec!["app".as_ref()], bounding, guards_nodes: false, ..Process::default() };
    Spec { rootfs: Some("/r".as_ref()), mounts, process, ..Spec::default() }
}

#[test]
fn a_device_is_opened_then_allowed_then_the_cgroup_entered() {
    let lines = lines(&limited(CapSet::NONE, &["/dev/x:/dev/y:r"]), &with_devices());
    let allow = "allow in /c/launcher-7 of all devices the usual ones and those given";
    let open = "open for: mount the device /dev/x (r) on /dev/y";
    assert_order(&lines, &[open, "make cgroup /c/launcher-7", allow, "clone", "attach to /c/launcher-7"]);
}

#[test]
#[allow(clippy::large_stack_arrays, reason = "a table, read once")]
fn devices_are_limited_where_there_is_a_reason() {
    let mknod = CapSet(1 << CapSet::MKNOD);
    let mut ruled = limited(CapSet::NONE, &[]);
    crate::spec::devices::parse("c 1:1 r", &mut ruled.devices).unwrap();
    let in_userns = |spec: Spec| Spec { mapping: full().mapping, ..spec };
    let privileged = |spec: Spec| Spec { privileged: true, ..spec };
    let mut guarded = limited(mknod, &[]);
    guarded.process.guards_nodes = true;
    let cannot = Host { makes_nodes: false, ..with_devices() };
    let unified = Host {
        hierarchies: vec![Hierarchy {
            version: Version::V2,
            controllers: Vec::new(),
            ..rootful().hierarchies.remove(0)
        }],
        ..with_devices()
    };
    for (spec, host, want) in vec![
        (limited(CapSet::NONE, &[]), with_devices(), false),
        (limited(CapSet::NONE, &["/dev/x"]), with_devices(), false),
        (limited(CapSet::NONE, &["/dev/x", "/dev/y:rm"]), with_devices(), true),
        (in_userns(limited(CapSet::NONE, &["/dev/x:r"])), with_devices(), true),
        (privileged(limited(CapSet::NONE, &["/dev/x:r"])), with_devices(), false),
        (limited(mknod, &[]), with_devices(), true),
        (limited(CapSet::ALL, &[]), unified.clone(), true),
        (limited(mknod, &[]), cannot.clone(), false),
        (guarded, with_devices(), false),
        (in_userns(limited(mknod, &[])), with_devices(), false),
        (privileged(limited(mknod, &[])), with_devices(), false),
        (Spec { rootfs: None, ..limited(mknod, &[]) }, with_devices(), false), // the host's /dev is there
        (ruled.clone(), cannot, true),
        (Spec { rootfs: None, ..ruled.clone() }, with_devices(), true),
        (privileged(ruled.clone()), with_devices(), false),
        (Spec { all_devices: true, ..ruled.clone() }, with_devices(), false),
    ] {
        let text = lines(&spec, &host);
        assert_eq!(text.iter().any(|line| line.starts_with("allow in")), want, "{text:#?}");
        assert_eq!(text.iter().any(|line| line.starts_with("make cgroup")), want, "{text:#?}");
        assert!(
            !text.iter().any(|line| line.starts_with("enable")),
            "no controller is for devices: {text:#?}"
        );
    }
    // On both: the old one, where the devices controller is.
    let mut both = with_devices();
    both.hierarchies.insert(0, Hierarchy { mountpoint: "/u".as_ref(), ..unified.hierarchies[0].clone() });
    place(&lines(&ruled, &both), "make cgroup /c/launcher-7");
    let error = Plan::new(&ruled, &Host { uid: 1000, ..with_devices() }).unwrap_err();
    assert!(error.doing == "limit devices" && error.hint.is_some(), "{error}");
    let error = Plan::new(&ruled, &Host { hierarchies: Vec::new(), ..with_devices() }).unwrap_err();
    assert!(error.doing.contains("the devices controller"), "{error}");
}

#[test]
fn propagation_is_cut_before_the_first_mount() {
    let lines = lines(&full(), &rootful());
    assert_order(&lines, &["make / rslave", "lay a copy", "bind the rootfs", "mount proc"]);
    let first_mount =
        lines.iter().position(|line| line.starts_with("mount ") || line.starts_with("bind ")).unwrap();
    assert!(place(&lines, "make / rslave") < first_mount);
}

#[test]
fn every_mount_comes_before_the_pivot_and_its_mask_after_the_mount() {
    let lines = lines(&full(), &rootful());
    let pivot = place(&lines, "pivot_root");
    for (index, line) in lines.iter().enumerate() {
        assert!(!line.starts_with("mount ") || index < pivot, "{line}");
    }
    assert_order(&lines, &["bind the rootfs", "make the rootfs nodev", "mount tmpfs on /dev ("]);
    let order = ["mount proc", "mount sysfs", "protect in /proc: bus", "mask in /proc: acpi/", "pivot_root"];
    assert_order(&lines, &order);
    assert_order(&lines, &["fill /dev", "make / read-only", "mask in /proc", "pivot_root"]);
}

#[test]
fn capabilities_go_before_the_right_to_drop_them() {
    assert_order(
        &lines(&full(), &rootful()),
        &["drop all capabilities", "become user 1000", "keep of the capabilities none"],
    );
}

#[test]
fn the_directory_is_entered_as_root_and_confirmed_as_the_user() {
    assert_order(&lines(&full(), &rootful()), &["enter /srv", "become user 1000", "make sure that /srv"]);
}

#[test]
fn parameters_are_set_by_our_own_proc_while_it_can_be_written() {
    let sysctls = vec![crate::spec::sysctl::parse("net.ipv4.ip_forward=1").unwrap()];
    let order = [
        "bring lo up",
        "mount proc on /proc",
        "write in /proc/sys: net/ipv4/ip_forward=1",
        "protect in /proc",
    ];
    assert_order(&lines(&Spec { sysctls: sysctls.clone(), ..full() }, &rootful()), &order);
    let mut spec = Spec { sysctls, rootfs: None, read_only: false, ..full() };
    assert_order(&lines(&spec, &rootful()), &order[1..3]);
    spec.namespaces.set(Kind::Network, Placement::Host);
    let error = Plan::new(&spec, &rootful()).unwrap_err();
    assert!(error.doing.ends_with("a namespace that is not new, see --network"), "{error}");
}

#[test]
fn groups_come_before_the_user() {
    let order = [
        "set the groups of the user",
        "become group 100",
        "become user 1000",
        "set no_new_privs",
        "execute app",
    ];
    assert_order(&lines(&full(), &rootful()), &order);
}

#[test]
fn the_filter_comes_last_or_while_it_may_be_installed() {
    let filter = "install the default seccomp filter";
    assert_order(
        &lines(&full(), &rootful()),
        &["become user 1000", "set no_new_privs", filter, "execute app"],
    );
    let mut spec = full();
    spec.process.no_new_privs = Some(false);
    let order = ["drop all capabilities", filter, "become user 1000", "keep of the capabilities none"];
    assert_order(&lines(&spec, &rootful()), &order);
    let unconfined = Process { seccomp: Seccomp::Unconfined, ..full().process };
    for spec in [Spec { privileged: true, ..full() }, Spec { process: unconfined, ..full() }] {
        assert!(!lines(&spec, &rootful()).iter().any(|line| line.contains("seccomp")));
    }
}

#[test]
fn the_death_signal_survives_the_change_of_ids() {
    assert_order(&lines(&full(), &rootful()), &["become root of the user namespace", "set the death signal"]);
    let mut spec = full();
    spec.namespaces.set(Kind::Pid, Placement::Host);
    let plan = Plan::new(&spec, &rootful()).unwrap();
    let last: Vec<_> = plan.entrypoint.iter().map(ToString::to_string).collect();
    assert_order(&last, &["become user 1000", "set the death signal"]);
}

#[test]
fn the_clocks_are_set_while_the_hosts_proc_is_there() {
    assert_order(
        &lines(&full(), &rootful()),
        &["unshare the time namespace, boottime +1 s", "make / rslave"],
    );
}

#[test]
fn setgroups_is_denied_before_an_ordinary_users_map_and_never_called_then() {
    let spec = Spec { mapping: Mapping::Own, resources: Resources::default(), ..full() };
    let spec = Spec { process: Process { user: None, ..spec.process }, ..spec };
    let host = Host { uid: 1000, gid: 100, ..rootful() };
    let lines = lines(&spec, &host);
    assert_order(&lines, &["write deny to setgroups", "write gid_map 0 100 1", "write uid_map 0 1000 1"]);
    assert!(!lines.iter().any(|line| line.starts_with("set the groups")));
}

#[test]
fn what_the_kernel_gives_only_to_fresh_namespaces_is_bound_elsewhere() {
    let mut spec = full();
    spec.namespaces.set(Kind::Pid, Placement::Host);
    spec.namespaces.set(Kind::Network, Placement::Host);
    spec.namespaces.set(Kind::Cgroup, Placement::Host);
    let text = lines(&spec, &rootful());
    for words in ["mount /proc on /proc", "mount /sys on /sys (", "mount /sys/fs/cgroup on /sys/fs/cgroup"] {
        place(&text, words);
    }
    let spec = Spec { mapping: Mapping::Own, process: Process { user: None, ..spec.process }, ..spec };
    let text = lines(&spec, &rootful());
    for words in ["mount proc on /proc", "mount sysfs on /sys"] {
        place(&text, words);
    }
}

#[test]
fn ids_that_do_not_exist_are_told_before_anything_is_made() {
    let own = Spec { mapping: Mapping::Own, ..full() };
    let host = Host { uid: 1000, ..Host::default() };
    let no_limits = Spec { resources: Resources::default(), ..own };
    assert!(
        Plan::new(&no_limits, &host)
            .unwrap_err()
            .doing
            .contains("--user 1000:100: user id 1000 is not mapped")
    );
    let subordinate = Spec { mapping: Mapping::Subordinate, ..no_limits.clone() };
    let error = Plan::new(&subordinate, &Host { user: "user".into(), ..host.clone() }).unwrap_err();
    assert_eq!(
        error.hint.as_deref(),
        Some("add the line user:100000:65536 to /etc/subuid, or leave --userns auto out")
    );
    let no_root =
        Mapping::Explicit { uids: vec![IdMap { container_id: 1, host_id: 1, size: 1 }], gids: Vec::new() };
    assert!(Plan::new(&Spec { mapping: no_root, ..no_limits }, &host).is_err());
}

#[test]
fn no_id_inside_is_mapped_twice_or_beyond_the_last() {
    let (few, all) = (SubRange { start: 5000, size: 9 }, SubRange { start: 0, size: u32::MAX });
    let everything = "0 0 4294967295";
    for (uid, gid, mapping, ranges, want) in [
        (1000, 1000, Mapping::Subordinate, vec![few, few], ["0 1000 1, 1 5000 9, 10 5000 9"; 2]),
        (1000, 1000, Mapping::Subordinate, vec![all, few], ["0 1000 1, 1 0 4294967294"; 2]),
        (0, 0, Mapping::Subordinate, vec![all, few], [everything; 2]),
        (3, 0, Mapping::KeepId, vec![few], ["3 3 1, 0 5000 3, 4 5003 6", "0 0 1, 1 5000 9"]),
        (8, 9, Mapping::KeepId, vec![few], ["8 8 1, 0 5000 8, 9 5008 1", "9 9 1, 0 5000 9"]),
        (8, 8, Mapping::KeepId, vec![all, few], ["8 8 1, 0 0 8, 9 8 4294967286"; 2]),
    ] {
        let host = Host { uid, gid, subuids: ranges.clone(), subgids: ranges, ..Host::default() };
        let spec = Spec { mapping, process: Process { user: None, ..full().process }, ..Spec::default() };
        let plan = Plan::new(&spec, &host).unwrap().to_string();
        let helper = if uid == 0 { "" } else { " by its helper" };
        for (file, want) in ["uid_map", "gid_map"].iter().zip(want) {
            assert!(plan.contains(&format!("write {file} {want}{helper}\n")), "{plan}");
        }
    }
}

#[test]
fn the_small_environment_takes_nothing_from_the_caller_but_what_is_named() {
    let env = ["SECRET=1", "TERM=vt100", "LANG=C"].map(OsStr::new).to_vec();
    let host = Host { env, ..rootful() };
    let mut spec = full();
    spec.process.env = vec![
        EnvChange::Copy("LANG".as_ref()),
        EnvChange::Set("PATH=/x=y".as_ref()),
        EnvChange::Copy("NO".as_ref()),
    ];
    let planner = Planner { spec: &spec, host: &host };
    let want = ["HOME=/", "container=launcher", "HOSTNAME=web", "TERM=vt100", "LANG=C", "PATH=/x=y"];
    assert_eq!(planner.environment(), want);
    spec.namespaces.set(Kind::Uts, Placement::Host);
    let planner = Planner { spec: &spec, host: &host };
    assert!(!planner.environment().contains(&OsStr::new("HOSTNAME=web")), "the host has its own name");
    spec.process.env_host = true;
    let planner = Planner { spec: &spec, host: &host };
    assert_eq!(planner.environment(), ["SECRET=1", "TERM=vt100", "HOME=/", "LANG=C", "PATH=/x=y"]);
}

#[test]
fn steps_are_numbered_as_they_are_printed() {
    let plan = Plan::new(&full(), &rootful()).unwrap();
    assert_eq!(plan.describe(plan.host.len() + 1), Some(plan.clone_line()));
    assert_eq!(plan.describe(plan.first_child_step()), Some(plan.child[0].to_string()));
    assert_eq!(plan.describe(plan.first_last_step()), Some(plan.entrypoint[0].to_string()));
    let last = plan.lines().len();
    assert_eq!(plan.describe(last).as_deref(), Some("execute app"));
    assert_eq!((plan.describe(0), plan.describe(last + 1)), (None, None));
}

#[test]
fn ids_without_a_user_namespace_need_the_right_to_change_them() {
    let mut spec =
        Spec { process: Process { args: vec!["app".as_ref()], ..Process::default() }, ..Spec::default() };
    let ordinary = Host { uid: 1000, permitted: 0, ..Host::default() };
    assert!(Plan::new(&spec, &ordinary).is_ok());
    spec.namespaces.set(Kind::User, Placement::Host);
    let error = Plan::new(&spec, &ordinary).unwrap_err();
    assert!(error.doing.contains("capability setgid"), "{error}");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("--userns new")));
}

#[test]
fn a_terminal_is_opened_where_it_is_ours_and_while_its_owner_can_be_changed() {
    let mut spec = full();
    spec.process.console.is_own = true;
    let order = ["fill /dev", "mount devpts", "open a terminal, show it as /dev/console", "pivot_root"];
    assert_order(&lines(&spec, &rootful()), &order);
    let spec = Spec { rootfs: None, read_only: false, ..spec };
    let order = ["mount proc on /proc", "open a terminal of the host's", "drop all capabilities"];
    assert_order(&lines(&spec, &rootful()), &order);
    assert!(Plan::new(&spec, &rootful()).unwrap().console.is_own);
}
