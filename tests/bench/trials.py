"""What compare.py tries with each init: a function a row of the table, which gives the cell.

An option is found by what the usage text says about it, and then tried; `-` where the text offers none.
"""

import contextlib
import ctypes
import os
import signal
import subprocess

from peers import ENV
from signals import children
from stage import FOLDER, PROBE, Run, Terminal, eventually, is_in_call, is_pending, is_settled, is_stopped, lasting

CATCHABLE = sorted(set(range(1, 65)) - {signal.SIGKILL, signal.SIGSTOP})
GROUP = r"process group"
OTHER_USER = ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"]
NO_CAP_KILL = ["setpriv", "--bounding-set", "-kill", "--inh-caps", "-kill"]


def output(init, words, **options):
    with Run(init, words, **options) as run:
        return run.output()


def ends(init, words, **options):
    with Run(init, words, **options) as run:
        return run.finish()


def works(status, wanted):
    """The cell for a run that should end with that status."""
    return "works" if status == wanted else status if status == "hangs" else f"ends with {status}"


def with_option(init, tried, *candidates):
    """`yes` if `tried(words)` holds without options, `with -x` if with one that the usage text has; else `no`. A
    candidate is what the text says about the option, and the option's value if it wants one."""
    if tried([]):
        return "yes"
    for about, *value in candidates:
        option = init.option(about)
        if option and tried([option, *value]):
            return f"with `{option}`"
    return "no"


# ---- exit statuses

def cannot_execute(init):
    return ", ".join(str(ends(init, ["--", path])) for path in ("/no/such", FOLDER / "text", FOLDER / "script"))


def names_interpreter(init):
    return "yes" if "/no/such/interpreter" in output(init, ["--", FOLDER / "script"])[1] else "no"


def killed_program(init):
    words = ["--", "sh", "-c", "kill -TERM $$"]
    with Run(init, words) as run:
        run.finish()
        outside = "killed by TERM too" if run.outer.returncode == -signal.SIGTERM else str(run.outer.returncode)
    return f"{ends(init, words, pid1=True)}; {outside}"


def exit_map(init):
    """Each option that may be about it, with the values that its usage text could mean."""
    for about, value, status, what in ((r"exit with TO", "3:5", 5, "any to any"), (r"[Rr]emap|exit 0", "3", 0, "to 0")):
        option = init.option(about)
        if option and ends(init, [option, value, "--", "sh", "-c", "exit 3"]) == status:
            return f"{what}: `{option}`"
    return "-"


# ---- signals

def arrives(run, number):
    """Whether the probe prints the number that was sent to the init."""
    before = len(run.shown())
    run.send(number)
    program = run.program()
    eventually(lambda: is_settled(program) or is_stopped(program))
    got = str(number) in run.shown()[before:].split()
    if is_stopped(program):
        os.kill(program, signal.SIGCONT)
        eventually(lambda: not is_stopped(program) and is_settled(program))
        run.shown()
    return got


def forwarded(init):
    with Run(init, ["--", PROBE, "signals", "999"], pid1=True) as run:
        run.wait_for("ready")
        # TERM ends the probe
        got = [number for number in CATCHABLE if number != signal.SIGTERM and arrives(run, number)]
        run.kill(signal.SIGTERM)
        got += [signal.SIGTERM] if run.finish() == 42 else []
    return f"{len(got)}"


def queued_value(init):
    with Run(init, ["--", PROBE, "value"], pid1=True) as run:
        run.wait_for("ready")
        ctypes.CDLL(None).sigqueue(run.init(), 40, ctypes.c_void_p(4711))
        run.finish()
        return "yes" if "40 4711" in run.shown() else "no"


def reaches_child(kind):
    """A trial: does USR1 reach a child of the program? kind is `family`, or `escaped` for one in a new session."""
    def trial(init):
        def tried(words):
            with Run(init, [*words, "--", PROBE, kind], pid1=True) as run:
                run.wait_for("ready")
                run.send(signal.SIGUSR1)
                run.send(signal.SIGUSR2)
                run.finish()
                return "child got USR1" in run.shown()
        return with_option(init, tried, (GROUP,), (r"\bgroup or all\b", "all"))
    return trial


