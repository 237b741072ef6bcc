"""What must hold under both engines. `checks()` lists (name, function) pairs; a function that returns has passed."""

import shlex
import signal
from functools import partial
from pathlib import Path

from processes import Failed, eventually, same

READY = "echo ready; exec sleep 1000"
CTRL_C, CTRL_Z = "\x03", "\x1a"
PROMPT = "/ # "
# What docker allows itself is seccomp's default filter; the rest is what a careful operator adds.
LOCKED = ["--user", "1000:1000", "--cap-drop", "ALL", "--read-only", "--security-opt", "no-new-privileges"]
# A process that PID 1 adopts and has to reap: a zombie would keep its folder in /proc.
ORPHAN = """
    (sleep 1000 & echo $! >/tmp/orphan)
    read -r orphan </tmp/orphan
    until grep -q '^PPid:[[:space:]]*1$' /proc/$orphan/status; do :; done
    kill $orphan
    while [ -d /proc/$orphan ]; do :; done
    echo reaped"""

EXITS = [  # (status, command)
    (0, "true"), (3, "sh -c 'exit 3'"), (42, "sh -c 'exit 42'"), (255, "sh -c 'exit 255'"),
    (137, "sh -c 'kill -KILL $$'"), (143, "sh -c 'kill -TERM $$'"), (134, "sh -c 'kill -ABRT $$'"),
    (127, "no-such-program"), (127, "/no/such/program"), (126, "/data"), (126, "/tmp"),
]
STOPS = [  # (name, status, script)
    ("a handler", 5, "trap 'exit 5' TERM; echo ready; sleep 1000 & wait"),
    ("no handler", 143, READY),
    ("no handler, behind a shell", 143, "sleep 1000 & echo ready; wait"),
]


def checks():
    yield "PID 1 is launcher", first_process
    for status, command in EXITS:
        yield f"status {status}: {command}", partial(exits, status=status, command=command)
    for name, status, script in STOPS:
        yield f"stop, {name}: {status}", partial(stops, status=status, script=script)
    yield "stop right after the start: 143", stops_at_once
    yield "every signal that can be caught arrives", signals
    yield "a signal by name: RTMIN+3", signal_by_name
    yield "a storm of 2000 orphans leaves no zombie", storm
    yield "an orphan of exec is reaped", orphan_of_exec
    yield "terminal: Ctrl-C ends a job of the shell", interrupts_job
    yield "terminal: Ctrl-Z stops a job, fg resumes it", stops_and_resumes_job
    yield "terminal: the shell's status", status_of_shell
    yield "terminal: Ctrl-C ends a program that is no shell", interrupts_program
    yield "terminal: Ctrl-Z does not freeze a program that is no shell", does_not_freeze
    yield "locked down: filter and no new privileges are on", locked_down
    yield "locked down: status", partial(exits, status=42, command="sh -c 'exit 42'", options=LOCKED)
    yield "locked down: not found", partial(exits, status=127, command="no-such-program", options=LOCKED)
    yield "locked down: stop", partial(stops, status=5, script=STOPS[0][2], options=LOCKED)
    yield "locked down: terminal", partial(status_of_shell, options=LOCKED, prompt=r"[/~] \$ ")
    yield "image: docker/prebuilt.Dockerfile", prebuilt_image
    yield "image: docker/example", example_image
    yield "LAUNCHER_STOP_TIMEOUT ends what ignores TERM", stop_timeout
    yield "inside: doctor names what the engine forbids", doctor_inside
    yield "inside: a container is refused with the cure, or made with what there is", container_inside


def first_process(engine):
    with engine.container(["sh", "-c", READY]) as container:
        container.ready()
        if Path(f"/proc/{container.init()}/exe").read_bytes() != engine.world.launcher.read_bytes():
            raise Failed("another program: " + Path(f"/proc/{container.init()}/cmdline").read_text())


def exits(engine, status, command, options=()):
    got, output = engine.run(shlex.split(command), options)
    same(f"status, with output {output!r}", got, status)


def stops(engine, status, script, options=()):
    with engine.container(["sh", "-c", script], options) as container:
        container.ready()
        container.stop()
        same("status", container.finish(), status)


def stops_at_once(engine):
    """The program may not be what it will be yet. Before launcher's first system call the kernel throws away what is sent
    to a PID 1."""
    for _ in range(5):
        name = engine.must("run", "-d", *engine.box, *engine.init, engine.IMAGE, "sleep", "1000").split()[-1]
        pid = engine.inspect(name, "{{.State.Pid}}")
        eventually("there is a child", Path(f"/proc/{pid}/task/{pid}/children").read_text)
        engine.must("stop", "-t", "30", name)
        same("status", engine.inspect(name, "{{.State.ExitCode}}"), "143")
        engine.remove(name)


def signals(engine):
    """In both engines' words the signals are 1 to 31 and 34 to 64: libc has the two between for itself."""
    never = {signal.SIGKILL, signal.SIGSTOP}
    own_business = {signal.SIGCHLD, signal.SIGTTIN, signal.SIGTTOU}  # launcher's, as they are tini's
    numbers = set(range(1, 65)) - {32, 33} - never - own_business - {signal.SIGTERM}
    with engine.container(["probe", "signals", "100"]) as container:
        container.ready()
        for number in [*sorted(numbers), int(signal.SIGTERM)]:
            container.kill(number)
            container.expect(rf"(?m)^{number}\r?$")
        same("status", container.finish(), 42)


