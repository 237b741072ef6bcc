//! Rules to a program for the kernel's filter machine (classic BPF): a decision tree over the numbers of the calls.
//!
//! build.rs has this file as well, so it uses nothing of ours. The program is written from its end, so that every
//! jump knows how far it goes; jumps are forward only and at most 255 instructions long, see [`Code::reach`]. An
//! instruction is `struct sock_filter` in a word: code, jump if true, jump if false, operand; all our machines are
//! little-endian.
#![allow(clippy::cast_possible_truncation, reason = "the halves of a word, and distances in a short program")]

/// `SECCOMP_RET_ALLOW`: the kernel does what it is asked.
pub(crate) const ALLOW: u32 = 0x7fff_0000;
/// `SECCOMP_RET_ERRNO`: the call fails with the number in the low half.
pub(crate) const ERRNO: u32 = 0x0005_0000;
/// `SECCOMP_RET_KILL_PROCESS`, Linux 4.14; an older kernel kills the thread.
pub(crate) const KILL: u32 = 0x8000_0000;
/// The answer of a kernel that has no such call: libraries then do without.
pub(crate) const NO_SUCH_CALL: u32 = ERRNO + 38;

/// Longest program that the kernel takes, `BPF_MAXINSNS`.
pub(crate) const LONGEST: usize = 4096;

/// From here on on numbers mean the calls of arm alone, which begin at [`ARM`]. Both leave room for new ones.
pub(crate) const PRIVATE: u16 = 512;
/// `__ARM_NR_BASE`.
pub(crate) const ARM: u32 = 0xf_0000;
/// How many calls there can be.
pub(crate) const SLOTS: usize = 520;
/// In the names of the calls, see generate.rs: the byte of the first pair of letters; all letters are below.
pub(crate) const FIRST_PAIR: u8 = b'z' + 1;
/// `__X32_SYSCALL_BIT`: numbers from here on are x32's, on x86-64 alone.
const X32: u32 = 0x4000_0000;

/// Load a word of what the filter is asked about, `BPF_LD | BPF_W | BPF_ABS`.
const LOAD: u16 = 0x20;
/// Go on elsewhere, `BPF_JMP | BPF_JA`.
const JUMP: u16 = 0x05;
/// Is it equal, `BPF_JMP | BPF_JEQ | BPF_K`.
const EQUAL: u16 = 0x15;
/// Is it greater, `BPF_JMP | BPF_JGT | BPF_K`.
const GREATER: u16 = 0x25;
/// Is it at least that, `BPF_JMP | BPF_JGE | BPF_K`.
const AT_LEAST: u16 = 0x35;
/// The answer, `BPF_RET | BPF_K`.
const RETURN: u16 = 0x06;
/// Look at these bits alone, `BPF_ALU | BPF_AND | BPF_K`.
const MASK: u16 = 0x54;

/// How an argument is compared, without sign.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Relation {
    /// What is left of it under the mask is the value.
    Equal,
    /// It is above the value.
    Greater,
    /// It is the value or above.
    AtLeast,
}

/// A condition on one argument.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Compare {
    /// Which argument, 0 to 5.
    pub(crate) arg: u8,
    /// How.
    pub(crate) relation: Relation,
    /// It is met where the relation does not hold.
    pub(crate) negated: bool,
    /// The bits that count; all but for [`Relation::Equal`].
    pub(crate) mask: u64,
    /// With what.
    pub(crate) value: u64,
}

/// What is answered to some calls. Of several rules for a call the first that is met counts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Rule {
    /// The calls, as [`number`] has them.
    pub(crate) calls: Vec<u16>,
    /// Must all be met; none is met always.
    pub(crate) compares: Vec<Compare>,
    /// One of them is enough.
    pub(crate) any: bool,
    /// `SECCOMP_RET_*`.
    pub(crate) action: u32,
}

/// The call that a small number stands for.
pub(crate) fn number(slot: u16) -> u32 {
    slot.checked_sub(PRIVATE).map_or(slot.into(), |private| ARM + u32::from(private))
}

/// What a call leads to.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Verdict {
    /// This answer.
    Return(u32),
    /// It depends on the arguments; what to do about it is not written yet.
    Depends,
    /// It depends on the arguments: go on here.
    At(usize),
}

/// The program for a machine (`AUDIT_ARCH_*`). A call of another machine kills. What no rule is about gets `default`,
/// and above the last call that any rule is about `newer`.
pub(crate) fn compile(machine: u32, default: u32, newer: u32, rules: &[Rule]) -> Vec<u64> {
    let mut verdicts = [Verdict::Return(default); SLOTS];
    let mut last = 0;
    for rule in rules.iter().rev() {
        let verdict = if rule.compares.is_empty() { Verdict::Return(rule.action) } else { Verdict::Depends };
        for call in &rule.calls {
            last = last.max(*call);
            if let Some(place) = verdicts.get_mut(usize::from(*call)) {
                *place = verdict;
            }
        }
    }
    let mut code = Code(Vec::new());
    let mut ranges = Vec::new();
    let mut before = None;
    for (slot, verdict) in (0..).zip(&verdicts) {
        let verdict = match verdict {
            _ if slot > last => Verdict::Return(newer),
            Verdict::Depends => Verdict::At(code.rules(slot, default, rules)),
            other => *other,
        };
        if before != Some(verdict) {
            ranges.push((number(slot), verdict));
            before = Some(verdict);
        }
    }
    // Another machine's numbers under the name of this one: never a way around.
    ranges.push((X32, Verdict::Return(NO_SUCH_CALL)));
    code.tree(&ranges);
    let known = code.put(LOAD, NUMBER, 0, 0);
    let foreign = code.put(RETURN, KILL, 0, 0);
    code.branch(EQUAL, machine, known, foreign);
    code.put(LOAD, MACHINE, 0, 0);
    code.0.reverse();
    code.0
}

