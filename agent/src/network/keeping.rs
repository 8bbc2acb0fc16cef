//! Keeps the managed network on the engine as the plan wants it.

use super::bridge::{self, Wanted};
use super::engine::change;
use super::engine::request::{NETWORK, Request};
use super::hub::Hub;
use super::listing::list;
use super::plan::Place;
use super::resolving::see_to_names;
use crate::docker::engine::EngineError;
use log::info;
use muster_protocol::id::EngineId;
use muster_protocol::network::{NetworkPlan, NoPlace};
use muster_protocol::record::Kind;

/// The managed network, made or made anew if it has to be; `None` if it cannot be, which was said.
pub async fn network(hub: &Hub, place: &Place) -> Result<Option<EngineId>, EngineError> {
    if let Some(id) = hub.network.get() {
        return Ok(Some(id));
    }
    let Some(wanted) = Wanted::of(place) else { return Ok(None) };
    let (address, api) = (hub.engine.address(), hub.engine.api());
    let found = bridge::find(address, api).await?;
    let id = match found {
        Some(found) if found.settings.as_deref() == Some(&wanted.settings()) => found.id,
        Some(bridge::Found { settings: None, .. }) => {
            let why = format!("there is a network {NETWORK} on the engine that is not ours; remove or rename it");
            hub.note_engine(Some(why));
            return Ok(None);
        }
        Some(found) => {
            if !empty(hub, place).await? {
                return Ok(None);
            }
            bridge::delete(address, api, found.id).await?;
            info!("the network {NETWORK} is made anew: {}", wanted.settings());
            bridge::create(address, api, &wanted).await?
        }
        None => {
            info!("the network {NETWORK} is made: {} of {}", wanted.block, wanted.range);
            match bridge::create(address, api, &wanted).await {
                Err(EngineError::Refused { message, .. }) => {
                    hub.note_engine(Some(format!("the engine does not make the network {NETWORK}: {message}")));
                    return Ok(None);
                }
                created => created?,
            }
        }
    };
    hub.note_engine(None);
    hub.network.set(Some(id));
    hub.all_dirty.set(true);
    hub.to_lay.ring();
    Ok(Some(id))
}

/// Takes all labelled containers out of the network. False if others are in it, which was said.
async fn empty(hub: &Hub, place: &Place) -> Result<bool, EngineError> {
    let containers = list(hub, place).await?.containers;
    let others: Vec<&str> = containers
        .iter()
        .filter(|seen| seen.endpoint.is_some() && !seen.is_labelled)
        .map(|seen| seen.name.as_str())
        .collect();
    if let Some(first) = others.first() {
        let why = format!(
            "the network {NETWORK} has other settings now and cannot be made anew: {first} is in it; \
             `docker network disconnect {NETWORK} {first}`"
        );
        hub.note_engine(Some(why));
        return Ok(false);
    }
    for seen in containers.iter().filter(|seen| seen.endpoint.is_some()) {
        change(hub.engine.address(), hub.engine.api(), Request::Disconnect(seen.id)).await?;
    }
    Ok(true)
}

/// Takes all labelled containers out if the network was disabled: what else takes a host's place away is about the host, and
/// its containers stay in what they have of it. Without a place in this run there is nobody to take out. Whether
/// that was so.
pub async fn leave(hub: &Hub) -> Result<bool, EngineError> {
    let is_disabled =
        hub.records.borrow().of_kind(Kind::NetworkPlan).any(|record| {
            record.decode::<NetworkPlan<'_>>().is_ok_and(|plan| plan.refused == NoPlace::NotEnabled as u8)
        });
    let place = hub.place.borrow().clone().filter(|_| is_disabled);
    let Some(place) = place else { return Ok(false) };
    let without_names = Place { names: false, ..place.clone() };
    for seen in list(hub, &place).await?.containers {
        if seen.endpoint.is_none() || !seen.is_labelled {
            continue;
        }
        see_to_names(hub, &without_names, &seen).await;
        change(hub.engine.address(), hub.engine.api(), Request::Disconnect(seen.id)).await?;
        info!("{} has left the managed network, which was disabled", seen.name);
        hub.members.borrow_mut().left(seen.id);
    }
    Ok(true)
}
