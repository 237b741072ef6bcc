//! A descriptor sent through a socket; unix(7).

use std::mem::offset_of;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;

use super::cvt;
use super::fd::own;

/// The kernel's `struct cmsghdr` with one descriptor.
#[repr(C)]
struct Control {
    /// Bytes up to the end of the descriptor.
    length: usize,
    /// SOL_SOCKET and SCM_RIGHTS.
    kind: [libc::c_int; 2],
    /// The descriptor.
    fd: libc::c_int,
}

/// What [`Control::length`] is where one descriptor came, and no more.
const LENGTH: usize = offset_of!(Control, fd) + size_of::<libc::c_int>();

/// What [`Control::kind`] is then.
const KIND: [libc::c_int; 2] = [libc::SOL_SOCKET, libc::SCM_RIGHTS];

/// The kernel's `struct msghdr`, which differs from libc's.
#[repr(C)]
struct Header {
    /// An address and its length: none.
    name: [usize; 2],
    /// The bytes, one part of them.
    parts: *mut libc::iovec,
    /// How many parts.
    count: usize,
    /// What comes along.
    control: *mut Control,
    /// Its length.
    control_length: usize,
    /// MSG_*, told by the kernel.
    flags: libc::c_uint,
}

/// Makes a call with one byte and one descriptor.
fn call(
    number: libc::c_long,
    socket: BorrowedFd<'_>,
    byte: &mut u8,
    control: &mut Control,
    flags: libc::c_int,
) -> Result<(usize, libc::c_uint), Errno> {
    let mut part = libc::iovec { iov_base: std::ptr::from_mut(byte).cast(), iov_len: 1 };
    let control_length = size_of::<Control>();
    let mut header =
        Header { name: [0; 2], parts: &raw mut part, count: 1, control, control_length, flags: 0 };
    // SAFETY: the kernel reads or writes the header, the one byte and the control message, all of which live until the
    // call returns, and no more of them than their lengths.
    let length = cvt(unsafe { libc::syscall(number, socket.as_raw_fd(), &raw mut header, flags) })?;
    Ok((length as usize, header.flags))
}

/// `sendmsg(2)` with SCM_RIGHTS: this byte, and a copy of a descriptor for who receives it.
pub(crate) fn send(socket: BorrowedFd<'_>, mut byte: u8, fd: BorrowedFd<'_>) -> Result<(), Errno> {
    let mut control = Control { length: LENGTH, kind: KIND, fd: fd.as_raw_fd() };
    call(libc::SYS_sendmsg, socket, &mut byte, &mut control, libc::MSG_NOSIGNAL).map(drop)
}

/// `recvmsg(2)` without waiting: takes what [`send`] sent, close-on-exec. EBADMSG: it is not that byte with one
/// descriptor. EAGAIN: there is nothing.
pub(crate) fn receive(socket: BorrowedFd<'_>, wanted: u8) -> Result<OwnedFd, Errno> {
    let mut byte = 0;
    let mut control = Control { length: 0, kind: [0; 2], fd: -1 };
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let (length, told) = call(libc::SYS_recvmsg, socket, &mut byte, &mut control, flags)?;
    // The kernel rounds up what it says: only a whole message, with room for one descriptor, has these two.
    let fd = (control.length == LENGTH && control.kind == KIND && control.fd >= 0).then(|| own(control.fd));
    let cut = (libc::MSG_TRUNC | libc::MSG_CTRUNC) as libc::c_uint;
    fd.filter(|_| length == 1 && byte == wanted && told & cut == 0).ok_or(Errno::EBADMSG)
}
