use super::*;
use crate::hello::Welcome;
use std::format;
use std::vec::Vec;

const HOST: HostId = HostId([3; 8]);

fn body(n: u32) -> Vec<u8> {
    format!("event {n}").into_bytes()
}

fn identity(n: u32) -> EventIdentity {
    EventIdentity::of(&body(n))
}

fn hear(reporter: &mut Reporter, which: impl IntoIterator<Item = u32>) {
    for n in which {
        reporter.event(i64::from(n), &body(n));
    }
}

fn welcome(reporter: &mut Reporter, epoch: u64, last: Option<u32>) {
    let last_event = last.map(identity);
    reporter.welcomed(&Welcome { epoch, acknowledged: 0, last_event, kinds: heapless::Vec::new() });
}

/// A run in epoch 5 whose last stored event is 10, and that has heard 11 to 15.
fn run() -> Reporter {
    let mut reporter = Reporter::new([1; 16], 4);
    welcome(&mut reporter, 5, Some(10));
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 10..=15);
    assert_eq!(waiting(&reporter), ["11", "12", "13", "14", "15"]);
    reporter
}

/// What waits, in words.
fn waiting(reporter: &Reporter) -> Vec<std::string::String> {
    let words = reporter.entries().map(|entry| match entry {
        Waiting::Event { time_nano, .. } => format!("{time_nano}"),
        Waiting::Gap(gap) => format!("{} {:?}", Cause::from_number(gap.cause).word(), gap.count),
    });
    words.collect()
}

fn kept(spool: &mut Spool, reporter: &Reporter, file: &mut Vec<u8>) -> Option<Change> {
    let mut bytes = Vec::new();
    let change = spool.keep(reporter, |piece| bytes.extend_from_slice(piece));
    match change {
        Some(Change::Remove) => file.clear(),
        Some(Change::Replace) => *file = bytes,
        Some(Change::Append) => file.extend(bytes),
        None => assert!(bytes.is_empty()),
    }
    assert_eq!(spool.len, file.len());
    change
}

/// A file with events 11 to 15, and the next run with what it found there.
fn next_run(file: &[u8]) -> (Reporter, Spool) {
    let mut reporter = Reporter::new([2; 16], 5);
    let mut spool = Spool::new(HOST, LARGEST);
    spool.restore(file, &mut reporter);
    (reporter, spool)
}

fn file_of(reporter: &Reporter) -> Vec<u8> {
    let (mut spool, mut file) = (Spool::new(HOST, LARGEST), Vec::new());
    assert_eq!(kept(&mut spool, reporter, &mut file), Some(Change::Replace));
    file
}

#[test]
fn what_waits_is_found_by_the_next_run_and_goes_on_without_a_gap() {
    let (mut next, _) = next_run(&file_of(&run()));
    assert_eq!(waiting(&next), ["11", "12", "13", "14", "15"]);
    next.stream_opened(Cause::AgentDown);
    hear(&mut next, 12..=17);
    assert!(!next.is_replaying(), "the last one that was left was found");
    welcome(&mut next, 6, Some(12));
    assert_eq!(waiting(&next), ["13", "14", "15", "16", "17"]);
    let (mut next, _) = next_run(&file_of(&run()));
    welcome(&mut next, 6, Some(10));
    assert_eq!(waiting(&next), ["11", "12", "13", "14", "15"], "nothing of it was stored");
}

#[test]
fn what_the_engine_has_forgotten_since_is_a_gap_behind_what_was_left() {
    let (mut next, _) = next_run(&file_of(&run()));
    next.stream_opened(Cause::AgentDown);
    hear(&mut next, 20..=21);
    next.replay_ended();
    welcome(&mut next, 6, Some(14));
    assert_eq!(waiting(&next), ["15", "agent_down None", "20", "21"]);
}

#[test]
fn a_file_that_is_older_than_another_run_is_not_sent_again() {
    let (mut next, _) = next_run(&file_of(&run()));
    next.stream_opened(Cause::AgentDown);
    hear(&mut next, 30..=33);
    welcome(&mut next, 7, Some(31));
    assert_eq!(waiting(&next), ["32", "33"]);
    let (mut next, _) = next_run(&file_of(&run()));
    welcome(&mut next, 7, Some(31));
    assert!(next.wants_replay());
    assert_eq!(waiting(&next), ["agent_down None"]);
}

#[test]
fn a_server_that_has_nothing_gets_what_was_left_and_one_that_names_another_event_does_not() {
    let (mut next, _) = next_run(&file_of(&run()));
    welcome(&mut next, 6, None);
    assert_eq!(waiting(&next), ["server_restored None", "11", "12", "13", "14", "15"]);
    let (mut next, _) = next_run(&file_of(&run()));
    welcome(&mut next, 6, Some(16));
    assert_eq!(waiting(&next), ["agent_down None"], "16 may have come after them");
}

