//! Mounts as docker's users write them: `-v`, `--mount`, `--tmpfs`, `--device`, and what else is put somewhere inside.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::keep;
use super::mount::{self, Flags, Layers, Mount, Source};
use super::{devices, size};
use crate::error::{Error, Result};
use crate::packed::{filled, packed};
use crate::text::{self, text_of};

/// Options of a tmpfs that are for the file system; tmpfs(5).
const TMPFS_KEYS: &str = "size mode uid gid nr_inodes nr_blocks huge mpol";

/// The file systems that can be mounted anew.
const NEW: &str = "tmpfs proc sysfs mqueue devpts cgroup2";

/// Docker's default for what is shown of the host: no mount comes in or goes out later.
const PRIVATE: Flags = Flags::PRIVATE.with(Flags::RECURSIVE);

/// Flags that words have set and cleared: what was not mentioned is left to the kind of mount.
#[derive(Debug, Clone, Copy, Default)]
struct Words {
    /// Set.
    set: Flags,
    /// Cleared.
    cleared: Flags,
}

impl Words {
    /// Takes a word that is for every kind of mount; `false` if it is none.
    fn take(&mut self, word: &str) -> bool {
        let (set, cleared) = if let Some(bit) = place(word, "ro nosuid nodev noexec") {
            (Flags(1 << bit), if bit == 2 { Flags::DEV } else { Flags::default() })
        } else if let Some(bit) = place(word, "rw suid dev exec") {
            (if bit == 2 { Flags::DEV } else { Flags::default() }, Flags(1 << bit))
        } else if let Some(flags) = parse_propagation(word) {
            (flags, Flags::PROPAGATION.with(Flags::RECURSIVE).without(flags))
        } else {
            match word {
                "readonly" => (Flags::READ_ONLY, Flags::default()),
                "bind" | "bind-nonrecursive" => (Flags::ALONE, Flags::default()),
                "rbind" => (Flags::default(), Flags::ALONE),
                "ro-shallow" => (Flags::SHALLOW, Flags::default()),
                "optional" => (Flags::OPTIONAL, Flags::default()),
                "idmap" => (Flags::IDMAP, Flags::default()),
                _ => return false,
            }
        };
        self.set = self.set.without(cleared).with(set);
        self.cleared = self.cleared.without(set).with(cleared);
        true
    }
}

/// Where a word stands in a list.
#[inline(never)]
fn place(word: &str, list: &str) -> Option<usize> {
    text::parts(list, b' ').position(|known| known == word)
}

/// `rprivate` and the like, in the bits of mount(2).
pub(crate) fn parse_propagation(word: &str) -> Option<Flags> {
    let (kind, flags) =
        word.strip_prefix("r").map_or((word, Flags::default()), |kind| (kind, Flags::RECURSIVE));
    Some(flags.with(Flags(1 << (17 + place(kind, "unbindable private slave shared")?))))
}

/// Says no to an option.
fn unknown(word: &str) -> Error {
    let why = match word {
        "z" | "Z" => packed!(": nothing is labelled for SELinux here"),
        "U" => packed!(": owners stay as they are, or see idmap"),
        _ => packed!(""),
    };
    Error::new(filled!("no such option: {}{}", [&word, &why]))
}

/// A place inside: absolute, without `.`, `..` and doubled slashes.
fn clean(target: &str) -> Result<&'static str> {
    let mut clean = String::new();
    for part in text::parts(target, b'/') {
        if part == ".." || (clean.is_empty() && !target.starts_with('/')) {
            clean.clear();
            break;
        }
        if !part.is_empty() && part != "." {
            clean += "/";
            clean.push_str(part);
        }
    }
    if clean.is_empty() {
        return Err(Error::new(filled!(
            "the place inside is an absolute path without .., and not /: not {}",
            target
        )));
    }
    Ok(clean.leak())
}

