//! Records of one reading, put into the outbox part by part.

use super::Ended;
use crate::hub::Hub;
use log::warn;
use muster_protocol::batch::Absent;
use muster_protocol::container::Container;
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use muster_protocol::record::{Full, Kind, Reader, Writer};
use muster_protocol::reporter::Reading;
use muster_protocol::reporter::ledger::{Known, Report};
use serde::Serialize;

/// Bytes that a part's buffer begins with.
const SMALL: usize = 1024;

pub(super) struct Parts<'h> {
    hub: &'h Hub,
    pub reading: Reading,
    buffer: Vec<u8>,
    len: usize,
}

impl<'h> Parts<'h> {
    pub fn begin(hub: &'h Hub, reading: Reading) -> Parts<'h> {
        Parts { hub, reading, buffer: hub.outbox.borrow_mut().buffer(), len: 0 }
    }

    /// A container of a report: put in if the server does not have it so.
    pub async fn list(&mut self, report: &mut Report, container: &Container<'_>) -> Result<(), Ended> {
        let hub = self.hub;
        let wanted = |body: &[u8]| match hub.roster.borrow_mut().sent(&container.id) {
            Some(sent) => report.see(&mut hub.ledger.borrow_mut(), body, sent),
            None => report.see(&mut hub.ledger.borrow_mut(), body, &mut Known::default()),
        };
        self.container(Kind::Listed, container, wanted).await
    }

    /// A container that was read by itself.
    pub async fn one(&mut self, container: &Container<'_>) -> Result<(), Ended> {
        let hub = self.hub;
        let sent = |body: &[u8]| {
            if let Some(sent) = hub.roster.borrow_mut().sent(&container.id) {
                hub.ledger.borrow_mut().changes(body, sent);
            }
            true
        };
        self.container(Kind::Container, container, sent).await
    }

    /// A container that the list had, and that cannot be reported.
    pub async fn lose(&mut self, report: &Report, id: EngineId) -> Result<(), Ended> {
        let mut sent = self.hub.roster.borrow_mut().forget(&id);
        self.gone(report, id, &mut sent).await
    }

    /// A container that the report does not have. A report that has everything need not say so.
    pub async fn gone(&mut self, report: &Report, id: EngineId, sent: &mut Known) -> Result<(), Ended> {
        let has_to_be_told = self.hub.ledger.borrow_mut().is_gone(sent) && !report.everything;
        if has_to_be_told {
            self.put(Kind::Absent, &Absent { seq: self.reading.seq, id }).await?;
        }
        Ok(())
    }

    pub async fn put<T: Serialize>(&mut self, kind: Kind, payload: &T) -> Result<(), Ended> {
        self.place(kind, payload).await.map(|_| ())
    }

    /// Puts a container in, and takes it out again if it is not wanted: only its bytes can tell.
    async fn container(
        &mut self,
        kind: Kind,
        container: &Container<'_>,
        wanted: impl FnOnce(&[u8]) -> bool,
    ) -> Result<(), Ended> {
        let Some(start) = self.place(kind, &(self.reading.seq, container)).await? else { return Ok(()) };
        let record = Reader::records(&self.buffer[start..self.len]).next_record().ok().flatten();
        let body = record.and_then(|record| record.numbered().ok()).map(|(_, body)| body);
        if !body.is_some_and(wanted) {
            self.len = start;
        }
        Ok(())
    }

    /// Puts a record in, and answers where it begins; `None` if it fits nowhere.
    async fn place<T: Serialize>(&mut self, kind: Kind, payload: &T) -> Result<Option<usize>, Ended> {
        loop {
            if let Ok(start) = self.write(kind, payload) {
                return Ok(Some(start));
            }
            if self.buffer.len() < limits::READINGS {
                // Most parts are some bytes, and a whole list of a small host is some thousand.
                let size = (2 * self.buffer.len()).clamp(SMALL, limits::READINGS);
                self.buffer.resize(size, 0);
            } else if self.len > 0 {
                self.flush().await?;
            } else {
                // The limits of a container's fields let every one fit into an empty part.
                warn!("a record of kind {kind:?} is too large to send");
                return Ok(None);
            }
        }
    }

    fn write<T: Serialize>(&mut self, kind: Kind, payload: &T) -> Result<usize, Full> {
        let start = self.len;
        let mut writer = Writer::resume(&mut self.buffer, start);
        writer.record(kind, payload)?;
        self.len = writer.len();
        Ok(start)
    }

    /// Hands what there is to the uplink, and waits until there is room for it.
    pub async fn flush(&mut self) -> Result<(), Ended> {
        loop {
            if !self.hub.reporter.borrow().is_current(self.reading) || !self.hub.online.get() {
                return Err(Ended::Uplink);
            }
            if self.hub.outbox.borrow().has_room() {
                break;
            }
            self.hub.room.wait().await;
        }
        let next = self.hub.outbox.borrow_mut().buffer();
        let full = std::mem::replace(&mut self.buffer, next);
        self.hub.outbox.borrow_mut().put(full, self.len);
        self.len = 0;
        self.hub.to_send.ring();
        Ok(())
    }
}
