//! `network down`: takes away what was made, and nothing else.

use super::bridge::{self, Found};
use super::container;
use super::engine::change;
use super::engine::request::{NETWORK, Request};
use super::options::{self, UpSettings};
use super::peers::Peers;
use super::plan::{Judge, Place, View};
use super::resolving::resolv_conf;
use super::store::Store;
use super::{BRIDGE, DEVICE, ground, names};
use crate::command::exit::{Exit, Trouble};
use crate::docker::engine::{Element, Engine, EngineError};
use muster_protocol::network::Prefix;
use std::fmt::Display;
use std::fs::File;
use std::net::Ipv4Addr;

/// Takes it away; a line for each thing that was done.
pub fn down(settings: &UpSettings) -> Result<String, Trouble> {
    let store = Store::new(&settings.state_dir);
    // Who never brought it up has nothing to lock.
    let was_up = store.exists();
    let _lock = if was_up { Some(hold(&store)?) } else { None };
    let label = store.label().as_deref().and_then(options::label);
    let judge = Judge {
        accepted: Prefix::default(),
        own_key: [0; 32],
        server: None,
        remembered: &Peers::default(),
        today: None,
        cannot_remember: None,
        label: settings.label.as_ref().or(label.as_ref()),
    };
    let view = View::of(&store.plan(), &judge);
    let mut said = Vec::new();
    let engine = Engine::new(settings.docker_host.clone());
    let left = async_io::block_on(leave(&engine, view.place, &mut said));
    let (others, absent) = match left {
        Ok(others) => (others, None),
        // Rules and routes can go without it.
        Err(error) if error.is_absence() => (None, Some(error)),
        Err(error) => {
            let advice = "repeat the command when the engine answers; nothing of the host was changed yet";
            return Err(Trouble::new(Exit::Unavailable, "cannot take the managed network away", error, advice));
        }
    };
    // Also when nothing says any more that there was a network.
    match ground::take_away(BRIDGE, DEVICE) {
        Ok(taken) => said.extend(taken),
        // Who never brought it up need not be root.
        Err(_) if !was_up && said.is_empty() => {}
        Err(error) => {
            let advice = "repeat the command as root";
            return Err(Trouble::new(Exit::Failed, "cannot take everything away", error, advice));
        }
    }
    if let Some(error) = absent {
        let advice = "repeat the command when the engine runs";
        return Err(Trouble::new(
            Exit::Unavailable,
            format!("the network {NETWORK} stays on the engine"),
            error,
            advice,
        ));
    }
    if let Some(name) = others {
        let why = format!("{name} is in it, and was not put there by its label");
        let advice = format!("`docker network disconnect {NETWORK} {name}`, then repeat the command");
        return Err(Trouble::new(Exit::Failed, format!("the network {NETWORK} stays"), why, advice));
    }
    if said.is_empty() {
        said.push("there was nothing to take away".into());
    }
    Ok(said.iter().map(|line| format!("{line}\n")).collect())
}

/// Holds the state, so that nobody makes anew what is taken away.
fn hold(store: &Store) -> Result<File, Trouble> {
    let cannot = |why: &dyn Display, advice| Trouble::new(Exit::Failed, "cannot take it away", why, advice);
    let held = store.lock().map_err(|error| cannot(&error, "repeat the command as root"))?;
    held.ok_or_else(|| {
        let advice =
            "end it first: `systemctl disable --now muster-network`, or `network up` if that was started by hand";
        cannot(&"the network process runs", advice)
    })
}

/// Takes containers out of the network, and removes it. The name of a container that keeps it from being removed.
async fn leave(engine: &Engine, place: Option<Place>, said: &mut Vec<String>) -> Result<Option<String>, EngineError> {
    engine.negotiate().await?;
    let (address, api) = (engine.address(), engine.api());
    let Some(Found { id, settings: Some(settings) }) = bridge::find(address, api).await? else {
        return Ok(None);
    };
    // The label says what was made, also when the plan is lost.
    let place = place.or_else(|| place_of(&settings));
    let label = place.as_ref().map_or_else(Default::default, |place| place.label.clone());
    let mut inside = Vec::new();
    let mut list = engine.list().await?;
    while let Some(element) = list.next().await? {
        let Element::Whole(json) = element else { continue };
        if let Ok(seen) = container::parse(json, &label)
            && seen.endpoint.is_some()
        {
            inside.push(seen);
        }
    }
    let mut others = None;
    for seen in inside {
        // Without a plan the label is not known; a fixed address of the network is what only we give.
        let is_ours = seen.is_labelled || (label.0.is_empty() && seen.endpoint.is_some_and(|it| it.fixed.is_some()));
        if !is_ours {
            others = Some(seen.name);
            continue;
        }
        if let (Some(place), true) = (&place, seen.runs)
            && let Some(path) = engine.inspected(seen.id).await?.as_deref().and_then(resolv_conf)
        {
            // As it was: Docker writes it anew at the next start anyway.
            let _ = names::unlist(&path, Ipv4Addr::from_bits(place.gateway()));
        }
        change(address, api, Request::Disconnect(seen.id)).await?;
        said.push(format!("{} has left the network {NETWORK}", seen.name));
    }
    if others.is_none() {
        bridge::delete(address, api, id).await?;
        said.push(format!("the network {NETWORK} is removed"));
    }
    Ok(others)
}

/// What [`Wanted::settings`](bridge::Wanted::settings) says.
fn place_of(settings: &str) -> Option<Place> {
    let words: Vec<&str> = settings.split(' ').collect();
    let ["1", range, block, mtu] = words[..] else { return None };
    Some(Place {
        range: Prefix::parse(range)?,
        blocks: vec![Prefix::parse(block)?],
        label: Default::default(),
        names: false,
        mtu: mtu.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::network::bridge::Wanted;

    #[test]
    fn a_networks_label_says_what_it_was_made_for() {
        let prefix = |text| Prefix::parse(text).expect("a prefix");
        let wanted = Wanted { range: prefix("10.42.0.0/16"), block: prefix("10.42.3.64/26"), mtu: 1380 };
        let place = place_of(&wanted.settings()).expect("a place");
        assert_eq!(Wanted::of(&place), Some(wanted));
        for bad in ["", "2 10.0.0.0/8 10.0.0.0/26 1400", "1 x y z", "1 10.0.0.0/8 10.0.0.0/26"] {
            assert_eq!(place_of(bad), None, "{bad}");
        }
    }
}
