//! The few algorithms that a client of a Muster server needs.
//!
//! Both ends are ours: TLS 1.3, and keys on the curve P-256. What is not named here is not linked, and on a small
//! board every page of the program counts.

use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::crypto::{CryptoProvider, GetRandomFailed, KeyProvider, SecureRandom, WebPkiSupportedAlgorithms};
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use rustls::{Error, SignatureScheme};
use std::sync::Arc;

/// How certificates and handshakes are signed: by fleet keys. Ed25519 is there for fleet keys to come.
pub(crate) const SIGNATURES: WebPkiSupportedAlgorithms = WebPkiSupportedAlgorithms {
    all: &[webpki::ring::ECDSA_P256_SHA256, webpki::ring::ED25519],
    mapping: &[
        (SignatureScheme::ECDSA_NISTP256_SHA256, &[webpki::ring::ECDSA_P256_SHA256]),
        (SignatureScheme::ED25519, &[webpki::ring::ED25519]),
    ],
};

/// For TLS 1.3 without a certificate of the client's.
pub(crate) fn provider() -> CryptoProvider {
    CryptoProvider {
        // The first is as fast on boards whose processors know nothing of AES.
        cipher_suites: vec![cipher_suite::TLS13_CHACHA20_POLY1305_SHA256, cipher_suite::TLS13_AES_128_GCM_SHA256],
        kx_groups: vec![kx_group::X25519],
        signature_verification_algorithms: SIGNATURES,
        secure_random: &Random,
        key_provider: &NoKeys,
    }
}

/// The system's randomness.
#[derive(Debug)]
struct Random;

impl SecureRandom for Random {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), buffer).map_err(|_| GetRandomFailed)
    }
}

/// Clients prove who they are by a credential, not by a certificate.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, Error> {
        Err(Error::General("clients have no keys".into()))
    }
}
