//! One simulated host: the agent's reporter, its messages and its patience, without an engine.

use crate::link::Link;
use crate::pack::{message, put};
use crate::shapes::{Shape, id};
use crate::tally::Tally;
use async_io::Timer;
use futures_rustls::TlsConnector;
use muster_agent::uplink::backoff::Backoff;
use muster_bench::machine::now_nano;
use muster_protocol::batch::{Answer, Differs, Engine, EngineState, Refused};
use muster_protocol::event::Cause;
use muster_protocol::frame;
use muster_protocol::hello::{Hello, Stream, Welcome};
use muster_protocol::join::{Join, Joined};
use muster_protocol::record::{Kind, Reader};
use muster_protocol::reporter::ledger::{Known, Ledger};
use muster_protocol::reporter::{Next, Reporter};
use smol::lock::Semaphore;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// What all hosts share.
pub struct Fleet {
    pub tally: Tally,
    pub shapes: Vec<Shape>,
    pub tls: TlsConnector,
    pub server: SocketAddr,
    pub token: String,
    pub interval: Duration,
    pub event_every: Duration,
    /// Hosts make plain requests, as where a proxy lets no line through.
    pub requests: bool,
    /// All hosts come from one address, as behind one router.
    pub one_address: bool,
    /// Connections that strangers may have open at once.
    pub strangers: Semaphore,
}

/// As often as this the agent wants an answer in any case.
const ASK: Duration = Duration::from_secs(60);

/// As the agent waits between an event and the reading of its container.
const SETTLE: Duration = Duration::from_millis(25);

struct Host {
    fleet: Arc<Fleet>,
    number: u32,
    credential: String,
    joined: bool,
    reporter: Box<Reporter>,
    /// What the server has of its containers.
    ledger: Ledger,
    known: Vec<Known>,
    /// When an answer was last wanted, over this connection; `None` if one is to be wanted now.
    asked: Option<Instant>,
    /// The server is to hear of the engine with the next message.
    tell_engine: bool,
    /// The container that its events are about, and whether it is paused now.
    next: usize,
    paused: Option<usize>,
    /// The life of the server in which its list last took effect.
    true_in: Option<u32>,
}

/// Why a connection is given up.
enum Ended {
    /// The link broke, or the server said something else than an answer: a line for the tally.
    Broken(String),
    /// The server asks to wait.
    Later,
}

/// Lives for ever; `begin` spreads the hosts' reports.
pub async fn live(fleet: Arc<Fleet>, number: u32, begin: Instant) {
    let mut run = [0; 16];
    run.iter_mut().for_each(|byte| *byte = fastrand::u8(..));
    let credential = (0..64).map(|_| fastrand::digit(16)).collect();
    let mut reporter = Box::new(Reporter::new(run, 0));
    reporter.stream_opened(Cause::AgentDown);
    reporter.replay_ended();
    let mut host = Host {
        known: vec![Known::default(); fleet.shapes.len()],
        fleet,
        number,
        credential,
        joined: false,
        reporter,
        ledger: Ledger::default(),
        asked: None,
        tell_engine: true,
        next: 0,
        paused: None,
        true_in: None,
    };
    Timer::at(begin).await;
    let mut backoff = Backoff::default();
    loop {
        let why = host.connect_and_report(&mut backoff).await;
        if let Ended::Broken(why) = why {
            host.fleet.tally.error(why);
        }
        host.ledger.doubt();
        host.tell_engine = true;
        Timer::after(backoff.fail(fastrand::u64(..))).await;
    }
}

impl Host {
    /// Ends only when something goes wrong.
    async fn connect_and_report(&mut self, backoff: &mut Backoff) -> Ended {
        match self.connected(backoff).await {
            Ok(never) => match never {},
            Err(why) => why,
        }
    }

    async fn connected(&mut self, backoff: &mut Backoff) -> Result<std::convert::Infallible, Ended> {
        let fleet = self.fleet.clone();
        let stranger = fleet.strangers.acquire().await;
        let life = fleet.tally.life.load(Ordering::Relaxed);
        let opened = Link::open(&fleet.tls, self.address(), fleet.server).await;
        let mut link = opened.map_err(|error| Ended::Broken(format!("no connection: {}", error.kind())))?;
        fleet.tally.connections.fetch_add(1, Ordering::Relaxed);
        if !self.joined {
            self.join(&mut link).await?;
        }
        if !fleet.requests {
            match link.upgrade(&self.credential).await {
                Ok(101) => {}
                Ok(status) => return Err(Ended::Broken(format!("no line: status {status}"))),
                Err(error) => return Err(Ended::Broken(format!("no line: {}", error.kind()))),
            }
        }
        self.tell_all(&mut link, life).await?;
        drop(stranger);
        backoff.succeed();

        let fleet = &*fleet;
        let mut report_at = Instant::now() + fleet.interval;
        let mut event_at = Instant::now() + fleet.event_every.mul_f64(fastrand::f64());
        loop {
            if report_at <= event_at {
                self.wait(report_at).await;
                report_at += fleet.interval;
                self.report(&mut link, life).await?;
            } else {
                self.wait(event_at).await;
                event_at += fleet.event_every;
                self.event(&mut link).await?;
            }
            if self.reporter.needs_hello() {
                self.tell_all(&mut link, life).await?;
            }
        }
    }

