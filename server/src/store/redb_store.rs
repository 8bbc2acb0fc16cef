//! A store in redb files: one for the state, and the [`History`].
//!
//! What belongs to one commit is written to two files, the history first. The state names the newest event, so with
//! it the commit has happened or not; what the history has beyond that is not shown, and taken back.
//!
//! redb refuses all work after the first I/O error until its file has been opened again. The store does that by
//! itself: after an error it reads through overlays, which need no room on the disk, and tries to open the files for
//! writing again when the next commit comes.

mod copies;
mod failing;
mod opening;
mod restored;

use super::copying::{Copied, Copying};
use super::files::{DirectoryLock, Place, make_directory};
use super::format::{self, Format};
use super::history::{History, Retention};
use super::trouble::{Fault, Trouble, foreign, line};
use super::{
    AuditRow, EventRow, Keep, Snapshot, Span, Store, StoreError, Write, audit, migrate, restoring::UNFINISHED, state,
};
use failing::{Failing, Failure};
use muster_protocol::id::HostId;
use opening::{Open, in_step, newest_event};
use redb::{Database, Durability, ReadTransaction, ReadableDatabase};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock};
use std::time::Instant;

pub(super) const FILE: &str = "muster.redb";

/// Pages that redb keeps in memory of the state. What is hot is small: the containers that change.
const CACHE: usize = 16 * 1024 * 1024;

/// A store in `DIR/muster.redb` and `DIR/history/`.
pub struct RedbStore {
    place: Place,
    open: RwLock<Open>,
    /// Used only while `open` is held. Open for writing exactly while `open` is [`Open::Whole`].
    history: History,
    /// The newest event that is committed: later ones may be in the history, and are not true yet.
    newest: AtomicU64,
    /// One commit at a time. True: the one before did not succeed, and its events may be in the history.
    unsure: Mutex<bool>,
    /// What has happened since the store was well.
    failing: Mutex<Option<Failing>>,
    /// What is being copied: the number of the copy, and the state as it was at its beginning.
    copied: Mutex<(u64, Option<ReadTransaction>)>,
    /// Behind `open`, so that it is given up last.
    _lock: DirectoryLock,
}

impl RedbStore {
    /// Opens the store of a data directory, and makes both if they are missing, readable by their owner only.
    ///
    /// # Errors
    /// Another program uses the directory; a file is not a store's, of a newer version, damaged, or cannot be
    /// read or written; or state and history do not belong together. The message is for the operator.
    pub fn open(data_dir: &Path, retention: Retention) -> Result<RedbStore, StoreError> {
        let shown = data_dir.display();
        make_directory(data_dir).map_err(|error| line(format!("cannot make the data directory {shown}: {error}")))?;
        let lock = DirectoryLock::take(data_dir)?;
        if data_dir.join(UNFINISHED).exists() {
            let what = "was not finished: run `muster restore` again, with --force";
            return Err(line(format!("a restore into {shown} {what}")));
        }
        let place = Place { path: data_dir.join(FILE), cache: CACHE };
        if !place.exists()? {
            place.make(format::mark).map_err(|fault| fault.explain("make"))?;
        }
        place.keep_private()?;
        let mut state = place.open().map_err(|fault| fault.explain("open"))?;
        let found = format::of(&state).map_err(|error| place.fault(error).explain("read"))?;
        match found {
            Format::Ours => {}
            Format::WithEvents => migrate::events(&place, &mut state, data_dir, retention)?,
            Format::Foreign => return Err(line(foreign(&place.path.display()))),
            Format::Newer { found, known } => {
                return Err(line(format!(
                    "{} was written by a newer muster (format {found}; this one knows {known}): \
                     install that version, or restore a backup of this one",
                    place.path.display()
                )));
            }
        }
        let history = History::find(data_dir, retention)?;
        let newest = in_step(&place, &state, &history).map_err(|fault| fault.explain("read"))?;
        let identity = place.identity();
        Ok(RedbStore {
            place,
            open: RwLock::new(Open::Whole { state, number: 0, identity }),
            history,
            newest: AtomicU64::new(newest),
            unsure: Mutex::new(false),
            failing: Mutex::default(),
            copied: Mutex::new((0, None)),
            _lock: lock,
        })
    }

    fn failing(&self) -> MutexGuard<'_, Option<Failing>> {
        self.failing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the state in one transaction.
    fn reading<T>(&self, read: impl FnOnce(&ReadTransaction) -> Result<T, Trouble>) -> Result<T, StoreError> {
        self.looking(|state, _| {
            let result = state.begin_read().map_err(Trouble::from).and_then(|transaction| read(&transaction));
            result.map_err(|trouble| self.place.fault(trouble))
        })
    }

    /// Reads state and history, as well as that can be done now.
    fn looking<T>(&self, look: impl FnOnce(&Database, &History) -> Result<T, Fault>) -> Result<T, StoreError> {
        let open = self.shared();
        let (state, number) = match &*open {
            Open::Whole { state, number, .. } => (state, *number),
            Open::Failed { reader: Ok(state), number, .. } => (state, *number),
            Open::Failed { reader: Err(error), .. } => return Err(error.clone()),
            Open::Closed => return Err(self.closed()),
        };
        let result = look(state, &self.history);
        drop(open);
        result.map_err(|fault| {
            let error = fault.explain("read");
            if fault.trouble.needs_reopening() {
                self.fail(number, &error);
            }
            error
        })
    }

    fn note_failure(&self, error: &StoreError, failure: Failure) {
        let mut failing = self.failing();
        *failing = Some(Failing::after(failing.take(), error, failure, Instant::now()));
    }

