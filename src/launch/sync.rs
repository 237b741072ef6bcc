//! What parent and child say to each other, over a socket that neither outlives: a closed end is an answer too.
//!
//! ```text
//!   parent                                  child
//!   clone            ────────────────────>  death signal set, parent still there?
//!   writes maps, attaches to cgroups        waits, if there is anything to wait for
//!                    ───────  Go  ───────>
//!                                           steps
//!                    <── t, master ───────  if the container has a terminal of its own
//!                    <── Ready ───────────
//!                                           starts the entrypoint
//!                    <── Failed, if so ───  closes its end
//!   waits for the child's end, forwards signals, then reads how it went
//! ```
//! Where an existing user or PID namespace is joined, a courier stands in between: it joins, makes the child on the
//! parent's behalf (CLONE_PARENT), tells its pid (`Born`) and exits.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use crate::error::{Doing, Error, Fault, Result, tolerate};
use crate::packed::packed;
use crate::text;

/// Longest text of an error; what is longer is cut.
const TEXT: usize = 1500;

/// What the child, or the courier, tells the parent.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Message {
    /// The child was made and has this pid (courier only).
    Born(i32),
    /// All steps are done, and the entrypoint is about to be started.
    Ready,
    /// A step failed: its number in the plan, and the error.
    Failed(Option<u16>, Error),
}

/// Makes the two ends: the parent's and the child's.
///
/// # Errors
/// No descriptors left.
pub(crate) fn channel() -> Result<(OwnedFd, OwnedFd)> {
    crate::sys::fd::socket_pair().doing(packed!("make a socket pair"))
}

/// Parent: lets the child begin.
///
/// # Errors
/// EPIPE: the child is dead.
pub(crate) fn send_go(end: BorrowedFd<'_>) -> Result<()> {
    send(end.as_raw_fd(), b"g", MsgFlags::MSG_NOSIGNAL).map(drop).doing(packed!("tell the child to begin"))
}

/// Child: waits until the parent says so. `false`: the parent is dead.
pub(crate) fn wait_for_go(end: BorrowedFd<'_>) -> bool {
    let mut byte = [0];
    loop {
        match recv(end.as_raw_fd(), &mut byte, MsgFlags::empty()) {
            Err(Errno::EINTR) => {}
            result => return result == Ok(1),
        }
    }
}

/// Child: whether the parent's end is open. For after the death signal was set: a parent that died before sent none.
pub(crate) fn parent_is_alive(end: BorrowedFd<'_>) -> bool {
    look(end) != Ok(0)
}

/// Child: tells the parent. A parent that cannot hear it any more will kill us or is dead.
pub(crate) fn tell(end: BorrowedFd<'_>, message: &Message) {
    tolerate(
        send(end.as_raw_fd(), &encode(message), MsgFlags::MSG_NOSIGNAL),
        "the parent is dead, and we soon",
    );
}

/// Child: hands the parent the other end of the container's terminal.
///
/// # Errors
/// The parent is dead, or the kernel refuses.
pub(crate) fn send_terminal(end: BorrowedFd<'_>, master: BorrowedFd<'_>) -> Result<()> {
    crate::sys::rights::send(end, b't', master).doing(packed!("hand it to the parent"))
}

/// Parent: takes that, if it is what the child has said; any other message is left where it is.
///
/// # Errors
/// It did not come as it was sent: no descriptors left.
pub(crate) fn take_terminal(end: BorrowedFd<'_>) -> Result<Option<OwnedFd>> {
    let mut byte = [0];
    match recv(end.as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK) {
        Ok(1) if byte == *b"t" => crate::sys::rights::receive(end, b't')
            .map(Some)
            .doing(packed!("receive the terminal of the container")),
        _ => Ok(None),
    }
}

/// Looks without waiting and without taking anything: 0 when the other end is closed, EAGAIN when nothing was said.
fn look(end: BorrowedFd<'_>) -> nix::Result<usize> {
    recv(end.as_raw_fd(), &mut [0], MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK)
}

