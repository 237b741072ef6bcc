/*
 * The floor: what starting a container costs when only the kernel's price is paid. The same namespaces and
 * mounts as `launcher --rootfs`, no options, no protections, no cleverness. bench.py compares with it.
 *
 *	floor init CMD [ARG...]		the least an init can do: block signals, start CMD, wait, exit as it did
 *	floor ROOTFS CMD [ARG...]	a container with ROOTFS as /, CMD under such an init
 *	floor protected ROOTFS CMD ...	the same with what launcher protects by default, by launcher's own filter:
 *					FILTER, from the compiler's command line, is what build.rs made of the profile
 *
 * ROOTFS needs the directories proc, sys and dev. launcher's own spelling (`floor -- CMD`,
 * `floor --rootfs DIR -- CMD`) is accepted too, so that floor can stand in for it.
 * Any failure is 125 and one line.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <net/if.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <grp.h>
#include <sys/prctl.h>
#include <unistd.h>

/* By hand: musl-gcc does not see the kernel's headers. */
#define NEW_NS 0x00020000ULL
#define NEW_CGROUP 0x02000000ULL
#define NEW_TIME 0x00000080ULL
#define NEW_UTS 0x04000000ULL
#define NEW_IPC 0x08000000ULL
#define NEW_PID 0x20000000ULL
#define NEW_NET 0x40000000ULL
#ifndef FILTER /* floor stands in for launcher in tests too, which want no protections of it */
#define FILTER 0x7fff000000000006 /* allow all */
#endif
#ifndef LAST_CAP
#define LAST_CAP 40 /* of Linux 5.9 to 6.18 */
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

struct clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
};

static int failed(const char *what)
{
	dprintf(2, "floor: %s: %s\n", what, strerror(errno));
	_exit(125);
}

/* Everything here is "0 or -1 with errno"; the text of the call is the message. */
#define DO(call) ((call) < 0 ? failed(#call) : 0)

/* A process without libc's fork handlers and locks: one system call. */
static pid_t start(uint64_t namespaces)
{
	struct clone_args args = { .flags = namespaces, .exit_signal = SIGCHLD };
	pid_t pid = syscall(SYS_clone3, &args, sizeof args);
	if (pid < 0)
		failed("clone3");
	return pid;
}

static int wait_for(pid_t main_child)
{
	int status;
	pid_t pid;
	while ((pid = wait4(-1, &status, 0, NULL)) != main_child)
		if (pid < 0 && errno != EINTR)
			failed("wait4");
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* Docker's set: CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID SETPCAP NET_BIND_SERVICE NET_RAW SYS_CHROOT MKNOD
 * AUDIT_WRITE SETFCAP. */
static const uint64_t kept = 0xa80425fbULL;
static int is_protected;

static void set_capabilities(uint64_t set)
{
	struct { uint32_t version; int pid; } header = { 0x20080522, 0 };
	struct { uint32_t effective, permitted, inheritable; } data[2] = {
		{ set, set, 0 }, { set >> 32, set >> 32, 0 },
	};
	DO(syscall(SYS_capset, &header, data));
}

/* What the program does to itself before it is executed. */
static void protect_program(void)
{
	static const uint64_t filter[] = { FILTER };
	struct { unsigned short length; const uint64_t *code; } program = { sizeof filter / sizeof *filter, filter };
	DO(setgroups(0, NULL));
	set_capabilities(kept);
	DO(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	DO(prctl(PR_SET_SECCOMP, 2, &program));
}

/* What is seen of the kernel: an empty folder, /dev/null or a read-only mount over it, where it is there. */
static void protect_paths(void)
{
	static const char *const masked_folders[] = {
		"proc/acpi", "proc/asound", "proc/scsi", "sys/devices/virtual/powercap", "sys/firmware",
	};
	static const char *const masked_files[] = {
		"proc/interrupts", "proc/kcore", "proc/keys", "proc/latency_stats", "proc/sched_debug",
		"proc/timer_list", "proc/timer_stats",
	};
	static const char *const read_only[] = { "proc/bus", "proc/fs", "proc/irq", "proc/sys", "proc/sysrq-trigger" };
	const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	for (size_t i = 0; i < sizeof read_only / sizeof *read_only; i++) {
		if (access(read_only[i], F_OK) != 0)
			continue;
		DO(mount(read_only[i], read_only[i], NULL, MS_BIND, NULL));
		DO(mount(NULL, read_only[i], NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | plain, NULL));
	}
	for (size_t i = 0; i < sizeof masked_files / sizeof *masked_files; i++)
		if (access(masked_files[i], F_OK) == 0)
			DO(mount("dev/null", masked_files[i], NULL, MS_BIND, NULL));
	for (size_t i = 0; i < sizeof masked_folders / sizeof *masked_folders; i++)
		if (access(masked_folders[i], F_OK) == 0)
			DO(mount("tmpfs", masked_folders[i], "tmpfs", MS_RDONLY | plain, "size=0"));
}

static int init(char **command)
{
	sigset_t all, before;
	sigfillset(&all);
	DO(sigprocmask(SIG_SETMASK, &all, &before));
	pid_t child = start(0);
	if (child == 0) {
		DO(sigprocmask(SIG_SETMASK, &before, NULL));
		if (is_protected)
			protect_program();
		execvp(command[0], command);
		failed(command[0]);
	}
	if (is_protected)
		set_capabilities(1 << 5); /* KILL */
	return wait_for(child);
}

static void loopback_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	DO(fd);
	DO(ioctl(fd, SIOCSIFFLAGS, &lo));
	DO(close(fd));
}

static void devices(void)
{
	static const struct { const char *path; int major, minor; } nodes[] = {
		{ "dev/null", 1, 3 },	{ "dev/zero", 1, 5 },	 { "dev/full", 1, 7 },
		{ "dev/random", 1, 8 }, { "dev/urandom", 1, 9 }, { "dev/tty", 5, 0 },
	};
	static const char *const links[][2] = {
		{ "/proc/self/fd", "dev/fd" },	      { "/proc/self/fd/0", "dev/stdin" },
		{ "/proc/self/fd/1", "dev/stdout" },  { "/proc/self/fd/2", "dev/stderr" },
		{ "pts/ptmx", "dev/ptmx" },
	};
	for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++)
		DO(mknod(nodes[i].path, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor)));
	for (size_t i = 0; i < sizeof links / sizeof *links; i++)
		DO(symlink(links[i][0], links[i][1]));
	DO(mkdir("dev/pts", 0755));
	DO(mkdir("dev/shm", 01777));
	DO(mkdir("dev/mqueue", 01777));
}

