//! Where the Docker API is served: an address, or a socket file; with TLS unless only this machine can reach it.

use super::{DockerApi, Who};
use crate::access::docker_ca::{DockerCa, fingerprint};
use crate::access::secret::number;
use crate::fleet::{DockerDoor, Fleet};
use crate::listen::{self, Door, KnownBy, Limits};
use smol::Executor;
use smol::net::TcpListener;
use smol::net::unix::UnixListener;
use std::fs;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// Port 0: any that is free.
    Tcp(SocketAddr),
    /// A socket file.
    Unix(PathBuf),
}

impl FromStr for Place {
    type Err = String;

    /// Reads `ADDR:PORT`, `tcp://ADDR:PORT` or `unix:///PATH`.
    fn from_str(text: &str) -> Result<Place, String> {
        if let Some(path) = text.strip_prefix("unix://") {
            return match path.starts_with('/') {
                true => Ok(Place::Unix(path.into())),
                false => Err("give the socket's whole path, such as unix:///run/muster/docker.sock".to_owned()),
            };
        }
        let address = text.strip_prefix("tcp://").unwrap_or(text);
        address
            .parse()
            .map(Place::Tcp)
            .map_err(|_| "give ADDR:PORT, such as 127.0.0.1:2375, or unix:///PATH".to_owned())
    }
}

/// What is open, and how it is found.
#[derive(Debug)]
pub struct Opened {
    door: Door,
    who: Who,
    /// For `DOCKER_HOST`.
    pub url: String,
    socket: Option<SocketFile>,
}

impl Opened {
    /// Whether whoever reaches it may look.
    pub fn is_open_to_all(&self) -> bool {
        self.who == Who::Anybody
    }
}

/// A socket file of ours, removed at the end.
#[derive(Debug)]
pub struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Where it will be: nobody else can have that place any more, and nobody is served yet.
#[derive(Debug)]
pub enum Bound {
    /// A socket file.
    File(UnixListener, SocketFile),
    /// A port, and whether it is served with TLS.
    Port(TcpListener, bool),
}

impl Bound {
    /// Takes the place. `tls`: whether with TLS; `None`: unless only this machine can reach it.
    ///
    /// # Errors
    /// One line: what is not possible, and what to do.
    pub async fn take(place: &Place, tls: Option<bool>) -> Result<Bound, String> {
        match place {
            Place::Unix(_) if tls == Some(true) => {
                Err("a socket file is served without TLS: leave --docker-tls out".to_owned())
            }
            Place::Unix(path) => Ok(Bound::File(bind_file(path)?, SocketFile(path.clone()))),
            Place::Tcp(address) => {
                let with_tls = is_with_tls(*address, tls)?;
                let listener = TcpListener::bind(*address).await.map_err(|error| {
                    format!(
                        "cannot listen on {address} for the Docker API: {error}; choose another one with --docker-listen"
                    )
                })?;
                Ok(Bound::Port(listener, with_tls))
            }
        }
    }

    /// Says so to the fleet, and makes what TLS needs.
    ///
    /// # Errors
    /// One line: what is not possible, and what to do.
    pub fn open(self, fleet: &Fleet, data_dir: &Path) -> Result<Opened, String> {
        match self {
            Bound::File(listener, file) => {
                let url = format!("unix://{}", file.0.display());
                fleet.serve_docker(DockerDoor::Local(url.clone()))?;
                Ok(Opened { door: Door::Unix(listener), who: Who::Anybody, url, socket: Some(file) })
            }
            Bound::Port(listener, with_tls) => {
                let bound = listener.local_addr().map_err(|error| error.to_string())?;
                let url = format!("tcp://{bound}");
                if !with_tls {
                    fleet.serve_docker(DockerDoor::Local(url.clone()))?;
                    return Ok(Opened { door: Door::Plain(listener), who: Who::Anybody, url, socket: None });
                }
                let ca = DockerCa::load_or_create(data_dir)?;
                let config = ca.server_config()?;
                fleet.serve_docker(DockerDoor::Tls(Box::new(ca), bound.port()))?;
                Ok(Opened { door: Door::Tls(listener, config), who: Who::Clients, url, socket: None })
            }
        }
    }
}

