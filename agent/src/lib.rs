//! The agent: sits on a Docker host and tells a Muster server the truth about its containers.
#![forbid(unsafe_code)]

pub mod docker;
