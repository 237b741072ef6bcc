//! Words and numbers in texts, and names of files as texts, byte by byte. std does the same by letters of Unicode, with a
//! copy for each kind of number, pattern and string: 4 KB for what is 1 KB here.

use std::ffi::{CStr, CString, OsStr};
use std::fmt::{self, Display, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// A number without sign, as `parse` of std reads it: a `+` may stand before it. `None`: it is none, or too large.
pub(crate) fn number<T: TryFrom<u64>>(digits: impl AsRef<[u8]>) -> Option<T> {
    number_of(10, digits)
}

/// The same in digits of another base.
pub(crate) fn number_of<T: TryFrom<u64>>(base: u32, digits: impl AsRef<[u8]>) -> Option<T> {
    T::try_from(read(base, digits.as_ref())?).ok()
}

/// The same of 64 bits; not generic, since every type would bring a copy.
#[inline(never)]
fn read(base: u32, digits: &[u8]) -> Option<u64> {
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let add = |value: u64, digit: &u8| {
        let digit = char::from(*digit).to_digit(base)?;
        value.checked_mul(base.into())?.checked_add(digit.into())
    };
    if digits.is_empty() { None } else { digits.iter().try_fold(0, add) }
}

/// The same with a sign, or without.
pub(crate) fn signed(text: &str) -> Option<i64> {
    match text.strip_prefix("-") {
        Some(digits) if !digits.starts_with('+') => number::<i64>(digits).map(|number| -number),
        _ => number(text),
    }
}

/// Bytes of others as text: what is not UTF-8 becomes `U+FFFD`, as in `String::from_utf8_lossy`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shown<'a>(pub(crate) &'a [u8]);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = self.0;
        loop {
            match std::str::from_utf8(left) {
                Ok(text) => return f.write_str(text),
                Err(error) => {
                    let (good, bad) = left.split_at_checked(error.valid_up_to()).unwrap_or_default();
                    f.write_str(std::str::from_utf8(good).unwrap_or_default())?;
                    f.write_char(char::REPLACEMENT_CHARACTER)?;
                    left = error.error_len().and_then(|length| bad.get(length..)).unwrap_or_default();
                }
            }
        }
    }
}

/// What has a name that is bytes.
pub(crate) trait Show {
    /// The bytes, to be printed.
    fn shown(&self) -> Shown<'_>;
}

impl Show for OsStr {
    fn shown(&self) -> Shown<'_> {
        Shown(self.as_bytes())
    }
}

impl Show for Path {
    fn shown(&self) -> Shown<'_> {
        self.as_os_str().shown()
    }
}

impl Show for CStr {
    fn shown(&self) -> Shown<'_> {
        Shown(self.to_bytes())
    }
}

/// The folder of a path and the name in it, as dirname(1) and basename(1) tell them: slashes at the end do not count.
/// `None`: it is `/`, or a name without a folder.
pub(crate) fn folder_and_name(path: &Path) -> Option<(&Path, &OsStr)> {
    let path = without_slashes(path.as_os_str().as_bytes());
    let (folder, name) = path.split_at_checked(path.iter().rposition(|byte| *byte == b'/')?)?;
    let folder = match without_slashes(folder) {
        b"" => b"/",
        folder => folder,
    };
    Some((Path::new(OsStr::from_bytes(folder)), OsStr::from_bytes(name.get(1..)?)))
}

/// Whether two paths say the same, but for slashes at the end.
pub(crate) fn is_same_path(path: &Path, other: &Path) -> bool {
    let [path, other] = [path, other].map(|path| without_slashes(path.as_os_str().as_bytes()));
    path == other
}

/// What stands before the slashes at the end.
fn without_slashes(mut path: &[u8]) -> &[u8] {
    while let [before @ .., b'/'] = path {
        path = before;
    }
    path
}

/// What stands before and after the first of these letters, one of ASCII; as `split_once` of std.
#[inline(never)]
pub(crate) fn cut(text: &str, separator: u8) -> Option<(&str, &str)> {
    let at = text.bytes().position(|byte| byte == separator)?;
    Some((text.get(..at)?, text.get(at + 1..)?))
}

/// The parts of a text that stand between letters of ASCII; as `split` of std.
pub(crate) const fn parts(text: &str, separator: u8) -> Parts<'_> {
    Parts { left: Some(text), separator }
}

/// The lines of a text; the last may end with a newline. As `lines` of std, for files of Unix.
pub(crate) fn lines(text: &str) -> Parts<'_> {
    Parts {
        left: Some(text.strip_suffix("\n").unwrap_or(text)).filter(|_| !text.is_empty()),
        separator: b'\n',
    }
}

/// What stands after all `before` at the beginning.
pub(crate) fn without_leading<'a>(mut text: &'a str, before: &str) -> &'a str {
    while let Some(rest) = text.strip_prefix(before) {
        text = rest;
    }
    text
}

