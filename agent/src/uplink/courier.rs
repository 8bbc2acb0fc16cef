//! What the sender's thread does with a message: over the line that is open, over a new one, or as a request.

use super::in_use::InUse;
use super::way::{Wanted, Way, Ways};
use crate::join::identity::Identity;
use log::{debug, info};
use muster_dial::line::Said;
use muster_dial::pinned::Kept;
use muster_dial::{Client, Failure, Line, Opened, Settings};
use muster_protocol::batch::{Reason, Refused};
use muster_protocol::orders::Session;
use muster_protocol::record::{Kind, Reader, Record, Writer};
use muster_protocol::{limits, record};
use std::time::{Duration, Instant};

/// For a connection, on links that take their time.
const CONNECT: Duration = Duration::from_secs(15);
/// For a request and its answer; also for a message to be taken by the network.
const OVERALL: Duration = Duration::from_secs(30);
/// For an answer on a line. One that is lost costs no more than this.
const ANSWERED: Duration = Duration::from_secs(20);
/// How often the first address is looked at again while another one is in use.
pub(super) const LOOK_BACK: Duration = Duration::from_secs(3600);
/// Such a look holds up a message, so it has less time: to connect, and altogether.
const LOOK_CONNECT: Duration = Duration::from_secs(5);
const LOOK_OVERALL: Duration = Duration::from_secs(10);
/// Answers are a record or two.
const ANSWER: usize = 4096;
/// What a server says without being asked that is taken before a message. More comes before the next.
const UNASKED: usize = 16;
/// From this status on it is the server, or what stands before it, that fails.
const SERVERS_TROUBLE: u16 = 500;
/// Where reports go that name a session.
const SHORT_PATH: &str = "/r";
/// And what they call the server: with its key pinned nobody needs the name, and every byte counts.
const SHORT_HOST: &str = "m";

/// Where a message goes.
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

/// What the server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// As in HTTP; on a line always 200.
    pub status: u16,
    /// As in `WIRE.md`, or a line of text.
    pub message: Vec<u8>,
    /// To what was just sent. Else it is about something earlier.
    pub is_answer: bool,
}

/// The way to the server that is in use.
#[derive(Debug)]
pub(super) struct Courier {
    identity: Identity,
    credential: String,
    turn: Turn,
    ways: Ways,
    open: Option<Open>,
    /// A line has ended.
    line_ended: bool,
    session: Known,
    in_use: InUse,
    /// For whatever is opened: all addresses are of one server.
    tls: Kept,
}

/// What is open.
enum Open {
    Line(Box<Line>, Instant),
    Requests(Client),
}

/// What is known of a session for plain requests. Never shown.
enum Known {
    /// No hello was said by a plain request.
    Nothing,
    /// The server gives none.
    NoneGiven,
    Session(Session),
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Open::Line(..) => "Line",
            Open::Requests(_) => "Requests",
        })
    }
}

impl std::fmt::Debug for Known {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(hidden)")
    }
}

/// For one message: which address, and how much time there is.
#[derive(Clone, Copy)]
struct Trip {
    at: usize,
    connect: Duration,
    overall: Duration,
}

impl Courier {
    pub(super) fn new(identity: Identity, uplink: Wanted, look_back: Duration, in_use: InUse) -> Courier {
        let turn = Turn::new(&identity, look_back);
        Courier {
            credential: identity.credential.hex(),
            identity,
            turn,
            ways: Ways::new(uplink),
            open: None,
            line_ended: false,
            session: Known::Nothing,
            in_use,
            tls: Kept::default(),
        }
    }

    /// Whether a line has ended since this was last asked: what went over it without an answer may be lost.
    pub(super) fn line_ended(&mut self) -> bool {
        std::mem::take(&mut self.line_ended)
    }

    /// Sends a message and gives what the server has said until its answer has come, or until it is sent, if it
    /// wants none.
    pub(super) fn carry(&mut self, to: To, body: &mut Vec<u8>, wants_answer: bool) -> Result<Vec<Reply>, Failure> {
        if self.turn.is_first_due(Instant::now()) {
            let other = self.open.take();
            let trip = Trip { at: 0, connect: LOOK_CONNECT, overall: LOOK_OVERALL };
            match self.go(trip, to, body, true) {
                Ok(replies) => {
                    self.turn.first_answered();
                    self.line_ended |= matches!(other, Some(Open::Line(..)));
                    self.in_use.note(self.identity.addresses.first());
                    if matches!(self.open, Some(Open::Requests(_))) {
                        // The next message takes the time that it needs.
                        self.open = None;
                    }
                    return Ok(replies);
                }
                Err(failure) => debug!("the first address: {failure}"),
            }
            self.open = other;
        }
        let trip = Trip { at: self.turn.at, connect: CONNECT, overall: OVERALL };
        let gone = self.go(trip, to, body, wants_answer);
        if gone.is_err() {
            // A new connection for the next try, and another address if there is one.
            self.open = None;
            if self.turn.failed(Instant::now()) {
                self.ways.moved();
            }
        } else {
            self.in_use.note(self.identity.all_addresses().nth(trip.at));
        }
        gone
    }

