//! The JSON API: see [`types`] for what goes over it.

pub mod types;
