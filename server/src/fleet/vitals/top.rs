//! The busiest containers and hosts.

use crate::api::types;
use crate::fleet::host::Host;
use crate::fleet::liveness::HostState;
use crate::fleet::{Fleet, HostCell, Refusal, State};
use muster_protocol::id::EngineId;
use std::cmp::Reverse;
use std::sync::Arc;

impl Fleet {
    /// The `limit` busiest of the containers that run, and the `limit` busiest hosts; of these hosts (ids or names), or
    /// without any of all. Whoever names a host watches it.
    pub async fn top(&self, wanted: &[String], limit: usize) -> Result<types::Top, Refusal> {
        let mut cells = Vec::new();
        for host in wanted {
            let cell = self.find_host(host)?;
            if !cells.iter().any(|known: &Arc<HostCell>| known.id == cell.id) {
                self.watch(&cell);
                cells.push(cell);
            }
        }
        let all = wanted.is_empty();
        let place = self.scans.acquire_arc().await;
        let state = self.state.clone();
        let look = move || {
            let _place = place;
            state.top(if all { state.cells() } else { cells }, limit)
        };
        Ok(smol::unblock(look).await)
    }
}

/// What a container is found by again: how busy it is (`None`: not known), its host's place in a list, and its id.
type Found = (Reverse<Option<u64>>, usize, EngineId);

impl State {
    fn top(&self, mut cells: Vec<Arc<HostCell>>, limit: usize) -> types::Top {
        cells.retain(|cell| !cell.live().is_removed());
        let mut hosts: Vec<types::TopHost> = Vec::new();
        let (mut found, mut running): (Vec<Found>, u64) = (Vec::new(), 0);
        for (at, cell) in cells.iter().enumerate() {
            let live = cell.live();
            hosts.push(host(&live));
            // What a host that is away said last is not so any more.
            let vitals = live.fresh_vitals();
            for (id, _) in live.running() {
                running += 1;
                let cpu = vitals.and_then(|vitals| vitals.now(&id)?.cpu);
                found.push((Reverse(cpu), at, id));
            }
            drop(live);
            // So that it stays small, however many there are.
            if found.len() > 4 * limit {
                found.sort_unstable();
                found.truncate(limit);
            }
            if hosts.len() > 4 * limit {
                busiest_first(&mut hosts);
                hosts.truncate(limit);
            }
        }
        found.sort_unstable();
        found.truncate(limit);
        busiest_first(&mut hosts);
        hosts.truncate(limit);
        let mut containers: Vec<_> =
            found.iter().filter_map(|(_, at, id)| container(&cells.get(*at)?.live(), id)).collect();
        containers.sort_by(|a, b| {
            let names = || (&a.host, &a.name, &a.id).cmp(&(&b.host, &b.name, &b.id));
            container_use(b).total_cmp(&container_use(a)).then_with(names)
        });
        types::Top { hosts, containers, running }
    }
}

fn busiest_first(hosts: &mut [types::TopHost]) {
    hosts.sort_by(|a, b| host_use(b).total_cmp(&host_use(a)).then_with(|| (&a.name, &a.id).cmp(&(&b.name, &b.id))));
}

/// What is not known comes last, and what was so before the host went away.
const NOTHING: f64 = -1.0;

fn host_use(it: &types::TopHost) -> f64 {
    let vitals = it.vitals.as_ref().filter(|_| it.state == HostState::Active.word());
    vitals.and_then(|vitals| vitals.cpu_percent).unwrap_or(NOTHING)
}

fn container_use(it: &types::TopContainer) -> f64 {
    let vitals = it.vitals.as_ref().filter(|_| !it.stale);
    vitals.and_then(|vitals| vitals.cpu_percent).unwrap_or(NOTHING)
}

fn host(host: &Host) -> types::TopHost {
    types::TopHost {
        id: host.row.id.to_string(),
        name: host.row.name.clone(),
        state: host.row.state.clone(),
        vitals: host.vitals.host(),
    }
}

fn container(host: &Host, id: &EngineId) -> Option<types::TopContainer> {
    let it = host.container_view(id)?;
    Some(types::TopContainer {
        id: it.id,
        name: it.name,
        host: it.host,
        host_id: it.host_id,
        state: it.state,
        stale: it.stale,
        vitals: it.vitals,
    })
}
