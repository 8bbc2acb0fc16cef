//! The server of a Muster fleet, and its operator's command line.
#![deny(unsafe_code)]

pub mod access;
pub mod agents;
pub mod alerts;
pub mod api;
pub mod backup;
pub mod cli;
pub mod dockerapi;
pub mod fleet;
pub mod install;
pub mod listen;
pub mod network;
pub mod page;
pub mod relay;
pub mod serve;
mod spare_memory;
pub mod store;
pub mod time;
pub mod vitals;

#[cfg(test)]
mod test_dir;
