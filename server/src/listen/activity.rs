//! What a connection is doing and since when, so that those that do nothing can be cut.
//!
//! hyper's own timeout for heads also ends connections that merely wait for their next request, as agents do for
//! minutes. So the I/O, the service and the answers note here what happens, and the registry looks now and then.

use super::Limits;
use futures_lite::{AsyncRead, AsyncWrite};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

/// What a connection is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u64)]
enum Phase {
    /// TLS is being agreed on.
    Handshake = 0,
    /// Nothing was requested yet.
    Fresh = 1,
    /// A request has begun to arrive.
    Head = 2,
    /// A request is being answered: however long that takes, as long as the client takes what is sent.
    Answer = 3,
    /// The last request is answered.
    Idle = 4,
    /// The connection has changed its protocol, and nothing is under way.
    Line = 5,
    /// A message has begun to arrive on it.
    Message = 6,
}

const PHASE_BITS: u32 = 3;

impl Phase {
    fn of(bits: u64) -> Phase {
        match bits & ((1 << PHASE_BITS) - 1) {
            0 => Phase::Handshake,
            1 => Phase::Fresh,
            2 => Phase::Head,
            3 => Phase::Answer,
            5 => Phase::Line,
            6 => Phase::Message,
            _ => Phase::Idle,
        }
    }
}

/// Shared between a connection and the registry. Times are milliseconds since `start`.
#[derive(Debug)]
pub(super) struct Activity {
    start: Instant,
    /// The phase in the lowest bits, above them when it began: one word, so that both always match.
    state: AtomicU64,
    /// When the network began to take nothing, plus one; 0 while it takes what it is given.
    stalled: AtomicU64,
    /// How long this connection may be idle.
    idle: AtomicU64,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

impl Activity {
    pub fn new(idle: Duration) -> Activity {
        Activity {
            start: Instant::now(),
            state: AtomicU64::new(Phase::Handshake as u64),
            stalled: AtomicU64::new(0),
            idle: AtomicU64::new(millis(idle)),
        }
    }

    fn now(&self) -> u64 {
        millis(self.start.elapsed())
    }

    fn enter(&self, phase: Phase) {
        self.state.store(self.now() << PHASE_BITS | phase as u64, Ordering::Relaxed);
    }

    fn phase(&self) -> Phase {
        Phase::of(self.state.load(Ordering::Relaxed))
    }

    /// TLS is established.
    pub fn secured(&self) {
        self.enter(Phase::Fresh);
    }

    /// A head is complete.
    pub fn requested(&self) {
        self.enter(Phase::Answer);
    }

    /// An answer is complete, or given up.
    fn answered(&self) {
        self.enter(Phase::Idle);
    }

    /// The connection has changed its protocol, and waits for the next message.
    pub fn waits(&self) {
        self.enter(Phase::Line);
    }

    /// From now on this connection may wait this long for its next request.
    pub fn keep_idle(&self, idle: Duration) {
        self.idle.store(millis(idle), Ordering::Relaxed);
    }

    /// Bytes have come.
    pub fn received(&self) {
        match self.phase() {
            Phase::Fresh | Phase::Idle => self.enter(Phase::Head),
            Phase::Line => self.enter(Phase::Message),
            _ => {}
        }
    }

    fn sent(&self, taken: bool) {
        if taken {
            self.stalled.store(0, Ordering::Relaxed);
        } else if self.stalled.load(Ordering::Relaxed) == 0 {
            self.stalled.store(self.now() + 1, Ordering::Relaxed);
        }
    }

    /// A request is being answered.
    pub fn is_answering(&self) -> bool {
        self.phase() == Phase::Answer
    }

    /// Why this connection should be cut, if it should.
    pub fn overdue(&self, limits: &Limits) -> Option<&'static str> {
        let state = self.state.load(Ordering::Relaxed);
        let stalled = self.stalled.load(Ordering::Relaxed);
        // Read last: none of the above can be later.
        let now = self.now();
        if stalled != 0 && now.saturating_sub(stalled - 1) >= millis(limits.stall) {
            return Some("takes nothing");
        }
        let (limit, why) = match Phase::of(state) {
            Phase::Handshake => (millis(limits.handshake), "slow handshake"),
            Phase::Fresh => (millis(limits.first_request), "no request"),
            Phase::Head => (millis(limits.head), "slow head"),
            Phase::Answer => return None,
            Phase::Message => (millis(limits.body), "slow message"),
            Phase::Idle | Phase::Line => (self.idle.load(Ordering::Relaxed), "idle"),
        };
        (now.saturating_sub(state >> PHASE_BITS) >= limit).then_some(why)
    }
}

