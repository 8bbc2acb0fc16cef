//! The flags of `muster serve`.

use super::exit::Failure;
use crate::dockerapi::door::Place;
use crate::serve::{self, ServeOptions};
use crate::store::Retention;
use crate::vitals::HistoryShape;
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
    /// For how many days events are kept, from when they were received on, if --history-size allows
    #[arg(
        long,
        value_name = "DAYS",
        default_value_t = Retention::default().days,
        env = "MUSTER_HISTORY_DAYS",
        value_parser = clap::value_parser!(u32).range(1..=i64::from(Retention::DAYS_MAX)),
    )]
    history_days: u32,
    /// How much of the disk events may take, such as 512MB or 2GB; at least 1MB. The oldest go first
    #[arg(long, value_name = "SIZE", default_value = "256MB", env = "MUSTER_HISTORY_SIZE", value_parser = read_size)]
    history_size: u64,
    /// How much of the disk the history of hosts' vitals may take, such as 64MB; at least 1MB, or 0 for none. It has
    /// minutes for a day and hours for 30 days, the oldest of which go first
    #[arg(long, value_name = "SIZE", default_value = "64MB", env = "MUSTER_VITALS_HISTORY", value_parser = read_size_or_none)]
    vitals_history: u64,
    /// A certificate of your own for browsers and other clients without a pin: a PEM file, read again when it changes.
    /// Agents and pinned commands go by the fleet key all the same
    #[arg(long, value_name = "FILE", env = "MUSTER_TLS_CERT", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The key of that certificate: a PEM file
    #[arg(long, value_name = "FILE", env = "MUSTER_TLS_KEY", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// Also serve Docker's API, to look at the fleet with the docker command line: ADDR:PORT, such as 127.0.0.1:2375, or
    /// unix:///PATH. On a loopback address and a socket file every user of this machine may look who reaches it;
    /// elsewhere clients need a certificate, which `muster docker-context` makes
    #[arg(long, value_name = "ADDR:PORT", env = "MUSTER_DOCKER_LISTEN")]
    docker_listen: Option<Place>,
    /// Whether Docker's API is served with TLS and client certificates: unless only this machine can reach it, if left
    /// out
    #[arg(
        long,
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        env = "MUSTER_DOCKER_TLS",
        requires = "docker_listen"
    )]
    docker_tls: Option<bool>,
    /// Agents for hosts to install and upgrade to, as ./dist.sh leaves them: DIR/TARGET/muster-agent. If left out:
    /// DATA_DIR/agents, else /usr/share/muster/agents
    #[arg(long, value_name = "DIR", env = "MUSTER_AGENTS")]
    agents: Option<PathBuf>,
}

/// Reads `256MB`, `256M`, `256MiB` or `268435456`: units are powers of 1024.
fn read_size(text: &str) -> Result<u64, String> {
    let wrong = || format!("'{text}' is not a size: give one such as 256MB or 2GB");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(wrong()),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift)).ok_or_else(wrong)?;
    if bytes < Retention::BYTES_MIN {
        return Err(format!("'{text}' is too small: give at least 1MB"));
    }
    Ok(bytes)
}

fn read_size_or_none(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { read_size(text) }
}

/// Serves until it is told to end.
pub fn run(flags: &Serve, data_dir: &Path) -> Result<(), Failure> {
    serve::run(ServeOptions {
        data_dir: data_dir.to_path_buf(),
        listen: flags.listen,
        advertise: flags.advertise.clone(),
        retention: Retention { days: flags.history_days, bytes: flags.history_size },
        vitals: HistoryShape { bytes: flags.vitals_history },
        tls: flags.tls_cert.clone().zip(flags.tls_key.clone()),
        docker: flags.docker_listen.clone().map(|place| (place, flags.docker_tls)),
        agents: flags.agents.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("1MB", 1 << 20),
            ("1048576", 1 << 20),
            ("2048k", 2 << 20),
            ("256MiB", 256 << 20),
            ("2g", 2 << 30),
            ("1TB", 1 << 40),
        ] {
            assert_eq!(read_size(text), Ok(bytes), "{text}");
        }
        assert_eq!(read_size("256MB"), Ok(Retention::default().bytes), "the default is the one that is documented");
        assert_eq!(read_size_or_none("64MB"), Ok(HistoryShape::default().bytes), "this one, too");
        assert_eq!(read_size_or_none("0"), Ok(0));
        assert!(read_size_or_none("1k").is_err());
        for wrong in ["", "MB", "-1MB", "1.5GB", "0", "1023k", "1XB", "99999999999999999999", "99999999TB"] {
            assert!(read_size(wrong).is_err(), "{wrong}");
        }
    }
}