/// Where the filter finds the number of the call; `struct seccomp_data`.
const NUMBER: u32 = 0;
/// Where it finds the machine.
const MACHINE: u32 = 4;
/// Where it finds the first of six arguments, eight bytes each.
const ARGUMENTS: u32 = 16;

/// Where it finds what the kernel takes where it takes 32 bits.
fn lower_half(arg: u8) -> u32 {
    ARGUMENTS + 8 * u32::from(arg)
}

/// A program in the making, the last instruction first. A place is an index.
struct Code(Vec<u64>);

impl Code {
    /// Writes an instruction in front of all others.
    fn put(&mut self, code: u16, operand: u32, yes: u64, no: u64) -> usize {
        self.0.push(u64::from(code) | yes << 16 | no << 24 | u64::from(operand) << 32);
        self.0.len() - 1
    }

    /// How many instructions lie between the next one and a place.
    fn distance(&self, place: usize) -> u64 {
        (self.0.len() - place - 1) as u64
    }

    /// A place from which it goes on like at `place`, near enough for the next two instructions.
    fn reach(&mut self, place: usize) -> usize {
        if self.distance(place) < 250 {
            return place;
        }
        match self.0.get(place) {
            Some(far) if *far & 0xffff == u64::from(RETURN) => self.returning((far >> 32) as u32),
            _ => self.put(JUMP, self.distance(place) as u32, 0, 0),
        }
    }

    /// A place with this answer.
    fn returning(&mut self, action: u32) -> usize {
        let wanted = u64::from(RETURN) | u64::from(action) << 32;
        let near = self.0.iter().rev().take(250).position(|other| *other == wanted);
        match near {
            Some(back) => self.0.len() - 1 - back,
            None => self.put(RETURN, action, 0, 0),
        }
    }

    /// Asks one question about what was loaded.
    fn branch(&mut self, question: u16, operand: u32, yes: usize, no: usize) -> usize {
        let yes = self.reach(yes);
        let no = self.reach(no);
        self.put(question, operand, self.distance(yes), self.distance(no))
    }

    /// Finds the range of a number, given by where each begins.
    fn tree(&mut self, ranges: &[(u32, Verdict)]) -> usize {
        let (below, above) = ranges.split_at(ranges.len() / 2);
        match (above, below.is_empty()) {
            ([(_, Verdict::At(place)), ..], true) => *place,
            ([(_, Verdict::Return(action)), ..], true) => self.returning(*action),
            ([(first, _), ..], false) => {
                let yes = self.tree(above);
                let no = self.tree(below);
                self.branch(AT_LEAST, *first, yes, no)
            }
            _ => self.returning(NO_SUCH_CALL),
        }
    }

    /// What the rules say about one call, the first one first.
    fn rules(&mut self, call: u16, default: u32, rules: &[Rule]) -> usize {
        let mut next = self.returning(default);
        for rule in rules.iter().rev().filter(|rule| rule.calls.contains(&call)) {
            // What is asked next is about what is loaded: nobody else goes there, so the load is not needed.
            if let [Compare { arg, mask: 0xffff_ffff, .. }] = rule.compares[..]
                && next + 1 == self.0.len()
                && self.0.last() == Some(&(u64::from(LOAD) | u64::from(lower_half(arg)) << 32))
            {
                self.0.pop();
                next -= 1;
            }
            let action = self.returning(rule.action);
            let mut place = if rule.any { next } else { action };
            for compare in rule.compares.iter().rev() {
                let (met, not_met) = if rule.any { (action, place) } else { (place, next) };
                place = self.compare(compare, met, not_met);
            }
            next = place;
        }
        next
    }

    /// Compares the two halves of an argument, the upper one first.
    fn compare(&mut self, compare: &Compare, met: usize, not_met: usize) -> usize {
        let (yes, no) = if compare.negated { (not_met, met) } else { (met, not_met) };
        let question = match compare.relation {
            Relation::Equal => EQUAL,
            Relation::Greater => GREATER,
            Relation::AtLeast => AT_LEAST,
        };
        let (mask, value) = (compare.mask, compare.value);
        let at = lower_half(compare.arg);
        self.branch(question, value as u32, yes, no);
        let lower = self.load(at, mask as u32);
        let (mask, value) = ((mask >> 32) as u32, (value >> 32) as u32);
        if mask == 0 && value == 0 {
            return lower;
        }
        let upper = self.branch(EQUAL, value, lower, no);
        if compare.relation != Relation::Equal {
            self.branch(GREATER, value, yes, upper);
        }
        self.load(at + 4, mask)
    }

    /// Loads half an argument for the question that stands at the front.
    fn load(&mut self, at: u32, mask: u32) -> usize {
        if mask != u32::MAX {
            self.put(MASK, mask, 0, 0);
        }
        self.put(LOAD, at, 0, 0)
    }
}
