use super::super::Name;
use super::*;
use std::net::Ipv4Addr;

/// A question as resolvers send it: with an identity, a wish for recursion, and EDNS behind.
fn ask(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 0x01, 0x20, 0, 1, 0, 0, 0, 0, 0, 1];
    for label in name.split('.').filter(|label| !label.is_empty()) {
        message.push(label.len() as u8);
        message.extend_from_slice(label.as_bytes());
    }
    message.push(0);
    message.extend_from_slice(&kind.to_be_bytes());
    message.extend_from_slice(&[0, 1]);
    message.extend_from_slice(&[0, 0, 41, 4, 0xb0, 0, 0, 0, 0, 0, 0]);
    message
}

fn table() -> Table {
    let name = |name: &str, host: &str, last| Name {
        name: name.into(),
        host_label: host.into(),
        address: Ipv4Addr::new(10, 42, 0, last).to_bits(),
    };
    Table::new(vec![name("web", "pi-1", 2), name("web", "pi-2", 66), name("db", "pi-1", 3), name("pi-9", "pi-1", 4)])
}

/// Code, addresses, and whether it says for how long there is nothing.
fn answered(message: &[u8], turn: u32) -> (u8, Vec<u8>, bool) {
    let mut out = [0; MESSAGE];
    let length = answer(message, &table(), turn, &mut out).unwrap();
    let out = &out[..length];
    assert_eq!(out[..2], message[..2]);
    assert_eq!(out[2] & 0x81, 0x81);
    assert!(out[3] & 0x80 == 0, "there is no recursion here");
    let count = usize::from(out[7]);
    let records = &out[length.saturating_sub(count * RECORD)..];
    (out[3], if out[9] == 0 { records.chunks(RECORD).map(|it| it[15]).collect() } else { Vec::new() }, out[9] == 1)
}

#[test]
fn a_name_has_its_addresses_and_each_comes_first_in_turn() {
    assert_eq!(answered(&ask("web.muster.internal", 1), 0), (0, vec![2, 66], false));
    assert_eq!(answered(&ask("WeB.Muster.INTERNAL", 1), 1), (0, vec![66, 2], false));
    assert_eq!(answered(&ask("web.pi-2.muster.internal", 1), 7), (0, vec![66], false));
    assert_eq!(answered(&ask("db.muster.internal", 255), 0), (0, vec![3], false));
}

#[test]
fn a_name_without_what_was_asked_for_is_there_all_the_same() {
    for (name, kind) in [
        ("web.muster.internal", 28),
        ("web.pi-1.muster.internal", 16),
        ("muster.internal", 1),
        // No container has this name, and those of the host do.
        ("pi-1.muster.internal", 1),
    ] {
        assert_eq!(answered(&ask(name, kind), 0), (0, vec![], true), "{name}");
    }
}

#[test]
fn a_name_that_is_not_there_is_denied_for_a_moment() {
    for name in [
        "nobody.muster.internal",
        "web.pi-3.muster.internal",
        "a.web.pi-1.muster.internal",
        "a.b.c.d.e.muster.internal",
    ] {
        assert_eq!(answered(&ask(name, 1), 0), (3, vec![], true), "{name}");
    }
    // The record that says so belongs to muster.internal, and is valid for five seconds.
    let question = ask("nobody.muster.internal", 1);
    let mut out = [0; MESSAGE];
    let length = answer(&question, &table(), 0, &mut out).unwrap();
    let record = &out[HEADER + 24 + 4..length];
    let pointer = usize::from(u16::from_be_bytes([record[0], record[1]]) & 0x3fff);
    assert_eq!(&out[pointer..pointer + 17], b"\x06muster\x08internal\0");
    assert_eq!(record[2..12], [0, 6, 0, 1, 0, 0, 0, 5, 0, 24]);
    assert_eq!(record[record.len() - 4..], [0, 0, 0, 5]);
}

#[test]
fn all_else_is_refused_at_once() {
    for name in
        ["example.com", "internal", "muster.internal.example.com", "xmuster.internal", "", "1.0.42.10.in-addr.arpa"]
    {
        assert_eq!(answered(&ask(name, 1), 0), (5, vec![], false), "{name}");
    }
    let mut chaos = ask("web.muster.internal", 1);
    chaos[12 + 21 + 3] = 3;
    assert_eq!(answered(&chaos, 0).0, 5);
}

#[test]
fn an_answer_is_never_longer_than_a_plain_message() {
    let names = (0..1000).map(|host| Name { name: "web".into(), host_label: format!("pi-{host}"), address: host });
    let names = Table::new(names.collect());
    let mut out = [0; MESSAGE];
    let length = answer(&ask("web.muster.internal", 1), &names, 990, &mut out).unwrap();
    assert_eq!(length, HEADER + 25 + 29 * RECORD);
    assert_eq!(out[6..8], [0, 29]);
    // In full, and not cut off: nobody has to ask again by TCP.
    assert_eq!(out[2] & 0x02, 0);
}

#[test]
fn the_longest_name_still_gets_its_answer() {
    let label = "x".repeat(63);
    let name = format!("{label}.{label}.{label}.{}.muster.internal", "y".repeat(45));
    assert_eq!(name.len() + 2, 255);
    assert_eq!(answered(&ask(&name, 1), 0), (3, vec![], true));
}

#[test]
fn what_cannot_be_read_is_said_to_be_so() {
    // Two questions, none, a pointer, a name too long, one cut off.
    let mut two = ask("web.muster.internal", 1);
    two[5] = 2;
    let mut none = ask("web.muster.internal", 1);
    none[5] = 0;
    let mut pointer = ask("web.muster.internal", 1);
    pointer[12] = 0xc0;
    let long = ask(&["a"; 130].join("."), 1);
    let cut = ask("web.muster.internal", 1)[..20].to_vec();
    for message in [two, none, pointer, long, cut] {
        assert_eq!(answered(&message, 0).0, 1);
    }
    let mut update = ask("web.muster.internal", 1);
    update[2] = 5 << 3 | 1;
    assert_eq!(answered(&update, 0).0, 4);
}

#[test]
fn answers_and_scraps_are_not_answered() {
    let mut out = [0; MESSAGE];
    let mut reply = ask("web.muster.internal", 1);
    reply[2] |= 0x80;
    assert_eq!(answer(&reply, &table(), 0, &mut out), None);
    assert_eq!(answer(&reply[..11], &table(), 0, &mut out), None);
    assert_eq!(answer(&[], &table(), 0, &mut out), None);
}
