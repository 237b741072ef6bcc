//! The grammar of mounts as tables.

use super::*;

/// A mount as `--dry-run` shows it, or the fault.
fn shown(parsed: Result<Mount>) -> String {
    parsed.map_or_else(|fault| fault.to_string(), |mount| mount.to_string())
}

#[test]
fn volumes() {
    for (text, want) in [
        ("/a:/b", "mount /a on /b (rprivate)"),
        ("./a:/b", "mount ./a on /b (rprivate)"),
        (".:/b", "mount . on /b (rprivate)"),
        ("..:/b", "mount .. on /b (rprivate)"),
        ("a/b:/b", "mount a/b on /b (rprivate)"),
        ("/a:/b:ro", "mount /a on /b (ro,rprivate)"),
        ("/a:/b:ro,rw", "mount /a on /b (rprivate)"),
        ("/a:/b:rw,ro", "mount /a on /b (ro,rprivate)"),
        ("/a:/b:nosuid,nodev,noexec", "mount /a on /b (nosuid,nodev,noexec,rprivate)"),
        ("/a:/b:nodev,dev", "mount /a on /b (rprivate)"),
        ("/a:/b:rslave", "mount /a on /b (rslave)"),
        ("/a:/b:shared,rw", "mount /a on /b (shared)"),
        ("/a:/b:runbindable", "mount /a on /b (runbindable)"),
        ("/a:/b:bind", "mount /a on /b (rprivate,nothing-below)"),
        ("/a:/b:bind,rbind", "mount /a on /b (rprivate)"),
        ("/a:/b:optional", "mount /a on /b (rprivate,optional)"),
        ("/a:/b:idmap,ro", "mount /a on /b (ro,rprivate,idmap)"),
        ("/a://b/./c/", "mount /a on /b/c (rprivate)"),
        ("data:/b", "there are no volumes by name; for the folder of that name: ./data"),
        ("/b", "wanted is SOURCE:PLACE; a volume without a source is --tmpfs"),
        ("", "wanted is SOURCE:PLACE; a volume without a source is --tmpfs"),
        ("/a:/b:ro:x", "no such option: ro:x"),
        ("/a:/b:z", "no such option: z: nothing is labelled for SELinux here"),
        ("/a:/b:U", "no such option: U: owners stay as they are, or see idmap"),
        ("/a:/b:fast", "no such option: fast"),
        ("/a:/b:src=/c", "no such option: src=/c"),
        ("/a:/b:size=1", "type=bind: that is an option of a tmpfs"),
        ("/a:/b:", "no such option: "),
        ("/a:b", "the place inside is an absolute path without .., and not /: not b"),
        ("/a:/", "the place inside is an absolute path without .., and not /: not /"),
        ("/a:/.", "the place inside is an absolute path without .., and not /: not /."),
        ("/a:/x/../y", "the place inside is an absolute path without .., and not /: not /x/../y"),
        ("/a:", "the place inside is an absolute path without .., and not /: not "),
    ] {
        assert_eq!(shown(parse_short("bind", text)), want, "{text}");
    }
}

#[test]
fn tmpfs() {
    for (text, want) in [
        ("/t", "mount tmpfs on /t (nosuid,nodev,noexec)"),
        ("/t:size=64m,mode=1777", "mount tmpfs on /t (nosuid,nodev,noexec,size=64m,mode=1777)"),
        ("/t:exec,suid,ro", "mount tmpfs on /t (ro,nodev)"),
        ("/t:rw,dev", "mount tmpfs on /t (nosuid,noexec)"),
        ("/t:size=1:2", "mount tmpfs on /t (nosuid,nodev,noexec,size=1:2)"),
        ("/t:color=red", "no such option: color=red"),
        ("t", "the place inside is an absolute path without .., and not /: not t"),
    ] {
        assert_eq!(shown(parse_short("tmpfs", text)), want, "{text}");
    }
}

