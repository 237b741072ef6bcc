#!/bin/sh
# soak.sh BIN [SECONDS]: starts and stops in every way for ten minutes, and looks for what stays: mounts, cgroups,
# processes, files. For root and for ordinary users, who set no limits.
set -u
seconds=600
for word; do
    case $word in *[!0-9]*) bin=$word ;; *) seconds=$word ;; esac
done
: "${bin:?soak.sh BIN [SECONDS]}"
name=soak-$$ # in the command line of every process of ours, in every path and cgroup
folder=$(mktemp -d "${TMPDIR:-/tmp}/$name.XXXXXX") || exit 1
trap 'rm -rf "$folder"' EXIT
trap 'exit 130' INT TERM
limits=
[ "$(id -u)" != 0 ] || limits='-m 64m --pids-limit 100'
rootfs=$folder/rootfs
for part in bin dev proc sys tmp; do mkdir -p "$rootfs/$part"; done
cp "$bin" "$folder/launcher" && cp /bin/busybox "$rootfs/bin/busybox-$name" || exit 1
ln -s "busybox-$name" "$rootfs/bin/sh"
sleep="busybox-$name sleep 600"

processes() {
    for process in /proc/[0-9]*; do
        case $({ tr '\0' ' ' <"$process/cmdline"; } 2>&1) in *"$name"*) echo "${process#/proc/}" ;; esac
    done
}

state() { # what is the machine's, and what of it is ours; containers of others may come and go meanwhile
    sed 's/^[0-9]* [0-9]* //' /proc/self/mountinfo | sort
    find /sys/fs/cgroup -name "*$name*" 2>/dev/null
    processes
    find "$folder" | sort
}

ends() { # WANTED-STATUS WORD...
    wanted=$1
    shift
    "$folder/launcher" "$@" </dev/null >"$folder/out" 2>&1
    status=$?
    [ $status = "$wanted" ] || { echo "launcher $*: $status instead of $wanted"; cat "$folder/out"; exit 1; }
}

contained() { # WANTED-STATUS WORD...
    wanted=$1
    shift
    ends "$wanted" --rootfs "$rootfs" --name "$name" $limits "$@"
}

killed() { # launcher gets no time to clean up: its container dies with it, and delete removes the rest
    : >"$folder/out"
    "$folder/launcher" --rootfs "$rootfs" --name "$name" $limits -- sh -c "echo up; exec $sleep" >"$folder/out" &
    until [ -s "$folder/out" ]; do kill -0 $! || exit 1; done
    kill -KILL $!
    wait $! 2>/dev/null
    [ -z "$limits" ] || "$folder/launcher" delete --force "$name" || exit 1
    tries=0 # the kernel kills, and nobody tells us when it has
    while [ "$(processes)" ]; do
        tries=$((tries + 1))
        [ $tries -lt 1000 ] || { echo "it outlives its launcher: $(processes)"; exit 1; }
    done
}

once() {
    ends 7 -- sh -c 'exit 7'
    ends 127 -- /no/such/program
    ends 137 -- sh -c '(sleep 0 &) ; kill -KILL $$'
    contained 3 -- sh -c 'exit 3'
    contained 0 --ephemeral -- sh -c 'echo x >/tmp/x'
    contained 127 -- /no/such/program
    contained 143 -- sh -c "($sleep &) ; kill -TERM \$\$"
    contained 125 --network ns:/no/such/namespace -- sh
    killed
}

once # the first round makes the files that the comparison expects
before=$(state) end=$(($(date +%s) + seconds)) rounds=0
until [ $rounds -gt 0 ] && [ "$(date +%s)" -ge $end ]; do
    once
    rounds=$((rounds + 1))
    after=$(state)
    [ "$before" = "$after" ] || { printf 'round %s: before\n%s\nafter\n%s\n' $rounds "$before" "$after"; exit 1; }
done
echo "$rounds rounds of 9 starts in $seconds seconds: mounts, cgroups, processes and files are as before"
