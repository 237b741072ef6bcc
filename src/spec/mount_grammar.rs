//! Mounts as docker's users write them: `-v`, `--mount`, `--tmpfs`.

use std::path::PathBuf;

use super::mount::{self, Flags, Layers, Mount, Source};
use super::size;

/// What is wrong with a value.
type Fault = String;

/// Options of a tmpfs that are for the file system; tmpfs(5).
const TMPFS_KEYS: &str = "size mode uid gid nr_inodes nr_blocks huge mpol";

/// The file systems that can be mounted anew: with what flags, unless other words are said, and with what options.
const NEW: [(&str, Flags, &str); 7] = [
    ("tmpfs", Flags::INERT, ""),
    ("proc", Flags::INERT, ""),
    ("sysfs", Flags::INERT.with(Flags::READ_ONLY), ""),
    ("mqueue", Flags::INERT, ""),
    ("devpts", Flags::NOSUID.with(Flags::NOEXEC).with(Flags::DEV), "newinstance,ptmxmode=0666,mode=0620"),
    ("cgroup2", Flags::INERT.with(Flags::READ_ONLY), ""),
    ("cgroup", Flags::INERT.with(Flags::READ_ONLY), ""),
];

/// Flags that words have set and cleared: what was not mentioned is left to the kind of mount.
#[derive(Debug, Clone, Copy, Default)]
struct Words {
    /// Set.
    set: Flags,
    /// Cleared.
    cleared: Flags,
}

impl Words {
    /// Sets and clears.
    const fn change(&mut self, set: Flags, cleared: Flags) {
        self.set = self.set.without(cleared).with(set);
        self.cleared = self.cleared.without(set).with(cleared);
    }

    /// Takes a word that is for every kind of mount; `false` if it is none.
    fn take(&mut self, word: &str) -> bool {
        if let Some(bit) = place(word, "ro nosuid nodev noexec") {
            self.change(Flags(1 << bit), if bit == 2 { Flags::DEV } else { Flags::default() });
        } else if let Some(bit) = place(word, "rw suid dev exec") {
            self.change(if bit == 2 { Flags::DEV } else { Flags::default() }, Flags(1 << bit));
        } else if let Some(flags) = parse_propagation(word) {
            self.change(flags, Flags::PROPAGATION.with(Flags::RECURSIVE).without(flags));
        } else {
            match word {
                "readonly" => self.change(Flags::READ_ONLY, Flags::default()),
                "bind" | "bind-nonrecursive" => self.change(Flags::ALONE, Flags::default()),
                "rbind" => self.change(Flags::default(), Flags::ALONE),
                "ro-shallow" => self.change(Flags::SHALLOW, Flags::default()),
                "optional" => self.change(Flags::OPTIONAL, Flags::default()),
                _ => return false,
            }
        }
        true
    }

    /// What comes out for a kind of mount with these flags.
    fn over(self, default: Flags) -> Flags {
        default.without(self.cleared).with(self.set)
    }
}

/// Where a word stands in a list.
#[inline(never)]
fn place(word: &str, list: &str) -> Option<usize> {
    list.split(' ').position(|known| known == word)
}

/// `rprivate` and the like, in the bits of mount(2).
pub(crate) fn parse_propagation(word: &str) -> Option<Flags> {
    let (kind, flags) =
        word.strip_prefix('r').map_or((word, Flags::default()), |kind| (kind, Flags::RECURSIVE));
    Some(flags.with(Flags(1 << (17 + place(kind, "unbindable private slave shared")?))))
}

/// Says no to an option.
fn unknown(word: &str) -> Fault {
    let why = match word {
        "z" | "Z" => ": nothing is labelled for SELinux here",
        "U" => ": owners are not changed",
        _ => "",
    };
    format!("no such option: {word}{why}")
}

/// A place inside: absolute, without `.`, `..` and doubled slashes.
fn clean(target: &str) -> Result<String, Fault> {
    let mut clean = String::new();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        clean.push('/');
        clean.push_str(part);
    }
    if !target.starts_with('/') || clean.is_empty() || target.split('/').any(|part| part == "..") {
        return Err(format!("the place inside is an absolute path without .., and not /: not {target}"));
    }
    Ok(clean)
}

/// `SRC:DST[:OPTION,...]`.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_volume(text: &str) -> Result<Mount, Fault> {
    let mut parts = text.split(':');
    let (Some(source), Some(target)) = (parts.next(), parts.next()) else {
        return Err("wanted is SOURCE:PLACE; a volume without a source is --tmpfs".into());
    };
    let options = parts.next();
    if parts.next().is_some() {
        return Err("more than three parts; a path with : in it needs --mount".into());
    }
    if !source.contains('/') && !source.starts_with('.') {
        return Err(format!("there are no volumes by name; for the folder of that name: ./{source}"));
    }
    short("bind", source, target, options)
}

