"""Programs that a check starts and talks to. Every wait has an end."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import tempfile
import termios
import time

DEADLINE = 120  # seconds; only what hangs gets there, or a machine under a load that stops it for a minute


class Failed(Exception):
    """What a check found wrong; the text is printed below its `not ok`."""


def same(what, got, wanted):
    if got != wanted:
        raise Failed(f"{what}: {got!r}, wanted {wanted!r}")


def eventually(what, condition):
    """Returns as soon as the condition is true."""
    end = time.monotonic() + DEADLINE
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"not within {DEADLINE} s: {what}")
        time.sleep(0.02)


def call(argv, env, stdin=subprocess.DEVNULL):
    """(exit status, output) of a program. Output goes to a file, as a daemon that was started may keep a pipe open."""
    with tempfile.TemporaryFile() as output:
        try:
            process = subprocess.run(argv, env=env, stdin=stdin, stdout=output, stderr=output, timeout=DEADLINE)
        except subprocess.TimeoutExpired:
            raise Failed(f"not done within {DEADLINE} s: {' '.join(argv)}") from None
        output.seek(0)
        return process.returncode, output.read().decode(errors="replace")


class Running:
    """A program whose output is read while it runs; with `tty` on a terminal that a check types at."""

    def __init__(self, argv, env, tty=False):
        self.seen = ""  # all output so far
        self.expected = 0  # how much of it was asked for
        if tty:
            self.ours, theirs = pty.openpty()
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))  # with 0x0 line editing goes wrong
            stdin = theirs
        else:
            self.ours, theirs = os.pipe()
            stdin = subprocess.DEVNULL
        self.process = subprocess.Popen(argv, env=env, stdin=stdin, stdout=theirs, stderr=theirs,
                                        start_new_session=True)
        os.close(theirs)

    def expect(self, regex):
        """Waits until the output goes on with this, and steps over it."""
        end = time.monotonic() + DEADLINE
        while not (match := re.compile(regex).search(self.seen, self.expected)):
            if not self.read(end):
                raise Failed(f"the output does not go on with {regex!r}")
        self.expected = match.end()

    def type(self, text):
        os.write(self.ours, text.encode())

    def finish(self):
        """Waits for the end; the exit status."""
        end = time.monotonic() + DEADLINE
        while self.read(end):
            pass
        try:
            return self.process.wait(max(0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            raise Failed(f"does not end within {DEADLINE} s") from None

    def read(self, end):
        """Takes what there is, or waits for more; false when no more will come."""
        if not select.select([self.ours], [], [], max(0, end - time.monotonic()))[0]:
            raise Failed(f"silent for {DEADLINE} s")
        try:
            data = os.read(self.ours, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            return False
        self.seen += data.decode(errors="replace")
        return bool(data)

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.ours)
