# Guest script: resource limits on cgroup v2.
# shellcheck shell=sh
. "${0%/*}/lib.sh"

R=/srv/rootfs
CG=/sys/fs/cgroup
make_rootfs $R

# Prints FILE of the container's own cgroup, as the container sees it.
own() { file=$1; shift; launcher --rootfs $R "$@" -- cat "$CG/$file"; }
leftovers() { find $CG -type d -name 'launcher-*'; }
nothing_left() { leftovers; [ -z "$(leftovers)" ]; }
# stderr only: what tail prints is not launcher's word.
# shellcheck disable=SC2069
killed_by_limit() { launcher --rootfs $R "$@" -- sh -c 'tail /dev/zero' 2>&1 >/dev/null; }

echo '# devices: a program that the kernel asks'
# No kernel has this device: where it may be opened there is ENXIO.
mknod -m 666 /tmp/char c 4000 7
mknod -m 666 /tmp/block b 4000 7
ALLOWED='No such device or address$' REFUSED='Operation not permitted$'
expect 'given to read: read' 1 "$ALLOWED" launcher --rootfs $R --device /tmp/char:/dev/x:r -- cat /dev/x
expect 'given to read: write' 1 "$REFUSED" launcher --rootfs $R --device /tmp/char:/dev/x:r -- sh -c 'echo >/dev/x'
expect 'given to write: write' 1 "$ALLOWED" launcher --rootfs $R --device /tmp/char:/dev/x:w -- sh -c 'echo >/dev/x'
expect 'given to write: read' 1 "$REFUSED" launcher --rootfs $R --device /tmp/char:/dev/x:w -- cat /dev/x
expect 'a disk given to read: read' 1 "$ALLOWED" launcher --rootfs $R --device /tmp/block:/dev/x:r -- cat /dev/x
expect 'a disk given to read: write' 1 "$REFUSED" launcher --rootfs $R --device /tmp/block:/dev/x:r -- sh -c 'echo >>/dev/x'
expect 'in a user namespace: read' 1 "$ALLOWED" launcher --rootfs $R --uidmap 0:100000:65536 --device /tmp/char:/dev/x:r -- cat /dev/x
expect 'in a user namespace: write' 1 "$REFUSED" launcher --rootfs $R --uidmap 0:100000:65536 --device /tmp/char:/dev/x:r -- sh -c 'echo >/dev/x'
# made TYPE RULE...: opens a node that is made inside, with these rules.
made() {
    kind=$1; shift
    launcher --rootfs $R --cap-add MKNOD "$@" -- sh -c "mknod /dev/x $kind 4000 7 || exit 9; cat /dev/x"
}
expect 'a node made inside' 1 "$REFUSED" made c
expect 'a disk made inside' 1 "$REFUSED" made b
expect 'allowed by number' 1 "$ALLOWED" made c --device-cgroup-rule 'c 4000:7 r'
expect 'allowed by a star' 1 "$ALLOWED" made b --device-cgroup-rule 'b *:7 r'
expect 'all allowed' 1 "$ALLOWED" made b --device-cgroup-rule 'a *:* rwm'
expect 'another type allowed' 1 "$REFUSED" made b --device-cgroup-rule 'c *:* rwm'
expect 'another number allowed' 1 "$REFUSED" made c --device-cgroup-rule 'c 4000:8 r' --device-cgroup-rule 'a 4000:7 m'
expect 'read and write by two rules' 1 "$ALLOWED" launcher --rootfs $R --cap-add MKNOD --device-cgroup-rule 'c 4000:7 r' \
    --device-cgroup-rule 'c 4000:7 w' -- sh -c 'mknod /dev/x c 4000 7; echo <>/dev/x'
expect 'the usual ones work' 0 '^3$' launcher --rootfs $R --cap-add ALL -- \
    sh -c 'mknod /dev/z c 1 5; : <>/dev/null; : <>/dev/ptmx; : </dev/urandom; head -c 3 /dev/z | wc -c'
expect 'a terminal works' 0 '/dev/pts/0' launcher --rootfs $R --cap-add MKNOD -t -- tty
expect 'privileged, all are there' 1 "$ALLOWED" launcher --rootfs $R --privileged --device-cgroup-rule 'c 1:1 r' -- \
    sh -c 'mknod /dev/x c 4000 7; cat /dev/x'
