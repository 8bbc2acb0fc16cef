//! Everything together, one step at a time.

use crate::agent::{Agent, Disk};
use crate::engine::{Engine, Truth};
use crate::random::Random;
use crate::rules;
use crate::server::Server;
use muster_protocol::id::{EngineId, EventIdentity};
use muster_protocol::limits;
use std::collections::{BTreeMap, BTreeSet, HashMap};

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
    ForgetHidden,
    BelieveDigests,
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
    pub outages: usize,
    /// Events that did not fit into the agent's queue.
    pub dropped: u64,
    /// Agents that came back after another one had replaced them.
    pub returns: usize,
    pub forgotten_epochs: usize,
    pub with_hidden: usize,
    /// Lists of which only the changes were sent.
    pub lists_of_changes: u64,
    /// Events that were found on the disk by a new run.
    pub restored_events: usize,
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
        self.outages += other.outages;
        self.dropped += other.dropped;
        self.returns += other.returns;
        self.forgotten_epochs += other.forgotten_epochs;
        self.with_hidden += other.with_hidden;
        self.lists_of_changes += other.lists_of_changes;
        self.restored_events += other.restored_events;
    }
}

pub struct World {
    random: Random,
    engine: Engine,
    agent: Option<Agent>,
    /// Another run with the same identity, which does not speak now.
    twin: Option<Agent>,
    /// Whether this history has one.
    has_twin: bool,
    /// While there is no agent: what its last run has left on disk, and the other's.
    disk: Disk,
    twin_disk: Disk,
    /// Containers that an agent reports at most.
    limit: usize,
    /// Steps for which the server cannot be reached.
    away: usize,
    /// No run that knows the highest epoch has been welcomed since it was forgotten.
    epoch_forgotten: bool,
    highest_epoch: u64,
    server: Server,
    /// On their way to the server: number, bytes.
    requests: Vec<(u64, Vec<u8>)>,
    answers: Vec<(u64, Vec<u8>)>,
    next_request: u64,
    readings: Readings,
    newest: BTreeMap<EngineId, (At, u64)>,
    pub indices: HashMap<EventIdentity, usize>,
    /// The first event that an agent could have heard.
    first_heard: Option<usize>,
    /// Events of the engine that were due when the last list was read: the next list waits for them.
    due: usize,
    heard: usize,
    broken: Option<Break>,
    seen: Seen,
    pub tracing: bool,
}

impl World {
    pub fn new(seed: u64, broken: Option<Break>) -> World {
        let mut random = Random::new(seed);
        for _ in 0..8 {
            random.next();
        }
        let ring_size = 4 + random.below(60);
        let padding = if random.one_in(6) { 1024 + random.below(2000) } else { 0 };
        let limit = if random.one_in(6) { 1 + random.below(4) } else { limits::CONTAINERS };
        let has_twin = random.one_in(6);
        let old = random.one_in(8);
        let disk = Disk::new(random.one_in(3));
        World {
            engine: Engine { ring_size, clock: 1_000_000, padding, ..Engine::default() },
            random,
            agent: None,
            twin: None,
            has_twin,
            twin_disk: disk.clone(),
            disk,
            limit,
            away: 0,
            epoch_forgotten: false,
            highest_epoch: 0,
            server: Server { old, ..Server::default() },
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
        rules::end(&self.server, &self.engine, &self.indices, self.first_heard, self.limit)?;
        self.seen.with_hidden += usize::from(self.engine.containers.len() > self.limit);
        self.note_dropped();
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
        self.away = self.away.saturating_sub(1);
        if self.away == 0 && self.random.one_in(300) {
            self.away = self.random.below(200);
            self.seen.outages += 1;
        }
        if self.has_twin && self.random.one_in(40) {
            self.change_over();
        }
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
            88..90 => {
                if let Some(agent) = &mut self.agent {
                    agent.give_up();
                }
            }
            90 if self.random.one_in(2) => {
                if let Some(agent) = &mut self.agent {
                    agent.keep(&mut self.random);
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
                self.say("server restarts");
                self.server.restart();
                self.answers.clear();
                self.requests.clear();
                self.newest.clear(); // The number of an unchanged reading is not stored.
                self.seen.server_crashes += 1;
            }
            95 => {
                self.say("engine crashes");
                self.engine.crash();
                self.seen.engine_crashes += 1;
                self.heard = self.engine.log.len();
                if let Some(agent) = &mut self.agent {
                    agent.close_stream();
                }
            }
            96 => self.server.backup = self.server.disk.clone(),
            97 if self.random.one_in(4) && !self.epoch_forgotten => {
                self.say("server restored");
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
            let disk = self.disk.clone();
            let (agent, left) = Agent::start(&mut self.random, self.highest_epoch, self.limit, disk);
            if left > 0 {
                self.say(&format!("run {} finds {left} events", agent.reporter.run()[0]));
            }
            self.seen.restored_events += left;
            self.agent = Some(agent);
            return;
        };
        match &agent.stream {
            None => {
                if self.tracing {
                    let ring = self.engine.ring.iter().flatten().map(|sent| sent.index).collect::<Vec<_>>();
                    println!("run {} opens the stream: {ring:?}", agent.reporter.run()[0]);
                }
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

    /// The run that speaks falls silent, and the other one, older or new, speaks. A run that no server ever knew
    /// keeps trying: what it has heard cannot be told apart from what another run has stored meanwhile.
    fn change_over(&mut self) {
        if self.agent.as_ref().is_some_and(|agent| !agent.welcomed) {
            return;
        }
        if let Some(agent) = &mut self.agent {
            agent.close_stream();
            agent.give_up();
        }
        self.say("another run speaks");
        std::mem::swap(&mut self.agent, &mut self.twin);
        std::mem::swap(&mut self.disk, &mut self.twin_disk);
        self.seen.returns += usize::from(self.agent.is_some());
    }

    fn note_dropped(&mut self) {
        let Some(agent) = &self.agent else { return };
        self.seen.dropped += agent.reporter.dropped();
        self.seen.lists_of_changes += agent.lists_of_changes;
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
        if self.away > 0 {
            self.requests.clear();
            if let Some(agent) = &mut self.agent {
                agent.give_up(); // The agent finds out as fast as it may.
            }
        }
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

    fn deliver_answer(&mut self) {
        if self.answers.is_empty() {
            return;
        }
        let (number, answer) = self.answers.remove(0);
        self.say_answer(number, &answer);
        if let Some(agent) = &mut self.agent {
            agent.answered(number, &answer);
            if self.tracing {
                println!("  of run {}: {} wait", agent.reporter.run()[0], agent.reporter.waiting());
            }
            self.epoch_forgotten &= agent.reporter.needs_hello();
            self.highest_epoch = self.highest_epoch.max(agent.reporter.highest_epoch());
        }
    }

    fn crash_agent(&mut self) {
        self.note_dropped();
        self.say("agent crashes");
        if let Some(agent) = self.agent.take() {
            self.disk = agent.end(&mut self.random);
            self.seen.agent_crashes += 1;
            // Its disk may not have kept the epoch. One that a backup lost as well nobody could know any more.
            if self.random.one_in(8) && self.server.disk.place.epoch >= self.highest_epoch {
                self.highest_epoch = 0;
                self.epoch_forgotten = true;
                self.seen.forgotten_epochs += 1;
            }
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
