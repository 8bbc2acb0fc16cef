//! Another agent takes the place of the one that runs, if its maker has signed it, and gives it back if it is no good.

use muster_tests::agents::TARGET;
use muster_tests::process::Ran;
use muster_tests::{Agents, Board, Engine, Server, eventually, text};

/// An agent that calls itself newer, and is the one from before.
const NEWER: &str = r#"#!/bin/sh
[ "$1" != --version ] || { echo 'muster-agent 99.0.0'; exit; }
exec /usr/local/bin/muster-agent.previous "$@"
"#;

/// One that runs, and never reports.
const SILENT: &str = r#"#!/bin/sh
[ "$1" != --version ] || { echo 'muster-agent 99.0.0'; exit; }
echo silent >>/var/lib/muster-agent/tried
[ "$1" != run ] || exec sleep 1000
"#;

/// One that ends at once.
const BROKEN: &str = r#"#!/bin/sh
[ "$1" != --version ] || { echo 'muster-agent 99.0.0'; exit; }
exit 1
"#;

/// One that reports and ends, over and over.
const UNSTEADY: &str = r#"#!/bin/sh
[ "$1" != --version ] || { echo 'muster-agent 99.0.0'; exit; }
[ "$1" = run ] || exec /usr/local/bin/muster-agent.previous "$@"
timeout 3 /usr/local/bin/muster-agent.previous run
"#;

/// A board with the agent of this build as a service, in a fleet.
struct World {
    _engine: Engine,
    agents: Agents,
    server: Server,
    board: Board,
    /// Of the agent that was installed.
    sum: String,
}

impl World {
    fn new(name: &str) -> World {
        let (engine, agents) = (Engine::start(name), Agents::built());
        let server = Server::start_with(&["--agents", &agents.directory()]);
        let line = server.muster(&["join-command", "--install", "--name", name]).ok();
        let mut board = Board::borrowed().with_engine(&engine).with_systemd();
        board.write("var/lib/muster-agent/agent.conf", "interval = 1s\n");
        board.start();
        board.run(&line).ok();
        let world = World { _engine: engine, agents, server, sum: sum(&board), board };
        world.wait_until_heard(name);
        world
    }

    /// `muster-agent upgrade`, by an agent that was built with the key of [`Agents`].
    fn upgrade(&self, options: &str) -> Ran {
        let line = format!("/usr/local/bin/muster-agent upgrade {options}");
        self.board.run_with(&line, &[("MUSTER_RELEASE_KEY", &self.agents.public_key())])
    }

    /// The agent that was installed runs, and nothing of another one is left but what is kept on purpose.
    #[track_caller]
    fn is_as_before(&self, host: &str) {
        assert_eq!(sum(&self.board), self.sum);
        let beside = self.board.run("ls /usr/local/bin").ok();
        assert_eq!(beside, "muster-agent\nsystemctl");
        self.wait_until_heard(host);
    }

    /// Waits for a report that is made after this call.
    #[track_caller]
    fn wait_until_heard(&self, host: &str) {
        let last = self.server.find_host(host).map(|host| host["last_seen"].clone());
        self.server.wait_for_host(host, "reports", |host| {
            Some(&host["last_seen"]) != last.as_ref() && host["state"] == "active"
        });
    }
}

fn sum(board: &Board) -> String {
    board.run("sha256sum </usr/local/bin/muster-agent").ok()
}

#[test]
fn a_newer_agent_that_reports_stays_and_the_host_is_who_it_was() {
    let world = World::new("harbour");
    let (server, board) = (&world.server, &world.board);
    let id = server.host("harbour")["id"].clone();
    world.agents.publish(NEWER, "99.0.0");
    let upgraded = world.upgrade("--within 60s").ok();
    assert!(upgraded.contains("99.0.0 reports") && upgraded.contains(".previous"), "{upgraded}");
    assert_eq!(board.run("/usr/local/bin/muster-agent --version").ok(), "muster-agent 99.0.0");
    assert_eq!(board.run("ls /usr/local/bin").ok(), "muster-agent\nmuster-agent.previous\nsystemctl");
    assert_eq!(board.run("sha256sum </usr/local/bin/muster-agent.previous").ok(), world.sum);
    world.wait_until_heard("harbour");
    assert_eq!((&server.host("harbour")["id"], server.hosts().len()), (&id, 1));
    board.run("muster-agent-uninstall --purge").ok();
    assert_eq!(board.run("ls /usr/local/bin /usr/local/sbin /var/lib").ok().matches("muster").count(), 0);
}

