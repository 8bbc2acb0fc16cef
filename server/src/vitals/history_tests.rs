use super::super::row::Field;
use super::*;
use crate::test_dir::TestDir;
use std::fs;

const HOST: HostId = HostId([1; 8]);
const BEGIN: i64 = 472_222 * HOUR_MS;

fn row(host: u8, cpu: i64) -> Row {
    let mut sums = Sums::default();
    sums.add(Field::Cpu, cpu);
    sums.add(Field::CpuMax, cpu);
    Row::of(HostId([host; 8]), &sums).expect("a row")
}

fn history(dir: &TestDir) -> History {
    let history = History::new(dir.path(), HistoryShape::default());
    history.open();
    history
}

/// By the beginnings of the steps: their means, and their highest.
fn read(history: &History, step_ms: i64) -> Vec<(i64, i64, i64)> {
    let steps = history.read(HOST, i64::MIN, i64::MAX, step_ms);
    let of = |(at_ms, sums): (i64, Sums)| {
        let get = |field| sums.get(field).expect("it was measured");
        ((at_ms - BEGIN) / MINUTE_MS, get(Field::Cpu), get(Field::CpuMax))
    };
    steps.into_iter().map(of).collect()
}

#[test]
fn minutes_become_hours_and_both_are_found() {
    let dir = TestDir::new();
    let history = history(&dir);
    for minute in 0..150 {
        history.record(BEGIN + minute * MINUTE_MS, &[row(1, minute), row(2, 5)]);
    }
    let by_minute = read(&history, MINUTE_MS);
    assert_eq!(by_minute.len(), 150);
    assert_eq!(by_minute[7], (7, 7, 7));
    assert_eq!(read(&history, 10 * MINUTE_MS)[1], (10, 14, 19), "the mean, and the highest");
    let by_hour = read(&history, HOUR_MS);
    assert_eq!(by_hour, [(0, 29, 59), (60, 89, 119), (120, 134, 149)], "the last one is not over");
    assert_eq!(read(&history, 2 * HOUR_MS).len(), 2);
    let some = history.read(HOST, BEGIN + 10 * MINUTE_MS, BEGIN + 20 * MINUTE_MS, MINUTE_MS);
    assert_eq!((some.len(), history.warning()), (10, None));
    assert!(history.read(HostId([9; 8]), i64::MIN, i64::MAX, MINUTE_MS).is_empty());
}

#[test]
fn an_hour_goes_on_after_a_restart() {
    let dir = TestDir::new();
    for part in 0..4 {
        // Four lives of the server in an hour and a bit.
        let history = history(&dir);
        for minute in part * 16..(part + 1) * 16 {
            history.record(BEGIN + minute * MINUTE_MS, &[row(1, minute)]);
        }
    }
    let history = history(&dir);
    assert_eq!(read(&history, HOUR_MS), [(0, 29, 59), (60, 61, 63)]);
    assert_eq!(fs::read_dir(dir.path().join(DIRECTORY)).expect("a directory").count(), 3);
}

#[test]
fn a_clock_that_jumps_to_and_fro_pushes_no_hours_out() {
    let dir = TestDir::new();
    let history = history(&dir);
    for minute in 0..120 {
        history.record(BEGIN + minute * MINUTE_MS, &[row(1, minute)]);
    }
    for times in 0..1000_i64 {
        let at_ms = if times % 2 == 0 { i64::MAX / 2 + times * HOUR_MS } else { -times * HOUR_MS };
        history.record(at_ms, &[row(1, 1)]);
    }
    let open = history.state();
    let hours = open.as_ref().expect("open").hours.places(i64::MIN, i64::MAX);
    assert_eq!(hours.iter().map(|(_, places)| places.len()).sum::<usize>(), 2);
    drop(open);
    let at_all_ends = history.read(HOST, i64::MIN, i64::MAX, i64::MAX);
    assert!(!at_all_ends.is_empty());
}

#[test]
fn what_cannot_be_kept_is_lost_and_said_and_then_it_goes_on() {
    let dir = TestDir::new();
    let place = dir.path().join(DIRECTORY);
    fs::write(&place, b"in the way").expect("written");
    let history = history(&dir);
    assert!(history.warning().is_some_and(|warning| warning.contains("is not kept") && !warning.contains('\n')));
    history.record(BEGIN, &[row(1, 1)]);
    assert_eq!((history.lost(), read(&history, MINUTE_MS).len()), (1, 0));
    fs::remove_file(&place).expect("removed");
    history.record(BEGIN + MINUTE_MS, &[row(1, 1)]);
    assert_eq!((history.warning(), history.lost(), read(&history, MINUTE_MS).len()), (None, 1, 1));
}

#[test]
fn a_full_disk_keeps_nobody_from_reading() {
    let dir = TestDir::new();
    let history = history(&dir);
    for minute in 0..3 {
        history.record(BEGIN + minute * MINUTE_MS, &[row(1, minute)]);
    }
    let newest = dir.path().join(DIRECTORY).join("minutes-00000002.vitals");
    std::os::unix::fs::symlink("/dev/full", &newest).expect("a link");
    let history = self::history(&dir);
    history.record(BEGIN + 3 * MINUTE_MS, &[row(1, 3)]);
    assert!(history.warning().is_some_and(|warning| warning.contains("free some space")), "{:?}", history.warning());
    assert_eq!((read(&history, MINUTE_MS).len(), history.lost()), (3, 1));
    fs::remove_file(&newest).expect("removed");
    history.record(BEGIN + 4 * MINUTE_MS, &[row(1, 4)]);
    assert_eq!((read(&history, MINUTE_MS).len(), history.warning()), (4, None));
}

#[test]
fn without_room_there_is_no_history_and_what_there_was_goes() {
    let dir = TestDir::new();
    history(&dir).record(BEGIN, &[row(1, 1)]);
    let off = History::new(dir.path(), HistoryShape { bytes: 0 });
    off.open();
    off.record(BEGIN, &[row(1, 1)]);
    assert_eq!(fs::read_dir(dir.path().join(DIRECTORY)).expect("a directory").count(), 0);
    assert_eq!((off.is_on(), off.bytes(), off.warning()), (false, 0, None));
}

#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let dir = TestDir::new();
    history(&dir).record(BEGIN, &[row(1, 1)]);
    let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let place = dir.path().join(DIRECTORY);
    assert_eq!((mode(&place), mode(&place.join("minutes-00000001.vitals"))), (0o700, 0o600));
}

#[test]
fn a_thousand_hosts_have_a_day_and_a_month_in_the_default() {
    let shape = HistoryShape::default();
    let mut sums = Sums::default();
    for (field, value) in [
        (Field::Cpu, 2500),
        (Field::CpuMax, 9000),
        (Field::Load, 150),
        (Field::MemoryTotal, 3800),
        (Field::MemoryUsed, 1900),
        (Field::SwapUsed, 30),
        (Field::Temperature, 550),
        (Field::DiskUsed, 7100),
        (Field::Power, 0),
        (Field::ClockOffset, -120),
    ] {
        sums.add(field, value);
    }
    let rows: Vec<Row> = (0..1000_u64).filter_map(|host| Row::of(HostId(host.to_le_bytes()), &sums)).collect();
    let block = super::super::block::encode(BEGIN, &rows).expect("bytes").len() as u64;
    assert!(block * 24 * 60 <= shape.minutes().bytes, "{block} bytes a minute");
    assert!(block * 30 * 24 <= shape.hours().bytes, "{block} bytes an hour");
}
