//! Prints facts from inside a container. Static, so that an empty rootfs is enough for it.
//!
//! `probe signals N`: prints `ready`, then the number of each of N signals as it arrives, in order; ends with 0, or on
//! SIGTERM with 42. `probe orphans N`: makes N orphans that exit at once, then prints `zombies K` when all are gone.
//! `probe fds`: prints the open descriptors. `probe pause`: prints `ready` and waits for ever.
//! `probe die N`: kills itself with signal N. `probe adopted N`: makes N orphans, prints `adopted K` when K of them were
//! given to our parent, then `zombies 0` when it has reaped them. `probe family`: prints `ready`; after SIGUSR1 and then
//! SIGUSR2 prints `child got USR1` or `child got nothing` of a child in our process group. `probe escaped`: the same
//! with a child that leads a session of its own. `probe value`: prints `ready`, then of the next signal its number and
//! the value that was queued with it. `probe storm SEED`: storm.rs. `probe inject`: types an `x` on
//! each terminal that it can get at, prints `injected K`. `probe calls`,
//! `probe numbers LAST`, `probe reach NUMBERS`, `probe foreign DOOR`: calls.rs. `probe attack`, `probe hold`, `probe watch`: attack.rs.
//! `probe escape FILE`: escape.rs. `probe stamp`: has the kernel write the time into its log, and waits for ever.
#![allow(
    unsafe_code,
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::exit,
    reason = "a test program"
)]

mod attack;
mod calls;
mod escape;
mod siginfo;
mod storm;

use std::io::Write;

use siginfo::Info;

/// The kernel's signal set; libc's hides numbers from 32 on that the tests want to see.
static ALL: u64 = u64::MAX;

/// Prints a line at once.
fn say(text: &str) {
    println!("{text}");
    std::io::stdout().flush().ok();
}

/// Lets only SIGKILL and SIGSTOP through.
fn block_all() {
    // SAFETY: the kernel reads the set and writes nothing.
    unsafe {
        libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_BLOCK, &raw const ALL, 0usize, size_of::<u64>())
    };
}

/// Sleeps until a signal comes and says which.
fn next_signal() -> i32 {
    next_with_info().0
}

/// The same with what came along.
fn next_with_info() -> (i32, Info) {
    loop {
        let mut info = Info::default();
        // SAFETY: the kernel reads the set and fills the info, which has its size; there is no time-out.
        let number = unsafe {
            libc::syscall(libc::SYS_rt_sigtimedwait, &raw const ALL, &raw mut info, 0usize, size_of::<u64>())
        };
        // EINTR: we were stopped and continued.
        if number > 0 {
            return (i32::try_from(number).unwrap_or(0), info);
        }
    }
}

/// Blocks every signal but the fatal ones, says so, and reports what comes.
fn signals(count: usize) -> i32 {
    block_all();
    say("ready");
    for _ in 0..count {
        let number = next_signal();
        say(&number.to_string());
        if number == libc::SIGTERM {
            return 42;
        }
    }
    0
}

/// Reports one signal and what sigqueue(3) sent along; 0 where it was sent by kill(2).
fn value() -> i32 {
    block_all();
    say("ready");
    let (number, info) = next_with_info();
    say(&format!("{number} {}", info.sent.value));
    0
}

/// The kernel's `struct sigaction` for what a signal does by itself.
static DEFAULT: [u64; 4] = [0; 4];

/// Ends by a signal; what Rust's runtime did to SIGPIPE, and the parent's libc to its own signals, is put back.
fn die(number: usize) -> i32 {
    let number = i32::try_from(number).unwrap_or(0);
    // SAFETY: all zero is SIG_DFL in the kernel's struct; libc's signal refuses the numbers that it uses itself.
    unsafe { libc::syscall(libc::SYS_rt_sigaction, number, &raw const DEFAULT, 0usize, size_of::<u64>()) };
    let own = std::process::id();
    // SAFETY: takes two integers; libc's kill would do as well.
    unsafe { libc::syscall(libc::SYS_kill, own, number) };
    1
}

/// Makes a child and says in which of the two processes we are: `None` in the child.
fn fork() -> Option<i32> {
    // SAFETY: single-threaded; both sides may do what they like.
    let pid = unsafe { libc::fork() };
    (pid != 0).then_some(pid)
}

/// Waits for the end of a child.
fn reap(child: i32) {
    // SAFETY: no status is asked for.
    unsafe { libc::waitpid(child, std::ptr::null_mut(), 0) };
}

/// Ends a forked child without our buffers and handlers.
fn leave(status: i32) -> ! {
    // SAFETY: does not return and touches no memory.
    unsafe { libc::_exit(status) }
}

/// Children whose parent dies first: PID 1 has to reap each of them.
fn orphans(count: usize) -> i32 {
    for _ in 0..count {
        match fork() {
            None => {
                fork(); // the grandchild becomes an orphan
                leave(0);
            }
            Some(child) => reap(child),
        }
    }
    while others() > 0 {
        std::thread::yield_now();
    }
    say("zombies 0");
    0
}