#[test]
fn the_program_of_the_managed_network_follows_where_it_is_installed() {
    let world = World::new("lighthouse");
    let (agents, board) = (&world.agents, &world.board);
    let network = |version: &str| format!("#!/bin/sh\necho 'muster-network {version}'\n");
    board.write("usr/local/bin/muster-network", &network("0.0.1"));
    board.write("etc/systemd/system/muster-network.service", "");
    board.run("chmod 755 /usr/local/bin/muster-network").ok();
    let version = || board.run("/usr/local/bin/muster-network").ok();
    agents.publish(NEWER, env!("CARGO_PKG_VERSION"));
    let stays = world.upgrade("").ok();
    assert!(stays.contains("is the newest") && stays.contains("muster-network stays as it is"), "{stays}");
    // Signed by somebody else, or as something else.
    let put = |by: &Agents, version: &str| by.put(&agents.network_file(), &network("99.0.0"), version, TARGET);
    put(&Agents::none(), "99.0.0");
    world.upgrade("").refuses(1);
    put(agents, "98.0.0");
    world.upgrade("").refuses(1);
    assert_eq!(version(), "muster-network 0.0.1");
    put(agents, "99.0.0");
    let upgraded = world.upgrade("").ok();
    assert!(upgraded.contains("muster-network 99.0.0 is in place; 0.0.1 is kept beside it"), "{upgraded}");
    assert_eq!(version(), "muster-network 99.0.0");
    assert_eq!(board.run("/usr/local/bin/muster-network.previous").ok(), "muster-network 0.0.1");
    assert_eq!(board.run("tail -n 1 /run/systemctl.log").ok(), "try-restart muster-network");
    // Again, there is nothing to do.
    assert!(!world.upgrade("").ok().contains("muster-network"));
}

#[test]
fn an_agent_that_cannot_report_goes_by_itself() {
    let world = World::new("pier");
    for (agent, why) in [(SILENT, "did not report"), (BROKEN, "did not report"), (UNSTEADY, "did not keep running")] {
        world.agents.publish(agent, "99.0.0");
        let refused = world.upgrade("--within 8s");
        refused.refuses(1);
        assert!(refused.stderr.contains(why) && refused.stderr.contains("back in its place"), "{}", refused.stderr);
        world.is_as_before("pier");
    }
    assert_eq!(world.board.run("cat /var/lib/muster-agent/tried | sort -u").ok(), "silent", "it was tried");
}

