//! Machines with all that a host of the managed network has: an engine, an agent, and the network process.

use crate::engine::Options;
use crate::node::Node;
use crate::place::Place;
use crate::process::{Process, Ran, clean, program};
use crate::wait::{eventually, when};
use crate::{Agent, Engine, Server, text};
use std::collections::BTreeSet;

/// The label that joins a container, unless the server was told another one.
pub const LABEL: &str = "io.rancher.container.network=true";

/// The name of the engine's network, and of the bridge and the tunnel below it.
pub const NETWORK: &str = "muster";
/// See [`NETWORK`].
pub const BRIDGE: &str = "muster0";
/// See [`NETWORK`].
pub const TUNNEL: &str = "muster-wg0";

/// What a container of [`Host::run_box`] runs: it tells its own name on port 80, and 3 MB on port 81.
const BOX: &str = "busybox nc -ll -p 80 -e busybox hostname & \
                   busybox nc -ll -p 81 -e busybox dd if=/dev/zero bs=1000 count=3000 2>/dev/null & exec live";

/// How many bytes port 81 of [`Host::run_box`] tells.
pub const BULK: u64 = 3_000_000;

/// A machine in a network namespace of its own. Dropping it ends all that runs on it.
#[derive(Debug)]
pub struct Host {
    /// Ended first: a failing test still shows its log.
    network: Option<Process>,
    /// The agent, in the machine's namespace.
    pub agent: Agent,
    /// The machine.
    pub node: Node,
    /// The engine. Its FORWARD policy is DROP, as it makes it itself.
    pub engine: Engine,
    /// More flags of `muster-agent network up`, from its next start on.
    pub flags: Vec<String>,
    /// The directory of `muster-agent` and `muster-network`, from the next start of the network on; none: this build's.
    pub programs: Option<String>,
    place: Place,
}

impl Host {
    /// A machine with an engine, which is not connected to anything and has joined nothing.
    pub fn start(name: &str) -> Host {
        Host::start_with(name, Options::default())
    }

    /// The same with an engine that is made otherwise. It has a bridge in any case.
    pub fn start_with(name: &str, options: Options) -> Host {
        let engine = Engine::start_with(name, Options { bridge: true, ..options });
        let node = engine.node();
        let mut agent = Agent::new(&engine.docker_host());
        agent.network = Some(node.namespace());
        Host { network: None, agent, node, engine, flags: Vec::new(), programs: None, place: Place::new() }
    }

    /// Several at once.
    pub fn start_all(names: &[&str], options: Options) -> Vec<Host> {
        std::thread::scope(|scope| {
            let starting: Vec<_> =
                names.iter().map(|name| scope.spawn(move || Host::start_with(name, options))).collect();
            starting.into_iter().map(|one| one.join().unwrap_or_else(|why| std::panic::resume_unwind(why))).collect()
        })
    }

    /// The name that the test gave it.
    pub fn name(&self) -> &str {
        self.engine.name()
    }

    /// Joins the fleet and starts the agent.
    #[track_caller]
    pub fn join(&mut self, server: &Server) {
        self.agent.join_with(&server.join_string(&["--name", self.engine.name()])).ok();
        self.agent.start();
        self.agent.wait_until_heard(server, self.engine.name());
    }

    /// Starts `muster-agent network up`, which becomes the network process.
    pub fn network_up(&mut self) {
        assert!(self.network.is_none(), "the network process runs");
        let agent =
            self.programs.as_ref().map_or_else(|| program("muster-agent"), |folder| format!("{folder}/muster-agent"));
        let mut command = self.node.command(&agent);
        command.args(["network", "up"]).args(self.whose()).args(&self.flags);
        let log = self.place.join("network.log");
        self.network = Some(Process::start(&format!("network of {}", self.name()), clean(&mut command), &log));
    }

    /// Runs another command of `muster-agent network` to its end.
    pub fn network_command(&self, arguments: &[&str]) -> Ran {
        let whose = self.whose();
        let mut all = vec!["network"];
        all.extend(arguments);
        all.extend(whose.iter().map(String::as_str));
        self.node.try_run(&program("muster-agent"), &all)
    }

    /// Ends the network process without a warning.
    pub fn network_kill(&mut self) {
        self.network.take().expect("the network process runs").kill();
    }

