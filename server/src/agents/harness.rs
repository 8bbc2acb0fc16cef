//! A fleet in memory and agents that speak to it in real bytes, for tests.

use super::{Over, take};
use crate::access::keys::Keys;
use crate::access::secret::{Secret, hash};
use crate::access::tokens::Role;
use crate::api::types;
use crate::fleet::{By, EventSelect, Fleet, HostCell};
use crate::listen::{Content, Response};
use crate::store::memory::MemoryStore;
use crate::test_dir::TestDir;
use futures_lite::future::block_on;
use muster_dial::JoinString;
use muster_protocol::batch::{Answer, Digest, Engine, EngineState, ListEnd, Reason, Refused, sum};
use muster_protocol::container::{Container, State};
use muster_protocol::event::{Cause, Event, Subject};
use muster_protocol::hello::{Hello, Stream, Welcome};
use muster_protocol::id::EngineId;
use muster_protocol::join::Join;
use muster_protocol::limits;
use muster_protocol::orders::Renewed;
use muster_protocol::record::{Kind, Reader, Writer};
use muster_protocol::reporter::Reporter;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// So long nothing here should take.
const PATIENCE: Duration = Duration::from_secs(30);

/// Some operator.
pub(crate) fn by() -> By {
    By { role: Role::Admin, token: "admin".into(), name: String::new(), peer: "::1".into() }
}

/// A server without a port.
pub(crate) struct Bench {
    pub store: Arc<MemoryStore>,
    pub fleet: Arc<Fleet>,
    /// The server's keys.
    directory: Arc<TestDir>,
}

impl Bench {
    pub fn new() -> Bench {
        Bench::on(MemoryStore::new(), Arc::new(TestDir::new()))
    }

    fn on(store: MemoryStore, directory: Arc<TestDir>) -> Bench {
        let store = Arc::new(store);
        let admin = Secret::api_token().expect("random");
        let address = "server.example:7443".parse().expect("an address");
        let keys = Arc::new(Keys::open(directory.path()).expect("keys"));
        let fleet = Fleet::open(store.clone(), &admin, "b1".into(), address, keys).expect("a fleet");
        Bench { store, fleet: Arc::new(fleet), directory }
    }

    /// The same with a history of vitals. Nobody may have the fleet yet.
    pub fn with_vitals(self, history: crate::vitals::History) -> Bench {
        let fleet = Arc::into_inner(self.fleet).expect("nobody else has it");
        Bench { fleet: Arc::new(fleet.with_vitals(history)), ..self }
    }

    /// What a server would be that starts now on what is stored.
    pub fn restarted(&self) -> Bench {
        Bench::on(self.store.restarted(), self.directory.clone())
    }

    pub fn token(&self, uses: Option<u32>) -> String {
        let new = types::NewJoinToken { uses, ..Default::default() };
        let made = block_on(self.fleet.make_join_token(&by(), new)).expect("a token");
        made.join.parse::<JoinString>().expect("a join string").token
    }

    /// A host that has joined.
    pub fn join(&self, name: &str) -> Agent {
        let agent = Agent::new();
        let token = self.token(None);
        let join = Join { token: &token, name, fingerprint: [0; 16] };
        block_on(self.fleet.enlist(agent.hash(), &join)).expect("joined");
        agent
    }

    /// A host that has joined and reported, with these containers running.
    pub fn host(&self, name: &str, containers: &[u8]) -> Agent {
        let mut agent = self.join(name);
        agent.containers = containers.iter().map(|number| (*number, State::Running)).collect();
        agent.catch_up(self);
        agent
    }

    /// The history as `host action`, or with the container.
    pub fn history(&self) -> Vec<String> {
        let line = |event: types::Event| match event.container {
            Some(container) => format!("{} {} {container}", event.host, event.action),
            None => format!("{} {}", event.host, event.action),
        };
        let (mut lines, mut after) = (Vec::new(), 0);
        loop {
            let page = block_on(self.fleet.events(after, 100, EventSelect::default())).expect("a page");
            lines.extend(page.events.into_iter().map(line));
            match page.next {
                Some(next) => after = next,
                None => return lines,
            }
        }
    }

    /// Waits until this is so.
    pub fn until(&self, what: impl Fn(&Fleet) -> bool) {
        let start = Instant::now();
        while !what(&self.fleet) {
            assert!(start.elapsed() < PATIENCE, "it did not come to be");
            thread::yield_now();
        }
    }
}

