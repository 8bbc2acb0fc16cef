use super::super::basis::{Acceptance, Told};
use super::super::member::Container;
use super::super::names::{self, Unnamed};
use super::super::samples::{basis, container, hello, host};
use super::super::secrets::Secrets;
use super::super::settings::Settings;
use super::*;
use muster_protocol::id::EngineId;
use muster_protocol::record::{Reader, Record};
use muster_protocol::seeded::{Random, for_seeds};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

fn records<'a>(messages: &'a [Vec<u8>]) -> Vec<Record<'a>> {
    let mut all = Vec::new();
    for message in messages {
        assert!(message.len() <= limits::NETWORK_MESSAGE);
        let mut reader = Reader::message(message).expect("a message");
        while let Some(record) = reader.next_record().expect("well formed") {
            all.push(record);
        }
    }
    all
}

fn of_kind<'a, T: serde::Deserialize<'a>>(plan: &'a Plan, kind: Kind) -> Vec<T> {
    let records = plan.records().filter(|(key, _)| key.kind == kind as u8);
    records.map(|(_, payload)| postcard::from_bytes(payload).expect("it decodes")).collect()
}

fn own(plan: &Plan) -> NetworkPlan<'_> {
    of_kind(plan, Kind::NetworkPlan).remove(0)
}

/// What an agent holds, as `WIRE.md` says it takes over what it is told.
#[derive(Default)]
struct Agent(BTreeMap<(u8, HostId, String), Vec<u8>>);

impl Agent {
    fn sum(&self) -> u64 {
        self.0.iter().fold(0, |all, ((kind, ..), payload)| all.wrapping_add(sum(*kind, payload)))
    }

