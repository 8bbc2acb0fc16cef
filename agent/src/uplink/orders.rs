//! What the server wants of this agent, beside taking its reports. Nothing of it is ever needed to report.

use crate::hub::Hub;
use crate::join::identity::{Credential, Identity};
use crate::join::renewal::Keys;
use log::{info, warn};
use muster_protocol::orders::{Renew, Settings};
use muster_protocol::record::{Kind, Malformed, Record};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The interval that a server can set is kept within this.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(3600);

/// What the agent holds because of its server: in memory, and on the disk as far as it has to last.
#[derive(Debug)]
pub struct Held {
    state_dir: PathBuf,
    /// As it is on the disk, but for the credentials, which may be newer in `keys`.
    pub identity: Identity,
    /// The host's credentials.
    pub keys: Keys,
    /// What the server has set: 0 for nothing.
    interval_ms: u32,
}

impl Held {
    /// As it was read from this state directory.
    pub fn new(identity: Identity, state_dir: &Path) -> Held {
        let keys = Keys::new(identity.credential.clone(), identity.spare.clone());
        Held { state_dir: state_dir.into(), identity, keys, interval_ms: 0 }
    }

    /// Brings the credentials to the disk.
    pub fn store_keys(&mut self) -> io::Result<()> {
        let identity =
            Identity { credential: self.keys.current.clone(), spare: self.keys.spare.clone(), ..self.identity.clone() };
        identity.store(&self.state_dir)?;
        self.identity = identity;
        Ok(())
    }

    /// The identity with the credential that is to be shown now.
    pub fn shown(&self) -> Identity {
        Identity { credential: self.keys.shown().clone(), ..self.identity.clone() }
    }
}

/// Does what a record behind a welcome or an answer asks for; what it does not know it leaves alone.
pub fn obey(hub: &Hub, held: &mut Held, record: Record<'_>) -> Result<(), Malformed> {
    match record.kind {
        Kind::Settings => set_interval(hub, held, record.decode::<Settings>()?.interval_ms),
        Kind::Renew => renew(hub, held, record.decode::<Renew>()?.number),
        _ => {}
    }
    Ok(())
}

/// From the next report on. The server hears of it by a hello, and repeats itself until then.
fn set_interval(hub: &Hub, held: &mut Held, interval_ms: u32) {
    if std::mem::replace(&mut held.interval_ms, interval_ms) == interval_ms {
        return;
    }
    let interval = match interval_ms {
        0 => hub.own_interval,
        ms => Duration::from_millis(ms.into()).clamp(SHORTEST, LONGEST),
    };
    info!("reporting every {interval:?}, as the server says");
    hub.interval.set(interval);
    hub.greet.set(true);
    // The next one was planned by the interval before.
    hub.read_all_soon();
}

fn renew(hub: &Hub, held: &mut Held, number: u32) {
    let before = held.keys.clone();
    let renewed = Credential::random().and_then(|fresh| {
        held.keys.asked(number, fresh);
        if held.keys == before { Ok(()) } else { held.store_keys() }
    });
    match renewed {
        Ok(()) => hub.greet.set(true),
        Err(error) => {
            // It will ask again.
            warn!("cannot keep a new credential: {error}; the old one stays");
            held.keys = before;
        }
    }
}
