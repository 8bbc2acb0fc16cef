//! The server's keys at work: the one that it serves by, on the disk and in TLS, and the change to another.

use super::fleet_key::{BACKUP_FILE, FILE, FleetKey, PublicKey, certificates_from_pem};
use super::serving::Serving;
use super::serving_key::ServingKey;
use muster_dial::{Pin, verify};
use rustls::ServerConfig;
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The longest text that a backup key's holder vouches by: a link and a certificate take 1.2 KiB.
pub const VOUCHER: usize = 16 * 1024;

/// Certificates by which a backup key vouches: the link, and its own.
const VOUCHED: usize = 2;

/// The server's keys.
pub struct Keys {
    data_dir: PathBuf,
    state: Mutex<State>,
}

struct State {
    current: FleetKey,
    /// Made for a rotation that somebody else has to vouch for first; forgotten at the end of the process.
    next: Option<FleetKey>,
    serving: Option<Serving>,
    changed: Option<Box<dyn Fn(Pin) + Send + Sync>>,
}

/// A change to another key.
#[derive(Debug, Clone, Default)]
pub struct Rotation {
    /// What the backup key's holder made for [`Keys::prepare`]'s key: PEM.
    pub voucher: Option<String>,
    /// The key before vouches for nothing any more.
    pub compromised: bool,
}

/// Why the server did not go over to another key. One line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotRotated {
    /// What was asked for does not make sense.
    Invalid(String),
    /// It could not be done.
    Failed(String),
}

impl Keys {
    /// The key of a data directory, made if there is none.
    pub fn open(data_dir: &Path) -> Result<Keys, String> {
        Ok(Keys::of(data_dir, FleetKey::load_or_create(data_dir)?))
    }

    fn of(data_dir: &Path, current: FleetKey) -> Keys {
        let state = Mutex::new(State { current, next: None, serving: None, changed: None });
        Keys { data_dir: data_dir.into(), state }
    }

    /// A secret for a purpose, the same one for as long as the server has this key.
    pub fn derived(&self, purpose: &str) -> [u8; 32] {
        self.state().current.derived(purpose)
    }

    /// What the server is recognised by.
    pub fn pin(&self) -> Pin {
        self.state().current.pin()
    }

    /// The pin of the backup key, which is made if it is not there: for a fleet that knows of none yet.
    pub fn make_backup(&self) -> Result<Pin, String> {
        FleetKey::load_or_create_backup(&self.data_dir).map(|key| key.pin())
    }

    /// Where the backup key lies, while it does.
    pub fn backup_here(&self) -> Option<PathBuf> {
        Some(self.data_dir.join(BACKUP_FILE)).filter(|path| path.try_exists().unwrap_or(true))
    }

    /// Begins to serve, with a certificate of this generation. See `Serving::new`.
    pub fn serve(&self, generation: u64, hosts: &[&str]) -> Result<Arc<ServerConfig>, String> {
        let mut state = self.state();
        let key = ServingKey::kept(&self.data_dir, state.current.pin(), generation)?;
        let serving = Serving::new(&state.current, &key, generation, hosts)?;
        let config = serving.config();
        state.serving = Some(serving);
        Ok(config)
    }

    /// Shows browsers and other plain clients this certificate from now on.
    pub fn show_others(&self, certificate: Arc<CertifiedKey>) {
        if let Some(serving) = &self.state().serving {
            serving.show_others(certificate);
        }
    }

    /// Calls this with the pin whenever another key has taken over.
    pub fn when_changed(&self, call: impl Fn(Pin) + Send + Sync + 'static) {
        self.state().changed = Some(Box::new(call));
    }

    /// Makes the key of the next rotation, for the backup key's holder to vouch for.
    pub fn prepare(&self) -> Result<PublicKey, String> {
        let next = FleetKey::generate()?;
        let public = next.public();
        self.state().next = Some(next);
        Ok(public)
    }

