//! Between our standard streams and the container's own terminal.
//!
//! One thread does this and the parent's other work: poll(2) tells of bytes, and by a signalfd that a signal is there,
//! which is then taken as always. No call waits but that one, so that neither a slow reader of our output holds up signals,
//! nor a program that does not read. While our caller's terminal is read it is in raw mode: each byte, Ctrl-C too, is for
//! the terminal inside.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::{Pid, getpgrp};

use super::sync;
use crate::error::{Doing, Result, describe, tolerate};
use crate::log::warning;
use crate::packed::packed;
use crate::sys;
use crate::sys::signal::Received;
use crate::sys::terminal::{self, Modes};

/// Bytes that are on their way at once. No more than PIPE_BUF: a pipe that has room has room for that.
const CHUNK: usize = 4096;

/// More than the kernel keeps for who reads a terminal. What somebody writes after the container's end is not waited for.
const REST: usize = 128 * 1024;

/// Milliseconds until a queue is looked at again that was full.
const HELD_UP: i32 = 10;

/// The relay.
pub(super) struct Relay<'a> {
    /// The socket through which the terminal comes, until it has come.
    channel: Option<BorrowedFd<'a>>,
    /// Readable while a signal is pending.
    signals: OwnedFd,
    /// What is passed on, if it is wanted and has not ended.
    stdin: Option<OwnedFd>,
    /// Where the container's output goes.
    stdout: OwnedFd,
    /// The container's terminal.
    master: Option<OwnedFd>,
    /// We may read what is typed.
    is_attached: bool,
    /// How our caller's terminal was before it became raw.
    saved: Option<Modes>,
    /// The last attempt to read the container's terminal was in vain.
    has_failed: bool,
    /// To the container.
    typed: Flow,
    /// From it.
    shown: Flow,
}

impl<'a> Relay<'a> {
    /// Prepares it; the terminal will come through `channel`.
    ///
    /// # Errors
    /// No descriptors left.
    pub(super) fn new(channel: BorrowedFd<'a>, has_input: bool) -> Result<Self> {
        let open =
            |number| sys::fd::standard_without_waiting(number).doing(packed!("open a standard stream"));
        Ok(Self {
            channel: Some(channel),
            signals: sys::signal::descriptor().doing(packed!("make a signalfd"))?,
            stdin: has_input.then(|| open(0)).transpose()?,
            stdout: open(1)?,
            master: None,
            is_attached: false,
            saved: None,
            has_failed: false,
            typed: Flow::new(),
            shown: Flow::new(),
        })
    }

    /// Passes bytes on until a signal comes. `None`: there is none after all; or `is_held_up`, and it is time to try again
    /// (see [`sys::signal::wait_for_any`]).
    ///
    /// # Errors
    /// The kernel does not let us wait, or the terminal did not come as it was sent.
    pub(super) fn wait(&mut self, is_held_up: bool) -> Result<Option<Received>> {
        let (signals, time) = if is_held_up { (0, HELD_UP) } else { (libc::POLLIN, -1) };
        loop {
            let (is_signaled, _) = self.turn(signals, time)?;
            if is_signaled || is_held_up {
                return sys::signal::wait_for_any(Some(0), is_held_up).doing(packed!("wait for signals"));
            }
        }
    }

    /// After the container's end: passes on what it has written until then. Who wants us to end meanwhile does not get it.
    pub(super) fn finish(&mut self, is_end: fn(i32) -> bool) {
        self.stdin = None;
        self.typed = Flow::new();
        let mut left = REST;
        while left > 0 {
            let is_empty = self.shown.is_empty();
            match self.turn(libc::POLLIN, if is_empty { 0 } else { -1 }) {
                Ok((true, _)) => match sys::signal::wait_for_any(Some(0), false) {
                    Ok(Some(received)) if is_end(received.number) => return,
                    _ => {}
                },
                Ok((false, true)) => left = left.saturating_sub(if is_empty { self.shown.end } else { 0 }),
                Ok((false, false)) | Err(_) => return, // of poll(2): it would be refused again
            }
        }
    }

