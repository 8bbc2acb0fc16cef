//! TLS as the server speaks it: which certificate a client is shown, and how that changes while connections go on.

use super::fleet_key::{FleetKey, lasting, serial};
use super::secret::{hash, hex};
use super::serving_key::ServingKey;
use muster_dial::{Pin, pinned};
use rcgen::{DnType, ExtendedKeyUsagePurpose, KeyUsagePurpose, SanType};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};

/// What browsers and other plain HTTPS clients ask for.
const HTTP: &[u8] = b"http/1.1";
/// Enough for one resumption; a client that resumes gets the next. Each costs 100 bytes of every handshake.
const TICKETS: usize = 1;

/// One port's TLS. What it serves can be changed at any time: it holds for handshakes from then on.
pub struct Serving {
    config: Arc<ServerConfig>,
    shown: Arc<Shown>,
    tickets: Arc<Tickets>,
    provider: Arc<CryptoProvider>,
    names: Vec<SanType>,
}

impl Serving {
    /// With a certificate of this generation for the serving key.
    ///
    /// `hosts` are names and IP addresses that the server is reached by, for clients that do judge names. Those of
    /// this machine are added; what cannot be in a certificate is left out.
    pub fn new(key: &FleetKey, serving: &ServingKey, generation: u64, hosts: &[&str]) -> Result<Serving, String> {
        let failed = |error: &dyn fmt::Display| format!("cannot set up TLS: {error}");
        let provider = Arc::new(ring::default_provider());
        let names = names(hosts);
        let fleet = certified(key, serving, generation, &names, &provider).map_err(|error| failed(&error))?;
        let certificates = Certificates { fleet: Arc::new(fleet), pin: serving.pin(), operators: None };
        let shown = Arc::new(Shown(RwLock::new(certificates)));
        let tickets = Arc::new(Tickets(RwLock::new(ring::Ticketer::new().map_err(|error| failed(&error))?)));
        let mut config = ServerConfig::builder_with_provider(provider.clone())
            .with_safe_default_protocol_versions()
            .map_err(|error| failed(&error))?
            .with_no_client_auth()
            .with_cert_resolver(shown.clone());
        config.alpn_protocols = vec![pinned::ALPN.to_vec(), HTTP.to_vec()];
        // Sessions that the client keeps, encrypted: ten thousand agents need no table here.
        config.ticketer = tickets.clone();
        config.send_tls13_tickets = TICKETS;
        Ok(Serving { config: Arc::new(config), shown, tickets, provider, names })
    }

    /// What a listener takes.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }

    /// Serves by another key or generation from now on, with another serving key. Sessions from before cannot be
    /// resumed: who comes back looks at the certificate again.
    pub fn serve_by(&self, key: &FleetKey, serving: &ServingKey, generation: u64) -> Result<(), String> {
        let failed = |error: &dyn fmt::Display| format!("cannot serve by the new key: {error}");
        let fleet = certified(key, serving, generation, &self.names, &self.provider).map_err(|error| failed(&error))?;
        let tickets = ring::Ticketer::new().map_err(|error| failed(&error))?;
        {
            let mut shown = self.shown.0.write().unwrap_or_else(PoisonError::into_inner);
            (shown.fleet, shown.pin) = (Arc::new(fleet), serving.pin());
        }
        *self.tickets.0.write().unwrap_or_else(PoisonError::into_inner) = tickets;
        Ok(())
    }

    /// The pin of the serving key that clients of the fleet see.
    pub fn pin(&self) -> Pin {
        self.shown.0.read().unwrap_or_else(PoisonError::into_inner).pin
    }

    /// SHA-256 of the certificate that browsers and other plain clients are shown, 64 hexadecimal digits.
    pub fn shown_to_browsers(&self) -> Option<String> {
        let shown = self.shown.choose(Some([HTTP].into_iter()));
        shown.cert.first().map(|certificate| hex(&hash(certificate)))
    }

    /// Shows browsers and other plain clients this certificate from now on.
    pub fn show_others(&self, certificate: Arc<CertifiedKey>) {
        self.shown.0.write().unwrap_or_else(PoisonError::into_inner).operators = Some(certificate);
    }
}

impl fmt::Debug for Serving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serving").finish_non_exhaustive()
    }
}

