use super::*;
use crate::network::records::{Pending, Taken};
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

fn view(records: &Records, remembered: &BTreeMap<HostId, [u8; 32]>) -> View {
    let judge =
        Judge { accepted: prefix("10.0.0.0/8"), own_key: [0xee; 32], server: "192.0.2.1".parse().ok(), remembered };
    View::of(records, &judge)
}

fn fresh(records: &Records) -> View {
    view(records, &BTreeMap::new())
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
    assert_eq!(view.first_seen.len(), 2);
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
    let remembered = first.first_seen;
    let changed = of(&plan, &[peer(1, 9, &["10.42.0.64/26"], &[]), peer(2, 2, &["10.42.0.128/26"], &[])]);
    let seen = view(&changed, &remembered);
    assert_eq!(seen.changed_keys, BTreeSet::from([HostId([1; 8])]));
    let keys: Vec<[u8; 32]> = seen.table.peers.iter().map(|peer| peer.key).collect();
    assert_eq!(keys, [[1; 32], [2; 32]], "the first one stays");
    assert_eq!(seen.remote.len(), 2);
    assert!(seen.refused[0].contains("network accept"), "{:?}", seen.refused);
    assert!(!seen.first_seen.contains_key(&HostId([1; 8])));
    // Nobody has no key, this host's, or another peer's.
    let odd = [peer(3, 0, &[], &[]), peer(4, 0xee, &[], &[]), peer(5, 5, &[], &[]), peer(6, 5, &[], &[])];
    let odd = fresh(&of(&plan, &odd));
    assert_eq!((odd.table.peers.len(), odd.refused.len()), (1, 3));
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