/// `DST[:OPTION,...]`.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_tmpfs(text: &str) -> Result<Mount, Fault> {
    let (target, options) =
        text.split_once(':').map_or((text, None), |(target, options)| (target, Some(options)));
    short("tmpfs", "", target, options)
}

/// What is the same of both.
fn short(kind: &str, source: &str, target: &str, options: Option<&str>) -> Result<Mount, Fault> {
    let mut draft =
        Draft { kind: kind.into(), source: source.into(), target: clean(target)?, ..Draft::default() };
    for word in options.into_iter().flat_map(|options| options.split(',')) {
        // The others are said before the second colon.
        let is_long =
            ["type", "source", "src", "target", "destination", "dst"].iter().any(|key| word.starts_with(key));
        if is_long {
            return Err(unknown(word));
        }
        draft.take(word)?;
    }
    draft.finish()
}

/// `HOST[:PLACE[:rwm]]`.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_device(text: &str) -> Result<Mount, Fault> {
    let mut parts = text.split(':');
    let source = parts.next().unwrap_or_default();
    let target = clean(parts.next().unwrap_or(source))?;
    if parts.any(|mode| mode != "rwm") {
        return Err(
            "devices are given whole (rwm): launcher keeps no list of what may be done with them".into()
        );
    }
    let flags = Flags::NOSUID.with(Flags::NOEXEC).with(Flags::DEV).with(Flags::ALONE).with(PRIVATE);
    Ok(Mount { source: Source::Device(source.into()), target, flags })
}

/// `PLACE=TEXT`, a file.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_file(text: &str) -> Result<Mount, Fault> {
    let (target, text) = text.split_once('=').ok_or("wanted is PLACE=TEXT")?;
    Ok(Mount { source: Source::Text(text.to_owned()), target: clean(target)?, flags: Flags::INERT })
}

/// `PLACE=TARGET`, a link.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_symlink(text: &str) -> Result<Mount, Fault> {
    let Mount { source, target, flags } = parse_file(text)?;
    match source {
        Source::Text(to) if !to.is_empty() => Ok(Mount { source: Source::Link(to), target, flags }),
        _ => Err("wanted is PLACE=TARGET".into()),
    }
}

/// Podman's places that programs write to, each in memory unless something else is mounted there.
pub(crate) fn add_writable(mounts: &mut Vec<Mount>) {
    for (target, data) in [("/run", "mode=755"), ("/tmp", "mode=1777"), ("/var/tmp", "mode=1777")] {
        if !mounts.iter().any(|mount| mount.target == target) {
            let source = Source::New { kind: "tmpfs", data: data.to_owned() };
            let flags = Flags::INERT.without(Flags::NOEXEC);
            mount::insert(mounts, Mount { source, target: target.to_owned(), flags });
        }
    }
}

/// Splits at commas. As in docker a field with a comma in it stands in quotes, and a quote in there is doubled.
fn fields(text: &str) -> Result<Vec<String>, Fault> {
    let (mut fields, mut parts) = (Vec::new(), text.split(','));
    while let Some(part) = parts.next() {
        let mut field = part.to_owned();
        if field.starts_with('"') {
            while field.bytes().filter(|byte| *byte == b'"').count() % 2 == 1 {
                field.push(',');
                field.push_str(parts.next().ok_or("a quote is not closed")?);
            }
            let inner = field.strip_prefix('"').and_then(|field| field.strip_suffix('"'));
            field = inner.ok_or("a quote stands alone")?.replace("\"\"", "\"");
        }
        fields.push(field);
    }
    Ok(fields)
}

/// What the words of a mount have said so far.
#[derive(Debug, Default)]
struct Draft {
    /// `type=`
    kind: String,
    /// `source=`
    source: String,
    /// `target=`
    target: String,
    /// Flags.
    words: Words,
    /// Options for the file system.
    data: String,
    /// `lowerdir=`
    lower: Vec<PathBuf>,
    /// `upperdir=`
    upper: Option<PathBuf>,
    /// `workdir=`
    work: Option<PathBuf>,
}

impl Draft {
    /// One more option for the file system.
    fn add(&mut self, key: &str, value: &str) {
        for text in [if self.data.is_empty() { "" } else { "," }, key, "=", value] {
            self.data.push_str(text);
        }
    }

