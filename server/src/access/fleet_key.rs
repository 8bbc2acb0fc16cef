//! The fleet key: what agents and the command line recognise this server by, for as long as the fleet lives.
//!
//! It is made at the first start and signs a fresh serving certificate at every start. Clients pin its public key
//! and judge neither names nor dates, so that a box without a clock can be reached by any address.

use muster_dial::{Pin, pinned};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ECDSA_P256_SHA256, PublicKeyData, SanType, date_time_ymd,
};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::IpAddr;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The key's file in the data directory: PKCS #8 in PEM.
pub const FILE: &str = "fleet.key";
/// A key of this kind takes 250 bytes; comments around it are allowed.
const FILE_LIMIT: u64 = 16 * 1024;
/// What browsers and other plain HTTPS clients ask for.
const HTTP: &[u8] = b"http/1.1";
/// Enough for one resumption; a client that resumes gets the next. Each costs 100 bytes of every handshake.
const TICKETS: usize = 1;

/// The fleet key, and the certificate that carries its public half.
pub struct FleetKey {
    key: KeyPair,
    params: CertificateParams,
    certificate: CertificateDer<'static>,
    pin: Pin,
}

impl FleetKey {
    /// Reads the key from `data_dir`, or makes one there if there is none. Errors are one line and say what to do.
    ///
    /// A key that cannot be read is never replaced: every agent would be cut off.
    pub fn load_or_create(data_dir: &Path) -> Result<FleetKey, String> {
        let path = data_dir.join(FILE);
        let pem = match read(&path) {
            Ok(pem) => pem,
            Err(error) if error.kind() == ErrorKind::NotFound => return FleetKey::create(data_dir),
            Err(error) => return Err(format!("cannot read the fleet key {}: {error}", path.display())),
        };
        let key = KeyPair::from_pkcs8_pem_and_sign_algo(&pem, &PKCS_ECDSA_P256_SHA256).map_err(|error| {
            format!(
                "the fleet key {} is malformed ({error}): restore it from a backup, \
                 or remove it and let all hosts join again",
                path.display()
            )
        })?;
        FleetKey::with(key)
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

    fn create(data_dir: &Path) -> Result<FleetKey, String> {
        let path = data_dir.join(FILE);
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)
            .map_err(|error| format!("cannot make a fleet key: {error}"))?;
        write_new(data_dir, &key.serialize_pem())
            .map_err(|error| format!("cannot write the fleet key {}: {error}", path.display()))?;
        let fleet = FleetKey::with(key)?;
        log::info!("made a fleet key: {} {}", path.display(), fleet.pin);
        Ok(fleet)
    }

    fn with(key: KeyPair) -> Result<FleetKey, String> {
        let pin = Pin::of_public_key(&key.subject_public_key_info());
        let mut params = lasting();
        // Two keys of one fleet, as during a rotation, must not have the same name.
        let name = format!("Muster fleet {}", &pin.to_string()["sha256:".len()..][..16]);
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let certificate = params.self_signed(&key).map_err(|error| format!("cannot certify the fleet key: {error}"))?;
        Ok(FleetKey { certificate: certificate.into(), params, pin, key })
    }

    /// One that is kept nowhere.
    #[cfg(test)]
    pub(crate) fn ephemeral() -> FleetKey {
        FleetKey::with(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key")).expect("a certificate")
    }

    /// The fleet's own certificate, which signs those that are served.
    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    /// What clients pin.
    pub fn pin(&self) -> Pin {
        self.pin
    }

    /// TLS with a serving key of its own, made now and never stored.
    ///
    /// `hosts` are names and IP addresses that the server is reached by, for clients that do judge names. Those of
    /// this machine are added; what cannot be in a certificate is left out.
    pub fn server_config(&self, hosts: &[&str]) -> Result<Arc<ServerConfig>, String> {
        let failed = |error: &dyn fmt::Display| format!("cannot set up TLS: {error}");
        let provider = Arc::new(ring::default_provider());
        let fleet = Arc::new(self.serving(hosts, &provider).map_err(|error| failed(&error))?);
        let resolver = ByProtocol { others: fleet.clone(), fleet };
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![pinned::ALPN.to_vec(), HTTP.to_vec()];
        // Sessions that the client keeps, encrypted: ten thousand agents need no table here.
        config.ticketer = ring::Ticketer::new().map_err(|error| failed(&error))?;
        config.send_tls13_tickets = TICKETS;
        Ok(Arc::new(config))
    }

    fn serving(&self, hosts: &[&str], provider: &CryptoProvider) -> Result<CertifiedKey, Box<dyn std::error::Error>> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut params = lasting();
        params.distinguished_name.push(DnType::CommonName, "Muster server");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        for host in ["localhost", "127.0.0.1", "::1"].iter().chain(hosts) {
            let name = match host.parse::<IpAddr>() {
                Ok(ip) if ip.is_unspecified() => continue,
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => match host.to_string().try_into() {
                    Ok(name) => SanType::DnsName(name),
                    Err(_) => continue,
                },
            };
            if !params.subject_alt_names.contains(&name) {
                params.subject_alt_names.push(name);
            }
        }
        let issuer = Issuer::from_params(&self.params, &self.key);
        let certificate = params.signed_by(&key, &issuer)?;
        let private = PrivateKeyDer::try_from(key.serialize_der())?;
        let private = provider.key_provider.load_private_key(private)?;
        Ok(CertifiedKey::new(vec![certificate.into(), self.certificate.clone()], private))
    }
}

impl fmt::Debug for FleetKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FleetKey").field("pin", &self.pin).finish_non_exhaustive()
    }
}

/// A certificate's parameters with dates that no clock ever leaves.
fn lasting() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.not_before = date_time_ymd(1970, 1, 1);
    params.not_after = date_time_ymd(9999, 12, 31);
    params.distinguished_name = DistinguishedName::new();
    params
}

/// Chooses the certificate by what the client speaks.
#[derive(Debug)]
struct ByProtocol {
    /// For clients that know the fleet key.
    fleet: Arc<CertifiedKey>,
    /// For browsers: today the same, later the operator's own.
    others: Arc<CertifiedKey>,
}

impl ResolvesServerCert for ByProtocol {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let ours = hello.alpn().is_some_and(|mut protocols| protocols.any(|protocol| protocol == pinned::ALPN));
        Some(if ours { self.fleet.clone() } else { self.others.clone() })
    }
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

/// Writes the key so that after a power cut there is all of it or none.
fn write_new(data_dir: &Path, pem: &str) -> std::io::Result<()> {
    let part = data_dir.join("fleet.key.part");
    match fs::remove_file(&part) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&part)?;
    file.write_all(pem.as_bytes())?;
    file.sync_all()?;
    fs::rename(&part, data_dir.join(FILE))?;
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
