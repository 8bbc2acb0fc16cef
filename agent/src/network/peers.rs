//! What this host remembers of its peers: the key, the blocks and the names that each was first seen with. Pure; the store has
//! the file.
//!
//! Each line of it is a peer's: `2 HOST KEY GONE BLOCKS LABELS CHECK`, words separated by a space, lists by commas, `-` for
//! nothing. `KEY` is `next` for a peer of which an operator has accepted whatever comes next. Lines of the first version are `HOST KEY`.

use super::store::PEERS_KEPT;
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::limits;
use muster_protocol::network::{Prefix, sum};
use std::collections::BTreeMap;

/// Blocks of one peer that are remembered, those that it had before a change of the range among them.
pub const BLOCKS_KEPT: usize = 2 * limits::NETWORK_BLOCKS;
/// Names of one peer that are remembered: it may be renamed.
pub const LABELS_KEPT: usize = 8;
/// A peer that was not in the plan for so many days has lost its blocks: others may have them.
pub const GONE_DAYS: u32 = 7;
/// A line at its longest.
const LINE: usize = 128 + BLOCKS_KEPT * 19 + LABELS_KEPT * (limits::DNS_LABEL + 1);
/// All of them.
pub const TEXT: usize = PEERS_KEPT * LINE;
const VERSION: &str = "2";
const ACCEPTED: &str = "next";
const NOTHING: &str = "-";

/// A peer as it was first seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Known {
    /// Its key; `None`: an operator has accepted what it comes with next, key, blocks and names.
    pub key: Option<[u8; 32]>,
    /// Nobody else's.
    pub blocks: Vec<Prefix>,
    /// Names of the host, as labels. Nobody else's while it is there.
    pub labels: Vec<Box<str>>,
    /// The day since when the plan does not have it, in days since 1970.
    pub gone: Option<u32>,
}

impl Known {
    /// With this key alone.
    pub fn with_key(key: [u8; 32]) -> Known {
        Known { key: Some(key), ..Known::default() }
    }

    /// Whether it is gone for so long that its blocks may be somebody else's.
    pub fn is_forfeit(&self, today: Option<u32>) -> bool {
        self.gone.zip(today).is_some_and(|(gone, today)| today >= gone.saturating_add(GONE_DAYS))
    }
}

/// All peers that were ever seen.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Peers {
    known: BTreeMap<HostId, Known>,
    /// Lines that cannot be read, and whose they seem to be. Kept as they are: without them their peers would be taken as new.
    damaged: Vec<(Option<HostId>, Box<str>)>,
}

impl Peers {
    /// What is remembered of a peer.
    pub fn get(&self, host: HostId) -> Option<&Known> {
        self.known.get(&host)
    }

    /// As [`Peers::get`], to be changed; made if there is nothing.
    pub fn entry(&mut self, host: HostId) -> &mut Known {
        self.known.entry(host).or_default()
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (HostId, &Known)> {
        self.known.iter().map(|(host, known)| (*host, known))
    }

    /// How many peers are remembered.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether nothing was ever seen.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty() && self.damaged.is_empty()
    }

    /// Whether a line cannot be read: then who is not known may be the one that it was about.
    pub fn has_damage(&self) -> bool {
        !self.damaged.is_empty()
    }

    /// Whether a line about this peer cannot be read.
    pub fn is_damaged(&self, host: HostId) -> bool {
        self.damaged.iter().any(|(seems, _)| *seems == Some(host))
    }

    /// Whose these addresses are, in part at least, besides this host's.
    pub fn holders(&self, block: Prefix, besides: HostId) -> impl Iterator<Item = HostId> {
        let holds = move |known: &Known| known.blocks.iter().any(|its| its.overlaps(block));
        self.iter().filter(move |(host, known)| *host != besides && holds(known)).map(|(host, _)| host)
    }

    /// Whose name this is, besides this host's.
    pub fn named(&self, label: &str, besides: HostId) -> Option<HostId> {
        let has = |known: &Known| known.labels.iter().any(|its| **its == *label);
        self.iter().find(|(host, known)| *host != besides && has(known)).map(|(host, _)| host)
    }

    /// An operator accepts what this peer comes with next. False: it was never seen, and nothing is changed.
    pub fn accept(&mut self, host: HostId) -> bool {
        // With a damaged line it may be the one that was seen.
        if !self.known.contains_key(&host) && !self.has_damage() {
            return false;
        }
        self.damaged.retain(|(seems, _)| *seems != Some(host));
        self.known.insert(host, Known::default());
        true
    }

    /// An operator accepts what all peers come with next.
    pub fn accept_all(&mut self) {
        self.damaged.clear();
        self.known.values_mut().for_each(|known| *known = Known::default());
    }

    /// Reads what [`Peers::to_text`] wrote, and what the first version did.
    pub fn from_text(text: &str) -> Peers {
        let mut peers = Peers::default();
        for line in text.lines().filter(|line| !line.trim().is_empty()) {
            match read_line(line) {
                Some((host, known)) if !peers.known.contains_key(&host) => drop(peers.known.insert(host, known)),
                Some((host, known)) if peers.known.get(&host) == Some(&known) => {}
                // Of two that differ neither is to be believed.
                Some((host, _)) => peers.damaged.push((Some(host), line.into())),
                None => {
                    let seems = line.split_whitespace().take(2).find_map(HostId::parse);
                    peers.damaged.push((seems, line.into()));
                }
            }
        }
        peers
    }