#[test]
fn a_run_that_was_never_welcomed_leaves_the_question_open() {
    let mut reporter = Reporter::new([1; 16], 5);
    assert_eq!(reporter.before(), None);
    reporter.stream_opened(Cause::AgentDown);
    hear(&mut reporter, 11..=14);
    assert_eq!(reporter.before(), None, "the replay is under way");
    reporter.replay_ended();
    hear(&mut reporter, 15..=15);
    let file = file_of(&reporter);
    for (last, then) in [
        (Some(12), &["13", "14", "15"][..]),
        (None, &["agent_down None", "11", "12", "13", "14", "15"][..]),
        (Some(9), &["agent_down None"][..]),
    ] {
        let (mut next, _) = next_run(&file);
        next.stream_opened(Cause::AgentDown);
        hear(&mut next, 14..=15);
        welcome(&mut next, 6, last);
        assert_eq!(waiting(&next), *then);
    }
}

#[test]
fn only_what_is_new_is_appended_and_what_was_acknowledged_goes() {
    let mut reporter = run();
    let (mut spool, mut file) = (Spool::new(HOST, LARGEST), Vec::new());
    assert_eq!(kept(&mut spool, &reporter, &mut file), Some(Change::Replace));
    assert_eq!(kept(&mut spool, &reporter, &mut file), None);
    reporter.missed(Cause::TooLarge, 16);
    assert_eq!(kept(&mut spool, &reporter, &mut file), Some(Change::Append));
    assert_eq!(kept(&mut spool, &reporter, &mut file), None);
    hear(&mut reporter, 17..=18);
    assert_eq!(kept(&mut spool, &reporter, &mut file), Some(Change::Append));
    let (mut next, mut spool) = next_run(&file);
    assert_eq!(waiting(&next), ["11", "12", "13", "14", "15", "too_large Some(1)", "17", "18"]);
    assert_eq!(kept(&mut spool, &next, &mut file), None, "it is as it was left");
    welcome(&mut next, 6, Some(17));
    assert_eq!(spool.acknowledged(&next), None, "one of it waits");
    welcome(&mut next, 7, Some(18));
    assert_eq!(spool.acknowledged(&next), Some(Change::Remove));
    assert!(spool.is_empty());
    assert_eq!(spool.acknowledged(&next), None);
}

#[test]
fn whatever_happened_to_the_file_what_is_read_was_written() {
    let reporter = run();
    let (mut spool, mut file) = (Spool::new(HOST, LARGEST), Vec::new());
    kept(&mut spool, &reporter, &mut file);
    let all = waiting(&reporter);
    for cut in 0..file.len() {
        let (next, mut spool) = next_run(&file[..cut]);
        let left = waiting(&next);
        assert_eq!(left[..], all[..left.len()], "cut at {cut}");
        assert_eq!(spool.is_empty(), cut == 0);
        if left.is_empty() {
            assert_eq!(next.before(), Reporter::new([2; 16], 5).before());
        }
        let mut torn = file[..cut].to_vec();
        let change = kept(&mut spool, &next, &mut torn);
        let torn_tail = cut > 0 && left.is_empty() || change == Some(Change::Replace);
        assert!(torn_tail || change.is_none(), "nothing goes behind a torn record: {change:?} at {cut}");
    }
    for bit in 0..file.len() * 8 {
        let mut wrong = file.clone();
        wrong[bit / 8] ^= 1 << (bit % 8);
        let left = waiting(&next_run(&wrong).0);
        assert_eq!(left[..], all[..left.len()], "bit {bit}");
        assert!(left.len() < all.len());
    }
    let mut reporter = Reporter::new([2; 16], 5);
    assert_eq!(Spool::new(HostId([4; 8]), LARGEST).restore(&file, &mut reporter), 0, "another host's");
}

#[test]
fn the_file_keeps_to_its_limit_and_says_what_is_not_in_it() {
    let mut reporter = run();
    let (mut spool, mut file) = (Spool::new(HOST, SMALLEST), Vec::new());
    let mut replaced = 0;
    for n in 100..400 {
        let mut large = body(n);
        large.resize(1000, b'x');
        reporter.event(i64::from(n), &large);
        replaced += u32::from(kept(&mut spool, &reporter, &mut file) == Some(Change::Replace));
        assert!(file.len() <= SMALLEST, "{}", file.len());
    }
    assert!((2..150).contains(&replaced), "{replaced}");
    let (next, _) = next_run(&file);
    let left = waiting(&next);
    assert!(left.len() > 8 && left.last().is_some_and(|last| last == "399"), "{left:?}");
    let first: u32 = left[1].parse().unwrap();
    // 5 small ones, and 100 up to the first that is there.
    assert_eq!(left[0], format!("queue_full Some({})", 5 + first - 100));
}
