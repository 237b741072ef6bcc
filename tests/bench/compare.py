#!/usr/bin/env python3
"""The table "launcher beside tini, dumb-init, catatonit" of the README: every cell is measured here and now.

    tests/bench/compare.py [--behaviour] [--quiet] [--check README.md] [ROW...]

Prints the table; with ROWs, those rows that have one of the words in their name. --behaviour leaves out the rows of
numbers, and with them the need for a compiler. --check fails where the file has another table. Numbers of size, memory
and calls may differ there, but the size of launcher by 2 KB at most; a model of another version than the file names is
not compared. `make compare` prints and checks all of it, `make test` checks the behaviour.

LAUNCHER_BIN and LAUNCHER_PROBE: what to test, and the program that reports from below it. Needs root: all runs in a PID
namespace of its own, because the fault of an init may be that it kills everybody.
LAUNCHER_TESTS_MUST_RUN: what is missing is a failure and no SKIP.
"""

import argparse
import contextlib
import os
import re
import shutil
import statistics
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.dont_write_bytecode = True  # no __pycache__ in the source tree

import bench
import stage
import trials
from peers import PAUSE, TRUE, build, command_path

MODELS = ("tini", "dumb-init", "catatonit")
TOOLS = (*MODELS, "unshare", "strace", "setpriv", "setsid")
AT_ONCE = 12  # most of them wait for something
SECONDS = 5  # for which wake-ups are counted
FEW = 9
TOLERANCE = 2  # KB


# ---- the rows of numbers

def size(init):
    found = bench.size_of(init.path)
    return f"{found['bytes'] / 1000:.0f} KB; {found['libraries'] or 'none'}"


def idle(init):
    """As PID 1 with a sleeping child. Memory is the median of a few, since addresses are random and with them the
    number of pages. The time is what is measured: nothing is waited for in it."""
    with contextlib.ExitStack() as stack:
        runs = [stack.enter_context(stage.Run(init, ["--", str(PAUSE)], pid1=True)) for _ in range(FEW)]
        pids = [run.init() for run in runs if run.program()]
        stage.eventually(lambda: all(map(stage.is_settled, pids)))
        memory = statistics.median(bench.memory_of(pid)["private_dirty_kib"] for pid in pids)
        before = bench.switches(pids[0])
        time.sleep(SECONDS)
        wakeups = (bench.switches(pids[0]) - before) * 60 // SECONDS
        return f"{memory} KiB; {wakeups or 'none'}"


def calls(init):
    log = stage.FOLDER / f"strace-{init.name}"
    if trials.ends(init, ["--", str(TRUE)], wrap=["strace", "-f", "-c", "-o", str(log)]) != 0:
        return "?"
    return str(bench.total(log.read_text())["calls"])


NUMBERS = (
    ("file; libraries beside it", size),
    ("idle as PID 1: private memory; wake-ups a minute", idle),
    ("system calls to start and end `true`", calls),
)

# What a cell has several answers to is joined in the order of the name.
BEHAVIOUR = (
    ("status: not found, not executable, interpreter of the script not found", trials.cannot_execute),
    ("names the interpreter that is not found", trials.names_interpreter),
    ("program killed by TERM: status as PID 1; elsewhere", trials.killed_program),
    ("exit statuses translated", trials.exit_map),
    ("signals that reach the program, of 62 that can be caught", trials.forwarded),
    ("value of a queued real-time signal arrives", trials.queued_value),
    ("signal reaches children of the program; if they lead a session",
     trials.reaches_child("family"), trials.reaches_child("escaped")),
    ("signals rewritten", trials.rewriting),
    ("signal refused, since the program became another user: the init", trials.not_permitted),
    ("TERM just before the program is executed", trials.before_exec),
    ("TERM to the group, before there is one", trials.new_group),
    ("TERM to a stopped program", trials.to_stopped),
    ("KILL if TERM was not enough in so many seconds", trials.time_limit),
    ("started with SIGCHLD ignored; all signals blocked; stdin closed",
     trials.sigchld_ignored, trials.all_blocked, trials.stdin_closed),
    ("blocked and ignored signals handed on as they were", trials.handed_on),
    ("options behind the program's name", trials.options_behind),
    ("runs the program as another user", trials.as_user),
    ("Ctrl-Z on the terminal of PID 1: the program", trials.ctrl_z),
    ("job in the background of a shell: the terminal is", trials.background_job),
    ("300 orphans reaped as PID 1", trials.reaped),
    ("orphans adopted where it is not PID 1", trials.adopted),
    ("at the program's end the others get TERM and time", trials.time_to_end),
    ("init keeps open what it inherited; its folder busy", trials.keeps_descriptors, trials.keeps_folder),
    ("what it tells when verbose goes to", trials.diagnostics),
)


