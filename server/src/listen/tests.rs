//! The listener over real TLS on loopback, with clients of all manners.

use super::{Limits, Method, Request, Response, serve};
use crate::access::fleet_key::FleetKey;
use futures_lite::future::block_on;
use muster_dial::{Client, Settings, Status};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use smol::Executor;
use smol::net::TcpListener;
use std::future::Future;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// So long nothing here should take; a test that waits longer has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Soon over.
const SHORT: Duration = Duration::from_millis(150);

/// Limits that are checked often, and are not over within a test.
fn limits() -> Limits {
    Limits { sweep: Duration::from_millis(10), ..Limits::default() }
}

/// A listener on a thread of its own.
struct Server {
    address: SocketAddr,
    fleet: FleetKey,
    tls: Arc<ClientConfig>,
    stop: Option<async_channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start<F>(limits: Limits, handler: impl Fn(Request) -> F + Send + Sync + 'static) -> Server
    where
        F: Future<Output = Response> + Send + 'static,
    {
        let fleet = FleetKey::ephemeral();
        let tls = fleet.server_config(&[]).unwrap();
        let listener = block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let thread = thread::spawn(move || {
            let executor = Arc::new(Executor::new());
            let shutdown = async move {
                let _ = stopped.recv().await;
            };
            block_on(executor.run(serve(listener, tls, limits, executor.clone(), handler, shutdown)));
        });
        let mut roots = RootCertStore::empty();
        roots.add(fleet.certificate().clone()).unwrap();
        let tls = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Server { address, fleet, tls: tls.into(), stop: Some(stop), thread: Some(thread) }
    }

    fn tcp(&self) -> TcpStream {
        let tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        tcp.set_write_timeout(Some(PATIENCE)).unwrap();
        tcp
    }

    /// A connection of a client that judges certificates as browsers do.
    fn connect(&self) -> Raw {
        let tls = ClientConnection::new(self.tls.clone(), "localhost".try_into().unwrap()).unwrap();
        let mut raw = Raw { tls: StreamOwned::new(tls, self.tcp()), read: Vec::new() };
        let _ = raw.tls.flush();
        raw
    }

    /// A client as agents have it.
    fn client(&self) -> Client {
        Client::new(Settings::small(self.address.to_string().parse().unwrap(), vec![self.fleet.pin()])).unwrap()
    }

    /// Stops it, and waits for its end.
    fn stop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.stop();
        }
    }
}

/// A client that sends what it likes.
struct Raw {
    tls: StreamOwned<ClientConnection, TcpStream>,
    read: Vec<u8>,
}

impl Raw {
    fn send(&mut self, bytes: &[u8]) {
        self.tls.write_all(bytes).and_then(|()| self.tls.flush()).unwrap();
    }

    /// Reads until this text has come, and takes everything up to its end.
    fn until(&mut self, text: &str) -> String {
        loop {
            if let Some(at) = self.read.windows(text.len()).position(|window| window == text.as_bytes()) {
                let rest = self.read.split_off(at + text.len());
                return String::from_utf8(std::mem::replace(&mut self.read, rest)).unwrap();
            }
            let mut buffer = [0; 4096];
            let length = self.tls.read(&mut buffer).unwrap();
            assert_ne!(length, 0, "the end came before '{text}'");
            self.read.extend_from_slice(&buffer[..length]);
        }
    }

    /// Waits for the server to close the connection, and gives what came before that.
    fn until_closed(mut self) -> String {
        let mut rest = std::mem::take(&mut self.read);
        let mut buffer = [0; 4096];
        loop {
            match self.tls.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => rest.extend_from_slice(&buffer[..length]),
                Err(error) => {
                    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is still open");
                    break;
                }
            }
        }
        String::from_utf8(rest).unwrap()
    }
}

fn closed(mut tcp: TcpStream) {
    if let Err(error) = tcp.read_to_end(&mut Vec::new()) {
        assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "it is still open");
    }
}

/// The most that `echo` reads.
const BODY: usize = 1000;

