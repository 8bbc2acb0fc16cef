//! Tells the agent what it is built for: it upgrades only to the same.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-env=MUSTER_TARGET={}", std::env::var("TARGET").unwrap_or_default());
}
