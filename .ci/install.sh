#!/bin/sh
# install.sh GROUP...: installs the Debian packages that a part of the work needs; at once done when all are there.
set -eu
top=$(cd "$(dirname "$0")/.." && pwd)

die() { echo "launcher: install: $*" >&2; exit 1; }

packages() { # GROUP
    case $1 in
    build) echo gcc libc6-dev binutils musl-dev lld ;;
    rust) echo rustc-web cargo-web rust-web-src ;; # Debian's newest; toolchain.sh asks when rustup has nothing
    lint) echo rust-web-clippy rustfmt-web ;;
    cross-aarch64) echo gcc-aarch64-linux-gnu ;;
    cross-armv7) echo gcc-arm-linux-gnueabihf ;;
    cross-riscv64) echo gcc-riscv64-linux-gnu ;;
    test) echo busybox-static strace squashfs-tools erofs-utils e2fsprogs qemu-user-static uidmap gcc libc6-dev util-linux mandoc bash zsh fish python3 tini \
        dumb-init catatonit ;;
    bench) echo tini dumb-init catatonit bubblewrap crun runc strace python3 gcc libc6-dev musl-tools util-linux ;;
    fuzz) echo gcc g++ libc6-dev ;;
    vm) echo qemu-system-x86 busybox-static uidmap python3 squashfs-tools erofs-utils e2fsprogs fdisk util-linux ;;
    engines) echo docker.io podman runc busybox-static python3 util-linux mount ;;
    *) die "no group $1" ;;
    esac
}

missing() { # PACKAGE...
    for package; do
        case $(dpkg-query -W -f '${Status}' "$package" 2>/dev/null) in *' installed') ;; *) echo "$package" ;; esac
    done
}

# Some packages start a daemon when they are installed, as docker.io does. Debian's way to forbid it, unless the machine
# has said something about it already.
policy=/usr/sbin/policy-rc.d
forbid_daemons() {
    [ ! -e $policy ] || return 0
    trap '$sudo rm -f $policy' EXIT
    trap 'exit 130' HUP INT PIPE TERM
    printf '#!/bin/sh\nexit 101\n' | $sudo tee $policy >/dev/null && $sudo chmod 755 $policy
}

install() { # PACKAGE...
    sudo=
    [ "$(id -u)" = 0 ] || sudo=sudo
    [ -z "$sudo" ] || command -v sudo >/dev/null || die "needs root for: apt-get install $*"
    echo "launcher: install: $*" >&2
    forbid_daemons
    log=$(mktemp)
    # an index that cannot be fetched is a warning only: the package may be in the others
    $sudo apt-get -qq update >"$log" 2>&1 || :
    $sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends "$@" >>"$log" 2>&1 </dev/null ||
        { tail -n 5 "$log" >&2; rm -f "$log"; die "apt-get install $* failed"; }
    rm -f "$log"
}

# musl of another architecture, unpacked in target/: by a private apt root, the machine's own stays as it is.
fetch_musl() { # NAME DEBIAN-ARCHITECTURE SUITE(or empty: this machine's)
    dir=$top/target/cross/$1
    ls "$dir"/usr/lib/*-linux-musl*/libc.a >/dev/null 2>&1 && return
    echo "launcher: install: musl-dev:$2 in target/cross/$1" >&2
    rm -rf "$dir" && mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial" "$dir/apt/sources"
    : >"$dir/apt/status"
    sources "$3" "$dir/apt/sources"
    (
        cd "$dir/apt"
        set -- -qq -o "APT::Architecture=$2" -o "APT::Architectures=$2" -o "Dir::State=$dir/apt" \
            -o "Dir::State::status=$dir/apt/status" -o "Dir::Cache=$dir/apt/cache" -o Dir::Etc::sourcelist=/dev/null \
            -o "Dir::Etc::sourceparts=$dir/apt/sources" -o APT::Sandbox::User= -o APT::Get::List-Cleanup=0 \
            -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
        { apt-get "$@" update || :; apt-get "$@" download musl-dev; } >log 2>&1 && dpkg -x musl-dev_*.deb "$dir"
    ) || { tail -n 5 "$dir/apt/log" >&2; die "no musl-dev:$2; set MUSL_DIR to a folder with its libc.a"; }
    rm -rf "$dir/apt"
}

# The machine's own Debian sources, perhaps with another suite's name in them.
sources() { # SUITE FOLDER
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ -s "$file" ] && sed "/[Aa]rchitectures:/d; s/$codename/${1:-$codename}/g" "$file" >"$2/${file##*/}"
    done
    [ ! -e "$2/sources.list" ] || mv "$2/sources.list" "$2/main.list"
}

command -v dpkg-query >/dev/null || { echo "launcher: install: not a Debian, the names there: $(for g; do packages "$g"; done | xargs)" >&2; exit 0; }
wanted=$(for group; do packages "$group"; done)
needed=$(missing $wanted | sort -u | xargs)
[ -z "$needed" ] || install $needed
for group; do
    case $group in
    cross-aarch64) fetch_musl aarch64 arm64 '' ;;
    cross-armv7) fetch_musl armv7 armhf '' ;;
    cross-riscv64) fetch_musl riscv64 riscv64 trixie ;; # the first Debian that has it
    esac
done
