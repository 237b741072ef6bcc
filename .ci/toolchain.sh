#!/bin/sh
# toolchain.sh TARGET CARGO-COMMAND [ARGS...]: runs cargo with a toolchain that can build for TARGET.
# TARGET "host" is for tests and lints: rustup's stable, or else Debian's. Otherwise a musl target, by the first of
#   size   any rustc with the source of std beside it: std is built anew, see size.toml (rustup's before Debian's)
#   plain  rustup's ready-made musl std: works, but three times as large
# What is missing is asked of rustup, unless RUSTUP_AUTO_INSTALL is set, whatever to, and then of apt.
# LAUNCHER_RUSTC and LAUNCHER_CARGO overrule all this.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
target=$1 && shift

die() { echo "launcher: toolchain: $*" >&2; exit 3; }

# The real programs, not rustup's proxies: nothing in a checkout can then cause a download.
rustup_rustc() {
    command -v rustup >/dev/null || return 1
    RUSTUP_AUTO_INSTALL=0 rustup which --toolchain stable rustc 2>/dev/null || RUSTUP_AUTO_INSTALL=0 rustup which rustc 2>/dev/null
}
candidates() { echo "${LAUNCHER_RUSTC:-$(rustup_rustc || :) /usr/bin/rustc}"; }

minor() { "$1" --version | sed -n 's/^rustc 1\.\([0-9]*\).*/\1/p'; }
can_host() { [ -x "${1%rustc}cargo" ] || [ -n "${LAUNCHER_CARGO:-}" ]; }
can_size() { # panic = "immediate-abort" came with 1.92
    [ "$(minor "$1")" -ge 92 ] && [ -e "$("$1" --print sysroot)/lib/rustlib/src/rust/library/std/Cargo.toml" ]
}
can_plain() { [ "${target%%-*}" = x86_64 ] && [ -e "$("$1" --print sysroot)/lib/rustlib/$target/lib/self-contained/crt1.o" ]; }

find_rustc() { # ROUTE...: sets rustc and route, or fails
    for route; do
        for rustc in $(candidates); do
            [ -x "$rustc" ] && can_host "$rustc" && "can_$route" "$rustc" && return
        done
    done
    return 1
}

ask_rustup() {
    [ -z "${RUSTUP_AUTO_INSTALL+set}" ] && command -v rustup >/dev/null || return 1
    echo "launcher: toolchain: asking rustup for rust-src and $target" >&2
    timeout 300 rustup component add rust-src && timeout 300 rustup target add "$target"
}

find_or_get() {
    if [ "$target" = host ]; then
        find_rustc host || { "$here/install.sh" rust && find_rustc host; }
    else
        find_rustc size || { ask_rustup && find_rustc size; } || { "$here/install.sh" rust && find_rustc size; } ||
            find_rustc plain
    fi
}

# For another machine than this: its C compiler, its musl (install.sh cross-ARCH fetches both), its linker.
cross() { # NAME GNU-TRIPLE MUSL-TRIPLE
    if [ "$(uname -m)" = "$1" ]; then export CC="${CC:-cc}"; return; fi
    export CC="$2-gcc" MUSL_DIR="${MUSL_DIR:-${here%/*}/target/cross/$1/usr/lib/$3}"
    command -v "$CC" >/dev/null && [ -e "$MUSL_DIR/libc.a" ] || die "no C compiler or musl for $1: run .ci/install.sh cross-$1"
}
set_target() {
    case $target in
    aarch64-*)
        cross aarch64 aarch64-linux-gnu aarch64-linux-musl
        export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_LINKER="$here/ld-static-pie" ;;
    armv7-*)
        cross armv7 arm-linux-gnueabihf arm-linux-musleabihf
        export CARGO_TARGET_ARMV7_UNKNOWN_LINUX_MUSLEABIHF_LINKER="$here/ld-static-pie" ;;
    riscv64gc-*)
        cross riscv64 riscv64-linux-gnu riscv64-linux-musl
        export CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_MUSL_LINKER="$here/ld-static-pie"
        export CARGO_TARGET_RISCV64GC_UNKNOWN_LINUX_MUSL_RUSTFLAGS=-Ctarget-feature=+crt-static ;;
    esac
}

find_or_get || die "none can build for $target: needs rustc 1.92 or newer with the source of std (rustup component add rust-src)"
cargo=${LAUNCHER_CARGO:-${rustc%rustc}cargo}
export RUSTC="$rustc" RUSTDOC="${rustc%rustc}rustdoc" PATH="${rustc%/rustc}:$PATH"
echo "launcher: toolchain: $route route for $target: $rustc $("$rustc" --version | cut -d' ' -f2)" >&2
[ "$route" = host ] && exec "$cargo" "$@"

set_target
unset RUSTFLAGS CARGO_ENCODED_RUSTFLAGS # they would replace size.toml's, and what is shipped is built one way
[ "$route" = plain ] && exec "$cargo" "$@" --target "$target"
export RUSTC_BOOTSTRAP=1 # build-std by a stable compiler
export LLD_DIR="${here%/*}/target/cross/lld" # where a cross gcc finds it: by that name it looks nowhere else
lld=
if command -v ld.lld >/dev/null; then
    lld="--config $here/lld.toml"
    mkdir -p "$LLD_DIR" && ln -sf "$(command -v ld.lld)" "$LLD_DIR/ld.lld"
fi
# shellcheck disable=SC2086 # two words or none
exec "$cargo" --config "$here/size.toml" $lld "$@" --target "$target"
