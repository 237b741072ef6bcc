//! Overlays that the user asks for: as the root, and on a folder.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stderr, reason = "these are tests")]

mod common;

use std::fs;
use std::process::Command;

use common::{Finished, Rootfs, Temp, USER, launcher, launcher_as_user, mountinfo, run, snapshot};

/// Folders to lay over each other, on a file system of their own: overlay takes no overlay as its upper layer, which the
/// folder for temporary files may be.
struct Layers {
    rootfs: Rootfs,
    temp: Temp,
    is_user: bool,
}

impl Layers {
    fn new(is_user: bool) -> Self {
        let layers = Self {
            rootfs: if is_user { Rootfs::for_user() } else { Rootfs::new() },
            temp: Temp::new(),
            is_user,
        };
        for folder in ["one", "two/etc", "three/etc", "a:b,c\\d/etc", "disk"] {
            fs::create_dir_all(layers.temp.0.join(folder)).unwrap();
        }
        for (file, text) in [
            ("two/etc/who", "two\n"),
            ("three/etc/who", "three\n"),
            ("three/etc/last", "three\n"),
            ("a:b,c\\d/etc/odd", "odd\n"),
        ] {
            fs::write(layers.temp.0.join(file), text).unwrap();
        }
        let owner = is_user.then_some(USER);
        for path in snapshot(&layers.temp.0).into_keys() {
            std::os::unix::fs::chown(path, owner, owner).unwrap();
        }
        layers
    }

    fn path(&self, name: &str) -> String {
        self.temp.0.join(name).display().to_string()
    }

    /// Runs a script in a container with these words in front, on a host where DISK is a tmpfs with `up` and `work`.
    #[track_caller]
    fn run(&self, words: &[&str], script: &str, after: &str) -> Finished {
        let words = words.iter().map(|word| {
            word.replace("ROOT", self.rootfs.arg())
                .replace("DISK", &self.path("disk"))
                .replace("TEMP", self.temp.0.to_str().unwrap())
        });
        let words: Vec<_> = words.chain(["--", "sh", "-c", script].map(str::to_owned)).collect();
        let command = if self.is_user { launcher_as_user(&words) } else { launcher(&words) };
        let become_user =
            if self.is_user { "setpriv --reuid 12345 --regid 12345 --clear-groups" } else { "" };
        let mut host = Command::new("unshare");
        host.args(["-m", "--propagation", "private", "sh", "-ec"]);
        host.arg(format!(
            "mount -t tmpfs -o mode=777 disk \"$DISK\"; mkdir -m 777 \"$DISK/up\" \"$DISK/work\"; cd /; {become_user} \"$@\"; {after}"
        ));
        host.arg("sh").arg(command.get_program()).args(command.get_args()).env("DISK", self.path("disk"));
        run(&mut host)
    }
}

#[test]
fn several_folders_are_the_root_and_writes_go_to_the_upper_one() {
    require!(root, busybox);
    for is_user in [false, true] {
        let layers = Layers::new(is_user);
        let before = (snapshot(&layers.temp.0), snapshot(layers.rootfs.path()), mountinfo());
        let words = [
            "--overlay",
            "TEMP/two:TEMP/three:ROOT",
            "--overlay-upper",
            "DISK/up",
            "--overlay-work",
            "DISK/work",
        ];
        let script = "cat /etc/who /etc/last; echo new >/etc/new; rm /etc/last; mv /etc/who /etc/who2; rm -r /srv; ls /etc";
        let after = "cat \"$DISK/up/etc/new\"; ls \"$DISK/up/etc\"";
        let out = layers.run(&words, script, after).expect(0).out;
        assert_eq!(out, "two\nthree\nnew\nwho2\nnew\nlast\nnew\nwho\nwho2\n");
        assert_eq!((snapshot(&layers.temp.0), snapshot(layers.rootfs.path()), mountinfo()), before);
        // The rootfs alone may have an upper folder too, and what is there is there the next time.
        let words = ["--rootfs", "ROOT", "--overlay-upper", "DISK/up", "--overlay-work", "DISK/work"];
        let out = layers.run(&words, "echo x >/srv/kept; ls /srv", "cat \"$DISK/up/srv/kept\"").expect(0).out;
        assert_eq!(out, "kept\nx\n");
        assert!(!layers.rootfs.path().join("srv/kept").exists());
    }
}

#[test]
fn without_an_upper_folder_nothing_is_written_or_only_to_memory() {
    require!(root, busybox);
    for is_user in [false, true] {
        let layers = Layers::new(is_user);
        let before = (snapshot(&layers.temp.0), snapshot(layers.rootfs.path()));
        let script = "cat /etc/who; echo x 2>/dev/null >/etc/who || echo ro; cat /etc/who";
        let words = ["--overlay", "TEMP/two:ROOT"];
        assert_eq!(layers.run(&words, script, "").expect(0).out, "two\nro\ntwo\n");
        let words = ["--overlay", "TEMP/two:ROOT", "--ephemeral"];
        assert_eq!(layers.run(&words, script, "").expect(0).out, "two\nx\n");
        // Of one folder the mount points are made, as with --rootfs.
        let words = ["--overlay", "ROOT"];
        assert_eq!(layers.run(&words, "echo x 2>/dev/null >/etc/who || echo ro", "").expect(0).out, "ro\n");
        assert_eq!((snapshot(&layers.temp.0), snapshot(layers.rootfs.path())), before);
    }
}

