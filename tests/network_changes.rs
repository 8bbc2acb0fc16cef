//! The managed network follows what changes around it, and leaves nothing behind.

use muster_tests::host::{BRIDGE, BULK, LABEL, NETWORK, TUNNEL};
use muster_tests::internet::WAN;
use muster_tests::managed::{FIRST_HOME, PUBLIC, box_of};
use muster_tests::wait::when;
use muster_tests::{Capture, Managed, eventually, eventually_within};
use std::time::Duration;

/// A line that is dead is given up when an answer is overdue, and ways are told twice a minute.
const REORIENTED: Duration = Duration::from_secs(180);

/// A removed host loses its place on all others within this time.
const REMOVED: Duration = Duration::from_secs(10);

#[test]
fn an_endpoint_that_moves_is_followed() {
    let mut managed = Managed::up(&["alpha", "bravo", "charlie"]);
    let direct = managed.flow("alpha", "bravo");
    let relayed = managed.flow("charlie", "bravo");
    managed.homes[0].cable.renumber("203.0.113.66");
    direct.wait_for_more(5);
    relayed.wait_for_more(5);
    eprintln!("{} and {} pings lost while bravo moved", direct.lost(), relayed.lost());
    // The public one itself: nobody hears of it but by the server.
    managed.public_cable.as_mut().expect("alpha").renumber("198.51.100.66");
    direct.wait_for_more(5);
    eprintln!("{} pings lost while alpha moved", direct.lost());
    drop((direct, relayed));
    managed.wait_for_all_pairs();
    // A router that was restarted has forgotten all; a firewall that lets no UDP through is mended.
    let flow = managed.flow("alpha", "bravo");
    managed.homes[0].cable.renumber("203.0.113.66");
    flow.wait_for_more(5);
    managed.homes[0].cable.block_udp();
    assert!(!managed.host("bravo").pings("box-bravo", &managed.address("charlie")));
    managed.homes[0].cable.pass_udp();
    flow.wait_for_more(5);
    managed.wait_for_all_pairs();
    eventually("alpha is direct again", || {
        when(managed.way("bravo", "alpha") == "direct", managed.way("bravo", "alpha"))
    });
}

#[test]
#[ignore = "takes more than a minute: run by ./test.sh --all"]
fn a_host_that_comes_home_uses_the_lan() {
    let managed = Managed::up(&["bravo", "charlie"]);
    // The server is told some time after.
    eventually("by the relay", || when(managed.way("bravo", "charlie") == "relayed", managed.way("bravo", "charlie")));
    managed.homes[1].connect(&managed.host("bravo").node);
    managed.wait_for_all_pairs();
    // Nobody tells it that its old way is dead: it finds out when an answer is overdue.
    eventually_within(REORIENTED, "by the LAN", || {
        when(managed.way("bravo", "charlie") == "lan", managed.way("bravo", "charlie"))
    });
}

#[test]
fn a_removed_host_loses_its_place() {
    let managed = Managed::up(&["alpha", "bravo", "charlie"]);
    let flow = managed.flow("alpha", "bravo");
    let address = managed.address("bravo");
    // The probes of below, while it has its place.
    for name in ["alpha", "charlie"] {
        let (host, bravo) = (managed.host(name), managed.host("bravo"));
        host.wait_for_ping(&box_of(host), &address);
        bravo.wait_for_ping("box-bravo", &managed.address(name));
    }
    managed.server.muster(&["hosts", "rm", "bravo"]).ok();
    eventually_within(REMOVED, "the others do not know it any more", || {
        let routes = ["alpha", "charlie"].map(|name| managed.host(name).node.run("ip", &["route"]));
        let count = routes.iter().map(|routes| routes.matches(TUNNEL).count()).sum::<usize>();
        when(count == 2, routes)
    });
    let answered = flow.answered();
    for name in ["alpha", "charlie"] {
        let host = managed.host(name);
        assert!(!host.pings(&box_of(host), &address), "{name} reaches a host that was removed");
        let bravo = managed.host("bravo");
        assert!(!bravo.pings("box-bravo", &managed.address(name)), "a host that was removed reaches {name}");
    }
    assert!(flow.answered() <= answered + 1);
    managed.wait_for_pairs(&[managed.host("alpha"), managed.host("charlie")]);
}

