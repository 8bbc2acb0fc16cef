//! Clients of the Docker API: whose certificates are good, and what operators change of them.

use super::{By, Fleet, Refusal, locked};
use crate::access::docker_ca::{DockerCa, fingerprint, hex, pem_of};
use crate::access::fleet_key::PublicKey;
use crate::access::secret::same;
use crate::access::tokens::Role;
use crate::api::types;
use crate::store::{DockerClientRow, Write};
use crate::time::{format_ms, now_ms};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::{Mutex, OnceLock};

/// Clients at one time.
const CLIENTS: usize = 1_000;
/// Digits of an id.
const ID_DIGITS: usize = 12;
/// Milliseconds of a day: certificates end with one.
const DAY_MS: i64 = 24 * 3_600_000;
/// How long a client is known if nothing is said: a year, in days.
const DAYS: u32 = 365;
/// The longest that one can be known, in days.
const MOST_DAYS: u32 = 3_650;

/// How the Docker API is served.
#[derive(Debug)]
pub enum DockerDoor {
    /// Without TLS, to this machine alone: there, such as `tcp://127.0.0.1:2375`.
    Local(String),
    /// With TLS, on this port.
    Tls(Box<DockerCa>, u16),
}

/// What is in memory of it.
#[derive(Debug)]
pub(super) struct DockerClients {
    clients: Mutex<BTreeMap<String, DockerClientRow>>,
    door: OnceLock<DockerDoor>,
}

impl DockerClients {
    /// As they are stored; the Docker API is not served yet.
    pub fn new(rows: Vec<DockerClientRow>) -> DockerClients {
        let clients = rows.into_iter().map(|row| (row.id.clone(), row)).collect();
        DockerClients { clients: Mutex::new(clients), door: OnceLock::new() }
    }
}

impl Fleet {
    /// The Docker API is served so from now on. Once.
    pub fn serve_docker(&self, door: DockerDoor) -> Result<(), String> {
        let door = self.state.docker.door.get_or_init(|| door);
        match door {
            DockerDoor::Local(_) => Ok(()),
            DockerDoor::Tls(ca, _) => self.show_docker_names(ca, None),
        }
    }

    /// The client whose certificate this is, in DER; `None` if it is not known, or not any more.
    pub fn docker_client(&self, certificate: &[u8], peer: IpAddr) -> Option<By> {
        let print = fingerprint(certificate);
        let clients = locked(&self.state.docker.clients);
        let row = clients.get(&id(&print)).filter(|row| same(&row.fingerprint, &print))?;
        let role = Role::parse(&row.role).filter(|_| now_ms() < row.expires_ms)?;
        Some(By { role, token: row.id.clone(), name: row.name.clone(), peer: peer.to_string() })
    }

    /// Whether a client's certificate is still good.
    pub fn still_knows_docker_client(&self, id: &str) -> bool {
        locked(&self.state.docker.clients).get(id).is_some_and(|row| now_ms() < row.expires_ms)
    }

    /// All clients, oldest first.
    pub fn docker_clients(&self) -> Vec<types::DockerClient> {
        let mut rows: Vec<_> = locked(&self.state.docker.clients).values().cloned().collect();
        rows.sort_by(|a, b| (a.created_ms, &a.id).cmp(&(b.created_ms, &b.id)));
        rows.iter().map(describe).collect()
    }

