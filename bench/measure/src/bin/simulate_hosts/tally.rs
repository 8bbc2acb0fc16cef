//! What all hosts together have seen.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Counters of all hosts.
#[derive(Debug, Default)]
pub struct Tally {
    /// Exchanges that carried a list that took effect.
    pub reports: AtomicU64,
    /// Answers that the server's copy differs: then everything is sent.
    pub differs: AtomicU64,
    /// Events that were acknowledged.
    pub events: AtomicU64,
    /// Bytes of bodies that were sent.
    pub bytes: AtomicU64,
    /// Connections that were opened.
    pub connections: AtomicU64,
    /// The life of the server: it grows when the server is ended.
    pub life: AtomicU32,
    errors: Mutex<BTreeMap<String, u64>>,
    answered: Mutex<Vec<u64>>,
    lag: Mutex<Vec<u64>>,
    truths: Mutex<Vec<Instant>>,
    joined: AtomicU64,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Tally {
    /// Something went wrong.
    pub fn error(&self, what: String) {
        *locked(&self.errors).entry(what).or_default() += 1;
    }

    /// What went wrong since the last call, and how often.
    pub fn take_errors(&self) -> String {
        let errors = std::mem::take(&mut *locked(&self.errors));
        let all: Vec<String> = errors.into_iter().map(|(what, count)| format!("{count} × {what}")).collect();
        if all.is_empty() { "none".into() } else { all.join("; ") }
    }

    /// An exchange was answered after so many nanoseconds.
    pub fn answered(&self, nanos: u64) {
        locked(&self.answered).push(nanos);
    }

    /// The times of all answers since the last call.
    pub fn take_answered(&self) -> Vec<u64> {
        std::mem::take(&mut locked(&self.answered))
    }

    /// Something was done so many nanoseconds after it was due: how far the generator itself is behind.
    pub fn lag(&self, nanos: u64) {
        locked(&self.lag).push(nanos);
    }

    /// All of them since the last call.
    pub fn take_lag(&self) -> Vec<u64> {
        std::mem::take(&mut locked(&self.lag))
    }

    /// A host has joined.
    pub fn joined(&self) {
        self.joined.fetch_add(1, Ordering::Relaxed);
    }

    /// How many have.
    pub fn joined_so_far(&self) -> u64 {
        self.joined.load(Ordering::Relaxed)
    }

    /// A host's first list of this life of the server has taken effect.
    pub fn is_true(&self) {
        locked(&self.truths).push(Instant::now());
    }

    /// How many hosts are true in this life of the server.
    pub fn truths(&self) -> usize {
        locked(&self.truths).len()
    }

    /// When each host became true, in order; begins anew.
    pub fn take_truths(&self) -> Vec<Instant> {
        std::mem::take(&mut locked(&self.truths))
    }
}
