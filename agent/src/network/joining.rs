//! The task that looks at containers and joins those that have the label.

use super::container::{self, Seen, Verdict};
use super::engine::change;
use super::engine::request::Request;
use super::hub::Hub;
use super::keeping::{leave, network};
use super::listing::{Listing, list};
use super::members::Member;
use super::plan::Place;
use super::resolving::see_to_names;
use super::{talk, upkeep};
use crate::command::exit::one_line;
use crate::docker::engine::EngineError;
use async_io::Timer;
use futures_lite::future;
use log::{debug, info, warn};
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use muster_protocol::network::MemberState;
use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

/// Between two looks at all containers, in case something was missed.
const LOOK_AGAIN: Duration = Duration::from_secs(300);
/// After a failure the next try comes so soon, and later and later up to this.
const FIRST_TRY: Duration = Duration::from_secs(1);
const LAST_TRY: Duration = Duration::from_secs(60);
/// So many failures in a row, and the server is told.
const TELL: u32 = 3;
/// Tries with other addresses, if the engine says that one is taken.
const ADDRESSES: usize = 4;

/// Looks at containers for ever.
pub async fn keep(hub: &Hub) {
    let mut looked = Instant::now();
    let mut have_left = false;
    loop {
        let has_place = hub.view.borrow().place.is_some() && hub.is_negotiated.get();
        let due = due(has_place, looked, hub.members.borrow().next_try());
        let woken = async {
            hub.to_look.wait().await;
        };
        future::or(woken, async {
            match due {
                Some(due) => drop(Timer::at(due).await),
                None => future::pending().await,
            }
        })
        .await;
        if looked.elapsed() >= LOOK_AGAIN {
            hub.all_dirty.set(true);
        }
        // The listener rings when it has reached the engine.
        if !hub.is_negotiated.get() {
            continue;
        }
        let place = hub.view.borrow().place.clone();
        let done = match &place {
            Some(place) => look(hub, place, &mut looked).await.map(|()| false),
            None if have_left => continue,
            None => leave(hub).await,
        };
        have_left = done == Ok(true);
        match done {
            Ok(_) => {}
            Err(error) => {
                hub.note_engine(Some(error.to_string()));
                hub.network.set(None);
                hub.all_dirty.set(true);
                Timer::after(FIRST_TRY).await;
                hub.to_look.ring();
            }
        }
        talk::tell_members(hub);
    }
}

/// When to look without being asked. A host that has no place, or no engine yet, has nothing to look at, and is asked when
/// it has: a time that is over would come again and again at once.
fn due(has_place: bool, looked: Instant, next_try: Option<Instant>) -> Option<Instant> {
    let again = looked + LOOK_AGAIN;
    has_place.then(|| next_try.map_or(again, |next| next.min(again)))
}

async fn look(hub: &Hub, place: &Place, looked: &mut Instant) -> Result<(), EngineError> {
    let Some(network) = network(hub, place).await? else {
        Timer::after(LAST_TRY).await;
        hub.look_at_all();
        return Ok(());
    };
    let now = Instant::now();
    let due: Vec<EngineId> = {
        let members = &mut *hub.members.borrow_mut();
        let again = members.again.iter().filter(|(_, at)| **at <= now).map(|(id, _)| *id);
        let due = members.tries.iter().filter(|(_, (_, at))| *at <= now).map(|(id, _)| *id).chain(again).collect();
        members.again.retain(|_, at| *at > now);
        due
    };
    if hub.all_dirty.replace(false) {
        hub.dirty.borrow_mut().clear();
        let listing = list(hub, place).await.inspect_err(|_| hub.all_dirty.set(true))?;
        *looked = Instant::now();
        take_all(hub, place, &listing);
        for seen in &listing.containers {
            judge(hub, place, network, seen).await?;
        }
        hub.is_listed.set(true);
        return Ok(());
    }
    hub.dirty.borrow_mut().extend(due);
    loop {
        let Some(id) = hub.dirty.borrow_mut().pop_first() else { return Ok(()) };
        match hub.engine.list_one(id).await? {
            None => gone(hub, id),
            Some(json) => match container::parse(&json, &place.label) {
                Ok(seen) if seen.is_labelled && !hub.members.borrow().has_room(seen.id) => {
                    hub.members.borrow_mut().holds(seen.id, seen.holds());
                    hub.look_at_all();
                }
                Ok(seen) => {
                    hub.members.borrow_mut().holds(seen.id, seen.holds());
                    judge(hub, place, network, &seen).await?;
                }
                Err(error) => warn!("cannot read a container: {error}"),
            },
        }
        // Each as soon as it is so.
        talk::tell_members(hub);
    }
}

