//! The engine, as the rest of the agent sees it.
//!
//! All calls take `&self`, so that a list can be read while containers are inspected on a second connection. All
//! is meant for one thread. Connections are kept for the next call; one that the engine has closed meanwhile is
//! replaced, unseen by the caller, once.

use super::address::EngineAddress;
use super::exchange::Exchange;
use super::http::Head;
use super::inspect::{Details, parse_inspect};
use super::limits::{CALL_TIME, ELEMENT, EVENT_LINE, IDLE_CONNECTIONS, LIST_BYTES, LIST_TIME};
use super::request::{ApiVersion, Request};
use super::socket::{Connection, Patience};
use super::split::{Found, SplitError, Splitter, salvage_id};
use muster_protocol::container::cut_text;
use muster_protocol::id::EngineId;
use muster_protocol::limits::FACT;
use serde::Deserialize;
use std::cell::{Cell, RefCell};
use std::time::{Duration, Instant};

pub use super::error::EngineError;

/// The engine at one address.
#[derive(Debug)]
pub struct Engine {
    address: EngineAddress,
    api: Cell<ApiVersion>,
    idle: RefCell<Vec<Connection>>,
}

/// Which engine answers. Texts have at most [`FACT`] bytes; what it does not say is empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// The engine's own: `28.5.2`.
    pub version: String,
    /// The API version that is used from now on.
    pub api: ApiVersion,
    /// The newest API version that the engine speaks.
    pub newest_api: ApiVersion,
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`.
    pub arch: String,
    /// The kernel's release.
    pub kernel: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawVersion {
    #[serde(default)]
    version: String,
    #[serde(default)]
    api_version: String,
    #[serde(default, rename = "MinAPIVersion")]
    min_api_version: String,
    #[serde(default)]
    os: String,
    #[serde(default)]
    arch: String,
    #[serde(default)]
    kernel_version: String,
}

impl Engine {
    /// At this address, or the socket at this path. Nothing is sent yet; until [`Engine::negotiate`], the oldest API is
    /// spoken.
    pub fn new(address: impl Into<EngineAddress>) -> Engine {
        Engine { address: address.into(), api: Cell::new(ApiVersion::OLDEST), idle: RefCell::new(Vec::new()) }
    }

    /// Where it listens.
    pub fn address(&self) -> &EngineAddress {
        &self.address
    }

    /// The API version in use.
    pub fn api(&self) -> ApiVersion {
        self.api.get()
    }

    /// Whether it answers at all.
    pub async fn ping(&self) -> Result<(), EngineError> {
        let patience = within_call();
        let (exchange, _) = self.call(Request::Ping, patience).await?;
        self.discard(exchange, patience).await
    }

    /// Asks which engine it is and settles on an API version. To be done at the start, and again when the engine
    /// has been away: it may have been replaced.
    pub async fn negotiate(&self) -> Result<Version, EngineError> {
        let patience = within_call();
        // A filtering proxy may refuse either of both: the other one says enough.
        let pinged = match self.call(Request::Ping, patience).await {
            Ok((exchange, head)) => {
                self.discard(exchange, patience).await?;
                Some(head)
            }
            Err(error) if error.is_forbidden() => None,
            Err(error) => return Err(error),
        };
        let raw = match self.whole(Request::Version, patience).await {
            Ok(body) => {
                serde_json::from_slice(&body).map_err(|_| EngineError::Malformed("its version cannot be read"))?
            }
            Err(error) if error.is_forbidden() && pinged.is_some() => RawVersion::default(),
            Err(error) => return Err(error),
        };
        let newest = ApiVersion::parse(&raw.api_version).or(pinged.and_then(|head| head.api));
        let newest = newest.ok_or(EngineError::Malformed("it does not say its API version"))?;
        let oldest = ApiVersion::parse(&raw.min_api_version).unwrap_or(ApiVersion::OLDEST);
        let api = negotiated(oldest, newest)?;
        self.api.set(api);
        let fact = |text: String| cut_text(&text, FACT, 0, &mut 0).to_owned();
        Ok(Version {
            version: fact(raw.version),
            api,
            newest_api: newest,
            os: fact(raw.os),
            arch: fact(raw.arch),
            kernel: fact(raw.kernel_version),
        })
    }

    /// The engine's facts about itself and the host, as JSON. As dear as a list: once per start of the engine.
    pub async fn info(&self) -> Result<Vec<u8>, EngineError> {
        self.whole(Request::Info, Patience::Until(Instant::now() + LIST_TIME)).await
    }

    /// Begins to read all containers.
    pub async fn list(&self) -> Result<List<'_>, EngineError> {
        self.read_list(Request::List).await
    }

    /// The list's element of one container; `None` if there is no such container.
    pub async fn list_one(&self, id: EngineId) -> Result<Option<Vec<u8>>, EngineError> {
        let mut list = self.read_list(Request::ListOne(id)).await?;
        let mut found = None;
        while let Some(element) = list.next().await? {
            match element {
                // The engine matches by the id's beginning and by its own ideas of a pattern.
                Element::Whole(json) if salvage_id(json) == Some(id) => found = Some(json.to_vec()),
                Element::TooLarge { id: other } if other == Some(id) => return Err(EngineError::TooLarge),
                _ => {}
            }
        }
        Ok(found)
    }

    /// How one container's last run goes or went; `None` if there is no such container.
    pub async fn inspect(&self, id: EngineId) -> Result<Option<(EngineId, Details)>, EngineError> {
        match self.whole(Request::Inspect(id), within_call()).await {
            Ok(json) => {
                let inspected = parse_inspect(&json);
                inspected.map(Some).map_err(|_| EngineError::Malformed("an inspect cannot be read"))
            }
            Err(EngineError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// All that an inspect says of a container, as JSON; `None` if there is no such container.
    pub async fn inspected(&self, id: EngineId) -> Result<Option<Vec<u8>>, EngineError> {
        match self.whole(Request::Inspect(id), within_call()).await {
            Ok(json) => Ok(Some(json)),
            Err(EngineError::Refused { status: 404, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Subscribes to events: first all that the engine remembers, then each as it happens. On a connection of its
    /// own. An engine that sends its headers only with the first event, as Podman may, is subscribed to as well.
    pub async fn events(&self) -> Result<EventStream, EngineError> {
        let patience = within_call();
        let connection = Connection::open(&self.address, patience).await?;
        let mut exchange = Exchange::begin(connection, &self.written(Request::Events), patience).await?;
        let begun = match exchange.head(patience).await {
            Ok(head) => {
                self.accepted(&mut exchange, head, patience).await?;
                true
            }
            Err(EngineError::NotAnswering) if !exchange.has_begun() => false,
            Err(error) => return Err(error),
        };
        Ok(EventStream { exchange, splitter: Splitter::stream(EVENT_LINE), begun })
    }

    async fn read_list(&self, request: Request) -> Result<List<'_>, EngineError> {
        let begin = Instant::now();
        let (exchange, _) = self.call(request, Patience::Until(begin + LIST_TIME)).await?;
        let left = LIST_TIME.saturating_sub(begin.elapsed());
        Ok(List { engine: self, exchange: Some(exchange), splitter: Splitter::list(ELEMENT), left, bytes: 0 })
    }

    /// A whole body of at most [`ELEMENT`] bytes.
    async fn whole(&self, request: Request, patience: Patience) -> Result<Vec<u8>, EngineError> {
        let (mut exchange, _) = self.call(request, patience).await?;
        let mut body = Vec::new();
        exchange.read_all(&mut body, ELEMENT, patience).await?;
        self.keep(exchange);
        Ok(body)
    }

    /// Reads the rest of a short body, so that the connection can be kept.
    async fn discard(&self, mut exchange: Exchange, patience: Patience) -> Result<(), EngineError> {
        exchange.read_all(&mut Vec::new(), ELEMENT, patience).await?;
        self.keep(exchange);
        Ok(())
    }

    /// Sends a request and waits for the headers of an answer that is not an error.
    async fn call(&self, request: Request, patience: Patience) -> Result<(Exchange, Head), EngineError> {
        let bytes = self.written(request);
        let kept = self.idle.borrow_mut().pop();
        if let Some(connection) = kept {
            match self.exchange(connection, &bytes, patience).await {
                // The engine has closed it meanwhile, and so most likely all others.
                Err((EngineError::Lost(_), false)) => self.idle.borrow_mut().clear(),
                other => return other.map_err(|(error, _)| error),
            }
        }
        let connection = Connection::open(&self.address, patience).await?;
        self.exchange(connection, &bytes, patience).await.map_err(|(error, _)| error)
    }

    /// With an error it says whether a part of the answer had come.
    async fn exchange(
        &self,
        connection: Connection,
        request: &[u8],
        patience: Patience,
    ) -> Result<(Exchange, Head), (EngineError, bool)> {
        let mut exchange = Exchange::begin(connection, request, patience).await.map_err(|error| (error, false))?;
        match exchange.head(patience).await {
            Ok(head) => match self.accepted(&mut exchange, head, patience).await {
                Ok(()) => Ok((exchange, head)),
                Err(error) => {
                    self.keep(exchange);
                    Err((error, true))
                }
            },
            Err(error) => Err((error, exchange.has_begun())),
        }
    }

    async fn accepted(&self, exchange: &mut Exchange, head: Head, patience: Patience) -> Result<(), EngineError> {
        match head.status {
            200..300 => Ok(()),
            status => Err(exchange.refusal(status, patience).await),
        }
    }

    fn written(&self, request: Request) -> Vec<u8> {
        let mut bytes = Vec::new();
        request.write(self.api.get(), &mut bytes);
        bytes
    }

    /// Keeps the connection for the next call, if it can be.
    fn keep(&self, exchange: Exchange) {
        let mut idle = self.idle.borrow_mut();
        if let Some(connection) = exchange.finish()
            && idle.len() < IDLE_CONNECTIONS
        {
            idle.push(connection);
        }
    }
}

fn within_call() -> Patience {
    Patience::Until(Instant::now() + CALL_TIME)
}

/// The newest API version that both speak.
fn negotiated(oldest: ApiVersion, newest: ApiVersion) -> Result<ApiVersion, EngineError> {
    let api = newest.min(ApiVersion::NEWEST);
    if api < ApiVersion::OLDEST {
        Err(EngineError::TooOld { newest })
    } else if api < oldest {
        Err(EngineError::TooNew { oldest })
    } else {
        Ok(api)
    }
}

/// One container of a [`List`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Element<'l> {
    /// Its JSON.
    Whole(&'l [u8]),
    /// It has more than [`ELEMENT`] bytes and was skipped.
    TooLarge {
        /// `None` if not even that could be read.
        id: Option<EngineId>,
    },
}

/// A list of containers, read one by one. The engine's time counts, the caller's does not. To drop it early
/// costs the connection and nothing else.
#[derive(Debug)]
pub struct List<'e> {
    engine: &'e Engine,
    /// Gone when the list is complete.
    exchange: Option<Exchange>,
    splitter: Splitter,
    /// What the engine may still take.
    left: Duration,
    bytes: u64,
}

impl List<'_> {
    /// The next container; `None` when the list is complete. After an error there is nothing more to read.
    pub async fn next(&mut self) -> Result<Option<Element<'_>>, EngineError> {
        let found = self.find().await?;
        if found != Found::End {
            return Ok(Some(match found {
                Found::Element => Element::Whole(self.splitter.element()),
                _ => Element::TooLarge { id: salvage_id(self.splitter.element()) },
            }));
        }
        Ok(None)
    }

    async fn find(&mut self) -> Result<Found, EngineError> {
        loop {
            let Some(exchange) = &mut self.exchange else { return Ok(Found::End) };
            let begin = Instant::now();
            let more = exchange.fill(Patience::Until(begin + self.left)).await?;
            self.left = self.left.saturating_sub(begin.elapsed());
            if !more {
                // The list was cut off, or `null`, or nothing: the splitter knows.
                self.splitter.end_of_input().map_err(malformed)?;
                if let Some(exchange) = self.exchange.take() {
                    self.engine.keep(exchange);
                }
                continue;
            }
            let (used, found) = self.splitter.push(exchange.body()).map_err(malformed)?;
            exchange.consume(used);
            self.bytes += used as u64;
            if self.bytes > LIST_BYTES {
                return Err(EngineError::TooLarge);
            }
            // Behind the closing bracket the body's own end is still to be read.
            if let Some(found @ (Found::Element | Found::TooLarge)) = found {
                return Ok(found);
            }
        }
    }
}

/// One event of an [`EventStream`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Line<'s> {
    /// Its JSON.
    Whole(&'s [u8]),
    /// It has more than [`EVENT_LINE`] bytes and was skipped.
    TooLarge,
}

/// A subscription to events.
#[derive(Debug)]
pub struct EventStream {
    exchange: Exchange,
    splitter: Splitter,
    /// The headers have come.
    begun: bool,
}

impl EventStream {
    /// Waits for the next event, however long it takes. `None` when the engine ends the stream. Whoever stops
    /// waiting can call again and misses nothing.
    pub async fn next(&mut self) -> Result<Option<Line<'_>>, EngineError> {
        if !self.begun {
            let head = self.exchange.head(Patience::Endless).await?;
            self.begun = true;
            if !(200..300).contains(&head.status) {
                return Err(self.exchange.refusal(head.status, within_call()).await);
            }
        }
        while self.exchange.fill(Patience::Endless).await? {
            let (used, found) = self.splitter.push(self.exchange.body()).map_err(malformed)?;
            self.exchange.consume(used);
            match found {
                Some(Found::Element) => return Ok(Some(Line::Whole(self.splitter.element()))),
                Some(_) => return Ok(Some(Line::TooLarge)),
                None => {}
            }
        }
        Ok(None)
    }
}

fn malformed(error: SplitError) -> EngineError {
    EngineError::Malformed(error.what())
}

#[cfg(test)]
#[path = "engine_tests.rs"]
pub(super) mod tests;