/// Answers with the body, or the path and query.
async fn echo(mut request: Request) -> Response {
    match request.body.read(BODY).await {
        Ok(body) if body.is_empty() => {
            let text = format!("[{} {} {}]", request.method, request.path, request.query);
            Response::bytes(200, "text/plain", text.into_bytes())
        }
        Ok(body) => Response::bytes(200, "", body),
        Err(error) => Response::bytes(error.status(), "text/plain", error.to_string().into_bytes()),
    }
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nhost: x\r\n\r\n";

#[test]
fn agents_and_browsers_are_served_over_kept_connections() {
    let server = Server::start(limits(), echo);
    let client = server.client();
    let mut answer = Vec::new();
    assert_eq!(client.get("/a%2Fb?c=d%20e", "", &mut answer, 100), Ok(Status(200)));
    assert_eq!(answer, b"[GET /a%2Fb c=d%20e]");
    assert_eq!(client.post("/", "", &[7; BODY], &mut answer, BODY), Ok(Status(200)));
    assert_eq!(answer, [7; BODY]);
    assert_eq!(client.connections(), 1);
    let mut browser = server.connect();
    browser.send(GET);
    assert!(browser.until("[GET / ]").starts_with("HTTP/1.1 200 OK\r\n"));
    browser.send(b"HEAD /h HTTP/1.1\r\nhost: x\r\n\r\n");
    browser.until("content-length: 10\r\n\r\n");
    browser.send(b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
    assert!(browser.until_closed().ends_with("[GET /last ]"));
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let server = Server::start(limits(), echo);
    let mut raw = server.connect();
    raw.send(b"GET /1 HTTP/1.1\r\n\r\nPOST /2 HTTP/1.1\r\ncontent-length: 3\r\n\r\ntwoGET /3 HTTP/1.1\r\n\r\nGET /4");
    let answers = raw.until("[GET /3 ]");
    assert!(answers.find("[GET /1 ]") < answers.find("two"), "{answers}");
    raw.send(b" HTTP/1.1\r\n\r\n");
    raw.until("[GET /4 ]");
}

#[test]
fn headers_are_handed_over_and_secrets_not_shown() {
    let (seen, requests) = async_channel::unbounded();
    let server = Server::start(limits(), move |request: Request| {
        let shown = format!("{request:?}");
        let bearer = request.bearer().map(String::from);
        let id = request.header("last-event-id").map(String::from);
        seen.try_send((request.method, bearer, id, shown)).unwrap();
        async { Response::empty(204).header("x-one", "1").header("x-bad", "a\nb").header("b ad", "") }
    });
    assert!(server.client().stream("/", "secret", Some("7"), PATIENCE).is_ok());
    let (method, bearer, id, shown) = requests.recv_blocking().unwrap();
    assert_eq!((method, bearer.as_deref(), id.as_deref()), (Method::GET, Some("secret"), Some("7")));
    assert!(!shown.contains("secret"));
    let mut raw = server.connect();
    raw.send(b"GET / HTTP/1.1\r\nAuthorization: bearer one\r\nauthorization: Bearer two\r\n\r\n");
    let answer = raw.until("\r\n\r\n");
    assert!(answer.contains("x-one: 1\r\n") && !answer.contains("ad"), "{answer}");
    assert_eq!(requests.recv_blocking().unwrap().1, None, "two credentials are none");
}

#[test]
fn silent_and_slow_clients_are_cut() {
    let server = Server::start(Limits { handshake: SHORT, ..limits() }, echo);
    closed(server.tcp());
    let mut dribble = server.tcp();
    dribble.write_all(&[22, 3, 1]).unwrap();
    closed(dribble);

    let server = Server::start(Limits { first_request: SHORT, ..limits() }, echo);
    assert_eq!(server.connect().until_closed(), "");

    let server = Server::start(Limits { head: SHORT, ..limits() }, echo);
    let mut raw = server.connect();
    raw.send(b"GET / HTTP/1.1\r\nhost:");
    assert_eq!(raw.until_closed(), "");
    let mut raw = server.connect();
    raw.send(GET);
    raw.until("[GET / ]");
    raw.send(b"G");
    assert_eq!(raw.until_closed(), "");
}

#[test]
fn idle_connections_last_as_long_as_the_handler_says() {
    let server = Server::start(Limits { idle: SHORT, ..limits() }, |request: Request| async move {
        let idle = if request.path == "/agent" { PATIENCE } else { Duration::ZERO };
        let response = Response::bytes(200, "", b"done".to_vec());
        if idle.is_zero() { response } else { response.keep_idle(idle) }
    });
    let mut agent = server.connect();
    agent.send(b"GET /agent HTTP/1.1\r\n\r\n");
    agent.until("done");
    let mut other = server.connect();
    other.send(GET);
    other.until("done");
    assert_eq!(other.until_closed(), "");
    agent.send(GET);
    agent.until("done");
}

#[test]
fn slow_bodies_are_refused_and_their_connection_closed() {
    let server = Server::start(Limits { body: SHORT, ..limits() }, echo);
    let mut raw = server.connect();
    raw.send(b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc");
    assert!(raw.until_closed().starts_with("HTTP/1.1 408 "));
}

#[test]
fn oversized_bodies_are_refused_and_the_connection_survives_if_they_end() {
    let server = Server::start(limits(), echo);
    let client = server.client();
    let mut answer = Vec::new();
    for length in [BODY + 1, 200_000] {
        assert_eq!(client.post("/", "", &vec![7; length], &mut answer, 100), Ok(Status(413)));
    }
    let mut raw = server.connect();
    raw.send(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..30 {
        raw.send(&[&b"64\r\n"[..], &[7; 0x64], b"\r\n"].concat());
    }
    raw.send(b"0\r\n\r\n");
    assert!(raw.until("too large").starts_with("HTTP/1.1 413 "));
    raw.send(GET);
    raw.until("[GET / ]");
    assert_eq!(client.get("/", "", &mut answer, 100), Ok(Status(200)));
    assert_eq!(client.connections(), 1);
}

#[test]
fn bodies_without_end_are_given_up() {
    let server = Server::start(limits(), echo);
    let mut raw = server.connect();
    raw.send(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n");
    let part = [&b"4000\r\n"[..], &[7; 0x4000], b"\r\n"].concat();
    while raw.tls.write_all(&part).is_ok() {}
    drop(raw);
    let server = Server::start(Limits { drain: SHORT, ..limits() }, |_| async { Response::empty(401) });
    let mut raw = server.connect();
    raw.send(b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nabc");
    assert!(raw.until_closed().starts_with("HTTP/1.1 401 "));
}

#[test]
fn an_unread_body_does_not_cost_the_connection() {
    let server = Server::start(limits(), |_| async { Response::empty(401) });
    let client = server.client();
    for _ in 0..3 {
        assert_eq!(client.post("/", "", &[7; 100_000], &mut Vec::new(), 0), Ok(Status(401)));
    }
    assert_eq!(client.connections(), 1);
}

#[test]
fn oversized_heads_are_refused() {
    let server = Server::start(limits(), echo);
    let long = "y".repeat(limits().head_bytes);
    let many = "x: y\r\n".repeat(limits().headers + 1);
    for head in [format!("x: {long}\r\n"), many] {
        let mut raw = server.connect();
        raw.send(format!("GET / HTTP/1.1\r\n{head}\r\n").as_bytes());
        assert!(raw.until_closed().starts_with("HTTP/1.1 431 "));
    }
    let mut raw = server.connect();
    raw.send(format!("GET /{long} HTTP/1.1\r\n\r\n").as_bytes());
    assert!(raw.until_closed().starts_with("HTTP/1.1 4"));
}

#[test]
fn what_is_no_tls_or_no_http_is_closed_and_harms_nobody() {
    let server = Server::start(limits(), echo);
    for bytes in [GET, &[0; 1000], &[22, 3, 1, 255, 255, 1, 2, 3], &[255; 70_000], b"\x16\x03\x01\x00\x05hello"] {
        let mut tcp = server.tcp();
        let _ = tcp.write_all(bytes);
        let _ = tcp.shutdown(std::net::Shutdown::Write);
        closed(tcp);
    }
    for bytes in [&b"\0\0\0\0\r\n\r\n"[..], b"GET / HTTP/9.9\r\n\r\n", b"POST / HTTP/1.1\r\ncontent-length: -1\r\n\r\n"]
    {
        let mut raw = server.connect();
        raw.send(bytes);
        assert!(raw.until_closed().starts_with("HTTP/1.1 400 "), "{bytes:?}");
    }
    assert_eq!(server.client().get("/", "", &mut Vec::new(), 100), Ok(Status(200)));
}

#[test]
fn a_stream_arrives_part_by_part_and_ends_when_the_client_leaves() {
    let (subscribed, subscribers) = async_channel::unbounded();
    let server = Server::start(limits(), move |_| {
        let (sender, receiver) = async_channel::bounded::<Vec<u8>>(1);
        subscribed.try_send(sender).unwrap();
        async { Response::stream(200, "text/event-stream", receiver) }
    });
    let client = server.client();
    let mut stream = client.stream("/", "", None, PATIENCE).unwrap();
    let sender = subscribers.recv_blocking().unwrap();
    let mut buffer = [0; 100];
    for part in ["data: 1\n\n", "", "data: 2\n\n"] {
        sender.send_blocking(part.as_bytes().to_vec()).unwrap();
        if !part.is_empty() {
            let length = stream.read(&mut buffer).unwrap();
            assert_eq!(&buffer[..length], part.as_bytes());
        }
    }
    drop(stream);
    block_on(sender.closed());

    let mut stream = client.stream("/", "", None, PATIENCE).unwrap();
    let sender = subscribers.recv_blocking().unwrap();
    sender.send_blocking(b"last".to_vec()).unwrap();
    drop(sender);
    let mut all = String::new();
    stream.read_to_string(&mut all).unwrap();
    assert_eq!(all, "last");
}

#[test]
fn a_client_that_takes_nothing_is_cut() {
    let (subscribed, subscribers) = async_channel::unbounded();
    let server = Server::start(Limits { stall: SHORT, ..limits() }, move |_| {
        let (sender, receiver) = async_channel::bounded::<Vec<u8>>(1);
        subscribed.try_send(sender).unwrap();
        async { Response::stream(200, "", receiver) }
    });
    let mut raw = server.connect();
    raw.send(GET);
    let sender = subscribers.recv_blocking().unwrap();
    while sender.send_blocking(vec![0; 64 * 1024]).is_ok() {}
}

#[test]
fn a_flood_from_one_address_is_bounded_and_known_clients_do_not_count() {
    let few = Limits { unknown_per_peer: 2, ..limits() };
    let server = Server::start(few, |_| async { Response::bytes(200, "", b"hi".to_vec()).known(1) });
    let mut known = server.connect();
    known.send(GET);
    known.until("hi");
    let (mut first, mut second) = (server.connect(), server.connect());
    // By its request it is known to be in.
    second.send(b"G");
    first.send(b"G");
    closed(server.tcp());
    first.send(b"ET / HTTP/1.1\r\n\r\n");
    first.until("hi");
    let mut third = server.connect();
    third.send(GET);
    third.until("hi");
    known.send(GET);
    known.until("hi");

    let server = Server::start(Limits { connections: 1, ..limits() }, echo);
    let mut only = server.connect();
    only.send(GET);
    only.until("[GET / ]");
    closed(server.tcp());
    only.send(GET);
    only.until("[GET / ]");
}

#[test]
fn the_end_waits_for_answers_and_for_nothing_else() {
    let (arrived, arrivals) = async_channel::unbounded();
    let (go, gone) = async_channel::bounded::<()>(1);
    let mut server = Server::start(Limits { grace: PATIENCE, ..limits() }, move |_| {
        let (arrived, gone) = (arrived.clone(), gone.clone());
        async move {
            arrived.send(()).await.unwrap();
            let _ = gone.recv().await;
            Response::bytes(200, "", b"done".to_vec())
        }
    });
    let silent = server.connect();
    let mut asking = server.connect();
    asking.send(GET);
    arrivals.recv_blocking().unwrap();
    server.stop = None;
    assert_eq!(silent.until_closed(), "");
    drop(go);
    assert!(asking.until_closed().ends_with("done"));
    server.stop();
    assert!(TcpStream::connect(server.address).is_err());
}

#[test]
fn the_end_does_not_wait_for_ever() {
    let (_keep, never) = async_channel::bounded::<Vec<u8>>(1);
    let mut server = Server::start(Limits { grace: SHORT, ..limits() }, move |_| {
        let never = never.clone();
        async { Response::stream(200, "text/event-stream", never) }
    });
    let client = server.client();
    let mut stream = client.stream("/", "", None, PATIENCE).unwrap();
    server.stop();
    assert!(stream.read(&mut [0]).is_err());
}
