//! Reporting until it is ended.

use crate::exit::{Exit, Trouble};
use muster_dial::JoinString;
use muster_protocol::id::Fingerprint;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// What a run needs to know. `Debug` hides the token.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// Where identity and epoch are.
    pub state_dir: PathBuf,
    /// Of the engine. It need not exist yet.
    pub docker_socket: PathBuf,
    /// Between two reports.
    pub interval: Duration,
    /// What to join by if there is no identity.
    pub join: Option<JoinString>,
    /// What to call this host, if not by its hostname.
    pub name: Option<String>,
    /// Of the board.
    pub fingerprint: Fingerprint,
}

/// Runs until it is ended.
pub fn run(settings: RunSettings) -> ExitCode {
    let what = format!("cannot run with {}", settings.state_dir.display());
    Trouble::new(Exit::Failed, what, "this build does not report yet", "use a later one").complain()
}
