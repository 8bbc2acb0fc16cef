//! State and history together: what is there after a crash between the two, and what a page shows.

use super::tests::{history_files, ids, open, open_at, tamper};
use super::*;
use crate::store::{EventBody, samples};
use crate::test_dir::TestDir;
use redb::TableDefinition;
use std::fs;

const DAY_MS: i64 = 86_400_000;

/// An event that was received on a day.
fn event(id: u64, day: i64) -> EventRow {
    EventRow { received_ms: day * DAY_MS + 1_000, ..samples::event(id) }
}

fn writes(ids: std::ops::RangeInclusive<u64>, day: i64) -> Vec<Write> {
    ids.map(|id| Write::Event(event(id, day))).collect()
}

/// Appends to the history what the state never hears of, as a crash, or an error of the state, leaves it.
fn append_only(store: &RedbStore, rows: &[EventRow]) {
    let mut unsure = store.unsure.lock().expect("no panic");
    if *unsure {
        store.history.take_back(store.newest_event().expect("newest")).expect("taken back");
    }
    *unsure = true;
    store.history.append(&rows.iter().collect::<Vec<_>>()).expect("appended");
}

fn names(directory: &TestDir) -> Vec<String> {
    history_files(directory.path())
        .iter()
        .map(|path| path.file_name().expect("a name").to_string_lossy().into_owned())
        .collect()
}

fn all(store: &RedbStore) -> Vec<EventRow> {
    store.events(0, Span::default(), usize::MAX, &mut |_| Keep::Yes).expect("events")
}

