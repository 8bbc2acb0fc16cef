//! The one thread that blocks: it sends a request, waits for the answer, and hands it back.
//!
//! A server may have several addresses, the best one first. The one that works is kept until it fails; then the next
//! one has its turn. While it is not the first, the first is looked at again once in an hour, with a message that
//! would have gone anyway and in less time, and taken if it answers.

use super::handover::Handover;
use crate::join::identity::Identity;
use log::debug;
use muster_dial::{Client, Failure, Settings};
use muster_protocol::limits;
use std::time::{Duration, Instant};

/// What the sender's thread needs: rustls's handshake is the deepest it goes.
const STACK: usize = 256 * 1024;
/// For a connection, on links that take their time.
const CONNECT: Duration = Duration::from_secs(15);
/// For a request and its answer.
const OVERALL: Duration = Duration::from_secs(30);
/// How often the first address is looked at again while another one is in use.
const LOOK_BACK: Duration = Duration::from_secs(3600);
/// Such a look holds up a message, so it has less time: to connect, and altogether.
const LOOK_CONNECT: Duration = Duration::from_secs(5);
const LOOK_OVERALL: Duration = Duration::from_secs(10);
/// Answers are a record or two.
const ANSWER: usize = 4096;

/// Where a request goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    /// The start of an epoch.
    Hello,
    /// Events and readings.
    Report,
}

impl To {
    fn path(self) -> &'static str {
        match self {
            To::Hello => "/agent/v1/hello",
            To::Report => "/agent/v1/report",
        }
    }
}

/// What came of a request. The buffer comes back for the next one.
#[derive(Debug)]
pub struct Sent {
    /// The request's body, to be used again.
    pub body: Vec<u8>,
    /// Status and body of the answer.
    pub outcome: Result<(u16, Vec<u8>), Failure>,
}

/// The way to the sender's thread and back.
#[derive(Debug)]
pub struct Sender {
    requests: async_channel::Sender<(To, Vec<u8>)>,
    answers: async_channel::Receiver<Sent>,
    handover: Handover,
}

impl Sender {
    /// Starts the thread. It ends when this is dropped.
    pub fn start(identity: Identity) -> std::io::Result<Sender> {
        Sender::start_looking_back(identity, LOOK_BACK)
    }

    /// The same with another time between looks at the first address.
    pub fn start_looking_back(identity: Identity, every: Duration) -> std::io::Result<Sender> {
        let (requests, to_send) = async_channel::bounded(1);
        let (done, answers) = async_channel::bounded(1);
        let handover = Handover::default();
        std::thread::Builder::new().name("uplink".into()).stack_size(STACK).spawn({
            let handover = handover.clone();
            move || run(Line::new(identity, every, handover), &to_send, &done)
        })?;
        Ok(Sender { requests, answers, handover })
    }

    /// For who changes the identity.
    pub(super) fn handover(&self) -> Handover {
        self.handover.clone()
    }

    /// Sends one request and waits for what comes of it. One at a time.
    pub async fn exchange(&self, to: To, body: Vec<u8>) -> Sent {
        let gone = || Sent { body: Vec::new(), outcome: Err(Failure::Protocol("the sender has ended".into())) };
        if self.requests.send((to, body)).await.is_err() {
            return gone();
        }
        self.answers.recv().await.unwrap_or_else(|_| gone())
    }
}

fn run(mut line: Line, requests: &async_channel::Receiver<(To, Vec<u8>)>, done: &async_channel::Sender<Sent>) {
    while let Ok((to, body)) = requests.recv_blocking() {
        let outcome = line.send(to, &body);
        if done.send_blocking(Sent { body, outcome }).is_err() {
            return;
        }
    }
}

/// The way to the server that is in use.
struct Line {
    identity: Identity,
    credential: String,
    turn: Turn,
    client: Option<Client>,
    handover: Handover,
}

