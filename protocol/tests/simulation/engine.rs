//! An engine: containers, events, a ring that forgets.

use crate::random::Random;
use muster_protocol::container::{Container, Health, State};
use muster_protocol::event::{Event, Subject};
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Clone, PartialEq)]
pub struct Truth {
    pub name: String,
    pub state: State,
    pub started: Option<i64>,
    pub exit_code: Option<i32>,
    pub restarts: u32,
    pub health: Health,
}

/// An event and its place in the order in which the engine really sent them.
#[derive(Debug, Clone)]
pub struct Sent {
    pub index: usize,
    pub time_nano: i64,
    pub body: Vec<u8>,
}

#[derive(Default)]
pub struct Engine {
    pub containers: BTreeMap<EngineId, Truth>,
    pub ring: VecDeque<Option<Sent>>,
    pub ring_size: usize,
    /// Happened already, and will be told in a moment.
    pub untold: VecDeque<(EngineId, String, String)>,
    /// All that was ever sent: container and action, by index.
    pub log: Vec<(EngineId, String)>,
    /// What really happened, whether an event was sent of it or not.
    pub happened: BTreeMap<(EngineId, String), usize>,
    pub clock: i64,
    pub next_id: u8,
    /// Grows with everything that happens.
    pub tick: u64,
    /// Bytes that every event has besides, so that few of them fill the agent's queue.
    pub padding: usize,
    /// Lives of the engine process.
    pub life: u32,
}

impl Engine {
    /// Something happens to some container.
    pub fn act(&mut self, random: &mut Random) {
        self.tick += 1;
        self.clock += 1 + random.below(1000) as i64;
        if random.one_in(40) {
            self.clock = random.below(1 << 40) as i64; // The clock is set, in either direction.
        }
        let pick = (!self.containers.is_empty()).then(|| random.below(self.containers.len()));
        let id = pick.and_then(|n| self.containers.keys().nth(n).copied());
        let Some(id) = id.filter(|_| self.containers.len() > 5 || !random.one_in(4)) else {
            self.next_id = self.next_id.wrapping_add(1);
            let id = EngineId([self.next_id; 32]);
            let name = format!("c{}", self.next_id);
            let truth = Truth {
                name,
                state: State::Created,
                started: None,
                exit_code: None,
                restarts: 0,
                health: Health::None,
            };
            self.containers.insert(id, truth);
            return self.tell(id, "create");
        };
        let clock = self.clock;
        let Some(it) = self.containers.get_mut(&id) else { return };
        match (it.state, random.below(8)) {
            (State::Running, 6) => {
                let healthy = it.health != Health::Healthy;
                it.health = if healthy { Health::Healthy } else { Health::Unhealthy };
                let word = it.health.word();
                self.tell(id, &format!("health_status: {word}"));
            }
            (State::Running, 7) if it.health != Health::None => {} // The check goes on.
            (State::Running, 0) => {
                it.state = State::Paused;
                self.tell(id, "pause");
            }
            (State::Running, 1) => {
                it.name = format!("{}x", &it.name[..it.name.len().min(6)]);
                self.tell(id, "rename");
            }
            (State::Running, 2) => {
                it.started = Some(clock);
                it.restarts += 1;
                it.health = if it.health == Health::None { Health::None } else { Health::Starting };
                self.tell(id, "die");
                self.tell(id, "start");
                self.tell(id, "restart");
            }
            (State::Running, _) => {
                it.state = State::Exited;
                it.exit_code = Some(random.below(256) as i32);
                self.tell(id, "die");
            }
            (State::Paused, _) => {
                it.state = State::Running;
                self.tell(id, "unpause");
            }
            (_, 0..4) => {
                it.state = State::Running;
                it.health = if it.health == Health::None { Health::None } else { Health::Starting };
                it.started = Some(clock);
                it.exit_code = None;
                self.tell(id, "start");
            }
            _ => {
                self.containers.remove(&id);
                self.tell(id, "destroy");
            }
        }
        if random.one_in(6) {
            self.push(None); // Another kind of event, which pushes ours out of the ring.
        }
    }

    fn tell(&mut self, id: EngineId, action: &str) {
        let name = self.containers.get(&id).map_or_else(String::new, |truth| truth.name.clone());
        *self.happened.entry((id, action.into())).or_default() += 1;
        self.untold.push_back((id, action.into(), name));
    }

    fn push(&mut self, event: Option<Sent>) {
        if self.ring.len() >= self.ring_size {
            self.ring.pop_front();
        }
        self.ring.push_back(event);
    }

    /// Sends the next event that is due: into the ring, and to whoever listens.
    pub fn send_one(&mut self) -> Option<Sent> {
        let (id, action, name) = self.untold.pop_front()?;
        self.clock += 1;
        let padding = "p".repeat(limits::ATTRIBUTE_VALUE);
        let mut attributes = heapless::Vec::new();
        let _ = attributes.push(("name", name.as_str()));
        for _ in 0..self.padding / limits::ATTRIBUTE_VALUE {
            let _ = attributes.push(("padding", padding.as_str()));
        }
        let event = Event {
            time_nano: self.clock,
            subject: Subject::Container as u8,
            action: &action.clone(),
            actor: id,
            container: None,
            attributes,
            truncated: 0,
        };
        let body = postcard::to_stdvec(&event).expect("an event encodes");
        let sent = Sent { index: self.log.len(), time_nano: self.clock, body };
        self.log.push((id, action));
        self.push(Some(sent.clone()));
        Some(sent)
    }

    /// The engine is killed and comes back: what ran has ended, and what was to be told is not.
    pub fn crash(&mut self) {
        self.ring.clear();
        self.tick += 1;
        self.life += 1;
        let running: Vec<_> = self.containers.iter().filter(|(_, it)| it.state.is_up()).map(|(id, _)| *id).collect();
        for id in running {
            if let Some(it) = self.containers.get_mut(&id) {
                it.state = State::Exited;
                it.exit_code = Some(255);
            }
            *self.happened.entry((id, "die".into())).or_default() += 1;
        }
        // They happened, so they count as sent, by a life of the engine that nobody could hear.
        for (id, action, _) in self.untold.drain(..) {
            self.log.push((id, action));
        }
    }

    pub fn encode(id: EngineId, truth: &Truth) -> Vec<u8> {
        let container = Container {
            id,
            name: &truth.name,
            image: "probe:latest",
            image_id: None,
            command: "sh",
            state: truth.state as u8,
            health: truth.health as u8,
            exit_code: truth.exit_code,
            oom_killed: false,
            restart_count: truth.restarts,
            created_ms: 0,
            started_ms: truth.started,
            finished_ms: None,
            labels: heapless::Vec::new(),
            ports: heapless::Vec::new(),
            networks: heapless::Vec::new(),
            mounts: heapless::Vec::new(),
            truncated: 0,
        };
        postcard::to_stdvec(&container).expect("a container encodes")
    }
}
