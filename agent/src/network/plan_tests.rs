use super::*;
use crate::network::peers::Known;
use crate::network::records::{Pending, Taken};
use crate::network::store::PEERS_KEPT;
use muster_protocol::network::{NetworkSum, sum};
use muster_protocol::record::{Reader, Writer};

fn prefix(text: &str) -> Prefix {
    Prefix::parse(text).expect("a prefix")
}

fn plan<'a>(range: &str, blocks: &[&str]) -> NetworkPlan<'a> {
    NetworkPlan {
        range: prefix(range),
        label: "net=on",
        names: true,
        mtu: 1380,
        slot: 7,
        refused: 0,
        blocks: blocks.iter().map(|block| prefix(block)).collect(),
    }
}

fn peer<'a>(host: u8, key: u8, blocks: &[&str], endpoints: &[&'a str]) -> NetworkPeer<'a> {
    NetworkPeer {
        host: HostId([host; 8]),
        name: "pi",
        key: [key; 32],
        slot: host.into(),
        keepalive_s: 25,
        blocks: blocks.iter().map(|block| prefix(block)).collect(),
        endpoints: endpoints.iter().map(|text| (Reach::Public as u8, *text)).collect(),
    }
}

/// Records of these, as if a server had said them.
fn records(write: impl FnOnce(&mut Writer<'_>)) -> Records {
    let mut buffer = vec![0; 64 * 1024];
    let mut writer = Writer::message(&mut buffer).expect("room");
    write(&mut writer);
    let bytes = writer.as_bytes().to_vec();
    let (mut records, mut pending, mut all) = (Records::default(), Pending::default(), 0u64);
    let mut reader = Reader::message(&bytes).expect("a message");
    while let Some(record) = reader.next_record().expect("records") {
        all = all.wrapping_add(sum(record.kind as u8, record.payload));
        records.take(&mut pending, record).expect("a record");
    }
    let mut buffer = [0; 32];
    let payload = postcard::to_slice(&NetworkSum { whole: true, sum: all }, &mut buffer).expect("encoded");
    let end = muster_protocol::record::Record { kind: Kind::NetworkSum, payload };
    assert_eq!(records.take(&mut pending, end), Ok(Taken::Changed));
    records
}

fn of(plan: &NetworkPlan<'_>, peers: &[NetworkPeer<'_>]) -> Records {
    records(|writer| {
        writer.record(Kind::NetworkPlan, plan).expect("room");
        peers.iter().for_each(|peer| writer.record(Kind::NetworkPeer, peer).expect("room"));
    })
}

fn judge(remembered: &Peers) -> Judge<'_> {
    Judge {
        accepted: prefix("10.0.0.0/8"),
        own_key: [0xee; 32],
        server: "192.0.2.1".parse().ok(),
        remembered,
        today: Some(21_000),
        cannot_remember: None,
        label: None,
    }
}

fn view(records: &Records, remembered: &Peers) -> View {
    View::of(records, &judge(remembered))
}

fn fresh(records: &Records) -> View {
    view(records, &Peers::default())
}

#[test]
fn a_plan_gives_place_peers_and_routes() {
    let peers =
        [peer(1, 1, &["10.42.0.64/26", "10.42.9.0/26"], &["192.0.2.7:51820"]), peer(2, 2, &["10.42.0.128/26"], &[])];
    let view = fresh(&of(&plan("10.42.0.0/16", &["10.42.0.0/26"]), &peers));
    let place = view.place.expect("a place");
    assert_eq!((place.gateway(), place.mtu), (prefix("10.42.0.1/32").first, 1380));
    assert_eq!(place.label, ("net".into(), "on".into()));
    assert_eq!(view.remote, [prefix("10.42.0.64/26"), prefix("10.42.0.128/26"), prefix("10.42.9.0/26")]);
    assert_eq!((view.table.slot, view.table.own.len(), view.table.peers.len()), (7, 1, 2));
    assert_eq!(view.remember.map(|peers| peers.len()), Some(2));
    assert_eq!(view.refused, Vec::<String>::new());
}

