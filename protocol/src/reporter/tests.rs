use super::*;
use crate::batch::ListEnd;
use crate::event::Gap;
use crate::hello::Welcome;
use crate::record::Reader;
use std::format;
use std::vec;
use std::vec::Vec;

const RUN: RunId = [1; 16];

/// A reporter for a host without a past, or one whose last stored event is `event(last)`.
fn welcomed(last: Option<u32>) -> Reporter {
    let mut reporter = Reporter::new(RUN, 0);
    let epoch = if last.is_some() { 5 } else { 1 };
    reporter.welcomed(&welcome(epoch, 0, last));
    reporter
}

/// As [`welcomed`], with a stream whose replay is through and brought `event(1)` to `event(count)`.
fn with_events(count: u32) -> Reporter {
    let mut reporter = welcomed(None);
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 1..=count);
    reporter.replay_ended();
    reporter
}

fn welcome(epoch: u64, acknowledged: u64, last: Option<u32>) -> Welcome {
    let last_event = last.map(|n| EventIdentity::of(&body(n)));
    Welcome { epoch, acknowledged, last_event, kinds: heapless::Vec::new() }
}

fn body(n: u32) -> Vec<u8> {
    format!("event {n}").into_bytes()
}

fn hear(reporter: &mut Reporter, which: impl IntoIterator<Item = u32>) {
    for n in which {
        reporter.event(i64::from(n), &body(n));
    }
}

/// What a message holds, in words.
fn sent_with(reporter: &mut Reporter, readings: &[u8]) -> (Batch, Vec<std::string::String>, Sent) {
    let mut buffer = vec![0; limits::MESSAGE];
    let mut writer = Writer::message(&mut buffer).unwrap();
    let sent = reporter.message(&mut writer, None, readings).unwrap().expect("a hello is due");
    let mut reader = Reader::message(writer.as_bytes()).unwrap();
    let batch: Batch = reader.expect(Kind::Batch).unwrap();
    let mut records = Vec::new();
    while let Some(record) = reader.next_record().unwrap() {
        records.push(match record.kind {
            Kind::Event => {
                let (seq, body) = record.numbered().unwrap();
                let text = std::string::String::from_utf8_lossy(body).into_owned();
                format!("{seq} {}", if text.len() > 20 { "large" } else { &text })
            }
            Kind::Gap => {
                let (seq, gap): (u64, Gap) = record.decode().unwrap();
                format!(
                    "{seq} {} {:?} {}..{}",
                    Cause::from_number(gap.cause).word(),
                    gap.count,
                    gap.from_nano,
                    gap.to_nano
                )
            }
            kind => format!("{kind:?}"),
        });
    }
    (batch, records, sent)
}

fn sent(reporter: &mut Reporter) -> (Batch, Vec<std::string::String>) {
    let (batch, records, _) = sent_with(reporter, &[]);
    (batch, records)
}

/// Only what an epoch's first message says, without the numbers.
fn told(reporter: &mut Reporter) -> Vec<std::string::String> {
    let strip = |text: std::string::String| text.split_once(' ').map(|(_, rest)| rest.into()).unwrap_or(text);
    sent(reporter).1.into_iter().map(strip).collect()
}

fn acknowledge(reporter: &mut Reporter, epoch: u64, acknowledged: u64) -> bool {
    reporter.answered(&Answer { epoch, acknowledged, listed: 0, unexplained: 0 })
}

#[test]
fn nothing_is_sent_or_read_before_a_welcome() {
    let mut reporter = Reporter::new(RUN, 7);
    assert!(reporter.needs_hello() && reporter.highest_epoch() == 7 && reporter.run() == RUN);
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 1..=2);
    reporter.replay_ended();
    assert_eq!(reporter.begin_reading(), None);
    let mut buffer = [0; 256];
    let mut writer = Writer::message(&mut buffer).unwrap();
    assert_eq!(reporter.message(&mut writer, None, &[]), Ok(None));
    assert!(!reporter.has_events() && reporter.waiting() == 3);
}

#[test]
fn a_host_without_a_past_has_no_gap() {
    let mut reporter = with_events(2);
    assert_eq!(told(&mut reporter), ["event 1", "event 2"]);
    // The same if the welcome comes only after the replay.
    let mut reporter = Reporter::new(RUN, 0);
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 1..=2);
    reporter.replay_ended();
    reporter.welcomed(&welcome(1, 0, None));
    assert_eq!(told(&mut reporter), ["event 1", "event 2"]);
}

