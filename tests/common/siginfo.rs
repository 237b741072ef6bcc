//! The kernel's `siginfo_t` of a queued signal: what the tests send, and what the probe receives.

/// The struct.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Info {
    /// Number, errno, code.
    pub(crate) head: [i32; 3],
    /// `_rt`, which begins at the next place for a pointer.
    pub(crate) sent: Sent,
    /// The kernel's struct has 128 bytes.
    pub(crate) rest: [u64; 14],
}

/// What sigqueue(3) sends along.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Sent {
    /// Sender.
    pub(crate) pid: i32,
    /// Its user.
    pub(crate) uid: u32,
    /// The value.
    pub(crate) value: usize,
}
