//! What a simulated host has: containers as compose makes them. All hosts have the same, but for the ids.

use muster_protocol::container::{Container, Mount, Network, Port, State};
use muster_protocol::event::{Event, Subject};
use muster_protocol::id::EngineId;
use muster_protocol::limits;

/// Bytes of an id, with which every encoded container begins.
const ID: usize = 32;

/// A container, encoded but for its id, in both of its states.
#[derive(Debug)]
pub struct Shape {
    name: String,
    labels: Vec<(String, String)>,
    running: Vec<u8>,
    paused: Vec<u8>,
}

/// As many containers as a host has.
pub fn shapes(count: usize) -> Vec<Shape> {
    (0..count).map(Shape::new).collect()
}

/// The id of a host's container.
pub fn id(host: u32, container: usize) -> EngineId {
    let mut id = [0xa5; ID];
    id[..4].copy_from_slice(&host.to_be_bytes());
    id[4..12].copy_from_slice(&(container as u64).to_be_bytes());
    EngineId(id)
}

impl Shape {
    fn new(n: usize) -> Shape {
        let name = format!("bench-service-{n}-1");
        let mut labels: Vec<(String, String)> = [
            ("com.docker.compose.container-number", "1"),
            ("com.docker.compose.oneoff", "False"),
            ("com.docker.compose.project", "bench"),
            ("com.docker.compose.project.config_files", "/srv/bench/compose.yaml"),
            ("com.docker.compose.project.working_dir", "/srv/bench"),
            ("com.docker.compose.service", &format!("service-{n}")),
            ("com.docker.compose.version", "2.29.1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into();
        labels.sort();
        let address = format!("172.18.0.{}", n % 250 + 2);
        let encode = |state: State| {
            let container = Container {
                id: EngineId::default(),
                name: &name,
                image: "registry.example/bench/service:1.27",
                image_id: Some(EngineId([7; ID])),
                command: "/docker-entrypoint.sh serve",
                state: state as u8,
                health: 0,
                exit_code: None,
                oom_killed: false,
                restart_count: 0,
                created_ms: 1_700_000_000_000,
                started_ms: Some(1_700_000_001_000),
                finished_ms: None,
                labels: labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect(),
                ports: [Port { private: 80, protocol: "tcp", public: Some(8000 + n as u16), address: "0.0.0.0" }]
                    .into_iter()
                    .collect(),
                networks: [Network { name: "bench_default", ipv4: &address, ipv6: "" }].into_iter().collect(),
                mounts: [Mount { destination: "/data", kind: "volume", source: "bench_data", writable: true }]
                    .into_iter()
                    .collect(),
                truncated: 0,
            };
            let mut buffer = vec![0; limits::RECORD];
            let length = postcard::to_slice(&container, &mut buffer).expect("it fits in a record").len();
            buffer[ID..length].to_vec()
        };
        let (running, paused) = (encode(State::Running), encode(State::Paused));
        Shape { name, labels, running, paused }
    }

    /// The whole body of a container with that id.
    pub fn body(&self, id: EngineId, paused: bool, into: &mut Vec<u8>) {
        into.clear();
        into.extend_from_slice(&id.0);
        into.extend_from_slice(if paused { &self.paused } else { &self.running });
    }

    /// The event of its being paused, or going on; encoded.
    pub fn event(&self, id: EngineId, paused: bool, time_nano: i64) -> Vec<u8> {
        let mut attributes: Vec<(&str, &str)> =
            self.labels.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        attributes.extend([("image", "registry.example/bench/service:1.27"), ("name", self.name.as_str())]);
        attributes.sort_unstable();
        let event = Event {
            time_nano,
            subject: Subject::Container as u8,
            action: if paused { "pause" } else { "unpause" },
            actor: id,
            container: None,
            attributes: attributes.into_iter().collect(),
            truncated: 0,
        };
        let mut buffer = vec![0; limits::EVENT];
        let length = postcard::to_slice(&event, &mut buffer).expect("it fits in an event").len();
        buffer.truncate(length);
        buffer
    }
}
