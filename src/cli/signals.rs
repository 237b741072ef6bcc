//! Signals by name.

use signal_hook::consts as signal;

/// Signals that have a name everywhere; signal(7).
#[rustfmt::skip]
const NAMES: &[(&str, i32)] = &[
    ("HUP", signal::SIGHUP), ("INT", signal::SIGINT), ("QUIT", signal::SIGQUIT), ("ILL", signal::SIGILL),
    ("TRAP", signal::SIGTRAP), ("ABRT", signal::SIGABRT), ("IOT", signal::SIGABRT), ("BUS", signal::SIGBUS),
    ("FPE", signal::SIGFPE), ("KILL", signal::SIGKILL), ("USR1", signal::SIGUSR1), ("SEGV", signal::SIGSEGV),
    ("USR2", signal::SIGUSR2), ("PIPE", signal::SIGPIPE), ("ALRM", signal::SIGALRM), ("TERM", signal::SIGTERM),
    ("STKFLT", libc::SIGSTKFLT), ("CHLD", signal::SIGCHLD), ("CONT", signal::SIGCONT), ("STOP", signal::SIGSTOP),
    ("TSTP", signal::SIGTSTP), ("TTIN", signal::SIGTTIN), ("TTOU", signal::SIGTTOU), ("URG", signal::SIGURG),
    ("XCPU", signal::SIGXCPU), ("XFSZ", signal::SIGXFSZ), ("VTALRM", signal::SIGVTALRM),
    ("PROF", signal::SIGPROF), ("WINCH", signal::SIGWINCH), ("IO", signal::SIGIO), ("POLL", signal::SIGIO),
    ("PWR", libc::SIGPWR), ("SYS", signal::SIGSYS),
];

/// The first and last real-time signal as users count them: libc keeps two for itself.
const REAL_TIME: (i32, i32) = (34, 64);

/// A signal by name with or without SIG, in any case, by number from 1 to 64, or as RTMIN+n and RTMAX-n.
pub(crate) fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=REAL_TIME.1).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |rest: &str, sign: char, base: i32, factor: i32| {
        let offset = if rest.is_empty() { 0 } else { rest.strip_prefix(sign)?.parse::<i32>().ok()? };
        let number = base + factor * offset;
        (offset >= 0 && (REAL_TIME.0..=REAL_TIME.1).contains(&number)).then_some(number)
    };
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return real_time(rest, '+', REAL_TIME.0, 1);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return real_time(rest, '-', REAL_TIME.1, -1);
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

#[cfg(test)]
mod tests {
    use super::*;

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
