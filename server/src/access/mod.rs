//! Who may do what, and how the server proves who it is.

pub mod fleet_key;