    /// Asks the network process to end, as its unit does; its exit code.
    pub fn network_stop(&mut self) -> i32 {
        self.network.take().expect("the network process runs").stop()
    }

    /// The network process, while it runs.
    pub fn network(&mut self) -> &mut Process {
        self.network.as_mut().expect("the network process runs")
    }

    /// A field of what the kernel says of the network process's memory, such as `VmHWM`, in KiB.
    #[track_caller]
    pub fn network_memory(&mut self, field: &str) -> u64 {
        let id = self.network().id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("the network process runs");
        let value = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        let value = value.and_then(|value| value.trim().strip_suffix(" kB")?.parse().ok());
        value.unwrap_or_else(|| panic!("no {field} in:\n{status}"))
    }

    /// Puts another program in the place of the network's own in [`Host::programs`], as an upgrade does: the process goes on
    /// with the one that it was started with.
    pub fn replace_network(&self) {
        let folder = self.programs.as_ref().expect("programs of its own");
        let (path, fresh) = (format!("{folder}/muster-network"), format!("{folder}/muster-network.new"));
        std::fs::copy(&path, &fresh).expect("a copy");
        // What follows the last section is not looked at.
        let mut file = std::fs::File::options().append(true).open(&fresh).expect("the copy");
        std::io::Write::write_all(&mut file, b"another").expect("a longer file");
        drop(file);
        std::fs::rename(&fresh, &path).expect("another file");
    }

    /// Whether the network process runs by the file that is in its place now, and not by one that was replaced.
    pub fn runs_what_is_there(&mut self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let folder = self.programs.clone().expect("programs of its own");
        let id = self.network().id();
        let inode = |path: String| std::fs::metadata(path).ok().map(|it| (it.dev(), it.ino()));
        inode(format!("/proc/{id}/exe")) == inode(format!("{folder}/muster-network"))
    }

    /// Takes copies of this build's programs, which can be replaced, from the next start of the network on.
    pub fn with_own_programs(&mut self) {
        let folder = self.place.join("programs");
        std::fs::create_dir(&folder).expect("a folder");
        for name in ["muster-agent", "muster-network"] {
            std::fs::copy(program(name), format!("{folder}/{name}")).expect("a copy");
        }
        self.programs = Some(folder);
    }

