//! The engine's socket: connecting, reading and writing, each until a deadline.

use super::address::EngineAddress;
use super::error::EngineError;
use super::limits::{PROBE_AFTER, PROBES, READ};
use async_io::{Async, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use rustix::net::sockopt;
use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::Instant;

/// What a call waits for at most.
#[derive(Debug, Clone, Copy)]
pub enum Patience {
    /// Until then.
    Until(Instant),
    /// For as long as it takes: the next event may come in a month.
    Endless,
}

/// Waits for `work`, but not longer than that; `None` if it took longer.
pub async fn within<T>(patience: Patience, work: impl Future<Output = T>) -> Option<T> {
    match patience {
        Patience::Endless => Some(work.await),
        Patience::Until(end) => {
            // The work is asked first, so that an answer that is there is taken however late it is.
            future::or(async { Some(work.await) }, async {
                Timer::at(end).await;
                None
            })
            .await
        }
    }
}

/// What a connection runs over.
#[derive(Debug)]
enum Stream {
    Unix(Async<UnixStream>),
    Tcp(Async<TcpStream>),
}

impl Stream {
    async fn open(address: &EngineAddress) -> io::Result<Stream> {
        match address {
            EngineAddress::Unix(path) => Async::<UnixStream>::connect(path).await.map(Stream::Unix),
            EngineAddress::Tcp { host, port } => {
                let mut failed = None;
                for address in look_up(host, *port).await? {
                    match Async::<TcpStream>::connect(address).await {
                        Ok(stream) => return Ok(Stream::Tcp(probed(stream))),
                        Err(error) => failed = Some(error),
                    }
                }
                Err(failed.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
            }
        }
    }

    async fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Stream::Unix(stream) => stream.write_all(bytes).await,
            Stream::Tcp(stream) => stream.write_all(bytes).await,
        }
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Unix(stream) => stream.read(buffer).await,
            Stream::Tcp(stream) => stream.read(buffer).await,
        }
    }
}

/// The addresses of a host. A name is looked up in a thread of its own, for that blocks.
async fn look_up(host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
    if let Ok(ip) = host.parse() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let host = host.to_owned();
    let found = smol::unblock(move || (host.as_str(), port).to_socket_addrs().map(Vec::from_iter)).await;
    // Whatever the system calls it, there is no such host now.
    found.map_err(|_| io::ErrorKind::NotFound.into())
}

/// Lets the kernel notice when the other end is gone without a word: a stream of events may be silent for days. And
/// requests are small packets for whose answers someone waits.
fn probed(stream: Async<TcpStream>) -> Async<TcpStream> {
    let set = sockopt::set_socket_keepalive(&stream, true)
        .and_then(|()| sockopt::set_tcp_keepidle(&stream, PROBE_AFTER))
        .and_then(|()| sockopt::set_tcp_keepintvl(&stream, PROBE_AFTER))
        .and_then(|()| sockopt::set_tcp_keepcnt(&stream, PROBES))
        .and_then(|()| sockopt::set_tcp_nodelay(&stream, true));
    if let Err(error) = set {
        log::debug!("a lost connection to the engine will be noticed late: {error}");
    }
    stream
}

/// One connection, with the bytes that were read from it and not used yet.
#[derive(Debug)]
pub struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
    /// Where in the buffer the unread bytes begin and end.
    start: usize,
    end: usize,
}

impl Connection {
    /// Connects. Never blocks: an engine that does not take connections any more, so that its backlog is full,
    /// is one that does not answer.
    pub async fn open(address: &EngineAddress, patience: Patience) -> Result<Connection, EngineError> {
        let connected = within(patience, Stream::open(address)).await;
        let stream =
            connected.ok_or(EngineError::NotAnswering)?.map_err(|error| EngineError::connecting(address, &error))?;
        Ok(Connection { stream, buffer: Vec::new(), start: 0, end: 0 })
    }

    /// Sends all of it.
    pub async fn send(&mut self, bytes: &[u8], patience: Patience) -> Result<(), EngineError> {
        let sent = within(patience, self.stream.write_all(bytes)).await;
        sent.ok_or(EngineError::NotAnswering)?.map_err(|error| EngineError::Lost(error.kind()))
    }

    /// Reads once, if all bytes before were used. False if the engine has closed the connection. Nothing is lost
    /// if the caller stops waiting.
    pub async fn fill(&mut self, patience: Patience) -> Result<bool, EngineError> {
        if !self.unread().is_empty() {
            return Ok(true);
        }
        (self.start, self.end) = (0, 0);
        self.buffer.resize(READ, 0);
        let count = within(patience, self.stream.read(&mut self.buffer)).await;
        self.end = count.ok_or(EngineError::NotAnswering)?.map_err(|error| EngineError::Lost(error.kind()))?;
        Ok(self.end > 0)
    }

    /// Bytes that were read and not used yet.
    pub fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// So many of them were used.
    pub fn consume(&mut self, count: usize) {
        self.start = self.start.saturating_add(count).min(self.end);
    }

    /// Gives the buffer's memory back while the connection waits for its next use.
    pub fn rest(&mut self) {
        self.buffer = Vec::new();
        (self.start, self.end) = (0, 0);
    }
}

impl EngineError {
    /// Of a connection that could not be made.
    fn connecting(address: &EngineAddress, error: &io::Error) -> EngineError {
        let at = address.clone();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => EngineError::Absent { at, refused: false },
            io::ErrorKind::ConnectionRefused => EngineError::Absent { at, refused: true },
            io::ErrorKind::PermissionDenied => EngineError::Denied { at },
            // A full backlog: the kernel says EAGAIN, and async-io finds the socket without a peer.
            io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected => EngineError::NotAnswering,
            // A path that is longer than a socket's may be, or has a NUL.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => EngineError::Address(at.to_string()),
            kind => EngineError::Lost(kind),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use std::time::Duration;

    fn soon() -> Patience {
        Patience::Until(Instant::now() + Duration::from_secs(30))
    }

    #[test]
    fn a_path_that_cannot_be_a_socket() {
        let path = EngineAddress::Unix(format!("/{}", "x".repeat(200)).into());
        let error = block_on(Connection::open(&path, soon())).map(|_| ());
        assert!(matches!(error, Err(EngineError::Address(_))), "{error:?}");
    }

    #[test]
    fn an_engine_by_tcp_is_found_or_absent() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("its address").port();
        let at = |host: &str, port| EngineAddress::Tcp { host: host.into(), port };
        let opened = |address: &EngineAddress| block_on(Connection::open(address, soon())).map(drop);
        assert_eq!(opened(&at("127.0.0.1", port)), Ok(()));
        assert_eq!(opened(&at("localhost", port)), Ok(()));
        drop(listener);
        let away = at("127.0.0.1", port);
        assert_eq!(opened(&away), Err(EngineError::Absent { at: away.clone(), refused: true }));
        let nobody = at("no-such-host.invalid", 1);
        assert_eq!(opened(&nobody), Err(EngineError::Absent { at: nobody.clone(), refused: false }));
    }

    #[test]
    fn a_full_backlog_is_not_answering_and_does_not_hang() {
        let directory = crate::docker::engine::tests::Directory::new();
        let path = directory.path().join("sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
        let path = path.into();
        // Nobody accepts: at some point the backlog is full.
        let mut kept = Vec::new();
        let error = block_on(async {
            loop {
                match Connection::open(&path, soon()).await {
                    Ok(connection) if kept.len() < 100_000 => kept.push(connection),
                    other => return other.map(|_| ()),
                }
            }
        });
        assert_eq!(error, Err(EngineError::NotAnswering));
    }
}