fn take_all(hub: &Hub, place: &Place, listing: &Listing) {
    let before = hub.members.borrow().beyond();
    if listing.beyond > 0 && before == 0 {
        warn!("{} containers with the label are too many for the network and do not join", listing.beyond);
    }
    let gone_ones = hub.members.borrow_mut().take_all(listing);
    gone_ones.into_iter().for_each(|id| gone(hub, id));
    let taken = hub.members.borrow().taken();
    let mut freed = hub.freed.borrow_mut();
    for address in taken.iter().filter(|address| place.gives(**address)) {
        freed.give(place, *address);
    }
    if !hub.is_listed.get() {
        freed.settle(place, &taken);
    }
}

fn gone(hub: &Hub, id: EngineId) {
    let (freed, somebody_waits) = hub.members.borrow_mut().gone(id);
    if let Some(address) = freed {
        hub.freed.borrow_mut().free(address);
    }
    // Who found no address, or no room, may find one now.
    if somebody_waits {
        hub.look_at_all();
    }
}

async fn judge(hub: &Hub, place: &Place, network: EngineId, seen: &Seen) -> Result<(), EngineError> {
    let (verdict, waits) = {
        let members = hub.members.borrow();
        let before = members
            .told
            .get(&seen.id)
            .map(|member| member.address)
            .filter(|address| *address != 0 && members.is_alone(seen.id, Some(*address)));
        let is_alone = members.is_alone(seen.id, seen.holds());
        let waits = members.tries.get(&seen.id).is_some_and(|(_, at)| *at > Instant::now());
        (seen.judge(place, network, is_alone, before), waits)
    };
    let was_joined = hub.members.borrow().told.get(&seen.id).is_some_and(|member| member.state == MemberState::Joined);
    match verdict {
        Verdict::Foreign => {
            if was_joined && seen.endpoint.is_some() {
                // The network's label is another one now.
                change(hub.engine.address(), hub.engine.api(), Request::Disconnect(seen.id)).await?;
            }
            let mut members = hub.members.borrow_mut();
            members.told.remove(&seen.id);
            members.tries.remove(&seen.id);
        }
        Verdict::Waits => {
            let mut members = hub.members.borrow_mut();
            members.tries.remove(&seen.id);
            members.told.remove(&seen.id);
        }
        Verdict::Joined(address) => {
            note(hub, seen, MemberState::Joined, address, "");
            see_to_names(hub, place, seen).await;
        }
        Verdict::Cannot(why) => {
            if !hub.members.borrow().told.contains_key(&seen.id) {
                warn!("{} cannot join the managed network: {why}", seen.name);
            }
            note(hub, seen, MemberState::Refused, 0, why);
        }
        Verdict::Join { .. } if waits => {}
        Verdict::Join { leave, leave_none, keep } => match join(hub, place, seen, leave, leave_none, keep).await {
            Ok(Some(address)) => {
                info!("{} has joined with {}", seen.name, Ipv4Addr::from_bits(address));
                note(hub, seen, MemberState::Joined, address, "");
                see_to_names(hub, place, seen).await;
            }
            Ok(None) => {
                hub.members.borrow_mut().is_full = true;
                hub.to_greet.ring();
                failed(hub, seen, "all addresses of this host are taken; more were asked for");
                // A new block ends the wait.
                let said = &mut hub.members.borrow_mut().tries;
                said.entry(seen.id).and_modify(|(_, at)| *at = Instant::now() + LAST_TRY);
            }
            // The engine is away, or hangs: that is nothing about this container.
            Err(error) if !matches!(error, EngineError::Refused { .. }) => return Err(error),
            Err(error) => {
                let message = match &error {
                    EngineError::Refused { message, .. } => message.clone(),
                    error => error.to_string(),
                };
                if message.contains("network") && message.contains("not found") {
                    hub.network.set(None);
                }
                failed(hub, seen, &message);
            }
        },
    }
    Ok(())
}

