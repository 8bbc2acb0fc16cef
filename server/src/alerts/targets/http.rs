//! A POST to somewhere outside.

use super::{Failure, Refused, TIMEOUT, is_this_machine, why_no_way};
use std::sync::Arc;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, RootCerts, TlsConfig};

/// Bytes of an answer's head.
const HEAD: usize = 16 * 1024;

/// Where a POST goes.
#[derive(Clone)]
pub struct Url {
    text: String,
    /// Scheme, host and port: what may be shown.
    origin: String,
    has_path: bool,
    /// Without TLS.
    pub plain: bool,
    /// It leads to this machine.
    pub local: bool,
}

/// The path may be a secret.
impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.origin)
    }
}

impl Url {
    /// Reads an http or https URL.
    pub fn read(text: &str) -> Result<Url, Refused> {
        let no = |why: &str| Refused(format!("url: {why}; give one such as https://example.org/path"));
        if !text.contains("://") {
            return Err(Refused(format!("url: {text:?} is no URL; give one such as https://{text}")));
        }
        let uri: Uri = text.parse().map_err(|_| no("it is no URL that can be called"))?;
        let plain = match uri.scheme_str() {
            Some("http") => true,
            Some("https") => false,
            _ => return Err(no("it begins with neither http:// nor https://")),
        };
        let authority = uri.authority().ok_or_else(|| no("it has no host"))?;
        if authority.host().is_empty() {
            return Err(no("it has no host"));
        }
        if authority.as_str().contains('@') {
            return Err(no("it has a user in it, which would not be sent"));
        }
        let origin = format!("{}://{authority}", if plain { "http" } else { "https" });
        let has_path = uri.path().len() > 1 || uri.query().is_some();
        Ok(Url { text: text.to_owned(), has_path, plain, local: is_this_machine(authority.host()), origin })
    }

    /// What may be shown: a path is often a secret.
    pub fn shown(&self) -> String {
        format!("{}/{}", self.origin, if self.has_path { "..." } else { "" })
    }

    /// Sends JSON there.
    pub fn post(&self, headers: &[(&str, String)], json: &[u8]) -> Result<(), Failure> {
        let agent = agent(self.plain)?;
        let mut request = agent.post(&self.text).content_type("application/json");
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        match request.send(json) {
            Ok(response) => judge(&self.origin, response.status().as_u16()),
            Err(error) => Err(Failure::passing(format!("{}: {}", self.origin, why(&error)))),
        }
    }
}

/// In words for whoever gave the URL. What ureq says of a request never has the path, but for that of a bad one.
fn why(error: &ureq::Error) -> String {
    match error {
        ureq::Error::BadUri(_) => "the URL cannot be used".to_owned(),
        ureq::Error::Timeout(_) => format!("no answer within {} seconds", TIMEOUT.as_secs()),
        ureq::Error::HostNotFound => "no such host: check the name, and this machine's DNS".to_owned(),
        ureq::Error::Io(error) => why_no_way(error),
        other => other.to_string(),
    }
}

fn judge(origin: &str, status: u16) -> Result<(), Failure> {
    match status {
        200..300 => Ok(()),
        // What is asked for is no matter of this notice.
        300..400 | 401 | 403 | 404 | 405 | 407 | 408 | 421 | 425 | 429 => {
            Err(Failure::passing(format!("{origin} answered {status}")))
        }
        400..500 => Err(Failure { refused: true, ..Failure::passing(format!("{origin} refused it with {status}")) }),
        _ => Err(Failure::passing(format!("{origin} answered {status}"))),
    }
}

fn agent(plain: bool) -> Result<Agent, Failure> {
    let mut config = Agent::config_builder()
        .http_status_as_error(false)
        // A POST that is sent elsewhere is another request.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("muster/", env!("CARGO_PKG_VERSION")))
        .max_response_header_size(HEAD)
        .timeout_global(Some(TIMEOUT));
    if !plain {
        config = config.tls_config(tls()?);
    }
    Ok(config.build().new_agent())
}

/// What this machine trusts: with its operator's own authorities. `SSL_CERT_FILE` names others.
fn tls() -> Result<TlsConfig, Failure> {
    let found = rustls_native_certs::load_native_certs();
    if found.certs.is_empty() {
        let what = "this machine trusts no certificates: install its package ca-certificates";
        return Err(Failure::passing(what));
    }
    let certs: Vec<Certificate<'static>> =
        found.certs.iter().map(|cert| Certificate::from_der(cert.as_ref()).to_owned()).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::Specific(Arc::new(certs)))
        .unversioned_rustls_crypto_provider(provider)
        .build())
}
