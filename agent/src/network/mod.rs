//! The managed network: containers with a label get addresses that cross hosts.
//!
//! A process of its own, `muster-network`, which runs as root. It asks the server over a line of its own which place the
//! host has and who its peers are ([`plan`](self)), keeps one bridge network on the engine and the labelled containers in
//! it, and carries their packets through a [`tunnel`]. Reporting does not know of it.

pub mod ground;
pub mod names;
pub mod tunnel;
