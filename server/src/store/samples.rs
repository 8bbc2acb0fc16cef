//! Rows for tests, with something in every field.

use super::*;
use muster_protocol::id::EventIdentity;
use muster_protocol::network::Prefix;
use std::collections::BTreeMap;

pub(crate) fn host(number: u8) -> HostRow {
    HostRow {
        id: HostId([number; 8]),
        name: format!("board-{number}"),
        labels: BTreeMap::from([("room".to_owned(), "cellar".to_owned())]),
        credential: [number; 32],
        fingerprint: [7; 16],
        joined_ms: 1_700_000_000_000,
        state: "active".to_owned(),
        since_ms: 1_700_000_001_000,
        last_seen_ms: Some(-5),
        interval_ms: 5_000,
        facts: HostFacts {
            agent_version: "0.1.0".to_owned(),
            os: "linux".to_owned(),
            arch: "aarch64".to_owned(),
            kernel: "6.1".to_owned(),
        },
        engine: EngineRow {
            state: 1,
            since_ms: Some(1_700_000_000_500),
            version: "27.3.1".to_owned(),
            api_version: "1.47".to_owned(),
        },
        hidden: 3,
        events_dropped: 300,
        conflict: true,
        dropped_before: 200,
        listed_ms: Some(1_700_000_001_500),
        orders: HostOrders {
            interval_ms: Some(30_000),
            trust_revision: 3,
            renew: 2,
            renewed: 1,
            next_credential: Some([9; 32]),
            revoked: true,
            vitals_ms: Some(15_000),
        },
        sync_error: true,
    }
}

pub(crate) fn fleet() -> FleetRow {
    FleetRow {
        revision: 3,
        generation: 2,
        addresses: vec!["plant.example.org:7443".to_owned()],
        pins: vec![[10; 32], [11; 32]],
    }
}

pub(crate) fn audit(id: u64) -> AuditRow {
    AuditRow {
        id,
        time_ms: 1_700_000_000_000,
        token: "admin".to_owned(),
        name: String::new(),
        peer: "127.0.0.1".to_owned(),
        action: "host.rename".to_owned(),
        target: "board-1".to_owned(),
        attributes: BTreeMap::from([("from".to_owned(), "attic".to_owned())]),
    }
}

pub(crate) fn stream(number: u8) -> StreamRow {
    StreamRow {
        host: HostId([number; 8]),
        stream: 1,
        epoch: 9,
        acknowledged: 1_000,
        last_event: Some(EventIdentity(0x0102_0304_0506_0708, u64::MAX)),
        runs: vec![([3; 16], 8), ([4; 16], 9)],
        imported: true,
    }
}

pub(crate) fn container(host: u8, number: u8) -> ContainerRow {
    ContainerRow {
        host: HostId([host; 8]),
        id: EngineId([number; 32]),
        epoch: 9,
        seq: 17,
        story: vec![1, 2],
        body: vec![3, 4, 5],
        as_of_ms: 1_700_000_002_000,
    }
}

pub(crate) fn event(id: u64) -> EventRow {
    EventRow {
        id,
        received_ms: 1_700_000_003_000,
        host: HostId([1; 8]),
        epoch: 9,
        seq: 18,
        body: EventBody::Engine(vec![6, 7]),
    }
}

pub(crate) fn other_events() -> [EventRow; 3] {
    let attributes = BTreeMap::from([("name".to_owned(), "web".to_owned())]);
    [
        EventRow { body: EventBody::Gap(vec![8]), ..event(2) },
        EventRow {
            body: EventBody::Derived {
                container: EngineId([5; 32]),
                action: "destroy".to_owned(),
                attributes: attributes.clone(),
            },
            ..event(3)
        },
        EventRow { body: EventBody::Host { action: "host_removed".to_owned(), attributes }, ..event(4) },
    ]
}

pub(crate) fn join_token(number: u8) -> JoinTokenRow {
    JoinTokenRow {
        id: format!("{number:012x}"),
        hash: [number; 32],
        created_ms: 1_700_000_000_000,
        expires_ms: 1_700_086_400_000,
        uses_left: Some(2),
        used: 1,
        labels: BTreeMap::from([("room".to_owned(), "cellar".to_owned())]),
        name: Some("pi".to_owned()),
    }
}

pub(crate) fn api_token(number: u8) -> ApiTokenRow {
    ApiTokenRow {
        id: format!("{number:012x}"),
        hash: [number; 32],
        role: "viewer".to_owned(),
        name: "wall display".to_owned(),
        created_ms: 1_700_000_000_000,
    }
}

pub(crate) fn user(name: &str) -> UserRow {
    UserRow {
        name: name.to_owned(),
        role: "viewer".to_owned(),
        password: PasswordRow { memory_kib: 300, passes: 2, lanes: 1, salt: [5; 16], hash: [6; 32] },
        created_ms: 1_700_000_000_000,
        password_ms: 1_700_000_001_000,
    }
}

pub(crate) fn web_sessions() -> [WebSessionRow; 3] {
    let of = |number: u8, origin| WebSessionRow {
        id: format!("{number:012x}"),
        hash: [number; 32],
        origin,
        name: "ada".to_owned(),
        role: "viewer".to_owned(),
        created_ms: 1_700_000_000_000,
        seen_ms: 1_700_000_001_000,
    };
    [
        of(1, SessionOrigin::User("ada".to_owned())),
        of(2, SessionOrigin::ApiToken("00112233".to_owned())),
        of(3, SessionOrigin::AdminToken("44556677".to_owned())),
    ]
}

pub(crate) fn docker_client(number: u8) -> DockerClientRow {
    DockerClientRow {
        id: format!("{number:012x}"),
        fingerprint: [number; 32],
        role: "viewer".to_owned(),
        name: "fleet".to_owned(),
        host: "muster.example".to_owned(),
        created_ms: 1_700_000_000_000,
        expires_ms: 1_731_542_400_000,
    }
}

pub(crate) fn alert_setting() -> AlertSettingRow {
    AlertSettingRow { key: "settings".to_owned(), json: b"{}".to_vec() }
}

pub(crate) fn alert(id: u64) -> AlertRow {
    AlertRow { id, json: b"{}".to_vec() }
}

pub(crate) fn notice(id: u64) -> NoticeRow {
    NoticeRow { id, json: b"{}".to_vec() }
}

pub(crate) fn network() -> NetworkRow {
    NetworkRow {
        enabled: true,
        range: Prefix { first: 0x0a2a_0000, length: 16 },
        block_length: 26,
        label: "net=1".to_owned(),
        names: true,
        mtu: 1280,
        relay_port: Some(7000),
        next_slot: 300,
        next_block: 5,
        freed: vec![3, 1],
    }
}

pub(crate) fn network_member(number: u8) -> NetworkMemberRow {
    NetworkMemberRow {
        host: HostId([number; 8]),
        slot: number.into(),
        key: [number; 32],
        other_key: Some([0x55; 32]),
        port: 51_820,
        accepted: Prefix { first: 0x0a00_0000, length: 8 },
        endpoint: "198.51.100.7:4000".parse().ok(),
        relays: true,
        addresses: vec!["192.168.1.2".parse().expect("an address"), "2001:db8::7".parse().expect("an address")],
        wanted: 2,
        observed: "198.51.100.7".parse().ok(),
        blocks: vec![0, 4],
        containers: vec![(EngineId([9; 32]), "web".to_owned(), 0x0a2a_0002)],
    }
}
