//! The time.

/// `clock_gettime(2)` CLOCK_MONOTONIC in milliseconds. Not by the vDSO: it is asked for only where a timer runs, and finding
/// it is a kilobyte of code.
pub(crate) fn milliseconds() -> u64 {
    let mut time: [libc::c_long; 2] = [0; 2];
    // SAFETY: the kernel fills its timespec, two words on every architecture, on our stack.
    unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
    let [seconds, nanoseconds] = time;
    seconds as u64 * 1000 + nanoseconds as u64 / 1_000_000
}

/// Lets so many milliseconds pass, or fewer if a signal comes: `poll(2)` of nothing.
pub(crate) fn pass(milliseconds: libc::c_int) {
    // SAFETY: of no entries none is looked at.
    unsafe { libc::poll(std::ptr::null_mut(), 0, milliseconds) };
}
