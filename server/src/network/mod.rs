//! The managed network: who has which addresses, and how hosts find each other. Packets do not come by here.
//!
//! [`basis`] is what is known, [`plan`] what each host is told: both without I/O.

pub mod basis;
pub mod blocks;
pub mod line;
mod live;
pub mod member;
pub mod names;
pub mod operate;
pub mod plan;
pub mod reach;
pub mod relaying;
pub mod said;
#[cfg(test)]
pub(crate) mod samples;
pub mod secrets;
pub mod settings;
mod sightings;
mod stored;
mod view;

pub use live::Network;
pub use view::{NetworkCounts, host_key, path_key};

use muster_protocol::network::NoPlace;

/// Whether a host has a place in the network, in one line.
pub fn why(place: NoPlace) -> &'static str {
    match place {
        NoPlace::HasOne => "it is in the network",
        NoPlace::NotEnabled => "the network is not enabled: see `muster network enable`",
        NoPlace::NotAccepted => {
            "its operator does not accept the network's range: set MUSTER_NETWORK_ACCEPT in /etc/default/muster-network there"
        }
        NoPlace::Full => "all blocks of the network are taken: remove hosts, or enable a larger range",
        NoPlace::KeyChanged => "its key is not the one that was seen first: `muster network accept` takes the new one",
        NoPlace::KeyTaken => {
            "another host has its key: remove that host if this one has taken its place, else give this one a key of its own"
        }
    }
}
