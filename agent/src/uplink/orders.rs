//! What the server wants of this agent, beside taking its reports. Nothing of it is ever needed to report.

use crate::hub::Hub;
use muster_protocol::record::{Malformed, Record};

/// Does what a record behind a welcome or an answer asks for; what it does not know it leaves alone.
pub fn obey(_hub: &Hub, _record: Record<'_>) -> Result<(), Malformed> {
    Ok(())
}