#[test]
fn a_new_run_skips_what_is_stored_whenever_the_welcome_comes() {
    for heard_before in 0..=5 {
        let mut reporter = Reporter::new(RUN, 4);
        reporter.stream_opened(Cause::AgentDown);
        hear(&mut reporter, 1..=heard_before);
        reporter.welcomed(&welcome(5, 0, Some(3)));
        hear(&mut reporter, heard_before + 1..=5);
        reporter.replay_ended();
        assert_eq!(told(&mut reporter), ["event 4", "event 5"], "welcome after {heard_before}");
        assert!(!reporter.is_replaying() && reporter.begin_reading().is_some());
    }
    let mut reporter = Reporter::new(RUN, 4);
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 1..=5);
    reporter.replay_ended();
    reporter.welcomed(&welcome(5, 0, Some(3)));
    assert_eq!(told(&mut reporter), ["event 4", "event 5"], "after the replay");
}

#[test]
fn a_replay_without_the_last_stored_event_begins_with_a_gap() {
    let mut reporter = welcomed(Some(99));
    reporter.stream_opened(Cause::StreamLost);
    hear(&mut reporter, 1..=2);
    assert_eq!(sent(&mut reporter).1, [""; 0], "nothing is told until that is decided");
    assert_eq!(reporter.begin_reading(), None, "nor read");
    reporter.replay_ended();
    assert_eq!(told(&mut reporter), ["agent_down None 0..1", "event 1", "event 2"]);
}

#[test]
fn a_ring_that_is_exactly_full_is_a_whole_replay_and_more_than_that_ends_it() {
    let ring = limits::ENGINE_RING as u32;
    // What is looked for is the oldest that the ring holds.
    let mut reporter = welcomed(Some(1));
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 1..=ring);
    reporter.replay_ended();
    assert_eq!(reporter.waiting(), limits::ENGINE_RING - 1);
    assert_eq!(told(&mut reporter)[0], "event 2");
    // And the newest.
    let mut reporter = welcomed(Some(ring));
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 1..=ring);
    assert!(!reporter.is_replaying());
    assert_eq!(reporter.waiting(), 0);
    // It is not in it: the next event shows that, without a pause in the stream.
    let mut reporter = welcomed(Some(9999));
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 1..=ring);
    assert!(reporter.is_replaying());
    hear(&mut reporter, [ring + 1]);
    assert!(!reporter.is_replaying());
    assert_eq!(told(&mut reporter)[..2], ["agent_down None 0..1", "event 1"]);
}

#[test]
fn a_stream_that_is_opened_again_goes_on_behind_the_last_event() {
    let mut reporter = with_events(3);
    reporter.stream_opened(Cause::StreamLost);
    hear(&mut reporter, 2..=5);
    reporter.replay_ended();
    assert_eq!(told(&mut reporter), ["event 1", "event 2", "event 3", "event 4", "event 5"]);

    let mut reporter = with_events(3);
    reporter.stream_opened(Cause::EngineRestarted);
    hear(&mut reporter, 5..=6);
    reporter.replay_ended();
    let wanted = ["event 1", "event 2", "event 3", "engine_restarted None 3..5", "event 5", "event 6"];
    assert_eq!(told(&mut reporter), wanted);
}

#[test]
fn a_broken_replay_is_forgotten() {
    let mut reporter = with_events(3);
    reporter.stream_opened(Cause::StreamLost);
    hear(&mut reporter, 1..=2);
    reporter.stream_closed();
    reporter.stream_closed();
    assert_eq!(told(&mut reporter), ["event 1", "event 2", "event 3"]);
    reporter.stream_opened(Cause::StreamLost);
    hear(&mut reporter, 2..=4);
    assert_eq!(told(&mut reporter), ["event 1", "event 2", "event 3", "event 4"]);
}

#[test]
fn a_broken_first_replay_still_looks_for_what_the_server_has() {
    let mut reporter = welcomed(Some(3));
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 1..=2);
    reporter.stream_opened(Cause::StreamLost);
    hear(&mut reporter, 1..=4);
    assert_eq!(told(&mut reporter), ["event 4"]);
}

