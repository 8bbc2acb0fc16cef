//! `carry`: one host's tunnel, as `bench/network` wants it. Hosts have numbers, from which their keys (known to everybody)
//! and blocks (10.42.NUMBER.0/24) come.

use lexopt::prelude::*;
use muster_agent::network::tunnel::{Guest, Peer, Relay, Settings, Table, Tunnel};
use muster_protocol::id::HostId;
use muster_protocol::network::relay::Rate;
use muster_protocol::network::{Prefix, Reach};
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

const USAGE: &str =
    "carry --host N [--peer N[@ADDRESS:PORT]]... [--relay ADDRESS:PORT] [--guest N]... [--keepalive SECONDS]";
const PORT: u16 = 4570;

fn main() -> Result<(), Box<dyn Error>> {
    let mut number = None;
    let mut table = Table::default();
    let mut keepalive_s = 0;
    let mut arguments = lexopt::Parser::from_env();
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("host") => number = Some(arguments.value()?.parse::<u8>()?),
            Long("peer") => {
                let text = arguments.value()?.string()?;
                let (host, endpoint) = match text.split_once('@') {
                    Some((host, endpoint)) => (host, Some(endpoint.parse::<SocketAddr>()?)),
                    None => (text.as_str(), None),
                };
                table.peers.push(peer(host.parse()?, endpoint));
            }
            Long("relay") => table.relays.push(Relay {
                host: HostId::default(),
                address: arguments.value()?.parse()?,
                secret: secret(number.ok_or(USAGE)?),
            }),
            Long("guest") => {
                let guest = arguments.value()?.parse()?;
                table.guests.push(Guest { host: HostId([guest; 8]), slot: guest.into(), secret: secret(guest) });
            }
            Long("keepalive") => keepalive_s = arguments.value()?.parse()?,
            _ => return Err(USAGE.into()),
        }
    }
    let number = number.ok_or(USAGE)?;
    (table.slot, table.own) = (number.into(), vec![block(number)]);
    table.peers.iter_mut().for_each(|peer| peer.keepalive_s = keepalive_s);
    let settings = Settings { key: [number; 32], port: PORT, device: "carry".into(), mtu: 1280 };
    // A relay that does not hold its guests back: it is measured what it can do.
    let tunnel = Tunnel::start_with(settings, Rate::per_second(u64::MAX / 4096))?;
    tunnel.set(&table)?;
    loop {
        std::thread::sleep(Duration::from_secs(3600));
    }
}

fn peer(number: u8, endpoint: Option<SocketAddr>) -> Peer {
    let secret = boringtun::x25519::StaticSecret::from([number; 32]);
    Peer {
        host: HostId([number; 8]),
        key: boringtun::x25519::PublicKey::from(&secret).to_bytes(),
        slot: number.into(),
        keepalive_s: 0,
        blocks: vec![block(number)],
        endpoints: endpoint.iter().map(|endpoint| (Reach::Public, *endpoint)).collect(),
    }
}

fn secret(number: u8) -> [u8; 16] {
    [number; 16]
}

fn block(number: u8) -> Prefix {
    Prefix { first: Ipv4Addr::new(10, 42, number, 0).to_bits(), length: 24 }
}
