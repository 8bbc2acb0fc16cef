//! An agent around the real reporter.

use crate::engine::{Engine, Sent};
use crate::random::Random;
use crate::world::{Break, Readings};
use muster_protocol::batch::{Absent, Answer, Differs, Refused};
use muster_protocol::event::Cause;
use muster_protocol::hello::{Hello, Stream, Welcome};
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::limits;
use muster_protocol::record::{Kind, Reader, Writer};
use muster_protocol::reporter::ledger::{Known, Ledger};
use muster_protocol::reporter::{Reading, Reporter};
use muster_protocol::spool::{self, Change, Spool};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

const HOST: HostId = HostId([7; 8]);

/// A stream of events that is open.
pub struct Open {
    pub life: u32,
    /// On its way to the agent.
    pub wire: VecDeque<Sent>,
    /// How many of it are the replay.
    pub replay: usize,
}

pub struct Agent {
    pub reporter: Box<Reporter>,
    pub stream: Option<Open>,
    last_life: Option<u32>,
    dirty: BTreeSet<EngineId>,
    /// Containers that it reports, at most `limit`; what is beyond is hidden.
    roster: BTreeSet<EngineId>,
    limit: usize,
    /// What the server has of the containers.
    ledger: Ledger,
    known: BTreeMap<EngineId, Known>,
    /// Lists of which only the changes were sent.
    pub lists_of_changes: u64,
    /// A list that was numbered and not read yet.
    listing: Option<Reading>,
    /// Records that wait to be sent, in parts.
    parts: VecDeque<Vec<u8>>,
    /// The request that is out, by its number.
    pub waiting: Option<u64>,
    sent_part: bool,
    pub lists_begun: u64,
    /// Whether the server ever knew of this run.
    pub welcomed: bool,
    disk: Disk,
    spool: Spool,
}

/// What outlives the process: the spool's file, if the agent has one.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    /// Whether it spools at all.
    pub spools: bool,
    file: Vec<u8>,
    /// As it was at some time, for a disk that goes back.
    old: Vec<u8>,
}

impl Disk {
    pub fn new(spools: bool) -> Disk {
        Disk { spools, ..Disk::default() }
    }

    fn apply(&mut self, change: Change, bytes: &[u8]) {
        match change {
            Change::Remove => self.file.clear(),
            Change::Replace => self.file = bytes.to_vec(),
            Change::Append => self.file.extend_from_slice(bytes),
        }
    }
}

impl Agent {
    /// Answers also how many events an earlier run has left.
    pub fn start(random: &mut Random, highest_epoch: u64, limit: usize, disk: Disk) -> (Agent, usize) {
        let mut run = [0; 16];
        run[..8].copy_from_slice(&random.next().to_le_bytes());
        let mut reporter = Box::new(Reporter::new(run, highest_epoch));
        let mut spool = Spool::new(HOST, if random.one_in(2) { spool::SMALLEST } else { spool::LARGEST });
        let left = spool.restore(&disk.file, &mut reporter);
        let agent = Agent {
            reporter,
            stream: None,
            last_life: None,
            dirty: BTreeSet::new(),
            roster: BTreeSet::new(),
            limit,
            ledger: Ledger::default(),
            known: BTreeMap::new(),
            lists_of_changes: 0,
            listing: None,
            parts: VecDeque::new(),
            waiting: None,
            sent_part: false,
            lists_begun: 0,
            welcomed: false,
            disk,
            spool,
        };
        (agent, left)
    }

    /// What waits is put on the disk, or what was acknowledged taken off it.
    pub fn keep(&mut self, random: &mut Random) {
        if random.one_in(3) {
            let change = self.spool.acknowledged(&self.reporter);
            self.change(change, &[]);
        } else if self.disk.spools {
            let mut bytes = Vec::new();
            let change = self.spool.keep(&self.reporter, |piece| bytes.extend_from_slice(piece));
            self.change(change, &bytes);
        }
    }

    fn change(&mut self, change: Option<Change>, bytes: &[u8]) {
        if let Some(change) = change {
            self.disk.apply(change, bytes);
        }
    }

    /// The process ends; what is left is its disk, which may have been at work just then.
    pub fn end(mut self, random: &mut Random) -> Disk {
        if self.disk.spools && random.one_in(2) {
            let mut bytes = Vec::new();
            let change = self.spool.keep(&self.reporter, |piece| bytes.extend_from_slice(piece));
            if let Some(Change::Append) = change {
                bytes.truncate(random.below(bytes.len() + 1));
            }
            if random.one_in(2) {
                self.change(change, &bytes);
            }
        }
        if random.one_in(4) {
            self.disk.old = self.disk.file.clone();
        }
        if random.one_in(20) {
            self.disk.file = self.disk.old.clone();
        }
        if random.one_in(20) && !self.disk.file.is_empty() {
            let at = random.below(self.disk.file.len());
            self.disk.file[at] ^= 1 << random.below(8);
        }
        self.disk
    }

