//! How the C runtime hands over: argv, without std's start-up.
//!
//! std's own `main` ignores SIGPIPE, installs handlers and an alternate stack, and opens /dev/null on closed
//! descriptors: ten system calls that a PID 1 would have to undo for its child, and 12 KB.

use std::ffi::{CStr, OsString, c_char, c_int};
use std::os::unix::ffi::OsStringExt;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// Where the arguments lie in our memory: first byte and length, as /proc/PID/cmdline shows them.
static FIRST_BYTE: AtomicPtr<c_char> = AtomicPtr::new(std::ptr::null_mut());
/// See [`FIRST_BYTE`].
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// Overwrites arguments and environment in our memory, so that /proc/PID/cmdline, which everybody may read, and
/// /proc/PID/environ do not show a container what it was started with: paths of the host, values of variables. The
/// first argument is kept for ps.
pub(crate) fn forget_arguments() {
    let (first, length) = (FIRST_BYTE.load(Ordering::Relaxed), LENGTH.load(Ordering::Relaxed));
    if !first.is_null() {
        // SAFETY: the kernel laid out argv as adjacent strings at the top of our stack, writable and ours for good;
        // nobody borrows them: `collect` has copied each.
        unsafe { std::ptr::write_bytes(first, 0, length) };
    }
    for word in variables() {
        // SAFETY: a NUL-terminated string of ours.
        let length = unsafe { CStr::from_ptr(word) }.to_bytes().len();
        // SAFETY: the kernel laid it out writable; nobody borrows it, `environment` copies.
        unsafe { std::ptr::write_bytes(word.cast_mut(), 0, length) };
    }
}

unsafe extern "C" {
    /// The environment as libc keeps it: pointers to `NAME=VALUE`, then a null.
    static environ: *const *const c_char;
}

/// Where each string of our environment lies.
fn variables() -> Vec<*const c_char> {
    let mut found = Vec::new();
    // SAFETY: libc set the pointer before `main`; nobody changes the environment.
    let mut place = unsafe { environ };
    while !place.is_null() {
        // SAFETY: not beyond the null that ends the array, at which we stop.
        let word = unsafe { *place };
        if word.is_null() {
            break;
        }
        found.push(word);
        // SAFETY: same.
        place = unsafe { place.add(1) };
    }
    found
}

/// Every string of our environment as it is, those without a `=` included, which std leaves out.
pub(crate) fn environment() -> Vec<OsString> {
    let copy = |word: *const c_char| {
        // SAFETY: each points to a NUL-terminated string that lives as long as we.
        OsString::from_vec(unsafe { CStr::from_ptr(word) }.to_bytes().to_vec())
    };
    variables().into_iter().map(copy).collect()
}

/// The string of our environment that begins with `name` and its `=`.
pub(crate) fn variable(name: &[u8]) -> Option<OsString> {
    environment().into_iter().find(|entry| entry.as_encoded_bytes().starts_with(name))
}

/// Whether execve(2) gave us rights that our caller lacks: the ids that the kernel passed to us, getauxval(3), differ.
/// `AT_SECURE` would not do: a transition between SELinux domains sets it too.
pub(crate) fn is_set_id() -> bool {
    // SAFETY: reads the vector that the kernel laid above our stack for good; an entry that is not there is 0.
    let of = |name| unsafe { libc::getauxval(name) };
    of(libc::AT_UID) != of(libc::AT_EUID) || of(libc::AT_GID) != of(libc::AT_EGID)
}

/// The `argv` of a C `main`. Only the C runtime makes one: the field is private and there is no constructor.
#[repr(transparent)]
pub(crate) struct Argv(*const *const c_char);

impl Argv {
    /// The arguments as owned strings, program name first.
    pub(crate) fn collect(&self, argc: c_int) -> Vec<OsString> {
        let count = usize::try_from(argc).unwrap_or(0);
        let copy = |index| {
            // SAFETY: execve(2) lays out argc pointers and a null; index < argc.
            let place = unsafe { self.0.add(index) };
            // SAFETY: same.
            let word = unsafe { *place };
            // SAFETY: each points to a NUL-terminated string that the kernel placed above our stack for good.
            let bytes = unsafe { CStr::from_ptr(word) }.to_bytes();
            // The program's name stays; the others follow it without a gap.
            if index == 1 {
                FIRST_BYTE.store(word.cast_mut(), Ordering::Relaxed);
            }
            if index >= 1 {
                LENGTH.fetch_add(bytes.len() + 1, Ordering::Relaxed);
            }
            OsString::from_vec(bytes.to_vec())
        };
        (0..count).map(copy).collect()
    }
}
