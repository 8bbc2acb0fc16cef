//! TLS servers on loopback, as a test wants them.

use muster_dial::{Pin, pinned::ALPN};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, DnType, IsCa, Issuer, KeyPair, PublicKeyData};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A fleet key, and what it signs.
pub struct Fleet {
    pub key: KeyPair,
    params: CertificateParams,
}

impl Fleet {
    pub fn new() -> Fleet {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "fleet");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        Fleet { key: KeyPair::generate().unwrap(), params }
    }

    pub fn pin(&self) -> Pin {
        Pin::of_public_key(&self.key.subject_public_key_info())
    }

    pub fn certificate(&self) -> CertificateDer<'static> {
        self.params.self_signed(&self.key).unwrap().der().clone()
    }

    /// A serving certificate for the years named.
    pub fn serving(&self, years: (i32, i32)) -> (CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["elsewhere.example".to_string()]).unwrap();
        params.not_before = rcgen::date_time_ymd(years.0, 1, 1);
        params.not_after = rcgen::date_time_ymd(years.1, 1, 1);
        let issuer = Issuer::from_params(&self.params, &self.key);
        (params.signed_by(&key, &issuer).unwrap().der().clone(), key)
    }
}

pub const NOW: (i32, i32) = (2020, 4000);

pub fn tls(chain: Vec<CertificateDer<'static>>, key: &KeyPair, alpn: &[&[u8]]) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    config
}

pub fn usual(fleet: &Fleet) -> ServerConfig {
    let (leaf, key) = fleet.serving(NOW);
    tls(vec![leaf, fleet.certificate()], &key, &[ALPN])
}

/// Keeps all bytes that came in.
pub struct Recorded {
    pub tcp: TcpStream,
    pub bytes: Arc<Mutex<Vec<u8>>>,
}

impl Read for Recorded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.tcp.read(buffer)?;
        self.bytes.lock().unwrap().extend_from_slice(&buffer[..length]);
        Ok(length)
    }
}

impl Write for Recorded {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.tcp.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.tcp.flush()
    }
}

pub type Tls = StreamOwned<ServerConnection, Recorded>;

/// Runs `serve` for each connection, on threads that end with the test.
pub fn listen(serve: impl Fn(TcpStream) + Clone + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let serve = serve.clone();
            thread::spawn(move || serve(tcp));
        }
    });
    address
}

/// A TLS server that gives each connection to `serve`.
pub fn listen_tls(config: ServerConfig, serve: impl Fn(Tls) + Clone + Send + 'static) -> SocketAddr {
    let config = Arc::new(config);
    listen(move |tcp| {
        let tcp = Recorded { tcp, bytes: Arc::default() };
        serve(StreamOwned::new(ServerConnection::new(config.clone()).unwrap(), tcp));
    })
}

/// Reads a request with its body; `None` at the end of the connection.
pub fn request(tls: &mut Tls) -> Option<(String, Vec<u8>)> {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        if tls.read(&mut byte).ok()? == 0 {
            return None;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap_or("0");
    let mut body = vec![0; length.parse().unwrap()];
    tls.read_exact(&mut body).ok()?;
    Some((head, body))
}

pub fn answer(tls: &mut Tls, status: &str, body: &[u8]) {
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", body.len());
    let _ = tls.write_all(&[head.as_bytes(), body].concat()).and_then(|()| tls.flush());
}

/// Answers every request with its own body, or "hello".
pub fn echo(mut tls: Tls) {
    while let Some((_, body)) = request(&mut tls) {
        answer(&mut tls, "200 OK", if body.is_empty() { b"hello" } else { &body });
    }
}

/// Holds on to a connection in silence until the client lets go.
pub fn silence(tcp: &mut impl Read) {
    let _ = io::copy(tcp, &mut io::sink());
}
