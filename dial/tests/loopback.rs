//! The client against real TLS servers on loopback, proper and improper ones.

mod server;

use muster_dial::{Client, Failure, Line, Opened, Pin, Proxies, Settings, Status, pinned::ALPN};
use rcgen::{CertificateParams, Issuer, KeyPair, PublicKeyData};
use rustls::HandshakeKind;
use rustls::pki_types::PrivateKeyDer;
use server::{Fleet, NOW, answer, echo, listen, listen_tls, request, silence, tls, usual};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Whatever proxies the tests' own environment has.
fn settings(address: SocketAddr, pins: &[Pin]) -> Settings {
    let settings = Settings::small(address.to_string().parse().unwrap(), pins.to_vec());
    Settings { proxies: Proxies::none(), ..settings }
}

fn client(address: SocketAddr, pins: &[Pin]) -> Client {
    Client::new(settings(address, pins)).unwrap()
}

fn hasty(address: SocketAddr, pins: &[Pin]) -> Client {
    Client::new(Settings {
        connect_timeout: Duration::from_millis(300),
        overall_timeout: Duration::from_millis(300),
        ..settings(address, pins)
    })
    .unwrap()
}

fn get(client: &Client) -> Result<Status, Failure> {
    client.get("/", "", &mut Vec::new(), 1024)
}

#[test]
fn the_pinned_fleet_is_accepted_by_whatever_address_and_its_connection_kept() {
    let fleet = Fleet::new();
    let address = listen_tls(usual(&fleet), echo);
    let other = Fleet::new().pin();
    let client = client(address, &[other, fleet.pin()]);
    let mut body = b"old".to_vec();
    assert_eq!(client.get("/x?y=z", "", &mut body, 5), Ok(Status(200)));
    assert_eq!(body, b"hello");
    let long = vec![7; 100_000];
    assert_eq!(client.post("/", "secret", &long, &mut body, long.len()), Ok(Status(200)));
    assert_eq!(body, long);
    assert_eq!(client.connections(), 1);
}

#[test]
fn a_request_says_only_what_is_needed_and_in_one_record() {
    let fleet = Fleet::new();
    let (seen, heads) = channel();
    let address = listen_tls(usual(&fleet), move |mut tls| {
        while let Some((head, body)) = request(&mut tls) {
            let records = application_records(&tls.sock.bytes.lock().unwrap());
            seen.send((head, body, records)).unwrap();
            answer(&mut tls, "204 No Content", b"");
        }
    });
    let client = client(address, &[fleet.pin()]);
    let mut none = Vec::new();
    assert_eq!(client.post("/r", "cred", b"one", &mut none, 0), Ok(Status(204)));
    assert_eq!(client.post("/r", "cred", b"two", &mut none, 0), Ok(Status(204)));
    let (_, _, before) = heads.recv().unwrap();
    let (head, body, after) = heads.recv().unwrap();
    assert_eq!(body, b"two");
    assert_eq!(after - before, 1, "head and body of one request");
    let mut lines: Vec<&str> = head.lines().filter(|line| !line.is_empty()).collect();
    lines[1..].sort_unstable();
    let host = format!("host: {address}");
    assert_eq!(lines, ["POST /r HTTP/1.1", "authorization: Bearer cred", "content-length: 3", &host]);
    let json = client.send_json(muster_dial::client::Method::PATCH, "/r", "cred", b"{}", &mut none, 0);
    assert_eq!(json, Ok(Status(204)));
    let (head, ..) = heads.recv().unwrap();
    assert!(head.starts_with("PATCH /r ") && head.contains("content-type: application/json"));
}

/// Counts TLS records that carry application data, in what a client sent.
fn application_records(mut bytes: &[u8]) -> usize {
    let mut count = 0;
    while let [kind, _, _, high, low, rest @ ..] = bytes {
        count += usize::from(*kind == 23);
        bytes = rest.get(usize::from(*high) << 8 | usize::from(*low)..).unwrap_or_default();
    }
    count
}

#[test]
fn another_fleet_is_a_pin_mismatch_that_names_both() {
    let (fleet, other) = (Fleet::new(), Fleet::new());
    let address = listen_tls(usual(&fleet), echo);
    let expected = other.pin().to_string();
    let got = fleet.pin().to_string();
    assert_eq!(get(&client(address, &[other.pin()])), Err(Failure::PinMismatch { expected, got }));
}

#[test]
fn a_pinned_certificate_beside_a_foreign_leaf_proves_nothing() {
    let (fleet, thief) = (Fleet::new(), Fleet::new());
    let (leaf, key) = thief.serving(NOW);
    for chain in [
        vec![leaf.clone(), fleet.certificate()],
        vec![leaf.clone(), thief.certificate(), fleet.certificate()],
        vec![leaf, fleet.certificate(), thief.certificate()],
    ] {
        let address = listen_tls(tls(chain, &key, &[ALPN]), echo);
        let failure = get(&client(address, &[fleet.pin()])).unwrap_err();
        assert!(matches!(&failure, Failure::PinMismatch { got, .. } if got.contains("did not sign")), "{failure}");
    }
}