    /// A hello if one is due or asked for, and a report.
    async fn tell_all(&mut self, link: &mut Link, life: u32) -> Result<(), Ended> {
        loop {
            if self.reporter.needs_hello() {
                self.hello(link).await?;
                // Whether the host is true for the server is to be known.
                self.asked = None;
            }
            self.report(link, life).await?;
            if !self.reporter.needs_hello() {
                return Ok(());
            }
        }
    }

    fn address(&self) -> Ipv4Addr {
        let [_, high, middle, low] = self.number.to_be_bytes();
        if self.fleet.one_address { Ipv4Addr::LOCALHOST } else { Ipv4Addr::new(127, high + 1, middle, low.max(1)) }
    }

    async fn wait(&self, then: Instant) {
        Timer::at(then).await;
        self.fleet.tally.lag(then.elapsed().as_nanos() as u64);
    }

    /// One exchange; answers the body of the answer.
    async fn ask(&self, link: &mut Link, what: &str, body: &[u8]) -> Result<Vec<u8>, Ended> {
        let begin = Instant::now();
        let path = format!("/agent/v1/{what}");
        match link.post(&path, &self.credential, body).await {
            Ok((200, answer)) => {
                self.fleet.tally.answered(begin.elapsed().as_nanos() as u64);
                self.fleet.tally.bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
                Ok(answer)
            }
            Ok((status, _)) => Err(Ended::Broken(format!("{what}: status {status}"))),
            Err(error) => Err(Ended::Broken(format!("{what}: {}", error.kind()))),
        }
    }

