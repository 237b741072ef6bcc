//! What build.rs makes of the tables for one target: the map of groups, the names, the program of the default profile.
//! Nothing of this is in launcher; its tests use it for all targets.

use std::collections::BTreeMap;

use super::compile::{ARM, FIRST_PAIR, NO_SUCH_CALL, PRIVATE, SLOTS, compile};
use super::profile::{FILTERED_AFTER_TRACING, opened, rules};
use super::table::CALLS;

/// A target by Rust's name, its column in the table, and its `AUDIT_ARCH_*`.
pub(crate) const TARGETS: [(&str, usize, u32); 4] = [
    ("x86_64", 0, 0xc000_003e),
    ("aarch64", 1, 0xc000_00b7),
    ("riscv64", 1, 0xc000_00f3),
    ("arm", 2, 0x4000_0028),
];

/// The calls of a column: name, number, group.
pub(crate) fn calls(column: usize) -> Vec<(&'static str, u32, u16)> {
    let mut calls = Vec::new();
    for (group, text) in (0..).zip(CALLS) {
        for call in text.split("; ") {
            let words: Vec<_> = call.split(' ').collect();
            let number = if words.len() == 2 { words.get(1) } else { words.get(column + 1) };
            let number = number.and_then(|number| number.parse().ok());
            calls.extend(words.first().zip(number).map(|(name, number)| (*name, number, group)));
        }
    }
    calls
}

/// The small number that stands for a call; `None`: we have no room for it.
pub(crate) fn slot(number: u32) -> Option<u16> {
    let private = number.checked_sub(ARM).map(|private| private.saturating_add(PRIVATE.into()));
    let slot = u16::try_from(private.unwrap_or(number)).ok()?;
    (usize::from(slot) < SLOTS && (private.is_some() || slot < PRIVATE)).then_some(slot)
}

/// Where each group begins, as `profile::rules` wants it.
pub(crate) fn map(column: usize) -> Vec<u16> {
    let mut groups = [63; 1024];
    for (_, number, group) in calls(column) {
        if let Some(place) = slot(number).and_then(|slot| groups.get_mut(usize::from(slot))) {
            *place = group;
        }
    }
    let mut map: Vec<u16> = Vec::new();
    for (slot, group) in (0..).zip(groups) {
        if map.last().is_none_or(|last| last >> 10 != group) {
            map.push(slot | group << 10);
        }
    }
    map
}

/// The capabilities of a container by default, and that the kernel is new enough.
pub(crate) fn granted(caps: u64) -> u64 {
    caps | 1 << FILTERED_AFTER_TRACING
}

/// The default profile of a target.
pub(crate) fn program(machine: u32, map: &[u16], caps: u64) -> Vec<u64> {
    compile(machine, NO_SUCH_CALL, NO_SUCH_CALL, &rules(opened(granted(caps)), map))
}

/// Names in their order, each as a head and its letters; and the low bytes of their slots. A head is how many letters the name
/// shares with the one before, up to 15, and 16 times the high byte of its slot: below `0`, the first letter that a name has.
pub(crate) fn names(column: usize) -> (Vec<u8>, Vec<u8>) {
    let mut calls = calls(column);
    calls.sort_unstable();
    let (mut text, mut slots, mut before) = (Vec::new(), Vec::new(), "");
    for (name, number, _) in calls {
        let [high, low] = slot(number).unwrap_or_default().to_be_bytes();
        let shared = before.bytes().zip(name.bytes()).take(15).take_while(|(a, b)| a == b).count();
        text.extend(u8::try_from(shared).map(|shared| shared | high << 4));
        text.extend(name.bytes().skip(shared));
        slots.push(low);
        before = name;
    }
    (text, slots)
}

/// The same text with a byte for two letters, or pairs before, that stand together often; and the pairs.
pub(crate) fn paired(mut text: Vec<u8>) -> (Vec<u8>, Vec<[u8; 2]>) {
    let mut pairs = Vec::new();
    for code in FIRST_PAIR..=u8::MAX {
        let mut counts = BTreeMap::new();
        for two in text.windows(2).filter(|two| two.iter().all(|byte| *byte >= b'0')) {
            *counts.entry(<[u8; 2]>::try_from(two).unwrap_or_default()).or_insert(0) += 1;
        }
        // A pair costs two bytes itself.
        let Some((pair, 4..)) = counts.into_iter().max_by_key(|(_, count)| *count) else { break };
        let mut shorter: Vec<u8> = Vec::new();
        let mut left = text.iter().copied().peekable();
        while let Some(byte) = left.next() {
            let is_pair = left.peek().is_some_and(|next| [byte, *next] == pair);
            shorter.push(if is_pair { code } else { byte });
            if is_pair {
                left.next();
            }
        }
        text = shorter;
        pairs.push(pair);
    }
    (text, pairs)
}
