//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// How long a condition may take on a slow and busy machine before the test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// How often a condition is looked at.
const PAUSE: Duration = Duration::from_millis(100);

/// Looks until `look` succeeds, for [`PATIENCE`] at most. Its error says what it saw instead.
#[track_caller]
pub fn eventually<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    eventually_within(PATIENCE, what, look)
}

/// The same with another limit, for what takes long by its nature.
#[track_caller]
pub fn eventually_within<T>(limit: Duration, what: &str, mut look: impl FnMut() -> Result<T, String>) -> T {
    let started = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) if started.elapsed() > limit => {
                panic!("waited {} s for: {what}; last seen: {seen}", limit.as_secs())
            }
            Err(_) => std::thread::sleep(PAUSE),
        }
    }
}

/// `Ok` if the condition holds, else what was seen instead: for use in [`eventually`].
pub fn when(holds: bool, seen: impl std::fmt::Debug) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("{seen:?}")) }
}
