//! One file of the history: events, appended, walked in the order of their ids, and never changed.

use super::super::encoded::{decode, encode};
use super::super::files::Place;
use super::super::trouble::{Fault, Trouble};
use super::super::{EventRow, Keep, Span};
use super::name::Name;
use redb::{
    AccessGuard, Database, Durability, Error, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    TableDefinition, TableError, WriteTransaction,
};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

/// Of format 1 of a store, too, which had them beside everything else.
pub(in super::super) const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");

const NUMBERS: TableDefinition<&str, u64> = TableDefinition::new("history");

/// The layout of the tables of such a file.
const FORMAT: &str = "format";
const KNOWN_FORMAT: u64 = 1;

/// The id of the first event of the last append: only what it appended can be missing in the state.
const APPENDED: &str = "last append";

/// Milliseconds since 1970: the earliest and the latest time that any event has, by its host's clock or by ours.
const TIMES: TableDefinition<&str, i64> = TableDefinition::new("times");
const EARLIEST: &str = "earliest";
const LATEST: &str = "latest";

/// Pages in memory: an append touches few, and reading goes straight on.
const CACHE: usize = 8 * 1024 * 1024;

/// One file.
#[derive(Debug)]
pub(super) struct HistoryFile {
    /// Its name, and so its place in the history.
    pub name: Name,
    /// Where it is.
    pub place: Place,
    /// While it is open; for writing if it is the newest, and all is well.
    open: Mutex<Option<Arc<Database>>>,
    /// What its events cover, once it is known and will not change.
    covers: OnceLock<Span>,
    /// When its first event was received, once it is known.
    pub begins_ms: OnceLock<i64>,
    /// Why it cannot be read, since it was last tried.
    damage: Mutex<Option<String>>,
}

/// What came of walking a file.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Whoever asked has enough.
    pub over: bool,
    /// Events that could not be read and were left out.
    pub unreadable: u64,
}

impl Walked {
    /// Asks for one more event.
    fn take(&mut self, entry: Entry<'_>, keep: &mut dyn FnMut(EventRow) -> Keep) -> Keep {
        let (id, bytes) = entry;
        let Some(event) = decode::<EventRow>(bytes.value()).ok().filter(|event| event.id == id.value()) else {
            self.unreadable += 1;
            return Keep::No;
        };
        let kept = keep(event);
        self.over = kept == Keep::Stop;
        kept
    }
}

/// Events by their ids.
type Rows = ReadOnlyTable<u64, &'static [u8]>;

/// An event's id and its bytes.
type Entry<'a> = (AccessGuard<'a, u64>, AccessGuard<'a, &'static [u8]>);

