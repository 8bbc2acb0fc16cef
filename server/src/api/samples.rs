//! Objects for tests.

use super::types::{
    Container, ContainerCounts, ContainerVitals, DiskVitals, Engine, Event, Host, HostVitals, JoinToken, Port,
};

/// A host at work.
pub fn host(name: &str) -> Host {
    Host {
        id: "00000000000000a1".into(),
        name: name.into(),
        state: "active".into(),
        since: "2026-11-22T09:00:00.000Z".into(),
        labels: [("site".to_string(), "attic".to_string())].into(),
        last_seen: Some("2026-11-22T09:59:58.000Z".into()),
        interval: 5.0,
        interval_set: None,
        engine: Engine {
            state: Some("ok".into()),
            since: Some("2026-11-22T09:00:00.000Z".into()),
            version: Some("28.5.2".into()),
            api_version: Some("1.51".into()),
        },
        agent_version: Some("0.1.0".into()),
        os: Some("linux".into()),
        arch: Some("aarch64".into()),
        kernel: Some("6.12.1".into()),
        containers: ContainerCounts { running: 2, stopped: 1, total: 3, ..ContainerCounts::default() },
        hidden: 0,
        events_dropped: 0,
        conflict: false,
        sync_error: false,
        credential: "valid".into(),
        vitals_interval_set: None,
        vitals: None,
    }
}

/// A container of the host `pi1`.
pub fn container(name: &str, state: &str) -> Container {
    Container {
        id: "abcdef0123456789".repeat(4),
        name: name.into(),
        host: "pi1".into(),
        host_id: "00000000000000a1".into(),
        image: "nginx:1.29".into(),
        image_id: None,
        command: "/docker-entrypoint.sh nginx -g 'daemon off;'".into(),
        state: state.into(),
        health: None,
        exit_code: None,
        oom_killed: false,
        restart_count: 0,
        created_at: Some("2026-11-22T09:00:00.000Z".into()),
        started_at: Some("2026-11-22T09:57:00.000Z".into()),
        finished_at: None,
        labels: [("tier".to_string(), "front".to_string()), ("team".to_string(), "web".to_string())].into(),
        ports: vec![Port { private: 80, public: Some(8080), address: Some("0.0.0.0".into()), protocol: "tcp".into() }],
        networks: Vec::new(),
        mounts: Vec::new(),
        truncated: Vec::new(),
        stale: false,
        as_of: Some("2026-11-22T09:59:58.000Z".into()),
        vitals: None,
        network_refused: None,
    }
}

/// How a host with four processors does.
pub fn host_vitals() -> HostVitals {
    HostVitals {
        as_of: "2026-11-22T09:59:50.000Z".into(),
        cpu_percent: Some(12.34),
        cpu_seconds: Some(5000.5),
        cpus: Some(4),
        load: Some(0.52),
        memory_total: Some(4 << 30),
        memory_available: Some(3 << 30),
        swap_total: Some(1 << 30),
        swap_used: Some(0),
        uptime: Some(200_000),
        temperature: Some(54.2),
        power: None,
        clock_offset: Some(-0.12),
        disks: vec![DiskVitals {
            path: "/".into(),
            total: Some(32 << 30),
            free: Some(8 << 30),
            used_percent: Some(75.0),
            inodes_used_percent: Some(9),
            worn_percent: Some(10),
        }],
    }
}

/// How a container of such a host does.
pub fn container_vitals() -> ContainerVitals {
    ContainerVitals {
        as_of: "2026-11-22T09:59:50.000Z".into(),
        cpu_percent: Some(101.5),
        cpu_seconds: Some(3600.25),
        memory: Some(96 << 20),
        memory_limit: Some(512 << 20),
        memory_max: Some(512 << 20),
        memory_percent: Some(18.75),
        received: Some(1_234_567),
        sent: Some(890),
        read: Some(0),
        written: Some(45_600_000),
        receiving: Some(100),
        sending: Some(0),
        reading: Some(0),
        writing: Some(4096),
        pids: Some(7),
        throttled_seconds: Some(0.0),
    }
}

/// An event of the container `web` of the host `pi1`.
pub fn event(id: u64, action: &str) -> Event {
    let attributes = [("exitCode", "1"), ("image", "nginx:1.29"), ("name", "web")];
    Event {
        id,
        time: Some("2026-11-22T10:00:00.000000000Z".into()),
        received_at: "2026-11-22T10:00:00.050Z".into(),
        host: "pi1".into(),
        host_id: "00000000000000a1".into(),
        subject: "container".into(),
        container: Some("web".into()),
        container_id: Some("abcdef0123456789".repeat(4)),
        network_id: None,
        action: action.into(),
        attributes: attributes.map(|(key, value)| (key.to_string(), Some(value.to_string()))).into(),
        epoch: Some(1),
        seq: Some(id),
        derived: false,
        truncated: Vec::new(),
    }
}

/// A gap in the events of the host `pi1`.
pub fn gap(id: u64, count: Option<&str>) -> Event {
    let attributes = [
        ("cause", Some("agent_down")),
        ("count", count),
        ("from", Some("2026-11-22T10:00:00.000000000Z")),
        ("to", Some("2026-11-22T10:05:00.000000000Z")),
    ];
    Event {
        subject: "gap".into(),
        container: None,
        container_id: None,
        attributes: attributes.map(|(key, value)| (key.to_string(), value.map(String::from))).into(),
        ..event(id, "gap")
    }
}

/// A join token for one more host.
pub fn join_token(id: &str) -> JoinToken {
    JoinToken {
        id: id.into(),
        created_at: "2026-11-22T09:00:00.000Z".into(),
        expires_at: "2026-11-23T09:00:00.000Z".into(),
        uses_left: Some(1),
        used: 0,
        labels: Default::default(),
        name: None,
    }
}
