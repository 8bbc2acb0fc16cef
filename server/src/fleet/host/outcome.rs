//! When a change happens, and what it comes to.

use crate::store::{EventRow, Write};
use muster_protocol::id::EngineId;

/// The two clocks at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// Milliseconds since 1970: to be shown, and never to decide anything.
    pub wall_ms: i64,
    /// Milliseconds since the server's start, by a clock that nobody sets.
    pub monotonic_ms: u64,
}

/// What a change comes to.
#[derive(Debug, Default)]
pub struct Outcome {
    /// To be made durable before anybody is told.
    pub writes: Vec<Write>,
    /// To be published then: containers that changed or went.
    pub containers: Vec<EngineId>,
    /// To be published then: the host itself has changed.
    pub host: bool,
}

impl Outcome {
    /// The events among the writes, which have no ids yet.
    pub fn events(writes: &[Write]) -> Vec<EventRow> {
        let rows = writes.iter().filter_map(|write| match write {
            Write::Event(row) => Some(row.clone()),
            _ => None,
        });
        rows.collect()
    }
}
