/*
 * What signals.py measures an init with, as the init's child.
 *
 *	signals echo		answers each SIGUSR1 with a byte on its output, from the handler
 *	signals orphans N	for each byte of its input makes N orphans and answers when the init has reaped them all
 *
 * Both say by a first byte that they are ready.
 *
 * An orphan is made as a child of our parent (CLONE_PARENT), to which the kernel gives the children of a process that
 * ends; so there is no process in between whose birth and end would be most of what is measured. It shares our memory
 * and we wait for its end (CLONE_VM, CLONE_VFORK), so that there is one at a time. It has been reaped when its number
 * means nobody. That is asked of 1,000 together, long before numbers come again.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BATCH 1000

static char stack[4096] __attribute__((aligned(16)));

static void answer(int signal)
{
	(void)signal;
	if (write(1, "x", 1) != 1)
		_exit(1);
}

static int echo(void)
{
	struct sigaction action = { .sa_handler = answer };
	if (sigaction(SIGUSR1, &action, NULL) < 0)
		return 1;
	answer(0);
	for (;;)
		pause();
}

static int end_at_once(void *nothing)
{
	(void)nothing;
	return 0;
}

static void orphans(int count)
{
	static pid_t pids[BATCH];
	for (int i = 0; i < count; i++) {
		pids[i] = clone(end_at_once, stack + sizeof stack, CLONE_VM | CLONE_VFORK | CLONE_PARENT | SIGCHLD, NULL);
		if (pids[i] < 0)
			_exit(1);
	}
	for (int i = 0; i < count; i++)
		while (kill(pids[i], 0) == 0)
			sched_yield();
}

int main(int argc, char **argv)
{
	int total = argc > 2 ? atoi(argv[2]) : 0;
	char go;
	if (argc > 1 && !strcmp(argv[1], "echo"))
		return echo();
	for (answer(0); read(0, &go, 1) == 1; answer(0))
		for (int left = total; left > 0; left -= BATCH)
			orphans(left < BATCH ? left : BATCH);
	return 0;
}
