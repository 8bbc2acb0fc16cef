#!/usr/bin/env bash
# Static programs for boards: see usage below.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")"
. packaging/toolchain.sh
. packaging/release.sh
. packaging/deb.sh
. packaging/image.sh

targets=(aarch64-unknown-linux-musl armv7-unknown-linux-musleabihf arm-unknown-linux-musleabihf x86_64-unknown-linux-musl)

usage() {
    cat <<TEXT
usage: ./dist.sh [--agent | --hosts] [TARGET...]

Builds muster, muster-agent and muster-network, static and stripped, into dist/TARGET/
and prints their sizes; with the latter two their signatures, with the agent a container
image (for \`docker load\`), and Debian packages where dpkg-deb is there. Without TARGET:
all four. Needs Debian's Rust and Python's venv, and installs them when it runs as root;
zig comes from PyPI.

  --agent   muster-agent only
  --hosts   muster-agent and muster-network only

Agents upgrade only to what the key in \$MUSTER_RELEASE_FILE (release.key) signed: it is
made when it is missing. Keep it safe, and off the server.

TARGET: aarch64 (64-bit Pi OS), armv7 (32-bit, Pi 2 and later), arm (ARMv6: Pi 1 and
Zero), x86_64; or the full name, such as armv7-unknown-linux-musleabihf.
TEXT
}

# full NAME: the target that is meant.
full() {
    local target
    for target in "${targets[@]}"; do
        case $1 in "$target" | "${target%%-*}") printf '%s\n' "$target"; return 0 ;; esac
    done
    case $1 in armv6) printf '%s\n' arm-unknown-linux-musleabihf ;; *) return 1 ;; esac
}

wanted=() programs=(muster-agent muster-network muster)
for argument in "$@"; do
    case $argument in
        --agent) programs=(muster-agent) ;;
        --hosts) programs=(muster-agent muster-network) ;;
        -h | --help) usage; exit 0 ;;
        -*) printf 'dist.sh: unknown option: %s\nTry ./dist.sh --help\n' "$argument" >&2; exit 2 ;;
        *)
            target=$(full "$argument") || {
                printf 'dist.sh: no such target: %s (there are: %s)\n' "$argument" "${targets[*]}" >&2
                exit 2
            }
            wanted+=("$target")
            ;;
    esac
done
[ ${#wanted[@]} -gt 0 ] || wanted=("${targets[@]}")

build=${CARGO_TARGET_DIR:-target}/static
mkdir -p "$build"
static_toolchain "$build/toolchain"
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
key=${MUSTER_RELEASE_FILE:-release.key}
MUSTER_RELEASE_KEY=$(release_key "$key")
export MUSTER_RELEASE_KEY

for target in "${wanted[@]}"; do
    for program in "${programs[@]}"; do
        printf 'building %s for %s\n' "$program" "$target"
        # The two for hosts are built alike, and share what both need.
        build_it=static_agent folder=$build/muster-agent package=(-p muster-agent)
        case $program in
            muster-network) package+=(--bin muster-network --features network) ;;
            muster) build_it=static_build folder=$build/muster package=(-p muster) ;;
        esac
        $build_it "$target" "$folder" --quiet --profile dist --locked "${package[@]}"
        mkdir -p "dist/$target"
        cp -f "$folder/$target/dist/$program" "dist/$target/$program"
    done
    for program in "${programs[@]}"; do
        [ "$program" = muster ] || release_sign "$key" "$version" "$target" "dist/$target/$program"
    done
    image_agent "$target" "$version"
done
if command -v dpkg-deb >/dev/null; then
    for target in "${wanted[@]}"; do
        deb_agent "$target" "$version"
        case " ${programs[*]} " in *' muster-network '*) deb_network "$target" "$version" ;; esac
        # The server's has all agents that were built.
        case " ${programs[*]} " in *' muster '*) deb_server "$target" "$version" ;; esac
    done
else
    printf 'no Debian packages: there is no dpkg-deb here\n'
fi

printf '\n%-34s %-14s %12s\n' TARGET PROGRAM BYTES
for target in "${wanted[@]}"; do
    for program in "${programs[@]}"; do
        printf '%-34s %-14s %12d\n' "$target" "$program" "$(stat -c %s "dist/$target/$program")"
    done
done
