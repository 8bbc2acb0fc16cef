//! `muster sign-in-link`

use super::connection::{Server, Target};
use super::exit::Failure;
use super::output::{Format, json_line};
use super::user::RoleFlag;
use crate::api::types::{MadeSignInLink, NewSignInLink};
use crate::time;
use clap::Args;
use muster_dial::client::Method;
use std::io::{self, Write};

/// Flags of `muster sign-in-link`.
#[derive(Debug, Args)]
pub struct SignInLink {
    /// What whoever opens it may do
    #[arg(long, value_enum, default_value = "admin")]
    role: RoleFlag,
    /// For how long it is good, such as 10m or 24h; a day at most
    #[arg(long, value_name = "DURATION", default_value = "10m", value_parser = time::parse_seconds)]
    ttl: u64,
    /// Who it is for, as the audit log will say
    #[arg(long, default_value = "")]
    name: String,
    /// The link alone, or with all that is known of it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Runs it.
pub fn run(flags: &SignInLink, target: &Target, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let new = NewSignInLink { role: flags.role.word().into(), ttl: Some(flags.ttl), name: flags.name.clone() };
    let mut made: MadeSignInLink = server.send(Method::POST, "/api/v1/sign-in-links", &new)?;
    // Where the command has reached the server a browser here does, too.
    if let Some(url) = target.url.as_deref().filter(|url| !url.is_empty()) {
        made.url = format!("{}/sign-in#{}", url.trim_end_matches('/'), made.token);
    }
    match flags.format {
        Format::Json => json_line(out, &made),
        Format::Table => {
            writeln!(out, "{}", made.url)?;
            out.flush()?;
            if let Some(certificate) = &made.certificate {
                // If nobody reads it, the link still works.
                let _ = writeln!(
                    io::stderr(),
                    "If the browser warns of the certificate, look at it before you go on; its SHA-256 fingerprint is\n{}",
                    fingerprint(certificate)
                );
            }
            Ok(())
        }
    }
}

/// As browsers show it: pairs of digits with colons between them.
fn fingerprint(digits: &str) -> String {
    let pairs: Vec<String> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| pair.iter().map(|digit| char::from(*digit).to_ascii_uppercase()).collect())
        .collect();
    pairs.join(":")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_look_as_in_browsers() {
        assert_eq!(fingerprint("00ab1f"), "00:AB:1F");
        assert_eq!(fingerprint(""), "");
    }
}
