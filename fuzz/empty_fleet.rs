//! A fleet without hosts, whose store keeps nothing: for targets that ask it.

use muster::access::keys::Keys;
use muster::access::secret::Secret;
use muster::fleet::Fleet;
use muster::store::{AuditRow, EventRow, Keep, Snapshot, Span, Store, StoreError, Write};
use muster_protocol::id::HostId;
use std::sync::Arc;

/// Forgets everything, at once.
struct Nothing;

impl Store for Nothing {
    fn load(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    fn load_host(&self, _: HostId) -> Result<Snapshot, StoreError> {
        Ok(Snapshot::default())
    }

    fn commit(&self, _: &[Write]) -> Result<(), StoreError> {
        Ok(())
    }

    fn events(
        &self,
        _: u64,
        _: Span,
        _: usize,
        _: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<Vec<EventRow>, StoreError> {
        Ok(Vec::new())
    }

    fn audit(&self, _: u64, _: usize) -> Result<Vec<AuditRow>, StoreError> {
        Ok(Vec::new())
    }

    fn newest_event(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

/// Makes one. Its keys are in a directory of this process and `purpose`, new each time: those of the one before may be
/// others by now.
pub fn open(purpose: &str) -> Fleet {
    let admin = Secret::parse(&"a".repeat(32)).expect("a token");
    let address = "localhost:7443".parse().expect("an address");
    let place = std::env::temp_dir().join(format!("muster-fuzz-{purpose}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&place);
    std::fs::create_dir_all(&place).expect("making a directory");
    let keys = Arc::new(Keys::open(&place).expect("keys"));
    Fleet::open(Arc::new(Nothing), &admin, "boot".into(), address, keys).expect("a fleet")
}
