//! What a host has still to be told, behind a welcome or an answer. It is repeated until the host confirms it.

use crate::fleet::{Fleet, HostCell};
use crate::store::FleetRow;
use muster_protocol::orders::{Renew, Renewed, Trust, Trusted};
use muster_protocol::record::{Full, Kind, Malformed, Reader, Writer};

/// Appends it to the answer of a hello (`behind_welcome`) or of a report.
pub(super) fn append(
    fleet: &Fleet,
    cell: &HostCell,
    behind_welcome: bool,
    writer: &mut Writer<'_>,
) -> Result<(), Full> {
    if let Some(row) = fleet.untold(cell, behind_welcome) {
        writer.record(Kind::Trust, &trust(&row))?;
    }
    let mut live = cell.live();
    if let Some(settings) = live.settings(behind_welcome) {
        writer.record(Kind::Settings, &settings)?;
    }
    if let Some(number) = live.renewal() {
        writer.record(Kind::Renew, &Renew { number })?;
    }
    Ok(())
}

fn trust(row: &FleetRow) -> Trust<'_> {
    Trust {
        revision: row.revision,
        generation: row.generation,
        addresses: row.addresses.iter().map(String::as_str).take(muster_protocol::limits::ADDRESSES).collect(),
        pins: row.pins.iter().copied().take(muster_protocol::limits::PINS).collect(),
    }
}

/// What an agent says it has done, in the records behind its hello.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    /// The revision of what it recognises and reaches the server by; `None` if it does not say.
    pub trust_revision: Option<u64>,
    /// The new credential that it has made.
    pub renewed: Option<Renewed>,
}

impl Confirmed {
    /// Reads what is left of a message. What does not belong there is passed over.
    pub(super) fn read(records: &mut Reader<'_>) -> Result<Confirmed, Malformed> {
        let mut confirmed = Confirmed::default();
        while let Some(record) = records.next_record()? {
            match record.kind {
                Kind::Trusted => confirmed.trust_revision = Some(record.decode::<Trusted>()?.revision),
                Kind::Renewed => confirmed.renewed = Some(record.decode()?),
                _ => {}
            }
        }
        Ok(confirmed)
    }
}
