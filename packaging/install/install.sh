#!/bin/sh
# Installs muster-agent on this host, or with --root DIR into an image that is mounted there.
#
# A Muster server made this script for one join token. It finds out what the host is, fetches the agent for it and checks
# its SHA-256, puts it into /usr/local/bin, makes the user muster-agent, adds a service for systemd or OpenRC, joins, and
# starts. With --network it does so with muster-network, too, which gives labelled containers addresses that cross hosts.
# Run again it does the same again, and keeps the host's identity. muster-agent-uninstall takes all of it back.
set -eu

server='@SERVER@'
pin='@PIN@'
token='@TOKEN@'
join='@JOIN@'
# Target and SHA-256 of what the server has.
offers='@OFFERS@'
network_offers='@NETWORK_OFFERS@'

usage() {
    cat <<'TEXT'
usage: ... | sh -s -- [--root DIR] [--name NAME] [--docker-host URL] [--network]

  --root DIR         installs into the image that is mounted at DIR; its boards join when they first start
  --name NAME        what to call this host (its hostname)
  --docker-host URL  the engine's socket (unix:///var/run/docker.sock)
  --network          also the managed network: containers with its label reach each other across hosts
TEXT
}

say() { printf 'muster: %s\n' "$*"; }

# fail CODE MESSAGE: codes are those of muster-agent.
fail() {
    code=$1
    shift
    printf 'muster: %s\n' "$*" >&2
    exit "$code"
}

read_arguments() {
    root='' name='' docker_host='' network=''
    while [ $# -gt 0 ]; do
        case $1 in
            --root | --name | --docker-host) [ -n "${2:-}" ] || fail 2 "$1 needs a value" ;;
        esac
        case $1 in
            --root) root=${2%/} && shift ;;
            --name) name=$2 && shift ;;
            --docker-host) docker_host=$2 && shift ;;
            --network) network=1 ;;
            -h | --help) usage && exit 0 ;;
            *) fail 2 "unknown argument: $1; see --help" ;;
        esac
        shift
    done
}

