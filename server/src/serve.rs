//! `muster serve`: everything of the server, tied together.

use crate::cli::exit::Failure;
use muster_dial::Address;
use std::net::SocketAddr;
use std::path::PathBuf;

/// How to serve.
#[derive(Debug, Clone)]
pub struct ServeOptions {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// Where to listen; port 0: any that is free.
    pub listen: SocketAddr,
    /// Where agents reach the server; port 0: the one that it listens on.
    pub advertise: Option<Address>,
}

/// Serves until it is told to end.
pub fn run(options: ServeOptions) -> Result<(), Failure> {
    todo!("{options:?}")
}
