//! A proxy, by HTTP's CONNECT or SOCKS5, that leads to one server, whatever it is asked for.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Runs on a port of the loopback address, on threads of the test. Dropping it ends it.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    seen: Arc<Seen>,
    running: Option<Running>,
}

#[derive(Debug)]
struct Seen {
    server_port: AtomicU16,
    /// What has to be in the head of a request.
    demands: String,
    targets: Mutex<Vec<String>>,
    bytes: AtomicU64,
    /// Connections that are open.
    open: AtomicU64,
    /// Connections end after so many milliseconds; 0: never.
    patience: AtomicU64,
    connections: Mutex<Vec<TcpStream>>,
}

#[derive(Debug)]
struct Running {
    ends: Arc<AtomicBool>,
    listener: JoinHandle<()>,
}

impl Proxy {
    /// Leads to `server_port` of the loopback address. A request without `demands` in its head, such as a
    /// credential's header, is answered with 407; one by SOCKS has no head.
    pub fn start(server_port: u16, demands: &str) -> Proxy {
        let seen = Seen {
            server_port: server_port.into(),
            demands: demands.to_owned(),
            targets: Mutex::default(),
            bytes: AtomicU64::new(0),
            open: AtomicU64::new(0),
            patience: AtomicU64::new(0),
            connections: Mutex::default(),
        };
        let any = (Ipv4Addr::LOCALHOST, 0).into();
        let mut proxy = Proxy { address: any, seen: Arc::new(seen), running: None };
        proxy.start_again();
        proxy
    }

