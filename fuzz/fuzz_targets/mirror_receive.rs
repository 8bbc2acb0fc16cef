//! Whatever one host says, in any order: its copy on the server stays within its bounds, what is acknowledged never
//! goes back within an epoch, and what was stored is a mirror again.
//!
//! The input is a list of steps; see [`step`]. Most of them make messages that decode, with ids and numbers of a few
//! values, so that they meet.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_protocol::batch::{Absent, Batch, Digest, Engine, ListEnd};
use muster_protocol::container::Container;
use muster_protocol::event::{Event, Gap};
use muster_protocol::id::{EngineId, RunId};
use muster_protocol::limits;
use muster_protocol::mirror::{Effect, Held, Mirror};
use muster_protocol::record::{Full, Kind, Writer};

const ACTIONS: [&str; 14] = [
    "create",
    "start",
    "die",
    "stop",
    "kill",
    "pause",
    "unpause",
    "restart",
    "rename",
    "destroy",
    "oom",
    "update",
    "health_status: healthy",
    "connect",
];

/// Bytes that become small choices; zeros at the end.
struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    fn byte(&mut self) -> u8 {
        let Some((&first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        first
    }

    /// Mostly a small number, sometimes one of the largest.
    fn number(&mut self) -> u64 {
        match self.byte() {
            255 => u64::MAX,
            254 => u64::MAX - 1,
            253 => u64::from(self.byte()) << 32,
            small => u64::from(small),
        }
    }

    fn id(&mut self) -> EngineId {
        let mut id = EngineId([0; 32]);
        id.0[0] = self.byte() % 8;
        id
    }

    fn bytes(&mut self) -> &'a [u8] {
        let length = usize::from(self.byte()) + 256 * usize::from(self.byte() % 4);
        let (head, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        head
    }
}

fn numbered<T: serde::Serialize>(writer: &mut Writer<'_>, kind: Kind, seq: u64, body: &T) -> Result<(), Full> {
    let mut buffer = [0; 1024];
    writer.numbered(kind, seq, postcard::to_slice(body, &mut buffer).expect("fits"))
}

/// Writes one record. What does not fit is left out.
fn record(choices: &mut Choices<'_>, writer: &mut Writer<'_>) {
    let seq = choices.number();
    let _ = match choices.byte() % 8 {
        0 => {
            let action = ACTIONS[usize::from(choices.byte()) % ACTIONS.len()];
            let container = (choices.byte() % 4 == 0).then(|| choices.id());
            let mut event = Event {
                time_nano: choices.number().cast_signed(),
                subject: choices.byte() % 3,
                action,
                actor: choices.id(),
                container,
                attributes: Default::default(),
                truncated: 0,
            };
            let _ = event.attributes.push(("exitCode", "1"));
            numbered(writer, Kind::Event, seq, &event)
        }
        1 => {
            let count = (choices.byte() % 2 == 0).then(|| u32::from(choices.byte()));
            let gap = Gap { cause: choices.byte() % 8, count, from_nano: 0, to_nano: i64::MAX };
            numbered(writer, Kind::Gap, seq, &gap)
        }
        kind @ (2 | 3) => {
            let state = choices.byte() % 9;
            let container = Container {
                id: choices.id(),
                name: "web",
                image: "",
                image_id: None,
                command: "",
                state,
                health: choices.byte() % 5,
                exit_code: (choices.byte() % 2 == 0).then_some(1),
                oom_killed: false,
                restart_count: u32::from(choices.byte()),
                created_ms: 0,
                started_ms: (choices.byte() % 2 == 0).then(|| choices.number().cast_signed()),
                finished_ms: None,
                labels: Default::default(),
                ports: Default::default(),
                networks: Default::default(),
                mounts: Default::default(),
                truncated: 0,
            };
            numbered(writer, if kind == 2 { Kind::Container } else { Kind::Listed }, seq, &container)
        }
        4 => writer.record(Kind::Absent, &Absent { seq, id: choices.id() }),
        5 => {
            let end = ListEnd { seq, total: u32::from(choices.byte() % 8), hidden: u32::from(choices.byte() % 2) };
            writer.record(Kind::ListEnd, &end)
        }
        6 => {
            let engine = Engine { state: choices.byte() % 5, for_ms: seq, version: "", api_version: "1.41" };
            writer.record(Kind::Engine, &engine)
        }
        _ => {
            let (total, hidden) = (u32::from(choices.byte() % 8), 0);
            writer.record(Kind::Digest, &Digest { seq, total, hidden, sum: [choices.byte(); 8] })
        }
    };
}

/// What the server keeps, as its store would.
fn restored(mirror: &Mirror) -> Mirror {
    let held = mirror.held().map(|(id, held)| (*id, Held::restored(held.touched, held.body.clone(), held.story)));
    let again = Mirror::restore(mirror.place().clone(), held);
    assert_eq!(again.place(), mirror.place());
    assert_eq!(again.held().count(), mirror.held().count());
    again
}

fn step(choices: &mut Choices<'_>, mirror: &mut Mirror, effects: &mut Vec<Effect>) {
    match choices.byte() % 8 {
        0 => {
            let run: RunId = [choices.byte() % 6; 16];
            mirror.hello(run, choices.number() % (u64::MAX / 2), choices.byte() % 2 == 0);
        }
        1 => *mirror = restored(mirror),
        2 => drop(mirror.receive(choices.bytes(), effects)),
        _ => {
            let mut buffer = [0; 8 * 1024];
            let Ok(mut writer) = Writer::message(&mut buffer) else { return };
            // Mostly of the newest epoch, and nothing beyond what is acknowledged: else it is refused.
            let epoch = mirror.place().epoch.wrapping_add(u64::from(choices.byte() / 250));
            let base = mirror.place().acknowledged.wrapping_add(u64::from(choices.byte() / 250));
            let batch = Batch { epoch, seq: choices.number(), base, through: choices.number(), events_dropped: 0 };
            let _ = writer.record(Kind::Batch, &batch);
            for _ in 0..choices.byte() % 12 {
                record(choices, &mut writer);
            }
            let before = (mirror.place().epoch, mirror.place().acknowledged);
            let answer = mirror.receive(writer.as_bytes(), effects);
            assert_eq!(mirror.place().epoch, before.0, "a report began an epoch");
            assert!(mirror.place().acknowledged >= before.1, "an acknowledgement was taken back");
            match answer {
                Ok(received) => assert_eq!(received.answer.acknowledged, mirror.place().acknowledged),
                Err(_) => assert!(effects.is_empty(), "what was refused has changed something"),
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut choices = Choices(data);
    let mut mirror = Mirror::default();
    let mut effects = Vec::new();
    while !choices.0.is_empty() {
        step(&mut choices, &mut mirror, &mut effects);
        assert!(mirror.held().count() <= limits::HELD && mirror.place().runs.len() <= limits::RUNS);
        assert!(mirror.held().all(|(_, held)| held.body.len() <= limits::RECORD));
        effects.clear();
    }
});
