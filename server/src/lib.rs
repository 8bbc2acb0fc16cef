//! The server of a Muster fleet, and its operator's command line.
#![forbid(unsafe_code)]

pub mod access;
pub mod api;
pub mod fleet;
pub mod store;

#[cfg(test)]
mod test_dir;