/// Whether an address is to be served with TLS: without only where nobody else gets to.
fn is_with_tls(address: SocketAddr, tls: Option<bool>) -> Result<bool, String> {
    let is_own = address.ip().to_canonical().is_loopback();
    if tls == Some(false) && !is_own {
        return Err(format!(
            "cannot serve the Docker API without TLS on {address}: whoever reaches it would see the fleet; use 127.0.0.1, or leave --docker-tls out and make certificates with `muster docker-context`"
        ));
    }
    Ok(tls.unwrap_or(!is_own))
}

/// A socket file for its owner and group. One that a server has left behind is replaced, one that answers is not.
fn bind_file(path: &Path) -> Result<UnixListener, String> {
    let shown = path.display();
    let failed = |error: std::io::Error| format!("cannot listen on {shown} for the Docker API: {error}");
    match fs::symlink_metadata(path) {
        Ok(found) if !found.file_type().is_socket() => {
            return Err(format!("{shown} is there and is no socket: choose another path"));
        }
        Ok(_) if std::os::unix::net::UnixStream::connect(path).is_ok() => {
            return Err(format!("another program listens on {shown}: choose another path with --docker-listen"));
        }
        Ok(_) => fs::remove_file(path).map_err(failed)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let listener = UnixListener::bind(path).map_err(failed)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o660)).map_err(failed)?;
    Ok(listener)
}

/// Connections, sizes and times: of people and their tools, and not of ten thousand agents.
fn limits(who: Who) -> Limits {
    Limits {
        connections: 2_048,
        // All of this machine are one address. Elsewhere a few addresses without a certificate must not take all places.
        unknown_per_peer: if who == Who::Anybody { 1_024 } else { 128 },
        // The docker command line has a connection for each container's stats.
        known_per_client: 768,
        body: Duration::from_secs(10),
        // What `docker build` sends before it reads that this is refused.
        drain_bytes: 64 * 1024 * 1024,
        idle: Duration::from_secs(120),
        ..Limits::default()
    }
}

impl KnownBy {
    /// The clients of the Docker API: those whose certificate was revoked or has expired are strangers.
    pub(super) fn clients(fleet: Arc<Fleet>) -> KnownBy {
        KnownBy(Arc::new(move |der| {
            fleet.docker_client(der, Ipv4Addr::UNSPECIFIED.into()).map(|_| number(&fingerprint(der)))
        }))
    }
}

/// Serves it until `shutdown` is ready.
pub async fn serve(
    opened: Opened,
    fleet: Arc<Fleet>,
    executor: Arc<Executor<'static>>,
    shutdown: impl Future<Output = ()>,
) {
    let Opened { door, who, socket, .. } = opened;
    let known_by = (who == Who::Clients).then(|| KnownBy::clients(fleet.clone()));
    let api = Arc::new(DockerApi::new(fleet, who));
    let handler = move |request: listen::Request| {
        let api = api.clone();
        async move { api.answer(&request).await }
    };
    listen::serve_at(door, Limits { known_by, ..limits(who) }, executor, handler, shutdown).await;
    drop(socket);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_at_a_few_addresses_do_not_close_the_door() {
        let with_tls = limits(Who::Clients);
        assert!(16 * with_tls.unknown_per_peer <= with_tls.connections);
        assert!(with_tls.known_per_client < with_tls.connections, "nor does one client");
    }

    #[test]
    fn only_this_machine_is_served_without_tls() {
        let with_tls = |address: &str, tls| is_with_tls(address.parse().expect("an address"), tls);
        for own in ["127.0.0.1:1", "127.1.2.3:1", "[::1]:1", "[::ffff:127.0.0.1]:1"] {
            assert_eq!((with_tls(own, None), with_tls(own, Some(true))), (Ok(false), Ok(true)), "{own}");
        }
        for other in ["0.0.0.0:1", "192.0.2.1:1", "[::]:1", "[2001:db8::1]:1"] {
            assert_eq!(with_tls(other, None), Ok(true), "{other}");
            assert!(with_tls(other, Some(false)).is_err_and(|why| !why.contains('\n')), "{other}");
        }
    }

    #[test]
    fn places_are_read() {
        let tcp = Ok(Place::Tcp(SocketAddr::from(([127, 0, 0, 1], 2375))));
        assert_eq!("127.0.0.1:2375".parse(), tcp);
        assert_eq!("tcp://127.0.0.1:2375".parse(), tcp);
        assert_eq!("unix:///run/x.sock".parse(), Ok(Place::Unix("/run/x.sock".into())));
        for wrong in ["", "2375", "unix://x", "localhost:2375", "http://127.0.0.1:2375"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