check_host() {
    [ "$(uname -s)" = Linux ] || fail 1 'the agent is for Linux'
    [ "$(id -u)" = 0 ] || fail 1 'only root can install: let the line end with "| sudo sh"'
    for tool in curl od sha256sum mktemp sed grep; do
        command -v "$tool" >/dev/null || fail 1 "there is no $tool here: install it first"
    done
    if [ -n "$root" ]; then
        case $root in
            /*) ;;
            *) fail 2 "--root $root: give the whole path" ;;
        esac
        [ -f "$root/etc/passwd" ] || fail 1 "there is no system at $root: mount the image's root there first"
        [ ! -e "$root/var/lib/muster-agent/identity" ] ||
            fail 1 "$root has joined already, and its copies would all be that host: remove $root/var/lib/muster-agent first"
    fi
    if [ -n "$network" ] && [ -z "$root" ]; then
        for tool in ip iptables; do
            command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || [ -x "/sbin/$tool" ] ||
                fail 1 "there is no $tool here, which --network needs: install the packages iproute2 and iptables first"
        done
    fi
    [ ! -e "$root/usr/bin/muster-agent" ] ||
        fail 1 "$root/usr/bin/muster-agent is there, from a package: remove that first, or go on with it"
}

# What this system's programs are: 32-bit ones also run on 64-bit kernels, and `uname` knows only the kernel. Prints class
# (01: 32 bits) and machine of an ELF header.
program_kind() {
    for shell in dash busybox bash ash sh; do
        file=$root/bin/$shell
        if [ -f "$file" ] && [ ! -L "$file" ]; then
            od -An -v -tx1 -N20 "$file" | tr -d ' \n' | cut -c9-10,37-40
            return
        fi
    done
}

# Sets `target`: the first that the server has of those that run here.
choose_target() {
    kind=$(program_kind)
    case $kind in
        02b700) fit=aarch64-unknown-linux-musl ;;
        023e00) fit=x86_64-unknown-linux-musl ;;
        012800)
            fit=arm-unknown-linux-musleabihf
            # An image may get into any board; ARMv6 runs on all of them.
            if [ -z "$root" ]; then
                case $(uname -m) in
                    armv6*) ;;
                    armv[1-5]*) fail 1 "the agent needs ARMv6 or newer, and this is $(uname -m)" ;;
                    *) fit="armv7-unknown-linux-musleabihf $fit" ;;
                esac
            fi
            ;;
        *) fail 1 "there is no agent for this kind of machine ($(uname -m), $kind)" ;;
    esac
    for target in $fit; do
        sum=$(printf '%s\n' "$offers" | sed -n "s/^$target //p")
        network_sum=$(printf '%s\n' "$network_offers" | sed -n "s/^$target //p")
        [ -n "$sum" ] || continue
        [ -z "$network" ] || [ -n "$network_sum" ] ||
            fail 6 "the server has no muster-network for $target: build it there with ./dist.sh ${target%%-*}, or install without --network"
        return 0
    done
    target=${fit%% *}
    fail 6 "the server has no agent for $target: build it there with ./dist.sh ${target%%-*}, and put dist/$target into the directory that \`muster serve --agents\` names"
}

# The token goes by standard input, so that no list of processes shows it.
fetch() {
    printf 'header = "Authorization: Bearer %s"\n' "$token" |
        curl -sSkf --no-alpn --proto '=https' --pinnedpubkey "sha256//$pin" --connect-timeout 20 --max-time 1800 \
            --retry 5 --retry-delay 2 -K - -o "$2" "https://$server$1"
}

# put FILE MODE PATH: there is the old or the new one at any time, and never a part.
put() {
    mkdir -p "$(dirname "$root$3")"
    cp "$1" "$root$3.part"
    chmod "$2" "$root$3.part"
    mv -f "$root$3.part" "$root$3"
}

# put_program NAME SHA-256: from the server, into /usr/local/bin.
put_program() {
    fetch "/install/$target/$1" "$work/$1" || fail 3 "cannot fetch $1 from $server"
    found=$(sha256sum "$work/$1" | cut -d ' ' -f 1)
    [ "$found" = "$2" ] || fail 1 "$1 changed while it was fetched: run the same line again"
    put "$work/$1" 755 "/usr/local/bin/$1"
}

put_programs() {
    put_program muster-agent "$sum"
    rm -f "$root/usr/local/bin/muster-agent.trial"
    [ -z "$network" ] || put_program muster-network "$network_sum"
}

put_scripts() {
    cat >"$work/uninstall" <<'END-OF-UNINSTALL'
@UNINSTALL@
END-OF-UNINSTALL
    cat >"$work/before-start" <<'END-OF-BEFORE-START'
@BEFORE_START@
END-OF-BEFORE-START
    put "$work/uninstall" 755 /usr/local/sbin/muster-agent-uninstall
    put "$work/before-start" 755 /usr/local/lib/muster-agent/before-start
}

# ---------------------------------------------------------------- the user

has() { grep -q "^$2:" "$root/etc/$1"; }

# Sets `group`: whose members may ask the engine.
find_group() {
    socket=${docker_host:-unix:///var/run/docker.sock}
    socket=${socket#unix://}
    group=''
    [ -n "$root" ] || [ ! -S "$socket" ] || group=$(stat -c %G "$socket")
    case $group in
        root | UNKNOWN)
            say "warning: $socket belongs to no group but root's, and the service will not reach it: give it the group docker"
            group=''
            ;;
        '') ! has group docker || group=docker ;;
    esac
}

make_user() {
    if [ -n "$root" ]; then
        make_user_in_image
        return
    fi
    if ! has passwd muster-agent; then
        if command -v useradd >/dev/null; then
            useradd --system --user-group --home-dir /var/lib/muster-agent --no-create-home \
                --shell /usr/sbin/nologin muster-agent
        else
            has group muster-agent || addgroup -S muster-agent
            adduser -S -D -H -h /var/lib/muster-agent -s /sbin/nologin -G muster-agent muster-agent
        fi
    fi
    if [ -z "$group" ]; then
        say 'there is no engine here so far; when there is one: usermod -aG docker muster-agent'
    elif command -v usermod >/dev/null; then
        usermod -a -G "$group" muster-agent
    else
        addgroup muster-agent "$group"
    fi
}

# add FILE LINE
add() {
    [ -f "$root/etc/$1" ] || return 0
    # The last line may have no end.
    [ -z "$(tail -c 1 "$root/etc/$1")" ] || echo >>"$root/etc/$1"
    printf '%s\n' "$2" >>"$root/etc/$1"
}

# Sets `id`: of no user and no group there.
free_id() {
    id=990
    while cut -d : -f 3 "$root/etc/passwd" "$root/etc/group" | grep -qx "$id"; do id=$((id - 1)); done
}

# The programs of an image may be for another machine: only its files are changed.
make_user_in_image() {
    if ! has group docker; then
        free_id
        add group "docker:x:$id:"
        add gshadow 'docker:!::'
    fi
    if ! has passwd muster-agent; then
        free_id
        add passwd "muster-agent:x:$id:$id::/var/lib/muster-agent:/usr/sbin/nologin"
        add group "muster-agent:x:$id:"
        add shadow 'muster-agent:!:1::::::'
        add gshadow 'muster-agent:!::'
    fi
    for file in group gshadow; do
        [ -f "$root/etc/$file" ] || continue
        sed -i -e '/^docker:.*[:,]muster-agent\(,.*\)\{0,1\}$/!s/^docker:.*/&,muster-agent/' \
            -e '/^docker:/s/:,\(muster-agent\)$/:\1/' "$root/etc/$file"
    done
    user=$(sed -n 's/^muster-agent:[^:]*:\([0-9]*\):\([0-9]*\):.*/\1:\2/p' "$root/etc/passwd")
}