/// What stands between colons: `SRC:DST[:OPTION,...]` of a bind, `DST[:OPTION,...]` of a tmpfs, `HOST[:DST][:MODES]` of a
/// device.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_short(kind: &str, text: &str) -> Result<Mount> {
    let is_device = kind == "device";
    let mut parts = text::parts(text, b':');
    let source = if kind == "tmpfs" { "" } else { parts.next().unwrap_or_default() };
    let (mut target, mut rest) = (parts.next(), parts.rest());
    if is_device
        && rest.is_none()
        && target.is_none_or(|text| devices::parse_modes(text.as_bytes()).is_some())
    {
        (target, rest) = (Some(source), target);
    }
    let Some(target) = target else {
        return Err(Error::new(packed!("wanted is SOURCE:PLACE; a volume without a source is --tmpfs")));
    };
    if kind == "bind" && !source.as_bytes().contains(&b'/') && !source.starts_with('.') {
        return Err(Error::new(filled!(
            "there are no volumes by name; for the folder of that name: ./{}",
            source
        )));
    }
    let mut draft = Draft { texts: [kind, source, target, "", "", ""], ..Draft::default() };
    if is_device {
        let access = rest.map_or(Some(devices::ALL), |modes| devices::parse_modes(modes.as_bytes()));
        draft.access = access
            .ok_or_else(|| Error::new(packed!("wanted is HOST[:PLACE][:MODES], modes being some of rwm")))?;
    } else {
        for word in rest.into_iter().flat_map(|options| text::parts(options, b',')) {
            draft.take(word, "")?;
        }
    }
    draft.finish()
}

/// `PLACE=TEXT`: a file with that text, or a link to that place.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_content(text: &str, make: fn(&'static str) -> Source) -> Result<Mount> {
    let (target, text) = text::cut(text, b'=').ok_or_else(|| Error::new(packed!("wanted is PLACE=TEXT")))?;
    Ok(Mount { source: make(keep(text)), target: clean(target)?, flags: Flags::INERT })
}

/// `KEY=VALUE,...`.
///
/// # Errors
/// Says what is wrong.
pub(crate) fn parse_mount(text: &str) -> Result<Mount> {
    let fields = fields(text)?;
    let mut draft = Draft::default();
    for field in &fields {
        draft.take(field, TEXTS)?;
    }
    draft.finish()
}

/// Podman's places that programs write to, each in memory unless something else is mounted there.
pub(crate) fn add_writable(mounts: &mut Vec<Mount>) {
    for place in text::parts("/run:exec,mode=755 /tmp:exec /var/tmp:exec", b' ') {
        if let Ok(mount) = parse_short("tmpfs", place)
            && !mounts.iter().any(|other| other.target == mount.target)
        {
            mount::insert(mounts, mount);
        }
    }
}

/// Splits at commas. As in docker what has a comma in it stands in quotes, and a quote in there is doubled.
fn fields(text: &str) -> Result<Vec<String>> {
    let (mut fields, mut field, mut is_quoted) = (Vec::new(), String::new(), true);
    let mut before = ","; // the text before a quote: none, and the quote is the second of two
    for (index, piece) in text::parts(text, b'"').enumerate() {
        is_quoted = !is_quoted;
        if is_quoted {
            field.push_str(if before.is_empty() { "\"" } else { "" });
            field.push_str(piece);
        } else {
            for (index, part) in text::parts(piece, b',').enumerate() {
                if index > 0 {
                    fields.push(std::mem::take(&mut field));
                }
                field.push_str(part);
            }
            if index > 0 {
                before = piece;
            }
        }
    }
    fields.push(field);
    if is_quoted { Err(Error::new(packed!("a quote is not closed"))) } else { Ok(fields) }
}

/// Words of `--mount` whose values are kept as they are, then other words for them.
const TEXTS: &str = "type source target lowerdir upperdir workdir src dst destination";

/// What the words of a mount have said so far.
#[derive(Debug, Default)]
struct Draft<'a> {
    /// The first six of [`TEXTS`].
    texts: [&'a str; 6],
    /// Flags.
    words: Words,
    /// Options for the file system.
    data: String,
    /// What may be done with a device.
    access: u8,
}

impl<'a> Draft<'a> {
    /// One more option for the file system.
    fn add(&mut self, key: &str, value: &str) {
        for text in [if self.data.is_empty() { "" } else { "," }, key, "=", value] {
            self.data.push_str(text);
        }
    }