/// Parent: whether the child has said something.
///
/// # Errors
/// The socket fails.
pub(crate) fn peek(end: BorrowedFd<'_>) -> Result<bool> {
    match look(end) {
        Err(Errno::EAGAIN | Errno::ECONNRESET) => Ok(false),
        result => result.map(|length| length > 0).doing(packed!("listen to the child")),
    }
}

/// Parent: the next message of a child that has spoken or is gone; `None` when the other end is closed.
///
/// # Errors
/// The message is not one of ours, or the socket fails.
pub(crate) fn receive(end: BorrowedFd<'_>) -> Result<Option<Message>> {
    let mut bytes = [0; TEXT * 2];
    loop {
        match recv(end.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT) {
            Err(Errno::EINTR) => {}
            // EAGAIN: an entrypoint that lost its init before execve holds the other end, and says nothing.
            Ok(0) | Err(Errno::ECONNRESET | Errno::EAGAIN) => return Ok(None),
            Ok(length) => {
                let message = bytes.get(..length).and_then(decode);
                return message
                    .map(Some)
                    .ok_or_else(|| Error::new(packed!("read a message of the child: not one of ours")));
            }
            Err(errno) => return Err(errno).doing(packed!("listen to the child")),
        }
    }
}

/// A message as bytes: kind, step, errno, exit status, then text and hint with a NUL between them.
pub(crate) fn encode(message: &Message) -> Vec<u8> {
    match message {
        Message::Born(pid) => [&b"b"[..], &pid.to_ne_bytes()].concat(),
        Message::Ready => b"r".to_vec(),
        Message::Failed(step, error) => {
            let cut = |text: &str| text.bytes().filter(|byte| *byte != 0).take(TEXT / 2).collect::<Vec<u8>>();
            let step = step.unwrap_or(u16::MAX).to_ne_bytes();
            let errno = error.errno.map_or(0, |errno| errno as i32).to_ne_bytes();
            let hint = cut(error.hint.as_deref().unwrap_or_default());
            [&b"f"[..], &step, &errno, &[error.status], &cut(&error.doing), b"\0", &hint].concat()
        }
    }
}

/// The reverse; `None` for anything else.
pub(crate) fn decode(bytes: &[u8]) -> Option<Message> {
    match bytes {
        [b'b', rest @ ..] => Some(Message::Born(i32::from_ne_bytes(rest.try_into().ok()?))),
        [b'r'] => Some(Message::Ready),
        [b'f', s0, s1, e0, e1, e2, e3, status, text @ ..] => {
            let step = Some(u16::from_ne_bytes([*s0, *s1])).filter(|step| *step != u16::MAX);
            let errno = i32::from_ne_bytes([*e0, *e1, *e2, *e3]);
            let words = text::from_bytes(text.to_vec());
            let (doing, hint) = text::cut(&words, b'\0')?;
            let error = Fault {
                doing: doing.to_owned(),
                errno: (errno != 0).then(|| Errno::from_raw(errno)),
                hint: (!hint.is_empty()).then(|| hint.to_owned()),
                status: *status,
                said_by: "launcher",
            };
            Some(Message::Failed(step, error.into()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_journey() {
        let error = Error::os("open /x", Errno::ENOENT).hint("make it").status(127);
        for message in [
            Message::Born(4711),
            Message::Ready,
            Message::Failed(None, Error::new("plain")),
            Message::Failed(Some(12), error.clone()),
        ] {
            assert_eq!(decode(&encode(&message)), Some(message));
        }
        let long = Message::Failed(Some(1), Error::new("x".repeat(5000)));
        assert!(encode(&long).len() < TEXT * 2);
    }

    #[test]
    fn nothing_else_is_understood() {
        for bytes in [&b""[..], b"x", b"rr", b"b123", b"f", b"f1234567", b"g"] {
            assert_eq!(decode(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn a_closed_end_is_an_answer() {
        use std::os::fd::AsFd;
        let (parent, child) = channel().unwrap();
        assert!(parent_is_alive(child.as_fd()));
        drop(parent);
        assert!(!parent_is_alive(child.as_fd()));
        assert!(!wait_for_go(child.as_fd()));
    }
}
