//! A host's credential: changed without a moment in which neither the old nor the new one counts, or ended at once.
//!
//! The change is asked for with a number that grows. The agent makes the new credential, and tells its hash once it is
//! on its disk. From then on both count, until the new one is first used: then the old one is forgotten. Either side
//! may be lost or restarted between any two of these.

use super::host::{Host, Now, Outcome};
use super::{By, Fleet, HostCell, Refusal};
use crate::api::types;
use crate::store::{StoreError, Write};
use muster_protocol::orders::Renewed;
use std::sync::Arc;

impl Host {
    /// SHA-256 of the credentials that it is found by.
    pub(super) fn credentials(&self) -> Vec<[u8; 32]> {
        [Some(self.row.credential), self.row.orders.next_credential].into_iter().flatten().collect()
    }

    /// Whether its credential is not accepted any more.
    pub fn is_revoked(&self) -> bool {
        self.row.orders.revoked
    }

    /// `valid`, `renewing` or `revoked`.
    pub(super) fn credential_word(&self) -> &'static str {
        match &self.row.orders {
            orders if orders.revoked => "revoked",
            orders if orders.renew != orders.renewed => "renewing",
            _ => "valid",
        }
    }

    /// The number under which its agent is to make a new credential; `None` if it need not, or has.
    pub fn renewal(&self) -> Option<u32> {
        let orders = &self.row.orders;
        (orders.renew != orders.renewed && orders.next_credential.is_none()).then_some(orders.renew)
    }

    /// An agent said hello; `offer` is the new credential that it has made, if it has.
    pub fn offered(&mut self, offer: Option<Renewed>, outcome: &mut Outcome) {
        let orders = &mut self.row.orders;
        let offer = offer.filter(|offer| offer.number == orders.renew && orders.renew != orders.renewed);
        let next = offer.map(|offer| offer.hash).filter(|hash| *hash != self.row.credential);
        // An agent that does not know of the one that it made before has lost it: it is asked for another.
        if orders.next_credential != next {
            orders.next_credential = next;
            outcome.writes.push(Write::Host(self.row.clone()));
        }
    }

    /// The new credential was used: the old one does not count any more.
    fn renewed(&mut self, now: Now, outcome: &mut Outcome) {
        let orders = &mut self.row.orders;
        let Some(next) = orders.next_credential.take() else { return };
        orders.renewed = orders.renew;
        self.row.credential = next;
        self.note("host_credential_renewed", [], now, outcome);
    }
}

impl Fleet {
    /// An agent has shown this credential, by which the host was found. If it is the new one, that is stored; a store
    /// that cannot leaves both in force.
    pub async fn shown(&self, cell: &Arc<HostCell>, credential: &[u8; 32]) -> Result<(), StoreError> {
        let is_next = |cell: &HostCell| cell.live().row.orders.next_credential.as_ref() == Some(credential);
        if !is_next(cell) {
            return Ok(());
        }
        let turn = self.turn(cell).await?;
        let mut outcome = Outcome::default();
        let old = turn.live().row.credential;
        let is_new = is_next(&turn);
        if is_new {
            turn.live().renewed(self.now(), &mut outcome);
        }
        self.settle(turn, outcome).wait().await?;
        if is_new {
            // What was opened with the old one is not good any more; with the new one nothing is open yet.
            self.state.sessions.end(&old);
            cell.lines.cut();
        }
        Ok(())
    }

    /// Asks a host's agent for a new credential. It makes it with its next report.
    pub async fn rotate_credential(&self, by: &By, host: &str) -> Result<types::Host, Refusal> {
        let cell = self.find_host(host)?;
        let turn = self.turn(&cell).await?;
        let mut outcome = Outcome::default();
        {
            let mut live = turn.live();
            if live.is_revoked() {
                let what = format!("the credential of {} is revoked: the host has to join again", live.row.name);
                return Err(Refusal::Conflict(what));
            }
            let orders = &mut live.row.orders;
            if orders.renew == orders.renewed {
                orders.renew = orders.renew.wrapping_add(1);
            }
            outcome.writes.push(Write::Host(live.row.clone()));
            outcome.writes.push(by.audit("host.credential.rotate", &live.row.name, []));
            outcome.host = true;
        }
        self.settle(turn, outcome).wait().await?;
        Ok(cell.live().view())
    }

    /// Ends a host's credential at once. The host stays, and its agent has to join again.
    pub async fn revoke_credential(&self, by: &By, host: &str) -> Result<types::Host, Refusal> {
        let cell = self.find_host(host)?;
        let turn = self.turn(&cell).await?;
        let mut outcome = Outcome::default();
        {
            let mut live = turn.live();
            if !live.is_revoked() {
                live.row.orders.revoked = true;
                live.row.orders.next_credential = None;
                live.row.orders.renewed = live.row.orders.renew;
                live.note("host_credential_revoked", [], self.now(), &mut outcome);
            }
            outcome.writes.push(by.audit("host.credential.revoke", &live.row.name, []));
        }
        self.settle(turn, outcome).wait().await?;
        self.shut_out(&cell);
        self.network.remove(cell.id).await;
        Ok(cell.live().view())
    }
}