#[test]
fn a_range_outside_the_accepted_one_is_refused_whole() {
    for (range, block) in
        [("192.168.0.0/16", "192.168.0.0/26"), ("0.0.0.0/0", "10.0.0.0/26"), ("10.0.0.0/7", "10.0.0.0/26")]
    {
        let Some(range) = Prefix::parse(range) else { continue };
        let plan = NetworkPlan { range, ..plan("10.42.0.0/16", &[block]) };
        let view = fresh(&of(&plan, &[peer(1, 1, &["10.42.0.64/26"], &[])]));
        assert_eq!((view.place, view.table, view.remote.len()), (None, Table::default(), 0), "{range}");
        assert_eq!(view.refused.len(), 1);
    }
}

#[test]
fn own_blocks_that_are_none_are_refused() {
    let wrong =
        [vec![], vec!["10.43.0.0/26"], vec!["10.42.0.0/31"], vec!["10.42.0.0/26", "10.42.0.32/27"], vec!["10.0.0.0/8"]];
    for blocks in wrong {
        let view = fresh(&of(&plan("10.42.0.0/16", &blocks), &[]));
        assert!(view.place.is_none() && view.refused.len() == 1, "{blocks:?}");
    }
    let mut bits = plan("10.42.0.0/16", &["10.42.0.0/26"]);
    bits.blocks[0].first += 1;
    assert!(fresh(&of(&bits, &[])).place.is_none(), "bits beyond the length");
    for mtu in [0, 500, u16::MAX] {
        let plan = NetworkPlan { mtu, ..plan("10.42.0.0/16", &["10.42.0.0/26"]) };
        assert!(fresh(&of(&plan, &[])).place.is_none(), "{mtu}");
    }
    let refused = NetworkPlan { refused: NoPlace::NotEnabled as u8, ..plan("10.42.0.0/16", &["10.42.0.0/26"]) };
    assert!(fresh(&of(&refused, &[])).refused[0].contains("network enable"));
}

#[test]
fn peers_get_only_what_is_in_the_range_and_nobody_elses() {
    let peers = [
        peer(1, 1, &["10.42.0.0/26"], &[]),
        peer(2, 2, &["10.42.1.0/26", "10.42.1.32/27"], &[]),
        peer(3, 3, &["10.42.1.0/24"], &[]),
        peer(4, 4, &["10.43.0.0/26", "0.0.0.0/0", "10.0.0.0/8"], &[]),
        peer(5, 5, &["10.42.7.0/26"], &[]),
    ];
    let view = fresh(&of(&plan("10.42.0.0/16", &["10.42.0.0/26"]), &peers));
    assert_eq!(view.remote, [prefix("10.42.1.0/26"), prefix("10.42.7.0/26")]);
    assert_eq!(view.refused.len(), 1 + 1 + 1 + 3);
    assert_eq!(view.table.peers.len(), 5, "they stay reachable for those that they serve rightly");
}

#[test]
fn a_key_is_taken_at_first_sight_and_a_change_is_refused() {
    let plan = plan("10.42.0.0/16", &["10.42.0.0/26"]);
    let first = fresh(&of(&plan, &[peer(1, 1, &["10.42.0.64/26"], &[])]));
    let remembered = first.remember.expect("something new");
    let changed = of(&plan, &[peer(1, 9, &["10.42.0.64/26"], &[]), peer(2, 2, &["10.42.0.128/26"], &[])]);
    let seen = view(&changed, &remembered);
    assert_eq!(seen.changed_keys, BTreeSet::from([HostId([1; 8])]));
    let keys: Vec<[u8; 32]> = seen.table.peers.iter().map(|peer| peer.key).collect();
    assert_eq!(keys, [[1; 32], [2; 32]], "the first one stays");
    assert_eq!(seen.remote.len(), 2);
    assert!(seen.refused[0].contains("network accept"), "{:?}", seen.refused);
    assert_eq!(seen.remember.expect("another peer").get(HostId([1; 8])).and_then(|known| known.key), Some([1; 32]));
    // Nobody has no key, this host's, or another peer's.
    let odd = [peer(3, 0, &[], &[]), peer(4, 0xee, &[], &[]), peer(5, 5, &[], &[]), peer(6, 5, &[], &[])];
    let odd = fresh(&of(&plan, &odd));
    assert_eq!((odd.table.peers.len(), odd.refused.len()), (1, 3));
}

