use super::*;
use crate::batch::{Absent, Batch, ListEnd};
use crate::container::{Container, Health, Port, State};
use crate::event::{Event, Gap, Subject};
use crate::record::{Kind, Writer};
use crate::seeded::for_seeds;
use std::format;
use std::string::String;
use std::vec;

const RUN: RunId = [1; 16];

pub(super) fn id(n: u8) -> EngineId {
    EngineId([n; 32])
}

pub(super) fn container(n: u8) -> Container<'static> {
    Container {
        id: id(n),
        name: "c",
        image: "i",
        image_id: None,
        command: "sh",
        state: State::Running as u8,
        health: Health::None as u8,
        exit_code: None,
        oom_killed: false,
        restart_count: 0,
        created_ms: 1,
        started_ms: Some(2),
        finished_ms: None,
        labels: heapless::Vec::new(),
        ports: heapless::Vec::new(),
        networks: heapless::Vec::new(),
        mounts: heapless::Vec::new(),
        truncated: 0,
    }
}

pub(super) fn exited(n: u8) -> Container<'static> {
    Container { state: State::Exited as u8, exit_code: Some(3), ..container(n) }
}

pub(super) fn event(n: u8, action: &str) -> Event<'_> {
    Event {
        time_nano: 1,
        subject: Subject::Container as u8,
        action,
        actor: id(n),
        container: None,
        attributes: heapless::Vec::new(),
        truncated: 0,
    }
}

/// A message of epoch 1 with number and through `seq`.
pub(super) fn message(seq: u64, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    from_batch(Batch { epoch: 1, seq, base: 0, through: seq, events_dropped: 0 }, write)
}

pub(super) fn from_batch(batch: Batch, write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut buffer = vec![0; limits::MESSAGE];
    let mut writer = Writer::message(&mut buffer).unwrap();
    writer.record(Kind::Batch, &batch).unwrap();
    write(&mut writer);
    writer.as_bytes().to_vec()
}

pub(super) fn list(writer: &mut Writer<'_>, seq: u64, containers: &[Container<'_>]) {
    for container in containers {
        writer.record(Kind::Listed, &(seq, container)).unwrap();
    }
    let total = containers.len() as u32;
    writer.record(Kind::ListEnd, &ListEnd { seq, total, hidden: 0 }).unwrap();
}

pub(super) fn greeted() -> Mirror {
    let mut mirror = Mirror::default();
    assert_eq!(mirror.hello(RUN, 0, false), Hail::Welcome { epoch: 1, new: true });
    mirror
}

/// Takes a message that has to be good; what became of it in words.
#[track_caller]
pub(super) fn take(mirror: &mut Mirror, message: &[u8]) -> (Answer, Vec<String>) {
    let mut effects = Vec::new();
    let answer = mirror.receive(message, &mut effects).expect("a good message").answer;
    let words = effects.iter().filter_map(|effect| match effect {
        Effect::Event(seq, _) => Some(format!("event {seq}")),
        Effect::Gap(seq, _) => Some(format!("gap {seq}")),
        Effect::Derived(seq, id, happened) => Some(format!("derived {seq} {} {}", id.0[0], happened.action)),
        Effect::Forgotten(id) => Some(format!("forgotten {}", id.0[0])),
        Effect::Listed { hidden } => Some(format!("listed {hidden}")),
        Effect::Engine(_) => Some("engine".into()),
        Effect::Proven(proven) => Some(format!("proven {proven}")),
        Effect::Container { .. } | Effect::Place | Effect::Dropped(_) => None,
    });
    (answer, words.collect())
}

/// All that can be seen of it.
fn seen(mirror: &Mirror) -> String {
    format!("{mirror:?}")
}

#[track_caller]
fn refused(mirror: &mut Mirror, message: &[u8]) -> Unwanted {
    let (before, mut effects) = (seen(mirror), Vec::new());
    let unwanted = mirror.receive(message, &mut effects).expect_err("it is not to be taken");
    assert_eq!((seen(mirror), effects.len()), (before, 0), "nothing has changed");
    unwanted
}