    /// Takes one field.
    fn take(&mut self, field: &str) -> Result<(), Fault> {
        let (key, value) = field.split_once('=').unwrap_or((field, "true"));
        let is_good = match key {
            "type" => {
                value.clone_into(&mut self.kind);
                true
            }
            "source" | "src" => {
                value.clone_into(&mut self.source);
                true
            }
            "target" | "destination" | "dst" => {
                self.target = clean(value)?;
                true
            }
            "lowerdir" => {
                self.lower = parse_layers(value);
                true
            }
            "upperdir" => {
                self.upper = Some(value.into());
                true
            }
            "workdir" => {
                self.work = Some(value.into());
                true
            }
            "bind-propagation" => parse_propagation(value).is_some() && self.words.take(value),
            "bind-recursive" => match value {
                "enabled" | "readonly" => true,
                "disabled" => self.words.take("bind"),
                "writable" => self.words.take("ro-shallow"),
                _ => false,
            },
            "tmpfs-size" => {
                size::parse_bytes(value).map(|bytes| self.add("size", &bytes.to_string())).is_some()
            }
            "tmpfs-mode" => {
                self.add("mode", value);
                u16::from_str_radix(value, 8).is_ok()
            }
            _ if place(key, TMPFS_KEYS).is_some() => {
                self.add(key, value);
                true
            }
            // Said to be false, a word is as if it had not been said.
            _ => match value {
                "false" | "0" => Words::default().take(key),
                "true" | "1" => self.words.take(key),
                _ => false,
            },
        };
        if is_good { Ok(()) } else { Err(unknown(field)) }
    }

    /// The mount.
    fn finish(self) -> Result<Mount, Fault> {
        let Self { kind, source, target, words, data, lower, upper, work } = self;
        let wrong = |why: &str| Err(format!("type={kind}: {why}"));
        let is_bind = matches!(kind.as_str(), "" | "bind");
        if target.is_empty() {
            return wrong("target= is missing");
        }
        if is_bind == source.is_empty() && source != kind {
            return wrong("a bind needs source=, and nothing else has one");
        }
        if !data.is_empty() && kind != "tmpfs" {
            return wrong("that is an option of a tmpfs");
        }
        if is_bind {
            return Ok(Mount { source: Source::Host(source.into()), target, flags: words.over(PRIVATE) });
        }
        let layers = Layers::new(lower, upper, work)?;
        if kind == "overlay" {
            if layers.lower_count() == 0 || layers.paths.len() == 1 {
                return wrong("wanted is lowerdir=, with two folders or upperdir= and workdir=");
            }
            return Ok(Mount {
                source: Source::Overlay(layers),
                target,
                flags: words.over(Flags::default()),
            });
        }
        if !layers.paths.is_empty() {
            return wrong("that is an option of an overlay");
        }
        let Some((kind, flags, options)) = NEW.into_iter().find(|(name, ..)| *name == kind) else {
            return wrong("wanted is bind, tmpfs, overlay, proc, sysfs, mqueue, devpts or cgroup2");
        };
        // Docker's word for what is mounted where there is one hierarchy.
        let kind = if kind == "cgroup" { "cgroup2" } else { kind };
        let data = if data.is_empty() { options.to_owned() } else { data };
        Ok(Mount { source: Source::New { kind, data }, target, flags: words.over(flags) })
    }
}

/// Folders with colons between them; a colon in a name, and a backslash, has a backslash before it.
pub(crate) fn parse_layers(text: &str) -> Vec<PathBuf> {
    let (mut layers, mut name, mut letters) = (Vec::new(), String::new(), text.chars());
    while let Some(letter) = letters.next() {
        match letter {
            ':' => layers.push(std::mem::take(&mut name).into()),
            '\\' => name.extend(letters.next()),
            letter => name.push(letter),
        }
    }
    layers.push(name.into());
    layers
}

/// Docker's default for what is shown of the host: no mount comes in or goes out later.
const PRIVATE: Flags = Flags::PRIVATE.with(Flags::RECURSIVE);

