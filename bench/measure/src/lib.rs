//! What both measurements need: figures of processes and interfaces, percentiles, the machine they ran on, and a
//! watcher of a server's stream.
#![forbid(unsafe_code)]

pub mod ending;
pub mod figures;
pub mod machine;
pub mod process;
pub mod watcher;
