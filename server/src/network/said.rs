//! What an agent says over its network line: bytes in, checked values out.

use super::basis::{Hello, Told};
use super::member::{Container, Offer};
use muster_protocol::id::HostId;
use muster_protocol::limits;
use muster_protocol::network::{MemberState, NetworkEcho, NetworkHello, NetworkMember, NetworkPath, Way};
use muster_protocol::record::{Kind, Malformed, Reader};
use std::net::{IpAddr, SocketAddr};

/// How a host reaches another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Path {
    /// In which way.
    pub way: Way,
    /// Where its packets are sent to.
    pub endpoint: Option<SocketAddr>,
    /// Seconds since the last handshake, when it was told.
    pub handshake_s: Option<u32>,
    /// Bytes received from it.
    pub received: u64,
    /// Bytes sent to it.
    pub sent: u64,
}

/// One message of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    /// What the host brings along.
    pub hello: Option<Hello>,
    /// Of containers.
    pub told: Vec<Told>,
    /// Of peers.
    pub paths: Vec<(HostId, Path)>,
    /// What came of probes.
    pub echoes: Vec<NetworkEcho>,
}

impl Said {
    /// Reads a message. Records of kinds that do not belong here are passed over.
    ///
    /// # Errors
    /// It does not decode or breaks a limit, or a hello is not at its beginning.
    pub fn read(message: &[u8]) -> Result<Said, Malformed> {
        let mut said = Said::default();
        let mut records = Reader::message(message)?;
        let mut is_first = true;
        while let Some(record) = records.next_record()? {
            let wrong = Malformed::Payload(record.kind);
            match record.kind {
                Kind::NetworkHello if !is_first => return Err(Malformed::Order),
                Kind::NetworkHello => said.hello = Some(hello(&record.decode()?).ok_or(wrong)?),
                Kind::NetworkMember => said.told.push(told(&record.decode()?).ok_or(wrong)?),
                Kind::NetworkPath => {
                    let path: NetworkPath<'_> = record.decode()?;
                    said.paths.push((path.host, read_path(&path).ok_or(wrong)?));
                }
                Kind::NetworkEcho => said.echoes.push(record.decode()?),
                _ => {}
            }
            is_first = false;
        }
        Ok(said)
    }
}

fn hello(hello: &NetworkHello<'_>) -> Option<Hello> {
    let is_short = |text: &&str| text.len() <= limits::ADDRESS;
    // A key of nothing is nobody's; and an address that is none leads nowhere.
    let fits = hello.key != [0; 32]
        && hello.accepted.is_valid()
        && hello.endpoint.len() <= limits::NETWORK_ENDPOINT
        && hello.addresses.iter().all(is_short);
    let mut addresses: Vec<IpAddr> =
        hello.addresses.iter().filter_map(|text| text.parse::<IpAddr>().ok()).map(|it| it.to_canonical()).collect();
    addresses.retain(|address| !address.is_unspecified() && !address.is_multicast());
    let offer = Offer {
        port: hello.port,
        accepted: hello.accepted,
        endpoint: hello.endpoint.parse().ok(),
        relays: hello.relays,
        addresses,
        blocks: hello.blocks.clamp(1, limits::NETWORK_BLOCKS as u8),
    };
    fits.then_some(Hello { key: hello.key, offer, sum: hello.sum })
}

fn told(member: &NetworkMember<'_>) -> Option<Told> {
    if member.name.len() > limits::NAME || member.reason.len() > limits::NETWORK_REASON {
        return None;
    }
    let plain = |text: &str| text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>();
    let joined = match member.state {
        state if state == MemberState::Gone as u8 => return Some(Told::Gone(member.container)),
        state if state == MemberState::Joined as u8 => Ok(member.address),
        // Of a later version: it is not in the network.
        _ => Err(plain(member.reason)),
    };
    Some(Told::Is(Container { id: member.container, name: plain(member.name), joined }))
}

