//! A reader of JSON (RFC 8259) for files of a known shape: strict, in one pass, without a tree and without memory.
//!
//! Whoever reads says what must come next; what comes instead is an error with its place. Nothing here calls itself, so
//! a file cannot be nested deeper than its reader goes. Words that are looked at are written without escapes.

use std::fmt::Display;

use crate::error::{Error, Result};
use crate::packed::{filled, packed};
use crate::text::{self, Shown};

/// The text, and how far it was read.
#[derive(Debug)]
pub(crate) struct Reader<'a> {
    /// All of it.
    text: &'a str,
    /// The next byte.
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the beginning.
    pub(crate) const fn new(text: &'a str) -> Self {
        Self { text, at: 0 }
    }

    /// An error at the place that was reached.
    #[cold]
    #[inline(never)]
    pub(crate) fn fail(&self, why: &dyn Display) -> Error {
        let (mut line, mut column) = (1, 1);
        for byte in self.text.bytes().take(self.at) {
            (line, column) = if byte == b'\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        Error::new(filled!("line {}, column {}: {}", [&line, &column, &why]))
    }

    /// An error about a word that means nothing here.
    #[cold]
    #[inline(never)]
    pub(crate) fn unknown(&self, word: &str) -> Error {
        self.fail(&filled!("not understood: {}", word))
    }

    /// The byte that was reached, 0 at the end.
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    /// The next byte that is no blank, 0 at the end.
    fn peek(&mut self) -> u8 {
        while matches!(self.byte(), b' ' | b'\t' | b'\r' | b'\n') {
            self.at += 1;
        }
        self.byte()
    }

    /// Takes this byte.
    #[inline(never)]
    fn take(&mut self, wanted: u8) -> Result<()> {
        if self.peek() != wanted {
            return Err(self.fail(&filled!("wanted is {}", Shown(&[wanted]))));
        }
        self.at += 1;
        Ok(())
    }

    /// Makes sure that nothing comes any more.
    ///
    /// # Errors
    /// Something comes.
    pub(crate) fn end(&mut self) -> Result<()> {
        self.peek();
        if self.at == self.text.len() { Ok(()) } else { Err(self.fail(&packed!("wanted is the end"))) }
    }

    /// An array, or null, as Go writes an empty one; `each` reads a member.
    ///
    /// # Errors
    /// Something else comes, or a member is wrong.
    pub(crate) fn array(&mut self, each: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.list(b'[', each)
    }

    /// What stands between two brackets.
    #[inline(never)]
    fn list(&mut self, open: u8, each: &mut dyn FnMut(&mut Self) -> Result<()>) -> Result<()> {
        if self.peek() == b'n' && self.text.get(self.at..self.at + 4) == Some("null") {
            self.at += 4;
            return Ok(());
        }
        self.take(open)?;
        let close = open + 2; // so it is in ASCII
        if self.peek() != close {
            loop {
                each(self)?;
                if self.peek() == close {
                    break;
                }
                self.take(b',')?;
            }
        }
        self.at += 1;
        Ok(())
    }

    /// An object, or null. `keys` has what may stand in it, with blanks between; `each` reads the value of the key of
    /// that number.
    ///
    /// # Errors
    /// Something else comes, another key or one twice, or a value is wrong.
    #[inline(never)]
    pub(crate) fn object(
        &mut self,
        keys: &str,
        each: &mut dyn FnMut(&mut Self, usize) -> Result<()>,
    ) -> Result<()> {
        let mut seen = 0u32;
        self.list(b'{', &mut |reader| {
            let index = reader.word("", keys)?;
            if seen >> index & 1 == 1 {
                return Err(reader.fail(&packed!("this stands here twice")));
            }
            seen |= 1 << index;
            reader.take(b':')?;
            each(reader, index)
        })
    }

    /// A string that is one of `words`, after a prefix: its number.
    ///
    /// # Errors
    /// It is none of them.
    #[inline(never)]
    pub(crate) fn word(&mut self, prefix: &str, words: &str) -> Result<usize> {
        let word = self.string()?;
        let place = word
            .strip_prefix(prefix)
            .and_then(|bare| text::parts(words, b' ').position(|other| other == bare));
        place.ok_or_else(|| self.unknown(word))
    }

    /// A string without escapes.
    ///
    /// # Errors
    /// Something else comes.
    #[inline(never)]
    pub(crate) fn string(&mut self) -> Result<&'a str> {
        let text = self.comment()?;
        if text.bytes().any(|byte| byte == b'\\') {
            return Err(self.fail(&packed!("a word with an escape is not understood")));
        }
        Ok(text)
    }

    /// A string that is not looked at: what is between its quotes.
    ///
    /// # Errors
    /// Something else comes.
    #[inline(never)]
    pub(crate) fn comment(&mut self) -> Result<&'a str> {
        self.take(b'"')?;
        let start = self.at;
        loop {
            match self.byte() {
                b'"' => break,
                b'\\' => self.at += 1,
                _ => {}
            }
            if self.byte() < b' ' {
                return Err(self.fail(&packed!("the string does not end on its line")));
            }
            self.at += 1;
        }
        self.at += 1;
        Ok(self.text.get(start..self.at - 1).unwrap_or_default())
    }

    /// A whole number without sign.
    ///
    /// # Errors
    /// Something else comes, or it has more than 64 bits.
    #[inline(never)]
    pub(crate) fn number(&mut self) -> Result<u64> {
        self.peek();
        let rest = self.text.get(self.at..).unwrap_or_default();
        let length = rest.bytes().position(|byte| !b"0123456789.eE+-".contains(&byte)).unwrap_or(rest.len());
        let digits = rest.get(..length).unwrap_or_default();
        let has_zeros = length > 1 && matches!(digits.as_bytes(), [b'0' | b'+', ..]);
        let number = text::number(digits).filter(|_| !has_zeros);
        let number = number.ok_or_else(|| self.fail(&packed!("wanted is a whole number below 2^64")));
        self.at += length;
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads `{"s": [strings], "n": number, "c": comment}` and says what was found.
    fn read(text: &str) -> Result<(Vec<&str>, u64)> {
        let (mut strings, mut number) = (Vec::new(), 0);
        let mut reader = Reader::new(text);
        reader.object("s n c", &mut |reader, key| {
            match key {
                0 => reader.array(&mut |reader| {
                    strings.push(reader.string()?);
                    Ok(())
                })?,
                1 => number = reader.number()?,
                _ => drop(reader.comment()?),
            }
            Ok(())
        })?;
        reader.end().map(|()| (strings, number))
    }

    #[test]
    fn what_is_json_is_understood() {
        for (text, strings, number) in [
            (r"{}", &[][..], 0),
            (" null\n", &[], 0),
            (r#"{"s":[],"n":18446744073709551615}"#, &[], u64::MAX),
            (" {\t\"n\" :\r\n 7 , \"s\" : [ \"a\" , \"\" ] } ", &["a", ""], 7),
            (r#"{"s": null, "n": 0}"#, &[], 0),
            (r#"{"c": "\"\\\/\b\f\n\r\t \u003c \\", "s": ["é"]}"#, &["é"], 0),
        ] {
            let got = read(text).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(got, (strings.to_vec(), number), "{text}");
        }
    }

    #[test]
    fn what_is_not_has_a_place() {
        for (text, want) in [
            ("", "line 1, column 1: wanted is {"),
            ("[]", "line 1, column 1: wanted is {"),
            ("nul", "line 1, column 1: wanted is {"),
            ("{", "line 1, column 2: wanted is \""),
            ("{}}", "line 1, column 3: wanted is the end"),
            ("{\n \"n\" 5}", "line 2, column 6: wanted is :"),
            ("{\"n\": 5,}", "line 1, column 9: wanted is \""),
            ("{\"n\": 5 \"s\": []}", "line 1, column 9: wanted is ,"),
            ("{\"n\": 5, \"n\": 5}", "line 1, column 13: this stands here twice"),
            ("{\"s\": [\"a\",]}", "line 1, column 12: wanted is \""),
            ("{\"s\": [\"a\"", "line 1, column 11: wanted is ,"),
            ("{\"s\": [5]}", "line 1, column 8: wanted is \""),
            ("{\"s\": [\"a\nb\"]}", "line 1, column 10: the string"),
            ("{\"s\": [\"a", "line 1, column 10: the string"),
            ("{\"s\": [\"a\\", "line 1, column 11: the string"),
            ("{\"s\": [\"\\u0061\"]}", "line 1, column 16: a word with an escape"),
            ("{\"n\": -1}", "line 1, column 7: wanted is a whole"),
            ("{\"n\": +1}", "line 1, column 7: wanted is a whole"),
            ("{\"n\": 1.5}", "line 1, column 7: wanted is a whole"),
            ("{\"n\": 1e3}", "wanted is a whole"),
            ("{\"n\": 01}", "wanted is a whole"),
            ("{\"n\": 18446744073709551616}", "wanted is a whole"),
            ("{\"n\": \"5\"}", "line 1, column 7: wanted is a whole"),
            ("{\"n\": true}", "wanted is a whole"),
            ("{\"n\": ", "wanted is a whole"),
            ("{\n\n  \"x\": 1}", "line 3, column 6: not understood: x"),
        ] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
