//! A filtering proxy before an engine's socket, as sites have it: it lets some requests through, and refuses the others with
//! 403. By a Unix socket and by TCP.

use crate::place::Place;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

/// Whether a request, such as `GET /_ping` (without the API's version and without a query), may pass.
pub type Rule = fn(&str) -> bool;

/// Exactly what the agent asks for.
pub fn minimal(request: &str) -> bool {
    let inspect = request.strip_prefix("GET /containers/").and_then(|rest| rest.strip_suffix("/json"));
    let is_id = |id: &str| id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    matches!(request, "GET /_ping" | "GET /version" | "GET /containers/json" | "GET /events")
        || inspect.is_some_and(is_id)
}

/// A filtering proxy. Dropping it ends it.
#[derive(Debug)]
pub struct Filter {
    shared: Arc<Shared>,
    listeners: Vec<JoinHandle<()>>,
    place: Place,
    tcp: SocketAddr,
}

#[derive(Debug)]
struct Shared {
    engine: String,
    rule: Mutex<Rule>,
    refused: Mutex<Vec<String>>,
    connections: Mutex<Vec<UnixStream>>,
    ends: AtomicBool,
}

/// Either kind of connection.
trait Stream: Read + Write + Send {
    fn twin(&self) -> io::Result<Box<dyn Stream>>;
    fn end(&self);
}

impl Stream for UnixStream {
    fn twin(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.try_clone()?))
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Stream for TcpStream {
    fn twin(&self) -> io::Result<Box<dyn Stream>> {
        Ok(Box::new(self.try_clone()?))
    }

    fn end(&self) {
        let _ = self.shutdown(Shutdown::Both);
    }
}

impl Filter {
    /// Before the engine that answers at `docker_host`, a `unix://` address.
    pub fn before(docker_host: &str, rule: Rule) -> Filter {
        let engine = docker_host.strip_prefix("unix://").expect("an engine's socket").to_owned();
        let place = Place::new();
        let unix = UnixListener::bind(place.path().join("docker.sock")).expect("listening at a socket");
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("listening at a port");
        let address = tcp.local_addr().expect("a port");
        let shared = Arc::new(Shared {
            engine,
            rule: Mutex::new(rule),
            refused: Mutex::default(),
            connections: Mutex::default(),
            ends: AtomicBool::new(false),
        });
        let (first, second) = (shared.clone(), shared.clone());
        let listeners = vec![
            thread::spawn(move || accept(unix.incoming(), &first)),
            thread::spawn(move || accept(tcp.incoming(), &second)),
        ];
        Filter { shared, listeners, place, tcp: address }
    }

    /// Its socket: for `--docker-host`.
    pub fn docker_host(&self) -> String {
        format!("unix://{}", self.place.join("docker.sock"))
    }

    /// Its port: for `--docker-host`.
    pub fn docker_host_by_tcp(&self) -> String {
        format!("tcp://{}", self.tcp)
    }

    /// From now on this counts, also for connections that there are.
    pub fn set(&self, rule: Rule) {
        *locked(&self.shared.rule) = rule;
    }

    /// Requests that did not pass, oldest first.
    pub fn refused(&self) -> Vec<String> {
        locked(&self.shared.refused).clone()
    }

    /// Cuts all connections, as a proxy that is restarted.
    pub fn cut(&self) {
        self.shared.cut();
    }
}

impl Drop for Filter {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes the listeners up.
        let _ = (UnixStream::connect(self.place.path().join("docker.sock")), TcpStream::connect(self.tcp));
        for listener in self.listeners.drain(..) {
            let _ = listener.join();
        }
        self.shared.cut();
    }
}

fn accept<S: Stream + 'static>(incoming: impl Iterator<Item = io::Result<S>>, shared: &Arc<Shared>) {
    for client in incoming.map_while(Result::ok) {
        if !shared.take(Box::new(client)) {
            return;
        }
    }
}

impl Shared {
    /// Serves a connection; false at the end.
    fn take(self: &Arc<Shared>, client: Box<dyn Stream>) -> bool {
        if self.ends.load(Ordering::SeqCst) {
            return false;
        }
        let shared = self.clone();
        thread::spawn(move || {
            // Either end may leave at any time.
            let _ = shared.serve(&*client);
            client.end();
        });
        true
    }

    fn cut(&self) {
        for connection in locked(&self.connections).drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    fn serve(&self, client: &dyn Stream) -> io::Result<()> {
        let mut requests = BufReader::new(client.twin()?);
        let mut answers = client.twin()?;
        let engine = UnixStream::connect(&self.engine)?;
        locked(&self.connections).push(engine.try_clone()?);
        let (mut to_engine, from_engine) = (engine.try_clone()?, engine);
        // What the engine says goes through as it is; while a request is refused, it says nothing.
        let mut out = client.twin()?;
        let pump = thread::spawn(move || {
            let _ = io::copy(&mut &from_engine, &mut out);
            out.end();
        });
        let passed = self.pass(&mut requests, &mut to_engine, &mut *answers);
        let _ = to_engine.shutdown(Shutdown::Both);
        let _ = pump.join();
        passed
    }

    /// One request after the other; none of them has a body.
    fn pass(&self, requests: &mut impl BufRead, engine: &mut impl Write, client: &mut dyn Stream) -> io::Result<()> {
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if requests.read_line(&mut head)? == 0 {
                    return Ok(());
                }
            }
            let request = plain(&head);
            let rule = *locked(&self.rule);
            if rule(&request) {
                engine.write_all(head.as_bytes())?;
            } else {
                locked(&self.refused).push(request);
                let page =
                    "<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n";
                let head = "HTTP/1.1 403 Forbidden\r\ncache-control: no-cache\r\ncontent-type: text/html\r\n";
                write!(client, "{head}content-length: {}\r\n\r\n{page}", page.len())?;
            }
        }
    }
}

/// Method and path, without the API's version and without the query.
fn plain(head: &str) -> String {
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let is_version = |part: &str| part.starts_with('v') && part[1..].bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let path = match path.trim_start_matches('/').split_once('/') {
        Some((version, rest)) if is_version(version) => format!("/{rest}"),
        _ => path.to_owned(),
    };
    format!("{method} {path}")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_known_without_version_and_query() {
        assert_eq!(plain("GET /v1.41/containers/json?all=1 HTTP/1.1\r\n\r\n"), "GET /containers/json");
        assert_eq!(plain("GET /_ping HTTP/1.1\r\n\r\n"), "GET /_ping");
        assert_eq!(plain("GET /version HTTP/1.1\r\n\r\n"), "GET /version");
        assert_eq!(plain("POST /v1.41/containers/create HTTP/1.1\r\n\r\n"), "POST /containers/create");
    }

    #[test]
    fn the_minimal_rule_is_what_the_agent_asks_for_and_no_more() {
        let id = "ab".repeat(32);
        assert!(minimal("GET /containers/json") && minimal(&format!("GET /containers/{id}/json")));
        for other in
            ["GET /info", "POST /containers/json", "GET /containers/web/json", "GET /images/json", "DELETE /events"]
        {
            assert!(!minimal(other), "{other}");
        }
        assert!(!minimal(&format!("GET /containers/{id}/logs")) && !minimal(&format!("GET /containers/{id}/top/json")));
    }
}
