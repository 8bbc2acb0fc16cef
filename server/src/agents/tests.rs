//! What agents are answered, over real TLS on loopback.

mod network;
mod old_agent;
mod transport;

use super::harness::{Agent, Bench, by, one_record};
use crate::access::fleet_key::FleetKey;
use crate::listen::{self, Limits};
use futures_lite::future::block_on;
use muster_dial::{Client, Settings};
use muster_protocol::batch::{Answer, Reason, Refused};
use muster_protocol::hello::{Hello, Stream, Welcome};
use muster_protocol::join::{Join, Joined};
use muster_protocol::limits;
use muster_protocol::record::{Kind, Reader};
use rustls::{ClientConnection, StreamOwned};
use serde::Deserialize;
use smol::Executor;
use smol::net::TcpListener;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// A bench with a port.
struct Port {
    bench: Bench,
    key: FleetKey,
    address: SocketAddr,
    stop: Option<async_channel::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Port {
    fn open() -> Port {
        let bench = Bench::new();
        let key = FleetKey::ephemeral();
        let tls = key.server_config(&[]).expect("a certificate");
        let listener = block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).expect("a port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = async_channel::bounded::<()>(1);
        let fleet = bench.fleet.clone();
        let thread = thread::spawn(move || {
            let executor = Arc::new(Executor::new());
            let handler = move |request| {
                let fleet = fleet.clone();
                async move { super::answer(&fleet, request).await }
            };
            let shutdown = async move {
                let _ = stopped.recv().await;
            };
            block_on(executor.run(listen::serve(
                listener,
                tls,
                Limits::default(),
                executor.clone(),
                handler,
                shutdown,
            )));
        });
        Port { bench, key, address, stop: Some(stop), thread: Some(thread) }
    }

    /// A connection for bytes of the test's own.
    fn raw(&self) -> StreamOwned<ClientConnection, TcpStream> {
        let tls = muster_dial::pinned::tls(vec![self.key.pin()], 0).expect("pins");
        let name = "localhost".try_into().expect("a name");
        let tcp = TcpStream::connect(self.address).expect("it listens");
        tcp.set_read_timeout(Some(Duration::from_secs(30))).expect("a limit");
        StreamOwned::new(ClientConnection::new(tls, name).expect("a client"), tcp)
    }

    fn client(&self) -> Client {
        let address = self.address.to_string().parse().expect("an address");
        Client::new(Settings::small(address, vec![self.key.pin()])).expect("a client")
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop = None;
        if let Some(thread) = self.thread.take().filter(|_| !thread::panicking()) {
            thread.join().expect("it ends");
        }
    }
}

/// Status and body.
fn post(client: &Client, what: &str, credential: &str, body: &[u8]) -> (u16, Vec<u8>) {
    let mut answer = Vec::new();
    let path = format!("{}{what}", super::PREFIX);
    let status = client.post(&path, credential, body, &mut answer, limits::MESSAGE).expect("an answer");
    (status.0, answer)
}

fn record<'a, T: Deserialize<'a>>(kind: Kind, (status, body): &'a (u16, Vec<u8>)) -> T {
    assert_eq!(*status, 200, "{}", String::from_utf8_lossy(body));
    Reader::message(body).and_then(|mut reader| reader.expect(kind)).expect("a record of that kind")
}

fn reason(answer: &(u16, Vec<u8>)) -> Reason {
    Reason::from_number(record::<Refused>(Kind::Refused, answer).reason)
}

#[test]
fn a_host_joins_says_hello_and_reports() {
    let port = Port::open();
    let (client, mut agent) = (port.client(), Agent::new());
    let token = port.bench.token(Some(1));
    let join = one_record(Kind::Join, &Join { token: &token, name: "pi", fingerprint: [0; 16] });
    for _ in 0..2 {
        let answer = post(&client, "join", &agent.credential, &join);
        assert_eq!(record::<Joined<'_>>(Kind::Joined, &answer).name, "pi");
    }
    let welcome: Welcome = record(Kind::Welcome, &post(&client, "hello", &agent.credential, &agent.hello_bytes()));
    assert!(welcome.epoch == 1 && welcome.kinds.len() == Kind::ALL.len());
    agent.reporter.welcomed(&welcome);
    agent.containers = vec![(1, muster_protocol::container::State::Running)];
    let body = agent.report_bytes();
    let answer: Answer = record(Kind::Answer, &post(&client, "report", &agent.credential, &body));
    assert!(answer.acknowledged > 0 && agent.reporter.answered(&answer));
    assert_eq!(agent.shown(&port.bench), ["c1"]);
    // The same again, as after an answer that was lost.
    let answer: Answer = record(Kind::Answer, &post(&client, "report", &agent.credential, &body));
    assert!(answer.acknowledged > 0);
    let mut status = Vec::new();
    client.get("/agent/v1/status", &agent.credential, &mut status, 1000).expect("an answer");
    assert_eq!(record::<Joined<'_>>(Kind::Joined, &(200, status)).host, agent.cell(&port.bench).id);
    assert_eq!(client.connections(), 1);

    // An older epoch changes nothing, and is told so.
    let old = agent.report_bytes();
    agent.start();
    let welcome: Welcome = record(Kind::Welcome, &post(&client, "hello", &agent.credential, &agent.hello_bytes()));
    assert_eq!(welcome.epoch, 2);
    assert_eq!(reason(&post(&client, "report", &agent.credential, &old)), Reason::StaleEpoch);
}

#[test]
fn who_is_not_let_in_is_told_why() {
    let port = Port::open();
    let client = port.client();
    let agent = port.bench.host("pi", &[1]);
    let stranger = Agent::new();
    let hello = stranger.hello_bytes();
    for credential in ["", "short", &"g".repeat(64), &stranger.credential] {
        for what in ["hello", "report"] {
            assert_eq!(post(&client, what, credential, &hello).0, 401, "{credential:?}");
        }
    }
    let join = |token: &str, name: &str| {
        let join = one_record(Kind::Join, &Join { token, name, fingerprint: [0; 16] });
        post(&client, "join", &stranger.credential, &join)
    };
    let (status, why) = join("mj_0123456789abcdef0123456789abcdef", "pi");
    assert!(status == 403 && String::from_utf8_lossy(&why).contains("muster join-command"));
    assert_eq!(join(&"x".repeat(200), "pi").0, 400);
    assert_eq!(join("x", &"x".repeat(400)).0, 400);
    assert_eq!(post(&client, "join", &stranger.credential, &[1; 5000]).0, 413);
    assert_eq!(post(&client, "join", "", &[]).0, 401);

    block_on(port.bench.fleet.remove_host(&by(), "pi")).expect("removed");
    assert_eq!(post(&client, "hello", &agent.credential, &hello).0, 410);
    assert_eq!(post(&client, "report", &agent.credential, &[]).0, 410);
}

#[test]
fn what_is_no_message_changes_nothing() {
    let port = Port::open();
    let client = port.client();
    let mut agent = port.bench.host("pi", &[1]);
    let before = (agent.shown(&port.bench), port.bench.history(), port.bench.store.commits());
    let good = agent.report_bytes();
    for what in ["hello", "report"] {
        for body in [&[][..], &[0], &[1], &[9; 100], &good[..good.len() - 1], &one_record(Kind::Joined, &1u8)] {
            assert_eq!(post(&client, what, &agent.credential, body).0, 400, "{what} {body:?}");
        }
        assert_eq!(post(&client, what, &agent.credential, &vec![1; limits::MESSAGE + 1]).0, 413);
    }
    let hello = |stream: u8, fact: &str| {
        let hello = Hello {
            run: [1; 16],
            stream,
            fingerprint: [0; 16],
            highest_epoch: 0,
            interval_ms: 5000,
            agent_version: fact,
            os: "",
            arch: "",
            kernel: "",
        };
        post(&client, "hello", &agent.credential, &one_record(Kind::Hello, &hello))
    };
    assert_eq!(hello(200, "").0, 400, "a stream of a later version");
    assert_eq!(post(&client, "nothing", &agent.credential, &[]).0, 404);
    assert_eq!(post(&client, "status", &agent.credential, &[]).0, 405);
    assert_eq!((agent.shown(&port.bench), port.bench.history(), port.bench.store.commits()), before);

    let long = "x\n".repeat(100);
    assert_eq!(hello(Stream::Report as u8, &long).0, 200);
    assert_eq!(agent.view(&port.bench).agent_version.as_deref(), Some(&*"x".repeat(limits::FACT)));
}

#[test]
fn a_flood_of_one_host_is_refused_and_others_are_served() {
    let port = Port::open();
    let flooding = port.bench.host("flood", &[1]);
    let mut calm = port.bench.host("calm", &[2]);
    let cell = flooding.cell(&port.bench);
    // As if so many of its messages were on their way.
    let places: Vec<_> = std::iter::from_fn(|| cell.place()).collect();
    assert!(!places.is_empty() && places.len() < 20, "{}", places.len());
    let client = port.client();
    for body in [&[1; 10][..], &[1; limits::MESSAGE]] {
        assert_eq!(reason(&post(&client, "report", &flooding.credential, body)), Reason::TooMany);
    }
    let body = calm.report_bytes();
    record::<Answer>(Kind::Answer, &post(&port.client(), "report", &calm.credential, &body));
    drop(places);
    assert_eq!(post(&client, "report", &flooding.credential, &[]).0, 400, "its turn has come again");
    // Hellos cost a commit each, and are counted like reports.
    port.bench.until(|fleet| {
        while cell.pace.take(fleet.now().monotonic_ms, 0).is_some() {}
        let (_, answer) = post(&client, "hello", &flooding.credential, &flooding.hello_bytes());
        let refused = Reader::message(&answer).and_then(|mut reader| reader.expect::<Refused>(Kind::Refused));
        refused.is_ok_and(|refused| refused.reason == Reason::TooMany as u8)
    });
}

#[test]
fn a_store_that_fails_is_told_and_the_host_comes_again() {
    let port = Port::open();
    let client = port.client();
    let mut agent = port.bench.host("pi", &[1]);
    agent.event("die", 1);
    let body = agent.report_bytes();
    port.bench.store.fail_commits(1);
    assert_eq!(reason(&post(&client, "report", &agent.credential, &body)), Reason::Store);
    port.bench.until(|fleet| fleet.committer().may_try());
    assert_eq!(reason(&post(&client, "report", &agent.credential, &body)), Reason::HelloFirst);
    agent.catch_up(&port.bench);
    assert_eq!(port.bench.history().iter().filter(|line| *line == "pi die c1").count(), 1);
}
