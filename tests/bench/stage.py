"""Where compare.py tries inits: what they are and offer, starting one, and looking at it by way of /proc.

Nothing here sleeps for something to have happened: states are looked at until they are reached or DEADLINE is over.
"""

import contextlib
import fcntl
import os
import platform
import re
import shutil
import signal
import struct
import subprocess
import termios
import time
from pathlib import Path

from peers import ENV, TARGET, WORK, command_path
from signals import children

DEADLINE = 4  # seconds; what has not come to its end then and does nothing hangs
LONGEST = 30  # seconds; for all else that is waited for, on a busy machine
STABLE = 0.3  # seconds for which a state that should not be is seen before it counts
FOLDER = WORK / "compare"
PROBE = os.path.abspath(os.environ.get("LAUNCHER_PROBE", TARGET / "dist/probe"))
NEW_PID = ["unshare", "-pf", "--kill-child", "--mount-proc", "-m", "--propagation", "private"]
CALLS = ({"rt_sigprocmask": 14, "setpgid": 109, "setsid": 112} if platform.machine() == "x86_64" else
         {"rt_sigprocmask": 135, "setpgid": 154, "setsid": 157})  # numbers of aarch64 and riscv64
VERSION = re.compile(r"\d+(\.\d+)+")


class Init:
    """One of the programs that are compared."""

    def __init__(self, name):
        self.name, self.path = name, command_path(name)
        if self.path is None:
            raise FileNotFoundError(f"{name} is not there")
        self.file = identity(self.path)
        self.usage = self.said("-h")
        self.version = VERSION.search(self.said("--version"))[0]

    def said(self, *words):
        ended = subprocess.run([self.path, *words], env=ENV, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, text=True, check=False, timeout=LONGEST)
        return ended.stdout

    def option(self, about):
        """The first option in the usage text whose description has a match of the pattern; None: it has none."""
        for line in re.findall(r"^ +(-.*)$", self.usage, re.MULTILINE):
            if re.search(about, line):
                return re.match(r"--?[\w-]+", line)[0]
        return None


def identity(path):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        found = os.stat(path)
        return found.st_dev, found.st_ino
    return None


def eventually(condition, seconds=LONGEST):
    """What the condition gives, as soon as that is true; else its last answer."""
    end = time.monotonic() + seconds
    while not (answer := condition()) and time.monotonic() < end:
        time.sleep(0.005)
    return answer


def lasting(condition, unless=lambda: None, seconds=STABLE):
    """Whether the condition comes to hold and stays so for a while; no as soon as `unless` is true."""
    end, since = time.monotonic() + LONGEST, None
    while time.monotonic() < end and not unless():
        since = (since or time.monotonic()) if condition() else None
        if since and time.monotonic() - since >= seconds:
            return True
        time.sleep(0.005)
    return False


def status_of(pid):
    """/proc/PID/status as a dict; of a process that is gone an empty one."""
    try:
        text = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return {}
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def is_pending(pid, number):
    return int(status_of(pid).get("ShdPnd", "0"), 16) >> (number - 1) & 1 == 1


def is_stopped(pid):
    return status_of(pid).get("State", "")[:1] == "T"


def is_settled(pid):
    """Sleeps or is stopped, and has taken all that was sent to it: kill(2) wakes whom it signals before it returns."""
    status = status_of(pid)
    return status.get("State", "")[:1] in ("S", "T") and int(status["ShdPnd"], 16) == 0


def is_in_call(pid, name):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/syscall").read_text().split()[0] == str(CALLS[name])
    return False


def family(pid):
    """A process and all that descend from it, the eldest first."""
    found = [pid]
    for member in found:
        found += children(member)
    return found


class Run:
    """An init that runs: `with Run(init, words) as run`. What is left of it is killed at the end."""

    def __init__(self, init, words, pid1=False, wrap=(), terminal=None, **options):
        self.file, self.out, self.found = init.file, "", None
        argv = [*(NEW_PID if pid1 else ()), *wrap, init.path, *words]
        ends = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        if terminal:
            ends = dict.fromkeys(ends, terminal.slave)
        # a session of its own: none of them shall lay hands on the terminal of whoever runs this
        self.outer = subprocess.Popen(argv, start_new_session=terminal is None, **{"env": ENV, **ends, **options})
        if not terminal:
            os.set_blocking(self.outer.stdout.fileno(), False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for pid in family(self.outer.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.outer.wait()
        for end in filter(None, (self.outer.stdin, self.outer.stdout, self.outer.stderr)):
            end.close()

    def init(self):
        """Its pid: of all processes of that file it is the eldest. None: it has ended before it was seen."""
        def look():
            self.found = self.found or next(
                (pid for pid in family(self.outer.pid) if identity(f"/proc/{pid}/exe") == self.file), None)
            return self.found or self.has_ended()

        eventually(look)
        return self.found

    def program(self):
        """The pid of the program, once it is one."""
        return eventually(lambda: next(
            (pid for pid in children(self.init()) if identity(f"/proc/{pid}/exe") not in (None, self.file)), None))

    def shown(self):
        """All that was printed so far."""
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.outer.stdout.fileno(), 4096):
                self.out += data.decode()
        return self.out

    def wait_for(self, text):
        return eventually(lambda: text in self.shown())

    def has_ended(self):
        return self.outer.poll() is not None

    def is_busy(self):
        return any(status_of(pid).get("State", "R")[:1] in ("R", "D") for pid in family(self.outer.pid))

    def kill(self, number):
        """Signals the init."""
        with contextlib.suppress(ProcessLookupError):
            if self.init() and not self.has_ended():
                os.kill(self.init(), number)

    def send(self, number):
        """Signals the init and waits until it has done what it does about it, or has ended."""
        self.kill(number)
        self.settle()

    def settle(self):
        init = self.init()
        eventually(lambda: self.has_ended() or is_settled(init))

    def finish(self):
        """The exit status as a shell shows it, or `hangs`."""
        if not eventually(self.has_ended, DEADLINE):
            eventually(lambda: self.has_ended() or not self.is_busy())  # on a busy machine it may only be late
        if not self.has_ended():
            return "hangs"
        status = self.outer.returncode
        return status if status >= 0 else 128 - status

    def output(self):
        """Both streams, after the end."""
        self.finish()
        self.shown()
        return self.out, self.outer.stderr.read().decode() if self.has_ended() else ""


class Terminal:
    """A pseudo-terminal; LEADER before a command makes it the leader of a session there, as login does."""

    LEADER = ("setsid", "-c")

    def __init__(self):
        self.master, self.slave = os.openpty()
        os.set_blocking(self.master, False)
        self.out = ""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.close(self.master)
        os.close(self.slave)

    def type(self, text):
        os.write(self.master, text.encode())

    def count(self, text):
        with contextlib.suppress(BlockingIOError):
            self.out += os.read(self.master, 4096).decode(errors="replace")
        return self.out.count(text)

    def wait_for(self, text, count=1):
        return eventually(lambda: self.count(text) >= count)

    def foreground(self):
        """The process group that has it."""
        return struct.unpack("i", fcntl.ioctl(self.master, termios.TIOCGPGRP, b"\0" * 4))[0]


def prepare():
    """Programs that cannot be executed."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    FOLDER.mkdir(parents=True)
    (FOLDER / "text").write_text("not a program\n")
    (FOLDER / "script").write_text("#!/no/such/interpreter\n")
    (FOLDER / "script").chmod(0o755)
