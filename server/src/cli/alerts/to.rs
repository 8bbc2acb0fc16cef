//! `muster alerts to`

use super::PATH;
use crate::api::query::encode;
use crate::api::types::{AlertTarget, NewAlertTarget, Page};
use crate::cli::connection::Server;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::{Format, Table, json_line};
use clap::{Subcommand, ValueEnum};
use muster_dial::client::Method;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

/// Bytes of a secret's file.
const SECRET: u64 = 4096;

/// Where alerts are sent.
#[derive(Debug, Subcommand)]
pub enum To {
    /// List where alerts are sent: never with secrets
    Ls {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Send alerts there no more; notices that wait are dropped
    Rm {
        /// As `alerts to ls` shows it
        #[arg(required = true)]
        name: Vec<String>,
    },
    /// POST them as JSON
    Webhook {
        /// What to call it
        name: String,
        /// http:// or https://. Without TLS it can be read on the way
        #[arg(value_name = "URL")]
        hook: String,
        /// Sign the body with what is in this file; -: standard input
        #[arg(long, value_name = "PATH")]
        secret_file: Option<PathBuf>,
    },
    /// Send them to a topic of an ntfy server
    Ntfy {
        /// What to call it
        name: String,
        /// The topic
        topic: String,
        /// The server
        #[arg(long, value_name = "URL", default_value = "https://ntfy.sh")]
        server: String,
        /// The access token is in this file; -: standard input
        #[arg(long, value_name = "PATH")]
        token_file: Option<PathBuf>,
        /// 1 to 5 for all [without: 5 for critical ones, 3 for warnings, 2 for what is over]
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
        priority: Option<u8>,
    },
    /// Send them by mail
    Email {
        /// What to call it
        name: String,
        /// The SMTP server
        #[arg(long, value_name = "HOST[:PORT]")]
        server: String,
        /// Who they are from
        #[arg(long, value_name = "ADDRESS")]
        from: String,
        /// Who gets them; may be repeated
        #[arg(long, value_name = "ADDRESS", required = true)]
        to: Vec<String>,
        /// TLS: asked for by STARTTLS, from the beginning, or not at all, which is for a server on the same machine only
        #[arg(long, value_enum, default_value_t)]
        tls: TlsFlag,
        /// Who logs in
        #[arg(long, requires = "password_file")]
        user: Option<String>,
        /// The password is in this file; -: standard input
        #[arg(long, value_name = "PATH", requires = "user")]
        password_file: Option<PathBuf>,
    },
}

/// How mail is kept private on its way.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
pub enum TlsFlag {
    /// The server must agree
    #[default]
    Starttls,
    /// From the beginning
    Tls,
    /// Not at all
    None,
}

/// Runs it.
pub fn run(command: &To, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let asked = match command {
        To::Ls { format } => return list(*format, server, out),
        To::Rm { name } => {
            for name in name {
                server
                    .delete(&format!("{PATH}/targets/{}", encode(name)))
                    .map_err(|failure| failure.while_doing(format_args!("alerts to rm {name}")))?;
                writeln!(out, "{name}")?;
            }
            return Ok(());
        }
        To::Webhook { name, hook, secret_file } => NewAlertTarget {
            name: name.clone(),
            kind: "webhook".into(),
            url: Some(hook.clone()),
            secret: secret(secret_file.as_deref())?,
            ..NewAlertTarget::default()
        },
        To::Ntfy { name, topic, server, token_file, priority } => NewAlertTarget {
            name: name.clone(),
            kind: "ntfy".into(),
            url: Some(server.clone()),
            topic: Some(topic.clone()),
            token: secret(token_file.as_deref())?,
            priority: *priority,
            ..NewAlertTarget::default()
        },
        To::Email { name, server, from, to, tls, user, password_file } => NewAlertTarget {
            name: name.clone(),
            kind: "email".into(),
            server: Some(server.clone()),
            tls: Some(
                match tls {
                    TlsFlag::Starttls => "starttls",
                    TlsFlag::Tls => "tls",
                    TlsFlag::None => "none",
                }
                .into(),
            ),
            user: user.clone(),
            password: secret(password_file.as_deref())?,
            from: Some(from.clone()),
            to: to.clone(),
            ..NewAlertTarget::default()
        },
    };
    let there: Page<AlertTarget> = server.get(&format!("{PATH}/targets"))?;
    let before = there.items.into_iter().find(|it| it.name == asked.name);
    let added: AlertTarget = server.send(Method::POST, &format!("{PATH}/targets"), &asked)?;
    match before {
        None => writeln!(out, "{}", added.name)?,
        Some(before) if before.has_secret && !added.has_secret => {
            writeln!(out, "{} (replaced; the secret that it had is not kept)", added.name)?;
        }
        Some(_) => writeln!(out, "{} (replaced)", added.name)?,
    }
    if added.plain && !added.local {
        writeln!(out, "What is sent to {} can be read on its way: it goes without TLS.", added.address)?;
    }
    Ok(())
}

/// What is in a file, without the end of its line. On a command line everybody could read it.
fn secret(path: Option<&Path>) -> Result<Option<String>, Failure> {
    let Some(path) = path else { return Ok(None) };
    let mut text = String::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().take(SECRET).read_to_string(&mut text)
    } else {
        std::fs::File::open(path).and_then(|file| file.take(SECRET).read_to_string(&mut text))
    };
    read.map_err(|error| Failure::new(Exit::Failure, format!("cannot read {}: {error}", path.display())))?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(Some(text.strip_suffix('\r').unwrap_or(text).to_owned()))
}

fn list(format: Format, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let page: Page<AlertTarget> = server.get(&format!("{PATH}/targets"))?;
    match format {
        Format::Json => page.items.iter().try_for_each(|it| json_line(out, it)),
        Format::Table => table(&page.items).print(out),
    }
}

fn table(targets: &[AlertTarget]) -> Table {
    let mut table =
        Table::new(&["NAME", "KIND", "ADDRESS", "TO", "TLS", "SECRET", "DELIVERED", "WAITING", "DROPPED", "PROBLEM"]);
    let yes_or_no = |is_so: bool| if is_so { "yes" } else { "no" }.to_owned();
    for it in targets {
        table.row(vec![
            it.name.clone(),
            it.kind.clone(),
            it.address.clone(),
            if it.to.is_empty() { "-".to_owned() } else { it.to.join(", ") },
            yes_or_no(!it.plain),
            yes_or_no(it.has_secret),
            it.delivered.to_string(),
            it.waiting.to_string(),
            it.dropped.to_string(),
            it.problem.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    table
}
