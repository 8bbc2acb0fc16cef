//! What is told of each host and of each container.

use super::text::{Family, Kind};
use crate::fleet::host::Host;
use muster_protocol::batch::EngineState;
use muster_protocol::container::{Health, State, Summary};
use muster_protocol::mirror::vitals::{ContainerNow, DiskNow, HostNow};
use muster_protocol::vitals::power;

const KIB: u64 = 1024;

/// Gives a sample: labels besides those of the host or container, and the value.
pub(super) type Give<'g> = dyn FnMut(&[(&str, &str)], f64) + 'g;

/// A family with samples of each host.
pub(super) struct OfHost {
    pub family: Family,
    pub read: fn(&SeenHost<'_>, &mut Give<'_>),
}

/// A host, and how it does if that is known and not old.
pub(super) struct SeenHost<'h> {
    pub host: &'h Host,
    /// `None` for one that is away: what it said last is not so any more.
    pub now: Option<HostNow>,
    pub disks: Vec<(&'h str, DiskNow)>,
}

const fn gauge(name: &'static str, help: &'static str, read: fn(&SeenHost<'_>, &mut Give<'_>)) -> OfHost {
    OfHost { family: Family { name, kind: Kind::Gauge, help }, read }
}

const fn counter(name: &'static str, help: &'static str, read: fn(&SeenHost<'_>, &mut Give<'_>)) -> OfHost {
    OfHost { family: Family { name, kind: Kind::Counter, help }, read }
}

/// A value of the host's vitals, if it is known.
fn of_now(it: &SeenHost<'_>, give: &mut Give<'_>, get: impl Fn(&HostNow) -> Option<f64>) {
    if let Some(value) = it.now.as_ref().and_then(get) {
        give(&[], value);
    }
}

fn of_disks(it: &SeenHost<'_>, give: &mut Give<'_>, get: impl Fn(&DiskNow) -> Option<f64>) {
    for (path, disk) in &it.disks {
        if let Some(value) = get(disk) {
            give(&[("mountpoint", path)], value);
        }
    }
}

fn flag(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

fn number(value: u64) -> f64 {
    value as f64
}

fn bytes(kib: u64) -> f64 {
    number(kib.saturating_mul(KIB))
}

fn mib_bytes(mib: u64) -> f64 {
    number(mib.saturating_mul(KIB * KIB))
}

fn seconds(ms: u64) -> f64 {
    number(ms) / 1000.0
}

/// In the order in which they are told.
pub(super) const HOSTS: &[OfHost] = &[
    gauge("muster_host_up", "Whether the host's agent was heard lately.", |it, give| {
        give(&[], flag(it.host.is_active()));
    }),
    gauge("muster_host_info", "What the host's agent said of it; always 1.", |it, give| {
        let (facts, engine) = (&it.host.row.facts, &it.host.row.engine);
        let labels = [
            ("agent_version", facts.agent_version.as_str()),
            ("arch", &facts.arch),
            ("engine_version", &engine.version),
            ("kernel", &facts.kernel),
            ("os", &facts.os),
        ];
        give(&labels, 1.0);
    }),
    gauge(
        "muster_host_engine_up",
        "Whether the host's engine answers, as far as its agent was heard lately.",
        |it, give| {
            give(&[], flag(it.host.is_active() && it.host.row.engine.state == EngineState::Ok as u8));
        },
    ),
    gauge("muster_host_last_seen_timestamp_seconds", "When the host's agent was last heard.", |it, give| {
        if let Some(ms) = it.host.row.last_seen_ms {
            give(&[], ms as f64 / 1000.0);
        }
    }),
    gauge(
        "muster_host_containers",
        "Containers of the host that have ever started, by whether they run.",
        |it, give| {
            let counts = it.host.counts();
            give(&[("state", "running")], f64::from(counts.running));
            give(&[("state", "stopped")], f64::from(counts.stopped));
        },
    ),
    counter("muster_host_events_dropped_total", "Events that the host's agent had to drop.", |it, give| {
        give(&[], number(it.host.row.events_dropped));
    }),
    gauge("muster_host_vitals_timestamp_seconds", "When the host last said something of its vitals.", |it, give| {
        if let (Some(_), Some(ms)) = (&it.now, it.host.vitals.as_of_ms()) {
            give(&[], ms as f64 / 1000.0);
        }
    }),
    counter(
        "muster_host_cpu_seconds_total",
        "Processor time that the host spent not idle, all processors together.",
        |it, give| {
            of_now(it, give, |now| now.cpu_ms.map(seconds));
        },
    ),
    gauge("muster_host_cpus", "Processors of the host.", |it, give| {
        of_now(it, give, |now| now.cpus.map(number));
    }),
    gauge("muster_host_load1", "Load average of the host over one minute.", |it, give| {
        of_now(it, give, |now| now.load.map(|hundredths| number(hundredths) / 100.0));
    }),
    gauge("muster_host_memory_size_bytes", "Memory of the host.", |it, give| {
        of_now(it, give, |now| now.memory_total.map(bytes));
    }),
    gauge(
        "muster_host_memory_available_bytes",
        "Memory of the host that programs can have without swapping.",
        |it, give| {
            of_now(it, give, |now| now.memory_available.map(bytes));
        },
    ),
    gauge("muster_host_swap_size_bytes", "Swap of the host.", |it, give| {
        of_now(it, give, |now| now.swap_total.map(bytes));
    }),
    gauge("muster_host_swap_used_bytes", "Swap of the host in use.", |it, give| {
        of_now(it, give, |now| now.swap_used.map(bytes));
    }),
    gauge("muster_host_uptime_seconds", "Time since the host's start.", |it, give| {
        of_now(it, give, |now| now.uptime.map(number));
    }),
    gauge("muster_host_temperature_celsius", "Temperature of the host's hottest processor.", |it, give| {
        of_now(it, give, |now| now.temperature.map(|tenths| tenths as f64 / 10.0));
    }),
    gauge("muster_host_power_problem", "Whether a Pi's firmware says so of its power.", |it, give| {
        let Some(bits) = it.now.as_ref().and_then(|now| now.power) else { return };
        for (problem, bit) in [
            ("under_voltage", power::UNDER_VOLTAGE),
            ("capped", power::CAPPED),
            ("throttled", power::THROTTLED),
            ("hot", power::HOT),
            ("was_under_voltage", power::WAS_UNDER_VOLTAGE),
            ("was_throttled", power::WAS_THROTTLED),
        ] {
            give(&[("problem", problem)], flag(bits & bit != 0));
        }
    }),
    gauge("muster_host_clock_offset_seconds", "By how much the host's clock is ahead of the server's.", |it, give| {
        if it.now.is_some() {
            give(&[], it.host.vitals.offset_ms() as f64 / 1000.0);
        }
    }),
    gauge("muster_host_filesystem_size_bytes", "Size of a file system of the host.", |it, give| {
        of_disks(it, give, |disk| disk.total.map(mib_bytes));
    }),
    gauge("muster_host_filesystem_free_bytes", "Room for programs on a file system of the host.", |it, give| {
        of_disks(it, give, |disk| disk.free.map(mib_bytes));
    }),
    gauge("muster_host_filesystem_inodes_used_ratio", "Inodes in use on a file system of the host.", |it, give| {
        of_disks(it, give, |disk| disk.inodes_used.map(|percent| number(percent) / 100.0));
    }),
    gauge(
        "muster_host_filesystem_worn_ratio",
        "How much of a file system's flash is worn, as the device says.",
        |it, give| {
            of_disks(it, give, |disk| disk.worn.map(|percent| number(percent) / 100.0));
        },
    ),
];

/// A family with samples of each container.
pub(super) struct OfContainer {
    pub family: Family,
    pub read: fn(&SeenContainer<'_>, &mut Give<'_>),
}

/// A container, and how it does if it runs and that is known and not old.
pub(super) struct SeenContainer<'c> {
    pub it: Summary<'c>,
    pub now: Option<ContainerNow>,
}