def rewriting(init):
    option = init.option(r"[Rr]ewrite")
    if not option:
        return "-"

    def takes(value):
        return ends(init, [option, value, "--", "true"]) == 0

    with Run(init, [option, "10:12", "--", PROBE, "signals", "1"], pid1=True) as run:
        run.wait_for("ready")
        run.send(10)
        if run.finish() != 0 or "12" not in run.shown().split():
            return "no"
    numbers = "numbers to 64" if takes("64:34") else "numbers to 31" if takes("31:30") else "numbers"
    return f"names, {numbers}" if takes("USR1:USR2") else numbers


def not_permitted(init):
    """A program that becomes another user, as sudo(8) does, when the init is through with starting it."""
    becomes = [*OTHER_USER, "sh", "-c", "echo ready; read line; exit 9"]
    program = ["sh", "-c", "echo there; read line; exec \"$@\"", "sh", *becomes]
    with Run(init, ["--", *program], pid1=True, wrap=NO_CAP_KILL, stdin=subprocess.PIPE) as run:
        run.wait_for("there")
        run.settle()
        os.write(run.outer.stdin.fileno(), b"\n")
        run.wait_for("ready")
        run.send(signal.SIGTERM)
        run.outer.stdin.close()
        return "goes on" if run.finish() == 9 else works(run.finish(), 9)


def while_starting(init, call, option):
    """TERM while strace(1) holds the new process in a system call before it is the program."""
    held = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"inject={call}:delay_enter=1s:when=1", "--"]
    for _ in range(3):  # on a busy machine the moment may be missed
        with Run(init, [*filter(None, [option]), "--", PROBE, "pause"], wrap=held) as run:
            def is_program():
                return "ready" in run.shown()

            def is_held():
                return any(is_in_call(pid, call) for pid in children(run.init()))

            if not eventually(lambda: is_held() or is_program()) or is_program():
                continue
            run.kill(signal.SIGTERM)
            if lasting(lambda: is_program() and is_settled(run.init()), run.has_ended):
                return "lost"
            return "arrives" if run.finish() == 143 else works(run.finish(), 143)
    return "never seen"


def before_exec(init):
    """The program alone is the target."""
    return while_starting(init, "rt_sigprocmask", init.option(r"^-c, --single-child"))


def new_group(init):
    """The target is the group that is yet to be made: dumb-init makes a session."""
    option = init.option(GROUP)
    return while_starting(init, "setpgid" if option else "setsid", option)


def to_stopped(init):
    with Run(init, ["--", PROBE, "pause"], pid1=True) as run:
        run.wait_for("ready")
        program = run.program()
        os.kill(program, signal.SIGSTOP)
        eventually(lambda: is_stopped(program))
        run.kill(signal.SIGTERM)
        waits = lasting(lambda: is_settled(run.init()) and is_stopped(program) and is_pending(program, 15),
                        run.has_ended)
        return "waits for CONT" if waits else "ends it" if run.finish() == 143 else works(run.finish(), 143)


def time_limit(init):
    """TERM to a program that ignores it."""
    option = init.option(r"kill everything|[Tt]ime-?out|[Gg]race")
    if not option:
        return "-"
    with Run(init, [option, "0.2", "--", "sh", "-c", "trap '' TERM; echo ready; exec sleep 600"], pid1=True) as run:
        run.wait_for("ready")
        run.send(signal.SIGTERM)
        return f"`{option}`" if run.finish() == 137 else "no"


# ---- what it is started with

def sigchld_ignored(init):
    return works(ends(init, ["--", "sh", "-c", "exit 7"], wrap=["env", "--ignore-signal=CHLD"]), 7)


def all_blocked(init):
    with Run(init, ["--", PROBE, "signals", "9"], wrap=["env", "--block-signal"]) as run:
        run.wait_for("ready")
        run.send(signal.SIGTERM)
        return works(run.finish(), 42)


def stdin_closed(init):
    closed = ["sh", "-c", 'exec "$@" <&-', "sh"]
    return works(ends(init, ["--", "sh", "-c", "exit 7"], wrap=closed), 7)


