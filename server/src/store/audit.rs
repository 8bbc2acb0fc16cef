//! What operators did: appended, read from the newest backwards, and cut off behind the newest [`AUDIT`].

use super::encoded::{decode, encode};
use super::trouble::Trouble;
use super::{AUDIT, AuditRow};
use redb::{Error, ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

pub(super) const TABLE: TableDefinition<u64, &[u8]> = TableDefinition::new("audit");

/// Stores `rows` behind those that there are, with the next ids.
pub(super) fn append<'a>(
    transaction: &WriteTransaction,
    rows: impl Iterator<Item = &'a AuditRow>,
) -> Result<(), Trouble> {
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    let mut table = transaction.open_table(TABLE)?;
    let mut newest = table.last()?.map_or(0, |(id, _)| id.value());
    for row in rows {
        newest += 1;
        table.insert(newest, encode(&AuditRow { id: newest, ..row.clone() })?.as_slice())?;
    }
    table.retain_in(..newest.saturating_sub(AUDIT - 1), |_, _| false)?;
    Ok(())
}

/// Stores rows with the ids that they have.
pub(super) fn restore(transaction: &WriteTransaction, rows: &[AuditRow]) -> Result<(), Trouble> {
    let mut table = transaction.open_table(TABLE)?;
    for row in rows {
        table.insert(row.id, encode(row)?.as_slice())?;
    }
    Ok(())
}

/// Rows with ids below `before`, newest first; those that cannot be read are left out.
pub(super) fn page(transaction: &ReadTransaction, before: u64, limit: usize) -> Result<Vec<AuditRow>, Error> {
    let table = match transaction.open_table(TABLE) {
        Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
        table => table?,
    };
    let mut page = Vec::new();
    for entry in table.range(..before)?.rev() {
        if page.len() == limit {
            break;
        }
        if let Ok(row) = decode(entry?.1.value()) {
            page.push(row);
        }
    }
    Ok(page)
}