#[test]
fn a_certificate_below_one_of_the_fleets_own_leaves_proves_nothing() {
    let fleet = Fleet::new();
    let (leaf, key) = fleet.serving(NOW);
    let leaf_params = CertificateParams::new(vec!["elsewhere.example".to_string()]).unwrap();
    let below_key = KeyPair::generate().unwrap();
    let issuer = Issuer::from_params(&leaf_params, &key);
    let below = CertificateParams::default().signed_by(&below_key, &issuer).unwrap().der().clone();
    let address = listen_tls(tls(vec![below, leaf, fleet.certificate()], &below_key, &[ALPN]), echo);
    assert!(matches!(get(&client(address, &[fleet.pin()])), Err(Failure::PinMismatch { .. })));
}

#[test]
fn a_leaf_can_be_pinned_itself_and_needs_its_key() {
    let fleet = Fleet::new();
    let (leaf, key) = Fleet::new().serving(NOW);
    let pin = Pin::of_public_key(&key.subject_public_key_info());
    let address = listen_tls(tls(vec![leaf.clone()], &key, &[ALPN]), echo);
    assert_eq!(get(&client(address, &[pin])), Ok(Status(200)));
    let itself = listen_tls(tls(vec![fleet.certificate()], &fleet.key, &[ALPN]), echo);
    assert_eq!(get(&client(itself, &[fleet.pin()])), Ok(Status(200)));
    // A thief has the certificate, and another key.
    let provider = rustls::crypto::ring::default_provider();
    let stolen = PrivateKeyDer::try_from(KeyPair::generate().unwrap().serialize_der()).unwrap();
    let stolen = provider.key_provider.load_private_key(stolen).unwrap();
    let mut config = tls(vec![leaf.clone()], &key, &[ALPN]);
    config.cert_resolver =
        Arc::new(rustls::sign::SingleCertAndKey::from(rustls::sign::CertifiedKey::new(vec![leaf], stolen)));
    let failure = get(&client(listen_tls(config, echo), &[pin])).unwrap_err();
    assert!(matches!(failure, Failure::Tls(_)), "{failure}");
}

#[test]
fn dates_of_certificates_do_not_matter() {
    let fleet = Fleet::new();
    for years in [(1970, 1971), (1999, 2001), (2200, 2201), (1970, 9999)] {
        let (leaf, key) = fleet.serving(years);
        let address = listen_tls(tls(vec![leaf, fleet.certificate()], &key, &[ALPN]), echo);
        assert_eq!(get(&client(address, &[fleet.pin()])), Ok(Status(200)), "{years:?}");
    }
}

#[test]
fn a_server_without_alpn_is_accepted_and_one_with_another_protocol_is_not() {
    let fleet = Fleet::new();
    let (leaf, key) = fleet.serving(NOW);
    let chain = vec![leaf, fleet.certificate()];
    let without = listen_tls(tls(chain.clone(), &key, &[]), echo);
    assert_eq!(get(&client(without, &[fleet.pin()])), Ok(Status(200)));
    let other = listen_tls(tls(chain, &key, &[b"h2"]), |mut tls| {
        assert!(tls.read(&mut [0]).is_err());
        while tls.conn.wants_write() {
            tls.conn.write_tls(&mut tls.sock).unwrap();
        }
        silence(&mut tls.sock);
    });
    let failure = get(&client(other, &[fleet.pin()])).unwrap_err();
    assert!(matches!(&failure, Failure::Tls(why) if why.contains("no Muster server")), "{failure}");
}

#[test]
fn sessions_are_resumed() {
    let fleet = Fleet::new();
    let (seen, kinds) = channel();
    let address = listen_tls(usual(&fleet), move |mut tls| {
        // One request a connection.
        if request(&mut tls).is_some() {
            seen.send(tls.conn.handshake_kind()).unwrap();
            answer(&mut tls, "200 OK", b"");
        }
    });
    let client = client(address, &[fleet.pin()]);
    for kind in [HandshakeKind::Full, HandshakeKind::Resumed] {
        assert_eq!(get(&client), Ok(Status(200)));
        assert_eq!(kinds.recv().unwrap(), Some(kind));
    }
}

