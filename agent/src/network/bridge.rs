//! The managed network on the engine: one bridge network that spans the whole range and gives addresses of this host's
//! first block.

use super::engine::change;
use super::engine::request::{LABEL, NETWORK, Request};
use super::plan::Place;
use crate::docker::address::EngineAddress;
use crate::docker::engine::EngineError;
use crate::docker::json::{Entries, Text, nullable};
use crate::docker::request::ApiVersion;
use muster_protocol::id::EngineId;
use muster_protocol::network::Prefix;
use serde::Deserialize;
use std::borrow::Cow;
use std::net::Ipv4Addr;

/// What the managed network is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// The whole network.
    pub range: Prefix,
    /// This host's first block.
    pub block: Prefix,
    /// The largest packet, in bytes.
    pub mtu: u16,
}

impl Wanted {
    /// For this place.
    pub fn of(place: &Place) -> Option<Wanted> {
        Some(Wanted { range: place.range, block: *place.blocks.first()?, mtu: place.mtu })
    }

    /// The host's own address: the first one behind the block's network address.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.block.first + 1)
    }

    /// What the network's label says. The number in front is to be counted up when networks are made in another way.
    pub fn settings(&self) -> String {
        format!("1 {} {} {}", self.range, self.block, self.mtu)
    }
}

/// A network of that name, as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The engine's id.
    pub id: EngineId,
    /// What its label says; `None`: somebody else has made it.
    pub settings: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawNetwork<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    labels: Entries<'a, Option<Text<'a>>>,
}

fn parse(json: &[u8]) -> Result<Option<Found>, EngineError> {
    let malformed = EngineError::Malformed("a network cannot be read");
    let raw: RawNetwork<'_> = serde_json::from_slice(json).map_err(|_| malformed.clone())?;
    // An engine also finds networks by the beginnings of ids.
    if raw.name != NETWORK {
        return Ok(None);
    }
    let id = EngineId::parse(&raw.id).ok_or(malformed)?;
    let label = raw.labels.into_sorted().into_iter().find(|(key, _)| key == LABEL);
    Ok(Some(Found { id, settings: label.map(|(_, value)| value.into_owned()) }))
}

/// The network of that name, if there is one.
pub async fn find(address: &EngineAddress, api: ApiVersion) -> Result<Option<Found>, EngineError> {
    match change(address, api, Request::Inspect).await {
        Ok(json) => parse(&json),
        Err(EngineError::Refused { status: 404, .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes it. It is not there.
pub async fn create(address: &EngineAddress, api: ApiVersion, wanted: &Wanted) -> Result<EngineId, EngineError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Created<'a> {
        #[serde(borrow)]
        id: Cow<'a, str>,
    }
    let json = change(address, api, Request::Create(wanted)).await?;
    let created: Option<Created<'_>> = serde_json::from_slice(&json).ok();
    let id = created.and_then(|created| EngineId::parse(&created.id));
    id.ok_or(EngineError::Malformed("it does not say which network it has made"))
}

/// Removes it. Nothing is in it. One that is gone already is no error.
pub async fn delete(address: &EngineAddress, api: ApiVersion, id: EngineId) -> Result<(), EngineError> {
    match change(address, api, Request::Delete(id)).await {
        Ok(_) | Err(EngineError::Refused { status: 404, .. }) => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_network_it_is_stands_in_its_label() {
        let id = "ab".repeat(32);
        let json = |name: &str, labels: &str| {
            format!(r#"{{"Name":"{name}","Id":"{id}","Labels":{labels},"Containers":{{}}}}"#)
        };
        let of = |name, labels| parse(json(name, labels).as_bytes()).expect("a network");
        let ours = of("muster", r#"{"muster.network.settings":"1 a b 3"}"#).expect("it is there");
        assert_eq!((ours.id, ours.settings.as_deref()), (EngineId([0xab; 32]), Some("1 a b 3")));
        for foreign in ["null", "{}", r#"{"a":"b"}"#] {
            assert_eq!(of("muster", foreign).expect("it is there").settings, None);
        }
        assert_eq!(of("muster2", "{}"), None);
        assert!(parse(b"{}").is_err() && parse(br#"{"Name":"muster","Id":"x"}"#).is_err());
    }
}