# ---------------------------------------------------------------- the service

# Sets `manager`: of this host as it runs, or of the image as it will.
find_manager() {
    manager=''
    if [ -n "$root" ]; then
        if [ -e "$root/lib/systemd/systemd" ] || [ -e "$root/usr/lib/systemd/systemd" ]; then
            manager=systemd
        elif [ -e "$root/sbin/openrc-run" ] || [ -e "$root/usr/sbin/openrc-run" ]; then
            manager=openrc
        fi
    elif [ -d /run/systemd/system ]; then
        manager=systemd
    elif [ -d /run/openrc ]; then
        manager=openrc
    fi
}

put_service() {
    case $manager in
        systemd)
            cat >"$work/unit" <<'END-OF-UNIT'
@SYSTEMD@
END-OF-UNIT
            put "$work/unit" 644 /etc/systemd/system/muster-agent.service
            ;;
        openrc)
            cat >"$work/service" <<'END-OF-SERVICE'
@OPENRC@
END-OF-SERVICE
            put "$work/service" 755 /etc/init.d/muster-agent
            ;;
    esac
    [ -z "$network" ] || put_network_service
    # A service does not see what this shell goes through to reach the server.
    proxy=${https_proxy:-${HTTPS_PROXY:-}}
    if [ -z "$root" ] && [ -n "$proxy" ]; then
        printf 'https_proxy=%s\nno_proxy=%s\n' "$proxy" "${no_proxy:-${NO_PROXY:-}}" >"$work/proxy"
        put "$work/proxy" 600 /etc/default/muster-agent
    fi
}

put_network_service() {
    case $manager in
        systemd)
            cat >"$work/network-unit" <<'END-OF-NETWORK-UNIT'
@NETWORK_SYSTEMD@
END-OF-NETWORK-UNIT
            put "$work/network-unit" 644 /etc/systemd/system/muster-network.service
            ;;
        openrc)
            cat >"$work/network-service" <<'END-OF-NETWORK-SERVICE'