    /// Goes over to another key, on the disk and then for every handshake from now on, with a certificate of this
    /// generation. `backup` is the pin that a voucher has to be of. Returns the new pin.
    pub fn rotate(&self, rotation: &Rotation, backup: Option<Pin>, generation: u64) -> Result<Pin, NotRotated> {
        let mut state = self.state();
        let (next, mut links) = match (&rotation.voucher, backup) {
            (None, _) if rotation.compromised => {
                let why = "without the backup key no host would follow: give it with --backup-key FILE";
                return Err(NotRotated::Invalid(why.into()));
            }
            (None, _) => (FleetKey::generate().map_err(NotRotated::Failed)?, Vec::new()),
            (Some(_), None) => return Err(NotRotated::Invalid("agents know of no backup key here".into())),
            (Some(voucher), Some(backup)) => {
                let next = state.next.as_ref().ok_or_else(|| {
                    NotRotated::Invalid("no key was prepared, or the server was restarted since: begin again".into())
                })?;
                let links = vouched(voucher, next, backup, generation).map_err(NotRotated::Invalid)?;
                let next = state.next.take().ok_or_else(|| NotRotated::Failed("the key is gone".into()))?;
                (next, links)
            }
        };
        if !rotation.compromised {
            links.extend(state.current.vouch_for(&next.public(), generation).map_err(NotRotated::Failed)?);
        }
        let next = next.with_links(links);
        // What is served after a restart comes first: nobody may be told of a key that could be lost.
        next.store(&self.data_dir, FILE).map_err(NotRotated::Failed)?;
        if let Some(serving) = &state.serving
            && let Err(why) = self.serve_by(serving, &next, generation)
        {
            log::error!("{why}; the server goes over to it when it is restarted");
        }
        let pin = next.pin();
        state.current = next;
        if let Some(changed) = &state.changed {
            changed(pin);
        }
        Ok(pin)
    }

    /// Serves with a certificate of another generation from now on.
    pub fn raise(&self, generation: u64) -> Result<(), String> {
        let state = self.state();
        state.serving.as_ref().map_or(Ok(()), |serving| self.serve_by(serving, &state.current, generation))
    }

    /// With a serving key that nobody can have stolen so far.
    fn serve_by(&self, serving: &Serving, key: &FleetKey, generation: u64) -> Result<(), String> {
        serving.serve_by(key, &ServingKey::renewed(&self.data_dir, key.pin(), generation)?, generation)
    }

    /// The pin of the serving certificate itself, for clients that can judge no more than that; `None` before
    /// [`Keys::serve`].
    pub fn serving_pin(&self) -> Option<Pin> {
        self.state().serving.as_ref().map(Serving::pin)
    }

    /// SHA-256 of the certificate that browsers are shown, 64 hexadecimal digits: what they call its fingerprint. `None`
    /// before [`Keys::serve`].
    pub fn shown_to_browsers(&self) -> Option<String> {
        self.state().serving.as_ref().and_then(Serving::shown_to_browsers)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The links of a voucher, if they lead from the backup key to `next`.
fn vouched(
    voucher: &str,
    next: &FleetKey,
    backup: Pin,
    generation: u64,
) -> Result<Vec<rustls::pki_types::CertificateDer<'static>>, String> {
    let malformed = |why: &str| format!("the backup key's certificate cannot be read: {why}");
    if voucher.len() > VOUCHER {
        return Err(malformed("it is too long"));
    }
    let links = certificates_from_pem(voucher).map_err(|why| malformed(&why))?;
    if links.len() > VOUCHED {
        return Err(malformed("there is more in it than the link and the backup key's own"));
    }
    let trial = next.trial(&links, generation).map_err(|why| malformed(&why))?;
    verify::recognise(&trial, &[backup], generation).map_err(|_| {
        format!(
            "that is not the backup key that agents know (theirs is {backup}), or other keys were changed meanwhile"
        )
    })?;
    Ok(links)
}

/// What whoever holds the backup key's file gives the server: that the key `public` may speak for the fleet, from this
/// generation on. PEM.
///
/// # Errors
/// The file cannot be read, or is no key. One line.
pub fn voucher(backup_file: &Path, public: &PublicKey, generation: u64) -> Result<String, String> {
    let backup =
        FleetKey::load(backup_file).unwrap_or_else(|| Err(format!("there is no {}", backup_file.display())))?;
    let links = backup.vouch_for(public, generation)?;
    let links: Vec<&[u8]> = links.iter().map(|link| link.as_ref()).collect();
    Ok(super::fleet_key::certificates_to_pem(&links))
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("pin", &self.pin()).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "keys_tests.rs"]
mod tests;
