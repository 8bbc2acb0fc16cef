//! What hosts prove themselves to relays by. Derived from a number that lives as long as the server's process: after a
//! restart agents come again, and are told others.

use crate::access::AccessError;
use crate::access::secret::random;
use muster_protocol::id::HostId;
use ring::hmac;
use std::fmt;

/// Stands for the server among relays.
pub const SERVER: HostId = HostId([0; 8]);

/// Makes secrets, the same ones again and again.
#[derive(Clone)]
pub struct Secrets(hmac::Key);

impl Secrets {
    /// New ones.
    ///
    /// # Errors
    /// There is no randomness now.
    pub fn new() -> Result<Secrets, AccessError> {
        Ok(Secrets::of(&random()?))
    }

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
