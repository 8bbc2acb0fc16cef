//! A TCP connection of ours below ureq.
//!
//! ureq's own hides its socket. This one can be taken back when a connection changes its protocol, and the kernel
//! tells it when the other end takes nothing any more: without that, a connection whose link died unsaid looks well
//! for a quarter of an hour to whoever only writes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, Weak};
use std::time::{self, Instant};
use ureq::Error;
use ureq::unversioned::transport::time::Duration;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, LazyBuffers, NextTimeout, ShutdownHandle, Transport, TransportAdapter,
};

/// How long what was sent may stay unacknowledged.
const UNACKNOWLEDGED: time::Duration = time::Duration::from_secs(30);

/// What proxies and TLS run over.
pub(crate) type Tcp = TransportAdapter<Socket>;

/// A socket with ureq's buffers and time limits.
#[derive(Debug)]
pub(crate) struct Socket {
    tcp: Arc<TcpStream>,
    buffers: LazyBuffers,
    /// As the socket has them now.
    read_limit: Option<time::Duration>,
    write_limit: Option<time::Duration>,
}

impl Socket {
    /// Connects within the time limit of `details`.
    pub(crate) fn connect(details: &ConnectionDetails, address: SocketAddr, limit: NextTimeout) -> Result<Self, Error> {
        let connected = match limit.after {
            Duration::Exact(time) if time.is_zero() => return Err(Error::Timeout(limit.reason)),
            Duration::Exact(time) => TcpStream::connect_timeout(&address, time),
            Duration::NotHappening => TcpStream::connect(address),
        };
        let tcp = connected.map_err(|error| match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Error::Timeout(limit.reason),
            _ => Error::Io(error),
        })?;
        // A request is one small packet, and someone waits for its answer.
        tcp.set_nodelay(true)?;
        if let Err(error) = rustix::net::sockopt::set_tcp_user_timeout(&tcp, UNACKNOWLEDGED.as_millis() as u32) {
            log::debug!("{address}: a dead link will be noticed late: {error}");
        }
        let tcp = Arc::new(tcp);
        let shared: Arc<dyn ShutdownHandle> = tcp.clone();
        let weak: Weak<dyn ShutdownHandle> = Arc::downgrade(&shared);
        (details.register_shutdown)(weak)?;
        let buffers = LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Socket { tcp, buffers, read_limit: None, write_limit: None })
    }

    /// The socket, and what was read from it and not yet used.
    pub(crate) fn into_parts(self) -> (Arc<TcpStream>, Vec<u8>) {
        let rest = self.buffers.input().to_vec();
        (self.tcp, rest)
    }
}

/// The time that is left; `None` for no limit.
fn left(limit: NextTimeout) -> Result<Option<time::Duration>, Error> {
    match limit.after {
        Duration::Exact(time) if time.is_zero() => Err(Error::Timeout(limit.reason)),
        Duration::Exact(time) => Ok(Some(time)),
        Duration::NotHappening => Ok(None),
    }
}

/// An error of the socket whose time limit may have passed.
fn failed(error: io::Error, limit: NextTimeout) -> Error {
    match error.kind() {
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Error::Timeout(limit.reason),
        _ => Error::Io(error),
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let limit = left(timeout)?;
        if limit != self.write_limit {
            self.tcp.set_write_timeout(limit)?;
            self.write_limit = limit;
        }
        let output = &self.buffers.output()[..amount];
        (&*self.tcp).write_all(output).map_err(|error| failed(error, timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let begun = Instant::now();
        let mut limit = left(timeout)?;
        loop {
            if limit != self.read_limit {
                self.tcp.set_read_timeout(limit)?;
                self.read_limit = limit;
            }
            match (&*self.tcp).read(self.buffers.input_append_buf()) {
                Ok(amount) => {
                    self.buffers.input_appended(amount);
                    return Ok(amount > 0);
                }
                // Linux does not go on by itself with a read that has a limit.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                    limit = match left(timeout)?.map(|time| time.saturating_sub(begun.elapsed())) {
                        Some(time) if time.is_zero() => return Err(Error::Timeout(timeout.reason)),
                        limit => limit,
                    };
                }
                Err(error) => return Err(failed(error, timeout)),
            }
        }
    }

    /// Nothing should be there to read: bytes would be an answer to nothing, or the connection's end.
    fn is_open(&mut self) -> bool {
        if self.tcp.set_nonblocking(true).is_err() {
            return false;
        }
        let peeked = self.tcp.peek(&mut [0]);
        let quiet = matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock);
        quiet && self.tcp.set_nonblocking(false).is_ok()
    }
}
