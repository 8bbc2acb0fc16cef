//! A server around the real mirror: what is durable, and what a crash takes away.

use crate::world::Break;
use muster_protocol::batch::{Answer, Batch, Digest, Reason, Refused, sum};
use muster_protocol::hello::{Hello, Welcome};
use muster_protocol::id::{EngineId, EventIdentity};
use muster_protocol::mirror::{Effect, Hail, Held, Mirror, Place, Received, Unwanted};
use muster_protocol::record::{Kind, Reader, Writer};
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq)]
pub enum Line {
    Event(EventIdentity),
    Gap,
    Derived(EngineId, String),
}

#[derive(Debug, Clone, Default)]
pub struct Durable {
    pub place: Place,
    pub held: BTreeMap<EngineId, Held>,
    pub history: Vec<Line>,
}

#[derive(Default)]
pub struct Server {
    pub mirror: Mirror,
    pub disk: Durable,
    pub backup: Durable,
    /// One that knows of no digests.
    pub old: bool,
    /// The number of the list that the last message completed.
    pub completed: Option<(u64, u64)>,
}

impl Server {
    /// Comes back with what is durable.
    pub fn restart(&mut self) {
        let held = self.disk.held.iter();
        self.mirror = Mirror::restore(
            self.disk.place.clone(),
            held.map(|(id, held)| {
                let story = muster_protocol::mirror::story::Story::from_bytes(&held.story.to_bytes());
                (*id, Held::restored(held.touched, held.body.clone(), story))
            }),
        );
    }

    /// Handles a request. `None`: it crashed before it could answer.
    pub fn handle(
        &mut self,
        request: &[u8],
        commit: bool,
        survive: bool,
        active: bool,
        broken: Option<Break>,
    ) -> Option<Vec<u8>> {
        self.completed = None;
        let mut reader = Reader::message(request).expect("a message");
        let first = reader.next_record().expect("a record").expect("a record");
        let mut out = vec![0; 1024];
        let mut writer = Writer::message(&mut out).expect("fits");
        let store_down = Refused { reason: Reason::Store as u8, epoch: self.disk.place.epoch };
        if first.kind == Kind::Hello {
            let hello: Hello = first.decode().expect("decodes");
            match self.mirror.hello(hello.run, hello.highest_epoch, active) {
                Hail::Superseded => {
                    let refused = Refused { reason: Reason::Superseded as u8, epoch: self.mirror.place().epoch };
                    writer.record(Kind::Refused, &refused).expect("fits");
                }
                Hail::Welcome { epoch, new } => {
                    if new && !commit {
                        self.restart();
                        writer.record(Kind::Refused, &store_down).expect("fits");
                    } else {
                        self.disk.place = self.mirror.place().clone();
                        let place = self.mirror.place();
                        let welcome = Welcome {
                            epoch,
                            acknowledged: place.acknowledged,
                            last_event: place.last_event.filter(|_| broken != Some(Break::ForgetStored)),
                            kinds: if self.old {
                                heapless::Vec::new()
                            } else {
                                Kind::ALL.iter().map(|kind| *kind as u8).collect()
                            },
                        };
                        writer.record(Kind::Welcome, &welcome).expect("fits");
                    }
                }
            }
        } else {
            if broken == Some(Break::ForgetStored) {
                // A server that keeps no account of what it has stored.
                let place = Place { last_event: None, ..self.mirror.place().clone() };
                self.mirror = Mirror::restore(place, self.mirror.held().map(|(id, held)| (*id, held.clone())));
            }
            if broken == Some(Break::ForgetOrder) {
                let held = self.mirror.held();
                let held = held.map(|(id, h)| (*id, Held::restored((0, 0), h.body.clone(), h.story)));
                self.mirror = Mirror::restore(self.mirror.place().clone(), held.collect::<Vec<_>>());
            }
            if matches!(broken, Some(Break::ForgetStored | Break::ForgetOrder))
                && let Some((run, epoch)) = self.mirror.place().runs.last().copied()
            {
                self.mirror.hello(run, epoch, true);
            }
            let believed = (broken == Some(Break::BelieveDigests)).then(|| self.with_own_sum(request));
            let request = believed.as_deref().unwrap_or(request);
            let mut effects = Vec::new();
            match self.mirror.receive(request, &mut effects) {
                Ok(Received { answer, differs }) => {
                    if !commit && broken != Some(Break::AnswerBeforeCommit) {
                        self.restart();
                        writer.record(Kind::Refused, &store_down).expect("fits");
                    } else {
                        if commit {
                            self.store(&effects, &answer, broken);
                        } else {
                            self.disk.place = self.mirror.place().clone();
                        }
                        writer.record(Kind::Answer, &answer).expect("fits");
                        if let Some(differs) = differs {
                            writer.record(Kind::Differs, &differs).expect("fits");
                        }
                    }
                }
                Err(Unwanted::Refused(refused)) => writer.record(Kind::Refused, &refused).expect("fits"),
                Err(Unwanted::Malformed(malformed)) => panic!("{malformed}"),
            }
        }
        if !survive {
            self.completed = None;
            self.restart();
            return None;
        }
        Some(writer.as_bytes().to_vec())
    }

    /// The message with the sum of what is held here instead of its own, if it brings nothing but that.
    fn with_own_sum(&self, message: &[u8]) -> Vec<u8> {
        let mut reader = Reader::message(message).expect("a message");
        let records: Vec<_> = std::iter::from_fn(|| reader.next_record().expect("a record")).collect();
        if !records.iter().all(|record| matches!(record.kind, Kind::Batch | Kind::Digest)) {
            return message.to_vec();
        }
        let mut out = vec![0; 1024];
        let mut writer = Writer::message(&mut out).expect("fits");
        for record in records {
            if record.kind == Kind::Batch {
                writer.record(Kind::Batch, &record.decode::<Batch>().expect("decodes")).expect("fits");
                continue;
            }
            let mut digest: Digest = record.decode().expect("decodes");
            let bodies = || self.mirror.held().filter(|(_, held)| held.exists()).map(|(_, held)| sum(&held.body));
            digest.total = bodies().count() as u32;
            digest.sum = bodies().fold(0, u64::wrapping_add).to_le_bytes();
            writer.record(Kind::Digest, &digest).expect("fits");
        }
        writer.as_bytes().to_vec()
    }

    fn store(&mut self, effects: &[Effect], answer: &Answer, broken: Option<Break>) {
        for effect in effects {
            match effect {
                Effect::Event(_, body) => self.disk.history.push(Line::Event(EventIdentity::of(body))),
                Effect::Gap(..) if broken == Some(Break::HideGaps) => {}
                Effect::Gap(..) => self.disk.history.push(Line::Gap),
                Effect::Derived(_, id, happened) => self.disk.history.push(Line::Derived(*id, happened.action.clone())),
                Effect::Container { id, .. } => {
                    if let Some(held) = self.mirror.get(id) {
                        self.disk.held.insert(*id, held.clone());
                    }
                }
                Effect::Forgotten(id) => {
                    self.disk.held.remove(id);
                }
                Effect::Place | Effect::Engine(_) | Effect::Dropped(_) | Effect::Proven(_) => {}
                Effect::Listed { .. } => self.completed = Some((answer.epoch, answer.listed)),
            }
        }
        self.disk.place = self.mirror.place().clone();
    }
}
