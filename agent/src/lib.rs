//! The agent: sits on a Docker host and tells a Muster server the truth about its containers.
//!
//! What the engine says goes one way: [`docker`] reads it, [`watch`] and [`census`] number it with the reporter of
//! `muster-protocol`, whose queue and the census' outbox hold it, and [`uplink`] sends it.
#![forbid(unsafe_code)]

pub mod census;
pub mod command;
pub mod docker;
pub mod health;
pub mod hub;
pub mod join;
#[cfg(feature = "network")]
pub mod network;
pub mod refused;
pub mod run;
pub mod spool;
pub mod upgrade;
pub mod uplink;
pub mod vitals;
pub mod watch;
