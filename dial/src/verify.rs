//! Is this the pinned server? The one question of its certificates that is asked.
//!
//! What is pinned is the public key of the fleet. The server presents a serving certificate that this key has
//! signed, and the fleet's own certificate. When the fleet has changed its key, it presents what leads from the keys
//! before to the one that signs now: certificates of each key, signed by the one before. These have a generation, as
//! the serving certificate has, and count no longer when it is too low: else a key that was vouched for once would be
//! good for ever. Neither names nor dates are
//! judged: a box is reached by any address, and its clock may say 1970.

use crate::crypto::SIGNATURES;
use crate::failure::{Failure, one_line};
use crate::generation;
use crate::join_string::Pin;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Certificates that are looked at, beside the serving one. Each costs a hash; and the search for signatures is
/// bounded by webpki, at 100 checks for whatever a stranger presents.
pub const CHAIN: usize = 8;

/// How often a date is made to fit, as often as there can be certificates with different ones on a path.
const DATES: usize = 4;

/// Accepts a server by its pins alone.
pub(crate) struct PinVerifier {
    pins: Vec<Pin>,
    least_generation: u64,
}

impl PinVerifier {
    pub(crate) fn new(pins: Vec<Pin>, least_generation: u64) -> PinVerifier {
        PinVerifier { pins, least_generation }
    }
}

/// Whether what a server presents (its serving certificate, then others) is of a server with one of these pins, and
/// its generation no lower than `least_generation`. That the server has the serving certificate's key is for TLS to
/// prove.
///
/// # Errors
/// [`Failure::PinMismatch`], [`Failure::Outdated`], or [`Failure::Tls`] for what is no certificate.
pub fn recognise(chain: &[CertificateDer<'_>], pins: &[Pin], least_generation: u64) -> Result<(), Failure> {
    let (end_entity, others) =
        chain.split_first().ok_or_else(|| Failure::Tls("the server presents no certificate".to_string()))?;
    check(end_entity, others, pins, least_generation)
}

fn check(
    end_entity: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
    pins: &[Pin],
    least_generation: u64,
) -> Result<(), Failure> {
    let unreadable = |error| Failure::Tls(format!("the server's certificate cannot be read: {}", one_line(&error)));
    let leaf = EndEntityCert::try_from(end_entity).map_err(unreadable)?;
    let others = &others[..others.len().min(CHAIN)];
    vouched_for(&leaf, others, pins, least_generation).map_err(|got| {
        let pins: Vec<String> = pins.iter().map(Pin::to_string).collect();
        Failure::PinMismatch { expected: pins.join(" "), got }
    })?;
    // It is signed with the rest.
    match generation::of_serial(leaf.serial()) {
        got if got < least_generation => Err(Failure::Outdated { least: least_generation, got }),
        _ => Ok(()),
    }
}

/// Whether a pinned key vouches for this certificate, by itself or through the others; if not, what was presented
/// instead.
fn vouched_for(
    leaf: &EndEntityCert<'_>,
    others: &[CertificateDer<'_>],
    pins: &[Pin],
    least_generation: u64,
) -> Result<(), String> {
    let presented = Pin::of_public_key(&leaf.subject_public_key_info());
    if pins.contains(&presented) {
        return Ok(());
    }
    let (mut anchors, mut links) = (Vec::new(), Vec::new());
    // The first certificate of a fleet key is the most telling one to report.
    let mut got = None;
    for certificate in others {
        // What cannot be read cannot be pinned either; it may be there for others.
        let Ok(parsed) = EndEntityCert::try_from(certificate) else { continue };
        let pin = Pin::of_public_key(&parsed.subject_public_key_info());
        if generation::of_serial(parsed.serial()) >= least_generation {
            links.push(certificate.clone());
        }
        if !pins.contains(&pin) {
            got = got.or(Some(pin));
        } else if let Ok(anchor) = anchor_from_trusted_cert(certificate) {
            anchors.push(anchor);
        }
    }
    if anchors.is_empty() {
        return Err(got.unwrap_or(presented).to_string());
    }
    // The pinned certificate is public: anyone can put it beside a certificate of their own.
    signed_by(leaf, &anchors, &links)
        .map_err(|error| format!("a certificate that this key did not sign ({})", one_line(&error)))
}

/// Finds the verifier's own verdict in an error of the handshake.
pub(crate) fn verdict(error: &Error) -> Option<Failure> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref().cloned(),
        _ => None,
    }
}

/// Checks that a key of the `anchors` signed `leaf` as a certificate for a server, or signed the certificate of one
/// that did, and so on through `links`.
///
/// Validity in time is part of webpki's check and cannot be left out, so the answer to "not at this time" is to
/// ask again for a time that the certificate itself names.
fn signed_by(
    leaf: &EndEntityCert<'_>,
    anchors: &[TrustAnchor<'_>],
    links: &[CertificateDer<'_>],
) -> Result<(), webpki::Error> {
    let mut time = UnixTime::since_unix_epoch(Duration::ZERO);
    let mut tried = 0;
    loop {
        let usage = KeyUsage::server_auth();
        let checked = leaf.verify_for_usage(SIGNATURES.all, anchors, links, time, usage, None, None);
        tried += 1;
        time = match checked {
            Err(webpki::Error::CertNotValidYet { not_before, .. }) if tried <= DATES => not_before,
            Err(webpki::Error::CertExpired { not_after, .. }) if tried <= DATES => not_after,
            other => return other.map(|_| ()),
        };
    }
}

impl ServerCertVerifier for PinVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        check(end_entity, intermediates, &self.pins, self.least_generation)
            .map(|()| ServerCertVerified::assertion())
            .map_err(|failure| Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(failure)))))
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.2 was not offered".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &SIGNATURES)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        SIGNATURES.supported_schemes()
    }
}

impl fmt::Debug for PinVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinVerifier")
            .field("pins", &self.pins)
            .field("least_generation", &self.least_generation)
            .finish()
    }
}
