//! What a client goes by to find and recognise its server, and how that is replaced over the years.

use crate::join_string::{ADDRESSES, Address, PINS, Pin};

/// Where a server is reached and what it is recognised by.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Which of the server's announcements this is; 0: a join string.
    pub revision: u64,
    /// The least generation of a serving certificate that is accepted.
    pub generation: u64,
    /// Where the server is, the best first: one to [`ADDRESSES`].
    pub addresses: Vec<Address>,
    /// Where it was before: tried last, so that a new list that leads nowhere locks nobody out. Up to [`ADDRESSES`].
    pub former: Vec<Address>,
    /// What it is recognised by, any one of them: one to [`PINS`].
    pub pins: Vec<Pin>,
}

impl Trust {
    /// Takes over what the server announces, if it is newer than what is held; returns whether it was. To be called
    /// only with what came from a server that was recognised and that accepted this host's credential.
    ///
    /// No announcement takes the last pin or the last address away: an empty list leaves what is held. `in_use` is
    /// the address that the announcement came over; it stays, among the former ones at least. The generation never
    /// falls.
    pub fn follow(&mut self, announced: &Trust, in_use: Option<&Address>) -> bool {
        if announced.revision <= self.revision {
            return false;
        }
        self.revision = announced.revision;
        self.generation = self.generation.max(announced.generation);
        if !announced.pins.is_empty() {
            self.pins = announced.pins.iter().take(PINS).copied().collect();
        }
        if !announced.addresses.is_empty() {
            let before = std::mem::take(&mut self.addresses);
            self.addresses = announced.addresses.iter().take(ADDRESSES).cloned().collect();
            let mut former: Vec<Address> = Vec::with_capacity(ADDRESSES);
            for address in in_use.into_iter().chain(&before).chain(&self.former) {
                if former.len() < ADDRESSES && !former.contains(address) && !self.addresses.contains(address) {
                    former.push(address.clone());
                }
            }
            self.former = former;
        }
        true
    }

    /// All addresses in the order in which they are tried.
    pub fn all_addresses(&self) -> impl Iterator<Item = &Address> {
        self.addresses.iter().chain(&self.former)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(texts: &[&str]) -> Vec<Address> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn joined() -> Trust {
        Trust { addresses: addresses(&["a:1", "b:1"]), pins: vec![Pin([1; 32]), Pin([2; 32])], ..Trust::default() }
    }

    #[test]
    fn only_what_is_newer_is_followed_and_the_generation_never_falls() {
        let mut held = joined();
        let next = Trust { revision: 3, generation: 5, pins: vec![Pin([3; 32])], ..Trust::default() };
        assert!(held.follow(&next, None));
        assert_eq!((held.revision, held.generation, &held.pins[..]), (3, 5, &[Pin([3; 32])][..]));
        assert_eq!(held.addresses, joined().addresses, "an empty list changes nothing");
        let before = held.clone();
        for revision in [0, 2, 3] {
            assert!(!held.follow(&Trust { revision, pins: vec![Pin([9; 32])], ..Trust::default() }, None));
            assert_eq!(held, before);
        }
        assert!(held.follow(&Trust { revision: 4, generation: 2, ..Trust::default() }, None));
        assert_eq!((held.generation, &held.pins), (5, &before.pins));
    }

    #[test]
    fn the_address_that_works_outlives_any_list() {
        let mut held = joined();
        let list = |revision, texts: &[&str]| Trust { revision, addresses: addresses(texts), ..Trust::default() };
        let works = "b:1".parse().unwrap();
        for revision in 1..20 {
            let nowhere: Vec<String> = (0..4).map(|n| format!("nowhere{revision}-{n}:1")).collect();
            let nowhere: Vec<&str> = nowhere.iter().map(String::as_str).collect();
            assert!(held.follow(&list(revision, &nowhere), Some(&works)));
            assert_eq!(held.addresses, addresses(&nowhere));
            assert_eq!(held.former[0], works);
            assert!(held.former.len() <= ADDRESSES);
        }
        assert!(held.follow(&list(20, &["b:1"]), Some(&works)));
        assert!(held.addresses == [works.clone()] && !held.former.contains(&works));
        assert!(held.all_addresses().count() <= 2 * ADDRESSES);
    }
}
