# Sourced by `agents`, `hosts` and `soak`: builds everything and puts it into one directory, `$programs`.
[ "$(id -u)" = 0 ] || { echo "this makes network namespaces and engines: run it as root" >&2; exit 1; }
flags=() place=
if [ -n "${BENCH_STATIC:-}" ]; then
    # Both agents without a dynamic linker, as they are shipped.
    target=$(rustc -vV | sed -n 's/^host: //p')
    export RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static"
    flags=(--target "$target") place=$target/
fi
cargo build --quiet --release --locked --bins --manifest-path ../Cargo.toml "${flags[@]}"
cargo build --quiet --release --locked -p muster-bench "${flags[@]}"
cargo build --quiet --profile product --locked -p reference-agent "${flags[@]}"
where() { cargo metadata --no-deps --offline --format-version 1 --manifest-path "$1" | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'; }
own=$(where Cargo.toml)
programs=$own/programs
mkdir -p "$programs"
product=$(where ../Cargo.toml)/${place}release
cp -f "$product/muster" "$product/muster-agent" "$own/${place}product/reference-agent" "$programs/"
for program in compare-agents json-sink measure-bytes simulate-hosts soak; do cp -f "$own/${place}release/$program" "$programs/"; done
export MUSTER_BIN_DIR=$programs
