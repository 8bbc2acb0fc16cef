//! Which address the server answers at: noted by the thread that sends, for the task that obeys.

use muster_dial::Address;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by both.
#[derive(Debug, Clone, Default)]
pub(crate) struct InUse(Arc<Mutex<Option<Address>>>);

impl InUse {
    /// The server has answered there.
    pub(crate) fn note(&self, address: Option<&Address>) {
        let mut held = self.held();
        if held.as_ref() != address {
            *held = address.cloned();
        }
    }

    /// Where it has last answered.
    pub(crate) fn address(&self) -> Option<Address> {
        self.held().clone()
    }

    fn held(&self) -> MutexGuard<'_, Option<Address>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
