use super::*;

/// One record as a message has it.
fn one(kind: Kind, write: impl Fn(&mut Writer<'_>)) -> (Kind, Vec<u8>) {
    let mut buffer = vec![0; 1024];
    let mut writer = Writer::records(&mut buffer);
    write(&mut writer);
    let bytes = writer.as_bytes().to_vec();
    let record = Reader::records(&bytes).next_record().expect("a record").expect("one");
    (kind, record.payload.to_vec())
}

fn guest(host: u8, slot: u32) -> (Kind, Vec<u8>) {
    let guest = NetworkGuest { host: HostId([host; 8]), slot, secret: [9; 16] };
    one(Kind::NetworkGuest, |writer| writer.record(Kind::NetworkGuest, &guest).expect("room"))
}

fn name(host: u8, name: &str, address: u32) -> (Kind, Vec<u8>) {
    let name = NetworkName { host: HostId([host; 8]), host_label: "h", name, address };
    one(Kind::NetworkName, |writer| writer.record(Kind::NetworkName, &name).expect("room"))
}

fn gone(kind: Kind, host: u8, name: &str) -> (Kind, Vec<u8>) {
    let gone = NetworkGone { kind: kind as u8, host: HostId([host; 8]), name };
    one(Kind::NetworkGone, |writer| writer.record(Kind::NetworkGone, &gone).expect("room"))
}

fn end(whole: bool, of: &[&(Kind, Vec<u8>)]) -> (Kind, Vec<u8>) {
    let sum = of.iter().fold(0u64, |all, (kind, payload)| all.wrapping_add(sum(*kind as u8, payload)));
    let said = NetworkSum { whole, sum };
    one(Kind::NetworkSum, |writer| writer.record(Kind::NetworkSum, &said).expect("room"))
}

fn take(records: &mut Records, pending: &mut Pending, said: &[&(Kind, Vec<u8>)]) -> Taken {
    let mut last = Taken::Foreign;
    for (kind, payload) in said {
        last = records.take(pending, Record { kind: *kind, payload }).expect("a record");
    }
    last
}

#[test]
fn nothing_counts_before_its_sum() {
    let (mut records, mut pending) = (Records::default(), Pending::default());
    let (one, two) = (guest(1, 1), guest(2, 2));
    assert_eq!(take(&mut records, &mut pending, &[&one, &two]), Taken::Waits);
    assert!(records.is_empty());
    assert_eq!(take(&mut records, &mut pending, &[&end(true, &[&one, &two])]), Taken::Changed);
    assert_eq!(records.of_kind(Kind::NetworkGuest).count(), 2);
    // A change, in two messages: one record replaced, one taken out, one new.
    let (new, three) = (guest(1, 7), name(3, "web", 5));
    assert_eq!(take(&mut records, &mut pending, &[&new, &gone(Kind::NetworkGuest, 2, "")]), Taken::Waits);
    assert_eq!(take(&mut records, &mut pending, &[&three, &end(false, &[&new, &three])]), Taken::Changed);
    assert_eq!(records.of_kind(Kind::NetworkGuest).count(), 1);
    assert_eq!(take(&mut records, &mut pending, &[&end(false, &[&new, &three])]), Taken::Same, "a lone sum");
}

#[test]
fn a_wrong_sum_takes_nothing_over_and_forgets_what_waited() {
    let (mut records, mut pending) = (Records::default(), Pending::default());
    let (one, two) = (guest(1, 1), guest(2, 2));
    take(&mut records, &mut pending, &[&one, &end(true, &[&one])]);
    let before = records.clone();
    assert_eq!(take(&mut records, &mut pending, &[&two, &end(false, &[&two])]), Taken::Differs);
    assert_eq!(records, before);
    assert_eq!(take(&mut records, &mut pending, &[&end(false, &[&one])]), Taken::Same);
    assert_eq!(take(&mut records, &mut pending, &[&end(false, &[&two])]), Taken::Differs);
    // All of it again, the same or not.
    assert_eq!(take(&mut records, &mut pending, &[&one, &end(true, &[&one])]), Taken::Same);
    assert_eq!(take(&mut records, &mut pending, &[&end(true, &[])]), Taken::Changed);
    assert!(records.is_empty());
}

#[test]
fn names_are_known_by_host_and_name() {
    let (mut records, mut pending) = (Records::default(), Pending::default());
    let (a, b, c) = (name(1, "a", 1), name(1, "b", 2), name(2, "a", 3));
    take(&mut records, &mut pending, &[&a, &b, &c, &end(true, &[&a, &b, &c])]);
    let out = gone(Kind::NetworkName, 1, "a");
    assert_eq!(take(&mut records, &mut pending, &[&out, &end(false, &[&b, &c])]), Taken::Changed);
    assert_eq!(records.of_kind(Kind::NetworkName).count(), 2);
}

#[test]
fn what_is_written_is_read_and_nothing_that_is_cut_or_changed() {
    let (mut records, mut pending) = (Records::default(), Pending::default());
    let all: Vec<_> = (0..40).map(|host| if host % 2 == 0 { guest(host, 3) } else { name(host, "web", 5) }).collect();
    let all: Vec<&_> = all.iter().collect();
    take(&mut records, &mut pending, &all);
    assert_eq!(take(&mut records, &mut pending, &[&end(true, &all)]), Taken::Changed);
    let bytes = records.write().expect("room");
    assert_eq!(Records::read(&bytes).as_ref(), Some(&records));
    for length in 0..bytes.len() {
        assert!(Records::read(&bytes[..length]).is_none_or(|read| read.is_empty()), "cut at {length}");
    }
    for at in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[at] ^= 0x11;
        assert!(Records::read(&changed).is_none_or(|read| read != records), "changed at {at}");
    }
}