#[test]
fn a_peer_that_cannot_be_remembered_is_refused_and_those_that_are_stay() {
    let host = |number: usize| HostId((number as u64 + 1).to_be_bytes());
    let plan = plan("10.42.0.0/16", &["10.42.0.0/26"]);
    let mut peers = [peer(0, 1, &[], &[]), peer(0, 2, &[], &[])];
    (peers[0].host, peers[1].host) = (host(0), host(PEERS_KEPT));
    let records = of(&plan, &peers);
    let of_others = |hosts: std::ops::Range<usize>| {
        let mut remembered = Peers::default();
        hosts.for_each(|number| *remembered.entry(host(number)) = Known::with_key([1; 32]));
        remembered
    };
    let full = view(&records, &of_others(0..PEERS_KEPT));
    assert_eq!(full.table.peers.iter().map(|peer| peer.host).collect::<Vec<_>>(), [host(0)]);
    assert!(full.refused.len() == 1 && full.refused[0].contains("too many hosts were seen before"));
    let room = view(&records, &of_others(0..PEERS_KEPT - 1));
    assert_eq!((room.table.peers.len(), room.refused.len()), (2, 0));
    // Room for one of two.
    let one = view(&records, &of_others(1..PEERS_KEPT));
    assert_eq!((one.table.peers.len(), one.refused.len()), (1, 1));
}

