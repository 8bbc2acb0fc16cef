//! What a server says of its copy of the host, and what is read again because of that.

use crate::hub::Hub;
use log::debug;
use muster_protocol::batch::{Answer, Differs};
use muster_protocol::record::{Kind, Malformed, Reader};

/// What an answer says of the server's copy, behind it.
pub(super) fn differs(mut rest: Reader<'_>) -> Result<Option<Differs>, Malformed> {
    while let Some(record) = rest.next_record()? {
        if record.kind == Kind::Differs {
            return record.decode().map(Some);
        }
    }
    Ok(None)
}

/// All that was read has arrived.
pub(super) fn listed(hub: &Hub, answer: &Answer) {
    let mut ledger = hub.ledger.borrow_mut();
    ledger.answered(answer);
    if answer.listed < hub.listed.get() {
        debug!("list {} took no effect; reading another", hub.listed.get());
        hub.listed.set(0);
        ledger.doubt();
        hub.read_all_soon();
    }
}

/// The server's copy is not what the host has.
pub(super) fn mend(hub: &Hub, differs: &Differs) {
    debug!("the server's copy differs from list {}", differs.seq);
    let mut ledger = hub.ledger.borrow_mut();
    ledger.differs(differs);
    if !ledger.is_failing() {
        hub.read_all_soon();
    }
}
