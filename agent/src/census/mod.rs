//! The task that reads containers: all of them at every report, and one as soon as an event tells of it.

pub mod outbox;
mod parts;
pub mod roster;

use crate::docker::container::{ListElement, parse_list_element, to_container};
use crate::docker::engine::{Element, EngineError};
use crate::docker::inspect::Details;
use crate::hub::Hub;
use crate::refused::Call;
use async_io::Timer;
use futures_lite::future;
use log::{debug, warn};
use muster_protocol::batch::Absent;
use muster_protocol::id::EngineId;
use muster_protocol::record::Kind;
use muster_protocol::reporter::Reading;
use parts::Parts;
use std::time::{Duration, Instant};

/// One command on the host makes several events: they are waited for before their container is read.
const SETTLE: Duration = Duration::from_millis(25);
/// Containers that are read one by one before a report gets its turn again.
const AT_ONCE: usize = 64;
/// How often list and inspect are asked for one container until they agree on its state; then inspect's word counts.
const AGREEMENT: usize = 3;
/// The engine is asked at least this often whether it is there, however long the interval is.
const PROBE: Duration = Duration::from_secs(5);
/// If sending everything did not make the server's copy equal, it is done again after this.
const AGAIN: Duration = Duration::from_secs(60);
/// How often it is looked whether a call hangs.
const LOOK: Duration = Duration::from_secs(1);

/// Reads for ever.
pub async fn census(hub: &Hub) {
    let mut next = Instant::now();
    let mut probed = Instant::now();
    loop {
        let soon = hub.confirm_by.get().map_or(next, |by| by.min(next)).min(Instant::now() + PROBE);
        future::or(hub.to_read.wait(), async {
            Timer::at(soon).await;
        })
        .await;
        let ready = hub.online.get() && listens(hub);
        if ready && hub.roster.borrow().has_changed() {
            Timer::after(SETTLE).await;
            read_changed(hub).await;
        }
        let now = Instant::now();
        if ready && (now >= next || hub.confirm_by.get().is_some_and(|by| now >= by)) {
            hub.list_now.set(true);
        }
        if now >= next {
            next = now + hub.interval.get();
        }
        // What waits in the outbox is older than what would be read now, and has to go first: then we are woken.
        if ready && hub.list_now.get() && hub.outbox.borrow().is_empty() {
            hub.list_now.set(false);
            hub.confirm_by.set(None);
            (probed, next) = (now, now + hub.interval.get());
            read_all(hub).await;
        } else if listens(hub) && now >= probed + PROBE {
            // While there is no stream, whoever tries to open one asks.
            probed = now;
            ask(hub, hub.engine.ping()).await.ok();
        }
    }
}

/// Whether what happens is heard, or cannot be heard at all.
fn listens(hub: &Hub) -> bool {
    hub.subscribed.get() || hub.refused.borrow().is(Call::Events)
}

/// Looks whether a call to the engine hangs, for ever.
pub async fn look_after(hub: &Hub) {
    loop {
        Timer::after(LOOK).await;
        if hub.health.borrow_mut().pass(Instant::now()) {
            warn!("the engine has not answered for {} seconds", crate::health::PATIENCE.as_secs());
            hub.engine_changed();
        }
    }
}

/// Waits for a call, and notes what that says of the engine.
async fn ask<T>(hub: &Hub, call: impl Future<Output = Result<T, EngineError>>) -> Result<T, EngineError> {
    hub.health.borrow_mut().ask(Instant::now());
    let outcome = call.await;
    note(hub, outcome.as_ref().map(|_| ()));
    outcome
}

fn note(hub: &Hub, outcome: Result<(), &EngineError>) {
    // An error about one container is an answer of the engine.
    let outcome = match outcome {
        Err(EngineError::Refused { .. } | EngineError::TooLarge) => Ok(()),
        other => other,
    };
    if hub.health.borrow_mut().hear(Instant::now(), outcome) {
        hub.engine_changed();
    }
}

/// Why a reading was given up.
enum Ended {
    Engine(EngineError),
    /// The server was lost or greeted us anew: what was read is of no use any more.
    Uplink,
}

impl From<EngineError> for Ended {
    fn from(error: EngineError) -> Ended {
        Ended::Engine(error)
    }
}

async fn read_all(hub: &Hub) {
    // The number is taken before the engine is asked: what a later number has touched keeps that state.
    let Some(reading) = hub.reporter.borrow_mut().begin_reading() else { return };
    hub.roster.borrow_mut().begin_sweep();
    if hub.refused.borrow().is(Call::Events) {
        // A list does not show that a container was restarted, and nothing else tells.
        hub.roster.borrow_mut().doubt_all();
    }
    let ended = sweep(hub, reading).await;
    if ended.is_err() {
        // Some of what has changed may have been read and is not on its way.
        hub.ledger.borrow_mut().doubt();
    }
    match ended {
        Ok(()) => {}
        Err(Ended::Engine(error)) => debug!("the list was not read: {error}"),
        Err(Ended::Uplink) => debug!("the list is not wanted any more"),
    }
}