#[test]
fn events_are_kept_until_they_are_acknowledged() {
    let mut reporter = with_events(2);
    let (batch, records) = sent(&mut reporter);
    assert_eq!((batch.base, batch.through, records.len()), (0, batch.seq, 2));
    hear(&mut reporter, [3]);
    let (again, records) = sent(&mut reporter);
    assert_eq!((again.base, records.len()), (0, 3), "no answer came");
    assert!(!acknowledge(&mut reporter, 9, 1000), "of another epoch");
    assert!(acknowledge(&mut reporter, 1, batch.through));
    let (third, records) = sent(&mut reporter);
    assert_eq!((third.base, records.len()), (batch.through, 1));
    assert!(acknowledge(&mut reporter, 1, u64::MAX), "no more than was given");
    assert_eq!(reporter.waiting(), 0);
    assert_eq!(sent(&mut reporter).0.base, third.seq);
    assert!(acknowledge(&mut reporter, 1, 2), "an older answer takes nothing back");
    assert_eq!(sent(&mut reporter).0.base, third.seq);
}

#[test]
fn a_reading_has_the_number_of_the_moment_before_it() {
    let mut reporter = with_events(1);
    let reading = reporter.begin_reading().unwrap();
    hear(&mut reporter, [2]);
    let (batch, records) = sent(&mut reporter);
    assert_eq!(records, [format!("{} event 1", reading.seq - 1), format!("{} event 2", reading.seq + 1)]);
    assert_eq!(batch.seq, reading.seq + 2);
    assert!(reporter.is_current(reading));
    reporter.refused(&Refused { reason: Reason::HelloFirst as u8, epoch: 0 });
    assert!(!reporter.is_current(reading));
    reporter.welcomed(&welcome(1, batch.through, Some(2)));
    assert!(!reporter.is_current(reading), "what was read before the welcome is not sent after it");
    assert!(reporter.begin_reading().unwrap().seq > batch.seq);
}

#[test]
fn readings_wait_until_all_events_fit() {
    let mut reporter = welcomed(None);
    reporter.stream_opened(Cause::AgentDown);
    reporter.replay_ended();
    for n in 0..10 {
        reporter.event(n, &vec![n as u8; limits::EVENT]);
    }
    let mut reading = [0; 64];
    let mut writer = Writer::records(&mut reading);
    writer.record(Kind::ListEnd, &ListEnd { seq: 1, total: 0, hidden: 0 }).unwrap();
    let reading = writer.as_bytes().to_vec();
    let (mut rounds, mut events) = (0, 0);
    loop {
        let (batch, records, sent) = sent_with(&mut reporter, &reading);
        assert_eq!(sent.with_readings, !sent.more);
        events += records.iter().filter(|record| *record != "ListEnd").count();
        rounds += 1;
        acknowledge(&mut reporter, 1, batch.through);
        if sent.with_readings {
            assert_eq!((records.last().unwrap().as_str(), batch.through), ("ListEnd", batch.seq));
            break;
        }
        assert!(batch.through < batch.seq);
    }
    assert_eq!((events, rounds, reporter.waiting()), (10, 2, 0));
}

#[test]
fn a_full_queue_tells_how_many_went_and_an_answer_that_was_out_covers_them() {
    let most = limits::QUEUED_EVENTS as u32;
    let mut reporter = with_events(most - 1); // And the place where the replay began.
    let (batch, records) = sent(&mut reporter);
    assert_eq!(records.len() as u32, most - 1);
    // The place that holds nothing goes first, then two events, for the gap takes one's place.
    hear(&mut reporter, most..=most + 1);
    assert_eq!(reporter.dropped(), 2);
    assert_eq!(told(&mut reporter)[..2], ["queue_full Some(2) 1..2", "event 3"]);
    assert!(acknowledge(&mut reporter, 1, batch.through));
    assert_eq!(told(&mut reporter), [format!("event {most}"), format!("event {}", most + 1)], "they had arrived");
    // If they had not, the gap is told.
    let mut reporter = with_events(most - 1);
    hear(&mut reporter, most..=most + 9);
    assert_eq!(told(&mut reporter)[..2], ["queue_full Some(10) 1..10", "event 11"]);
    assert_eq!((reporter.dropped(), sent(&mut reporter).0.events_dropped), (10, 10));
}

#[test]
fn a_message_without_events_puts_no_event_behind_it_in_doubt() {
    let mut reporter = with_events(0);
    // No answer was wanted of this one, and none has come.
    assert_eq!(sent(&mut reporter).1, [""; 0]);
    hear(&mut reporter, [1]);
    assert_eq!(sent(&mut reporter).1.len(), 1, "this may be stored");
    hear(&mut reporter, 2..=limits::QUEUED_EVENTS as u32 + 3);
    let told = told(&mut reporter);
    assert!(
        told[0].contains("queue_full Some(1) 1..1") && told[1].contains("queue_full Some(4) 2..5"),
        "{:?}",
        &told[..3]
    );
}

