//! What a fleet keeps in memory, and who is told when it changes.

use super::docker_clients::DockerClients;
use super::feed::Feed;
use super::host::{Host, Now};
use super::hosts::Hosts;
use super::sessions::Sessions;
use super::{HostCell, describe, sign_in};
use crate::access::tokens::{ApiTokens, JoinTokens};
use crate::alerts::Touched;
use crate::api::types::Change;
use crate::store::{EventRow, FleetRow};
use crate::time::now_ms;
use muster_protocol::id::{EngineId, HostId};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Instant;

/// What is in memory: shared with what follows from a commit, on the store's thread.
#[derive(Debug)]
pub(super) struct State {
    pub(super) hosts: RwLock<Hosts>,
    pub(super) feed: Feed,
    pub(super) join_tokens: Mutex<JoinTokens>,
    pub(super) api_tokens: Mutex<ApiTokens>,
    pub(super) docker: DockerClients,
    pub(super) sessions: Sessions,
    /// Who signs in by a browser.
    pub(super) people: sign_in::People,
    /// What agents are to recognise and reach the server by.
    pub(super) trust: Mutex<FleetRow>,
    /// What alerts are to look at.
    pub(super) touched: Arc<Touched>,
    pub(super) started: Instant,
    /// By how much tests have let the time run ahead, in milliseconds.
    #[cfg(test)]
    pub(super) ahead: std::sync::atomic::AtomicU64,
}

impl State {
    pub(super) fn now(&self) -> Now {
        // Saturates in 580 million years.
        let monotonic_ms = self.started.elapsed().as_millis() as u64;
        #[cfg(test)]
        let monotonic_ms = monotonic_ms + self.ahead.load(std::sync::atomic::Ordering::Relaxed);
        Now { wall_ms: now_ms(), monotonic_ms }
    }

    pub(super) fn hosts(&self) -> RwLockReadGuard<'_, Hosts> {
        self.hosts.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn cells(&self) -> Vec<Arc<HostCell>> {
        self.hosts().by_id.values().cloned().collect()
    }

    pub(super) fn cell(&self, id: HostId) -> Option<Arc<HostCell>> {
        self.hosts().by_id.get(&id).cloned()
    }

    pub(super) fn hosts_mut(&self) -> RwLockWriteGuard<'_, Hosts> {
        self.hosts.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// A host has joined and is durable.
    pub(super) fn insert(&self, host: Host) -> Arc<HostCell> {
        self.hosts_mut().insert(host)
    }

    /// What a host is found by may have changed, and is durable.
    pub(super) fn index(&self, cell: &HostCell) {
        let same = cell.live().credentials() == *cell.known_by();
        if !same {
            self.hosts_mut().index(cell);
        }
    }

    /// Tells those who watch what has changed of a host, and is durable.
    pub(super) fn publish(&self, cell: &HostCell, containers: &[EngineId], host_changed: bool, events: &[EventRow]) {
        let newest = events.last().map_or(0, |row| row.id);
        let host = cell.live();
        self.touched.note(cell.id, containers, host_changed, !events.is_empty());
        let host_id = cell.id.to_string();
        if host_changed {
            self.feed.publish_with(newest, || Change::Host(host.view()));
        }
        for id in containers {
            self.feed.publish_with(newest, || match host.container_view(id) {
                Some(container) => Change::Container(container),
                None => Change::ContainerGone { host_id: host_id.clone(), id: id.to_string() },
            });
        }
        let of = describe::Of { id: &host_id, name: &host.row.name };
        for row in events {
            self.feed.publish_with(newest, || Change::Event(describe::event(row, of, |id| host.container_name(id))));
        }
    }
}
