#!/bin/sh
# demo.sh BIN: in a terminal a shell in a container over this machine's own userland, where nothing that it writes
# stays; without one a demonstration that checks each of its claims. For root and for ordinary users.
set -u
bin=$1
[ -t 0 ] && [ -t 1 ] && exec "$bin" --rootfs / --ephemeral --hostname launcher -- sh

failed=0
heading() { printf '\n== %s\n' "$*"; }
contained() { "$bin" --rootfs / --ephemeral --hostname demo $limits -- "$@" </dev/null; }
is() { # CLAIM WANTED GOT
    if [ "$2" = "$3" ]; then
        echo "ok: $1"
    else
        echo "NOT OK: $1: wanted '$2', got '$3'"
        failed=1
    fi
}

limits='-m 64m --pids-limit 100'
heading "the limits: $limits"
if [ "$(id -u)" = 0 ] || why=$(contained true 2>&1); then
    echo "this user may set them"
else
    limits=
    printf 'without them, this user may not set any here:\n%s\n' "$why"
fi

heading "inside: the processes"
processes=$(contained sh -c 'for p in /proc/[0-9]*; do echo "${p#/proc/} $(cat "$p/comm")"; done')
echo "$processes"
is "PID 1 is launcher" 1 "$(echo "$processes" | grep -c '^1 launcher')"
is "there is nobody but PID 1, this sh and its cat" 0 "$(echo "$processes" | grep -vc '^1 \| sh$\| cat$')"

heading "inside: the names"
names=$(contained sh -c 'hostname 2>/dev/null || cat /proc/sys/kernel/hostname; id -u')
echo "$names" | xargs
is "the hostname is demo" demo "$(echo "$names" | head -n 1)"
is "the user is root" 0 "$(echo "$names" | tail -n 1)"
is "outside the hostname has not changed" 0 "$(uname -n | grep -cx demo)"

heading "inside: the mounts that were made for it"
mounts=$(contained cat /proc/mounts)
echo "$mounts" | cut -d' ' -f2-4 | grep '^/\(proc\|sys\|dev\|dev/pts\|dev/shm\)\{0,1\} ' | cut -c1-100
is "the root is the throw-away one and the machine's is not beneath it" 1 "$(echo "$mounts" | grep -c '^[^ ]* / ')"
is "/sys cannot be written to" 1 "$(echo "$mounts" | grep -c '^sysfs /sys sysfs ro')"
is "/proc/sys cannot be written to" 1 "$(echo "$mounts" | grep -c '^proc /proc/sys proc ro')"

heading "inside: the capabilities"
caps=$(contained grep -E '^(Cap(Inh|Eff|Bnd)|NoNewPrivs)' /proc/self/status)
echo "$caps"
is "CAP_SYS_ADMIN, CAP_SYS_MODULE and the like are gone" 00000000a80425fb "$(echo "$caps" | sed -n 's/^CapBnd:.//p')"
is "nobody gets new ones" 1 "$(echo "$caps" | sed -n 's/^NoNewPrivs:.//p')"

if [ "$limits" ]; then
    heading "inside: the limits in force"
    set -- memory.max pids.max memory/memory.limit_in_bytes pids/pids.max
    found=$(contained sh -c 'cd /sys/fs/cgroup && for f; do [ ! -e $f ] || echo $f $(cat $f); done' sh "$@")
    echo "$found"
    is "memory: 64 MiB" 1 "$(echo "$found" | grep -c '^memory.* 67108864$')"
    is "processes: 100" 1 "$(echo "$found" | grep -c '^pids.* 100$')"
fi

heading "a file that is written inside"
mark=/tmp/launcher-demo-$$
echo "inside:  $(contained sh -c "echo written > $mark; ls -l $mark")"
is "it is there inside" written "$(contained sh -c "echo written > $mark; cat $mark")"
is "it is gone outside" gone "$([ -e $mark ] || echo gone)"

heading "outside: the exit status, with what was said on the way"
for case in '3 exit 3' '127 exec /no/such/program' '137 kill -KILL $$'; do
    contained sh -c "${case#* }"
    is "sh -c '${case#* }'" "${case%% *}" $?
done
contained /no/such/program
is "a missing program" 127 $?
exit $failed
