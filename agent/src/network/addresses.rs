//! Which address a container gets. Pure: who has one is told by the engine, and comes along.

use super::plan::Place;
use muster_protocol::network::Prefix;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::Ipv4Addr;

/// Freed addresses whose order is remembered.
const FREED: usize = 1024;
/// Ranges of addresses that were given once. They are given from below, so that each block has few.
const RANGES: usize = 256;
/// Addresses that are noted as given at once, so that not each one has to be saved before it is given.
const AHEAD: u32 = 16;
/// Between the first and the last one of those.
const AHEAD_MARK: char = '~';

/// Addresses that were given once, in the order in which they became free again: one that nobody ever had is given first, and
/// then the one that was free for the longest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freed {
    order: VecDeque<u32>,
    given: Ranges,
    /// What the file says of them: all that were given, and some that will be.
    noted: Ranges,
    changed: bool,
}

impl Freed {
    /// As they were saved, the one that became free first in front. What is no address is skipped.
    pub fn from_text(text: &str) -> Freed {
        let address = |text: &str| text.trim().parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
        let mut freed = Freed::default();
        for line in text.lines() {
            if let Some((first, last)) = line.split_once(['-', AHEAD_MARK]) {
                let Some((first, last)) = address(first).zip(address(last)).filter(|(first, last)| first <= last)
                else {
                    continue;
                };
                freed.noted.add(first, last);
                if !line.contains(AHEAD_MARK) {
                    freed.given.add(first, last);
                }
            } else if let Some(address) = address(line).filter(|_| freed.order.len() < FREED) {
                freed.given.add(address, address);
                freed.noted.add(address, address);
                freed.order.push_back(address);
            }
        }
        freed
    }

    /// Ranges of what was given, ranges of what may have been when this is read, and what became free: one on each line.
    pub fn to_text(&self) -> String {
        let text = Ipv4Addr::from_bits;
        let given = self.given.0.iter().map(|(first, last)| format!("{}-{}\n", text(*first), text(*last)));
        let ahead = self.noted.0.iter().filter(|(first, last)| self.given.0.get(first) != Some(last));
        let ahead = ahead.map(|(first, last)| format!("{}{AHEAD_MARK}{}\n", text(*first), text(*last)));
        given.chain(ahead).chain(self.order.iter().map(|address| format!("{}\n", text(*address)))).collect()
    }

    /// Nobody has it any more.
    pub fn free(&mut self, address: u32) {
        self.order.retain(|freed| *freed != address);
        self.push(address);
    }

    fn push(&mut self, address: u32) {
        if self.order.len() == FREED {
            // It was free for longer than all others: so it is given before them.
            self.order.pop_front();
        }
        self.order.push_back(address);
        self.given.add(address, address);
        self.noted.add(address, address);
        self.changed = true;
    }

    /// An address is about to be given, or is found with a container. True: what is to be saved has to be before it is given.
    pub fn give(&mut self, place: &Place, address: u32) -> bool {
        if !self.given.contains(address) {
            self.given.add(address, address);
            self.changed = true;
        }
        if self.noted.contains(address) {
            return false;
        }
        let block = place.blocks.iter().find(|block| block.contains(address));
        let last = block.map_or(address, |block| address.saturating_add(AHEAD - 1).min(block.last()));
        self.noted.add(address, last);
        self.changed = true;
        true
    }

    /// After a start, once it is known which addresses are taken: those that were given before and are not have become free
    /// while nobody saw it, so that they count as freed now. Ranges of blocks that are not this host's any more are forgotten.
    pub fn settle(&mut self, place: &Place, taken: &BTreeSet<u32>) {
        let known: BTreeSet<u32> = self.order.iter().copied().collect();
        self.given.keep(&place.blocks);
        self.noted.keep(&place.blocks);
        // What was only noted ahead is hardly ever what was given last: it comes before what was given.
        let (noted, given) = (self.noted.clone(), self.given.clone());
        let ahead = noted.addresses().filter(|address| !given.contains(*address));
        ahead
            .chain(given.addresses())
            .filter(|address| place.gives(*address) && !taken.contains(address) && !known.contains(address))
            .for_each(|address| self.push(address));
    }

    /// Before it is saved for the last time: what was noted ahead will not be given any more.
    pub fn end(&mut self) {
        if self.noted != self.given {
            self.noted.clone_from(&self.given);
            self.changed = true;
        }
    }

    /// Whether something has changed since this was last asked.
    pub fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// It could not be saved.
    pub fn not_saved(&mut self) {
        self.changed = true;
    }

