//! Over loopback.

use super::{Guest, Relay};
use muster_protocol::network::relay::{self, REGISTER_LIMIT, unwrap, wrap};
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

fn guest(slot: u32) -> Guest {
    Guest { slot, secret: [slot as u8; 16] }
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    socket
}

/// Registers as a guest does: once for the cookie, once with it.
fn register(socket: &UdpSocket, guest: &Guest, at: SocketAddr) -> SocketAddr {
    let mut cookie = 0;
    let mut buffer = [0; 2048];
    for number in 1..3 {
        let mut out = [0; REGISTER_LIMIT];
        let length = relay::register(&guest.secret, guest.slot, number, cookie, at, &mut out);
        socket.send_to(&out[..length], at).unwrap();
        let (received, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(from, at);
        let answer = relay::read_answer(&guest.secret, &buffer[..received]).unwrap();
        assert_eq!((answer.number, answer.observed), (number, socket.local_addr().unwrap()));
        cookie = answer.cookie;
    }
    socket.local_addr().unwrap()
}

#[test]
fn guests_reach_each_other_and_are_observed() {
    for address in ["127.0.0.1:0", "[::]:0"] {
        let relay = Relay::bind(address.parse().unwrap()).unwrap();
        let at = SocketAddr::new([127, 0, 0, 1].into(), relay.local_addr().port());
        relay.set(vec![guest(7), guest(2)]);
        let (two, seven) = (socket(), socket());
        for (socket, slot) in [(&two, 2), (&seven, 7)] {
            let seen = register(socket, &guest(slot), at);
            relay.moved().recv_blocking().unwrap();
            assert_eq!(relay.observed(), [(slot, seen)].into());
        }
        let mut datagram = [vec![0; relay::OVERHEAD], b"packet".to_vec()].concat();
        wrap(&guest(2).secret, 2, 7, &mut datagram);
        two.send_to(&datagram, at).unwrap();
        let mut buffer = [0; 2048];
        let (length, _) = seven.recv_from(&mut buffer).unwrap();
        assert_eq!(unwrap(&guest(7).secret, 7, &buffer[..length]), Some((2, b"packet".as_slice())));
        assert_eq!(relay.counters().forwarded, 1);
        assert!(relay.moved().is_empty() && relay.observed().is_empty());
    }
}

#[test]
fn who_stays_need_not_register_again_and_who_goes_is_dropped() {
    let relay = Relay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    relay.set(vec![guest(1), guest(2), guest(3)]);
    let sockets = [socket(), socket(), socket()];
    for (socket, slot) in sockets.iter().zip(1..) {
        register(socket, &guest(slot), relay.local_addr());
    }
    relay.set(vec![guest(3), guest(1), Guest { slot: 2, secret: [9; 16] }]);
    let send = |from: u32, to: u32| {
        let mut datagram = [vec![0; relay::OVERHEAD], b"packet".to_vec()].concat();
        wrap(&guest(from).secret, from, to, &mut datagram);
        sockets[from as usize - 1].send_to(&datagram, relay.local_addr()).unwrap();
    };
    send(2, 3);
    send(1, 2);
    send(1, 3);
    let mut buffer = [0; 2048];
    let (length, _) = sockets[2].recv_from(&mut buffer).unwrap();
    assert_eq!(unwrap(&guest(3).secret, 3, &buffer[..length]).map(|(from, _)| from), Some(1));
    let counters = relay.counters();
    assert_eq!((counters.forwarded, counters.strangers, counters.absent), (1, 1, 1));
}

/// Registers once more, with a cookie that was given before or none.
fn register_again(socket: &UdpSocket, guest: &Guest, cookie: u64, at: SocketAddr) -> u64 {
    let (mut out, mut buffer) = ([0; REGISTER_LIMIT], [0; 2048]);
    let length = relay::register(&guest.secret, guest.slot, 9, cookie, at, &mut out);
    socket.send_to(&out[..length], at).unwrap();
    let (received, _) = socket.recv_from(&mut buffer).unwrap();
    relay::read_answer(&guest.secret, &buffer[..received]).unwrap().cookie
}

#[test]
fn a_guest_that_moves_all_the_time_hides_nobody_else() {
    let relay = Relay::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    relay.set(vec![guest(1), guest(2), guest(3)]);
    let (quiet, gone) = (socket(), socket());
    let seen = register(&quiet, &guest(2), relay.local_addr());
    register(&gone, &guest(3), relay.local_addr());
    let restless = [socket(), socket()];
    for number in 0..2001 {
        // A move takes the cookie that the place was told last.
        let cookie = register_again(&restless[number % 2], &guest(1), 0, relay.local_addr());
        register_again(&restless[number % 2], &guest(1), cookie, relay.local_addr());
    }
    relay.set(vec![guest(1), guest(2)]);
    relay.moved().recv_blocking().unwrap();
    let last = restless[0].local_addr().unwrap();
    assert_eq!(relay.observed(), [(1, last), (2, seen)].into(), "one address of each guest that there still is");
}
