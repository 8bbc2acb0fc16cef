//! Two hosts in a simulated network that loses datagrams, closes ways and moves hosts. A failure prints its seed, and
//! `MUSTER_SEED=n` runs that one alone.

use super::*;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

fn for_seeds(count: u64, test: impl Fn(&mut Random)) {
    let alone = std::env::var("MUSTER_SEED").ok().and_then(|seed| seed.parse::<u64>().ok());
    for seed in alone.map_or(0..count, |seed| seed..seed + 1) {
        let run = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| test(&mut Random(seed))));
        if let Err(panic) = run {
            eprintln!("to repeat: MUSTER_SEED={seed}");
            std::panic::resume_unwind(panic);
        }
    }
}

fn at(text: &str) -> SocketAddr {
    text.parse().unwrap()
}

/// A host of the simulation: it has one address at a time on the LAN, and one outside.
struct Host {
    paths: Paths,
    lan: SocketAddr,
    public: SocketAddr,
    bytes: u64,
}

/// Milliseconds that a datagram takes.
const TRIP_MS: u64 = 20;
/// Of a probe and of a packet of a session, on the wire.
const PROBE: u64 = 49;

#[derive(Clone, Copy)]
enum What {
    Asks(u64),
    Answers(u64),
    Keeps,
    Data,
}

struct World {
    now_ms: u64,
    hosts: [Host; 2],
    lan_open: bool,
    /// Whether the world outside reaches the first host; it reaches the second one always.
    first_is_public: bool,
    loss: u64,
    /// When, from, to which host, what.
    under_way: Vec<(u64, SocketAddr, usize, What)>,
    relayed: u64,
    delivered: u64,
}

impl World {
    fn new(keepalives: [u16; 2]) -> World {
        let host = |seed: u8, lan: &str, public: &str| Host {
            paths: Paths::new([seed; 16], 0),
            lan: at(lan),
            public: at(public),
            bytes: 0,
        };
        let mut hosts = [host(1, "10.0.0.1:1", "192.0.2.1:1"), host(2, "10.0.0.2:2", "192.0.2.2:2")];
        let endpoints = [1, 0].map(|other| [(Reach::Lan, hosts[other].lan), (Reach::Public, hosts[other].public)]);
        for ((host, endpoints), keepalive_s) in hosts.iter_mut().zip(endpoints).zip(keepalives) {
            host.paths.update(&endpoints, keepalive_s, 0);
        }
        let (under_way, first_is_public) = (Vec::new(), true);
        World { now_ms: 0, hosts, lan_open: true, first_is_public, loss: 0, under_way, relayed: 0, delivered: 0 }
    }

    /// Puts a datagram on its way, if there is one.
    fn send(&mut self, from: usize, to: SocketAddr, what: What, random: &mut Random) {
        self.hosts[from].bytes += PROBE;
        let (sender, receiver) = (&self.hosts[from], &self.hosts[1 - from]);
        let by_lan = to == receiver.lan && self.lan_open;
        // A way out opens the way back in.
        let outside = to == receiver.public && (from == 0 || self.first_is_public || matches!(what, What::Answers(_)));
        if random.below(100) < self.loss || !(by_lan || outside) {
            return;
        }
        let source = if by_lan { sender.lan } else { sender.public };
        self.under_way.push((self.now_ms + TRIP_MS, source, 1 - from, what));
    }

    fn data(&mut self, from: usize, random: &mut Random) {
        let now_ms = self.now_ms;
        self.hosts[from].paths.sent(now_ms);
        match self.hosts[from].paths.current() {
            Some(direct) => self.send(from, direct.to, What::Data, random),
            None => self.relayed += 1,
        }
    }

