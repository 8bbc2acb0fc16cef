//! Two network namespaces with one link between them that carries nothing but one agent and its server.

use muster_bench::process::Carried;
use muster_tests::Engine;
use muster_tests::place::Place;
use muster_tests::process::{Process, Ran, clean, program};
use std::process::Command;
use std::time::Duration;

/// The link has this name at both ends.
const LINK: &str = "wire";
/// What a packet has on it that is not IP.
const ETHERNET: u64 = 14;
/// The agent's end and the server's.
const ENDS: [(&str, &str); 2] = [("10.78.0.1", "02:00:00:00:00:01"), ("10.78.0.2", "02:00:00:00:00:02")];
/// Containers that are started at the same time.
const AT_ONCE: usize = 4;
/// For a line of output.
const PATIENCE: Duration = Duration::from_secs(30);
/// In seconds, for a command.
const COMMAND: u32 = 60;

/// Everything but the agent. Dropping it ends all of it.
pub struct World {
    engine: Engine,
    place: Place,
    agents: Process,
    servers: Process,
    _server: Process,
    containers: usize,
    joined: usize,
}

impl World {
    pub fn new(containers: usize) -> World {
        let place = Place::new();
        let [agents, servers] = ["agent", "server"].map(|name| namespace(&place, name));
        let ids = [agents.id().to_string(), servers.id().to_string()];
        let link = ["link", "add", LINK, "netns", &ids[0], "type", "veth", "peer", "name", LINK, "netns", &ids[1]];
        Ran::of("ip", &link, &[], COMMAND).ok();
        for (own, other) in [(0, 1), (1, 0)] {
            let ((ip, mac), (peer, peer_mac)) = (ENDS[own], ENDS[other]);
            // No neighbour is asked for and no IPv6 is spoken: what passes is the connection. No packets are joined.
            let script = format!(
                "echo 1 > /proc/sys/net/ipv6/conf/{LINK}/disable_ipv6; \
                 ip link set {LINK} address {mac} mtu 1500 gso_max_segs 1 gso_max_size 1500 && \
                 ip addr add {ip}/30 dev {LINK} && ip link set {LINK} up && \
                 ip neigh replace {peer} lladdr {peer_mac} nud permanent dev {LINK}"
            );
            let enter = format!("--net=/proc/{}/ns/net", ids[own]);
            Ran::of("nsenter", &[&enter, "sh", "-c", &script], &[], COMMAND).ok();
        }

        let engine = Engine::start("bench");
        run_containers(&engine, containers);

        let mut command = within(&servers, &program("muster"));
        let listen = format!("{}:0", ENDS[1].0);
        let data = place.join("server");
        command.args(["serve", "--data-dir", &data, "--listen", &listen, "--advertise", &listen]);
        let mut server = Process::start_read("server", &mut command, &place.join("server.log"));
        let line = server.line(PATIENCE).unwrap_or_default();
        assert!(line.starts_with("listening "), "the server is not ready: {line}\n{}", server.log());
        World { engine, place, agents, servers, _server: server, containers, joined: 0 }
    }

    /// Joins a new host and starts its agent.
    pub fn start_agent(&mut self, uplink: &str, interval: Duration) -> Process {
        self.joined += 1;
        let data = self.place.join("server");
        let enter = format!("--net=/proc/{}/ns/net", self.servers.id());
        let made = [&enter, &program("muster"), "join-command", "--data-dir", &data, "--uses", "1"];
        let line = Ran::of("nsenter", &made, &[], COMMAND).ok();
        let string = line.split('\'').nth(1).unwrap_or_else(|| panic!("not a join command: {line}")).to_owned();
        let state = self.place.join(&format!("agent{}", self.joined));
        let enter = format!("--net=/proc/{}/ns/net", self.agents.id());
        let join = [&enter, &program("muster-agent"), "join", &string, "--state-dir", &state];
        Ran::of("nsenter", &join, &[], COMMAND).ok();
        let mut command = within(&self.agents, &program("muster-agent"));
        let interval = format!("{}s", interval.as_secs());
        command.args(["run", "--state-dir", &state, "--docker-host", &self.engine.docker_host()]);
        command.args(["--interval", &interval, "--uplink", uplink]);
        Process::start("muster-agent", &mut command, &self.place.join("agent.log"))
    }

    /// What the link has carried so far, either way.
    pub fn carried(&self) -> Carried {
        Carried::by(self.agents.id(), LINK, ETHERNET)
    }

    /// Makes the `n`th event: every container is paused and then goes on, one after the other.
    pub fn make_event(&self, n: usize) {
        let action = if n.is_multiple_of(2) { "pause" } else { "unpause" };
        self.engine.docker(&[action, &name(n / 2 % self.containers)]);
    }
}

fn namespace(place: &Place, name: &str) -> Process {
    let mut holder = Command::new("unshare");
    holder.args(["--net", "sh", "-c", "ip link set lo up && echo ready && exec cat"]);
    let mut process = Process::start_read("a network namespace", &mut holder, &place.join(&format!("{name}.net.log")));
    assert_eq!(process.line(PATIENCE).as_deref(), Some("ready"), "no network namespace: {}", process.log());
    process
}

/// A program in a network namespace, without what the caller's environment says of Muster.
fn within(namespace: &Process, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args([&format!("--net=/proc/{}/ns/net", namespace.id()), program]);
    clean(&mut command);
    command
}

fn name(n: usize) -> String {
    format!("service-{n}")
}

/// With a few labels, as compose sets them.
fn run_containers(engine: &Engine, containers: usize) {
    std::thread::scope(|scope| {
        for first in 0..AT_ONCE {
            scope.spawn(move || {
                for n in (first..containers).step_by(AT_ONCE) {
                    let service = format!("com.docker.compose.service={}", name(n));
                    let options = ["--label", "com.docker.compose.project=bench", "--label", &service];
                    engine.run_with(&name(n), &options, &["live"]);
                }
            });
        }
    });
}
