"""What is on the machines of tests/vm/boot: an initramfs, and the same tree in a folder of it and on disks."""
import glob, itertools, os, stat

import machine
from machine import Cpio, read

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.join(HERE, "../../..")
LAUNCHER = os.environ.get("LAUNCHER_BIN", f"{TOP}/target/dist/launcher")
PROBE = os.environ.get("LAUNCHER_PROBE", f"{TOP}/target/dist/probe")
MODULES = ["overlay", "loop", "squashfs", "erofs", "softdog"]

# PID 1 after launcher, by exec:PATH; it says which of the two it is and becomes the next row of the table.
OK, FAIL = "/by-exit", "/by-fail"
BY = "#!/bin/sh\nexport PATH=/bin\nexec </dev/console >/dev/console 2>&1\nby=$0\n. /t/next\n"
NEXT = """number=$(cat /number 2>/dev/null || echo 0)
echo $((number + 1)) >/number
[ -e "/case/$number" ] || { echo "## $by end"; echo '## end of the chain'; exec sleep 1000; }
echo "## $by $number"
cp "/conf/$number" /etc/launcher.conf
exec sh "/case/$number"
"""
START = "export PATH=/bin\n"

SCRIPTS = {
    "lost": "#!/no/such\n",
    # Numbered files, each written out before it is told; what was told must be there and whole.
    "writer.sh": """cd /; found=0
while [ -e "file.$((found + 1))" ] && [ "$(wc -c <"file.$((found + 1))")" = 300000 ]; do found=$((found + 1)); done
echo "found $found"
[ $found = 0 ] || if dmesg | grep -q 'nvme0n1p2.*recovery complete'; then echo recovered yes; else echo recovered no; fi
number=$found
while number=$((number + 1)); do
    head -c 300000 /dev/urandom >"file.$number" && sync && echo "written $number"
    head -c 100000 /dev/zero >"other.$number" # this is what the cut hits
    rm -f "other.$((number - 1))"
done
""",
    "stubborn.sh": "trap 'echo not yet' TERM; echo dirty >/data; echo ready; while :; do sleep 1; done\n",
    "daemon.sh": """(trap 'echo daemon: not yet' TERM; while :; do sleep 1; done) &
trap 'echo in order; exit 0' TERM; echo dirty >/data; echo ready; while :; do sleep 1; done
""",
    "frozen.sh": "sleep 5; echo 'well for 5 s'; kill -STOP $$; echo on\n",
    "iced.sh": """ice=/sys/fs/cgroup/ice; mkdir $ice; echo $$ >$ice/cgroup.procs
sleep 5; echo 'well for 5 s'; echo 1 >$ice/cgroup.freeze; echo on
""",
    # What an ordinary user can do to the memory of a machine.
    "fill.sh": """for file in /tmp/x /dev/shm/x; do dd if=/dev/zero of=$file bs=64k 2>/dev/null; done
echo "full as $(id -u)"
""",
    # As the health command: kills what started the container, twice removed from the program.
    "kill-runner.sh": """parent() { awk '/^PPid/ { print $2 }' "/proc/$1/status"; }
kill -KILL "$(parent "$(parent "$LAUNCHER_PID")")"
""",
    "note-pid.sh": "echo \"$LAUNCHER_PID\" >>/pids\n",
    "sick.sh": "sleep 5; echo 'well for 5 s'; touch /sick; sleep 1000\n",
    "health.sh": "[ -n \"$LAUNCHER_PID\" ] && [ -d \"/proc/$LAUNCHER_PID\" ] && [ ! -e /rootfs/sick ]\n",
    # What it returns to when the call that it sleeps in is over.
    "crash.sh": """set -- $(cat /proc/1/syscall)
while [ $# -gt 2 ]; do shift; done
tr '\\0' '\\377' </dev/zero | dd of=/proc/1/mem bs=1 seek=$(($1)) count=2048 conv=notrunc 2>/dev/null
exit 3
""",
}


class Folder(Cpio):
    """The same as a folder, for what makes images of one."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def entry(self, path, mode, data=b"", owner=0):
        place = os.path.join(self.path, path)
        if stat.S_ISDIR(mode):
            os.makedirs(place, exist_ok=True)
        elif stat.S_ISLNK(mode):
            os.symlink(data.decode(), place)
            return
        else:
            with open(place, "wb") as file:
                file.write(data)
        os.chmod(place, stat.S_IMODE(mode))


def fill(tree):
    """What every root has."""
    for path in "proc sys dev run root mnt".split():
        tree.dir(path)
    tree.dir("tmp", 0o1777)
    tree.busybox()
    tree.file("probe", read(PROBE))
    tree.file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n", 0o644)
    for path in [*glob.glob(f"{HERE}/*.sh"), f"{HERE}/../lib.sh"]:
        tree.file(f"t/{os.path.basename(path)}", read(path))
    for name, text in SCRIPTS.items():
        tree.file(f"t/{name}", text.encode())


def names(*wanted):
    return [name for name, _ in machine.modules(wanted)]


def modules(*wanted):
    """The value of --modules for these and what they need."""
    return ",".join(f"/m/{name}.ko" for name in names(*wanted))


def prepare(tmp):
    """The initramfs without what is one machine's own."""
    cpio = Cpio()
    fill(cpio)
    cpio.file("init", read(LAUNCHER))
    cpio.link("launcher", "init")
    for path in (OK, FAIL):
        cpio.file(path, BY.encode())
    for name, data in machine.modules(MODULES):
        cpio.file(f"m/{name}.ko", data, 0o644)
    cpio.root = "rootfs"
    fill(cpio)
    cpio.file("image", b"", 0o644)
    cpio.root = ""
    cpio.file("image", b"", 0o644)
    with open(f"{tmp}/base", "wb") as file:
        file.write(cpio.done())


NUMBERS = itertools.count()


def initramfs(tmp, extra):
    """That, and these files; the kernel takes several archives one after the other."""
    if not extra:
        return f"{tmp}/base"
    cpio = Cpio()
    for path, data in extra.items():
        cpio.file(path, data.encode() if isinstance(data, str) else data)
    path = f"{tmp}/initramfs.{next(NUMBERS)}"
    with open(path, "wb") as file:
        file.write(read(f"{tmp}/base") + cpio.done())
    return path
