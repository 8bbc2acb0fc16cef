//! TLS to a pinned server, as a connector of ureq.
//!
//! ureq takes no TLS configuration but its own, so this uses its `unversioned` interface, which changes between
//! minor releases: the workspace names an exact range of versions, and nothing but this file, `tcp`, `socket` and
//! `proxy` depends on it.

use crate::crypto;
use crate::failure::{Failure, one_line};
use crate::join_string::{Address, Pin};
use crate::proxy::Proxy;
use crate::socket::Tcp;
use crate::tcp;
use crate::verify::{PinVerifier, verdict};
use rustls::client::Resumption;
use rustls::pki_types::{ServerName, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{AlertDescription, ClientConfig, ClientConnection, InvalidMessage, StreamOwned};
use std::fmt;
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport};

/// What agents and the command line ask for by ALPN, and the server answers with its fleet certificate.
pub const ALPN: &[u8] = b"muster/1";

/// Servers whose TLS sessions are remembered. A client has one server.
const SESSIONS: usize = 2;

/// Opens pinned TLS connections for one agent of ureq.
pub(crate) struct PinnedConnector {
    tls: Arc<ClientConfig>,
    /// Connections begun so far: whether a request went over a kept one can be told from it.
    opened: Arc<AtomicU64>,
    route: Arc<Route>,
    /// Where a connection goes that ureq is done with, if anybody wants it.
    left: Option<Arc<Left>>,
}

/// The one server of a client, and the proxy on the way if there is one.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) server: Address,
    pub(crate) proxy: Option<Proxy>,
}

/// TLS that accepts servers with one of these pins and a certificate of at least this generation: for clients of
/// this crate and for others. TLS 1.3 with the fleet's protocol, and with sessions that are resumed.
pub fn tls(pins: Vec<Pin>, least_generation: u64) -> Result<Arc<ClientConfig>, Failure> {
    let verifier = PinVerifier::new(pins, least_generation);
    let mut tls = ClientConfig::builder_with_details(Arc::new(crypto::provider()), Arc::new(Uptime(Instant::now())))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| Failure::Tls(one_line(&error)))?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN.to_vec()];
    tls.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(tls))
}

/// The TLS of one server, built once and kept for as long as pins and generation stay what they are: for clients and
/// lines that come one after the other. Sessions are resumed from one to the next then, and nothing is built that
/// is there. Clones share it.
#[derive(Clone, Default)]
pub struct Kept(Arc<Mutex<Option<Built>>>);

struct Built {
    pins: Vec<Pin>,
    least_generation: u64,
    tls: Arc<ClientConfig>,
}

impl Kept {
    /// As [`tls`]: what was built for the same arguments, or else built now, and what was there is forgotten with
    /// its sessions.
    pub fn tls(&self, pins: &[Pin], least_generation: u64) -> Result<Arc<ClientConfig>, Failure> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(built) = &*kept
            && built.pins == pins
            && built.least_generation == least_generation
        {
            return Ok(built.tls.clone());
        }
        let tls = tls(pins.to_vec(), least_generation)?;
        *kept = Some(Built { pins: pins.to_vec(), least_generation, tls: tls.clone() });
        Ok(tls)
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}

impl PinnedConnector {
    /// Connects by `tls`, and counts connections in `opened`.
    pub(crate) fn new(
        tls: Arc<ClientConfig>,
        opened: Arc<AtomicU64>,
        route: Arc<Route>,
        left: Option<Arc<Left>>,
    ) -> PinnedConnector {
        PinnedConnector { tls, opened, route, left }
    }
}

/// The last connection that ureq gave up, as it was.
#[derive(Default)]
pub(crate) struct Left(Mutex<Option<Taken>>);

impl Left {
    pub(crate) fn take(&self) -> Option<Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A connection without ureq.
pub(crate) struct Taken {
    pub(crate) tls: ClientConnection,
    pub(crate) tcp: Arc<TcpStream>,
    /// Read from the socket, and not yet given to TLS.
    pub(crate) sealed: Vec<u8>,
    /// Read through TLS, and not yet used.
    pub(crate) opened: Vec<u8>,
}

/// A clock for the age of session tickets that neither jumps nor starts before 1970.
#[derive(Debug)]
struct Uptime(Instant);

impl TimeProvider for Uptime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.elapsed()))
    }
}

impl Connector<()> for PinnedConnector {
    type Out = PinnedTransport;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<PinnedTransport>, Error> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let connection = ClientConnection::new(self.tls.clone(), server_name(details)).map_err(tls_error)?;
        let Route { server, proxy } = &*self.route;
        let sock = match proxy {
            Some(proxy) => proxy.open(details, server).map_err(other)?,
            None => tcp::open(details)?,
        };
        let mut stream = StreamOwned::new(connection, sock);
        stream.conn.complete_io(&mut stream.sock).map_err(|error| match proxy {
            Some(proxy) => other(proxy.behind(Failure::of(handshake_error(error), server))),
            None => handshake_error(error),
        })?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        let buffers = JoiningBuffers { buffers, held: 0 };
        Ok(Some(PinnedTransport { stream: Some(stream), buffers, left: self.left.clone() }))
    }
}

impl fmt::Debug for PinnedConnector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedConnector").finish_non_exhaustive()
    }
}

/// The name goes into the handshake for proxies that route by it, and is not judged. What is no proper name is
/// replaced by an address, which is not sent.
fn server_name(details: &ConnectionDetails) -> ServerName<'static> {
    let host = details.uri.host().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    ServerName::try_from(bare.to_string()).unwrap_or(ServerName::from(IpAddr::V4(Ipv4Addr::UNSPECIFIED)))
}