    fn go(&mut self, trip: Trip, to: To, body: &mut Vec<u8>, wants_answer: bool) -> Result<Vec<Reply>, Failure> {
        let mut heard = Vec::new();
        if self.ways.next(Instant::now()) == Way::Line {
            if let Some(Open::Line(line, since)) = &mut self.open {
                let since = *since;
                match talk(line, body, wants_answer, &mut heard) {
                    Ok(()) => return Ok(heard),
                    Err(failure) => {
                        debug!("the line has ended after {:?}: {failure}", since.elapsed());
                        self.open = None;
                        self.line_ended = true;
                        self.ways.line_ended(since.elapsed());
                        // What was lost with a line that died meanwhile may be sent again. Who waited long for an
                        // answer rather tells that nobody is there.
                        if failure == Failure::TimedOut {
                            return Err(failure);
                        }
                    }
                }
            }
            if self.ways.next(Instant::now()) == Way::Line
                && let Some(status) = self.open_line(trip)?
            {
                heard.push(Reply { status, message: Vec::new(), is_answer: true });
                return Ok(heard);
            }
            if let Some(Open::Line(line, since)) = &mut self.open {
                let since = *since;
                let talked = talk(line, body, wants_answer, &mut heard);
                if talked.is_err() {
                    self.open = None;
                    self.ways.line_ended(since.elapsed());
                }
                return talked.map(|()| heard);
            }
        }
        if matches!((&self.session, to), (Known::Nothing, To::Report)) {
            // Over the line the credential stood for everything. A hello brings a session.
            heard.push(Reply { status: 200, message: hello_first(), is_answer: true });
            return Ok(heard);
        }
        let asked = self.ask(trip, to, body);
        let is_answered = asked.as_ref().is_ok_and(|reply| reply.status < SERVERS_TROUBLE);
        if self.ways.plain_ended(is_answered, Instant::now()) {
            info!("lasting connections to the server do not work here, and requests do; sending those");
        }
        heard.push(asked?);
        Ok(heard)
    }

    /// Opens a line, unless the server or what stands before it lets none through: then plain requests it is. A
    /// status is what the server has against this host.
    fn open_line(&mut self, trip: Trip) -> Result<Option<u16>, Failure> {
        self.open = None;
        let opened =
            self.settings(trip).and_then(|settings| Line::open(settings, "/agent/v1/stream", &self.credential, ANSWER));
        match opened {
            Ok(Opened::Line(line)) => {
                debug!("a line to {} is open", line.address());
                self.open = Some(Open::Line(line, Instant::now()));
                Ok(None)
            }
            Ok(Opened::Refused(status)) if matches!(status.0, 401 | 410) => Ok(Some(status.0)),
            // A server in trouble, or something before it that knows no lines: plain requests will tell.
            Ok(Opened::Refused(status)) if status.0 >= SERVERS_TROUBLE => {
                self.ways.not_opened();
                Ok(Some(status.0))
            }
            Ok(Opened::Refused(status)) => {
                if self.ways.is_forced() {
                    let why = format!("no lasting connection (status {}), and settings allow no other", status.0);
                    return Err(Failure::Protocol(why));
                }
                info!(
                    "no lasting connection to the server is possible (status {}), and requests are; sending those",
                    status.0
                );
                self.ways.refused(Instant::now());
                Ok(None)
            }
            Err(failure) => {
                self.ways.not_opened();
                Err(failure)
            }
        }
    }

    /// One plain request.
    fn ask(&mut self, trip: Trip, to: To, body: &mut Vec<u8>) -> Result<Reply, Failure> {
        let client = match self.open.take() {
            Some(Open::Requests(client)) => client,
            _ => Client::new(self.settings(trip)?)?,
        };
        let mut message = Vec::new();
        let status = match (&self.session, to) {
            (Known::Session(session), To::Report) => {
                let record = session_record(session);
                body.splice(1..1, record.iter().copied());
                let asked = client.post_short(SHORT_PATH, SHORT_HOST, body, &mut message, ANSWER);
                body.drain(1..1 + record.len());
                asked?
            }
            _ => client.post(to.path(), &self.credential, body, &mut message, ANSWER)?,
        };
        if to == To::Hello && status.0 == 200 {
            self.session = session_in(&message).map_or(Known::NoneGiven, Known::Session);
        }
        debug!("{to:?}: {} bytes, answer {} with {} bytes", body.len(), status.0, message.len());
        self.open = Some(Open::Requests(client));
        Ok(Reply { status: status.0, message, is_answer: true })
    }