impl HistoryFile {
    /// The file with this name, which may not be there yet.
    pub(super) fn new(directory: &std::path::Path, name: Name) -> HistoryFile {
        HistoryFile {
            name,
            place: Place { path: directory.join(name.to_string()), cache: CACHE },
            open: Mutex::default(),
            covers: OnceLock::new(),
            begins_ms: OnceLock::new(),
            damage: Mutex::default(),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Option<Arc<Database>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes it, without events.
    pub(super) fn make(&self) -> Result<(), Fault> {
        self.place.make(|transaction| {
            transaction.open_table(EVENTS)?;
            transaction.open_table(NUMBERS)?.insert(FORMAT, KNOWN_FORMAT)?;
            Ok(())
        })
    }

    /// Opens it for writing. Nobody may read it just now.
    pub(super) fn open_for_writing(&self) -> Result<(), Fault> {
        let mut slot = self.slot();
        *slot = None;
        let database = self.place.open()?;
        self.check_format(&database)?;
        *slot = Some(Arc::new(database));
        Ok(())
    }

    /// Why it could not be read when it was last tried, if so.
    pub(super) fn damage(&self) -> Option<String> {
        self.damage.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes whether it can be read; what was noted before.
    pub(super) fn note_damage(&self, damage: Option<String>) -> Option<String> {
        std::mem::replace(&mut *self.damage.lock().unwrap_or_else(PoisonError::into_inner), damage)
    }

    /// The database, opened for reading if it is not open yet.
    pub(super) fn database(&self) -> Result<Arc<Database>, Fault> {
        let mut slot = self.slot();
        if let Some(database) = &*slot {
            return Ok(database.clone());
        }
        let database = self.place.open_overlay()?;
        self.check_format(&database)?;
        Ok(slot.insert(Arc::new(database)).clone())
    }

    fn check_format(&self, database: &Database) -> Result<(), Fault> {
        let fault = |trouble: Trouble| self.place.fault(trouble);
        let transaction = database.begin_read().map_err(|error| fault(error.into()))?;
        match number(&transaction, FORMAT).map_err(|error| fault(error.into()))? {
            Some(KNOWN_FORMAT) => Ok(()),
            Some(newer) => {
                let what = format!("it has the format {newer} of a newer muster: install that version");
                Err(fault(Trouble::Stored(what)))
            }
            None => Err(fault(Trouble::Stored("it is no history of Muster: move it away".into()))),
        }
    }

    /// Closes it.
    pub(super) fn close(&self) {
        *self.slot() = None;
    }

    /// Closes it, unless somebody is reading it.
    pub(super) fn close_if_idle(&self) {
        let mut slot = self.slot();
        if slot.as_ref().is_some_and(|database| Arc::strong_count(database) == 1) {
            *slot = None;
        }
    }

    fn fault(&self, trouble: impl Into<Trouble>) -> Fault {
        self.place.fault(trouble)
    }

    /// Appends events, and makes them durable.
    pub(super) fn append(&self, events: &[&EventRow]) -> Result<(), Fault> {
        let database = self.database()?;
        self.try_append(&database, events).map_err(|trouble| self.fault(trouble))
    }

    fn try_append(&self, database: &Database, events: &[&EventRow]) -> Result<(), Trouble> {
        let (Some(first), Some(mut span)) = (events.first(), Span::of(events)) else { return Ok(()) };
        let mut transaction = database.begin_write()?;
        transaction.set_durability(Durability::Immediate)?;
        {
            let mut table = transaction.open_table(EVENTS)?;
            for event in events {
                table.insert(event.id, encode(*event)?.as_slice())?;
            }
            transaction.open_table(NUMBERS)?.insert(APPENDED, first.id)?;
            let mut times = transaction.open_table(TIMES)?;
            for (key, ms, wider) in
                [(EARLIEST, &mut span.since_ms, i64::min as fn(_, _) -> _), (LATEST, &mut span.until_ms, i64::max)]
            {
                let before = times.get(key)?.map(|value| value.value());
                if let Some(ms) = before.map_or(*ms, |before| ms.map(|ms| wider(ms, before))) {
                    times.insert(key, ms)?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    /// Takes back events with ids above `valid`, of which the state does not know: the last append, after which the
    /// state was not written any more. More than that cannot be explained and is an error, or any unless `explained`.
    /// Whether the file is empty then.
    pub(super) fn take_back(&self, valid: u64, explained: bool) -> Result<bool, Fault> {
        let database = self.database()?;
        let result = (|| {
            let transaction = database.begin_read()?;
            let table = transaction.open_table(EVENTS)?;
            let Some(newest) = table.last()?.map(|(id, _)| id.value()) else { return Ok(true) };
            if newest <= valid {
                return Ok(false);
            }
            let appended = if explained { number(&transaction, APPENDED)?.unwrap_or(0) } else { u64::MAX };
            let unexplained = table.range((Bound::Excluded(valid), Bound::Excluded(appended.max(valid + 1))))?.next();
            if unexplained.transpose()?.is_some() {
                let what = "it has events that muster.redb does not know, as if that were an older copy; \
                            restore both from one backup, or move the history away";
                return Err(Trouble::Stored(what.into()));
            }
            let is_empty = table.range(..=valid)?.next().transpose()?.is_none();
            drop((table, transaction));
            if !is_empty {
                let mut transaction = database.begin_write()?;
                transaction.set_durability(Durability::Immediate)?;
                transaction.open_table(EVENTS)?.retain_in((Bound::Excluded(valid), Bound::Unbounded), |_, _| false)?;
                transaction.commit()?;
            }
            Ok(is_empty)
        })();
        result.map_err(|trouble: Trouble| self.fault(trouble))
    }

    /// Asks `keep` for each event with `after < id <= through`, in the order of ids, until it has enough. Events of
    /// a file that will not be written any more (`is_closed`) are passed over if none of them can be in `span`.
    pub(super) fn walk(
        &self,
        (after, through): (u64, u64),
        span: Span,
        is_closed: bool,
        keep: &mut dyn FnMut(EventRow) -> Keep,
    ) -> Result<Walked, Fault> {
        self.look_through(span, is_closed, &mut |table, walked| {
            for entry in table.range((Bound::Excluded(after), Bound::Included(through)))? {
                if walked.take(entry?, keep) == Keep::Stop {
                    break;
                }
            }
            Ok(())
        })
    }

    /// The same the other way round, of events with `id <= through`.
    pub(super) fn walk_back(
        &self,
        through: u64,
        span: Span,
        is_closed: bool,
        keep: &mut dyn FnMut(EventRow) -> Keep,
    ) -> Result<Walked, Fault> {
        self.look_through(span, is_closed, &mut |table, walked| {
            for entry in table.range(..=through)?.rev() {
                if walked.take(entry?, keep) == Keep::Stop {
                    break;
                }
            }
            Ok(())
        })
    }

    fn look_through(
        &self,
        span: Span,
        is_closed: bool,
        look: &mut dyn FnMut(&Rows, &mut Walked) -> Result<(), Error>,
    ) -> Result<Walked, Fault> {
        if is_closed && self.covers.get().is_some_and(|covers| !covers.meets(span)) {
            return Ok(Walked::default());
        }
        let database = self.database()?;
        let result = (|| {
            let mut walked = Walked::default();
            let transaction = database.begin_read()?;
            let covers = covers(&transaction)?;
            if is_closed {
                let _ = self.covers.set(covers);
            }
            if !covers.meets(span) {
                return Ok(walked);
            }
            look(&transaction.open_table(EVENTS)?, &mut walked)?;
            Ok(walked)
        })();
        let walked = result.map_err(|error: Error| self.fault(error))?;
        self.note_damage(None);
        Ok(walked)
    }
}

fn number(transaction: &ReadTransaction, key: &str) -> Result<Option<u64>, Error> {
    match transaction.open_table(NUMBERS) {
        Ok(table) => Ok(table.get(key)?.map(|value| value.value())),
        Err(TableError::Storage(error)) => Err(error.into()),
        Err(_) => Ok(None),
    }
}

fn covers(transaction: &ReadTransaction) -> Result<Span, Error> {
    let table = match transaction.open_table(TIMES) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Span::default()),
        table => table?,
    };
    let time = |key: &str| Ok::<_, Error>(table.get(key)?.map(|value| value.value()));
    Ok(Span { since_ms: time(EARLIEST)?, until_ms: time(LATEST)? })
}

/// The events of a store of format 1, in pieces of some thousand; each with the id of its last event.
pub(in super::super) fn old_events(
    transaction: &ReadTransaction,
    after: u64,
    limit: usize,
) -> Result<(Vec<EventRow>, Option<u64>), Error> {
    let table = match transaction.open_table(EVENTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok((Vec::new(), None)),
        table => table?,
    };
    let (mut events, mut last) = (Vec::new(), None);
    for entry in table.range((Bound::Excluded(after), Bound::Unbounded))?.take(limit) {
        let (id, bytes) = entry?;
        last = Some(id.value());
        events.extend(decode::<EventRow>(bytes.value()).ok().filter(|event| event.id == id.value()));
    }
    Ok((events, last))
}

/// Removes the events of a store of format 1.
pub(in super::super) fn drop_old_events(transaction: &WriteTransaction) -> Result<(), Error> {
    transaction.delete_table(EVENTS)?;
    Ok(())
}
