//! A profile of the user's own, in docker's format, and what it means for this container on this kernel.
//!
//! It means what it means under docker and runc: a rule without conditions settles its calls wherever it stands; of others
//! the first that is met counts; a rule that says the same as the default is none; two conditions on one argument are
//! alternatives; names that we do not know are of a newer kernel and left out; a call newer than any that the profile
//! names is ENOSYS, unless it is allowed by default. Other machines' calls kill, whatever the profile lists: we have the
//! numbers of one machine.
#![allow(clippy::cast_possible_truncation, reason = "of numbers that are known to be small")]

use super::compile::{ALLOW, Compare, ERRNO, FIRST_PAIR, KILL, NO_SUCH_CALL, Relation, Rule, compile};
use super::generated::{MACHINE, NAMES, PAIRS, SLOTS};
use crate::error::Result;
use crate::packed::packed;
use crate::spec::caps::CapSet;
use crate::spec::json::Reader;
use crate::sys::seccomp::SPEC_ALLOW;
use crate::text::{self, number};

/// This machine's name in `arches`, Go's.
const ARCH: &str = if cfg!(target_arch = "x86_64") {
    "amd64"
} else if cfg!(target_arch = "aarch64") {
    "arm64"
} else if cfg!(target_arch = "arm") {
    "arm"
} else {
    "riscv64"
};

/// `SECCOMP_RET_TRACE`.
const TRACE: u32 = 0x7ff0_0000;
/// `SECCOMP_RET_LOG`, Linux 4.14.
const LOG: u32 = 0x7ffc_0000;

/// What follows `SCMP_ACT_`.
const ACTIONS: &str = "KILL KILL_THREAD KILL_PROCESS TRAP LOG ALLOW ERRNO TRACE";
/// What the kernel calls them. The last two have a number.
const RETURNS: [u32; 8] = [0, 0, KILL, 0x0003_0000, LOG, ALLOW, ERRNO, TRACE];

/// What follows `SCMP_CMP_`: relations, each before its negation.
const RELATIONS: &str = "EQ NE GT LE GE LT MASKED_EQ";

/// What follows `SECCOMP_FILTER_FLAG_`, in the order of the kernel's bits. TSYNC is for programs with threads.
const FLAGS: &str = "TSYNC LOG SPEC_ALLOW";

/// What conditions of a profile are about.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    /// What the capabilities of the container can ever be.
    pub(crate) bounding: u64,
    /// Major times 65536 and minor.
    pub(crate) kernel: u32,
}

/// A profile in the making.
struct Profile {
    /// See [`Facts`].
    facts: Facts,
    /// The names of all calls, in order.
    names: Vec<(Vec<u8>, u16)>,
    /// Those without conditions first.
    rules: Vec<Rule>,
    /// How many they are.
    settled: usize,
}

/// The program and the flags of a profile.
///
/// # Errors
/// It is no profile; the error has the place, not the file.
pub(crate) fn read(text: &str, facts: Facts) -> Result<(Vec<u64>, u32)> {
    let mut profile = Profile { facts, names: names(), rules: Vec::new(), settled: 0 };
    let (mut default, mut errno, mut flags) = (None, 1, SPEC_ALLOW);
    let mut reader = Reader::new(text);
    let keys = "comment defaultErrno defaultAction defaultErrnoRet architectures archMap flags syscalls";
    reader.object(keys, &mut |reader, key| {
        match key {
            0 | 1 => drop(reader.comment()?),
            2 => default = Some(reader.word("SCMP_ACT_", ACTIONS)?),
            3 => errno = reader.number()?,
            4 => reader.array(&mut |reader| reader.comment().map(drop))?,
            5 => reader.array(&mut machines)?,
            6 => {
                flags = 0;
                reader.array(&mut |reader| {
                    flags |= 1 << reader.word("SECCOMP_FILTER_FLAG_", FLAGS)?;
                    Ok(())
                })?;
                flags &= !1;
            }
            _ => reader.array(&mut |reader| profile.rule(reader))?,
        }
        Ok(())
    })?;
    reader.end()?;
    let default = action(&reader, default, errno)?;
    for rule in profile.rules.iter_mut().filter(|rule| rule.action == default) {
        rule.calls.clear();
    }
    let is_open = default == ALLOW || default == LOG || default & 0xffff_0000 == TRACE;
    let newer = if is_open { default } else { NO_SUCH_CALL };
    Ok((compile(MACHINE, default, newer, &profile.rules), flags))
}

/// An action by its place in [`ACTIONS`], in the kernel's form.
#[inline(never)]
fn action(reader: &Reader<'_>, place: Option<usize>, errno: u64) -> Result<u32> {
    let Some(action) = place.and_then(|place| RETURNS.get(place)) else {
        return Err(reader.fail(&packed!("no action is given")));
    };
    match errno as u32 {
        _ if *action != ERRNO && *action != TRACE => Ok(*action),
        // MAX_ERRNO: the kernel would make less of a larger one.
        small if errno <= 4095 => Ok(*action | small),
        _ => Err(reader.fail(&packed!("no such error number"))),
    }
}

/// An entry of `archMap`: well-formed, and of no consequence.
fn machines(reader: &mut Reader<'_>) -> Result<()> {
    reader.object("architecture subArchitectures", &mut |reader, key| match key {
        0 => reader.comment().map(drop),
        _ => reader.array(&mut |reader| reader.comment().map(drop)),
    })
}