    fn settings(&self, trip: Trip) -> Result<Settings, Failure> {
        let address = self.identity.all_addresses().nth(trip.at).cloned();
        let address = address.ok_or_else(|| Failure::Unreachable("there is no address".into()))?;
        let settings = self.identity.settings(address);
        let tls = self.tls.clone();
        Ok(Settings { connect_timeout: trip.connect, overall_timeout: trip.overall, tls, ..settings })
    }
}

/// One message over a line.
fn talk(line: &mut Line, body: &[u8], wants_answer: bool, heard: &mut Vec<Reply>) -> Result<(), Failure> {
    let mut hear = |said: Said| {
        debug!("the server says {} bytes{}", said.message.len(), if said.is_answer { "" } else { " unasked" });
        heard.push(Reply { status: 200, message: said.message, is_answer: said.is_answer });
        said.is_answer
    };
    let mut wants_answer = wants_answer;
    for _ in 0..UNASKED {
        match line.heard()? {
            // Nothing was asked before this.
            Some(said) if said.is_answer => return Err(Failure::Protocol("an answer to nothing".into())),
            Some(said) => drop(hear(said)),
            None => break,
        }
        // What it has to say may be about this message as much as about the last one.
        wants_answer = true;
    }
    line.send(body, wants_answer, OVERALL)?;
    debug!("{} bytes over the line", body.len());
    if !wants_answer {
        return Ok(());
    }
    let until = Instant::now() + ANSWERED;
    while !hear(line.wait(until.saturating_duration_since(Instant::now()))?) {}
    Ok(())
}

/// As a server refuses that knows nothing of this run.
fn hello_first() -> Vec<u8> {
    let mut buffer = [0; 32];
    let refused = Refused { reason: Reason::HelloFirst as u8, epoch: 0 };
    let written = Writer::message(&mut buffer)
        .and_then(|mut writer| writer.record(Kind::Refused, &refused).map(|()| writer.as_bytes().to_vec()));
    written.unwrap_or_default()
}

fn session_record(session: &Session) -> Vec<u8> {
    let mut buffer = [0; 32];
    let mut writer = Writer::records(&mut buffer);
    match writer.record(Kind::Session, session) {
        Ok(()) => writer.as_bytes().to_vec(),
        Err(record::Full) => Vec::new(),
    }
}

fn session_in(answer: &[u8]) -> Option<Session> {
    let mut records = Reader::message(answer).ok()?;
    while let Some(record) = records.next_record().ok()? {
        if let Record { kind: Kind::Session, .. } = record {
            return record.decode().ok();
        }
    }
    None
}

/// Which address has its turn.
#[derive(Debug)]
struct Turn {
    at: usize,
    addresses: usize,
    first_tried: Instant,
    look_back: Duration,
}

impl Turn {
    fn new(identity: &Identity, look_back: Duration) -> Turn {
        let addresses = identity.all_addresses().count();
        Turn { at: 0, addresses, first_tried: Instant::now(), look_back }
    }

    /// Whether that leads to another address.
    fn failed(&mut self, now: Instant) -> bool {
        if self.at == 0 {
            self.first_tried = now;
        }
        let before = self.at;
        self.at = (self.at + 1) % self.addresses.max(1);
        self.at != before
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
        assert!(turn.failed(after(1000)));
        assert!(turn.failed(after(1050)));
        assert_eq!(turn.at, 2);
        assert!(!turn.is_first_due(after(1099)));
        assert!(turn.is_first_due(after(1100)));
        assert!(!turn.is_first_due(after(1199)), "once");
        assert!(turn.is_first_due(after(1200)));
        turn.first_answered();
        assert_eq!(turn.at, 0);
        let mut only = Turn { at: 0, addresses: 1, first_tried: start, look_back: Duration::ZERO };
        assert!(!only.failed(after(1)));
        assert_eq!(only.at, 0);
        assert!(!only.is_first_due(after(1000)));
    }

    #[test]
    fn a_session_is_found_in_a_welcome_and_written_in_front() {
        let session: Session = [7; 12];
        let record = session_record(&session);
        assert_eq!(record.len(), 14);
        let answer = [&hello_first()[..], &record].concat();
        assert_eq!(session_in(&answer), Some(session));
        assert_eq!(session_in(&hello_first()), None);
        assert_eq!(session_in(&[]), None);
        assert_eq!(format!("{:?}", Known::Session(session)), "(hidden)");
    }
}
