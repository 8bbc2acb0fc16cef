use super::*;
use crate::batch::Batch;
use crate::id::EngineId;
use crate::limits;
use crate::mirror::vitals::{ContainerNow, DiskNow, HostNow, Picture, Said};
use crate::seeded::{Random, for_seeds};
use crate::vitals::signed;
use std::collections::BTreeMap;
use std::string::String;
use std::vec::Vec;

const SWEEP_MS: u64 = 15_000;

/// A host whose values wander, and an agent that says how they do.
struct Host {
    at_ms: u64,
    wall_ms: i64,
    seq: u64,
    host: Vec<Option<u64>>,
    disks: BTreeMap<String, (Vec<Option<u64>>, Told<DISK_FIELDS>)>,
    containers: BTreeMap<u8, (Vec<Option<u64>>, Told<CONTAINER_FIELDS>)>,
    ledger: Ledger,
    picture: Picture,
    room: usize,
}

fn measured<const N: usize>(values: &[Option<u64>]) -> Measured<N> {
    let mut measured = Measured::default();
    for (field, value) in values.iter().enumerate() {
        if let Some(value) = value {
            measured.push(field as u8, *value);
        }
    }
    measured
}

fn wander(random: &mut Random, steps: &[Step], values: &mut [Option<u64>]) {
    for (step, value) in steps.iter().zip(values) {
        if random.below(200) == 0 {
            *value = None;
        }
        let before = value.unwrap_or_default();
        let much = random.below(4) == 0;
        *value = match step {
            _ if value.is_none() && random.below(10) != 0 => None,
            Step::Grown(_) if random.below(100) == 0 => Some(0),
            Step::Grown(step) if much => Some(before + random.number() % (100 * step)),
            Step::Grown(step) => Some(before + random.number() % step),
            Step::Moved { .. } if much => Some(random.number() % 1_000_000),
            Step::Moved { .. } => Some(before.saturating_add_signed((random.number() % 4000) as i64 - 2000)),
            Step::MovedSigned(_) => Some(signed((random.number() % 1000) as i64 - 200)),
            Step::Changed if much => Some(random.number() % 100),
            Step::Changed => Some(before),
            Step::Passing(_) if random.below(50) == 0 => Some(random.number() % 100_000),
            Step::Passing(_) => Some(before + SWEEP_MS / 1000),
        };
    }
}

impl Host {
    fn new(room: usize) -> Host {
        Host {
            at_ms: 0,
            wall_ms: 1_700_000_000_000,
            seq: 0,
            host: [None; HOST_FIELDS].into(),
            disks: BTreeMap::new(),
            containers: BTreeMap::new(),
            ledger: Ledger::default(),
            picture: Picture::default(),
            room,
        }
    }

    fn live(&mut self, random: &mut Random) {
        self.at_ms += SWEEP_MS;
        self.wall_ms += SWEEP_MS as i64;
        wander(random, &HOST_STEPS, &mut self.host);
        if self.disks.is_empty() || self.disks.len() < 4 && random.below(30) == 0 {
            let path = std::format!("/{}", random.below(9));
            self.disks.insert(path, ([Some(1000); DISK_FIELDS].into(), Told::default()));
        }
        for (values, _) in self.disks.values_mut() {
            wander(random, &DISK_STEPS, values);
        }
        // Some begin; those that end are let go of by the receiver, who knows.
        let id = random.below(40) as u8;
        if random.below(3) == 0 && self.containers.remove(&id).is_some() {
            self.picture.retain(|prefix| prefix[0] != id);
        } else {
            self.containers.entry(id).or_insert_with(|| ([Some(0); CONTAINER_FIELDS].into(), Told::default()));
        }
        for (values, _) in self.containers.values_mut() {
            wander(random, &CONTAINER_STEPS, values);
        }
    }

    /// What is said now, as a message; `None` if nothing is.
    fn say(&mut self) -> Option<Vec<u8>> {
        let mut buffer = [0; 8192];
        let mut writer = Writer::records(&mut buffer[..self.room]);
        let mut look = self.ledger.begin(&mut writer, self.at_ms, self.wall_ms, &measured(&self.host)).unwrap();
        for (path, (values, told)) in &mut self.disks {
            look.disk(path, &measured(values), told);
        }
        let count = self.containers.len();
        let first = look.first(count);
        for (place, (id, (values, told))) in self.containers.iter_mut().enumerate().skip(first) {
            look.container(place, [*id; 6], &measured(values), told);
        }
        for (place, (id, (values, told))) in self.containers.iter_mut().enumerate().take(first) {
            look.container(place, [*id; 6], &measured(values), told);
        }
        let due = look.end();
        let said = writer.as_bytes().to_vec();
        self.seq += 1;
        let mut buffer = [0; 8192];
        let mut writer = Writer::message(&mut buffer).unwrap();
        let batch = Batch { epoch: 1, seq: self.seq, base: 0, through: self.seq, events_dropped: 0 };
        writer.record(Kind::Batch, &batch).unwrap();
        writer.raw(&said).unwrap();
        due.then(|| writer.as_bytes().to_vec())
    }

    fn hear(&mut self, message: &[u8]) {
        let said = Said::find(message).unwrap().expect("vitals");
        assert!(self.picture.receive(&said));
    }