/// An agent with a real reporter, and an engine of its own.
pub(crate) struct Agent {
    /// As it stands in the header.
    pub credential: String,
    /// In a box: its queue is too large for a test's stack.
    pub reporter: Box<Reporter>,
    /// Number and state.
    pub containers: Vec<(u8, State)>,
    pub engine: EngineState,
    /// Of its board.
    pub fingerprint: [u8; 16],
    /// Between its reports, in milliseconds.
    pub interval_ms: u32,
    /// What stands behind its next hello.
    pub offer: Option<Renewed>,
    /// Whether its lists come with a digest, and that is wrong.
    pub lies: Option<bool>,
    time_nano: i64,
}

/// The name of a container by its number.
fn name(number: u8) -> String {
    format!("c{number}")
}

impl Agent {
    pub fn new() -> Agent {
        let credential: [u8; 32] = crate::access::secret::random().expect("random");
        let credential = credential.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut agent = Agent {
            credential,
            reporter: Box::new(Reporter::new([0; 16], 0)),
            containers: Vec::new(),
            engine: EngineState::Ok,
            fingerprint: [0; 16],
            interval_ms: 5000,
            offer: None,
            lies: None,
            time_nano: 1_700_000_000_000_000_000,
        };
        agent.start();
        agent
    }

    /// A new life of the process.
    pub fn start(&mut self) {
        let run = crate::access::secret::random().expect("random");
        *self.reporter = Reporter::new(run, self.reporter.highest_epoch());
        self.reporter.stream_opened(Cause::AgentDown);
        self.reporter.replay_ended();
    }

    pub fn hash(&self) -> [u8; 32] {
        hash(self.credential.as_bytes())
    }

    pub fn cell(&self, bench: &Bench) -> Arc<HostCell> {
        bench.fleet.by_credential(&self.hash()).expect("it has joined")
    }

    pub fn view(&self, bench: &Bench) -> types::Host {
        self.cell(bench).live().view()
    }

    /// The names of its containers, as the server shows them.
    pub fn shown(&self, bench: &Bench) -> Vec<String> {
        self.cell(bench).live().container_views(true).map(|it| it.name).collect()
    }

    pub fn hello_bytes(&self) -> Vec<u8> {
        let hello = Hello {
            run: self.reporter.run(),
            stream: Stream::Report as u8,
            fingerprint: self.fingerprint,
            highest_epoch: self.reporter.highest_epoch(),
            interval_ms: self.interval_ms,
            agent_version: "0.1.0",
            os: "linux",
            arch: "aarch64",
            kernel: "6.12",
        };
        let mut bytes = one_record(Kind::Hello, &hello);
        if let Some(offer) = &self.offer {
            bytes.extend_from_slice(&one_record(Kind::Renewed, offer)[1..]);
        }
        bytes
    }

    /// The records of this kind in an answer to a hello or a report.
    pub fn told<T: serde::de::DeserializeOwned>(&mut self, bench: &Bench, is_hello: bool, kind: Kind) -> Vec<T> {
        let body = if is_hello { self.hello_bytes() } else { self.report_bytes() };
        let answer = block_on(self.send(bench, &body, is_hello));
        let Content::Bytes(bytes) = &answer.content else { panic!("an answer is no stream") };
        let mut records = Reader::message(bytes).expect("a message");
        let mut found = Vec::new();
        while let Some(record) = records.next_record().expect("well formed") {
            match record.kind {
                Kind::Welcome => drop(self.reporter.welcomed(&record.decode().expect("it decodes"))),
                Kind::Answer => drop(self.reporter.answered(&record.decode().expect("it decodes"))),
                _ => {}
            }
            if record.kind == kind {
                found.push(record.decode().expect("it decodes"));
            }
        }
        found
    }

