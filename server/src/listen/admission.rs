//! How many connections there may be, in all and from strangers.

use super::Limits;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bits of an IPv6 address that one customer is given: the rest is theirs to vary.
const IPV6_SITE: u32 = 64;

/// Counts connections.
#[derive(Debug)]
pub(super) struct Admission {
    connections: usize,
    unknown_per_peer: usize,
    known_per_client: usize,
    counts: Mutex<Counts>,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    unknown: HashMap<IpAddr, usize>,
    known: HashMap<u64, usize>,
}

impl Admission {
    pub fn new(limits: &Limits) -> Arc<Admission> {
        let &Limits { connections, unknown_per_peer, known_per_client, .. } = limits;
        Arc::new(Admission { connections, unknown_per_peer, known_per_client, counts: Mutex::default() })
    }

    /// A place for a connection from there, or why there is none.
    pub fn admit(self: &Arc<Self>, peer: IpAddr) -> Result<Place, &'static str> {
        let peer = site(peer);
        let mut counts = self.counts();
        if counts.all >= self.connections {
            return Err("there are as many connections as allowed");
        }
        let unknown = counts.unknown.entry(peer).or_default();
        if *unknown >= self.unknown_per_peer {
            return Err("one address has as many unknown connections as allowed");
        }
        *unknown += 1;
        counts.all += 1;
        drop(counts);
        Ok(Place { admission: self.clone(), peer, client: Mutex::new(None) })
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What counts as one address.
fn site(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << (128 - IPV6_SITE)))),
        ip => ip,
    }
}

/// The place of one connection, given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    admission: Arc<Admission>,
    peer: IpAddr,
    /// Who it is, once that is known and counts.
    client: Mutex<Option<u64>>,
}

impl Place {
    /// The other end has proven that it is `who`: its address may have another stranger. If it has too many
    /// connections, this one stays a stranger's.
    pub fn known(&self, who: u64) {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if client.is_some() {
            return;
        }
        let mut counts = self.admission.counts();
        let known = counts.known.entry(who).or_default();
        if *known < self.admission.known_per_client {
            *known += 1;
            *client = Some(who);
            less(&mut counts.unknown, &self.peer);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let client = *self.client.get_mut().unwrap_or_else(PoisonError::into_inner);
        let mut counts = self.admission.counts();
        match client {
            Some(who) => less(&mut counts.known, &who),
            None => less(&mut counts.unknown, &self.peer),
        }
        counts.all -= 1;
    }
}

fn less<K: Eq + Hash>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admission(connections: usize, unknown_per_peer: usize) -> Arc<Admission> {
        Admission::new(&Limits { connections, unknown_per_peer, ..Limits::default() })
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn strangers_of_one_address_are_limited_and_acquaintances_are_not() {
        let admission = admission(100, 2);
        let first = admission.admit(ip("192.0.2.1")).unwrap();
        let _second = admission.admit(ip("::ffff:192.0.2.1")).unwrap();
        assert!(admission.admit(ip("192.0.2.1")).is_err());
        assert!(admission.admit(ip("192.0.2.2")).is_ok());
        first.known(7);
        first.known(8);
        let third = admission.admit(ip("192.0.2.1")).unwrap();
        assert!(admission.admit(ip("192.0.2.1")).is_err());
        drop(first);
        assert!(admission.admit(ip("192.0.2.1")).is_err(), "it was no stranger");
        drop(third);
        assert!(admission.admit(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn one_site_of_ipv6_is_one_address() {
        let admission = admission(100, 1);
        let _place = admission.admit(ip("2001:db8:0:1::1")).unwrap();
        assert!(admission.admit(ip("2001:db8:0:1:ffff::2")).is_err());
        assert!(admission.admit(ip("2001:db8:0:2::1")).is_ok());
    }

    #[test]
    fn the_total_is_limited_and_nothing_is_left_behind() {
        let admission = admission(2, 2);
        let places = [admission.admit(ip("192.0.2.1")).unwrap(), admission.admit(ip("192.0.2.2")).unwrap()];
        places[0].known(7);
        assert!(admission.admit(ip("192.0.2.3")).is_err());
        drop(places);
        let counts = admission.counts();
        assert_eq!((counts.all, counts.unknown.len(), counts.known.len()), (0, 0, 0));
    }

    #[test]
    fn one_client_is_known_so_many_times_and_a_stranger_then() {
        let limits = Limits { connections: 100, unknown_per_peer: 2, known_per_client: 3, ..Limits::default() };
        let admission = Admission::new(&limits);
        let admit = || {
            let place = admission.admit(ip("192.0.2.1"))?;
            place.known(7);
            Ok::<_, &str>(place)
        };
        let mut places: Vec<_> = (0..5).map(|_| admit().unwrap()).collect();
        assert!(admit().is_err(), "three are known, two are strangers");
        drop(places.remove(0));
        places[4 - 1].known(7);
        assert!(admit().is_ok(), "one of the strangers took the place that became free");
    }
}
