//! The reference agent's server: takes JSON POSTs over TLS and answers each with 204. Writes its certificate to a
//! file, prints its port, and a line with the lateness of every event in nanoseconds.
#![forbid(unsafe_code)]

use muster_bench::machine::now_nano;
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::Value;
use std::error::Error;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;

/// The largest body that is taken.
const BODY: usize = 16 * 1024 * 1024;

fn main() -> Result<(), Box<dyn Error>> {
    let file = std::env::args().nth(1).ok_or("usage: json-sink CERTIFICATE-FILE")?;
    let certified = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    std::fs::write(file, certified.cert.pem())?;
    let key = PrivateKeyDer::try_from(certified.signing_key.serialize_der())?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certified.cert.der().clone()], key)?;
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("listening {}", listener.local_addr()?.port());
    for tcp in listener.incoming() {
        let (tcp, config) = (tcp?, config.clone());
        std::thread::spawn(move || {
            if let Err(error) = serve(tcp, config) {
                eprintln!("a connection ended: {error}");
            }
        });
    }
    Ok(())
}

fn serve(tcp: TcpStream, config: Arc<ServerConfig>) -> Result<(), Box<dyn Error>> {
    tcp.set_nodelay(true)?;
    let mut stream = BufReader::new(StreamOwned::new(ServerConnection::new(config)?, tcp));
    let (mut line, mut body) = (String::new(), Vec::new());
    loop {
        let (mut length, mut is_event) = (0, false);
        loop {
            line.clear();
            if stream.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let text = line.trim_end();
            if text.is_empty() {
                break;
            }
            is_event |= text.starts_with("POST /event ");
            let is_length = text.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            if let Some((_, value)) = is_length {
                length = value.trim().parse()?;
            }
        }
        if length > BODY {
            return Err(io::Error::from(io::ErrorKind::FileTooLarge).into());
        }
        body.resize(length, 0);
        stream.read_exact(&mut body)?;
        let now = now_nano();
        stream.get_mut().write_all(b"HTTP/1.1 204 No Content\r\n\r\n")?;
        if is_event {
            let event: Value = serde_json::from_slice(&body)?;
            let time = event["timeNano"].as_i64().unwrap_or(now);
            println!("{}", now.saturating_sub(time));
        }
    }
}
