//! Which devices may be opened, on the unified hierarchy: a program of the kernel's BPF machine, made as plain data.

use std::os::fd::AsFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::OFlag;

use crate::error::{Doing, Error, Result};
use crate::packed::packed;
use crate::spec::devices::{ANY, Rule};
use crate::sys;

/// Makes a `struct bpf_insn` of its fields; linux/bpf.h.
const fn instruction(code: u64, register: u64, skip: u64, value: u32) -> u64 {
    code | register << 8 | skip << 16 | (value as u64) << 32
}

/// `BPF_LDX | BPF_MEM | BPF_W`; the source is register 1, the `struct bpf_cgroup_dev_ctx` that we are asked about.
const LOAD: u64 = 0x1061;
/// `BPF_JMP | BPF_JSET | BPF_K`: skips where a bit is set.
const SKIP_IF_ANY: u64 = 0x45;
/// `BPF_JMP | BPF_JNE | BPF_K`: skips where it is another.
const SKIP_UNLESS: u64 = 0x55;
/// `BPF_ALU | BPF_MOV | BPF_K`.
const SET: u64 = 0xb4;
/// `BPF_JMP | BPF_EXIT`: the answer is in register 0.
const EXIT: u64 = 0x95;

/// The program that says 1 where a rule allows all that is asked, else 0. As in runc, crun and the old interface one rule
/// must do; rules for the same devices are one.
pub(crate) fn program(rules: &[Rule]) -> Vec<u64> {
    // Register 2: the type (block 1, char 2), and above 16 bits of it the access; 3 and 4: the numbers.
    let mut program =
        vec![instruction(LOAD, 2, 0, 0), instruction(LOAD, 3, 4, 0), instruction(LOAD, 4, 8, 0)];
    for rule in rules {
        let mut access = 0;
        for other in rules {
            if (Rule { access: 0, ..*other }) == (Rule { access: 0, ..*rule }) {
                access |= u32::from(other.access);
            }
        }
        let allowed = access << 16 | if rule.is_block { 1 } else { 2 };
        let unless = |register, skip, number| match number {
            ANY => instruction(SKIP_IF_ANY, register, skip, 0), // never
            number => instruction(SKIP_UNLESS, register, skip, number),
        };
        program.extend_from_slice(&[
            instruction(SKIP_IF_ANY, 2, 4, !allowed), // access and type at once: each type is a bit of its own
            unless(3, 3, rule.major),
            unless(4, 2, rule.minor),
            instruction(SET, 0, 0, 1),
            EXIT,
        ]);
    }
    program.extend_from_slice(&[instruction(SET, 0, 0, 0), EXIT]);
    program
}

