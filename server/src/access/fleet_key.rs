//! A fleet key: what agents and the command line recognise this server by.
//!
//! The first is made at the first start, and with it a second one, the backup, which belongs in a drawer. A key signs
//! the certificate of the serving key. Clients pin its public half and judge neither names nor
//! dates, so that a box without a clock can be reached by any address. When a fleet goes over to a new key, the old one
//! (or the backup) signs a certificate of the new: a *link*. Links are served along, so that whoever was away meanwhile
//! and knows only the key before still recognises the server.

use super::serving::Serving;
use super::serving_key::ServingKey;
use muster_dial::{Pin, generation, verify};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SerialNumber, SignatureAlgorithm, date_time_ymd,
};
use ring::hmac;
use rustls::ServerConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The key's file in the data directory: PKCS #8 in PEM, and behind it the links that lead to the key.
pub const FILE: &str = "fleet.key";
/// The backup key's file in the data directory, until the operator takes it away. Never part of a backup.
pub const BACKUP_FILE: &str = "fleet-backup.key";
/// A key of this kind takes 250 bytes, a link 600; comments around them are allowed.
const FILE_LIMIT: u64 = 16 * 1024;
/// Certificates that are served beside the serving one: three or four keys back, and the backup key's two. They cost
/// some 400 bytes each, once for a connection that resumes no session.
pub const LINKS: usize = 6;

const _: () = assert!(LINKS <= verify::CHAIN);

/// A fleet key, and the certificates that carry its public half.
pub struct FleetKey {
    key: KeyPair,
    params: CertificateParams,
    certificate: CertificateDer<'static>,
    pin: Pin,
    /// From other keys to this one; the first is of this one. Empty: it has no predecessor.
    links: Vec<CertificateDer<'static>>,
}

impl FleetKey {
    /// Reads the key from `data_dir`, or makes one there if there is none. Errors are one line and say what to do.
    ///
    /// A key that cannot be read is never replaced: every agent would be cut off.
    pub fn load_or_create(data_dir: &Path) -> Result<FleetKey, String> {
        match FleetKey::load(&FleetKey::path(data_dir)) {
            Some(loaded) => loaded,
            None => FleetKey::create(data_dir, FILE),
        }
    }

    /// The backup key in `data_dir`, made if there is none. For a fleet that knows of none yet.
    pub fn load_or_create_backup(data_dir: &Path) -> Result<FleetKey, String> {
        match FleetKey::load(&data_dir.join(BACKUP_FILE)) {
            Some(loaded) => loaded,
            None => FleetKey::create(data_dir, BACKUP_FILE),
        }
    }

    /// The key in a file; `None` if there is no such file.
    pub fn load(path: &Path) -> Option<Result<FleetKey, String>> {
        let pem = match read(path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == ErrorKind::NotFound => return None,
            Err(error) => return Some(Err(format!("cannot read the fleet key {}: {error}", path.display()))),
        };
        Some(FleetKey::parse(&pem).map_err(|why| {
            format!(
                "the fleet key {} is malformed ({why}): restore it from a backup, \
                 or remove it and let all hosts join again",
                path.display()
            )
        }))
    }

    /// Where it is kept.
    pub fn path(data_dir: &Path) -> PathBuf {
        data_dir.join(FILE)
    }

    /// Whether there is one.
    pub fn exists(data_dir: &Path) -> bool {
        // What cannot be looked at is there: it is not to be replaced.
        FleetKey::path(data_dir).try_exists().unwrap_or(true)
    }

