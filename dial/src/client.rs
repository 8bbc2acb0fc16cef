//! Requests to one Muster server over one kept connection.

use crate::failure::{Failure, is_cut, one_line};
use crate::join_string::{Address, Pin};
use crate::pinned::{FirstHop, KEEP_IDLE, Kept, Left, PinnedConnector, Route, Taken};
use crate::proxy::Proxies;
use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use ureq::config::{AutoHeaderValue, Config};
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONNECTION, CONTENT_TYPE, HOST, HeaderName, UPGRADE};
use ureq::http::{HeaderValue, Request, Response};
use ureq::{Agent, AsSendBody, Body};

pub use ureq::http::Method;

/// Largest head of an answer, in bytes. The server's own are some hundred. With small buffers it is half of one:
/// a head that fills its buffer looks like a lost connection to ureq.
const ANSWER_HEAD: usize = 8 * 1024;
/// The least that buffers are useful with: the head of a request must fit in half of one.
const LEAST_BUFFER: usize = 2 * 1024;
/// Read buffer for an answer's body.
const CHUNK: usize = 2 * 1024;
/// Connections that are kept: one for requests; a second outlives a stream that ended.
const KEPT: usize = 2;

/// How to reach a server, and how to recognise it.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where it listens.
    pub address: Address,
    /// What it is recognised by: any one of them.
    pub pins: Vec<Pin>,
    /// The least [generation](crate::generation) of its certificate; 0: any.
    pub least_generation: u64,
    /// For the name lookup, and again for TCP, the proxy and TLS together.
    pub connect_timeout: Duration,
    /// For a whole request, connection and answer included. Streams have no such limit.
    pub overall_timeout: Duration,
    /// Bytes of each of the four buffers of a connection (TLS and HTTP, each way), at least 2 KiB.
    pub buffer_bytes: usize,
    /// What leads there.
    pub proxies: Proxies,
    /// TLS, for connections one after the other: share it to resume the sessions of one in the next.
    pub tls: Kept,
}

impl Settings {
    /// For the agent: 8 KiB buffers, 10 s to connect, 30 s for a request; proxies as the environment has them.
    pub fn small(address: Address, pins: Vec<Pin>) -> Settings {
        Settings {
            address,
            pins,
            least_generation: 0,
            connect_timeout: Duration::from_secs(10),
            overall_timeout: Duration::from_secs(30),
            buffer_bytes: 8 * 1024,
            proxies: Proxies::from_environment(),
            tls: Kept::default(),
        }
    }

    /// For the command line, whose answers are larger: 64 KiB buffers, the same times.
    pub fn roomy(address: Address, pins: Vec<Pin>) -> Settings {
        Settings { buffer_bytes: 64 * 1024, ..Settings::small(address, pins) }
    }
}

/// The status of an answer, such as 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Status(pub u16);

impl Status {
    /// 200 to 299.
    pub fn is_success(self) -> bool {
        (200..300).contains(&self.0)
    }
}

/// Speaks HTTP/1.1 over pinned TLS with one server. Blocks. Redirects are answers like any other.
///
/// A connection is kept between requests. If it turns out to be dead when the next request goes out, requests that
/// may be repeated are sent once more over a new one: all but [`Client::send_json`].
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    address: Address,
    opened: Arc<AtomicU64>,
}

impl Client {
    /// Connects to nothing yet. Fails if there is no pin, or if what names a proxy cannot be read.
    pub fn new(settings: Settings) -> Result<Client, Failure> {
        Client::leaving(settings, None)
    }

    /// One that puts its connection there when it is done with it.
    fn leaving(settings: Settings, left: Option<Arc<Left>>) -> Result<Client, Failure> {
        if settings.pins.is_empty() {
            return Err(Failure::Tls("there is no pin to recognise the server by".to_string()));
        }
        let opened = Arc::new(AtomicU64::new(0));
        let proxy = settings.proxies.to(&settings.address)?;
        if let Some(proxy) = &proxy {
            log::debug!("{} is reached through the proxy {proxy}", settings.address);
        }
        let route = Arc::new(Route { server: settings.address.clone(), proxy });
        let tls = settings.tls.tls(&settings.pins, settings.least_generation)?;
        let connector = PinnedConnector::new(tls, opened.clone(), route.clone(), left);
        let buffer = settings.buffer_bytes.max(LEAST_BUFFER);
        let config = Config::builder()
            .http_status_as_error(false)
            .https_only(true)
            // Ours is the connector's; the default would be ureq's own.
            .proxy(None)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(AutoHeaderValue::None)
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .max_response_header_size(ANSWER_HEAD.min(buffer / 2))
            .input_buffer_size(buffer)
            .output_buffer_size(buffer)
            .max_idle_connections(KEPT)
            .max_idle_connections_per_host(KEPT)
            .max_idle_age(KEEP_IDLE)
            .timeout_resolve(Some(settings.connect_timeout))
            .timeout_connect(Some(settings.connect_timeout))
            .timeout_global(Some(settings.overall_timeout))
            .build();
        let agent = Agent::with_parts(config, connector, FirstHop::new(route));
        Ok(Client { agent, address: settings.address, opened })
    }