expect 'no user can limit devices' 125 '^  hint: only the machine' as_user $LAUNCHER --rootfs $R --device /dev/zero:/dev/x:r -- true
expect 'nor root of a user namespace' 125 'load the program: Operation not permitted .EPERM.$' unshare -Urm $LAUNCHER --rootfs $R \
    --cgroup-parent /delegated --device-cgroup-rule 'c 1:1 r' -- true
expect 'unless it goes without' 0 '^launcher: warning: without limits on devices: ' as_user $LAUNCHER --rootfs $R --best-effort \
    --device /dev/zero:/dev/x:r --ephemeral -- true
expect 'a parent without controllers is made' 1 "$ALLOWED" made c --cgroup-parent /x/y --device-cgroup-rule 'c 4000:7 r'
no_controllers() { cat $CG/cgroup.subtree_control; find $CG -name x; [ -z "$(cat $CG/cgroup.subtree_control; find $CG -name x)" ]; }
check 'no controller was needed' no_controllers
check 'no cgroup is left' nothing_left

echo '# the ordinary case'
expect 'exit status 0' 0 '' launcher --rootfs $R -m 32m -- true
expect 'exit status 7' 7 '' launcher --rootfs $R -m 32m -- sh -c 'exit 7'
expect 'killed by a signal is 128+n' 143 '' launcher --rootfs $R -m 32m -- sh -c 'kill -TERM $$'
expect 'not found is 127' 127 'launcher: ' launcher --rootfs $R -m 32m -- no-such-program
expect 'not executable is 126' 126 'launcher: ' launcher --rootfs $R -m 32m -- /etc/passwd
expect 'the cgroup is the root of its namespace' 0 '^0::/$' launcher --rootfs $R -m 32m -- cat /proc/self/cgroup
check 'no cgroup is left' nothing_left

echo '# memory'
expect 'memory.max' 0 '^33554432$' own memory.max -m 32m
expect 'over the limit is 137 and says memory' 137 '^launcher: .*memory' killed_by_limit -m 32m
expect 'the smallest limit' 0 '' launcher --rootfs $R -m 1m -- true
# docker's --memory-swap is memory and swap together; the kernel's file is swap alone.
expect '--memory-swap is a total' 0 '^16777216$' own memory.swap.max -m 32m --memory-swap 48m
expect '--memory-swap equal to -m is no swap' 0 '^0$' own memory.swap.max -m 32m --memory-swap 32m
expect '--cgroup sets any file' 0 '^16777216$' own memory.high --cgroup memory.high=16777216
check 'no cgroup is left' nothing_left

echo '# pids'
# The subshell dies of its failing fork. exec, since there is no room for another process beside the sleeping ones.
fork_bomb() {
    $LAUNCHER --rootfs $R --name bomb --pids-limit 20 -- \
        sh -c '(i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done; echo unlimited); exec sleep 3' >/tmp/bomb 2>&1 &
    eventually grep -Eq "fork|unlimited" /tmp/bomb
    dir=$(find $CG -type d -name 'launcher-bomb')
    cat /tmp/bomb "$dir/pids.max" "$dir/pids.peak" "$dir/pids.events"
    [ "$(cat "$dir/pids.max")" = 20 ] && [ "$(cat "$dir/pids.peak")" -le 20 ] && ! grep -q '^max 0$' "$dir/pids.events"
    limited=$?
    wait $! || return
    ! grep -q unlimited /tmp/bomb && return $limited
}
check 'a fork bomb stops at --pids-limit' fork_bomb
check 'no cgroup is left' nothing_left

echo '# cpu'
expect 'cpu.max' 0 '^20000 100000$' own cpu.max --cpus 0.2
expect '--cpus throttles' 0 '^nr_throttled [1-9]' launcher --rootfs $R --cpus 0.2 -- \
    sh -c 'end=$(($(date +%s) + 2)); while [ "$(date +%s)" -lt $end ]; do :; done; cat /sys/fs/cgroup/cpu.stat'
expect '--cpu-weight' 0 '^50$' own cpu.weight --cpu-weight 50
expect '--cpuset-cpus' 0 '^0$' own cpuset.cpus.effective --cpuset-cpus 0
expect '--cpuset-cpus binds' 0 '^1$' launcher --rootfs $R --cpuset-cpus 0 -- nproc
check 'no cgroup is left' nothing_left

