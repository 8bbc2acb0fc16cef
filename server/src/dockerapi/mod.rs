//! Docker's API over the whole fleet, to look at only: what the docker command line and other clients of Docker ask.
//!
//! [`routes`] understands a request without the fleet, `names` finds the container that is meant, and one file each
//! thing answers it. Whatever would change something is refused with a sentence that says where to do it.
//! [`door`] listens; [`Who`] may look: anybody on the machine's own loopback or a socket file, elsewhere whoever has a
//! client certificate of this server's.

pub mod door;
mod events;
pub mod filters;
mod follow;
mod info;
mod inspect;
mod list;
mod names;
mod parts;
mod places;
pub mod query;
mod refusals;
pub mod routes;
mod stats;
mod status;
#[cfg(test)]
mod tests;
pub mod version;

use crate::access::docker_ca::fingerprint;
use crate::access::secret::number;
use crate::access::tokens::Role;
use crate::fleet::{By, Fleet, Refusal};
use crate::listen::{Request, Response};
use async_io::Timer;
use futures_lite::future;
use places::{Full, Place, Places};
use query::Query;
use routes::{Asked, What};
use serde_json::{Value, json};
use smol::lock::{Semaphore, SemaphoreGuardArc};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use version::{MUSTER, NEWEST};

/// Lists that are under way at once; each holds a page of containers.
const LISTS: usize = 32;
/// How long one waits for such a place.
const PATIENCE: Duration = Duration::from_secs(10);
/// Clients that follow events at once: less than the feed has places, for pages and command lines need some too.
const FOLLOWS: usize = 64;
/// Those of one client with a certificate.
const FOLLOWS_OF_ONE: usize = 16;
/// Streams of stats at once: the docker command line opens one for each container.
const SAMPLINGS: usize = 512;
/// Those of one client with a certificate.
const SAMPLINGS_OF_ONE: usize = 256;

/// Stands for the token of whoever comes in without a certificate.
const LOCAL: &str = "docker";

/// Who may look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// Anybody who reaches the door: it is on this machine.
    Anybody,
    /// Whoever has a client certificate that the fleet knows.
    Clients,
}

impl Who {
    /// Who a request is from; the error says why they may not look.
    fn identify(self, fleet: &Fleet, certificate: Option<&[u8]>, peer: IpAddr) -> Result<By, Refused> {
        match self {
            Who::Anybody => {
                let (token, name) = (LOCAL.to_owned(), "the Docker API on this machine".to_owned());
                Ok(By { role: Role::Viewer, token, name, peer: peer.to_string() })
            }
            Who::Clients => certificate.and_then(|der| fleet.docker_client(der, peer)).ok_or_else(|| {
                Refused::new(
                    401,
                    "this client certificate was revoked, has expired or is not of this server: make another one with `muster docker-context NAME`",
                )
            }),
        }
    }

    /// Whether what they opened may go on.
    fn still_knows(self, fleet: &Fleet, by: &By) -> bool {
        self == Who::Anybody || fleet.still_knows_docker_client(&by.token)
    }
}

/// What a request is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Scope {
    /// All hosts.
    Fleet,
    /// One, by its id.
    Host(String),
}

/// A request cannot be answered: Docker's status, and one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The HTTP status.
    pub status: u16,
    /// What happened, and what to do.
    pub message: String,
}

impl Refused {
    fn new(status: u16, message: impl Into<String>) -> Refused {
        Refused { status, message: message.into() }
    }
}

impl From<String> for Refused {
    /// Of what was asked for in a way that cannot be understood.
    fn from(message: String) -> Refused {
        Refused::new(400, message)
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Refused {
        match refusal {
            Refusal::NotFound(message) => Refused::new(404, message),
            Refusal::Ambiguous(message, candidates) => {
                /// Of them that are named: the rest is only more of the same.
                const NAMED: usize = 20;
                let more = if candidates.len() > NAMED { ", ..." } else { "" };
                let named = candidates.iter().take(NAMED).cloned().collect::<Vec<_>>().join(", ");
                Refused::new(409, format!("{message}; it could be {named}{more}"))
            }
            Refusal::Conflict(message) => Refused::new(409, message),
            Refusal::Invalid(message) => Refused::new(400, message),
            Refusal::Store(error) => {
                Refused::new(503, format!("the store cannot do this now: {error}; try again later"))
            }
        }
    }
}

/// A request as its transport gives it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Such as `GET`.
    pub method: &'a str,
    /// Still percent-encoded, without the query.
    pub path: &'a str,
    /// Still percent-encoded, without the `?`.
    pub query: &'a str,
}

/// Docker's API over a fleet.
#[derive(Debug)]
pub struct DockerApi {
    fleet: Arc<Fleet>,
    who: Who,
    lists: Arc<Semaphore>,
    follows: Places,
    samplings: Places,
}

impl DockerApi {
    /// Over this fleet, for these clients.
    pub fn new(fleet: Arc<Fleet>, who: Who) -> DockerApi {
        DockerApi {
            fleet,
            who,
            lists: Arc::new(Semaphore::new(LISTS)),
            follows: Places::new(FOLLOWS, FOLLOWS_OF_ONE),
            samplings: Places::new(SAMPLINGS, SAMPLINGS_OF_ONE),
        }
    }

