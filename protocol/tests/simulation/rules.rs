//! The rules, as checks.

use crate::engine::Engine;
use crate::server::{Line, Server};
use crate::world::Readings;
use muster_protocol::id::{EngineId, EventIdentity};
use std::collections::{BTreeMap, HashMap, HashSet};

/// After every message: what is shown is what was read under the number that it claims, and numbers only grow.
pub fn view(
    server: &Server,
    readings: &Readings,
    newest: &mut BTreeMap<EngineId, ((u64, u64), u64)>,
) -> Result<(), String> {
    for (id, held) in server.mirror.held() {
        if held.touched == (0, 0) && !held.exists() {
            continue; // Only events were heard of it.
        }
        let shown = held.exists().then(|| held.body.to_vec());
        if let Some(made) = readings.made.get(&(held.touched, *id))
            && *made != shown
        {
            return Err(format!("rule 1: {id:?} is not what {:?} read", held.touched));
        }
        let known = newest.entry(*id).or_default();
        let now = (held.touched, readings.ticks.get(&held.touched).copied().unwrap_or(known.1));
        if now.0 < known.0 || now.1 < known.1 {
            return Err(format!("rule 2: {id:?} goes back from {known:?} to {now:?}"));
        }
        *known = now;
    }
    let Some(at) = server.completed else { return Ok(()) };
    let listed = readings.lists.get(&at).ok_or("rule 1: a list that was never made took effect")?;
    for id in listed {
        let held = server.mirror.get(id).ok_or_else(|| format!("rule 1: {id:?} was listed and is not held"))?;
        if held.touched < at {
            return Err(format!("rule 1: {id:?} was listed at {at:?} and is shown as of {:?}", held.touched));
        }
    }
    for (id, held) in server.mirror.held() {
        if held.exists() && !listed.contains(id) && held.touched <= at {
            return Err(format!("rule 1: {id:?} was not listed at {at:?} and is shown"));
        }
    }
    Ok(())
}

/// In the end, when everything was delivered.
pub fn end(
    server: &Server,
    engine: &Engine,
    indices: &HashMap<EventIdentity, usize>,
    first_heard: Option<usize>,
    limit: usize,
) -> Result<(), String> {
    let shown: BTreeMap<EngineId, Vec<u8>> =
        server.mirror.held().filter(|(_, h)| h.exists()).map(|(id, h)| (*id, h.body.to_vec())).collect();
    let truth: BTreeMap<EngineId, Vec<u8>> =
        engine.containers.iter().map(|(id, truth)| (*id, Engine::encode(*id, truth))).collect();
    let hidden = truth.len().saturating_sub(limit);
    if shown.len() + hidden != truth.len() || shown.iter().any(|(id, body)| truth.get(id) != Some(body)) {
        return Err("rule 1: in the end the view is not the engine's".into());
    }
    let mut seen = HashSet::new();
    let mut told: BTreeMap<(EngineId, String), usize> = BTreeMap::new();
    let mut expected = first_heard;
    let mut gap = true; // Before the first event that the agent could hear, nothing is owed.
    for line in &server.disk.history {
        match line {
            Line::Event(identity) => {
                if !seen.insert(*identity) {
                    return Err("rule 3: an event is stored twice".into());
                }
                let index = indices[identity];
                let due = expected.unwrap_or(index);
                if index < due && !gap {
                    return Err(format!("rule 2: event {index} stands behind a later one"));
                }
                if index > due && !gap {
                    return Err(format!("rule 4: events {due} to {} are missing without a gap", index - 1));
                }
                expected = Some(index + 1);
                gap = false;
                let (id, action) = engine.log[index].clone();
                *told.entry((id, action)).or_default() += 1;
            }
            Line::Gap => gap = true,
            Line::Derived(id, action) => *told.entry((*id, action.clone())).or_default() += 1,
        }
    }
    if expected.is_some_and(|due| due < engine.log.len()) && !gap {
        return Err(format!("rule 4: the last events, from {expected:?}, are missing without a gap"));
    }
    for ((id, action), count) in told {
        let really = engine.happened.get(&(id, action.clone())).copied().unwrap_or(0);
        if count > really {
            return Err(format!("rule 3: {action} of {id:?} is told {count} times and happened {really} times"));
        }
    }
    Ok(())
}
