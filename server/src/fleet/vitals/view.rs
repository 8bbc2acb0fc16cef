//! Vitals as the API shows them.

use super::{Vitals, used_of};
use crate::api::types;
use crate::fleet::host::Host;
use crate::time::format_ms;
use crate::vitals::{Field, Sums};
use muster_protocol::id::EngineId;
use muster_protocol::mirror::vitals::{ContainerNow, DiskNow, HostNow, prefix};
use muster_protocol::vitals::power;

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

/// What stands for `parts` of which `of` are one.
fn decimal(parts: u64, of: u32) -> f64 {
    // Exact up to 2^53, which is 285 years in milliseconds.
    parts as f64 / f64::from(of)
}

fn signed_decimal(parts: i64, of: u32) -> f64 {
    parts as f64 / f64::from(of)
}

/// With two digits behind the point, as people read percents.
fn percent(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| decimal((u128::from(part) * 10_000 / u128::from(whole)) as u64, 100))
}

pub(super) fn power(bits: u64) -> types::Power {
    let has = |bit| bits & bit != 0;
    types::Power {
        under_voltage: has(power::UNDER_VOLTAGE),
        capped: has(power::CAPPED),
        throttled: has(power::THROTTLED),
        hot: has(power::HOT),
        was_under_voltage: has(power::WAS_UNDER_VOLTAGE),
        was_throttled: has(power::WAS_THROTTLED),
    }
}

fn disk(path: &str, disk: &DiskNow) -> types::DiskVitals {
    types::DiskVitals {
        path: path.into(),
        total: disk.total.map(|mib| mib.saturating_mul(MIB)),
        free: disk.free.map(|mib| mib.saturating_mul(MIB)),
        used_percent: used_of(disk).map(|hundredths| decimal(hundredths, 100)),
        inodes_used_percent: disk.inodes_used,
        worn_percent: disk.worn,
    }
}

impl Vitals {
    /// When they were last heard of.
    pub(in crate::fleet) fn as_of_ms(&self) -> Option<i64> {
        self.heard.map(|heard| heard.wall_ms)
    }

    /// By how much the host's clock was ahead of the server's then, in milliseconds.
    pub(in crate::fleet) fn offset_ms(&self) -> i64 {
        self.offset_ms
    }

    /// The host's, in the protocol's units.
    pub(in crate::fleet) fn host_now(&self) -> HostNow {
        self.picture.host()
    }

    /// Its file systems' likewise.
    pub(in crate::fleet) fn disks_now(&self) -> impl Iterator<Item = (&str, DiskNow)> {
        self.picture.disks()
    }

    /// The host's; `None` if they were never heard of.
    pub(in crate::fleet) fn host(&self) -> Option<types::HostVitals> {
        let as_of = format_ms(self.as_of_ms()?);
        let host = self.picture.host();
        let bytes = |kib: Option<u64>| kib.map(|kib| kib.saturating_mul(KIB));
        let mut disks: Vec<_> = self.picture.disks().map(|(path, it)| disk(path, &it)).collect();
        disks.sort_by(|a, b| a.path.cmp(&b.path));
        Some(types::HostVitals {
            as_of,
            // Thousandths of one processor.
            cpu_percent: host
                .cpu
                .zip(host.cpus)
                .and_then(|(cpu, cpus)| percent(cpu, cpus.saturating_mul(1000)))
                .map(|it| it.min(100.0)),
            cpu_seconds: host.cpu_ms.map(|ms| decimal(ms, 1000)),
            cpus: host.cpus,
            load: host.load.map(|hundredths| decimal(hundredths, 100)),
            memory_total: bytes(host.memory_total),
            memory_available: bytes(host.memory_available),
            swap_total: bytes(host.swap_total),
            swap_used: bytes(host.swap_used),
            uptime: host.uptime,
            temperature: host.temperature.map(|tenths| signed_decimal(tenths, 10)),
            power: host.power.map(power),
            clock_offset: Some(signed_decimal(self.offset_ms, 1000)),
            disks,
        })
    }