/// What certificates for this server name.
pub(super) fn names(hosts: &[&str]) -> Vec<SanType> {
    let mut names = Vec::new();
    for host in ["localhost", "127.0.0.1", "::1"].iter().chain(hosts) {
        let name = match host.parse::<IpAddr>() {
            Ok(ip) if ip.is_unspecified() => continue,
            Ok(ip) => SanType::IpAddress(ip),
            Err(_) => match host.to_string().try_into() {
                Ok(name) => SanType::DnsName(name),
                Err(_) => continue,
            },
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// The serving key with a certificate of the fleet key for it.
fn certified(
    fleet: &FleetKey,
    serving: &ServingKey,
    generation: u64,
    names: &[SanType],
    provider: &CryptoProvider,
) -> Result<CertifiedKey, String> {
    let key = serving.pair();
    let mut params = lasting();
    params.serial_number = Some(serial(generation)?);
    params.distinguished_name.push(DnType::CommonName, "Muster server");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    params.subject_alt_names = names.to_vec();
    let purpose = format!("by {} in generation {generation} for {names:?}", fleet.pin());
    let certificate = serving.certificate(&purpose, || fleet.sign(&params, key))?;
    let private = PrivateKeyDer::try_from(key.serialize_der())?;
    let private = provider.key_provider.load_private_key(private).map_err(|error| error.to_string())?;
    Ok(CertifiedKey::new([&[certificate], fleet.chain()].concat(), private))
}

/// Chooses the certificate by what the client speaks.
#[derive(Debug)]
struct Shown(RwLock<Certificates>);

#[derive(Debug)]
struct Certificates {
    /// For clients that know the fleet key.
    fleet: Arc<CertifiedKey>,
    /// Of its key.
    pin: Pin,
    /// For browsers and the like, if the operator has given one.
    operators: Option<Arc<CertifiedKey>>,
}

impl Shown {
    /// A client that names protocols and not ours is a browser or the like. One that names none may be anything;
    /// agents behind what takes their protocol away are among them.
    fn choose<'a>(&self, mut protocols: Option<impl Iterator<Item = &'a [u8]>>) -> Arc<CertifiedKey> {
        let is_other = protocols.as_mut().is_some_and(|protocols| protocols.all(|protocol| protocol != pinned::ALPN));
        let certificates = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match &certificates.operators {
            Some(operators) if is_other => operators.clone(),
            _ => certificates.fleet.clone(),
        }
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.choose(hello.alpn()))
    }
}

/// Sessions' tickets, whose key can be thrown away.
#[derive(Debug)]
struct Tickets(RwLock<Arc<dyn ProducesTickets>>);

impl Tickets {
    fn current(&self) -> Arc<dyn ProducesTickets> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        self.current().enabled()
    }

    fn lifetime(&self) -> u32 {
        self.current().lifetime()
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.current().encrypt(plain)
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.current().decrypt(cipher)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_dial::verify;

    fn key() -> ServingKey {
        ServingKey::ephemeral().expect("a key")
    }

    #[test]
    fn who_names_other_protocols_sees_the_operators_certificate_and_everybody_else_the_fleets() {
        let (fleet, others) = (FleetKey::ephemeral(), FleetKey::ephemeral());
        let serving = Serving::new(&fleet, &key(), 1, &[]).expect("TLS");
        let pin = |protocols: Option<&[&[u8]]>| {
            let chosen = serving.shown.choose(protocols.map(|list| list.iter().copied()));
            [fleet.pin(), others.pin()].map(|pin| verify::recognise(&chosen.cert, &[pin], 0).is_ok())
        };
        let (ours, http, h2): (&[u8], &[u8], &[u8]) = (pinned::ALPN, HTTP, b"h2");
        let ways = [None, Some(&[ours][..]), Some(&[http, ours]), Some(&[http]), Some(&[h2, http])];
        assert_eq!(ways.map(pin), [[true, false]; 5], "there is no other one");
        let operators = certified(&others, &key(), 0, &[], &serving.provider).expect("a certificate");
        serving.show_others(Arc::new(operators));
        let (theirs, of_fleet) = ([false, true], [true, false]);
        assert_eq!(ways.map(pin), [of_fleet, of_fleet, of_fleet, theirs, theirs]);
    }

    #[test]
    fn what_curl_pins_is_what_clients_see_that_name_no_protocol() {
        let (fleet, key) = (FleetKey::ephemeral(), key());
        let serving = Serving::new(&fleet, &key, 1, &[]).expect("TLS");
        let chosen = serving.shown.choose(None::<std::iter::Empty<&[u8]>>);
        assert_eq!(serving.pin(), key.pin());
        assert!(verify::recognise(&chosen.cert[..1], &[serving.pin()], 0).is_ok());
    }

    #[test]
    fn another_key_and_generation_are_served_at_once_and_old_sessions_end() {
        let (first, second) = (FleetKey::ephemeral(), FleetKey::ephemeral());
        let names = ["0.0.0.0", "fleet.example", "no name", "localhost"];
        let serving = Serving::new(&first, &key(), 1, &names).expect("TLS");
        let check = |key: &FleetKey, least| {
            let chosen = serving.shown.choose(None::<std::iter::Empty<&[u8]>>);
            verify::recognise(&chosen.cert, &[key.pin()], least).is_ok()
        };
        assert!(check(&first, 1) && !check(&first, 2) && !check(&second, 0));
        let ticket = serving.tickets.encrypt(b"session").expect("a ticket");
        assert_eq!(serving.tickets.decrypt(&ticket).as_deref(), Some(&b"session"[..]));
        let next = key();
        serving.serve_by(&second, &next, 2).expect("served");
        assert_eq!(serving.pin(), next.pin());
        assert!(check(&second, 2) && !check(&first, 0));
        assert_eq!(serving.tickets.decrypt(&ticket), None);
    }
}
