//! Which address a container gets. Pure: who has one is told by the engine, and comes along.

use super::plan::Place;
use std::collections::{BTreeSet, VecDeque};

/// Freed addresses that are remembered: all of a host's.
const FREED: usize = 1024;

/// Addresses in the order in which they became free, so that the one that was free for the longest is given first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    order: VecDeque<u32>,
    changed: bool,
}

impl Freed {
    /// As they were saved, the one that became free first in front. What is no address is skipped.
    pub fn from_text(text: &str) -> Freed {
        let addresses = text.lines().filter_map(|line| line.trim().parse::<std::net::Ipv4Addr>().ok());
        Freed { order: addresses.map(|address| address.to_bits()).take(FREED).collect(), changed: false }
    }

    /// One on each line.
    pub fn to_text(&self) -> String {
        self.order.iter().map(|address| format!("{}\n", std::net::Ipv4Addr::from_bits(*address))).collect()
    }

    /// Nobody has it any more.
    pub fn free(&mut self, address: u32) {
        self.order.retain(|freed| *freed != address);
        if self.order.len() == FREED {
            self.order.pop_front();
        }
        self.order.push_back(address);
        self.changed = true;
    }

    /// Whether something has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// An address that nobody has: one that nobody ever had, else the one that was free for the longest. `None`: all of
    /// the place are taken.
    pub fn choose(&self, place: &Place, taken: &BTreeSet<u32>) -> Option<u32> {
        let free = |address: &u32| place.gives(*address) && !taken.contains(address);
        let never_used = place.blocks.iter().flat_map(|block| block.first..=block.last());
        let mut never_used = never_used.filter(|address| free(address) && !self.order.contains(address));
        never_used.next().or_else(|| self.order.iter().copied().find(free))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_protocol::network::Prefix;
    use std::net::Ipv4Addr;

    fn place(blocks: &[&str]) -> Place {
        let prefix = |text: &str| Prefix::parse(text).expect("a prefix");
        Place {
            range: prefix("10.42.0.0/16"),
            blocks: blocks.iter().map(|text| prefix(text)).collect(),
            label: ("a".into(), "b".into()),
            names: false,
            mtu: 1400,
        }
    }

    fn bits(text: &str) -> u32 {
        text.parse::<Ipv4Addr>().expect("an address").to_bits()
    }

    #[test]
    fn no_address_has_two_containers_and_special_ones_have_none() {
        let place = place(&["10.42.0.0/29", "10.42.255.248/29"]);
        let (freed, mut taken) = (Freed::default(), BTreeSet::new());
        while let Some(address) = freed.choose(&place, &taken) {
            assert!(place.owns(address) && taken.insert(address), "twice: {address:x}");
        }
        assert_eq!(taken.len(), 16 - 3);
        for special in ["10.42.0.0", "10.42.0.1", "10.42.255.255"] {
            assert!(!taken.contains(&bits(special)), "{special}");
        }
    }

    #[test]
    fn freed_addresses_are_reused_last_and_the_oldest_of_them_first() {
        let place = place(&["10.42.9.0/30", "10.42.1.0/30"]);
        let mut freed = Freed::default();
        for first in ["10.42.9.2", "10.42.9.3", "10.42.1.1"] {
            freed.free(bits(first));
        }
        let first: BTreeSet<u32> = freed.order.iter().copied().collect();
        freed.free(bits("10.42.1.0"));
        freed.free(bits("10.42.1.2"));
        assert_eq!(freed.choose(&place, &first), Some(bits("10.42.1.3")));
        let mut taken = first;
        taken.insert(bits("10.42.1.3"));
        assert_eq!(freed.choose(&place, &taken), Some(bits("10.42.1.0")));
        freed.free(bits("10.42.1.0"));
        assert_eq!(freed.choose(&place, &taken), Some(bits("10.42.1.2")));
        taken.insert(bits("10.42.1.2"));
        assert_eq!(freed.choose(&place, &taken), Some(bits("10.42.1.0")));
        taken.insert(bits("10.42.1.0"));
        assert_eq!(freed.choose(&place, &taken), None, "a full block");
    }

    #[test]
    fn what_was_freed_survives_a_restart() {
        let mut freed = Freed::default();
        freed.free(bits("10.42.1.7"));
        freed.free(bits("10.42.1.5"));
        assert!(freed.take_changed() && !freed.take_changed());
        assert_eq!(Freed::from_text(&freed.to_text()), freed);
        assert_eq!(Freed::from_text("rubbish\n10.42.1.7\n10.42.1.5"), freed);
    }
}
