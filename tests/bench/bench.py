#!/usr/bin/env python3
"""Sizes, start times, idle memory, system calls, signals, orphans and filters of launcher, its peers and a C floor.

    tests/bench/bench.py [--quick] [--rounds N] [size] [init] [container] [protected] [idle] [memory] [syscalls]
        [latency] [orphans] [calls] [boot]

All sections without a name; `make bench` does that. Tables go to stdout, the same numbers to target/bench.json.
LAUNCHER_BIN and LAUNCHER_INIT_ONLY measure other binaries. All but `size` and `init` need root.

Times never change the exit status: they belong to a machine. `ok` and `OVER` compare with the budgets in rows.py.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True  # no __pycache__ in the source tree

import peers
from boot import boot
from calls import calls, made_profile, runtimes_profile
from peers import (ENV, NAME, PAUSE, TARGET, TRUE, WORK, build, command_path, containers, inits, program, views,
                   write_config)
from rows import BUDGETS, KIB, compare, show, verdict
from signals import children, latency, orphans, start, stop


def enter_private_mounts():
    """Start again in a mount namespace of our own, from which nothing reaches the host."""
    if os.geteuid() == 0 and os.environ.get("LAUNCHER_BENCH_INSIDE") != "1":
        os.environ["LAUNCHER_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-m", "--propagation", "private", sys.executable, *sys.argv])


DEV_NULL = os.open("/dev/null", os.O_RDWR)
QUIET = [(os.POSIX_SPAWN_DUP2, DEV_NULL, fd) for fd in range(3)]


def try_once(argv, view=None, timeout=20):
    """None if it works, else why not."""
    if argv[0] is None:
        return "not installed"
    with view or contextlib.nullcontext(), tempfile.TemporaryFile("w+") as log:  # a pipe might outlive the child
        child = subprocess.Popen(argv, env=ENV, stdin=DEV_NULL, stdout=DEV_NULL, stderr=log)
        try:
            child.wait(timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
            return "hung"
        log.seek(0)
        text = log.read().strip()
    if child.returncode == 0:
        return None
    return f"refused ({child.returncode}): {text.splitlines()[-1][:110] if text else 'no message'}"


def time_once(argv):
    """Milliseconds from spawn to the end. posix_spawn is a vfork: the size of this process does not count."""
    begin = time.perf_counter_ns()
    pid = os.posix_spawn(argv[0], argv, ENV, file_actions=QUIET)
    status = os.wait4(pid, 0)[1]
    return (time.perf_counter_ns() - begin) / 1e6, status


def interleaved(programs, rounds, settle, seen):
    """One run of all programs; a new order each round, so that nobody always starts in another's wake. The kernel
    takes a dead container's network namespace down later and holds the lock that the next one needs: hence settle."""
    rows = {name: {"note": try_once(argv, seen.get(name))} for name, argv in programs.items()}
    names = [name for name, row in rows.items() if row["note"] is None]
    times, failures, order = {name: [] for name in names}, dict.fromkeys(names, 0), random.Random(1)
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            time.sleep(settle)
            with seen.get(name) or contextlib.nullcontext():
                elapsed, status = time_once(programs[name])
            times[name].append(elapsed)
            failures[name] += status != 0
    for name in names:
        rows[name] = {"median_ms": statistics.median(times[name]), "min_ms": min(times[name]),
                      "note": f"{failures[name]} of {rounds} failed" if failures[name] else None}
    return rows


def size(_):
    rows = {}
    for name in ("launcher", "launcher-init", "floor", "tini-static", "tini", "dumb-init", "catatonit", "bwrap",
                 "unshare", "crun", "runc"):
        if command_path(name) is None:
            rows[name] = {"note": "not built" if name.startswith("launcher") else "not installed"}
            continue
        rows[name] = size_of(command_path(name))
        rows[name].update(verdict(rows[name]["bytes"], BUDGETS["size"].get(name)))
    return rows


def size_of(path):
    ldd = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    libraries = {os.path.realpath(p) for p in re.findall(r"(/\S+) \(0x", ldd)}
    return {"bytes": os.stat(path).st_size, "libraries": len(libraries),
            "library_bytes": sum(os.stat(library).st_size for library in libraries)}


def init(options):
    rounds = options.rounds or (30 if options.quick else 200)
    programs = {"(no init)": [str(TRUE)], **inits(TRUE)}
    return compare(interleaved(programs, rounds, 0, {}), BUDGETS["init"])


CGROUP2 = "mount -t cgroup2 none /sys/fs/cgroup"
CGROUP1 = "umount /sys/fs/cgroup/unified"  # has no memory controller on a hybrid machine; v1 has


def container(options):
    rounds = options.rounds or (10 if options.quick else 60)
    return compare(interleaved(containers("/true"), rounds, 0.02, views(CGROUP2)), BUDGETS["container"])


def protected(options):
    rounds = options.rounds or (10 if options.quick else 60)
    programs = peers.protected("/true", runtimes_profile(json.loads(made_profile().read_text())))
    return compare(interleaved(programs, rounds, 0.02, views(CGROUP2)), BUDGETS["protected"])