fn read_path(path: &NetworkPath<'_>) -> Option<Path> {
    let way = match path.way {
        way if way == Way::Direct as u8 => Way::Direct,
        way if way == Way::Lan as u8 => Way::Lan,
        way if way == Way::Relayed as u8 => Way::Relayed,
        way if way == Way::Refused as u8 => Way::Refused,
        _ => Way::None,
    };
    (path.endpoint.len() <= limits::NETWORK_ENDPOINT).then(|| Path {
        way,
        endpoint: path.endpoint.parse().ok(),
        handshake_s: Some(path.handshake_s).filter(|seconds| *seconds != u32::MAX),
        received: path.received,
        sent: path.sent,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_protocol::id::EngineId;
    use muster_protocol::network::Prefix;
    use muster_protocol::record::Writer;

    fn message(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut buffer = [0; 4096];
        let mut writer = Writer::message(&mut buffer).unwrap();
        write(&mut writer);
        writer.as_bytes().to_vec()
    }

    fn hello() -> NetworkHello<'static> {
        NetworkHello {
            key: [1; 32],
            port: 51820,
            accepted: Prefix::parse("10.0.0.0/8").unwrap(),
            endpoint: "",
            relays: false,
            addresses: ["192.168.1.2", "nonsense", "0.0.0.0"].into_iter().collect(),
            blocks: 99,
            sum: 7,
        }
    }

    #[test]
    fn what_is_said_is_read() {
        let member = |state: MemberState, reason| NetworkMember {
            container: EngineId([state as u8; 32]),
            name: "we\nb",
            state: state as u8,
            address: 5,
            reason,
        };
        let path =
            NetworkPath { host: HostId([3; 8]), way: 3, endpoint: "", handshake_s: u32::MAX, received: 1, sent: 2 };
        let said = Said::read(&message(|writer| {
            writer.record(Kind::NetworkHello, &hello()).unwrap();
            writer.record(Kind::NetworkMember, &member(MemberState::Joined, "")).unwrap();
            writer.record(Kind::NetworkMember, &member(MemberState::Refused, "network mode\thost")).unwrap();
            writer.record(Kind::NetworkMember, &member(MemberState::Gone, "")).unwrap();
            writer.record(Kind::NetworkPath, &path).unwrap();
            writer.record(Kind::NetworkEcho, &NetworkEcho { number: 4, took_us: 9 }).unwrap();
        }))
        .unwrap();
        let hello = said.hello.unwrap();
        assert_eq!((hello.sum, hello.offer.blocks, hello.offer.addresses.len()), (7, 16, 1));
        let container = |id, joined| Told::Is(Container { id: EngineId([id; 32]), name: "we b".into(), joined });
        let refused = Err("network mode host".to_owned());
        assert_eq!(said.told, [container(1, Ok(5)), container(2, refused), Told::Gone(EngineId([0; 32]))]);
        assert_eq!((said.paths[0].1.way, said.paths[0].1.handshake_s), (Way::Relayed, None));
        assert_eq!(said.echoes, [NetworkEcho { number: 4, took_us: 9 }]);
    }

    #[test]
    fn what_breaks_a_limit_is_refused() {
        let refused = |write: &dyn Fn(&mut Writer<'_>)| Said::read(&message(write)).expect_err("refused");
        let one = |hello: &NetworkHello<'_>| refused(&|writer| writer.record(Kind::NetworkHello, hello).unwrap());
        let wrong = Malformed::Payload(Kind::NetworkHello);
        assert_eq!(one(&NetworkHello { key: [0; 32], ..hello() }), wrong);
        assert_eq!(one(&NetworkHello { accepted: Prefix { first: 1, length: 8 }, ..hello() }), wrong);
        assert_eq!(one(&NetworkHello { endpoint: &"1".repeat(65), ..hello() }), wrong);
        let twice = refused(&|writer| {
            writer.record(Kind::NetworkHello, &hello()).unwrap();
            writer.record(Kind::NetworkHello, &hello()).unwrap();
        });
        assert_eq!(twice, Malformed::Order);
        let name = "n".repeat(129);
        let member = NetworkMember { container: EngineId([1; 32]), name: &name, state: 1, address: 0, reason: "" };
        let long = refused(&|writer| writer.record(Kind::NetworkMember, &member).unwrap());
        assert_eq!(long, Malformed::Payload(Kind::NetworkMember));
        assert_eq!(Said::read(&[]), Err(Malformed::Version));
        assert_eq!(Said::read(&[1]), Ok(Said::default()), "a look whether the line still works");
    }
}
