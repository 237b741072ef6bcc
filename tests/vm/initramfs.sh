# Guest script: / is the initramfs, where pivot_root(2) gives EINVAL and the root must change in another way.
# shellcheck shell=sh
. "${0%/*}/lib.sh"

R=/r
make_rootfs $R
own_root_only() { # inside, / is $R, and $R only
    launcher --rootfs $R "$@" -- ls -1A / >/tmp/inside || return
    ls -1A $R | diff - /tmp/inside
}
# The old root would be a mount of the whole file system "rootfs".
no_mount_of_the_old_root() {
    launcher --rootfs $R "$@" -- cat /proc/self/mountinfo >/tmp/mounts || return
    cat /tmp/mounts
    awk '$5 == "/" { roots++ }
         $4 == "/" && / - rootfs / { old++ }
         END { exit !(roots == 1 && old == 0) }' /tmp/mounts
}
# Joining a mount namespace leads to its own root, which a mere chroot(2) leaves where it was.
no_way_back() {
    $LAUNCHER --rootfs $R "$@" -- sleep 4243 &
    eventually running 'sleep 4243' || return
    nsenter -t "$(pidof sleep)" -m ls -1A / >/tmp/below
    kill $!
    wait $!
    ls -1A $R | diff - /tmp/below
}
ephemeral() {
    launcher --rootfs $R --ephemeral "$@" -- sh -c 'echo changed >/in-the-rootfs && touch /new && cat /in-the-rootfs && ls /new' || return
    [ ! -e $R/new ] && [ ! -s $R/in-the-rootfs ]
}

check 'this is the initramfs' grep -q '^rootfs / ' /proc/mounts
for options in '' '--userns new' '--ephemeral'; do
    # shellcheck disable=SC2086 # words on purpose
    {
        echo "# launcher --rootfs $R $options"
        expect 'exit status' 7 '' launcher --rootfs $R $options -- sh -c 'exit 7'
        expect 'killed by a signal is 128+n' 143 '' launcher --rootfs $R $options -- sh -c 'kill -TERM $$'
        expect 'root inside' 0 '^0$' launcher --rootfs $R $options -- id -u
        expect 'hostname' 0 '^board$' launcher --rootfs $R $options -h board -- hostname
        expect 'limits' 0 '^33554432$' launcher --rootfs $R $options -m 32m -- cat /sys/fs/cgroup/memory.max
        check 'only the rootfs is seen' own_root_only $options
        check 'the old root is not mounted inside' no_mount_of_the_old_root $options
        check 'and not below a chroot' no_way_back $options
        expect '.. at the root goes nowhere' 0 '^/in-the-rootfs$' launcher --rootfs $R $options -- sh -c 'cd ../../.. && [ ! -e vm ] && ls /in-the-rootfs'
    }
done
expect '--ephemeral keeps nothing' 0 '^changed$' ephemeral
expect '--ephemeral with a user namespace keeps nothing' 0 '^changed$' ephemeral --userns new
expect 'the hostname outside is the same as before' 0 '^guest$' hostname
check 'the init of the machine sees its own root' test -d /proc/1/root/vm
summary
