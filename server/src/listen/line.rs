//! A connection that has changed its protocol: bytes in and out, under the same watch as before.

use super::activity::Activity;
use super::registry::Handle;
use super::wire::Wire;
use futures_lite::{AsyncReadExt, AsyncWriteExt};
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// Most bytes that are taken from TLS at once.
const PIECE: usize = 4 * 1024;

/// A connection that has changed its protocol.
///
/// While nothing comes it may be silent for as long as [`Response::keep_idle`](super::Response::keep_idle) has said;
/// from a message's first byte there is [`Limits::body`](super::Limits::body) to
/// [take](Line::take) all of it, and [`Limits::stall`](super::Limits::stall) for the client to take what is sent.
#[derive(Debug)]
pub struct Line {
    wire: Wire,
    /// What came together with the request.
    begun: Vec<u8>,
    activity: Arc<Activity>,
    handle: Handle,
    longest_idle: Duration,
}

impl Line {
    pub(super) fn new(
        wire: Wire,
        begun: Vec<u8>,
        activity: Arc<Activity>,
        handle: Handle,
        longest_idle: Duration,
    ) -> Line {
        activity.waits();
        if !begun.is_empty() {
            activity.received();
        }
        Line { wire, begun, activity, handle, longest_idle }
    }

    /// Ends it from elsewhere.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The next byte, however long it takes; `None` at the end.
    pub async fn next(&mut self) -> io::Result<Option<u8>> {
        let mut byte = [0];
        Ok((self.read(&mut byte).await? == 1).then(|| byte[0]))
    }

    /// The next `length` bytes. Memory grows with what has come, not with what was promised.
    pub async fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(length.min(PIECE));
        while bytes.len() < length {
            let at = bytes.len();
            bytes.resize(length.min(at + PIECE), 0);
            let read = self.read(&mut bytes[at..]).await?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            bytes.truncate(at + read);
        }
        Ok(bytes)
    }

    /// Reads the next `length` bytes and forgets them.
    pub async fn skip(&mut self, length: usize) -> io::Result<()> {
        let (mut left, mut piece) = (length, [0; 512]);
        while left > 0 {
            let wanted = left.min(piece.len());
            match self.read(&mut piece[..wanted]).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                read => left -= read,
            }
        }
        Ok(())
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.begun.is_empty() {
            return self.wire.read(buffer).await;
        }
        let length = buffer.len().min(self.begun.len());
        buffer[..length].copy_from_slice(&self.begun[..length]);
        self.begun.drain(..length);
        if self.begun.is_empty() {
            self.begun = Vec::new();
        }
        Ok(length)
    }

    /// A message is complete and is being dealt with: that may take its time, and the end waits for it.
    pub fn works(&self) {
        self.activity.requested();
    }

    /// That is over.
    pub fn waits(&self) {
        self.activity.waits();
    }

    /// From now on it may be silent so long, up to [`Limits::longest_idle`](super::Limits::longest_idle).
    pub fn keep_idle(&self, idle: Duration) {
        self.activity.keep_idle(idle.min(self.longest_idle));
    }

    /// Sends bytes at once.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.wire.write_all(bytes).await?;
        self.wire.flush().await
    }

    /// Ends it in an orderly way.
    pub async fn close(mut self) {
        if let Err(error) = self.wire.close().await {
            log::debug!("a line's end: {error}");
        }
    }
}