    /// What a signal means to us. `true`: it is ours alone.
    pub(super) fn heed(&mut self, received: &Received) -> bool {
        match received.number {
            // The kernel tells those inside.
            libc::SIGWINCH => self.copy_size(),
            // They go on; our caller gets its terminal back for that time.
            libc::SIGTSTP => {
                self.detach();
                if !sys::signal::stop_self(libc::SIGTSTP) {
                    self.attach();
                }
                true
            }
            libc::SIGCONT => {
                self.attach();
                self.copy_size();
                false
            }
            // Of our own write.
            libc::SIGPIPE => received.pid == sys::process::own_pid().as_raw(),
            _ => false,
        }
    }

    /// Waits so long until something can be done, and does it. Says whether a signal is pending, and whether anything else
    /// was there.
    fn turn(&mut self, signals: libc::c_short, milliseconds: i32) -> Result<(bool, bool)> {
        let stdin = self.stdin.as_ref().filter(|_| self.is_attached && self.master.is_some());
        let (stdin, master) = (number(stdin), number(self.master.as_ref()));
        let wishes = [
            (Some(self.signals.as_raw_fd()).filter(|_| signals != 0), signals),
            (self.channel.map(|channel| channel.as_raw_fd()), libc::POLLIN),
            self.typed.wish(stdin, master),
            self.shown.wish(master, Some(self.stdout.as_raw_fd())),
        ];
        let [is_signaled, has_said, can_type, can_show] =
            sys::fd::poll(wishes, milliseconds).doing(packed!("wait for input and output"))?;
        if has_said && let Some(channel) = self.channel.take() {
            self.master = sync::take_terminal(channel)?;
            self.copy_size();
            self.attach();
        }
        if can_type {
            self.pass_input();
        }
        if can_show {
            self.pass_output();
        }
        Ok((is_signaled, has_said || can_type || can_show))
    }

    /// One step on the way to the container.
    fn pass_input(&mut self) {
        if self.typed.advance(self.stdin.as_ref(), self.master.as_ref()) != Err(Broken::Source) {
            return; // a terminal that takes no more has ended, and with it the container
        }
        // We are not in the foreground any more, which ends nothing.
        if terminal::foreground_of(0).is_ok_and(|group| group != getpgrp()) {
            return self.attach();
        }
        self.stdin = None;
        // Those inside are told as by Ctrl-D: once for what stands on an unfinished line, once for the end.
        let end = self
            .master
            .as_ref()
            .map_or(4, |master| Modes::of(master.as_raw_fd()).map_or(4, |modes| modes.end_of_input()));
        self.typed.put_end(end);
    }

    /// One step on the way from it.
    fn pass_output(&mut self) {
        match self.shown.advance(self.master.as_ref(), Some(&self.stdout)) {
            Ok(()) => self.has_failed = false,
            Err(Broken::Source) => {
                // EIO: nobody has it open any more, if it says so twice. Once may be a fault, behind which there is more.
                if self.has_failed {
                    if sys::fd::poll([(number(self.master.as_ref()), 0)], 0) == Ok([false]) {
                        warning!("the container's terminal: {}", describe(Errno::EIO));
                    }
                    self.master = None;
                }
                self.has_failed = true;
            }
            Err(Broken::Sink(errno)) => {
                // As with any terminal that goes away: those inside get SIGHUP.
                self.master = None;
                if errno != Errno::EPIPE {
                    warning!("standard output: {}", describe(errno));
                }
            }
        }
    }

    /// Tells those inside how large our caller's terminal is. `false`: there is none.
    fn copy_size(&self) -> bool {
        self.master.as_ref().is_some_and(|master| terminal::copy_size(master.as_fd()))
    }

