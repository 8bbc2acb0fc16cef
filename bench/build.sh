# shellcheck shell=bash
# Sourced by `agents`, `hosts` and `soak`: builds everything and puts it into one directory, `$programs`.
[ "$(id -u)" = 0 ] || { echo "this makes network namespaces and engines: run it as root" >&2; exit 1; }
cargo build --quiet --release --locked -p muster-bench
where() { cargo metadata --no-deps --offline --format-version 1 --manifest-path "$1" | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'; }
own=$(where Cargo.toml)
programs=$own/programs
mkdir -p "$programs"
if [ -n "${BENCH_STATIC:-}" ]; then
    # Both agents and the server as boards get them: static musl, built for size.
    target=$(uname -m)-unknown-linux-musl
    . ../packaging/toolchain.sh
    static_toolchain "$own/static/toolchain"
    static_build "$target" "$own/static/muster" --quiet --profile dist --locked --manifest-path ../Cargo.toml -p muster
    static_agent "$target" "$own/static/agents" --quiet --profile dist --locked --manifest-path ../Cargo.toml -p muster-agent
    static_build "$target" "$own/static/reference" --quiet --profile dist --locked -p reference-agent
    cp -f "$own/static/muster/$target/dist/muster" "$own/static/agents/$target/dist/"
    product=$own/static/agents/$target/dist reference=$own/static/reference/$target/dist
else
    cargo build --quiet --release --locked --bins --manifest-path ../Cargo.toml
    cargo build --quiet --profile product --locked -p reference-agent
    product=$(where ../Cargo.toml)/release reference=$own/product
fi
cp -f "$product/muster" "$product/muster-agent" "$reference/reference-agent" "$programs/"
for program in compare-agents json-sink measure-bytes simulate-hosts soak; do cp -f "$own/release/$program" "$programs/"; done
export MUSTER_BIN_DIR=$programs