/// A TLS stream that sends head and body of a request in one record.
///
/// ureq hands them over one by one; each record of its own costs a packet and its acknowledgement. So nothing is
/// sent until ureq waits for the answer or the buffer is half full.
pub(crate) struct PinnedTransport {
    stream: Option<Stream>,
    buffers: JoiningBuffers,
    left: Option<Arc<Left>>,
}

type Stream = StreamOwned<ClientConnection, Tcp>;

impl PinnedTransport {
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let held = std::mem::take(&mut self.buffers.held);
        if held == 0 {
            return Ok(());
        }
        let stream = self.stream.as_mut().ok_or(Error::ConnectionFailed)?;
        stream.sock.set_timeout(timeout);
        let output = &self.buffers.buffers.output()[..held];
        stream.write_all(output).and_then(|()| stream.flush()).map_err(stream_error)
    }
}

impl Transport for PinnedTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.buffers.held += amount;
        if self.buffers.held * 2 >= self.buffers.buffers.output().len() { self.flush(timeout) } else { Ok(()) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.flush(timeout)?;
        let stream = self.stream.as_mut().ok_or(Error::ConnectionFailed)?;
        stream.sock.set_timeout(timeout);
        let amount = stream.read(self.buffers.buffers.input_append_buf()).map_err(stream_error)?;
        self.buffers.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        self.stream.as_mut().is_some_and(|stream| stream.sock.get_mut().is_open())
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl Drop for PinnedTransport {
    fn drop(&mut self) {
        if let (Some(left), Some(stream)) = (&self.left, self.stream.take()) {
            let (tls, tcp) = stream.into_parts();
            let (tcp, sealed) = tcp.into_inner().into_parts();
            let opened = self.buffers.input().to_vec();
            let taken = Taken { tls, tcp, sealed, opened };
            *left.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(taken);
        }
    }
}

impl fmt::Debug for PinnedTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinnedTransport")
            .field("tcp", &self.stream.as_ref().map(|stream| stream.sock.inner()))
            .finish_non_exhaustive()
    }
}

/// ureq's buffers, with the beginning of the output set aside for what is held back.
struct JoiningBuffers {
    buffers: LazyBuffers,
    /// Bytes of output that ureq has handed over and that are not yet sent. Never more than half of the buffer
    /// when ureq asks for room.
    held: usize,
}

impl Buffers for JoiningBuffers {
    fn output(&mut self) -> &mut [u8] {
        &mut self.buffers.output()[self.held..]
    }

    fn input(&self) -> &[u8] {
        self.buffers.input()
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        self.buffers.input_append_buf()
    }

    fn input_appended(&mut self, amount: usize) {
        self.buffers.input_appended(amount);
    }

    fn input_consume(&mut self, amount: usize) {
        self.buffers.input_consume(amount);
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        let (tmp, output) = self.buffers.tmp_and_output();
        (tmp, &mut output[self.held..])
    }

    fn can_use_input(&self) -> bool {
        self.buffers.can_use_input()
    }
}

/// Gives ureq a failure of ours.
fn other(failure: Failure) -> Error {
    Error::Other(Box::new(failure))
}

fn tls_error(error: rustls::Error) -> Error {
    other(verdict(&error).unwrap_or_else(|| {
        Failure::Tls(match &error {
            rustls::Error::InvalidMessage(InvalidMessage::InvalidContentType) => {
                "what answers there does not speak TLS; is the port right?".to_string()
            }
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) => {
                "what answers there is no Muster server (no common application protocol)".to_string()
            }
            error => one_line(error),
        })
    }))
}

/// An error of the stream is rustls's, or ureq's (time limits), or the system's.
fn stream_error(error: io::Error) -> Error {
    match error.downcast::<rustls::Error>() {
        Ok(error) => tls_error(error),
        Err(error) => Error::from(error),
    }
}

fn handshake_error(error: io::Error) -> Error {
    if error.kind() == io::ErrorKind::UnexpectedEof && error.get_ref().is_none_or(|inner| !inner.is::<Error>()) {
        let why = "the connection was closed before TLS was established".to_string();
        return other(Failure::Unreachable(why));
    }
    stream_error(error)
}

/// Finds where to connect to first: the proxy, if there is one, else the server.
///
/// Looks names up as ureq does, and leaves addresses alone: ureq would start a thread for them, too.
#[derive(Debug)]
pub(crate) struct FirstHop {
    names: DefaultResolver,
    route: Arc<Route>,
}

impl FirstHop {
    pub(crate) fn new(route: Arc<Route>) -> FirstHop {
        FirstHop { names: DefaultResolver::default(), route }
    }

    fn look_up(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.host().unwrap_or_default();
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match (bare.parse::<IpAddr>(), uri.port_u16()) {
            (Ok(ip), Some(port)) => {
                let mut addresses = self.empty();
                addresses.push(SocketAddr::new(ip, port));
                Ok(addresses)
            }
            _ => self.names.resolve(uri, config, timeout),
        }
    }
}

impl Resolver for FirstHop {
    fn resolve(&self, uri: &Uri, config: &Config, timeout: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        match &self.route.proxy {
            Some(proxy) => {
                let found = proxy.uri().and_then(|uri| self.look_up(&uri, config, timeout));
                found.map_err(|error| other(proxy.not_found(&error)))
            }
            None => self.look_up(uri, config, timeout),
        }
    }
}

/// Kept connections live this long in silence: longer than the longest interval between reports. What has died
/// meanwhile is noticed when it is used.
pub(crate) const KEEP_IDLE: Duration = Duration::from_secs(3600);
