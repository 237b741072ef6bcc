//! Who runs a program: what its first bytes say, for the words of an error.

use crate::packed::{Fill, filled};
use crate::sys;
use crate::text::{self, Shown};

/// What a script or a dynamic program asks the kernel to run it with; `None` if the file asks for nothing.
pub(super) fn interpreter_of(path: &str) -> Option<String> {
    let file =
        sys::fd::open_at(nix::fcntl::AT_FDCWD, &text::c_string(path).ok()?, nix::fcntl::OFlag::O_RDONLY)
            .ok()?;
    let mut head = [0; 4096];
    let length = nix::unistd::read(&file, &mut head).ok()?;
    asked_by(head.get(..length)?)
}

/// The same of a file whose first bytes these are.
pub(crate) fn asked_by(head: &[u8]) -> Option<String> {
    if let Some(line) = head.strip_prefix(b"#!") {
        let line = line.split(|byte| *byte == b'\n').next()?;
        let words = line.split(|byte| *byte == b' ' || *byte == b'\t');
        let first = words.into_iter().find(|word| !word.is_empty())?;
        let (first, end) = first.strip_suffix(b"\r").map_or((first, ""), |first| (first, "\\r"));
        return Some(filled!("{}{}", Shown(first), end).text());
    }
    elf_interpreter(head)
}

/// The PT_INTERP of an ELF file whose first bytes these are; elf(5). Only the byte order of this machine counts.
fn elf_interpreter(head: &[u8]) -> Option<String> {
    const PT_INTERP: u32 = 3;
    let is_64 = match head.get(..5)? {
        [0x7f, b'E', b'L', b'F', class] => *class == 2,
        _ => return None,
    };
    let half = |at: usize| head.get(at..at + 2)?.try_into().ok().map(u16::from_ne_bytes).map(usize::from);
    let word = |at: usize| head.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes);
    let wide = |at: usize| {
        let value =
            if is_64 { u64::from_ne_bytes(head.get(at..at + 8)?.try_into().ok()?) } else { word(at)?.into() };
        // Beyond the head nothing can be seen, and sums of what is in it are small.
        usize::try_from(value).ok().filter(|value| *value <= head.len())
    };
    let (table, size, count) =
        if is_64 { (wide(32)?, half(54)?, half(56)?) } else { (wide(28)?, half(42)?, half(44)?) };
    let entry = (0..count.min(64)).find_map(|index| {
        let entry = table + index * size;
        (word(entry)? == PT_INTERP).then_some(entry)
    })?;
    let (offset, length) =
        if is_64 { (wide(entry + 8)?, wide(entry + 32)?) } else { (wide(entry + 4)?, wide(entry + 16)?) };
    let text = head.get(offset..offset + length)?;
    let text = text.split(|byte| *byte == 0).next()?;
    Some(Shown(text).to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interpreter_of_this_very_program_is_found() {
        let own = std::env::current_exe().unwrap();
        let found = interpreter_of(own.to_str().unwrap());
        // The test program is dynamic on every host that cargo test runs on; a static one asks for nothing.
        assert!(found.is_none_or(|path| path.starts_with('/')));
        assert_eq!(elf_interpreter(b"\x7fELF\x02"), None, "cut short");
        assert_eq!(elf_interpreter(&[0x7f; 4096]), None, "no ELF");
    }

    #[test]
    fn a_file_that_lies_about_its_places_is_no_trouble() {
        // A header of 64 bytes, then one of PT_INTERP: file offset at +8, length at +32.
        let elf = |table: u64, offset: u64, length: u64| {
            let mut bytes = [&b"\x7fELF\x02\x01\x01"[..], &[0; 121], b"/ld.so\0"].concat();
            bytes[32..40].copy_from_slice(&table.to_ne_bytes());
            bytes[54] = 56;
            bytes[56] = 1;
            bytes[64] = 3;
            bytes[72..80].copy_from_slice(&offset.to_ne_bytes());
            bytes[96..104].copy_from_slice(&length.to_ne_bytes());
            bytes
        };
        assert_eq!(elf_interpreter(&elf(64, 128, 7)).as_deref(), Some("/ld.so"));
        for (table, offset, length) in
            [(u64::MAX - 1, 128, 7), (u64::MAX - 7, 128, 7), (64, u64::MAX - 2, 7), (64, 128, u64::MAX)]
        {
            assert_eq!(elf_interpreter(&elf(table, offset, length)), None, "{table} {offset} {length}");
        }
    }
}
