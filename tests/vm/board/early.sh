# Guest script, the first program on a machine (launcher.container=0): what launcher has made ready.
# shellcheck shell=sh
. "${0%/*}/lib.sh"

# mounted TYPE PLACE OPTION...: and with these options.
mounted() {
    grep "^[^ ]* $2 $1 " /proc/mounts || return
    options=$(awk -v place="$2" '$2 == place { print $4 }' /proc/mounts)
    shift 2
    for option; do case ,$options, in *,"$option",*) ;; *) echo "no $option in: $options"; return 1 ;; esac; done
}
mode() { [ "$(stat -c %a "$1")" = "$2" ]; }
terminal() { # the session is ours, the terminal belongs to it, and we are in front
    read -r _ _ _ _ group session tty front _ </proc/self/stat
    echo "group $group, session $session, terminal $tty, in front $front"
    [ "$session" -gt 0 ] && [ "$tty" != 0 ] && [ "$front" = "$group" ] && : <>/dev/tty
}
as_any_container() { /launcher --rootfs /rootfs -- grep -E '^(Cap|Seccomp|NoNewPrivs)' /proc/self/status >/tmp/ordinary && cat /tmp/ordinary; }

check '/proc' mounted proc /proc nosuid nodev noexec
check '/sys' mounted sysfs /sys nosuid nodev noexec
check '/dev' mounted devtmpfs /dev nosuid
check '/dev/pts' mounted devpts /dev/pts gid=5 mode=620 ptmxmode=666
check '/dev/shm' mounted tmpfs /dev/shm nosuid nodev
check '/run' mounted tmpfs /run nosuid nodev
check '/tmp' mounted tmpfs /tmp nosuid nodev
check '/sys/fs/cgroup' mounted cgroup2 /sys/fs/cgroup nosuid nodev noexec
check 'anybody may write to /tmp' mode /tmp 1777
check 'and to /dev/shm' mode /dev/shm 1777
check 'and nobody to /run' mode /run 755
expect '/dev/fd' 0 '^/proc/self/fd$' readlink /dev/fd
expect '/dev/stdin' 0 '^/proc/self/fd/0$|^fd/0$' readlink /dev/stdin
expect 'a terminal can be opened' 0 '' sh -c 'exec 3<>/dev/ptmx'
expect 'lo is up' 0 '1 packets received' ping -c 1 127.0.0.1
expect 'the hostname of /etc/hostname' 0 '^board$' hostname
expect 'modules, in the order of the list' 0 '^overlay ' grep overlay /proc/modules
check 'the console is the controlling terminal' terminal
expect 'PATH' 0 '^PATH=/' sh -c "tr '\\0' '\\n' <\"/proc/$$/environ\" | grep ^PATH="
expect 'three descriptors' 0 '^0 1 2$' /probe fds
check 'not PID 1' test $$ -gt 1
expect 'no signal is blocked or ignored' 0 '' awk '/^Sig(Blk|Ign):/ { print; if ($2 !~ /^0*$/) bad = 1 } END { exit bad }' /proc/self/status
orphans() { (for _ in 1 2 3 4 5; do (true &) done); eventually sh -c '! grep -q "^State:.Z" /proc/[0-9]*/status 2>/dev/null'; }
check 'orphans are reaped' orphans
expect 'PID 1 has less than 200 KiB of its own' 0 '' awk '/^Private_Dirty/ { sum += $2 } END { print sum; exit !(sum > 0 && sum < 200) }' /proc/1/smaps
check 'an ordinary container' as_any_container
summary
