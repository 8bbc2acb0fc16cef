//! The client through real proxies on loopback, proper and improper ones.

mod server;

use muster_dial::{Client, Failure, Pin, Proxies, Settings, Status};
use server::{Fleet, echo, listen, listen_tls, silence, usual};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

/// A name that no resolver knows: only a proxy can lead there.
const ELSEWHERE: &str = "muster.invalid:7443";
const SECRET: &str = "hush-hush";
/// `ann:hush-hush`
const BASIC: &str = "Proxy-Authorization: Basic YW5uOmh1c2gtaHVzaA==";

fn get(client: &Client) -> Result<Status, Failure> {
    client.get("/", "", &mut Vec::new(), 1024)
}

fn settings(server: &str, pins: &[Pin], variables: &[(&str, &str)]) -> Settings {
    let proxies = Proxies::from_variables(|name| {
        variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into())
    });
    Settings { proxies, ..Settings::small(server.parse().unwrap(), pins.to_vec()) }
}

fn through(proxy: &str, server: &str, pins: &[Pin]) -> Client {
    Client::new(settings(server, pins, &[("HTTPS_PROXY", proxy)])).unwrap()
}

/// Why a server cannot be reached through what is listening there.
fn trouble(scheme: &str, proxy: SocketAddr) -> String {
    let limit = Duration::from_secs(1);
    let url = format!("{scheme}://ann:{SECRET}@{proxy}");
    let settings = settings(ELSEWHERE, &[Fleet::new().pin()], &[("HTTPS_PROXY", &url)]);
    let client = Client::new(Settings { connect_timeout: limit, ..settings }).unwrap();
    let failure = get(&client).unwrap_err();
    let told = format!("{failure} {failure:?} {client:?}");
    assert!(!told.contains(SECRET) && !told.contains("YW5u"), "{told}");
    match failure {
        Failure::Unreachable(why) => {
            assert!(why.contains(&format!("{scheme}://{proxy}")) && !why.contains('\n'), "{why}");
            why
        }
        other => panic!("{other:?}"),
    }
}

/// Copies both ways until both are at their end.
fn splice(client: &TcpStream, server: SocketAddr) {
    let Ok(server) = TcpStream::connect(server) else { return };
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    let up = thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to);
        let _ = to.shutdown(std::net::Shutdown::Write);
    });
    let (mut from, mut to) = (&server, client);
    let _ = io::copy(&mut from, &mut to);
    let _ = client.shutdown(std::net::Shutdown::Write);
    let _ = up.join();
}

fn read_head(tcp: &mut impl Read) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && tcp.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// An HTTP proxy that leads to `server` whatever it is asked for, and tells the heads of all requests.
fn http_proxy(server: SocketAddr, demands_credentials: bool) -> (SocketAddr, Receiver<String>) {
    let (seen, heads) = channel();
    let address = listen(move |mut tcp| {
        let head = read_head(&mut tcp);
        let allowed = !demands_credentials || head.contains(BASIC);
        let _ = seen.send(head);
        if !allowed {
            let _ = tcp.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 2\r\n\r\nno");
            return;
        }
        tcp.write_all(b"HTTP/1.0 200 Connection established\r\nVia: x\r\n\r\n").unwrap();
        splice(&tcp, server);
    });
    (address, heads)
}

/// A SOCKS proxy that leads to `server` whatever it is asked for, and tells the requested addresses with their type.
fn socks_proxy(server: SocketAddr, demands_credentials: bool) -> (SocketAddr, Receiver<Vec<u8>>) {
    let (seen, requests) = channel();
    let address = listen(move |mut tcp| {
        let _ = serve_socks(&mut tcp, demands_credentials, |request| seen.send(request).unwrap())
            .map(|()| splice(&tcp, server));
    });
    (address, requests)
}

fn take<const LENGTH: usize>(tcp: &mut impl Read) -> io::Result<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    tcp.read_exact(&mut bytes).map(|()| bytes)
}

