use super::*;
use crate::record::Writer;
use crate::vitals::Measured;
use crate::vitals::signed;
use std::string::String;
use std::vec;

fn measured<const N: usize>(fields: &[(u8, u64)]) -> Measured<N> {
    let mut measured = Measured::default();
    for (field, value) in fields {
        measured.push(*field, *value);
    }
    measured
}

const MARY: Prefix = [1; 6];
const CPU: u8 = ContainerField::Cpu as u8;
const MEMORY: u8 = ContainerField::Memory as u8;

/// A message's number, time and fields of one container.
struct Word<'a> {
    epoch: u64,
    seq: u64,
    at_s: u64,
    whole: bool,
    host: &'a [(u8, u64)],
    disks: &'a [(&'a str, &'a [(u8, u64)])],
    usages: &'a [(Prefix, &'a [(u8, u64)])],
}

const NOTHING: Word<'static> = Word { epoch: 1, seq: 0, at_s: 0, whole: false, host: &[], disks: &[], usages: &[] };

fn message(word: &Word<'_>) -> Vec<u8> {
    let mut buffer = vec![0; 4096];
    let mut writer = Writer::message(&mut buffer).unwrap();
    let batch = Batch { epoch: word.epoch, seq: word.seq, base: 0, through: word.seq, events_dropped: 0 };
    writer.record(Kind::Batch, &batch).unwrap();
    let vitals =
        Vitals { at_ms: word.at_s * 1000, wall_ms: 1_700_000_000_000, whole: word.whole, host: measured(word.host) };
    writer.record(Kind::Vitals, &vitals).unwrap();
    for (path, fields) in word.disks {
        writer.record(Kind::Disk, &Disk { path, values: measured(fields) }).unwrap();
    }
    for (id, fields) in word.usages {
        writer.record(Kind::Usage, &Usage { id: *id, values: measured(fields) }).unwrap();
    }
    writer.as_bytes().to_vec()
}

fn tell(picture: &mut Picture, word: Word<'_>) -> bool {
    let message = message(&word);
    picture.receive(&Said::find(&message).unwrap().expect("it has vitals"))
}

fn mary(picture: &Picture) -> ContainerNow {
    let mut id = EngineId([9; 32]);
    id.0[..6].copy_from_slice(&MARY);
    picture.container(&id).expect("she is known")
}

/// Says Mary's processor time, or that it is as it was, at these times.
fn cpu_over(said: &[(u64, Option<u64>)]) -> Picture {
    let mut picture = Picture::default();
    for (seq, (at_s, cpu)) in said.iter().enumerate() {
        let fields = cpu.map(|cpu| [(CPU, cpu)]);
        let usages = fields.as_ref().map(|fields| [(MARY, &fields[..])]);
        let usages = usages.as_ref().map_or(&[][..], |usages| usages);
        assert!(tell(&mut picture, Word { seq: seq as u64 + 1, at_s: *at_s, whole: seq == 0, usages, ..NOTHING }));
    }
    picture
}

#[test]
fn a_rate_comes_from_two_looks() {
    let one = cpu_over(&[(0, Some(1000))]);
    assert_eq!((mary(&one).cpu_ms, mary(&one).cpu), (Some(1000), None));
    let two = cpu_over(&[(0, Some(1000)), (15, Some(8500))]);
    assert_eq!((mary(&two).cpu_ms, mary(&two).cpu), (Some(8500), Some(500)));
}

#[test]
fn what_grows_slowly_is_not_taken_for_a_burst() {
    // Two milliseconds a second, said when they are more than a step: 75 after 38 seconds.
    let slow = cpu_over(&[(0, Some(0)), (15, None), (30, None), (45, Some(90))]);
    assert_eq!(mary(&slow).cpu, Some(2));
    // A burst after a long silence: all but a step of it is of the last 15 seconds.
    let burst = cpu_over(&[(0, Some(0)), (600, None), (615, Some(15_075))]);
    assert_eq!(mary(&burst).cpu, Some(1000));
}

#[test]
fn a_rate_that_is_not_said_again_falls_to_what_would_have_been_said() {
    let mut said = vec![(0, Some(0)), (15, Some(15_000))];
    assert_eq!(mary(&cpu_over(&said)).cpu, Some(1000));
    said.push((30, None));
    assert_eq!(mary(&cpu_over(&said)).cpu, Some(5), "75 ms in 15 s");
    said.push((3015, None));
    assert_eq!(mary(&cpu_over(&said)).cpu, Some(0));
    // And nothing is unknown about one that never moved.
    assert_eq!(mary(&cpu_over(&[(0, Some(70)), (15, None)])).cpu, Some(0));
}

