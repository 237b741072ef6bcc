"""The programs that bench.py compares: where they are, their command lines, what they need to run."""

import ctypes
import json
import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
TARGET = HERE.parents[1] / "target"
WORK = TARGET / "bench"
ROOTFS = WORK / "rootfs"
TRUE, PAUSE, FLOOR, SIGNALS = ROOTFS / "true", ROOTFS / "pause", WORK / "floor", WORK / "signals"
CALLS = ROOTFS / "calls"
OWN = {  # absolute, as entering another mount namespace changes the working directory
    "launcher": os.path.abspath(os.environ.get("LAUNCHER_BIN", TARGET / "dist/launcher")),
    "launcher-init": os.path.abspath(os.environ.get("LAUNCHER_INIT_ONLY", TARGET / "dist/launcher-init")),
    "floor": str(FLOOR),
}
NAME = f"launcher-bench-{os.getpid()}"  # of containers, and so of the cgroups that the runtimes make
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def command_path(name):
    return shutil.which(OWN.get(name, name), path=ENV["PATH"])


def program(name, *words):
    return [command_path(name), *map(str, words)]


def inits(command):
    """tini: -s only keeps it from warning that it is not PID 1 here; launcher and catatonit are subreapers anyway."""
    words = {"launcher": ["--"], "tini-static": ["-s", "--"], "dumb-init": ["--"], "catatonit": ["--"],
             "floor": ["init"]}
    return {name: program(name, *before, command) for name, before in words.items()}


def containers(command):
    """Everyone makes mnt, pid, net, uts, ipc and cgroup namespaces, /proc, /sys and /dev, and runs an init where it
    has one. The peers get no further protections (masked paths, seccomp, limits): the comparison favours them."""
    write_config(command)
    bwrap = ("--unshare-pid --unshare-net --unshare-uts --unshare-ipc --unshare-cgroup --hostname bench --bind {} / "
             "--proc /proc --ro-bind /sys /sys --dev /dev --mqueue /dev/mqueue --").format(ROOTFS)
    words = {"launcher": ["--rootfs", ROOTFS, "--", command], "floor": [ROOTFS, command],
             "bwrap": [*bwrap.split(), command],
             "unshare": ["-mpnuiC", "--fork", "--mount-proc", "-R", ROOTFS, command],  # /proc only, chroot, no init
             "crun": ["--root", WORK / "state/crun", "run", "--bundle", WORK, NAME],
             "runc": ["--root", WORK / "state/runc", "run", "--bundle", WORK, NAME]}
    return {name: program(name, *rest) for name, rest in words.items()}


def write_config(command, memory=None):
    """config.json of the runtimes' rows."""
    locked = ["nosuid", "noexec", "nodev"]
    mounts = [("/proc", "proc", locked), ("/sys", "sysfs", [*locked, "ro"]),
              ("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=64m"]),
              ("/dev/pts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
              ("/dev/shm", "tmpfs", [*locked, "mode=1777", "size=64m"]), ("/dev/mqueue", "mqueue", locked)]
    (WORK / "config.json").write_text(json.dumps({
        "ociVersion": "1.0.2", "root": {"path": str(ROOTFS)}, "hostname": "bench",
        "process": {"user": {"uid": 0, "gid": 0}, "args": [str(command)], "env": ["PATH=/"], "cwd": "/"},
        "mounts": [{"destination": d, "type": t, "source": t, "options": o} for d, t, o in mounts],
        "linux": {"cgroupsPath": f"/{NAME}", "rootfsPropagation": "rslave",
                  "namespaces": [{"type": t} for t in ("mount", "pid", "network", "uts", "ipc", "cgroup")],
                  "resources": {"memory": {"limit": memory}} if memory else {}}}))


def change_config(change):
    path = WORK / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


CAPABILITIES = ("CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT "
                "MKNOD AUDIT_WRITE SETFCAP").split()
MASKED = ("/proc/acpi /proc/asound /proc/interrupts /proc/kcore /proc/keys /proc/latency_stats /proc/sched_debug "
          "/proc/scsi /proc/timer_list /proc/timer_stats /sys/devices/virtual/powercap /sys/firmware").split()
