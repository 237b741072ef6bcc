"""What the seccomp filter costs each system call: launcher's own profile, and one of docker's shape that launcher, crun
and runc compile, the latter two by libseccomp.

LAUNCHER_BENCH_PROFILE names a profile in docker's format, such as docker's default.json, which is not ours to ship;
without it one is made from our table: the same calls by name, and docker's conditions.
"""

import contextlib
import json
import os
import platform
import random
import re
import statistics
import subprocess
from pathlib import Path

from peers import ENV, HERE, ROOTFS, WORK, change_config, containers, program, views

COLUMNS = ("getppid", "ioctl", "personality")
CAPS = {"CAP_CHOWN", "CAP_SYS_CHROOT", "CAP_KILL"}  # of the default ones those that a profile may ask for
ARCH = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
CGROUP2 = "mount -t cgroup2 none /sys/fs/cgroup"


def calls(options):
    path = Path(os.environ.get("LAUNCHER_BENCH_PROFILE") or made_profile())
    programs = {"launcher": ["--rootfs", ROOTFS, "--", "/calls"]}
    for name, what in (("no filter", "unconfined"), ("launcher, FILE", path)):
        programs[name] = ["--rootfs", ROOTFS, "--security-opt", f"seccomp={what}", "--", "/calls"]
    programs = {name: program("launcher", *words) for name, words in programs.items()}
    programs |= {f"{name}, FILE": argv for name, argv in containers("/calls").items() if name in ("crun", "runc")}
    change_config(lambda config: config["linux"].update(seccomp=runtimes_profile(json.loads(path.read_text()))))
    return measure(programs, options.rounds or (3 if options.quick else 9), views(CGROUP2))


def measure(programs, rounds, seen):
    found, rows, order, names = {name: [] for name in programs}, {}, random.Random(1), list(programs)
    for _ in range(rounds):
        order.shuffle(names)
        for name in names:
            if programs[name][0] is None:
                rows[name] = {"note": "not installed"}
                continue
            with seen.get(name.split(",")[0]) or contextlib.nullcontext():
                ended = subprocess.run(programs[name], env=ENV, stdin=subprocess.DEVNULL, capture_output=True,
                                       text=True, check=False, timeout=60)
            if ended.returncode == 0:
                found[name].append([float(word) for word in ended.stdout.split()])
            else:
                rows[name] = {"note": ended.stderr.strip()[-100:]}
    base = [min(column) for column in zip(*found["no filter"])]
    for name, lines in found.items():
        if name not in rows and base:
            rows[name] = {}
            for column, times, least in zip(COLUMNS, zip(*lines), base):
                rows[name] |= {f"{column}_ns": statistics.median(times), f"{column}_added": min(times) - least}
    return {name: rows[name] for name in programs if name in rows}


def made_profile():
    """A file of docker's shape: one long rule, and those with conditions."""
    groups = re.findall(r'^    "(.*?)",$', (HERE.parents[1] / "src/primitives/seccomp/table.rs").read_text(),
                        re.DOTALL | re.MULTILINE)
    names = re.findall(r"[a-z_][a-z0-9_]*", groups[0])

    def rule(names, *args):
        keys = ("index", "op", "value", "valueTwo")
        return {"names": names, "action": "SCMP_ACT_ALLOW", "args": [dict(zip(keys, arg)) for arg in args]}

    rules = [rule([*names, "ioctl", "ptrace", "process_vm_readv", "process_vm_writev", "chroot"])]
    rules += [rule(["socket"], (0, f"SCMP_CMP_{op}", value)) for op, value in (("LT", 38), ("EQ", 39), ("GT", 40))]
    rules += [rule(["personality"], (0, "SCMP_CMP_EQ", value)) for value in (0, 8, 0x20000, 0x20008, 0xffffffff)]
    rules.append(rule(["clone"], (0, "SCMP_CMP_MASKED_EQ", 0x7e020000, 0)))
    rules.append({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38})
    path = WORK / "profile.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 1, "syscalls": rules}))
    return path


def runtimes_profile(docker):
    """Docker's format without what docker itself resolves."""
    def holds(rule):
        included, excluded = rule.get("includes") or {}, rule.get("excludes") or {}
        return (set(included.get("caps", [])) <= CAPS and not set(excluded.get("caps", [])) & CAPS
                and ("arches" not in included or ARCH in included["arches"]) and ARCH not in excluded.get("arches", []))

    keys = ("names", "action", "errnoRet", "args")
    rules = [{key: rule[key] for key in keys if rule.get(key)} for rule in docker["syscalls"] if holds(rule)]
    return {"defaultAction": docker["defaultAction"], "defaultErrnoRet": docker.get("defaultErrnoRet", 1),
            "syscalls": rules}