    /// Opens a connection and asks by a GET of `path` that it change to another protocol. If the server does not
    /// want to, its answer: the status, and up to `limit` bytes of the body, which otherwise is
    /// [`Failure::TooLarge`].
    pub(crate) fn upgrade(
        settings: Settings,
        path: &str,
        bearer: &str,
        protocol: &str,
        limit: usize,
    ) -> Result<Result<Taken, (Status, Vec<u8>)>, Failure> {
        let left = Arc::new(Left::default());
        let client = Client::leaving(settings, Some(left.clone()))?;
        let headers = [(CONNECTION, "upgrade"), (UPGRADE, protocol)];
        let mut answer = Vec::new();
        let status = client
            .request(Method::GET, path, bearer, &headers, ())
            .and_then(|request| client.exchange(request, &mut answer, limit))
            .map_err(|sent| sent.failure(&client.address))?;
        if status != Status(101) {
            return Ok(Err((status, answer)));
        }
        // ureq has closed the connection on its part: it keeps none whose protocol it does not speak.
        drop(client);
        let taken = left.take().ok_or_else(|| Failure::Protocol("the connection was not handed over".into()))?;
        Ok(Ok(taken))
    }

    /// Where this client's server listens.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Connections begun so far, failed ones included.
    pub fn connections(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    /// Ends whatever another thread is waiting for here, with a failure, and refuses all later requests.
    pub fn shut_down(&self) {
        self.agent.clone().shutdown();
    }

    /// Sends bytes that the server takes no harm from seeing twice, as all messages of agents are.
    ///
    /// `path` begins with `/` and may have a query. An empty `bearer` sends no credential. The body goes without
    /// a content type: bytes are what is assumed then, and every byte of a head counts. The answer's body replaces
    /// what is in `answer`; one of more than `limit` bytes is [`Failure::TooLarge`].
    pub fn post(
        &self,
        path: &str,
        bearer: &str,
        body: &[u8],
        answer: &mut Vec<u8>,
        limit: usize,
    ) -> Result<Status, Failure> {
        self.again(|| self.exchange(self.request(Method::POST, path, bearer, &[], body)?, answer, limit))
    }

    /// The same with no credential, and with another name for the server than the one it is reached by: for requests
    /// of which every byte counts.
    pub fn post_short(
        &self,
        path: &str,
        host: &str,
        body: &[u8],
        answer: &mut Vec<u8>,
        limit: usize,
    ) -> Result<Status, Failure> {
        let headers = [(HOST, host)];
        self.again(|| self.exchange(self.request(Method::POST, path, "", &headers, body)?, answer, limit))
    }

    /// Asks for a resource. Arguments as for [`Client::post`].
    pub fn get(&self, path: &str, bearer: &str, answer: &mut Vec<u8>, limit: usize) -> Result<Status, Failure> {
        self.again(|| self.exchange(self.request(Method::GET, path, bearer, &[], ())?, answer, limit))
    }

    /// Removes a resource. Arguments as for [`Client::post`].
    pub fn delete(&self, path: &str, bearer: &str, answer: &mut Vec<u8>, limit: usize) -> Result<Status, Failure> {
        self.again(|| self.exchange(self.request(Method::DELETE, path, bearer, &[], ())?, answer, limit))
    }

    /// Sends JSON by POST, PUT or PATCH, once. Other arguments as for [`Client::post`].
    pub fn send_json(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        json: &[u8],
        answer: &mut Vec<u8>,
        limit: usize,
    ) -> Result<Status, Failure> {
        let headers = [(CONTENT_TYPE, "application/json")];
        self.request(method, path, bearer, &headers, json)
            .and_then(|request| self.exchange(request, answer, limit))
            .map_err(|sent| sent.failure(&self.address))
    }

    /// Opens a stream of Server-Sent Events, resumed after `last_event_id` if there is one.
    ///
    /// The answer's head comes within the overall time limit. After it there is none, but a silence of `silence`
    /// ends the stream with an error of kind `TimedOut`; so the server has to send comments more often than that.
    pub fn stream(
        &self,
        path: &str,
        bearer: &str,
        last_event_id: Option<&str>,
        silence: Duration,
    ) -> Result<Stream, Failure> {
        let id = (HeaderName::from_static("last-event-id"), last_event_id.unwrap_or_default());
        let headers = [(ACCEPT, "text/event-stream"), id];
        let headers = if last_event_id.is_some() { &headers[..] } else { &headers[..1] };
        let head = self.agent.config().timeouts().global;
        let response = self.again(|| {
            let request = self.request(Method::GET, path, bearer, headers, ())?;
            let request = self
                .agent
                .configure_request(request)
                .timeout_global(None)
                .timeout_send_request(head)
                .timeout_recv_response(head)
                .timeout_per_read(Some(silence))
                .build();
            self.agent.run(request).map_err(Sent::Not)
        })?;
        let status = Status(response.status().as_u16());
        Ok(Stream { status, body: response.into_body(), address: self.address.clone() })
    }

    fn request<B>(
        &self,
        method: Method,
        path: &str,
        bearer: &str,
        headers: &[(HeaderName, &str)],
        body: B,
    ) -> Result<Request<B>, Sent> {
        let unwritable = |what: &str| Sent::Failed(Failure::Protocol(format!("{what} cannot be written as HTTP")));
        if !path.starts_with('/') {
            return Err(unwritable("the path"));
        }
        let mut request = Request::builder().method(method).uri(format!("https://{}{path}", self.address));
        if !bearer.is_empty() {
            let mut value =
                HeaderValue::try_from(format!("Bearer {bearer}")).map_err(|_| unwritable("the credential"))?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        request.body(body).map_err(|error| unwritable(&one_line(&error)))
    }

    /// One request and its whole answer.
    fn exchange(&self, request: Request<impl AsSendBody>, answer: &mut Vec<u8>, limit: usize) -> Result<Status, Sent> {
        answer.clear();
        let response = self.agent.run(request).map_err(Sent::Not)?;
        self.read(response, answer, limit).map_err(Sent::Failed)
    }

    fn read(&self, response: Response<Body>, answer: &mut Vec<u8>, limit: usize) -> Result<Status, Failure> {
        let status = Status(response.status().as_u16());
        let body = response.into_body();
        if body.content_length().is_some_and(|length| length > limit as u64) {
            return Err(Failure::TooLarge);
        }
        let mut reader = body.into_reader();
        let mut chunk = [0; CHUNK];
        // To the very end: only then does ureq keep the connection.
        loop {
            match reader.read(&mut chunk) {
                Ok(0) => return Ok(status),
                Ok(length) if length > limit.saturating_sub(answer.len()) => return Err(Failure::TooLarge),
                Ok(length) => answer.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Failure::of_io(error, &self.address)),
            }
        }
    }

    /// Does it, and does it once more if a kept connection turned out to be dead.
    fn again<T>(&self, mut call: impl FnMut() -> Result<T, Sent>) -> Result<T, Failure> {
        let before = self.connections();
        match call() {
            Err(Sent::Not(ureq::Error::Io(error))) if is_cut(&error) && self.connections() == before => {
                Ok(call().map_err(|sent| sent.failure(&self.address))?)
            }
            other => other.map_err(|sent| sent.failure(&self.address)),
        }
    }
}

/// How far a request came that failed.
enum Sent {
    /// No answer began.
    Not(ureq::Error),
    /// An answer began, or there was nothing to send.
    Failed(Failure),
}

impl Sent {
    fn failure(self, address: &Address) -> Failure {
        match self {
            Sent::Not(error) => Failure::of(error, address),
            Sent::Failed(failure) => failure,
        }
    }
}

/// The body of an answer that goes on for as long as both sides like.
///
/// Its read errors carry a [`Failure`], which `io::Error::downcast` finds. After one, drop it.
pub struct Stream {
    status: Status,
    body: Body,
    address: Address,
}

impl Stream {
    /// Of the answer. If it is no success, the body is the (short) reason.
    pub fn status(&self) -> Status {
        self.status
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.body.as_reader().read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Err(error),
            Err(error) => {
                let failure = Failure::of_io(error, &self.address);
                Err(io::Error::new(failure.io_kind(), failure))
            }
            read => read,
        }
    }
}

impl std::fmt::Debug for Stream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Stream").field("status", &self.status).finish_non_exhaustive()
    }
}