    async fn join(&mut self, link: &mut Link) -> Result<(), Ended> {
        let name = format!("sim-{:05}", self.number);
        let mut fingerprint = [0; 16];
        fingerprint[..4].copy_from_slice(&self.number.to_be_bytes());
        let join = Join { token: &self.fleet.token, name: &name, fingerprint };
        let request = message(|writer| writer.record(Kind::Join, &join));
        let answer = self.ask(link, "join", &request).await?;
        let joined = Reader::message(&answer).and_then(|mut reader| reader.expect::<Joined<'_>>(Kind::Joined));
        joined.map_err(|malformed| Ended::Broken(format!("join: {malformed}")))?;
        self.joined = true;
        self.fleet.tally.joined();
        Ok(())
    }

    async fn hello(&mut self, link: &mut Link) -> Result<(), Ended> {
        let mut fingerprint = [0; 16];
        fingerprint[..4].copy_from_slice(&self.number.to_be_bytes());
        let hello = Hello {
            run: self.reporter.run(),
            stream: Stream::Report as u8,
            fingerprint,
            highest_epoch: self.reporter.highest_epoch(),
            interval_ms: self.fleet.interval.as_millis() as u32,
            agent_version: "0.1.0",
            os: "linux",
            arch: "aarch64",
            kernel: "6.12.0-bench",
        };
        let request = message(|writer| writer.record(Kind::Hello, &hello));
        self.say(link, "hello", &request).await.map(|_| ())
    }

    /// What has changed, or all containers, as many messages as it needs.
    async fn report(&mut self, link: &mut Link, life: u32) -> Result<(), Ended> {
        let Some(reading) = self.reporter.begin_reading() else { return Ok(()) };
        let fleet = self.fleet.clone();
        let mut report = self.ledger.begin(reading.seq, self.reporter.understands(Kind::Digest), true);
        let mut parts = vec![Vec::new()];
        let mut body = Vec::new();
        for (n, shape) in fleet.shapes.iter().enumerate() {
            shape.body(id(self.number, n), self.paused == Some(n), &mut body);
            if report.see(&mut self.ledger, &body, &mut self.known[n]) {
                put(&mut parts, |writer| writer.numbered(Kind::Listed, reading.seq, &body));
            }
        }
        let (end, digest) = report.end(0);
        if let Some(end) = end {
            put(&mut parts, |writer| writer.record(Kind::ListEnd, &end));
        }
        if let Some(digest) = digest {
            put(&mut parts, |writer| writer.record(Kind::Digest, &digest));
        }
        self.ledger.finish(&report);
        let mut told = Heard::Nothing;
        for part in &parts {
            told = self.send(link, part).await?;
        }
        let (answer, differs) = match told {
            Heard::Answer(answer, differs) => (answer, differs),
            Heard::Nothing => {
                // The server has nothing to say against it.
                fleet.tally.reports.fetch_add(1, Ordering::Relaxed);
                return Ok(());
            }
            Heard::Other => return Ok(()),
        };
        self.learn(&answer, differs.as_ref());
        if answer.listed == reading.seq {
            fleet.tally.reports.fetch_add(1, Ordering::Relaxed);
            if self.true_in != Some(life) && life == fleet.tally.life.load(Ordering::Relaxed) {
                self.true_in = Some(life);
                fleet.tally.is_true();
            }
        }
        if answer.unexplained > 0 {
            fleet.tally.error("a difference that no event explains".into());
        }
        Ok(())
    }

    /// Something happens to a container: its event goes at once, and a moment later what the container is now.
    async fn event(&mut self, link: &mut Link) -> Result<(), Ended> {
        let fleet = self.fleet.clone();
        let (n, paused) = match self.paused.take() {
            Some(n) => (n, false),
            None => (self.next, true),
        };
        let shape = &fleet.shapes[n];
        if paused {
            self.paused = Some(n);
            self.next = (n + 1) % fleet.shapes.len();
        }
        let container = id(self.number, n);
        let time = now_nano();
        self.reporter.event(time, &shape.event(container, paused, time));
        if matches!(self.send(link, &[]).await?, Heard::Answer(..)) {
            fleet.tally.events.fetch_add(1, Ordering::Relaxed);
        }
        Timer::after(SETTLE).await;
        let Some(reading) = self.reporter.begin_reading() else { return Ok(()) };
        let mut body = Vec::new();
        shape.body(container, paused, &mut body);
        self.ledger.changes(&body, &mut self.known[n]);
        let mut parts = vec![Vec::new()];
        put(&mut parts, |writer| writer.numbered(Kind::Container, reading.seq, &body));
        self.send(link, &parts[0]).await.map(|_| ())
    }

    async fn send(&mut self, link: &mut Link, readings: &[u8]) -> Result<Heard, Ended> {
        let engine = Engine { state: EngineState::Ok as u8, for_ms: 1000, version: "28.5.2", api_version: "1.51" };
        let mut due = false;
        let request = message(|writer| {
            let engine = self.tell_engine.then_some(&engine);
            due = self.reporter.message(writer, engine, readings)?.is_some();
            Ok(())
        });
        if !due {
            return Ok(Heard::Other);
        }
        let heard = self.say(link, "report", &request).await?;
        self.tell_engine = false;
        Ok(heard)
    }

    /// What the server has, by its own words.
    fn learn(&mut self, answer: &Answer, differs: Option<&Differs>) {
        match differs {
            Some(differs) => {
                self.ledger.differs(differs);
                self.fleet.tally.differs.fetch_add(1, Ordering::Relaxed);
            }
            None => self.ledger.answered(answer),
        }
    }

    /// Says something over the line, or by a request.
    async fn say(&mut self, link: &mut Link, what: &str, message: &[u8]) -> Result<Heard, Ended> {
        if !link.is_line() {
            let answer = self.ask(link, what, message).await?;
            return self.take(&answer);
        }
        let begin = Instant::now();
        let is_due = self.asked.is_none_or(|asked| begin.duration_since(asked) + self.fleet.interval / 2 >= ASK);
        let wants_answer = is_due || frame::wants_answer(message);
        let said = link.say(message, wants_answer).await;
        let said = said.map_err(|error| Ended::Broken(format!("line: {}", error.kind())))?;
        if wants_answer {
            self.asked = Some(begin);
            self.fleet.tally.answered(begin.elapsed().as_nanos() as u64);
        }
        self.fleet.tally.bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
        let mut heard = Heard::Nothing;
        for (is_answer, message) in said {
            match self.take(&message)? {
                told if is_answer => heard = told,
                Heard::Answer(answer, differs) => {
                    self.learn(&answer, differs.as_ref());
                }
                Heard::Nothing | Heard::Other => {}
            }
        }
        Ok(heard)
    }

    /// Does what an answer says.
    fn take(&mut self, answer: &[u8]) -> Result<Heard, Ended> {
        let strange = |what: &str| Ended::Broken(format!("an answer that makes no sense: {what}"));
        let Ok(mut records) = Reader::message(answer) else { return Err(strange("no message")) };
        let Ok(Some(record)) = records.next_record() else { return Err(strange("no record")) };
        match record.kind {
            Kind::Welcome => {
                let welcome: Welcome = record.decode().map_err(|_| strange("welcome"))?;
                self.reporter.welcomed(&welcome);
                self.ledger.doubt();
                self.tell_engine = true;
                Ok(Heard::Other)
            }
            Kind::Answer => {
                let answer: Answer = record.decode().map_err(|_| strange("answer"))?;
                let mut differs = None;
                while let Ok(Some(record)) = records.next_record() {
                    if record.kind == Kind::Differs {
                        differs = record.decode().ok();
                    }
                }
                Ok(if self.reporter.answered(&answer) { Heard::Answer(answer, differs) } else { Heard::Other })
            }
            Kind::Refused => {
                let refused: Refused = record.decode().map_err(|_| strange("refused"))?;
                match self.reporter.refused(&refused) {
                    Next::Hello => Ok(Heard::Other),
                    Next::Later | Next::Superseded | Next::Clone => {
                        self.fleet.tally.error(format!("refused for reason {}", refused.reason));
                        Err(Ended::Later)
                    }
                }
            }
            _ => Err(strange("kind")),
        }
    }
}

/// What came of a message.
enum Heard {
    /// It was answered, perhaps with a word about the server's copy.
    Answer(Answer, Option<Differs>),
    /// Something else came: a welcome, or a refusal.
    Other,
    /// It wanted no answer, and none came.
    Nothing,
}