fn reason(unwanted: Unwanted) -> Reason {
    match unwanted {
        Unwanted::Refused(refused) => Reason::from_number(refused.reason),
        Unwanted::Malformed(malformed) => panic!("{malformed}"),
    }
}

#[test]
fn epochs_are_above_both_sides_highest_and_the_newest_run_keeps_its_own() {
    let mut mirror = greeted();
    assert_eq!(mirror.hello(RUN, 1, true), Hail::Welcome { epoch: 1, new: false });
    assert_eq!(mirror.hello([2; 16], 41, true), Hail::Welcome { epoch: 42, new: true });
    assert_eq!(mirror.hello(RUN, 1, true), Hail::Superseded);
    assert_eq!(mirror.hello(RUN, 1, false), Hail::Welcome { epoch: 43, new: true });
    // A server that was restored: the run is known, and has seen a higher epoch.
    assert_eq!(mirror.hello(RUN, 90, true), Hail::Welcome { epoch: 91, new: true });
    for n in 10..20 {
        mirror.hello([n; 16], 0, true);
    }
    assert_eq!((mirror.place().runs.len(), mirror.place().epoch), (limits::RUNS, 101));
}

#[test]
fn refusals_change_nothing() {
    let mut mirror = greeted();
    mirror.hello([2; 16], 0, false);
    let batch = Batch { epoch: 2, seq: 9, base: 0, through: 9, events_dropped: 1 };
    let write = |writer: &mut Writer<'_>| {
        writer.record(Kind::Event, &(3u64, event(1, "start"))).unwrap();
        list(writer, 4, &[container(1)]);
    };
    take(&mut mirror, &from_batch(batch, write));
    let later = |batch: Batch| from_batch(Batch { seq: 20, through: 20, ..batch }, write);
    assert_eq!(reason(refused(&mut mirror, &later(Batch { epoch: 1, ..batch }))), Reason::StaleEpoch);
    assert_eq!(reason(refused(&mut mirror, &later(Batch { epoch: 3, ..batch }))), Reason::HelloFirst);
    assert_eq!(reason(refused(&mut mirror, &later(Batch { base: 10, ..batch }))), Reason::HelloFirst);
    let held: Vec<_> = mirror.held().map(|(id, held)| (*id, held.clone())).collect();
    let mut restored = Mirror::restore(mirror.place().clone(), held);
    assert_eq!(reason(refused(&mut restored, &later(batch))), Reason::HelloFirst, "no hello since the restart");
    restored.hello([2; 16], 2, true);
    take(&mut restored, &later(batch));
}