/// A server whose lines end at once. What comes out is the handshake of each.
fn short_lines(fleet: &Fleet) -> (SocketAddr, Receiver<Option<HandshakeKind>>) {
    let (seen, kinds) = channel();
    let address = listen_tls(usual(fleet), move |mut tls| {
        if request(&mut tls).is_some() {
            let switched = b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: muster/1\r\n\r\n";
            tls.write_all(switched).and_then(|()| tls.flush()).unwrap();
            seen.send(tls.conn.handshake_kind()).unwrap();
            silence(&mut tls);
        }
    });
    (address, kinds)
}

#[test]
fn a_line_resumes_the_session_of_the_last_one_if_their_settings_share_it() {
    let fleet = Fleet::new();
    let (address, kinds) = short_lines(&fleet);
    let kept = settings(address, &[fleet.pin()]);
    let of = |settings: &Settings| {
        let opened = Line::open(settings.clone(), "/agent/v1/stream", "secret", 4096).unwrap();
        assert!(matches!(opened, Opened::Line(_)));
        kinds.recv().unwrap()
    };
    assert_eq!(of(&kept), Some(HandshakeKind::Full));
    assert_eq!(of(&kept), Some(HandshakeKind::Resumed));
    assert_eq!(of(&kept), Some(HandshakeKind::Resumed), "with the ticket of the one before");
    assert_eq!(of(&settings(address, &[fleet.pin()])), Some(HandshakeKind::Full), "it shares nothing");
    let pins = vec![fleet.pin(), Fleet::new().pin()];
    let other = Settings { pins, ..kept.clone() };
    assert_eq!(of(&other), Some(HandshakeKind::Full), "other pins have to be checked");
    assert_eq!(of(&other), Some(HandshakeKind::Resumed));
    let later = Settings { least_generation: 1, ..other.clone() };
    let failure = Line::open(later, "/agent/v1/stream", "secret", 4096).unwrap_err();
    assert!(matches!(failure, Failure::Outdated { .. }), "{failure}");
}

#[test]
fn plain_http_and_closed_ports_are_told_apart() {
    let pin = Fleet::new().pin();
    let plain = listen(|mut tcp| {
        let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = tcp.read_to_end(&mut Vec::new());
    });
    let failure = get(&client(plain, &[pin])).unwrap_err();
    assert!(matches!(&failure, Failure::Tls(why) if why.contains("does not speak TLS")), "{failure}");
    let closing = listen(|mut tcp| {
        let _ = tcp.read(&mut [0; 4096]);
    });
    assert!(matches!(get(&client(closing, &[pin])), Err(Failure::Unreachable(_))));
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let failure = get(&client(closed, &[pin])).unwrap_err();
    assert!(matches!(&failure, Failure::Unreachable(why) if why.contains("refused")), "{failure}");
}

#[test]
fn silent_servers_run_into_the_time_limit() {
    let fleet = Fleet::new();
    let pins = [fleet.pin()];
    let before_tls = listen(|mut tcp| silence(&mut tcp));
    assert_eq!(get(&hasty(before_tls, &pins)), Err(Failure::TimedOut));
    let after_tls = listen_tls(usual(&fleet), |mut tls| silence(&mut tls));
    assert_eq!(get(&hasty(after_tls, &pins)), Err(Failure::TimedOut));
    let in_body = listen_tls(usual(&fleet), |mut tls| {
        request(&mut tls);
        let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhal");
        silence(&mut tls);
    });
    assert_eq!(get(&hasty(in_body, &pins)), Err(Failure::TimedOut));
}

#[test]
fn answers_have_a_size_limit() {
    let fleet = Fleet::new();
    let address = listen_tls(usual(&fleet), |mut tls| {
        while let Some((head, _)) = request(&mut tls) {
            let answer: &[u8] = match head.split(' ').nth(1) {
                Some("/length") => b"HTTP/1.1 200 OK\r\ncontent-length: 999999999999\r\n\r\n",
                Some("/chunks") => {
                    b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n4\r\nmore\r\n0\r\n\r\n"
                }
                Some("/short") => b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf",
                _ => b"HTTP/1.1 200 OK\r\nx: ",
            };
            let _ = tls.write_all(answer);
            if head.starts_with("GET /head") {
                let _ = tls.write_all(&[b'x'; 100_000]);
            }
            if head.starts_with("GET /short") {
                tls.conn.send_close_notify();
                let _ = tls.flush();
                break;
            }
        }
    });
    let client = client(address, &[fleet.pin()]);
    let mut body = Vec::new();
    assert_eq!(client.get("/chunks", "", &mut body, 9), Ok(Status(200)));
    assert_eq!(body, b"hellomore");
    assert_eq!(client.get("/chunks", "", &mut body, 8), Err(Failure::TooLarge));
    assert_eq!(client.get("/length", "", &mut body, 1 << 20), Err(Failure::TooLarge));
    assert_eq!(client.get("/head", "", &mut body, 1 << 20), Err(Failure::TooLarge));
    let failure = client.get("/short", "", &mut body, 1 << 20).unwrap_err();
    assert!(matches!(failure, Failure::Unreachable(_)), "{failure}");
}