    /// What the network process has logged so far, since the first start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.place.join("network.log")).unwrap_or_default()
    }

    fn whose(&self) -> Vec<String> {
        let flags = [
            ("--state-dir", self.agent.state_dir()),
            ("--runtime-dir", self.place.join("run")),
            ("--docker-host", self.engine.docker_host()),
        ];
        flags.into_iter().flat_map(|(flag, value)| [flag.to_owned(), value]).collect()
    }

    /// Starts a container with the label that tells its name, which is its host name too, and some bytes by TCP.
    pub fn run_box(&self, name: &str) -> String {
        self.run_box_with(name, &["-l", LABEL])
    }

    /// The same with other options, and without the label.
    pub fn run_box_with(&self, name: &str, options: &[&str]) -> String {
        let mut all = vec!["--hostname", name];
        all.extend(options);
        self.engine.run_with(name, &all, &["sh", "-c", BOX])
    }

    /// The address in the managed network that `docker inspect` shows.
    pub fn find_address(&self, container: &str) -> Option<String> {
        let networks = self.engine.inspect(container)["NetworkSettings"]["Networks"].clone();
        let address = text(&networks[NETWORK], "IPAddress").to_owned();
        (!networks[NETWORK].is_null() && !address.is_empty()).then_some(address)
    }

    /// Waits until a container has an address in the managed network.
    #[track_caller]
    pub fn address(&self, container: &str) -> String {
        eventually(&format!("{}/{container} has an address", self.name()), || {
            self.find_address(container)
                .ok_or_else(|| self.engine.inspect(container)["NetworkSettings"]["Networks"].to_string())
        })
    }

    /// Runs lines of a shell in a container.
    pub fn exec(&self, container: &str, lines: &str) -> Ran {
        self.engine.try_docker(&["exec", container, "sh", "-c", lines])
    }

    /// Whether a container gets one answer to a ping, within two seconds.
    pub fn pings(&self, container: &str, address: &str) -> bool {
        self.exec(container, &format!("busybox ping -c 1 -W 2 {address}")).code == 0
    }

    /// Waits until a container gets an answer to a ping.
    #[track_caller]
    pub fn wait_for_ping(&self, container: &str, address: &str) {
        let name = self.name();
        eventually(&format!("{container} of {name} reaches {address}"), || when(self.pings(container, address), ""));
    }

    /// What a container is told by port 80 of an address.
    pub fn asks(&self, container: &str, address: &str) -> String {
        self.exec(container, &format!("nc -w 3 {address} 80 </dev/null")).stdout.trim().to_owned()
    }

    /// How many bytes a container gets from port 81 of an address: [`BULK`], if nothing is wrong.
    pub fn downloads(&self, container: &str, address: &str) -> u64 {
        let ran =
            self.exec(container, &format!("busybox timeout 20 busybox nc {address} 81 </dev/null | busybox wc -c"));
        ran.stdout.trim().parse().unwrap_or(0)
    }

    /// Waits until a container has got all of [`BULK`] from port 81 of an address.
    #[track_caller]
    pub fn wait_for_download(&self, container: &str, address: &str) {
        eventually(&format!("{container} of {} has all bytes of {address}", self.name()), || {
            let bytes = self.downloads(container, address);
            when(bytes == BULK, bytes)
        });
    }

    /// A machine of a container's own, for as long as the container runs.
    pub fn inside(&self, container: &str) -> Node {
        let id = self.engine.docker(&["inspect", "--format", "{{.State.Pid}}", container]);
        Node::of_network(id.parse().expect("a process id"))
    }

    /// Starts pings from a container, without an end.
    pub fn flow(&self, container: &str, address: &str) -> Flow {
        Flow::start(&self.inside(container), address)
    }

    /// Rules, routes and interfaces, without counters and without what changes by itself.
    pub fn ground(&self) -> String {
        self.node.script(
            "for command in iptables-save ip6tables-save; do $command | grep -v '^#' | sed 's/\\[.*//'; done
             ip -4 route; ip -4 rule; ip -o link | sed 's/^[0-9]*: //; s/@if[0-9]*//; s/ qlen.*//; s/ state .*//'
             ip -4 -o address | sed 's/^[0-9]*: //'
             grep . /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/conf/all/*",
        )
    }
}

/// Milliseconds between two pings of a [`Flow`].
pub const FLOW_PAUSE_MS: u32 = 200;

/// Milliseconds after which an answer is as good as none.
const LATE_MS: f64 = 1000.0;

/// Pings that go on until they are counted.
#[derive(Debug)]
pub struct Flow {
    process: Process,
    _place: Place,
}

impl Flow {
    /// Starts it, and waits until the first one is answered.
    #[track_caller]
    pub fn start(node: &Node, address: &str) -> Flow {
        let place = Place::new();
        let mut command = node.command("busybox");
        command.args(["ping", "-i", &format!("0.{FLOW_PAUSE_MS:03}"), address]);
        let flow = Flow { process: Process::start("pings", &mut command, &place.join("pings")), _place: place };
        flow.wait_for_more(1);
        flow
    }

    /// Waits until so many more have been answered.
    #[track_caller]
    pub fn wait_for_more(&self, count: usize) {
        let wanted = self.answered() + count;
        eventually("pings are answered", || match self.answered() {
            answered if answered >= wanted => Ok(()),
            answered => Err(format!("{answered} of {wanted}")),
        });
    }

    /// How many have been answered so far.
    pub fn answered(&self) -> usize {
        self.process.log().lines().filter(|line| line.contains("bytes from")).count()
    }

    /// How many have been lost so far, or came so late that nobody waits for them: behind them others were answered.
    pub fn lost(&self) -> usize {
        self.missing(LATE_MS)
    }

    /// How many have been lost so far, however late the others came.
    pub fn never_answered(&self) -> usize {
        self.missing(f64::INFINITY)
    }

    fn missing(&self, late_ms: f64) -> usize {
        let log = self.process.log();
        let after = |line: &str, word: &str| line.split(word).nth(1)?.split(' ').next()?.parse::<f64>().ok();
        let in_time = |line: &&str| after(line, "time=").is_some_and(|took| took < late_ms);
        let number = |line: &str| Some(after(line, "seq=")? as usize);
        let answered: BTreeSet<usize> = log.lines().filter(in_time).filter_map(number).collect();
        answered.last().map_or(0, |last| last + 1 - answered.len())
    }
}