    fn hear(&mut self, messages: &[Vec<u8>]) {
        let mut new = self.0.clone();
        let mut fresh = BTreeMap::new();
        for record in records(messages) {
            let kind = record.kind as u8;
            let key = match record.kind {
                Kind::NetworkPlan => (kind, SERVER, String::new()),
                Kind::NetworkPeer => (kind, record.decode::<NetworkPeer<'_>>().unwrap().host, String::new()),
                Kind::NetworkRelay => (kind, record.decode::<NetworkRelay<'_>>().unwrap().host, String::new()),
                Kind::NetworkGuest => (kind, record.decode::<NetworkGuest>().unwrap().host, String::new()),
                Kind::NetworkName => {
                    let name: NetworkName<'_> = record.decode().unwrap();
                    (kind, name.host, name.name.to_owned())
                }
                Kind::NetworkGone => {
                    let gone: NetworkGone<'_> = record.decode().unwrap();
                    assert!(new.remove(&(gone.kind, gone.host, gone.name.to_owned())).is_some(), "it was never there");
                    continue;
                }
                Kind::NetworkSum => {
                    let end: NetworkSum = record.decode().unwrap();
                    self.0 = if end.whole { std::mem::take(&mut fresh) } else { new.clone() };
                    assert_eq!(self.sum(), end.sum);
                    continue;
                }
                other => panic!("{other:?} in a plan"),
            };
            fresh.insert(key.clone(), record.payload.to_vec());
            new.insert(key, record.payload.to_vec());
        }
    }
}

#[test]
fn hosts_are_told_of_each_other() {
    let mut basis = basis([1, 2]);
    basis.relay = Some(7443);
    let plan = plan(&basis, host(1));
    let place = own(&plan);
    assert_eq!((place.refused, place.slot, place.mtu), (0, 1, 1280));
    assert_eq!(place.blocks[..], [Prefix::parse("10.42.0.0/26").unwrap()]);
    let peers: Vec<NetworkPeer<'_>> = of_kind(&plan, Kind::NetworkPeer);
    assert_eq!(peers.len(), 1);
    assert_eq!((peers[0].host, peers[0].name, peers[0].key, peers[0].slot), (host(2), "board-2", [2; 32], 2));
    assert_eq!(peers[0].blocks[..], [Prefix::parse("10.42.0.64/26").unwrap()]);
    let relays: Vec<NetworkRelay<'_>> = of_kind(&plan, Kind::NetworkRelay);
    assert_eq!((relays.len(), relays[0].host, relays[0].endpoint), (1, SERVER, ":7443"));
    assert!(guests(&basis).contains(&(1, relays[0].secret)));
}

#[test]
fn who_has_no_place_is_told_why_and_nothing_else() {
    let why = |basis: &Basis, number| {
        let plan = plan(basis, host(number));
        assert_eq!((plan.records().count(), own(&plan).blocks.len(), own(&plan).slot), (1, 0, 0));
        own(&plan).refused
    };
    let mut all = basis([1, 2]);
    all.enabled = false;
    assert_eq!(why(&all, 1), NoPlace::NotEnabled as u8);
    all.enabled = true;
    let mut narrow = hello(3);
    narrow.offer.accepted = Prefix::parse("10.42.0.0/17").unwrap();
    all.hear(host(3), "c", &narrow);
    all.hear(host(2), "b", &super::super::basis::Hello { key: [9; 32], ..hello(2) });
    all.hear(host(4), "d", &hello(1));
    all.settle();
    assert_eq!(why(&all, 3), NoPlace::NotAccepted as u8);
    assert_eq!(why(&all, 2), NoPlace::KeyChanged as u8);
    assert_eq!(why(&all, 4), NoPlace::KeyTaken as u8);
    let peers = plan(&all, host(1));
    let peers: Vec<NetworkPeer<'_>> = of_kind(&peers, Kind::NetworkPeer);
    assert_eq!(peers.len(), 1, "the one with the other key stays there under the first one");
    assert_eq!(peers[0].key, [2; 32]);
    assert_eq!(all.accept(host(1), &[9; 32]), Acceptance::Nothing);
    assert_eq!(all.accept(host(2), &[9; 32]), Acceptance::Done);
    all.settle();
    assert_eq!(own(&plan(&all, host(2))).refused, 0);
    let mut full = basis([]);
    full.set(Settings { range: Prefix::parse("10.42.0.0/26").unwrap(), ..Settings::default() });
    for number in [1, 2] {
        full.hear(host(number), "x", &hello(number));
    }
    full.settle();
    assert_eq!((own(&plan(&full, host(1))).refused, why(&full, 2)), (0, NoPlace::Full as u8));
    full.remove(host(1));
    full.settle();
    assert_eq!(own(&plan(&full, host(2))).refused, 0, "there is room now");
}

#[test]
fn hosts_that_offer_it_relay_for_those_that_reach_them() {
    let mut all = basis([]);
    all.relay = Some(7443);
    for number in 1..=7 {
        let mut hello = hello(number);
        let observed: IpAddr = [198, 51, 100, number].into();
        hello.offer.relays = number >= 2;
        // The last one is behind NAT: nobody reaches it.
        hello.offer.addresses = if number < 7 { vec![observed] } else { vec![[192, 168, 0, 1].into()] };
        all.hear(host(number), "x", &hello);
        all.observe(number.into(), observed);
    }
    all.settle();
    let relays_of = |number| -> Vec<HostId> {
        of_kind::<NetworkRelay<'_>>(&plan(&all, host(number)), Kind::NetworkRelay).iter().map(|it| it.host).collect()
    };
    assert_eq!(relays_of(1), [SERVER, host(2), host(3), host(4)]);
    assert_eq!(relays_of(2), [SERVER, host(3), host(4), host(5)]);
    let of_two = plan(&all, host(2));
    let guests: Vec<NetworkGuest> = of_kind(&of_two, Kind::NetworkGuest);
    assert_eq!(guests.iter().map(|guest| guest.slot).collect::<Vec<_>>(), [1, 3, 4, 5, 6, 7]);
    let of_one = plan(&all, host(1));
    let theirs: Vec<NetworkRelay<'_>> = of_kind(&of_one, Kind::NetworkRelay);
    assert_eq!(theirs[1].secret, guests[0].secret);
    assert_ne!(theirs[1].secret, theirs[2].secret, "each relay has its own");
    assert!(of_kind::<NetworkGuest>(&plan(&all, host(7)), Kind::NetworkGuest).is_empty());
}

#[test]
fn names_are_of_containers_that_are_there_and_the_first_has_it() {
    let mut all = basis([1, 2]);
    let address = |block: u32, number: u32| all.settings.block(block).first + number;
    let told = [
        container(1, "Shop_DB.1", address(0, 5)),
        container(2, "shop-db-1", address(0, 6)),
        container(3, "elsewhere", address(1, 5)),
        Told::Is(Container { id: EngineId([4; 32]), name: "refused".into(), joined: Err("network mode host".into()) }),
        container(5, "gone", address(0, 7)),
        Told::Gone(EngineId([5; 32])),
    ];
    let first = address(0, 5);
    all.tell(host(1), &told);
    all.settle();
    assert!(all.names().is_empty(), "nobody has asked for names");
    all.settings.names = true;
    all.settle();
    for number in [1, 2] {
        let plan = plan(&all, host(number));
        let names: Vec<NetworkName<'_>> = of_kind(&plan, Kind::NetworkName);
        let names: Vec<_> = names.iter().map(|it| (it.host, it.host_label, it.name, it.address)).collect();
        assert_eq!(names, [(host(1), "board-1", "shop-db-1", first)]);
    }
}

#[test]
fn a_host_that_is_called_nearly_as_another_one_takes_no_name_of_its() {
    let mut all = basis([]);
    all.settings.names = true;
    for (number, name) in [(1, "pi.1"), (2, "PI-1"), (3, "__")] {
        all.hear(host(number), name, &hello(number));
    }
    all.settle();
    for number in 1..4 {
        let first = all.settings.block(u32::from(number) - 1).first;
        all.tell(host(number), &[container(number, "web", first + 5)]);
    }
    all.settle();
    let held = |all: &Basis| all.names().iter().map(|it| (it.host, it.host_label.clone())).collect::<Vec<_>>();
    assert_eq!(held(&all), [(host(1), "pi-1".to_owned())]);
    let taken = Unnamed::Taken { label: "pi-1".into(), by: "pi.1".into() };
    assert_eq!(names::hosts(&all)[&host(2)], Err(taken));
    assert_eq!(names::hosts(&all)[&host(3)], Err(Unnamed::Unfit));
    // One without a place just now keeps it.
    let mut narrow = hello(1);
    narrow.offer.accepted = Prefix::parse("10.42.0.0/17").unwrap();
    all.hear(host(1), "pi.1", &narrow);
    all.settle();
    assert_eq!(held(&all), []);
    all.remove(host(1));
    all.settle();
    assert_eq!(held(&all), [(host(2), "pi-1".to_owned())], "who goes leaves it");
}

#[test]
fn no_host_takes_over_the_name_of_another_one() {
    for_seeds(300, |random| {
        let mut all = basis([]);
        all.settings.names = true;
        for _ in 0..60 {
            let before = all.clone();
            let number = 1 + random.below(8) as u8;
            let name = ["a.b", "A-B", "a_b", "a-b-", "ab", "AB", "..", "x"][random.below(8)];
            // What hosts do, and operators who take one out; to call one otherwise is for those who see what comes of it.
            match random.below(4) {
                0 => all.remove(host(number)),
                1 => {
                    let known = before.member(host(number)).map_or(name, |member| &member.name).to_owned();
                    all.hear(host(number), &known, &hello(1 + random.below(8) as u8));
                }
                _ if before.member(host(number)).is_none() => all.hear(host(number), name, &hello(number)),
                _ => all.tell(host(number), &[container(number, name, random.number() as u32)]),
            }
            all.settle();
            let (was, is) = (names::hosts(&before), names::hosts(&all));
            for (host, label) in was.iter().filter_map(|(host, label)| Some((host, label.as_ref().ok()?))) {
                assert!(!is.contains_key(host) || is[host].as_ref() == Ok(label), "{label} was {host:?}'s: {is:?}");
            }
            let held: Vec<&String> = is.values().filter_map(|label| label.as_ref().ok()).collect();
            assert_eq!(held.iter().collect::<BTreeSet<_>>().len(), held.len(), "{is:?}");
            assert!(all.names().iter().all(|name| is[&name.host].as_ref() == Ok(&name.host_label)));
        }
    });
}

/// Something happens.
fn step(basis: &mut Basis, random: &mut Random) {
    let number = 1 + random.below(12) as u8;
    match random.below(10) {
        0 => basis.remove(host(number)),
        1 => basis.observe(random.below(20) as u32, [198, 51, 100, random.below(3) as u8].into()),
        2 => basis.rename(host(number), &format!("name-{}", random.below(9))),
        3 => {
            let address = basis.settings.range.first + random.below(70_000) as u32;
            basis.tell(host(number), &[container(random.below(9) as u8, &format!("c{}", random.below(5)), address)]);
        }
        4 => {
            let key = basis.member(host(number)).and_then(|member| member.other_key).unwrap_or([9; 32]);
            basis.accept(host(number), &key);
        }
        5 if random.one_in(4) => basis.enabled = !basis.enabled,
        5 => basis.settings.names = random.one_in(2),
        6 => basis.relay = random.one_in(2).then_some(7443),
        _ => {
            let mut hello = hello(number);
            hello.offer.blocks = random.below(20) as u8;
            hello.offer.relays = random.one_in(3);
            hello.offer.addresses = vec![[198, 51, 100, random.below(3) as u8].into(), [192, 168, 1, number].into()];
            if random.one_in(5) {
                hello.key = [1 + random.below(20) as u8; 32];
            }
            if random.one_in(9) {
                hello.offer.accepted = Prefix::parse("10.99.0.0/16").unwrap();
            }
            basis.hear(host(number), &format!("board-{number}"), &hello);
        }
    }
    basis.settle();
}

fn held(basis: &Basis) -> BTreeMap<HostId, Vec<u32>> {
    basis.members().map(|member| (member.host, member.blocks.clone())).collect()
}

#[test]
fn blocks_never_overlap_and_stay_with_their_hosts() {
    for_seeds(200, |random| {
        let mut all = basis([]);
        // Few enough that they run out.
        all.set(Settings { range: Prefix::parse("10.42.0.0/22").unwrap(), block_length: 26, ..Settings::default() });
        for _ in 0..120 {
            let before = held(&all);
            step(&mut all, random);
            let after = held(&all);
            for (host, blocks) in &before {
                if let Some(now) = after.get(host) {
                    assert!(now.starts_with(blocks), "{host} had {blocks:?} and has {now:?}");
                }
            }
            let given: Vec<u32> = after.values().flatten().copied().collect();
            let different: BTreeSet<u32> = given.iter().copied().collect();
            assert_eq!(given.len(), different.len(), "a block is held twice: {after:?}");
            assert!(different.iter().all(|index| *index < 16) && all.pool.held() as usize == given.len());
            assert!(after.values().all(|blocks| blocks.len() <= limits::NETWORK_BLOCKS));
            for member in all.members() {
                let plan = plan(&all, member.host);
                let mut routed: Vec<Prefix> = own(&plan).blocks.to_vec();
                routed.extend(
                    of_kind::<NetworkPeer<'_>>(&plan, Kind::NetworkPeer).iter().flat_map(|it| it.blocks.clone()),
                );
                for (at, one) in routed.iter().enumerate() {
                    assert!(all.settings.range.covers(*one));
                    assert!(routed[at + 1..].iter().all(|other| !one.overlaps(*other)), "{routed:?}");
                }
            }
        }
    });
}

#[test]
fn a_restart_changes_nothing_but_what_relays_are_told() {
    for_seeds(60, |random| {
        let mut all = basis([]);
        (0..60).for_each(|_| step(&mut all, random));
        let (next, freed) = all.pool.parts();
        let members = all.members().map(|member| (**member).clone()).collect();
        let place = (all.enabled, all.settings.clone());
        let mut again = Basis::restored(Secrets::of(&[7; 32]), place, (all.next_slot, next, &freed), members);
        again.relay = all.relay;
        assert_eq!((again.pool.parts(), again.next_slot), (all.pool.parts(), all.next_slot));
        for member in all.members() {
            assert_eq!(plan(&again, member.host), plan(&all, member.host));
        }
    });
}

#[test]
fn what_is_sent_is_what_differs_and_brings_an_agent_to_the_same_sum() {
    for_seeds(100, |random| {
        let mut all = basis([]);
        let mut agents: BTreeMap<u8, (Agent, Outline)> = BTreeMap::new();
        for _ in 0..60 {
            step(&mut all, random);
            for number in 1..=12 {
                let plan = plan(&all, host(number));
                match agents.get_mut(&number) {
                    None => {
                        let mut agent = Agent::default();
                        agent.hear(&plan.whole());
                        agents.insert(number, (agent, plan.outline()));
                    }
                    Some((agent, outline)) => {
                        let messages = plan.changes(outline);
                        assert_eq!(messages.is_empty(), plan.outline() == *outline, "only what differs is told");
                        let told = records(&messages);
                        let is_told = |key: &Key, payload: &[u8]| {
                            told.iter().any(|record| record.kind as u8 == key.kind && record.payload == payload)
                        };
                        for (key, payload) in plan.records() {
                            let is_known = outline.records.get(key) == Some(&sum(key.kind, payload));
                            assert_eq!(is_told(key, payload), !is_known);
                        }
                        agent.hear(&messages);
                        *outline = plan.outline();
                    }
                }
                let (agent, outline) = &agents[&number];
                assert_eq!((agent.sum(), outline.sum()), (plan.sum(), plan.sum()));
                let held: BTreeMap<Key, Vec<u8>> = agent
                    .0
                    .iter()
                    .map(|((kind, host, name), payload)| {
                        (Key { kind: *kind, host: *host, name: name.clone() }, payload.clone())
                    })
                    .collect();
                assert_eq!(held, plan.records);
            }
        }
    });
}

#[test]
fn the_order_in_which_hosts_come_decides_on_blocks_and_on_nothing_else() {
    for_seeds(40, |random| {
        let mut numbers: Vec<u8> = (1..=8).collect();
        let make = |numbers: &[u8], hellos: &BTreeMap<u8, super::super::basis::Hello>| {
            let mut all = basis([]);
            for number in numbers {
                all.hear(host(*number), &format!("board-{number}"), &hellos[number]);
            }
            for member in all.members().map(|member| (member.slot, member.host)).collect::<Vec<_>>() {
                all.observe(member.0, [198, 51, 100, member.1.0[0] % 3].into());
            }
            all.settle();
            all
        };
        let hellos: BTreeMap<u8, _> = numbers
            .iter()
            .map(|number| {
                let mut hello = hello(*number);
                hello.offer.addresses = vec![[198, 51, 100, number % 3].into(), [192, 168, 1, *number].into()];
                hello.offer.addresses.truncate(random.below(3));
                (*number, hello)
            })
            .collect();
        let one = make(&numbers, &hellos);
        for at in (1..numbers.len()).rev() {
            numbers.swap(at, random.below(at + 1));
        }
        let other = make(&numbers, &hellos);
        let shown = |all: &Basis, number: u8| -> Vec<_> {
            let plan = plan(all, host(number));
            let peers: Vec<NetworkPeer<'_>> = of_kind(&plan, Kind::NetworkPeer);
            let show = |it: &NetworkPeer<'_>| format!("{} {} {:?} {}", it.host, it.name, it.endpoints, it.keepalive_s);
            peers.iter().map(show).collect()
        };
        for number in 1..=8 {
            assert_eq!(shown(&one, number), shown(&other, number));
        }
    });
}

#[test]
fn a_plan_of_the_most_hosts_and_names_fits_into_messages() {
    let mut all = basis([]);
    all.settings.names = true;
    for number in 0..1025u32 {
        let mut id = [0; 8];
        id[..4].copy_from_slice(&number.to_be_bytes());
        let mut key = [1; 32];
        key[..4].copy_from_slice(&number.to_be_bytes());
        all.hear(HostId(id), &"n".repeat(64), &super::super::basis::Hello { key, ..hello(1) });
    }
    all.settle();
    let placed = all.placed().count();
    assert_eq!(placed, 1024, "there are no more blocks");
    let first = all.placed().next().expect("one").host;
    let plan = plan(&all, first);
    let mut agent = Agent::default();
    agent.hear(&plan.whole());
    assert_eq!(agent.0.len(), placed, "itself and all others");
}
