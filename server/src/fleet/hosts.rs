//! The hosts, and what they are found by.

use super::HostCell;
use super::host::Host;
use muster_protocol::id::HostId;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// All hosts, those that were removed too.
#[derive(Debug, Default)]
pub(super) struct Hosts {
    pub by_id: BTreeMap<HostId, Arc<HostCell>>,
    /// SHA-256 of a credential, to whose it is. Those of removed hosts stay: they are told so.
    pub by_credential: HashMap<[u8; 32], HostId>,
}

impl Hosts {
    pub fn insert(&mut self, host: Host) -> Arc<HostCell> {
        let cell = Arc::new(HostCell::new(host));
        self.by_id.insert(cell.id, cell.clone());
        self.index(&cell);
        cell
    }

    /// Lets the host be found by the credentials that it has now, and by no others.
    pub fn index(&mut self, cell: &HostCell) {
        let (credentials, removed) = {
            let live = cell.live();
            (live.credentials(), live.is_removed())
        };
        let mut known_by = cell.known_by();
        for gone in known_by.iter().filter(|known| !credentials.contains(known)) {
            if self.by_credential.get(gone) == Some(&cell.id) {
                self.by_credential.remove(gone);
            }
        }
        for credential in &credentials {
            // A removed host may have joined anew with the same credential: the one that is there counts.
            if !removed || !self.by_credential.contains_key(credential) {
                self.by_credential.insert(*credential, cell.id);
            }
        }
        *known_by = credentials;
    }

    pub fn remove(&mut self, cell: &HostCell) {
        self.by_id.remove(&cell.id);
        for credential in cell.known_by().drain(..) {
            if self.by_credential.get(&credential) == Some(&cell.id) {
                self.by_credential.remove(&credential);
            }
        }
    }
}