#[test]
fn only_what_the_release_key_signed_and_is_newer_is_taken() {
    let world = World::new("quay");
    let (agents, board) = (&world.agents, &world.board);
    let refused = |options: &str, code: i32, part: &str| {
        let ran = world.upgrade(options);
        ran.refuses(code);
        assert!(ran.stderr.contains(part), "{options}: {}", ran.stderr);
        world.is_as_before("quay");
    };
    refused("", 6, "no signature for");
    // What somebody who has the server could do: another content, another key, an old release.
    agents.publish(NEWER, "99.0.0");
    let file = agents.file(TARGET);
    let signature = std::fs::read_to_string(format!("{file}.sig")).expect("a signature");
    std::fs::write(&file, BROKEN).expect("written");
    refused("", 1, "not what was signed");
    std::fs::write(format!("{file}.sig"), signature.replace("99.0.0", "99.0.1")).expect("written");
    refused("", 1, "has not signed it");
    let others = Agents::none();
    others.publish(NEWER, "99.0.0");
    for name in ["", ".sig"] {
        std::fs::copy(format!("{}{name}", others.file(TARGET)), format!("{file}{name}")).expect("copied");
    }
    refused("", 1, "has not signed it");
    agents.publish(NEWER, "0.0.9");
    refused("", 1, "no newer than this agent");
    let own = board.run("muster-agent --version").ok().replace("muster-agent ", "");
    agents.publish(NEWER, &own);
    assert!(world.upgrade("").ok().contains("is the newest"));
    agents.put(&file, NEWER, "99.0.0", "mips-unknown-linux-musl");
    refused("", 1, "it is for mips");
    // It does not run here, or is another one than it says.
    agents.publish("nonsense", "99.0.0");
    refused("", 1, "does not run here");
    agents.publish(NEWER, "99.9.9");
    refused("", 1, "does not call itself");
    // A file that was carried there.
    for (name, content, version) in [("old", NEWER, "0.0.1"), ("same", NEWER, own.as_str())] {
        board.write(&format!("root/{name}/muster-agent"), "");
        agents.put(&board.path(&format!("root/{name}/muster-agent")), content, version, TARGET);
        refused(&format!("--from /root/{name}/muster-agent"), 1, "no newer");
    }
    refused("--from /root/nothing", 1, "no such file");
    // A build without a key takes nothing at all.
    let ran = board.run("/usr/local/bin/muster-agent upgrade");
    ran.refuses(1);
    assert!(ran.stderr.contains("no release key"), "{}", ran.stderr);
}

#[test]
fn a_power_cut_or_a_death_in_the_middle_leaves_the_agent_from_before() {
    let mut world = World::new("jetty");
    world.agents.publish(SILENT, "99.0.0");
    let key = world.agents.public_key();
    for power in [true, false] {
        let _ = world.board.run("rm -f /var/lib/muster-agent/tried");
        let line = "echo $$ >/run/upgrade.id; exec /usr/local/bin/muster-agent upgrade --within 10m";
        let upgrade = world.board.start_line("upgrade", line, &[("MUSTER_RELEASE_KEY", &key)]);
        eventually("the new agent is tried", || {
            let seen = world.board.run("cat /var/lib/muster-agent/tried /usr/local/bin/muster-agent.trial");
            if seen.code == 0 { Ok(()) } else { Err(seen.stderr) }
        });
        if power {
            world.board.cut_power();
            drop(upgrade);
            // A real board would be in another life now; this one shares its kernel.
            let trial = world.board.path("usr/local/bin/muster-agent.trial");
            std::fs::write(&trial, "another-life 1\n").expect("written");
            world.board.start();
        } else {
            world.board.run("kill -9 $(cat /run/upgrade.id) && systemctl restart muster-agent").ok();
            drop(upgrade);
        }
        world.wait_until_heard("jetty");
        assert_eq!(sum(&world.board), world.sum);
        assert!(world.board.run("cat /run/service.log").ok().contains("the agent from before is back"));
        // Nothing of it stands in the way of the next one.
        assert_eq!(world.board.run("ls /usr/local/bin | grep -c -e trial -e new || true").ok(), "0");
    }
    world.agents.publish(NEWER, "99.0.0");
    world.upgrade("").ok();
    assert_eq!(text(&world.server.host("jetty"), "state"), "active");
}

#[test]
fn where_nothing_starts_services_it_says_what_to_do() {
    let (engine, agents) = (Engine::start("raft"), Agents::built());
    let server = Server::start_with(&["--agents", &agents.directory()]);
    let mut board = Board::borrowed().with_engine(&engine);
    board.start();
    board.run(&server.muster(&["join-command", "--install"]).ok()).ok();
    agents.put(&board.path("root/muster-agent"), NEWER, "99.0.0", TARGET);
    let key = agents.public_key();
    let said = board.run_with("muster-agent upgrade --from /root/muster-agent", &[("MUSTER_RELEASE_KEY", &key)]).ok();
    assert!(said.contains("99.0.0 is in place; restart the agent"), "{said}");
    assert_eq!(board.run("muster-agent --version").ok(), "muster-agent 99.0.0");
    assert_eq!(board.run("ls /usr/local/bin").ok(), "muster-agent\nmuster-agent.previous");
}