/// A plan with these peers, and what was remembered of the one before.
fn then(remembered: &mut Peers, day: u32, peers: &[NetworkPeer<'_>]) -> View {
    let records = of(&plan("10.42.0.0/16", &["10.42.0.0/26"]), peers);
    let mut view = View::of(&records, &Judge { today: Some(day), ..judge(remembered) });
    if let Some(peers) = view.remember.take() {
        *remembered = peers;
    }
    view
}

#[test]
fn a_block_that_was_another_peers_at_first_is_refused_until_it_is_accepted() {
    let mut remembered = Peers::default();
    let (old, new) = (peer(1, 1, &["10.42.8.64/26"], &[]), peer(9, 9, &["10.42.8.64/26"], &[]));
    assert_eq!(then(&mut remembered, 21_000, &[old.clone(), peer(2, 2, &["10.42.0.128/26"], &[])]).remote.len(), 2);
    // Given to a new one or to one that is known, whole or in part, while the first one is there and when it is not.
    let bare = peer(1, 1, &[], &[]);
    for peers in [
        vec![bare.clone(), new.clone()],
        vec![new.clone()],
        vec![bare.clone(), peer(2, 2, &["10.42.0.128/26", "10.42.8.64/26"], &[])],
        vec![bare.clone(), peer(9, 9, &["10.42.8.96/27"], &[])],
        vec![bare.clone(), peer(9, 9, &["10.42.8.0/25"], &[])],
    ] {
        let view = then(&mut remembered, 21_001, &peers);
        assert!(!view.remote.iter().any(|block| block.overlaps(prefix("10.42.8.64/26"))), "{peers:?}");
        assert!(view.refused.len() == 1 && view.refused[0].contains("network accept"), "{:?}", view.refused);
        assert_eq!(view.refused_peers.len(), 1);
    }
    // Its own it has again.
    assert_eq!(then(&mut remembered, 21_001, std::slice::from_ref(&old)).remote, [prefix("10.42.8.64/26")]);
    assert!(remembered.accept(HostId([9; 8])));
    let accepted = then(&mut remembered, 21_001, &[bare, new.clone()]);
    assert_eq!((accepted.remote.len(), accepted.refused.len(), accepted.noted.len()), (1, 0, 1));
    // From then on it is the other's that is refused.
    let view = then(&mut remembered, 21_001, &[old]);
    assert_eq!((view.remote.len(), view.refused.len()), (0, 1));
}

#[test]
fn the_block_of_a_host_that_is_gone_for_long_is_free() {
    let mut remembered = Peers::default();
    let (old, new) = (peer(1, 1, &["10.42.0.64/26"], &[]), peer(9, 9, &["10.42.0.64/26"], &[]));
    then(&mut remembered, 21_000, std::slice::from_ref(&old));
    then(&mut remembered, 21_010, &[]);
    assert_eq!(then(&mut remembered, 21_016, std::slice::from_ref(&new)).refused.len(), 1);
    // It was there again meanwhile.
    then(&mut remembered, 21_017, &[old]);
    then(&mut remembered, 21_018, &[]);
    assert_eq!(then(&mut remembered, 21_024, std::slice::from_ref(&new)).refused.len(), 1);
    let view = then(&mut remembered, 21_025, &[new]);
    assert_eq!((view.remote.len(), view.refused.len(), view.noted.len()), (1, 0, 1));
    // A clock that is not set makes nobody's block free.
    let records = of(&plan("10.42.0.0/16", &["10.42.0.0/26"]), &[peer(3, 3, &["10.42.0.64/26"], &[])]);
    then(&mut remembered, 21_030, &[]);
    assert_eq!(View::of(&records, &Judge { today: None, ..judge(&remembered) }).refused.len(), 1);
}

#[test]
fn nothing_new_is_used_that_cannot_be_remembered() {
    let mut remembered = Peers::default();
    then(&mut remembered, 21_000, &[peer(1, 1, &["10.42.0.64/26"], &[])]);
    let peers = [peer(1, 1, &["10.42.0.64/26", "10.42.1.0/26"], &[]), peer(2, 2, &["10.42.0.128/26"], &[])];
    let records = of(&plan("10.42.0.0/16", &["10.42.0.0/26"]), &peers);
    let view = View::of(&records, &Judge { cannot_remember: Some("the disk is full"), ..judge(&remembered) });
    assert_eq!(view.remote, [prefix("10.42.0.64/26")]);
    assert_eq!((view.table.peers.len(), view.remember, view.refused.len()), (1, None, 2));
    assert!(view.refused.iter().all(|line| line.ends_with("the disk is full")), "{:?}", view.refused);
}

#[test]
fn a_damaged_line_makes_nobody_new() {
    let mut remembered = Peers::default();
    then(&mut remembered, 21_000, &[peer(1, 1, &["10.42.0.64/26"], &[]), peer(2, 2, &["10.42.0.128/26"], &[])]);
    let text = remembered.to_text().replacen("10.42.0.64", "10.42.0.65", 1);
    let mut damaged = Peers::from_text(&text);
    // Another key, and another host.
    let peers = [peer(1, 7, &["10.42.0.64/26"], &[]), peer(2, 2, &["10.42.0.128/26"], &[]), peer(3, 3, &[], &[])];
    let view = then(&mut damaged, 21_000, &peers);
    assert_eq!(view.remote, [prefix("10.42.0.128/26")]);
    assert_eq!((view.table.peers.len(), view.refused.len()), (1, 2));
    assert!(view.refused.iter().all(|line| line.contains("damaged")), "{:?}", view.refused);
    assert!(damaged.accept(HostId([1; 8])));
    let view = then(&mut damaged, 21_000, &peers);
    assert_eq!((view.table.peers.len(), view.refused), (3, Vec::new()));
}

#[test]
fn the_label_that_is_pinned_counts() {
    let records = of(&plan("10.42.0.0/16", &["10.42.0.0/26"]), &[]);
    let pinned = ("net".to_string(), "mine".to_string());
    let remembered = Peers::default();
    let view = View::of(&records, &Judge { label: Some(&pinned), ..judge(&remembered) });
    assert_eq!(view.place.map(|place| place.label), Some(pinned));
    assert!(view.refused.len() == 1 && view.refused[0].contains("net=on"), "{:?}", view.refused);
    let pinned = ("net".to_string(), "on".to_string());
    assert!(View::of(&records, &Judge { label: Some(&pinned), ..judge(&remembered) }).refused.is_empty());
}

/// As [`then`], with names: of which host, as what, for which address.
fn named(remembered: &mut Peers, peers: &[u8], names: &[(u8, &str, &str)]) -> View {
    let records = records(|writer| {
        writer.record(Kind::NetworkPlan, &plan("10.42.0.0/16", &["10.42.0.0/26"])).expect("room");
        for number in peers {
            let block = format!("10.42.{number}.0/26");
            writer.record(Kind::NetworkPeer, &peer(*number, *number, &[&block], &[])).expect("room");
        }
        for (host, host_label, address) in names {
            let address = prefix(&format!("{address}/32")).first;
            let name = NetworkName { host: HostId([*host; 8]), host_label, name: "web", address };
            writer.record(Kind::NetworkName, &name).expect("room");
        }
    });
    let mut view = view(&records, remembered);
    if let Some(peers) = view.remember.take() {
        *remembered = peers;
    }
    view
}

#[test]
fn a_hosts_name_is_nobody_elses_while_it_is_there() {
    let mut remembered = Peers::default();
    let names = |view: View| view.names.iter().map(|name| name.address.to_be_bytes()[2]).collect::<Vec<_>>();
    let own = (200, "own", "10.42.0.9");
    let first = named(&mut remembered, &[1, 2], &[own, (1, "pi", "10.42.1.9"), (2, "nas", "10.42.2.9")]);
    assert_eq!((first.refused.len(), first.names.len()), (0, 3));
    // Another one's, and this host's own; and an address of another host.
    let stolen =
        [own, (1, "x", "10.42.1.9"), (2, "pi", "10.42.2.9"), (3, "own", "10.42.3.9"), (4, "nas2", "10.42.2.9")];
    let view = named(&mut remembered, &[1, 2, 3, 4], &stolen);
    assert_eq!((view.refused.len(), view.refused_peers.len()), (2, 2), "{:?}", view.refused);
    assert_eq!(names(view), [0, 1]);
    // A board that joins anew has its old name.
    let again = named(&mut remembered, &[5], &[own, (5, "pi", "10.42.5.9")]);
    assert_eq!((again.refused.len(), again.noted.len()), (0, 1));
    assert_eq!(names(again), [0, 5]);
}

#[test]
fn packets_go_to_no_odd_endpoints() {
    let odd = ["10.42.3.4:1", "0.0.0.0:7", "224.0.0.1:7", "192.0.2.7:0", "example.org:7"];
    let peers =
        [peer(1, 1, &["10.42.0.64/26"], &odd), peer(2, 2, &["10.42.0.128/26"], &["[2001:db8::1]:7", "192.0.2.1:7"])];
    let view = fresh(&of(&plan("10.42.0.0/16", &["10.42.0.0/26"]), &peers));
    assert_eq!(view.table.peers[0].endpoints, []);
    assert_eq!(view.table.peers[1].endpoints.len(), 2);
}

#[test]
fn a_relay_without_an_address_is_where_the_server_is() {
    let all = records(|writer| {
        writer.record(Kind::NetworkPlan, &plan("10.42.0.0/16", &["10.42.0.0/26"])).expect("room");
        for (host, endpoint) in [(0, ":7443"), (5, "198.51.100.9:51820"), (6, "nonsense")] {
            let relay = NetworkRelay { host: HostId([host; 8]), endpoint, secret: [3; 16] };
            writer.record(Kind::NetworkRelay, &relay).expect("room");
        }
    });
    let view = fresh(&all);
    let addresses: Vec<String> = view.table.relays.iter().map(|relay| relay.address.to_string()).collect();
    assert_eq!(addresses, ["192.0.2.1:7443", "198.51.100.9:51820"]);
    assert_eq!(view.refused.len(), 1);
}

#[test]
fn names_are_labels_and_stand_for_addresses_of_the_network() {
    let of = |names: bool| {
        records(|writer| {
            let plan = NetworkPlan { names, ..plan("10.42.0.0/16", &["10.42.0.0/26"]) };
            writer.record(Kind::NetworkPlan, &plan).expect("room");
            for (name, address) in
                [("web", "10.42.0.7/32"), ("Web", "10.42.0.8/32"), ("evil", "8.8.8.8/32"), ("a.b", "10.42.0.9/32")]
            {
                let address = prefix(address).first;
                let name = NetworkName { host: HostId([1; 8]), host_label: "pi", name, address };
                writer.record(Kind::NetworkName, &name).expect("room");
            }
        })
    };
    let names = fresh(&of(true)).names;
    assert_eq!(names.len(), 1);
    assert_eq!(names[0].name, "web");
    assert_eq!(fresh(&of(false)).names, []);
}
