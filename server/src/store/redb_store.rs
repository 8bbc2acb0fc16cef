//! A store in redb files: one for the state, and the [`History`].
//!
//! What belongs to one commit is written to two files, the history first. The state names the newest event, so with
//! it the commit has happened or not; what the history has beyond that is not shown, and taken back.
//!
//! redb refuses all work after the first I/O error until its file has been opened again. The store does that by
//! itself: after an error it reads through overlays, which need no room on the disk, and tries to open the files for
//! writing again when the next commit comes.

use super::copying::{Copied, Copying, Table};
use super::encoded::encode;
use super::files::{DirectoryLock, Place, make_directory};
use super::format::{self, Format};
use super::history::{History, Retention};
use super::trouble::{Fault, Trouble, foreign, line};
use super::{
    AuditRow, EventBody, EventRow, Keep, Snapshot, Span, Store, StoreError, Write, audit, migrate,
    restoring::UNFINISHED, state,
};
use muster_protocol::id::HostId;
use redb::{Database, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

pub(super) const FILE: &str = "muster.redb";

/// Pages that redb keeps in memory of the state. What is hot is small: the containers that change.
const CACHE: usize = 32 * 1024 * 1024;

/// After an error the store rests this many times as long as opening takes, so that a full disk does not become a
/// busy one too: opening after an error reads the whole file.
const REST: u32 = 9;

/// The shortest rest: a small file opens in no time, and a full disk does not empty itself faster.
const SHORTEST_REST: Duration = Duration::from_secs(1);

/// The longest rest.
const LONGEST_REST: Duration = Duration::from_secs(30);

/// Bytes of rows in one piece of a copy.
const PIECE: usize = 100 * 1024;

/// Events in one piece of a copy.
const PIECE_ROWS: usize = 1000;

/// The store is lost after this long, and [`TRIES`], without a commit, if its disk has room.
const PATIENCE: Duration = Duration::from_secs(180);

/// How often a commit must have failed before the store is lost.
const TRIES: u32 = 5;

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
    failing: Mutex<Option<Failing>>,
    /// What is being copied: the number of the copy, and the state as it was at its beginning.
    copied: Mutex<(u64, Option<ReadTransaction>)>,
    /// Behind `open`, so that it is given up last.
    _lock: DirectoryLock,
}

/// What has happened since the last commit that succeeded.
struct Failing {
    /// The first failure other than for want of room, behind the last one for want of room.
    since: Option<Instant>,
    /// How often since then.
    tries: u32,
    error: StoreError,
    /// Nothing that is written now would be there after a restart.
    replaced: bool,
}

enum Open {
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

    fn shared(&self) -> RwLockReadGuard<'_, Open> {
        self.open.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn exclusive(&self) -> RwLockWriteGuard<'_, Open> {
        self.open.write().unwrap_or_else(PoisonError::into_inner)
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

    fn closed(&self) -> StoreError {
        line(format!("{} is closed", self.place.path.display()))
    }