async fn sweep(hub: &Hub, reading: Reading) -> Result<(), Ended> {
    let mut parts = Parts::begin(hub, reading);
    let digests = hub.reporter.borrow().understands(Kind::Digest);
    let rested = hub.all_sent.get().is_none_or(|then| then.elapsed() >= AGAIN);
    let mut report = hub.ledger.borrow_mut().begin(reading.seq, digests, rested);
    if report.everything {
        hub.all_sent.set(Some(Instant::now()));
    }
    let listed = ask(hub, hub.engine.list()).await;
    hub.refused.borrow_mut().note(Call::List, &listed, Instant::now());
    let mut list = listed?;
    loop {
        hub.health.borrow_mut().ask(Instant::now());
        let next = list.next().await;
        note(hub, next.as_ref().map(|_| ()));
        let json = match next? {
            Some(Element::Whole(json)) => json,
            Some(Element::TooLarge { id }) => {
                warn!("container {id:?} has a description too large to report");
                if let Some(id) = id {
                    parts.lose(&report, id).await?;
                }
                hub.roster.borrow_mut().hide();
                continue;
            }
            None => break,
        };
        let element = match parse_list_element(json) {
            Ok(element) => element,
            Err(error) => {
                warn!("cannot read a container of the list: {error}");
                hub.roster.borrow_mut().hide();
                continue;
            }
        };
        if !hub.roster.borrow_mut().see(element.id) {
            continue;
        }
        match details_of(hub, &element).await {
            Some((mut details, mut missing)) => {
                if details.state != element.state && !missing && hub.roster.borrow_mut().doubt(&element.id) {
                    // It changed between the list and inspect. What the list shows is whole; then it is read anew.
                    (details, missing) = (element.details_from_status(), true);
                    hub.to_read.ring();
                }
                parts.list(&mut report, &to_container(&element, &details, missing)).await?;
            }
            // It went while the list was read.
            None => parts.lose(&report, element.id).await?,
        }
        // Events come first.
        future::yield_now().await;
    }
    loop {
        let unseen = hub.roster.borrow_mut().take_unseen();
        let Some((id, mut sent)) = unseen else { break };
        parts.gone(&report, id, &mut sent).await?;
    }
    let hidden = hub.roster.borrow_mut().end_sweep();
    let (end, digest) = report.end(hidden);
    if let Some(end) = end {
        parts.put(Kind::ListEnd, &end).await?;
    }
    if let Some(digest) = digest {
        parts.put(Kind::Digest, &digest).await?;
    }
    hub.ledger.borrow_mut().finish(&report);
    parts.flush().await?;
    hub.listed.set(reading.seq);
    Ok(())
}

/// What inspect says of a listed container, and whether that is missing; `None` if it is gone.
async fn details_of(hub: &Hub, element: &ListElement<'_>) -> Option<(Details, bool)> {
    let fingerprint = element.fingerprint();
    if let Some(details) = hub.roster.borrow().details(&element.id, fingerprint) {
        return Some((details, false));
    }
    hub.roster.borrow_mut().begin_inspect(&element.id);
    if hub.refused.borrow().is_lately(Call::Inspect, Instant::now()) {
        hub.roster.borrow_mut().shown(&element.id, element.state);
        return Some((element.details_from_status(), true));
    }
    let inspected = ask(hub, hub.engine.inspect(element.id)).await;
    hub.refused.borrow_mut().note(Call::Inspect, &inspected, Instant::now());
    match inspected {
        Ok(Some((_, details))) => {
            hub.roster.borrow_mut().remember(&element.id, fingerprint, details);
            Some((details, false))
        }
        Ok(None) => None,
        Err(error) => {
            debug!("cannot inspect {:?}: {error}", element.id);
            hub.roster.borrow_mut().shown(&element.id, element.state);
            Some((element.details_from_status(), true))
        }
    }
}

/// Reads the containers that events have told of, one by one, and sends them together.
async fn read_changed(hub: &Hub) {
    let mut parts: Option<Parts<'_>> = None;
    for _ in 0..AT_ONCE {
        let Some(id) = hub.roster.borrow_mut().take_changed() else { break };
        let reading = hub.reporter.borrow_mut().begin_reading();
        let Some(reading) = reading else {
            hub.roster.borrow_mut().mark_changed(id);
            break;
        };
        let parts = parts.get_or_insert_with(|| Parts::begin(hub, reading));
        parts.reading = reading;
        match read_one(hub, parts, id).await {
            Ok(()) => {}
            Err(Ended::Engine(error)) => {
                // The next list has it.
                debug!("cannot read {id:?}: {error}");
                break;
            }
            Err(Ended::Uplink) => {
                hub.ledger.borrow_mut().doubt();
                return;
            }
        }
    }
    if let Some(mut parts) = parts
        && parts.flush().await.is_err()
    {
        hub.ledger.borrow_mut().doubt();
    }
    if hub.roster.borrow().has_changed() {
        hub.to_read.ring();
    }
}

async fn read_one(hub: &Hub, parts: &mut Parts<'_>, id: EngineId) -> Result<(), Ended> {
    let seq = parts.reading.seq;
    let mut tries = 0..AGREEMENT;
    while tries.next().is_some() {
        let Some(json) = ask(hub, hub.engine.list_one(id)).await? else { break };
        let element = match parse_list_element(&json) {
            Ok(element) if element.id == id => element,
            _ => {
                warn!("cannot read container {id}");
                return Ok(());
            }
        };
        let fingerprint = element.fingerprint();
        let carried = hub.roster.borrow_mut().carry_over(&id, fingerprint, element.details_from_status());
        let found = match carried {
            Some(details) => Some((details, false)),
            None => details_of(hub, &element).await,
        };
        let Some((details, missing)) = found else { break };
        if details.state == element.state || missing || tries.is_empty() {
            return parts.one(&to_container(&element, &details, missing)).await;
        }
        // It changed between the two answers, which together would show what never was.
        hub.roster.borrow_mut().distrust(&id);
    }
    let mut sent = hub.roster.borrow_mut().forget(&id);
    hub.ledger.borrow_mut().is_gone(&mut sent);
    parts.put(Kind::Absent, &Absent { seq, id }).await
}
