//! Datagrams from anywhere: a relay never makes them longer, nor forwards what was not sealed by a guest; probes and
//! answers are read or refused; paths stay few, whatever comes from wherever; packets are taken apart and put together
//! within their limits.
#![no_main]

use libfuzzer_sys::fuzz_target;
use muster_agent::network::tunnel::path::Paths;
use muster_agent::network::tunnel::segments::{HEADER, Joiner, LONGEST, split};
use muster_protocol::network::probe::{self, Probe};
use muster_protocol::network::relay::{self, Action, Forwarder, Guest, Rate, register, wrap};
use std::net::SocketAddr;

const SECRET: [u8; 16] = [7; 16];

fuzz_target!(|data: &[u8]| {
    let Some((&[choice, where_from, first], rest)) = data.split_first_chunk::<3>() else { return };
    let from = SocketAddr::new([192, 0, 2, where_from].into(), 1000 + u16::from(first));
    match choice % 4 {
        0 => relayed(rest, from),
        1 => {
            let read = Probe::decode(&SECRET, rest);
            assert_eq!(read.map(|probe| probe.encode(&SECRET).to_vec()), read.map(|_| rest.to_vec()));
            assert!(read.is_none() || probe::slot(rest).is_some());
            relay::read_answer(&SECRET, rest);
            relay::unwrap(&SECRET, 2, rest);
        }
        2 => paths(rest),
        _ => packets(rest),
    }
});

/// A relay with two guests, of which the first one is registered.
fn relayed(datagram: &[u8], from: SocketAddr) {
    let mut forwarder = Forwarder::new([1; 16], Rate::default());
    let mut guests = [Guest::new(1, SECRET), Guest::new(2, SECRET)];
    let mut cookie = 0;
    for number in 1..3 {
        let mut out = [0; relay::REGISTER_LIMIT];
        let length = register(&SECRET, 1, number, cookie, from, &mut out);
        let Action::Send { length, .. } = forwarder.handle(&mut guests, 1, from, &mut out[..length]) else {
            panic!("a guest is answered")
        };
        cookie = relay::read_answer(&SECRET, &out[..length]).expect("it is an answer").cookie;
    }
    // As it came, and as if it were one of the guest's.
    let mut plain = datagram.to_vec();
    let mut sealed = [&[0; relay::OVERHEAD], datagram].concat();
    wrap(&SECRET, 1, 2, &mut sealed);
    for bytes in [&mut plain, &mut sealed] {
        let longest = bytes.len();
        if let Action::Send { length, .. } = forwarder.handle(&mut guests, 2, from, bytes) {
            assert!(length <= longest);
        }
    }
    assert_eq!(forwarder.counters().forwarded, 0, "the second guest was never there");
}

/// What happens to paths, one byte each.
fn paths(events: &[u8]) {
    let mut paths = Paths::new(SECRET, 0);
    let mut now_ms = 0;
    let mut token = 0;
    for event in events {
        let address = SocketAddr::new([192, 0, 2, event & 7].into(), 1);
        now_ms += u64::from(event >> 6) * 400;
        match (event >> 3) & 7 {
            0 => paths.sent(now_ms),
            1 => paths.heard(address, now_ms),
            2 => paths.probed(address, now_ms),
            3 => paths.answered(address, token, now_ms),
            4 => paths.called(now_ms),
            5 => paths.update(&[(muster_protocol::network::Reach::Lan, address)], u16::from(event & 3) * 5, now_ms),
            _ => now_ms += 5_000,
        }
        let mut count = 0;
        while let Some(out) = paths.poll(now_ms) {
            token = out.token;
            count += 1;
            assert!(count <= 8, "no end of probes");
        }
        assert!(paths.next_ms(now_ms).is_none_or(|next_ms| next_ms > now_ms), "it would never rest");
    }
}

fn packets(bytes: &[u8]) {
    let mut buffer = bytes.to_vec();
    split(&mut buffer, &mut [0; 1280], |packet| assert!(packet.len() <= bytes.len().max(1280)));
    let mut joiner = Joiner::default();
    for packet in bytes.chunks(usize::from(bytes.first().copied().unwrap_or(0)) + 41) {
        joiner.push(packet, |whole| assert!(whole.len() <= HEADER + LONGEST));
    }
    joiner.flush(|whole| assert!(whole.len() <= HEADER + LONGEST));
}
