//! System calls by name, each with arguments that can harm nobody, and what the kernel or a filter answers.

/// What a call returned: 0 if it worked, else the error number.
pub(crate) fn errno(result: libc::c_long) -> i32 {
    if result == -1 { std::io::Error::last_os_error().raw_os_error().unwrap_or(-1) } else { 0 }
}

/// The calls. A namespace that is made here is the probe's own; what would be opened is not there.
fn table() -> Vec<(&'static str, [usize; 6], libc::c_long)> {
    let high = usize::try_from(1u64 << 32).unwrap_or(0); // the kernel does not look at it
    let nowhere = c"/nowhere".as_ptr() as usize;
    let deep = c"/nowhere/deep".as_ptr() as usize;
    let call = |number, name, args: &[usize]| {
        let mut all = [0; 6];
        all[..args.len()].copy_from_slice(args);
        (name, all, number)
    };
    vec![
        call(libc::SYS_getpid, "getpid", &[]),
        call(libc::SYS_ptrace, "ptrace", &[0x7777]),
        call(libc::SYS_unshare, "unshare-files", &[libc::CLONE_FILES as usize]),
        call(libc::SYS_socket, "socket-unix", &[1, 1]),
        call(libc::SYS_socket, "socket-netlink", &[16, 3]),
        call(libc::SYS_socket, "socket-alg", &[38, 5]),
        call(libc::SYS_socket, "socket-vsock", &[40, 1]),
        call(libc::SYS_socket, "socket-vsock-high", &[high | 0x28, 1]),
        call(libc::SYS_socket, "socket-packet", &[17, 3]),
        call(libc::SYS_socket, "socket-audit", &[16, 3, 9]),
        call(libc::SYS_landlock_create_ruleset, "landlock", &[0, 0, 1]),
        call(libc::SYS_personality, "personality-linux", &[0]),
        call(libc::SYS_personality, "personality-query", &[0xffff_ffff]),
        call(libc::SYS_personality, "personality-no-random", &[0x4_0000]),
        call(libc::SYS_ioctl, "ioctl", &[0, 0x5401]),
        call(libc::SYS_ioctl, "ioctl-tiocsti", &[0, 0x5412]),
        call(libc::SYS_ioctl, "ioctl-tiocsti-high", &[0, high | 0x5412]),
        call(libc::SYS_ioctl, "ioctl-tioclinux", &[0, 0x541c]),
        call(libc::SYS_unshare, "unshare-user-bad", &[0x1000_0001]),
        call(libc::SYS_clone, "clone-user-bad", &[0x1000_0000 | libc::CLONE_FS as usize]),
        call(libc::SYS_clone3, "clone3", &[]),
        call(libc::SYS_setns, "setns", &[usize::MAX]),
        call(libc::SYS_mount, "mount", &[]),
        call(libc::SYS_umount2, "umount", &[nowhere]),
        call(libc::SYS_pivot_root, "pivot_root", &[nowhere, nowhere]),
        call(libc::SYS_fsopen, "fsopen", &[]),
        call(libc::SYS_chroot, "chroot", &[nowhere]),
        call(libc::SYS_mknodat, "mknodat-disk", &[0, deep, 0o060_600, 0x800]),
        call(libc::SYS_mknodat, "mknodat-disk-high", &[0, deep, high | 0o7_060_600, high | 0x103]),
        call(libc::SYS_mknodat, "mknodat-mem", &[0, deep, 0o020_600, 0x101]),
        call(libc::SYS_mknodat, "mknodat-null", &[0, deep, 0o020_600, 0x103]),
        call(libc::SYS_mknodat, "mknodat-null-high", &[0, deep, high | 0o020_600, high | 0x103]),
        call(libc::SYS_mknodat, "mknodat-file", &[0, deep, 0o100_600, 0x101]),
        call(libc::SYS_mknodat, "mknodat-socket", &[0, deep, 0o140_600, 0x101]),
        call(libc::SYS_keyctl, "keyctl", &[0, usize::MAX - 2]),
        call(libc::SYS_add_key, "add_key", &[]),
        call(libc::SYS_request_key, "request_key", &[]),
        call(libc::SYS_io_uring_setup, "io_uring_setup", &[1]),
        call(libc::SYS_bpf, "bpf", &[99]),
        call(libc::SYS_perf_event_open, "perf_event_open", &[0, 0, usize::MAX, usize::MAX]),
        call(libc::SYS_userfaultfd, "userfaultfd", &[usize::MAX]),
        call(libc::SYS_settimeofday, "settimeofday", &[1]),
        call(libc::SYS_init_module, "init_module", &[]),
        call(libc::SYS_swapoff, "swapoff", &[nowhere]),
        call(libc::SYS_reboot, "reboot", &[]),
        call(libc::SYS_syslog, "syslog", &[10]),
        call(libc::SYS_open_by_handle_at, "open_by_handle_at", &[usize::MAX]),
        call(1000, "unknown", &[]),
    ]
}

