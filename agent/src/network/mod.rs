//! The managed network: containers with a label get addresses that cross hosts.
//!
//! A process of its own, `muster-network`, which runs as root. It asks the server over a line of its own which place the
//! host has and who its peers are ([`session`], [`records`], [`plan`]), keeps one bridge network on the engine
//! ([`keeping`]) and the labelled containers in it ([`joining`], [`members`]), and carries their packets through a [`tunnel`].
//! Reporting does not know of it.

pub mod addresses;
pub mod bridge;
pub mod carrier;
pub mod container;
pub mod control;
pub mod down;
pub mod engine;
pub mod ground;
pub mod hub;
pub mod identity;
pub mod joining;
pub mod keeping;
pub mod lan;
pub mod listing;
pub mod members;
pub mod names;
pub mod options;
pub mod peers;
pub mod plan;
pub mod records;
pub mod resolving;
pub mod session;
pub mod status;
pub mod store;
pub mod talk;
mod trust;
pub mod tunnel;
pub mod up;
pub mod upkeep;
pub mod watch;

/// The bridge that the engine makes; containers are on it.
pub const BRIDGE: &str = "muster0";
/// The tunnel's device.
pub const DEVICE: &str = "muster-wg0";
