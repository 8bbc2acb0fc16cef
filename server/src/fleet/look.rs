//! What can be read of the fleet.

use super::{ContainerFind, ContainerSelect, EventSelect, Fleet, HostCell, Refusal, State, describe};
use crate::api::{select, types};
use crate::store::{EventRow, Keep, Span};
use muster_protocol::id::{EngineId, HostId};
use std::collections::HashMap;
use std::sync::Arc;

/// Rows that one look into the history may pass over, so that a rare filter cannot hold the store for long: the
/// page that it ends is empty, and its cursor goes on.
const ROWS_AT_ONCE: usize = if cfg!(test) { 10 } else { 200_000 };

/// A page of events. It can be empty and have a next one.
#[derive(Debug, Default)]
pub struct EventPage {
    /// In the order that was asked for.
    pub events: Vec<types::Event>,
    /// Where the next page begins, if there is more to look at.
    pub next: Option<u64>,
    /// When the oldest event that is kept was received, if older ones have been deleted.
    pub begins_ms: Option<i64>,
}

impl Fleet {
    /// At most `limit` hosts behind `after`, which is the key of one: its name and its id. In the order of these keys;
    /// removed ones only with `removed`.
    pub fn hosts(&self, removed: bool, after: Option<&[String; 2]>, limit: usize) -> Vec<types::Host> {
        let mut keys: Vec<(String, String, Arc<HostCell>)> = Vec::new();
        for cell in self.state.cells() {
            let host = cell.live();
            let name = host.row.name.as_str();
            if (removed || !host.is_removed()) && after.is_none_or(|[passed, _]| name >= passed.as_str()) {
                let (name, id) = (name.to_owned(), cell.id.to_string());
                drop(host);
                if after.is_none_or(|after| (&name, &id) > (&after[0], &after[1])) {
                    keys.push((name, id, cell));
                }
            }
        }
        keys.sort_unstable_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        keys.truncate(limit);
        keys.iter().map(|(_, _, cell)| cell.live().view()).collect()
    }

    /// How many hosts there are that are not removed.
    pub fn count_hosts(&self) -> usize {
        self.state.cells().iter().filter(|cell| !cell.live().is_removed()).count()
    }

    /// By id or name.
    pub fn host(&self, host: &str) -> Result<types::Host, Refusal> {
        Ok(self.find_host(host)?.live().view())
    }

    /// A host that is not removed, by id or name.
    pub(crate) fn find_host(&self, host: &str) -> Result<Arc<HostCell>, Refusal> {
        let by_id = HostId::parse(host).and_then(|id| self.cell(id)).filter(|cell| !cell.live().is_removed());
        let named = || {
            self.state.cells().into_iter().find(|cell| {
                let live = cell.live();
                live.row.name == host && !live.is_removed()
            })
        };
        by_id.or_else(named).ok_or_else(|| Refusal::NotFound(format!("no host has the name or id {host:?}")))
    }

    /// At most `limit` containers behind `after`, which is the key of one: its host's name, its name, its host's id and
    /// its own. In the order of these keys.
    pub async fn containers(
        &self,
        wanted: ContainerSelect,
        after: Option<[String; 4]>,
        limit: usize,
    ) -> Vec<types::Container> {
        let find = ContainerFind { select: wanted, ..ContainerFind::default() };
        self.list_containers(find, after, 0, limit).await.0
    }

    /// One container by (host's id or name, container's id, unique beginning of an id, or name).
    pub fn container(&self, host: &str, container: &str) -> Result<types::Container, Refusal> {
        let cell = self.find_host(host)?;
        let found = matches(&cell, container);
        let found = only(found, &format!("on host {host:?} {container:?}"), |it| it.id.clone())?;
        Ok(self.with_refusal(found))
    }

    /// One container by its id (or unique beginning) or name on any host; `Ambiguous` if several have it.
    pub fn container_anywhere(&self, container: &str) -> Result<types::Container, Refusal> {
        let found: Vec<_> = self.state.cells().iter().flat_map(|cell| matches(cell, container)).collect();
        let found = only(found, &format!("{container:?}"), |it| format!("{}/{}", it.host, it.name))?;
        Ok(self.with_refusal(found))
    }

    fn with_refusal(&self, mut container: types::Container) -> types::Container {
        self.network().mark_refused(std::slice::from_mut(&mut container));
        container
    }

