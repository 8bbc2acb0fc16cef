//! Hosts for tests.

use super::basis::{Basis, Hello, Told};
use super::member::{Container, Member, Offer};
use super::secrets::Secrets;
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::network::Prefix;

pub fn host(number: u8) -> HostId {
    HostId([number; 8])
}

/// What a host says that accepts all private addresses of the kind that networks have by default.
pub fn hello(number: u8) -> Hello {
    let offer = Offer {
        port: 51820,
        accepted: Prefix::parse("10.0.0.0/8").unwrap(),
        endpoint: None,
        relays: false,
        addresses: Vec::new(),
        blocks: 1,
    };
    Hello { key: [number; 32], offer, sum: 0 }
}

pub fn member(number: u8) -> Member {
    Member {
        host: host(number),
        name: format!("board-{number}"),
        slot: number.into(),
        key: [number; 32],
        other_key: None,
        offer: hello(number).offer,
        observed: None,
        blocks: Vec::new(),
        containers: Vec::new(),
    }
}

pub fn container(number: u8, name: &str, address: u32) -> Told {
    Told::Is(Container { id: EngineId([number; 32]), name: name.into(), joined: Ok(address) })
}

/// An enabled network, which has these hosts.
pub fn basis(hosts: impl IntoIterator<Item = u8>) -> Basis {
    let mut basis = Basis::new(Secrets::of(&[7; 32]));
    basis.enabled = true;
    for number in hosts {
        basis.hear(host(number), &format!("board-{number}"), &hello(number));
    }
    basis.settle();
    basis
}
