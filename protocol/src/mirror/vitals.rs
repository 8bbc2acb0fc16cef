//! The server's picture of how a host and its containers do: the newest word on each value, and how fast what grows
//! is growing.
//!
//! An agent says only what has moved by a [`Step`](crate::vitals::step::Step). So what was not said in a message has
//! moved by less, and a rate that is not said again is bounded by what would have been. A picture knows nothing of
//! containers but the first bytes of their ids: whether they run, and which they are, the caller knows by the mirror.

mod kept;

use crate::batch::Batch;
use crate::id::EngineId;
use crate::limits;
use crate::record::{Kind, Malformed, Reader};
use crate::vitals::step::{CONTAINER_STEPS, DISK_STEPS, HOST_STEPS};
use crate::vitals::{
    CONTAINER_FIELDS, ContainerField, DISK_FIELDS, Disk, DiskField, HOST_FIELDS, HostField, Usage, Vitals, to_signed,
};
use alloc::boxed::Box;
use alloc::vec::Vec;
use kept::{Kept, Now};

/// The first bytes of a container's id.
pub type Prefix = [u8; 6];

/// What one message says of vitals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said<'a> {
    /// The message's epoch and number.
    place: (u64, u64),
    vitals: Vitals,
    disks: Vec<Disk<'a>>,
    usages: Vec<Usage>,
}

impl<'a> Said<'a> {
    /// Looks for vitals in a message that begins with a `Batch`; `None` if it has none. Other records are passed over.
    pub fn find(message: &'a [u8]) -> Result<Option<Said<'a>>, Malformed> {
        let mut records = Reader::message(message)?;
        let mut batch: Option<Batch> = None;
        let mut said: Option<Said<'a>> = None;
        while let Some(record) = records.next_record()? {
            match (record.kind, &mut said) {
                (Kind::Batch, _) => batch = Some(record.decode()?),
                (Kind::Vitals, None) => {
                    let batch = batch.ok_or(Malformed::Order)?;
                    let place = (batch.epoch, batch.seq);
                    said = Some(Said { place, vitals: record.decode()?, disks: Vec::new(), usages: Vec::new() });
                }
                (Kind::Disk, Some(said)) => {
                    let disk: Disk<'a> = record.decode()?;
                    // Twice as many: each may be said to be gone, and another one in its place.
                    if disk.path.len() > limits::PATH || said.disks.len() >= 2 * limits::DISKS {
                        return Err(Malformed::Payload(record.kind));
                    }
                    said.disks.push(disk);
                }
                (Kind::Usage, Some(said)) => said.usages.push(record.decode()?),
                (Kind::Vitals | Kind::Disk | Kind::Usage, _) => return Err(Malformed::Order),
                _ => {}
            }
        }
        Ok(said)
    }

    /// Milliseconds since 1970 by the host's clock when the message was made: what is read at once when it comes says
    /// how far that clock is off, but for the time that the message took.
    pub fn wall_ms(&self) -> i64 {
        self.vitals.wall_ms
    }
}

/// How a host does. A field that is `None` is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct HostNow {
    /// Processor time spent not idle since its start, all processors together, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// The same as a rate, in thousandths of one processor.
    pub cpu: Option<u64>,
    /// Processors.
    pub cpus: Option<u64>,
    /// Load average of one minute, in hundredths.
    pub load: Option<u64>,
    /// Memory, in KiB.
    pub memory_total: Option<u64>,
    /// Of it available to programs without swapping, in KiB.
    pub memory_available: Option<u64>,
    /// Swap, in KiB.
    pub swap_total: Option<u64>,
    /// Of it in use, in KiB.
    pub swap_used: Option<u64>,
    /// Since its start, in seconds, at the time of the newest vitals.
    pub uptime: Option<u64>,
    /// The hottest of its processors, in tenths of a degree Celsius.
    pub temperature: Option<i64>,
    /// Bits of [`crate::vitals::power`].
    pub power: Option<u64>,
}

/// How a file system does. A field that is `None` is not known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DiskNow {
    /// Its size, in MiB.
    pub total: Option<u64>,
    /// Of it free for programs, in MiB.
    pub free: Option<u64>,
    /// Of its inodes in use, in percent.
    pub inodes_used: Option<u64>,
    /// Of its flash worn, in percent.
    pub worn: Option<u64>,
}

