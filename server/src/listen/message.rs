//! Requests and responses as handlers see them.

use super::activity::Answering;
use super::line::Line;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures_lite::future;
use futures_lite::stream::{Boxed, Stream, StreamExt};
use http_body_util::BodyExt;
use hyper::HeaderMap;
use hyper::body::{Body as _, Bytes, Frame, Incoming, SizeHint};
use hyper::header::AUTHORIZATION;
use smol::Timer;
use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

pub use hyper::Method;

/// A request whose head is complete. Its size is bounded by [`Limits`](super::Limits).
pub struct Request {
    /// Such as `GET`.
    pub method: Method,
    /// As it came, still percent-encoded, without the query.
    pub path: String,
    /// As it came, still percent-encoded, without the `?`; empty if there is none.
    pub query: String,
    /// Where it came from: perhaps a proxy.
    pub peer: SocketAddr,
    /// The certificate, in DER, by which the client has proven in TLS who it is; only where it was asked for one.
    pub certificate: Option<Arc<[u8]>>,
    /// What follows the head.
    pub body: Body,
    pub(super) headers: HeaderMap,
}

impl Request {
    /// The value of a header, by its lowercase name. `None` also if it is not plain text or comes twice: which of
    /// them counts would be a guess.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.get_all(name).iter();
        let first = values.next()?.to_str().ok()?;
        if values.next().is_some() { None } else { Some(first) }
    }

    /// The credential of `Authorization: Bearer ...`.
    pub fn bearer(&self) -> Option<&str> {
        let (scheme, credential) = self.header(AUTHORIZATION.as_str())?.split_once(' ')?;
        if scheme.eq_ignore_ascii_case("bearer") { Some(credential.trim()) } else { None }
    }

    /// The password of `Authorization: Basic ...`, whoever the user is.
    pub fn basic_password(&self) -> Option<String> {
        let (scheme, credential) = self.header(AUTHORIZATION.as_str())?.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("basic") {
            return None;
        }
        let decoded = String::from_utf8(BASE64_STANDARD.decode(credential.trim()).ok()?).ok()?;
        decoded.split_once(':').map(|(_, password)| password.to_owned())
    }
}

impl fmt::Debug for Request {
    /// Without headers, which hold credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("path", &self.path)
            .field("peer", &self.peer)
            .finish_non_exhaustive()
    }
}

/// The body of a request, not yet read.
#[derive(Debug)]
pub struct Body {
    incoming: Option<Incoming>,
    /// Takes back what the handler did not read.
    rest: async_channel::Sender<Incoming>,
    time: Duration,
    /// What [`Body::begin`] has read.
    begun: Vec<u8>,
}

impl Body {
    pub(super) fn new(incoming: Incoming, time: Duration) -> (Body, async_channel::Receiver<Incoming>) {
        let (rest, unread) = async_channel::bounded(1);
        (Body { incoming: Some(incoming), rest, time, begun: Vec::new() }, unread)
    }

    /// The first `length` bytes, or all if there are less; they stay. So it can be known who sends a body before
    /// all of it is taken.
    pub async fn begin(&mut self, length: usize) -> Result<&[u8], BodyError> {
        if let Some(incoming) = &mut self.incoming {
            let begin = async {
                while self.begun.len() < length {
                    let Some(frame) = incoming.frame().await else { break };
                    if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() {
                        self.begun.extend_from_slice(&data);
                    }
                }
                Ok(())
            };
            future::or(begin, too_slow(self.time)).await?;
        }
        Ok(&self.begun[..length.min(self.begun.len())])
    }

    /// All of it, if it has at most `limit` bytes and comes in time. Can be called once; afterwards it is empty.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<u8>, BodyError> {
        let begun = std::mem::take(&mut self.begun);
        let Some(incoming) = &mut self.incoming else { return Ok(begun) };
        let read = future::or(collect(begun, incoming, limit), too_slow(self.time)).await;
        // Only what is merely too large is worth reading on, for the sake of the answer.
        if !matches!(read, Err(BodyError::TooLarge)) {
            self.incoming = None;
        }
        read
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(incoming) = self.incoming.take() {
            let _ = self.rest.try_send(incoming);
        }
    }
}

