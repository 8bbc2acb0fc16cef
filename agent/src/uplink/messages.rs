//! What is sent, and when there is something to send.

use super::Uplink;
use crate::hub::Hub;
use async_io::Timer;
use futures_lite::future;
use muster_protocol::hello::{Hello, Stream};
use muster_protocol::limits;
use muster_protocol::orders::{Renewed, Trusted};
use muster_protocol::record::{Full, Kind, Writer};
use muster_protocol::reporter::Sent;
use std::time::Instant;

impl Uplink {
    /// Writes a hello into `body`; its length.
    pub(super) fn hello(&self, hub: &Hub, body: &mut [u8]) -> Result<usize, Full> {
        let reporter = hub.reporter.borrow();
        let mut writer = Writer::message(body)?;
        let hello = Hello {
            run: reporter.run(),
            stream: Stream::Report as u8,
            fingerprint: self.fingerprint,
            highest_epoch: reporter.highest_epoch(),
            interval_ms: u32::try_from(hub.interval.get().as_millis()).unwrap_or(u32::MAX),
            agent_version: env!("CARGO_PKG_VERSION"),
            os: self.facts.os,
            arch: self.facts.arch,
            kernel: &self.facts.kernel,
        };
        writer.record(Kind::Hello, &hello)?;
        writer.record(Kind::Trusted, &Trusted { revision: self.held.identity.revision })?;
        if let Some((number, credential)) = self.held.keys.offer() {
            writer.record(Kind::Renewed, &Renewed { number, hash: credential.hash() })?;
        }
        Ok(writer.len())
    }
}

/// Until there is something to say, or until `heartbeat`.
pub(super) async fn wait_for_something(hub: &Hub, heartbeat: Instant) {
    loop {
        let something = hub.tell_engine.get() || !hub.outbox.borrow().is_empty() || hub.reporter.borrow().has_events();
        if something || Instant::now() >= heartbeat {
            return;
        }
        future::or(hub.to_send.wait(), async {
            Timer::at(heartbeat).await;
        })
        .await;
    }
}

/// Writes into a buffer of `room` bytes, and if that is not enough, into one of the most that a message may have.
pub(super) fn written<T>(
    body: &mut Vec<u8>,
    room: usize,
    write: impl Fn(&mut [u8]) -> Result<T, Full>,
) -> Result<T, Full> {
    body.resize(room, 0);
    write(body).or_else(|Full| {
        body.resize(limits::MESSAGE, 0);
        write(body)
    })
}

/// Writes a report into `body`, with `vitals` behind it; its length and what it holds, if there is one to send.
pub(super) fn message(
    hub: &Hub,
    body: &mut [u8],
    is_heartbeat: bool,
    vitals: &[u8],
) -> Result<Option<(usize, Sent)>, Full> {
    let mut writer = Writer::message(body)?;
    let outbox = hub.outbox.borrow();
    let readings = outbox.first();
    let health = hub.health.borrow();
    let tell_engine = hub.tell_engine.get() || is_heartbeat;
    let engine = health.record(Instant::now()).filter(|_| tell_engine);
    let sent = hub.reporter.borrow_mut().message(&mut writer, engine.as_ref(), readings)?;
    writer.raw(vitals)?;
    hub.tell_engine.set(false);
    Ok(sent.map(|sent| (writer.len(), sent)))
}
