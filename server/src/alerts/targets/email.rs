//! A mail, by SMTP.

use super::{Failure, Refused, TIMEOUT, is_this_machine, why_no_way};
use crate::alerts::notice::Body;
use crate::api::types::NewAlertTarget;
use lettre::message::header::{HeaderName, HeaderValue};
use lettre::message::{Mailbox, Message};
use lettre::transport::smtp::authentication::Credentials;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{SmtpTransport, Transport};
use std::io;
use std::iter::successors;

/// Who may get a mail.
const RECIPIENTS: usize = 20;

/// How the way to the server is kept private.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Privacy {
    /// The server is asked for TLS, and must agree.
    StartTls,
    /// TLS from the beginning.
    Tls,
    /// Not at all.
    None,
}

/// A mail server, and who gets mail.
pub struct Email {
    host: String,
    port: u16,
    privacy: Privacy,
    login: Option<Credentials>,
    user: Option<String>,
    from: Mailbox,
    to: Vec<Mailbox>,
}

/// Without the password.
impl std::fmt::Debug for Email {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown())
    }
}

impl Email {
    pub(super) fn read(asked: &NewAlertTarget) -> Result<Email, Refused> {
        let server = asked.server.as_deref().ok_or_else(|| Refused("server: say which SMTP server".into()))?;
        let (host, port) = split(server).ok_or_else(|| {
            Refused(format!("server: {server:?} is none; give HOST or HOST:PORT, such as mail.example.org:587"))
        })?;
        let privacy = match asked.tls.as_deref() {
            None | Some("starttls") => Privacy::StartTls,
            Some("tls") => Privacy::Tls,
            Some("none") if is_this_machine(host) => Privacy::None,
            Some("none") => {
                let why = "the mail and its password could be read on the way: only a server on this machine is spoken \
                           to without TLS, as localhost or 127.0.0.1";
                return Err(Refused(format!("tls: none: {why}")));
            }
            Some(other) => return Err(Refused(format!("tls: {other:?} is none; give starttls, tls or none"))),
        };
        let login = match (&asked.user, &asked.password) {
            (Some(user), Some(password)) => Some(Credentials::new(user.clone(), password.clone())),
            (None, None) => None,
            _ => return Err(Refused("user, password: give both or none".into())),
        };
        let mailbox = |name: &str, text: &str| {
            text.parse::<Mailbox>().map_err(|_| Refused(format!("{name}: {text:?} is no mail address")))
        };
        let from = asked.from.as_deref().ok_or_else(|| Refused("from: say who it is from".into()))?;
        if asked.to.is_empty() || asked.to.len() > RECIPIENTS {
            return Err(Refused(format!("to: 1 to {RECIPIENTS} mail addresses")));
        }
        let default_port = match privacy {
            Privacy::StartTls => 587,
            Privacy::Tls => 465,
            Privacy::None => 25,
        };
        Ok(Email {
            host: host.to_owned(),
            port: port.unwrap_or(default_port),
            privacy,
            login,
            user: asked.user.clone(),
            from: mailbox("from", from)?,
            to: asked.to.iter().map(|text| mailbox("to", text)).collect::<Result<_, _>>()?,
        })
    }

    pub(super) fn shown(&self) -> String {
        match self.host.contains(':') {
            true => format!("[{}]:{}", self.host, self.port),
            false => format!("{}:{}", self.host, self.port),
        }
    }

    /// What may be shown of who gets mail: a person's address is nobody else's matter.
    pub(super) fn recipients(&self) -> Vec<String> {
        self.to.iter().map(begins).collect()
    }

    /// Without the addresses and the login that a mail server likes to repeat.
    fn hide(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for mailbox in self.to.iter().chain([&self.from]) {
            text = replace(&text, mailbox.email.as_ref(), &begins(mailbox));
        }
        match &self.user {
            // A short one may be a part of any word.
            Some(user) if user.len() >= 4 => replace(&text, user, "..."),
            _ => text,
        }
    }

    pub(super) fn has_password(&self) -> bool {
        self.login.is_some()
    }

    pub(super) fn is_plain(&self) -> bool {
        self.privacy == Privacy::None
    }

    pub(super) fn is_local(&self) -> bool {
        is_this_machine(&self.host)
    }