async fn too_slow<T>(time: Duration) -> Result<T, BodyError> {
    Timer::after(time).await;
    Err(BodyError::TooSlow)
}

async fn collect(mut bytes: Vec<u8>, incoming: &mut Incoming, limit: usize) -> Result<Vec<u8>, BodyError> {
    let left = (limit as u64).saturating_sub(bytes.len() as u64);
    if bytes.len() > limit || incoming.size_hint().lower() > left {
        return Err(BodyError::TooLarge);
    }
    while let Some(frame) = incoming.frame().await {
        let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
        if data.len() > limit - bytes.len() {
            return Err(BodyError::TooLarge);
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Reads and forgets at most `limit` bytes of a body. Whether that was all of it.
pub(super) async fn drain(incoming: &mut Incoming, limit: usize) -> bool {
    let mut left = limit;
    while let Some(frame) = incoming.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) if data.len() <= left => left -= data.len(),
            Ok(Err(_)) => {}
            _ => return false,
        }
    }
    true
}

/// Why there is no body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It has more bytes than allowed.
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// The connection was lost, or it is no HTTP.
    Broken,
}

impl BodyError {
    /// The status of an answer that says so.
    pub fn status(self) -> u16 {
        match self {
            BodyError::TooLarge => 413,
            BodyError::TooSlow => 408,
            BodyError::Broken => 400,
        }
    }
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BodyError::TooLarge => "the body is too large",
            BodyError::TooSlow => "the body did not come in time",
            BodyError::Broken => "the body is incomplete or malformed",
        })
    }
}

impl std::error::Error for BodyError {}

/// What is answered.
#[derive(Debug)]
pub struct Response {
    /// The HTTP status.
    pub status: u16,
    /// Of the body; empty for none.
    pub content_type: &'static str,
    /// Further headers. One that HTTP does not allow is left out.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub content: Content,
    pub(super) keep_idle: Option<Duration>,
    pub(super) known: Option<u64>,
}

impl Response {
    /// A body of known length, perhaps 0.
    pub fn bytes(status: u16, content_type: &'static str, bytes: Vec<u8>) -> Response {
        Response {
            status,
            content_type,
            headers: Vec::new(),
            content: Content::Bytes(bytes),
            keep_idle: None,
            known: None,
        }
    }

    /// No body.
    pub fn empty(status: u16) -> Response {
        Response::bytes(status, "", Vec::new())
    }

    /// A body that comes in parts, each sent at once; an `async_channel::Receiver` is such a stream. The stream is
    /// dropped as soon as the client has left, so that the other end of the channel notices.
    pub fn stream(
        status: u16,
        content_type: &'static str,
        stream: impl Stream<Item = Vec<u8>> + Send + 'static,
    ) -> Response {
        Response { content: Content::Stream(stream.boxed()), ..Response::bytes(status, content_type, Vec::new()) }
    }

    /// The client has asked by `Upgrade:` to change to that protocol, and may: what comes now is `takeover`'s. If it
    /// has not, it is told to.
    pub fn line<F>(protocol: &'static str, takeover: impl FnOnce(Line) -> F + Send + 'static) -> Response
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let takeover: Box<Takeover> = Box::new(move |line| Box::pin(takeover(line)));
        Response { content: Content::Line(protocol, takeover), ..Response::empty(101) }
    }

    /// One more header; the name in lowercase.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Response {
        self.headers.push((name, value.into()));
        self
    }

    /// From now on this connection may wait so long for its next request, up to
    /// [`Limits::longest_idle`](super::Limits::longest_idle).
    pub fn keep_idle(mut self, idle: Duration) -> Response {
        self.keep_idle = Some(idle);
        self
    }

    /// The client has proven that it is `who`: its connection no longer counts against its address, unless it has
    /// [many](super::Limits::known_per_client).
    pub fn known(mut self, who: u64) -> Response {
        self.known = Some(who);
        self
    }
}