    /// Lets time pass, with packets of those hosts each 100 ms.
    fn run(&mut self, ms: u64, talkers: &[usize], random: &mut Random) {
        let end_ms = self.now_ms + ms;
        while self.now_ms < end_ms {
            self.now_ms += 10;
            let now_ms = self.now_ms;
            let (arrived, rest) =
                std::mem::take(&mut self.under_way).into_iter().partition(|(at_ms, ..)| *at_ms <= now_ms);
            self.under_way = rest;
            let arrived: Vec<_> = arrived;
            for (_, from, to, what) in arrived {
                let paths = &mut self.hosts[to].paths;
                match what {
                    What::Asks(token) => {
                        paths.probed(from, now_ms);
                        self.send(to, from, What::Answers(token), random);
                    }
                    What::Answers(token) => paths.answered(from, token, now_ms),
                    What::Keeps => paths.probed(from, now_ms),
                    What::Data => {
                        self.delivered += 1;
                        paths.heard(from, now_ms);
                    }
                }
            }
            for host in 0..2 {
                let due = self.hosts[host].paths.next_ms(now_ms).is_some_and(|next_ms| next_ms <= now_ms);
                let mut count = 0;
                while let Some(out) = self.hosts[host].paths.poll(now_ms) {
                    assert!(due, "it was not known that there is something to send");
                    count += 1;
                    assert!(count < 20, "no end of probes");
                    self.send(host, out.to, if out.asks { What::Asks(out.token) } else { What::Keeps }, random);
                }
            }
            if now_ms.is_multiple_of(100) {
                talkers.iter().for_each(|talker| self.data(*talker, random));
            }
        }
    }

    fn ways(&self) -> [Option<SocketAddr>; 2] {
        [0, 1].map(|host: usize| self.hosts[host].paths.current().map(|direct| direct.to))
    }
}

#[test]
fn the_best_way_that_works_is_found_and_nothing_waits_for_it() {
    for_seeds(50, |random| {
        for (lan_open, loss) in [(true, 0), (true, 20), (false, 0), (false, 20)] {
            let mut world = World::new([0, 0]);
            (world.lan_open, world.loss) = (lan_open, loss);
            world.run(60_000, &[0, 1], random);
            let lan = [Some(at("10.0.0.2:2")), Some(at("10.0.0.1:1"))];
            let public = [Some(at("192.0.2.2:2")), Some(at("192.0.2.1:1"))];
            assert_eq!(world.ways(), if lan_open { lan } else { public }, "loss {loss}");
            let sent = 2 * 600;
            assert!(world.relayed + world.delivered > sent * 75 / 100, "{} {}", world.relayed, world.delivered);
        }
    });
}

#[test]
fn a_way_that_closes_is_left_within_five_seconds() {
    for_seeds(50, |random| {
        let mut world = World::new([0, 0]);
        world.run(5_000 + random.below(3_000), &[0, 1], random);
        world.lan_open = false;
        world.run(5_000, &[0, 1], random);
        let delivered = world.delivered;
        world.run(1_000, &[0, 1], random);
        assert_eq!(world.delivered - delivered, 20, "{:?}", world.ways());
        // It opens again, and is found again.
        world.lan_open = true;
        world.run(60_000, &[0, 1], random);
        assert_eq!(world.ways(), [Some(at("10.0.0.2:2")), Some(at("10.0.0.1:1"))]);
    });
}

#[test]
fn with_no_way_at_all_the_relay_is_used_within_five_seconds() {
    for_seeds(20, |random| {
        let mut world = World::new([0, 0]);
        world.run(5_000, &[0, 1], random);
        (world.lan_open, world.loss) = (false, 100);
        world.run(5_000, &[0, 1], random);
        assert_eq!(world.ways(), [None, None]);
    });
}

#[test]
fn a_moved_host_is_followed() {
    for_seeds(50, |random| {
        let mut world = World::new([0, 0]);
        world.lan_open = false;
        world.run(10_000 + random.below(5_000), &[0, 1], random);
        let moved = at("198.51.100.7:4711");
        world.hosts[0].public = moved;
        world.run(5_000, &[0, 1], random);
        assert_eq!(world.ways()[1], Some(moved));
        let delivered = world.delivered;
        world.run(1_000, &[0, 1], random);
        assert!(world.delivered - delivered >= 19, "{:?}", world.ways());
    });
}