    /// A report with all that the engine has.
    pub fn report_bytes(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; limits::READINGS];
        let mut readings = Writer::records(&mut buffer);
        if let Some(reading) = self.reporter.begin_reading().filter(|_| self.engine == EngineState::Ok) {
            let mut sums = 0u64;
            for (number, state) in &self.containers {
                let body = postcard::to_stdvec(&container(*number, &name(*number), *state)).expect("bytes");
                sums = sums.wrapping_add(sum(&body));
                readings.numbered(Kind::Listed, reading.seq, &body).expect("room");
            }
            let total = u32::try_from(self.containers.len()).expect("few");
            readings.record(Kind::ListEnd, &ListEnd { seq: reading.seq, total, hidden: 0 }).expect("room");
            if let Some(lies) = self.lies {
                let sum = (sums.wrapping_add(lies.into())).to_le_bytes();
                readings.record(Kind::Digest, &Digest { seq: reading.seq, total, hidden: 0, sum }).expect("room");
            }
        }
        let readings = readings.as_bytes().to_vec();
        let engine = Engine { state: self.engine as u8, for_ms: 0, version: "28.0.0", api_version: "1.48" };
        let mut buffer = vec![0; limits::MESSAGE];
        let mut writer = Writer::message(&mut buffer).expect("room");
        self.reporter.message(&mut writer, Some(&engine), &readings).expect("room").expect("welcome");
        writer.as_bytes().to_vec()
    }

    /// The engine says that something happened to a container.
    pub fn event(&mut self, action: &str, number: u8) {
        self.time_nano += 1_000_000;
        let name = name(number);
        let event = Event {
            time_nano: self.time_nano,
            subject: Subject::Container as u8,
            action,
            actor: EngineId([number; 32]),
            container: None,
            attributes: [("image", "busybox"), ("name", name.as_str())].into_iter().collect(),
            truncated: 0,
        };
        self.reporter.event(self.time_nano, &postcard::to_stdvec(&event).expect("bytes"));
    }

    pub async fn send(&self, bench: &Bench, body: &[u8], is_hello: bool) -> Response {
        take(&bench.fleet, &self.cell(bench), body, is_hello, Over::Request(&self.hash())).await
    }

    pub fn hello(&mut self, bench: &Bench) -> Result<(), Reason> {
        let answer = block_on(self.send(bench, &self.hello_bytes(), true));
        let welcome = expect::<Welcome>(Kind::Welcome, &answer).map_err(|refused| self.refused(refused))?;
        self.reporter.welcomed(&welcome);
        Ok(())
    }

    pub fn report(&mut self, bench: &Bench) -> Result<Answer, Reason> {
        let body = self.report_bytes();
        let answer = block_on(self.send(bench, &body, false));
        let answer = expect::<Answer>(Kind::Answer, &answer).map_err(|refused| self.refused(refused))?;
        self.reporter.answered(&answer);
        Ok(answer)
    }

    fn refused(&mut self, refused: Refused) -> Reason {
        self.reporter.refused(&refused);
        Reason::from_number(refused.reason)
    }

    /// Says hello if it has to, and reports until nothing waits, however often the store fails meanwhile.
    pub fn catch_up(&mut self, bench: &Bench) {
        let start = Instant::now();
        loop {
            assert!(start.elapsed() < PATIENCE, "it is not let in");
            if self.reporter.needs_hello() && self.hello(bench).is_err() {
                thread::yield_now();
                continue;
            }
            if self.report(bench).is_ok() && self.reporter.waiting() == 0 {
                return;
            }
            thread::yield_now();
        }
    }
}

pub(crate) fn container<'a>(number: u8, name: &'a str, state: State) -> Container<'a> {
    Container {
        id: EngineId([number; 32]),
        name,
        image: "busybox",
        image_id: None,
        command: "sleep 1d",
        state: state as u8,
        health: 0,
        exit_code: None,
        oom_killed: false,
        restart_count: 0,
        created_ms: 1_700_000_000_000,
        started_ms: (state != State::Created).then_some(1_700_000_000_000),
        finished_ms: None,
        labels: Default::default(),
        ports: Default::default(),
        networks: Default::default(),
        mounts: Default::default(),
        truncated: 0,
    }
}

/// A message of one record.
pub(crate) fn one_record<T: serde::Serialize>(kind: Kind, payload: &T) -> Vec<u8> {
    let mut buffer = [0; 1024];
    let mut writer = Writer::message(&mut buffer).expect("room");
    writer.record(kind, payload).expect("room");
    writer.as_bytes().to_vec()
}

/// The record of this kind in an answer, or that the message was refused.
fn expect<T: serde::de::DeserializeOwned>(kind: Kind, answer: &Response) -> Result<T, Refused> {
    let Content::Bytes(bytes) = &answer.content else { panic!("an answer is no stream") };
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(bytes));
    let record = Reader::message(bytes).expect("a message").next_record().expect("well formed").expect("a record");
    if record.kind == kind {
        return Ok(record.decode().expect("it decodes"));
    }
    assert_eq!(record.kind, Kind::Refused);
    Err(record.decode().expect("it decodes"))
}
