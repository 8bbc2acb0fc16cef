//! What a client may take: one table.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Sizes and times of one port.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections at once. Ten thousand agents, some of them twice while they reconnect, and people; at 16 to
    /// 30 KiB each.
    pub connections: usize,
    /// Connections at once from one address (or one /64 of IPv6) that no handler has called
    /// [known](super::Response::known) yet. A flood ends here; a site behind one router that comes back at once
    /// waits its turn.
    pub unknown_per_peer: usize,
    /// Connections at once of one client that a handler has called [known](super::Response::known). An agent has one,
    /// and leaves some behind when its network changes; what is more counts as unknown, so that one credential
    /// cannot take all places.
    pub known_per_client: usize,
    /// Where clients are known by their certificate from the handshake on, and not only with the first answer.
    pub known_by: Option<KnownBy>,
    /// For the TLS handshake. Six round trips of a very bad link.
    pub handshake: Duration,
    /// From the handshake to the first byte of a request.
    pub first_request: Duration,
    /// From the first byte of a request to the end of its head.
    pub head: Duration,
    /// For a request's body, from when the handler asks for it.
    pub body: Duration,
    /// Between two requests of one connection, unless the handler says [otherwise](super::Response::keep_idle).
    pub idle: Duration,
    /// The most that a handler can say: three of the longest intervals that agents have.
    pub longest_idle: Duration,
    /// After so much silence the kernel asks whether the other end is still there, and within a minute it gives it up.
    /// In whole seconds. More than agents are silent who report each five minutes: probes are traffic too.
    pub probe_after: Duration,
    /// That the network may refuse to take any more of an answer.
    pub stall: Duration,
    /// For the rest of a body that the handler did not read, so that the client comes to read the answer.
    pub drain: Duration,
    /// The most of such a rest that is read, in bytes. Beyond it the connection is closed instead.
    pub drain_bytes: usize,
    /// A request's head, in bytes. More is answered with 431.
    pub head_bytes: usize,
    /// A request's headers. More are answered with 431.
    pub headers: usize,
    /// How often connections are checked against these times: what they may overrun.
    pub sweep: Duration,
    /// At the end, for requests that are being answered. What they began is finished without them.
    pub grace: Duration,
}

/// Answers a number for the client that has this certificate, in DER; `None` if that is nobody any more.
type ClientOf = dyn Fn(&[u8]) -> Option<u64> + Send + Sync;

/// How clients are known by their certificates.
#[derive(Clone)]
pub struct KnownBy(pub Arc<ClientOf>);

impl fmt::Debug for KnownBy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("KnownBy")
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            connections: 12_000,
            unknown_per_peer: 256,
            known_per_client: 32,
            known_by: None,
            handshake: Duration::from_secs(10),
            first_request: Duration::from_secs(20),
            head: Duration::from_secs(15),
            body: Duration::from_secs(30),
            idle: Duration::from_secs(600),
            longest_idle: Duration::from_secs(3 * 3600),
            probe_after: Duration::from_secs(330),
            stall: Duration::from_secs(30),
            drain: Duration::from_secs(5),
            drain_bytes: 256 * 1024,
            head_bytes: 16 * 1024,
            headers: 64,
            sweep: Duration::from_secs(1),
            grace: Duration::from_secs(2),
        }
    }
}
