"""The inside of run-all: PID 1 of its namespaces. Prints `ok NAME` or `not ok NAME` and why; run-all counts."""

import argparse
import os
import sys
import traceback

sys.dont_write_bytecode = True  # no __pycache__ in the source tree

from checks import checks
from engines import Docker, Podman, World
from own_checks import docker_checks, podman_checks
from processes import Failed

ENGINES = ((Docker, docker_checks), (Podman, podman_checks))


def become_child_of_reaper():
    """Goes on in a child. The parent reaps what docker and podman leave behind on purpose: podman waits for the end of
    its conmon, and a zombie looks alive."""
    child = os.fork()
    while child:
        pid, status = os.wait()
        if pid == child:
            os._exit(os.waitstatus_to_exitcode(status) & 255)


def run(name, function, engine):
    try:
        function(engine)
        print(f"ok {name}", flush=True)
    except Exception as failure:  # of one check: the others go on
        text = str(failure) if isinstance(failure, Failed) else traceback.format_exc()
        print(f"not ok {name}\n    " + text.strip().replace("\n", "\n    "), flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", required=True)
    parser.add_argument("--cgroup", required=True)
    parser.add_argument("launcher")
    parser.add_argument("probe")
    parser.add_argument("word", nargs="?", default="")
    options = parser.parse_args()
    world = World(options.folder, options.cgroup, options.launcher, options.probe)
    ran = 0
    for engine_type, own_checks in ENGINES:
        named = [(f"{engine_type.name}: {name}", function) for name, function in [*own_checks(), *checks()]]
        wanted = [(name, function) for name, function in named if options.word in name]
        if wanted:
            with engine_type(world) as engine:
                for name, function in wanted:
                    run(name, function, engine)
        ran += len(wanted)
    if not ran:
        sys.exit(f"no check has {options.word!r} in its name")


if __name__ == "__main__":
    become_child_of_reaper()
    main()
