//! The one thread that blocks: it sends a message, waits for its answer if it wants one, and hands back what came.
//!
//! A server may have several addresses, the best one first. The one that works is kept until it fails; then the next
//! one has its turn. While it is not the first, the first is looked at again once in an hour, with a message that
//! would have gone anyway and in less time, and taken if it answers.

use super::courier::{Courier, LOOK_BACK};
use super::in_use::InUse;
use super::way::Wanted;
use crate::join::identity::Identity;
use muster_dial::{Address, Failure};
use std::time::Duration;

pub use super::courier::{Reply, To};

/// What the sender's thread needs: rustls's handshake is the deepest it goes.
const STACK: usize = 256 * 1024;

/// What came of a message. The buffer comes back for the next one.
#[derive(Debug)]
pub struct Sent {
    /// The message, to be used again.
    pub body: Vec<u8>,
    /// What the server has said: first what is about earlier messages, at last the answer if one was wanted.
    pub outcome: Result<Vec<Reply>, Failure>,
    /// A line has ended since the message before: what went over it and wanted no answer may be lost.
    pub line_ended: bool,
}

/// The way to the sender's thread and back.
#[derive(Debug)]
pub struct Sender {
    messages: async_channel::Sender<Message>,
    sent: async_channel::Receiver<Sent>,
    in_use: InUse,
}

struct Message {
    to: To,
    body: Vec<u8>,
    wants_answer: bool,
}

impl Sender {
    /// Starts the thread. It ends when this is dropped.
    pub fn start(identity: Identity, uplink: Wanted) -> std::io::Result<Sender> {
        Sender::start_looking_back(identity, uplink, LOOK_BACK)
    }

    /// The same with another time between looks at the first address.
    pub fn start_looking_back(identity: Identity, uplink: Wanted, every: Duration) -> std::io::Result<Sender> {
        let (messages, to_send) = async_channel::bounded(1);
        let (done, sent) = async_channel::bounded(1);
        let in_use = InUse::default();
        let courier = Courier::new(identity, uplink, every, in_use.clone());
        std::thread::Builder::new()
            .name("uplink".into())
            .stack_size(STACK)
            .spawn(move || run(courier, &to_send, &done))?;
        Ok(Sender { messages, sent, in_use })
    }

    /// The address where the server has last answered.
    pub fn in_use(&self) -> Option<Address> {
        self.in_use.address()
    }

    /// Sends one message and waits for what comes of it. One at a time. A plain request is answered even if no
    /// answer is wanted.
    pub async fn exchange(&self, to: To, body: Vec<u8>, wants_answer: bool) -> Sent {
        let ended = || Err(Failure::Protocol("the sender has ended".into()));
        let gone = || Sent { body: Vec::new(), outcome: ended(), line_ended: true };
        if self.messages.send(Message { to, body, wants_answer }).await.is_err() {
            return gone();
        }
        self.sent.recv().await.unwrap_or_else(|_| gone())
    }
}

fn run(mut courier: Courier, messages: &async_channel::Receiver<Message>, done: &async_channel::Sender<Sent>) {
    while let Ok(Message { to, mut body, wants_answer }) = messages.recv_blocking() {
        let outcome = courier.carry(to, &mut body, wants_answer);
        let line_ended = courier.line_ended();
        if done.send_blocking(Sent { body, outcome, line_ended }).is_err() {
            return;
        }
    }
}
