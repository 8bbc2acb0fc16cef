use super::*;
use muster_protocol::id::HostId;
use muster_protocol::network::relay::{Action, Forwarder, Guest, Rate};

const OWN: &str = "198.51.100.1:1000";

/// A relay since it last started.
type Life = (Forwarder, Vec<Guest>);

struct World {
    registrar: Registrar,
    relays: Vec<(SocketAddr, Option<Life>)>,
    now_ms: u64,
    sent: usize,
}

fn entry(number: u8) -> Relay {
    let address = SocketAddr::new([192, 0, 2, number].into(), 1);
    Relay { host: HostId([number; 8]), address, secret: [number; 16] }
}

impl World {
    fn new(relays: u8) -> World {
        let mut registrar = Registrar::new([1; 16]);
        let all: Vec<_> = (1..=relays).map(entry).collect();
        registrar.update(7, &all, 0);
        let mut world = World { registrar, relays: Vec::new(), now_ms: 0, sent: 0 };
        world.relays = all.iter().map(|relay| (relay.address, None)).collect();
        (1..=relays).for_each(|number| world.start(number));
        world
    }

    fn start(&mut self, number: u8) {
        // Each life has another key.
        let forwarder = Forwarder::new([self.now_ms as u8 + 1; 16], Rate::default());
        self.relays[usize::from(number) - 1].1 = Some((forwarder, vec![Guest::new(7, [number; 16])]));
    }

    fn run(&mut self, ms: u64) {
        let own: SocketAddr = OWN.parse().unwrap();
        for _ in 0..ms / 10 {
            self.now_ms += 10;
            while let Some(mut out) = self.registrar.poll(self.now_ms) {
                self.sent += 1;
                let relay = self.relays.iter_mut().find(|(address, _)| *address == out.to);
                let Some((address, Some((forwarder, guests)))) = relay else { continue };
                let datagram = &mut out.bytes[..out.length];
                if let Action::Send { length, .. } = forwarder.handle(guests, self.now_ms, own, datagram) {
                    self.registrar.answered(*address, &out.bytes[..length], self.now_ms);
                }
            }
        }
    }

    fn used(&self) -> Option<HostId> {
        self.registrar.usable().map(|relay| relay.host)
    }
}

#[test]
fn the_first_one_is_used_and_the_others_are_left_alone() {
    let mut world = World::new(2);
    world.run(100);
    assert_eq!((world.used(), world.sent), (Some(HostId([1; 8])), 2));
    world.run(250_000);
    assert_eq!(world.sent, 12);
    let (_, Some((forwarder, _))) = &world.relays[1] else { panic!("it is there") };
    assert_eq!(forwarder.counters().registrations, 0);
}

#[test]
fn the_next_one_is_used_while_the_first_one_is_lost() {
    let mut world = World::new(2);
    world.run(100);
    world.relays[0].1 = None;
    world.registrar.sent(world.now_ms);
    world.run(5_000);
    assert_eq!(world.used(), Some(HostId([2; 8])));
    world.start(1);
    world.run(26_000);
    assert_eq!(world.used(), Some(HostId([1; 8])));
}

#[test]
fn a_relay_that_started_anew_is_registered_with_soon_after_traffic() {
    let mut world = World::new(1);
    world.run(100);
    world.registrar.sent(world.now_ms);
    world.start(1);
    world.run(2_000);
    let (_, Some((forwarder, _))) = &world.relays[0] else { panic!("it is there") };
    assert_eq!(forwarder.counters().registrations, 1);
}

#[test]
fn answers_of_others_and_old_ones_do_not_count() {
    let mut world = World::new(1);
    let out = world.registrar.poll(0).unwrap();
    let own = OWN.parse().unwrap();
    let mut datagram = out.bytes;
    let (_, Some((forwarder, guests))) = &mut world.relays[0] else { panic!("it is there") };
    let Action::Send { length, .. } = forwarder.handle(guests, 0, own, &mut datagram[..out.length]) else {
        panic!("it is answered")
    };
    world.registrar.answered("203.0.113.66:6".parse().unwrap(), &datagram[..length], 5);
    assert_eq!(world.registrar.entries[0].cookie, 0);
    world.registrar.answered(out.to, &datagram[..length], 5);
    let cookie = world.registrar.entries[0].cookie;
    assert!(cookie != 0 && world.used().is_none());
    // The same answer again proves nothing.
    world.registrar.poll(6).unwrap();
    world.registrar.answered(out.to, &datagram[..length], 7);
    assert!(world.used().is_none());
}

#[test]
fn an_idle_host_sends_little() {
    let mut world = World::new(1);
    world.run(100);
    world.sent = 0;
    world.run(3_600_000);
    // With the headers of IP and UDP, there and back.
    let bytes_per_second = (world.sent * 2 * (27 + 28)) as f64 / 3_600.0;
    assert!(bytes_per_second < 4.5, "{bytes_per_second}");
}