#[test]
fn a_message_that_is_spoilt_anywhere_changes_nothing() {
    let mut mirror = greeted();
    take(&mut mirror, &message(2, |writer| list(writer, 1, &[container(1)])));
    let good = message(9, |writer| {
        writer.record(Kind::Event, &(3u64, event(1, "die"))).unwrap();
        writer.record(Kind::Gap, &(4u64, Gap { cause: 1, count: None, from_nano: 0, to_nano: 0 })).unwrap();
        list(writer, 5, &[container(1), container(2)]);
        writer.record(Kind::Absent, &Absent { seq: 6, id: id(1) }).unwrap();
    });
    let mut ends = 0;
    for cut in 0..good.len() {
        let mut trial = mirror.clone();
        match trial.receive(&good[..cut], &mut Vec::new()) {
            Ok(_) => ends += 1, // It ends between two records.
            Err(Unwanted::Malformed(_)) => assert_eq!(seen(&trial), seen(&mirror), "cut at {cut}"),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(ends, 6, "the batch and five records behind it");
    // Records where they do not belong.
    let misplaced = message(9, |writer| writer.record(Kind::Answer, &1u8).unwrap());
    assert_eq!(refused(&mut mirror, &misplaced), Unwanted::Malformed(Malformed::Order));
    let twice = message(9, |writer| writer.raw(&good[1..]).unwrap());
    assert_eq!(refused(&mut mirror, &twice), Unwanted::Malformed(Malformed::Order));
    assert_eq!(refused(&mut mirror, &good[..1]), Unwanted::Malformed(Malformed::Order));
}

#[test]
fn no_garbage_panics_or_breaks_what_is_held() {
    let good = message(9, |writer| {
        writer.record(Kind::Event, &(3u64, event(1, "die"))).unwrap();
        list(writer, 5, &[container(1), container(2)]);
    });
    for_seeds(3000, |random| {
        let mut mirror = greeted();
        let mut bytes = good.clone();
        for _ in 0..1 + random.below(4) {
            let at = random.below(bytes.len());
            bytes[at] = random.number() as u8;
        }
        let _ = mirror.receive(&bytes, &mut Vec::new());
        for (_, held) in mirror.held() {
            assert!(held.body.is_empty() || postcard::from_bytes::<Container<'_>>(&held.body).is_ok());
        }
        assert!(mirror.held().count() <= limits::HELD);
    });
}

#[test]
fn texts_beyond_their_limits_are_refused() {
    let mut mirror = greeted();
    let long = "x".repeat(300);
    let of =
        |container: &Container<'_>| message(2, |writer| writer.record(Kind::Container, &(1u64, container)).unwrap());
    let bad = [
        Container { name: &long, ..container(1) },
        Container { image: &long, ..container(1) },
        Container { command: &long, ..container(1) },
        Container { labels: [("k", long.as_str())].into_iter().collect(), ..container(1) },
        Container {
            ports: [Port { private: 1, protocol: "tcp", public: None, address: &long }].into_iter().collect(),
            ..container(1)
        },
    ];
    for bad in &bad {
        assert_eq!(refused(&mut mirror, &of(bad)), Unwanted::Malformed(Malformed::Payload(Kind::Container)));
    }
    let mut heavy = container(1);
    for _ in 0..limits::LABELS {
        heavy.labels.push((&long[..128], &long[..128])).unwrap();
    }
    assert_eq!(refused(&mut mirror, &of(&heavy)), Unwanted::Malformed(Malformed::Payload(Kind::Container)));
    let action = message(2, |writer| writer.record(Kind::Event, &(1u64, event(1, &long))).unwrap());
    assert_eq!(refused(&mut mirror, &action), Unwanted::Malformed(Malformed::Payload(Kind::Event)));
    let engine = crate::batch::Engine { state: 1, for_ms: 0, version: &long, api_version: "" };
    let engine = message(2, |writer| writer.record(Kind::Engine, &engine).unwrap());
    assert_eq!(refused(&mut mirror, &engine), Unwanted::Malformed(Malformed::Payload(Kind::Engine)));
}

#[test]
fn an_event_is_stored_once_however_often_it_arrives() {
    let mut mirror = greeted();
    let first = message(5, |writer| writer.record(Kind::Event, &(3u64, event(1, "die"))).unwrap());
    assert_eq!(take(&mut mirror, &first), (take_answer(5), vec!["event 3".into()]));
    assert_eq!(take(&mut mirror, &first), (take_answer(5), vec![]), "the same message");
    let renumbered = message(9, |writer| writer.record(Kind::Event, &(8u64, event(1, "die"))).unwrap());
    assert_eq!(take(&mut mirror, &renumbered), (take_answer(9), vec![]), "with another number");
    let held = mirror.held().map(|(id, held)| (*id, held.clone())).collect::<Vec<_>>();
    let mut mirror = Mirror::restore(mirror.place().clone(), held);
    mirror.hello([2; 16], 1, false);
    let batch = Batch { epoch: 2, seq: 2, base: 0, through: 2, events_dropped: 0 };
    let (answer, words) =
        take(&mut mirror, &from_batch(batch, |writer| writer.record(Kind::Event, &(1u64, event(1, "die"))).unwrap()));
    assert_eq!((answer.acknowledged, words.len()), (2, 0), "the last one, after a restart");
}

fn take_answer(acknowledged: u64) -> Answer {
    Answer { epoch: 1, acknowledged, listed: 0, unexplained: 0 }
}

#[test]
fn the_reading_with_the_highest_number_counts_in_whatever_order_they_come() {
    let readings: [(u64, Option<Container<'_>>); 4] =
        [(3, Some(container(1))), (4, Some(exited(1))), (5, None), (6, Some(container(1)))];
    for_seeds(100, |random| {
        let mut mirror = greeted();
        let mut left: Vec<_> = readings.iter().collect();
        let mut newest = 0;
        while !left.is_empty() {
            let (seq, reading) = left.swap_remove(random.below(left.len()));
            take(
                &mut mirror,
                &message(10, |writer| match reading {
                    Some(container) => writer.record(Kind::Container, &(*seq, container)).unwrap(),
                    None => writer.record(Kind::Absent, &Absent { seq: *seq, id: id(1) }).unwrap(),
                }),
            );
            // What is absent leaves no trace if nothing was held.
            let known = mirror.get(&id(1)).is_some();
            newest = if known || reading.is_some() { newest.max(*seq) } else { newest };
            if let Some(held) = mirror.get(&id(1)) {
                let wanted = readings.iter().find(|(seq, _)| *seq == held.touched.1).expect("one of them");
                assert_eq!(held.exists(), wanted.1.is_some());
            }
        }
        assert_eq!(mirror.get(&id(1)).map(|held| held.touched), Some((1, 6)));
    });
}

#[test]
fn a_container_that_was_absent_is_not_raised_by_an_older_reading() {
    let mut mirror = greeted();
    take(&mut mirror, &message(4, |writer| list(writer, 2, &[container(1), container(2)])));
    take(&mut mirror, &message(6, |writer| writer.record(Kind::Absent, &Absent { seq: 5, id: id(1) }).unwrap()));
    take(&mut mirror, &message(7, |writer| writer.record(Kind::Container, &(3u64, exited(1))).unwrap()));
    assert!(!mirror.get(&id(1)).unwrap().exists(), "a reading from before");
    // A list ends those that it has not, and readings from before it do not bring them back.
    take(&mut mirror, &message(9, |writer| list(writer, 8, &[])));
    assert_eq!(mirror.held().filter(|(_, held)| held.exists()).count(), 0);
    take(&mut mirror, &message(9, |writer| writer.record(Kind::Container, &(7u64, container(2))).unwrap()));
    take(&mut mirror, &message(9, |writer| writer.record(Kind::Container, &(7u64, container(3))).unwrap()));
    assert_eq!(mirror.held().filter(|(_, held)| held.exists()).count(), 0);
}

#[test]
fn a_list_takes_effect_when_all_its_parts_have_come() {
    let mut mirror = greeted();
    let part = |n: u8| message(5, move |writer| writer.record(Kind::Listed, &(2u64, container(n))).unwrap());
    let end = message(5, |writer| writer.record(Kind::ListEnd, &ListEnd { seq: 2, total: 2, hidden: 4 }).unwrap());
    take(&mut mirror, &part(1));
    take(&mut mirror, &part(1));
    assert_eq!(take(&mut mirror, &end).0.listed, 0, "the same part twice is one");
    take(&mut mirror, &part(2));
    let (answer, words) = take(&mut mirror, &end);
    assert_eq!((answer.listed, words), (2, vec!["listed 4".into()]));
    assert_eq!(take(&mut mirror, &end).1, [""; 0], "and only once");
}

#[test]
fn the_first_list_is_an_import_and_a_later_difference_is_told_when_two_lists_show_it() {
    let mut mirror = greeted();
    assert_eq!(take(&mut mirror, &message(3, |writer| list(writer, 2, &[container(1), exited(2)]))).1, ["listed 0"]);
    let (answer, words) = take(&mut mirror, &message(5, |writer| list(writer, 4, &[exited(1), container(3)])));
    assert_eq!((answer.unexplained, words), (3, vec!["listed 0".into()]), "it may be told in a moment");
    take(&mut mirror, &message(7, |writer| writer.record(Kind::Event, &(6u64, event(1, "die"))).unwrap()));
    let (answer, words) = take(&mut mirror, &message(9, |writer| list(writer, 8, &[exited(1), container(3)])));
    let wanted = ["derived 8 2 destroy", "derived 8 3 create", "derived 8 3 start", "forgotten 2", "listed 0"];
    assert_eq!((answer.unexplained, words), (0, wanted.map(String::from).to_vec()));
    assert_eq!(take(&mut mirror, &message(11, |writer| list(writer, 10, &[exited(1), container(3)]))).1, ["listed 0"]);
}

#[test]
fn a_list_from_before_a_gap_is_an_import_whose_stories_have_a_hole() {
    let mut mirror = greeted();
    let created = Container { state: State::Created as u8, started_ms: None, ..container(1) };
    take(
        &mut mirror,
        &message(5, |writer| {
            writer.record(Kind::Gap, &(4u64, Gap { cause: 1, count: Some(1), from_nano: 0, to_nano: 0 })).unwrap();
            list(writer, 3, core::slice::from_ref(&created));
        }),
    );
    // Its start is lost, its end was told.
    take(&mut mirror, &message(7, |writer| writer.record(Kind::Event, &(6u64, event(1, "die"))).unwrap()));
    take(&mut mirror, &message(9, |writer| list(writer, 8, &[exited(1)])));
    let (_, words) = take(&mut mirror, &message(11, |writer| list(writer, 10, &[exited(1)])));
    assert_eq!(words, ["derived 10 1 start", "listed 0"]);
}

#[test]
fn while_containers_are_hidden_absence_ends_no_history() {
    let mut mirror = greeted();
    take(&mut mirror, &message(3, |writer| list(writer, 2, &[container(1), container(2)])));
    for seq in [4, 6, 8] {
        let (answer, words) = take(
            &mut mirror,
            &message(seq + 1, |writer| {
                writer.record(Kind::Listed, &(seq, container(2))).unwrap();
                writer.record(Kind::ListEnd, &ListEnd { seq, total: 1, hidden: 1 }).unwrap();
            }),
        );
        assert_eq!((answer.unexplained, words), (0, vec!["listed 1".into()]));
        assert!(!mirror.get(&id(1)).unwrap().exists(), "it is not shown");
    }
    take(&mut mirror, &message(11, |writer| list(writer, 10, &[container(2)])));
    let (_, words) = take(&mut mirror, &message(13, |writer| list(writer, 12, &[container(2)])));
    assert_eq!(words, ["derived 12 1 die", "derived 12 1 destroy", "forgotten 1", "listed 0"]);
}

#[test]
fn no_host_makes_the_server_hold_more_than_the_limit() {
    let mut mirror = greeted();
    take(&mut mirror, &message(1, |writer| list(writer, 1, &[])));
    let many = |n: u32| {
        let mut bytes = [7; 32];
        bytes[..4].copy_from_slice(&n.to_le_bytes());
        EngineId(bytes)
    };
    let mut seq = 2;
    for chunk in 0..30 {
        let events = message(seq + 200, |writer| {
            for n in 0..100 {
                seq += 1;
                let event = Event { actor: many(chunk * 100 + n), ..event(1, "start") };
                writer.record(Kind::Event, &(seq, event)).unwrap();
            }
        });
        let (_, words) = take(&mut mirror, &events);
        assert_eq!(words.len(), 100, "all of them are history");
        seq += 201;
    }
    assert_eq!(mirror.held().count(), limits::HELD);
    assert!(!mirror.place().imported, "some stories are not told to the end");
    // A list still takes effect, and what it shows is taken as it is.
    seq += 1;
    let (answer, words) = take(&mut mirror, &message(seq + 1, |writer| list(writer, seq, &[container(1)])));
    assert_eq!((answer.listed, words.last().map(String::as_str)), (seq, Some("listed 0")));
    assert!(mirror.place().imported && mirror.get(&id(1)).is_some_and(Held::exists));
}

#[test]
fn the_newest_message_says_how_the_engine_does() {
    let mut mirror = greeted();
    let engine = |seq| {
        let engine = crate::batch::Engine { state: 1, for_ms: 0, version: "28", api_version: "1.48" };
        message(seq, |writer| writer.record(Kind::Engine, &engine).unwrap())
    };
    assert_eq!(take(&mut mirror, &engine(5)).1, ["engine"]);
    assert_eq!(take(&mut mirror, &engine(4)).1, [""; 0]);
    assert_eq!(take(&mut mirror, &engine(6)).1, ["engine"]);
}
