//! What makes a redb file a Muster store, and which one.

use redb::{Error, ReadTransaction, ReadableDatabase, TableDefinition, TableError, WriteTransaction};

/// The layout of the tables that this program writes. Rows have versions of their own.
const FORMAT: u64 = 1;

/// Numbers about the whole file.
pub(super) const META: TableDefinition<&str, u64> = TableDefinition::new("muster");

const FORMAT_KEY: &str = "format";

/// What a file turned out to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// A store that this program can use.
    Ours,
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

/// Marks a new file as ours.
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
        Some(found) if found > FORMAT => Format::Newer { found, known: FORMAT },
        _ => Format::Foreign,
    })
}

/// One of the numbers about the file; 0 if it was never set.
pub(super) fn number(transaction: &ReadTransaction, key: &str) -> Result<u64, Error> {
    Ok(transaction.open_table(META)?.get(key)?.map_or(0, |value| value.value()))
}