    /// Begins to read what is typed, in raw mode where it is our terminal to change. In the background we are stopped, as
    /// everybody who reads there; `fg` continues us. What is no terminal is read as it is.
    fn attach(&mut self) {
        if self.stdin.is_none() || self.master.is_none() {
            return;
        }
        let group = getpgrp();
        self.is_attached = match terminal::foreground_of(0) {
            Ok(foreground) if foreground != group => {
                // To all of our job, or the shell would not see that it is stopped.
                let told = sys::process::kill(Pid::from_raw(-group.as_raw()), libc::SIGTTIN);
                tolerate(told, "never refused: we are in it");
                sys::signal::stop_self(libc::SIGTTIN);
                false
            }
            Ok(_) => {
                self.saved = self.saved.or_else(|| Modes::of(0).ok());
                if let Some(saved) = &self.saved {
                    tolerate(saved.raw().apply(0), "EIO: the terminal has gone");
                }
                true
            }
            Err(_) => true,
        };
    }

    /// Puts our caller's terminal back as it was; not where somebody else has it by now.
    fn detach(&mut self) {
        self.is_attached = false;
        if let Some(saved) = self.saved.take()
            && terminal::foreground_of(0) == Ok(getpgrp())
        {
            tolerate(saved.apply(0), "EIO: the terminal has gone");
        }
    }
}

impl Drop for Relay<'_> {
    fn drop(&mut self) {
        self.detach();
    }
}

/// A descriptor as poll(2) wants it.
fn number(file: Option<&OwnedFd>) -> Option<RawFd> {
    file.map(AsRawFd::as_raw_fd)
}

/// What ended one direction.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Broken {
    /// There is no more to read.
    Source,
    /// Nobody takes it.
    Sink(Errno),
}

/// One direction: what was read and not yet written.
struct Flow {
    /// The first byte that was not written.
    start: usize,
    /// Behind the last one.
    end: usize,
    /// The bytes; not on the stack, of which they would touch pages where there is no relay.
    bytes: Vec<u8>,
}

impl Flow {
    /// Nothing was read.
    fn new() -> Self {
        Self { start: 0, end: 0, bytes: vec![0; CHUNK] }
    }

    /// Whether all was written.
    const fn is_empty(&self) -> bool {
        self.start == self.end
    }

    /// What it waits for.
    const fn wish(&self, from: Option<RawFd>, to: Option<RawFd>) -> (Option<RawFd>, libc::c_short) {
        if self.is_empty() { (from, libc::POLLIN) } else { (to, libc::POLLOUT) }
    }

    /// Reads once if all was written, else writes once.
    fn advance(&mut self, from: Option<&OwnedFd>, to: Option<&OwnedFd>) -> std::result::Result<(), Broken> {
        if self.is_empty() {
            let Some(from) = from else { return Ok(()) };
            match nix::unistd::read(from, &mut self.bytes) {
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Ok(0) | Err(_) => return Err(Broken::Source),
                Ok(length) => (self.start, self.end) = (0, length),
            }
            return Ok(());
        }
        let Some(to) = to else { return Ok(()) };
        match nix::unistd::write(to, self.bytes.get(self.start..self.end).unwrap_or_default()) {
            Err(Errno::EAGAIN | Errno::EINTR) => {}
            Ok(length) => self.start += length,
            Err(errno) => {
                self.start = self.end;
                return Err(Broken::Sink(errno));
            }
        }
        Ok(())
    }

    /// The byte that means the end, when all was written: once, or twice where the last line is unfinished.
    fn put_end(&mut self, byte: u8) {
        let last = self.end.checked_sub(1).and_then(|last| self.bytes.get(last));
        let count = if last.is_none_or(|last| *last == b'\n') { 1 } else { 2 };
        (self.start, self.end) = (0, count);
        if let Some(places) = self.bytes.get_mut(..count) {
            places.fill(byte);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_once_more_on_an_unfinished_line() {
        for (text, want) in [("", 1), ("line\n", 1), ("line", 2), ("line\nmore", 2)] {
            let (reader, writer) = nix::unistd::pipe().unwrap();
            nix::unistd::write(&writer, text.as_bytes()).unwrap();
            drop(writer);
            let (_unread, sink) = nix::unistd::pipe().unwrap();
            let mut flow = Flow::new();
            while flow.advance(Some(&reader), Some(&sink)) != Err(Broken::Source) {}
            flow.put_end(4);
            assert_eq!(flow.bytes.get(flow.start..flow.end), Some(&[4, 4][..want]), "{text}");
        }
    }
}
