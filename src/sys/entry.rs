//! How the C runtime hands over: argv, without std's start-up.
//!
//! std's own `main` ignores SIGPIPE, installs handlers and an alternate stack, and opens /dev/null on closed
//! descriptors: ten system calls that a PID 1 would have to undo for its child, and 12 KB.

use std::ffi::{CStr, OsStr, c_char};
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicPtr, Ordering};

/// The array of our arguments, as the kernel laid it out.
static ARGV: AtomicPtr<*const c_char> = AtomicPtr::new(std::ptr::null_mut());

unsafe extern "C" {
    /// The environment as libc keeps it: pointers to `NAME=VALUE`, then a null.
    static environ: *const *const c_char;
}

/// See [`ARGV`].
pub(super) fn argv() -> *const *const c_char {
    ARGV.load(Ordering::Relaxed)
}

/// The array of our environment.
pub(super) fn envp() -> *const *const c_char {
    // SAFETY: libc set the pointer before `main`; nobody changes the environment.
    unsafe { environ }
}

/// Overwrites arguments and environment in our memory, so that /proc/PID/cmdline, which everybody may read, and
/// /proc/PID/environ do not show a container what it was started with: paths of the host, values of variables. The
/// first argument is kept for ps.
pub(crate) fn forget_arguments() {
    wipe(strings(argv()).into_iter().skip(1).chain(strings(envp())));
}

/// Overwrites strings of these arrays.
fn wipe(words: impl Iterator<Item = *const c_char>) {
    for word in words {
        // SAFETY: a NUL-terminated string of ours.
        let length = unsafe { CStr::from_ptr(word) }.to_bytes().len();
        // SAFETY: the kernel, or we, laid it out writable; nobody borrows it, `collect` and `environment` copy.
        unsafe { std::ptr::write_bytes(word.cast_mut(), 0, length) };
    }
}

/// From now on these are our arguments: for a process that was made to do what they say, and perhaps executes itself anew.
/// Those that the kernel laid out are overwritten as above.
#[cfg(feature = "board")]
pub(crate) fn set_arguments(words: &[&OsStr]) {
    wipe(strings(argv()).into_iter().skip(1));
    let mut array = Vec::new();
    for word in words {
        let mut bytes = word.as_bytes().to_vec();
        bytes.push(0);
        array.push(bytes.leak().as_mut_ptr().cast::<c_char>().cast_const());
    }
    array.push(std::ptr::null());
    ARGV.store(array.leak().as_mut_ptr(), Ordering::Relaxed);
}

/// Where each string of such an array lies.
fn strings(mut place: *const *const c_char) -> Vec<*const c_char> {
    let mut found = Vec::new();
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

/// Copies of the strings of such an array, which live as long as we: what a user says is asked for to the end, and copied
/// as a reference.
fn copies(place: *const *const c_char) -> Vec<&'static OsStr> {
    let mut copies = Vec::new();
    for word in strings(place) {
        // SAFETY: each points to a NUL-terminated string that the kernel placed above our stack for good.
        let bytes = unsafe { CStr::from_ptr(word) }.to_bytes();
        copies.push(OsStr::from_bytes(bytes.to_vec().leak()));
    }
    copies
}

/// Every string of our environment as it is, those without a `=` included, which std leaves out.
pub(crate) fn environment() -> Vec<&'static OsStr> {
    copies(envp())
}

/// The string of our environment that begins with `name` and its `=`.
pub(crate) fn variable(name: &[u8]) -> Option<&'static OsStr> {
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
    /// The arguments, program name first.
    pub(crate) fn collect(&self) -> Vec<&'static OsStr> {
        ARGV.store(self.0.cast_mut(), Ordering::Relaxed);
        copies(self.0)
    }
}