    /// Starts one that was killed, on the same port.
    pub fn start_again(&mut self) {
        assert!(self.running.is_none(), "the proxy runs");
        let listener = TcpListener::bind(self.address)
            .unwrap_or_else(|e| panic!("a proxy cannot listen at {}: {e}", self.address));
        self.address = listener.local_addr().expect("a listener's address");
        let ends = Arc::new(AtomicBool::new(false));
        let (seen, ending) = (self.seen.clone(), ends.clone());
        let listener = thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                if ending.load(Ordering::SeqCst) {
                    return;
                }
                let seen = seen.clone();
                thread::spawn(move || seen.serve(tcp));
            }
        });
        self.running = Some(Running { ends, listener });
    }

    /// Cuts all connections and listens no longer.
    pub fn kill(&mut self) {
        let Some(Running { ends, listener }) = self.running.take() else { return };
        ends.store(true, Ordering::SeqCst);
        // Wakes it up.
        let _ = TcpStream::connect(self.address);
        let _ = listener.join();
        for tcp in self.seen.connections.lock().expect("nobody panics with the lock").drain(..) {
            let _ = tcp.shutdown(Shutdown::Both);
        }
    }

    /// From now on it ends connections that have lasted so long.
    pub fn cuts_after(&self, time: Duration) {
        self.seen.patience.store(time.as_millis() as u64, Ordering::SeqCst);
    }

    /// New connections lead to another port of the loopback address.
    pub fn leads_to(&self, server_port: u16) {
        self.seen.server_port.store(server_port, Ordering::SeqCst);
    }

    /// Where it listens, as `HOST:PORT`.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// What it was asked for so far, and led to the server.
    pub fn targets(&self) -> Vec<String> {
        self.seen.targets.lock().expect("nobody panics with the lock").clone()
    }

    /// How many connections to the server are open now.
    pub fn open(&self) -> u64 {
        self.seen.open.load(Ordering::SeqCst)
    }

    /// How many bytes it has brought to the server.
    pub fn bytes(&self) -> u64 {
        self.seen.bytes.load(Ordering::SeqCst)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Seen {
    fn serve(&self, mut tcp: TcpStream) {
        let mut first = [0];
        if tcp.read(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let asked = match first[0] {
            SOCKS5 => self.asked_by_socks(&mut tcp),
            first => self.asked_by_http(first, &mut tcp),
        };
        let Some(Asked { target, yes, no }) = asked else { return };
        let server = (Ipv4Addr::LOCALHOST, self.server_port.load(Ordering::SeqCst));
        let Ok(server) = TcpStream::connect(server) else {
            let _ = tcp.write_all(no);
            return;
        };
        self.targets.lock().expect("nobody panics with the lock").push(target);
        let kept = [&tcp, &server].map(|tcp| tcp.try_clone().expect("duplicating a socket"));
        self.connections.lock().expect("nobody panics with the lock").extend(kept);
        self.open.fetch_add(1, Ordering::SeqCst);
        let _ = tcp.write_all(yes);
        let patience = self.patience.load(Ordering::SeqCst);
        if patience > 0 {
            let both = [&tcp, &server].map(|tcp| tcp.try_clone().expect("duplicating a socket"));
            thread::spawn(move || {
                thread::sleep(Duration::from_millis(patience));
                both.iter().for_each(|tcp| drop(tcp.shutdown(Shutdown::Both)));
            });
        }
        thread::scope(|scope| {
            scope.spawn(|| copy(&tcp, &server, &self.bytes));
            copy(&server, &tcp, &AtomicU64::new(0));
        });
        self.open.fetch_sub(1, Ordering::SeqCst);
    }

    fn asked_by_http(&self, first: u8, tcp: &mut TcpStream) -> Option<Asked> {
        let head = read_head(first, tcp);
        let Some(target) = head.strip_prefix("CONNECT ").and_then(|rest| rest.split(' ').next()) else {
            let _ = tcp.write_all(b"HTTP/1.1 405 Method Not Allowed\r\n\r\n");
            return None;
        };
        if !head.contains(&self.demands) {
            let _ = tcp.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
            return None;
        }
        let (yes, no) = (b"HTTP/1.1 200 Connection established\r\n\r\n", b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
        Some(Asked { target: target.to_owned(), yes, no })
    }

    /// As RFC 1928 has it, without credentials; the version was read.
    fn asked_by_socks(&self, tcp: &mut TcpStream) -> Option<Asked> {
        let [count] = take(tcp)?;
        tcp.read_exact(&mut vec![0; count.into()]).ok()?;
        tcp.write_all(&[SOCKS5, 0]).ok()?;
        let [_version, _connect, _reserved, kind] = take(tcp)?;
        let host = match kind {
            1 => IpAddr::from(take::<4>(tcp)?).to_string(),
            4 => IpAddr::from(take::<16>(tcp)?).to_string(),
            _ => {
                let [length] = take(tcp)?;
                let mut name = vec![0; length.into()];
                tcp.read_exact(&mut name).ok()?;
                String::from_utf8(name).ok()?
            }
        };
        let target = format!("{host}:{}", u16::from_be_bytes(take(tcp)?));
        Some(Asked { target, yes: &[SOCKS5, 0, 0, 1, 0, 0, 0, 0, 0, 0], no: &[SOCKS5, 5, 0, 1, 0, 0, 0, 0, 0, 0] })
    }
}

const SOCKS5: u8 = 5;

/// What a client wants, and how it is told whether it gets that.
struct Asked {
    target: String,
    yes: &'static [u8],
    no: &'static [u8],
}

fn take<const LENGTH: usize>(tcp: &mut TcpStream) -> Option<[u8; LENGTH]> {
    let mut bytes = [0; LENGTH];
    tcp.read_exact(&mut bytes).ok()?;
    Some(bytes)
}

fn read_head(first: u8, tcp: &mut TcpStream) -> String {
    let mut head = vec![first];
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && tcp.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

/// Until one of them is at its end; then both are.
fn copy(mut from: &TcpStream, mut to: &TcpStream, count: &AtomicU64) {
    let mut buffer = [0; 16 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(length @ 1..) if to.write_all(&buffer[..length]).is_ok() => {
                count.fetch_add(length as u64, Ordering::SeqCst);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            _ => break,
        }
    }
    let _ = from.shutdown(Shutdown::Both);
    let _ = to.shutdown(Shutdown::Both);
}