    pub fn open_stream(&mut self, engine: &Engine) {
        let wire: VecDeque<Sent> = engine.ring.iter().flatten().cloned().collect();
        let cause = if self.last_life == Some(engine.life) { Cause::StreamLost } else { Cause::EngineRestarted };
        self.last_life = Some(engine.life);
        self.reporter.stream_opened(cause);
        self.stream = Some(Open { life: engine.life, replay: wire.len(), wire });
    }

    pub fn close_stream(&mut self) {
        self.stream = None;
        self.reporter.stream_closed();
    }

    /// The next event reaches the agent; when the replay is through, it goes quiet.
    pub fn hear_one(&mut self) {
        let Some(open) = &mut self.stream else { return };
        if let Some(sent) = open.wire.pop_front() {
            open.replay = open.replay.saturating_sub(1);
            self.reporter.event(sent.time_nano, &sent.body);
            let event: muster_protocol::event::Event = postcard::from_bytes(&sent.body).expect("decodes");
            if self.see(event.actor) {
                self.dirty.insert(event.actor);
            }
        }
        let Some(open) = &self.stream else { return };
        if open.replay == 0 && open.wire.is_empty() {
            self.reporter.replay_ended();
        }
    }

    /// Whether there is room to report it.
    fn see(&mut self, id: EngineId) -> bool {
        self.roster.contains(&id) || self.roster.len() < self.limit && self.roster.insert(id)
    }

    pub fn begin_list(&mut self) {
        if self.listing.is_none() && self.parts.is_empty() && self.stream.is_some() {
            self.listing = self.reporter.begin_reading();
            self.lists_begun += u64::from(self.listing.is_some());
        }
    }

    /// Reads the list now, under the number that was taken before.
    pub fn finish_list(
        &mut self,
        engine: &Engine,
        readings: &mut Readings,
        broken: Option<Break>,
        random: &mut Random,
    ) {
        let Some(reading) = self.listing.take() else { return };
        if !self.reporter.is_current(reading) {
            return;
        }
        let snapshot = engine.containers.clone();
        if broken == Some(Break::NumberAfterReading) {
            // Something else is read and numbered between this list and its number.
            if let Some(id) = snapshot.keys().next().copied().filter(|_| random.one_in(2)) {
                self.dirty.insert(id);
            }
            readings.late = Some((engine.tick, snapshot));
            return;
        }
        if readings.late.is_some() {
            return;
        }
        self.put_list(reading, engine.tick, &snapshot, readings, random, broken);
        if broken == Some(Break::BelieveAtOnce)
            && let Some(again) = self.reporter.begin_reading()
        {
            self.put_list(again, engine.tick, &snapshot, readings, random, broken);
            let both = self.parts.drain(..).flatten().collect();
            self.parts.push_back(both);
        }
    }

    /// For [`Break::NumberAfterReading`].
    pub fn number_late(&mut self, readings: &mut Readings, random: &mut Random, broken: Option<Break>) {
        let Some((tick, snapshot)) = readings.late.take() else { return };
        assert!(broken == Some(Break::NumberAfterReading));
        let Some(reading) = self.reporter.begin_reading() else { return };
        self.put_list(reading, tick, &snapshot, readings, random, broken);
    }

    fn put_list(
        &mut self,
        reading: Reading,
        tick: u64,
        snapshot: &std::collections::BTreeMap<EngineId, crate::engine::Truth>,
        readings: &mut Readings,
        random: &mut Random,
        broken: Option<Break>,
    ) {
        let at = (reading.epoch, reading.seq);
        readings.ticks.insert(at, tick);
        let mut part = vec![0; limits::READINGS];
        let mut writer = Writer::records(&mut part);
        let (mut listed, mut hidden) = (BTreeSet::new(), 0);
        let digests = self.reporter.understands(Kind::Digest);
        let mut report = self.ledger.begin(reading.seq, digests, random.one_in(4));
        for (id, truth) in snapshot {
            if !self.see(*id) {
                hidden += 1;
                continue;
            }
            listed.insert(*id);
            let body = Engine::encode(*id, truth);
            if report.see(&mut self.ledger, &body, self.known.entry(*id).or_default()) {
                writer.numbered(Kind::Listed, reading.seq, &body).expect("fits");
            }
            readings.made.insert((at, *id), Some(body));
            if random.one_in(4) && !writer.is_empty() {
                self.parts.push_back(writer.as_bytes().to_vec());
                writer = Writer::records(&mut part);
            }
        }
        if !report.everything {
            self.lists_of_changes += 1;
            for (id, known) in self.known.iter_mut().filter(|(id, _)| !listed.contains(id)) {
                if self.ledger.is_gone(known) {
                    writer.record(Kind::Absent, &Absent { seq: reading.seq, id: *id }).expect("fits");
                }
            }
        }
        self.known.retain(|id, _| listed.contains(id));
        if broken == Some(Break::ForgetHidden) {
            hidden = 0;
        }
        let (end, digest) = report.end(hidden);
        if let Some(end) = end {
            writer.record(Kind::ListEnd, &end).expect("fits");
        }
        if let Some(digest) = digest {
            writer.record(Kind::Digest, &digest).expect("fits");
        }
        self.ledger.finish(&report);
        self.roster.retain(|id| listed.contains(id) || self.dirty.contains(id));
        readings.lists.insert(at, listed);
        self.parts.push_back(writer.as_bytes().to_vec());
    }

