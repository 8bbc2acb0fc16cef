//! The managed network follows what changes around it, and leaves nothing behind.

use muster_tests::host::{BRIDGE, NETWORK, TUNNEL};
use muster_tests::managed::box_of;
use muster_tests::wait::when;
use muster_tests::{Managed, eventually, eventually_within};
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
fn a_narrow_way_carries_full_packets() {
    let managed = Managed::up(&["alpha", "bravo", "charlie"]);
    managed.homes[0].cable.carry_at_most(1400);
    for (from, to) in [("bravo", "alpha"), ("alpha", "bravo"), ("bravo", "charlie"), ("charlie", "bravo")] {
        let host = managed.host(from);
        assert_eq!(host.downloads(&box_of(host), &managed.address(to)), muster_tests::host::BULK, "{from} from {to}");
    }
}
