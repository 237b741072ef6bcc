# Guest script: an ordinary user with a range of ids from /etc/subuid, through newuidmap.
# shellcheck shell=sh
. "${0%/*}/lib.sh"

R=/home/user/rootfs
make_rootfs $R && chown -R 1000:1000 $R
auto() { as_user $LAUNCHER --userns auto --rootfs $R "$@"; }
map() { auto -- sh -c "echo \$(cat /proc/self/$1)"; } # echo: on one line, without the padding

expect 'exit status' 7 '' auto -- sh -c 'exit 7'
expect 'root inside' 0 'uid=0.* gid=0' auto -- id
expect 'another user inside' 0 'uid=1000' auto -u 1000 -- id
for kind in uid gid; do
    expect "the $kind map is the user, then the range" 0 '^0 1000 1 1 100000 65536$' map ${kind}_map
done
expect 'files can belong to others' 0 '^1000$' auto -- sh -c 'touch /tmp/f && chown 1000:1000 /tmp/f && stat -c %u /tmp/f'

# No silent weakening to a map of one id: --userns auto asked for the range.
for file in subuid subgid; do
    mv /etc/$file /etc/$file.kept
    : >/etc/$file
    expect "no line in /etc/$file: the hint shows it" 125 'hint: .*user:100000:65536' auto -u 1000 -- id
    expect "and names the file" 125 "/etc/$file" auto -u 1000 -- id
    mv /etc/$file.kept /etc/$file
done

summary
