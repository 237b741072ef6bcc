//! Texts at about 60 % of their length. The compiler packs them, so they stand in the source as they are read: help,
//! hints, errors. It is for sentences: a word of a few letters gains nothing, and what is compared is never packed.
//!
//! A byte is a letter or a code, for two letters or codes. Newlines and tabs are part of no code, so a table of lines can be
//! taken apart as it is.
//!
//! A `{}` is the place of a value, as in std's texts with values, which stand in the file as they are and whose values have
//! to be laid out in memory: one or two travel here in registers.

#![allow(clippy::inline_always, reason = "what only hands a text on, taken apart into registers: 3 KB less")]

use std::fmt::{self, Display, Write};

use crate::text::{Shown, text_of};

/// What the codes stand for: in the texts of launcher, the two letters, or words before, that stand together most often in
/// what the words before have left. Any other list would do, only less well. Two are empty: their codes are newline and tab.
#[rustfmt::skip]
const WORDS: [&str; 160] = [
    "e ", "s ", "er", "th", "t ", "in", "or", "d ", "the ", "on", ", ", "ro", "an", "es", "un", "er ", "--", "o ",
    "am", "a ", "il", "it", ": ", "en", "ch", "or ", "is ", "pa", "ne", "re", "se", "st", "y ", "ma", "it ", "no",
    "of", "la", "ed", "al", "nam", "use", "of ", "mo", "ta", "de", "op", "not ", "user", "es ", "le", "pro", "  ",
    "; ", "pac", "to ", "up", "{} ", "in ", "on ", "ed ", "ti", "l ", "ho", "ot", "names", "namespac", "co", "root",
    "at ", "moun", "con", "fil", "and ", "lo", "li", "si", "laun", "launch", "as ", "en ", "gro", "group", "no ",
    "wit", "p ", "ar", "namespace", "ble", "k ", "com", "EN", "ad", "sy", "ker", "ou", "dev", "mak", "an ", "iv",
    "w ", "for ", "ON", "ol", "ic", "h ", "launcher ", "mount ", " namespace", "em", "be", "r ", "proc", ", or ",
    "id", "do", "file ", "make ", "ram", "rootf", "wh", "su", "kerne", "open ", "ted ", "um", "pe", "sec", "that ",
    "need", "rit", "with ", "ch ", "its ", "host", "ex", "lim", "", "", "needs ", "conta", "contain", "FI", "    ",
    "ut ", "tion ", "ENO", "ter ", "ver", "prog", "to", "to ", "read", " {}", "ata", "CON", "program", "olde",
    "cgroup", "/{}",
];

/// The code of a word: from 128 on, and when these are used up from 0 on, where no letters are.
#[allow(clippy::cast_possible_truncation, reason = "it is meant to begin anew")]
const fn code_of(word: usize) -> u8 {
    (word as u8).wrapping_add(128)
}

/// The words as codes.
struct Dictionary {
    /// By word: the two that its code stands for; newlines if there is none.
    pairs: [[u8; 2]; WORDS.len()],
    /// By the two: the code.
    codes: [[Option<u8>; 256]; 256],
}

/// Only for the compiler: it is large.
static DICTIONARY: Dictionary = Dictionary::new();

/// The letter that a `{}` becomes.
const PLACE: u8 = 127;

/// What is left of it in launcher.
static PAIRS: [[u8; 2]; WORDS.len()] = DICTIONARY.pairs;

#[allow(clippy::indexing_slicing, reason = "at compile time, where a slip is an error")]
impl Dictionary {
    /// Learns the words one after the other.
    #[allow(clippy::large_stack_arrays, reason = "it is made by the compiler, for a static")]
    const fn new() -> Self {
        let mut known = Self { pairs: [[b'\n'; 2]; WORDS.len()], codes: [[None; 256]; 256] };
        let mut number = 0;
        while number < WORDS.len() {
            let (word, length) = known.pack::<16>(WORDS[number]);
            assert!(
                length == 2 || matches!(code_of(number), b'\n' | b'\t'),
                "two letters or words before it"
            );
            if length == 2 {
                known.pairs[number] = [word[0], word[1]];
                known.codes[word[0] as usize][word[1] as usize] = Some(code_of(number));
            }
            number += 1;
        }
        known
    }

    /// A text as codes, and how many they are.
    const fn pack<const LENGTH: usize>(&self, text: &str) -> ([u8; LENGTH], usize) {
        let (mut packed, mut length, mut at) = ([0; LENGTH], 0, 0);
        while at < text.len() {
            let mut code = text.as_bytes()[at];
            assert!(matches!(code, b'\n' | b'\t' | b' '..=b'~'), "others have no room beside the codes");
            if code == b'{' && at + 1 < text.len() && text.as_bytes()[at + 1] == b'}' {
                at += 1;
                code = PLACE;
            }
            while length > 0
                && let Some(both) = self.codes[packed[length - 1] as usize][code as usize]
            {
                length -= 1;
                code = both;
            }
            packed[length] = code;
            length += 1;
            at += 1;
        }
        (packed, length)
    }
}