/// `KEY=VALUE,...`.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_mount(text: &str) -> Result<Mount, Fault> {
    let mut draft = Draft::default();
    for field in fields(text)? {
        draft.take(&field)?;
    }
    draft.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A mount as `--dry-run` shows it, or the fault.
    fn shown(parsed: Result<Mount, Fault>) -> String {
        parsed.map_or_else(|fault| fault, |mount| mount.to_string())
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
            ("/a:/b:bind", "mount /a on /b (rprivate,nothing below)"),
            ("/a:/b:bind,rbind", "mount /a on /b (rprivate)"),
            ("/a:/b:optional", "mount /a on /b (rprivate,optional)"),
            ("/a://b/./c/", "mount /a on /b/c (rprivate)"),
            ("data:/b", "there are no volumes by name; for the folder of that name: ./data"),
            ("/b", "wanted is SOURCE:PLACE; a volume without a source is --tmpfs"),
            ("", "wanted is SOURCE:PLACE; a volume without a source is --tmpfs"),
            ("/a:/b:ro:x", "more than three parts; a path with : in it needs --mount"),
            ("/a:/b:z", "no such option: z: nothing is labelled for SELinux here"),
            ("/a:/b:U", "no such option: U: owners are not changed"),
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
            assert_eq!(shown(parse_volume(text)), want, "{text}");
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
            assert_eq!(shown(parse_tmpfs(text)), want, "{text}");
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
            ("src=/a,dst=/b,bind-nonrecursive", "mount /a on /b (rprivate,nothing below)"),
            ("src=/a,dst=/b,bind-recursive=disabled", "mount /a on /b (rprivate,nothing below)"),
            ("src=/a,dst=/b,ro,bind-recursive=writable", "mount /a on /b (ro,rprivate,below writable)"),
            ("src=/a,dst=/b,bind-recursive=readonly,optional", "mount /a on /b (rprivate,optional)"),
            ("\"src=/a,b\",dst=/c", "mount /a,b on /c (rprivate)"),
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
            ("/dev/kvm", "mount the device /dev/kvm on /dev/kvm (nosuid,noexec,rprivate,nothing below)"),
            ("/dev/a:/dev/b", "mount the device /dev/a on /dev/b (nosuid,noexec,rprivate,nothing below)"),
            ("/dev/a:/b:rwm", "mount the device /dev/a on /b (nosuid,noexec,rprivate,nothing below)"),
            (
                "/dev/a:/b:r",
                "devices are given whole (rwm): launcher keeps no list of what may be done with them",
            ),
            ("/dev/a:b", "the place inside is an absolute path without .., and not /: not b"),
            ("", "the place inside is an absolute path without .., and not /: not "),
        ] {
            assert_eq!(shown(parse_device(text)), want, "{text}");
        }
        for (text, want) in [
            ("/a=b=c", "mount a file of 3 bytes on /a (nosuid,nodev,noexec)"),
            ("/a=", "mount a file of 0 bytes on /a (nosuid,nodev,noexec)"),
            ("/a", "wanted is PLACE=TEXT"),
            ("a=b", "the place inside is an absolute path without .., and not /: not a"),
        ] {
            assert_eq!(shown(parse_file(text)), want, "{text}");
        }
        assert_eq!(shown(parse_symlink("/a=../b")), "make the link /a to ../b");
        assert_eq!(shown(parse_symlink("/a=")), "wanted is PLACE=TARGET");
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
            ("type=tmpfs,lowerdir=/a,dst=/c", "type=tmpfs: that is an option of an overlay"),
        ] {
            assert_eq!(shown(parse_mount(text)), want, "{text}");
        }
    }

    #[test]
    fn what_makes_no_mount_is_told() {
        for (text, want) in [
            ("type=bind,dst=/b", "type=bind: a bind needs source=, and nothing else has one"),
            ("src=/a,dst=/b,tmpfs-size=1", "type=: that is an option of a tmpfs"),
            ("type=proc,dst=/p,tmpfs-size=1", "type=proc: that is an option of a tmpfs"),
            ("type=proc,src=/x,dst=/p", "type=proc: a bind needs source=, and nothing else has one"),
            ("type=bind,src=/a", "type=bind: target= is missing"),
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
                "type=nfs: wanted is bind, tmpfs, overlay, proc, sysfs, mqueue, devpts or cgroup2",
            ),
            ("type=tmpfs,src=tmpfs,dst=/b", "mount tmpfs on /b (nosuid,nodev,noexec)"),
            ("\"src=/a\"x,dst=/b", "a quote stands alone"),
            ("\"src=/a,dst=/b", "a quote is not closed"),
        ] {
            assert_eq!(shown(parse_mount(text)), want, "{text}");
        }
    }

    #[test]
    fn parents_come_before_children_and_equals_in_their_order() {
        let mut mounts = Vec::new();
        for target in ["/a/b/c", "/z", "/a", "/a/b", "/m", "/a/a"] {
            mount::insert(&mut mounts, parse_tmpfs(target).unwrap());
        }
        let targets: Vec<_> = mounts.iter().map(|mount| mount.target.as_str()).collect();
        assert_eq!(targets, ["/z", "/a", "/m", "/a/b", "/a/a", "/a/b/c"]);
    }
}