fn serve_socks(tcp: &mut TcpStream, demands_credentials: bool, seen: impl Fn(Vec<u8>)) -> io::Result<()> {
    let [5, count] = take(tcp)? else { return Err(io::ErrorKind::InvalidData.into()) };
    let mut methods = vec![0; usize::from(count)];
    tcp.read_exact(&mut methods)?;
    let method = if demands_credentials { 2 } else { 0 };
    if !methods.contains(&method) {
        return tcp.write_all(&[5, 0xff]).and(Err(io::ErrorKind::PermissionDenied.into()));
    }
    tcp.write_all(&[5, method])?;
    if demands_credentials {
        let [1] = take(tcp)? else { return Err(io::ErrorKind::InvalidData.into()) };
        let mut text = || {
            let [length] = take(tcp)?;
            let mut text = vec![0; usize::from(length)];
            tcp.read_exact(&mut text).map(|()| text)
        };
        let (user, password) = (text()?, text()?);
        let right = user == b"ann" && password == SECRET.as_bytes();
        tcp.write_all(&[1, u8::from(!right)])?;
        if !right {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    let [5, 1, 0, kind] = take(tcp)? else { return Err(io::ErrorKind::InvalidData.into()) };
    let length = match kind {
        1 => 4,
        4 => 16,
        _ => usize::from(take::<1>(tcp)?[0]),
    };
    let mut request = vec![0; length + 2];
    tcp.read_exact(&mut request)?;
    request.insert(0, kind);
    seen(request);
    // Bound to a name, which is allowed and rare.
    tcp.write_all(b"\x05\x00\x00\x03\x02me\x00\x01")
}

#[test]
fn an_http_proxy_sees_where_to_and_nothing_else() {
    let fleet = Fleet::new();
    let server = listen_tls(usual(&fleet), echo);
    let (proxy, heads) = http_proxy(server, false);
    let client = through(&format!("http://{proxy}"), ELSEWHERE, &[fleet.pin()]);
    let long = vec![7; 100_000];
    let mut body = Vec::new();
    assert_eq!(client.post("/", "credential", &long, &mut body, long.len()), Ok(Status(200)));
    assert_eq!(body, long);
    assert_eq!(get(&client), Ok(Status(200)));
    assert_eq!(client.connections(), 1);
    let heads: Vec<String> = heads.try_iter().collect();
    assert_eq!(heads, [format!("CONNECT {ELSEWHERE} HTTP/1.1\r\nHost: {ELSEWHERE}\r\n\r\n")]);
}

#[test]
fn http_proxies_may_demand_credentials() {
    let fleet = Fleet::new();
    let server = listen_tls(usual(&fleet), echo);
    let (proxy, heads) = http_proxy(server, true);
    let client = through(&format!("http://ann:{SECRET}@{proxy}"), ELSEWHERE, &[fleet.pin()]);
    assert_eq!(get(&client), Ok(Status(200)));
    assert!(heads.recv().unwrap().contains(BASIC));
    for (userinfo, expected) in [("", "demands a user name and password"), ("ann:wrong@", "does not accept")] {
        let client = through(&format!("http://{userinfo}{proxy}"), ELSEWHERE, &[fleet.pin()]);
        let failure = get(&client).unwrap_err();
        assert!(matches!(&failure, Failure::Unreachable(why) if why.contains(expected)), "{failure}");
        let told = failure.to_string();
        assert!(told.contains(&proxy.to_string()) && told.contains("HTTPS_PROXY") && !told.contains("wrong"), "{told}");
    }
}

#[test]
fn a_socks_proxy_looks_names_up_if_it_is_asked_to() {
    let fleet = Fleet::new();
    let server = listen_tls(usual(&fleet), echo);
    let (proxy, requests) = socks_proxy(server, false);
    let pins = [fleet.pin()];
    assert_eq!(get(&through(&format!("socks5h://{proxy}"), ELSEWHERE, &pins)), Ok(Status(200)));
    assert_eq!(requests.recv().unwrap(), b"\x03muster.invalid\x1d\x13");
    let failure = get(&through(&format!("socks5://{proxy}"), ELSEWHERE, &pins)).unwrap_err();
    assert!(matches!(&failure, Failure::Unreachable(why) if why.contains("socks5h://")), "{failure}");
    assert_eq!(get(&through(&format!("socks5://{proxy}"), "localhost:258", &pins)), Ok(Status(200)));
    assert!(matches!(requests.recv().unwrap()[..], [1, 127, 0, 0, 1, 1, 2] | [4, .., 1, 1, 2]));
    for scheme in ["socks5", "socks5h"] {
        assert_eq!(get(&through(&format!("{scheme}://{proxy}"), "[::1]:258", &pins)), Ok(Status(200)));
        assert_eq!(requests.recv().unwrap(), [&[4][..], &Ipv6Addr::LOCALHOST.octets(), &[1, 2]].concat());
        assert_eq!(get(&through(&format!("{scheme}://{proxy}"), "10.0.0.1:258", &pins)), Ok(Status(200)));
        assert_eq!(requests.recv().unwrap(), [1, 10, 0, 0, 1, 1, 2]);
    }
}

#[test]
fn socks_proxies_may_demand_credentials() {
    let fleet = Fleet::new();
    let server = listen_tls(usual(&fleet), echo);
    let pins = [fleet.pin()];
    let (proxy, _requests) = socks_proxy(server, true);
    assert_eq!(get(&through(&format!("socks5h://ann:{SECRET}@{proxy}"), ELSEWHERE, &pins)), Ok(Status(200)));
    for (userinfo, expected) in [("", "demands a user name and password"), ("ann:wrong@", "does not accept")] {
        let failure = get(&through(&format!("socks5h://{userinfo}{proxy}"), ELSEWHERE, &pins)).unwrap_err();
        assert!(matches!(&failure, Failure::Unreachable(why) if why.contains(expected)), "{failure}");
    }
    // Credentials that nobody asks for do no harm.
    let (open, _requests) = socks_proxy(server, false);
    assert_eq!(get(&through(&format!("socks5h://ann:{SECRET}@{open}"), ELSEWHERE, &pins)), Ok(Status(200)));
}

#[test]
fn http_proxies_that_fail_are_named_with_the_reason() {
    let answers = |answer: &'static [u8]| {
        listen(move |mut tcp| {
            read_head(&mut tcp);
            let _ = tcp.write_all(answer);
            silence(&mut tcp);
        })
    };
    for (answer, expected) in [
        (&b"HTTP/1.1 403 Not here \x07\r\n\r\n"[..], "refuses to connect to muster.invalid:7443 (403 Not here)"),
        (b"HTTP/1.1 302 Found\r\nlocation: /\r\n\r\n", "(302 Found)"),
        (b"HTTP/1.1 502 Bad Gateway\r\n\r\n", "cannot connect to muster.invalid:7443 (502 Bad Gateway)"),
        (b"HTTP/1.1 407\n\n", "does not accept"),
        (b"HTTP/1.1 200 OK\r\nX: ", "did not answer in time"),
        (b"SSH-2.0-dropbear\r\n", "is not an HTTP proxy"),
        (b"\x16\x03\x01\x00\x05hello", "is not an HTTP proxy"),
        (b"HTTP/1.1 OK\r\n\r\n", "is not an HTTP proxy"),
        (b"", "did not answer in time"),
    ] {
        let why = trouble("http", answers(answer));
        assert!(why.contains(expected), "{why}");
    }
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let why = trouble("http", closed);
    assert!(why.contains("refused the connection"), "{why}");
    let closing = listen(|mut tcp| drop(read_head(&mut tcp)));
    let why = trouble("http", closing);
    assert!(why.contains("closed the connection without an answer"), "{why}");
    let endless = listen(|mut tcp| {
        read_head(&mut tcp);
        let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\n");
        while tcp.write_all(b"X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n").is_ok() {}
    });
    let why = trouble("http", endless);
    assert!(why.contains("is not an HTTP proxy"), "{why}");
    // Always a little more before a limit for silence would pass.
    let dripping = listen(|mut tcp| {
        read_head(&mut tcp);
        let _ = tcp.write_all(b"HTTP/1.1 200 OK\r\n");
        while tcp.write_all(b"X").is_ok() {
            thread::sleep(Duration::from_millis(20));
        }
    });
    let why = trouble("http", dripping);
    assert!(why.contains("did not answer in time"), "{why}");
}

#[test]
fn socks_proxies_that_fail_are_named_with_the_reason() {
    let answers = |answers: &'static [&'static [u8]]| {
        listen(move |mut tcp| {
            let mut buffer = [0; 1024];
            for answer in answers {
                let _ = tcp.read(&mut buffer);
                let _ = tcp.write_all(answer);
            }
            silence(&mut tcp);
        })
    };
    const WELCOME: &[u8] = &[5, 0];
    const REPLIES: [(&[&[u8]], &str); 10] = [
        (&[WELCOME, &[5, 1, 0, 1]], "cannot connect to muster.invalid:7443 (it has failed"),
        (&[WELCOME, &[5, 2, 0, 1]], "its rules do not allow it"),
        (&[WELCOME, &[5, 5, 0, 1]], "cannot connect to muster.invalid:7443 (connection refused)"),
        (&[WELCOME, &[5, 77, 0, 1]], "SOCKS error 77"),
        (&[WELCOME, &[5, 0, 0, 9]], "is not a SOCKS5 proxy"),
        (&[WELCOME, b"HTTP"], "is not a SOCKS5 proxy"),
        (&[&[5, 1]], "is not a SOCKS5 proxy"),
        (&[&[5, 2], &[1, 1]], "does not accept"),
        (&[WELCOME, &[5, 0, 0, 3, 255, 0]], "did not answer in time"),
        (&[b"HTTP/1.1 400 Bad Request\r\n\r\n"], "is not a SOCKS5 proxy"),
    ];
    for (replies, expected) in REPLIES {
        let why = trouble("socks5h", answers(replies));
        assert!(why.contains(expected), "{why}");
    }
    let why = trouble("socks5h", listen(|mut tcp| drop(tcp.read(&mut [0; 16]))));
    assert!(why.contains("closed the connection without an answer"), "{why}");
    let why = trouble("socks5h", listen(|mut tcp| silence(&mut tcp)));
    assert!(why.contains("did not answer in time"), "{why}");
}