/// How a container does. A field that is `None` is not known; a rate is not before a second look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ContainerNow {
    /// Processor time since its start, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// The same as a rate, in thousandths of one processor.
    pub cpu: Option<u64>,
    /// Memory in use without what is only cached, in KiB.
    pub memory: Option<u64>,
    /// What it may use at most, in KiB; 0 for no limit.
    pub memory_limit: Option<u64>,
    /// Received since its start, in KiB.
    pub received: Option<u64>,
    /// Received, in bytes a second.
    pub receiving: Option<u64>,
    /// Sent since its start, in KiB.
    pub sent: Option<u64>,
    /// Sent, in bytes a second.
    pub sending: Option<u64>,
    /// Read from block devices since its start, in KiB.
    pub read: Option<u64>,
    /// Read, in bytes a second.
    pub reading: Option<u64>,
    /// Written since its start, in KiB.
    pub written: Option<u64>,
    /// Written, in bytes a second.
    pub writing: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Time that it was held back by its processor limit since its start, in milliseconds.
    pub throttled_ms: Option<u64>,
    /// The same as a rate, in thousandths: 1000 if it is held back all the time.
    pub throttled: Option<u64>,
}

/// The newest vitals of one host.
#[derive(Debug, Clone, Default)]
pub struct Picture {
    /// Epoch and number of the newest message with vitals.
    place: (u64, u64),
    /// By the agent's clock; `None` before the first whole ones.
    at_ms: Option<u64>,
    wall_ms: i64,
    host: Kept<HOST_FIELDS>,
    disks: Vec<(Box<str>, Kept<DISK_FIELDS>)>,
    /// Sorted.
    containers: Vec<(Prefix, Kept<CONTAINER_FIELDS>)>,
}

impl Picture {
    /// Takes what a message says. False if it is older than what is known, or builds on what never came; then nothing
    /// has changed.
    pub fn receive(&mut self, said: &Said<'_>) -> bool {
        let Said { place, vitals, disks, usages } = said;
        let same_run = place.0 == self.place.0;
        let builds_on = vitals.whole || same_run && self.at_ms.is_some();
        if *place <= self.place || !builds_on {
            return false;
        }
        // Another run has another clock.
        let before = self.at_ms.filter(|_| same_run);
        let now = Now { before, at: vitals.at_ms };
        let (mut old_disks, mut old_containers) = (Vec::new(), Vec::new());
        if vitals.whole {
            old_disks = core::mem::take(&mut self.disks);
            old_containers = core::mem::take(&mut self.containers);
        }
        self.host.hear(&HOST_STEPS, &vitals.host, now, vitals.whole);
        for disk in disks {
            let at = self.disks.iter().position(|(path, _)| **path == *disk.path);
            if disk.values.is_empty() {
                at.map(|at| self.disks.remove(at));
                continue;
            }
            let at = at.unwrap_or_else(|| {
                if self.disks.len() >= limits::DISKS {
                    self.disks.remove(0);
                }
                let old = old_disks.iter().find(|(path, _)| **path == *disk.path).map(|(_, old)| old.clone());
                self.disks.push((disk.path.into(), old.unwrap_or_default().forgotten()));
                self.disks.len() - 1
            });
            if let Some((_, kept)) = self.disks.get_mut(at) {
                kept.hear(&DISK_STEPS, &disk.values, now, false);
            }
        }
        for usage in usages {
            let at = self.containers.binary_search_by_key(&usage.id, |(id, _)| *id);
            if usage.values.is_empty() {
                at.map(|at| self.containers.remove(at)).ok();
                continue;
            }
            let at = match at {
                Ok(at) => at,
                Err(_) if self.containers.len() >= limits::CONTAINERS => continue,
                Err(at) => {
                    let old = old_containers.binary_search_by_key(&usage.id, |(id, _)| *id);
                    let old = old.map(|at| old_containers[at].1.clone()).unwrap_or_default().forgotten();
                    self.containers.insert(at, (usage.id, old));
                    at
                }
            };
            if let Some((_, kept)) = self.containers.get_mut(at) {
                kept.hear(&CONTAINER_STEPS, &usage.values, now, false);
            }
        }
        (self.place, self.at_ms, self.wall_ms) = (*place, Some(vitals.at_ms), vitals.wall_ms);
        true
    }

