//! Users and groups: as they are asked for, and as passwd(5) and group(5) know them.

use std::ffi::CString;
use std::fmt::{self, Display};

use super::keep;
use crate::error::{Error, Result};
use crate::packed::{Fill, filled};
use crate::text;

/// A user or a group.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Principal {
    /// By number, which is never taken for a name: an image may well have a user called 1000 whose id is 0.
    Id(u32),
    /// By name.
    Name(&'static str),
}

impl Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Id(id) => id.fmt(f),
            Self::Name(name) => f.write_str(name),
        }
    }
}

impl Principal {
    /// Whether an entry of that name and number is meant.
    fn is(&self, entry: Entry<'_>) -> bool {
        match self {
            Self::Id(id) => *id == entry.id,
            Self::Name(name) => name.as_bytes() == entry.name,
        }
    }

    /// Parses a number below 4294967295, which is (uid_t)-1, "leave it as it is" for the kernel, and never a user; or a
    /// name that can stand in a line of passwd(5).
    ///
    /// # Errors
    /// It is neither.
    pub(crate) fn parse(text: &str) -> Result<Self> {
        if let Some(id) = parse_id(text.as_bytes()) {
            return Ok(Self::Id(id));
        }
        let legal = |byte: u8| byte > b' ' && byte != 0x7f && !b":,/".contains(&byte);
        let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
        // As in the tables: what begins with a mark below the digits is no name.
        if !is_number && text.bytes().all(legal) && text.as_bytes().first() >= Some(&b'0') {
            return Ok(Self::Name(keep(text)));
        }
        Err(Error::new(filled!("neither a name nor a number below 4294967295: {}", text)))
    }
}

/// Digits and nothing else: no sign.
fn parse_id(digits: &[u8]) -> Option<u32> {
    text::number(digits).filter(|id| *id < u32::MAX && !digits.starts_with(b"+"))
}

impl Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.user.fmt(f)?;
        self.group.as_ref().map_or(Ok(()), |group| filled!(":{}", group).put(f))
    }
}

/// Who is to run the program.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct User {
    /// The user.
    pub(crate) user: Principal,
    /// The group; `None`: that of passwd(5), and those of group(5) beside it.
    pub(crate) group: Option<Principal>,
}

impl User {
    /// Root, and nothing but root.
    pub(crate) const ROOT: Self = Self { user: Principal::Id(0), group: Some(Principal::Id(0)) };
}

/// Parses `USER[:GROUP]`.
///
/// # Errors
/// One of the two is neither name nor number.
pub(crate) fn parse_user(text: &str) -> Result<User> {
    let (user, group) = text::cut(text, b':').map_or((text, None), |(user, group)| (user, Some(group)));
    Ok(User { user: Principal::parse(user)?, group: group.map(Principal::parse).transpose()? })
}

/// The supplementary groups that are asked for beside the user's own.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct Groups {
    /// These.
    pub(crate) added: Vec<Principal>,
    /// Those that launcher itself has, and no others.
    pub(crate) kept: bool,
}

/// Whom it comes to, in numbers.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Identity {
    /// User id.
    pub(crate) uid: u32,
    /// Group id.
    pub(crate) gid: u32,
    /// Supplementary groups, each once; the first is `gid`.
    pub(crate) groups: Vec<u32>,
    /// `HOME=` and an absolute path, if that is to be set.
    pub(crate) home: Option<CString>,
}

impl Identity {
    /// Whom nobody becomes: where no step looks at it.
    pub(crate) const NOBODY: Self = Self { uid: 0, gid: 0, groups: Vec::new(), home: None };

    /// Of whom nothing is known but the numbers.
    pub(crate) fn of(uid: u32, gid: u32) -> Self {
        Self { uid, gid, groups: vec![gid], home: None }
    }

    /// One more group.
    fn add(&mut self, gid: u32) {
        if !self.groups.contains(&gid) {
            self.groups.push(gid);
        }
    }
}

/// Cuts off what stands before the first `at`; all of it if there is none.
fn cut<'a>(rest: &mut &'a [u8], at: u8) -> &'a [u8] {
    let end = rest.iter().position(|byte| *byte == at).unwrap_or(rest.len());
    let (part, left) = rest.split_at_checked(end).unwrap_or_default();
    *rest = left.get(1..).unwrap_or_default();
    part
}

/// A line of passwd(5) or group(5).
#[derive(Debug, Clone, Copy)]
struct Entry<'a> {
    /// The first field.
    name: &'a [u8],
    /// The third.
    id: u32,
    /// What follows.
    rest: &'a [u8],
}