    /// An address that nobody has: one that nobody ever had, else the one that was free for the longest. `None`: all of
    /// the place are taken.
    pub fn choose(&self, place: &Place, taken: &BTreeSet<u32>) -> Option<u32> {
        let free = |address: &u32| place.gives(*address) && !taken.contains(address);
        let all = || place.blocks.iter().flat_map(|block| block.first..=block.last()).filter(free);
        let never_given = all().find(|address| !self.given.contains(*address));
        // Freed before all whose order is remembered.
        let long_free = || {
            let known: BTreeSet<u32> = self.order.iter().copied().collect();
            all().find(|address| !known.contains(address))
        };
        never_given.or_else(long_free).or_else(|| self.order.iter().copied().find(free))
    }
}

/// Addresses, as ranges that do not touch: the last one by the first one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Ranges(BTreeMap<u32, u32>);

impl Ranges {
    fn contains(&self, address: u32) -> bool {
        self.0.range(..=address).next_back().is_some_and(|(_, last)| *last >= address)
    }

    fn add(&mut self, first: u32, last: u32) {
        let (mut first, mut last) = (first, last);
        while let Some((before, end)) = self.0.range(..=last.saturating_add(1)).next_back().map(|(a, b)| (*a, *b))
            && end.saturating_add(1) >= first
        {
            self.0.remove(&before);
            (first, last) = (first.min(before), last.max(end));
        }
        // Of a host that was moved about endlessly some are forgotten: they may be given sooner.
        if self.0.len() < RANGES {
            self.0.insert(first, last);
        }
    }

    /// Only what is in these.
    fn keep(&mut self, blocks: &[Prefix]) {
        let old = std::mem::take(&mut self.0);
        for block in blocks {
            for (first, last) in &old {
                let (first, last) = (block.first.max(*first), block.last().min(*last));
                if first <= last {
                    self.add(first, last);
                }
            }
        }
    }

    fn addresses(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().flat_map(|(first, last)| *first..=*last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_protocol::network::Prefix;

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
        assert_eq!(Freed::from_text("rubbish\n10.42.1.7\n10.42.1.5").order, freed.order);
    }

    #[test]
    fn what_was_given_and_freed_unseen_is_not_given_as_new() {
        let place = place(&["10.42.1.0/27"]);
        let (mut freed, mut taken, mut file) = (Freed::default(), BTreeSet::new(), String::new());
        let mut saved = 0;
        for _ in 0..20 {
            let chosen = freed.choose(&place, &taken).expect("room");
            if freed.give(&place, chosen) {
                (file, saved) = (freed.to_text(), saved + 1);
            }
            taken.insert(chosen);
        }
        assert_eq!(saved, 2, "not for each");
        // Some go, the process is killed before it saves that, more go, and the engine knows of the others only.
        let gone = [bits("10.42.1.5"), bits("10.42.1.9")];
        let mut freed = Freed::from_text(&file);
        taken.retain(|address| !gone.contains(address));
        freed.settle(&place, &taken);
        while let Some(chosen) = freed.choose(&place, &taken).filter(|chosen| !gone.contains(chosen)) {
            taken.insert(chosen);
        }
        assert_eq!(taken.len(), 28, "those that nobody had come first");
        assert_eq!(freed.choose(&place, &taken), Some(gone[0]));
        freed.end();
        assert_eq!(Freed::from_text(&freed.to_text()).noted, freed.given);
    }

    #[test]
    fn ranges_join_and_are_bounded() {
        let mut ranges = Ranges::default();
        for (first, last) in [(10, 12), (14, 14), (13, 13), (1, 5), (3, 8), (9, 9)] {
            ranges.add(first, last);
        }
        assert_eq!(ranges.0, BTreeMap::from([(1, 14)]));
        ranges.add(u32::MAX, u32::MAX);
        assert!(ranges.contains(u32::MAX) && !ranges.contains(0) && !ranges.contains(15));
        (0..2000).for_each(|number| ranges.add(100 + 2 * number, 100 + 2 * number));
        assert_eq!(ranges.0.len(), RANGES);
        ranges.keep(&[Prefix::parse("0.0.0.0/29").expect("a prefix")]);
        assert_eq!(ranges.0, BTreeMap::from([(1, 7)]));
    }

    #[test]
    fn an_address_that_was_freed_long_ago_is_given_before_those_that_were_later() {
        let place = place(&["10.42.0.0/20"]);
        let (mut freed, taken) = (Freed::default(), BTreeSet::new());
        let all: Vec<u32> = (bits("10.42.0.2")..=bits("10.42.15.255")).collect();
        all.iter().rev().for_each(|address| freed.free(*address));
        assert_eq!(freed.order.len(), FREED);
        let first = freed.choose(&place, &taken).expect("room");
        assert!(!freed.order.contains(&first), "its order is known");
    }
}
