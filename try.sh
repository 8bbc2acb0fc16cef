#!/usr/bin/env bash
# Muster on this machine in one command: see usage below, and README.md.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: ./try.sh [--once] [--port N] [--yes]

Builds Muster, starts a server in ./.try, joins this machine to it, shows its
containers, and follows events until Ctrl-C. Whatever it started, it ends.

  --once    print hosts, containers and the URL, then end
  --port N  where the server listens on 127.0.0.1 (default 7443; 0: any free port)
  --yes     agree to what would be asked: where no Docker engine answers, install
            docker.io (Debian, Ubuntu; as root) and start a private engine

The engine is the one at DOCKER_HOST, or at /var/run/docker.sock.
TEXT
}

say() { printf '%s\n' "==> $*"; }
fail() {
    printf 'try.sh: %s\n' "$*" >&2
    exit 1
}
misused() {
    printf 'try.sh: %s\nTry ./try.sh --help\n' "$*" >&2
    exit 2
}

once='' yes='' port=7443
while [ $# -gt 0 ]; do
    case $1 in
        --once) once=1 ;;
        --yes) yes=1 ;;
        --port) [ $# -ge 2 ] || misused '--port needs a number'; port=$2; shift ;;
        --port=*) port=${1#--port=} ;;
        -h | --help) usage; exit 0 ;;
        *) misused "unknown argument: $1" ;;
    esac
    shift