#[test]
fn a_restarted_container_has_no_rate_until_it_is_looked_at_twice() {
    let restarted = cpu_over(&[(0, Some(9000)), (15, Some(100))]);
    assert_eq!((mary(&restarted).cpu_ms, mary(&restarted).cpu), (Some(100), None));
}

#[test]
fn bytes_are_counted_in_kib_and_shown_a_second() {
    let mut picture = Picture::default();
    let fields =
        |received, written| [(ContainerField::Received as u8, received), (ContainerField::Written as u8, written)];
    tell(&mut picture, Word { seq: 1, whole: true, usages: &[(MARY, &fields(0, 0))], ..NOTHING });
    tell(&mut picture, Word { seq: 2, at_s: 10, usages: &[(MARY, &fields(1000, 5))], ..NOTHING });
    let now = mary(&picture);
    assert_eq!((now.received, now.receiving, now.writing), (Some(1000), Some(102_400), Some(512)));
    assert_eq!((now.sent, now.sending, now.memory), (None, None, None));
}

#[test]
fn whole_ones_replace_everything_and_others_only_what_they_say() {
    let mut picture = Picture::default();
    let root: (&str, &[(u8, u64)]) = ("/", &[(0, 100), (1, 50)]);
    let word = Word {
        seq: 1,
        whole: true,
        host: &[(1, 4), (2, 150), (8, signed(-55))],
        disks: &[root, ("/boot", &[(0, 10)])],
        usages: &[(MARY, &[(CPU, 5), (MEMORY, 2048)]), ([2; 6], &[(CPU, 1)])],
        ..NOTHING
    };
    assert!(tell(&mut picture, word));
    let word = Word { seq: 2, at_s: 15, host: &[(2, 10)], usages: &[(MARY, &[(MEMORY, 4096)])], ..NOTHING };
    assert!(tell(&mut picture, word));
    let host = picture.host();
    assert_eq!((host.cpus, host.load, host.temperature), (Some(4), Some(10), Some(-55)));
    assert_eq!((mary(&picture).memory, mary(&picture).cpu_ms), (Some(4096), Some(5)));
    assert_eq!((picture.disks().count(), picture.containers().count()), (2, 2));
    let gone = Word { seq: 3, at_s: 20, disks: &[("/boot", &[])], usages: &[([2; 6], &[]), ([3; 6], &[])], ..NOTHING };
    assert!(tell(&mut picture, gone));
    assert_eq!((picture.disks().count(), picture.containers().count()), (1, 1));
    let word = Word { seq: 4, at_s: 30, whole: true, usages: &[(MARY, &[(CPU, 15_005)])], ..NOTHING };
    assert!(tell(&mut picture, word));
    assert_eq!((picture.host(), picture.disks().count()), (HostNow::default(), 0));
    let now = mary(&picture);
    assert_eq!((now.memory, now.cpu_ms), (None, Some(15_005)));
    assert_eq!(now.cpu, Some(1493), "of the ten seconds since the last message, but for a step");
    picture.retain(|id| *id != MARY);
    assert_eq!(picture.containers().count(), 0);
}

#[test]
fn what_is_late_or_builds_on_what_never_came_changes_nothing() {
    let mut picture = Picture::default();
    let cpu = |cpu: &'static [(u8, u64)]| [(MARY, cpu)];
    assert!(!tell(&mut picture, Word { seq: 4, usages: &cpu(&[(CPU, 1)]), ..NOTHING }), "nothing whole before it");
    assert!(!picture.is_known());
    let fifth = Word { seq: 5, at_s: 60, whole: true, usages: &cpu(&[(CPU, 60_000)]), ..NOTHING };
    assert!(tell(&mut picture, fifth));
    assert!(!tell(&mut picture, Word { seq: 5, at_s: 60, usages: &cpu(&[(CPU, 2)]), ..NOTHING }), "a duplicate");
    assert!(!tell(&mut picture, Word { seq: 3, whole: true, usages: &cpu(&[(CPU, 3)]), ..NOTHING }), "an old one");
    assert_eq!(mary(&picture).cpu_ms, Some(60_000));
    // Another run: its clock and its numbers begin anew.
    let next = |seq, whole| Word { epoch: 2, seq, at_s: 75, whole, usages: &[(MARY, &[(CPU, 60_500)])], ..NOTHING };
    assert!(!tell(&mut picture, next(1, false)));
    assert!(tell(&mut picture, next(2, true)));
    assert_eq!((mary(&picture).cpu_ms, mary(&picture).cpu), (Some(60_500), None));
}

#[test]
fn the_mirror_passes_vitals_over() {
    let mut mirror = crate::mirror::Mirror::default();
    mirror.hello([1; 16], 0, false);
    let message = message(&Word { seq: 1, whole: true, disks: &[("/", &[(0, 1)])], usages: &[(MARY, &[])], ..NOTHING });
    let mut effects = Vec::new();
    assert!(mirror.receive(&message, &mut effects).is_ok());
    assert_eq!(mirror.place().acknowledged, 1);
}

