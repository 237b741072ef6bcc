//! Signals by name.

use crate::text;

/// Signals in the order of their numbers, from 1; signal(7), the numbering of every architecture we build for.
pub(crate) const NAMES: &str = "HUP INT QUIT ILL TRAP ABRT BUS FPE KILL USR1 SEGV USR2 PIPE ALRM TERM STKFLT CHLD CONT STOP TSTP \
                     TTIN TTOU URG XCPU XFSZ VTALRM PROF WINCH IO PWR SYS";

/// Second names.
const ALIASES: [(&str, &str); 3] = [("IOT", "ABRT"), ("CLD", "CHLD"), ("POLL", "IO")];

/// The first and last real-time signal as users count them: libc keeps two for itself.
const REAL_TIME: (i32, i32) = (34, 64);

/// A signal by name with or without SIG, in any case, by number from 1 to 64, or as RTMIN+n and RTMAX-n.
pub(crate) fn parse(text: &str) -> Option<i32> {
    if let Some(number) = text::number(text) {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |rest: &str, sign: &str, base: i32, factor: i32| {
        let offset: u8 = if rest.is_empty() { 0 } else { text::number(rest.strip_prefix(sign)?)? };
        let number = base + factor * i32::from(offset);
        (REAL_TIME.0..=REAL_TIME.1).contains(&number).then_some(number)
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return real_time(rest, "+", REAL_TIME.0, 1);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return real_time(rest, "-", REAL_TIME.1, -1);
    }
    let name = ALIASES.iter().find(|(alias, _)| *alias == name).map_or(name, |(_, name)| name);
    text::parts(NAMES, b' ').zip(1..).find(|(known, _)| *known == name).map(|(_, number)| number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_at_their_numbers() {
        for number in 1..=31 {
            let name = signal_hook::low_level::signal_name(number).unwrap_or("SIGSTKFLT");
            let name = if number == libc::SIGPWR { "SIGPWR" } else { name };
            assert_eq!(parse(name), Some(number), "{name}");
        }
        for (alias, number) in [("IOT", libc::SIGABRT), ("SIGPOLL", libc::SIGIO), ("CLD", libc::SIGCHLD)] {
            assert_eq!(parse(alias), Some(number));
        }
    }

    #[test]
    fn signals_have_names_numbers_and_offsets() {
        for (text, want) in [
            ("TERM", Some(15)),
            ("SIGTERM", Some(15)),
            ("sigkill", Some(9)),
            ("1", Some(1)),
            ("64", Some(64)),
            ("RTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("RTMAX-1", Some(63)),
            ("RTMAX", Some(64)),
            ("RTMIN+31", None),
            ("RTMIN-1", None),
            ("RTMIN+-1", None),
            ("RTMIN+2147483647", None),
            ("0", None),
            ("65", None),
            ("-1", None),
            ("TERMINATE", None),
            ("", None),
        ] {
            assert_eq!(parse(text), want, "{text}");
        }
    }
}