@NETWORK_OPENRC@
END-OF-NETWORK-SERVICE
            put "$work/network-service" 755 /etc/init.d/muster-network
            ;;
    esac
    # The engine's socket, where it is not the usual one; other settings of the file stay.
    [ -n "$docker_host" ] || return 0
    [ ! -f "$root/etc/default/muster-network" ] || cp "$root/etc/default/muster-network" "$work/network-settings"
    touch "$work/network-settings"
    sed -i '/^DOCKER_HOST=/d' "$work/network-settings"
    printf 'DOCKER_HOST=%s\n' "$docker_host" >>"$work/network-settings"
    put "$work/network-settings" 600 /etc/default/muster-network
}

# Settings that were given here, for each start; others of the file stay.
put_settings() {
    mkdir -p "$root/var/lib/muster-agent"
    conf=$root/var/lib/muster-agent/agent.conf
    [ ! -f "$conf" ] || cp "$conf" "$work/conf"
    touch "$work/conf"
    if [ -n "$name" ]; then
        sed -i '/^ *name *=/d' "$work/conf"
        printf 'name = %s\n' "$name" >>"$work/conf"
    fi
    if [ -n "$docker_host" ]; then
        sed -i '/^ *docker-host *=/d' "$work/conf"
        printf 'docker-host = %s\n' "$docker_host" >>"$work/conf"
    fi
    [ ! -s "$work/conf" ] || put "$work/conf" 600 /var/lib/muster-agent/agent.conf
    chown -R "${user:-muster-agent:muster-agent}" "$root/var/lib/muster-agent"
    chmod 700 "$root/var/lib/muster-agent"
}

as_agent() { su -s /bin/sh muster-agent -c "/usr/local/bin/muster-agent $1"; }

# By the same user that will report: what a host is known by must not depend on who looks.
join_and_start() {
    printf '%s\n' "$join" | as_agent 'join -' || exit $?
    case $manager in
        systemd)
            systemctl daemon-reload
            systemctl enable --quiet muster-agent.service
            systemctl restart muster-agent.service
            if [ -n "$network" ]; then
                systemctl enable --quiet muster-network.service
                systemctl restart muster-network.service
            fi
            ;;
        openrc)
            rc-update add muster-agent default
            rc-service muster-agent restart
            if [ -n "$network" ]; then
                rc-update add muster-network default
                rc-service muster-network restart
            fi
            ;;
        *)
            say 'there is neither systemd nor OpenRC here: let this be run at each start of the host:'
            printf '%s\n' "    su -s /bin/sh muster-agent -c 'exec /usr/local/bin/muster-agent run'"
            [ -z "$network" ] || printf '%s\n' '    exec /usr/local/bin/muster-network up'
            return
            ;;
    esac
    # Reporting is on its way whatever this says; it names what is missing, such as an engine.
    as_agent status || true
    say 'muster-agent is installed and runs'
}

enable_in_image() {
    printf '%s\n' "$join" >"$work/join"
    put "$work/join" 600 /var/lib/muster-agent/join
    chown "$user" "$root/var/lib/muster-agent/join"
    case $manager in
        systemd)
            mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
            for unit in muster-agent ${network:+muster-network}; do
                ln -sf "../$unit.service" "$root/etc/systemd/system/multi-user.target.wants/$unit.service"
            done
            ;;
        openrc)
            mkdir -p "$root/etc/runlevels/default"
            for service in muster-agent ${network:+muster-network}; do
                ln -sf "/etc/init.d/$service" "$root/etc/runlevels/default/$service"
            done
            ;;
        *) say "warning: $root has neither systemd nor OpenRC: let it run /usr/local/bin/muster-agent run as the user muster-agent" ;;
    esac
    sync
    say "muster-agent is in $root: each board that starts with it, or with a copy, joins as a host of its own"
}

main() {
    read_arguments "$@"
    check_host
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    trap 'exit 1' INT TERM HUP
    choose_target
    find_group
    find_manager
    say "installing the agent for $target${root:+ into $root}${network:+, with the managed network}"
    put_programs
    put_scripts
    make_user
    put_service
    put_settings
    if [ -n "$root" ]; then enable_in_image; else join_and_start; fi
}

# Last, so that half a script does nothing.
main "$@"