#[test]
fn the_uptime_goes_on_by_itself() {
    let mut picture = Picture::default();
    tell(&mut picture, Word { seq: 1, at_s: 10, whole: true, host: &[(7, 5000)], ..NOTHING });
    tell(&mut picture, Word { seq: 2, at_s: 70, ..NOTHING });
    assert_eq!(picture.host().uptime, Some(5060));
}

#[test]
fn fields_that_are_not_known_are_passed_over() {
    let mut picture = Picture::default();
    let word = Word {
        seq: 1,
        whole: true,
        host: &[(1, 4), (20, 7)],
        disks: &[("/", &[(1, 50), (7, 3)])],
        usages: &[(MARY, &[(CPU, 5), (15, 9), (31, 9)])],
        ..NOTHING
    };
    assert!(tell(&mut picture, word));
    assert_eq!((picture.host().cpus, mary(&picture).cpu_ms), (Some(4), Some(5)));
    assert_eq!(picture.disks().next().and_then(|(_, disk)| disk.free), Some(50));
}

#[test]
fn no_host_makes_a_picture_larger_than_the_limits() {
    let mut picture = Picture::default();
    let path = |n: usize| std::format!("/{n}");
    for n in 0..3 * limits::CONTAINERS {
        let path = path(n);
        let id = [(n >> 16) as u8, (n >> 8) as u8, n as u8, 0, 0, 0];
        let disks = [(path.as_str(), &[(0, 1)][..])];
        let usages = [(id, &[(CPU, 1)][..])];
        tell(&mut picture, Word { seq: n as u64 + 1, whole: n == 0, disks: &disks, usages: &usages, ..NOTHING });
    }
    assert_eq!((picture.containers().count(), picture.disks().count()), (limits::CONTAINERS, limits::DISKS));
    let disks: Vec<_> = (0..3 * limits::DISKS).map(path).collect();
    let disks: Vec<_> = disks.iter().map(|path| (path.as_str(), &[(0, 1)][..])).collect();
    assert!(Said::find(&message(&Word { seq: 1, disks: &disks, ..NOTHING })).is_err());
    let long: String = "x".repeat(limits::PATH + 1);
    assert!(Said::find(&message(&Word { seq: 1, disks: &[(&long, &[])], ..NOTHING })).is_err());
}

#[test]
fn values_of_any_size_are_taken() {
    let mut picture = Picture::default();
    for (seq, (at_s, value)) in [(0, 0), (0, u64::MAX), (1, u64::MAX), (u64::MAX / 1000, u64::MAX)].iter().enumerate() {
        let host: Vec<_> = (0..10).map(|field| (field, *value)).collect();
        let fields: Vec<_> = (0..9).map(|field| (field, *value)).collect();
        let usages = [(MARY, &fields[..])];
        let word = Word { seq: seq as u64 + 1, at_s: *at_s, whole: seq == 0, host: &host, usages: &usages, ..NOTHING };
        assert!(tell(&mut picture, word));
        let _ = (picture.host(), mary(&picture));
    }
    assert_eq!(mary(&picture).cpu_ms, Some(u64::MAX));
}

#[test]
fn records_out_of_place_are_refused() {
    let of = |write: &dyn Fn(&mut Writer<'_>)| {
        let mut buffer = [0; 512];
        let mut writer = Writer::message(&mut buffer).unwrap();
        write(&mut writer);
        Said::find(writer.as_bytes()).map(|said| said.is_some())
    };
    let batch = Batch { epoch: 1, seq: 1, base: 0, through: 1, events_dropped: 0 };
    let vitals = Vitals { at_ms: 0, wall_ms: 0, whole: true, host: Measured::default() };
    let usage = Usage { id: MARY, values: Measured::default() };
    assert_eq!(of(&|writer| writer.record(Kind::Batch, &batch).unwrap()), Ok(false));
    assert_eq!(of(&|writer| writer.record(Kind::Vitals, &vitals).unwrap()), Err(Malformed::Order));
    let late = of(&|writer| {
        writer.record(Kind::Batch, &batch).unwrap();
        writer.record(Kind::Usage, &usage).unwrap();
        writer.record(Kind::Vitals, &vitals).unwrap();
    });
    assert_eq!(late, Err(Malformed::Order));
    let twice = of(&|writer| {
        writer.record(Kind::Batch, &batch).unwrap();
        writer.record(Kind::Vitals, &vitals).unwrap();
        writer.record(Kind::Vitals, &vitals).unwrap();
    });
    assert_eq!(twice, Err(Malformed::Order));
}
