//! Where an engine listens.

use super::error::EngineError;
use std::fmt;
use std::path::{Path, PathBuf};

/// Of an address that is repeated in an error.
const SHOWN: usize = 200;
/// Longest host name, as DNS has it.
const HOST_LIMIT: usize = 253;

/// Where an engine listens, or a filtering proxy before it. Reads and prints what `DOCKER_HOST` has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EngineAddress {
    /// `unix:///path`. Prints as the path alone.
    Unix(PathBuf),
    /// `tcp://HOST:PORT`, without TLS: for a filtering proxy in a container of its own. An IPv6 address is kept without its
    /// brackets.
    Tcp {
        /// A name or an IP address.
        host: String,
        /// Its port.
        port: u16,
    },
}

impl EngineAddress {
    /// Reads `unix:///path` or `tcp://HOST:PORT`.
    pub fn parse(text: &str) -> Result<EngineAddress, EngineError> {
        let bad = || EngineError::Address(text.chars().take(SHOWN).collect());
        if let Some(path) = text.strip_prefix("unix://") {
            return if path.starts_with('/') { Ok(EngineAddress::Unix(path.into())) } else { Err(bad()) };
        }
        let rest = text.strip_prefix("tcp://").ok_or_else(bad)?;
        let (host, port) = rest.trim_end_matches('/').rsplit_once(':').ok_or_else(bad)?;
        let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let is_host = match bracketed {
            Some(ip) => ip.parse::<std::net::Ipv6Addr>().is_ok(),
            None => {
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_');
                !host.is_empty() && host.len() <= HOST_LIMIT && host.bytes().all(plain)
            }
        };
        let digits = port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(port) if is_host && digits && port != 0 => {
                Ok(EngineAddress::Tcp { host: bracketed.unwrap_or(host).to_owned(), port })
            }
            _ => Err(bad()),
        }
    }

    /// The socket's path, if it is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            EngineAddress::Unix(path) => Some(path),
            EngineAddress::Tcp { .. } => None,
        }
    }
}

impl fmt::Display for EngineAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EngineAddress::Unix(path) => write!(f, "{}", path.display()),
            EngineAddress::Tcp { host, port } if host.contains(':') => write!(f, "tcp://[{host}]:{port}"),
            EngineAddress::Tcp { host, port } => write!(f, "tcp://{host}:{port}"),
        }
    }
}

impl From<PathBuf> for EngineAddress {
    fn from(path: PathBuf) -> EngineAddress {
        EngineAddress::Unix(path)
    }
}

impl From<&PathBuf> for EngineAddress {
    fn from(path: &PathBuf) -> EngineAddress {
        EngineAddress::Unix(path.clone())
    }
}

impl From<&Path> for EngineAddress {
    fn from(path: &Path) -> EngineAddress {
        EngineAddress::Unix(path.into())
    }
}

impl From<&str> for EngineAddress {
    /// From a path.
    fn from(path: &str) -> EngineAddress {
        EngineAddress::Unix(path.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docker_hosts() {
        let shown = |text| EngineAddress::parse(text).map(|address| address.to_string());
        assert_eq!(shown("unix:///var/run/docker.sock"), Ok("/var/run/docker.sock".into()));
        for same in ["tcp://127.0.0.1:2375", "tcp://socket-proxy:2375", "tcp://[::1]:2375"] {
            assert_eq!(shown(same), Ok(same.into()));
        }
        assert_eq!(shown("tcp://socket_proxy.lan:2375/"), Ok("tcp://socket_proxy.lan:2375".into()));
        for bad in [
            "ssh://host",
            "/var/run/docker.sock",
            "unix://relative",
            "unix://",
            "",
            "tcp://",
            "tcp://host",
            "tcp://host:",
            "tcp://:1",
            "tcp://host:0",
            "tcp://host:+1",
            "tcp://host:99999",
            "tcp://::1:2375",
            "tcp://[x]:1",
            "tcp://user@host:1",
            "tcp://host:1/path",
            "tcp://a b:1",
        ] {
            let error = EngineAddress::parse(bad).expect_err(bad).to_string();
            assert!(error.contains("unix:///") && error.contains("tcp://"), "{error}");
        }
    }
}