#[test]
fn what_a_replay_pushes_out_is_not_lost_if_the_replay_was_known() {
    let mut reporter = welcomed(None);
    reporter.stream_opened(Cause::AgentDown);
    reporter.replay_ended();
    // A gap waits, and then a replay of events that fill all bytes there are.
    reporter.missed(Cause::TooLarge, 5);
    reporter.event(6, &body(6));
    reporter.stream_opened(Cause::StreamLost);
    for n in 0..60 {
        reporter.event(n, &vec![n as u8; limits::EVENT]);
    }
    assert!(reporter.dropped() > 1);
    assert_eq!(reporter.event(6, &body(6)), Taken::Known, "this is where we were");
    assert_eq!(reporter.dropped(), 2, "the large one, and the event that made room for known ones");
    assert_eq!(told(&mut reporter), ["too_large Some(2) 5..6"]);
}

#[test]
fn an_event_that_is_too_large_is_a_gap_of_one() {
    let mut reporter = with_events(1);
    let large = vec![0; limits::EVENT + 1];
    assert_eq!(reporter.event(77, &large), Taken::New);
    hear(&mut reporter, [2]);
    assert_eq!(told(&mut reporter), ["event 1", "too_large Some(1) 77..77", "event 2"]);
    assert_eq!(reporter.dropped(), 1);
    // It is still where the stream goes on.
    let mut reporter = with_events(1);
    reporter.event(77, &large);
    reporter.stream_opened(Cause::StreamLost);
    reporter.event(77, &large);
    hear(&mut reporter, [3]);
    assert_eq!(told(&mut reporter), ["event 1", "too_large Some(1) 77..77", "event 3"]);
    assert_eq!(reporter.dropped(), 1);
}

#[test]
fn after_a_new_epoch_what_waits_is_numbered_again_in_order() {
    let mut reporter = with_events(4);
    let batch = sent(&mut reporter).0;
    let next = reporter.refused(&Refused { reason: Reason::HelloFirst as u8, epoch: 0 });
    assert_eq!((next, reporter.needs_hello()), (Next::Hello, true));
    // Half of it had been stored.
    reporter.welcomed(&welcome(2, 0, Some(2)));
    assert!(!acknowledge(&mut reporter, 1, batch.through), "an answer of the old epoch");
    let (batch, records) = sent(&mut reporter);
    assert_eq!(records, ["1 event 3", "2 event 4"]);
    assert_eq!((batch.epoch, batch.seq, batch.base, reporter.highest_epoch()), (2, 3, 0, 2));
    reporter.welcomed(&welcome(1, 0, None));
    assert_eq!(sent(&mut reporter).0.epoch, 2, "a welcome that was delayed changes nothing");
}

#[test]
fn a_server_that_lost_what_it_had_acknowledged_is_told_with_a_gap() {
    for (epoch, acknowledged) in [(1, 0), (2, 0)] {
        let mut reporter = with_events(3);
        let batch = sent(&mut reporter).0;
        acknowledge(&mut reporter, 1, batch.through);
        hear(&mut reporter, [4]);
        reporter.refused(&Refused { reason: Reason::HelloFirst as u8, epoch: 0 });
        reporter.welcomed(&welcome(epoch, acknowledged, Some(1)));
        let (batch, records) = sent(&mut reporter);
        assert_eq!(batch.base, 0);
        assert!(records[0].ends_with("server_restored None 0..0") && records[1].ends_with("event 4"), "{records:?}");
        // The same backup again: what was acknowledged since is compared, not what was before.
        acknowledge(&mut reporter, epoch, batch.through);
        reporter.refused(&Refused { reason: Reason::HelloFirst as u8, epoch: 0 });
        reporter.welcomed(&welcome(epoch, batch.through, Some(4)));
        assert_eq!(sent(&mut reporter).1, [""; 0]);
    }
}

#[test]
fn a_gap_that_a_backup_lost_is_told_again() {
    let mut reporter = with_events(1);
    let first = sent(&mut reporter).0;
    acknowledge(&mut reporter, 1, first.through);
    reporter.missed(Cause::TooLarge, 9);
    let second = sent(&mut reporter).0;
    acknowledge(&mut reporter, 1, second.through);
    let hello = Refused { reason: Reason::HelloFirst as u8, epoch: 0 };
    reporter.refused(&hello);
    reporter.welcomed(&welcome(1, second.through, Some(1)));
    assert_eq!(sent(&mut reporter).1, [""; 0], "it is stored");
    reporter.refused(&hello);
    reporter.welcomed(&welcome(1, first.through, Some(1)));
    assert_eq!(told(&mut reporter), ["server_restored None 0..0"], "the last event is, the gap behind it is not");
}

