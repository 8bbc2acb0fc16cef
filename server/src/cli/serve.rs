//! The flags of `muster serve`.

use super::exit::Failure;
use crate::serve::{self, ServeOptions};
use clap::Args;
use muster_dial::Address;
use std::net::SocketAddr;
use std::path::Path;

/// Flags of `muster serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen, for agents and commands; port 0: any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7443", env = "MUSTER_LISTEN")]
    listen: SocketAddr,
    /// Where agents reach this server, as join commands will say; port 0: the one it listens on
    #[arg(long, value_name = "HOST:PORT", env = "MUSTER_ADVERTISE")]
    advertise: Option<Address>,
}

/// Serves until it is told to end.
pub fn run(flags: &Serve, data_dir: &Path) -> Result<(), Failure> {
    serve::run(ServeOptions {
        data_dir: data_dir.to_path_buf(),
        listen: flags.listen,
        advertise: flags.advertise.clone(),
    })
}
