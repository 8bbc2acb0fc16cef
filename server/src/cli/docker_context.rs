//! `muster docker-context`

use super::connection::{Server, Target};
use super::docker_files::{Config, Material};
use super::exit::{Exit, Failure};
use super::human;
use super::output::{Format, Table, json_line};
use crate::access::docker_ca::hex;
use crate::api::query::encode;
use crate::api::types::{DockerClient, MadeDockerClient, NewDockerClient};
use crate::time;
use clap::{Args, Subcommand, ValueEnum};
use muster_dial::client::Method;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PublicKeyData};
use std::io::Write;

/// Flags of `muster docker-context`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct DockerContext {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    make: Make,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the clients that the server knows
    Ls(List),
    /// Revoke clients, by name or id. Contexts of theirs on this machine go too
    Rm {
        /// As `docker-context ls` shows it
        #[arg(required = true)]
        client: Vec<String>,
    },
}

/// Flags that make one.
#[derive(Debug, Args)]
struct Make {
    /// What the docker context is to be called
    #[arg(required = true)]
    name: Option<String>,
    /// Where this machine reaches the Docker API, tcp://HOST:PORT; if left out, as agents reach the server
    #[arg(long, value_name = "URL")]
    docker_host: Option<String>,
    /// What it may do
    #[arg(long, value_enum, default_value_t)]
    role: RoleFlag,
    /// For how many days
    #[arg(long, default_value_t = 365, value_parser = clap::value_parser!(u32).range(1..=3650))]
    days: u32,
    /// Replace a docker context of that name
    #[arg(long)]
    force: bool,
}

#[derive(Debug, Args)]
struct List {
    /// How to print
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum RoleFlag {
    /// Look: the Docker API can do nothing else
    #[default]
    Viewer,
}

/// Runs it.
pub fn run(flags: &DockerContext, target: &Target, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    match &flags.command {
        Some(Command::Ls(flags)) => list(flags, server, out),
        Some(Command::Rm { client }) => client.iter().try_for_each(|client| remove(client, server, out)),
        None => make(&flags.make, target, server, out),
    }
}

const CLIENTS: &str = "/api/v1/docker-clients";

fn make(flags: &Make, target: &Target, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let name = flags.name.as_deref().unwrap_or_default();
    let config = Config::find()?;
    config.check(name, flags.force)?;
    // On the server's own machine there may be a door that asks for no certificate.
    let local: Option<String> = match (target.is_here(), &flags.docker_host) {
        (true, None) => target.docker_here()?,
        _ => None,
    };
    if let Some(url) = local {
        config.write(name, &url, None)?;
        return tell(out, name, &format!("{url}, which asks for no certificate"));
    }
    let failed = |error: rcgen::Error| Failure::new(Exit::Failure, format!("cannot make a key: {error}"));
    let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).map_err(failed)?;
    let RoleFlag::Viewer = flags.role;
    let docker_host = flags.docker_host.as_deref().map(|url| {
        let url = url.strip_prefix("tcp://").or_else(|| url.strip_prefix("https://")).unwrap_or(url);
        url.strip_suffix('/').unwrap_or(url).to_owned()
    });
    let new = NewDockerClient {
        name: name.to_owned(),
        public_key: hex(key.der_bytes()),
        docker_host,
        role: Some("viewer".to_owned()),
        days: Some(flags.days),
    };
    let made: MadeDockerClient = server.send(Method::POST, CLIENTS, &new)?;
    let material = Material { ca: &made.ca, certificate: &made.certificate, key: &key.serialize_pem() };
    if let Err(failure) = config.write(name, &made.docker_host, Some(&material)) {
        // Nobody has it: so nobody is to be known by it.
        let _ = server.delete(&format!("{CLIENTS}/{}", encode(&made.client.id)));
        return Err(failure);
    }
    let until = made.client.expires_at.get(..10).unwrap_or_default();
    tell(out, name, &format!("{} with a certificate that is good until {until}", made.docker_host))
}

fn tell(out: &mut dyn Write, name: &str, at: &str) -> Result<(), Failure> {
    writeln!(out, "made the docker context {name} for {at}")?;
    writeln!(out, "use it with:  docker --context {name} ps")?;
    Ok(writeln!(out, "or for good:  docker context use {name}")?)
}

fn list(flags: &List, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let clients: Vec<DockerClient> = server.list(CLIENTS, &[])?;
    if flags.format == Format::Json {
        return clients.iter().try_for_each(|client| json_line(out, client));
    }
    let now_ms = time::now_ms();
    let mut table = Table::new(&["ID", "NAME", "ROLE", "HOST", "CREATED", "EXPIRES"]);
    for client in clients {
        let created =
            human::since(Some(&client.created_at), now_ms).map_or(String::new(), |span| format!("{span} ago"));
        let expires = match time::parse_ms(&client.expires_at) {
            Some(ms) if ms <= now_ms => "ended".to_owned(),
            Some(ms) => format!("in {}", human::duration(ms - now_ms).to_lowercase()),
            None => String::new(),
        };
        table.row(vec![client.id, client.name, client.role, client.host, created, expires]);
    }
    table.print(out)
}

fn remove(wanted: &str, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let clients: Vec<DockerClient> = server.list(CLIENTS, &[])?;
    let by_id = clients.iter().find(|client| client.id == wanted);
    let named: Vec<&DockerClient> = clients.iter().filter(|client| client.name == wanted).collect();
    let client = match (by_id, named.as_slice()) {
        (Some(client), _) => client,
        (None, [client]) => *client,
        (None, []) => {
            let message = format!(
                "no client of the Docker API has the name or id {wanted:?}: see `muster docker-context ls`; a context without a certificate is removed with `docker context rm NAME`"
            );
            return Err(Failure::new(Exit::NotFound, message));
        }
        (None, _) => {
            let ids: Vec<&str> = named.iter().map(|client| client.id.as_str()).collect();
            let message = format!("{} clients are called {wanted:?}: give an id of {}", ids.len(), ids.join(", "));
            return Err(Failure::new(Exit::Failure, message));
        }
    };
    server.delete(&format!("{CLIENTS}/{}", encode(&client.id)))?;
    // A context of that name that is another one's stays.
    if let Ok(config) = Config::find() {
        config.remove_if_of(&client.name, &client.fingerprint)?;
    }
    Ok(writeln!(out, "{}", client.id)?)
}
