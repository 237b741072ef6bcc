//! Containers that are joined: whoever is in them has prepared what the one who joins finds.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use crate::common::{Rootfs, Running, Temp, children_of, launcher, run};
use crate::{launcher_of, require};

/// A file of root's that nobody else may write, in a folder.
fn secret() -> Temp {
    let temp = Temp::new();
    fs::write(temp.0.join("file"), "untouched").unwrap();
    fs::set_permissions(temp.0.join("file"), fs::Permissions::from_mode(0o600)).unwrap();
    temp
}

/// Makes a /proc of its own, in which `$1` is made of what launcher might write to, and waits.
const PREPARE: &str = "mount -t tmpfs x /proc && cd /proc && mkdir -p self/task 1 sys/net/ipv4 sys/kernel sys/user || exit 1
    for file in sys/net/ipv4/ping_group_range sys/net/ipv4/ip_forward self/oom_score_adj 1/oom_score_adj self/timens_offsets \
        self/setgroups self/uid_map self/gid_map sys/user/max_user_namespaces; do $1 $file || exit 1; done
    exec /probe pause";

#[test]
fn cve_2015_1334_the_proc_of_a_container_that_is_joined_is_not_written_to() {
    require!(root, busybox);
    for is_user in [true, false] {
        // Links to a file that root alone may write, which a user too can have in its container; pipes, which wait for ever.
        for make in ["ln -s /srv/file", "busybox mkfifo"] {
            let (rootfs, secret) = (Rootfs::for_user(), secret());
            let volume = format!("{}:/srv", secret.0.display());
            let words = ["--rootfs", rootfs.arg(), "--cap-add", "SYS_ADMIN", "-v", &volume, "--", "sh", "-c"];
            let script = PREPARE.replace("$1", make);
            let mut running = Running::start(launcher_of(is_user, words).arg(&script));
            running.wait_for("ready");
            let container = format!("container:{}", children_of(running.child.id())[0]);
            for more in [
                &[][..],
                &["--pid", &container],
                &["--oom-score-adj", "900", "--time-offset", "boottime=+1d"],
                &["--userns", "new", "--uidmap", "0:0:10", "--disable-userns"],
                &["--sysctl", "net.ipv4.ip_forward=1"],
            ] {
                let words = [&["--mntns", &container][..], more, &["--", "/bin/busybox", "true"]].concat();
                let finished = run(&mut launcher(&words));
                // Only who asks for a parameter is refused.
                let is_asked = more.iter().any(|word| ["--sysctl", "--disable-userns"].contains(word));
                assert_eq!(
                    finished.status,
                    if is_asked { 125 } else { 0 },
                    "{is_user} {make} {more:?}: {finished:?}"
                );
                assert_eq!(
                    fs::read_to_string(secret.0.join("file")).unwrap(),
                    "untouched",
                    "{is_user} {make} {more:?}"
                );
            }
        }
    }
}
