//! The fleet at a glance, and parts of long lists: what is shown is described, and nothing else.

use super::host::Host;
use super::liveness::HostState;
use super::look::is_among;
use super::{ContainerFind, Fleet, HostCell, HostKey, HostSelect, State};
use crate::alerts::clean;
use crate::api::{select, types};
use crate::time::{format_ms, now_ms};
use muster_protocol::batch::EngineState;
use muster_protocol::container::{Container, Health, State as ContainerState};
use muster_protocol::id::EngineId;
use muster_protocol::mirror::Held;
use std::cmp::Ordering;
use std::sync::Arc;

/// The label by which compose marks what belongs to a project.
const PROJECT: &str = "com.docker.compose.project";

/// A host's place in a list: what it is sorted by, its name and its id.
struct Place {
    rank: i64,
    name: String,
    id: String,
    cell: Arc<HostCell>,
}

impl Fleet {
    /// How many hosts, engines and containers are in which state.
    pub fn summary(&self) -> types::FleetSummary {
        let (mut hosts, mut engines) = (types::FleetHosts::default(), types::FleetEngines::default());
        let mut containers = types::FleetContainers::default();
        for cell in self.state.cells() {
            let host = cell.live();
            match host.liveness.state() {
                HostState::Active => hosts.active += 1,
                HostState::Reconnecting => hosts.reconnecting += 1,
                HostState::Disconnected => hosts.disconnected += 1,
                HostState::Removed => continue,
            }
            hosts.total += 1;
            hosts.conflict += u64::from(host.row.conflict);
            match engine_word(&host) {
                Some("ok") => engines.ok += 1,
                Some("not_answering") => engines.not_answering += 1,
                Some("absent") => engines.absent += 1,
                _ => {}
            }
            add(&mut containers, host.tally());
        }
        types::FleetSummary {
            hosts,
            engines,
            containers,
            alerts: types::FleetAlerts { firing: self.alerts().firing() as u64 },
            newest_event: self.newest_event(),
            time: format_ms(now_ms()),
            version: env!("CARGO_PKG_VERSION").into(),
        }
    }

    fn newest_event(&self) -> u64 {
        let published = self.state.feed.newest_event();
        // Nothing was published since the start: what is stored is the newest.
        if published > 0 { published } else { self.newest_stored }
    }

    /// At most `limit` hosts, behind the one with the key `after` or from `offset` on; and how many there are from
    /// `after` on.
    pub fn hosts_at(
        &self,
        wanted: &HostSelect,
        after: Option<&[String; 2]>,
        offset: u64,
        limit: usize,
    ) -> (Vec<types::Host>, u64) {
        let mut places: Vec<Place> = Vec::new();
        for cell in self.state.cells() {
            let host = cell.live();
            if host_matches(wanted, &host) && after.is_none_or(|after| host.row.name >= after[0]) {
                let place = (rank(wanted.order.by, &host), host.row.name.clone(), cell.id.to_string());
                drop(host);
                let (rank, name, id) = place;
                if after.is_none_or(|after| (&name, &id) > (&after[0], &after[1])) {
                    places.push(Place { rank, name, id, cell });
                }
            }
        }
        let total = places.len() as u64;
        let order = |a: &Place, b: &Place| -> Ordering {
            let by_name = || (&a.name, &a.id).cmp(&(&b.name, &b.id));
            match (wanted.order.by, wanted.order.backwards) {
                (HostKey::Name, true) => by_name().reverse(),
                (_, false) => a.rank.cmp(&b.rank).then_with(by_name),
                (_, true) => b.rank.cmp(&a.rank).then_with(by_name),
            }
        };
        let begin = usize::try_from(offset).unwrap_or(usize::MAX).min(places.len());
        let end = begin.saturating_add(limit).min(places.len());
        // Only what is shown has to be in order.
        if end < places.len() {
            places.select_nth_unstable_by(end, order);
            places.truncate(end);
        }
        places.sort_unstable_by(order);
        (places.drain(begin..).map(|place| place.cell.live().view()).collect(), total)
    }

    /// At most `limit` containers from `offset` on, by host and name; and how many there are.
    pub async fn containers_at(
        &self,
        wanted: ContainerFind,
        offset: u64,
        limit: usize,
    ) -> (Vec<types::Container>, u64) {
        self.list_containers(wanted, None, offset, limit).await
    }

    /// At most `limit` containers behind the one with the key `after`: its host's name, its name, its host's id and its
    /// own.
    pub async fn containers_behind(
        &self,
        wanted: ContainerFind,
        after: [String; 4],
        limit: usize,
    ) -> Vec<types::Container> {
        self.list_containers(wanted, Some(after), 0, limit).await.0
    }

    pub(super) async fn list_containers(
        &self,
        wanted: ContainerFind,
        after: Option<[String; 4]>,
        offset: u64,
        limit: usize,
    ) -> (Vec<types::Container>, u64) {
        let place = self.scans.acquire_arc().await;
        let state = self.state.clone();
        let read = move || {
            // Given back when it is over, and not when the client leaves.
            let _place = place;
            state.containers_at(&wanted, after.as_ref(), offset, limit)
        };
        let (mut page, total) = smol::unblock(read).await;
        self.network().mark_refused(&mut page);
        (page, total)
    }
}