/// Deterministic, and different enough.
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    *seed >> 33
}

/// Whatever is lost, doubled or taken out of its order: the records are always some plan that the server really had, and
/// after a whole one the newest.
#[test]
fn records_are_always_a_plan_that_the_server_had() {
    for first in 0..300u64 {
        let mut seed = first;
        let (mut records, mut pending) = (Records::default(), Pending::default());
        let mut server: BTreeMap<u8, (Kind, Vec<u8>)> = BTreeMap::new();
        let mut had = vec![0u64];
        for _ in 0..30 {
            let mut said = Vec::new();
            for _ in 0..1 + next(&mut seed) % 4 {
                let host = (next(&mut seed) % 6) as u8;
                if next(&mut seed).is_multiple_of(3) {
                    if server.remove(&host).is_some() {
                        said.push(gone(Kind::NetworkGuest, host, ""));
                    }
                } else {
                    let record = guest(host, next(&mut seed) as u32 % 5);
                    server.insert(host, record.clone());
                    // The same key twice in one change: only the newest is part of it.
                    said.retain(|(_, payload): &(Kind, Vec<u8>)| payload[..8] != record.1[..8]);
                    said.push(record);
                }
            }
            let all: Vec<&(Kind, Vec<u8>)> = server.values().collect();
            let sum_of_all = all.iter().fold(0u64, |sum, (kind, it)| sum.wrapping_add(super::sum(*kind as u8, it)));
            had.push(sum_of_all);
            said.push(end(false, &all));
            let mut differs = false;
            for record in &said {
                let times = match next(&mut seed) % 12 {
                    0 => 0,
                    1 => 2,
                    _ => 1,
                };
                for _ in 0..times {
                    differs |= take(&mut records, &mut pending, &[record]) == Taken::Differs;
                }
            }
            assert!(had.contains(&records.sum()), "seed {first}");
            if differs {
                // As after a hello with the sum 0.
                pending = Pending::default();
                take(&mut records, &mut pending, &all);
                take(&mut records, &mut pending, &[&end(true, &all)]);
                assert_eq!(records.sum(), sum_of_all, "seed {first}");
            }
        }
    }
}

#[test]
fn what_breaks_a_limit_is_no_record() {
    let (mut records, mut pending) = (Records::default(), Pending::default());
    let long = "x".repeat(limits::DNS_LABEL + 1);
    let (kind, payload) = name(1, &long, 1);
    assert!(records.take(&mut pending, Record { kind, payload: &payload }).is_err());
    assert!(records.take(&mut pending, Record { kind: Kind::NetworkPeer, payload: &[1, 2, 3] }).is_err());
    assert_eq!(records.take(&mut pending, Record { kind: Kind::NetworkProbe, payload: &[] }), Ok(Taken::Foreign));
    // More names than there may be: it ends before memory does.
    let mut pending = Pending::default();
    let ended = (0..100_000u32).any(|number| {
        let (kind, payload) = name((number % 251) as u8, &format!("n{number}"), number);
        records.take(&mut pending, Record { kind, payload: &payload }).is_err()
    });
    assert!(ended);
}
