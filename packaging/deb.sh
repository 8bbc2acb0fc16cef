# shellcheck shell=bash
# Sourced by dist.sh: Debian packages of what is in dist/TARGET.

# deb_architecture TARGET: Debian's name. Raspberry Pi OS runs its armhf packages on ARMv6 too: dist/arm-.../ has that one.
deb_architecture() {
    case $1 in
        aarch64-*) echo arm64 ;;
        arm*) echo armhf ;;
        x86_64-*) echo amd64 ;;
        *) return 1 ;;
    esac
}

# deb_agent TARGET VERSION
deb_agent() {
    local root
    root=$(mktemp -d)
    install -D -m 755 "dist/$1/muster-agent" "$root/usr/bin/muster-agent"
    # Packages are upgraded by apt: there is no upgrade to be taken back. And what has not joined is not started.
    mkdir -p "$root/usr/lib/systemd/system"
    sed -e '/^# As root: puts the agent from before back/d' -e '/^ExecStartPre=/d' -e 's:/usr/local/bin:/usr/bin:' \
        -e 's:^\[Service\]:ConditionPathExists=|/var/lib/muster-agent/identity\nConditionPathExists=|/var/lib/muster-agent/join\n\n&:' \
        packaging/systemd/muster-agent.service >"$root/usr/lib/systemd/system/muster-agent.service"
    sed -i '/^$/N;/^\n$/D' "$root/usr/lib/systemd/system/muster-agent.service"
    deb_build "$root" "$1" "$2" muster-agent \
        'tells a Muster server what the containers of this host do' \
        'Sits on a Docker host, sends events the moment they happen and every few seconds a
 report of all containers. It never changes anything.'
}

# deb_network TARGET VERSION
deb_network() {
    local root
    root=$(mktemp -d)
    install -D -m 755 "dist/$1/muster-network" "$root/usr/bin/muster-network"
    mkdir -p "$root/usr/lib/systemd/system"
    sed -e 's:/usr/local/bin:/usr/bin:' packaging/systemd/muster-network.service \
        >"$root/usr/lib/systemd/system/muster-network.service"
    deb_build "$root" "$1" "$2" muster-network \
        'gives containers addresses that cross hosts' \
        'The managed network of a fleet: containers with a label reach each other by
 address and name, whichever host they are on, over WireGuard. Off until it is enabled.' \
        "muster-agent (>= $2), iproute2, iptables"
}

# deb_server TARGET VERSION: with the agents that were built, for `muster join-command --install`.
deb_server() {
    local root program folder
    root=$(mktemp -d)
    install -D -m 755 "dist/$1/muster" "$root/usr/bin/muster"
    install -D -m 644 packaging/systemd/muster.service "$root/usr/lib/systemd/system/muster.service"
    for program in dist/*/muster-agent dist/*/muster-network; do
        [ -f "$program.sig" ] || continue
        folder=$root/usr/share/muster/agents/$(basename "$(dirname "$program")")
        mkdir -p "$folder"
        install -m 644 "$program" "$program.sig" "$folder"
    done
    deb_build "$root" "$1" "$2" muster \
        'fleet roll call for containers on small machines' \
        'The server of a fleet of Docker hosts, and its command line: which hosts are there,
 what runs on them, and what happened.'
}

# deb_build ROOT TARGET VERSION PACKAGE SUMMARY DESCRIPTION [DEPENDS]: takes ROOT away.
deb_build() {
    local root=$1 package=$4 script file
    file=dist/$2/${package}_${3}_$(deb_architecture "$2").deb
    install -D -m 644 LICENSE-MIT "$root/usr/share/doc/$package/copyright"
    mkdir -p "$root/DEBIAN"
    for script in packaging/deb/"$package"/*; do install -m 755 "$script" "$root/DEBIAN"; done
    cat >"$root/DEBIAN/control" <<CONTROL
Package: $package
Version: $3
Architecture: $(deb_architecture "$2")
Maintainer: Muster <muster@localhost>
Depends: init-system-helpers, ${7:-passwd}
Section: admin
Priority: optional
Installed-Size: $(du -sk --exclude DEBIAN "$root" | cut -f 1)
Description: $5
 $6
CONTROL
    dpkg-deb --root-owner-group -Zxz --build "$root" "$file" >/dev/null
    rm -rf "$root"
}
