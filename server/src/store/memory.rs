//! A store for tests: in memory, and made to fail at will.

use super::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Keeps what a real store would, until it is dropped.
#[derive(Debug, Default)]
pub(crate) struct MemoryStore {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default, Clone)]
struct Kept {
    hosts: BTreeMap<HostId, HostRow>,
    streams: BTreeMap<(HostId, u8), StreamRow>,
    containers: BTreeMap<(HostId, EngineId), ContainerRow>,
    join_tokens: BTreeMap<String, JoinTokenRow>,
    api_tokens: BTreeMap<String, ApiTokenRow>,
    users: BTreeMap<String, UserRow>,
    web_sessions: BTreeMap<String, WebSessionRow>,
    docker_clients: BTreeMap<String, DockerClientRow>,
    events: BTreeMap<u64, EventRow>,
    fleet: Option<FleetRow>,
    network: Option<NetworkRow>,
    network_members: BTreeMap<HostId, NetworkMemberRow>,
    alert_settings: BTreeMap<String, AlertSettingRow>,
    alerts: BTreeMap<u64, AlertRow>,
    notices: BTreeMap<u64, NoticeRow>,
    audit: Vec<AuditRow>,
    newest_event: u64,
    failures: u32,
    /// How often one host cannot be read.
    unreadable: u32,
    commits: u64,
}

impl MemoryStore {
    /// Empty.
    pub(crate) fn new() -> MemoryStore {
        MemoryStore::default()
    }

    /// Makes the next `count` commits fail; nothing of them is kept. 0 heals it.
    pub(crate) fn fail_commits(&self, count: u32) {
        self.kept().failures = count;
    }

    /// Makes the next reading of one host fail.
    pub(crate) fn fail_next_load_of_host(&self) {
        self.kept().unreadable = 1;
    }

    /// How many commits succeeded.
    pub(crate) fn commits(&self) -> u64 {
        self.kept().commits
    }

