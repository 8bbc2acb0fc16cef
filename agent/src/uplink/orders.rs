//! What the server wants of this agent, beside taking its reports. Nothing of it is ever needed to report.

use crate::hub::Hub;
use crate::join::identity::{Credential, Identity};
use crate::join::renewal::Keys;
use log::{debug, info, warn};
use muster_dial::{Address, Pin, Trust};
use muster_protocol::orders::{self, Renew, Settings};
use muster_protocol::record::{Kind, Malformed, Record};
use muster_protocol::vitals::Pace;
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
    /// The revision of the server's announcements that it was told of in a hello that it has answered.
    confirmed: Option<u64>,
    /// The server has announced something that is not used yet.
    has_other_trust: bool,
    /// That what was announced could not be kept: logged once.
    trouble: Option<String>,
    /// The host's credentials.
    pub keys: Keys,
    /// What the server has set: 0 for nothing.
    interval_ms: u32,
}

impl Held {
    /// As it was read from this state directory.
    pub fn new(identity: Identity, state_dir: &Path) -> Held {
        let keys = Keys::new(identity.credential.clone(), identity.spare.clone());
        Held {
            state_dir: state_dir.into(),
            identity,
            confirmed: None,
            has_other_trust: false,
            trouble: None,
            keys,
            interval_ms: 0,
        }
    }

    /// Brings the credentials to the disk.
    pub fn store_keys(&mut self) -> io::Result<()> {
        self.store(self.with_keys())
    }

    fn with_keys(&self) -> Identity {
        Identity { credential: self.keys.current.clone(), spare: self.keys.spare.clone(), ..self.identity.clone() }
    }

    fn store(&mut self, identity: Identity) -> io::Result<()> {
        identity.store(&self.state_dir)?;
        self.identity = identity;
        Ok(())
    }

    /// The server has taken what was said in a hello.
    pub fn welcomed(&mut self) {
        self.confirmed = Some(self.identity.revision);
    }

    /// Whether the server is to be reached or recognised by something new from now on: said once.
    pub fn has_other_trust(&mut self) -> bool {
        std::mem::take(&mut self.has_other_trust)
    }

    /// The identity with the credential that is to be shown now.
    pub fn shown(&self) -> Identity {
        Identity { credential: self.keys.shown().clone(), ..self.identity.clone() }
    }
}

/// Does what a record behind a welcome or an answer asks for; what it does not know it leaves alone.
///
/// Such a record came from a server that showed a pinned key and that accepted this host's credential; `in_use` is the
/// address where it answers.
pub fn obey(hub: &Hub, held: &mut Held, in_use: Option<Address>, record: Record<'_>) -> Result<(), Malformed> {
    match record.kind {
        Kind::Settings => set_interval(hub, held, record.decode::<Settings>()?.interval_ms),
        Kind::Pace => set_pace(hub, record.decode::<Pace>()?.interval_ms),
        Kind::Renew => renew(hub, held, record.decode::<Renew>()?.number),
        Kind::Trust => trust(hub, held, in_use, &record.decode()?),
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

/// How often it is looked how the host and its containers do, from the next report on and until the next welcome. A host
/// that was told on the spot to look never does so.
fn set_pace(hub: &Hub, interval_ms: u32) {
    let Some(own) = hub.own_vitals_interval else { return };
    let every = match interval_ms {
        0 => Some(own),
        u32::MAX => None,
        ms => Some(Duration::from_millis(ms.into()).clamp(SHORTEST, LONGEST)),
    };
    if hub.vitals_interval.replace(every) != every {
        debug!("vitals every {every:?}, as the server says");
    }
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

/// Where the server is reached and what it is recognised by, from now on.
fn trust(hub: &Hub, held: &mut Held, in_use: Option<Address>, announced: &orders::Trust<'_>) {
    let revision = held.identity.revision;
    if announced.revision <= revision {
        // Known; but does the server know that?
        if held.confirmed != Some(revision) {
            hub.greet.set(true);
        }
        return;
    }
    let announced = Trust {
        revision: announced.revision,
        generation: announced.generation,
        addresses: announced.addresses.iter().filter_map(|address| address.parse().ok()).collect(),
        former: Vec::new(),
        pins: announced.pins.iter().copied().map(Pin).collect(),
    };
    let mut next = held.with_keys();
    next.follow(&announced, in_use.as_ref());
    // On the disk first: what is used and confirmed must survive a power cut.
    if let Err(error) = held.store(next) {
        let trouble = format!("cannot keep the server's new keys and addresses: {error}; those before stay in use");
        if held.trouble.as_ref() != Some(&trouble) {
            warn!("{trouble}");
            held.trouble = Some(trouble);
        }
        return;
    }
    held.trouble = None;
    held.has_other_trust = true;
    info!("the server's keys and addresses are of revision {} now", announced.revision);
    hub.greet.set(true);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::docker::engine::Engine;
    use muster_protocol::reporter::Reporter;

    fn paced(own: Option<Duration>, interval_ms: u32) -> Option<Duration> {
        let hub = Hub::new(Engine::new("/nowhere"), Reporter::new([1; 16], 0), Duration::from_secs(5));
        let hub = hub.with_vitals(own);
        set_pace(&hub, interval_ms);
        hub.vitals_interval.get()
    }

    #[test]
    fn a_pace_is_kept_within_reason_and_a_host_that_was_told_never_to_look_does_not() {
        let own = Some(Duration::from_secs(15));
        assert_eq!(paced(own, 2500), Some(Duration::from_millis(2500)));
        assert_eq!((paced(own, 0), paced(own, u32::MAX)), (own, None));
        assert_eq!((paced(own, 1), paced(own, u32::MAX - 1)), (Some(SHORTEST), Some(LONGEST)));
        assert_eq!((paced(None, 2500), paced(None, 0)), (None, None));
    }
}
