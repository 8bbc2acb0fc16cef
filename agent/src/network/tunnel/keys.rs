//! This host's private key, and what is made of it.

use boringtun::noise::rate_limiter::RateLimiter;
use boringtun::x25519::{PublicKey, StaticSecret};
use muster_protocol::network::relay::Secret;
use ring::hmac;
use std::sync::Arc;

/// What this host proves itself with.
pub struct Keys {
    /// Its private key.
    pub secret: StaticSecret,
    /// Its public one.
    pub public: PublicKey,
    /// Of handshakes from all peers together.
    pub limiter: Arc<RateLimiter>,
    /// Where the numbers of sessions begin: random, so that packets of an earlier life find none.
    pub first_number: u32,
}

impl Keys {
    /// The key of probes, known to this host and the one with a public key, and to nobody else.
    pub fn of_paths_to(&self, peer: [u8; 32]) -> Secret {
        let shared = self.secret.diffie_hellman(&PublicKey::from(peer));
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, shared.as_bytes()), b"muster path 1");
        let mut key = [0; 16];
        key.copy_from_slice(&tag.as_ref()[..16]);
        key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(number: u8) -> Keys {
        let secret = StaticSecret::from([number; 32]);
        let public = PublicKey::from(&secret);
        Keys { secret, public, limiter: Arc::new(RateLimiter::new(&public, 1)), first_number: 0 }
    }

    #[test]
    fn both_ends_and_nobody_else_have_the_key_of_their_paths() {
        let [one, two, three] = [1, 2, 3].map(keys);
        let key = one.of_paths_to(two.public.to_bytes());
        assert_eq!(key, two.of_paths_to(one.public.to_bytes()));
        assert_ne!(key, three.of_paths_to(one.public.to_bytes()));
        assert_eq!(key, GOLDEN);
    }

    const GOLDEN: [u8; 16] = [84, 50, 12, 47, 25, 108, 201, 203, 136, 238, 123, 141, 28, 13, 93, 204];
}
