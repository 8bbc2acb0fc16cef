//! What a restore writes otherwise than a server does.

use super::super::trouble::Trouble;
use super::super::{AuditRow, Store, StoreError, Write, audit, format};
use super::RedbStore;
use redb::WriteTransaction;

impl RedbStore {
    /// As [`Store::commit`], but rows of the audit log keep their ids: for a restore.
    pub(in super::super) fn commit_as_it_was(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.commit(&writes.iter().filter(|write| !matches!(write, Write::Audit(_))).cloned().collect::<Vec<_>>())?;
        let audits = writes.iter().filter_map(|write| match write {
            Write::Audit(row) => Some(row.clone()),
            _ => None,
        });
        let audits: Vec<AuditRow> = audits.collect();
        self.changing(|transaction| audit::restore(transaction, &audits))
    }

    /// Events will have ids above this one.
    pub(in super::super) fn skip_events(&self, newest: u64) -> Result<(), StoreError> {
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
}