/// Has a cgroup's processes open nothing but this.
///
/// # Errors
/// The kernel refuses.
pub(super) fn allow_devices(folder: &Path, rules: &[Rule]) -> Result<()> {
    let program = sys::bpf::load_device_program(&program(rules)).map_err(|errno| {
        let error = Error::os(packed!("load the program"), errno);
        match errno {
            Errno::EPERM => error.hint(super::ONLY_ROOT),
            Errno::EINVAL | Errno::ENOSYS => {
                error.hint(packed!("the kernel lacks CONFIG_CGROUP_BPF, or is older than 4.15"))
            }
            _ => error,
        }
    })?;
    let folder = sys::path::open(folder, OFlag::O_DIRECTORY).doing(packed!("open it"))?;
    sys::bpf::attach_device_program(folder.as_fd(), program.as_fd()).doing(packed!("attach the program"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::devices;

    /// What is asked: type (block 1, char 2), access, numbers.
    type Question = (u32, u32, u32, u32);

    /// The kernel's machine, as far as we use it; panics at what its verifier would refuse.
    fn ask(program: &[u64], (kind, access, major, minor): Question) -> u64 {
        let context = [access << 16 | kind, major, minor];
        let mut registers: [Option<u64>; 5] = [None; 5];
        let mut at = 0;
        loop {
            let [code, operands, skip_low, skip_high, value @ ..] = program[at].to_le_bytes();
            let (to, from) = (usize::from(operands & 15), operands >> 4);
            let skip = usize::from(u16::from_le_bytes([skip_low, skip_high])); // backwards would be out of range
            let value = u32::from_le_bytes(value);
            let wide = i64::from(value.cast_signed()).cast_unsigned();
            at += 1;
            match u64::from(code) {
                0x61 => {
                    assert_eq!((from, skip % 4), (1, 0));
                    registers[to] = Some(context[skip / 4].into());
                }
                0x45 if registers[to].unwrap() & wide != 0 => at += skip,
                0x55 if registers[to].unwrap() != wide => at += skip,
                0x45 | 0x55 => {}
                0xb4 => registers[to] = Some(value.into()),
                0x95 => return registers[0].unwrap(),
                code => panic!("no such instruction: {code:x}"),
            }
        }
    }

    /// The program for these rules.
    fn of(texts: &[&str]) -> (Vec<Rule>, Vec<u64>) {
        let mut rules = Vec::new();
        for text in texts {
            devices::parse(text, &mut rules).unwrap();
        }
        let program = program(&rules);
        (rules, program)
    }

    /// Every question that could make a difference.
    fn questions() -> Vec<Question> {
        const NUMBERS: [u32; 11] = [0, 1, 2, 3, 5, 8, 10, 136, 4095, 0xf_ffff, u32::MAX];
        let mut questions = Vec::new();
        for (kind, access) in (0..16).map(|bits| (1 + bits / 8, bits % 8)) {
            for major in NUMBERS {
                questions.extend(NUMBERS.map(|minor| (kind, access, major, minor)));
            }
        }
        questions
    }

    #[test]
    fn the_instructions_are_the_kernels() {
        let want: [u64; 10] = [
            0x0000_0000_0000_1261, // r2 = type and access
            0x0000_0000_0004_1361, // r3 = major
            0x0000_0000_0008_1461, // r4 = minor
            0xfff9_fffd_0004_0245, // not (r | w) of c: to the end
            0x0000_000a_0003_0355, // not major 10: to the end
            0x0000_00c8_0002_0455, // not minor 200: to the end
            0x0000_0001_0000_00b4,
            0x0000_0000_0000_0095,
            0x0000_0000_0000_00b4,
            0x0000_0000_0000_0095,
        ];
        assert_eq!(of(&["c 10:200 rw"]).1, want);
    }

    #[test]
    fn a_device_is_allowed_by_a_rule_and_by_nothing_else() {
        for texts in [
            &[][..],
            &["c 1:3 r"],
            &["b 8:* r", "b 8:0 w", "c 8:* m"],
            &["a 1:3 rw", "a *:* m"],
            &["a *:* rwm"],
            &["b *:5 r", "b 10:* w", "b 10:5 m"],
            &["a *:* m", "c 1:3 rwm", "c 136:* rwm", "c 10:200 rw", "b 8:1 r"],
        ] {
            let (rules, program) = of(texts);
            for question @ (kind, access, major, minor) in questions() {
                // Said in another way than by the program: for each place of its own.
                let places = |wanted: u32, own: u32| own == ANY || own == wanted;
                let allows = |rule: &Rule| {
                    let same = rules.iter().filter(|other| {
                        (other.is_block, other.major, other.minor) == (rule.is_block, rule.major, rule.minor)
                    });
                    let all = same.fold(0, |all, other| all | other.access);
                    rule.is_block == (kind == 1)
                        && places(major, rule.major)
                        && places(minor, rule.minor)
                        && access & !u32::from(all) == 0
                };
                let want = u64::from(rules.iter().any(allows));
                assert_eq!(ask(&program, question), want, "{texts:?} {question:?}");
            }
        }
    }

    #[test]
    fn answers_stand_as_people_read_them() {
        let (mut rules, _) = of(&["b 8:1 r"]);
        rules.splice(0..0, devices::DEFAULT);
        let program = program(&rules);
        for (question, want) in [
            ((2, 6, 1, 3), 1),
            ((2, 6, 1, 1), 0), // /dev/mem
            ((2, 1, 1, 1), 1), // to make a node is harmless
            ((2, 3, 1, 1), 0),
            ((1, 6, 1, 3), 0), // the numbers of null, but a block device: a RAM disk
            ((2, 6, 136, 77), 1),
            ((1, 2, 8, 1), 1),
            ((1, 4, 8, 1), 0),
            ((1, 6, 8, 1), 0),
            ((2, 2, 8, 1), 0),
            ((1, 10, 8, 1), 0), // an access that is yet to be invented
        ] {
            assert_eq!(ask(&program, question), want, "{question:?}");
        }
    }
}
