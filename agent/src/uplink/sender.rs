//! The one thread that blocks: it sends a request, waits for the answer, and hands it back.

use crate::join::identity::Identity;
use log::debug;
use muster_dial::{Client, Failure, Settings};
use muster_protocol::limits;
use std::time::Duration;

/// What the sender's thread needs: rustls's handshake is the deepest it goes.
const STACK: usize = 256 * 1024;
/// For a connection, on links that take their time.
const CONNECT: Duration = Duration::from_secs(15);
/// For a request and its answer.
const OVERALL: Duration = Duration::from_secs(30);
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
}

impl Sender {
    /// Starts the thread. It ends when this is dropped.
    pub fn start(identity: Identity) -> std::io::Result<Sender> {
        let (requests, to_send) = async_channel::bounded(1);
        let (done, answers) = async_channel::bounded(1);
        std::thread::Builder::new()
            .name("uplink".into())
            .stack_size(STACK)
            .spawn(move || run(&identity, &to_send, &done))?;
        Ok(Sender { requests, answers })
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

fn run(identity: &Identity, requests: &async_channel::Receiver<(To, Vec<u8>)>, done: &async_channel::Sender<Sent>) {
    let mut at = 0;
    let credential = identity.credential.hex();
    let mut client: Option<Client> = None;
    while let Ok((to, body)) = requests.recv_blocking() {
        let outcome = send(identity, &credential, &mut at, &mut client, to, &body);
        if outcome.is_err() {
            // A new connection for the next try, and another address if there is one.
            client = None;
            at = (at + 1) % identity.addresses.len().max(1);
        }
        if done.send_blocking(Sent { body, outcome }).is_err() {
            return;
        }
    }
}

fn send(
    identity: &Identity,
    credential: &str,
    at: &mut usize,
    client: &mut Option<Client>,
    to: To,
    body: &[u8],
) -> Result<(u16, Vec<u8>), Failure> {
    let client = match client {
        Some(client) => client,
        None => {
            let address = identity.addresses.get(*at).cloned();
            let address = address.ok_or_else(|| Failure::Unreachable("there is no address".into()))?;
            let settings = Settings {
                connect_timeout: CONNECT,
                overall_timeout: OVERALL,
                ..Settings::small(address, identity.pins.clone())
            };
            client.insert(Client::new(settings)?)
        }
    };
    let mut answer = Vec::new();
    let status = client.post(to.path(), credential, body, &mut answer, ANSWER)?;
    debug!("{to:?}: {} bytes, answer {} with {} bytes", body.len(), status.0, answer.len());
    Ok((status.0, answer))
}

const _: () = assert!(limits::MESSAGE >= ANSWER);
