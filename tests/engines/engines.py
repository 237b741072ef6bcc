"""docker and podman, as far as the checks use them: their command lines are almost the same."""

import itertools
import json
import os
import shutil
import subprocess
from functools import partial
from pathlib import Path

from processes import Failed, Running, call, eventually

TOP = Path(__file__).resolve().parents[2]
PATH = os.environ["PATH"]


class World:
    """What both engines share: a folder of our own, the file under test, an image's content."""

    def __init__(self, folder, cgroup, launcher, probe):
        self.folder, self.cgroup = Path(folder), f"/{cgroup}"
        self.launcher = self.folder / "dist/launcher"
        self.dist = self.launcher.parent
        self.env = {"PATH": PATH, "HOME": str(self.folder), "TMPDIR": str(self.folder)}
        self._cover(launcher, probe)
        self._fill_rootfs()

    def _cover(self, launcher, probe):
        """Mounts over all that the engines write to. The files under test are copied first: they may be below."""
        mount("-t", "tmpfs", "engines", self.folder)
        self.dist.mkdir()
        shutil.copy(launcher, self.launcher)
        for name in ("docker-init", "catatonit"):  # what the engines call an init
            os.link(self.launcher, self.dist / name)
        shutil.copytree(TOP / "docker", self.folder / "docker")
        self.rootfs = self.folder / "rootfs"
        (self.rootfs / "bin").mkdir(parents=True)
        shutil.copy(probe, self.rootfs / "bin/probe")
        subprocess.run(["cp", "-a", "/etc", self.folder / "etc"], check=True)
        mount("--bind", self.folder / "etc", "/etc")
        for covered in ("/run", "/var/lib", "/dev/shm"):
            mount("-t", "tmpfs", "-o", "mode=755", "engines", covered)

    def _fill_rootfs(self):
        busybox = shutil.which("busybox", path=PATH)
        shutil.copy(busybox, self.rootfs / "bin/busybox")
        for applet in subprocess.run([busybox, "--list"], capture_output=True, text=True, check=True).stdout.split():
            if applet != "busybox":
                (self.rootfs / "bin" / applet).symlink_to("busybox")
        shutil.copy(self.launcher, self.rootfs / "bin/launcher")
        (self.rootfs / "tmp").mkdir(mode=0o1777)
        (self.rootfs / "data").write_text("not a program\n")


def mount(*words):
    subprocess.run(["mount", *words], check=True)


class Engine:
    """Its client, with the words that every container needs."""

    IMAGE = "docker.io/library/box"

    def __init__(self, world, argv, box, init):
        self.world, self.argv, self.box, self.init = world, argv, box, init
        self.env = dict(world.env)
        self.numbers = itertools.count(1)

    def call(self, *words):
        """(exit status, output) of the client."""
        return call([*self.argv, *words], self.env)

    def must(self, *words):
        status, output = self.call(*words)
        if status != 0:
            raise Failed(f"{self.name} {' '.join(words)}: status {status}\n{output}")
        return output.strip()

    def load_image(self):
        with subprocess.Popen(["tar", "-C", self.world.rootfs, "-c", "."], stdout=subprocess.PIPE) as tar:
            status, output = call([*self.argv, "import", "-", self.IMAGE], self.env, tar.stdout)
        if status != 0:
            raise Failed(output)
        self.must("tag", self.IMAGE, "docker.io/library/debian:bookworm-slim")  # docker/example wants to be on that

    def run(self, command, options=()):
        """(exit status, output) of a container with launcher as its init."""
        return self.call("run", "--rm", *self.box, *self.init, *options, self.IMAGE, *command)

    def container(self, command, options=(), image=None, tty=False):
        return Container(self, command, [*(self.init if image is None else ()), *options], image or self.IMAGE, tty)

    def inspect(self, what, template, kind="container"):
        return self.must(kind, "inspect", "--format", template, what)

    def remove(self, container):
        self.call(*self.remove_words, container)  # may fail: a container that was never made is not there