    /// Turns to reading only, if the opening with this number is still the current one.
    fn fail(&self, failed: u64, error: &StoreError) {
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
    fn recover(&self) -> Result<(), StoreError> {
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
                self.note_failure(&error, fault.trouble.is_full(), false);
                *open = self.failed(error.clone(), number);
                Err(error)
            }
        }
    }

    fn copied(&self) -> MutexGuard<'_, (u64, Option<ReadTransaction>)> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next rows of the state's tables, and the key of the last.
    fn copy_state(&self, copying: &Copying) -> Result<(Vec<Vec<u8>>, Option<Vec<u8>>), StoreError> {
        let copied = self.copied();
        let transaction = match &*copied {
            (number, Some(transaction)) if *number == copying.number => transaction,
            (number, _) if *number == copying.number => {
                return Err(line("the store failed while it was copied: try again".into()));
            }
            _ => return Err(line("another backup was begun meanwhile".into())),
        };
        let rows = state::copy(transaction, Table::ALL[copying.table], copying.last.as_deref(), PIECE);
        rows.map_err(|trouble| self.place.fault(trouble).explain("read"))
    }

    /// The next rows of the history, and the key of the last.
    fn copy_events(&self, copying: &Copying) -> Result<(Vec<Vec<u8>>, Option<Vec<u8>>), StoreError> {
        let after = copying.last.as_deref().and_then(|key| key.try_into().ok()).map_or(0, u64::from_le_bytes);
        let mut size = 0;
        let mut keep = |event: &EventRow| {
            // Of an event the body is what varies.
            size += match &event.body {
                EventBody::Engine(body) | EventBody::Gap(body) => body.len() + 40,
                EventBody::Derived { .. } | EventBody::Host { .. } => 500,
            };
            if size > PIECE * 2 { Keep::Stop } else { Keep::Yes }
        };
        let through = copying.newest_event;
        let range = (after, through);
        let (page, _) = self.looking(|_, history| history.page(range, Span::default(), PIECE_ROWS, &mut keep))?;
        let last = page.last().map(|event| event.id.to_le_bytes().to_vec());
        let rows = page.iter().map(encode).collect::<Result<_, _>>();
        Ok((rows.map_err(|trouble| self.place.fault(trouble).explain("read"))?, last))
    }

    fn note_failure(&self, error: &StoreError, is_full: bool, replaced: bool) {
        let mut failing = self.failing();
        let before = failing.take();
        let (since, tries) = match &before {
            // A full disk heals: what was counted before it says nothing.
            _ if is_full => (None, 0),
            Some(Failing { since: Some(since), tries, .. }) => (Some(*since), tries + 1),
            _ => (Some(Instant::now()), 1),
        };
        let replaced = replaced || before.is_some_and(|before| before.replaced);
        *failing = Some(Failing { since, tries, error: error.clone(), replaced });
    }

    /// As [`Store::commit`], but rows of the audit log keep their ids: for a restore.
    pub(super) fn commit_as_it_was(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.commit(&writes.iter().filter(|write| !matches!(write, Write::Audit(_))).cloned().collect::<Vec<_>>())?;
        let audits = writes.iter().filter_map(|write| match write {
            Write::Audit(row) => Some(row.clone()),
            _ => None,
        });
        let audits: Vec<AuditRow> = audits.collect();
        self.changing(|transaction| audit::restore(transaction, &audits))
    }

    /// Events will have ids above this one.
    pub(super) fn skip_events(&self, newest: u64) -> Result<(), StoreError> {
        self.changing(|transaction| Ok(format::raise_newest_event(transaction, newest)?))
    }

    fn changing(&self, change: impl FnOnce(&WriteTransaction) -> Result<(), Trouble>) -> Result<(), StoreError> {
        self.looking(|state, _| {
            let result = state.begin_write().map_err(Trouble::from).and_then(|transaction| {
                change(&transaction)?;
                Ok(transaction.commit()?)
            });
            result.map_err(|trouble| self.place.fault(trouble))
        })
    }

    /// Closes all files well. Nothing can be done with it behind that.
    pub(super) fn close(&self) {
        let mut open = self.exclusive();
        *open = Open::Closed;
        self.history.close();
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

/// Opens the history for writing and takes back what the state does not know; the newest event.
fn in_step(place: &Place, state: &Database, history: &History) -> Result<u64, Fault> {
    let newest = newest_event(place, state)?;
    history.take_back(newest)?;
    Ok(newest)
}

fn newest_event(place: &Place, state: &Database) -> Result<u64, Fault> {
    let transaction = state.begin_read().map_err(|error| place.fault(error))?;
    format::newest_event(&transaction).map_err(|error| place.fault(error))
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
            self.note_failure(&error, false, true);
            return Err(error);
        }
        let result = self.write(state, writes, &mut unsure);
        drop(open);
        match result {
            Ok(()) => {
                if self.failing().take().is_some() {
                    log::info!("{} can be written again", self.place.path.display());
                }
                Ok(())
            }
            Err(fault) => {
                let error = fault.explain("write");
                if !matches!(fault.trouble, Trouble::Row(_)) {
                    self.fail(number, &error);
                    self.note_failure(&error, fault.trouble.is_full(), false);
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

    fn audit(&self, before: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        self.reading(|transaction| Ok(audit::page(transaction, before, limit)?))
    }

    fn newest_event(&self) -> Result<u64, StoreError> {
        self.reading(|transaction| Ok(format::newest_event(transaction)?))
    }

    fn begin_copy(&self, with_events: bool) -> Result<Copying, StoreError> {
        self.looking(|state, _| {
            // Never held while `open` is waited for.
            let mut copied = self.copied();
            let transaction = state.begin_read().map_err(|error| self.place.fault(error))?;
            let newest_event = format::newest_event(&transaction).map_err(|error| self.place.fault(error))?;
            let number = copied.0 + 1;
            *copied = (number, Some(transaction));
            Ok(Copying { number, newest_event, table: 0, last: None, with_events })
        })
    }

    fn copy_on(&self, copying: &mut Copying) -> Result<Option<Copied>, StoreError> {
        while let Some(table) = Table::ALL.get(copying.table).copied() {
            let (rows, last) = match table {
                Table::Events if !copying.with_events => (Vec::new(), None),
                Table::Events => self.copy_events(copying)?,
                _ => self.copy_state(copying)?,
            };
            if rows.is_empty() {
                copying.table += 1;
                copying.last = None;
                continue;
            }
            copying.last = last;
            return Ok(Some(Copied { table, rows }));
        }
        Ok(None)
    }

    fn end_copy(&self, copying: &Copying) {
        let mut copied = self.copied();
        if copied.0 == copying.number {
            copied.1 = None;
        }
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

    fn lost(&self) -> Option<StoreError> {
        let failing = self.failing();
        let failing = failing.as_ref()?;
        let is_hopeless = failing.since.is_some_and(|since| since.elapsed() >= PATIENCE) && failing.tries >= TRIES;
        (is_hopeless || failing.replaced).then(|| failing.error.clone())
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