    /// One that is kept nowhere so far.
    pub fn generate() -> Result<FleetKey, String> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|error| format!("cannot make a fleet key: {error}"))?;
        FleetKey::with(key)
    }

    fn create(data_dir: &Path, file: &str) -> Result<FleetKey, String> {
        let fleet = FleetKey::generate()?;
        fleet.store(data_dir, file)?;
        log::info!("made a fleet key: {} {}", data_dir.join(file).display(), fleet.pin);
        Ok(fleet)
    }

    /// Writes the key and its links, whatever was there. After a power cut there is all of the one or of the other.
    pub fn store(&self, data_dir: &Path, file: &str) -> Result<(), String> {
        replace(data_dir, file, &self.to_pem())
            .map_err(|error| format!("cannot write the fleet key {}: {error}", data_dir.join(file).display()))
    }

    fn with(key: KeyPair) -> Result<FleetKey, String> {
        let pin = Pin::of_public_key(&key.subject_public_key_info());
        let params = params_of(pin);
        let certificate = params.self_signed(&key).map_err(|error| format!("cannot certify the fleet key: {error}"))?;
        Ok(FleetKey { certificate: certificate.into(), params, pin, key, links: Vec::new() })
    }

    /// One that is kept nowhere.
    #[cfg(test)]
    pub(crate) fn ephemeral() -> FleetKey {
        FleetKey::generate().expect("a key")
    }

    /// The key's own certificate, signed by itself.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What clients pin.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// A secret that only whoever has this key can make: another one for each purpose.
    pub fn derived(&self, purpose: &str) -> [u8; 32] {
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.key.serialize_der());
        let mut secret = [0; 32];
        secret.copy_from_slice(hmac::sign(&key, purpose.as_bytes()).as_ref());
        secret
    }

    /// The public half, for another key to vouch for.
    pub fn public(&self) -> PublicKey {
        PublicKey(self.key.der_bytes().to_vec())
    }

    /// What is served beside the serving certificate.
    pub fn chain(&self) -> &[CertificateDer<'static>] {
        if self.links.is_empty() { std::slice::from_ref(&self.certificate) } else { &self.links }
    }

    /// What is to be served for the key `public` to be recognised by who knows `self`: a link of this generation, and
    /// what leads to `self`.
    pub fn vouch_for(&self, public: &PublicKey, generation: u64) -> Result<Vec<CertificateDer<'static>>, String> {
        let mut params = params_of(public.pin());
        params.serial_number = Some(serial(generation)?);
        let link = params
            .signed_by(public, &Issuer::from_params(&self.params, &self.key))
            .map_err(|error| format!("cannot certify the new fleet key: {error}"))?;
        Ok([&[link.into()], self.chain()].concat())
    }

    /// The same key with these links to it, the oldest cut off where they are too many.
    pub fn with_links(mut self, mut links: Vec<CertificateDer<'static>>) -> FleetKey {
        links.truncate(LINKS);
        self.links = links;
        self
    }

    /// Signs a certificate of `params` for `key`.
    pub(super) fn sign(&self, params: &CertificateParams, key: &KeyPair) -> Result<CertificateDer<'static>, String> {
        let issuer = Issuer::from_params(&self.params, &self.key);
        params.signed_by(key, &issuer).map(Into::into).map_err(|error| error.to_string())
    }

    /// What would be presented with these links and a serving certificate of this generation, to see who accepts it.
    pub(super) fn trial(
        &self,
        links: &[CertificateDer<'static>],
        generation: u64,
    ) -> Result<Vec<CertificateDer<'static>>, String> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(|error| error.to_string())?;
        let mut params = lasting();
        params.serial_number = Some(serial(generation)?);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        Ok([&[self.sign(&params, &key)?], links].concat())
    }

    /// TLS by this key alone, of generation 1. See `Serving::new`.
    pub fn server_config(&self, hosts: &[&str]) -> Result<Arc<ServerConfig>, String> {
        Serving::new(self, &ServingKey::ephemeral()?, 1, hosts).map(|serving| serving.config())
    }

    fn to_pem(&self) -> String {
        let links: Vec<&[u8]> = self.links.iter().map(|link| link.as_ref()).collect();
        self.key.serialize_pem() + &certificates_to_pem(&links)
    }

    fn parse(text: &str) -> Result<FleetKey, String> {
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(text, &PKCS_ECDSA_P256_SHA256).map_err(|e| e.to_string())?;
        let links = certificates_from_pem(text)?;
        Ok(FleetKey::with(key)?.with_links(links))
    }
}

impl fmt::Debug for FleetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetKey").field("pin", &self.pin).finish_non_exhaustive()
    }
}

/// The public half of a fleet key: the 65 bytes of an uncompressed point on P-256.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(Vec<u8>);

impl PublicKey {
    /// What clients pin.
    pub fn pin(&self) -> Pin {
        Pin::of_public_key(&self.subject_public_key_info())
    }

