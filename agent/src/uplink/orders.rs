//! What the server wants of this agent, beside taking its reports. Nothing of it is ever needed to report.

use super::handover::Handover;
use crate::hub::Hub;
use crate::join::identity::Identity;
use log::{info, warn};
use muster_dial::{Pin, Trust};
use muster_protocol::orders::{self, Trusted};
use muster_protocol::record::{Full, Kind, Malformed, Record, Writer};
use std::path::{Path, PathBuf};

/// What has been obeyed, and what the server knows of that.
#[derive(Debug)]
pub(crate) struct Orders {
    identity: Identity,
    state_dir: PathBuf,
    handover: Handover,
    /// The revision that the server was told in a hello that it has answered.
    confirmed: Option<u64>,
    /// What went wrong last, so that it is logged once.
    trouble: Option<String>,
}

impl Orders {
    /// As it was at the start.
    pub(crate) fn new(identity: Identity, state_dir: &Path, handover: Handover) -> Orders {
        Orders { identity, state_dir: state_dir.into(), handover, confirmed: None, trouble: None }
    }

    /// Says behind a hello what was done.
    pub(crate) fn confirm(&self, writer: &mut Writer<'_>) -> Result<(), Full> {
        writer.record(Kind::Trusted, &Trusted { revision: self.identity.revision })
    }

    /// The server has taken what was said behind the hello.
    pub(crate) fn welcomed(&mut self) {
        self.confirmed = Some(self.identity.revision);
    }

    /// Does what a record behind a welcome or an answer asks for; what it does not know it leaves alone.
    ///
    /// Such a record came from a server that showed a pinned key, and that accepted this host's credential.
    pub(crate) fn obey(&mut self, hub: &Hub, record: Record<'_>) -> Result<(), Malformed> {
        if record.kind == Kind::Trust {
            self.trust(hub, &record.decode()?);
        }
        Ok(())
    }

    fn trust(&mut self, hub: &Hub, announced: &orders::Trust<'_>) {
        if announced.revision <= self.identity.revision {
            // Known; but does the server know that?
            if self.confirmed.is_none_or(|confirmed| confirmed != self.identity.revision) {
                hub.reporter.borrow_mut().greet_again();
            }
            return;
        }
        let addresses = announced.addresses.iter().filter_map(|address| address.parse().ok());
        let announced = Trust {
            revision: announced.revision,
            generation: announced.generation,
            addresses: addresses.collect(),
            former: Vec::new(),
            pins: announced.pins.iter().copied().map(Pin).collect(),
        };
        // Others may have written the file meanwhile: a credential that was renewed, a join that was repeated.
        let stored = Identity::load(&self.state_dir).ok().flatten();
        let mut next = stored.filter(|stored| stored.host == self.identity.host).unwrap_or(self.identity.clone());
        next.follow(&announced, self.handover.in_use().as_ref());
        // On the disk first: what is confirmed must survive a power cut.
        if let Err(error) = next.store(&self.state_dir) {
            let trouble = format!("cannot keep the server's new keys and addresses: {error}; those before stay in use");
            if self.trouble.as_ref() != Some(&trouble) {
                warn!("{trouble}");
                self.trouble = Some(trouble);
            }
            return;
        }
        self.trouble = None;
        info!("keys and addresses of the server are of revision {} now", next.revision);
        self.identity = next.clone();
        self.handover.offer(next);
        // It says over a new connection, by the new keys, that all is well.
        hub.reporter.borrow_mut().greet_again();
    }
}