    /// Holds the receiver's picture against the truth.
    fn check(&self) {
        let close = |steps: &[Step], truth: &[Option<u64>], seen: &[Option<u64>]| {
            for (field, ((step, truth), seen)) in steps.iter().zip(truth).zip(seen).enumerate() {
                let is_close = match (truth, seen) {
                    // The receiver has the time in tenths of a second.
                    (Some(truth), Some(seen)) if matches!(step, Step::Passing(_)) => truth.abs_diff(*seen) <= 4,
                    (Some(truth), Some(seen)) => !step.is_due(*seen, *truth),
                    (None, None) => true,
                    _ => false,
                };
                assert!(is_close, "field {field}: {truth:?} is seen as {seen:?}");
            }
        };
        let HostNow { temperature, .. } = self.picture.host();
        let host = self.picture.host();
        let seen = [
            host.cpu_ms,
            host.cpus,
            host.load,
            host.memory_total,
            host.memory_available,
            host.swap_total,
            host.swap_used,
            host.uptime,
            temperature.map(signed),
            host.power,
        ];
        close(&HOST_STEPS, &self.host, &seen);
        let shown: BTreeMap<&str, DiskNow> = self.picture.disks().collect();
        // One of which nothing is known is not said at all.
        let is_known = |values: &[Option<u64>]| values.iter().any(Option::is_some);
        assert_eq!(shown.len(), self.disks.values().filter(|(values, _)| is_known(values)).count());
        for (path, (values, _)) in self.disks.iter().filter(|(_, (values, _))| is_known(values)) {
            let DiskNow { total, free, inodes_used, worn } = shown[path.as_str()];
            close(&DISK_STEPS, values, &[total, free, inodes_used, worn]);
        }
        assert_eq!(
            self.picture.containers().count(),
            self.containers.values().filter(|(values, _)| is_known(values)).count()
        );
        for (id, (values, _)) in self.containers.iter().filter(|(_, (values, _))| is_known(values)) {
            let now: ContainerNow = self.picture.container(&EngineId([*id; 32])).expect("it is seen");
            let seen = [
                now.cpu_ms,
                now.memory,
                now.memory_limit,
                now.received,
                now.sent,
                now.read,
                now.written,
                now.pids,
                now.throttled_ms,
            ];
            close(&CONTAINER_STEPS, values, &seen);
        }
    }
}

#[test]
fn whatever_is_lost_after_a_doubt_the_receiver_is_close_to_the_truth() {
    for_seeds(300, |random| {
        let mut host = Host::new(if random.below(2) == 0 { 8000 } else { 300 });
        let mut lost = false;
        for _ in 0..1 + random.below(60) {
            host.live(random);
            if let Some(message) = host.say() {
                match random.below(6) {
                    // What follows a lost whole message may be refused by the receiver: it builds on nothing.
                    0 => lost = true,
                    _ if lost => drop(Said::find(&message).unwrap().map(|said| host.picture.receive(&said))),
                    _ => host.hear(&message),
                }
            }
            // That something was lost shows now or later.
            if lost && random.below(3) == 0 {
                host.ledger.doubt();
                lost = false;
            }
        }
        if lost {
            host.ledger.doubt();
        }
        for _ in 0..60 {
            if let Some(message) = host.say() {
                host.hear(&message);
            }
        }
        host.check();
    });
}

#[test]
fn without_loss_and_with_room_the_receiver_is_close_to_the_truth_at_every_moment() {
    for_seeds(50, |random| {
        let mut host = Host::new(8000);
        for _ in 0..50 {
            host.live(random);
            if let Some(message) = host.say() {
                host.hear(&message);
                host.check();
            }
        }
    });
}

fn idle() -> Host {
    let mut host = Host::new(limits::VITALS);
    host.host = [Some(7); HOST_FIELDS].into();
    for id in 0..50 {
        host.containers.insert(id, ([Some(5); CONTAINER_FIELDS].into(), Told::default()));
    }
    host
}

/// Some time passes in which nothing moves.
fn rest(host: &mut Host, ms: u64) -> Option<usize> {
    host.at_ms += ms;
    host.wall_ms += ms as i64;
    host.host[7] = host.host[7].map(|uptime| uptime + ms / 1000);
    host.say().map(|message| message.len())
}

#[test]
fn nothing_moves_and_once_a_minute_that_is_said() {
    let mut host = idle();
    assert!(rest(&mut host, 0).is_some_and(|bytes| bytes > 50 * 10));
    let short = rest(&mut host, SWEEP_MS).expect("that what grew has stopped");
    assert!(short < 30, "{short} bytes");
    let said: Vec<_> = (0..8).map(|_| rest(&mut host, SWEEP_MS).is_some()).collect();
    assert_eq!(said, [false, false, false, true, false, false, false, true]);
}

#[test]
fn a_clock_that_was_set_is_said() {
    let mut host = idle();
    rest(&mut host, 0);
    rest(&mut host, 1000);
    assert_eq!(rest(&mut host, 1000), None);
    host.wall_ms += 999;
    assert_eq!(rest(&mut host, 1000), None);
    host.wall_ms += 1;
    assert!(rest(&mut host, 1000).is_some());
}

#[test]
fn what_finds_no_room_goes_first_next_time() {
    let mut host = idle();
    host.room = 700;
    let mut said = Vec::new();
    for _ in 0..5 {
        host.at_ms += SWEEP_MS;
        // All of them move all the time.
        for (values, _) in host.containers.values_mut() {
            values[0] = values[0].map(|cpu| cpu + 1000);
        }
        let message = host.say().expect("something moved");
        assert!(message.len() <= 700 + 10);
        host.hear(&message);
        said.push(host.picture.containers().count());
    }
    assert!(said[0] < 40 && said[4] == 50, "{said:?}");
}

#[test]
fn the_first_words_of_a_message_find_room() {
    let mut ledger = Ledger::default();
    let mut small = [0; 8];
    assert!(ledger.begin(&mut Writer::records(&mut small), 0, 0, &Measured::default()).is_err());
    let mut buffer = [0; 64];
    let mut writer = Writer::records(&mut buffer);
    assert!(ledger.begin(&mut writer, 0, 0, &Measured::default()).unwrap().end());
    assert!(Said::find(&[]).is_err());
}
