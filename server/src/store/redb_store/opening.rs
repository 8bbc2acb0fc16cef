//! The files of a store that runs, and how they are opened again after an error.

use super::super::files::Place;
use super::super::history::History;
use super::super::trouble::{Fault, line};
use super::super::{StoreError, format};
use super::RedbStore;
use super::failing::Failure;
use redb::{Database, ReadableDatabase};
use std::sync::atomic::Ordering;
use std::sync::{PoisonError, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

/// After an error the store rests this many times as long as opening takes, so that a full disk does not become a
/// busy one too: opening after an error reads the whole file.
const REST: u32 = 9;

/// The shortest rest: a small file opens in no time, and a full disk does not empty itself faster.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// The longest rest.
pub(super) const LONGEST_REST: Duration = Duration::from_secs(30);

/// How the files are open.
pub(super) enum Open {
    /// All is well.
    Whole {
        state: Database,
        /// Tells one opening from the next.
        number: u64,
        /// Tells the file from another one in its place.
        identity: Option<(u64, u64)>,
    },
    /// The disk failed.
    Failed {
        /// For reading; `Err` if not even that can be done.
        reader: Result<Database, StoreError>,
        /// Why.
        error: StoreError,
        /// Before this, writing is not tried again.
        rest_until: Instant,
        /// The last opening's.
        number: u64,
    },
    /// Between two others, while the lock is held.
    Closed,
}

impl RedbStore {
    /// The files, for reading, or writing in one transaction.
    pub(super) fn shared(&self) -> RwLockReadGuard<'_, Open> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The files, to open or close them.
    pub(super) fn exclusive(&self) -> RwLockWriteGuard<'_, Open> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is said of a store that is closed.
    pub(super) fn closed(&self) -> StoreError {
        line(format!("{} is closed", self.place.path.display()))
    }

    /// Turns to reading only, if the opening with this number is still the current one.
    pub(super) fn fail(&self, failed: u64, error: &StoreError) {
        let mut open = self.exclusive();
        if !matches!(&*open, Open::Whole { number, .. } if *number == failed) {
            return;
        }
        if self.failing().is_none() {
            log::error!("{error}");
        }
        *open = Open::Closed;
        *open = self.failed(error.clone(), failed);
    }

    /// Opens the state for reading only. No other opening of it may be alive.
    fn failed(&self, error: StoreError, number: u64) -> Open {
        self.history.close();
        // It would hold the file.
        self.copied().1 = None;
        let begun = Instant::now();
        let reader = self.place.open_overlay().map_err(|fault| fault.explain("read"));
        let rest = begun.elapsed().saturating_mul(REST).clamp(SHORTEST_REST, LONGEST_REST);
        Open::Failed { reader, error, rest_until: Instant::now() + rest, number }
    }

    /// Opens the files for writing again, if they failed and have rested.
    pub(super) fn recover(&self) -> Result<(), StoreError> {
        if matches!(&*self.shared(), Open::Whole { .. }) {
            return Ok(());
        }
        let mut open = self.exclusive();
        let number = match &*open {
            Open::Whole { .. } => return Ok(()),
            Open::Failed { error, rest_until, .. } if Instant::now() < *rest_until => return Err(error.clone()),
            Open::Failed { number, .. } => *number,
            Open::Closed => 0,
        };
        // The readers must not see the files change.
        *open = Open::Closed;
        self.history.close();
        let opened = self.place.open().and_then(|state| {
            let newest = in_step(&self.place, &state, &self.history)?;
            Ok((state, newest))
        });
        match opened {
            Ok((state, newest)) => {
                self.newest.store(newest, Ordering::Release);
                *open = Open::Whole { state, number: number + 1, identity: self.place.identity() };
                Ok(())
            }
            Err(fault) => {
                let error = fault.explain("open");
                self.note_failure(&error, Failure { is_full: fault.trouble.is_full(), ..Failure::default() });
                *open = self.failed(error.clone(), number);
                Err(error)
            }
        }
    }

    /// Closes all files well. Nothing can be done with it behind that.
    pub(in super::super) fn close(&self) {
        let mut open = self.exclusive();
        *open = Open::Closed;
        self.history.close();
    }
}

/// Opens the history for writing and takes back what the state does not know; the newest event.
pub(super) fn in_step(place: &Place, state: &Database, history: &History) -> Result<u64, Fault> {
    let newest = newest_event(place, state)?;
    history.take_back(newest)?;
    Ok(newest)
}

/// The newest event of which the state knows.
pub(super) fn newest_event(place: &Place, state: &Database) -> Result<u64, Fault> {
    let transaction = state.begin_read().map_err(|error| place.fault(error))?;
    format::newest_event(&transaction).map_err(|error| place.fault(error))
}
