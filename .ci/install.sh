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
    cross-riscv64) echo gcc-riscv64-linux-gnu make patch xz-utils ;;
    test) echo busybox-static strace squashfs-tools erofs-utils e2fsprogs qemu-user-static uidmap gcc libc6-dev util-linux mandoc bash zsh fish python3 tini \
        dumb-init catatonit ;;
    bench) echo tini dumb-init catatonit bubblewrap crun runc strace python3 gcc libc6-dev musl-tools util-linux ;;
    fuzz) echo gcc g++ libc6-dev ;;
    vm) echo qemu-system-x86 qemu-system-arm busybox-static uidmap python3 squashfs-tools erofs-utils e2fsprogs fdisk util-linux ;;
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

# A private apt root in the folder that is ours now: what is fetched from other lists of packages leaves the machine's alone.
private_apt() { # DEBIAN-ARCHITECTURE deb|deb-src COMMAND...
    arch=$1 kind=$2 && shift 2
    rm -rf apt && mkdir -p apt/lists/partial apt/cache/archives/partial apt/sources
    : >apt/status
    sources "$kind" apt/sources
    options="-qq -o APT::Architecture=$arch -o APT::Architectures=$arch -o Dir::State=$PWD/apt -o Dir::State::status=$PWD/apt/status
        -o Dir::Cache=$PWD/apt/cache -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts=$PWD/apt/sources -o APT::Sandbox::User=
        -o APT::Get::List-Cleanup=0 -o Acquire::Languages=none -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false"
    # shellcheck disable=SC2086 # a list of options; an index that cannot be fetched is told by what is missing then
    { apt-get $options update || :; apt-get $options "$@"; } >apt/log 2>&1 || { tail -n 5 apt/log >&2; return 1; }
}

# The machine's own Debian sources, as those of programs or of their source.
sources() { # deb|deb-src FOLDER
    for file in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        [ ! -s "$file" ] || sed "/[Aa]rchitectures:/d; s/^deb /$1 /; s/^Types:.*/Types: $1/" "$file" >"$2/${file##*/}"
    done
    [ ! -e "$2/sources.list" ] || mv "$2/sources.list" "$2/main.list"
}

# musl of another architecture, in target/cross/NAME, and busybox for its tests.
get_musl() { # fetch_musl|build_musl NAME ARGUMENT
    dir=$top/target/cross/$2
    [ ! -e "$dir/done" ] || return 0
    rm -rf "$dir" && mkdir -p "$dir"
    (cd "$dir" && "$@") || { rm -rf "$dir"; die "no musl for $2; set MUSL_DIR to a folder with its libc.a"; }
    rm -rf "$dir/apt" && touch "$dir/done"
}

fetch_musl() { # NAME DEBIAN-ARCHITECTURE
    echo "launcher: install: musl-dev:$2 and busybox-static:$2 in target/cross/$1" >&2
    private_apt "$2" deb download musl-dev busybox-static || return
    for deb in *.deb; do dpkg -x "$deb" . && rm "$deb" || return; done
}

# Where this Debian has no such architecture: from its source, as the others were.
build_musl() { # NAME GNU-TRIPLE
    echo "launcher: install: musl's source, built in target/cross/$1" >&2
    private_apt "$(dpkg --print-architecture)" deb-src --download-only source musl || return
    mkdir source && tar -xf musl_*.orig.tar.?z -C source --strip-components=1 && tar -xf musl_*.debian.tar.?z -C source || return
    (
        cd source
        while read -r name _; do
            case $name in '' | '#'*) ;; *) patch -sp1 <"debian/patches/$name" || exit ;; esac
        done <debian/patches/series
        ./configure --target="$1-linux-musl" CROSS_COMPILE="$2-" --disable-shared --prefix=/usr --libdir="/usr/lib/$1-linux-musl" &&
            make -j "$(nproc)" && make install-libs DESTDIR="${PWD%/source}"
    ) >log 2>&1 || { tail -n 5 log >&2; return 1; }
    rm -rf source musl_* log
}

# One at a time: all builds ask at once.
exec 9<"$0"
! command -v flock >/dev/null || flock 9

command -v dpkg-query >/dev/null || { echo "launcher: install: not a Debian, the names there: $(for g; do packages "$g"; done | xargs)" >&2; exit 0; }
wanted=$(for group; do packages "$group"; done)
needed=$(missing $wanted | sort -u | xargs)
[ -z "$needed" ] || install $needed
for group; do
    case $group in
    cross-aarch64) get_musl fetch_musl aarch64 arm64 ;;
    cross-armv7) get_musl fetch_musl armv7 armhf ;;
    cross-riscv64) get_musl build_musl riscv64 riscv64-linux-gnu ;; # in Debian's archive for no release before 13
    esac
done
