//! What passes between the task that does what the server wants and the thread that sends, beside messages.

use crate::join::identity::Identity;
use muster_dial::Address;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Shared by both.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handover(Arc<Mutex<Held>>);

#[derive(Debug, Default)]
struct Held {
    next: Option<Identity>,
    in_use: Option<Address>,
}

impl Handover {
    /// The identity from the next message on: over a new connection, to the first address.
    pub(crate) fn offer(&self, identity: Identity) {
        self.held().next = Some(identity);
    }

    /// For the thread that sends, before each message.
    pub(crate) fn take(&self) -> Option<Identity> {
        self.held().next.take()
    }

    /// For the thread that sends: the server has answered at this address.
    pub(crate) fn answered_at(&self, address: Option<&Address>) {
        let mut held = self.held();
        if held.in_use.as_ref() != address {
            held.in_use = address.cloned();
        }
    }

    /// Where the server has last answered.
    pub(crate) fn in_use(&self) -> Option<Address> {
        self.held().in_use.clone()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