done
[[ $port =~ ^[0-9]{1,5}$ ]] && ((10#$port <= 65535)) || misused "not a port: $port"
port=$((10#$port))

cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
here=$PWD/.try
engine='' started=() tail_of=''

# Tests of this script take what is built already: MUSTER_TRY_PROFILE=dev.
profile=${MUSTER_TRY_PROFILE:-release}
# What the caller has set up for other servers must not lead these programs there.
for name in ${!MUSTER_@}; do unset "$name"; done

# ---- ending what was started

alive() { kill -0 "$1" 2>/dev/null; }

# Asks a process that we started to end, and ends it if it does not.
end() {
    local id=$1 tries=0
    kill -TERM "$id" 2>/dev/null || return 0
    while alive "$id" && [ $tries -lt 150 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    kill -KILL "$id" 2>/dev/null || true
    wait "$id" 2>/dev/null || true
}

# Removes the (by now empty) cgroups of the private engine.
remove_cgroups() {
    local group
    for group in /sys/fs/cgroup/"$1" /sys/fs/cgroup/*/"$1"; do
        [ ! -d "$group" ] || find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
    done
}

finish() {
    local code=$?
    trap - EXIT
    trap '' INT TERM HUP
    if [ $code -ne 0 ] && [ -n "$tail_of" ] && [ -s "$tail_of" ]; then
        printf 'The last lines of %s:\n' "$tail_of" >&2
        tail -n 15 "$tail_of" >&2
    fi
    local index
    for ((index = ${#started[@]} - 1; index >= 0; index--)); do
        end "${started[index]}"
    done
    if [ -n "$engine" ]; then
        remove_cgroups "$(basename "$engine")"
        rm -rf "$engine" "$here/engine" || true
    fi
    rm -f "$here/lock" "$here/started"
    exit "$code"
}

# ---- the place

# Ends what an earlier run left that was itself killed: only processes of this very directory.
clear_leftovers() {
    local id mark
    [ -f "$here/started" ] || return 0
    while read -r id mark; do
        if tr '\0' ' ' 2>/dev/null <"/proc/$id/cmdline" | grep -qF -- "$mark"; then
            say "ending what an earlier run left: process $id"
            end "$id"
        fi
        if [[ $mark == */muster-try.?????? ]]; then
            remove_cgroups "$(basename "$mark")"
            rm -rf "$mark"
        fi
    done <"$here/started"
}

take_place() {
    mkdir -p "$here" 2>/dev/null || fail "cannot write to $here"
    chmod 700 "$here" 2>/dev/null || fail "$here belongs to somebody else: remove it"
    local other
    other=$(cat "$here/lock" 2>/dev/null || true)
    if [ -n "$other" ] && alive "$other" && tr '\0' ' ' 2>/dev/null <"/proc/$other/cmdline" | grep -q 'try\.sh'; then
        fail "already running here as process $other: end that one first"
    fi
    printf '%s\n' $$ >"$here/lock"
    trap finish EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    clear_leftovers
    rm -rf "$here/server" "$here/agent" "$here/engine" "$here"/*.log "$here/started" ||
        fail "cannot clear $here: remove it as the user who made it"
}

# Notes a process that we started, and a directory of ours in its command line by which it is known again.
remember() {
    started+=("$1")
    printf '%s %s\n' "$1" "$2" >>"$here/started"
}

# ---- the engine

# GET of an engine's API over its Unix socket, with whatever this machine has for it.
engine_get() {
    local socket=$1 path=$2
    if command -v curl >/dev/null; then
        curl -sf --max-time 5 --unix-socket "$socket" "http://docker$path"
    elif command -v python3 >/dev/null; then
        python3 - "$socket" "$path" <<'PYTHON'
import http.client, socket, sys
class Engine(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(5)
        self.sock.connect(sys.argv[1])
try:
    connection = Engine("docker")
    connection.request("GET", sys.argv[2])
    answer = connection.getresponse()
    sys.stdout.write(answer.read().decode(errors="replace"))
    sys.exit(0 if answer.status == 200 else 1)
except OSError:
    sys.exit(1)
PYTHON
    elif command -v perl >/dev/null; then
        perl -MIO::Socket::UNIX -e '
            alarm 5;
            my $s = IO::Socket::UNIX->new(Peer => $ARGV[0]) or exit 1;
            print $s "GET $ARGV[1] HTTP/1.0\r\nHost: docker\r\n\r\n";
            local $/; my $all = <$s>;
            exit 1 unless $all =~ s{^HTTP/1\.. 200.*?\r\n\r\n}{}s;
            print $all;' "$socket" "$path"
    else
        [ -S "$socket" ]
    fi
}

answers() { [ -S "$1" ] && engine_get "$1" /_ping >/dev/null 2>&1; }

is_debian() { [ -r /etc/os-release ] && grep -Eq '^ID(_LIKE)?=.*(debian|ubuntu)' /etc/os-release; }

# Finds the engine: sets `socket`. If none answers and it is agreed to, sets `private`, and `install` if that needs it.
find_engine() {
    local wanted=${DOCKER_HOST:-unix:///var/run/docker.sock}
    if [[ $wanted == unix://* ]]; then
        socket=${wanted#unix://}
        if answers "$socket"; then
            say "the engine at $socket answers"
            return
        fi
        if [ -S "$socket" ] && [ ! -w "$socket" ]; then
            fail "no permission for $socket: run as root, or join its group ($(stat -c %G "$socket" 2>/dev/null || echo docker))"
        fi
        say "no Docker engine answers at $socket"
    else
        say "DOCKER_HOST is $wanted, and Muster's agent reaches an engine by a Unix socket only"
    fi
    [ "$(uname -s)" = Linux ] || fail 'no Docker engine answers: start one, or set DOCKER_HOST'
    [ "$(id -u)" = 0 ] || fail 'no Docker engine answers: start one or set DOCKER_HOST, or run as root to get a private one'
    local plan='start a private engine with three small containers (it ends with this script)'
    if ! command -v dockerd >/dev/null || ! command -v docker >/dev/null; then
        is_debian || fail 'no Docker engine is installed: install Docker, or set DOCKER_HOST'
        install=1 plan="install docker.io with apt, and $plan"
    fi
    if [ -z "$yes" ]; then
        [ -t 0 ] || fail "run with --yes to $plan"
        local reply
        read -r -p "Shall I $plan? [y/N] " reply || reply=''
        [[ $reply == [yY]* ]] || fail 'nothing was done: start an engine, or set DOCKER_HOST'
    fi
    private=1
}

apt() { DEBIAN_FRONTEND=noninteractive apt-get -q -o Acquire::Retries=5 -o DPkg::Lock::Timeout=120 "$@" </dev/null; }

install_docker() {
    say 'installing docker.io'
    tail_of=$here/apt.log
    apt update >>"$tail_of" 2>&1 || fail 'apt-get update failed'
    local packages=(docker.io)
    # Newer releases have the command line in a package of its own.
    ! apt-cache show docker-cli >/dev/null 2>&1 || packages+=(docker-cli)
    apt install -y --no-install-recommends "${packages[@]}" >>"$tail_of" 2>&1 || fail 'installing docker.io failed'
    command -v dockerd >/dev/null || fail 'docker.io is installed, and there is still no dockerd'
    tail_of=''
}

# Finds a busybox that needs no libraries: sets `busybox`.
find_busybox() {
    local found
    mkdir -p "$here/engine/probe"
    for found in $(command -v busybox || true) /bin/busybox.static; do
        [ -x "$found" ] || continue
        cp "$found" "$here/engine/probe/busybox"
        # It is static if it runs where there is nothing else.
        if chroot "$here/engine/probe" /busybox true 2>/dev/null; then
            busybox=$found
            return
        fi
    done
    is_debian || fail 'there is no static busybox for the sample containers: install it, or set DOCKER_HOST'
    say 'fetching a static busybox'
    tail_of=$here/apt.log
    (cd "$here/engine" && { apt download busybox-static || { apt update && apt download busybox-static; }; }) \
        >>"$tail_of" 2>&1 || fail 'fetching busybox-static failed'
    dpkg-deb -x "$here"/engine/busybox-static_*.deb "$here/engine/package"
    busybox=$(find "$here/engine/package" -type f -path '*/bin/busybox' | head -n 1)
    [ -x "$busybox" ] || fail 'the package busybox-static has no busybox'
    tail_of=''
}

start_engine() {
    [ -z "$install" ] || install_docker
    say 'starting a private engine'
    mkdir -p "$here/engine/data"
    # The paths of its sockets must stay short, however long the checkout's is.
    local base=${TMPDIR:-/tmp} group log=$here/engine.log
    [ ${#base} -le 50 ] || base=/tmp
    engine=$(mktemp -d "$base/muster-try.XXXXXX")
    socket=$engine/docker.sock
    group=$(basename "$engine")
    tail_of=$log
    # Mounts of its own: it starts its own containerd even where the machine has one, and its mounts end with it.
    printf '{}\n' >"$engine/daemon.json"
    env -u DOCKER_HOST unshare --mount --propagation private bash -c '
        mkdir -p /run/containerd && mount -t tmpfs none /run/containerd && exec dockerd "$@"' dockerd \
        --config-file "$engine/daemon.json" --data-root "$here/engine/data" --exec-root "$engine/exec" \
        --pidfile "$engine/docker.pid" --host "unix://$socket" --cgroup-parent "/$group" \
        --exec-opt native.cgroupdriver=cgroupfs --bridge=none --iptables=false --ip-masq=false \
        >"$log" 2>&1 </dev/null &
    local id=$!
    remember "$id" "$engine"
    local tries=0
    until answers "$socket"; do
        alive "$id" || fail 'the private engine ended at once'
        tries=$((tries + 1))
        [ $tries -lt 300 ] || fail 'the private engine does not answer'
        sleep 0.2
    done
    tail_of=''
    start_samples
}

in_engine() { env -u DOCKER_CONTEXT -u DOCKER_TLS_VERIFY DOCKER_HOST="unix://$socket" docker "$@" </dev/null; }

start_samples() {
    local busybox='' root=$here/engine/root tool
    find_busybox
    say 'starting three sample containers'
    tail_of=$here/samples.log
    mkdir -p "$root/bin" "$root/tmp"
    cp "$busybox" "$root/bin/busybox"
    for tool in sh sleep true false; do ln -sf busybox "$root/bin/$tool"; done
    printf '%s\n' '#!/bin/sh' 'trap "exit 0" TERM INT' 'sleep "${1:-100000}" & wait $!' >"$root/bin/live"
    chmod 755 "$root/bin/live"
    {
        tar -C "$root" -cf - . | DOCKER_HOST="unix://$socket" docker import - sample:latest
        in_engine run -d --name lamp --label room=hall --health-cmd true --health-interval 5s sample live
        in_engine run -d --name clock --restart always sample live 15
        in_engine run -d --name errand sample sh -c 'exit 3'
    } >"$tail_of" 2>&1 || fail 'starting the sample containers failed'
    tail_of=''
}

# ---- Muster

build() {
    if ! command -v cargo >/dev/null; then
        PATH=$PATH:${CARGO_HOME:-$HOME/.cargo}/bin
        command -v cargo >/dev/null || fail 'there is no cargo: install Rust (https://rustup.rs)'
    fi
    say 'building (the first time takes some minutes)'
    cargo build --profile "$profile" --locked --bins || fail 'the build failed'
    local target
    target=$(cargo metadata --no-deps --locked --format-version 1 |
        sed -n 's/.*"target_directory":"\([^"]*\)".*/\1/p')
    programs=$target/${CARGO_BUILD_TARGET:+$CARGO_BUILD_TARGET/}${profile/#dev/debug}
    [ -x "$programs/muster" ] && [ -x "$programs/muster-agent" ] || fail "the build left no programs in $programs"
}

check_port() {
    [ "$port" != 0 ] || return 0
    if (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
        fail "port $port is taken: give another with --port N (0: any free one)"
    fi
}

muster() { "$programs/muster" "$@" --data-dir "$here/server"; }

start_server() {
    say 'starting the server'
    tail_of=$here/server.log
    local address=127.0.0.1:$port ready="$here/ready.log" tries=0
    "$programs/muster" serve --data-dir "$here/server" --listen "$address" --advertise "$address" \
        >"$ready" 2>"$tail_of" </dev/null &
    local id=$!
    remember "$id" "$here/server"
    until url=$(sed -n 's/^listening \(https:[^ ]*\) pin=.*/\1/p' "$ready") && [ -n "$url" ]; do
        alive "$id" || fail "the server did not start (if port $port is taken, give another with --port N)"
        tries=$((tries + 1))
        [ $tries -lt 300 ] || fail 'the server is not ready after half a minute'
        sleep 0.1
    done
    tail_of=''
}

join_and_run() {
    local command tries=0 host seen expected
    command=$(muster join-command --ttl 1h --uses 1) || fail 'the server gives no join command'
    say 'joining this machine with the command that a user would run:'
    printf '    %s\n' "$command"
    tail_of=$here/agent.log
    MUSTER_STATE_DIR=$here/agent PATH=$programs:$PATH bash -c "$command" >>"$tail_of" 2>&1 || fail 'joining failed'
    "$programs/muster-agent" run --state-dir "$here/agent" --docker-host "unix://$socket" \
        >>"$tail_of" 2>&1 </dev/null &
    local agent=$!
    remember "$agent" "$here/agent"
    say 'waiting for its first report'
    while :; do
        alive "$agent" || fail 'the agent ended'
        host=$(muster hosts --format json 2>/dev/null || true)
        expected=$(engine_get "$socket" '/containers/json?all=1' 2>/dev/null | grep -o '"Id":"' | wc -l || true)
        if [[ $host =~ \"state\":\ ?\"active\" && $host =~ \"engine\":\ ?\{\"state\":\ ?\"ok\" ]]; then
            seen=$(muster ps -a -q 2>/dev/null | wc -l)
            # One that came or went between the two questions is no reason to wait for ever.
            [ "$seen" -lt "$expected" ] && [ $tries -lt 100 ] || break
        fi
        tries=$((tries + 1))
        [ $tries -lt 300 ] || fail 'the host has not reported after a minute'
        sleep 0.2
    done
    tail_of=''
}

show() {
    printf '\nHosts\n'
    muster hosts
    printf '\nContainers\n'
    muster ps
    printf '\nURL     %s\nAPI     %s/api/v1/hosts (Authorization: Bearer, with the token in %s)\n' \
        "$url" "$url" "$here/server/admin.token"
    printf 'Look    %s ps --data-dir %s\n\n' "$programs/muster" "$here/server"
}

socket='' private='' install='' url='' programs=''
take_place
check_port
find_engine
build
[ -z "$private" ] || start_engine
start_server
join_and_run
show
if [ -n "$once" ]; then
    say 'done'
    exit 0
fi
say 'following events; Ctrl-C ends everything that was started here'
# Being asked to stop is how this ends: no failure.
trap 'printf "\n"; exit 0' INT
"$programs/muster" events -f --since "$(date -u +%Y-%m-%dT%H:%M:%SZ)" --data-dir "$here/server" </dev/null &
follower=$!
remember "$follower" "$here/server"
wait "$follower" || fail 'the stream of events ended'