/// The body of a response.
pub enum Content {
    /// All of it.
    Bytes(Vec<u8>),
    /// Parts.
    Stream(Boxed<Vec<u8>>),
    /// None: the connection changes its protocol, and is this one's.
    Line(&'static str, Box<Takeover>),
}

/// Goes on with a connection that has changed its protocol. It ends when this does.
pub(super) type Takeover = dyn FnOnce(Line) -> Pin<Box<dyn Future<Output = ()> + Send>> + Send;

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Content::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Content::Stream(_) => f.write_str("Stream"),
            Content::Line(protocol, _) => write!(f, "Line({protocol})"),
        }
    }
}

/// So much of a body is handed over at once, in bytes. hyper copies it behind what it has not sent yet, into a buffer that
/// stays as large as it ever was while the connection lasts: this and a head fit into the 8 KiB that it begins with.
const PIECE: usize = 7 * 1024;

/// A response's body on its way out, in pieces.
pub(super) struct Outgoing {
    /// What is still to be handed over of a body, or of a stream's newest part.
    rest: Bytes,
    /// What comes behind that.
    stream: Option<Boxed<Vec<u8>>>,
    /// A piece was handed over, which is to be sent before the next one is.
    handed: bool,
    _answering: Answering,
}

impl Outgoing {
    pub fn new(content: Content, answering: Answering) -> Outgoing {
        let (rest, stream) = match content {
            Content::Bytes(bytes) => (bytes.into(), None),
            Content::Stream(stream) => (Bytes::new(), Some(stream)),
            Content::Line(..) => (Bytes::new(), None),
        };
        Outgoing { rest, stream, handed: false, _answering: answering }
    }
}

impl hyper::body::Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if std::mem::take(&mut self.handed) && !self.rest.is_empty() {
            // Whoever has to wait here sends what there is.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        // An empty piece would be the end of the body.
        while self.rest.is_empty() {
            let Some(stream) = &mut self.stream else { return Poll::Ready(None) };
            match ready!(stream.poll_next(cx)) {
                Some(part) => self.rest = part.into(),
                None => self.stream = None,
            }
        }
        self.handed = true;
        let most = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(most)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.stream.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.stream {
            None => SizeHint::with_exact(self.rest.len() as u64),
            Some(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listen::activity::Activity;
    use std::task::Waker;

    #[test]
    fn a_large_body_goes_out_in_pieces_that_leave_no_large_buffer_behind() {
        let text: Vec<u8> = (0..100_000u32).map(|n| n as u8).collect();
        let parts = [text[..50_000].to_vec(), Vec::new(), text[50_000..].to_vec()];
        for content in [Content::Bytes(text.clone()), Content::Stream(futures_lite::stream::iter(parts).boxed())] {
            let known = matches!(content, Content::Bytes(_));
            let mut body = Outgoing::new(content, Answering(Arc::new(Activity::new(Duration::from_secs(1)))));
            assert_eq!(body.size_hint().exact(), known.then_some(100_000));
            let mut cx = Context::from_waker(Waker::noop());
            let (mut seen, mut waits) = (Vec::new(), 0);
            loop {
                match Pin::new(&mut body).poll_frame(&mut cx) {
                    Poll::Pending => waits += 1,
                    Poll::Ready(None) => break,
                    Poll::Ready(Some(Ok(frame))) => {
                        let piece = frame.into_data().expect("data");
                        assert!((1..=7 * 1024).contains(&piece.len()), "{}", piece.len());
                        seen.extend_from_slice(&piece);
                    }
                }
            }
            assert!(seen == text && body.is_end_stream());
            assert_eq!(waits, if known { 13 } else { 12 }, "each piece is sent before the next one");
        }
    }
}
