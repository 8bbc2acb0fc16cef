//! The engine's Unix socket: connecting, reading and writing, each until a deadline.

use super::error::EngineError;
use super::limits::READ;
use async_io::{Async, Timer};
use futures_lite::{AsyncReadExt, AsyncWriteExt, future};
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Where the engine listens if nobody says otherwise.
pub const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// The path in a DOCKER_HOST of the form `unix:///path`.
pub fn path_of(docker_host: &str) -> Result<PathBuf, EngineError> {
    match docker_host.strip_prefix("unix://") {
        Some(path) if path.starts_with('/') => Ok(PathBuf::from(path)),
        _ => Err(EngineError::Address(docker_host.chars().take(200).collect())),
    }
}

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

/// One connection, with the bytes that were read from it and not used yet.
#[derive(Debug)]
pub struct Connection {
    stream: Async<UnixStream>,
    buffer: Vec<u8>,
    /// Where in the buffer the unread bytes begin and end.
    start: usize,
    end: usize,
}

impl Connection {
    /// Connects. Never blocks: an engine that does not take connections any more, so that its backlog is full,
    /// is one that does not answer.
    pub async fn open(path: &Path, patience: Patience) -> Result<Connection, EngineError> {
        let connected = within(patience, Async::<UnixStream>::connect(path)).await;
        let stream =
            connected.ok_or(EngineError::NotAnswering)?.map_err(|error| EngineError::connecting(path, &error))?;
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
    fn connecting(path: &Path, error: &io::Error) -> EngineError {
        let path = path.to_owned();
        match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => EngineError::Absent { path, refused: false },
            io::ErrorKind::ConnectionRefused => EngineError::Absent { path, refused: true },
            io::ErrorKind::PermissionDenied => EngineError::Denied { path },
            // A full backlog: the kernel says EAGAIN, and async-io finds the socket without a peer.
            io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected => EngineError::NotAnswering,
            // A path that is longer than a socket's may be, or has a NUL.
            io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
                EngineError::Address(format!("unix://{}", path.display()))
            }
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
    fn docker_hosts() {
        assert_eq!(path_of(DEFAULT_HOST), Ok(PathBuf::from("/var/run/docker.sock")));
        for bad in ["tcp://127.0.0.1:2375", "ssh://host", "/var/run/docker.sock", "unix://relative", "unix://", ""] {
            let error = path_of(bad).expect_err(bad).to_string();
            assert!(error.contains("unix:///"), "{error}");
        }
    }

    #[test]
    fn a_path_that_cannot_be_a_socket() {
        let error = block_on(Connection::open(&PathBuf::from(format!("/{}", "x".repeat(200))), soon())).map(|_| ());
        assert!(matches!(error, Err(EngineError::Address(_))), "{error:?}");
    }

    #[test]
    fn a_full_backlog_is_not_answering_and_does_not_hang() {
        let directory = crate::docker::engine::tests::Directory::new();
        let path = directory.path().join("sock");
        let _listener = std::os::unix::net::UnixListener::bind(&path).expect("bind");
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
