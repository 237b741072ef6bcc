//! What holds for every input of a parser, beside that it does not panic. The fuzz targets call these with what they
//! make up, `cargo test` with the files of corpus/.
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "these are tests")]

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use crate::cli::board::{self, Said};
use crate::cli::{self, Command, signals};
use crate::error::Error;
use crate::host::{self, Host, Version};
use crate::launch::parent_step::ParentStep;
use crate::launch::plan::Plan;
use crate::launch::sync;
use crate::primitives::seccomp::docker::{self, Facts};
use crate::primitives::{cgroup, interpreter};
use crate::spec::board::Board;
use crate::spec::caps::CapSet;
use crate::spec::idmap::{IdMap, Mapping};
use crate::spec::mount::{Flags, Mount, Source};
use crate::spec::namespaces::{Kind, Placement};
use crate::spec::process::Process;
use crate::spec::user::{Identity, Principal};
use crate::spec::{
    Spec, devices, idmap, mount_grammar, namespaces, process, resources, size, sysctl, user, validate,
};
use crate::sys::mount;

/// A check of one input.
type Check = fn(&[u8]);

/// Every check, under the name of its target and of its folder of corpus/.
pub(crate) const ALL: [(&str, Check); 11] = [
    ("options", options),
    ("values", values),
    ("idmap", idmaps),
    ("passwd", passwd),
    ("mounts", mounts),
    ("seccomp", profiles),
    ("mountinfo", mountinfo),
    ("cgroup", cgroups),
    ("interpreter", interpreters),
    ("sync", messages),
    ("cmdline", command_lines),
];

/// Text as `sys::file` reads it: what is not UTF-8 is replaced.
fn lossy(data: &[u8]) -> String {
    String::from_utf8_lossy(data).into_owned()
}

/// The two halves of an input, around its first NUL.
fn halves(data: &[u8]) -> (String, String) {
    let mut parts = data.splitn(2, |byte| *byte == 0).map(lossy);
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default())
}

