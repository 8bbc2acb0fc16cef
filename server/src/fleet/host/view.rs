//! A host and its containers as operators see them.

use super::{Host, HostState};
use crate::api::types;
use crate::fleet::describe::{self, Of};
use crate::fleet::orders::pace_seconds;
use crate::time::format_ms;
use muster_protocol::batch::EngineState;
use muster_protocol::container::{State, Summary};
use muster_protocol::id::EngineId;
use muster_protocol::mirror::Held;

impl Host {
    /// Whether what is known of its containers may be old.
    pub fn is_stale(&self) -> bool {
        !self.listed || self.liveness.state() != HostState::Active || self.row.engine.state != EngineState::Ok as u8
    }

    /// As the API shows it.
    pub fn view(&self) -> types::Host {
        let row = &self.row;
        let filled = |text: &String| (!text.is_empty()).then(|| text.clone());
        types::Host {
            id: row.id.to_string(),
            name: row.name.clone(),
            state: row.state.clone(),
            since: format_ms(row.since_ms),
            labels: row.labels.clone(),
            last_seen: row.last_seen_ms.map(format_ms),
            interval: f64::from(row.interval_ms) / 1000.0,
            interval_set: row.orders.interval_ms.map(|ms| f64::from(ms) / 1000.0),
            engine: types::Engine {
                state: (row.engine.state != 0).then(|| EngineState::from_number(row.engine.state).word().into()),
                since: row.engine.since_ms.map(format_ms),
                version: filled(&row.engine.version),
                api_version: filled(&row.engine.api_version),
            },
            agent_version: filled(&row.facts.agent_version),
            os: filled(&row.facts.os),
            arch: filled(&row.facts.arch),
            kernel: filled(&row.facts.kernel),
            containers: self.counts.clone(),
            hidden: row.hidden,
            events_dropped: row.events_dropped,
            conflict: row.conflict,
            sync_error: row.sync_error,
            credential: self.credential_word().into(),
            vitals_interval_set: row.orders.vitals_ms.map(pace_seconds),
            vitals: self.vitals.host(),
        }
    }

    /// One container as the API shows it; `None` if the host does not have it.
    pub fn container_view(&self, id: &EngineId) -> Option<types::Container> {
        let held = self.mirror.get(id).filter(|held| held.exists())?;
        let host_id = self.row.id.to_string();
        self.describe(id, held, &host_id)
    }

    fn describe(&self, id: &EngineId, held: &Held, host_id: &str) -> Option<types::Container> {
        let of = Of { id: host_id, name: &self.row.name };
        let as_of = self.row.listed_ms.or(self.row.last_seen_ms).unwrap_or(self.row.joined_ms);
        let mut container = describe::container(of, &held.body, self.is_stale(), as_of)?;
        let is_up = State::WORDS.iter().any(|(state, word)| state.is_up() && *word == container.state);
        container.vitals = self.container_vitals(id, is_up);
        Some(container)
    }

    /// Its containers as the API shows them; those that never started only with `all`.
    pub fn container_views(&self, all: bool) -> impl Iterator<Item = types::Container> {
        let host_id = self.row.id.to_string();
        self.mirror.held().filter(|(_, held)| held.exists()).filter_map(move |(id, held)| {
            let container = self.describe(id, held, &host_id)?;
            (all || container.started_at.is_some() || container.state != "created").then_some(container)
        })
    }

    /// The containers that the host has.
    pub fn existing(&self) -> impl Iterator<Item = EngineId> {
        self.mirror.held().filter(|(_, held)| held.exists()).map(|(id, _)| *id)
    }

    /// The name of one of its containers.
    pub fn container_name(&self, id: &EngineId) -> Option<String> {
        let held = self.mirror.get(id).filter(|held| !held.body.is_empty())?;
        Summary::of(&held.body).map(|container| container.name.into())
    }
}