def signal_by_name(engine):
    with engine.container(["probe", "signals", "1"]) as container:
        container.ready()
        container.kill("RTMIN+3")
        container.expect("(?m)^37\r?$")
        same("status", container.finish(), 0)


def storm(engine):
    status, output = engine.run(["probe", "orphans", "2000"])
    same("status and output", (status, output), (0, "zombies 0\n"))


def orphan_of_exec(engine):
    with engine.container(["sh", "-c", READY]) as container:
        container.ready()
        same("output", container.exec("sh", "-c", ORPHAN), "reaped")


def shell_on_terminal(engine, options=()):
    return engine.container(["sh"], options, tty=True)


# Quotes inside the word: the echo of what is typed must not look like what the program prints.
JOB = """sh -c 'echo "sta"rted; {}'\n"""


def interrupts_job(engine):
    with shell_on_terminal(engine) as shell:
        shell.expect(PROMPT)
        shell.type(JOB.format("exec sleep 1000"))
        shell.expect("started")
        shell.type(CTRL_C)
        shell.expect(PROMPT)
        shell.type("echo status=$?\n")
        shell.expect("status=130")


def stops_and_resumes_job(engine):
    with shell_on_terminal(engine) as shell:
        shell.expect(PROMPT)
        shell.type(JOB.format('read line; echo "got $line"'))
        shell.expect("started")
        shell.type(CTRL_Z)
        shell.expect("Stopped")
        shell.expect(PROMPT)
        shell.type("fg\n")
        shell.type("something\n")  # nobody reads it but the job, when it runs and the terminal is its own
        shell.expect("got something")
        shell.expect(PROMPT)


def status_of_shell(engine, options=(), prompt=PROMPT):
    with shell_on_terminal(engine, options) as shell:
        shell.expect(prompt)
        shell.type("exit 7\n")
        same("status", shell.finish(), 7)


def interrupts_program(engine):
    with engine.container(["cat"], tty=True) as cat:
        cat.type("one\n")
        cat.ready("one\r\none\r\n")  # the terminal's echo, and cat's word
        cat.type(CTRL_C)
        same("status", cat.finish(), 130)


def does_not_freeze(engine):
    with engine.container(["cat"], tty=True) as cat:
        cat.type("one\n")
        cat.ready("one\r\none\r\n")
        cat.type(CTRL_Z)
        cat.type("two\n")
        cat.expect("two\r\ntwo\r\n")
        cat.stop()
        same("status", cat.finish(), 143)


def locked_down(engine):
    fields = "^(NoNewPrivs|Seccomp|CapEff|Uid):"
    status, output = engine.run(["grep", "-hE", fields, "/proc/1/status", "/proc/self/status"], LOCKED)
    lines = ["Uid: 1000 1000 1000 1000", "CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"]
    same("status and output", (status, [" ".join(line.split()) for line in output.splitlines()]), (0, lines * 2))


def build_prebuilt(engine):
    docker = engine.world.folder / "docker"
    engine.must("build", "-f", str(docker / "prebuilt.Dockerfile"), "-t", "launcher", str(engine.world.dist))


def prebuilt_image(engine):
    build_prebuilt(engine)
    version = engine.must("run", "--rm", *engine.box, "launcher", "/launcher", "--version")
    if not version.startswith("launcher "):
        raise Failed(f"launcher under launcher says {version!r}")
    same("status without a program", engine.call("run", "--rm", *engine.box, "launcher")[0], 125)
    same("status of a program that is not there", engine.call("run", "--rm", *engine.box, "launcher", "sh")[0], 127)


def example_image(engine):
    build_prebuilt(engine)
    engine.must("build", "-t", "example", str(engine.world.folder / "docker/example"))
    with engine.container([], image="example") as container:
        container.ready()
        container.stop()
        container.expect("stopping")
        same("status", container.finish(), 0)
    with engine.container(["sh", "-c", "exit 42"], image="example") as container:
        same("status of another command", container.finish(), 42)


def stop_timeout(engine):
    """An hour for the engine: whoever is done before this check's deadline was ended by launcher."""
    with engine.container(["sh", "-c", f"trap '' TERM; {READY}"], ["-e", "LAUNCHER_STOP_TIMEOUT=1"]) as container:
        container.ready()
        container.stop(3600)
        same("status", container.finish(), 137)


def doctor_inside(engine):
    status, output = engine.run(["launcher", "doctor"])
    same("status", status, 1)
    for line in ["limited  seccomp filter on launcher: set", "missing  mount namespace: Operation not permitted",
                 "mend:  CAP_SYS_ADMIN"]:
        if line not in output:
            raise Failed(f"no {line!r} in:\n{output}")


def container_inside(engine):
    status, output = engine.run(["launcher", "run", "--", "true"])
    same("status without --best-effort", status, 125)
    if "Operation not permitted (EPERM)\n  hint: making namespaces needs CAP_SYS_ADMIN" not in output:
        raise Failed(output)
    status, output = engine.run(["launcher", "--best-effort", "--", "grep", "-c", "Seccomp_filters:.2", "/proc/self/status"])
    same("status", status, 0)
    if "1" not in output.splitlines():  # not the last one for sure: the engine has its own and the program's by two pipes
        raise Failed(output)
    for loss in ("mnt", "pid", "net", "uts", "ipc", "cgroup"):
        if f"warning: without a {loss} namespace: Operation not permitted" not in output:
            raise Failed(f"{loss} is not named in:\n{output}")