/// The kernel's command line and the file beside it: whatever stands there is a command, or an error that says why.
fn command_lines(data: &[u8]) {
    let (file, line) = halves(data);
    let mut said = Said::default();
    said.read_file(&file);
    said.read_command_line(&line);
    let (options, program) = (said.options.len(), said.program.len());
    let words = said.words();
    assert_eq!(words.len(), options + program + usize::from(program > 0));
    let is_option = |word: &&OsStr| word.as_bytes().starts_with(b"--") && word.len() > 2;
    assert!(words[..options].iter().all(is_option), "none of them begins the program");
    let unquoted = line.replace('"', "");
    assert!(board::boot_word(&line).is_none() || unquoted.contains("launcher.boot"));
    assert!(board::are_the_kernels(&[], &line));
    let mut board = Board::DEFAULT;
    match board::parse(words, &mut board) {
        Ok(words) => {
            let again = cli::parse(words, &[]);
            assert!(
                matches!(again, Ok(Command::Run(_) | Command::Init(_))),
                "what was checked is understood again"
            );
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Words as execve(2) hands them over: none has a NUL in it.
fn words(data: &[u8]) -> Vec<&'static OsStr> {
    let words = data.split(|byte| *byte == 0).map(|word| &*OsStr::from_bytes(word).to_owned().leak());
    if data.is_empty() { Vec::new() } else { words.collect() }
}

/// A command line, and after a byte of 1 an environment; the words of both end at NULs.
fn options(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 1);
    let args = words(parts.next().unwrap_or_default());
    let env = words(parts.next().unwrap_or_default());
    let parsed = cli::parse(args.clone(), &env);
    match &parsed {
        Err(error) => is_a_refusal(error),
        Ok(Command::Init(command)) => {
            is_a_tail(&command.process.args, &args);
            is_a_process(&command.process);
            let signals = [command.death_signal, command.options.end_orphans];
            assert!(signals.iter().flatten().all(|signal| (1..=64).contains(signal)), "{signals:?}");
            for signal in 1..=64 {
                assert!((0..=64).contains(&command.options.sent_for(signal)), "{signal}");
            }
        }
        Ok(Command::Run(command)) => {
            is_a_tail(&command.spec.process.args, &args);
            assert!(!command.spec.process.args.is_empty(), "run has a program");
            is_a_spec(&command.spec);
            // The word may be left out, and nothing else follows from that.
            if args.get(1).is_some_and(|word| *word != "run") {
                let mut with_word = args;
                with_word.insert(1, "run".as_ref());
                assert_eq!(cli::parse(with_word, &env), parsed, "the same after run");
            }
        }
        Ok(Command::Delete(command)) => assert!(validate::is_valid_name(command.name), "{}", command.name),
        #[cfg(feature = "board")]
        Ok(Command::BuildInitramfs(command)) => assert!(command.lines.ends_with(b"\n")),
        Ok(Command::Help(_) | Command::Version(_) | Command::License | Command::Doctor(_)) => {}
    }
}

/// A failure that says what is wrong, with a status by which it is known.
fn is_a_refusal(error: &Error) {
    assert!(!error.doing.is_empty() && error.errno.is_none(), "{error}");
    assert!(matches!(error.status, 1 | 125), "{error}: {}", error.status);
}

/// The program's own words are the last ones, and all of them.
fn is_a_tail(program: &[&'static OsStr], args: &[&'static OsStr]) {
    assert!(args.ends_with(program), "{program:?} of {args:?}");
}

/// What the kernel is told about a process is in its range.
fn is_a_process(process: &Process) {
    assert!(process.rlimits.iter().all(|limit| limit.soft <= limit.hard && limit.resource < 16));
    assert!(process.umask.is_none_or(|mask| mask <= 0o777));
}

/// A spec from the command line is without fault, its names are names, and it can be planned or is refused.
fn is_a_spec(spec: &Spec) {
    assert_eq!(validate::validate(spec), Vec::<String>::new());
    is_a_process(&spec.process);
    assert!(spec.name.is_none_or(is_a_name) && spec.hostname.is_none_or(is_a_name));
    assert!(spec.resources.raw.iter().all(|(file, _)| is_a_name(file)), "{:?}", spec.resources.raw);
    assert!(spec.resources.parent.is_none_or(|parent| parent.is_absolute() && stays(parent)));
    if let Mapping::Explicit { uids, gids } = &spec.mapping {
        uids.iter().chain(gids).for_each(is_a_map);
    }
    spec.mounts.iter().for_each(is_a_mount);
    let depths: Vec<_> = spec.mounts.iter().map(|mount| mount.target.matches('/').count()).collect();
    assert!(depths.is_sorted(), "parents before children: {depths:?}");
    assert!(spec.sysctls.iter().all(|sysctl| sysctl.path.split('/').all(is_a_name)));
    assert!(spec.oom_score_adj.is_none_or(|score| (-1000..=1000).contains(&score)));
    for uid in [0, 1000] {
        let host = Host { uid, gid: uid, pid: 7, cwd: "/".into(), ..Host::default() };
        if let Ok(plan) = Plan::new(spec, &host) {
            let lines = plan.to_string().lines().count();
            assert!(lines >= plan.lines().len() && plan.describe(plan.lines().len()).is_some(), "{plan}");
        }
    }
}

/// Something that can be a file and is not another folder.
fn is_a_name(name: &str) -> bool {
    !name.is_empty() && name != "." && name != ".." && !name.contains(['/', '\0'])
}

/// No part of the path leads up.
fn stays(path: &Path) -> bool {
    path.components().all(|part| part != Component::ParentDir)
}

/// A line that the kernel takes: map_write() in kernel/user_namespace.c, for both sides.
fn is_a_map(map: &IdMap) {
    let fits = |first: u32| first.checked_add(map.size).is_some();
    assert!(map.size > 0 && fits(map.container_id) && fits(map.host_id), "{map}");
    let last = map.size - 1;
    assert_eq!(idmap::to_host(&[*map], map.container_id + last), Some(map.host_id + last));
    assert_eq!(idmap::to_host(&[*map], map.container_id + map.size), None);
}

/// Ids of /etc/subuid, and after a NUL maps as the user writes them, one a line.
fn idmaps(data: &[u8]) {
    let (file, maps) = halves(data);
    for text in maps.lines() {
        if let Ok(map) = idmap::parse(text) {
            is_a_map(&map);
            assert_eq!(idmap::parse(&map.to_string().replace(' ', ":")), Ok(map));
        }
    }
    for (uid, gid, mapping) in [
        (0, 0, Mapping::Subordinate),
        (1000, 100, Mapping::Subordinate),
        (1000, 0, Mapping::KeepId),
        (1, 70_000, Mapping::KeepId),
    ] {
        let ranges = host::parse_subids(&file, "user", uid);
        let host = Host { uid, gid, subuids: ranges.clone(), subgids: ranges, ..Host::default() };
        let process = Process { args: vec!["true".as_ref()], ..Process::default() };
        let spec = Spec { mapping, process, ..Spec::default() };
        for step in Plan::new(&spec, &host).map(|plan| plan.map.clone()).unwrap_or_default() {
            if let ParentStep::WriteMap { maps, .. } = step {
                let mut maps = maps.to_vec();
                maps.iter().for_each(is_a_map);
                maps.sort_by_key(|map| map.container_id);
                let overlap = |two: &[IdMap]| idmap::to_host(&two[..1], two[1].container_id).is_some();
                assert!(!maps.windows(2).any(overlap), "{maps:?}");
            }
        }
    }
}

/// What single options take: every parser of a value gets the text.
fn values(data: &[u8]) {
    let text = &*lossy(data);
    if let Some(signal) = signals::parse(text) {
        assert!((1..=64).contains(&signal), "{signal}");
        assert_eq!(signals::parse(&signal.to_string()), Some(signal));
        assert_eq!(signals::parse(&text.to_ascii_lowercase()), Some(signal));
    }
    if let Some(bytes) = size::parse_bytes(text) {
        assert_eq!(size::parse_bytes(&bytes.to_string()), Some(bytes));
        assert_eq!(size::parse_bytes(&format!("{bytes}B")), Some(bytes));
    }
    if let Some(value) = size::parse_thousandths(text) {
        let fraction = format!("{}.{:03}", value / 1000, value % 1000);
        assert_eq!(size::parse_thousandths(&fraction), Some(value), "{fraction}");
    }
    if let Some(set) = CapSet::parse(text) {
        assert!(set == CapSet::ALL || set.0.is_power_of_two(), "{set}");
        assert_eq!(CapSet::parse(&set.to_string()), Some(set));
    }
    let (mut rules, mut again) = (Vec::new(), Vec::new());
    if devices::parse(text, &mut rules).is_some() {
        assert!(!rules.is_empty(), "{text}");
        for rule in &rules {
            assert!(rule.access != 0 && rule.access & !devices::ALL == 0, "{rule}");
            devices::parse(&rule.to_string(), &mut again).expect("a rule");
        }
        assert_eq!(rules, again);
    }
    if let Ok(user) = user::parse_user(text) {
        assert_eq!(user::parse_user(&user.to_string()), Ok(user));
    }
    if let Ok(sysctl) = sysctl::parse(text) {
        assert!(sysctl.path.split('/').all(is_a_name), "{}", sysctl.path);
        assert!(matches!(sysctl.kind, Kind::Network | Kind::Ipc | Kind::User), "{}", sysctl.path);
        assert_eq!(sysctl::parse(&format!("{}={}", sysctl.path, sysctl.value)), Ok(sysctl));
    }
    if let Ok(mask) = process::parse_umask(text) {
        assert_eq!(process::parse_umask(&format!("{mask:o}")), Ok(mask));
    }
    if let Ok(limit) = process::parse_rlimit(text) {
        is_a_process(&Process { rlimits: vec![limit], ..Process::default() });
        let again = format!("{}={}:{}", limit.name, limit.soft, limit.hard);
        assert_eq!(process::parse_rlimit(&again), Ok(limit));
    }
    for kind in Kind::ALL {
        if let Ok(Placement::Join(path)) = namespaces::parse_placement(kind, text) {
            assert!(path.is_absolute(), "{}", path.display());
        }
    }
    if let Ok(offsets) = namespaces::parse_offsets(text) {
        let clocks = [("boottime", offsets.boottime), ("monotonic", offsets.monotonic)];
        let again: Vec<_> =
            clocks.iter().filter_map(|(clock, by)| by.map(|by| format!("{clock}={by}"))).collect();
        assert_eq!(namespaces::parse_offsets(&again.join(",")), Ok(offsets));
    }
    if let Ok((file, value)) = resources::parse_raw(text) {
        assert!(is_a_name(file) && file.contains('.') && !file.starts_with("cgroup."), "{file}");
        assert_eq!(format!("{file}={value}"), text);
    }
    assert!(!validate::is_valid_name(text) || is_a_name(text), "{text}");
}

/// Mounts in every grammar; what the short ones say can be said in the long one, and is the same.
fn mounts(data: &[u8]) {
    let text = &*lossy(data.split(|byte| *byte == 0).next().unwrap_or_default());
    let [volume, tmpfs] = ["bind", "tmpfs"].map(|kind| mount_grammar::parse_short(kind, text));
    let device = mount_grammar::parse_short("device", text);
    let [file, link] = [Source::Text, Source::Link].map(|make| mount_grammar::parse_content(text, make));
    [&volume, &tmpfs, &device, &file, &link, &mount_grammar::parse_mount(text)]
        .into_iter()
        .flatten()
        .for_each(is_a_mount);
    // A comma in a path, and a quote anywhere, has no meaning there and one here.
    let is_plain = |path: &str| !path.contains(',') && !text.contains('"');
    let long = |start: String, options: Option<&str>| {
        mount_grammar::parse_mount(&options.map_or(start.clone(), |options| format!("{start},{options}")))
    };
    let (first, rest) = text.split_once(':').map_or((text, None), |(first, rest)| (first, Some(rest)));
    if let (Ok(tmpfs), true) = (tmpfs, is_plain(first)) {
        assert_eq!(long(format!("type=tmpfs,target={first}"), rest), Ok(tmpfs));
    }
    let rest = rest.unwrap_or_default();
    let (second, third) = rest.split_once(':').map_or((rest, None), |(second, third)| (second, Some(third)));
    if let (Ok(volume), true) = (volume, is_plain(first) && is_plain(second)) {
        assert_eq!(long(format!("type=bind,source={first},target={second}"), third), Ok(volume));
    }
}

/// A mount on a place inside and not on all of it, with flags that do not contradict each other.
fn is_a_mount(mount: &Mount) {
    let inside = mount.target.strip_prefix('/').expect("absolute");
    assert!(inside.split('/').all(is_a_name), "{mount}");
    assert!(!mount.flags.has(Flags::DEV.with(Flags::NODEV)), "{mount}");
    let kinds = (17..21).filter(|bit| mount.flags.has(Flags(1 << bit))).count();
    assert!(kinds <= 1, "{mount}");
    // An empty path would be taken for the current directory.
    assert!(mount.host_paths().iter().all(|path| !path.as_os_str().is_empty()), "{mount}");
    if let Source::Overlay(layers) = &mount.source {
        assert!(layers.lower_count() > 0 && layers.paths.len() > 1, "{mount}");
    }
}

/// passwd(5), and after a NUL group(5): numbers in range, and those of the entry that is asked for.
fn passwd(data: &[u8]) {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let (users, groups) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    for text in ["user", "root:staff", "1000", "7:8", "1000:staff"] {
        let wanted = user::parse_user(text).expect("a user");
        for added in [&[][..], &[Principal::Id(7), Principal::Name("staff")]] {
            let Ok(found) = user::identify(&wanted, added, users, groups) else { continue };
            is_an_identity(&found);
            match wanted.user {
                Principal::Id(uid) => assert_eq!(found.uid, uid, "a number is no name"),
                Principal::Name(_) => assert!(lossy(users).contains(&found.uid.to_string()), "{found:?}"),
            }
            assert!(added.is_empty() || found.groups.contains(&7), "{found:?}");
        }
    }
    let text = lossy(users);
    for uid in [0, 1000] {
        let name = host::user_name(uid, &text);
        assert!(!name.contains([':', '\n']), "{name}");
        let has_line = |line: &str| {
            line.starts_with(&format!("{name}:")) && line.split(':').nth(2) == Some(&uid.to_string())
        };
        assert!(name == uid.to_string() || text.lines().any(has_line), "{name}");
    }
}

/// What the kernel takes, and what becomes of HOME.
fn is_an_identity(found: &Identity) {
    assert!(found.uid < u32::MAX && found.groups.iter().all(|gid| *gid < u32::MAX), "{found:?}");
    assert_eq!(found.groups.first(), Some(&found.gid));
    assert!(found.groups.iter().all(|gid| found.groups.iter().filter(|other| *other == gid).count() == 1));
    assert!(found.home.as_ref().is_none_or(|home| home.to_bytes().starts_with(b"HOME=/")), "{found:?}");
}

/// The mounts, and after a NUL our place in the cgroups: nothing points out of the hierarchy that it belongs to.
fn mountinfo(data: &[u8]) {
    let (mounts, own) = halves(data);
    let found = host::parse_hierarchies(&mounts, &own);
    for hierarchy in &found {
        let below = hierarchy.own.strip_prefix(hierarchy.mountpoint);
        assert!(below.is_ok_and(stays), "{} in {}", hierarchy.own.display(), hierarchy.mountpoint.display());
        assert_eq!(hierarchy.controllers.is_empty(), hierarchy.version == Version::V2);
        let same = found.iter().filter(|other| other.controllers == hierarchy.controllers);
        assert_eq!(same.count(), 1, "{:?}", hierarchy.controllers);
    }
    let folder = Path::new("/a");
    for point in mount::parse_points(&mounts, folder) {
        let inside = point.as_os_str().as_bytes().strip_prefix(b"/a/");
        assert!(inside.is_some_and(|rest| !rest.is_empty()), "{}", point.display());
    }
    // As the kernel writes it.
    let codes = [("\\", "\\134"), (" ", "\\040"), ("\t", "\\011"), ("\n", "\\012")];
    let escaped = codes.iter().fold(mounts.clone(), |text, (plain, code)| text.replace(plain, code));
    assert_eq!(mount::unescape(&escaped), mounts);
}

/// Files of a cgroup: processes are signalled by what they say, so no number may mean more than one.
fn cgroups(data: &[u8]) {
    let text = lossy(data);
    let pids = cgroup::parse_processes(&text);
    assert!(pids.iter().all(|pid| *pid > 0) && pids.len() <= text.lines().count());
    if let Some(count) = cgroup::parse_oom_kills(&text) {
        assert_eq!(cgroup::parse_oom_kills(&format!("oom_kill {count}\n")), Some(count));
    }
}

/// The first bytes of a program: what is told of them is a part of them.
fn interpreters(data: &[u8]) {
    let head = data.get(..4096).unwrap_or(data);
    if let Some(name) = interpreter::asked_by(head) {
        assert!(!head.starts_with(b"#!") || !name.contains([' ', '\t', '\n']), "{name}");
        assert!(head.starts_with(b"#!") || !name.contains('\0'), "{name}");
        // A byte that is no text becomes three; a script with CRLF is told by two more letters.
        assert!(name.len() <= head.len() * 3 + 2, "{}", name.len());
    }
}

/// A profile in docker's format, for containers and kernels that differ: whatever it says, the program is one that the
/// kernel takes, if it is not too long.
fn profiles(data: &[u8]) {
    for facts in
        [Facts { bounding: 0, kernel: 3 << 16 | 8 }, Facts { bounding: u64::MAX, kernel: 6 << 16 | 8 }]
    {
        match docker::read(&lossy(data), facts) {
            Ok((program, flags)) => {
                assert!(flags & !6 == 0, "LOG and SPEC_ALLOW: {flags:#x}");
                is_a_program(&program);
            }
            Err(error) => assert!(error.doing.starts_with("line "), "{error}"),
        }
    }
}

/// What bpf_check_classic() and seccomp_check_filter() of the kernel look at: instructions that there are, loads of whole
/// words of `struct seccomp_data`, jumps that stay inside, an answer at the end.
fn is_a_program(program: &[u64]) {
    for (at, word) in program.iter().enumerate() {
        let [code_low, code_high, yes, no, operand @ ..] = word.to_le_bytes();
        let operand = usize::try_from(u32::from_le_bytes(operand)).expect("32 bits");
        let left = program.len() - at - 1;
        let is_good = match u16::from_le_bytes([code_low, code_high]) {
            0x06 | 0x54 => left > 0 || code_low == 0x06,
            0x20 => operand < 64 && operand.is_multiple_of(4) && left > 0,
            0x05 => operand < left,
            0x15 | 0x25 | 0x35 => usize::from(yes.max(no)) < left,
            _ => false,
        };
        assert!(is_good, "instruction {at} of {}: {word:#018x}", program.len());
    }
    assert!(program.last().is_some_and(|word| word & 0xffff == 0x06), "an answer at the end");
}

/// Messages of the child: what is understood survives another journey.
fn messages(data: &[u8]) {
    let Some(first) = sync::decode(data) else { return };
    let again = sync::decode(&sync::encode(&first));
    assert!(again.is_some(), "{first:?}");
    // Longer text is cut, a letter perhaps with it; a number that is no errno of ours is not told twice.
    if let (Some(again), true) = (again, data.len() < 200) {
        assert_eq!(sync::decode(&sync::encode(&again)), Some(again));
    }
}