echo '# time, on a kernel older than those that tests mostly run on'
expect '--time-offset' 0 '^yes$' launcher --rootfs $R --time-offset boottime=+10d -- \
    sh -c '[ "$(cut -d . -f 1 /proc/uptime)" -gt 864000 ] && echo yes'
expect 'of an ordinary user' 0 '^yes$' as_user $LAUNCHER --rootfs $R --time-offset boottime=+10d -- \
    sh -c '[ "$(cut -d . -f 1 /proc/uptime)" -gt 864000 ] && echo yes'

echo '# where the cgroup is'
mkdir -p $CG/a/b
below_a_parent() {
    $LAUNCHER --rootfs $R --name child --cgroup-parent /a/b -m 32m -- sleep 4241 &
    eventually running 'sleep 4241' || return
    [ -d $CG/a/b/launcher-child ] && grep -qx 33554432 $CG/a/b/launcher-child/memory.max
    placed=$?
    find $CG -name 'launcher-*'
    kill $!
    wait $!
    return $placed
}
check '--cgroup-parent' below_a_parent
check 'no cgroup is left' nothing_left

# A cgroup that has members can give no controller to its children (EBUSY): nobody can enable memory there.
mkdir $CG/lacks
in_cgroup lacks sleep 1000 &
occupant=$!
expect 'a controller that cannot be enabled is named' 125 '^launcher: .*memory' in_cgroup lacks launcher --rootfs $R --cgroup-parent /lacks -m 32m -- true
kill $occupant
check 'no cgroup is left' nothing_left

echo '# many, and killed'
twenty_at_once() {
    pids=
    for _ in $(seq 20); do $LAUNCHER --rootfs $R -m 32m --pids-limit 20 -- true & pids="$pids $!"; done
    failures=0
    for pid in $pids; do wait "$pid" || failures=$((failures + 1)); done
    echo "$failures of 20 failed"
    [ $failures = 0 ]
}
check '20 starts at once' twenty_at_once
check 'no cgroup is left' nothing_left

kill_the_outer() {
    $LAUNCHER --rootfs $R --name orphan -m 32m --cap-add MKNOD -- sleep 4242 &
    eventually running 'sleep 4242' || return
    kill -9 $!
    wait $!
    eventually gone 'sleep 4242'
}
check 'kill -9 of the parent ends the container' kill_the_outer
expect 'delete --force removes what that left' 0 '' launcher delete --force orphan
check 'no cgroup is left' nothing_left

echo '# rootless, delegated: what systemd does with Delegate=yes'
# Enabling controllers inside the delegated folder is the user's business, that is launcher's.
echo '+memory +pids +cpu' >$CG/cgroup.subtree_control
mkdir -p $CG/user/session
for file in . cgroup.procs cgroup.subtree_control cgroup.threads; do chown 1000:1000 $CG/user/$file $CG/user/session/$file; done
UR=/home/user/v2-rootfs
make_rootfs $UR && chown -R 1000:1000 $UR
delegated() { in_cgroup user/session as_user $LAUNCHER --rootfs $UR "$@"; }
expect 'exit status' 7 '' delegated -m 32m --pids-limit 20 -- sh -c 'exit 7'
expect 'memory.max' 0 '^33554432$' delegated -m 32m --pids-limit 20 -- cat $CG/memory.max
expect 'pids.max' 0 '^20$' delegated -m 32m --pids-limit 20 -- cat $CG/pids.max
expect 'over the limit is 137 and says memory' 137 '^launcher: .*memory' delegated -m 32m -- sh -c 'tail /dev/zero'
check 'no cgroup is left' nothing_left

echo '# rootless, not delegated'
mkdir -p $CG/theirs $CG/poor/user/session
expect 'no delegation is said, with a hint' 125 'hint: ' in_cgroup theirs as_user $LAUNCHER --rootfs $UR -m 32m -- true
expect 'without limits no cgroup is needed' 7 '' in_cgroup theirs as_user $LAUNCHER --rootfs $UR -- sh -c 'exit 7'
# Delegated, but without the memory controller: only root can enable that, one level up.
echo +pids >$CG/poor/cgroup.subtree_control
for file in . cgroup.procs cgroup.subtree_control cgroup.threads; do chown 1000:1000 $CG/poor/user/$file $CG/poor/user/session/$file; done
expect 'a controller that is not delegated is named' 125 '^launcher: .*memory' in_cgroup poor/user/session as_user $LAUNCHER --rootfs $UR -m 32m -- true
check 'no cgroup is left' nothing_left

summary
