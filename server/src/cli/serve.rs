//! The flags of `muster serve`.

use super::exit::Failure;
use crate::serve::{self, ServeOptions};
use clap::Args;
use muster_dial::Address;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Flags of `muster serve`.
#[derive(Debug, Args)]
pub struct Serve {
    /// Where to listen, for agents and commands; port 0: any that is free
    #[arg(long, value_name = "ADDR:PORT", default_value = "0.0.0.0:7443", env = "MUSTER_LISTEN")]
    listen: SocketAddr,
    /// Where agents reach this server, as join commands will say; port 0: the one it listens on
    #[arg(long, value_name = "HOST:PORT", env = "MUSTER_ADVERTISE")]
    advertise: Option<Address>,
    /// A certificate of your own for browsers and other clients without a pin: a PEM file, read again when it changes.
    /// Agents and pinned commands go by the fleet key all the same
    #[arg(long, value_name = "FILE", env = "MUSTER_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate: a PEM file
    #[arg(long, value_name = "FILE", env = "MUSTER_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
}

/// Serves until it is told to end.
pub fn run(flags: &Serve, data_dir: &Path) -> Result<(), Failure> {
    serve::run(ServeOptions {
        data_dir: data_dir.to_path_buf(),
        listen: flags.listen,
        advertise: flags.advertise.clone(),
        tls: flags.tls_cert.clone().zip(flags.tls_key.clone()),
    })
}