#[test]
fn the_hosts_root_can_be_a_layer() {
    require!(root, busybox);
    let layers = Layers::new(false);
    let words = ["--overlay", "/", "--overlay-upper", "DISK/up", "--overlay-work", "DISK/work"];
    let script = "echo x >/etc/launcher-test-new; cat /etc/launcher-test-new";
    let out = layers.run(&words, script, "ls \"$DISK/up/etc\"");
    // The tests may run on an overlay, whose layers cannot be laid over each other again without limit.
    assert_eq!(out.expect(0).out, "x\nlauncher-test-new\n");
    assert!(!std::path::Path::new("/etc/launcher-test-new").exists());
}

#[test]
fn names_may_have_anything_in_them() {
    require!(root, busybox);
    let layers = Layers::new(false);
    let words = ["--overlay", "TEMP/a\\:b,c\\\\d:ROOT"];
    assert_eq!(layers.run(&words, "cat /etc/odd", "").expect(0).out, "odd\n");
    let mount = "type=overlay,\"lowerdir=TEMP/a\\:b,c\\\\d:TEMP/three\",dst=/srv";
    let words = ["--rootfs", "ROOT", "--mount", mount];
    assert_eq!(layers.run(&words, "cat /srv/etc/odd /srv/etc/last", "").expect(0).out, "odd\nthree\n");
}

#[test]
fn an_overlay_is_mounted_on_a_folder() {
    require!(root, busybox);
    for is_user in [false, true] {
        let layers = Layers::new(is_user);
        let mount =
            "type=overlay,lowerdir=TEMP/two:TEMP/three,upperdir=DISK/up,workdir=DISK/work,dst=/srv/new";
        let script = "cd /srv/new; cat etc/who; rm -r etc; echo x >file; ls -A; grep ' /srv/new ' /proc/self/mountinfo | cut -d ' ' -f 6";
        let out = layers
            .run(&["--rootfs", "ROOT", "--mount", mount], script, "cat \"$DISK/up/file\"")
            .expect(0)
            .out;
        assert_eq!(out, "two\nfile\nrw,nodev,relatime\nx\n");
        let mount = "type=overlay,lowerdir=TEMP/two:TEMP/three,dst=/srv/new,nosuid,noexec";
        let script = "echo x 2>/dev/null >/srv/new/etc/who || echo ro; cat /srv/new/etc/last";
        let out = layers.run(&["--rootfs", "ROOT", "--mount", mount], script, "").expect(0).out;
        assert_eq!(out, "ro\nthree\n");
    }
}

#[test]
fn as_many_layers_as_the_kernel_takes() {
    require!(root, busybox);
    let layers = Layers::new(false);
    let names: Vec<_> = (0..498).map(|number| format!("TEMP/many/{number}")).collect();
    for name in &names {
        fs::create_dir_all(name.replace("TEMP", layers.temp.0.to_str().unwrap())).unwrap();
    }
    let root = format!("TEMP/one:{}:ROOT", names.join(":"));
    let folder = names[..200].join(":");
    let words = ["--overlay", &root, "--ephemeral"];
    assert_eq!(layers.run(&words, "echo x >/etc/new; cat /etc/new", "").expect(0).out, "x\n");
    let mount = format!("type=overlay,\"lowerdir={folder}\",dst=/srv");
    layers.run(&["--rootfs", "ROOT", "--mount", &mount], "true", "").expect(0);
    let mount = format!("type=overlay,\"lowerdir={root}\",dst=/srv");
    let finished = layers.run(&["--rootfs", "ROOT", "--mount", &mount], "true", "").expect(125);
    assert!(finished.err.contains("too many layers"), "{}", finished.err);
}

#[test]
fn what_cannot_be_laid_over_each_other_is_told() {
    require!(root, busybox);
    let layers = Layers::new(false);
    for (words, want) in [
        (&["--overlay", "TEMP/no:ROOT"][..], "enter the rootfs TEMP/no: No such file or directory (ENOENT)"),
        (&["--overlay", "TEMP/two:TEMP/no"], "TEMP/no: No such file or directory (ENOENT)"),
        (
            &["--overlay", "ROOT", "--overlay-upper", "DISK/up", "--overlay-work", "TEMP/one"],
            "Invalid argument (EINVAL)\n  hint: the upper folder",
        ),
        (
            &["--overlay", "ROOT", "--overlay-upper", "DISK/up", "--overlay-work", "TEMP/one"],
            "mount an overlay over the rootfs, written to ",
        ),
        (
            &["--overlay", "ROOT", "--overlay-upper", "DISK/up"],
            "an upper folder needs a work folder beside it",
        ),
        (
            &["--rootfs", "ROOT", "--mount", "type=overlay,lowerdir=TEMP/no:TEMP/two,dst=/srv"],
            "TEMP/no: No such file or directory (ENOENT)",
        ),
    ] {
        let finished = layers.run(words, "true", "").expect(125);
        let want = want.replace("TEMP", layers.temp.0.to_str().unwrap());
        assert!(finished.err.contains(&want), "{words:?}: {}", finished.err);
    }
}
