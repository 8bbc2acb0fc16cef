//! The agent: sits on a Docker host and tells a Muster server the truth about its containers.
#![forbid(unsafe_code)]

mod arguments;
pub mod docker;
pub mod exit;
pub mod facts;
pub mod identity;
pub mod joining;
pub mod logging;
pub mod options;
pub mod run;
pub mod state_dir;
pub mod status;
