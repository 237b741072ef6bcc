"""A throw-away Linux machine: QEMU without KVM, Debian's cloud kernel of tests/vm/kernel, an initramfs made here.

Used by tests/vm/run (scripts on a machine), tests/vm/boot (launcher as its init) and tests/bench/boot.py.
"""
import ctypes, glob, json, lzma, os, re, shutil, signal, socket, stat, subprocess, sys, threading, time

HERE = os.path.dirname(os.path.abspath(__file__))
TARGET = os.path.join(HERE, "../../target")
# VM_ARCH, of which kind the programs are: which kernel of tests/vm/kernel, which QEMU, what it is told, the console, the
# second serial port as the machine knows it, words for its kernel (what no kernel knows comes to launcher), that port as
# QEMU is told of it, and busybox. 32-bit programs run on a kernel of 64.
ARM = ("arm64", "aarch64", "-M virt -cpu cortex-a76", "ttyAMA0", "ttyS0", "", "-chardev file,id=second,path={} -device pci-serial,chardev=second")
ARCH = os.environ.get("VM_ARCH", "x86_64")
DEBIAN, QEMU, BOARD, CONSOLE, PORT, WORDS, SECOND, BUSYBOX = {
    "x86_64": ("amd64", "x86_64", "-M q35 -cpu max", "ttyS0", "ttyS1", "tsc=reliable no_timer_check", "-serial file:{}", shutil.which("busybox")),
    "aarch64": (*ARM, f"{TARGET}/cross/aarch64/bin/busybox"),
    "armv7": (*ARM, f"{TARGET}/cross/armv7/bin/busybox"),
}[ARCH]
KERNEL = f"{TARGET}/vm/{DEBIAN}"

# loglevel=1 keeps all but panics out of the tests' output; panic=-1 with -no-reboot makes a panic an end.
APPEND = f"console={CONSOLE} quiet loglevel=1 panic=-1 oops=panic random.trust_cpu=on mitigations=off {WORDS}"


def die(message, status=125):
    print(f"tests/vm: {message}", file=sys.stderr)
    sys.exit(status)


def read(path):
    try:
        with (lzma.open if path.endswith(".xz") else open)(path, "rb") as f:
            return f.read()
    except OSError as e:
        die(str(e))


class Cpio:
    """A newc archive below `root`; parents are made on the way. No root and no cpio(1) needed."""

    def __init__(self, root=""):
        self.root, self.out, self.seen = root, bytearray(), set()

    def add(self, path, mode, data=b"", owner=0):
        path = os.path.normpath(f"{self.root}/{path}").strip("/")
        if path in self.seen:
            return
        self.seen.add(path)
        if parent := os.path.dirname(path):
            top, self.root = self.root, ""
            self.add(parent, stat.S_IFDIR | 0o755)
            self.root = top
        self.entry(path, mode, data, owner)

    def entry(self, path, mode, data=b"", owner=0):
        name = path.encode() + b"\0"
        fields = (len(self.seen), mode, owner, owner, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
        for part in (b"070701" + b"".join(b"%08X" % f for f in fields) + name, data):
            self.out += part + b"\0" * (-(len(self.out) + len(part)) % 4)

    def dir(self, path, mode=0o755, owner=0): self.add(path, stat.S_IFDIR | mode, owner=owner)
    def file(self, path, data, mode=0o755): self.add(path, stat.S_IFREG | mode, data)
    def link(self, path, to): self.add(path, stat.S_IFLNK | 0o777, to.encode())

    def copy(self, source, dest, mode=None):
        """A file of this machine, and the libraries that the dynamic loader will look for."""
        data = read(source)
        self.file(dest, data, stat.S_IMODE(os.stat(source).st_mode) if mode is None else mode)
        if data[:4] == b"\x7fELF" and b"/ld-" in data[:4096]:
            ldd = subprocess.run(["ldd", source], capture_output=True, text=True)
            for library in re.findall(r"(/\S+) \(0x", ldd.stdout):
                self.file(library, read(library))

    def busybox(self):
        """All of busybox below bin."""
        own = shutil.which("busybox") or die("busybox is not installed (Debian: busybox-static)")
        self.file("bin/busybox", read(BUSYBOX))
        for applet in subprocess.run([own, "--list"], capture_output=True, text=True).stdout.split():
            self.link(f"bin/{applet}", "busybox")

    def done(self):
        self.entry("TRAILER!!!", 0)
        return self.out


def modules(wanted):
    """[(name, bytes)], dependencies first; they stand in the modules themselves, so nothing needs depmod."""
    name = lambda path: re.sub(r"\.ko(\.xz)?$", "", os.path.basename(path)).replace("-", "_")
    files = {name(p): p for p in glob.glob(f"{KERNEL}/lib/modules/**/*.ko*", recursive=True)}
    builtin = {name(line.decode().strip()) for p in glob.glob(f"{KERNEL}/lib/modules/*/modules.builtin") for line in read(p).split()}
    loaded = {}

    def load(module):
        if module in loaded or module in builtin:
            return
        if module not in files:
            die(f"the kernel has no module {module}")
        data = read(files[module])
        depends = re.search(rb"\0depends=([^\0]*)\0", data)
        for other in filter(None, depends[1].decode().split(",") if depends else []):
            load(other.replace("-", "_"))
        loaded[module] = data

    for module in wanted:
        load(module.replace("-", "_"))
    return loaded.items()


def qemu(initrd, append, mem=512, cpus=2, counted=False):
    """The command that every machine has; its console is the standard input and output. With `counted` the machine's time
    is its instructions, a nanosecond each, and goes on at once where it would sleep: how busy this machine is does not count."""
    kernel = glob.glob(f"{KERNEL}/boot/vmlinuz-*") or die("no kernel: run tests/vm/kernel first")
    command = f"""qemu-system-{QEMU} {BOARD} -accel tcg,thread=multi -m {mem} -smp {cpus}
        -nodefaults -no-user-config -display none -no-reboot -chardev stdio,id=console,signal=off -serial chardev:console""".split()
    if counted:
        command[command.index("tcg,thread=multi")] = "tcg,thread=single"
        command += ["-icount", "shift=0,sleep=off"]
    return [*command, "-kernel", kernel[0], "-initrd", initrd, "-append", append]


def start(command, **options):
    """Starts QEMU, which shall not outlive us: a killed test run leaves no machine behind."""
    libc = ctypes.CDLL(None)
    die_with_parent = lambda: libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG
    try:
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, preexec_fn=die_with_parent, **options)
    except FileNotFoundError:
        die(f"qemu-system-{QEMU} is not installed (Debian: qemu-system-x86, qemu-system-arm)")


