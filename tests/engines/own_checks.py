"""What only one of the engines has: docker asks its init for a version, and has one also where it is not PID 1, which
podman refuses; podman makes pods of an init."""

import json
import re
from pathlib import Path

from checks import ORPHAN, READY
from processes import Failed, same


def docker_checks():
    yield "the init's version is understood", version_of_init
    yield "in another container's PID namespace: status, and quiet", shared_pid_namespace


def podman_checks():
    yield "pod: launcher is its pause program", pause_program
    yield "pod: an orphan is reaped by it", orphan_in_pod
    yield "pod: stop ends it with 0", stop_of_pod


def version_of_init(docker):
    """dockerd runs `docker-init --version`; of an answer that it cannot read it says `N/A`, or nothing."""
    components = json.loads(docker.must("version", "--format", "{{json .Server.Components}}"))
    versions = [component["Version"] for component in components if component["Name"] == "docker-init"]
    if not versions or not re.match(r"\d+\.\d+\.\d+", versions[0]):
        raise Failed(f"docker version says {versions} of docker-init")
    if docker.must("info", "--format", "{{.InitCommit.ID}}") == "N/A":
        raise Failed("docker info has no commit of the init")
    complaints = [line for line in docker.log.read_text().splitlines() if "docker-init version" in line]
    same("what the daemon logs", complaints, [])


def shared_pid_namespace(docker):
    with docker.container(["sh", "-c", READY]) as other:
        other.ready()
        got = docker.run(["sh", "-c", "exit 42"], ["--pid", f"container:{other.name}"])
        same("status and output", got, (42, ""))


class Pod:
    """A pod that shares its PID namespace, so that all that its containers leave is the pause program's."""

    def __init__(self, podman):
        self.podman = podman

    def __enter__(self):
        # The pod's own cgroup would be in the way: podman 4.3 forbids all devices in it, also /dev/null.
        self.podman.must("pod", "create", "--name", "pod", "--share", "pid", "--share-parent=false",
                         "--cgroup-parent", self.podman.world.cgroup)
        self.podman.must("pod", "start", "pod")
        self.infra = self.podman.inspect("pod", "{{.InfraContainerID}}", kind="pod")
        return self

    def __exit__(self, *_):
        self.podman.must("pod", "rm", "--force", "--time", "0", "pod")


def pause_program(podman):
    with Pod(podman) as pod:
        state, pid = podman.inspect(pod.infra, "{{.State.Status}} {{.State.Pid}}").split()
        same("state", state, "running")
        if Path(f"/proc/{pid}/exe").read_bytes() != podman.world.launcher.read_bytes():
            raise Failed("another program: " + Path(f"/proc/{pid}/cmdline").read_text())


def orphan_in_pod(podman):
    with Pod(podman), podman.container(["sh", "-c", READY], ["--pod", "pod"], image=podman.IMAGE) as container:
        container.ready()
        same("output", container.exec("sh", "-c", ORPHAN), "reaped")
        container.stop()
        same("status of the container", container.finish(), 143)


def stop_of_pod(podman):
    with Pod(podman) as pod:
        podman.must("pod", "stop", "-t", "30", "pod")
        same("status", podman.inspect(pod.infra, "{{.State.Status}} {{.State.ExitCode}}"), "exited 0")