/// A server whose connections die after one answered request, without a word.
fn forgetful(fleet: &Fleet) -> (SocketAddr, Receiver<String>) {
    let (seen, heads) = channel();
    let address = listen_tls(usual(fleet), move |mut tls| {
        if let Some((head, _)) = request(&mut tls) {
            answer(&mut tls, "200 OK", b"");
            seen.send(head).unwrap();
            // Only the next request finds out.
            let _ = tls.sock.tcp.read(&mut [0; 1]);
        }
    });
    (address, heads)
}

#[test]
fn a_request_over_a_dead_connection_is_repeated_if_it_may_be() {
    let fleet = Fleet::new();
    let (address, heads) = forgetful(&fleet);
    let client = client(address, &[fleet.pin()]);
    assert_eq!(get(&client), Ok(Status(200)));
    assert_eq!(client.post("/second", "", b"x", &mut Vec::new(), 0), Ok(Status(200)));
    assert_eq!(client.connections(), 2);
    let once = client.send_json(muster_dial::client::Method::POST, "/third", "", b"{}", &mut Vec::new(), 0);
    assert!(matches!(once, Err(Failure::Unreachable(_))), "{once:?}");
    drop(client);
    let seen: Vec<String> = heads.try_iter().collect();
    assert_eq!(seen.len(), 2, "{seen:?}");
}

#[test]
fn streams_last_beyond_the_time_limit_and_end_in_silence() {
    let fleet = Fleet::new();
    let (seen, heads) = channel();
    let (go, wait) = channel::<&[u8]>();
    let wait = Arc::new(Mutex::new(wait));
    let address = listen_tls(usual(&fleet), move |mut tls| {
        let (head, _) = request(&mut tls).unwrap();
        seen.send(head).unwrap();
        tls.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        for part in wait.lock().unwrap().iter() {
            tls.write_all(part).unwrap();
        }
        silence(&mut tls);
    });
    let limit = Duration::from_secs(1);
    let client = Client::new(Settings { overall_timeout: limit, ..settings(address, &[fleet.pin()]) }).unwrap();
    let mut stream = client.stream("/stream", "t", Some("41"), Duration::from_secs(20)).unwrap();
    assert!(stream.status().is_success());
    assert!(heads.recv().unwrap().contains("last-event-id: 41\r\n"));
    let mut buffer = [0; 64];
    for part in [b"one", b"two"] {
        // That time has passed is what this is about.
        thread::sleep(limit / 2 + Duration::from_millis(50));
        go.send(&[b"3\r\n", &part[..], b"\r\n"].concat().leak()[..]).unwrap();
        let length = stream.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], part);
    }
    drop(stream);
    drop(go);
    let silent = listen_tls(usual(&fleet), |mut tls| {
        request(&mut tls);
        let _ = tls.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        silence(&mut tls);
    });
    let mut stream = client_stream(silent, &fleet);
    let error = stream.read(&mut buffer).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert_eq!(error.downcast::<Failure>().unwrap(), Failure::TimedOut);
}

fn client_stream(address: SocketAddr, fleet: &Fleet) -> muster_dial::Stream {
    client(address, &[fleet.pin()]).stream("/", "", None, Duration::from_secs(1)).unwrap()
}

#[test]
fn shutting_down_ends_a_request_of_another_thread() {
    let fleet = Fleet::new();
    let (seen, heads) = channel();
    let address = listen_tls(usual(&fleet), move |mut tls| {
        seen.send(request(&mut tls)).unwrap();
        silence(&mut tls);
    });
    let client = Arc::new(client(address, &[fleet.pin()]));
    let waiting = thread::spawn({
        let client = client.clone();
        move || get(&client)
    });
    heads.recv().unwrap();
    client.shut_down();
    assert!(matches!(waiting.join().unwrap(), Err(Failure::Unreachable(_))));
    assert!(get(&client).is_err());
}

#[test]
fn what_cannot_be_sent_is_refused_before_connecting() {
    let client = client(SocketAddr::from((Ipv4Addr::LOCALHOST, 1)), &[Fleet::new().pin()]);
    assert!(matches!(client.get("x", "", &mut Vec::new(), 0), Err(Failure::Protocol(_))));
    assert!(matches!(client.get("/a b", "", &mut Vec::new(), 0), Err(Failure::Protocol(_))));
    let secret = client.get("/", "se\ncret", &mut Vec::new(), 0).unwrap_err();
    assert!(matches!(&secret, Failure::Protocol(why) if !why.contains("cret")));
    assert!(Client::new(Settings::small("a:1".parse().unwrap(), vec![])).is_err());
}