impl Line {
    fn new(identity: Identity, look_back: Duration, handover: Handover) -> Line {
        let addresses = identity.all_addresses().count();
        let turn = Turn { at: 0, addresses, first_tried: Instant::now(), look_back };
        Line { credential: identity.credential.hex(), identity, turn, client: None, handover }
    }

    fn send(&mut self, to: To, body: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
        if let Some(identity) = self.handover.take() {
            *self = Line::new(identity, self.turn.look_back, self.handover.clone());
        }
        if self.turn.is_first_due(Instant::now()) {
            match self.connect(0, LOOK_CONNECT, LOOK_OVERALL).and_then(|first| self.post(&first, to, body)) {
                Ok(answer) => {
                    self.turn.first_answered();
                    self.handover.answered_at(self.identity.addresses.first());
                    // The next message takes the time that it needs.
                    self.client = None;
                    return Ok(answer);
                }
                Err(failure) => debug!("the first address: {failure}"),
            }
        }
        let sent = match self.client.take() {
            Some(client) => Ok(client),
            None => self.connect(self.turn.at, CONNECT, OVERALL),
        }
        .and_then(|client| Ok((self.post(&client, to, body)?, client)));
        match sent {
            Ok((answer, client)) => {
                self.handover.answered_at(Some(client.address()));
                self.client = Some(client);
                Ok(answer)
            }
            Err(failure) => {
                // A new connection for the next try, and another address if there is one.
                self.turn.failed(Instant::now());
                Err(failure)
            }
        }
    }

    fn connect(&self, at: usize, connect_timeout: Duration, overall_timeout: Duration) -> Result<Client, Failure> {
        let address = self.identity.all_addresses().nth(at).cloned();
        let address = address.ok_or_else(|| Failure::Unreachable("there is no address".into()))?;
        Client::new(Settings { connect_timeout, overall_timeout, ..self.identity.settings(address) })
    }

    fn post(&self, client: &Client, to: To, body: &[u8]) -> Result<(u16, Vec<u8>), Failure> {
        let mut answer = Vec::new();
        let status = client.post(to.path(), &self.credential, body, &mut answer, ANSWER)?;
        debug!("{to:?}: {} bytes, answer {} with {} bytes", body.len(), status.0, answer.len());
        Ok((status.0, answer))
    }
}

/// Which address has its turn.
struct Turn {
    at: usize,
    addresses: usize,
    first_tried: Instant,
    look_back: Duration,
}

impl Turn {
    fn failed(&mut self, now: Instant) {
        if self.at == 0 {
            self.first_tried = now;
        }
        self.at = (self.at + 1) % self.addresses.max(1);
    }

    /// Says so once in that time.
    fn is_first_due(&mut self, now: Instant) -> bool {
        let due = self.at != 0 && now.saturating_duration_since(self.first_tried) >= self.look_back;
        if due {
            self.first_tried = now;
        }
        due
    }

    fn first_answered(&mut self) {
        self.at = 0;
    }
}

const _: () = assert!(limits::MESSAGE >= ANSWER);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_take_turns_and_the_first_is_looked_at_again_in_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut turn = Turn { at: 0, addresses: 3, first_tried: start, look_back: Duration::from_secs(100) };
        assert!(!turn.is_first_due(after(1000)), "it is in use");
        turn.failed(after(1000));
        turn.failed(after(1050));
        assert_eq!(turn.at, 2);
        assert!(!turn.is_first_due(after(1099)));
        assert!(turn.is_first_due(after(1100)));
        assert!(!turn.is_first_due(after(1199)), "once");
        assert!(turn.is_first_due(after(1200)));
        turn.first_answered();
        assert_eq!(turn.at, 0);
        let mut only = Turn { at: 0, addresses: 1, first_tried: start, look_back: Duration::ZERO };
        only.failed(after(1));
        assert_eq!(only.at, 0);
        assert!(!only.is_first_due(after(1000)));
    }
}
