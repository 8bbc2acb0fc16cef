//! What can be read of the fleet.

use super::{ContainerSelect, EventSelect, Fleet, HostCell, Refusal, describe};
use crate::api::{select, types};
use crate::store::{EventRow, Keep};
use muster_protocol::id::{EngineId, HostId};
use std::sync::Arc;

/// Rows that one look into the history may pass over, so that a rare filter cannot hold the store for long: the
/// page that it ends is empty, and its cursor goes on.
const ROWS_AT_ONCE: usize = 200_000;

/// A page of events. It can be empty and have a next one.
#[derive(Debug, Default)]
pub struct EventPage {
    /// Oldest first.
    pub events: Vec<types::Event>,
    /// Where the next page begins, if there is more to look at.
    pub next: Option<u64>,
}

impl Fleet {
    /// By name. Removed ones only with `removed`.
    pub fn hosts(&self, removed: bool) -> Vec<types::Host> {
        let mut hosts: Vec<types::Host> = Vec::new();
        for cell in self.cells() {
            let host = cell.live();
            if removed || !host.is_removed() {
                hosts.push(host.view());
            }
        }
        hosts.sort_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
        hosts
    }

    /// By id or name.
    pub fn host(&self, host: &str) -> Result<types::Host, Refusal> {
        Ok(self.find_host(host)?.live().view())
    }

    /// A host that is not removed, by id or name.
    pub(super) fn find_host(&self, host: &str) -> Result<Arc<HostCell>, Refusal> {
        let by_id = HostId::parse(host).and_then(|id| self.cell(id)).filter(|cell| !cell.live().is_removed());
        let named = || {
            self.cells().into_iter().find(|cell| {
                let live = cell.live();
                live.row.name == host && !live.is_removed()
            })
        };
        by_id.or_else(named).ok_or_else(|| Refusal::NotFound(format!("no host has the name or id {host:?}")))
    }

    /// By host's name, then container's name, then id.
    pub fn containers(&self, wanted: &ContainerSelect) -> Vec<types::Container> {
        let mut containers = Vec::new();
        for cell in self.cells() {
            let host = cell.live();
            let named = |name: &String| *name == host.row.name || *name == host.row.id.to_string();
            if wanted.hosts.is_empty() || wanted.hosts.iter().any(named) {
                let views = host.container_views(wanted.all);
                containers.extend(views.filter(|container| select::container_matches(wanted, container)));
            }
        }
        containers.sort_by(|a, b| (&a.host, &a.name, &a.id).cmp(&(&b.host, &b.name, &b.id)));
        containers
    }

    /// One container by (host's id or name, container's id, unique beginning of an id, or name).
    pub fn container(&self, host: &str, container: &str) -> Result<types::Container, Refusal> {
        let cell = self.find_host(host)?;
        let found = matches(&cell, container);
        only(found, &format!("on host {host:?} {container:?}"), |it| it.id.clone())
    }

    /// One container by its id (or unique beginning) or name on any host; `Ambiguous` if several have it.
    pub fn container_anywhere(&self, container: &str) -> Result<types::Container, Refusal> {
        let found: Vec<_> = self.cells().iter().flat_map(|cell| matches(cell, container)).collect();
        only(found, &format!("{container:?}"), |it| format!("{}/{}", it.host, it.name))
    }

    /// A page of at most `limit` events with id > `after`, oldest first.
    pub async fn events(&self, after: u64, limit: usize, wanted: EventSelect) -> Result<EventPage, Refusal> {
        let names = Names::of(self);
        let history = self.history.clone();
        let outcome = smol::unblock(move || {
            let mut page = EventPage::default();
            let (mut seen, mut last) = (0, after);
            let mut matching = Vec::new();
            history.0.events(after, limit + 1, &mut |row| {
                if seen >= ROWS_AT_ONCE || matching.len() > limit {
                    page.next = Some(last);
                    return Keep::Stop;
                }
                seen += 1;
                let event = names.describe(row);
                if !select::event_matches(&wanted, &event) {
                    last = row.id;
                    return Keep::No;
                }
                if matching.len() == limit {
                    page.next = Some(last);
                    return Keep::Stop;
                }
                last = row.id;
                matching.push(event);
                // What the store would collect is described already.
                Keep::No
            })?;
            page.events = matching;
            Ok(page)
        });
        outcome.await.map_err(Refusal::Store)
    }
}

/// Those of a host's containers that a word means: a full id or a name means one, the beginning of an id all.
fn matches(cell: &HostCell, word: &str) -> Vec<types::Container> {
    let host = cell.live();
    if let Some(id) = EngineId::parse(word) {
        return host.container_view(&id).into_iter().collect();
    }
    let word = word.trim_start_matches('/');
    let named: Vec<_> = host.container_views(true).filter(|it| it.name == word).collect();
    if !named.is_empty() || word.is_empty() {
        return named;
    }
    host.container_views(true).filter(|it| it.id.starts_with(word)).collect()
}

fn only(
    mut found: Vec<types::Container>,
    what: &str,
    name: impl Fn(&types::Container) -> String,
) -> Result<types::Container, Refusal> {
    match found.len() {
        0 => Err(Refusal::NotFound(format!("no container has the name or id {what}"))),
        1 => Ok(found.remove(0)),
        n => {
            let candidates = found.iter().map(name).collect();
            Err(Refusal::Ambiguous(format!("{n} containers have the name or id {what}"), candidates))
        }
    }
}

/// What events do not say themselves: the names of hosts, and of containers on networks.
struct Names(std::collections::HashMap<HostId, (String, String, Arc<HostCell>)>);

impl Names {
    fn of(fleet: &Fleet) -> Names {
        let cells = fleet.cells().into_iter();
        Names(
            cells
                .map(|cell| {
                    let name = cell.live().row.name.clone();
                    (cell.id, (cell.id.to_string(), name, cell))
                })
                .collect(),
        )
    }

    fn describe(&self, row: &EventRow) -> types::Event {
        match self.0.get(&row.host) {
            Some((id, name, cell)) => {
                describe::event(row, describe::Of { id, name }, |container| cell.live().container_name(container))
            }
            None => {
                let id = row.host.to_string();
                describe::event(row, describe::Of { id: &id, name: &id }, |_| None)
            }
        }
    }
}
