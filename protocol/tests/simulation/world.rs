//! Everything together, one step at a time.

use crate::agent::Agent;
use crate::engine::{Engine, Truth};
use crate::rules;
use crate::server::Server;
use muster_protocol::id::{EngineId, EventIdentity};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// xorshift64*: small, and the same everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 8
    }

    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }
}

/// Epoch and number of a reading.
pub type At = (u64, u64);

/// What was really read, by number.
#[derive(Default)]
pub struct Readings {
    pub made: HashMap<(At, EngineId), Option<Vec<u8>>>,
    pub lists: HashMap<At, BTreeSet<EngineId>>,
    /// The engine's tick when it was asked.
    pub ticks: HashMap<At, u64>,
    /// For [`Break::NumberAfterReading`].
    pub late: Option<(u64, BTreeMap<EngineId, Truth>)>,
}

/// What a test breaks on purpose.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Break {
    NumberAfterReading,
    ForgetOrder,
    ForgetStored,
    HideGaps,
    AnswerBeforeCommit,
    BelieveAtOnce,
}

/// What happened in a history: proof that it was one.
#[derive(Debug, Default)]
pub struct Seen {
    pub stored: usize,
    pub derived: usize,
    pub gaps: usize,
    pub lost: usize,
    pub duplicated: usize,
    pub reordered: usize,
    pub agent_crashes: usize,
    pub server_crashes: usize,
    pub engine_crashes: usize,
    pub restores: usize,
}

impl Seen {
    pub fn add(&mut self, other: &Seen) {
        self.stored += other.stored;
        self.derived += other.derived;
        self.gaps += other.gaps;
        self.lost += other.lost;
        self.duplicated += other.duplicated;
        self.reordered += other.reordered;
        self.agent_crashes += other.agent_crashes;
        self.server_crashes += other.server_crashes;
        self.engine_crashes += other.engine_crashes;
        self.restores += other.restores;
    }
}

pub struct World {
    random: Random,
    engine: Engine,
    agent: Option<Agent>,
    highest_epoch: u64,
    server: Server,
    /// On their way to the server: number, bytes.
    requests: Vec<(u64, Vec<u8>)>,
    answers: Vec<(u64, Vec<u8>)>,
    next_request: u64,
    readings: Readings,
    newest: BTreeMap<EngineId, (At, u64)>,
    indices: HashMap<EventIdentity, usize>,
    /// The first event that an agent could have heard.
    first_heard: Option<usize>,
    /// Events of the engine that were due when the last list was read: the next list waits for them.
    due: usize,
    heard: usize,
    broken: Option<Break>,
    seen: Seen,
    tracing: bool,
}

impl World {
    pub fn new(seed: u64, broken: Option<Break>) -> World {
        let mut random = Random::new(seed);
        for _ in 0..8 {
            random.next();
        }
        let ring_size = 4 + random.below(60);
        World {
            engine: Engine { ring_size, clock: 1_000_000, ..Engine::default() },
            random,
            agent: None,
            highest_epoch: 0,
            server: Server::default(),
            requests: Vec::new(),
            answers: Vec::new(),
            next_request: 0,
            readings: Readings::default(),
            newest: BTreeMap::new(),
            indices: HashMap::new(),
            first_heard: None,
            due: 0,
            heard: 0,
            broken,
            seen: Seen::default(),
            tracing: std::env::var_os("MUSTER_TRACE").is_some(),
        }
    }

    /// A whole history, and then peace until all is delivered.
    pub fn live(mut self) -> Result<Seen, String> {
        let steps = 100 + self.random.below(400);
        let calm = self.random.one_in(3); // Some histories are busy rather than unlucky.
        for _ in 0..steps {
            self.step(calm)?;
        }
        self.settle()?;
        rules::end(&self.server, &self.engine, &self.indices, self.first_heard)?;
        for line in &self.server.disk.history {
            match line {
                crate::server::Line::Event(_) => self.seen.stored += 1,
                crate::server::Line::Gap => self.seen.gaps += 1,
                crate::server::Line::Derived(..) => self.seen.derived += 1,
            }
        }
        Ok(self.seen)
    }