class Docker(Engine):
    name = "docker"
    remove_words = ["rm", "--force"]

    def __init__(self, world):
        # Without --init-path in the container's words: that is an option of the daemon.
        super().__init__(world, ["docker"], ["--network", "none"], ["--init"])
        self.folder = world.folder / "docker.d"
        self.folder.mkdir()
        self.log = self.folder / "log"
        self.env |= {"DOCKER_HOST": f"unix://{self.folder}/socket", "DOCKER_CONFIG": str(self.folder / "config"),
                     "DOCKER_BUILDKIT": "0"}  # BuildKit would be a plugin, and pull

    def __enter__(self):
        options = {"data-root": self.folder / "data", "exec-root": self.folder / "exec", "pidfile": self.folder / "pid",
                   "host": self.env["DOCKER_HOST"], "init-path": self.world.dist / "docker-init",
                   "cgroup-parent": self.world.cgroup, "exec-opt": "native.cgroupdriver=cgroupfs",
                   "storage-driver": "vfs", "bridge": "none", "iptables": "false"}
        with open(self.log, "wb") as log:
            self.daemon = subprocess.Popen(["dockerd", *(f"--{key}={value}" for key, value in options.items())],
                                           env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        eventually("dockerd answers", self._answers)
        self.load_image()
        return self

    def __exit__(self, *_):
        self.daemon.terminate()
        self.daemon.wait(60)

    def _answers(self):
        if self.daemon.poll() is not None:
            raise Failed(f"dockerd ended:\n{self.log.read_text()}")
        return self.call("version")[0] == 0



class Podman(Engine):
    name = "podman"
    remove_words = ["rm", "--force", "--time", "0"]

    def __init__(self, world):
        # error: inside a container podman warns at each start that it cannot give conmon a cgroup.
        super().__init__(world, ["podman", "--log-level", "error"], ["--cgroup-parent", world.cgroup],
                         ["--init", "--init-path", str(world.launcher)])
        self.folder = world.folder / "podman.d"
        self.folder.mkdir()
        containers, storage = self.folder / "containers.conf", self.folder / "storage.conf"
        self.env |= {"CONTAINERS_CONF": str(containers), "CONTAINERS_STORAGE_CONF": str(storage)}
        # pids_limit: v2 may have no such controller. default_ulimits: podman's own are more than a root without
        # CAP_SYS_RESOURCE may set. runc: crun raises RLIMIT_MEMLOCK on v2, which takes the same capability.
        containers.write_text(toml({
            "containers": {"default_ulimits": ["nofile=1024:1024", "nproc=4096:4096"], "pids_limit": 0,
                           "netns": "none", "log_driver": "k8s-file"},
            "network": {"network_config_dir": str(self.folder / "networks")},
            "engine": {"runtime": "runc", "cgroup_manager": "cgroupfs", "events_logger": "file",
                       "tmp_dir": str(self.folder / "tmp"), "helper_binaries_dir": [str(world.dist)]}}))
        storage.write_text(toml({"storage": {"driver": "vfs", "graphroot": str(self.folder / "storage"),
                                             "runroot": str(self.folder / "run")}}))

    def __enter__(self):
        self.load_image()
        return self

    def __exit__(self, *_):
        pass  # no daemon; what a container left would end with the namespaces



def toml(tables):
    """What a TOML file needs here is written as JSON writes it."""
    return "".join(f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in table.items())
                   for name, table in tables.items())


class Container(Running):
    """A container in the foreground: the client's exit status is the container's. Removed when the check is over."""

    def __init__(self, engine, command, options, image, tty):
        self.engine, self.name = engine, f"check-{next(engine.numbers)}"
        super().__init__([*engine.argv, "run", "--name", self.name, *engine.box, *(["-it"] if tty else []), *options,
                          image, *command], engine.env, tty)

    def __enter__(self):
        return self

    def __exit__(self, kind, failure, _):
        self.close()
        self.engine.remove(self.name)
        if isinstance(failure, Failed):
            failure.args = (f"{failure}\nits output: {self.seen!r}",)

    def ready(self, regex="ready"):
        """Waits for the program's word, and for the engine's: it signals and stops only what it believes to run, and
        docker cannot start a container that ends meanwhile."""
        self.expect(regex)
        running = partial(self.engine.inspect, self.name, "{{.State.Running}}")
        eventually("the engine calls it running", lambda: running() == "true")

    def stop(self, seconds=30):
        self.engine.must("stop", "-t", str(seconds), self.name)

    def kill(self, signal):
        self.engine.must("kill", "-s", str(signal), self.name)

    def exec(self, *command):
        return self.engine.must("exec", self.name, *command)

    def init(self):
        """PID 1, as we see it."""
        return int(self.engine.inspect(self.name, "{{.State.Pid}}"))
