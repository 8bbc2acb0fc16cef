//! A host's connection: what the agent says over a line or by requests, byte for byte as short, without a thread for
//! each host.

use async_io::{Async, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use futures_rustls::TlsConnector;
use futures_rustls::client::TlsStream;
use muster_protocol::frame::{self, Frame, Head};
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// The agent's time limits, for a connection and for a request.
const CONNECT: Duration = Duration::from_secs(15);
const OVERALL: Duration = Duration::from_secs(30);
/// Head and body of an answer: the agent's own limits.
const ANSWER: usize = 8 * 1024;

/// A connection that is open.
pub struct Link {
    tls: TlsStream<Async<TcpStream>>,
    server: SocketAddr,
    /// What came and is not used yet.
    buffer: Vec<u8>,
    is_line: bool,
}

/// What the server said on a line: whether it is an answer, and the message.
pub type Said = (bool, Vec<u8>);

impl Link {
    /// Opens one from that address of this machine.
    pub async fn open(tls: &TlsConnector, from: Ipv4Addr, server: SocketAddr) -> io::Result<Link> {
        let open = async {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
            socket.set_nonblocking(true)?;
            socket.set_tcp_nodelay(true)?;
            socket.bind(&SockAddr::from(SocketAddr::new(IpAddr::V4(from), 0)))?;
            match socket.connect(&SockAddr::from(server)) {
                Err(error) if error.raw_os_error() != Some(IN_PROGRESS) => return Err(error),
                _ => {}
            }
            let tcp = Async::new_nonblocking(TcpStream::from(socket))?;
            tcp.writable().await?;
            if let Some(error) = tcp.get_ref().take_error()? {
                return Err(error);
            }
            let tls = tls.connect(ServerName::from(server.ip()), tcp).await?;
            Ok(Link { tls, server, buffer: Vec::new(), is_line: false })
        };
        within(CONNECT, open).await
    }

    /// Sends a request and reads its answer's status and body.
    pub async fn post(&mut self, path: &str, credential: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        within(OVERALL, self.exchange(path, credential, body)).await
    }

    /// Whether it carries frames.
    pub fn is_line(&self) -> bool {
        self.is_line
    }

    /// Asks that it become a line; answers the status.
    pub async fn upgrade(&mut self, credential: &str) -> io::Result<u16> {
        let head = format!(
            "GET /agent/v1/stream HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {credential}\r\nconnection: upgrade\r\n\
             upgrade: {}\r\n\r\n",
            self.server,
            frame::PROTOCOL
        );
        let ask = async {
            self.tls.write_all(head.as_bytes()).await?;
            self.tls.flush().await?;
            self.buffer.clear();
            loop {
                if let Some((status, head, _)) = parse(&self.buffer)? {
                    self.buffer.drain(..head);
                    self.is_line = status == 101;
                    return Ok(status);
                }
                self.receive().await?;
            }
        };
        within(OVERALL, ask).await
    }

    /// Says something on a line, and gives what the server has said until the answer has come, or by now if none is
    /// wanted.
    pub async fn say(&mut self, message: &[u8], wants_answer: bool) -> io::Result<Vec<Said>> {
        let head = Head { length: message.len(), flag: wants_answer };
        let (bytes, used) = head.encode().ok_or(io::ErrorKind::InvalidInput)?;
        let talk = async {
            let mut said = Vec::new();
            self.tls.write_all(&[&bytes[..used], message].concat()).await?;
            self.tls.flush().await?;
            loop {
                while let Some(Frame { flag, message, rest }) =
                    frame::split(&self.buffer).map_err(|_| io::ErrorKind::InvalidData)?
                {
                    let (message, left) = (message.to_vec(), rest.len());
                    said.push((flag, message));
                    self.buffer.drain(..self.buffer.len() - left);
                    if flag {
                        return Ok(said);
                    }
                }
                if wants_answer {
                    self.receive().await?;
                } else {
                    match future::poll_once(self.receive()).await {
                        Some(received) => received?,
                        None => return Ok(said),
                    }
                }
            }
        };
        within(OVERALL, talk).await
    }

    async fn receive(&mut self) -> io::Result<()> {
        let mut chunk = [0; 2048];
        let length = self.tls.read(&mut chunk).await?;
        if length == 0 || self.buffer.len() + length > ANSWER {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.buffer.extend_from_slice(&chunk[..length]);
        Ok(())
    }

    async fn exchange(&mut self, path: &str, credential: &str, body: &[u8]) -> io::Result<(u16, Vec<u8>)> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {credential}\r\ncontent-length: {}\r\n\r\n",
            self.server,
            body.len()
        );
        self.tls.write_all(&[head.as_bytes(), body].concat()).await?;
        self.tls.flush().await?;
        self.buffer.clear();
        loop {
            if let Some((status, head, length)) = parse(&self.buffer)?
                && self.buffer.len() >= head + length
            {
                return Ok((status, self.buffer[head..head + length].to_vec()));
            }
            self.receive().await?;
        }
    }
}

/// What connecting without blocking says on Linux.
const IN_PROGRESS: i32 = 115;

async fn within<T>(limit: Duration, call: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    future::or(call, async {
        Timer::after(limit).await;
        Err(io::ErrorKind::TimedOut.into())
    })
    .await
}

/// Status, length of the head and length of the body, once the head is complete.
fn parse(answer: &[u8]) -> io::Result<Option<(u16, usize, usize)>> {
    let Some(end) = answer.windows(4).position(|four| four == b"\r\n\r\n") else { return Ok(None) };
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let head = std::str::from_utf8(&answer[..end]).map_err(|_| invalid())?;
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(invalid)?;
    let length = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse().ok())?
    });
    Ok(Some((status, end + 4, length.unwrap_or(0))))
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn answers_are_read_when_their_head_is_there() {
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Le").unwrap(), None);
        assert_eq!(parse(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab").unwrap(), Some((200, 38, 3)));
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap(), Some((204, 27, 0)));
        assert!(parse(b"nonsense\r\n\r\n").is_err());
    }
}