class Late(Exception):
    """What was waited for did not come."""


class Machine:
    """A machine that runs: `with Machine(...) as machine`. Its console is text that is waited for, line by line."""

    def __init__(self, initrd, append, devices=(), **size):
        ours, its = socket.socketpair()
        command = qemu(initrd, f"{APPEND} {append}", **size)
        command += ["-chardev", f"socket,id=monitor,fd={its.fileno()}", "-mon", "chardev=monitor,mode=control", *devices]
        # start() binds the machine's life to the thread that calls it, so threads that start machines must outlive them
        self.process = start(command, stdin=subprocess.PIPE, pass_fds=[its.fileno()])
        its.close()
        self.socket, self.console, self.at, self.reason, self.readers = ours, "", 0, None, 2
        self.changed, self.answers = threading.Condition(), []
        for reader in (self.read_console, self.read_monitor):
            threading.Thread(target=self.read_all, args=(reader,), daemon=True).start()
        self.ask("qmp_capabilities")

    def __enter__(self): return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.socket.close()

    @property
    def over(self):
        """Whether all was read that it said: why it ended comes beside the console."""
        return not self.readers

    def read_all(self, reader):
        try:
            reader()
        except OSError:  # it was killed
            pass
        with self.changed:
            self.readers -= 1
            self.changed.notify_all()

    def read_console(self):
        while chunk := self.process.stdout.read1(65536):
            with self.changed:
                self.console += chunk.replace(b"\r", b"").decode(errors="replace")
                self.changed.notify_all()

    def read_monitor(self):
        for line in self.socket.makefile():
            message = json.loads(line)
            with self.changed:
                if message.get("event") == "SHUTDOWN":
                    self.reason = message["data"]["reason"]
                elif "return" in message or "error" in message:
                    self.answers.append(message)
                self.changed.notify_all()

    def until(self, condition, seconds, what):
        """Waits until `condition` gives something true, which is returned."""
        end = time.monotonic() + seconds
        with self.changed:
            while not (found := condition()):
                left = end - time.monotonic()
                if left <= 0 or not self.changed.wait(left):
                    raise Late(f"{what} did not come within {seconds} s")
            return found

    def ask(self, command, **arguments):
        """Has QEMU do something; see its manual of QMP."""
        self.answers.clear()
        self.socket.sendall(json.dumps({"execute": command, "arguments": arguments}).encode())
        answer = self.until(lambda: self.answers and self.answers.pop(), 30, f"an answer to {command}")
        if "error" in answer:
            raise Late(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def monitor(self, line):
        """The same by a line of the monitor for people."""
        if said := self.ask("human-monitor-command", **{"command-line": line}).strip():
            raise Late(f"{line}: {said}")

    def wait(self, pattern, seconds=40):
        """Waits for a match on the console after the one before."""
        def find():
            found = re.compile(pattern, re.MULTILINE).search(self.console, self.at)
            if not found and self.over:
                raise Late(f"'{pattern}' did not come before the end ({self.reason})")
            return found

        found = self.until(find, seconds, f"'{pattern}'")
        self.at = found.end()
        return found

    def stays(self, seconds):
        """Whether it is neither off nor has the kernel panicked after so many seconds."""
        try:
            self.until(lambda: self.over or "Kernel panic" in self.console, seconds, "the end")
        except Late:
            return self.ask("query-status")["running"]
        return False

    def type(self, text):
        """Types on the console."""
        self.process.stdin.write(text.encode())
        self.process.stdin.flush()

    def kill(self):
        """A power cut."""
        self.process.kill()
        self.process.wait()
        self.until(lambda: self.over, 10, "the end")

    def end(self, seconds=40):
        """Waits until the machine is off. How: poweroff, reset, panic, or `exit N` of QEMU for another reason."""
        self.until(lambda: self.over, seconds, "the end of the machine")
        status = self.process.wait()
        if "Kernel panic" in self.console:
            return "panic"
        return {"guest-shutdown": "poweroff", "guest-reset": "reset"}.get(self.reason, f"exit {status}")