/// The next line of a table. What is no such line is no entry: comments, `+` of NIS, numbers out of range.
fn next_entry<'a>(table: &mut &'a [u8]) -> Option<Entry<'a>> {
    while !table.is_empty() {
        let mut rest = cut(table, b'\n').trim_ascii();
        let name = cut(&mut rest, b':');
        cut(&mut rest, b':');
        let id = parse_id(cut(&mut rest, b':'));
        if let (Some(id), Some(b'0'..)) = (id, name.first()) {
            return Some(Entry { name, id, rest });
        }
    }
    None
}

/// Finds a user as docker does: of the entries that fit the first one counts. A number needs none, and is of group 0 then.
/// Where no group is asked for, the user is in all that name it.
///
/// # Errors
/// There is no entry of a name.
pub(crate) fn identify(
    user: &User,
    added: &[Principal],
    mut passwd: &[u8],
    group: &[u8],
) -> Result<Identity> {
    let mut uid = if let Principal::Id(uid) = user.user { Some(uid) } else { None };
    let (mut gid, mut name, mut home) = (0, &b""[..], &b""[..]);
    while let Some(mut entry) = next_entry(&mut passwd) {
        let group = parse_id(cut(&mut entry.rest, b':'));
        if let (Some(group), true) = (group, user.user.is(entry)) {
            cut(&mut entry.rest, b':');
            (uid, gid, name, home) = (Some(entry.id), group, entry.name, cut(&mut entry.rest, b':'));
            break;
        }
    }
    let uid = uid.ok_or_else(|| missing("user", &user.user, "passwd"))?;
    if let Some(wanted) = &user.group {
        (gid, name) = (find_group(wanted, group)?, b"");
    }
    let mut found = Identity::of(uid, gid);
    let mut table = group;
    while let Some(mut entry) = next_entry(&mut table) {
        let mut members = cut(&mut entry.rest, b':');
        while !members.is_empty() {
            if cut(&mut members, b',') == name && !name.is_empty() {
                found.add(entry.id);
            }
        }
    }
    for wanted in added {
        found.add(find_group(wanted, group)?);
    }
    if home.first() != Some(&b'/') {
        home = if uid == 0 { b"/root" } else { b"/" };
    }
    found.home = text::c_string([b"HOME=", home].concat()).ok();
    Ok(found)
}

/// What there is no entry of.
fn missing(kind: &str, wanted: &Principal, table: &str) -> Error {
    Error::new(filled!("no {} {} in /etc/{}", [&kind, wanted, &table]))
}

