//! The network process as a service: installed by the printed line on a clean Debian, under systemd with all that its unit
//! forbids, and under OpenRC.

use muster_tests::host::{FLOW_PAUSE_MS, Flow, LABEL, NETWORK};
use muster_tests::internet::SERVER;
use muster_tests::managed::{FIRST_HOME, PUBLIC};
use muster_tests::wait::when;
use muster_tests::{Agents, Board, Engine, Host, Internet, Node, Server, eventually, text};

/// Pings in three seconds: the longest interruption that is promised.
const INTERRUPTION: usize = (3000 / FLOW_PAUSE_MS) as usize;

/// What the program needs of a Debian, beside what starts it.
const NEEDS: &str = "curl,ca-certificates,procps,iproute2,iptables";

/// Installs it on a board that is beside its engine, tries it with another host, and takes it away. `restart` is a line that
/// restarts the service; `look` sees how it runs.
fn serves(mut board: Board, engine: &Engine, node: &Node, restart: &str, booted: &str, look: impl Fn(&Board)) {
    let (internet, server_node, agents) = (Internet::new(), Node::new("server"), Agents::built());
    agents.offer_built_network();
    internet.connect(&server_node, SERVER);
    internet.connect(node, PUBLIC);
    let home = internet.home(FIRST_HOME);
    let mut bravo = Host::start("bravo");
    home.connect(&bravo.node);
    let server = Server::start_on_with(&server_node, SERVER, &["--agents", &agents.directory()]);
    server.muster(&["network", "enable"]).ok();
    bravo.join(&server);
    bravo.network_up();
    bravo.run_box("box-bravo");

    board.start();
    board.run(booted).ok();
    board.run("groupadd --gid $(stat -c %g /run/docker.sock) docker || true").ok();
    let (before, ground) = (board.run(TRACES).ok(), rules(node));
    let line = server.muster(&["join-command", "--install", "--network", "--name", engine.name()]).ok();
    let installed = board.run(&line).ok();
    assert!(installed.contains("with the managed network"), "{installed}");
    engine.run_with("box", &["-l", LABEL], &["live"]);
    let address = eventually("the container has joined", || {
        let networks = engine.inspect("box")["NetworkSettings"]["Networks"].clone();
        let address = text(&networks[NETWORK], "IPAddress").to_owned();
        when(address.starts_with("10.42."), &networks).map(|()| address)
    });
    eventually("bravo reaches it", || when(bravo.pings("box-bravo", &address), "no answer"));
    let far = bravo.address("box-bravo");
    eventually("the other way", || {
        let ping = engine.try_docker(&["exec", "box", "busybox", "ping", "-c", "1", "-W", "3", &far]);
        when(ping.code == 0, ping)
    });
    assert!(rules(node).contains("MUSTER-FORWARD"));
    look(&board);

    let flow = Flow::start(&bravo.inside("box-bravo"), &address);
    let process = || board.run("pgrep -x muster-network || true").ok();
    let first = process();
    board.run(restart).ok();
    eventually("another process runs", || {
        let now = process();
        when(!now.is_empty() && now != first, now)
    });
    flow.wait_for_more(10);
    eprintln!("{} pings of {FLOW_PAUSE_MS} ms lost at its restart", flow.lost());
    assert!(flow.lost() <= INTERRUPTION, "{} pings lost", flow.lost());
    drop(flow);

    board.run("muster-agent-uninstall --purge").ok();
    assert_eq!(board.run("pgrep -x muster-network || true").ok(), "", "it was stopped");
    assert_eq!(board.run(TRACES).ok(), before);
    assert!(!rules(node).to_lowercase().contains("muster") && ground.contains("DOCKER"), "{}", rules(node));
    assert!(!engine.docker(&["network", "ls"]).contains(NETWORK));
}

/// What an installer can have made or changed on a board.
const TRACES: &str = "find /usr/local /var/lib /etc/systemd /etc/init.d /etc/default /root -mindepth 1 \
                      ! -path '/var/lib/systemd/*' | sort; cat /etc/passwd /etc/group";

fn rules(node: &Node) -> String {
    node.script("iptables-save; ip route; ip -o link")
}

#[test]
#[ignore = "fetches a Debian: runs with `./test.sh --all`"]
fn under_systemd_the_hardened_unit_may_do_all_that_it_has_to() {
    let engine = Engine::start_with_bridge("tower");
    let node = engine.node();
    let board = Board::debian_with_systemd(NEEDS).with_engine(&engine).in_network(node.namespace());
    serves(board, &engine, &node, "systemctl restart muster-network", "true", |board| {
        let confined =
            board.run("grep -E '^(NoNewPrivs|Seccomp|CapBnd):' /proc/$(pgrep -x muster-network)/status").ok();
        // To pass over file modes, low ports, administration of the network, raw packets: bits 1, 10, 12 and 13.
        assert_eq!(confined, "CapBnd:\t0000000000003402\nNoNewPrivs:\t1\nSeccomp:\t2");
        let said = board.run("journalctl --no-pager -o cat -u muster-network").ok();
        assert!(!said.contains("Permission denied") && !said.contains("not permitted"), "{said}");
    });
}

#[test]
#[ignore = "fetches a Debian: runs with `./test.sh --all`"]
fn under_openrc_it_is_a_service() {
    let engine = Engine::start_with_bridge("shed");
    let node = engine.node();
    let board = Board::debian(&format!("openrc,kmod,{NEEDS}")).with_engine(&engine).in_network(node.namespace());
    // As OpenRC does when it boots.
    let booted = "mkdir /run/openrc && cd /run/openrc && touch softlevel && mkdir daemons exclusive failed hotplugged \
                  inactive options scheduled started starting stopped stopping tmp wasinactive";
    serves(board, &engine, &node, "rc-service muster-network restart", booted, |board| {
        assert!(board.run("rc-update show default").ok().contains("muster-network"));
    });
}
