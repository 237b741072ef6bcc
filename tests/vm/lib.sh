# Sourced by the guest scripts: . "${0%/*}/lib.sh"
# shellcheck shell=sh
PASSED=0 FAILED=0
OUT=/tmp/out # of the last check

pass() { PASSED=$((PASSED + 1)); echo "ok $1"; }
fail() { FAILED=$((FAILED + 1)); echo "not ok $1"; sed 's/^/    /' "$OUT"; }

# check NAME CMD...: passes when CMD's status is 0.
# Output is captured in a file and not by $( ), which would also wait for whatever else holds the pipe open.
check() {
    name=$1; shift
    if "$@" >"$OUT" 2>&1; then pass "$name"; else fail "$name"; fi
}

# expect NAME STATUS REGEX CMD...: passes when CMD ends with STATUS and REGEX (grep -E) is found in what it prints; '' is any output.
expect() {
    name=$1 want=$2 regex=$3; shift 3
    "$@" >"$OUT" 2>&1
    got=$?
    if [ "$got" = "$want" ] && { [ -z "$regex" ] || grep -Eq -- "$regex" "$OUT"; }; then pass "$name"; return; fi
    echo "status $got, wanted $want and output like '$regex'" >>"$OUT"
    fail "$name"
}

# summary: the last line of a script.
summary() {
    echo "$PASSED passed, $FAILED failed"
    [ $FAILED = 0 ]
    exit
}

# A launcher that hangs must fail one check and not the whole machine.
LAUNCHER=/usr/bin/launcher
launcher() { timeout -s KILL 60 $LAUNCHER "$@"; }

# as_user CMD...: as uid 1000, with what a login would give it.
as_user() {
    mkdir -p /run/user/1000 && chown 1000:1000 /run/user/1000
    XDG_RUNTIME_DIR=/run/user/1000 timeout -s KILL 60 su -s /bin/sh -- user -c 'exec "$@"' sh "$@"
}

# in_cgroup DIR CMD...: CMD as a member of a cgroup (0 means whoever writes: here the subshell).
in_cgroup() { (echo 0 >"/sys/fs/cgroup/$1/cgroup.procs" && shift && "$@"); }

# eventually CMD...: true as soon as CMD is, false after 10 seconds.
eventually() {
    for _ in $(seq 50); do
        "$@" && return
        sleep 0.2
    done
    return 1
}

# running CMDLINE: whether there is a process of exactly this command line (busybox has no pgrep).
# gone CMDLINE: whether there is none that contains it, so no launcher either that was to start it.
cmdlines() { ps -o args | sed 's/^{[^}]*} //' >/tmp/cmdlines; } # {comm} stands there where argv[0] differs
running() { cmdlines; grep -qxF -- "$1" /tmp/cmdlines; }
gone() { cmdlines; ! grep -qF -- "$1" /tmp/cmdlines; }

# make_rootfs DIR: the least that a container wants to see.
make_rootfs() {
    for dir in proc sys dev tmp etc root; do mkdir -p "$1/$dir"; done
    cp -a /bin "$1" # here it is busybox and its links
    cp /etc/passwd /etc/group "$1/etc"
    touch "$1/in-the-rootfs"
}
