#!/usr/bin/env bash
# Every check of the project: see usage below.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: ./test.sh [--all]

Runs every check, installing what it needs (Debian and Ubuntu, as root): formatting,
clippy, documentation, licences, scripts, unit tests and the simulation, end-to-end
tests on private Docker engines, the ARMv7 agent that ./dist.sh builds under qemu, short
fuzz runs, and ./try.sh. Stops at the first failure.

  --all     also what takes long: slow end-to-end tests, more histories, longer fuzz runs,
            all four targets
TEXT
}

all=''
for argument in "$@"; do
    case $argument in
        --all) all=1 ;;
        -h | --help) usage; exit 0 ;;
        *) printf 'test.sh: unknown argument: %s\nTry ./test.sh --help\n' "$argument" >&2; exit 2 ;;
    esac
done

cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
exec </dev/null
began=$SECONDS step='' place='' beside=''

fail() {
    printf 'test.sh: %s\n' "$*" >&2
    exit 1
}

# ---------------------------------------------------------------- headings and the end

clock() { printf '%d:%02d' $(((SECONDS - began) / 60)) $(((SECONDS - began) % 60)); }

# heading NAME: what follows is this step.
heading() {
    step=$1
    printf '\n[%s] ===== %s\n' "$(clock)" "$step"
}

# Ends what a test that was itself killed has left: it is known by its directory below ours.
end_leftovers() {
    local left groups process
    for left in "$place"/mt*; do
        [ -d "$left" ] || continue
        for groups in /sys/fs/cgroup/"$(basename "$left")" /sys/fs/cgroup/*/"$(basename "$left")"; do
            [ -d "$groups" ] || continue
            # shellcheck disable=SC2038 # The names of these files are all the same.
            find "$groups" -name cgroup.procs -exec cat {} + 2>/dev/null | xargs -r kill -KILL 2>/dev/null || true
            # What was frozen dies when it thaws.
            find "$groups" -name freezer.state -exec sh -c 'echo THAWED >"$1"' sh {} \; 2>/dev/null || true
            find "$groups" -name cgroup.freeze -exec sh -c 'echo 0 >"$1"' sh {} \; 2>/dev/null || true
        done
    done
    for process in /proc/[0-9]*; do
        if tr '\0' ' ' 2>/dev/null <"$process/cmdline" | grep -qF -- "$place/"; then
            kill -KILL "${process#/proc/}" 2>/dev/null || true
        fi
    done
    for left in "$place"/mt*; do
        for groups in /sys/fs/cgroup/"$(basename "$left")" /sys/fs/cgroup/*/"$(basename "$left")"; do
            [ ! -d "$groups" ] || find "$groups" -depth -type d -exec rmdir {} + 2>/dev/null || true
        done
    done
}