    /// Reads what [`fmt::Display`] prints.
    pub fn parse(text: &str) -> Option<PublicKey> {
        let digits: Option<Vec<u8>> = text.bytes().map(|byte| (byte as char).to_digit(16).map(|d| d as u8)).collect();
        let bytes: Vec<u8> = digits?.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        (text.len() == 130 && bytes.first() == Some(&4)).then_some(PublicKey(bytes))
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        &self.0
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

/// Certificates as PEM, as [`certificates_from_pem`] reads them.
pub fn certificates_to_pem(certificates: &[&[u8]]) -> String {
    let pem = |der: &&[u8]| pem::encode(&pem::Pem::new("CERTIFICATE", *der));
    certificates.iter().map(pem).collect()
}

/// All certificates in a PEM text, other sections skipped. Errors are one line.
pub fn certificates_from_pem(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<_, _>>().map_err(|error| error.to_string())
}

/// Of a certificate for the fleet key with this pin, whoever signs it.
fn params_of(pin: Pin) -> CertificateParams {
    let mut params = lasting();
    // Two keys of one fleet must not have the same name.
    let name = format!("Muster fleet {}", &pin.to_string()["sha256:".len()..][..16]);
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

/// The serial number of a new certificate.
pub(super) fn serial(generation: u64) -> Result<SerialNumber, String> {
    let random = super::secret::random().map_err(|error| error.message)?;
    Ok(SerialNumber::from_slice(&generation::to_serial(generation, random)))
}

/// A certificate's parameters with dates that no clock ever leaves.
pub(super) fn lasting() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.distinguished_name = DistinguishedName::new();
    params
}

fn read(path: &Path) -> std::io::Result<String> {
    let file = File::open(path)?;
    let mode = file.metadata()?.permissions().mode();
    if mode & 0o077 != 0 {
        log::warn!("others may read the fleet key {}: chmod 600 {0}", path.display());
    }
    let mut pem = String::new();
    file.take(FILE_LIMIT).read_to_string(&mut pem)?;
    Ok(pem)
}

/// Writes a file so that after a power cut there is all of it or what was there before.
pub(super) fn replace(data_dir: &Path, file: &str, text: &str) -> std::io::Result<()> {
    let part = data_dir.join(format!("{file}.part"));
    match fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut written = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    written.write_all(text.as_bytes())?;
    written.sync_all()?;
    fs::rename(&part, data_dir.join(file))?;
    File::open(data_dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_dial::{Client, Failure, Settings};
    use rustls::{ServerConnection, StreamOwned};
    use std::net::{Ipv4Addr, SocketAddr, TcpListener};
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::thread;

    struct Directory(PathBuf);

    impl Directory {
        fn new() -> Directory {
            static NEXT: AtomicU32 = AtomicU32::new(0);
            let name = format!("muster-fleet-key-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Directory(path)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Answers one request.
    fn serve(config: Arc<ServerConfig>) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (tcp, _) = listener.accept().unwrap();
            let mut tls = StreamOwned::new(ServerConnection::new(config).unwrap(), tcp);
            if tls.read(&mut [0; 1024]).is_ok() {
                let _ = tls.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").and_then(|()| tls.flush());
            }
        });
        address
    }

    fn get(address: SocketAddr, pin: Pin) -> Result<u16, Failure> {
        let settings = Settings::small(address.to_string().parse().unwrap(), vec![pin]);
        Client::new(settings)?.get("/", "", &mut Vec::new(), 0).map(|status| status.0)
    }

    #[test]
    fn the_key_outlives_restarts_and_is_private() {
        let directory = Directory::new();
        let first = FleetKey::load_or_create(&directory.0).unwrap();
        let config = FleetKey::load_or_create(&directory.0).unwrap().server_config(&["fleet.example"]).unwrap();
        assert_eq!(get(serve(config), first.pin()), Ok(204));
        let mode = fs::metadata(directory.0.join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
        assert!(!format!("{first:?}").contains("PRIVATE"));
    }

    #[test]
    fn another_key_is_not_taken_for_it() {
        let (directory, other) = (Directory::new(), Directory::new());
        let pin = FleetKey::load_or_create(&directory.0).unwrap().pin();
        let config = FleetKey::load_or_create(&other.0).unwrap().server_config(&[]).unwrap();
        assert!(matches!(get(serve(config), pin), Err(Failure::PinMismatch { .. })));
    }

    #[test]
    fn names_that_no_certificate_can_have_do_no_harm() {
        let directory = Directory::new();
        let fleet = FleetKey::load_or_create(&directory.0).unwrap();
        let config = fleet.server_config(&["0.0.0.0", "::", "flöte", "", "192.0.2.1", "localhost"]).unwrap();
        assert_eq!(get(serve(config), fleet.pin()), Ok(204));
    }

    #[test]
    fn a_broken_key_is_reported_and_kept() {
        let directory = Directory::new();
        let path = directory.0.join(FILE);
        for broken in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "\u{0}"] {
            fs::write(&path, broken).unwrap();
            let error = FleetKey::load_or_create(&directory.0).unwrap_err();
            assert!(error.contains("malformed") && !error.contains('\n'), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), broken);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(FleetKey::load_or_create(&directory.0).unwrap_err().contains("cannot read"));
        let nowhere = directory.0.join("nowhere");
        assert!(FleetKey::load_or_create(&nowhere).unwrap_err().contains("cannot write"));
    }

    #[test]
    fn a_start_that_was_cut_short_is_made_up_for() {
        let directory = Directory::new();
        fs::write(directory.0.join("fleet.key.part"), "half").unwrap();
        FleetKey::load_or_create(&directory.0).unwrap();
        assert_eq!(fs::read_dir(&directory.0).unwrap().count(), 1);
    }
}