/// The number of a group.
fn find_group(wanted: &Principal, mut table: &[u8]) -> Result<u32> {
    if let Principal::Id(gid) = wanted {
        return Ok(*gid);
    }
    while let Some(entry) = next_entry(&mut table) {
        if wanted.is(entry) {
            return Ok(entry.id);
        }
    }
    Err(missing("group", wanted, "group"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_names_or_numbers_in_range() {
        for (text, want) in [
            ("0", Some("0")),
            ("1000:100", Some("1000:100")),
            ("0001", Some("1")),
            ("2147483648", Some("2147483648")),
            ("4294967294:0", Some("4294967294:0")),
            ("root", Some("root")),
            ("app:staff", Some("app:staff")),
            ("7up:0", Some("7up:0")),
            ("müller", Some("müller")),
            ("dom\\user$", Some("dom\\user$")),
            ("4294967295", None),
            ("4294967296", None),
            ("99999999999999999999999", None),
            ("1:4294967295", None),
            ("-1", None),
            ("+1", None),
            ("1:-1", None),
            ("1:+1", None),
            (" 1", None),
            ("1 ", None),
            ("1:", None),
            (":1", None),
            ("", None),
            (":", None),
            ("a:b:c", None),
            ("a b", None),
            ("a\nb", None),
            ("../x", None),
            ("-", None),
            ("+", None),
        ] {
            assert_eq!(parse_user(text).ok().map(|user| user.to_string()).as_deref(), want, "{text}");
        }
    }

    /// Good lines among all that has ever led astray.
    const PASSWD: &[u8] = b"\
# comment
root:x:0:0:root:/root:/bin/sh
1000::0:0:a name that is a number:/evil:/bin/sh
app:x:1000:100:App:/home/app:/bin/sh
app:x:0:0:a second one:/evil:
:x:7:7:no name:/evil:
short:x
neg:x:-1:0::/evil:
plus:x:+5:0::/evil:
big:x:4294967296:0::/evil:
max:x:4294967295:0::/evil:
wrapped:x:2147483648:2147483648::/w:
badgid:x:8:many::/evil:
nul\0l:x:9:9::/evil:
+::::::
+nis:x:10:10::/evil:
#gone:x:16:16::/evil:
homeless:x:11:11
relative:x:12:12::evil/../..:
\xff\xfe:x:13:13::/\xff:
crlf:x:14:14::/crlf:/bin/sh\r
last:x:15:15::/last:";

    const GROUP: &[u8] = b"\
root:x:0:
100:x:1:
users:x:100:
audio:x:29:other,app,root
staff:x:50:app
staff:x:0:
again:x:29:app
prefix:x:51:ap,appendix,xapp
bad:x:-3:app
video:x:44
odd:x:53:,other,,
1000:x:45:1000
";

    #[test]
    fn the_tables_say_who_a_user_is() {
        for (text, added, want) in [
            ("app", "", Ok((1000, 100, vec![100, 29, 50], "/home/app"))),
            ("1000", "", Ok((1000, 100, vec![100, 29, 50], "/home/app"))),
            ("1000:0", "", Ok((1000, 0, vec![0], "/home/app"))),
            ("app:staff", "", Ok((1000, 50, vec![50], "/home/app"))),
            ("app:100", "", Ok((1000, 100, vec![100], "/home/app"))),
            ("app:100", "video 7 100 staff", Ok((1000, 100, vec![100, 44, 7, 50], "/home/app"))),
            ("root", "", Ok((0, 0, vec![0, 29], "/root"))),
            ("0:0", "", Ok((0, 0, vec![0], "/root"))),
            ("77", "", Ok((77, 0, vec![0], "/"))),
            ("77:78", "", Ok((77, 78, vec![78], "/"))),
            ("7", "", Ok((7, 0, vec![0], "/"))),
            ("wrapped", "", Ok((2_147_483_648, 2_147_483_648, vec![2_147_483_648], "/w"))),
            ("homeless", "", Ok((11, 11, vec![11], "/"))),
            ("relative", "", Ok((12, 12, vec![12], "/"))),
            ("crlf", "", Ok((14, 14, vec![14], "/crlf"))),
            ("last", "", Ok((15, 15, vec![15], "/last"))),
            ("10", "", Ok((10, 0, vec![0], "/"))),
            ("16", "", Ok((16, 0, vec![0], "/"))),
            ("nobody", "", Err("no user nobody in /etc/passwd")),
            ("short", "", Err("no user short in /etc/passwd")),
            ("neg", "", Err("no user neg in /etc/passwd")),
            ("plus", "", Err("no user plus in /etc/passwd")),
            ("big", "", Err("no user big in /etc/passwd")),
            ("max", "", Err("no user max in /etc/passwd")),
            ("badgid", "", Err("no user badgid in /etc/passwd")),
            ("nul", "", Err("no user nul in /etc/passwd")),
            ("app:nobody", "", Err("no group nobody in /etc/group")),
            ("app:bad", "", Err("no group bad in /etc/group")),
            ("app", "wheel", Err("no group wheel in /etc/group")),
        ] {
            let user = parse_user(text).unwrap();
            let added: Vec<_> =
                added.split_whitespace().map(|word| Principal::parse(word).unwrap()).collect();
            let got = identify(&user, &added, PASSWD, GROUP);
            let home = |found: &Identity| found.home.clone().unwrap().into_string().unwrap().split_off(5);
            let got = got.map(|found| (found.uid, found.gid, found.groups.clone(), home(&found)));
            let want =
                want.map(|(uid, gid, groups, home): (_, _, _, &str)| (uid, gid, groups, home.to_owned()));
            assert_eq!(got.map_err(|fault| fault.to_string()), want.map_err(str::to_owned), "{text}");
        }
    }

    #[test]
    fn without_tables_numbers_are_enough() {
        let found = identify(&parse_user("5").unwrap(), &[], b"", b"").unwrap();
        assert_eq!((found.uid, found.gid, found.groups), (5, 0, vec![0]));
        let found = identify(&User::ROOT, &[Principal::Id(3)], b"", b"").unwrap();
        assert_eq!((found.groups, found.home), (vec![0, 3], Some(c"HOME=/root".to_owned())));
        assert!(identify(&parse_user("root").unwrap(), &[], b"", b"").is_err());
    }
}
