//! Races: somebody exchanges a folder and a link while containers start. LAUNCHER_RACE_STARTS says how many times each
//! [60]; 2000 is the long form.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::common::{
    DEADLINE, Rootfs, Running, Temp, children_of, launcher, launcher_path, mountinfo, run, snapshot,
};
use crate::require;

/// How many containers are started.
fn starts() -> u32 {
    std::env::var("LAUNCHER_RACE_STARTS").ok().and_then(|text| text.parse().ok()).unwrap_or(60)
}

/// A thread that exchanges two names until it is dropped.
struct Exchange {
    stop: Arc<AtomicBool>,
    count: Arc<AtomicU64>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Exchange {
    #[allow(clippy::disallowed_methods, reason = "the test may have threads, launcher may not")]
    fn start(one: PathBuf, other: PathBuf) -> Self {
        let (stop, count) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, counter) = (Arc::clone(&stop), Arc::clone(&count));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                exchange(&one, &other);
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        Self { stop, count, thread: Some(thread) }
    }

    /// Ends it, and makes sure that it has done something meanwhile.
    fn finish(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
        let count = self.count.load(Ordering::Relaxed);
        assert!(count > u64::from(starts()), "{count} exchanges are no race");
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// renameat2(2) with RENAME_EXCHANGE.
fn exchange(one: &Path, other: &Path) {
    let flags = nix::fcntl::RenameFlags::RENAME_EXCHANGE;
    nix::fcntl::renameat2(nix::fcntl::AT_FDCWD, one, nix::fcntl::AT_FDCWD, other, flags).unwrap();
}

/// Both outcomes have to be seen, or nobody raced.
#[track_caller]
fn assert_both(name: &str, [one, other]: [u32; 2]) {
    eprintln!("{name}: {one} of one kind, {other} of the other");
    assert!(one > 0 && other > 0, "{name}: {one} and {other}");
}

/// Whether a race is to go on: as often as is asked for, and ten times as often where one of the outcomes is still missing.
fn goes_on(seen: [u32; 2]) -> bool {
    let limit = if seen.contains(&0) { starts().saturating_mul(10) } else { starts() };
    seen.iter().sum::<u32>() < limit
}

/// A folder outside with a file in it.
fn outside() -> Temp {
    let temp = Temp::new();
    fs::write(temp.0.join("file"), "untouched").unwrap();
    temp
}

#[test]
fn cve_2021_30465_a_place_that_changes_while_it_is_mounted_on() {
    require!(root, busybox);
    let (rootfs, volume, outside) = (Rootfs::new(), Temp::new(), outside());
    let (untouched, before) = (snapshot(&outside.0), mountinfo());
    fs::create_dir(volume.0.join("place")).unwrap();
    symlink(&outside.0, volume.0.join("link")).unwrap();
    let show = format!("{}:/vol", volume.0.display());
    let racer = Exchange::start(volume.0.join("place"), volume.0.join("link"));
    let mut seen = [0, 0];
    for _ in 0..starts() {
        // Nobody has mounts of 68 KiB but us: one that is not seen inside is outside.
        let words = ["--rootfs", rootfs.arg(), "-v", &show, "--tmpfs", "/vol/place:size=68k", "--"];
        let script = "grep size=68k /proc/self/mountinfo | cut -d ' ' -f 5";
        let finished = run(launcher(words).args(["sh", "-c", script])).expect(0);
        let place = finished.out.trim();
        // Where the link leads inside: a folder of the rootfs, made for it; else the volume's own.
        let (is_linked, is_direct) =
            (place == outside.0.to_str().unwrap(), ["/vol/place", "/vol/link"].contains(&place));
        assert!(is_linked || is_direct, "{finished:?}");
        seen[usize::from(is_linked)] += 1;
        assert_eq!(snapshot(&outside.0), untouched);
    }
    racer.finish();
    assert_eq!(mountinfo(), before);
    assert_both("place", seen);
}

#[test]
fn cve_2024_45310_a_parent_that_changes_while_a_place_is_made_below() {
    require!(root, busybox);
    let (rootfs, volume, outside) = (Rootfs::new(), Temp::new(), outside());
    let (untouched, before) = (snapshot(&outside.0), mountinfo());
    let folder = volume.0.join("parent");
    fs::create_dir(&folder).unwrap();
    symlink(&outside.0, volume.0.join("link")).unwrap();
    let show = format!("{}:/vol", volume.0.display());
    let racer = Exchange::start(folder.clone(), volume.0.join("link"));
    let mut seen = [0, 0];
    for number in 0..starts() {
        let name = format!("/vol/parent/{number}");
        let (tmpfs, file) = (format!("{name}/a/b"), format!("/etc/passwd:{name}-file"));
        let words = [
            "--rootfs",
            rootfs.arg(),
            "-v",
            &show,
            "--tmpfs",
            &tmpfs,
            "-v",
            &file,
            "--",
            "/bin/busybox",
            "true",
        ];
        run(&mut launcher(words)).expect(0);
        assert_eq!(snapshot(&outside.0), untouched);
        let inner = rootfs.path().join(outside.0.strip_prefix("/").unwrap());
        let is_linked = inner.join(format!("{number}/a/b")).exists();
        seen[usize::from(is_linked)] += 1;
    }
    racer.finish();
    assert_eq!(mountinfo(), before);
    assert_both("parent", seen);
}

#[test]
fn cve_2024_42472_a_source_that_changes_after_it_was_looked_at() {
    require!(root, busybox);
    let (rootfs, sources, outside) = (Rootfs::new(), Temp::new(), outside());
    // What is asked for is a device; a file would be shown to who was allowed a device.
    symlink("/dev/zero", sources.0.join("device")).unwrap();
    symlink(outside.0.join("file"), sources.0.join("other")).unwrap();
    let device = format!("{}/device:/dev/given", sources.0.display());
    let racer = Exchange::start(sources.0.join("device"), sources.0.join("other"));
    let mut seen = [0, 0];
    for _ in 0..starts() {
        let words = [
            "--rootfs",
            rootfs.arg(),
            "--device",
            &device,
            "--",
            "busybox",
            "stat",
            "-c",
            "%F %t:%T",
            "/dev/given",
        ];
        let finished = run(&mut launcher(words));
        let is_given = finished.status == 0;
        if is_given {
            assert_eq!(finished.out, "character special file 1:5\n");
        } else {
            assert!(finished.status == 125 && finished.err.contains("(ENODEV)"), "{finished:?}");
        }
        seen[usize::from(is_given)] += 1;
    }
    racer.finish();
    assert_both("device", seen);
}

#[test]
fn a_rootfs_that_changes_while_it_is_set_up() {
    require!(root, busybox);
    // umoci's GHSA-9m95-8hx6-7p9v: of two folders one is taken, once, and nothing is done in the other.
    let (here, there, names, given) = (Rootfs::new(), Rootfs::new(), Temp::new(), outside());
    for (rootfs, mark) in [(&here, "here"), (&there, "there")] {
        fs::write(rootfs.path().join("etc/mark"), mark).unwrap();
    }
    let rootfs = names.0.join("rootfs");
    fs::rename(here.path(), &rootfs).unwrap();
    symlink(there.path(), names.0.join("link")).unwrap();
    let racer = Exchange::start(rootfs.clone(), names.0.join("link"));
    let mut seen = [0, 0];
    for number in 0..starts() {
        let volume = format!("{}/file:/srv/{number}", given.0.display());
        let tmpfs = format!("/srv/{number}-folder");
        let words = ["--rootfs", rootfs.to_str().unwrap(), "-v", &volume, "--tmpfs", &tmpfs, "--"];
        let script = format!("cat /etc/mark; cat /srv/{number}; [ -c /dev/null ] && cat /proc/1/comm");
        let finished = run(launcher(words).args(["busybox", "sh", "-c", &script])).expect(0);
        let is_there = finished.out.starts_with("there");
        assert_eq!(
            finished.out.strip_prefix(if is_there { "there" } else { "here" }),
            Some("untouchedlauncher:init\n")
        );
        for name in [number.to_string(), format!("{number}-folder")] {
            assert_eq!(there.path().join("srv").join(name).exists(), is_there, "{number}");
        }
        seen[usize::from(is_there)] += 1;
    }
    racer.finish();
    assert_both("rootfs", seen);
}

#[test]
fn cve_2025_31133_a_null_device_that_changes_while_masks_are_made_of_it() {
    require!(root, busybox);
    // The volume is /dev inside: now with a device of its own, now with a file that would be shown instead of a mask.
    let (rootfs, volume, outside) = (Rootfs::new(), Temp::new(), outside());
    fs::hard_link(outside.0.join("file"), volume.0.join("other")).unwrap();
    run(Command::new("mknod").arg(volume.0.join("null")).args(["-m", "666", "c", "1", "3"])).expect(0);
    let untouched = fs::read_to_string(outside.0.join("file")).unwrap();
    let show = format!("{}:/dev:dev", volume.0.display());
    let racer = Exchange::start(volume.0.join("null"), volume.0.join("other"));
    let mut seen = [0, 0];
    while goes_on(seen) {
        let words = ["--rootfs", rootfs.arg(), "-v", &show, "--", "sh", "-c"];
        let script = "stat -c %F:%t:%T /proc/timer_list /proc/keys; cat /proc/timer_list; [ -c /dev/null ] && echo device";
        let finished = run(launcher(words).arg(script));
        let mask = "character special file:1:3\n";
        let rest =
            finished.out.strip_prefix(&format!("{mask}{mask}")).unwrap_or_else(|| panic!("{finished:?}"));
        assert!(["", "device\n"].contains(&rest), "{finished:?}");
        seen[usize::from(rest.is_empty())] += 1;
        assert_eq!(fs::read_to_string(outside.0.join("file")).unwrap(), untouched);
    }
    racer.finish();
    assert_both("null", seen);
}

#[test]
fn cve_2025_52881_a_parameter_whose_place_is_covered_while_it_is_written() {
    require!(root, busybox);
    let (rootfs, fake) = (Rootfs::new(), Temp::new());
    fs::create_dir(fake.0.join("ipv4")).unwrap();
    let file = fake.0.join("ipv4/ip_forward");
    fs::write(&file, "untouched").unwrap();
    // The container that is joined covers the folder and uncovers it, for ever.
    let script = "echo ready; while mount --bind /srv /proc/sys/net; do umount /proc/sys/net; done";
    let volume = format!("{}:/srv", fake.0.display());
    let words =
        ["--rootfs", rootfs.arg(), "--privileged", "-v", &volume, "--", "busybox", "sh", "-c", script];
    let mut running = Running::start(&mut launcher(words));
    running.wait_for("ready");
    let container = format!("container:{}", children_of(running.child.id())[0]);
    let mut seen = [0, 0];
    while goes_on(seen) {
        let words =
            ["--mntns", &container, "--sysctl", "net.ipv4.ip_forward=1", "--", "/bin/busybox", "true"];
        let finished = run(&mut launcher(words));
        let is_refused = finished.status == 125;
        // EXDEV: it is covered; ENOENT: the folder was covered, and not the file any more.
        assert!(
            finished.status == 0 || finished.err.contains("write in /proc/sys: net/ipv4/ip_forward=1"),
            "{finished:?}"
        );
        assert!([0, 125].contains(&finished.status), "{finished:?}");
        seen[usize::from(is_refused)] += 1;
        assert_eq!(fs::read_to_string(&file).unwrap(), "untouched");
    }
    assert_both("parameter", seen);
}

/// Mounts and unmounts in a folder of its own that everybody sees, and meanwhile starts containers there; says what is left.
const STORM: &str = "mount --bind \"$PLACE\" \"$PLACE\" && mount --make-rshared \"$PLACE\" && cd \"$PLACE\" || exit 9
    before=$(cat /proc/self/mountinfo); >go
    { count=0; while [ -e go ]; do
        for at in a b c d e f g h; do mount -t tmpfs x $at || exit 9; done; umount a b c d e f g h; count=$((count+8)); done
      echo $count >count; } &
    for number in $(seq $STARTS); do
        \"$LAUNCHER\" --rootfs rootfs --tmpfs /srv:size=68k -v \"$PLACE\":/mnt:rslave $([ $((number%2)) = 0 ] && echo --ephemeral) -- /bin/busybox true || echo failed
    done
    rm go; wait; [ \"$before\" = \"$(cat /proc/self/mountinfo)\" ] && echo same || cat /proc/self/mountinfo; cat count";

#[test]
fn mounts_of_others_come_and_go_and_none_of_ours_stays() {
    require!(root, busybox, unshare);
    // runc's issue 2404: mounts that were missed in a list that changed while it was read.
    let place = Temp::new();
    for name in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        fs::create_dir(place.0.join(name)).unwrap();
    }
    let rootfs = Rootfs::new();
    fs::create_dir(rootfs.path().join("mnt")).unwrap();
    fs::rename(rootfs.path(), place.0.join("rootfs")).unwrap();
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c", STORM]);
    command.env("PLACE", &place.0).env("LAUNCHER", launcher_path()).env("STARTS", starts().to_string());
    let out = Running::start_for(&mut command, DEADLINE * 10).finish().expect(0).out;
    let (result, count) = out.split_once('\n').unwrap();
    assert_eq!(result, "same", "{out}");
    assert!(count.trim().parse::<u32>().unwrap() >= starts(), "{count} mounts are no storm");
}