#[test]
fn without_traffic_nothing_is_sent_but_keepalives() {
    for_seeds(5, |random| {
        let mut world = World::new([25, 0]);
        world.lan_open = false;
        world.run(30_000, &[0, 1], random);
        world.run(10_000, &[], random);
        world.hosts.iter_mut().for_each(|host| host.bytes = 0);
        world.run(3_600_000, &[], random);
        let [keeps, quiet] = [0, 1].map(|host: usize| world.hosts[host].bytes as f64 / 3_600.0);
        assert!(keeps < 2.3 && quiet < 0.5, "{keeps} and {quiet} bytes a second");
        assert!(world.hosts[1].paths.next_ms(world.now_ms).is_none());
    });
}

#[test]
fn who_is_not_there_costs_little() {
    for_seeds(5, |random| {
        let mut world = World::new([25, 25]);
        world.loss = 100;
        world.run(600_000, &[], random);
        world.hosts.iter_mut().for_each(|host| host.bytes = 0);
        world.run(3_600_000, &[], random);
        for host in &world.hosts {
            assert!(host.bytes as f64 / 3_600.0 < 2.5, "{} bytes an hour", host.bytes);
        }
    });
}

#[test]
fn a_replay_moves_nothing_and_is_answered_with_one_probe() {
    let mut paths = Paths::new([1; 16], 0);
    paths.update(&[(Reach::Public, at("192.0.2.1:1"))], 0, 0);
    let first = paths.poll(0).unwrap();
    paths.answered(first.to, first.token, 20);
    let thief = at("203.0.113.66:6");
    for now_ms in (100..60_000).step_by(100) {
        paths.sent(now_ms);
        paths.heard(at("192.0.2.1:1"), now_ms);
        paths.probed(thief, now_ms);
        paths.answered(thief, first.token, now_ms);
        let mut probes = 0;
        while let Some(out) = paths.poll(now_ms) {
            probes += 1;
            assert_eq!(out.to, thief);
        }
        assert!(probes <= 1);
        assert_eq!(paths.current().map(|direct| direct.to), Some(at("192.0.2.1:1")));
    }
    assert!(paths.candidates.len() <= 1 + LEARNED);
}

#[test]
fn many_addresses_take_no_memory_and_the_way_stays() {
    let mut paths = Paths::new([1; 16], 0);
    let used = at("192.0.2.1:1");
    paths.heard(used, 1);
    for number in 0..10_000u16 {
        paths.probed(SocketAddr::new([203, 0, 113, 1].into(), number), 2);
    }
    assert_eq!(paths.current().map(|direct| direct.to), Some(used));
    assert!(paths.candidates.len() <= LEARNED);
}

#[test]
fn what_is_known_of_endpoints_that_stay_is_kept() {
    let mut paths = Paths::new([1; 16], 0);
    let (lan, public) = (at("10.0.0.1:1"), at("192.0.2.1:1"));
    paths.update(&[(Reach::Lan, lan), (Reach::Public, public)], 0, 0);
    paths.heard(public, 5);
    paths.update(&[(Reach::Public, public)], 25, 10);
    assert_eq!(paths.current(), Some(Direct { to: public, reach: Reach::Public }));
    paths.update(&[(Reach::Lan, lan)], 25, 20);
    assert_eq!(paths.current().map(|direct| direct.to), Some(public));
    let called: Vec<_> = std::iter::from_fn(|| paths.poll(20)).map(|out| out.to).collect();
    assert_eq!(called, [lan]);
    paths.heard(at("10.0.0.1:9"), 30);
    assert_eq!(paths.candidates.len(), 3);
}
