//! The command line: what was asked for, where settings come from, and how it is answered.

mod arguments;
pub mod doctor;
pub mod exit;
pub mod logging;
pub mod network;
pub mod options;
pub mod status;
