#!/usr/bin/env bash
# The agents that ./dist.sh built, under qemu where this machine is not a board: end-to-end tests on a real engine and a real
# server, as they are for the machine's own agent. tests/boards.sh TARGET...
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.."
[ $# -gt 0 ] || { echo 'usage: tests/boards.sh TARGET...' >&2; exit 2; }
# Join, import, events and reports over HTTPS; vitals; what status and doctor say.
tests=(tests/import_at_join:: tests/events_equal:: tests/two_hosts::)
built=$(cargo metadata --no-deps --locked --format-version 1 | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/debug
programs=$(mktemp -d "${MUSTER_TEST_DIR:-/tmp}/boards.XXXXXX")
trap 'rm -rf "$programs"' EXIT
for target in "$@"; do
    agent=$PWD/dist/$target/muster-agent
    [ -x "$agent" ] || { printf 'there is no %s: run ./dist.sh %s first\n' "$agent" "$target" >&2; exit 1; }
    case $target in
        "$(uname -m)"-*) run='' ;;
        aarch64-*) run=qemu-aarch64-static ;;
        armv7-*) run=qemu-arm-static ;;
        # A Pi Zero's processor: whatever is newer is an illegal instruction.
        arm-*) run='qemu-arm-static -cpu arm1176' ;;
        *) printf 'do not know how to run %s here\n' "$target" >&2; exit 1 ;;
    esac
    mkdir -p "$programs/$target"
    ln -sf "$built/muster" "$programs/$target/muster"
    printf '#!/bin/sh\nexec %s %s "$@"\n' "$run" "$agent" >"$programs/$target/muster-agent"
    chmod +x "$programs/$target/muster-agent"
    printf '%s: %s\n' "$target" "$("$programs/$target/muster-agent" --version)"
    MUSTER_BIN_DIR=$programs/$target tests/run.py "${tests[@]}"
    # The server of the board too, where it was built.
    if [ -x "dist/$target/muster" ]; then
        mkdir -p "$programs/$target.server"
        printf '#!/bin/sh\nexec %s %s "$@"\n' "$run" "$PWD/dist/$target/muster" >"$programs/$target.server/muster"
        chmod +x "$programs/$target.server/muster"
        ln -sf "$programs/$target/muster-agent" "$programs/$target.server/muster-agent"
        printf '%s: %s\n' "$target" "$("$programs/$target.server/muster" --version)"
        MUSTER_BIN_DIR=$programs/$target.server tests/run.py tests/import_at_join::
    fi
    # Container image and Debian packages.
    [ -n "$run" ] || tests/run.py --include-ignored tests/packages::
    # What the network process takes as it is shipped.
    [ -n "$run" ] || [ ! -x "dist/$target/muster-network" ] ||
        tests/run.py --include-ignored tests/network_process::built_
done
