//! Is this the pinned server? The one question of its certificates that is asked.
//!
//! What is pinned is the public key of the fleet. The server presents a serving certificate that this key has
//! signed, and the fleet's own certificate. Neither names nor dates are judged: a box is reached by any address,
//! and its clock may say 1970.

use crate::failure::{Failure, one_line};
use crate::join_string::Pin;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, Error, OtherError, SignatureScheme};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use webpki::{EndEntityCert, KeyUsage, anchor_from_trusted_cert};

/// Certificates that are looked at; the server sends two. Each costs a hash, and a pinned one a signature check.
const CHAIN: usize = 8;

/// Accepts a server by its pins alone.
pub(crate) struct PinVerifier {
    pins: Vec<Pin>,
    algorithms: WebPkiSupportedAlgorithms,
}

impl PinVerifier {
    pub(crate) fn new(pins: Vec<Pin>, provider: &CryptoProvider) -> PinVerifier {
        PinVerifier { pins, algorithms: provider.signature_verification_algorithms }
    }

    fn mismatch(&self, got: String) -> Error {
        let pins: Vec<String> = self.pins.iter().map(Pin::to_string).collect();
        let failure = Failure::PinMismatch { expected: pins.join(" "), got };
        Error::InvalidCertificate(CertificateError::Other(OtherError(Arc::new(failure))))
    }
}

/// Finds the verifier's own verdict in an error of the handshake.
pub(crate) fn verdict(error: &Error) -> Option<Failure> {
    match error {
        Error::InvalidCertificate(CertificateError::Other(OtherError(inner))) => inner.downcast_ref().cloned(),
        _ => None,
    }
}

/// Checks that `issuer`'s key signed `leaf`, as a certificate for a server.
///
/// Validity in time is part of webpki's check and cannot be left out, so the answer to "not at this time" is to
/// ask again for a time that the certificate itself names.
fn signed_by(
    leaf: &EndEntityCert<'_>,
    issuer: &CertificateDer<'_>,
    algorithms: WebPkiSupportedAlgorithms,
) -> Result<(), webpki::Error> {
    let anchors = [anchor_from_trusted_cert(issuer)?];
    let check = |time| {
        leaf.verify_for_usage(algorithms.all, &anchors, &[], time, KeyUsage::server_auth(), None, None).map(|_| ())
    };
    match check(UnixTime::since_unix_epoch(Duration::ZERO)) {
        Err(webpki::Error::CertNotValidYet { not_before, .. }) => check(not_before),
        Err(webpki::Error::CertExpired { not_after, .. }) => check(not_after),
        other => other,
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
        let unreadable = |_| Error::InvalidCertificate(CertificateError::BadEncoding);
        let leaf = EndEntityCert::try_from(end_entity).map_err(unreadable)?;
        let presented = Pin::of_public_key(&leaf.subject_public_key_info());
        if self.pins.contains(&presented) {
            return Ok(ServerCertVerified::assertion());
        }
        // The last certificate is the nearest to a fleet key, and so the most telling one to report.
        let mut got = presented.to_string();
        for certificate in intermediates.iter().take(CHAIN) {
            // What cannot be read cannot be pinned either; it may be there for others.
            let Ok(parsed) = EndEntityCert::try_from(certificate) else { continue };
            let pin = Pin::of_public_key(&parsed.subject_public_key_info());
            if !self.pins.contains(&pin) {
                got = pin.to_string();
                continue;
            }
            match signed_by(&leaf, certificate, self.algorithms) {
                Ok(()) => return Ok(ServerCertVerified::assertion()),
                // The pinned certificate is public: anyone can put it beside a certificate of their own.
                Err(error) => {
                    let why = one_line(&error);
                    return Err(self.mismatch(format!("a certificate that this key did not sign ({why})")));
                }
            }
        }
        Err(self.mismatch(got))
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, cert, dss, &self.algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, cert, dss, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for PinVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PinVerifier").field("pins", &self.pins).finish()
    }
}