def handed_on(init):
    """The mask and the ignored signals of the program, beside those that it has without an init."""
    habit, look = ["env", "--ignore-signal=HUP", "--block-signal=USR1"], ["grep", "^Sig[BI]", "/proc/self/status"]
    want = subprocess.run([*habit, *look], capture_output=True, text=True, check=True).stdout.splitlines()
    got = output(init, ["--", *look], wrap=habit)[0].splitlines()
    changed = [what for what, a, b in zip(("mask", "ignored signals"), want, got) if a != b]
    return "yes" if got == want else f"no: {' and '.join(changed)} changed"


def options_behind(init):
    return "left to it" if output(init, ["echo", "-l"])[0] == "-l\n" else "taken by the init"


def as_user(init):
    option = init.option(r"\buser\b")
    if option and output(init, [option, "12345:12345", "--", "id", "-u"])[0] == "12345\n":
        return f"`{option}`"
    return "-"


# ---- the terminal

def ctrl_z(init):
    with Terminal() as terminal:
        program = ["--", "sh", "-c", "echo ready; exec cat"]
        with Run(init, program, pid1=True, wrap=terminal.LEADER, terminal=terminal) as run:
            terminal.wait_for("ready")
            terminal.type("\x1a")
            terminal.wait_for("^Z")
            terminal.type("hello\n")
            frozen = lasting(lambda: is_stopped(run.program()),
                             lambda: terminal.count("hello") >= 2)  # the terminal's echo and the program's
            return "frozen" if frozen else "goes on"


def background_job(init):
    script = "set -m; \"$0\" -- sh -c 'echo ready; exec sleep 600' & wait"
    with Terminal() as terminal:
        shell = Run(Shell(init), ["-c", script, init.path], wrap=terminal.LEADER, terminal=terminal)
        with shell as run:
            terminal.wait_for("ready")
            return "left to the shell" if terminal.foreground() == run.outer.pid else "taken from the shell"


class Shell:
    """Stands in an init's place for a run where a shell starts that."""

    def __init__(self, init):
        self.path, self.file = "sh", init.file


# ---- the process tree

def reaped(init):
    return "yes" if "zombies 0" in output(init, ["--", PROBE, "orphans", "300"], pid1=True)[0] else "no"


def adopted(init):
    def tried(words):
        return "adopted 5" in output(init, [*words, "--", PROBE, "adopted", "5"])[0]
    return with_option(init, tried, (r"subreaper",))


def time_to_end(init):
    """The program's end, while a child of it needs a moment after TERM."""
    mark = FOLDER / f"ready-{init.name}"
    script = "sh -c \"trap 'sleep 0.2; echo cleaned up; exit' TERM; >$0; while :; do sleep 0.01; done\" & " \
             "until [ -e $0 ]; do sleep 0.01; done; exit 3"

    def tried(words):
        mark.unlink(missing_ok=True)
        with Run(init, [*words, "--", "sh", "-c", script, str(mark)], pid1=True) as run:
            return run.finish() == 3 and "cleaned up" in run.shown()
    return with_option(init, tried, (r"\bwait\b|[Gg]race",))


# ---- what it keeps, and says

def keeps_descriptors(init):
    reader, writer = os.pipe()
    try:
        with Run(init, ["--", PROBE, "pause"], pass_fds=[writer]) as run:
            run.wait_for("ready")
            pipe = os.readlink(f"/proc/self/fd/{writer}")
            return "yes" if lasting(lambda: pipe in descriptors(run.init()) and is_settled(run.init()),
                                    lambda: pipe not in descriptors(run.init())) else "no"
    finally:
        os.close(reader)
        os.close(writer)


def descriptors(pid):
    found = []
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
    return found


def keeps_folder(init):
    def is_there():
        return os.readlink(f"/proc/{run.init()}/cwd") == str(FOLDER)

    with Run(init, ["--", PROBE, "pause"], cwd=FOLDER) as run:
        run.wait_for("ready")
        return "yes" if lasting(lambda: is_there() and is_settled(run.init()), lambda: not is_there()) else "no"


def diagnostics(init):
    """The streams that are not empty when it says as much as it can; catatonit has a variable for it."""
    option = init.option(r"[Vv]erbose")
    said = output(init, [*([option] * 3 if option else []), "--", "true"], env={**ENV, "CATATONIT_DEBUG": "1"})
    return " and ".join(name for text, name in zip(said, ("stdout", "stderr")) if text)
