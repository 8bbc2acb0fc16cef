use super::super::*;
use super::*;
use crate::seeded::{Random, for_seeds};
use std::format;
use std::string::String;
use std::vec::Vec;

const ONE: Secret = *b"secret of one...";
const TWO: Secret = *b"secret of two...";

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

fn relay(rate: Rate) -> (Forwarder, [Guest; 2]) {
    (Forwarder::new([7; 16], rate), [Guest::new(1, ONE), Guest::new(2, TWO)])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn sent(action: Action, datagram: &[u8]) -> (&[u8], SocketAddr) {
    let Action::Send { length, to, .. } = action else { panic!("it is not answered") };
    (&datagram[..length], to)
}

/// Registers as a guest does and tells whether it has counted, and the last answer.
fn register_at(
    forwarder: &mut Forwarder,
    guests: &mut [Guest],
    secret: &Secret,
    slot: u32,
    from: SocketAddr,
) -> Answer {
    let mut cookie = 0;
    for number in [5, 6] {
        let mut out = [0; REGISTER_LIMIT];
        let length = register(secret, slot, number, cookie, from, &mut out);
        let action = forwarder.handle(guests, 1, from, &mut out[..length]);
        let answer = read_answer(secret, sent(action, &out).0).unwrap();
        assert_eq!((answer.number, answer.observed), (number, from));
        if number == 6 {
            return answer;
        }
        cookie = answer.cookie;
    }
    unreachable!()
}

fn wrapped(secret: &Secret, from: u32, to: u32, packet: &[u8]) -> Vec<u8> {
    let mut datagram = [&[0; OVERHEAD], packet].concat();
    wrap(secret, from, to, &mut datagram);
    datagram
}

#[test]
fn golden_bytes() {
    let mut out = [0; REGISTER_LIMIT];
    let length = register(&ONE, 1, 5, 0x0102030405060708, at("192.0.2.1:8"), &mut out);
    let expected = "60 01000000 05000000 0807060504030201 0000 ".replace(' ', "");
    assert_eq!(hex(&out[..length - 8]), expected);
    assert_eq!(hex(&out[length - 8..length]), GOLDEN_TAGS[0]);
    let (mut forwarder, mut guests) = relay(Rate::default());
    let action = forwarder.handle(&mut guests, 1, at("192.0.2.9:513"), &mut out[..length]);
    let (answer, to) = sent(action, &out);
    assert_eq!(to, at("192.0.2.9:513"));
    let cookie = read_answer(&ONE, answer).unwrap().cookie;
    let expected = format!("61 05000000 {} c0000209 0102 ", hex(&cookie.to_le_bytes())).replace(' ', "");
    assert_eq!(hex(&answer[..19]), expected);
    assert_eq!(hex(&answer[19..]), GOLDEN_TAGS[1]);
    let datagram = wrapped(&ONE, 1, 2, b"abc");
    assert_eq!(hex(&datagram), format!("620100000002000000{}616263", GOLDEN_TAGS[2]));
}

const GOLDEN_TAGS: [&str; 3] = ["0bb74da4f0da4e33", "9c8ac240a1ab1abe", "b04fd0ec32bfdfac"];

#[test]
fn a_packet_goes_from_guest_to_guest() {
    let (mut forwarder, mut guests) = relay(Rate::default());
    let (here, there) = (at("192.0.2.1:1000"), at("[2001:db8::2]:2000"));
    register_at(&mut forwarder, &mut guests, &ONE, 1, here);
    register_at(&mut forwarder, &mut guests, &TWO, 2, there);
    let mut datagram = wrapped(&ONE, 1, 2, b"ciphertext");
    let mapped = at("[::ffff:192.0.2.1]:1000");
    let action = forwarder.handle(&mut guests, 2, mapped, &mut datagram);
    let (forwarded, to) = sent(action, &datagram);
    assert_eq!(to, there);
    assert_eq!(unwrap(&TWO, 2, forwarded), Some((1, b"ciphertext".as_slice())));
    assert_eq!((unwrap(&TWO, 3, forwarded), unwrap(&ONE, 2, forwarded)), (None, None));
    assert_eq!((forwarder.counters().forwarded, forwarder.counters().forwarded_bytes), (1, 10));
}

#[test]
fn a_replayed_registration_moves_nobody() {
    let (mut forwarder, mut guests) = relay(Rate::default());
    let (here, there, thief) = (at("192.0.2.1:1000"), at("192.0.2.2:2000"), at("203.0.113.66:6"));
    let answer = register_at(&mut forwarder, &mut guests, &ONE, 1, here);
    register_at(&mut forwarder, &mut guests, &TWO, 2, there);
    let mut out = [0; REGISTER_LIMIT];
    let length = register(&ONE, 1, 9, answer.cookie, here, &mut out);
    let action = forwarder.handle(&mut guests, 2, thief, &mut out[..length]);
    assert!(matches!(action, Action::Send { moved: None, .. }));
    let mut datagram = wrapped(&TWO, 2, 1, b"packet");
    let action = forwarder.handle(&mut guests, 3, there, &mut datagram);
    assert_eq!(sent(action, &datagram).1, here);
    // Nor does a replayed packet; it is told to register, in fewer bytes than it has sent.
    let mut datagram = wrapped(&ONE, 1, 2, &[1; 64]);
    let action = forwarder.handle(&mut guests, 3, thief, &mut datagram);
    let (notice, to) = sent(action, &datagram);
    assert_eq!((read_answer(&ONE, notice).unwrap().number, to), (0, thief));
    assert_eq!(forwarder.counters().unregistered, 1);
}

#[test]
fn a_registration_that_was_recorded_moves_no_guest_back() {
    let (mut forwarder, mut guests) = relay(Rate::default());
    let (here, there, other) = (at("192.0.2.1:1000"), at("192.0.2.1:1001"), at("192.0.2.2:2000"));
    register_at(&mut forwarder, &mut guests, &TWO, 2, other);
    let answer = register_at(&mut forwarder, &mut guests, &ONE, 1, here);
    let mut recorded = [0; REGISTER_LIMIT];
    let length = register(&ONE, 1, 9, answer.cookie, here, &mut recorded);
    let replay = |forwarder: &mut Forwarder, guests: &mut [Guest]| {
        let mut again = recorded;
        let action = forwarder.handle(guests, 3, here, &mut again[..length]);
        assert!(matches!(action, Action::Send { moved: None, .. }));
        let mut datagram = wrapped(&TWO, 2, 1, b"packet");
        match forwarder.handle(guests, 3, other, &mut datagram) {
            Action::Send { to, .. } => Some(to),
            Action::Drop => None,
        }
    };
    assert_eq!(replay(&mut forwarder, &mut guests), Some(here), "it is still there");
    register_at(&mut forwarder, &mut guests, &ONE, 1, there);
    assert_eq!(replay(&mut forwarder, &mut guests), Some(there));
    // The guest itself may come back, and goes on with what it is told.
    let back = register_at(&mut forwarder, &mut guests, &ONE, 1, here);
    let mut out = [0; REGISTER_LIMIT];
    let length_again = register(&ONE, 1, 7, back.cookie, here, &mut out);
    let action = forwarder.handle(&mut guests, 4, here, &mut out[..length_again]);
    assert_eq!(read_answer(&ONE, sent(action, &out).0).unwrap().cookie, back.cookie);
    // One that was forgotten and is known again, by the same secret.
    guests[0] = Guest::new(1, ONE);
    assert_eq!(replay(&mut forwarder, &mut guests), None);
}

#[test]
fn a_guest_that_moved_is_told_once() {
    let (mut forwarder, mut guests) = relay(Rate::default());
    let (here, moved_to) = (at("192.0.2.1:1000"), at("192.0.2.1:1001"));
    let answer = register_at(&mut forwarder, &mut guests, &ONE, 1, here);
    for (from, cookie, expected) in [(here, answer.cookie, None), (moved_to, answer.cookie, None)] {
        let mut out = [0; REGISTER_LIMIT];
        let length = register(&ONE, 1, 9, cookie, from, &mut out);
        let action = forwarder.handle(&mut guests, 2, from, &mut out[..length]);
        assert!(matches!(action, Action::Send { moved, .. } if moved == expected));
        if from == moved_to {
            let cookie = read_answer(&ONE, sent(action, &out).0).unwrap().cookie;
            let length = register(&ONE, 1, 9, cookie, from, &mut out);
            let action = forwarder.handle(&mut guests, 2, from, &mut out[..length]);
            assert!(matches!(action, Action::Send { moved: Some((1, to)), .. } if to == moved_to));
        }
    }
}

#[test]
fn a_silent_guest_is_not_sent_to() {
    let (mut forwarder, mut guests) = relay(Rate::default());
    let (here, there) = (at("192.0.2.1:1000"), at("192.0.2.2:2000"));
    register_at(&mut forwarder, &mut guests, &ONE, 1, here);
    register_at(&mut forwarder, &mut guests, &TWO, 2, there);
    let mut datagram = wrapped(&ONE, 1, 2, b"packet");
    assert_ne!(forwarder.handle(&mut guests, SILENCE_MS, here, &mut datagram), Action::Drop);
    let mut datagram = wrapped(&ONE, 1, 2, b"packet");
    assert_eq!(forwarder.handle(&mut guests, SILENCE_MS + 1, here, &mut datagram), Action::Drop);
    assert_eq!(forwarder.counters().absent, 1);
}

#[test]
fn a_guest_is_held_to_its_rate() {
    let (mut forwarder, mut guests) = relay(Rate { per_second: 10_000, burst: 5_000 });
    let (here, there) = (at("192.0.2.1:1000"), at("192.0.2.2:2000"));
    register_at(&mut forwarder, &mut guests, &ONE, 1, here);
    register_at(&mut forwarder, &mut guests, &TWO, 2, there);
    let mut forwarded = 0;
    for now_ms in 2..10_002 {
        let mut datagram = wrapped(&ONE, 1, 2, &[0; 500 - OVERHEAD]);
        forwarded += u64::from(forwarder.handle(&mut guests, now_ms, here, &mut datagram) != Action::Drop) * 500;
    }
    assert!((95_000..=105_000).contains(&forwarded), "{forwarded} bytes in ten seconds");
    assert_eq!(forwarder.counters().limited, 10_000 - forwarder.counters().forwarded);
}

#[test]
fn a_guest_that_floods_with_short_packets_takes_nothing_from_others() {
    let rate = Rate::default();
    let (mut forwarder, mut guests) = relay(rate);
    let (here, there) = (at("192.0.2.1:1000"), at("192.0.2.2:2000"));
    register_at(&mut forwarder, &mut guests, &ONE, 1, here);
    register_at(&mut forwarder, &mut guests, &TWO, 2, there);
    let mut passed = 0;
    for now_ms in 2..1_002 {
        for _ in 0..100 {
            let mut short = wrapped(&ONE, 1, 2, b"x");
            passed += u64::from(forwarder.handle(&mut guests, now_ms, here, &mut short) != Action::Drop);
        }
        let mut long = wrapped(&TWO, 2, 1, &[0; 1400]);
        assert_ne!(forwarder.handle(&mut guests, now_ms, there, &mut long), Action::Drop, "that of the other guest");
    }
    let most = (rate.per_second + rate.burst) / COUNTED;
    assert!((most / 2..=most + 1).contains(&passed), "{passed} of 100000 in a second");
}

#[test]
fn who_cannot_prove_who_he_is_costs_no_state() {
    for_seeds(20, |random| {
        let (mut forwarder, mut guests) = relay(Rate::default());
        let here = at("192.0.2.1:1000");
        let cookie = register_at(&mut forwarder, &mut guests, &ONE, 1, here).cookie;
        let state =
            |guests: &[Guest]| guests.iter().map(|it| (it.address, it.allowed, it.filled_ms)).collect::<Vec<_>>();
        let before = (state(&guests), forwarder.counters(), forwarder.era);
        for _ in 0..1_000 {
            let slot = [0, 1, 2, 3, u32::MAX, random.number() as u32][random.below(6)];
            let secret: Secret = random.bytes(16).try_into().unwrap();
            let mut out = [0; REGISTER_LIMIT];
            let length = register(&secret, slot, 1 + random.below(9) as u32, cookie, here, &mut out);
            let mut datagram = match random.below(3) {
                0 => out[..length].to_vec(),
                1 => wrapped(&secret, slot, 1, &[1; 100]),
                _ => {
                    let length = random.below(100);
                    random.bytes(length)
                }
            };
            let from = [here, SocketAddr::new([10, 0, 0, random.below(256) as u8].into(), random.below(65536) as u16)];
            let now_ms = 1 + random.below(1_000_000) as u64;
            let action = forwarder.handle(&mut guests, now_ms, from[random.below(2)], &mut datagram);
            assert_eq!(action, Action::Drop, "nor is it answered");
        }
        // All that there is.
        let Forwarder { key: _, rate: _, counters, era } = &forwarder;
        let dropped = counters.malformed + counters.strangers;
        assert_eq!((dropped, counters.forwarded), (1_000, 0));
        assert_eq!((state(&guests), *era), (before.0, before.2));
        assert_eq!(counters.registrations, before.1.registrations);
    });
}

#[test]
fn nothing_is_made_longer_and_no_noise_is_forwarded() {
    for_seeds(20, noise);
}

fn noise(random: &mut Random) {
    let (mut forwarder, mut guests) = relay(Rate::default());
    let (here, there) = (at("192.0.2.1:1000"), at("192.0.2.2:2000"));
    let cookie = register_at(&mut forwarder, &mut guests, &ONE, 1, here).cookie;
    register_at(&mut forwarder, &mut guests, &TWO, 2, there);
    for _ in 0..1_000 {
        let mut out = [0; REGISTER_LIMIT];
        let length = register(&ONE, 1, 9, cookie, [here, at("[::1]:1")][random.below(2)], &mut out);
        let mut datagram = match random.below(2) {
            0 => out[..length].to_vec(),
            _ => wrapped(&ONE, 1, 2, &[3; 40]),
        };
        let changed = random.below(3) > 0;
        if changed {
            let place = random.below(datagram.len());
            datagram[place] ^= 1 << random.below(8);
            datagram.truncate(datagram.len() - random.below(2) * random.below(5));
        }
        let longest = datagram.len();
        let from = [here, there, at("[2001:db8::9]:9")][random.below(3)];
        let forwarded = forwarder.counters().forwarded;
        match forwarder.handle(&mut guests, 5, from, &mut datagram) {
            Action::Send { length, .. } => assert!(length <= longest && !changed),
            Action::Drop => assert_eq!(forwarder.counters().forwarded, forwarded),
        }
    }
}