    /// Answers a request that came in at a door. Its body is not looked at.
    pub async fn answer(&self, request: &Request) -> Response {
        if self.who == Who::Anybody && request.peer.port() != 0 && is_of_a_page(|name| request.header(name)) {
            return DockerApi::sign(refuse(&Refused::new(
                403,
                "pages in browsers may not ask here: use `muster ps`, or the docker command line",
            )));
        }
        let certificate = request.certificate.as_deref();
        let by = match self.who.identify(&self.fleet, certificate, request.peer.ip()) {
            Ok(by) => by,
            Err(refused) => return DockerApi::sign(refuse(&refused)),
        };
        let ask = Ask { method: request.method.as_str(), path: &request.path, query: &request.query };
        let response = self.respond(&by, ask).await;
        match certificate {
            Some(der) => response.known(number(&fingerprint(der))),
            None => response,
        }
    }

    /// Answers a request of someone who may look.
    pub async fn respond(&self, by: &By, ask: Ask<'_>) -> Response {
        match self.handle(by, ask).await {
            Ok(response) => DockerApi::sign(response),
            Err(refused) => DockerApi::sign(refuse(&refused)),
        }
    }

    /// What all answers have, refusals too.
    fn sign(response: Response) -> Response {
        response
            .header("api-version", NEWEST.to_string())
            .header("docker-experimental", "false")
            .header("ostype", "linux")
            .header("server", format!("Muster/{MUSTER} (linux)"))
            .header("cache-control", "no-cache, no-store, must-revalidate")
            // For whoever gets a browser to show it after all.
            .header("x-content-type-options", "nosniff")
            .header("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
            .header("cross-origin-resource-policy", "same-origin")
    }

    /// A place for a stream of `what`.
    fn place_for_stream(&self, places: &Places, by: &By, what: &str) -> Result<Place, Refused> {
        // All of this machine are one.
        let client = (self.who == Who::Clients).then_some(by.token.as_str());
        places.take(client).map_err(|full| {
            let who = match full {
                Full::All => "all clients together",
                Full::Own => "this client",
            };
            Refused::new(429, format!("{who} already watch as many {what} as possible; end some, or try again later"))
        })
    }

    /// A place for a list, as soon as there is one.
    async fn place_for_list(&self) -> Result<SemaphoreGuardArc, Refused> {
        let patience = async {
            Timer::after(PATIENCE).await;
            Err(Refused::new(429, "as many lists as possible are under way; try again later"))
        };
        future::or(async { Ok(self.lists.acquire_arc().await) }, patience).await
    }

    async fn handle(&self, by: &By, ask: Ask<'_>) -> Result<Response, Refused> {
        let asked = routes::find(ask.method, ask.path)
            .map_err(|_| Refused::new(400, "the path is too long, or not percent-encoded UTF-8"))?;
        let Asked { host, version, what } = asked;
        if let Some(why) = version.and_then(version::Version::refused) {
            return Err(Refused::new(400, why));
        }
        let scope = match host {
            None => Scope::Fleet,
            Some(host) => Scope::Host(self.fleet.host(&host)?.id),
        };
        let query = || Query::read(ask.query);
        match what {
            What::Ping => Ok(ping(ask.method)),
            What::Version => Ok(json_of(&version::show(&self.fleet, &scope)?)),
            What::Info => Ok(json_of(&info::show(self, &scope).await?)),
            What::List => list::list(self, &query()?, scope).await,
            What::Inspect(name) => Ok(json_of(&inspect::show(self, &scope, &name)?)),
            What::Stats(name) => stats::show(self, by, &query()?, scope, &name),
            What::Events => follow::open(self, by, &query()?, &scope),
            What::Unknown(what, name) => Err(refusals::unknown(what, &name)),
            What::Uncollected(what, command) => Err(refusals::uncollected(self, &scope, what, command)),
            What::Elsewhere(command, name) => Err(refusals::elsewhere(self, &scope, command, &name)),
            What::ChangeContainer(command, name) => Err(refusals::change_container(self, by, &scope, command, &name)),
            What::Change(command) => Err(refusals::change(self, by, &scope, command)),
            What::Nothing => Err(Refused::new(404, "page not found: muster has nothing like it")),
        }
    }
}

/// A page that a browser on this machine shows could ask here too, by a name of its own that leads here. What it cannot
/// do is to leave out where it is from, or to ask for an address where it has a name.
fn is_of_a_page<'a>(header: impl Fn(&str) -> Option<&'a str>) -> bool {
    let is_own = |host: &str| {
        let host = host.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
        let name = host.map_or_else(|| header("host").unwrap_or_default(), |(name, _)| name);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        // A page may ask for 0.0.0.0 without a word of where it is from, and gets here.
        let is_address = name.parse().is_ok_and(|ip: IpAddr| !ip.to_canonical().is_unspecified());
        name.is_empty() || name == "localhost" || is_address
    };
    let is_sent_by_page = header("sec-fetch-site").is_some_and(|site| site != "none");
    is_sent_by_page || header("origin").is_some() || !header("host").is_none_or(is_own)
}

fn ping(method: &str) -> Response {
    let body = if method == "HEAD" { Vec::new() } else { b"OK".to_vec() };
    Response::bytes(200, "text/plain; charset=utf-8", body).header("swarm", "inactive")
}

fn json_of(object: &Value) -> Response {
    answer_of(200, object)
}

fn refuse(refused: &Refused) -> Response {
    answer_of(refused.status, &json!({ "message": refused.message }))
}

fn answer_of(status: u16, object: &Value) -> Response {
    let mut bytes = object.to_string().into_bytes();
    bytes.push(b'\n');
    Response::bytes(status, "application/json", bytes)
}