#[test]
fn what_fails_behind_a_proxy_names_it_too() {
    let fleet = Fleet::new();
    let impostor = Fleet::new();
    let gone = http_proxy(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap(), false).0;
    let failure = get(&through(&gone.to_string(), ELSEWHERE, &[fleet.pin()])).unwrap_err();
    let named = format!("through the proxy http://{gone}");
    assert!(matches!(&failure, Failure::Unreachable(why) if why.contains(&named)), "{failure}");
    let silent = http_proxy(listen(|mut tcp| silence(&mut tcp)), false).0;
    let why = {
        let settings = settings(ELSEWHERE, &[fleet.pin()], &[("ALL_PROXY", &silent.to_string())]);
        get(&Client::new(Settings { connect_timeout: Duration::from_secs(1), ..settings }).unwrap()).unwrap_err()
    };
    assert!(matches!(&why, Failure::Unreachable(why) if why.contains("nothing came from it in time")), "{why}");
    let no_tls = http_proxy(listen(|mut tcp| drop(tcp.write_all(b"hello, hello, hello\r\n"))), false).0;
    let failure = get(&through(&no_tls.to_string(), ELSEWHERE, &[fleet.pin()])).unwrap_err();
    assert!(matches!(&failure, Failure::Tls(why) if why.contains("through the proxy")), "{failure}");
    // A proxy that opens TLS to look inside is a stranger.
    let opening = http_proxy(listen_tls(usual(&impostor), echo), false).0;
    let failure = get(&through(&opening.to_string(), ELSEWHERE, &[fleet.pin()])).unwrap_err();
    let got = format!("{} (through the proxy http://{opening})", impostor.pin());
    assert_eq!(failure, Failure::PinMismatch { expected: fleet.pin().to_string(), got });
}

