//! What an idle host behind a router that translates costs on its uplink.

use muster_tests::internet::WAN;
use muster_tests::managed::ALL;
use muster_tests::{Capture, Managed};
use std::collections::BTreeMap;
use std::time::Duration;

/// Long enough for several of everything that is sent from time to time.
const LOOK: Duration = Duration::from_secs(120);

/// After this time all is quiet: a session with packets is begun anew once more, three minutes later.
const SETTLED: Duration = Duration::from_secs(240);

/// Bytes per second of IP packets, both directions together, that an idle host may cost.
const AIM: u64 = 15;

#[test]
#[ignore = "takes minutes: run by ./test.sh --all"]
fn an_idle_host_behind_nat_sends_and_receives_little() {
    let managed = Managed::joined(&ALL);
    // One of those that are looked at has IPv6 on its interfaces, as hosts have it, and one has it not.
    let ipv6 = |name: &str| managed.host(name).node.script(&format!("ip -6 address show dev {WAN}"));
    managed.host("charlie").node.script("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
    assert!(ipv6("bravo").contains("inet6 fe80:") && !ipv6("charlie").contains("inet6"));
    let mut managed = managed.brought_up(&[]);
    // Reports are not what is measured.
    for host in &mut managed.hosts {
        host.agent.stop();
    }
    std::thread::sleep(SETTLED);
    let looks = ["bravo", "charlie"].map(|name| (name, Capture::start(&managed.host(name).node, WAN)));
    std::thread::sleep(LOOK);
    for (name, look) in looks {
        let list = look.list();
        let mut kinds: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for line in list.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let bytes: u64 = words[1].parse().expect("a number of bytes");
            // Addresses on the LAN are asked for by Ethernet.
            if words[2] == "other" {
                continue;
            }
            let kind = format!("{} {} > {} {}", words[2], words[3], words[4], words[5]);
            let sum = kinds.entry(kind).or_default();
            *sum = (sum.0 + 1, sum.1 + bytes);
        }
        let sum: u64 = kinds.values().map(|(_, bytes)| bytes).sum();
        let rate = sum as f64 / LOOK.as_secs_f64();
        eprintln!("{name}: {rate:.1} bytes/s");
        for (kind, (packets, bytes)) in &kinds {
            eprintln!("    {packets} packets, {bytes} bytes: {kind}");
        }
        assert!(sum <= AIM * LOOK.as_secs(), "{name}: {rate:.1} bytes/s:\n{list}");
    }
}