    /// Whether anything is known.
    pub fn is_known(&self) -> bool {
        self.at_ms.is_some()
    }

    /// When the newest vitals were read, in milliseconds by the agent's monotonic clock; `None` before the first.
    pub fn at_ms(&self) -> Option<u64> {
        self.at_ms
    }

    /// How the host does.
    pub fn host(&self) -> HostNow {
        let kept = &self.host;
        let get = |field: HostField| kept.get(field as usize);
        HostNow {
            cpu_ms: get(HostField::Cpu),
            cpu: self.at_ms.and_then(|at| kept.rate(&HOST_STEPS, HostField::Cpu as usize, at, 1)),
            cpus: get(HostField::Cpus),
            load: get(HostField::Load),
            memory_total: get(HostField::MemoryTotal),
            memory_available: get(HostField::MemoryAvailable),
            swap_total: get(HostField::SwapTotal),
            swap_used: get(HostField::SwapUsed),
            uptime: self.at_ms.and_then(|at| kept.passed(HostField::Uptime as usize, at)),
            temperature: get(HostField::Temperature).map(to_signed),
            power: get(HostField::Power),
        }
    }

    /// The host's file systems, each by where it is mounted, in no order.
    pub fn disks(&self) -> impl Iterator<Item = (&str, DiskNow)> {
        self.disks.iter().map(|(path, kept)| {
            let get = |field: DiskField| kept.get(field as usize);
            let now = DiskNow {
                total: get(DiskField::Total),
                free: get(DiskField::Free),
                inodes_used: get(DiskField::InodesUsed),
                worn: get(DiskField::Worn),
            };
            (&**path, now)
        })
    }

    /// How one container does; `None` if it was not measured. One that does not run any more is as it was last, until
    /// it is [let go](Picture::retain).
    pub fn container(&self, id: &EngineId) -> Option<ContainerNow> {
        let prefix = prefix(id);
        let at = self.containers.binary_search_by_key(&prefix, |(id, _)| *id).ok()?;
        Some(self.shown(&self.containers[at].1))
    }

    /// All containers that were measured, by the first bytes of their ids and sorted by them.
    pub fn containers(&self) -> impl Iterator<Item = (Prefix, ContainerNow)> {
        self.containers.iter().map(|(id, kept)| (*id, self.shown(kept)))
    }

    /// Lets go of containers: to be called with those that run, when some have gone.
    pub fn retain(&mut self, runs: impl Fn(&Prefix) -> bool) {
        self.containers.retain(|(id, _)| runs(id));
    }

    fn shown(&self, kept: &Kept<CONTAINER_FIELDS>) -> ContainerNow {
        use ContainerField::{Cpu, Memory, MemoryLimit, Pids, Read, Received, Sent, Throttled, Written};
        let get = |field: ContainerField| kept.get(field as usize);
        let rate = |field: ContainerField, scale| kept.rate(&CONTAINER_STEPS, field as usize, self.at_ms?, scale);
        ContainerNow {
            cpu_ms: get(Cpu),
            cpu: rate(Cpu, 1),
            memory: get(Memory),
            memory_limit: get(MemoryLimit),
            received: get(Received),
            receiving: rate(Received, KIB),
            sent: get(Sent),
            sending: rate(Sent, KIB),
            read: get(Read),
            reading: rate(Read, KIB),
            written: get(Written),
            writing: rate(Written, KIB),
            pids: get(Pids),
            throttled_ms: get(Throttled),
            throttled: rate(Throttled, 1),
        }
    }
}

/// The first bytes of a container's id, as vitals name it.
pub fn prefix(id: &EngineId) -> Prefix {
    let mut prefix = [0; 6];
    prefix.copy_from_slice(&id.0[..6]);
    prefix
}

/// Bytes in the unit in which amounts of data are said.
const KIB: u64 = 1024;

#[cfg(test)]
#[path = "vitals_tests.rs"]
mod tests;
