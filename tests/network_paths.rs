//! Containers on different hosts reach each other by address, wherever their hosts are, and nobody else does. Hosts that
//! cannot reach each other use a relay: the server's, or a host's that offers it.

use muster_tests::host::{BRIDGE, BULK, LABEL, NETWORK, TUNNEL};
use muster_tests::internet::WAN;
use muster_tests::managed::{ALL, box_of};
use muster_tests::wait::when;
use muster_tests::{Capture, Managed, eventually};
use serde_json::Value;

/// All of it on one network: what takes long is to make it.
#[test]
fn all_reach_all_and_nobody_else_does() {
    let managed = Managed::up(&ALL);
    full_packets_pass(&managed);
    nobody_reads_along(&managed);
    without_the_label_there_is_no_way(&managed);
    // Ways are told twice a minute: last, there is nothing to wait for.
    paths_are_as_short_as_they_can_be(&managed);
    operators_try_and_see_it(&managed);
}

fn paths_are_as_short_as_they_can_be(managed: &Managed) {
    let wanted = |from: &str, to: &str| match (from, to) {
        ("alpha", _) | (_, "alpha") => "direct",
        ("bravo", _) | (_, "bravo") => "relayed",
        _ => "lan",
    };
    for from in ALL {
        for to in ALL.into_iter().filter(|to| *to != from) {
            eventually(&format!("{from} reaches {to} in the right way"), || {
                let way = managed.way(from, to);
                when(way == wanted(from, to), way)
            });
        }
    }
}

fn operators_try_and_see_it(managed: &Managed) {
    for (from, to) in [("alpha", "bravo"), ("bravo", "charlie"), ("delta", "charlie")] {
        let ping = managed.server.json(&["network", "ping", from, to]).remove(0);
        assert_eq!(ping["answered"], true, "{ping}");
        assert!(ping["milliseconds"].as_f64().is_some_and(|took| took > 0.0), "{ping}");
    }
    let table = managed.server.muster(&["network"]).ok();
    assert!(ALL.iter().all(|host| table.contains(host)), "{table}");
    eventually("the server is told of all hosts and containers", || {
        let network = managed.network();
        let is_known = |host: &Value| {
            // `again` is there as well.
            let wanted = if host["name"] == "alpha" { 2 } else { 1 };
            host["connected"] == true && host["containers"] == wanted
        };
        when(network["hosts"].as_array().expect("hosts").iter().all(is_known), network)
    });
    for host in managed.network()["hosts"].as_array().expect("hosts") {
        let blocks = host["blocks"].as_array().expect("blocks");
        assert!(blocks.len() == 1 && blocks[0].as_str().is_some_and(|block| block.ends_with("/26")), "{host}");
    }
    // These two have moved some megabytes.
    eventually("amounts are told", || {
        let paths = managed.server.json(&["network", "paths", "alpha"]);
        let path = paths.iter().find(|path| path["to"] == "bravo");
        let has_moved = |what: &str| path.is_some_and(|path| path[what].as_u64() > Some(0));
        when(has_moved("received") && has_moved("sent"), &paths)
    });
    for path in managed.server.json(&["network", "paths"]) {
        // Amounts alone are told seldom.
        assert!(path["handshake"].is_u64() && path["received"].is_u64() && path["endpoint"].is_string(), "{path}");
    }
}

fn full_packets_pass(managed: &Managed) {
    for (from, to) in [("alpha", "bravo"), ("bravo", "alpha"), ("bravo", "delta"), ("charlie", "delta")] {
        let host = managed.host(from);
        assert_eq!(host.downloads(&box_of(host), &managed.address(to)), BULK, "{from} from {to}");
    }
}

fn nobody_reads_along(managed: &Managed) {
    const MARKER: &[u8] = b"a-marker-in-clear-text";
    let text = String::from_utf8_lossy(MARKER);
    let clear = Capture::start(&managed.host("delta").node, BRIDGE);
    let wires = [
        Capture::start(&managed.server_node, WAN),
        Capture::start(managed.homes[0].router(), WAN),
        Capture::start(managed.homes[1].router(), WAN),
        Capture::start(&managed.host("delta").node, WAN),
        Capture::start(&managed.host("alpha").node, WAN),
    ];
    managed.host("delta").engine.docker(&[
        "exec",
        "-d",
        "box-delta",
        "sh",
        "-c",
        "nc -l -p 90 > /tmp/heard; nc -l -p 90 > /tmp/heard; nc -l -p 90 > /tmp/heard",
    ]);
    let address = managed.address("delta");
    for from in ["alpha", "bravo", "charlie"] {
        let host = managed.host(from);
        eventually(&format!("{from} tells delta"), || {
            let line = format!("echo {text}-{from} | nc -w 3 {address} 90");
            when(host.exec(&box_of(host), &line).code == 0, "no listener")
        });
        clear.wait_for(format!("{text}-{from}").as_bytes());
    }
    // What was captured is whole: something said in clear afterwards is seen on each of them.
    managed.host("delta").node.try_run("busybox", &["ping", "-c", "3", "-W", "1", "-p", "ab", "198.51.100.2"]);
    wires[4].wait_for(&[0xab; 40]);
    for (number, wire) in wires.iter().enumerate() {
        assert_eq!(wire.count(MARKER), 0, "on wire {number}");
        let packets = wire.packets();
        let has_containers = [address.as_str(), &managed.address("alpha")].iter().any(|address| {
            let raw: Vec<u8> = address.split('.').filter_map(|part| part.parse().ok()).collect();
            packets.windows(4).any(|window| window == raw)
        });
        assert!(!has_containers, "addresses of containers on wire {number}");
    }
}