static void file_systems(const char *rootfs)
{
	const unsigned long plain = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	/* First of all, or the mounts below would appear on the host. */
	DO(mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL));
	/* pivot_root wants a mount point; chdir must come after the bind, or "." is the file system below it. */
	DO(mount(rootfs, rootfs, NULL, MS_BIND | MS_REC, NULL));
	DO(chdir(rootfs));
	DO(mount("proc", "proc", "proc", plain, NULL));
	DO(mount("sysfs", "sys", "sysfs", plain | MS_RDONLY, NULL));
	DO(mount("tmpfs", "dev", "tmpfs", MS_NOSUID | MS_STRICTATIME, "mode=755,size=64m"));
	umask(0);
	devices();
	umask(022);
	DO(mount("devpts", "dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
	DO(mount("shm", "dev/shm", "tmpfs", plain, "mode=1777,size=64m"));
	DO(mount("mqueue", "dev/mqueue", "mqueue", plain, NULL));
	if (is_protected) {
		DO(mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_NODEV, NULL));
		protect_paths();
	}
	/* The old root lands on top of the new one and is taken off again: no directory for it is needed. */
	DO(syscall(SYS_pivot_root, ".", "."));
	DO(umount2(".", MNT_DETACH));
	DO(chdir("/"));
}

static int container(const char *rootfs, char **command)
{
	pid_t child = start(NEW_NS | NEW_PID | NEW_NET | NEW_UTS | NEW_IPC);
	if (child != 0)
		return wait_for(child);
	/* Apart, as launcher must: the namespace's root is the cgroup one is in when one makes it. */
	DO(syscall(SYS_unshare, NEW_CGROUP | NEW_TIME));
	loopback_up();
	DO(sethostname("floor", 5));
	if (is_protected)
		DO(prctl(PR_SET_DUMPABLE, 0, 0, 0, 0));
	file_systems(rootfs);
	for (int cap = 0; is_protected && cap <= LAST_CAP; cap++)
		if (!(kept >> cap & 1))
			DO(prctl(PR_CAPBSET_DROP, cap, 0, 0, 0));
	return init(command);
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "protected")) {
		is_protected = 1;
		argc--, argv++;
	}
	const char *rootfs = argc > 1 && strcmp(argv[1], "init") && strcmp(argv[1], "--") ? argv[1] : NULL;
	char **command = argv + 2;
	if (rootfs && !strcmp(rootfs, "--rootfs") && argc > 3 && !strcmp(argv[3], "--")) {
		rootfs = argv[2];
		command = argv + 4;
	}
	if (command >= argv + argc) {
		dprintf(2, "usage: floor init CMD... | floor ROOTFS CMD...\n");
		return 125;
	}
	return rootfs ? container(rootfs, command) : init(command);
}