/// Prints `NAME ERRNO` for each.
pub(crate) fn calls() -> i32 {
    for (name, [a, b, c, d, e, f], number) in table() {
        // SAFETY: every pointer among the arguments is a live string or null; the rest are numbers.
        let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
        println!("{name} {}", errno(result));
    }
    0
}

/// Prints `NUMBER ERRNO` for each call from 0 to `last` without making any of them: a filter of our own has the kernel answer
/// ENOSYS to what the container's filter allows, where that one's answer is no other. It knows the calls by their last argument.
/// Left out are two that the kernel passes by every filter, and that kill who makes them elsewhere than at a probe of perf's.
pub(crate) fn numbers(last: usize) -> i32 {
    const MARK: u32 = 0x5eed;
    let word = |code: u32, jt, jf, k| libc::sock_filter { code: u16::try_from(code).unwrap_or(0), jt, jf, k };
    let mut code = [
        word(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 56), // the low half of seccomp_data.args[5]
        word(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, MARK),
        word(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_TRACE), // without a tracer
        word(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: code.as_mut_ptr() };
    // SAFETY: the kernel copies the program, which lives.
    let is_set = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    if is_set != 0 {
        return 1;
    }
    for number in
        (0..=last).filter(|number| ![335, 336].contains(number) || cfg!(not(target_arch = "x86_64")))
    {
        let number = libc::c_long::try_from(number).unwrap_or(0);
        // SAFETY: answered by a filter.
        println!("{number} {}", errno(unsafe { libc::syscall(number, 0, 0, 0, 0, 0, MARK) }));
    }
    0
}

/// Makes the calls of these numbers, as in `4,7-9`, with arguments that no call can do anything with; prints `NUMBER ERRNO`.
pub(crate) fn reach(numbers: &str) -> i32 {
    for range in numbers.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (Ok(first), Ok(last)) = (first.parse::<libc::c_long>(), last.parse()) else { return 1 };
        for number in first..=last {
            // SAFETY: no descriptor, process or address is -1; where it stands for everybody they are of our container.
            println!("{number} {}", errno(unsafe { libc::syscall(number, -1, -1, -1, -1, -1, -1) }));
        }
    }
    0
}

/// getpid by another machine's door: 1 is i386's, 2 is x32's. Prints `ERRNO`, if we live.
#[cfg(target_arch = "x86_64")]
pub(crate) fn foreign(door: usize) -> i32 {
    let mut result: i64 = 20;
    if door == 1 {
        // SAFETY: getpid touches no memory; the kernel keeps all other registers but r8 to r11.
        unsafe {
            std::arch::asm!("int 0x80", inlateout("rax") result, out("r8") _, out("r9") _, out("r10") _, out("r11") _);
        }
    } else {
        // SAFETY: takes nothing.
        let pid = unsafe { libc::syscall(0x4000_0000 | libc::SYS_getpid) };
        result = if pid == -1 { -i64::from(errno(-1)) } else { pid };
    }
    println!("{}", if result < 0 { -result } else { 0 });
    0
}

/// Only x86-64 has such doors.
#[cfg(not(target_arch = "x86_64"))]
pub(crate) fn foreign(_door: usize) -> i32 {
    2
}