    /// Writes history and state. `unsure` is true behind it unless the commit has happened.
    fn write(&self, state: &Database, writes: &[Write], unsure: &mut bool) -> Result<(), Fault> {
        let events: Vec<&EventRow> = writes
            .iter()
            .filter_map(|write| match write {
                Write::Event(event) => Some(event),
                _ => None,
            })
            .collect();
        if *unsure {
            // What was not closed since has not moved: this is the number of the last commit that happened.
            self.history.take_back(newest_event(&self.place, state)?)?;
        }
        *unsure = true;
        self.history.append(&events)?;
        let newest = events.iter().map(|event| event.id).max().unwrap_or(0);
        write_state(state, writes, newest).map_err(|trouble| self.place.fault(trouble))?;
        *unsure = false;
        self.newest.fetch_max(newest, Ordering::AcqRel);
        if newest > 0 {
            self.history.make_room();
        }
        Ok(())
    }
}

impl Store for RedbStore {
    fn load(&self) -> Result<Snapshot, StoreError> {
        let (snapshot, unreadable) = self.reading(state::load)?;
        if unreadable > 0 {
            log::warn!("{}: left out {unreadable} containers that cannot be read", self.place.path.display());
        }
        Ok(snapshot)
    }

    fn load_host(&self, host: HostId) -> Result<Snapshot, StoreError> {
        // What cannot be read was said at the start.
        self.reading(|transaction| state::load_host(transaction, host))
    }

    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut unsure = self.unsure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lost) = self.failing().as_ref().filter(|failing| failing.replaced) {
            return Err(lost.error.clone());
        }
        self.recover()?;
        if writes.is_empty() {
            return Ok(());
        }
        let open = self.shared();
        let (state, number, identity) = match &*open {
            Open::Whole { state, number, identity } => (state, *number, *identity),
            Open::Failed { error, .. } => return Err(error.clone()),
            Open::Closed => return Err(self.closed()),
        };
        if identity != self.place.identity() {
            let path = self.place.path.display();
            let error = line(format!("{path} was removed or replaced while the server ran: start the server again"));
            self.note_failure(&error, Failure { replaced: true, ..Failure::default() });
            return Err(error);
        }
        let with_events = writes.iter().any(|write| matches!(write, Write::Event(_)));
        let result = self.write(state, writes, &mut unsure);
        drop(open);
        match result {
            Ok(()) => {
                if self.failing().take_if(|failing| failing.is_over(with_events)).is_some() {
                    log::info!("{} can be written again", self.place.path.display());
                }
                Ok(())
            }
            Err(fault) => {
                let error = fault.explain("write");
                if !matches!(fault.trouble, Trouble::Row(_)) {
                    self.fail(number, &error);
                    let is_full = fault.trouble.is_full();
                    self.note_failure(&error, Failure { is_full, replaced: false, with_events });
                }
                Err(error)
            }
        }
    }

    fn events(
        &self,
        after: u64,
        span: Span,
        limit: usize,
        keep: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<Vec<EventRow>, StoreError> {
        let through = self.newest.load(Ordering::Acquire);
        let (page, unreadable) = self.looking(|_, history| history.page((after, through), span, limit, keep))?;
        if unreadable > 0 {
            log::warn!("left out {unreadable} events of the history that cannot be read");
        }
        Ok(page)
    }

    fn events_before(
        &self,
        before: u64,
        span: Span,
        keep: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<(), StoreError> {
        let through = self.newest.load(Ordering::Acquire).min(before.saturating_sub(1));
        let unreadable = self.looking(|_, history| history.walk_back(through, span, keep))?;
        if unreadable > 0 {
            log::warn!("left out {unreadable} events of the history that cannot be read");
        }
        Ok(())
    }

    fn audit(&self, before: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.reading(|transaction| Ok(audit::page(transaction, before, limit)?))
    }

    fn newest_event(&self) -> Result<u64, StoreError> {
        self.reading(|transaction| Ok(format::newest_event(transaction)?))
    }

    fn begin_copy(&self, with_events: bool) -> Result<Copying, StoreError> {
        self.begin(with_events)
    }

    fn copy_on(&self, copying: &mut Copying) -> Result<Option<Copied>, StoreError> {
        self.go_on(copying)
    }

    fn end_copy(&self, copying: &Copying) {
        self.end(copying);
    }

    fn history_begins_ms(&self) -> Option<i64> {
        let through = self.newest.load(Ordering::Acquire);
        self.looking(|_, history| Ok(history.begins_ms(through))).ok().flatten()
    }

    fn tidy(&self, now_ms: i64) {
        let unsure = self.unsure.lock().unwrap_or_else(PoisonError::into_inner);
        let _open = self.shared();
        if !*unsure {
            self.history.tidy(now_ms);
        }
    }

    fn warning(&self) -> Option<String> {
        self.history.warning()
    }

    fn lost(&self) -> Option<StoreError> {
        self.failing().as_ref()?.lost().cloned()
    }
}

fn write_state(state: &Database, writes: &[Write], newest: u64) -> Result<(), Trouble> {
    let mut transaction = state.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    let mut tables = state::Tables::open(&transaction)?;
    for write in writes {
        tables.apply(write)?;
    }
    drop(tables);
    let audits = writes.iter().filter_map(|write| match write {
        Write::Audit(row) => Some(row),
        _ => None,
    });
    audit::append(&transaction, audits)?;
    format::raise_newest_event(&transaction, newest)?;
    Ok(transaction.commit()?)
}

#[cfg(test)]
mod history_tests;
#[cfg(test)]
mod tests;
