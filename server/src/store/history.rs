//! Events: appended, walked in the order of their ids, and never changed.

use super::encoded::{decode, encode};
use super::format::{META, number};
use super::trouble::Trouble;
use super::{EventRow, Keep};
use redb::{Error, ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};
use std::ops::Bound;

const EVENTS: TableDefinition<u64, &[u8]> = TableDefinition::new("events");

/// Kept apart from the events, so that ids go on growing when the events themselves have been deleted.
const NEWEST: &str = "newest event";

/// Stores `events`.
pub(super) fn append<'a>(
    transaction: &WriteTransaction,
    events: impl Iterator<Item = &'a EventRow>,
) -> Result<(), Trouble> {
    let mut events = events.peekable();
    if events.peek().is_none() {
        return Ok(());
    }
    let mut table = transaction.open_table(EVENTS)?;
    let mut newest = 0;
    for event in events {
        table.insert(event.id, encode(event)?.as_slice())?;
        newest = newest.max(event.id);
    }
    let mut numbers = transaction.open_table(META)?;
    let before = numbers.get(NEWEST)?.map_or(0, |value| value.value());
    numbers.insert(NEWEST, newest.max(before))?;
    Ok(())
}

/// A page of events, and how many on the way could not be read and were left out.
pub(super) fn page(
    transaction: &ReadTransaction,
    after: u64,
    limit: usize,
    keep: &mut dyn FnMut(&EventRow) -> Keep,
) -> Result<(Vec<EventRow>, u64), Error> {
    let mut page = Vec::new();
    let mut unreadable = 0;
    let table = match transaction.open_table(EVENTS) {
        Err(TableError::TableDoesNotExist(_)) => return Ok((page, 0)),
        table => table?,
    };
    if limit == 0 {
        return Ok((page, 0));
    }
    for entry in table.range((Bound::Excluded(after), Bound::Unbounded))? {
        let (id, bytes) = entry?;
        let event = match decode::<EventRow>(bytes.value()) {
            Ok(event) if event.id == id.value() => event,
            _ => {
                unreadable += 1;
                continue;
            }
        };
        match keep(&event) {
            Keep::Yes => page.push(event),
            Keep::No => {}
            Keep::Stop => break,
        }
        if page.len() == limit {
            break;
        }
    }
    Ok((page, unreadable))
}

/// The id of the newest event that was ever stored.
pub(super) fn newest(transaction: &ReadTransaction) -> Result<u64, Error> {
    number(transaction, NEWEST)
}
