//! When it is stored where hosts are seen. Everybody is told at once that a host is elsewhere; the store is not, or a host whose
//! router changes its mind all the time would write to the disk all the time. No I/O and no clock.

use muster_protocol::id::HostId;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// Between two commits because of one host, in milliseconds.
pub const PAUSE_MS: u64 = 30_000;

/// Hosts whose addresses have changed lately.
#[derive(Debug, Default)]
pub struct Sightings {
    hosts: BTreeMap<HostId, Sighting>,
}

#[derive(Debug)]
struct Sighting {
    /// What the store has.
    stored: Option<IpAddr>,
    /// Nothing is stored again before.
    rests_until_ms: u64,
}

impl Sightings {
    /// A host is seen elsewhere than `before`.
    pub fn moved(&mut self, host: HostId, before: Option<IpAddr>) {
        // Of whom nothing is known here, the store has what was known so far.
        self.hosts.entry(host).or_insert(Sighting { stored: before, rests_until_ms: 0 });
    }

    /// Whose address is to be stored now: they are not due again for a while. `now` tells where a host is seen; `None` if there
    /// is no such host any more.
    pub fn due(&mut self, now_ms: u64, now: impl Fn(HostId) -> Option<Option<IpAddr>>) -> Vec<HostId> {
        let mut due = Vec::new();
        self.hosts.retain(|host, sighting| {
            let Some(address) = now(*host) else { return false };
            if now_ms < sighting.rests_until_ms {
                return true;
            }
            let differs = address != sighting.stored;
            if differs {
                due.push(*host);
                sighting.rests_until_ms = now_ms.saturating_add(PAUSE_MS);
            }
            differs
        });
        due
    }

    /// When to ask again what is due; `None` if nobody waits.
    pub fn next_ms(&self) -> Option<u64> {
        self.hosts.values().map(|sighting| sighting.rests_until_ms).min()
    }

    /// The store has this of a host, for whatever reason it was written.
    pub fn stored(&mut self, host: HostId, address: Option<IpAddr>) {
        if let Some(sighting) = self.hosts.get_mut(&host) {
            sighting.stored = address;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::samples::host;

    fn at(last: u8) -> Option<IpAddr> {
        Some([198, 51, 100, last].into())
    }

    #[test]
    fn a_host_that_flips_is_stored_seldom_and_never_forgotten() {
        let mut sightings = Sightings::default();
        let (mut live, mut store, mut commits) = (at(1), at(1), 0);
        for second in 0..600u64 {
            let now_ms = second * 1000;
            // For five minutes it is elsewhere each second.
            if second < 300 {
                let before = std::mem::replace(&mut live, at(2 + (second % 2) as u8));
                sightings.moved(host(1), before);
            }
            for due in sightings.due(now_ms, |_| Some(live)) {
                (store, commits) = (live, commits + 1);
                sightings.stored(due, store);
            }
            assert!(store == live || sightings.next_ms().is_some_and(|next| next <= now_ms + PAUSE_MS), "{second}");
        }
        assert_eq!(store, live);
        assert!((2..=11).contains(&commits), "{commits}");
        assert_eq!(sightings.next_ms(), None, "nothing is kept of one that stays where it is");
    }

    #[test]
    fn the_first_move_is_stored_at_once_and_what_is_back_where_it_was_is_not() {
        let mut sightings = Sightings::default();
        sightings.moved(host(1), None);
        sightings.moved(host(2), at(1));
        assert_eq!(sightings.due(5, |_| Some(at(2))), [host(1), host(2)]);
        // Only the first commit succeeds.
        sightings.stored(host(1), at(2));
        sightings.moved(host(1), at(2));
        assert_eq!(sightings.due(PAUSE_MS, |_| Some(at(3))), []);
        assert_eq!(sightings.next_ms(), Some(PAUSE_MS + 5));
        assert_eq!(sightings.due(PAUSE_MS + 5, |_| Some(at(2))), [host(2)], "the other is where it was");
        assert_eq!(sightings.due(PAUSE_MS + 6, |_| None), []);
        assert_eq!(sightings.next_ms(), None, "who is gone is forgotten");
    }

    #[test]
    fn at_the_end_all_is_due() {
        let mut sightings = Sightings::default();
        sightings.moved(host(1), None);
        assert_eq!(sightings.due(0, |_| Some(at(1))), [host(1)]);
        sightings.stored(host(1), at(1));
        sightings.moved(host(1), at(1));
        assert_eq!(sightings.due(u64::MAX, |_| Some(at(2))), [host(1)]);
    }
}