    pub(super) fn send(&self, body: &Body) -> Result<(), Failure> {
        let message = self.message(body)?;
        let failed = |error: lettre::transport::smtp::Error| {
            let refused = error.is_permanent();
            let text = format!("{}: {}", self.shown(), why(&error));
            Failure { refused, ..Failure::passing(self.hide(&text)) }
        };
        let tls = match self.privacy {
            Privacy::None => Tls::None,
            Privacy::StartTls => Tls::Required(TlsParameters::new(self.host.clone()).map_err(failed)?),
            Privacy::Tls => Tls::Wrapper(TlsParameters::new(self.host.clone()).map_err(failed)?),
        };
        let mut transport =
            SmtpTransport::builder_dangerous(&self.host).port(self.port).tls(tls).timeout(Some(TIMEOUT));
        if let Some(login) = &self.login {
            transport = transport.credentials(login.clone());
        }
        transport.build().send(&message).map(drop).map_err(failed)
    }

    pub(super) fn message(&self, body: &Body) -> Result<Message, Failure> {
        let mut message = Message::builder()
            .from(self.from.clone())
            .subject(&body.title)
            // The same for the same notice, so that mail programs know it again.
            .message_id(Some(format!("<{}@muster>", body.id)));
        for to in &self.to {
            message = message.to(to.clone());
        }
        let text = format!("{}\n\n-- \nMuster, notice {}\n", body.text, body.id);
        let mut message = message.body(text).map_err(|error| Failure::passing(error.to_string()))?;
        // Nobody's holiday notice is to answer it.
        let name = HeaderName::new_from_ascii_str("Auto-Submitted");
        message.headers_mut().insert_raw(HeaderValue::new(name, "auto-generated".into()));
        Ok(message)
    }
}

/// In words for whoever gave the server's name.
fn why(error: &lettre::transport::smtp::Error) -> String {
    let causes = || successors(std::error::Error::source(error), |cause| cause.source());
    if let Some(error) = causes().find_map(|cause| cause.downcast_ref::<io::Error>()) {
        return why_no_way(error);
    }
    // Its causes say what happened.
    causes().map(ToString::to_string).fold(error.to_string(), |text, cause| match text.contains(&cause) {
        true => text,
        false => format!("{text}: {cause}"),
    })
}

/// How an address begins, and where it is.
fn begins(mailbox: &Mailbox) -> String {
    let first: String = mailbox.email.user().chars().take(1).collect();
    format!("{first}...@{}", mailbox.email.domain())
}

/// Replaces a text in whichever case it is written.
fn replace(text: &str, what: &str, by: &str) -> String {
    let (lower, what) = (text.to_ascii_lowercase(), what.to_ascii_lowercase());
    let mut replaced = String::new();
    let mut from = 0;
    // Lowering ASCII moves no byte.
    for (at, _) in lower.match_indices(&what) {
        replaced.push_str(&text[from..at]);
        replaced.push_str(by);
        from = at + what.len();
    }
    replaced.push_str(&text[from..]);
    replaced
}

fn split(server: &str) -> Option<(&str, Option<u16>)> {
    let is_host = |host: &str| {
        !host.is_empty() && host.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_')
    };
    if let Some(rest) = server.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        return match port {
            "" => Some((host, None)),
            port => Some((host, Some(port.strip_prefix(':')?.parse().ok()?))),
        };
    }
    if server.parse::<std::net::Ipv6Addr>().is_ok() {
        return Some((server, None));
    }
    match server.split_once(':') {
        Some((host, port)) => Some((host, Some(port.parse().ok().filter(|port| *port > 0)?))),
        None => Some((server, None)),
    }
    .filter(|(host, _)| is_host(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_mail_server_says_is_shown_without_addresses() {
        let asked = NewAlertTarget {
            name: "mail".into(),
            kind: "email".into(),
            server: Some("mail.example.org".into()),
            user: Some("postman".into()),
            password: Some("x".into()),
            from: Some("Muster <muster@example.org>".into()),
            to: vec!["Bea <bea.miller@example.org>".into()],
            ..NewAlertTarget::default()
        };
        let email = Email::read(&asked).expect("a target");
        assert_eq!(email.recipients(), ["b...@example.org"]);
        let said = "550 5.1.1 <Bea.Miller@example.org>: unknown to postman; from muster@example.org";
        assert_eq!(email.hide(said), "550 5.1.1 <b...@example.org>: unknown to ...; from m...@example.org");
    }
}