    /// Certifies a client's key.
    pub async fn make_docker_client(
        &self,
        by: &By,
        new: types::NewDockerClient,
    ) -> Result<types::MadeDockerClient, Refusal> {
        let registry = self.registry.lock_arc().await;
        let (ca, port) = match self.state.docker.door.get() {
            Some(DockerDoor::Tls(ca, port)) => (ca, *port),
            Some(DockerDoor::Local(url)) => {
                return Err(Refusal::Conflict(format!(
                    "the Docker API is served at {url} to its own machine alone, without certificates: start the server with --docker-listen and another address than loopback, or with --docker-tls"
                )));
            }
            None => {
                return Err(Refusal::Conflict(
                    "the Docker API is not served: start the server with --docker-listen ADDR:PORT".to_owned(),
                ));
            }
        };
        let role = new.role.as_deref().unwrap_or(Role::Viewer.as_str());
        if Role::parse(role) != Some(Role::Viewer) {
            return Err(Refusal::Invalid("role: a client of the Docker API only looks; give viewer".to_owned()));
        }
        let public = PublicKey::parse(&new.public_key).ok_or_else(|| {
            Refusal::Invalid("public_key: this is no point on P-256 in 130 hexadecimal digits".to_owned())
        })?;
        let days = new.days.unwrap_or(DAYS);
        if !(1..=MOST_DAYS).contains(&days) {
            return Err(Refusal::Invalid(format!("days: give 1 to {MOST_DAYS}")));
        }
        let address = match &new.docker_host {
            None => self.addresses().first().cloned().map(|address| address.with_port(port)),
            Some(text) => {
                Some(text.parse().map_err(|error| Refusal::Invalid(format!("docker_host: {error}; give HOST:PORT")))?)
            }
        };
        let address = address.ok_or_else(|| Refusal::Invalid("docker_host: give HOST:PORT".to_owned()))?;
        let now = now_ms();
        let expires_ms = (now.div_euclid(DAY_MS) + 1 + i64::from(days)).saturating_mul(DAY_MS);
        let until = date(expires_ms).ok_or_else(|| Refusal::Invalid("this machine's clock is wrong".to_owned()))?;
        let certificate = ca.certify_client(&public, &new.name, until).map_err(Refusal::Invalid)?;
        let print = fingerprint(&certificate);
        let row = DockerClientRow {
            id: id(&print),
            fingerprint: print,
            role: role.to_owned(),
            name: new.name,
            host: address.host().to_owned(),
            created_ms: now,
            expires_ms,
        };
        let gone: Vec<String> = {
            let clients = locked(&self.state.docker.clients);
            let is_over = |row: &&DockerClientRow| row.expires_ms <= now;
            let gone: Vec<String> = clients.values().filter(is_over).map(|row| row.id.clone()).collect();
            if clients.len() - gone.len() >= CLIENTS {
                return Err(Refusal::Conflict(format!(
                    "there are {CLIENTS} clients of the Docker API already: remove some with `muster docker-context rm`"
                )));
            }
            gone
        };
        // Before it is given out, or its first look would fail.
        self.show_docker_names(ca, Some(&row.host)).map_err(Refusal::Invalid)?;
        let details = [("name", row.name.clone()), ("host", row.host.clone()), ("expires", format_ms(row.expires_ms))];
        let mut writes = vec![Write::DockerClient(row.clone()), by.audit("docker_client.make", &row.id, details)];
        writes.extend(gone.iter().cloned().map(Write::DockerClientGone));
        let made = row.clone();
        self.keep(registry, writes, move |state| {
            let mut clients = locked(&state.docker.clients);
            gone.iter().for_each(|id| drop(clients.remove(id)));
            clients.insert(made.id.clone(), made);
        })
        .await?;
        Ok(types::MadeDockerClient {
            client: describe(&row),
            docker_host: format!("tcp://{address}"),
            ca: ca.to_pem(),
            certificate: pem_of(&certificate),
        })
    }

    /// Ends a client's certificate, and what it has open.
    pub async fn revoke_docker_client(&self, by: &By, id: &str) -> Result<(), Refusal> {
        let registry = self.registry.lock_arc().await;
        let Some(row) = locked(&self.state.docker.clients).get(id).cloned() else {
            return Err(Refusal::NotFound(format!("no client of the Docker API has the id {id:?}")));
        };
        let writes =
            vec![Write::DockerClientGone(id.into()), by.audit("docker_client.revoke", id, [("name", row.name)])];
        let gone = id.to_owned();
        self.keep(registry, writes, move |state| {
            locked(&state.docker.clients).remove(&gone);
            state.feed.cut(&gone);
        })
        .await?;
        Ok(())
    }

    /// Has the server show a certificate for all that it is reached by.
    fn show_docker_names(&self, ca: &DockerCa, one_more: Option<&str>) -> Result<(), String> {
        let mut hosts: Vec<String> = self.addresses().iter().map(|address| address.host().to_owned()).collect();
        hosts.extend(one_more.map(str::to_owned));
        hosts.extend(locked(&self.state.docker.clients).values().map(|row| row.host.clone()));
        hosts.sort_unstable();
        hosts.dedup();
        ca.show_names(&hosts.iter().map(String::as_str).collect::<Vec<_>>())
    }
}

fn id(fingerprint: &[u8; 32]) -> String {
    let mut id = hex(fingerprint);
    id.truncate(ID_DIGITS);
    id
}

/// Year, month and day of a time, UTC.
fn date(ms: i64) -> Option<(i32, u8, u8)> {
    let text = format_ms(ms);
    let mut parts = text.get(..10)?.split('-');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn describe(row: &DockerClientRow) -> types::DockerClient {
    types::DockerClient {
        id: row.id.clone(),
        name: row.name.clone(),
        role: row.role.clone(),
        host: row.host.clone(),
        fingerprint: format!("sha256:{}", hex(&row.fingerprint)),
        created_at: format_ms(row.created_ms),
        expires_at: format_ms(row.expires_ms),
    }
}
