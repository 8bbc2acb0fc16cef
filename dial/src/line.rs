//! A line: one long-lived connection to the server that carries [frames](muster_protocol::frame) after it was
//! opened by an HTTP request, through whatever proxy is on the way.

use crate::client::{Client, Settings, Status};
use crate::failure::{Failure, one_line};
use crate::join_string::Address;
use crate::pinned::Taken;
use muster_protocol::frame::{self, Frame, Head};
use rustls::ClientConnection;
use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is given to TLS at once: the most that one of its records holds.
const PIECE: usize = 16 * 1024;
/// Read buffer. What servers say is some hundred bytes.
const CHUNK: usize = 2 * 1024;
/// The most that is read of an answer that refuses the line.
const REFUSAL: usize = 4 * 1024;

/// What came of asking for a line.
#[derive(Debug)]
pub enum Opened {
    /// It is open.
    Line(Box<Line>),
    /// The server, or what stands before it, answers with this status instead.
    Refused(Status),
}

/// What a server has said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// A message as in `WIRE.md`.
    pub message: Vec<u8>,
    /// It answers the first message that wanted an answer and has none yet.
    pub is_answer: bool,
}

/// An open line. Blocks. After any failure, drop it.
pub struct Line {
    tls: ClientConnection,
    tcp: Arc<TcpStream>,
    address: Address,
    /// Longest message that is taken from the server.
    limit: usize,
    received: Vec<u8>,
    /// The server has closed it; what came before counts.
    ended: bool,
}

impl Line {
    /// Opens one with a GET of `path`, which carries the credential `bearer`. The settings' time limits are for the
    /// opening; messages of the server of more than `limit` bytes end the line.
    pub fn open(settings: Settings, path: &str, bearer: &str, limit: usize) -> Result<Opened, Failure> {
        let address = settings.address.clone();
        let Taken { tls, tcp, sealed, opened } =
            match Client::upgrade(settings, path, bearer, frame::PROTOCOL, REFUSAL)? {
                Ok(taken) => taken,
                Err((status, _)) => return Ok(Opened::Refused(status)),
            };
        let mut line = Line { tls, tcp, address, limit, received: opened, ended: false };
        let mut sealed = &sealed[..];
        while !sealed.is_empty() {
            line.tls.read_tls(&mut sealed).map_err(|error| line.lost(error))?;
            line.decrypt()?;
        }
        Ok(Opened::Line(Box::new(line)))
    }

    /// Where the server is.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// The other end of its TCP connection: the server's, or that of a proxy before it.
    pub fn peer(&self) -> io::Result<SocketAddr> {
        self.tcp.peer_addr()
    }

    /// This end of it: the address by which this host reaches the server.
    pub fn local(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }

    /// Sends a message of 1 to [`MESSAGE`](muster_protocol::limits::MESSAGE) bytes, within this time.
    pub fn send(&mut self, message: &[u8], wants_answer: bool, limit: Duration) -> Result<(), Failure> {
        let until = Instant::now() + limit;
        let head = Head { length: message.len(), flag: wants_answer };
        let (bytes, used) = head.encode().ok_or_else(|| Failure::Protocol("no message is that long".into()))?;
        // Head and message in one record; what does not fit goes in further ones.
        let (first, rest) = message.split_at(message.len().min(PIECE - used));
        let written = self.tls.writer().write_vectored(&[IoSlice::new(&bytes[..used]), IoSlice::new(first)]);
        if written.map_err(|error| self.lost(error))? != used + first.len() {
            return Err(Failure::Tls("it takes no more data".into()));
        }
        self.flush(until)?;
        for piece in rest.chunks(PIECE) {
            self.tls.writer().write_all(piece).map_err(|error| self.lost(error))?;
            self.flush(until)?;
        }
        Ok(())
    }

    /// What the server has said by now, without waiting. Fails if the line is at its end.
    pub fn heard(&mut self) -> Result<Option<Said>, Failure> {
        loop {
            if let Some(said) = self.complete()? {
                return Ok(Some(said));
            }
            self.tcp.set_nonblocking(true).map_err(|error| self.lost(error))?;
            let read = self.read_tls();
            self.tcp.set_nonblocking(false).map_err(|error| self.lost(error))?;
            match read {
                Ok(()) => self.decrypt()?,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    /// What the server says next, within this time.
    pub fn wait(&mut self, limit: Duration) -> Result<Said, Failure> {
        let until = Instant::now() + limit;
        loop {
            if let Some(said) = self.complete()? {
                return Ok(said);
            }
            self.tcp.set_read_timeout(Some(left(until)?)).map_err(|error| self.lost(error))?;
            match self.read_tls() {
                Ok(()) => self.decrypt()?,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn complete(&mut self) -> Result<Option<Said>, Failure> {
        let nonsense = |error| Failure::Protocol(one_line(&error));
        let Some(Frame { flag: is_answer, message, rest }) = frame::split(&self.received).map_err(nonsense)? else {
            return match self.received.len() {
                length if length > self.limit + frame::LONGEST_HEAD => Err(Failure::TooLarge),
                _ if self.ended => Err(self.lost(io::ErrorKind::UnexpectedEof.into())),
                _ => Ok(None),
            };
        };
        if message.len() > self.limit {
            return Err(Failure::TooLarge);
        }
        let said = Said { message: message.to_vec(), is_answer };
        let used = self.received.len() - rest.len();
        self.received.drain(..used);
        Ok(Some(said))
    }

    fn read_tls(&mut self) -> io::Result<()> {
        match self.tls.read_tls(&mut &*self.tcp)? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            _ => Ok(()),
        }
    }

    fn decrypt(&mut self) -> Result<(), Failure> {
        self.tls.process_new_packets().map_err(|error| Failure::Tls(one_line(&error)))?;
        let mut chunk = [0; CHUNK];
        loop {
            match self.tls.reader().read(&mut chunk) {
                // The server has closed it in an orderly way.
                Ok(0) => {
                    self.ended = true;
                    return Ok(());
                }
                Ok(length) => self.received.extend_from_slice(&chunk[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(self.lost(error)),
            }
        }
    }

    fn flush(&mut self, until: Instant) -> Result<(), Failure> {
        while self.tls.wants_write() {
            self.tcp.set_write_timeout(Some(left(until)?)).map_err(|error| self.lost(error))?;
            match self.tls.write_tls(&mut &*self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.lost(error)),
            }
        }
        Ok(())
    }

    fn lost(&self, error: io::Error) -> Failure {
        match error.kind() {
            // What a socket says whose time limit has passed.
            io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Failure::TimedOut,
            _ => Failure::of_io(error, &self.address),
        }
    }
}

/// To wait for it together with others. Readable says only that something has come: ask [`Line::heard`] until there is
/// nothing more, and wait only then.
impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.tcp.as_fd()
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.tls.send_close_notify();
        // As far as it goes without waiting: who reads will see an end, and who does not will see a closed socket.
        if self.tcp.set_nonblocking(true).is_ok() {
            let _ = self.tls.write_tls(&mut &*self.tcp);
        }
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("address", &self.address).finish_non_exhaustive()
    }
}

fn left(until: Instant) -> Result<Duration, Failure> {
    let left = until.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(Failure::TimedOut) } else { Ok(left) }
}