#[test]
fn mounts() {
    for (text, want) in [
        ("type=bind,source=/a,target=/b", "mount /a on /b (rprivate)"),
        ("type=bind,src=/a,dst=/b,readonly", "mount /a on /b (ro,rprivate)"),
        ("src=/a,destination=/b,ro=true", "mount /a on /b (ro,rprivate)"),
        ("src=/a,dst=/b,readonly=false,ro=0", "mount /a on /b (rprivate)"),
        ("src=/a,dst=/b,bind-propagation=rslave", "mount /a on /b (rslave)"),
        ("src=/a,dst=/b,bind-nonrecursive", "mount /a on /b (rprivate,nothing-below)"),
        ("src=/a,dst=/b,bind-recursive=disabled", "mount /a on /b (rprivate,nothing-below)"),
        ("src=/a,dst=/b,ro,bind-recursive=writable", "mount /a on /b (ro,rprivate,writable-below)"),
        ("src=/a,dst=/b,bind-recursive=readonly,optional", "mount /a on /b (rprivate,optional)"),
        ("\"src=/a,b\",dst=/c", "mount /a,b on /c (rprivate)"),
        ("src=/a\",b\",\"dst=/c,\"\"d\"", "mount /a,b on /c,\"d (rprivate)"),
        ("\"src=/a\"\"b\",dst=/c:d", "mount /a\"b on /c:d (rprivate)"),
        (
            "type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700",
            "mount tmpfs on /t (nosuid,nodev,noexec,size=1048576,mode=700)",
        ),
        ("exec,type=tmpfs,dst=/t", "mount tmpfs on /t (nosuid,nodev)"),
        ("type=proc,dst=/p", "mount proc on /p (nosuid,nodev,noexec)"),
        ("type=sysfs,dst=/s,rw", "mount sysfs on /s (nosuid,nodev,noexec)"),
        ("type=mqueue,dst=/q", "mount mqueue on /q (nosuid,nodev,noexec)"),
        ("type=cgroup,dst=/c", "mount cgroup2 on /c (ro,nosuid,nodev,noexec)"),
        ("type=devpts,dst=/d", "mount devpts on /d (nosuid,noexec,newinstance,ptmxmode=0666,mode=0620)"),
    ] {
        assert_eq!(shown(parse_mount(text)), want, "{text}");
    }
}

#[test]
fn devices_files_and_links() {
    for (text, want) in [
        ("/dev/kvm", "mount the device /dev/kvm (rwm) on /dev/kvm (nosuid,noexec,rprivate,nothing-below)"),
        ("/dev/a:/dev/b", "mount the device /dev/a (rwm) on /dev/b (nosuid,noexec,rprivate,nothing-below)"),
        ("/dev/a:/b:rwm", "mount the device /dev/a (rwm) on /b (nosuid,noexec,rprivate,nothing-below)"),
        ("/dev/a:b", "the place inside is an absolute path without .., and not /: not b"),
        ("", "the place inside is an absolute path without .., and not /: not "),
        (":/b", "type=device: a bind needs source=, and nothing else has one"),
        ("/dev/a:r:w", "the place inside is an absolute path without .., and not /: not r"),
        ("/dev/a:", "the place inside is an absolute path without .., and not /: not "),
    ] {
        assert_eq!(shown(parse_short("device", text)), want, "{text}");
    }
    for (text, want) in [
        ("/dev/a", Some(7)),
        ("/dev/a:/b", Some(7)),
        ("/dev/a:/b:mwr", Some(7)),
        ("/dev/a:/b:r", Some(2)),
        ("/dev/a:w", Some(4)), // docker's short form
        ("/dev/a:/b:", None),
        ("/dev/a:r:/b", None),
        ("/dev/a:/b:rx", None),
        ("/dev/a:/b:rwm:r", None),
        ("/dev/a:/b:ro", None),
    ] {
        let access = match parse_short("device", text) {
            Ok(Mount { source: Source::Device(_, access), .. }) => Some(access),
            other => {
                assert_eq!(shown(other), "wanted is HOST[:PLACE][:MODES], modes being some of rwm", "{text}");
                None
            }
        };
        assert_eq!(access, want, "{text}");
    }
    for (text, want) in [
        ("/a=b=c", "mount a file of 3 bytes on /a (nosuid,nodev,noexec)"),
        ("/a=", "mount a file of 0 bytes on /a (nosuid,nodev,noexec)"),
        ("/a", "wanted is PLACE=TEXT"),
        ("a=b", "the place inside is an absolute path without .., and not /: not a"),
    ] {
        assert_eq!(shown(parse_content(text, Source::Text)), want, "{text}");
    }
    assert_eq!(shown(parse_content("/a=../b", Source::Link)), "make the link /a to ../b");
}