#[test]
fn loopback_is_proxied_unless_it_is_excepted() {
    let fleet = Fleet::new();
    let server = listen_tls(usual(&fleet), echo);
    let (proxy, heads) = http_proxy(server, false);
    let (server, proxy, pins) = (server.to_string(), proxy.to_string(), [fleet.pin()]);
    assert_eq!(get(&through(&proxy, &server, &pins)), Ok(Status(200)));
    assert_eq!(heads.try_iter().count(), 1);
    for exception in ["127.0.0.0/8", "*", &server] {
        let variables = [("HTTPS_PROXY", proxy.as_str()), ("NO_PROXY", exception)];
        assert_eq!(get(&Client::new(settings(&server, &pins, &variables)).unwrap()), Ok(Status(200)));
        assert_eq!(heads.try_iter().count(), 0, "{exception}");
    }
}

#[test]
fn proxies_have_names_too_and_what_is_wrong_with_them_is_said() {
    let fleet = Fleet::new();
    let (proxy, _heads) = http_proxy(listen_tls(usual(&fleet), echo), false);
    // `localhost` may have an IPv6 address first, where nobody listens.
    let client = through(&format!("http://localhost:{}", proxy.port()), "[2001:db8::1]:7443", &[fleet.pin()]);
    assert_eq!(get(&client), Ok(Status(200)));
    let failure = get(&through("http://proxy.invalid:3128", ELSEWHERE, &[fleet.pin()])).unwrap_err();
    let named = "the name of the proxy http://proxy.invalid:3128";
    assert!(matches!(&failure, Failure::Unreachable(why) if why.contains(named)), "{failure}");
    let refused = Client::new(settings(ELSEWHERE, &[fleet.pin()], &[("ALL_PROXY", "gopher://hush")])).unwrap_err();
    assert!(matches!(&refused, Failure::Unreachable(why) if why.contains("ALL_PROXY")), "{refused}");
}

#[test]
fn a_connection_that_a_proxy_cut_is_made_again() {
    let fleet = Fleet::new();
    let server = listen_tls(usual(&fleet), |mut tls| {
        // One answer a connection.
        if server::request(&mut tls).is_some() {
            server::answer(&mut tls, "200 OK", b"");
        }
    });
    let (proxy, heads) = http_proxy(server, false);
    let client = through(&proxy.to_string(), ELSEWHERE, &[fleet.pin()]);
    for _ in 0..3 {
        assert_eq!(get(&client), Ok(Status(200)));
    }
    assert_eq!(heads.try_iter().count(), 3);
}

#[test]
fn names_with_several_addresses_and_ipv6_literals_are_reached_without_a_proxy() {
    let fleet = Fleet::new();
    let server = listen_tls(usual(&fleet), echo);
    let named = format!("localhost:{}", server.port());
    assert_eq!(get(&Client::new(settings(&named, &[fleet.pin()], &[])).unwrap()), Ok(Status(200)));
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
        eprintln!("this machine has no IPv6");
        return;
    };
    let literal = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || splice(&tcp, server));
        }
    });
    assert_eq!(get(&Client::new(settings(&literal, &[fleet.pin()], &[])).unwrap()), Ok(Status(200)));
}
