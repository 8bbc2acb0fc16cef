//! What the managed network has to know of a container, from its element of the engine's list, and what is to be done
//! about it. Pure.

use super::engine::request::NETWORK;
use super::plan::Place;
use crate::docker::dialect;
use crate::docker::json::{Entries, ParseError, Text, nullable};
use muster_protocol::container::State;
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use serde::Deserialize;
use std::borrow::Cow;
use std::net::Ipv4Addr;

/// A container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The engine's full id.
    pub id: EngineId,
    /// Without the slash.
    pub name: String,
    /// It runs, or is paused.
    pub runs: bool,
    /// It has the network's label.
    pub is_labelled: bool,
    /// As it was started: `bridge`, `none`, `host`, `container:ID`, or a network's name.
    pub mode: String,
    /// It is in the network `none`.
    pub in_none: bool,
    /// Its place in the managed network.
    pub endpoint: Option<Endpoint>,
}

/// A container's place in the managed network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Endpoint {
    /// The address that it has whenever it runs, if it was given one.
    pub fixed: Option<u32>,
    /// The address that it has now.
    pub live: Option<u32>,
    /// The network's id, as the engine keeps it with the container.
    pub network: Option<EngineId>,
}

/// What is to be done about a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: it does not have the label.
    Foreign,
    /// Nothing: it does not run, and has no place.
    Waits,
    /// Nothing: it has its place, and this address.
    Joined(u32),
    /// Nothing can be done.
    Cannot(&'static str),
    /// To join it.
    Join {
        /// Its place is not what it should be: it has to leave first.
        leave: bool,
        /// It has to leave the network `none` first.
        leave_none: bool,
        /// The address that it should keep, if nobody else has it.
        keep: Option<u32>,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawElement<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    names: Vec<Text<'a>>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    labels: Entries<'a, Option<Text<'a>>>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    state: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    host_config: RawHostConfig<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    network_settings: RawNetworks<'a>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase")]
struct RawHostConfig<'a> {
    #[serde(borrow, default, deserialize_with = "nullable")]
    network_mode: Text<'a>,
}

#[derive(Deserialize, Default)]
struct RawNetworks<'a> {
    #[serde(borrow, default, rename = "Networks", deserialize_with = "nullable")]
    networks: Entries<'a, Option<RawEndpoint<'a>>>,
}

#[derive(Deserialize, Default)]
struct RawEndpoint<'a> {
    #[serde(borrow, default, rename = "IPAMConfig", deserialize_with = "nullable")]
    config: RawConfig<'a>,
    #[serde(borrow, default, rename = "IPAddress", deserialize_with = "nullable")]
    address: Text<'a>,
    #[serde(borrow, default, rename = "NetworkID", deserialize_with = "nullable")]
    network: Text<'a>,
}

#[derive(Deserialize, Default)]
struct RawConfig<'a> {
    #[serde(borrow, default, rename = "IPv4Address", deserialize_with = "nullable")]
    address: Text<'a>,
}

/// Reads an element of the list; `label` is the network's.
pub fn parse(json: &[u8], label: &(String, String)) -> Result<Seen, ParseError> {
    let raw: RawElement<'_> = serde_json::from_slice(json).map_err(|_| ParseError::Json)?;
    let id = EngineId::parse(&raw.id).ok_or(ParseError::Id)?;
    // Other names are links' and have two slashes.
    let name = raw.names.iter().map(|name| name.0.trim_start_matches('/')).find(|name| !name.contains('/'));
    let has_label = |(key, value): &(Cow<'_, str>, Option<Text<'_>>)| {
        *key == label.0 && value.as_ref().map_or("", |value| &value.0) == label.1
    };
    let networks = raw.network_settings.networks.0;
    let ours = networks.iter().find(|(name, _)| name == NETWORK);
    Ok(Seen {
        id,
        name: crate::command::exit::one_line(name.unwrap_or_default(), limits::NAME),
        runs: matches!(dialect::state(&raw.state.0), State::Running | State::Paused),
        is_labelled: raw.labels.0.iter().any(has_label),
        mode: raw.host_config.network_mode.0.into_owned(),
        in_none: networks.iter().any(|(name, _)| name == "none"),
        endpoint: ours.map(|(_, endpoint)| endpoint.as_ref().map_or(NOWHERE, RawEndpoint::read)),
    })
}

const NOWHERE: Endpoint = Endpoint { fixed: None, live: None, network: None };

impl RawEndpoint<'_> {
    fn read(&self) -> Endpoint {
        let address = |text: &str| text.parse::<Ipv4Addr>().ok().map(Ipv4Addr::to_bits);
        Endpoint {
            fixed: address(&self.config.address.0),
            live: address(&self.address.0),
            network: EngineId::parse(&self.network.0),
        }
    }
}

impl Seen {
    /// The address that nobody else may have, for it exists.
    pub fn holds(&self) -> Option<u32> {
        self.endpoint.and_then(|endpoint| endpoint.live.or(endpoint.fixed))
    }

    /// What is to be done about it. `network` is the managed network; `is_alone`: nobody else holds its address;
    /// `before`: the address that it had.
    pub fn judge(&self, place: &Place, network: EngineId, is_alone: bool, before: Option<u32>) -> Verdict {
        if !self.is_labelled {
            return Verdict::Foreign;
        }
        if self.mode == "host" {
            return Verdict::Cannot("it shares the host's network (--network host)");
        }
        if self.mode.starts_with("container:") {
            return Verdict::Cannot("it shares another container's network (--network container:)");
        }
        let usable = |address: &u32| place.gives(*address);
        let keep = self.holds().filter(|_| is_alone).or(before).filter(usable);
        let leave_none = self.in_none;
        match self.endpoint {
            None if self.runs => Verdict::Join { leave: false, leave_none, keep },
            None => Verdict::Waits,
            Some(endpoint) => {
                let is_whole = !self.runs || endpoint.live == endpoint.fixed;
                match endpoint.fixed.filter(usable) {
                    // The engine looks for the network by this id when it starts the container, and by nothing else.
                    Some(address) if is_whole && is_alone && endpoint.network == Some(network) => {
                        Verdict::Joined(address)
                    }
                    _ => Verdict::Join { leave: true, leave_none, keep },
                }
            }
        }
    }
}

#[cfg(test)]
#[path = "container_tests.rs"]
mod tests;