def measure(rows, inits):
    """The cells, row by row."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = [[[pool.submit(trial, init) for trial in trial_list] for init in inits] for _, *trial_list in rows]
        return [[name, *("; ".join(part.result() for part in cell) for cell in cells)]
                for (name, *_), cells in zip(rows, answers)]


def line_of(cells):
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def print_table(head, rows):
    print(line_of(head), f"|{'---|' * len(head)}", *map(line_of, rows), sep="\n", flush=True)


# ---- the README

def table_in(path):
    """The table that begins with launcher and tini: its head and its rows."""
    lines = Path(path).read_text().splitlines()
    begin = next((at for at, line in enumerate(lines) if line.startswith("| | launcher | tini ")), None)
    if begin is None:
        sys.exit(f"compare: no table in {path}")
    table = []
    for line in lines[begin:]:
        if not line.startswith("|"):
            break
        table.append([cell.strip() for cell in line.strip("|").split(" | ")])
    return table[0], table[2:]


def differ(name, init, here, there):
    """Whether a cell is too far from the one that was measured."""
    if name not in dict(NUMBERS):
        return here != there
    if name == NUMBERS[0][0] and init == "launcher":
        if abs(kilobytes(here) - kilobytes(there)) > TOLERANCE:
            return True
    return re.sub(r"\d+", "N", here) != re.sub(r"\d+", "N", there)


def kilobytes(cell):
    return int(re.match(r"\d*", cell)[0] or 0)


def check(path, head, rows):
    """What the file has otherwise, as lines."""
    there_head, there_rows = table_in(path)
    columns = [at for at in range(1, len(head)) if head[at : at + 1] == there_head[at : at + 1]]
    for at in set(range(1, len(head))) - set(columns):
        print(f"not compared: {head[at]}, which is not in {path}")
    there = {row[0]: row for row in there_rows}
    faults = [f"{name}: measured, but not there" for name, *_ in rows if name not in there]
    known = [name for name, *_ in NUMBERS + BEHAVIOUR]
    faults += [f"{name}: not measured" for name in there if name not in known]
    for row in rows:
        other = there.get(row[0], row)
        other = other + [""] * (len(row) - len(other))
        faults += [f"{row[0]}, {head[at]}: measured {row[at]!r}, there {other[at]!r}"
                   for at in columns if differ(row[0], head[at], row[at], other[at])]
    return faults


# ---- start

def skip(why):
    print(f"SKIP compare: {why}")
    sys.exit(1 if os.environ.get("LAUNCHER_TESTS_MUST_RUN") else 0)


def enter_namespaces():
    """Start again as PID 1 of namespaces that end with us, and from which nothing reaches the host."""
    if os.environ.get("LAUNCHER_COMPARE_INSIDE") == "1":
        return
    if os.geteuid() != 0:
        skip("needs root")
    for file in (command_path("launcher"), stage.PROBE):
        if not file or not os.access(file, os.X_OK):
            sys.exit("compare: make release probe first")
    for tool in TOOLS:
        if shutil.which(tool) is None:
            skip(f"{tool} is not installed")
    os.environ["LAUNCHER_COMPARE_INSIDE"] = "1"
    os.execvp(stage.NEW_PID[0], [*stage.NEW_PID, sys.executable, *sys.argv])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="ROW")
    parser.add_argument("--behaviour", action="store_true", help="no rows of numbers")
    parser.add_argument("--quiet", action="store_true", help="do not print the table")
    parser.add_argument("--check", metavar="FILE", help="fail when its table is another")
    options = parser.parse_args()
    enter_namespaces()
    stage.prepare()
    rows = BEHAVIOUR if options.behaviour else NUMBERS + BEHAVIOUR
    rows = [row for row in rows if not options.words or any(word in row[0] for word in options.words)]
    if any(row in NUMBERS for row in rows):
        build()
    inits = [stage.Init(name) for name in ("launcher", *MODELS)]
    head = ["", "launcher", *(f"{init.name} {init.version}" for init in inits[1:])]
    cells = measure(rows, inits)
    if not options.quiet:
        print_table(head, cells)
    if options.check:
        faults = check(options.check, head, cells)
        for fault in faults:
            print(f"not ok {fault}")
        print(f"{max(len(cells) - len(faults), 0)} passed, {len(faults)} failed: the table in {options.check}")
        sys.exit(1 if faults else 0)


if __name__ == "__main__":
    main()
