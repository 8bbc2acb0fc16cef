//! What restarts, and what is away, interrupts flows for a moment or not at all.

use muster_tests::host::FLOW_PAUSE_MS;
use muster_tests::managed::{ALL, box_of};
use muster_tests::wait::when;
use muster_tests::{Flow, Host, Managed, eventually};

/// Pings in three seconds: the longest interruption that is promised.
const INTERRUPTION: usize = (3000 / FLOW_PAUSE_MS) as usize;

/// The same for a relay, whose server has to start, and which hosts have to find out about: three times as long.
const NEW_RELAY: usize = 3 * INTERRUPTION;

/// Pings go on, and no more than these are lost.
#[track_caller]
fn goes_on(what: &str, flow: &Flow, before: usize, most: usize) {
    flow.wait_for_more(10);
    let lost = flow.lost() - before;
    eprintln!("{what}: {lost} pings lost, of {FLOW_PAUSE_MS} ms each");
    assert!(lost <= most, "{what}: {lost} pings of {FLOW_PAUSE_MS} ms lost");
}

/// How a network process is made to start anew.
#[derive(Debug, Clone, Copy)]
enum Restart {
    /// Its unit is restarted.
    Asked,
    /// It dies.
    Killed,
    /// Another program has taken the place of its own, and its unit is restarted.
    Upgraded,
}

#[test]
fn the_processes_of_a_host_restart_and_are_upgraded() {
    let mut managed = Managed::joined(&["alpha", "bravo", "charlie"]);
    managed.hosts.iter_mut().for_each(Host::with_own_programs);
    let mut managed = managed.brought_up(&[]);
    let direct = managed.flow("bravo", "alpha");
    let relayed = managed.flow("bravo", "charlie");
    let flows = [("direct", direct), ("relayed", relayed)];
    let lost = |flows: &[(&str, Flow); 2]| [flows[0].1.lost(), flows[1].1.lost()];

    // The agent, and the engine's daemon without its containers, are no part of it.
    let before = [&flows[0].1, &flows[1].1].map(Flow::never_answered);
    managed.host_mut("bravo").agent.crash();
    let host = managed.host("bravo");
    host.agent.wait_until_heard(&managed.server, "bravo");
    for ((what, flow), before) in flows.iter().zip(before) {
        flow.wait_for_more(5);
        assert_eq!(flow.never_answered(), before, "{what}: the agent is no part of it");
    }

    for name in ["bravo", "alpha", "charlie"] {
        for restart in [Restart::Asked, Restart::Killed, Restart::Upgraded] {
            let before = lost(&flows);
            let host = managed.host_mut(name);
            match restart {
                Restart::Asked => assert_eq!(host.network_stop(), 0),
                Restart::Killed => host.network_kill(),
                Restart::Upgraded => {
                    host.replace_network();
                    assert!(!host.runs_what_is_there());
                    assert_eq!(host.network_stop(), 0);
                }
            }
            host.network_up();
            for ((what, flow), before) in flows.iter().zip(before) {
                goes_on(&format!("network process of {name}: {restart:?}, {what}"), flow, before, INTERRUPTION);
            }
            assert!(managed.host_mut(name).runs_what_is_there());
        }
    }
    drop(flows);
    managed.wait_for_all_pairs();
}

#[test]
fn the_server_is_down_and_comes_back() {
    let mut managed = Managed::up(&ALL);
    let direct = managed.flow("bravo", "alpha");
    let lan = managed.flow("charlie", "delta");
    let (one, two) = (direct.never_answered(), lan.never_answered());
    managed.server.kill();
    direct.wait_for_more(20);
    lan.wait_for_more(20);
    let missing = (direct.never_answered(), lan.never_answered());
    assert_eq!(missing, (one, two), "the data path does not need the server");

    // A container restarts, and a host's network process: both have their places from what the host keeps.
    let address = managed.address("alpha");
    managed.host("alpha").engine.docker(&["restart", "-t", "1", "box-alpha"]);
    assert_eq!(managed.address("alpha"), address);
    direct.wait_for_more(5);
    managed.host_mut("alpha").network_kill();
    managed.host_mut("alpha").network_up();
    direct.wait_for_more(5);
    let host = managed.host("bravo");
    eventually("bravo asks alpha", || when(host.asks(&box_of(host), &address) == "box-alpha", "no answer"));

    // It is the relay, too: with it, those behind different routers reach each other again.
    managed.server.start_again();
    managed.wait_for_all_pairs();
    let relayed = managed.flow("delta", "bravo");
    let before = relayed.lost();
    managed.server.crash();
    goes_on("relay restarts", &relayed, before, NEW_RELAY);
}

#[test]
fn neither_of_a_hosts_processes_stalls_the_other() {
    let mut managed = Managed::up(&["alpha", "bravo"]);
    // The network process hangs: all is reported, of labelled containers as well.
    managed.host_mut("alpha").network().signal("STOP");
    let (alpha, server) = (managed.host("alpha"), &managed.server);
    alpha.run_box("labelled");
    alpha.engine.run("plain");
    for name in ["labelled", "plain"] {
        server.wait_for_actions("alpha", name, &["start"]);
        server.wait_for_state("alpha", name, "running");
    }
    alpha.engine.docker(&["stop", "-t", "1", "plain"]);
    server.wait_for_actions("alpha", "plain", &["start", "die"]);
    server.wait_for_state("alpha", "plain", "exited");
    assert_eq!(alpha.find_address("labelled"), None, "it hangs indeed");
    managed.host_mut("alpha").network().signal("CONT");
    let address = managed.host("alpha").address("labelled");
    let bravo = managed.host("bravo");
    eventually("bravo asks it", || when(bravo.asks("box-bravo", &address) == "labelled", "no answer"));

    // The agent hangs: data go on, and containers join.
    let flow = managed.flow("bravo", "alpha");
    let before = flow.never_answered();
    let (alpha, bravo) = (managed.host("alpha"), managed.host("bravo"));
    alpha.agent.freeze();
    alpha.run_box("late");
    let address = alpha.address("late");
    eventually("bravo asks the late one", || when(bravo.asks("box-bravo", &address) == "late", "no answer"));
    alpha.engine.docker(&["restart", "-t", "1", "late"]);
    eventually("bravo asks it again", || when(bravo.asks("box-bravo", &address) == "late", "no answer"));
    flow.wait_for_more(5);
    assert_eq!(flow.never_answered(), before);
    assert!(managed.server.find_container("alpha", "late").is_none(), "the agent hangs indeed");
    alpha.agent.thaw();
    managed.server.wait_for_state("alpha", "late", "running");
}