const fn container_gauge(
    name: &'static str,
    help: &'static str,
    read: fn(&SeenContainer<'_>, &mut Give<'_>),
) -> OfContainer {
    OfContainer { family: Family { name, kind: Kind::Gauge, help }, read }
}

const fn container_counter(
    name: &'static str,
    help: &'static str,
    read: fn(&SeenContainer<'_>, &mut Give<'_>),
) -> OfContainer {
    OfContainer { family: Family { name, kind: Kind::Counter, help }, read }
}

fn of_container(it: &SeenContainer<'_>, give: &mut Give<'_>, get: impl Fn(&ContainerNow) -> Option<f64>) {
    if let Some(value) = it.now.as_ref().and_then(get) {
        give(&[], value);
    }
}

/// In the order in which they are told.
pub(super) const CONTAINERS: &[OfContainer] = &[
    container_gauge("muster_container_info", "The container's image; always 1.", |it, give| {
        give(&[("image", it.it.image)], 1.0);
    }),
    container_gauge("muster_container_running", "Whether the container runs, as it was last known.", |it, give| {
        give(&[], flag(State::from_number(it.it.state).is_up()));
    }),
    container_gauge(
        "muster_container_healthy",
        "Whether the container's health check succeeds, if it has one.",
        |it, give| match Health::from_number(it.it.health) {
            Health::None => {}
            health => give(&[], flag(health == Health::Healthy)),
        },
    ),
    container_counter(
        "muster_container_restarts_total",
        "How often its restart policy started the container again.",
        |it, give| {
            give(&[], f64::from(it.it.restart_count));
        },
    ),
    container_counter(
        "muster_container_cpu_seconds_total",
        "Processor time of the container since its start.",
        |it, give| {
            of_container(it, give, |now| now.cpu_ms.map(seconds));
        },
    ),
    container_counter(
        "muster_container_cpu_throttled_seconds_total",
        "Time for which its processor limit held the container back.",
        |it, give| of_container(it, give, |now| now.throttled_ms.map(seconds)),
    ),
    container_gauge(
        "muster_container_memory_usage_bytes",
        "Memory of the container without what is only cached.",
        |it, give| {
            of_container(it, give, |now| now.memory.map(bytes));
        },
    ),
    container_gauge(
        "muster_container_memory_limit_bytes",
        "What the container may use at most, if it has a limit.",
        |it, give| {
            of_container(it, give, |now| now.memory_limit.filter(|kib| *kib > 0).map(bytes));
        },
    ),
    container_counter(
        "muster_container_network_receive_bytes_total",
        "Received by the container since its start.",
        |it, give| {
            of_container(it, give, |now| now.received.map(bytes));
        },
    ),
    container_counter(
        "muster_container_network_transmit_bytes_total",
        "Sent by the container since its start.",
        |it, give| {
            of_container(it, give, |now| now.sent.map(bytes));
        },
    ),
    container_counter(
        "muster_container_block_read_bytes_total",
        "Read from block devices since the container's start.",
        |it, give| {
            of_container(it, give, |now| now.read.map(bytes));
        },
    ),
    container_counter(
        "muster_container_block_written_bytes_total",
        "Written to block devices since the container's start.",
        |it, give| {
            of_container(it, give, |now| now.written.map(bytes));
        },
    ),
    container_gauge("muster_container_pids", "Processes and threads of the container.", |it, give| {
        of_container(it, give, |now| now.pids.map(number));
    }),
];