#[test]
fn overlays() {
    for (text, want) in [
        ("type=overlay,lowerdir=/a:/b,dst=/c", "mount overlay /a:/b on /c"),
        (
            "type=overlay,\"lowerdir=/a,b:/c\\:d\\\\e\",upperdir=/u,workdir=/w,dst=/c,ro",
            "mount overlay /a,b:/c:d\\e, written to /u with /w on /c (ro)",
        ),
        (
            "type=overlay,lowerdir=/a,dst=/c",
            "type=overlay: wanted is lowerdir=, with two folders or upperdir= and workdir=",
        ),
        (
            "type=overlay,upperdir=/a,workdir=/b,dst=/c",
            "type=overlay: wanted is lowerdir=, with two folders or upperdir= and workdir=",
        ),
        (
            "type=overlay,lowerdir=/a,upperdir=/b,dst=/c",
            "an upper folder needs a work folder beside it, and the reverse",
        ),
        (
            "type=overlay,lowerdir=/a\\:b,dst=/c",
            "type=overlay: wanted is lowerdir=, with two folders or upperdir= and workdir=",
        ),
        ("type=overlay,lowerdir=/a::/b,dst=/c", "a folder without a name"),
        ("type=overlay,lowerdir=/a:,dst=/c", "a folder without a name"),
        ("type=tmpfs,lowerdir=/a,dst=/c", "type=tmpfs: that is an option of an overlay"),
    ] {
        assert_eq!(shown(parse_mount(text)), want, "{text}");
    }
}

#[test]
fn what_makes_no_mount_is_told() {
    for (text, want) in [
        ("dst=/b", "type=: a bind needs source=, and nothing else has one"),
        ("type=bind,dst=/b", "type=bind: a bind needs source=, and nothing else has one"),
        ("src=/a,dst=/b,tmpfs-size=1", "type=: that is an option of a tmpfs"),
        ("type=proc,dst=/p,tmpfs-size=1", "type=proc: that is an option of a tmpfs"),
        ("type=proc,src=/x,dst=/p", "type=proc: a bind needs source=, and nothing else has one"),
        ("type=bind,src=/a", "the place inside is an absolute path without .., and not /: not "),
        ("type=volume,src=a,dst=/b", "type=volume: a bind needs source=, and nothing else has one"),
        ("src=/a,dst=/b,bind-propagation=up", "no such option: bind-propagation=up"),
        ("src=/a,dst=/b,bind-recursive=up", "no such option: bind-recursive=up"),
        ("type=tmpfs,dst=/b,tmpfs-mode=9", "no such option: tmpfs-mode=9"),
        ("type=tmpfs,dst=/b,tmpfs-size=x", "no such option: tmpfs-size=x"),
        ("src=/a,dst=/b,readonly=maybe", "no such option: readonly=maybe"),
        ("src=/a,dst=/b,z", "no such option: z: nothing is labelled for SELinux here"),
        ("src=/a,dst=/b,", "no such option: "),
        (
            "type=nfs,dst=/b",
            "type=nfs: wanted is bind, overlay or one of tmpfs proc sysfs mqueue devpts cgroup2",
        ),
        ("type=tmpfs,src=tmpfs,dst=/b", "mount tmpfs on /b (nosuid,nodev,noexec)"),
        ("\"src=/a,dst=/b", "a quote is not closed"),
    ] {
        assert_eq!(shown(parse_mount(text)), want, "{text}");
    }
}

#[test]
fn parents_come_before_children_and_equals_in_their_order() {
    let mut mounts = Vec::new();
    for target in ["/a/b/c", "/z", "/a", "/a/b", "/m", "/a/a"] {
        mount::insert(&mut mounts, parse_short("tmpfs", target).unwrap());
    }
    let targets: Vec<_> = mounts.iter().map(|mount| mount.target).collect();
    assert_eq!(targets, ["/z", "/a", "/m", "/a/b", "/a/a", "/a/b/c"]);
}