/// Lives as long as an answer is being sent.
#[derive(Debug)]
pub(super) struct Answering(pub Arc<Activity>);

impl Drop for Answering {
    fn drop(&mut self) {
        self.0.answered();
    }
}

/// A socket that notes what happens on it.
#[derive(Debug)]
pub(super) struct Watched<T> {
    io: T,
    activity: Arc<Activity>,
}

impl<T> Watched<T> {
    pub fn new(io: T, activity: Arc<Activity>) -> Watched<T> {
        Watched { io, activity }
    }

    fn wrote(&self, poll: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.activity.sent(poll.is_ready());
        poll
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Watched<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_read(cx, buffer);
        if matches!(poll, Poll::Ready(Ok(length)) if length > 0) {
            self.activity.received();
        }
        poll
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Watched<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &[u8]) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write(cx, buffer);
        self.wrote(poll)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let poll = Pin::new(&mut self.io).poll_write_vectored(cx, buffers);
        self.wrote(poll)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Limits of which only one is over at once.
    fn limits() -> Limits {
        let hour = Duration::from_secs(3600);
        Limits { handshake: hour, first_request: hour, head: hour, stall: hour, idle: hour, ..Limits::default() }
    }

    #[test]
    fn each_phase_has_its_own_limit() {
        let over = Duration::ZERO;
        let activity = Activity::new(limits().idle);
        assert_eq!(activity.overdue(&limits()), None);
        assert_eq!(activity.overdue(&Limits { handshake: over, ..limits() }), Some("slow handshake"));
        activity.received();
        assert_eq!(activity.phase(), Phase::Handshake, "bytes of the handshake are no request");
        activity.secured();
        assert_eq!(activity.overdue(&Limits { handshake: over, head: over, ..limits() }), None);
        assert_eq!(activity.overdue(&Limits { first_request: over, ..limits() }), Some("no request"));
        activity.received();
        assert_eq!(activity.overdue(&Limits { head: over, ..limits() }), Some("slow head"));
        activity.requested();
        let all = Limits { handshake: over, first_request: over, head: over, stall: over, idle: over, ..limits() };
        assert_eq!(activity.overdue(&all), None);
        activity.answered();
        assert_eq!(activity.overdue(&all), None, "this one may be idle for an hour");
        activity.keep_idle(over);
        assert_eq!(activity.overdue(&limits()), Some("idle"));
        activity.received();
        assert_eq!(activity.overdue(&limits()), None);
    }

    #[test]
    fn a_line_may_be_silent_and_its_messages_may_not_be_slow() {
        let over = Duration::ZERO;
        let activity = Activity::new(limits().idle);
        activity.waits();
        assert_eq!(activity.overdue(&Limits { head: over, body: over, ..limits() }), None);
        activity.received();
        assert_eq!(activity.overdue(&Limits { head: over, ..limits() }), None);
        assert_eq!(activity.overdue(&Limits { body: over, ..limits() }), Some("slow message"));
        activity.requested();
        assert!(activity.is_answering() && activity.overdue(&Limits { body: over, ..limits() }).is_none());
        activity.waits();
        activity.keep_idle(over);
        assert_eq!(activity.overdue(&limits()), Some("idle"));
    }

    #[test]
    fn a_phase_is_not_prolonged_by_more_bytes() {
        let activity = Activity::new(limits().idle);
        activity.secured();
        activity.received();
        let state = activity.state.load(Ordering::Relaxed);
        activity.received();
        assert_eq!(activity.state.load(Ordering::Relaxed), state);
    }

    #[test]
    fn a_stall_counts_from_its_beginning_until_something_is_taken() {
        let stalling = Limits { stall: Duration::ZERO, ..limits() };
        let activity = Activity::new(limits().idle);
        activity.requested();
        activity.sent(false);
        let since = activity.stalled.load(Ordering::Relaxed);
        activity.sent(false);
        assert_eq!(activity.stalled.load(Ordering::Relaxed), since);
        assert_eq!(activity.overdue(&stalling), Some("takes nothing"));
        activity.sent(true);
        assert_eq!(activity.overdue(&stalling), None);
    }
}