    /// Reads one container that an event was about.
    pub fn inspect(&mut self, engine: &Engine, readings: &mut Readings) {
        let Some(id) = self.dirty.pop_first() else { return };
        let Some(reading) = self.reporter.begin_reading() else { return };
        let mut part = vec![0; limits::RECORD];
        let mut writer = Writer::records(&mut part);
        let at = (reading.epoch, reading.seq);
        readings.ticks.insert(at, engine.tick);
        match engine.containers.get(&id) {
            Some(truth) => {
                let body = Engine::encode(id, truth);
                self.ledger.changes(&body, self.known.entry(id).or_default());
                writer.numbered(Kind::Container, reading.seq, &body).expect("fits");
                readings.made.insert((at, id), Some(body));
            }
            None => {
                self.roster.remove(&id);
                if let Some(mut known) = self.known.remove(&id) {
                    self.ledger.is_gone(&mut known);
                }
                writer.record(Kind::Absent, &Absent { seq: reading.seq, id }).expect("fits");
                readings.made.insert((at, id), None);
            }
        }
        // A small reading may overtake the parts of a list.
        self.parts.push_front(writer.as_bytes().to_vec());
        self.sent_part = false;
    }

    /// What the agent sends now, if anything.
    pub fn send(&mut self, number: u64) -> Option<Vec<u8>> {
        if self.waiting.is_some() {
            return None;
        }
        let mut buffer = vec![0; limits::MESSAGE];
        let mut writer = Writer::message(&mut buffer).expect("fits");
        if self.reporter.needs_hello() {
            self.clear();
            let hello = Hello {
                run: self.reporter.run(),
                stream: Stream::Report as u8,
                fingerprint: [0; 16],
                highest_epoch: self.reporter.highest_epoch(),
                interval_ms: 5000,
                agent_version: "0",
                os: "linux",
                arch: "arm",
                kernel: "6",
            };
            writer.record(Kind::Hello, &hello).expect("fits");
            self.waiting = Some(number);
            return Some(writer.as_bytes().to_vec());
        }
        let part = self.parts.front().cloned().unwrap_or_default();
        if part.is_empty() && !self.reporter.has_events() {
            return None;
        }
        let sent = self.reporter.message(&mut writer, None, &part).expect("fits").expect("welcome");
        self.sent_part = sent.with_readings;
        self.waiting = Some(number);
        Some(writer.as_bytes().to_vec())
    }

    /// An answer came; one to a request that was given up is thrown away, as a closed connection would.
    pub fn answered(&mut self, number: u64, answer: &[u8]) {
        if self.waiting != Some(number) {
            return;
        }
        self.waiting = None;
        let mut reader = Reader::message(answer).expect("a message");
        let record = reader.next_record().expect("a record").expect("a record");
        match record.kind {
            Kind::Welcome => {
                let welcome: Welcome = record.decode().expect("decodes");
                self.reporter.welcomed(&welcome);
                self.welcomed = true;
                if self.reporter.wants_replay() {
                    self.close_stream();
                }
                self.clear();
            }
            Kind::Answer => {
                let answer: Answer = record.decode().expect("decodes");
                let next = reader.next_record().expect("a record or the end");
                let differs: Option<Differs> = next.map(|record| record.decode().expect("decodes"));
                if self.reporter.answered(&answer) && self.sent_part {
                    self.parts.pop_front();
                    if self.parts.is_empty() && differs.is_none() {
                        self.ledger.answered(&answer);
                    }
                }
                if let Some(differs) = differs {
                    self.ledger.differs(&differs);
                }
                self.sent_part = false;
            }
            Kind::Refused => {
                let refused: Refused = record.decode().expect("decodes");
                self.reporter.refused(&refused);
            }
            other => panic!("{other:?} in an answer"),
        }
    }

    /// What was read before a welcome is not sent after it.
    fn clear(&mut self) {
        self.parts.clear();
        self.listing = None;
        self.ledger.doubt();
    }

    pub fn give_up(&mut self) {
        self.waiting = None;
        self.sent_part = false;
    }

    pub fn is_idle(&self) -> bool {
        self.waiting.is_none() && self.parts.is_empty() && self.listing.is_none() && self.dirty.is_empty()
    }
}
