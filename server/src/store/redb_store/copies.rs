//! Copies of all rows, for backups, while the store goes on.

use super::super::copying::{Copied, Copying, Rows, Table};
use super::super::encoded::encode;
use super::super::trouble::line;
use super::super::{EventBody, EventRow, Keep, Span, StoreError, format, state};
use super::RedbStore;
use redb::{ReadTransaction, ReadableDatabase};
use std::sync::{MutexGuard, PoisonError};

/// Bytes of rows in one piece of a copy.
const PIECE: usize = 100 * 1024;

/// Events in one piece of a copy.
const PIECE_ROWS: usize = 1000;

impl RedbStore {
    /// What is being copied.
    pub(super) fn copied(&self) -> MutexGuard<'_, (u64, Option<ReadTransaction>)> {
        self.copied.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next rows of the state's tables, and the key of the last.
    fn copy_state(&self, copying: &Copying) -> Result<Rows, StoreError> {
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
    fn copy_events(&self, copying: &Copying) -> Result<Rows, StoreError> {
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

    /// See [`Store::begin_copy`](super::Store::begin_copy).
    pub(super) fn begin(&self, with_events: bool) -> Result<Copying, StoreError> {
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

    /// See [`Store::copy_on`](super::Store::copy_on).
    pub(super) fn go_on(&self, copying: &mut Copying) -> Result<Option<Copied>, StoreError> {
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

    /// See [`Store::end_copy`](super::Store::end_copy).
    pub(super) fn end(&self, copying: &Copying) {
        let mut copied = self.copied();
        if copied.0 == copying.number {
            copied.1 = None;
        }
    }
}
