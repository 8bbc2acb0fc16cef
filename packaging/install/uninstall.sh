#!/bin/sh
# Takes back what the installer did: service, agent, user. With --purge also the host's identity, which otherwise stays
# in /var/lib/muster-agent. It touches nothing else: no container, no engine, and not the server.
set -eu

bin=/usr/local/bin/muster-agent
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

if [ -d /run/systemd/system ]; then
    systemctl disable --now muster-agent.service || true
elif [ -d /run/openrc ]; then
    rc-service --ifstarted muster-agent stop || true
    rc-update del muster-agent default || true
fi
rm -f /etc/systemd/system/muster-agent.service /etc/systemd/system/multi-user.target.wants/muster-agent.service
rm -f /etc/init.d/muster-agent /etc/runlevels/default/muster-agent
[ ! -d /run/systemd/system ] || systemctl daemon-reload || true

# What was started by hand.
signal_agents() {
    found=''
    for process in /proc/[0-9]*; do
        case $(readlink "$process/exe" 2>/dev/null) in
            "$bin" | "$bin (deleted)")
                found=1
                kill -"$1" "${process#/proc/}" 2>/dev/null || true
                ;;
        esac
    done
}
signal_agents TERM
tries=0
while [ -n "$found" ] && [ $tries -lt 10 ]; do
    sleep 1
    tries=$((tries + 1))
    signal_agents 0
done
[ -z "$found" ] || signal_agents KILL

if grep -q '^muster-agent:' /etc/passwd; then
    if command -v userdel >/dev/null; then userdel muster-agent; else deluser muster-agent; fi
fi
if grep -q '^muster-agent:' /etc/group; then
    if command -v groupdel >/dev/null; then groupdel muster-agent; else delgroup muster-agent; fi
fi

rm -f "$bin" "$bin.previous" "$bin.new" "$bin.trial" /etc/default/muster-agent /var/log/muster-agent.log
rm -rf /usr/local/lib/muster-agent
if [ -n "$purge" ]; then
    rm -rf "$state"
    say "removed, with the host's identity; \`muster hosts rm\` takes it off the server's list"
elif [ -d "$state" ]; then
    # Its user is gone, and its number may become somebody else's.
    chown -R 0:0 "$state"
    say "removed; $state still has the host's identity (--purge removes it, too)"
else
    say 'removed'
fi
rm -f /usr/local/sbin/muster-agent-uninstall
