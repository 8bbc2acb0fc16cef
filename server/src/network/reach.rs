//! Where hosts reach each other without a relay.
//!
//! The relay sees the address that a host's packets come from. A host that has this address itself can be reached there,
//! by whoever shares that part of the Internet: an address of the world by all, a private one by those whose packets also
//! come from private ones, because they are on the same side of the router as the server. Two hosts whose packets come
//! from the same address are behind the same router, and try each other's own addresses.

use super::member::Member;
use muster_protocol::limits::NETWORK_ENDPOINTS;
use muster_protocol::network::{Prefix, Reach};
use std::net::{IpAddr, SocketAddr};

/// Seconds between packets that keep a way through a NAT open: most forget one after 30 at the earliest.
pub const KEEPALIVE_S: u16 = 25;

/// What an address is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Realm {
    /// Within a site.
    Site,
    /// Everywhere.
    World,
}

fn realm(address: IpAddr) -> Realm {
    let is_of_a_site = match address {
        IpAddr::V4(v4) => {
            let [first, second, ..] = v4.octets();
            v4.is_private() || v4.is_loopback() || v4.is_link_local() || (first == 100 && second & 0xc0 == 64)
        }
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    };
    if is_of_a_site { Realm::Site } else { Realm::World }
}

/// Where `to` can be reached directly by `from`, apart from a LAN.
pub fn public(from: &Member, to: &Member) -> Option<SocketAddr> {
    if let Some(stated) = to.offer.endpoint {
        return Some(stated);
    }
    let observed = to.observed.filter(|observed| to.offer.addresses.contains(observed) && to.offer.port != 0)?;
    let is_in_reach = realm(observed) == Realm::World || from.observed.map(realm) == Some(Realm::Site);
    is_in_reach.then(|| SocketAddr::new(observed, to.offer.port))
}

/// Where `from` is to try to reach `to`, the best first. Addresses inside the network's own range lead nowhere.
pub fn endpoints(from: &Member, to: &Member, range: Prefix) -> Vec<(Reach, SocketAddr)> {
    let mut found: Vec<(Reach, SocketAddr)> = Vec::new();
    let is_outside = |address: &IpAddr| match address {
        IpAddr::V4(v4) => !range.contains(v4.to_bits()),
        IpAddr::V6(_) => true,
    };
    let is_neighbour = from.observed.is_some() && from.observed == to.observed && to.offer.port != 0;
    let lan = to.offer.addresses.iter().filter(|_| is_neighbour);
    let lan = lan.map(|address| (Reach::Lan, SocketAddr::new(*address, to.offer.port)));
    let public = public(from, to).map(|address| (Reach::Public, address));
    for (reach, address) in lan.chain(public) {
        if is_outside(&address.ip()) && !found.iter().any(|(_, known)| *known == address) {
            found.push((reach, address));
        }
    }
    found.truncate(NETWORK_ENDPOINTS);
    found
}

/// Seconds between the keepalives that `from` has to send to `to`: only it can open the way, and a NAT closes it.
pub fn keepalive_s(from: &Member, to: &Member) -> u16 {
    if public(from, to).is_some() && public(to, from).is_none() { KEEPALIVE_S } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::samples::member;

    fn at(number: u8, observed: &str, own: &[&str]) -> Member {
        let mut member = member(number);
        member.observed = observed.parse().ok();
        member.offer.addresses = own.iter().map(|own| own.parse().unwrap()).collect();
        member
    }

    fn shown(from: &Member, to: &Member) -> Vec<String> {
        let range = Prefix::parse("10.42.0.0/16").unwrap();
        let show = |(reach, address): (Reach, SocketAddr)| format!("{reach:?} {address}");
        endpoints(from, to, range).into_iter().map(show).collect()
    }

    #[test]
    fn hosts_in_the_world_are_reached_by_all_and_kept_open_from_behind_nat() {
        let public = at(1, "198.51.100.7", &["198.51.100.7", "10.42.0.1"]);
        let behind = at(2, "203.0.113.5", &["192.168.1.2"]);
        let unseen = at(3, "", &["192.168.1.2"]);
        for from in [&behind, &unseen] {
            assert_eq!(shown(from, &public), ["Public 198.51.100.7:51820"]);
            assert!(shown(&public, from).is_empty());
            assert_eq!((keepalive_s(from, &public), keepalive_s(&public, from)), (25, 0));
        }
        let other = at(4, "198.51.100.8", &["198.51.100.8"]);
        assert_eq!(shown(&other, &public), ["Public 198.51.100.7:51820"]);
        assert_eq!(keepalive_s(&other, &public), 0);
        assert_eq!((shown(&behind, &unseen).len(), keepalive_s(&behind, &unseen)), (0, 0), "they need a relay");
    }

    #[test]
    fn neighbours_try_each_others_lan_first() {
        let one = at(1, "203.0.113.5", &["192.168.1.2", "10.42.0.1", "fd00::2"]);
        let two = at(2, "203.0.113.5", &["192.168.1.3"]);
        assert_eq!(shown(&two, &one), ["Lan 192.168.1.2:51820", "Lan [fd00::2]:51820"]);
        assert_eq!((shown(&one, &two), keepalive_s(&one, &two)), (vec!["Lan 192.168.1.3:51820".to_owned()], 0));
        // The router itself.
        let router = at(3, "203.0.113.5", &["192.168.1.1", "203.0.113.5"]);
        assert_eq!(shown(&one, &router), ["Lan 192.168.1.1:51820", "Lan 203.0.113.5:51820"]);
    }

    #[test]
    fn what_an_operator_has_stated_goes_before_what_is_seen() {
        let mut forwarded = at(1, "203.0.113.5", &["192.168.1.2"]);
        forwarded.offer.endpoint = "203.0.113.5:4000".parse().ok();
        let behind = at(2, "203.0.113.6", &["192.168.1.2"]);
        assert_eq!(shown(&behind, &forwarded), ["Public 203.0.113.5:4000"]);
        assert_eq!((keepalive_s(&behind, &forwarded), keepalive_s(&forwarded, &behind)), (25, 0));
    }

    #[test]
    fn hosts_beside_the_server_are_for_those_on_their_side_of_the_router() {
        let beside = at(1, "192.168.1.2", &["192.168.1.2"]);
        let deeper = at(2, "192.168.1.9", &["172.20.0.2"]);
        let public = at(3, "198.51.100.7", &["198.51.100.7"]);
        assert_eq!(
            (shown(&deeper, &beside), keepalive_s(&deeper, &beside)),
            (vec!["Public 192.168.1.2:51820".into()], 25)
        );
        assert!(shown(&public, &beside).is_empty(), "a private address means something else there");
        assert_eq!(keepalive_s(&beside, &public), 25, "to the world it is behind NAT");
    }
}