/// Orphans that look who adopts them; whoever is not PID 1 must be a subreaper for that.
fn adopted(count: usize) -> i32 {
    let (Some(parent), Ok((reader, mut writer))) = (parent(), std::io::pipe()) else { return 1 };
    for _ in 0..count {
        match fork() {
            None => {
                let middle = std::process::id();
                if fork().is_none() {
                    while self::parent() == Some(middle) {
                        std::thread::yield_now();
                    }
                    let adopter = self::parent().unwrap_or(0);
                    writer.write_all(&[u8::from(adopter == parent)]).ok();
                }
                leave(0);
            }
            Some(child) => reap(child),
        }
    }
    drop(writer); // the end of the pipe: all have said it
    let answers = std::io::read_to_string(reader).unwrap_or_default();
    say(&format!("adopted {}", answers.bytes().filter(|answer| *answer == 1).count()));
    let own = std::process::id().to_string();
    while children_of(parent).trim() != own {
        std::thread::yield_now();
    }
    say("zombies 0");
    0
}

/// The process that we are a child of.
fn parent() -> Option<u32> {
    // SAFETY: takes nothing, cannot fail.
    u32::try_from(unsafe { libc::getppid() }).ok()
}

/// The children of a process, zombies included.
fn children_of(pid: u32) -> String {
    std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default()
}

/// A child in our process group, or in a session of its own, that takes no signal: what was sent to it stays pending.
fn family(escapes: bool) -> i32 {
    block_all();
    let Some(child) = fork() else {
        if escapes {
            // SAFETY: takes nothing; a new process leads no group.
            unsafe { libc::setsid() };
        }
        loop {
            std::thread::park();
        }
    };
    // SAFETY: takes an integer.
    while escapes && unsafe { libc::getsid(child) } != child {
        std::thread::yield_now();
    }
    say("ready");
    // USR2 is sent after USR1 by one process: when the second is here, the first has gone to all that it went to.
    while next_signal() != libc::SIGUSR2 {}
    let status = std::fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
    let pending = status.lines().find_map(|line| line.strip_prefix("ShdPnd:"));
    let pending = pending.and_then(|set| u64::from_str_radix(set.trim(), 16).ok()).unwrap_or(0);
    let got = pending >> (libc::SIGUSR1 - 1) & 1 == 1;
    // SAFETY: takes two integers.
    unsafe { libc::kill(child, libc::SIGKILL) };
    reap(child);
    say(if got { "child got USR1" } else { "child got nothing" });
    0
}

/// How many processes there are besides PID 1 and us.
fn others() -> usize {
    let own = std::process::id().to_string();
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().into_string().ok());
    pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()) && *name != own && name != "1").count()
}

/// Says which descriptors are open.
fn fds() -> i32 {
    let mut open: Vec<i32> = (0..1024)
        // SAFETY: F_GETFD takes integers only.
        .filter(|fd| unsafe { libc::fcntl(*fd, libc::F_GETFD) } >= 0)
        .collect();
    open.sort_unstable();
    say(&open.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    0
}

/// TIOCSTI on the standard streams, the controlling terminal, and every descriptor of PID 1.
fn inject() -> i32 {
    let paths =
        (0..3).map(|fd| format!("/proc/1/fd/{fd}")).chain(["/dev/tty".to_owned(), "/dev/console".to_owned()]);
    let opened: Vec<_> = paths.filter_map(|path| std::fs::File::open(path).ok()).collect();
    let all = opened.iter().map(std::os::fd::AsRawFd::as_raw_fd).chain(0..3);
    // SAFETY: the kernel reads one byte.
    let type_on = |fd| unsafe { libc::ioctl(fd, libc::TIOCSTI, c"x".as_ptr()) } == 0;
    say(&format!("injected {}", all.filter(|fd| type_on(*fd)).count()));
    0
}

/// The number of our session keyring.
fn keyring() -> i32 {
    // SAFETY: takes integers only.
    let id = unsafe {
        libc::syscall(libc::SYS_keyctl, libc::KEYCTL_GET_KEYRING_ID, libc::KEY_SPEC_SESSION_KEYRING, 0)
    };
    say(&id.to_string());
    0
}

/// A line in the kernel's log, which has the kernel's time beside it; one without an end waits for more.
fn stamp() -> i32 {
    // SAFETY: the path is a C string.
    let log = unsafe { libc::open(c"/dev/kmsg".as_ptr(), libc::O_WRONLY) };
    // SAFETY: the kernel reads as many bytes as the text has.
    unsafe { libc::write(log, c"<4>probe: here\n".as_ptr().cast(), 15) };
    pause()
}

/// Waits for a signal that kills.
fn pause() -> i32 {
    say("ready");
    loop {
        std::thread::park();
    }
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    let number = words.get(2).and_then(|word| word.parse().ok()).unwrap_or(1);
    let status = match words.get(1).map(String::as_str) {
        Some("signals") => signals(number),
        Some("orphans") => orphans(number),
        Some("adopted") => adopted(number),
        Some("family") => family(false),
        Some("escaped") => family(true),
        Some("die") => die(number),
        Some("fds") => fds(),
        Some("value") => value(),
        Some("inject") => inject(),
        Some("keyring") => keyring(),
        Some("pause") => pause(),
        Some("calls") => calls::calls(),
        Some("numbers") => calls::numbers(number),
        Some("reach") => calls::reach(words.get(2).map_or("", String::as_str)),
        Some("foreign") => calls::foreign(number),
        Some("attack") => attack::attack(),
        Some("hold") => attack::hold(),
        Some("watch") => attack::watch(),
        Some("escape") => escape::escape(words.get(2).map_or("", String::as_str)),
        Some("stamp") => stamp(),
        Some("storm") => storm::storm(number),
        _ => 2,
    };
    std::process::exit(status);
}
