#!/usr/bin/env bash
# Proves ./try.sh: what it prints, how it ends, that it can be run again, and that it leaves nothing running.
# Needs root. Works on a copy of the checkout's files in a private place, at a path that is long on purpose.
set -euo pipefail

cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
checkout=$PWD
# Built once for all runs, and kept for the next: the copy's path is always the same, so that cargo knows it again.
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$checkout/target}
base=$CARGO_TARGET_DIR/try_itself
copy=$base/a-checkout-whose-path-is-so-long-that-no-socket-below-it-could-ever-have-a-name-that-fits-into-its-108-bytes
engine=$(mktemp -d "${MUSTER_TEST_DIR:-/tmp}/mttry.XXXXXX")
rm -rf "$base"
mkdir -p "$copy"
# Where try.sh makes the directory of its private engine.
export TMPDIR=$engine/tmp
mkdir "$TMPDIR"
cgroups_before=$(compgen -G '/sys/fs/cgroup/*/muster-try.*' || true)
running=() # Process ids of what this script itself has started.

end_all() {
    local id
    for id in ${running[@]+"${running[@]}"}; do
        kill -TERM "$id" 2>/dev/null || true
        wait "$id" 2>/dev/null || true
    done
    running=()
}

finish() {
    local code=$?
    trap - EXIT
    end_all
    rm -rf "$base" "$engine"
    exit "$code"
}
trap finish EXIT
trap 'exit 143' TERM INT HUP

wrong() {
    printf 'try_itself.sh: %s\n' "$*" >&2
    [ ! -s "$base/out" ] || sed 's/^/    /' "$base/out" >&2
    exit 1
}

# run CODE ARGUMENT...: runs the copy's try.sh; its output is in $base/out.
run() {
    local expected=$1 code=0
    shift
    timeout -k 10 900 "$copy/try.sh" "$@" >"$base/out" 2>&1 </dev/null || code=$?
    [ "$code" = "$expected" ] || wrong "try.sh $* ended with $code instead of $expected"
    nothing_left "try.sh $*"
}

prints() { grep -qE -- "$1" "$base/out" || wrong "it does not print $1"; }

# Processes are known by the place in their command lines: our copy's, or that of its private engine.
nothing_left() {
    local process line
    for process in /proc/[0-9]*; do
        line=$(tr '\0' ' ' 2>/dev/null <"$process/cmdline" || true)
        case $line in
            *"$copy/.try"* | *"$TMPDIR/"*) wrong "after $1 this still runs: $line" ;;
        esac
    done
    [ -z "$(ls -A "$TMPDIR")" ] || wrong "after $1 the engine's directory is still there"
    [ "$(compgen -G '/sys/fs/cgroup/*/muster-try.*' || true)" = "$cgroups_before" ] || wrong "after $1 a cgroup is still there"
    ! grep -qF -e "$TMPDIR" -e "$copy" /proc/mounts || wrong "after $1 something is still mounted"
    [ ! -e "$copy/.try/lock" ] || wrong "after $1 the lock is still there"
}

tar -C "$checkout" --exclude=./target --exclude=./.git --exclude=./.try --exclude=./fuzz --exclude=./.test -cf - . |
    tar -C "$copy" -xf -

echo 'misuse is told apart'
run 2 --no-such-flag
run 2 --port
run 2 --port 65536
run 2 --port x
run 0 --help
prints '^usage: '

echo 'where nobody can be asked, nothing is installed or started'
export DOCKER_HOST=unix:///nowhere/docker.sock
run 1 --once --port 0
prints '--yes'

echo 'once, without an engine, twice'
for round in first second; do
    run 0 --once --yes --port 0
    prints 'https://127\.0\.0\.1:[0-9]+'
    prints "muster-agent join 'muster://"
    prints ' active '
    for container in lamp clock errand; do prints "$container"; done
    echo "    the $round time"
done

echo 'a port that is taken'
python3 -c '
import socket, time
taken = socket.create_server(("127.0.0.1", 0))
print(taken.getsockname()[1], flush=True)
time.sleep(600)' >"$base/port" &
running+=($!)
until [ -s "$base/port" ]; do sleep 0.1; done
run 1 --once --yes --port "$(cat "$base/port")"
prints '--port'
end_all

echo 'with the engine that is there, by DOCKER_HOST'
printf '{}\n' >"$engine/daemon.json"
unshare --mount --propagation private bash -c '
    mkdir -p /run/containerd && mount -t tmpfs none /run/containerd && exec dockerd "$@"' dockerd \
    --config-file "$engine/daemon.json" --data-root "$engine/data" --exec-root "$engine/exec" \
    --pidfile "$engine/docker.pid" --host "unix://$engine/docker.sock" \
    --bridge=none --iptables=false --ip-masq=false >"$base/engine.log" 2>&1 &
running+=($!)
own() { DOCKER_HOST=unix://$engine/docker.sock docker "$@"; }
tries=0
until own version >/dev/null 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 300 ] || wrong 'the engine of this test does not answer'
    sleep 0.2
done
mkdir "$engine/root"
cp "$(command -v busybox)" "$engine/root/busybox"
tar -C "$engine/root" -cf - . | own import - mine:latest >/dev/null
own run -d --name mine mine /busybox sleep 100000 >/dev/null
DOCKER_HOST=unix://$engine/docker.sock run 0 --once --port 0
prints ' mine'
[ "$(own inspect --format '{{.State.Running}}' mine)" = true ] || wrong 'it touched a container that was not its own'
own rm -f mine >/dev/null
end_all

echo 'followed until Ctrl-C'
# A shell that is not interactive starts what is in the background deaf to Ctrl-C.
env --default-signal=INT "$copy/try.sh" --yes --port 0 >"$base/out" 2>&1 </dev/null &
running=($!)
wait_for() {
    local tries=0
    until grep -qE -- "$1" "$base/out"; do
        tries=$((tries + 1))
        kill -0 "${running[0]}" 2>/dev/null || wrong "it ended before it printed $1"
        [ $tries -lt 1200 ] || wrong "two minutes without $1"
        sleep 0.1
    done
}
wait_for 'following events'
# One of the samples is restarted by its engine from time to time.
wait_for 'clock.*die|die.*clock'

echo 'a second one beside it is refused'
code=0
"$copy/try.sh" --once --yes --port 0 >"$base/second" 2>&1 </dev/null || code=$?
[ "$code" = 1 ] && grep -q 'already running' "$base/second" || wrong "it ended with $code: $(cat "$base/second")"

kill -INT "${running[0]}"
code=0
wait "${running[0]}" || code=$?
running=()
[ "$code" = 0 ] || wrong "Ctrl-C ends it with $code"
nothing_left 'Ctrl-C'

echo 'killed without a warning, and run again'
env --default-signal=INT "$copy/try.sh" --yes --port 0 >"$base/out" 2>&1 </dev/null &
running=($!)
wait_for 'following events'
kill -KILL "${running[0]}"
wait "${running[0]}" 2>/dev/null || true
running=()
run 0 --once --yes --port 0
prints 'ending what an earlier run left'
prints 'lamp'
echo 'try.sh does what it says'