fn without_the_label_there_is_no_way(managed: &Managed) {
    let [alpha, bravo] = ["alpha", "bravo"].map(|name| managed.host(name));
    alpha.run_box_with("foreign", &[]);
    alpha.engine.docker(&["network", "create", "garden"]);
    alpha.run_box_with("gardener", &["--network", "garden"]);
    let (near, far) = (managed.address("alpha"), managed.address("bravo"));
    for name in ["foreign", "gardener"] {
        for to in [&near, &far] {
            assert!(!alpha.pings(name, to), "{name} reaches {to}");
            assert_eq!(alpha.asks(name, to), "", "{name} asks {to}");
        }
        assert_eq!(alpha.find_address(name), None);
    }
    // The other way round as well.
    let inner = alpha.engine.docker(&["inspect", "-f", "{{.NetworkSettings.IPAddress}}", "foreign"]);
    assert!(!bravo.pings(&box_of(bravo), &inner));

    // Somebody beside a host, who sends to its containers by that host.
    let server = &managed.server_node;
    let internet = managed.internet.core();
    internet.run("ip", &["route", "add", "10.42.0.0/16", "via", "198.51.100.2"]);
    let sneaking = Capture::start(&alpha.node, WAN);
    let arrived = Capture::start(&alpha.node, BRIDGE);
    assert!(!server.reaches(&near), "by the host that has it");
    assert!(!server.reaches(&far), "by a host that could forward to it");
    sneaking.wait_for(&raw(&near));
    let from_server = [raw("192.0.2.2"), raw(&near)].concat();
    assert_eq!(arrived.count(&from_server), 0, "packets to the bridge from elsewhere are dropped");
    // And with a stolen source address: one that the bridge knows.
    server.run("ip", &["address", "add", &far, "dev", "lo"]);
    server.try_run("busybox", &["ping", "-c", "1", "-W", "1", "-I", &far, &near]);
    let stolen = [raw(&far), raw(&near)].concat();
    sneaking.wait_for(&stolen);
    assert_eq!(arrived.count(&stolen), 0);
    server.run("ip", &["address", "del", &format!("{far}/32"), "dev", "lo"]);
    internet.run("ip", &["route", "del", "10.42.0.0/16"]);

    // The host itself may.
    assert!(alpha.node.reaches(&near), "from the host to its own container");
    assert!(alpha.node.run("ip", &["-o", "link"]).contains(TUNNEL));
    assert!(alpha.engine.docker(&["network", "ls"]).contains(NETWORK));
    // Taken out of the network by hand, it is joined again, as long as it has the label.
    let again = alpha.run_box_with("again", &["-l", LABEL]);
    let address = alpha.address("again");
    alpha.engine.docker(&["network", "disconnect", NETWORK, &again]);
    eventually("it is joined again", || when(alpha.find_address("again").as_deref() == Some(&address), "not yet"));
}

#[test]
fn a_host_relays_too() {
    let mut managed = Managed::joined(&ALL);
    managed.host_mut("alpha").flags.push("--relay".into());
    let mut managed = managed.brought_up(&[]);
    let flow = managed.flow("bravo", "charlie");
    // Nobody is told that the server's relay does not hear any more; the server itself is there.
    managed.server_cable.block_udp();
    flow.wait_for_more(20);
    managed.wait_for_all_pairs();
    let is_relayed = || {
        let way = managed.way("bravo", "charlie");
        when(way == "relayed", way)
    };
    eventually("they are relayed", is_relayed);
    // It restarts: nobody else relays.
    managed.host_mut("alpha").network_kill();
    managed.host_mut("alpha").network_up();
    flow.wait_for_more(10);
    managed.server_cable.pass_udp();
    // Without it, the server's again.
    managed.host_mut("alpha").network_stop();
    flow.wait_for_more(20);
    eventually("they are relayed by the server", || {
        let way = managed.way("bravo", "charlie");
        when(way == "relayed", way)
    });
}

/// An address as it is in a packet.
fn raw(address: &str) -> Vec<u8> {
    address.split('.').map(|part| part.parse().expect("a number")).collect()
}
