# Guest script, in a container that PID 1 has made of a folder of the initramfs.
# shellcheck shell=sh
. "${0%/*}/lib.sh"

CG=/sys/fs/cgroup
one_root() { # and it is no mount of the initramfs
    cat /proc/self/mountinfo
    awk '$5 == "/" { roots++ } $4 == "/" && / - rootfs / { old++ } END { exit !(roots == 1 && old == 0) }' /proc/self/mountinfo
}
as_any_container() { grep -E '^(Cap|Seccomp|NoNewPrivs)' /proc/self/status | diff /ordinary - && [ -s /ordinary ]; }
throttled() { end=$(($(date +%s) + 2)); while [ "$(date +%s)" -lt $end ]; do :; done; grep '^nr_throttled [1-9]' $CG/cpu.stat; }

expect 'memory.max' 0 '^67108864$' cat $CG/memory.max
expect 'pids.max' 0 '^20$' cat $CG/pids.max
expect 'cpu.max' 0 '^50000 100000$' cat $CG/cpu.max
check 'and that in force' throttled
check 'the same rights and filter as any container' as_any_container
expect 'a PID namespace of its own' 0 '^1$' awk '/^PPid:/ { print $2 }' /proc/$$/status
expect 'a hostname of its own' 0 '^inside$' hostname
check 'only the rootfs is there' test ! -e /init
check 'one root' one_root
expect 'the initramfs cannot be reached' 0 '^kept in$' /probe escape init
expect 'over the limit' 137 '' sh -c 'tail /dev/zero'
summary
