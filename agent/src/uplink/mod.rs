//! The task that talks to the server: one message at a time, events as soon as they come.

pub mod backoff;
mod copy;
mod courier;
mod in_use;
mod looks;
mod messages;
mod orders;
pub mod sender;
pub mod way;

use crate::hub::Hub;
use crate::join::facts::Facts;
use crate::join::identity::{self, Identity};
use async_io::Timer;
use backoff::Backoff;
use copy::{differs, listed, mend};
use log::{debug, error, info, warn};
use looks::Looks;
use messages::{message, wait_for_something, written};
use muster_dial::Failure;
use muster_protocol::batch::{Answer, Refused};
use muster_protocol::frame;
use muster_protocol::hello::Welcome;
use muster_protocol::id::Fingerprint;
use muster_protocol::record::{Full, Kind, Malformed, Reader, Record};
use muster_protocol::reporter::{Next, Sent};
use orders::Held;
use sender::{Reply, Sender, To};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A host that was removed asks again this often, in case that was a mistake.
const REMOVED: Duration = Duration::from_secs(3600);
/// An agent whose credential is not known asks again this often: a server may be restored.
const UNKNOWN: Duration = Duration::from_secs(600);
/// An agent that another one has replaced asks again this often.
const SUPERSEDED: Duration = Duration::from_secs(60);
/// A clone that cannot become a host of its own asks again this often: the other board may be gone by then.
pub const CLONE: Duration = Duration::from_secs(300);
/// A difference that no event explains is looked at again within this, however long the interval is.
const CONFIRM: Duration = Duration::from_secs(5);
/// Over a line, an answer is wanted at least this often: so a server that is there and does not listen is noticed.
const ASK: Duration = Duration::from_secs(60);

/// Bytes of a hello, usually.
const HELLO: usize = 1024;
/// The most that is kept of a message's buffer for the next one: what a backlog or a whole list needed is given back.
const KEPT: usize = 8 * 1024;

/// Makes the way to the server for an identity.
pub type Dial = Box<dyn Fn(Identity) -> std::io::Result<Sender>>;

/// Why there is no more talking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Another board is active with the same credential: this one has to join as a host of its own.
    Clone,
}

/// The server's end of the agent.
pub struct Uplink {
    dial: Dial,
    sender: Sender,
    held: Held,
    facts: Facts,
    fingerprint: Fingerprint,
    state_dir: PathBuf,
    backoff: Backoff,
    /// When the last message went that wanted an answer.
    asked: Option<Instant>,
    /// What goes along with reports.
    looks: Looks,
    /// What went wrong last, so that it is logged once.
    trouble: Option<String>,
}

/// The status of an answer that says no more than that a message was taken.
const NOTHING_TO_SAY: u16 = 204;

/// What came of one exchange.
enum Outcome {
    Fine,
    /// Nothing to be sent for this long.
    Wait(Duration),
    /// Nothing any more.
    End(Ended),
}

impl Uplink {
    /// Ready to talk.
    pub fn new(
        dial: Dial,
        identity: Identity,
        facts: Facts,
        fingerprint: Fingerprint,
        state_dir: &Path,
    ) -> std::io::Result<Uplink> {
        Ok(Uplink {
            sender: dial(identity.clone())?,
            dial,
            held: Held::new(identity, state_dir),
            facts,
            fingerprint,
            state_dir: state_dir.into(),
            backoff: Backoff::default(),
            asked: None,
            looks: Looks::new(Path::new("/")),
            trouble: None,
        })
    }