/// For [`packed!`]: packs.
pub(crate) const fn pack<const LENGTH: usize>(text: &str) -> ([u8; LENGTH], usize) {
    DICTIONARY.pack(text)
}

/// For [`filled!`]: how many places a text has.
#[allow(clippy::indexing_slicing, reason = "at compile time, where a slip is an error")]
pub(crate) const fn places(text: &str) -> usize {
    let (mut count, mut at) = (0, 1);
    while at < text.len() {
        count += (text.as_bytes()[at - 1] == b'{' && text.as_bytes()[at] == b'}') as usize;
        at += 1;
    }
    count
}

/// For [`packed!`]: the first of them.
#[allow(clippy::indexing_slicing, reason = "at compile time, where a slip is an error")]
pub(crate) const fn first<const LENGTH: usize>(of: &[u8]) -> [u8; LENGTH] {
    let (mut bytes, mut at) = ([0; LENGTH], 0);
    while at < LENGTH {
        bytes[at] = of[at];
        at += 1;
    }
    bytes
}

/// `packed!("text")`: the [`Packed`] of a constant text.
macro_rules! packed {
    ($text:expr) => {{
        const PLAIN: &str = $text;
        const CODED: ([u8; PLAIN.len()], usize) = $crate::packed::pack(PLAIN);
        const PACKED: [u8; CODED.1] = $crate::packed::first(&CODED.0);
        $crate::packed::Packed::new(&PACKED)
    }};
}
pub(crate) use packed;

/// `filled!("text {} text", value)`: a packed text with a value in each place. A name (a text, or bytes as [`Shown`]), or two of
/// them; or a reference to what can be printed; or in brackets references to any number of such things.
macro_rules! filled {
    (@checked $text:expr, $count:expr) => {{
        const { assert!($crate::packed::places($text) == $count, "a value for each place") };
        $crate::packed::packed!($text)
    }};
    ($text:expr, [$($value:expr),+]) => {
        $crate::packed::Filled(filled!(@checked $text, [$(stringify!($value)),+].len()), &[$($value),+])
    };
    ($text:expr, $value:expr) => { $crate::packed::Value::fill($value, filled!(@checked $text, 1)) };
    ($text:expr, $first:expr, $second:expr) => {
        $crate::packed::Names(
            filled!(@checked $text, 2), $crate::packed::Name::bytes($first), $crate::packed::Name::bytes($second))
    };
}
pub(crate) use filled;

/// A packed text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Packed(&'static [u8]);

impl Packed {
    /// For [`packed!`].
    pub(crate) const fn new(codes: &'static [u8]) -> Self {
        Self(codes)
    }

    /// What stands before, between or after newlines or tabs; empty if there are not so many.
    pub(crate) fn part(self, index: usize, separator: u8) -> Self {
        Self(self.0.split(|code| *code == separator).nth(index).unwrap_or_default())
    }

    /// Whether there is no text.
    pub(crate) const fn is_empty(self) -> bool {
        self.0.is_empty()
    }
}

impl Display for Packed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        unpack(f, *self, &[])
    }
}

impl From<Packed> for String {
    fn from(text: Packed) -> Self {
        text.to_string()
    }
}

/// A text with a name.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a>(pub(crate) Packed, pub(crate) &'a [u8]);

/// A text with two names.
#[derive(Clone, Copy)]
pub(crate) struct Names<'a>(pub(crate) Packed, pub(crate) &'a [u8], pub(crate) &'a [u8]);

/// A text with one value.
#[derive(Clone, Copy)]
pub(crate) struct One<'a>(pub(crate) Packed, pub(crate) &'a dyn Display);

/// A text with any number.
#[derive(Clone, Copy)]
pub(crate) struct Filled<'a>(pub(crate) Packed, pub(crate) &'a [&'a dyn Display]);

/// What is a name.
pub(crate) trait Name<'a> {
    /// As bytes.
    fn bytes(self) -> &'a [u8];
}

impl<'a> Name<'a> for &'a str {
    fn bytes(self) -> &'a [u8] {
        self.as_bytes()
    }
}

impl<'a> Name<'a> for Shown<'a> {
    fn bytes(self) -> &'a [u8] {
        self.0
    }
}

/// What can be the one value of a text.
pub(crate) trait Value {
    /// The text with it.
    type Text;
    /// Puts it in its place.
    fn fill(self, text: Packed) -> Self::Text;
}

impl<'a> Value for &'a str {
    type Text = Named<'a>;
    fn fill(self, text: Packed) -> Named<'a> {
        Named(text, self.as_bytes())
    }
}

