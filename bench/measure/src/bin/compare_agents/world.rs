//! The world of the comparison: one private engine with its containers; a network namespace in which the agents and
//! what they talk to are alone, so that its loopback carries nothing else; and a second link into it for the
//! watcher, whose bytes are not counted.

use muster_bench::process::CpuMeter;
use muster_dial::{Address, Pin};
use muster_tests::place::Place;
use muster_tests::process::{Process, Ran, clean, program};
use muster_tests::{Engine, eventually};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::time::{Duration, Instant};

/// Both ends of the watcher's link.
const OUTSIDE: &str = "10.77.0.1/30";
const INSIDE: &str = "10.77.0.2";
/// The loopback of the agents' namespace carries packets as an Ethernet would: of this size, and none joined.
const LOOPBACK: &str = "ip link set lo up mtu 1500 gso_max_segs 1 gso_max_size 1500 && echo ready && exec cat";
/// Containers that are started at the same time.
const AT_ONCE: usize = 4;
/// For anything of which a line of output is awaited.
const PATIENCE: Duration = Duration::from_secs(30);
/// In seconds, for a command.
const COMMAND: u32 = 60;

/// Everything that runs throughout the comparison. Dropping it ends all of it.
pub struct World {
    pub engine: Engine,
    pub place: Place,
    /// Holds the agents' network namespace open.
    pub alone: Process,
    server: Process,
    sink: Process,
    port: u16,
    sink_port: u16,
    pub pin: Pin,
}

impl World {
    pub fn new(containers: usize) -> World {
        let place = Place::new();
        Ran::of("ip", &["link", "set", "lo", "up"], &[], COMMAND).ok();
        let mut holder = Command::new("unshare");
        holder.args(["--net", "sh", "-c", LOOPBACK]);
        let mut alone = Process::start_read("a network namespace", &mut holder, &place.join("net.log"));
        assert_eq!(alone.line(PATIENCE).as_deref(), Some("ready"), "no network namespace: {}", alone.log());
        let inside = alone.id().to_string();
        let link = ["link", "add", "watch", "type", "veth", "peer", "name", "watch", "netns", &inside];
        Ran::of("ip", &link, &[], COMMAND).ok();
        let address = format!("{INSIDE}/30");
        let enter = format!("--net=/proc/{inside}/ns/net");
        for command in [&["addr", "add", &address, "dev", "watch"][..], &["link", "set", "watch", "up"]] {
            Ran::of("nsenter", &[&[&enter, "ip"], command].concat(), &[], COMMAND).ok();
        }
        Ran::of("ip", &["addr", "add", OUTSIDE, "dev", "watch"], &[], COMMAND).ok();
        Ran::of("ip", &["link", "set", "watch", "up"], &[], COMMAND).ok();

        let engine = Engine::start("bench");
        run_containers(&engine, containers);

        let data = place.join("server");
        let mut command = within(&alone, &program("muster"));
        command.args(["serve", "--data-dir", &data, "--listen", "0.0.0.0:0", "--advertise", "127.0.0.1:0"]);
        let mut server = Process::start_read("server", &mut command, &place.join("server.log"));
        let line = server.line(PATIENCE).unwrap_or_default();
        let ready = line.strip_prefix("listening https://0.0.0.0:").and_then(|rest| rest.split_once(" pin="));
        let Some((port, pin)) = ready else { panic!("the server is not ready: {line}\n{}", server.log()) };

        let mut command = within(&alone, &program("json-sink"));
        command.arg(place.join("sink.pem"));
        let mut sink = Process::start_read("sink", &mut command, &place.join("sink.log"));
        let line = sink.line(PATIENCE).unwrap_or_default();
        let Some(sink_port) = line.strip_prefix("listening ") else { panic!("no sink: {line}\n{}", sink.log()) };
        World {
            port: port.parse().expect("the server prints its port"),
            sink_port: sink_port.parse().expect("the sink prints its port"),
            pin: pin.parse().expect("the server prints its pin"),
            engine,
            place,
            alone,
            server,
            sink,
        }
    }

    /// Where the watcher reaches the server.
    pub fn server_from_outside(&self) -> Address {
        Address::new(INSIDE, self.port).expect("an address")
    }