    /// Talks until that makes no sense any more.
    pub async fn run(&mut self, hub: &Hub) -> Ended {
        let mut body = Vec::new();
        let mut heartbeat = Instant::now();
        loop {
            let hello = hub.reporter.borrow().needs_hello() || hub.greet.get();
            let offers = hello && self.held.keys.offer().is_some();
            let written = if hello {
                written(&mut body, HELLO, |body| self.hello(hub, body)).map(|len| Some((len, None)))
            } else {
                wait_for_something(hub, heartbeat).await;
                let is_heartbeat = Instant::now() >= heartbeat;
                let is_report = is_heartbeat || !hub.outbox.borrow().is_empty();
                let vitals = if is_report { self.looks.take(hub) } else { Vec::new() };
                let room = hub.reporter.borrow().message_room(hub.outbox.borrow().first().len() + vitals.len());
                let made = written(&mut body, room, |body| message(hub, body, is_heartbeat, &vitals));
                made.map(|made| made.map(|(len, sent)| (len, Some(sent))))
            };
            let (len, sent) = match written {
                Ok(Some(written)) => written,
                Ok(None) => {
                    self.looks.doubt();
                    continue;
                }
                Err(Full) => {
                    // Limits are such that this cannot be; if it is, the readings are at fault.
                    error!("a message does not fit; its readings are dropped");
                    hub.forget_readings();
                    self.looks.doubt();
                    continue;
                }
            };
            body.truncate(len);
            let wants_answer = self.wants_answer(hub, &body);
            let to = if hello { To::Hello } else { To::Report };
            let exchanged = self.sender.exchange(to, body, wants_answer).await;
            body = exchanged.body;
            if exchanged.line_ended {
                self.looks.doubt();
            }
            if body.capacity() > KEPT {
                body = Vec::new();
            }
            // A report is overdue a little after the interval: then one without a list goes.
            heartbeat = Instant::now() + hub.interval.get() + hub.interval.get() / 10;
            let outcome = match exchanged.outcome {
                Ok(replies) => self.heard(hub, &replies, sent, offers),
                Err(failure) => self.failed(hub, &failure),
            };
            match outcome {
                Outcome::Fine => {}
                Outcome::Wait(time) => {
                    Timer::after(time).await;
                }
                Outcome::End(ended) => return ended,
            }
        }
    }

    /// Whether to wait for an answer to this message, if it goes over a line.
    fn wants_answer(&mut self, hub: &Hub, body: &[u8]) -> bool {
        let now = Instant::now();
        // Rather early than an interval late.
        let is_due = self.asked.is_none_or(|asked| now.duration_since(asked) + hub.interval.get() / 2 >= ASK);
        let wants = is_due || !hub.online.get() || frame::wants_answer(body);
        if wants {
            self.asked = Some(now);
        }
        wants
    }

    /// What the server said before a message, and its answer if there is one.
    fn heard(&mut self, hub: &Hub, replies: &[Reply], sent: Option<Sent>, offers: bool) -> Outcome {
        let mut wait = None;
        let mut answered = false;
        for reply in replies {
            // What is about earlier messages says nothing of this one.
            let sent = sent.filter(|_| reply.is_answer);
            answered |= reply.is_answer && reply.status != NOTHING_TO_SAY;
            self.judged(reply.status);
            match self.answered(hub, reply.status, &reply.message, sent, offers && reply.is_answer) {
                Outcome::Fine => {}
                Outcome::Wait(time) => wait = wait.max(Some(time)),
                end => return end,
            }
        }
        if !answered && wait.is_none() && sent.is_some_and(|sent| sent.with_readings) {
            // It went, and the server has nothing to say against it.
            hub.outbox.borrow_mut().sent();
            hub.room.ring();
            hub.to_read.ring();
        }
        wait.map_or(Outcome::Fine, Outcome::Wait)
    }

    /// The server has taken the credential, and if it is the new one, that is noted. If it cannot be, that will be found
    /// out again.
    fn judged(&mut self, status: u16) {
        if matches!(status, 200 | NOTHING_TO_SAY) && self.held.keys.accepted() {
            info!("this host's credential is another one now");
            if let Err(error) = self.held.store_keys() {
                warn!("cannot note which credential is in use: {error}");
            }
        }
    }

    /// Goes on with the credential that is to be shown now, and with what the server announced.
    fn show(&mut self) {
        match (self.dial)(self.held.shown()) {
            Ok(sender) => {
                self.sender = sender;
                self.looks.doubt();
                // Whether it is good is to be known.
                self.asked = None;
            }
            Err(error) => warn!("cannot go over to another credential or connection: {error}"),
        }
    }

    fn answered(&mut self, hub: &Hub, status: u16, answer: &[u8], sent: Option<Sent>, offers: bool) -> Outcome {
        match status {
            200 => self.take(hub, answer, sent, offers).unwrap_or_else(|malformed| {
                self.offline(hub, format!("the server's answer cannot be read: {malformed}"));
                self.later()
            }),
            NOTHING_TO_SAY => {
                self.online(hub);
                Outcome::Fine
            }
            401 if self.held.keys.refused() => {
                debug!("the credential is not known; trying the other one");
                self.show();
                Outcome::Fine
            }
            401 => {
                self.show();
                self.offline(hub, "the server does not know this host's credential: join again".into());
                Outcome::Wait(UNKNOWN)
            }
            410 => {
                self.offline(hub, "this host was removed on the server; asking again once an hour".into());
                Outcome::Wait(REMOVED)
            }
            status => {
                self.offline(hub, format!("the server answers with status {status}"));
                self.later()
            }
        }
    }

