# shellcheck shell=bash
# Sourced by dist.sh and bench/build.sh: `static_build TARGET FOLDER CARGO-ARGUMENTS...` builds static programs for a
# board. Debian's Rust comes with the source of its standard library, which is built along (small, without unwinding);
# zig is the C compiler and the linker, and brings musl for every ARM.
#
# After `static_toolchain FOLDER` it can be used, and `static_agent` likewise; what is missing is installed, or named.

ZIG=0.17.1 ZIGBUILD=0.24.0

static_fail() {
    printf '%s\n' "$*" >&2
    return 1
}

static_retry() {
    local try
    for try in 1 2 3 4; do
        "$@" && return 0
        printf 'try %s of 4 failed: %s\n' "$try" "$*" >&2
        sleep $((try * 3))
    done
    return 1
}

# static_toolchain FOLDER: FOLDER is for zig (some 400 MB) and may be there already.
static_toolchain() {
    local missing=() apt=(apt-get -q -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300)
    [ -x /usr/bin/cargo ] && [ -x /usr/bin/rustc ] || missing+=(rustc-web cargo-web)
    [ -d "$(/usr/bin/rustc --print sysroot 2>/dev/null)/lib/rustlib/src/rust/library/std" ] || missing+=(rust-web-src)
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    if [ ${#missing[@]} -gt 0 ]; then
        [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null ||
            static_fail "install these first (Debian's): ${missing[*]}" || return 1
        export DEBIAN_FRONTEND=noninteractive
        static_retry "${apt[@]}" update && static_retry "${apt[@]}" install -y --no-install-recommends "${missing[@]}" ||
            static_fail "could not install: ${missing[*]}" || return 1
    fi
    if [ ! -x "$1/bin/cargo-zigbuild" ] || [ ! -e "$1/complete" ]; then
        rm -rf "$1"
        python3 -m venv "$1" &&
            static_retry "$1/bin/pip" install --quiet --disable-pip-version-check "ziglang==$ZIG" "cargo-zigbuild==$ZIGBUILD" ||
            static_fail "could not install zig (ziglang $ZIG and cargo-zigbuild $ZIGBUILD from PyPI)" || return 1
        touch "$1/complete"
    fi
    static_tools=$(cd -- "$1" && pwd)
}

# static_build TARGET FOLDER ARGUMENTS...: `cargo build ARGUMENTS` for the target, with what cargo makes in FOLDER.
# STATIC_RUSTFLAGS are added.
static_build() {
    local target=$1 folder=$2 flags=${1^^}
    shift 2
    # zig brings its own start files.
    env "PATH=$static_tools/bin:/usr/bin:/bin:/usr/sbin:/sbin" RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR="$folder" \
        "CARGO_TARGET_${flags//-/_}_RUSTFLAGS=-Clink-self-contained=no ${STATIC_RUSTFLAGS:-}" \
        /usr/bin/cargo zigbuild --target "$target" \
        -Zbuild-std=std,panic_abort -Zbuild-std-features=optimize_for_size "$@"
}

# What an agent is built with. A fault in its own program needs no words, and no tables for a walk up the stack, that every
# board would have to store: it ends at once, and the service starts it again.
static_agent() {
    STATIC_RUSTFLAGS='-Zunstable-options -Cpanic=immediate-abort -Cforce-unwind-tables=no' \
        CFLAGS='-fno-asynchronous-unwind-tables -fno-unwind-tables' static_build "$@"
}