    pub fn admin_token(&self) -> String {
        let path = self.place.join("server/admin.token");
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}")).trim().to_owned()
    }

    /// Joins Muster's agent and starts it.
    pub fn start_muster(&self) -> Process {
        let data = self.place.join("server");
        let enter = format!("--net=/proc/{}/ns/net", self.alone.id());
        let made = [&enter, &program("muster"), "join-command", "--data-dir", &data, "--uses", "1"];
        let line = Ran::of("nsenter", &made, &[], COMMAND).ok();
        let string = line.split('\'').nth(1).unwrap_or_else(|| panic!("not a join command: {line}")).to_owned();
        let state = self.place.join("agent");
        let join = [&enter, &program("muster-agent"), "join", &string, "--state-dir", &state, "--name", "bench"];
        Ran::of("nsenter", &join, &[], COMMAND).ok();
        let mut command = within(&self.alone, &program("muster-agent"));
        command.args(["run", "--state-dir", &state, "--docker-host", &self.engine.docker_host(), "--interval", "5s"]);
        Process::start("muster-agent", &mut command, &self.place.join("agent.log"))
    }

    /// Starts the reference agent; `what` is `inspect` or `list`.
    pub fn start_reference(&self, what: &str) -> Process {
        let mut command = within(&self.alone, &program("reference-agent"));
        let url = format!("https://localhost:{}", self.sink_port);
        command.args([&self.socket(), &url, &self.place.join("sink.pem"), what]);
        Process::start("reference agent", &mut command, &self.place.join("reference.log"))
    }

    /// How late events came to the sink since the last call, in nanoseconds.
    pub fn sink_lateness(&mut self) -> Vec<u64> {
        let sink = &mut self.sink;
        std::iter::from_fn(|| sink.line(Duration::ZERO)).filter_map(|line| line.parse().ok()).collect()
    }

    pub fn server_id(&self) -> u32 {
        self.server.id()
    }

    fn socket(&self) -> String {
        self.engine.docker_host().trim_start_matches("unix://").to_owned()
    }

    /// The daemon and its containerd.
    pub fn engine_ids(&self) -> [u32; 2] {
        let socket = self.socket();
        let of = |file: &str| {
            let path = socket.replace("docker.sock", file);
            eventually("the engine says who it is", || {
                let text = std::fs::read_to_string(&path).map_err(|error| error.to_string())?;
                text.trim().parse().map_err(|_| text)
            })
        };
        [of("docker.pid"), of("exec/containerd/containerd.pid")]
    }

    /// A call of the engine that answers with this status.
    pub fn call(&self, method: &str, path: &str, status: &str) {
        call(&self.socket(), method, path, status);
    }

    /// What one call costs the engine, in nanoseconds of CPU, with all that its runtime does in the background.
    pub fn cost_of(&self, path: &str) -> f64 {
        const CALLS: u32 = 50;
        const PAUSE: Duration = Duration::from_millis(100);
        let mut meter = CpuMeter::new(&self.engine_ids());
        let stretch = CALLS * PAUSE;
        let idle = meter.look();
        muster_bench::ending::wait(stretch);
        let before = meter.look();
        let begin = Instant::now();
        for n in 0..CALLS {
            self.call("GET", path, "200");
            muster_bench::ending::wait_until(begin + n * PAUSE);
        }
        let after = meter.look();
        ((after - before) as f64 - (before - idle) as f64) / f64::from(CALLS)
    }

    /// A hand that does something to the engine's containers.
    pub fn hand(&self) -> Hand {
        Hand { socket: self.socket() }
    }
}

/// Makes events.
pub struct Hand {
    socket: String,
}

impl Hand {
    /// Makes the `n`th event: every container is paused and then goes on, one after the other.
    pub fn make_event(&self, n: usize, containers: usize) {
        let action = if n.is_multiple_of(2) { "pause" } else { "unpause" };
        call(&self.socket, "POST", &format!("/containers/{}/{action}", name(n / 2 % containers)), "204");
    }
}

fn call(socket: &str, method: &str, path: &str, status: &str) {
    let exchange = || {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "{method} {path} HTTP/1.1\r\nHost: e\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    let answer = exchange().unwrap_or_else(|error| error.to_string());
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{method} {path}: {answer}");
}

fn name(n: usize) -> String {
    format!("service-{n}")
}

/// A program in the agents' network namespace, without what the caller's environment says of Muster.
fn within(alone: &Process, program: &str) -> Command {
    let mut command = Command::new("nsenter");
    command.args([&format!("--net=/proc/{}/ns/net", alone.id()), program]);
    clean(&mut command);
    command
}

/// As many as wanted, with the labels that compose sets.
fn run_containers(engine: &Engine, containers: usize) {
    std::thread::scope(|scope| {
        for first in 0..AT_ONCE {
            scope.spawn(move || {
                for n in (first..containers).step_by(AT_ONCE) {
                    let service = format!("com.docker.compose.service={}", name(n));
                    let labels = [
                        "com.docker.compose.project=bench",
                        &service,
                        "com.docker.compose.container-number=1",
                        "com.docker.compose.oneoff=False",
                        "com.docker.compose.version=2.29.1",
                        "com.docker.compose.project.working_dir=/srv/bench",
                        "com.docker.compose.project.config_files=/srv/bench/compose.yaml",
                    ];
                    let options: Vec<&str> = labels.iter().flat_map(|label| ["--label", label]).collect();
                    engine.run_with(&name(n), &options, &["live"]);
                }
            });
        }
    });
}
