#!/bin/sh
# Takes back what the installer did: services, programs, user, and what the managed network made. With --purge also the
# host's identity, which otherwise stays in /var/lib/muster-agent. It touches nothing else: no container, no engine, and not
# the server.
set -eu

bin=/usr/local/bin/muster-agent
network=/usr/local/bin/muster-network
state=/var/lib/muster-agent

say() { printf 'muster: %s\n' "$*"; }
fail() {
    printf 'muster: %s\n' "$*" >&2
    exit "$code"
}

code=2 purge=''
for argument in "$@"; do
    case $argument in
        --purge) purge=1 ;;
        -h | --help)
            printf 'usage: muster-agent-uninstall [--purge]\n\n  --purge   also removes %s: the host'\''s identity\n' "$state"
            exit 0
            ;;
        *) fail "unknown argument: $argument; see muster-agent-uninstall --help" ;;
    esac
done
code=1
[ "$(id -u)" = 0 ] || fail 'only root can do this: put sudo in front of it'

services='muster-agent'
[ ! -e "$network" ] || services='muster-network muster-agent'
for service in $services; do
    if [ -d /run/systemd/system ]; then
        systemctl disable --now "$service.service" || true
    elif [ -d /run/openrc ]; then
        rc-service --ifstarted "$service" stop || true
        rc-update del "$service" default || true
    fi
    rm -f "/etc/systemd/system/$service.service" "/etc/systemd/system/multi-user.target.wants/$service.service"
    rm -f "/etc/init.d/$service" "/etc/runlevels/default/$service"
done
[ ! -d /run/systemd/system ] || systemctl daemon-reload || true

# signal_all SIGNAL PROGRAM: what was started by hand. Sets `found` if any runs.
signal_all() {
    found=''
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" 2>/dev/null) in
            "$2" | "$2 (deleted)")
                found=1
                kill -"$1" "${process#/proc/}" 2>/dev/null || true
                ;;
        esac
    done
}
for program in "$network" "$bin"; do
    signal_all TERM "$program"
    tries=0
    while [ -n "$found" ] && [ $tries -lt 10 ]; do
        sleep 1
        tries=$((tries + 1))
        signal_all 0 "$program"
    done
    [ -z "$found" ] || signal_all KILL "$program"
done

# The bridge network, routes, rules of the firewall: only this program knows what is its own.
if [ -x "$network" ] && [ -d "$state-network" ]; then
    if [ -r /etc/default/muster-network ]; then
        set -a
        # shellcheck disable=SC1091 # it is not there before
        . /etc/default/muster-network
        set +a
    fi
    "$network" down >/dev/null ||
        fail "the managed network cannot be taken away: start the engine and run this again; where there is none any more, remove $network first"
fi

if grep -q '^muster-agent:' /etc/passwd; then
    if command -v userdel >/dev/null; then userdel muster-agent; else deluser muster-agent; fi
fi
if grep -q '^muster-agent:' /etc/group; then
    if command -v groupdel >/dev/null; then groupdel muster-agent; else delgroup muster-agent; fi
fi

rm -f "$bin" "$bin.previous" "$bin.new" "$bin.trial" /etc/default/muster-agent /var/log/muster-agent.log
rm -f "$network" "$network.new" "$network.previous" /etc/default/muster-network /var/log/muster-network.log
rm -rf /usr/local/lib/muster-agent
if [ -n "$purge" ]; then
    rm -rf "$state" "$state-network"
    say "removed, with the host's identity; \`muster hosts rm\` takes it off the server's list"
elif [ -d "$state" ]; then
    # Its user is gone, and its number may become somebody else's.
    chown -R 0:0 "$state"
    say "removed; $state still has the host's identity (--purge removes it, too)"
else
    say 'removed'
fi
rm -f /usr/local/sbin/muster-agent-uninstall
