//! A server on loopback that says what a test wants it to, and an agent to be asked.

use muster_dial::{Pin, pinned::ALPN};
use muster_protocol::id::HostId;
use muster_protocol::join::Joined;
use muster_protocol::record::{Kind, Writer};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// What came in.
pub struct Request {
    /// `GET /path`
    pub what: String,
    /// Without `Bearer`.
    pub bearer: String,
    pub body: Vec<u8>,
}

/// What goes out: status and body, or nothing at all, and the connection is cut.
pub type Reply = Option<(u16, Vec<u8>)>;

/// A pinned server. It answers a knock by itself, and everything else with what was set last.
pub struct Server {
    pub address: SocketAddr,
    pub pin: Pin,
    reply: Arc<Mutex<Reply>>,
    knock: Arc<Mutex<(u16, Vec<u8>)>>,
    requests: Receiver<Request>,
}

impl Server {
    pub fn start() -> Server {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["fleet".to_string()]).unwrap().self_signed(&key).unwrap();
        let pin = Pin::of_public_key(&key.subject_public_key_info());
        let mut config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
            .unwrap();
        config.alpn_protocols = vec![ALPN.to_vec()];
        let config = Arc::new(config);
        let reply = Arc::new(Mutex::new(None));
        let knock = Arc::new(Mutex::new((404, b"what?".to_vec())));
        let (seen, requests) = channel();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (replies, knocks) = (reply.clone(), knock.clone());
        thread::spawn(move || {
            for tcp in listener.incoming().map_while(Result::ok) {
                let tls = StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), tcp);
                let (replies, knocks, seen) = (replies.clone(), knocks.clone(), seen.clone());
                thread::spawn(move || serve(tls, &knocks, &replies, &seen));
            }
        });
        Server { address, pin, reply, knock, requests }
    }

    pub fn says(&self, status: u16, body: impl AsRef<[u8]>) {
        *self.reply.lock().unwrap() = Some((status, body.as_ref().to_vec()));
    }

    /// What a knock is answered with.
    pub fn answers_knocks(&self, status: u16, body: impl AsRef<[u8]>) {
        *self.knock.lock().unwrap() = (status, body.as_ref().to_vec());
    }

    /// From now on it hears requests and dies over them.
    pub fn dies(&self) {
        *self.reply.lock().unwrap() = None;
    }

    /// What it heard since the last look, knocks left out.
    pub fn heard(&self) -> Vec<Request> {
        self.requests.try_iter().collect()
    }

    pub fn join_string(&self) -> String {
        join_string(self.address, self.pin)
    }
}

pub const TOKEN: &str = "hush-hush";

pub fn join_string(address: SocketAddr, pin: Pin) -> String {
    format!("muster://{TOKEN}@{address}?pin={pin}")
}

/// Where nobody listens.
pub fn closed_port() -> SocketAddr {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

pub fn joined(host: &str, name: &str) -> Vec<u8> {
    let mut buffer = [0; 256];
    let mut writer = Writer::message(&mut buffer).unwrap();
    writer.record(Kind::Joined, &Joined { host: HostId::parse(host).unwrap(), name }).unwrap();
    writer.as_bytes().to_vec()
}

fn serve(mut tls: Tls, knock: &Mutex<(u16, Vec<u8>)>, reply: &Mutex<Reply>, seen: &Sender<Request>) {
    while let Some(request) = read_request(&mut tls) {
        let reply = match request.what.as_str() {
            "GET /healthz" => Some(knock.lock().unwrap().clone()),
            _ => {
                let reply = reply.lock().unwrap().clone();
                let _ = seen.send(request);
                reply
            }
        };
        let Some((status, body)) = reply else { return };
        let head = format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n", body.len());
        let _ = tls.write_all(&[head.as_bytes(), &body].concat()).and_then(|()| tls.flush());
    }
}

fn read_request(stream: &mut impl Read) -> Option<Request> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let value = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().to_string();
    let mut body = vec![0; value("content-length: ").parse().unwrap_or(0)];
    stream.read_exact(&mut body).ok()?;
    let what = head.rsplit_once(" HTTP").and_then(|(what, _)| what.lines().next()).unwrap_or_default().to_string();
    Some(Request { what, bearer: value("authorization: Bearer "), body })
}

/// A directory for one test, gone when it ends.
pub struct Place(PathBuf);

impl Place {
    pub fn new() -> Place {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("muster-face-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Place(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    /// A state directory that has to be made, with what is above it.
    pub fn state_dir(&self) -> PathBuf {
        self.0.join("made/for/agent")
    }

    /// An engine that says nothing but its version.
    pub fn engine(&self) -> String {
        let path = self.0.join("engine.sock");
        let listener = UnixListener::bind(&path).unwrap();
        thread::spawn(move || {
            for mut stream in listener.incoming().map_while(Result::ok) {
                thread::spawn(move || {
                    while let Some(request) = read_request(&mut stream) {
                        let body = match request.what.contains("_ping") {
                            true => "OK",
                            false => r#"{"Version":"20.10.24","ApiVersion":"1.41","MinAPIVersion":"1.12"}"#,
                        };
                        let head = "HTTP/1.1 200 OK\r\napi-version: 1.41\r\ncontent-length: ";
                        let _ = write!(stream, "{head}{}\r\n\r\n{body}", body.len());
                    }
                });
            }
        });
        format!("unix://{}", path.display())
    }

    /// Runs the agent here, in an environment of its own.
    pub fn agent(&self, arguments: &[&str], stdin: &str) -> Ended {
        let mut child = Command::new(env!("CARGO_BIN_EXE_muster-agent"))
            .args(arguments)
            .env_clear()
            .env("MUSTER_STATE_DIR", self.state_dir())
            .env("MUSTER_NAME", "pi")
            .env("MUSTER_LOG", "debug")
            .env("DOCKER_HOST", format!("unix://{}", self.0.join("engine.sock").display()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // An agent that does not read it is no error.
        let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
        let output = child.wait_with_output().unwrap();
        Ended {
            code: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            error: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a run of the agent ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub out: String,
    pub error: String,
}

impl Ended {
    /// The line that says why it failed.
    pub fn complaint(&self) -> &str {
        self.error.lines().find(|line| line.starts_with("muster-agent: ")).unwrap_or_default()
    }
}
