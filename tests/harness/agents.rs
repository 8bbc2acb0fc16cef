//! Agents that a server offers to boards, and their signatures.

use crate::place::Place;
use crate::process::{Ran, program};
use std::fs;

/// What agents of this machine's kind are offered as.
pub const TARGET: &str = match std::env::consts::ARCH.as_bytes() {
    b"aarch64" => "aarch64-unknown-linux-musl",
    _ => "x86_64-unknown-linux-musl",
};

/// How many seconds a signature may take.
const LIMIT: u32 = 60;

/// A directory for `muster serve --agents`, and a release key of its own.
#[derive(Debug)]
pub struct Agents {
    place: Place,
}

impl Agents {
    /// With the agent of this build, unsigned.
    pub fn built() -> Agents {
        let agents = Agents::none();
        // Without what debuggers need: a tenth of its size.
        Ran::of("strip", &["-o", &agents.file(TARGET), &program("muster-agent")], &[], LIMIT).ok();
        agents
    }

    /// With none.
    pub fn none() -> Agents {
        let agents = Agents { place: Place::new() };
        fs::create_dir_all(format!("{}/{TARGET}", agents.directory())).expect("making a folder");
        agents
    }

    /// Puts this build's `muster-network` there.
    pub fn offer_built_network(&self) {
        Ran::of("strip", &["-o", &self.network_file(), &program("muster-network")], &[], LIMIT).ok();
    }

    /// Puts a program there as `muster-network`.
    pub fn offer_network(&self, content: &str) {
        let path = self.network_file();
        fs::write(&path, content).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Where `muster-network` is.
    pub fn network_file(&self) -> String {
        format!("{}/{TARGET}/muster-network", self.directory())
    }

    /// For `--agents`.
    pub fn directory(&self) -> String {
        self.place.join("agents")
    }

    /// Where the agent for a target is.
    pub fn file(&self, target: &str) -> String {
        format!("{}/{target}/muster-agent", self.directory())
    }

    /// The public half of the release key, as a build is told it.
    pub fn public_key(&self) -> String {
        self.release(&["release_key", &self.place.join("release.key")])
    }

    /// Puts an agent there, signed as being of this version: what `./dist.sh` does.
    pub fn publish(&self, content: &str, version: &str) {
        self.put(&self.file(TARGET), content, version, TARGET);
    }

    /// Writes an agent to any file, signed as being of this version and for this target.
    pub fn put(&self, path: &str, content: &str, version: &str, target: &str) {
        fs::write(path, content).unwrap_or_else(|error| panic!("{path}: {error}"));
        self.public_key();
        self.release(&["release_sign", &self.place.join("release.key"), version, target, path]);
    }

    fn release(&self, arguments: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../packaging/release.sh");
        let line = format!(". '{script}' && \"$@\"");
        let mut all = vec!["-euc", &line, "release"];
        all.extend(arguments);
        Ran::of("bash", &all, &[], LIMIT).ok()
    }
}
