# Guest script, with a root on a disk: TYPE is that of /, WRITABLE says whether it may be written to.
# shellcheck shell=sh
. "${0%/*}/lib.sh"
TYPE=$1 WRITABLE=$2

writable() { touch /new && rm /new; }
expect "/ is $TYPE" 0 "^[^ ]+ / $TYPE " grep ' / ' /proc/mounts
case $WRITABLE in
yes) check 'it may be written to' writable ;;
no) expect 'it may not be written to' 1 'Read-only file system' touch /new ;;
esac
check 'all of the image is there' test -x /probe -a -e /image
check 'and nothing of the initramfs' test ! -e /init
expect 'which cannot be reached' 0 '^kept in$' /probe escape init
[ "${3-}" != plain ] || {
    # What the initramfs held was in memory that cannot be given back (ramfs) or is shared (tmpfs).
    expect 'its memory is free again' 0 '' awk '/^(Unevictable|Shmem):/ { sum += $2 } END { print sum; exit !(sum < 8192) }' /proc/meminfo
    expect '/proc has come along' 0 '^1$' awk '$2 == "/proc" { sum++ } END { print sum }' /proc/mounts
}
summary
