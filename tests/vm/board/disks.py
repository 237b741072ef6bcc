"""Disks of the machines of tests/vm/boot: an MBR with two partitions, a root and an ext4 for what is written over it."""
import os, struct, subprocess, threading

from . import guest
from machine import die, read

MIB = 1 << 20
SECOND = 16 * MIB  # the second partition
MAKE = {
    "ext4": "truncate -s {size} {image} && mke2fs -q -t ext4 -d {tree} {image}",
    "squashfs": "mksquashfs {tree} {image} -quiet -no-progress -comp gzip",
    "erofs": "mkfs.erofs --quiet {image} {tree} >/dev/null",
}
LOCK, MADE = threading.Lock(), {}


def run(command):
    done = subprocess.run(command, shell=True, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        die(f"{command}: {done.stdout}")
    return done.stdout


def image(tmp, kind):
    """The bytes of a file system with all that guest.fill has."""
    with LOCK:
        if kind not in MADE:
            tree, path = f"{tmp}/tree", f"{tmp}/root.{kind}"
            if not os.path.exists(tree):
                folder = guest.Folder(tree)
                guest.fill(folder)
                folder.file("image", b"", 0o644)
            run(MAKE[kind].format(size=12 * MIB, image=path, tree=tree))
            MADE[kind] = read(path)
        return MADE[kind]


def upper(tmp):
    """An empty ext4."""
    with LOCK:
        if "upper" not in MADE:
            run(f"truncate -s {12 * MIB} {tmp}/upper && mke2fs -q -t ext4 {tmp}/upper")
            MADE["upper"] = read(f"{tmp}/upper")
        return MADE["upper"]


def entry(kind, start, size):
    """A row of the table in an MBR, in sectors, with none of the geometry of old."""
    return struct.pack("<B3xB3xII", 0, kind, start // 512, size // 512)


def disk(tmp, name, kind):
    """A new disk as a file."""
    path = f"{tmp}/{name.replace(' ', '-').replace(',', '')}.disk"
    with open(path, "wb") as file:
        file.write(bytes(446) + entry(0x83, MIB, SECOND - MIB) + entry(0x83, SECOND, 12 * MIB) + bytes(32) + b"\x55\xaa")
        for start, data in ((MIB, image(tmp, kind)), (SECOND, upper(tmp))):
            file.seek(start)
            file.write(data)
    return path


def drive(path, attached=True):
    """QEMU's options; a write is in the file before the machine hears that it is done."""
    options = ["-drive", f"file={path},if=none,id=disk,format=raw,cache=writethrough"]
    return options + (["-device", "nvme,drive=disk,serial=1"] if attached else [])


def second(tmp, path, name):
    """A file on the second partition of a disk, and what dumpe2fs says of it."""
    partition = f"{path}.2"
    with open(partition, "wb") as file:
        file.write(read(path)[SECOND:SECOND + 12 * MIB])
    return run(f"debugfs -R 'cat {name}' {partition} 2>/dev/null"), run(f"dumpe2fs -h {partition} 2>/dev/null")
