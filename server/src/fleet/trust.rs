//! What agents are to recognise and reach the server by: who has been told, and what operators change of it.

use super::{By, Fleet, Refusal, locked};
use crate::access::keys::{Keys, NotRotated, Rotation};
use crate::access::trust;
use crate::api::types;
use crate::store::{FleetRow, Store, StoreError, Write};
use muster_dial::Address;
use smol::lock::MutexGuardArc;

/// What agents are told, as it was stored; made, and with a backup key, if there is none; brought in line with the key
/// that is there.
pub(super) fn of(store: &dyn Store, stored: Option<FleetRow>, keys: &Keys) -> Result<FleetRow, StoreError> {
    let mut told = trust::of_current(stored.clone(), keys.pin(), None);
    if trust::backup(&told).is_none() {
        let backup = keys.make_backup().map_err(|message| StoreError { message })?;
        told = match &stored {
            None => trust::of_current(None, keys.pin(), Some(backup)),
            Some(_) => trust::with_backup(&told, backup),
        };
    }
    if stored.as_ref() != Some(&told) {
        store.commit(&[Write::Fleet(told.clone())])?;
    }
    Ok(told)
}

impl From<NotRotated> for Refusal {
    fn from(error: NotRotated) -> Refusal {
        match error {
            NotRotated::Invalid(why) => Refusal::Invalid(why),
            NotRotated::Failed(message) => Refusal::Store(StoreError { message }),
        }
    }
}

impl Fleet {
    /// What agents are told, as it is stored.
    pub fn trust(&self) -> FleetRow {
        locked(&self.state.trust).clone()
    }

    /// The server's keys, and which hosts do not know of the last change yet.
    pub fn key_status(&self) -> types::KeyStatus {
        let row = self.trust();
        let (mut hosts, mut unconfirmed) = (0, Vec::new());
        for cell in self.state.cells() {
            let live = cell.live();
            if live.is_removed() {
                continue;
            }
            hosts += 1;
            if live.row.orders.trust_revision < row.revision {
                let view = live.view();
                unconfirmed.push(types::UnconfirmedHost {
                    id: view.id,
                    name: view.name,
                    state: view.state,
                    last_seen: view.last_seen,
                    revision: live.row.orders.trust_revision,
                });
            }
        }
        unconfirmed.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        types::KeyStatus {
            pin: self.keys.pin().to_string(),
            backup_pin: trust::backup(&row).map(|pin| pin.to_string()),
            backup_key_file: self.keys.backup_here().map(|path| path.display().to_string()),
            former_pins: trust::former(&row).iter().map(ToString::to_string).collect(),
            generation: row.generation,
            revision: row.revision,
            hosts,
            unconfirmed,
        }
    }

    /// Makes the key of the next rotation, for whoever holds the backup key to vouch for: its public half.
    pub async fn prepare_key(&self, by: &By) -> Result<types::PreparedKey, Refusal> {
        let registry = self.registry.lock_arc().await;
        let public = self.keys.prepare().map_err(NotRotated::Failed)?;
        self.keep(registry, vec![by.audit("key.prepare", "", [])], |_| {}).await?;
        let generation = self.trust_now().generation.saturating_add(1);
        Ok(types::PreparedKey { public_key: public.to_string(), generation })
    }

    /// Goes over to another key at once. Hosts follow when they next connect.
    pub async fn rotate_key(&self, by: &By, wanted: types::RotateKey) -> Result<types::KeyStatus, Refusal> {
        if wanted.generation.is_some_and(|generation| generation > trust::GENERATIONS) {
            return Err(Refusal::Invalid(format!("generation: at most {}", trust::GENERATIONS)));
        }
        let registry = self.registry.lock_arc().await;
        let row = self.trust_now();
        let row = trust::at_least(&row, wanted.generation.unwrap_or(0).saturating_sub(1));
        let rotation = Rotation { voucher: wanted.voucher, compromised: wanted.compromised };
        // It blocks for as long as the disk takes for a small file. Nothing is waited for in between: a client that
        // leaves must not leave the key changed and the change untold.
        let pin = self.keys.rotate(&rotation, trust::backup(&row), row.generation.saturating_add(1))?;
        log::warn!("the server goes by a new fleet key: {pin}");
        let details = [("compromised", rotation.compromised.to_string())];
        let audit = by.audit("key.rotate", pin.to_string(), details);
        self.tell(registry, trust::rotated(&row, pin, rotation.compromised), audit).await?;
        Ok(self.key_status())
    }

    /// Makes agents forget the keys before, once all have confirmed the one that is used; with `force` at once.
    pub async fn finish_rotation(&self, by: &By, force: bool) -> Result<types::KeyStatus, Refusal> {
        let registry = self.registry.lock_arc().await;
        let row = self.trust_now();
        let Some(finished) = trust::finished(&row) else {
            return Err(Refusal::Conflict("there is nothing to finish: agents hold no key from before".into()));
        };
        let waiting = self.key_status().unconfirmed.len();
        if waiting > 0 && !force {
            return Err(Refusal::Conflict(format!(
                "{waiting} hosts have not confirmed the new key: see `muster key status`, wait, or use --force"
            )));
        }
        let audit = by.audit("key.finish", "", [("force", force.to_string())]);
        self.tell(registry, finished, audit).await?;
        Ok(self.key_status())
    }

    /// Makes another backup key, for an operator who has lost the one before.
    pub async fn replace_backup_key(&self, by: &By) -> Result<types::KeyStatus, Refusal> {
        let registry = self.registry.lock_arc().await;
        if let Some(path) = self.keys.backup_here() {
            return Err(Refusal::Conflict(format!("{} is still there: move it away first", path.display())));
        }
        let pin = self.keys.make_backup().map_err(NotRotated::Failed)?;
        let audit = by.audit("key.backup", pin.to_string(), []);
        self.tell(registry, trust::with_backup(&self.trust_now(), pin), audit).await?;
        Ok(self.key_status())
    }

    /// Where agents are told to reach the server, the best first.
    pub fn addresses(&self) -> Vec<Address> {
        trust::addresses(&locked(&self.state.trust), &self.started_with)
    }

    /// Adds an address behind the others.
    pub async fn add_address(&self, by: &By, address: &Address) -> Result<(), Refusal> {
        let registry = self.registry.lock_arc().await;
        let row = trust::with_address(&self.trust_now(), &self.started_with, address).map_err(Refusal::Conflict)?;
        self.tell(registry, row, by.audit("address.add", address.to_string(), [])).await
    }

    /// Takes an address away.
    pub async fn remove_address(&self, by: &By, address: &Address) -> Result<(), Refusal> {
        let registry = self.registry.lock_arc().await;
        let row = trust::without_address(&self.trust_now(), &self.started_with, address).map_err(Refusal::Conflict)?;
        let row = row.ok_or_else(|| {
            Refusal::NotFound(format!("{address} is not among the addresses; see `muster server address ls`"))
        })?;
        self.tell(registry, row, by.audit("address.remove", address.to_string(), [])).await
    }

    /// As it is stored, or as it should be: the store may have failed right after the key was changed.
    fn trust_now(&self) -> FleetRow {
        trust::of_current(Some(self.trust()), self.keys.pin(), None)
    }

    /// Stores it; agents are told with whatever they are answered next.
    async fn tell(&self, registry: MutexGuardArc<()>, row: FleetRow, audit: Write) -> Result<(), Refusal> {
        let told = row.clone();
        Ok(self.keep(registry, vec![Write::Fleet(row), audit], move |state| *locked(&state.trust) = told).await?)
    }
}
