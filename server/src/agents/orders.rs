//! What a host has still to be told, behind a welcome or an answer. It is repeated until the host confirms it.

use crate::fleet::{Fleet, HostCell};
use muster_protocol::record::{Full, Writer};

/// Appends it to the answer of a hello or of a report.
pub(super) fn append(_fleet: &Fleet, _cell: &HostCell, _writer: &mut Writer<'_>) -> Result<(), Full> {
    Ok(())
}