impl Profile {
    /// An entry of `syscalls`.
    fn rule(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        let mut rule = Rule { calls: Vec::new(), compares: Vec::new(), any: false, action: 0 };
        let (mut name, mut errno, mut is_wanted, mut args) = (None, 1, true, 0);
        let keys = "comment errno names name action errnoRet args includes excludes";
        reader.object(keys, &mut |reader, key| {
            match key {
                0 | 1 => drop(reader.comment()?),
                2 => reader.array(&mut |reader| self.name(reader, &mut rule.calls))?,
                3 => self.name(reader, &mut rule.calls)?,
                4 => name = Some(reader.word("SCMP_ACT_", ACTIONS)?),
                5 => errno = reader.number()?,
                6 => reader.array(&mut |reader| {
                    let compare = compare(reader)?;
                    rule.any |= args >> compare.arg & 1 == 1;
                    args |= 1 << compare.arg;
                    rule.compares.push(compare);
                    Ok(())
                })?,
                _ => is_wanted &= self.holds(reader, key == 8)?,
            }
            Ok(())
        })?;
        rule.action = action(reader, name, errno)?;
        if is_wanted {
            let place = if rule.compares.is_empty() { self.settled } else { self.rules.len() };
            self.settled += usize::from(rule.compares.is_empty());
            self.rules.insert(place, rule);
        }
        Ok(())
    }

    /// The name of a call; one that this machine does not have, or that is younger than we, is passed over.
    fn name(&self, reader: &mut Reader<'_>, calls: &mut Vec<u16>) -> Result<()> {
        let name = reader.string()?.as_bytes();
        let place = self.names.binary_search_by(|(known, _)| known.as_slice().cmp(name)).ok();
        calls.extend(place.and_then(|place| self.names.get(place)).map(|(_, slot)| slot));
        Ok(())
    }

    /// Whether all `includes` hold, or none of the `excludes`.
    fn holds(&self, reader: &mut Reader<'_>, excludes: bool) -> Result<bool> {
        let mut result = true;
        reader.object("caps arches minKernel", &mut |reader, key| {
            match key {
                0 => reader.array(&mut |reader| {
                    let bits = CapSet::parse(reader.string()?).map_or(0, |caps| caps.0);
                    result &= (bits & self.facts.bounding != 0) != excludes;
                    Ok(())
                })?,
                1 => {
                    let (mut is_empty, mut is_ours) = (true, false);
                    reader.array(&mut |reader| {
                        is_ours |= reader.string()? == ARCH;
                        is_empty = false;
                        Ok(())
                    })?;
                    result &= is_empty || is_ours != excludes;
                }
                _ => {
                    let text = reader.string()?;
                    let (major, minor) = text::cut(text, b'.').unwrap_or_default();
                    let (Some(major), Some(minor)) = (number(major), number(minor)) else {
                        return Err(reader.fail(&packed!("wanted is a version such as 4.8")));
                    };
                    let is_there =
                        (u64::from(self.facts.kernel >> 16), u64::from(self.facts.kernel & 0xffff))
                            >= (major, minor);
                    result &= is_there != excludes;
                }
            }
            Ok(())
        })?;
        Ok(result)
    }
}

/// An entry of `args`.
fn compare(reader: &mut Reader<'_>) -> Result<Compare> {
    let (mut numbers, mut relation) = ([u64::MAX, 0, 0], usize::MAX);
    reader.object("index value valueTwo op", &mut |reader, key| {
        match numbers.get_mut(key) {
            Some(number) => *number = reader.number()?,
            None => relation = reader.word("SCMP_CMP_", RELATIONS)?,
        }
        Ok(())
    })?;
    let [index, value, second] = numbers;
    if index > 5 || relation > 6 {
        return Err(reader.fail(&packed!("wanted are an index from 0 to 5 and an op")));
    }
    let (mask, value) = if relation == 6 { (value, second) } else { (u64::MAX, value) };
    Ok(Compare {
        arg: index as u8,
        relation: match relation {
            2 | 3 => Relation::Greater,
            4 | 5 => Relation::AtLeast,
            _ => Relation::Equal,
        },
        negated: relation % 2 == 1,
        mask,
        value,
    })
}

/// The names of all calls, in order, with their slots; see generate.rs.
fn names() -> Vec<(Vec<u8>, u16)> {
    let mut names: Vec<(Vec<u8>, u16)> = Vec::with_capacity(SLOTS.len());
    let mut slots = SLOTS.iter();
    for byte in &NAMES {
        if *byte < b'0' {
            let shared = names.last().and_then(|(name, _)| name.get(..usize::from(byte % 16)));
            let low = slots.next().copied().unwrap_or_default();
            names.push((shared.unwrap_or_default().to_vec(), u16::from_be_bytes([byte / 16, low])));
        } else if let Some((name, _)) = names.last_mut() {
            spell(name, *byte);
        }
    }
    names
}

/// A letter of a name, or the two that a pair stands for.
fn spell(name: &mut Vec<u8>, byte: u8) {
    match PAIRS.get(usize::from(byte).wrapping_sub(FIRST_PAIR.into())) {
        Some([first, second]) => {
            spell(name, *first);
            spell(name, *second);
        }
        None => name.push(byte),
    }
}

#[cfg(test)]
#[path = "docker_tests.rs"]
mod tests;