finish() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    [ -z "$beside" ] || end_tree "$beside"
    if [ -n "$place" ]; then
        end_leftovers
        rm -rf "$place" || true
    fi
    if [ $code -eq 0 ]; then
        printf '\n[%s] PASSED: every check\n' "$(clock)"
    else
        printf '\n[%s] FAILED: %s (exit code %d)\n' "$(clock)" "${step:-before the first step}" "$code"
    fi
    exit "$code"
}
# end_tree PROCESS: with all that it has started.
end_tree() {
    local child
    for child in $(ps -o pid= --ppid "$1"); do end_tree "$child"; done
    kill -TERM "$1" 2>/dev/null || true
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# ---------------------------------------------------------------- what the checks need

retry() {
    local try
    for try in 1 2 3 4; do
        "$@" && return 0
        printf 'try %s of 4 failed: %s\n' "$try" "$*" >&2
        sleep $((try * 3))
    done
    return 1
}

# Services of what is installed are not started.
apt() { RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=5 -o DPkg::Lock::Timeout=300 "$@"; }

static_busybox() {
    local found
    found=$(command -v busybox) || return 1
    # A static one runs where there is nothing else.
    mkdir -p "$place/root" && cp "$found" "$place/root/busybox" && chroot "$place/root" /busybox true 2>/dev/null
}

install_needs() {
    [ "$(id -u)" = 0 ] || fail 'end-to-end tests start Docker engines and need root: sudo ./test.sh'
    local missing=()
    need() { command -v "$1" >/dev/null || missing+=("$2"); }
    need dockerd docker.io
    need docker docker-cli
    need ip iproute2
    need iptables iptables
    need openssl openssl
    need curl curl
    need python3 python3
    need unshare util-linux
    need cc gcc
    need c++ g++
    need ps procps
    need shellcheck shellcheck
    need qemu-arm-static qemu-user-static
    need dpkg-deb dpkg
    need strip binutils
    need systemd-analyze systemd
    need musl-gcc musl-tools
    [ -x /usr/sbin/exim4 ] || missing+=(exim4-daemon-light)
    need chromium chromium
    python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    [ -z "$all" ] || need debootstrap debootstrap
    static_busybox || missing+=(busybox-static)
    [ -e /etc/ssl/certs/ca-certificates.crt ] || missing+=(ca-certificates)
    [ -e /usr/include/stdlib.h ] || missing+=(libc6-dev)
    if [ ${#missing[@]} -gt 0 ]; then
        command -v apt-get >/dev/null || fail "install these first: ${missing[*]}"
        retry apt update
        # Older releases have the command line in docker.io itself.
        local wanted=() package
        for package in "${missing[@]}"; do
            if [ "$package" = docker-cli ] && ! apt-cache show docker-cli >/dev/null 2>&1; then
                package=docker.io
            fi
            wanted+=("$package")
        done
        retry apt install -y --no-install-recommends "${wanted[@]}"
    fi
    command -v dockerd >/dev/null || fail 'there is no dockerd, though docker.io is installed'
    static_busybox || fail 'there is no static busybox, though busybox-static is installed'
    if ! command -v cargo >/dev/null; then
        PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
        command -v cargo >/dev/null || fail 'there is no cargo: install Rust (https://rustup.rs)'
    fi
    local part
    for part in fmt clippy; do
        cargo "$part" --version >/dev/null 2>&1 || retry rustup component add "${part/fmt/rustfmt}"
    done
    # What drives the browser, for tests of the page.
    python3 -m venv "$place/browser"
    retry "$place/browser/bin/pip" install --quiet --disable-pip-version-check -r tests/page/requirements.txt
    printf '%s, %s, dockerd %s\n' "$(rustc --version)" "$(cargo --version)" "$(dockerd --version | sed 's/.*version \([^,]*\),.*/\1/')"
    chromium --version
}

# ---------------------------------------------------------------- the checks

place=$(mktemp -d /tmp/mtest.XXXXXX)
# Some tests are about other users, who have to get to their sockets and boards.
chmod 711 "$place"
export MUSTER_TEST_DIR=$place CARGO_TERM_COLOR=never RUST_BACKTRACE=1
# What the machine's own engine or server is must make no difference.
unset DOCKER_HOST DOCKER_CONTEXT DOCKER_TLS_VERIFY DOCKER_CERT_PATH
# A proxy may be needed to fetch things; the servers of the tests are here.
here=localhost,127.0.0.0/8,::1
export no_proxy=$here${no_proxy:+,$no_proxy} NO_PROXY=$here${NO_PROXY:+,$NO_PROXY}

heading 'what the checks need'
install_needs
retry cargo fetch --locked

heading 'formatting'
cargo fmt --all --check

heading 'clippy'
# With the managed network, which is no part of muster-agent itself, and without.
network=muster-agent/network
cargo clippy --workspace --all-targets --features $network --locked -- -D warnings
cargo clippy -p muster-agent --locked -- -D warnings

heading 'documentation'
RUSTDOCFLAGS='-D warnings' cargo doc --workspace --no-deps --document-private-items --features $network --locked

heading 'licences'
python3 tests/licences.py Cargo.toml
[ ! -f fuzz/Cargo.toml ] || python3 tests/licences.py --allow NCSA fuzz/Cargo.toml

heading 'scripts'
{
    find . -name '*.sh' -not -path '*/target/*' -not -path './.try/*' -print0
    printf '%s\0' .ci/run bench/agents bench/bytes bench/hosts bench/page bench/soak fuzz/run packaging/deb/*/* packaging/openrc/*
} | xargs -0 shellcheck --external-sources --source-path=SCRIPTDIR --severity=warning

# What boards get, and what fuzzing needs, is built beside the tests, which mostly wait.
boards=(armv7-unknown-linux-musleabihf)
of_boards=(--agent)
if [ -n "$all" ]; then
    boards+=(aarch64-unknown-linux-musl arm-unknown-linux-musleabihf x86_64-unknown-linux-musl)
    of_boards=()
fi
export MUSTER_RELEASE_FILE=$place/release.key
{
    nice ./dist.sh ${of_boards[@]+"${of_boards[@]}"} "${boards[@]}" >"$place/dist.log" 2>&1 || exit 1
    # Said again, with its errors, where it is needed.
    nice fuzz/run --build >/dev/null 2>&1 || true
} &
beside=$!

heading 'unit tests and simulation'
ignored=()
if [ -n "$all" ]; then
    export MUSTER_HISTORIES=20000
    # Packages are tested where they were built, below; children are run by the tests that need them.
    ignored=(--include-ignored --skip built_ --skip ::child_)
fi
tests/run.py --skip tests/ ${ignored[@]+"${ignored[@]}"}

wait_for_builds() {
    [ -n "$beside" ] || return 0
    wait "$beside" || { cat "$place/dist.log"; fail './dist.sh failed'; }
    beside=''
    cat "$place/dist.log"
}

heading 'end to end'
tests/run.py tests/ ${ignored[@]+"${ignored[@]}"}

heading 'agents for boards'
wait_for_builds
tests/boards.sh "${boards[@]}"

# It mostly waits, and fuzzing does not care who runs beside it. Programs for release are built elsewhere.
MUSTER_TRY_PROFILE=dev bash tests/try_itself.sh >"$place/try.log" 2>&1 &
beside=$!

if [ -f fuzz/Cargo.toml ]; then
    heading 'fuzzing'
    # Where a short run begins does not depend on luck, so that it finds what the change has brought; long ones go elsewhere
    # each time.
    seconds=6 seed=1
    [ -z "$all" ] || seconds=60 seed=$RANDOM
    fuzz/run --build
    targets=()
    for target in fuzz/fuzz_targets/*.rs; do targets+=("$(basename "$target" .rs)"); done
    printf '%d targets for %s s each, two at a time, seed %s\n' ${#targets[@]} "$seconds" "$seed"
    # Its many lines matter only when it finds something.
    hunt='TMPDIR=$1 fuzz/run "$4" -max_total_time="$2" -seed="$3" -timeout=10 -rss_limit_mb=1024 >"$1/fuzz.$4.log" 2>&1 || exit 1'
    found=''
    printf '%s\n' "${targets[@]}" | xargs -P 2 -n 1 bash -c "$hunt" hunt "$place" "$seconds" "$seed" || found=1
    for target in "${targets[@]}"; do
        last=$(tail -n 1 "$place/fuzz.$target.log" 2>/dev/null || true)
        printf '%s: %s\n' "$target" "$last"
        case $last in
            Done*) ;;
            *) tail -n 60 "$place/fuzz.$target.log" || true; found=$target ;;
        esac
    done
    [ -z "$found" ] || fail "fuzzing found something (what it was is in fuzz/artifacts), or did not build"
fi

heading 'try.sh'
wait "$beside" || { cat "$place/try.log"; fail 'try.sh does not do what it says'; }
beside=''
cat "$place/try.log"

step=''