    fn step(&mut self, calm: bool) -> Result<(), String> {
        match self.random.below(if calm { 92 } else { 100 }) {
            0..15 => self.engine.act(&mut self.random),
            15..30 => self.tell_one(),
            30..45 => self.agent_hears(),
            45..50 => self.begin_list(),
            50..56 => self.finish_list(),
            56..60 => {
                if let Some(agent) = &mut self.agent {
                    agent.inspect(&self.engine, &mut self.readings);
                }
            }
            60..72 => self.agent_sends(),
            72..82 => self.deliver_request()?,
            82..88 => self.deliver_answer(),
            88..91 => {
                if let Some(agent) = &mut self.agent {
                    agent.give_up();
                }
            }
            91 => {
                // The stream breaks; the agent opens another when it comes to it.
                if let Some(agent) = &mut self.agent {
                    agent.close_stream();
                }
            }
            92 | 93 => self.crash_agent(),
            94 => {
                self.server.restart();
                self.answers.clear();
                self.requests.clear();
                self.newest.clear(); // The number of an unchanged reading is not stored.
                self.seen.server_crashes += 1;
            }
            95 => {
                self.engine.crash();
                self.seen.engine_crashes += 1;
                self.heard = self.engine.log.len();
                if let Some(agent) = &mut self.agent {
                    agent.close_stream();
                }
            }
            96 => self.server.backup = self.server.disk.clone(),
            97 if self.random.one_in(4) => {
                self.server.disk = self.server.backup.clone();
                self.server.restart();
                self.requests.clear();
                self.answers.clear();
                self.newest.clear();
                self.seen.restores += 1;
            }
            _ => {}
        }
        Ok(())
    }

    fn tell_one(&mut self) {
        let Some(sent) = self.engine.send_one() else { return };
        self.indices.insert(EventIdentity::of(&sent.body), sent.index);
        if let Some(open) = self.agent.as_mut().and_then(|agent| agent.stream.as_mut())
            && open.life == self.engine.life
        {
            open.wire.push_back(sent);
        }
    }

    fn agent_hears(&mut self) {
        let Some(agent) = &mut self.agent else {
            self.agent = Some(Agent::start(&mut self.random, self.highest_epoch));
            return;
        };
        match &agent.stream {
            None => {
                agent.open_stream(&self.engine);
                let oldest = self.engine.ring.iter().flatten().map(|sent| sent.index).next();
                self.first_heard.get_or_insert(oldest.unwrap_or(self.engine.log.len()));
            }
            Some(_) => agent.hear_one(),
        }
    }

    fn begin_list(&mut self) {
        // Events come within less than the time between two lists.
        while self.heard < self.due && !self.engine.untold.is_empty() {
            self.tell_one();
            self.heard += 1;
        }
        let Some(agent) = &mut self.agent else { return };
        while agent.stream.as_ref().is_some_and(|open| !open.wire.is_empty()) {
            agent.hear_one();
        }
        agent.begin_list();
    }

    fn finish_list(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        if self.readings.late.is_some() {
            agent.number_late(&mut self.readings, &mut self.random, self.broken);
        }
        agent.finish_list(&self.engine, &mut self.readings, self.broken, &mut self.random);
        self.heard = 0;
        self.due = self.engine.untold.len();
    }

    fn agent_sends(&mut self) {
        let Some(agent) = &mut self.agent else { return };
        self.next_request += 1;
        if let Some(request) = agent.send(self.next_request) {
            self.requests.push((self.next_request, request));
        }
        self.highest_epoch = self.highest_epoch.max(agent.reporter.highest_epoch());
    }

    fn deliver_request(&mut self) -> Result<(), String> {
        if self.requests.is_empty() {
            return Ok(());
        }
        let index = if self.random.one_in(4) { self.random.below(self.requests.len()) } else { 0 };
        self.seen.reordered += usize::from(index > 0);
        let (number, request) = self.requests[index].clone();
        match self.random.below(12) {
            0 => {
                self.requests.remove(index);
                self.seen.lost += 1;
                return Ok(());
            }
            1 => self.seen.duplicated += 1, // It stays, and comes again.
            _ => {
                self.requests.remove(index);
            }
        }
        let (commit, survive) = (!self.random.one_in(20), !self.random.one_in(40));
        self.take(number, &request, commit, survive)
    }

