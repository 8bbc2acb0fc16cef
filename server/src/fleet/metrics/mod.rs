//! The fleet for Prometheus: made piece by piece as fast as it is read, so that a large fleet needs no large buffer.

mod families;
mod text;

use super::host::Host;
use super::liveness::HostState;
use super::look::is_among;
use super::{Fleet, HostCell, Refusal, State};
use crate::network::NetworkCounts;
use crate::time::now_ms;
use crate::vitals::History;
use async_channel::{Receiver, Sender};
use families::{CONTAINERS, HOSTS, SeenContainer, SeenHost};
use muster_protocol::container::Summary;
use std::sync::Arc;
use text::{Family, Kind};

/// Readers at a time; others wait. Each takes a thread for as long as it reads.
pub(super) const READERS: usize = 2;

/// A piece is handed over when it has so many bytes.
const PIECE: usize = 64 * 1024;

/// What of the fleet is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MetricSelect {
    /// Only hosts with these names or ids; empty: all.
    pub hosts: Vec<String>,
    /// Containers, too.
    pub containers: bool,
}

impl Fleet {
    /// All metrics, in pieces.
    pub async fn metrics(&self, wanted: MetricSelect) -> Result<Receiver<Vec<u8>>, Refusal> {
        for host in &wanted.hosts {
            self.find_host(host)?; // A misspelt name is an error and no empty answer.
        }
        let place = self.metering.acquire_arc().await;
        let (sender, receiver) = async_channel::bounded(1);
        let server = self.server_samples();
        let (state, store, vitals) = (self.state.clone(), self.history.clone(), self.vitals.clone());
        smol::unblock(move || {
            // Given back when it is over, and not when the client leaves.
            let _place = place;
            let mut pieces = Pieces { text: String::new(), sender };
            // The store is asked here, where it may take its time.
            let events = store.0.newest_event().ok();
            // An error means that the client has left.
            let _ = server.write(&mut pieces, events, &vitals).and_then(|()| state.write(&mut pieces, &wanted));
            let _ = pieces.hand_over();
        })
        .detach();
        Ok(receiver)
    }

    fn server_samples(&self) -> Server {
        let hosts = self.state.cells();
        let in_state = |state: HostState| hosts.iter().filter(|cell| cell.live().liveness.state() == state).count();
        let states = [HostState::Active, HostState::Reconnecting, HostState::Disconnected];
        Server {
            hosts: states.map(|state| (state.word(), in_state(state))),
            watchers: self.feed().subscribers(),
            is_failing: self.problem().is_some(),
            uptime_ms: self.now().monotonic_ms,
            network: self.network.counts(),
            alerts: self.alerts.counts().map(|(rule, count)| (rule.word(), count)),
            notices: self.alerts.notices(),
        }
    }
}

/// The reader has left.
struct Left;

struct Pieces {
    text: String,
    sender: Sender<Vec<u8>>,
}

impl Pieces {
    fn hand_over(&mut self) -> Result<(), Left> {
        if self.text.is_empty() {
            return Ok(());
        }
        let piece = std::mem::take(&mut self.text).into_bytes();
        self.sender.send_blocking(piece).map_err(|_| Left)
    }

    /// Between two samples.
    fn hand_over_if_large(&mut self) -> Result<(), Left> {
        if self.text.len() < PIECE { Ok(()) } else { self.hand_over() }
    }

    fn family<const N: usize>(
        &mut self,
        (name, kind, help): (&'static str, Kind, &'static str),
        samples: [(&[(&str, &str)], f64); N],
    ) {
        let family = Family { name, kind, help };
        family.head(&mut self.text);
        for (labels, value) in samples {
            family.sample(&mut self.text, labels, value);
        }
    }
}