/// Joins it; its address, or `None` if there is none left.
async fn join(
    hub: &Hub,
    place: &Place,
    seen: &Seen,
    leave: bool,
    leave_none: bool,
    keep: Option<u32>,
) -> Result<Option<u32>, EngineError> {
    let (address, api) = (hub.engine.address(), hub.engine.api());
    if leave {
        change(address, api, Request::Disconnect(seen.id)).await?;
        hub.members.borrow_mut().holders.remove(&seen.id);
    }
    if leave_none {
        change(address, api, Request::DisconnectNone(seen.id)).await?;
    }
    let mut refused = BTreeSet::new();
    loop {
        let chosen = {
            let mut taken = hub.members.borrow().taken();
            taken.extend(&refused);
            let keep = keep.filter(|address| !taken.contains(address));
            keep.or_else(|| hub.freed.borrow().choose(place, &taken))
        };
        let Some(chosen) = chosen else { return Ok(None) };
        if hub.freed.borrow_mut().give(place, chosen) {
            upkeep::save_freed(hub);
        }
        match change(address, api, Request::Connect(seen.id, Ipv4Addr::from_bits(chosen))).await {
            Ok(_) => {
                hub.members.borrow_mut().holders.insert(seen.id, chosen);
                return Ok(Some(chosen));
            }
            // Somebody has it of whom the list did not tell.
            Err(EngineError::Refused { message, .. })
                if message.contains("already in use") && refused.len() < ADDRESSES =>
            {
                debug!("{}: {message}", seen.name);
                refused.insert(chosen);
            }
            Err(error) => return Err(error),
        }
    }
}

fn note(hub: &Hub, seen: &Seen, state: MemberState, address: u32, reason: &str) {
    let mut members = hub.members.borrow_mut();
    let reason = one_line(reason, limits::NETWORK_REASON);
    members.told.insert(seen.id, Member { name: seen.name.clone(), state, address, reason });
    if state != MemberState::Refused {
        members.tries.remove(&seen.id);
    }
}

fn failed(hub: &Hub, seen: &Seen, why: &str) {
    let tries = {
        let mut members = hub.members.borrow_mut();
        let tries = members.tries.get(&seen.id).map_or(1, |(tries, _)| tries + 1);
        let wait = FIRST_TRY.saturating_mul(1 << tries.min(16).saturating_sub(1)).min(LAST_TRY);
        members.tries.insert(seen.id, (tries, Instant::now() + wait));
        tries
    };
    if tries == 1 {
        warn!("{} has not joined the managed network: {}; trying again", seen.name, one_line(why, 200));
    }
    if tries >= TELL || hub.members.borrow().is_full {
        note(hub, seen, MemberState::Refused, 0, why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_without_a_place_does_not_wait_for_a_time_that_is_over() {
        let looked = Instant::now();
        assert_eq!(due(false, looked, None), None);
        assert_eq!(due(false, looked, Some(looked)), None);
        assert_eq!(due(true, looked, None), Some(looked + LOOK_AGAIN));
        assert_eq!(due(true, looked, Some(looked + FIRST_TRY)), Some(looked + FIRST_TRY));
    }
}
