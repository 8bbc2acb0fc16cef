//! Hosts that cannot reach each other use a relay: the server's, or a host's that offers it.

use muster_tests::managed::ALL;
use muster_tests::wait::when;
use muster_tests::{Managed, eventually};

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
    assert_eq!(managed.way("bravo", "charlie"), "relayed");
    // It restarts: nobody else relays.
    managed.host_mut("alpha").network_kill();
    managed.host_mut("alpha").network_up();
    flow.wait_for_more(10);
    managed.server_cable.pass_udp();
    // Without it, the server's again.
    managed.host_mut("alpha").network_stop();
    flow.wait_for_more(20);
    eventually("the server relays", || {
        let way = managed.way("bravo", "charlie");
        when(way == "relayed", way)
    });
}