impl<'a> Value for Shown<'a> {
    type Text = Named<'a>;
    fn fill(self, text: Packed) -> Named<'a> {
        Named(text, self.0)
    }
}

impl<'a, T: Display> Value for &'a T {
    type Text = One<'a>;
    fn fill(self, text: Packed) -> One<'a> {
        One(text, self)
    }
}

/// What can be done with all of them. The functions take names and values one by one, in registers: where they are called
/// nothing has to be laid out in memory.
pub(crate) trait Fill: Sized {
    /// Calls it with the text and its values.
    fn put(self, f: &mut fmt::Formatter<'_>) -> fmt::Result;
    /// Makes it a text of its own.
    fn text(self) -> String;
}

/// The functions of a kind of text, and how its values are printed.
macro_rules! fill {
    ($kind:ident($($value:ident: $of:ty),*): $values:expr, $put:ident, $text:ident) => {
        impl Fill for $kind<'_> {
            #[inline(always)]
            fn put(self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let $kind(text, $($value),*) = self;
                $put(f, text, $($value),*)
            }

            #[inline(always)]
            fn text(self) -> String {
                let $kind(text, $($value),*) = self;
                $text(text, $($value),*)
            }
        }

        impl Display for $kind<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.put(f)
            }
        }

        /// See [`Fill::put`].
        #[inline(never)]
        fn $put(f: &mut fmt::Formatter<'_>, text: Packed, $($value: $of),*) -> fmt::Result {
            unpack(f, text, $values)
        }

        /// See [`Fill::text`].
        #[inline(never)]
        fn $text(text: Packed, $($value: $of),*) -> String {
            text_of(&$kind(text, $($value),*))
        }
    };
}
fill!(Named(name: &[u8]): &[&Shown(name)], put_named, text_named);
fill!(Names(first: &[u8], second: &[u8]): &[&Shown(first), &Shown(second)], put_names, text_names);
fill!(One(value: &dyn Display): &[value], put_one, text_one);
fill!(Filled(values: &[&dyn Display]): values, put_all, text_all);

/// Writes a text with its values.
fn unpack(f: &mut fmt::Formatter<'_>, text: Packed, mut values: &[&dyn Display]) -> fmt::Result {
    text.0.iter().try_for_each(|code| unpack_code(f, *code, &mut values))
}

/// A letter as it is, a code as the two that it stands for, a place as the value that comes next.
fn unpack_code(f: &mut fmt::Formatter<'_>, code: u8, values: &mut &[&dyn Display]) -> fmt::Result {
    let pair = PAIRS.get(usize::from(code.wrapping_sub(code_of(0))));
    if let Some([first, second]) = pair.filter(|[first, _]| *first != b'\n') {
        unpack_code(f, *first, values)?;
        return unpack_code(f, *second, values);
    }
    match (code, *values) {
        (PLACE, [value, rest @ ..]) => {
            *values = rest;
            value.fmt(f)
        }
        _ => f.write_char(code.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_come_out_as_they_went_in() {
        const LETTERS: &str = "\t\n !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~";
        assert_eq!(packed!(LETTERS).to_string(), LETTERS);
        assert_eq!(packed!("").to_string(), "");
        let text = packed!("the container of the launcher is not there");
        assert_eq!(text.to_string(), "the container of the launcher is not there");
        assert!(text.0.len() < 26, "{}", text.0.len());
    }

    #[test]
    fn every_word_has_its_code() {
        for (code, word) in (0..).map(code_of).zip(WORDS).filter(|(_, word)| !word.is_empty()) {
            let text = Packed::new(Box::leak(Box::new([code])));
            let text = Filled(text, &[&"{}", &"{}"]).to_string();
            assert_eq!(text, word);
            assert!(!word.contains(['\n', '\t']), "lines and columns are taken apart packed");
        }
    }

    #[test]
    fn values_stand_in_their_places() {
        assert_eq!(filled!("open {}", "x").text(), "open x");
        assert_eq!(filled!("open {} to {}", "x", Shown(b"\xff")).to_string(), "open x to \u{fffd}");
        assert_eq!(filled!("{}", &5).text(), "5");
        assert_eq!(filled!("{}{} in {}", [&1, &'c', &"{}"]).text(), "1c in {}");
        assert_eq!(packed!("{}").to_string(), "\u{7f}", "a place without a value");
    }

    #[test]
    fn tables_are_taken_apart() {
        let text = packed!("the first\tline\nand another\t");
        let line = |index| text.part(index, b'\n');
        assert_eq!(line(0).part(0, b'\t').to_string(), "the first");
        assert_eq!(line(0).part(1, b'\t').to_string(), "line");
        assert_eq!(line(1).part(0, b'\t').to_string(), "and another");
        assert!(line(1).part(1, b'\t').is_empty() && line(2).is_empty());
    }
}
