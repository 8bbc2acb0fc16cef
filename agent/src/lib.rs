//! The agent: sits on a Docker host and tells a Muster server the truth about its containers.
//!
//! What the engine says goes one way: [`docker`] reads it, [`watch`] and [`census`] number it with the reporter of
//! `muster-protocol`, [`outbox`] and the reporter's queue hold it, and [`uplink`] sends it.
#![forbid(unsafe_code)]

pub mod census;
pub mod docker;
pub mod exit;
pub mod facts;
pub mod health;
pub mod hub;
pub mod identity;
pub mod joining;
pub mod logging;
pub mod options;
pub mod outbox;
pub mod roster;
pub mod run;
pub mod state_dir;
pub mod status;
pub mod uplink;
pub mod watch;
