//! `muster server`

use super::connection::Server;
use super::exit::Failure;
use super::output::{Format, json_line, printable};
use crate::api::query::encode;
use crate::api::types::AgentAddress;
use clap::Subcommand;
use muster_dial::Address;
use muster_dial::client::Method;
use std::io::Write;

/// What `muster server` can do.
#[derive(Debug, Subcommand)]
pub enum ServerCommand {
    /// Where agents reach the server: they try the addresses in turn, the first one first
    #[command(subcommand)]
    Address(AddressCommand),
}

/// What `muster server address` can do.
#[derive(Debug, Subcommand)]
pub enum AddressCommand {
    /// List the addresses, the best first
    Ls {
        /// How to print
        #[arg(long, value_enum, default_value_t)]
        format: Format,
    },
    /// Add an address behind the others. Hosts and new join commands are told at once
    Add {
        /// As hosts reach it
        #[arg(value_name = "HOST:PORT")]
        address: Address,
    },
    /// Remove addresses. Hosts that use one go on to another
    Rm {
        /// As `ls` shows it
        #[arg(value_name = "HOST:PORT", required = true)]
        address: Vec<Address>,
    },
}

const PATH: &str = "/api/v1/addresses";

/// Runs it.
pub fn run(command: &ServerCommand, server: &Server, out: &mut dyn Write) -> Result<(), Failure> {
    let ServerCommand::Address(command) = command;
    match command {
        AddressCommand::Ls { format } => {
            let all: Vec<AgentAddress> = server.list(PATH, &[])?;
            match format {
                Format::Json => all.iter().try_for_each(|address| json_line(out, address)),
                Format::Table => Ok(all.iter().try_for_each(|one| writeln!(out, "{}", printable(&one.address)))?),
            }
        }
        AddressCommand::Add { address } => {
            let added: AgentAddress =
                server.send(Method::POST, PATH, &AgentAddress { address: address.to_string() })?;
            Ok(writeln!(out, "{}", added.address)?)
        }
        AddressCommand::Rm { address } => {
            for address in address {
                server
                    .delete(&format!("{PATH}/{}", encode(&address.to_string())))
                    .map_err(|failure| failure.while_doing(format_args!("server address rm {address}")))?;
                writeln!(out, "{address}")?;
            }
            Ok(())
        }
    }
}