    fn take(&mut self, number: u64, request: &[u8], commit: bool, survive: bool) -> Result<(), String> {
        self.trace(number, request, commit, survive);
        let active = self.random.one_in(2);
        let answer = self.server.handle(request, commit, survive, active, self.broken);
        self.seen.server_crashes += usize::from(answer.is_none());
        if answer.is_none() {
            self.requests.clear(); // Its connections are gone.
        }
        if answer.is_none() || !commit {
            // What was shown and not stored may be shown as before again.
            self.newest.clear();
        }
        rules::view(&self.server, &self.readings, &mut self.newest)?;
        match answer {
            Some(_) if self.random.one_in(15) => self.seen.lost += 1,
            Some(answer) => self.answers.push((number, answer)),
            None => {}
        }
        Ok(())
    }

    /// Prints a message, for whoever replays a seed with MUSTER_TRACE set.
    fn trace(&self, number: u64, request: &[u8], commit: bool, survive: bool) {
        if !self.tracing {
            return;
        }
        use muster_protocol::record::{Kind, Reader};
        println!("request {number} commit {commit} survive {survive}");
        let mut reader = Reader::message(request).expect("a message");
        while let Ok(Some(record)) = reader.next_record() {
            match record.kind {
                Kind::Batch => println!("  {:?}", record.decode::<muster_protocol::batch::Batch>()),
                Kind::Event => {
                    let (seq, body) = record.numbered().expect("numbered");
                    let event: muster_protocol::event::Event = postcard::from_bytes(body).expect("decodes");
                    println!("  {seq} event {} {:?}", event.action, event.actor);
                }
                Kind::Container | Kind::Listed => {
                    let (seq, body) = record.numbered().expect("numbered");
                    let it: muster_protocol::container::Container = postcard::from_bytes(body).expect("decodes");
                    println!("  {seq} {:?} {:?} {} {} {:?}", record.kind, it.id, it.name, it.state, it.started_ms);
                }
                Kind::ListEnd => println!("  {:?}", record.decode::<muster_protocol::batch::ListEnd>()),
                Kind::Absent => println!("  {:?}", record.decode::<muster_protocol::batch::Absent>()),
                Kind::Gap => println!("  {:?}", record.decode::<(u64, muster_protocol::event::Gap)>()),
                kind => println!("  {kind:?}"),
            }
        }
    }

    fn deliver_answer(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let (number, answer) = self.answers.remove(0);
        if let Some(agent) = &mut self.agent {
            agent.answered(number, &answer);
            self.highest_epoch = self.highest_epoch.max(agent.reporter.highest_epoch());
        }
    }

    fn crash_agent(&mut self) {
        if self.agent.take().is_some() {
            self.seen.agent_crashes += 1;
        }
    }

    /// Nothing goes wrong any more: everything is told, sent and stored.
    fn settle(&mut self) -> Result<(), String> {
        self.requests.clear();
        self.answers.clear();
        if let Some(agent) = &mut self.agent {
            agent.give_up();
        }
        let mut lists = 0;
        for _ in 0..20_000 {
            while !self.engine.untold.is_empty() {
                self.tell_one();
            }
            self.agent_hears();
            let quiet = self.agent.as_ref().is_some_and(|agent| {
                agent.stream.as_ref().is_some_and(|open| open.wire.is_empty()) && !agent.reporter.is_replaying()
            });
            if quiet && self.agent.as_ref().is_some_and(Agent::is_idle) {
                let agent = self.agent.as_mut().ok_or("no agent")?;
                if lists >= 4 && !agent.reporter.has_events() && !agent.reporter.needs_hello() {
                    return Ok(());
                }
                agent.begin_list();
            }
            if self.agent.is_some() {
                self.finish_list();
                if self.readings.late.is_some() {
                    self.finish_list();
                }
            }
            if let Some(agent) = &mut self.agent {
                agent.inspect(&self.engine, &mut self.readings);
            }
            self.agent_sends();
            while let Some((number, request)) = self.requests.pop() {
                self.trace(number, &request, true, true);
                let answer = self.server.handle(&request, true, true, false, self.broken);
                rules::view(&self.server, &self.readings, &mut self.newest)?;
                lists += usize::from(self.server.completed.is_some());
                self.answers.extend(answer.map(|answer| (number, answer)));
            }
            self.deliver_answer();
        }
        Err("rule 1: the two never come to rest".into())
    }
}
