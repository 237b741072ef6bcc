"""How soon an init passes a signal on, and what it costs it to reap orphans. signals.c is its child."""

import contextlib
import os
import random
import signal
import statistics
import subprocess
import time
from pathlib import Path

from peers import ENV, SIGNALS, inits
from rows import BUDGETS, compare

LIMIT = 600  # seconds for a section: an init that loses a signal would hold us for ever


def children(pid):
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):  # gone before it was opened, or before it was read
        return []


def start(argv, **streams):
    """As PID 1 of a PID namespace."""
    return subprocess.Popen(["unshare", "--pid", "--fork", "--kill-child", *argv], env=ENV, bufsize=0, **streams)


def stop(processes):
    for process in processes:
        for pid in children(process.pid) or [process.pid]:  # all of a namespace ends with its PID 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        process.wait()


class Started:
    """An init with its child."""

    def __init__(self, argv):
        self.process = start(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.init = None

    def wait(self):
        """Until the child is ready."""
        self.answer()
        self.init = children(self.process.pid)[0]

    def answer(self):
        """Waits for a byte."""
        if os.read(self.process.stdout.fileno(), 1) != b"x":
            raise OSError(f"{self.process.args}: the child of the init has ended")

    def cpu(self):
        """Nanoseconds that the init has run; utime and stime are in ticks."""
        return int(Path(f"/proc/{self.init}/schedstat").read_text().split()[0])


@contextlib.contextmanager
def on_one_cpu(programs):
    """All of them at once, so that rounds can be interleaved. On one CPU, ours too: to wake up somebody on another
    takes longer than all that is measured, and how long depends on how deep the other sleeps."""
    cpus, started = os.sched_getaffinity(0), {}

    def give_up(*_):
        raise TimeoutError(f"no answer for {LIMIT} seconds")

    os.sched_setaffinity(0, {max(cpus)})
    before = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(LIMIT)
    try:
        for name, argv in programs.items():
            if None not in argv:
                started[name] = Started(argv)
                started[name].wait()
        yield started
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        os.sched_setaffinity(0, cpus)
        stop(one.process for one in started.values())


def interleaved(started, rounds, measure):
    """What `measure` says of each, in a new order each round."""
    names, order, values = list(started), random.Random(1), {name: [] for name in started}
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            values[name].append(measure(started[name]))
    return values


def latency(options):
    """From kill(2) to the init until the handler of its child has written a byte and we have read it. `floor init`
    does not forward. Without an init the same is measured of a PID 1 that has a handler itself."""
    rounds = options.rounds or (500 if options.quick else 20_000)
    programs = {"(no init)": [str(SIGNALS)], **inits(SIGNALS)}
    del programs["floor"]

    def measure(one):
        begin = time.perf_counter_ns()
        os.kill(one.init, signal.SIGUSR1)
        one.answer()
        return (time.perf_counter_ns() - begin) / 1e3

    rows = {name: {"note": "not installed"} for name in programs}
    with on_one_cpu({name: [*argv, "echo"] for name, argv in programs.items()}) as started:
        for name, times in interleaved(started, rounds, measure).items():
            rows[name] = {"median_us": statistics.median(times), "min_us": min(times)}
    return compare(rows, BUDGETS["latency"], "us")


def orphans(options):
    """What it costs an init to reap an orphan: its own processor time; and the time until the orphan is gone, most of
    which is its birth and death. Each init runs before anybody else (SCHED_FIFO), so that all are woken once for each
    orphan. Left to the scheduler a wake-up is for one or for many, and not by the init's merit: whoever gives its
    child a session has it in a group of the scheduler of its own (autogroup), and is woken less often."""
    count = 2_000 if options.quick else 10_000
    rounds = options.rounds or (5 if options.quick else 30)
    programs = inits(SIGNALS)

    def measure(one):
        cpu, begin = one.cpu(), time.perf_counter_ns()
        os.write(one.process.stdin.fileno(), b"g")
        one.answer()
        return (one.cpu() - cpu) / count / 1e3, (time.perf_counter_ns() - begin) / count / 1e3

    rows = {name: {"note": "not installed"} for name in programs}
    with on_one_cpu({name: [*argv, "orphans", str(count)] for name, argv in programs.items()}) as started:
        try:
            for one in started.values():
                os.sched_setscheduler(one.init, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(1))
        except PermissionError:
            return {"launcher": {"note": "needs CAP_SYS_NICE"}}
        for name, values in interleaved(started, rounds, measure).items():
            own, whole = zip(*values)
            rows[name] = {"median_us": statistics.median(own), "min_us": min(own),
                          "until_gone_us": statistics.median(whole)}
    return compare(rows, BUDGETS["orphans"], "us")
