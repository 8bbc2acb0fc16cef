//! Where notices go. What is sent blocks, and has an end: see [`TIMEOUT`].

mod email;
mod http;
mod ntfy;
mod webhook;

use super::Refused;
use super::notice::Body;
use crate::api::types::{AlertTarget, NewAlertTarget};
use email::Email;
use ntfy::Ntfy;
use std::io;
use std::net::IpAddr;
use std::time::Duration;
use webhook::Webhook;

/// So long one attempt may take.
pub const TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes of a target's name.
const NAME: usize = 32;
/// Bytes of any text of a target.
const TEXT: usize = 1024;

/// Why a notice was not delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// One line, without any secret.
    pub message: String,
    /// The target does not want this notice: to send it again hardly helps.
    pub refused: bool,
}

impl Failure {
    fn passing(message: impl Into<String>) -> Failure {
        Failure { message: one_line(&message.into()), refused: false }
    }
}

/// Where notices go.
#[derive(Debug)]
pub enum Target {
    /// A POST of JSON.
    Webhook(Webhook),
    /// A topic of an ntfy server.
    Ntfy(Ntfy),
    /// A mail.
    Email(Box<Email>),
}

impl Target {
    /// As an operator asks for it.
    ///
    /// # Errors
    /// What makes no sense, and what would.
    pub fn read(asked: &NewAlertTarget) -> Result<Target, Refused> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if asked.name.is_empty() || asked.name.len() > NAME || !asked.name.chars().all(is_name) {
            return Err(Refused(format!("name: 1 to {NAME} letters, digits, '-', '_' and '.'")));
        }
        let texts = [
            ("url", &asked.url),
            ("secret", &asked.secret),
            ("topic", &asked.topic),
            ("token", &asked.token),
            ("server", &asked.server),
            ("tls", &asked.tls),
            ("user", &asked.user),
            ("password", &asked.password),
            ("from", &asked.from),
        ];
        let of_kind: &[&str] = match asked.kind.as_str() {
            "webhook" => &["url", "secret"],
            "ntfy" => &["url", "topic", "token"],
            "email" => &["server", "tls", "user", "password", "from"],
            other => return Err(Refused(format!("kind: {other:?} is none; give webhook, ntfy or email"))),
        };
        for (name, text) in texts {
            let Some(text) = text else { continue };
            if !of_kind.contains(&name) {
                return Err(Refused(format!("{name}: a target of the kind {} has none", asked.kind)));
            }
            if text.is_empty() || text.len() > TEXT || text.chars().any(char::is_control) {
                return Err(Refused(format!("{name}: 1 to {TEXT} bytes without control characters")));
            }
        }
        match asked.kind.as_str() {
            "webhook" => Webhook::read(asked).map(Target::Webhook),
            "ntfy" => Ntfy::read(asked).map(Target::Ntfy),
            _ => Email::read(asked).map(|email| Target::Email(Box::new(email))),
        }
    }

    /// Sends a notice. Blocks, for [`TIMEOUT`] or not much longer.
    ///
    /// # Errors
    /// It did not arrive, as far as is known.
    pub fn send(&self, body: &Body) -> Result<(), Failure> {
        match self {
            Target::Webhook(webhook) => webhook.send(body),
            Target::Ntfy(ntfy) => ntfy.send(body),
            Target::Email(email) => email.send(body),
        }
    }

    /// What the API shows of it by itself: never a secret.
    pub fn view(&self, name: &str) -> AlertTarget {
        let (kind, address, to, has_secret) = match self {
            Target::Webhook(it) => ("webhook", it.address.shown(), Vec::new(), it.secret.is_some()),
            Target::Ntfy(it) => ("ntfy", it.address.shown(), vec![it.shown_topic()], it.token.is_some()),
            Target::Email(it) => ("email", it.shown(), it.recipients(), it.has_password()),
        };
        let (plain, local) = match self {
            Target::Webhook(it) => (it.address.plain, it.address.local),
            Target::Ntfy(it) => (it.address.plain, it.address.local),
            Target::Email(it) => (it.is_plain(), it.is_local()),
        };
        AlertTarget {
            name: name.to_owned(),
            kind: kind.to_owned(),
            address,
            to,
            has_secret,
            plain,
            local,
            waiting: 0,
            delivered: 0,
            dropped: 0,
            last_delivered: None,
            problem: None,
        }
    }
}

/// What is shown to nobody.
struct Hidden(String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hidden")
    }
}

fn hidden(text: &Option<String>) -> Option<Hidden> {
    text.clone().map(Hidden)
}

/// Whether a host, as a URL has it, is the machine that this runs on.
fn is_this_machine(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    host.eq_ignore_ascii_case("localhost") || address.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Why nothing could be sent, in words for whoever gave the address.
fn why_no_way(error: &io::Error) -> String {
    use io::ErrorKind::*;
    if let Some(rustls::Error::InvalidCertificate(why)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return format!("its certificate is not trusted ({why}): SSL_CERT_FILE names the authorities that are");
    }
    match error.kind() {
        ConnectionRefused => "nobody listens there: check the port, and whether it runs".to_owned(),
        HostUnreachable | NetworkUnreachable => "there is no way to it: check this machine's network".to_owned(),
        TimedOut | WouldBlock => format!("no answer within {} seconds", TIMEOUT.as_secs()),
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => "it closed the connection".to_owned(),
        _ => error.to_string(),
    }
}

/// What others say, for one line of ours.
fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let mut words = plain.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(300) {
        words.truncate(end);
    }
    words
}

#[cfg(test)]
#[path = "targets_tests.rs"]
mod tests;