    /// What is known of one of the containers, whether it runs or not.
    pub(in crate::fleet) fn now(&self, id: &EngineId) -> Option<ContainerNow> {
        if self.ambiguous.binary_search(&prefix(id)).is_ok() {
            return None;
        }
        self.picture.container(id)
    }

    /// A container's that runs; `None` if they were never heard of.
    pub(in crate::fleet) fn container(&self, id: &EngineId) -> Option<types::ContainerVitals> {
        let as_of = format_ms(self.as_of_ms()?);
        let now = self.now(id)?;
        let bytes = |kib: Option<u64>| kib.map(|kib| kib.saturating_mul(KIB));
        let limit = now.memory_limit.filter(|kib| *kib > 0);
        let most = limit.or_else(|| self.picture.host().memory_total);
        Some(types::ContainerVitals {
            as_of,
            cpu_percent: now.cpu.map(|thousandths| decimal(thousandths, 10)),
            cpu_seconds: now.cpu_ms.map(|ms| decimal(ms, 1000)),
            memory: bytes(now.memory),
            memory_limit: bytes(limit),
            memory_max: bytes(most),
            memory_percent: now.memory.zip(most).and_then(|(memory, most)| percent(memory, most)),
            received: bytes(now.received),
            sent: bytes(now.sent),
            read: bytes(now.read),
            written: bytes(now.written),
            receiving: now.receiving,
            sending: now.sending,
            reading: now.reading,
            writing: now.writing,
            pids: now.pids,
            throttled_seconds: now.throttled_ms.map(|ms| decimal(ms, 1000)),
        })
    }
}

impl Host {
    /// Its vitals, if it is heard of now and has any.
    pub(in crate::fleet) fn fresh_vitals(&self) -> Option<&Vitals> {
        Some(&self.vitals).filter(|vitals| self.is_active() && vitals.heard.is_some())
    }

    /// How one of its containers does; `None` if it does not run, or that was never heard of.
    pub(in crate::fleet) fn container_vitals(&self, id: &EngineId, is_up: bool) -> Option<types::ContainerVitals> {
        if is_up { self.vitals.container(id) } else { None }
    }
}

/// Of a step: percent of all processors.
pub(super) fn cpu_percent(sums: &Sums) -> Option<f64> {
    sums.get(Field::Cpu).map(|value| signed_decimal(value, 100))
}

/// Of a step: percent of the memory, to tenths.
pub(super) fn memory_percent(sums: &Sums) -> Option<f64> {
    let total = sums.get(Field::MemoryTotal).filter(|total| *total > 0)?;
    let used = sums.get(Field::MemoryUsed)?;
    Some(signed_decimal(used.saturating_mul(1000) / total, 10))
}

/// A step of a host's history.
pub(super) fn host_point(at_ms: i64, sums: &Sums) -> types::HostPoint {
    let get = |field| sums.get(field);
    let amount = |field| get(field).and_then(|value| u64::try_from(value).ok());
    let hundredths = |field| get(field).map(|value| signed_decimal(value, 100));
    let bytes = |field| amount(field).map(|mib: u64| mib.saturating_mul(MIB));
    types::HostPoint {
        time: format_ms(at_ms),
        cpu_percent: hundredths(Field::Cpu),
        cpu_percent_max: hundredths(Field::CpuMax),
        load: hundredths(Field::Load),
        memory_total: bytes(Field::MemoryTotal),
        memory_used: bytes(Field::MemoryUsed),
        swap_used: bytes(Field::SwapUsed),
        temperature: get(Field::Temperature).map(|tenths| signed_decimal(tenths, 10)),
        disk_used_percent: hundredths(Field::DiskUsed),
        clock_offset: get(Field::ClockOffset).map(|ms| signed_decimal(ms, 1000)),
        power: amount(Field::Power).map(power),
    }
}