    /// A page of at most `limit` events with id < `before`, newest first.
    pub async fn events_before(&self, before: u64, limit: usize, wanted: EventSelect) -> Result<EventPage, Refusal> {
        let place = self.scans.acquire_arc().await;
        let mut names = Names { state: self.state.clone(), known: HashMap::new() };
        let history = self.history.clone();
        let outcome = smol::unblock(move || {
            let _place = place;
            let mut page = EventPage::default();
            let (mut seen, mut last) = (0, before);
            let span = Span { since_ms: wanted.since_ms, until_ms: wanted.until_ms };
            let mut matching = Vec::new();
            history.0.events_before(before, span, &mut |row| {
                if seen >= ROWS_AT_ONCE {
                    page.next = Some(last);
                    return Keep::Stop;
                }
                seen += 1;
                let of = names.of(row.host);
                let event = of.is_among(&wanted.hosts).then(|| of.describe(row));
                if let Some(event) = event.filter(|event| select::event_matches(&wanted, event)) {
                    if matching.len() == limit {
                        page.next = Some(last);
                        return Keep::Stop;
                    }
                    matching.push(event);
                }
                last = row.id;
                Keep::No
            })?;
            page.events = matching;
            page.begins_ms = history.0.history_begins_ms();
            Ok(page)
        });
        outcome.await.map_err(Refusal::Store)
    }

    /// A page of at most `limit` events with id > `after`, oldest first.
    pub async fn events(&self, after: u64, limit: usize, wanted: EventSelect) -> Result<EventPage, Refusal> {
        let place = self.scans.acquire_arc().await;
        let mut names = Names { state: self.state.clone(), known: HashMap::new() };
        let history = self.history.clone();
        let outcome = smol::unblock(move || {
            let _place = place;
            let mut page = EventPage::default();
            let (mut seen, mut last) = (0, after);
            let mut matching = Vec::new();
            let span = Span { since_ms: wanted.since_ms, until_ms: wanted.until_ms };
            history.0.events(after, span, limit + 1, &mut |row| {
                if seen >= ROWS_AT_ONCE || matching.len() > limit {
                    page.next = Some(last);
                    return Keep::Stop;
                }
                seen += 1;
                let of = names.of(row.host);
                let event = of.is_among(&wanted.hosts).then(|| of.describe(row));
                let Some(event) = event.filter(|event| select::event_matches(&wanted, event)) else {
                    last = row.id;
                    return Keep::No;
                };
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
            // Asked last: what was deleted meanwhile may be missing above.
            page.begins_ms = history.0.history_begins_ms();
            Ok(page)
        });
        outcome.await.map_err(Refusal::Store)
    }
}

/// Whether a host or its id is one of those that are wanted.
pub(super) fn is_among(wanted: &[String], name: &str, id: &str) -> bool {
    wanted.iter().any(|wanted| wanted == name || wanted == id)
}

/// Those of a host's containers that a word means: a full id or a name means one, the beginning of an id all.
fn matches(cell: &HostCell, word: &str) -> Vec<types::Container> {
    let host = cell.live();
    if let Some(id) = EngineId::parse(word) {
        return host.container_view(&id).into_iter().collect();
    }
    let word = word.trim_start_matches('/');
    if word.is_empty() {
        return Vec::new();
    }
    let named = host.existing().filter(|id| host.container_name(id).is_some_and(|name| name == word));
    let named: Vec<_> = named.filter_map(|id| host.container_view(&id)).collect();
    if !named.is_empty() {
        return named;
    }
    let begun = host.existing().filter(|id| id.to_string().starts_with(word));
    begun.filter_map(|id| host.container_view(&id)).collect()
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
            let mut candidates: Vec<String> = found.iter().map(name).collect();
            candidates.sort_unstable();
            Err(Refusal::Ambiguous(format!("{n} containers have the name or id {what}"), candidates))
        }
    }
}

/// What events do not say themselves: the names of hosts, and of containers on networks. Looked up once each.
struct Names {
    state: Arc<State>,
    known: HashMap<HostId, Named>,
}

struct Named {
    id: String,
    name: String,
    cell: Option<Arc<HostCell>>,
}

impl Names {
    fn of(&mut self, host: HostId) -> &Named {
        self.known.entry(host).or_insert_with(|| {
            let (id, cell) = (host.to_string(), self.state.cell(host));
            let name = cell.as_ref().map_or_else(|| id.clone(), |cell| cell.live().row.name.clone());
            Named { id, name, cell }
        })
    }
}

impl Named {
    fn is_among(&self, wanted: &[String]) -> bool {
        wanted.is_empty() || is_among(wanted, &self.name, &self.id)
    }

    fn describe(&self, row: &EventRow) -> types::Event {
        let of = describe::Of { id: &self.id, name: &self.name };
        describe::event(row, of, |container| self.cell.as_ref()?.live().container_name(container))
    }
}