#[test]
fn a_firewall_that_is_reloaded_is_repaired() {
    let managed = Managed::up(&["alpha", "bravo"]);
    let (alpha, bravo) = (managed.host("alpha"), managed.host("bravo"));
    let rules = alpha.node.run("iptables-save", &[]);
    // Ours and the engine's about our bridge, without what was counted. Chains are in capitals.
    let lines = |rules: &str| {
        let lines = rules.lines().filter(|line| line.to_lowercase().contains("muster"));
        lines.map(|line| line.split('[').next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
    };
    assert!(lines(&rules).iter().any(|line| line.contains("-j MUSTER-")), "{rules}");
    for host in [alpha, bravo] {
        host.node.script("iptables -w -F DOCKER-USER; iptables -w -A DOCKER-USER -j RETURN");
        host.node.script(&format!("ip route flush dev {TUNNEL}; echo 0 > /proc/sys/net/ipv4/conf/{BRIDGE}/proxy_arp"));
    }
    managed.wait_for_all_pairs();
    eventually("all rules are back", || {
        let now = alpha.node.run("iptables-save", &[]);
        when(lines(&now) == lines(&rules), now)
    });
    // As an operator does it who had saved the rules of yesterday: without ours, the engine's included.
    for host in [alpha, bravo] {
        host.node.script("iptables-save | grep -vi muster | iptables-restore -w");
    }
    managed.wait_for_all_pairs();
}

#[test]
fn a_bridge_without_a_place_stays_closed_after_a_restart() {
    let mut managed = Managed::joined(&["alpha"]);
    managed.enable(&[]);
    let alpha = managed.host_mut("alpha");
    alpha.network_up();
    alpha.run_box(&box_of(alpha));
    let address = managed.address("alpha");
    let alpha = managed.host_mut("alpha");
    alpha.network_stop();
    // The plan is gone, and the firewall was made anew meanwhile.
    std::fs::remove_file(format!("{}-network/plan", alpha.agent.state_dir())).expect("removing the plan");
    alpha.node.script("iptables-save | grep -v MUSTER- | iptables-restore -w");
    managed.server.muster(&["network", "disable"]).ok();
    let alpha = managed.host_mut("alpha");
    alpha.network_up();
    let alpha = managed.host("alpha");
    eventually("the bridge is closed", || {
        let rules = alpha.node.run("iptables", &["-w", "-S"]);
        when(rules.contains(&format!("-A MUSTER-FORWARD -o {BRIDGE} -j DROP")), rules)
    });
    assert!(alpha.node.run("iptables", &["-w", "-S", "DOCKER-USER"]).contains("-j MUSTER-FORWARD"));
    assert!(address.starts_with("10."), "{address}");
}

#[test]
fn down_leaves_what_was_there() {
    let mut managed = Managed::joined(&["alpha", "bravo"]);
    // The engine's own is made with the first container.
    managed.hosts.iter().for_each(|host| drop(host.run_box_with("plain", &[])));
    let before: Vec<String> = managed.hosts.iter().map(muster_tests::Host::ground).collect();
    managed = managed.brought_up(&["--names"]);
    assert_ne!(managed.hosts[0].ground(), before[0]);
    for host in &mut managed.hosts {
        host.network_stop();
        host.network_command(&["down"]).ok();
        host.engine.docker(&["rm", "-f", &box_of(host)]);
    }
    for (host, before) in managed.hosts.iter().zip(before) {
        assert_eq!(host.ground(), before);
        assert!(!host.engine.docker(&["network", "ls"]).contains(NETWORK));
        assert_eq!(host.asks("plain", "127.0.0.1"), "plain", "others are not touched");
        // Again is no error.
        host.network_command(&["down"]).ok();
    }
    managed.hosts.iter_mut().for_each(muster_tests::Host::network_up);
    managed.hosts.iter().for_each(|host| drop(host.run_box(&box_of(host))));
    managed.wait_for_all_pairs();
}

#[test]
fn down_needs_neither_the_plan_nor_the_bridge_and_lets_containers_go() {
    let managed = Managed::joined(&["alpha"]);
    managed.hosts[0].run_box_with("plain", &[]);
    let before = managed.hosts[0].ground();
    let mut managed = managed.brought_up(&[]);
    let host = &mut managed.hosts[0];
    host.run_box_with("alone", &["-l", LABEL, "--network", "none"]);
    host.run_box("stopped");
    for name in ["alone", "stopped"] {
        host.address(name);
    }
    host.engine.docker(&["stop", "-t", "1", "stopped"]);

    // While all of them are in it, and somebody who was put there by hand.
    host.engine.docker(&["network", "connect", NETWORK, "plain"]);
    host.network_stop();
    let refused = host.network_command(&["down"]);
    refused.exits(1);
    assert!(refused.stderr.contains("plain is in it") && refused.stderr.lines().count() == 1, "{}", refused.stderr);
    host.engine.docker(&["network", "disconnect", NETWORK, "plain"]);
    host.network_command(&["down"]).ok();
    assert!(!host.engine.docker(&["network", "ls"]).contains(NETWORK));
    for name in ["box-alpha", "alone", "stopped"] {
        assert_eq!(host.find_address(name), None, "{name}");
    }
    for name in ["box-alpha", "alone", "plain"] {
        assert_eq!(host.asks(name, "127.0.0.1"), name, "it runs as before");
    }

    // Nothing is known, and what was made is not whole.
    host.network_up();
    for name in ["box-alpha", "alone"] {
        host.address(name);
    }
    host.network_kill();
    let kept = format!("{}-network", host.agent.state_dir());
    std::fs::remove_file(format!("{kept}/plan")).expect("a plan");
    host.node.run("ip", &["link", "delete", BRIDGE]);
    host.network_command(&["down"]).ok();
    assert!(!host.engine.docker(&["network", "ls"]).contains(NETWORK));
    host.engine.docker(&["rm", "-f", "box-alpha", "alone", "stopped"]);
    assert_eq!(host.ground(), before);
}

/// What a usual cable carries, and what the LTE of two carriers does.
const WAYS: [u16; 3] = [1500, 1428, 1358];

#[test]
fn full_packets_pass_whole_on_usual_and_on_narrow_ways() {
    let managed = Managed::up(&["alpha", "bravo", "charlie"]);
    let home = &managed.homes[0];
    // Every cable that the packets take: bundles are no packets.
    home.cable.unbundle();
    managed.server_cable.unbundle();
    managed.homes[1].cable.unbundle();
    managed.public_cable.as_ref().expect("alpha").unbundle();
    for host in &managed.hosts {
        host.node.run("ip", &["link", "set", WAN, "gso_max_segs", "1"]);
    }
    let all_download = |what: &str| {
        // Direct and relayed, both ways.
        for (from, to) in [("bravo", "alpha"), ("alpha", "bravo"), ("bravo", "charlie"), ("charlie", "bravo")] {
            let host = managed.host(from);
            eventually(&format!("{from} has all of {to}'s bytes, {what}"), || {
                let bytes = host.downloads(&box_of(host), &managed.address(to));
                when(bytes == BULK, bytes)
            });
        }
    };
    for mtu in WAYS {
        home.cable.carry_at_most(mtu);
        let cable = Capture::start(home.router(), WAN);
        all_download(&format!("on a way of {mtu} bytes"));
        // What comes last shows that all before it was looked at; and that a full packet is seen as it is.
        home.router().try_run("busybox", &["ping", "-c", "1", "-W", "1", "-s", &(mtu - 28).to_string(), PUBLIC]);
        eventually("the last packet is seen", || {
            let full = cable.seen().into_iter().filter(|it| it.protocol == "icmp" && it.bytes == usize::from(mtu));
            when(full.count() == 2, "not yet")
        });
        let seen = cable.seen();
        let parts: Vec<_> = seen.iter().filter(|packet| packet.is_part).collect();
        assert!(parts.is_empty(), "{} fragments on a way of {mtu} bytes, such as {:?}", parts.len(), parts[0]);
        let longest = seen.iter().filter(|packet| packet.protocol == "udp").map(|packet| packet.bytes).max();
        eprintln!("way of {mtu} bytes: {} packets, the longest of a tunnel has {longest:?} bytes", seen.len());
        // Without full packets nothing is proven.
        assert!(longest.is_some_and(|longest| (1280..=usize::from(mtu)).contains(&longest)), "{longest:?}");
    }

    // A network that was told to use more than this way carries: still nothing is lost, and the capture sees fragments.
    managed.enable(&["--mtu", "1400"]);
    let place = |name: &str| managed.host(name).node.try_run("ip", &["-o", "link", "show", TUNNEL]).stdout;
    for name in ["alpha", "bravo", "charlie"] {
        eventually("it has the other size", || when(place(name).contains("mtu 1400"), place(name)));
    }
    managed.wait_for_all_pairs();
    let cable = Capture::start(home.router(), WAN);
    all_download("in fragments");
    eventually("fragments are seen, both ways", || {
        let parts: Vec<_> =
            cable.seen().into_iter().filter(|packet| packet.is_part && packet.protocol == "udp").collect();
        let is_from_home = |from: &str| from.split(':').next() == Some(FIRST_HOME);
        let ways = (parts.iter().any(|it| is_from_home(&it.from)), parts.iter().any(|it| !is_from_home(&it.from)));
        when(ways == (true, true), parts.len())
    });
}
