//! What makes a redb file a Muster store, and which one.

use redb::{Error, ReadTransaction, ReadableDatabase, ReadableTable, TableDefinition, TableError, WriteTransaction};

/// The layout of the tables that this program writes. Rows have versions of their own. Format 1 had the events in a
/// table beside the others.
const FORMAT: u64 = 2;

/// Numbers about the whole file.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("muster");

const FORMAT_KEY: &str = "format";

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A store that this program can use.
    Ours,
    /// A store of format 1.
    WithEvents,
    /// A store of a newer program.
    Newer {
        /// The file's.
        found: u64,
        /// The newest that this program knows.
        known: u64,
    },
    /// Another program's file.
    Foreign,
}

/// Marks a file as ours and of this format.
pub(super) fn mark(transaction: &WriteTransaction) -> Result<(), Error> {
    transaction.open_table(META)?.insert(FORMAT_KEY, FORMAT)?;
    Ok(())
}

/// Tells whose file it is.
pub(super) fn of(database: &impl ReadableDatabase) -> Result<Format, Error> {
    let table = match database.begin_read()?.open_table(META) {
        Ok(table) => table,
        Err(TableError::Storage(error)) => return Err(error.into()),
        Err(_) => return Ok(Format::Foreign),
    };
    Ok(match table.get(FORMAT_KEY)?.map(|found| found.value()) {
        Some(FORMAT) => Format::Ours,
        Some(1) => Format::WithEvents,
        Some(found) if found > FORMAT => Format::Newer { found, known: FORMAT },
        _ => Format::Foreign,
    })
}

/// One of the numbers about the file; 0 if it was never set.
fn number(transaction: &ReadTransaction, key: &str) -> Result<u64, Error> {
    Ok(transaction.open_table(META)?.get(key)?.map_or(0, |value| value.value()))
}

/// The id of the newest event that was ever stored, apart from the events, so that ids go on growing when these have
/// been deleted. An event above it in the history did not happen.
const NEWEST: &str = "newest event";

/// See [`NEWEST`]; 0 if there was none.
pub(super) fn newest_event(transaction: &ReadTransaction) -> Result<u64, Error> {
    number(transaction, NEWEST)
}

/// Raises [`NEWEST`].
pub(super) fn raise_newest_event(transaction: &WriteTransaction, id: u64) -> Result<(), Error> {
    let mut numbers = transaction.open_table(META)?;
    let before = numbers.get(NEWEST)?.map_or(0, |value| value.value());
    if id > before {
        numbers.insert(NEWEST, id)?;
    }
    Ok(())
}