def idle(options):
    """PID 1 of a pid namespace, with a sleeping child."""
    seconds, started, rows = 2 if options.quick else 5, {}, {}
    quiet = {"stdin": DEV_NULL, "stdout": DEV_NULL, "stderr": DEV_NULL}
    for name, argv in inits(PAUSE).items():
        if None in argv:
            rows[f"{name}, as init"] = {"note": "not installed"}
            continue
        started[f"{name}, as init"] = start(argv, **quiet)
    argv = containers("/pause")["launcher"]
    if None in argv:
        rows["launcher, in a container"] = {"note": "not installed"}
    else:
        started["launcher, in a container"] = subprocess.Popen(argv, env=ENV, **quiet)
    try:
        time.sleep(1)
        watched = {name: children(process.pid)[:1] for name, process in started.items()}
        if watched.get("launcher, in a container"):
            watched["launcher, outside of it"] = [started["launcher, in a container"].pid]
        before = {name: switches(*pids) for name, pids in watched.items() if pids}
        time.sleep(seconds)
        for name, pids in watched.items():
            if name not in before:
                rows[name] = {"note": "did not start"}
                continue
            rows[name] = {**memory_of(*pids), "wakeups_per_minute": (switches(*pids) - before[name]) * 60 / seconds}
            if name in ("launcher, as init", "launcher, in a container"):
                fits = all(rows[name][key] <= limit for key, limit in BUDGETS["idle"].items())
                rows[name]["verdict"] = "ok" if fits else "OVER"
    finally:
        stop(started.values())
    return rows


def switches(pid):
    return sum(map(int, re.findall(r"ctxt_switches:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())))


def memory_of(pid):
    rollup, status = (Path(f"/proc/{pid}/{name}").read_text() for name in ("smaps_rollup", "status"))

    def kib(key, text):
        return int(re.search(rf"^{key}:\s+(\d+)", text, re.MULTILINE)[1])

    return {"private_dirty_kib": kib("Private_Dirty", rollup), "pss_kib": kib("Pss", rollup),
            "rss_anon_kib": kib("RssAnon", status),
            "rss_shmem_kib": kib("RssShmem", status)}  # the copy that launcher runs from in a container


def memory(options):
    """The smallest limit with which a container starts, three times of three. A limit too small may also end in a
    hang, which counts as no."""
    step, rows, seen = 64, {}, views(CGROUP1)

    def starts(name, kib):
        argv = containers("/true")[name]
        if name == "launcher":
            argv[3:3] = ["-m", f"{kib}k"]
        write_config("/true", kib * KIB)
        for _ in range(1 if options.quick else 3):
            if why := try_once(argv, seen.get(name), timeout=10):
                if name != "launcher" and argv[0]:  # a start that failed may leave state and cgroups
                    try_once([*argv[:3], "delete", "--force", NAME], seen.get(name))
                return why
        return None

    for name in ("launcher", "crun", "runc"):
        low, high = 0, 256  # in steps: 16 MiB
        if why := starts(name, high * step):
            rows[name] = {"note": why}
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if starts(name, middle * step) else (low, middle)
        rows[name] = {"smallest_kib": high * step, **verdict(high * step, BUDGETS["memory"].get(name))}
    return rows


def syscalls(_):
    rows, log, seen = {}, WORK / "strace.txt", views(CGROUP2)
    programs = {f"{name}, init": argv for name, argv in inits(TRUE).items()}
    if os.geteuid() == 0:
        programs |= {f"{name}, container": argv for name, argv in containers("/true").items()}
    for name, argv in programs.items():
        if why := "not installed" if argv[0] is None else try_once(
                program("strace", "-f", "-c", "-o", log, *argv), seen.get(name.split(",")[0])):
            rows[name] = {"note": why}
            continue
        rows[name] = total(log.read_text())
    return rows


def total(log):
    """The last line of what strace -c writes."""
    calls, failed = re.search(r"^100\.00\s+\S+\s+\S+\s+(\d+)\s+(\d*)\s*total", log, re.MULTILINE).groups()
    return {"calls": int(calls), "errors": int(failed or 0)}


def main():
    sections = {f.__name__: f for f in (size, init, container, protected, idle, memory, syscalls, latency, orphans, calls, boot)}
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=" ".join(sections))
    parser.add_argument("--quick", action="store_true", help="fewer rounds: a look, not a measurement")
    parser.add_argument("--rounds", type=int,
                        help="instead of 200 (init), 60 (container, protected), 20000 (latency), 30 (orphans), 9 (calls), 7 (boot)")
    options = parser.parse_args()
    if unknown := set(options.sections) - set(sections):
        parser.error(f"no such section: {' '.join(sorted(unknown))}")
    enter_private_mounts()
    build()
    if os.geteuid() == 0:  # like /run, where the runtimes keep their state by default
        (WORK / "state").mkdir(exist_ok=True)
        subprocess.run(["mount", "-t", "tmpfs", "bench", WORK / "state"], check=True)
    if command_path("launcher") is None:
        print("launcher is not built (make release): only its peers are measured", file=sys.stderr)
    result = {"when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "kernel": platform.release(),
              "machine": platform.machine(), "cpus": os.cpu_count(), "load": os.getloadavg(), "quick": options.quick}
    print(f"{result['when']}  Linux {result['kernel']} {result['machine']}, {result['cpus']} CPUs, "
          f"load {result['load'][0]:.1f}; ratio = launcher : this row, of medians and of minima\n")
    for name, section in sections.items():
        if options.sections and name not in options.sections:
            continue
        if os.geteuid() != 0 and name in ("container", "protected", "idle", "memory", "latency", "orphans", "calls"):
            result[name] = {"launcher": {"note": "needs root"}}
        else:
            result[name] = section(options)
        show(name, result[name])
    (TARGET / "bench.json").write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
