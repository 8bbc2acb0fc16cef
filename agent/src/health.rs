//! Whether the engine answers. Liveness never waits for it: an engine that hangs is a state of its own.

use crate::docker::engine::{EngineError, Version};
use muster_protocol::batch::{Engine, EngineState};
use std::time::{Duration, Instant};

/// A call that takes longer than this makes the engine count as not answering, though it may still answer.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// How the engine does.
#[derive(Debug)]
pub struct Health {
    /// `None` until anything is known.
    state: Option<EngineState>,
    since: Instant,
    /// The oldest call that is still waited for.
    waiting: Option<Instant>,
    version: String,
    api_version: String,
    problem: Option<String>,
}

impl Health {
    /// Nothing was heard yet.
    pub fn new(now: Instant) -> Health {
        Health {
            state: None,
            since: now,
            waiting: None,
            version: String::new(),
            api_version: String::new(),
            problem: None,
        }
    }

    /// A call begins.
    pub fn ask(&mut self, now: Instant) {
        self.waiting.get_or_insert(now);
    }

    /// A call has ended. Answers whether the state has changed.
    pub fn hear(&mut self, now: Instant, outcome: Result<(), &EngineError>) -> bool {
        let asked = self.waiting.take();
        let state = match outcome {
            // An engine that refuses or talks nonsense answers, if not what we want.
            Ok(()) => EngineState::Ok,
            Err(error) if error.is_absence() || matches!(error, EngineError::Denied { .. }) => EngineState::Absent,
            Err(_) => EngineState::NotAnswering,
        };
        let problem = outcome.err().map(ToString::to_string);
        if problem != self.problem {
            match &problem {
                Some(problem) => log::warn!("{problem}"),
                None => log::info!("the engine answers: version {}, API {}", self.version, self.api_version),
            }
            self.problem = problem;
        }
        // A silence began when it was asked, not when patience ended.
        let since = if state == EngineState::NotAnswering { asked.unwrap_or(now) } else { now };
        self.enter(state, since)
    }

    /// Time has passed. Answers whether the state has changed.
    pub fn pass(&mut self, now: Instant) -> bool {
        match self.waiting {
            Some(asked) if now.saturating_duration_since(asked) >= PATIENCE => {
                self.enter(EngineState::NotAnswering, asked)
            }
            _ => false,
        }
    }

    /// Which engine it is.
    pub fn know(&mut self, version: &Version) {
        self.version = version.version.clone();
        self.api_version = version.api.to_string();
    }

    fn enter(&mut self, state: EngineState, since: Instant) -> bool {
        if self.state == Some(state) {
            return false;
        }
        self.state = Some(state);
        self.since = since;
        true
    }

    /// For a message; `None` until anything is known.
    pub fn record(&self, now: Instant) -> Option<Engine<'_>> {
        Some(Engine {
            state: self.state? as u8,
            for_ms: now.saturating_duration_since(self.since).as_millis() as u64,
            version: &self.version,
            api_version: &self.api_version,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silence_is_noticed_while_it_lasts_and_dated_from_its_beginning() {
        let begin = Instant::now();
        let at = |seconds| begin + Duration::from_secs(seconds);
        let mut health = Health::new(begin);
        assert!(health.hear(at(1), Ok(())));
        health.ask(at(10));
        assert!(!health.pass(at(14)));
        assert!(health.pass(at(15)), "a call that hangs is noticed before it ends");
        assert_eq!(health.record(at(16)).map(|engine| engine.for_ms), Some(6000));
        assert!(!health.hear(at(20), Err(&EngineError::NotAnswering)), "it is known already");
        health.ask(at(25));
        assert!(health.hear(at(26), Ok(())));
        assert_eq!(health.record(at(26)).map(|engine| engine.state), Some(EngineState::Ok as u8));
    }
}