    fn take(&mut self, hub: &Hub, answer: &[u8], sent: Option<Sent>, offers: bool) -> Result<Outcome, Malformed> {
        let mut records = Reader::message(answer)?;
        let first = records.next_record()?.ok_or(Malformed::Order)?;
        let is_welcome = first.kind == Kind::Welcome;
        let outcome = self.take_first(hub, first, &records, sent)?;
        while let Some(record) = records.next_record()? {
            orders::obey(hub, &mut self.held, self.sender.in_use(), record)?;
        }
        if self.held.has_other_trust() {
            // It says over a new connection, by the new keys, that all is well.
            self.show();
        }
        if is_welcome && offers {
            // It is stored on both sides.
            self.held.keys.welcomed();
            self.show();
        }
        Ok(outcome)
    }

    fn take_first(
        &mut self,
        hub: &Hub,
        record: Record<'_>,
        rest: &Reader<'_>,
        sent: Option<Sent>,
    ) -> Result<Outcome, Malformed> {
        match record.kind {
            Kind::Welcome => {
                let welcome: Welcome = record.decode()?;
                let is_new = hub.reporter.borrow_mut().welcomed(&welcome);
                hub.greet.set(false);
                // What it wants besides stands behind it.
                hub.vitals_interval.set(hub.own_vitals_interval);
                self.looks.begin_anew();
                self.held.welcomed();
                if hub.reporter.borrow().wants_replay() {
                    hub.replay.ring();
                }
                let highest = hub.reporter.borrow().highest_epoch();
                if let Err(error) = identity::store_epoch(&self.state_dir, highest) {
                    warn!("{error}");
                }
                debug!("welcome to epoch {}, {} acknowledged", welcome.epoch, welcome.acknowledged);
                if is_new {
                    hub.forget_readings();
                    hub.tell_engine.set(true);
                }
                self.online(hub);
                Ok(Outcome::Fine)
            }
            Kind::Answer => {
                let answer: Answer = record.decode()?;
                let differs = differs(rest.clone())?;
                let current = hub.reporter.borrow_mut().answered(&answer);
                self.online(hub);
                if current && sent.is_some_and(|sent| sent.with_readings) {
                    hub.outbox.borrow_mut().sent();
                    hub.room.ring();
                    hub.to_read.ring();
                    if hub.outbox.borrow().is_empty() && differs.is_none() {
                        listed(hub, &answer);
                    }
                }
                // Of this list or of an earlier one, for which no answer was wanted.
                if let Some(differs) = differs.filter(|_| current) {
                    mend(hub, &differs);
                }
                if answer.unexplained > 0 && hub.interval.get() > CONFIRM && hub.confirm_by.get().is_none() {
                    hub.confirm_by.set(Some(Instant::now() + CONFIRM));
                    hub.to_read.ring();
                }
                Ok(Outcome::Fine)
            }
            Kind::Refused => {
                let refused: Refused = record.decode()?;
                Ok(match hub.reporter.borrow_mut().refused(&refused) {
                    Next::Hello => Outcome::Fine,
                    Next::Later => {
                        self.offline(hub, "the server cannot take reports now".into());
                        self.later()
                    }
                    Next::Superseded => {
                        let twin = "another agent with this identity is active: was this card copied? \
                                    Join again with a state directory of its own";
                        self.offline(hub, twin.into());
                        Outcome::Wait(SUPERSEDED)
                    }
                    Next::Clone => Outcome::End(Ended::Clone),
                })
            }
            _ => Err(Malformed::Order),
        }
    }

    fn failed(&mut self, hub: &Hub, failure: &Failure) -> Outcome {
        self.offline(hub, failure.to_string());
        self.later()
    }

    fn later(&mut self) -> Outcome {
        let mut random = [0; 8];
        // Without randomness the wait is the longest.
        let random = getrandom::fill(&mut random).map_or(u64::MAX, |()| u64::from_le_bytes(random));
        Outcome::Wait(self.backoff.fail(random))
    }

    fn online(&mut self, hub: &Hub) {
        self.backoff.succeed();
        hub.answers.set(hub.answers.get().wrapping_add(1));
        if self.trouble.take().is_some() {
            info!("the server takes reports again");
        }
        if !hub.online.replace(true) {
            hub.read_all_soon();
        }
    }

    fn offline(&mut self, hub: &Hub, trouble: String) {
        // Reports are never queued: a new one is read when the server is back.
        hub.online.set(false);
        hub.tell_engine.set(true);
        hub.forget_readings();
        self.looks.doubt();
        if self.trouble.as_ref() != Some(&trouble) {
            warn!("{trouble}; events are kept meanwhile");
            self.trouble = Some(trouble);
        }
    }
}