#[test]
fn a_run_that_another_had_replaced_goes_on_like_a_new_one() {
    // What it has acknowledged last is still the last: the other one has stored nothing.
    let mut reporter = with_events(2);
    assert_eq!(reporter.refused(&Refused { reason: Reason::Superseded as u8, epoch: 2 }), Next::Superseded);
    assert!(reporter.needs_hello());
    reporter.welcomed(&welcome(3, 0, None));
    assert!(told(&mut reporter).ends_with(&["event 1".into(), "event 2".into()]));

    // The other one ended with an event that waits here.
    let mut reporter = with_events(3);
    reporter.welcomed(&welcome(3, 0, Some(2)));
    assert_eq!(told(&mut reporter), ["event 3"]);
    assert!(!reporter.wants_replay());

    // It ended with one that does not wait here: only a replay can tell what is new.
    let mut reporter = with_events(3);
    reporter.welcomed(&welcome(3, 0, Some(5)));
    assert!(reporter.wants_replay());
    assert_eq!(told(&mut reporter), ["agent_down None 0..0"], "should no replay come");
    reporter.stream_opened(Cause::StreamLost);
    assert!(!reporter.wants_replay());
    hear(&mut reporter, 2..=7);
    assert_eq!(told(&mut reporter), ["event 6", "event 7"]);

    // The replay is under way already.
    for heard_before in 2..=7 {
        let mut reporter = with_events(1);
        reporter.missed(Cause::TooLarge, 1);
        reporter.stream_opened(Cause::StreamLost);
        hear(&mut reporter, 2..=heard_before);
        reporter.welcomed(&welcome(3, 0, Some(5)));
        assert!(!reporter.wants_replay());
        hear(&mut reporter, heard_before + 1..=7);
        reporter.replay_ended();
        assert_eq!(told(&mut reporter), ["event 6", "event 7"], "welcome after {heard_before}");
    }
}

#[test]
fn a_refusal_that_is_not_known_means_later() {
    let mut reporter = with_events(1);
    for reason in [Reason::Store as u8, Reason::TooMany as u8, Reason::Malformed as u8, 0, 200] {
        assert_eq!(reporter.refused(&Refused { reason, epoch: 0 }), Next::Later);
    }
    assert!(!reporter.needs_hello());
    assert_eq!(reporter.refused(&Refused { reason: Reason::StaleEpoch as u8, epoch: 8 }), Next::Hello);
    assert_eq!((reporter.highest_epoch(), reporter.needs_hello()), (8, true));
}

#[test]
fn a_message_that_finds_no_room_loses_nothing() {
    let mut reporter = with_events(3);
    let mut small = [0; 20];
    let mut writer = Writer::message(&mut small).unwrap();
    assert_eq!(reporter.message(&mut writer, None, &[]), Err(Full));
    assert_eq!(told(&mut reporter), ["event 1", "event 2", "event 3"]);
}

#[test]
fn only_kinds_that_the_newest_welcome_names_are_understood() {
    let named = |epoch, kinds: &[u8]| Welcome {
        kinds: heapless::Vec::from_slice(kinds).expect("few"),
        ..welcome(epoch, 0, None)
    };
    let mut reporter = Reporter::new(RUN, 0);
    let asked = |reporter: &Reporter| [Kind::Event, Kind::Listed, Kind::Digest].map(|kind| reporter.understands(kind));
    assert_eq!(asked(&reporter), [true, true, false], "before any welcome");
    reporter.welcomed(&named(1, &(1..=14).collect::<Vec<_>>()));
    assert_eq!(asked(&reporter), [true, true, false]);
    reporter.welcomed(&named(2, &[15, 64, 255]));
    assert_eq!(asked(&reporter), [true, true, true]);
    reporter.welcomed(&named(1, &[]));
    assert!(reporter.understands(Kind::Digest), "that welcome was delayed");
    // The server went back to an older version, in the middle of an epoch.
    reporter.welcomed(&named(2, &[]));
    assert_eq!(asked(&reporter), [true, true, false]);
}

#[test]
fn a_welcome_that_changes_nothing_ends_no_reading() {
    let mut reporter = welcomed(None);
    reporter.stream_opened(Cause::AgentDown);
    reporter.replay_ended();
    let reading = reporter.begin_reading().expect("a place");
    assert!(!reporter.welcomed(&welcome(1, 0, None)));
    assert!(reporter.is_current(reading));
    assert!(reporter.welcomed(&welcome(2, 0, None)));
    assert!(!reporter.is_current(reading));
}
