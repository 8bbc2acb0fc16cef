//! Containers on different hosts reach each other by address, wherever their hosts are, and nobody else does. Hosts that
//! cannot reach each other use a relay: the server's, or a host's that offers it.

use muster_tests::host::{BRIDGE, LABEL, NETWORK, TUNNEL};
use muster_tests::internet::{SERVER, WAN};
use muster_tests::managed::{ALL, FIRST_HOME, PUBLIC, SECOND_HOME, box_of};
use muster_tests::wait::when;
use muster_tests::{Capture, Managed, eventually};
use serde_json::Value;

/// A network of alpha's own, which no other host has.
const GARDEN: &str = "172.31.77.0/24";

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
        let ping = eventually(&format!("{from} pings {to}"), || {
            let ping = managed.server.json(&["network", "ping", from, to]).remove(0);
            if ping["answered"] == true { Ok(ping) } else { Err(ping.to_string()) }
        });
        assert!(ping["milliseconds"].as_f64().is_some_and(|took| took > 0.0), "{ping}");
    }
    let table = managed.server.muster(&["network"]).ok();
    assert!(ALL.iter().all(|host| table.contains(host)), "{table}");
    eventually("the server is told of all hosts and containers", || {
        let network = managed.network();
        let is_known = |host: &Value| {
            // `native` and `again` are there as well.
            let wanted = if host["name"] == "alpha" { 3 } else { 1 };
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
        host.wait_for_download(&box_of(host), &managed.address(to));
    }
}

/// What is told through the network, to be looked for where it must not be.
const MARKER: &str = "a-marker-in-clear-text";

/// One container tells another's port 90 a line that begins with [`MARKER`] and is `length` bytes long, and it is heard.
fn tells(managed: &Managed, from: &str, to: &str, length: usize) {
    let (host, hearer) = (managed.host(from), managed.host(to));
    let line = format!("{MARKER}-{from}-");
    let line = format!("{line}{}", "x".repeat(length - line.len()));
    let heard = format!("/tmp/heard-{from}");
    // Whose input ends says so, and a teller that hears this before it has said anything goes.
    let hear = format!("busybox sleep 120 | nc -l -p 90 > {heard}");
    hearer.engine.docker(&["exec", "-d", &box_of(hearer), "sh", "-c", &hear]);
    let address = managed.address(to);
    eventually(&format!("{from} tells {to}"), || {
        when(host.exec(&box_of(host), &format!("echo {line} | nc -w 3 {address} 90")).code == 0, "no listener")
    });
    eventually(&format!("{to} hears {from}"), || {
        let heard = hearer.engine.docker(&["exec", &box_of(hearer), "cat", &heard]);
        when(heard == line, heard)
    });
}

/// Neither the marker nor addresses of containers have passed there. Something else has to have shown that all was seen.
#[track_caller]
fn nothing_was_clear(managed: &Managed, wire: &str, capture: &Capture) {
    assert_eq!(capture.count(MARKER.as_bytes()), 0, "on {wire}");
    let packets = capture.packets();
    for host in &managed.hosts {
        let address = raw(&managed.address(host.name()));
        let has_it = packets.windows(4).any(|window| window == address);
        assert!(!has_it, "the address of {}'s container on {wire}", host.name());
    }
}

fn nobody_reads_along(managed: &Managed) {
    let clear = Capture::start(&managed.host("delta").node, BRIDGE);
    let wires = [
        ("the server's cable", Capture::start(&managed.server_node, WAN)),
        ("the first home's cable", Capture::start(managed.homes[0].router(), WAN)),
        ("the second home's cable", Capture::start(managed.homes[1].router(), WAN)),
        ("delta's cable", Capture::start(&managed.host("delta").node, WAN)),
        ("alpha's cable", Capture::start(&managed.host("alpha").node, WAN)),
    ];
    // Long enough to be told from all else that passes at this time; and whom it passes, directly, relayed, and on a LAN.
    let ways: [(&str, usize, &[usize]); 3] =
        [("alpha", 600, &[2, 3, 4]), ("bravo", 800, &[0, 1, 2, 3]), ("charlie", 1000, &[3])];
    for (from, length, passes) in ways {
        let before = wires.each_ref().map(|(_, wire)| wire.datagrams(length));
        tells(managed, from, "delta", length);
        clear.wait_for(format!("{MARKER}-{from}").as_bytes());
        for number in passes {
            let (name, wire) = &wires[*number];
            eventually(&format!("what {from} tells passes {name} in the tunnel"), || {
                when(wire.datagrams(length) > before[*number], wire.list().len())
            });
        }
    }
    // What was captured is whole: something said in clear afterwards is seen on each of them.
    let in_clear = ["ping", "-c", "3", "-W", "1", "-p", "ab"];
    for (from, to) in [("delta", PUBLIC), ("bravo", SERVER)] {
        managed.host(from).node.try_run("busybox", &[&in_clear[..], &[to]].concat());
    }
    for (name, wire) in &wires {
        wire.wait_for(&[0xab; 40]);
        nothing_was_clear(managed, name, wire);
    }
}

fn without_the_label_there_is_no_way(managed: &Managed) {
    let alpha = managed.host("alpha");
    alpha.run_box_with("foreign", &[]);
    alpha.engine.docker(&["network", "create", "--subnet", GARDEN, "garden"]);
    alpha.run_box_with("gardener", &["--network", "garden"]);
    let (near, far) = (managed.address("alpha"), managed.address("bravo"));
    // Beside one of the same garden that has it.
    alpha.run_box_with("native", &["-l", LABEL, "--network", "garden"]);
    alpha.address("native");
    for (to, name) in [(&near, "box-alpha"), (&far, "box-bravo")] {
        eventually("with the label there is a way", || when(alpha.asks("native", to) == name, "no answer"));
        alpha.wait_for_ping("native", to);
    }
    for name in ["foreign", "gardener"] {
        for to in [&near, &far] {
            assert!(!alpha.pings(name, to), "{name} reaches {to}");
            assert_eq!(alpha.asks(name, to), "", "{name} asks {to}");
        }
        assert_eq!(alpha.find_address(name), None);
    }
    the_other_way_round(managed);

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
    // By our rules, that is: whom a rule before them lets in, is seen there.
    let let_in = ["FORWARD", "-s", SERVER, "-d", &near, "-j", "ACCEPT"];
    alpha.node.run("iptables", &[&["-w", "-I"], &let_in[..]].concat());
    server.reaches(&near);
    arrived.wait_for(&from_server);
    alpha.node.run("iptables", &[&["-w", "-D"], &let_in[..]].concat());
    let before = arrived.count(&from_server);
    assert!(!server.reaches(&near));
    assert_eq!(arrived.count(&from_server), before);
    // And with a stolen source address: one that the bridge knows.
    server.run("ip", &["address", "add", &far, "dev", "lo"]);
    server.try_run("busybox", &["ping", "-c", "1", "-W", "1", "-I", &far, &near]);
    let stolen = [raw(&far), raw(&near)].concat();
    sneaking.wait_for(&stolen);
    assert_eq!(arrived.count(&stolen), 0);
    server.run("ip", &["address", "del", &format!("{far}/32"), "dev", "lo"]);
    internet.run("ip", &["route", "del", "10.42.0.0/16"]);

    // The host itself may.
    alpha.node.wait_until_it_reaches(&near);
    assert!(alpha.node.run("ip", &["-o", "link"]).contains(TUNNEL));
    assert!(alpha.engine.docker(&["network", "ls"]).contains(NETWORK));
    // Taken out of the network by hand, it is joined again, as long as it has the label.
    let again = alpha.run_box_with("again", &["-l", LABEL]);
    let address = alpha.address("again");
    alpha.engine.docker(&["network", "disconnect", NETWORK, &again]);
    eventually("it is joined again", || when(alpha.find_address("again").as_deref() == Some(&address), "not yet"));
}

/// Containers of other hosts reach nothing of a host but what has the label, even if their host sends it into the tunnel.
fn the_other_way_round(managed: &Managed) {
    let [alpha, bravo] = ["alpha", "bravo"].map(|name| managed.host(name));
    let inner = |name: &str| {
        let format = "{{(index .NetworkSettings.Networks \"garden\").IPAddress}}";
        alpha.engine.docker(&["inspect", "-f", format, name])
    };
    let gardener = inner("gardener");
    alpha.node.wait_until_it_reaches(&gardener);
    // A host that is not what it should be: its containers would not get there, so that it asks itself, from its own address.
    let source = bravo.node.script(&format!("ip -4 -o address show {BRIDGE} | sed 's/.*inet //; s,/.*,,'"));
    let source = source.trim();
    bravo.node.run("ip", &["route", "add", GARDEN, "dev", TUNNEL, "src", source]);
    let (leaves, comes) = (Capture::start(&bravo.node, TUNNEL), Capture::start(&alpha.node, TUNNEL));
    let arrived = Capture::start(&alpha.node, "any");
    let to = |address: &str| [raw(source), raw(address)].concat();
    let reaches = |address: &str| bravo.node.try_run("busybox", &["ping", "-c", "1", "-W", "2", "-I", source, address]);
    assert_ne!(reaches(&gardener).code, 0, "{gardener} has no label");
    leaves.wait_for(&to(&gardener));
    // One that has it, by the same tunnel, at its address there.
    let native = alpha.address("native");
    eventually("one with the label answers", || when(reaches(&native).code == 0, "no answer"));
    comes.wait_for(&to(&native));
    arrived.wait_for(&to(&native));
    assert_eq!((comes.count(&to(&gardener)), arrived.count(&to(&gardener))), (0, 0));
    bravo.node.run("ip", &["route", "del", GARDEN, "dev", TUNNEL]);
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
    the_relaying_host_reads_nothing(&managed);
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

/// Alpha forwards what bravo tells charlie; it is nowhere in clear there, not even inside of it.
fn the_relaying_host_reads_nothing(managed: &Managed) {
    const LENGTH: usize = 900;
    let alpha = managed.host("alpha");
    let clear = Capture::start(&managed.host("charlie").node, BRIDGE);
    let everywhere = Capture::start(&alpha.node, "any");
    tells(managed, "bravo", "charlie", LENGTH);
    clear.wait_for(format!("{MARKER}-bravo").as_bytes());
    for (what, address, from) in [("comes", FIRST_HOME, true), ("goes", SECOND_HOME, false)] {
        eventually(&format!("it {what} through alpha"), || {
            let has_it = everywhere.seen().into_iter().any(|it| {
                let end = if from { it.from } else { it.to };
                it.protocol == "udp" && it.bytes >= LENGTH && end.split(':').next() == Some(address)
            });
            when(has_it, "not yet")
        });
    }
    alpha.node.try_run("busybox", &["ping", "-c", "3", "-W", "1", "-p", "ab", FIRST_HOME]);
    everywhere.wait_for(&[0xab; 40]);
    assert_eq!(everywhere.count(MARKER.as_bytes()), 0);
}

/// An address as it is in a packet.
fn raw(address: &str) -> Vec<u8> {
    address.split('.').map(|part| part.parse().expect("a number")).collect()
}
