//! Texts at about 60 % of their length. The compiler packs them, so they stand in the source as they are read: help,
//! hints, errors. It is for sentences: a word of a few letters gains nothing, and what is compared is never packed.
//!
//! A byte below 128 is a letter; another is a code, for two letters or codes. Newlines and tabs are part of no code, so
//! a table of lines can be taken apart as it is.

use std::fmt::{self, Display, Write};

/// What the codes from 128 on stand for: in the texts of launcher, the two letters, or words before, that stand together
/// most often in what the words before have left. Any other list would do, only less well.
#[rustfmt::skip]
const WORDS: [&str; 128] = [
    "e ", "er", "s ", "t ", "th", "or", "in", "ed", "on", "an", "es", "ro", ", ", " n", "un", "il", "the ",
    " s", "--", "am", "er ", " a", "ch", "o ", "re", "d ", "ta", "y ", "us", "pa", "  ", "EN", "ot ", "le",
    "la", "is ", "it", "or ", "ma", "al", "ti", "de", "ne", "; ", "se", "em", "of", "st", "ted", "up", " f",
    "ce", "ENO", "ou", "co", "con", "l ", "not ", "ble", "en", ": ", "pro", "pace", "ames", "ha", "tion",
    "ow", "amespace", "li", "ck", "laun", "launch", "of ", "ON", "ot", "not", "ri", "to", "user", "ile ",
    "ith", "gro", "group", "ad", "in ", "a ", "with", "RE", "it ", "sy", "launcher ", "    ", "not ", "AD",
    "root", "ho", "pe", "su", "to ", "si", "ock", " namespace", "id", "com", "No ", "conta", "contain", "um",
    "oun", " re", "res", "ra", "and ", "RO", "out ", "ng", " is ", "es ", "ex", "able", "ata", "moun", "ED",
    "be", "r ", "sec", "host", "vi",
];

/// The words as codes.
struct Dictionary {
    /// By code, from 128 on: the two that it stands for.
    pairs: [[u8; 2]; WORDS.len()],
    /// By the two: the code; 0 if there is none.
    codes: [[u8; 256]; 256],
}

/// Only for the compiler: it is large.
static DICTIONARY: Dictionary = Dictionary::new();

/// What is left of it in launcher.
static PAIRS: [[u8; 2]; WORDS.len()] = DICTIONARY.pairs;

#[allow(clippy::indexing_slicing, reason = "at compile time, where a slip is an error")]
impl Dictionary {
    /// Learns the words one after the other.
    #[allow(clippy::large_stack_arrays, reason = "it is made by the compiler, for a static")]
    const fn new() -> Self {
        let mut known = Self { pairs: [[0; 2]; WORDS.len()], codes: [[0; 256]; 256] };
        let mut code = 128;
        while code < 256 {
            let (word, length) = known.pack::<16>(WORDS[code - 128]);
            assert!(length == 2, "a word is two letters or words before it");
            known.pairs[code - 128] = [word[0], word[1]];
            #[allow(clippy::cast_possible_truncation, reason = "it is below 256")]
            let short = code as u8;
            known.codes[word[0] as usize][word[1] as usize] = short;
            code += 1;
        }
        known
    }

    /// A text as codes, and how many they are.
    const fn pack<const LENGTH: usize>(&self, text: &str) -> ([u8; LENGTH], usize) {
        let (mut packed, mut length, mut at) = ([0; LENGTH], 0, 0);
        while at < text.len() {
            let mut code = text.as_bytes()[at];
            assert!(code < 128, "only ASCII has room beside the codes");
            while length > 0 && self.codes[packed[length - 1] as usize][code as usize] != 0 {
                length -= 1;
                code = self.codes[packed[length] as usize][code as usize];
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
        self.0.iter().try_for_each(|code| unpack(f, *code))
    }
}

impl From<Packed> for String {
    fn from(text: Packed) -> Self {
        text.to_string()
    }
}

/// A letter as it is, a code as the two that it stands for.
fn unpack(f: &mut fmt::Formatter<'_>, code: u8) -> fmt::Result {
    match PAIRS.get(usize::from(code).wrapping_sub(128)) {
        Some([first, second]) => {
            unpack(f, *first)?;
            unpack(f, *second)
        }
        None => f.write_char(code.into()),
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
        for (code, word) in (128..=255).zip(WORDS) {
            assert_eq!(Packed::new(Box::leak(Box::new([code]))).to_string(), word);
            assert!(!word.contains(['\n', '\t']), "lines and columns are taken apart packed");
        }
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