#[test]
fn each_day_has_a_file_and_no_clock_changes_the_order() {
    let directory = TestDir::new();
    let store = open(&directory);
    // Two days; a step back across midnight; years ahead; and set right again.
    let days = [(1, 20_000), (2, 20_000), (3, 20_001), (4, 20_000), (5, 20_001), (6, 40_000), (7, 20_001), (8, 20_002)];
    for (id, day) in days {
        store.commit(&writes(id..=id, day)).expect("commit");
    }
    let expected =
        ["2024-10-04-1.redb", "2024-10-05-3.redb", "2024-10-05-7.redb", "2024-10-06-8.redb", "2079-07-08-6.redb"];
    assert_eq!(names(&directory), expected);
    assert_eq!(ids(&store, 0, 10), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(ids(&store, 3, 3), [4, 5, 6]);
    drop(store);
    let store = open(&directory);
    assert_eq!(ids(&store, 5, 10), [6, 7, 8]);
    store.commit(&writes(9..=9, 20_002)).expect("commit");
    assert_eq!(names(&directory).len(), 5, "the newest is the one with the newest events");
    let back = |before: u64, span: Span| {
        let mut found = Vec::new();
        let take = &mut |event: &EventRow| {
            found.push(event.id);
            if found.len() == 5 { Keep::Stop } else { Keep::No }
        };
        store.events_before(before, span, take).expect("events");
        found
    };
    let newest = store.newest_event().expect("newest");
    assert_eq!(back(u64::MAX, Span::default()), (1..=newest).rev().take(5).collect::<Vec<_>>());
    assert_eq!(back(4, Span::default()), [3, 2, 1]);
    assert_eq!(back(1, Span::default()), [0; 0]);
    assert_eq!(back(0, Span::default()), [0; 0]);
}

#[test]
fn what_the_state_does_not_know_did_not_happen() {
    for orphan_day in [20_000, 20_001] {
        let directory = TestDir::new();
        let store = open(&directory);
        store.commit(&writes(1..=5, 20_000)).expect("commit");
        append_only(&store, &[event(6, orphan_day), event(7, orphan_day)]);
        assert_eq!(ids(&store, 0, 10), [1, 2, 3, 4, 5], "not shown before it is true");
        assert_eq!(store.newest_event(), Ok(5));
        drop(store);
        let store = open(&directory);
        assert_eq!(ids(&store, 0, 10), [1, 2, 3, 4, 5]);
        assert_eq!(names(&directory).len(), 1);
        // The agent sends them again, with something behind.
        store.commit(&writes(6..=8, 20_002)).expect("commit");
        assert_eq!(all(&store)[5..], [event(6, 20_002), event(7, 20_002), event(8, 20_002)]);
    }
}

#[test]
fn a_commit_that_failed_behind_its_events_leaves_none() {
    let directory = TestDir::new();
    let store = open(&directory);
    store.commit(&writes(1..=5, 20_000)).expect("commit");
    for day in [20_000, 20_001] {
        append_only(&store, &[event(6, day), event(7, day)]);
    }
    assert_eq!(ids(&store, 0, 10), [1, 2, 3, 4, 5]);
    // Fewer than before, and nothing of the earlier try stays behind them.
    store.commit(&writes(6..=6, 20_001)).expect("commit");
    assert_eq!(ids(&store, 0, 10), [1, 2, 3, 4, 5, 6]);
    drop(store);
    assert_eq!(ids(&open(&directory), 0, 10), [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_crash_while_a_file_is_begun_leaves_nothing_behind() {
    let directory = TestDir::new();
    let store = open(&directory);
    store.commit(&writes(1..=5, 20_000)).expect("commit");
    append_only(&store, &[event(6, 20_001)]);
    drop(store);
    // Made, and nothing written yet.
    let begun = directory.path().join("history/2024-10-05-6.redb");
    tamper(&begun, |transaction| {
        transaction.open_table(TableDefinition::<u64, &[u8]>::new("events")).expect("table").remove(6).expect("gone");
    });
    fs::write(directory.path().join("history/2024-10-06-7.redb.new"), "half").expect("written");
    let store = open(&directory);
    assert_eq!(names(&directory), ["2024-10-04-1.redb"]);
    assert_eq!(ids(&store, 0, 10), [1, 2, 3, 4, 5]);
}

#[test]
fn an_older_copy_of_the_state_does_not_cost_the_history() {
    let directory = TestDir::new();
    let (file, copy) = (directory.path().join(FILE), directory.path().join("copy"));
    let store = open(&directory);
    store.commit(&writes(1..=5, 20_000)).expect("commit");
    drop(store);
    fs::copy(&file, &copy).expect("copied");
    let store = open(&directory);
    for id in 6..=8 {
        store.commit(&writes(id..=id, 20_000)).expect("commit");
    }
    drop(store);
    fs::rename(&file, directory.path().join("newer")).expect("moved");
    fs::rename(&copy, &file).expect("moved");
    let message = open_at(directory.path()).err().expect("a refusal").message;
    assert!(message.contains("as if that were an older copy"), "{message}");
    fs::rename(directory.path().join("newer"), &file).expect("moved");
    assert_eq!(ids(&open(&directory), 0, 10), [1, 2, 3, 4, 5, 6, 7, 8]);
}

#[test]
fn a_store_of_format_1_is_read() {
    let directory = TestDir::new();
    drop(open(&directory));
    fs::remove_dir(directory.path().join("history")).expect("removed");
    let rows: Vec<EventRow> = (1..=9_000).map(|id| event(id, 20_000 + id as i64 / 3_000)).collect();
    tamper(&directory.path().join(FILE), |transaction| {
        let mut events = transaction.open_table(TableDefinition::<u64, &[u8]>::new("events")).expect("table");
        for row in &rows {
            let bytes = crate::store::encoded::encode(row).expect("bytes");
            events.insert(row.id, bytes.as_slice()).expect("written");
        }
        let mut numbers = transaction.open_table(format::META).expect("table");
        numbers.insert("format", 1).expect("written");
        numbers.insert("newest event", 9_000).expect("written");
    });
    // An attempt that was interrupted.
    fs::create_dir(directory.path().join("history")).expect("made");
    fs::write(directory.path().join("history/2024-10-04-1.redb"), "half").expect("written");
    for _ in 0..2 {
        let store = open(&directory);
        assert_eq!(all(&store), rows);
        assert_eq!((store.newest_event(), store.history_begins_ms()), (Ok(9_000), None));
        assert_eq!(
            names(&directory),
            ["2024-10-04-1.redb", "2024-10-05-3000.redb", "2024-10-06-6000.redb", "2024-10-07-9000.redb"]
        );
    }
    let database = Database::open(directory.path().join(FILE)).expect("database");
    let transaction = database.begin_read().expect("transaction");
    assert!(!transaction.list_tables().expect("tables").any(|table| redb::TableHandle::name(&table) == "events"));
}

#[test]
fn old_files_are_deleted_after_two_looks_and_the_history_says_where_it_begins() {
    let directory = TestDir::new();
    let store = RedbStore::open(directory.path(), Retention { days: 7, ..Retention::default() }).expect("a store");
    for day in 0..10 {
        store.commit(&writes(day as u64 * 2 + 1..=day as u64 * 2 + 2, 20_000 + day)).expect("commit");
    }
    assert_eq!(store.history_begins_ms(), None);
    store.tidy(50_000 * DAY_MS);
    assert_eq!(names(&directory).len(), 10, "one look at a clock is not enough");
    store.tidy(20_009 * DAY_MS);
    // The second day ended when the third began, 7 days before.
    assert_eq!(names(&directory).len(), 8);
    assert_eq!(ids(&store, 0, 2), [5, 6]);
    assert_eq!(store.history_begins_ms(), Some(event(5, 20_002).received_ms));
    store.tidy(50_000 * DAY_MS);
    store.tidy(50_000 * DAY_MS);
    assert_eq!(ids(&store, 0, 9), [19, 20], "never the newest");
    drop(store);
    let store = open(&directory);
    assert_eq!(store.history_begins_ms(), Some(event(19, 20_009).received_ms));
    assert_eq!(store.newest_event(), Ok(20));
}

#[test]
fn files_without_a_wanted_time_are_not_even_opened() {
    let directory = TestDir::new();
    let store = open(&directory);
    for day in 0..4 {
        store.commit(&writes(day + 1..=day + 1, 20_000 + day as i64)).expect("commit");
    }
    // A host whose clock is behind, and one whose clock is ahead.
    let at = |nanos: i64| EventBody::Gap(postcard::to_stdvec(&gap_until(nanos)).expect("bytes"));
    store
        .commit(&[
            Write::Event(EventRow { body: at(5), ..event(5, 20_003) }),
            Write::Event(EventRow { body: at(20_010 * DAY_MS * 1_000_000), ..event(6, 20_003) }),
        ])
        .expect("commit");
    store.commit(&writes(7..=7, 20_004)).expect("commit");
    let asked = |since: Option<i64>, until: Option<i64>| {
        let mut asked = Vec::new();
        let span = Span { since_ms: since.map(|day| day * DAY_MS), until_ms: until.map(|day| day * DAY_MS) };
        let mut keep = |event: &EventRow| {
            asked.push(event.id);
            Keep::No
        };
        store.events(0, span, 100, &mut keep).expect("a page");
        asked
    };
    assert_eq!(asked(None, None), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(asked(Some(20_002), None), [3, 4, 5, 6, 7]);
    assert_eq!(asked(Some(20_009), None), [4, 5, 6], "the file of whom one event is ahead");
    assert_eq!(asked(None, Some(1)), [4, 5, 6], "the file of whom one event is behind");
    assert_eq!(asked(Some(20_011), None), [0; 0]);
    // What is known not to be wanted need not be readable either.
    let oldest = &history_files(directory.path())[0];
    let whole = fs::read(oldest).expect("there");
    fs::write(oldest, "damaged").expect("written");
    assert_eq!(asked(Some(20_001), Some(20_001)), [4, 5, 6], "the file that covers everything");
    assert_eq!(store.warning(), None, "nobody has looked");
    for asked in [asked(None, None), asked(None, None)] {
        assert_eq!(asked, [2, 3, 4, 5, 6, 7], "and does not hide the others");
    }
    assert_eq!(asked(Some(20_001), Some(20_001)), [4, 5, 6]);
    let warning = store.warning().expect("a warning");
    let name = oldest.file_name().expect("a name").to_string_lossy();
    assert!(warning.starts_with("events are missing") && warning.contains(&*name), "{warning}");
    fs::write(oldest, whole).expect("written");
    assert_eq!(asked(None, None), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(store.warning(), None, "it was put back");
}

fn gap_until(nanos: i64) -> muster_protocol::event::Gap {
    muster_protocol::event::Gap { cause: 1, count: Some(1), from_nano: 1, to_nano: nanos }
}

/// Numbers that are the same in each run.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

/// Fails the store as the disk would, and lets it rest no longer.
fn fail_for_a_moment(store: &RedbStore) {
    let number = match &*store.shared() {
        Open::Whole { number, .. } => *number,
        _ => return,
    };
    store.fail(number, &line("the disk is on fire".to_owned()));
    if let Open::Failed { rest_until, .. } = &mut *store.exclusive() {
        *rest_until = Instant::now();
    }
}

#[test]
fn whatever_happens_the_history_is_the_end_of_what_was_committed() {
    for seed in [7, 99] {
        let directory = TestDir::new();
        let retention = Retention { days: 5, bytes: Retention::BYTES_MIN };
        let reopen = || RedbStore::open(directory.path(), retention).expect("a store");
        let mut dice = Dice(seed);
        let mut store = reopen();
        let mut committed: Vec<EventRow> = Vec::new();
        let (mut day, mut kept_from) = (20_000, 1);
        for step in 0..90 {
            day += [0, 0, 0, 1, 1, 2, -1, -3, 300, -300][dice.roll(10) as usize];
            let batch: Vec<EventRow> = (0..dice.roll(6) + 1)
                .map(|n| {
                    let nanos = (day + dice.roll(5) as i64 - 2) * DAY_MS * 1_000_000;
                    let gap = postcard::to_stdvec(&gap_until(nanos)).expect("bytes");
                    let body = match dice.roll(3) {
                        0 => EventBody::Gap(gap),
                        // Of no known layout, and large.
                        _ => EventBody::Engine(vec![0xff; 9_000]),
                    };
                    EventRow { body, ..event(committed.len() as u64 + 1 + n, day) }
                })
                .collect();
            match dice.roll(12) {
                0 => {
                    store = {
                        drop(store);
                        reopen()
                    }
                }
                1 => {
                    append_only(&store, &batch);
                    drop(store);
                    store = reopen();
                }
                2 => append_only(&store, &batch),
                3 => {
                    append_only(&store, &batch);
                    fail_for_a_moment(&store);
                }
                4 => {
                    let look = dice.roll(8) as i64 - 1;
                    store.tidy((day + look) * DAY_MS);
                }
                _ => {
                    store.commit(&batch.iter().cloned().map(Write::Event).collect::<Vec<_>>()).expect("commit");
                    committed.extend(batch);
                    let size: u64 = history_files(directory.path()).iter().map(|path| size_of(path)).sum();
                    assert!(size <= retention.bytes, "seed {seed}, step {step}: {size} bytes");
                }
            }
            let shown = all(&store);
            let begins = shown.first().map_or(committed.len() as u64 + 1, |event| event.id);
            let context = format!("seed {seed}, step {step}");
            assert!(begins >= kept_from, "{context}: what was deleted is back");
            assert_eq!(shown, committed[begins as usize - 1..], "{context}");
            assert!(committed.is_empty() || !shown.is_empty(), "{context}: the newest file is never deleted");
            kept_from = begins;
            assert_eq!(store.newest_event(), Ok(committed.len() as u64), "{context}");
            let begins_ms = shown.first().filter(|event| event.id > 1).map(|event| event.received_ms);
            assert_eq!(store.history_begins_ms(), begins_ms, "{context}");
            let after = dice.roll(committed.len() as u64 + 2);
            let since = (day + dice.roll(9) as i64 - 6) * DAY_MS;
            let span = Span { since_ms: Some(since), until_ms: Some(since + 2 * DAY_MS) };
            let limit = 1 + dice.roll(40) as usize;
            let is_wanted = |event: &EventRow| (since..=since + 2 * DAY_MS).contains(&event.time_ms());
            let mut keep = |event: &EventRow| if is_wanted(event) { Keep::Yes } else { Keep::No };
            let page = store.events(after, span, limit, &mut keep).expect("a page");
            let expected = shown.iter().filter(|event| event.id > after && is_wanted(event)).take(limit);
            assert_eq!(page, expected.cloned().collect::<Vec<_>>(), "{context}");
        }
        assert!(kept_from > 1, "seed {seed}: nothing was ever deleted");
    }
}

fn size_of(path: &Path) -> u64 {
    Place { path: path.to_owned(), cache: 0 }.size()
}
