//! What an idle host behind a router that translates costs on its uplink.

use muster_tests::Managed;
use muster_tests::internet::WAN;
use muster_tests::managed::ALL;
use std::time::Duration;

/// Long enough for several keepalives.
const LOOK: Duration = Duration::from_secs(100);

/// Bytes per second that are aimed at, without the 14 that Ethernet adds to each packet.
const AIM: f64 = 15.0;

#[test]
#[ignore = "takes minutes: run by ./test.sh --all"]
fn an_idle_host_behind_nat_sends_and_receives_little() {
    let mut managed = Managed::up(&ALL);
    // Reports are not what is measured.
    for host in &mut managed.hosts {
        host.agent.stop();
    }
    // What was said to find ways, and to end TCP, is over.
    std::thread::sleep(Duration::from_secs(60));
    for name in ["bravo", "charlie"] {
        let node = &managed.host(name).node;
        let counters = |file: &str| -> f64 {
            let text = node.run("cat", &[&format!("/sys/class/net/{WAN}/statistics/{file}")]);
            text.trim().parse().expect("a number")
        };
        let look = || (counters("rx_bytes"), counters("tx_bytes"), counters("rx_packets"), counters("tx_packets"));
        let before = look();
        std::thread::sleep(LOOK);
        let after = look();
        let seconds = LOOK.as_secs_f64();
        let packets = after.2 - before.2 + after.3 - before.3;
        let (received, sent) = (after.0 - before.0, after.1 - before.1);
        let rate = (received + sent - 14.0 * packets) / seconds;
        eprintln!(
            "{name}: received {received} and sent {sent} bytes in {seconds} s, {packets} packets: {rate:.1} bytes/s"
        );
        assert!(rate <= AIM * 2.0, "{name}: {rate:.1} bytes/s");
    }
}
