//! What hosts prove themselves to relays by. Derived from the fleet key: after a restart of the server its relay knows its
//! guests before their lines have come back.

use muster_protocol::id::HostId;
use ring::hmac;
use std::fmt;

/// Stands for the server among relays.
pub const SERVER: HostId = HostId([0; 8]);

/// Makes secrets, the same ones again and again.
#[derive(Clone)]
pub struct Secrets(hmac::Key);

impl Secrets {
    /// For what a fleet key derives them from.
    pub const PURPOSE: &str = "relays of the managed network";

    /// Those that follow from these bytes.
    pub fn of(seed: &[u8; 32]) -> Secrets {
        Secrets(hmac::Key::new(hmac::HMAC_SHA256, seed))
    }

    /// What a guest proves itself to a relay by.
    pub fn of_guest(&self, relay: HostId, guest: HostId) -> [u8; 16] {
        let tag = hmac::sign(&self.0, &[relay.0, guest.0].concat());
        let mut secret = [0; 16];
        secret.copy_from_slice(&tag.as_ref()[..16]);
        secret
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secrets")
    }
}