    /// A line each.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for (host, known) in &self.known {
            text.push_str(&write_line(*host, known));
            text.push('\n');
        }
        for (_, line) in &self.damaged {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

fn write_line(host: HostId, known: &Known) -> String {
    let key = known.key.map_or_else(|| ACCEPTED.to_owned(), |key| EngineId(key).to_string());
    let gone = known.gone.map_or_else(|| NOTHING.to_owned(), |day| day.to_string());
    let blocks: Vec<String> = known.blocks.iter().map(ToString::to_string).collect();
    let list = |items: String| if items.is_empty() { NOTHING.to_owned() } else { items };
    let line = format!("{VERSION} {host} {key} {gone} {} {}", list(blocks.join(",")), list(known.labels.join(",")));
    let check = check(&line);
    format!("{line} {check:08x}")
}

fn read_line(line: &str) -> Option<(HostId, Known)> {
    let words: Vec<&str> = line.split(' ').collect();
    match words[..] {
        [host, key] => Some((HostId::parse(host)?, Known::with_key(EngineId::parse(key.trim_end())?.0))),
        [VERSION, host, key, gone, blocks, labels, found] => {
            let said = line.strip_suffix(found)?.strip_suffix(' ')?;
            if found != format!("{:08x}", check(said)) {
                return None;
            }
            let items =
                |list: &'_ str| if list == NOTHING { Vec::new() } else { list.split(',').map(str::to_owned).collect() };
            let key = if key == ACCEPTED { None } else { Some(EngineId::parse(key)?.0) };
            let gone = if gone == NOTHING { None } else { Some(gone.parse().ok()?) };
            let blocks: Option<Vec<Prefix>> = items(blocks).iter().map(|block| Prefix::parse(block)).collect();
            let labels = items(labels).into_iter().map(String::into_boxed_str).collect();
            let known = Known { key, blocks: blocks?, labels, gone };
            let fits = known.blocks.len() <= BLOCKS_KEPT && known.labels.len() <= LABELS_KEPT;
            fits.then_some((HostId::parse(host)?, known))
        }
        _ => None,
    }
}

/// Not against anybody: a bit that fell over on a card makes another host's line of it.
fn check(line: &str) -> u32 {
    sum(0, line.as_bytes()) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(number: u8) -> HostId {
        HostId([number; 8])
    }

    fn prefix(text: &str) -> Prefix {
        Prefix::parse(text).expect("a prefix")
    }

    fn some() -> Peers {
        let mut peers = Peers::default();
        *peers.entry(host(1)) = Known::with_key([1; 32]);
        *peers.entry(host(2)) = Known {
            key: Some([2; 32]),
            blocks: vec![prefix("10.42.0.64/26"), prefix("10.42.9.0/26")],
            labels: vec!["pi-7".into(), "pi-8".into()],
            gone: Some(20_000),
        };
        peers.entry(host(3));
        peers
    }

    #[test]
    fn what_is_written_is_read_again() {
        let peers = some();
        assert_eq!(Peers::from_text(&peers.to_text()), peers);
        assert!(peers.to_text().lines().all(|line| line.len() <= LINE));
        let mut full = Peers::default();
        *full.entry(host(255)) = Known {
            key: Some([255; 32]),
            blocks: vec![prefix("255.255.255.128/26"); BLOCKS_KEPT],
            labels: vec!["x".repeat(limits::DNS_LABEL).into(); LABELS_KEPT],
            gone: Some(u32::MAX),
        };
        assert!(full.to_text().len() <= LINE);
        assert_eq!(Peers::from_text(&full.to_text()), full);
    }

    #[test]
    fn a_file_of_the_first_version_is_read() {
        let text = format!("{} {}\n{} {}\n", host(1), EngineId([1; 32]), host(2), EngineId([2; 32]));
        let peers = Peers::from_text(&text);
        assert_eq!(peers.get(host(2)), Some(&Known::with_key([2; 32])));
        assert!(peers.len() == 2 && !peers.has_damage());
    }

    #[test]
    fn no_bit_that_falls_over_makes_a_peer_unknown() {
        let whole = some().to_text();
        for place in 0..whole.len() {
            let mut bytes = whole.clone().into_bytes();
            bytes[place] ^= 1;
            let Ok(text) = String::from_utf8(bytes) else { continue };
            let peers = Peers::from_text(&text);
            assert!(peers.has_damage(), "{text}");
            // Nor does it when the rest is written again.
            assert!(Peers::from_text(&peers.to_text()).has_damage());
        }
        for line in ["x", "2", &format!("{} {}", host(1), "ab"), "3 what a later version writes"] {
            assert!(Peers::from_text(line).has_damage(), "{line}");
        }
        let twice = format!("{} {}\n{} {}\n", host(1), EngineId([1; 32]), host(1), EngineId([2; 32]));
        assert!(Peers::from_text(&twice).is_damaged(host(1)));
    }

    #[test]
    fn to_accept_a_peer_takes_its_damaged_line_away_and_no_other() {
        let mut peers = Peers::from_text(&format!("{} rubbish\n{} rubbish\n", host(1), host(2)));
        assert!(peers.is_damaged(host(1)) && peers.accept(host(1)));
        assert!(!peers.is_damaged(host(1)) && peers.is_damaged(host(2)));
        assert_eq!(peers.get(host(1)).map(|known| known.key), Some(None));
        assert!(!Peers::default().accept(host(1)), "it was never seen");
        peers.accept_all();
        assert!(!peers.has_damage() && peers.iter().all(|(_, known)| *known == Known::default()));
    }
}
