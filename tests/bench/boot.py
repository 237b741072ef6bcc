"""The time from the kernel's hand-over to a program's first instruction, on a machine whose init is launcher or busybox.

The machine is one in software, which translates each instruction when it is first met: what launcher adds to busybox is
mostly that. Counted, the same machine's clock is its instructions, a nanosecond each, and what it waits for: about what a
small board needs.
"""

import os
import random
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

VM = Path(__file__).resolve().parent.parent / "vm"
sys.path.insert(0, str(VM))

from machine import Cpio, Machine, read  # noqa: E402, below the path that has it

from peers import TARGET  # noqa: E402

BUDGET = 30  # milliseconds that launcher adds to busybox
ROUNDS = 7
LAUNCHER = os.environ.get("LAUNCHER_BIN", TARGET / "dist/launcher")
PROBE = os.environ.get("LAUNCHER_PROBE", TARGET / "dist/probe")
# init, command line: the program is the same, and its time the kernel's own, from the line that it writes to the log
ROWS = {
    "busybox": ("bin/hand-over", ""),
    "launcher, plain": ("init", "launcher.container=0 -- /probe stamp"),
    "launcher, container": ("init", "launcher.rootfs=/rootfs launcher.device=/dev/kmsg -- /probe stamp"),
    "launcher, with limits": ("init", "launcher.rootfs=/rootfs launcher.device=/dev/kmsg launcher.memory=64m "
                                      "launcher.pids-limit=20 -- /probe stamp"),
}
HAND_OVER = b"#!/bin/sh\nmount -t devtmpfs dev /dev\nexec /probe stamp\n"


def initramfs():
    cpio = Cpio()
    cpio.busybox()
    for path in ("proc", "sys", "dev", "tmp", "run", "rootfs/proc", "rootfs/sys", "rootfs/dev", "rootfs/tmp"):
        cpio.dir(path)
    cpio.file("bin/hand-over", HAND_OVER)
    cpio.file("init", read(str(LAUNCHER)))
    for path in ("probe", "rootfs/probe"):
        cpio.file(path, read(str(PROBE)))
    return cpio.done()


def once(path, init, words, **size):
    """Milliseconds between two lines of the kernel's log."""
    # The last loglevel counts: without these lines on the console there would be nothing to read.
    with Machine(path, f"rdinit=/{init} loglevel=7 {words}", mem=192, cpus=1, **size) as machine:
        begin = machine.wait(rf"^\[ *([\d.]+)\] Run /{init} as init process")
        here = machine.wait(r"^\[ *([\d.]+)\] probe: here")
    return (float(here[1]) - float(begin[1])) * 1000


def boot(options):
    rounds = options.rounds or (2 if options.quick else ROUNDS)
    if subprocess.run([VM / "kernel"], stdout=sys.stderr, check=False).returncode or not Path(LAUNCHER).exists():
        return {"launcher": {"note": "needs tests/vm/kernel and make release"}}
    counted, times, order = {}, {name: [] for name in ROWS}, random.Random(1)
    with tempfile.NamedTemporaryFile(prefix="launcher-boot.") as file:
        file.write(initramfs())
        file.flush()
        for name, row in ROWS.items():
            counted[name] = once(file.name, *row, counted=True)
        names = list(ROWS)
        for _ in range(rounds):
            order.shuffle(names)
            for name in names:
                times[name].append(once(file.name, *ROWS[name]))
    rows = {name: {"median_ms": statistics.median(values), "min_ms": min(values), "counted_ms": counted[name]}
            for name, values in times.items()}
    for name, row in rows.items():
        if name != "busybox":
            added = row["median_ms"] - rows["busybox"]["median_ms"]
            row.update(added_ms=added, budget=BUDGET, verdict="ok" if added < BUDGET else "OVER")
    return rows
