# shellcheck shell=bash
# Sourced by dist.sh: a container image of nothing but the static agent, made without an engine and without a network.

# image_agent TARGET VERSION: writes dist/TARGET/muster-agent-image.tar, for `docker load`. The same agent gives the same
# image.
image_agent() {
    local work config layer platform
    work=$(mktemp -d)
    mkdir -p "$work/root/usr/bin" "$work/root/var/lib/muster-agent" "$work/image"
    install -m 755 "dist/$1/muster-agent" "$work/root/usr/bin/muster-agent"
    image_tar "$work/root" "$work/image/layer.tar"
    layer=$(sha256sum "$work/image/layer.tar" | cut -d ' ' -f 1)
    case $1 in
        aarch64-*) platform='"architecture":"arm64","variant":"v8"' ;;
        armv7-*) platform='"architecture":"arm","variant":"v7"' ;;
        arm-*) platform='"architecture":"arm","variant":"v6"' ;;
        x86_64-*) platform='"architecture":"amd64"' ;;
    esac
    printf '{%s,"os":"linux","created":"1970-01-01T00:00:00Z","config":{"Entrypoint":["/usr/bin/muster-agent"],"Cmd":["run"],"Volumes":{"/var/lib/muster-agent":{}},"Labels":{"org.opencontainers.image.title":"muster-agent","org.opencontainers.image.version":"%s"}},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]},"history":[{"created":"1970-01-01T00:00:00Z","created_by":"muster-agent %s"}]}' \
        "$platform" "$2" "$layer" "$2" >"$work/config"
    config=$(sha256sum "$work/config" | cut -d ' ' -f 1)
    mv "$work/config" "$work/image/$config.json"
    printf '[{"Config":"%s.json","RepoTags":["muster-agent:%s"],"Layers":["layer.tar"]}]' "$config" "$2" \
        >"$work/image/manifest.json"
    image_tar "$work/image" "dist/$1/muster-agent-image.tar"
    rm -rf "$work"
}

# image_tar FOLDER FILE: the same bytes for the same content.
image_tar() { tar -C "$1" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --format=ustar -cf "$2" .; }