fn add(sum: &mut types::FleetContainers, of: &types::FleetContainers) {
    sum.total += of.total;
    sum.running += of.running;
    sum.exited += of.exited;
    sum.paused += of.paused;
    sum.restarting += of.restarting;
    sum.created += of.created;
    sum.dead += of.dead;
    sum.unhealthy += of.unhealthy;
}

fn engine_word(host: &Host) -> Option<&'static str> {
    (host.row.engine.state != 0).then(|| EngineState::from_number(host.row.engine.state).word())
}

fn host_matches(wanted: &HostSelect, host: &Host) -> bool {
    let row = &host.row;
    (wanted.removed || !host.is_removed())
        && (wanted.names.is_empty() || wanted.names.iter().any(|name| row.name.contains(name.as_str())))
        && (wanted.states.is_empty() || wanted.states.contains(&row.state))
        && (wanted.engines.is_empty()
            || engine_word(host).is_some_and(|word| wanted.engines.iter().any(|engine| engine == word)))
        && select::labels_match(&wanted.labels, &row.labels)
}

/// What a host is sorted by: the least is first.
fn rank(by: HostKey, host: &Host) -> i64 {
    match by {
        HostKey::Name => 0,
        HostKey::LastSeen => host.row.last_seen_ms.unwrap_or(i64::MIN),
        HostKey::Containers => i64::from(host.counts().total),
        HostKey::Attention => attention(host),
    }
}

/// The worse, the less.
fn attention(host: &Host) -> i64 {
    let tally = host.tally();
    match host.liveness.state() {
        HostState::Removed => 9,
        _ if host.row.conflict => 0,
        HostState::Disconnected => 1,
        _ if host.row.engine.state != EngineState::Ok as u8 => 2,
        _ if tally.restarting > 0 || tally.unhealthy > 0 || tally.dead > 0 => 3,
        HostState::Reconnecting => 4,
        HostState::Active if host.row.sync_error => 5,
        HostState::Active => 8,
    }
}

/// A container of a list that was found, and is not described yet.
struct Found {
    name: String,
    id: EngineId,
}

impl State {
    fn containers_at(
        &self,
        find: &ContainerFind,
        after: Option<&[String; 4]>,
        offset: u64,
        limit: usize,
    ) -> (Vec<types::Container>, u64) {
        let wanted = &find.select;
        let mut hosts: Vec<(String, String, Arc<HostCell>)> = Vec::new();
        for cell in self.cells() {
            let (host, id) = (cell.live(), cell.id.to_string());
            let is_wanted = wanted.hosts.is_empty() || is_among(&wanted.hosts, &host.row.name, &id);
            let is_passed = after.is_some_and(|[name, ..]| host.row.name < *name);
            if is_wanted && !is_passed && !host.is_removed() {
                let name = host.row.name.clone();
                drop(host);
                hosts.push((name, id, cell));
            }
        }
        hosts.sort_unstable_by(|a, b| (&a.0, &a.1).cmp(&(&b.0, &b.1)));
        let (mut page, mut total) = (Vec::new(), 0);
        // Hosts of one name are sorted by their containers' names together; only removed ones share a name.
        for (host, host_id, cell) in &hosts {
            // A host's lock is held for its own containers and no longer.
            let live = cell.live();
            let all = live.mirror.held().filter(|(_, held)| held.exists());
            let mut found: Vec<Found> = all.filter_map(|(id, held)| matching(find, id, held)).collect();
            if let Some(after) = after {
                let after = after.each_ref().map(String::as_str);
                found.retain(|it| [host.as_str(), &it.name, host_id, &it.id.to_string()] > after);
            }
            let skip = usize::try_from(offset.saturating_sub(total)).unwrap_or(usize::MAX);
            total += found.len() as u64;
            if page.len() < limit && skip < found.len() {
                found.sort_unstable_by(|a, b| (&a.name, &a.id).cmp(&(&b.name, &b.id)));
                let shown = found.iter().skip(skip).take(limit - page.len());
                page.extend(shown.filter_map(|it| live.container_view(&it.id)));
            } else if after.is_some() && page.len() >= limit {
                // Whoever goes on with a cursor does not ask how many there are.
                break;
            }
        }
        (page, total)
    }
}

/// The container, if it is wanted. Nothing is copied of one that is not.
fn matching(find: &ContainerFind, id: &EngineId, held: &Held) -> Option<Found> {
    let it: Container<'_> = postcard::from_bytes(&held.body).ok()?;
    let wanted = &find.select;
    let state = ContainerState::from_number(it.state);
    let health = Health::from_number(it.health);
    let any = |list: &[String], fits: &dyn Fn(&str) -> bool| list.is_empty() || list.iter().any(|word| fits(word));
    let label = |key: &str| it.labels.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let has_label = |wanted: &String| match wanted.split_once('=') {
        Some((key, value)) => label(key) == Some(value),
        None => label(wanted).is_some(),
    };
    let fits = (wanted.all || it.started_ms.is_some() || state != ContainerState::Created)
        && any(&wanted.states, &|word| word == state.word())
        && any(&wanted.names, &|part| it.name.contains(part))
        && wanted.labels.iter().all(has_label)
        && any(&find.health, &|word| word == if health == Health::None { "none" } else { health.word() })
        && any(&find.images, &|part| it.image.contains(part))
        && any(&find.projects, &|project| label(PROJECT) == Some(project));
    // By the name that is shown: lists go on behind it.
    fits.then(|| Found { name: clean(it.name).into_owned(), id: *id })
}