    /// Takes one field; `texts` is what is allowed of [`TEXTS`].
    fn take(&mut self, field: &'a str, texts: &str) -> Result<()> {
        let (key, value) = text::cut(field, b'=').unwrap_or((field, "true"));
        if let Some(index) = place(key, texts).filter(|_| !key.is_empty()) {
            let index = match index {
                6 => 1,
                7 | 8 => 2,
                index => index,
            };
            if let Some(text) = self.texts.get_mut(index) {
                *text = value;
            }
            return Ok(());
        }
        let is_good = match key {
            "bind-propagation" => parse_propagation(value).is_some() && self.words.take(value),
            "bind-recursive" => match value {
                "enabled" | "readonly" => true,
                "disabled" => self.words.take("bind"),
                "writable" => self.words.take("ro-shallow"),
                _ => false,
            },
            "tmpfs-size" => match size::parse_bytes(value) {
                Some(bytes) => {
                    self.add("size", &text_of(&bytes));
                    true
                }
                None => false,
            },
            "tmpfs-mode" => {
                self.add("mode", value);
                value.bytes().all(|digit| (b'0'..=b'7').contains(&digit))
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
    fn finish(self) -> Result<Mount> {
        let [kind, source, target, lower, upper, work] = self.texts;
        let target = clean(target)?;
        let is_bind = matches!(kind, "" | "bind" | "device");
        let is_overlay = kind == "overlay";
        let fault = if is_bind == source.is_empty() && (is_bind || source != kind) {
            packed!("a bind needs source=, and nothing else has one")
        } else if !self.data.is_empty() && kind != "tmpfs" {
            packed!("that is an option of a tmpfs")
        } else if is_overlay && (lower.is_empty() || (upper.is_empty() && parse_layers(lower).len() < 2)) {
            packed!("wanted is lowerdir=, with two folders or upperdir= and workdir=")
        } else if !is_overlay && [lower, upper, work].iter().any(|text| !text.is_empty()) {
            packed!("that is an option of an overlay")
        } else {
            packed!("")
        };
        if !fault.is_empty() {
            return Err(Error::new(fault).within(filled!("type={}", kind)));
        }
        // Docker's word for what is mounted where there is one hierarchy.
        let new = if kind == "cgroup" { "cgroup2" } else { kind };
        let mut data = self.data;
        let (source, flags) = match (kind, text::parts(NEW, b' ').find(|known| *known == new)) {
            ("device", _) => {
                let flags =
                    Flags::NOSUID.with(Flags::NOEXEC).with(Flags::DEV).with(Flags::ALONE).with(PRIVATE);
                (Source::Device(Path::new(keep(source)), self.access), flags)
            }
            ("overlay", _) => {
                let layers = Layers::new(parse_layers(lower), Path::new(keep(upper)), Path::new(keep(work)))?;
                (Source::Overlay(layers), Flags::default())
            }
            _ if is_bind => (Source::Host(Path::new(keep(source))), PRIVATE),
            (_, Some(kind)) => {
                let flags = match kind {
                    "sysfs" | "cgroup2" => Flags::INERT.with(Flags::READ_ONLY),
                    "devpts" => {
                        data.push_str("newinstance,ptmxmode=0666,mode=0620");
                        Flags::NOSUID.with(Flags::NOEXEC).with(Flags::DEV)
                    }
                    _ => Flags::INERT,
                };
                (Source::New { kind, data: data.leak() }, flags)
            }
            _ => return Err(Error::new(filled!("type={}: wanted is bind, overlay or one of {}", kind, NEW))),
        };
        let flags = flags.without(self.words.cleared).with(self.words.set);
        Ok(Mount { source, target, flags })
    }
}

/// Folders with colons between them; a colon in a name, and a backslash, has a backslash before it.
pub(crate) fn parse_layers(text: &str) -> Vec<&'static Path> {
    let (mut layers, mut name, mut bytes) = (Vec::new(), Vec::new(), text.bytes());
    loop {
        match bytes.next() {
            Some(b'\\') => name.extend(bytes.next()),
            Some(byte) if byte != b':' => name.push(byte),
            end => {
                layers.push(Path::new(OsStr::from_bytes(std::mem::take(&mut name).leak())));
                if end.is_none() {
                    return layers;
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "mount_grammar_tests.rs"]
mod tests;
