//! Calls that something before the engine refuses: a filtering proxy, or a plugin that authorises.
//!
//! The agent does without them as well as it can, says so once, and asks again now and then: someone may have mended it.

use crate::docker::engine::EngineError;
use log::{info, warn};
use std::time::{Duration, Instant};

/// A refused call is tried again after this.
pub const AGAIN: Duration = Duration::from_secs(60);

/// Calls without which there is less to report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// All containers.
    List = 0,
    /// One container.
    Inspect = 1,
    /// What happens.
    Events = 2,
}

impl Call {
    fn request(self) -> &'static str {
        match self {
            Call::List => "GET /containers/json",
            Call::Inspect => "GET /containers/ID/json",
            Call::Events => "GET /events",
        }
    }

    fn without(self) -> &'static str {
        match self {
            Call::List => "nothing can be reported",
            Call::Inspect => "restarts and the times of starts and ends are not seen",
            Call::Events => "changes are seen with the next report only",
        }
    }
}

/// Which calls are refused, and since when.
#[derive(Debug, Default)]
pub struct Refused([Option<Instant>; 3]);

impl Refused {
    /// A call has ended. An engine that is away or in trouble says nothing about what it refuses.
    pub fn note<T>(&mut self, call: Call, outcome: &Result<T, EngineError>, now: Instant) {
        let since = &mut self.0[call as usize];
        match outcome {
            Err(error) if error.is_forbidden() => {
                if since.replace(now).is_none() {
                    warn!(
                        "{} is refused ({error}), and without it {}; let the proxy before the engine pass it",
                        call.request(),
                        call.without()
                    );
                }
            }
            Ok(_) => {
                if since.take().is_some() {
                    info!("{} is answered now", call.request());
                }
            }
            Err(_) => {}
        }
    }

    /// Whether it was refused when it was last asked for.
    pub fn is(&self, call: Call) -> bool {
        self.0[call as usize].is_some()
    }

    /// Whether it was refused so shortly ago that it need not be tried.
    pub fn is_lately(&self, call: Call, now: Instant) -> bool {
        self.0[call as usize].is_some_and(|then| now.saturating_duration_since(then) < AGAIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_status(status: u16) -> Result<(), EngineError> {
        Err(EngineError::Refused { status, message: String::new() })
    }

    #[test]
    fn a_refused_call_is_left_alone_for_a_while() {
        let begin = Instant::now();
        let mut refused = Refused::default();
        refused.note(Call::Inspect, &with_status(403), begin);
        assert!(refused.is(Call::Inspect) && !refused.is(Call::Events));
        assert!(refused.is_lately(Call::Inspect, begin + AGAIN / 2));
        assert!(!refused.is_lately(Call::Inspect, begin + AGAIN) && refused.is(Call::Inspect));
        refused.note(Call::Inspect, &Ok(()), begin + AGAIN);
        assert!(!refused.is(Call::Inspect));
    }

    #[test]
    fn an_engine_in_trouble_or_without_such_a_container_refuses_nothing() {
        let mut refused = Refused::default();
        for status in [400, 404, 409, 500, 503] {
            refused.note(Call::List, &with_status(status), Instant::now());
        }
        refused.note::<()>(Call::List, &Err(EngineError::NotAnswering), Instant::now());
        assert!(!refused.is(Call::List));
        refused.note(Call::List, &with_status(405), Instant::now());
        refused.note(Call::List, &with_status(500), Instant::now());
        assert!(refused.is(Call::List), "nor does trouble take it back");
    }
}