/// See [`parts`].
#[derive(Debug, Clone)]
pub(crate) struct Parts<'a> {
    /// What comes after the last one; `None` when that was the end.
    left: Option<&'a str>,
    /// What stands between them.
    separator: u8,
}

impl<'a> Parts<'a> {
    /// All that is left, with what stands between; `None` at the end.
    pub(crate) fn rest(self) -> Option<&'a str> {
        self.left
    }
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    #[inline(never)]
    fn next(&mut self) -> Option<&'a str> {
        let left = self.left?;
        let (part, rest) = cut(left, self.separator).map_or((left, None), |(part, rest)| (part, Some(rest)));
        self.left = rest;
        Some(part)
    }
}

/// What can be printed as a text; not generic, as `to_string` is.
#[inline(never)]
pub(crate) fn text_of(value: &dyn Display) -> String {
    value.to_string()
}

/// Texts in one, with something between them.
pub(crate) fn join(texts: &[impl AsRef<str>], between: &str) -> String {
    let mut joined = String::new();
    for (index, text) in texts.iter().enumerate() {
        joined.push_str(if index == 0 { "" } else { between });
        joined.push_str(text.as_ref());
    }
    joined
}

/// Bytes as the kernel wants them. EINVAL: there is a NUL among them.
pub(crate) fn c_string(bytes: impl AsRef<[u8]>) -> Result<CString, Errno> {
    make_c_string(bytes.as_ref())
}

/// Not generic, since every type would bring a copy.
#[inline(never)]
fn make_c_string(bytes: &[u8]) -> Result<CString, Errno> {
    CString::new(bytes).map_err(|_| Errno::EINVAL)
}

/// Such bytes for good.
pub(crate) fn from_bytes(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| Shown(error.as_bytes()).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_those_that_std_knows() {
        for text in [
            "",
            "+",
            "-",
            "0",
            "+0",
            "7",
            "007",
            "+12",
            "-1",
            "--1",
            "-+1",
            "++1",
            " 1",
            "1 ",
            "1_0",
            "0x1",
            "a",
            "255",
            "256",
            "4294967295",
            "4294967296",
            "18446744073709551615",
            "18446744073709551616",
            "9223372036854775807",
            "9223372036854775808",
            "-9223372036854775807",
            "99999999999999999999999",
            "1\u{e9}",
            "\u{661}",
        ] {
            assert_eq!(number::<u8>(text), text.parse().ok(), "{text}");
            assert_eq!(number::<u32>(text), text.parse().ok(), "{text}");
            assert_eq!(number::<u64>(text), text.parse().ok(), "{text}");
            assert_eq!(signed(text), text.parse().ok(), "{text}");
            for base in [8, 16] {
                assert_eq!(number_of(base, text), u64::from_str_radix(text, base).ok(), "{text}");
            }
        }
    }

    #[test]
    fn paths_are_split_as_std_splits_them() {
        for path in ["/", "//", "/a", "/a/", "/a/b", "/a/b//", "//a//b", "/a b/c", "/a/b/c", "a/b"] {
            let path = Path::new(path);
            let want = path.parent().and_then(|folder| Some((folder, path.file_name()?)));
            assert_eq!(folder_and_name(path), want, "{}", path.display());
            assert!(is_same_path(path, &path.join("")), "{}", path.display());
            assert!(!is_same_path(path, &path.join("x")), "{}", path.display());
        }
        assert_eq!(folder_and_name(Path::new("a")), None);
    }

    #[test]
    fn texts_are_cut_as_std_cuts_them() {
        for text in
            ["", "=", "a", "a=b", "=b", "a=", "a=b=c", "ä=ö=", "\n", "a\n", "a\n\nb", "\n\n", "a\nb\n"]
        {
            for letter in [b'=', b'\n'] {
                assert_eq!(cut(text, letter), text.split_once(char::from(letter)), "{text}");
                assert!(parts(text, letter).eq(text.split(char::from(letter))), "{text}");
            }
            assert!(lines(text).eq(text.lines()), "{text}");
        }
    }

    #[test]
    fn texts_are_joined() {
        assert_eq!(join(&["a", "b", "c"], ", "), "a, b, c");
        assert_eq!(join(&["a".to_owned()], ", "), "a");
        assert_eq!(join(&["", "b"], ", "), ", b");
        assert_eq!(join(&[""; 0], ", "), "");
    }

    #[test]
    fn what_is_no_text_is_replaced_as_std_does_it() {
        for bytes in [
            &b""[..],
            b"plain",
            b"\xc3\xa4",
            b"\xff",
            b"a\xffb",
            b"a\xc3",
            b"\xc3(",
            b"\xe2\x82",
            b"\xe2\x82(\xf0\x9f\x98b",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xc0\x80x\xff\xffy",
        ] {
            let want = String::from_utf8_lossy(bytes);
            assert_eq!(Shown(bytes).to_string(), want, "{bytes:?}");
            assert_eq!(from_bytes(bytes.to_vec()), want, "{bytes:?}");
        }
    }
}
