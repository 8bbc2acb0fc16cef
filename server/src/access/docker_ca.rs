//! The authority that clients of the Docker API are known by, and know the server by: apart from the fleet key, for
//! Docker's clients judge names and dates, and what they hold must not pass for anything of an agent's.

use super::fleet_key::{PublicKey, lasting, replace, serial};
use super::serving::names;
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PublicKeyData, date_time_ymd,
};
use ring::digest::{SHA256, digest};
use rustls::crypto::{CryptoProvider, ring as provider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// Its key in the data directory: PKCS #8 in PEM.
pub const FILE: &str = "docker-ca.key";
/// The longest file that is read, in bytes: such a key takes 250.
const FILE_LIMIT: u64 = 16 * 1024;
/// What Docker's clients speak.
const HTTP: &[u8] = b"http/1.1";

/// An authority for clients of the Docker API, and the port that asks for its certificates.
pub struct DockerCa {
    key: KeyPair,
    params: CertificateParams,
    certificate: CertificateDer<'static>,
    provider: Arc<CryptoProvider>,
    shown: Arc<Shown>,
}

impl DockerCa {
    /// Reads its key from `data_dir`, or makes one there. A key that cannot be read is never replaced: every client
    /// would be cut off.
    ///
    /// # Errors
    /// One line that says what to do.
    pub fn load_or_create(data_dir: &Path) -> Result<DockerCa, String> {
        let path = data_dir.join(FILE);
        let shown = path.display();
        let mut text = String::new();
        match File::open(&path).and_then(|file| file.take(FILE_LIMIT).read_to_string(&mut text)) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
                    .map_err(|error| format!("cannot make a key for clients of the Docker API: {error}"))?;
                text = key.serialize_pem();
                replace(data_dir, FILE, &text).map_err(|error| format!("cannot write {shown}: {error}"))?;
                log::info!("made a key for clients of the Docker API: {shown}");
            }
            Err(error) => return Err(format!("cannot read {shown}: {error}")),
        }
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(&text, &PKCS_ECDSA_P256_SHA256).map_err(|error| {
            format!("{shown} is malformed ({error}): restore it from a backup, or remove it and make all docker contexts again")
        })?;
        DockerCa::with(key)
    }

    /// One that is kept nowhere.
    #[cfg(test)]
    pub(crate) fn ephemeral() -> DockerCa {
        DockerCa::with(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")).expect("an authority")
    }

    fn with(key: KeyPair) -> Result<DockerCa, String> {
        let failed = |error: &dyn fmt::Display| format!("cannot certify clients of the Docker API: {error}");
        let mut params = lasting();
        // Made again at every start: the name and the key are what clients go by.
        let name = hex(&fingerprint(&key.subject_public_key_info())[..8]);
        params.distinguished_name.push(DnType::CommonName, format!("Muster Docker API {name}"));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let certificate = params.self_signed(&key).map_err(|error| failed(&error))?.into();
        let provider = Arc::new(provider::default_provider());
        Ok(DockerCa { key, params, certificate, provider, shown: Arc::default() })
    }

    /// What clients know the server by.
    pub fn to_pem(&self) -> String {
        pem_of(&self.certificate)
    }

    /// Certifies a client's public key until the beginning of a day: year, month, day, UTC.
    pub fn certify_client(
        &self,
        public: &PublicKey,
        name: &str,
        until: (i32, u8, u8),
    ) -> Result<CertificateDer<'static>, String> {
        let mut params = lasting();
        params.serial_number = Some(serial(1)?);
        params.not_after = date_time_ymd(until.0, until.1, until.2);
        params.distinguished_name.push(DnType::CommonName, name);
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(public, &Issuer::from_params(&self.params, &self.key));
        certificate.map(Into::into).map_err(|error| format!("cannot certify a client: {error}"))
    }

    /// Shows clients from now on a certificate of the server for these names and addresses; what cannot be in one is
    /// left out.
    pub fn show_names(&self, hosts: &[&str]) -> Result<(), String> {
        let failed = |error: &dyn fmt::Display| format!("cannot certify the Docker API: {error}");
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| failed(&error))?;
        let mut params = lasting();
        params.serial_number = Some(serial(1)?);
        params.distinguished_name.push(DnType::CommonName, "Muster Docker API");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        params.subject_alt_names = names(hosts);
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer).map_err(|error| failed(&error))?;
        let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(|error| failed(&error))?;
        let private = self.provider.key_provider.load_private_key(private).map_err(|error| failed(&error))?;
        let certified = CertifiedKey::new(vec![certificate.into()], private);
        *self.shown.0.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(certified));
        Ok(())
    }

    /// TLS 1.2 and 1.3 for whoever has a certificate of this authority.
    pub fn server_config(&self) -> Result<Arc<ServerConfig>, String> {
        let failed = |error: &dyn fmt::Display| format!("cannot set up TLS for the Docker API: {error}");
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone()).map_err(|error| failed(&error))?;
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), self.provider.clone())
            .build()
            .map_err(|error| failed(&error))?;
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_client_cert_verifier(clients)
            .with_cert_resolver(self.shown.clone());
        config.alpn_protocols = vec![HTTP.to_vec()];
        Ok(Arc::new(config))
    }
}

impl fmt::Debug for DockerCa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DockerCa").finish_non_exhaustive()
    }
}

/// What a certificate is kept and found by: SHA-256 of its DER.
pub fn fingerprint(der: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, der).as_ref());
    hash
}

/// A certificate as PEM.
pub fn pem_of(certificate: &CertificateDer<'_>) -> String {
    super::fleet_key::certificates_to_pem(&[certificate.as_ref()])
}

/// Bytes as lowercase hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The certificate that clients see.
#[derive(Debug, Default)]
struct Shown(RwLock<Option<Arc<CertifiedKey>>>);

impl ResolvesServerCert for Shown {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