/// What is told of the server itself.
struct Server {
    hosts: [(&'static str, usize); 3],
    watchers: usize,
    is_failing: bool,
    uptime_ms: u64,
    network: Option<NetworkCounts>,
    alerts: [(&'static str, usize); 9],
    /// By target: waiting, delivered, given up.
    notices: Vec<(String, usize, u64, u64)>,
}

impl Server {
    fn write(&self, pieces: &mut Pieces, events: Option<u64>, vitals: &History) -> Result<(), Left> {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        pieces.family(("muster_build_info", Kind::Gauge, "The server's version; always 1."), [(&version, 1.0)]);
        let started = (now_ms() as f64 - self.uptime_ms as f64) / 1000.0;
        pieces.family(
            ("process_start_time_seconds", Kind::Gauge, "Start time of the server since unix epoch in seconds."),
            [(&[], started)],
        );
        if let Some(bytes) = resident_bytes() {
            pieces.family(
                ("process_resident_memory_bytes", Kind::Gauge, "Resident memory size of the server in bytes."),
                [(&[], bytes as f64)],
            );
        }
        let labels = self.hosts.map(|(state, _)| [("state", state)]);
        let samples = std::array::from_fn::<_, 3, _>(|at| (&labels[at][..], self.hosts[at].1 as f64));
        pieces.family(("muster_hosts", Kind::Gauge, "Hosts by their state; removed ones are not counted."), samples);
        if let Some(events) = events {
            pieces.family(
                ("muster_events_stored_total", Kind::Counter, "Events that were ever stored."),
                [(&[], events as f64)],
            );
        }
        pieces.family(
            ("muster_store_failing", Kind::Gauge, "Whether the store cannot keep what agents report."),
            [(&[], f64::from(u8::from(self.is_failing)))],
        );
        pieces.family(
            ("muster_stream_clients", Kind::Gauge, "Clients that follow the stream of changes."),
            [(&[], self.watchers as f64)],
        );
        pieces.family(
            ("muster_vitals_history_size_bytes", Kind::Gauge, "Disk space of the history of hosts' vitals."),
            [(&[], vitals.bytes() as f64)],
        );
        pieces.family(
            (
                "muster_vitals_history_lost_total",
                Kind::Counter,
                "Minutes that could not be added to the history of hosts' vitals.",
            ),
            [(&[], vitals.lost() as f64)],
        );
        self.write_alerts(pieces);
        if let Some(network) = &self.network {
            write_network(pieces, network);
        }
        pieces.hand_over_if_large()
    }
}

impl Server {
    fn write_alerts(&self, pieces: &mut Pieces) {
        let labels = self.alerts.map(|(rule, _)| [("rule", rule)]);
        let samples = std::array::from_fn::<_, 9, _>(|at| (&labels[at][..], self.alerts[at].1 as f64));
        pieces.family(("muster_alerts_firing", Kind::Gauge, "Alerts that fire, by their rule."), samples);
        type Read = fn(&(String, usize, u64, u64)) -> f64;
        let families: [(_, _, _, Read); 3] = [
            ("muster_alert_notices_waiting", Kind::Gauge, "Notices that wait to be delivered.", |it| it.1 as f64),
            ("muster_alert_notices_delivered_total", Kind::Counter, "Notices that were delivered.", |it| it.2 as f64),
            ("muster_alert_notices_dropped_total", Kind::Counter, "Notices that were given up.", |it| it.3 as f64),
        ];
        // Without targets there is nothing to tell.
        for (name, kind, help, read) in families.into_iter().filter(|_| !self.notices.is_empty()) {
            let family = Family { name, kind, help };
            family.head(&mut pieces.text);
            for target in &self.notices {
                family.sample(&mut pieces.text, &[("to", &target.0)], read(target));
            }
        }
    }
}

/// The managed network, if it is enabled.
fn write_network(pieces: &mut Pieces, network: &NetworkCounts) {
    let gauge = |name, help| (name, Kind::Gauge, help);
    let labels = [[("state", "joined")], [("state", "refused")]];
    let hosts = network.hosts.map(|count| count as f64);
    pieces.family(
        gauge("muster_network_hosts", "Hosts of the managed network, and those that have no place in it."),
        std::array::from_fn::<_, 2, _>(|at| (&labels[at][..], hosts[at])),
    );
    let containers = network.containers.map(|count| count as f64);
    pieces.family(
        gauge(
            "muster_network_containers",
            "Labelled containers in the managed network, and those that could not join.",
        ),
        std::array::from_fn::<_, 2, _>(|at| (&labels[at][..], containers[at])),
    );
    pieces.family(
        gauge("muster_network_connected_hosts", "Hosts whose network process is connected to the server."),
        [(&[], network.connected as f64)],
    );
    let states = [[("state", "used")], [("state", "free")]];
    let blocks = network.blocks.map(f64::from);
    pieces.family(
        gauge("muster_network_blocks", "Blocks of addresses that hosts have, and that are left."),
        std::array::from_fn::<_, 2, _>(|at| (&states[at][..], blocks[at])),
    );
    let ways = network.paths.map(|(way, _)| [("way", way)]);
    pieces.family(
        gauge("muster_network_paths", "Paths between hosts of the managed network by their way, as hosts say."),
        std::array::from_fn::<_, 4, _>(|at| (&ways[at][..], network.paths[at].1 as f64)),
    );
    if let Some(relay) = &network.relayed {
        pieces.family(
            ("muster_network_relay_bytes_total", Kind::Counter, "Bytes that the server's relay has forwarded."),
            [(&[], relay.forwarded_bytes as f64)],
        );
        pieces.family(
            ("muster_network_relay_packets_total", Kind::Counter, "Packets that the server's relay has forwarded."),
            [(&[], relay.forwarded as f64)],
        );
        let dropped = relay.strangers + relay.unregistered + relay.limited + relay.absent + relay.malformed;
        pieces.family(
            ("muster_network_relay_dropped_total", Kind::Counter, "Packets that the server's relay has dropped."),
            [(&[], dropped as f64)],
        );
    }
}

/// Of the program, as the kernel counts it.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let kib = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    kib.parse::<u64>().ok()?.checked_mul(1024)
}

impl State {
    /// All samples of a family stand together, so hosts are gone through once for each.
    fn write(&self, pieces: &mut Pieces, wanted: &MetricSelect) -> Result<(), Left> {
        let mut cells = self.cells();
        cells.retain(|cell| {
            let live = cell.live();
            !live.is_removed()
                && (wanted.hosts.is_empty() || is_among(&wanted.hosts, &live.row.name, &cell.id.to_string()))
        });
        cells.sort_by_cached_key(|cell| (cell.live().row.name.clone(), cell.id));
        for of_host in HOSTS {
            of_host.family.head(&mut pieces.text);
            for cell in &cells {
                hosts_samples(cell, of_host, &mut pieces.text);
                pieces.hand_over_if_large()?;
            }
        }
        if !wanted.containers {
            return Ok(());
        }
        for of_container in CONTAINERS {
            of_container.family.head(&mut pieces.text);
            for cell in &cells {
                containers_samples(&cell.live(), of_container, &mut pieces.text);
                pieces.hand_over_if_large()?;
            }
        }
        Ok(())
    }
}

fn hosts_samples(cell: &Arc<HostCell>, of_host: &families::OfHost, text: &mut String) {
    let host = cell.live();
    let seen = SeenHost {
        host: &host,
        now: host.fresh_vitals().map(|vitals| vitals.host_now()),
        disks: host.fresh_vitals().map(|vitals| vitals.disks_now().collect()).unwrap_or_default(),
    };
    let (name, id) = (host.row.name.as_str(), cell.id.to_string());
    (of_host.read)(&seen, &mut |more, value| {
        let labels = [&[("host", name), ("id", id.as_str())], more].concat();
        of_host.family.sample(text, &labels, value);
    });
}

fn containers_samples(host: &Host, of_container: &families::OfContainer, text: &mut String) {
    let vitals = host.fresh_vitals();
    for (id, held) in host.mirror.held().filter(|(_, held)| held.exists()) {
        let Some(it) = Summary::of(&held.body) else { continue };
        let is_up = muster_protocol::container::State::from_number(it.state).is_up();
        let now = vitals.filter(|_| is_up).and_then(|vitals| vitals.now(id));
        let (name, id) = (it.name, id.to_string());
        // As long as people and `docker ps` know it. Copies of a card differ by their hosts.
        let id = id.get(..12).unwrap_or_default();
        (of_container.read)(&SeenContainer { it, now }, &mut |more, value| {
            let labels = [&[("host", host.row.name.as_str()), ("name", name), ("id", id)], more].concat();
            of_container.family.sample(text, &labels, value);
        });
    }
}

#[cfg(test)]
mod tests;