READ_ONLY = "/proc/bus /proc/fs /proc/irq /proc/sys /proc/sysrq-trigger".split()


def protected(command, profile):
    """The same with what launcher protects by default: masks, read-only paths, capabilities, no_new_privs, a filter.
    bwrap has no filter of its own and gets none, and neither it nor unshare makes devices harmless."""
    found = {name: argv for name, argv in containers(command).items() if name != "unshare"}
    found["floor"].insert(1, "protected")
    caps = [f"CAP_{name}" for name in CAPABILITIES]

    def protect(config):
        config["process"] |= {"noNewPrivileges": True,
                              "capabilities": {kind: caps for kind in ("bounding", "effective", "permitted")}}
        config["linux"] |= {"maskedPaths": MASKED, "readonlyPaths": READ_ONLY, "seccomp": profile}

    change_config(protect)
    words = ["--cap-drop", "ALL"]
    for cap in caps:
        words += ["--cap-add", cap]
    for path in filter(os.path.exists, READ_ONLY):
        words += ["--ro-bind", path, path]
    for path in filter(os.path.exists, MASKED):
        words += ["--tmpfs", path] if os.path.isdir(path) else ["--ro-bind", "/dev/null", path]
    before = found["bwrap"].index("--")
    found["bwrap"][before:before] = words
    return found


def own_filter():
    """The instructions of launcher's default filter, as the last build for this machine has made them."""
    built = max((TARGET / f"{os.uname().machine}-unknown-linux-musl").glob("release/build/launcher-*/out/seccomp.rs"),
                key=os.path.getmtime)
    return "ull,".join(re.search(r"DEFAULT: \[u64; \d+\] = \[(.*?)\]", built.read_text())[1].split(", ")) + "ull"


def build():
    """true, pause, floor, signals and calls, each time: it takes a tenth of a second and is never out of date."""
    for directory in ("proc", "sys", "dev"):
        (ROOTFS / directory).mkdir(parents=True, exist_ok=True)
    bare = ["-static", "-nostdlib", "-O2", "-s", HERE / "true.c", "-o"]
    subprocess.run(["gcc", *bare, TRUE], check=True)
    subprocess.run(["gcc", "-DPAUSE", *bare, PAUSE], check=True)
    compiler = shutil.which("musl-gcc") or "gcc"
    for output in (FLOOR, SIGNALS, CALLS):
        source, words = HERE / f"{output.name}.c", [f"-DFILTER={own_filter()}"] if output == FLOOR else []
        subprocess.run([compiler, "-static", "-O2", "-s", "-Wall", "-Wextra", *words, source, "-o", output], check=True)
    for path in filter(os.path.exists, OWN.values()):  # a page not yet written to disk would count as dirty memory
        with open(path, "rb") as file:
            os.fsync(file)


class View:
    """crun 1.8 refuses cgroup v1 and v2 side by side ("hybrid"). It gets a second mount namespace that shows it one
    of the two; entering it costs nothing inside the measured time, as this process does it before the start."""

    def __init__(self, mount_command):
        script = f"{mount_command} && echo ready && read end"
        with subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", script], text=True,
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
            if holder.stdout.readline() != "ready\n":
                raise OSError("cannot prepare crun's view of the cgroups")
            self.inside = os.open(f"/proc/{holder.pid}/ns/mnt", os.O_RDONLY)
        self.outside = os.open("/proc/self/ns/mnt", os.O_RDONLY)

    def __enter__(self):
        self._switch(self.inside)

    def __exit__(self, *_):
        self._switch(self.outside)

    @staticmethod
    def _switch(namespace):
        if ctypes.CDLL(None, use_errno=True).setns(namespace, 0) != 0:  # os.setns needs Python 3.12
            raise OSError(ctypes.get_errno(), "setns")


def views(mount_command):
    hybrid = os.geteuid() == 0 and Path("/sys/fs/cgroup/unified").is_dir()
    return {"crun": View(mount_command)} if hybrid else {}
