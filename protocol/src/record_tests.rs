use super::*;
use crate::batch::{Absent, ListEnd};
use crate::event::Event;
use crate::hello::Welcome;
use crate::id::EngineId;
use crate::join::Joined;
use crate::seeded::{Random, for_seeds};
use std::vec;
use std::vec::Vec;

/// Kinds and payloads.
type Records = Vec<(Kind, Vec<u8>)>;

/// Some records, and the message that holds them.
fn some_message(random: &mut Random) -> (Records, Vec<u8>) {
    let mut buffer = vec![0; 8192];
    let mut writer = Writer::message(&mut buffer).unwrap();
    let mut records = Vec::new();
    for _ in 0..random.below(8) {
        let kind = Kind::ALL[random.below(Kind::ALL.len())];
        let len = [0, 1, 100, 127, 128, 400][random.below(6)];
        let (seq, body) = (random.number() >> random.below(64), random.bytes(len));
        let cut = random.below(len + 1);
        writer.numbered_from(kind, seq, &body[..cut], &body[cut..]).unwrap();
        let mut payload = postcard::to_stdvec(&seq).unwrap();
        payload.extend(body);
        records.push((kind, payload));
    }
    (records, writer.as_bytes().to_vec())
}

fn read(message: &[u8]) -> (Records, Result<(), Malformed>) {
    let mut records = Vec::new();
    let mut reader = match Reader::message(message) {
        Ok(reader) => reader,
        Err(malformed) => return (records, Err(malformed)),
    };
    loop {
        match reader.next_record() {
            Ok(Some(record)) => records.push((record.kind, record.payload.to_vec())),
            Ok(None) => return (records, Ok(())),
            Err(malformed) => return (records, Err(malformed)),
        }
    }
}

#[test]
fn what_is_written_is_read() {
    for_seeds(300, |random| {
        let (records, message) = some_message(random);
        assert_eq!(read(&message), (records, Ok(())));
    });
}

#[test]
fn a_message_cut_at_any_byte_gives_the_records_before_and_an_error_within_one() {
    for_seeds(20, |random| {
        let (records, message) = some_message(random);
        let mut ends = 0;
        for cut in 0..message.len() {
            let (came, outcome) = read(&message[..cut]);
            assert_eq!(came[..], records[..came.len()]);
            match outcome {
                Ok(()) => ends += 1,
                Err(Malformed::Version) => assert_eq!(cut, 0),
                Err(other) => assert_eq!(other, Malformed::Length),
            }
        }
        assert_eq!(ends, records.len(), "only where one record ends and the next begins");
    });
}

#[test]
fn kinds_of_later_versions_are_skipped_wherever_they_stand() {
    for_seeds(100, |random| {
        let (records, _) = some_message(random);
        let mut message = vec![VERSION];
        let unknown = |random: &mut Random, message: &mut Vec<u8>| {
            for _ in 0..random.below(3) {
                let first = Kind::ALL.len() as u8 + 1;
                let number = [0, first, first + 1, 99, 255][random.below(5)];
                let len = random.below(300);
                message.push(number);
                message.extend(postcard::to_stdvec(&(len as u32)).unwrap());
                message.extend(random.bytes(len));
            }
        };
        for (kind, payload) in &records {
            unknown(random, &mut message);
            message.push(*kind as u8);
            message.extend(postcard::to_stdvec(&(payload.len() as u32)).unwrap());
            message.extend(payload);
        }
        unknown(random, &mut message);
        assert_eq!(read(&message), (records, Ok(())));
    });
}

#[test]
fn no_garbage_panics() {
    for_seeds(2000, |random| {
        let len = random.below(200);
        let mut message = random.bytes(len);
        if let Some(first) = message.first_mut() {
            *first = VERSION;
        }
        let Ok(mut reader) = Reader::message(&message) else { return };
        while let Ok(Some(record)) = reader.next_record() {
            let _ = record.decode::<Welcome>();
            let _ = record.decode::<Joined<'_>>();
            if let Ok((_, body)) = record.numbered() {
                let _ = postcard::from_bytes::<Event<'_>>(body);
                let _ = postcard::from_bytes::<crate::container::Container<'_>>(body);
            }
        }
    });
}

#[test]
fn a_length_or_count_that_is_a_lie_is_an_error() {
    // A record of 4 GiB, and lengths that are no u32.
    for length in [&[0xff, 0xff, 0xff, 0xff, 0x0f][..], &[0xff; 6], &[0x80], &[0x80, 0x80, 0x80, 0x80, 0x80, 0x01]] {
        let message = [&[VERSION, Kind::Event as u8], length].concat();
        assert_eq!(read(&message).1, Err(Malformed::Length), "{length:?}");
    }
    // A text of 4 GiB in a short record.
    let payload = [&[7; 8][..], &[0xff, 0xff, 0xff, 0xff, 0x0f], b"x"].concat();
    let record = Record { kind: Kind::Joined, payload: &payload };
    assert_eq!(record.decode::<Joined<'_>>(), Err(Malformed::Payload(Kind::Joined)));
    // More kinds than there is room for, all of them there.
    let payload = [&[1, 0, 0, 200, 1][..], &[1; 200]].concat();
    let record = Record { kind: Kind::Welcome, payload: &payload };
    assert_eq!(record.decode::<Welcome>(), Err(Malformed::Payload(Kind::Welcome)));
}

#[test]
fn a_record_that_does_not_fit_leaves_the_message_as_it_was() {
    for_seeds(200, |random| {
        let size = random.below(120);
        let mut buffer = vec![0xaa; size];
        let Ok(mut writer) = Writer::message(&mut buffer) else {
            assert_eq!(size, 0);
            return;
        };
        let mut written = 0;
        loop {
            let before = writer.as_bytes().to_vec();
            let len = random.below(40);
            let body = random.bytes(len);
            let outcome = match random.below(3) {
                0 => writer.numbered(Kind::Event, random.number(), &body),
                1 => writer.record(Kind::Absent, &Absent { seq: random.number(), id: EngineId([9; 32]) }),
                _ => writer.record(Kind::ListEnd, &ListEnd { seq: 1, total: 2, hidden: 3 }),
            };
            if outcome.is_err() {
                assert_eq!(writer.as_bytes(), before);
                assert_eq!(writer.raw(&[0; 200]), Err(Full));
                assert_eq!(writer.as_bytes(), before);
                break;
            }
            written += 1;
        }
        let (records, outcome) = read(writer.as_bytes());
        assert_eq!((records.len(), outcome), (written, Ok(())));
    });
}

#[test]
fn bytes_behind_the_last_field_are_ignored() {
    let mut payload = postcard::to_stdvec(&ListEnd { seq: 5, total: 6, hidden: 7 }).unwrap();
    payload.extend([1, 2, 3]);
    let record = Record { kind: Kind::ListEnd, payload: &payload };
    assert_eq!(record.decode(), Ok(ListEnd { seq: 5, total: 6, hidden: 7 }));
}

#[test]
fn another_version_is_refused() {
    assert_eq!(Reader::message(&[]).unwrap_err(), Malformed::Version);
    assert_eq!(Reader::message(&[0]).unwrap_err(), Malformed::Version);
    assert_eq!(Reader::message(&[2, 1, 0]).unwrap_err(), Malformed::Version);
    let mut reader = Reader::message(&[VERSION]).unwrap();
    assert_eq!(reader.expect::<ListEnd>(Kind::ListEnd), Err(Malformed::Order), "a record is missing");
}