    /// What a server would find that starts now: a store of its own with the same rows.
    pub(crate) fn restarted(&self) -> MemoryStore {
        MemoryStore { kept: Mutex::new(self.kept().clone()) }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Store for MemoryStore {
    fn load(&self) -> Result<Snapshot, StoreError> {
        let kept = self.kept();
        Ok(Snapshot {
            hosts: kept.hosts.values().cloned().collect(),
            streams: kept.streams.values().cloned().collect(),
            containers: kept.containers.values().cloned().collect(),
            join_tokens: kept.join_tokens.values().cloned().collect(),
            api_tokens: kept.api_tokens.values().cloned().collect(),
            users: kept.users.values().cloned().collect(),
            web_sessions: kept.web_sessions.values().cloned().collect(),
            docker_clients: kept.docker_clients.values().cloned().collect(),
            fleet: kept.fleet.clone(),
            network: kept.network.clone(),
            network_members: kept.network_members.values().cloned().collect(),
            alert_settings: kept.alert_settings.values().cloned().collect(),
            alerts: kept.alerts.values().cloned().collect(),
            notices: kept.notices.values().cloned().collect(),
        })
    }

    fn load_host(&self, host: HostId) -> Result<Snapshot, StoreError> {
        let mut all = self.load()?;
        if std::mem::take(&mut self.kept().unreadable) > 0 {
            return Err(StoreError { message: "the test said that this cannot be read".to_owned() });
        }
        all.hosts.retain(|row| row.id == host);
        all.streams.retain(|row| row.host == host);
        all.containers.retain(|row| row.host == host);
        let (hosts, streams, containers) = (all.hosts, all.streams, all.containers);
        Ok(Snapshot { hosts, streams, containers, ..Snapshot::default() })
    }

    fn commit(&self, writes: &[Write]) -> Result<(), StoreError> {
        let mut kept = self.kept();
        if kept.failures > 0 {
            kept.failures -= 1;
            return Err(StoreError { message: "the test said that this commit fails".to_owned() });
        }
        for write in writes.iter().cloned() {
            match write {
                Write::Host(row) => drop(kept.hosts.insert(row.id, row)),
                Write::HostGone(gone) => {
                    kept.hosts.remove(&gone);
                    kept.streams.retain(|(host, _), _| *host != gone);
                    kept.containers.retain(|(host, _), _| *host != gone);
                }
                Write::Stream(row) => drop(kept.streams.insert((row.host, row.stream), row)),
                Write::Container(row) => drop(kept.containers.insert((row.host, row.id), row)),
                Write::ContainerGone(host, id) => drop(kept.containers.remove(&(host, id))),
                Write::ContainersGone(gone) => kept.containers.retain(|(host, _), _| *host != gone),
                Write::Event(row) => {
                    kept.newest_event = kept.newest_event.max(row.id);
                    kept.events.insert(row.id, row);
                }
                Write::JoinToken(row) => drop(kept.join_tokens.insert(row.id.clone(), row)),
                Write::JoinTokenGone(id) => drop(kept.join_tokens.remove(&id)),
                Write::ApiToken(row) => drop(kept.api_tokens.insert(row.id.clone(), row)),
                Write::ApiTokenGone(id) => drop(kept.api_tokens.remove(&id)),
                Write::User(row) => drop(kept.users.insert(row.name.clone(), row)),
                Write::UserGone(name) => drop(kept.users.remove(&name)),
                Write::WebSession(row) => drop(kept.web_sessions.insert(row.id.clone(), row)),
                Write::WebSessionGone(id) => drop(kept.web_sessions.remove(&id)),
                Write::DockerClient(row) => drop(kept.docker_clients.insert(row.id.clone(), row)),
                Write::DockerClientGone(id) => drop(kept.docker_clients.remove(&id)),
                Write::Fleet(row) => kept.fleet = Some(row),
                Write::Network(row) => kept.network = Some(row),
                Write::NetworkMember(row) => drop(kept.network_members.insert(row.host, row)),
                Write::NetworkMemberGone(host) => drop(kept.network_members.remove(&host)),
                Write::NetworkMembersGone => kept.network_members.clear(),
                Write::AlertSetting(row) => drop(kept.alert_settings.insert(row.key.clone(), row)),
                Write::AlertSettingGone(key) => drop(kept.alert_settings.remove(&key)),
                Write::Alert(row) => drop(kept.alerts.insert(row.id, row)),
                Write::AlertGone(id) => drop(kept.alerts.remove(&id)),
                Write::Notice(row) => drop(kept.notices.insert(row.id, row)),
                Write::NoticeGone(id) => drop(kept.notices.remove(&id)),
                Write::Audit(row) => {
                    let id = kept.audit.len() as u64 + 1;
                    kept.audit.push(AuditRow { id, ..row });
                }
            }
        }
        kept.commits += 1;
        Ok(())
    }

    fn events(
        &self,
        after: u64,
        _span: Span,
        limit: usize,
        keep: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<Vec<EventRow>, StoreError> {
        let kept = self.kept();
        let mut page = Vec::new();
        for (_, event) in kept.events.range(after.saturating_add(1)..) {
            if page.len() >= limit {
                break;
            }
            match keep(event) {
                Keep::Yes => page.push(event.clone()),
                Keep::No => {}
                Keep::Stop => break,
            }
        }
        Ok(page)
    }

    fn events_before(
        &self,
        before: u64,
        _span: Span,
        keep: &mut dyn FnMut(&EventRow) -> Keep,
    ) -> Result<(), StoreError> {
        for event in self.kept().events.range(..before).rev().map(|(_, event)| event) {
            if keep(event) == Keep::Stop {
                break;
            }
        }
        Ok(())
    }

    fn audit(&self, before: u64, limit: usize) -> Result<Vec<AuditRow>, StoreError> {
        Ok(self.kept().audit.iter().rev().filter(|row| row.id < before).take(limit).cloned().collect())
    }

    fn newest_event(&self) -> Result<u64, StoreError> {
        Ok(self.kept().newest_event)
    }
}
