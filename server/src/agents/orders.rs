//! What a host has still to be told, behind a welcome or an answer. It is repeated until the host confirms it.

use crate::fleet::{Fleet, HostCell};
use muster_protocol::orders::Renew;
use muster_protocol::record::{Full, Kind, Writer};

/// Appends it to the answer of a hello (`behind_welcome`) or of a report.
pub(super) fn append(
    _fleet: &Fleet,
    cell: &HostCell,
    behind_welcome: bool,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    let mut live = cell.live();
    if let Some(settings) = live.settings(behind_welcome) {
        writer.record(Kind::Settings, &settings)?;
    }
    if let Some(number) = live.renewal() {
        writer.record(Kind::Renew, &Renew { number })?;
    }
    Ok(())
}
