//! The task that keeps the host's side of things: the ground, the tunnel, the answerer of names, and what is saved.

use super::hub::Hub;
use super::names::Answerer;
use super::plan::Place;
use super::talk;
use super::{BRIDGE, DEVICE, ground};
use async_io::Timer;
use futures_lite::future;
use log::{info, warn};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::{Duration, Instant};

/// Between two looks at everything: a firewall that was reloaded is repaired within this.
const LOOK: Duration = Duration::from_secs(10);
/// Something was not there yet: a bridge that the engine is about to make.
const SOON: Duration = Duration::from_secs(1);
/// Names and the order of freed addresses are saved at most this often: a disk of flash wears out.
const SAVE: Duration = Duration::from_secs(300);

/// Keeps it for ever.
pub async fn keep(hub: &Hub) {
    let mut answerer = None;
    let mut saved = Instant::now();
    let mut wait = LOOK;
    loop {
        future::or(hub.to_lay.wait(), async {
            Timer::after(wait).await;
        })
        .await;
        hub.look_at_peers();
        let place = hub.place.borrow().clone();
        let Some(place) = place else {
            close(hub).await;
            continue;
        };
        hub.carry();
        let laid = lay(hub, &place).await;
        wait = if laid { LOOK } else { SOON };
        answer_names(hub, &place, &mut answerer);
        talk::tell_paths(hub);
        // An interface's address may have changed.
        hub.to_greet.ring();
        if saved.elapsed() >= SAVE {
            saved = Instant::now();
            save(hub);
        }
    }
}

/// Saves what is only saved now and then.
pub fn save(hub: &Hub) {
    if hub.is_unsaved.get() {
        hub.save_plan();
    }
    save_freed(hub);
}

/// Saves which addresses were given, and in which order they became free, if that has changed.
pub fn save_freed(hub: &Hub) {
    let text = {
        let mut freed = hub.freed.borrow_mut();
        if !freed.take_changed() {
            return;
        }
        freed.to_text()
    };
    if let Err(error) = hub.store.keep_freed(&text) {
        hub.freed.borrow_mut().not_saved();
        // They are only given sooner again.
        warn!("cannot save which addresses became free: {error}");
    }
}

/// What the kernel is to do for this place.
pub fn ground_of(place: &Place, remote: Vec<muster_protocol::network::Prefix>) -> ground::Ground {
    ground::Ground {
        bridge: BRIDGE.into(),
        device: DEVICE.into(),
        range: place.range,
        own: place.blocks.clone(),
        gateway: place.gateway(),
        remote,
        mtu: place.mtu,
        names: place.names,
    }
}

/// Lays the ground, beside the tasks: it starts processes. False if it has to be tried again soon.
async fn lay(hub: &Hub, place: &Place) -> bool {
    if hub.network.get().is_none() && !bridge_exists() {
        // The engine has not made the bridge yet, and rings when it has. One of an earlier run serves at once.
        return false;
    }
    let ground = ground_of(place, hub.view.borrow().remote.clone());
    match smol::unblock(move || ground::lay(&ground)).await {
        Ok(done) => {
            done.iter().for_each(|line| info!("{line}"));
            hub.note_ground(None);
            true
        }
        Err(error) => {
            hub.note_ground(Some(error.to_string()));
            false
        }
    }
}

/// A host whose place was taken away while this process did not run may still have the bridge, with containers on it.
async fn close(hub: &Hub) {
    if !bridge_exists() {
        return;
    }
    match smol::unblock(|| ground::close(BRIDGE, DEVICE)).await {
        Ok(done) => {
            done.iter().for_each(|line| info!("{line}"));
            hub.note_ground(None);
        }
        Err(error) => hub.note_ground(Some(error.to_string())),
    }
}

fn bridge_exists() -> bool {
    Path::new("/sys/class/net").join(BRIDGE).exists()
}

fn answer_names(hub: &Hub, place: &Place, answerer: &mut Option<(u32, Answerer)>) {
    let view = hub.view.borrow();
    let wanted = view.place.as_ref().is_some_and(|place| place.names);
    if !wanted || answerer.as_ref().is_some_and(|(gateway, _)| *gateway != place.gateway()) {
        *answerer = None;
    }
    if !wanted || hub.network.get().is_none() {
        return;
    }
    if answerer.is_none() {
        match Answerer::start(Ipv4Addr::from_bits(place.gateway())) {
            Ok(started) => *answerer = Some((place.gateway(), started)),
            Err(error) => return hub.note_ground(Some(format!("no names are answered: {error}"))),
        }
        hub.names_changed.set(true);
    }
    if let Some((_, answerer)) = answerer
        && hub.names_changed.replace(false)
    {
        answerer.set(view.names.clone());
    }
}
