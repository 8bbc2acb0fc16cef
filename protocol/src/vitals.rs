//! How a host and its containers do: what was measured, and what of it has to be said.
//!
//! Vitals go along with reports. They are the newest word and no history: nothing acknowledges them, they are not kept
//! while the server is away, and after a welcome, or when a message may have been lost, the next ones are whole.
//! Amounts that grow are sent as what they are and not as what was added, so that what is lost costs nothing but its
//! time.

use crate::limits;
use heapless::Vec;
use serde::{Deserialize, Serialize};

pub mod step;

/// Fields of a container that this version knows.
pub const CONTAINER_FIELDS: usize = ContainerField::Throttled as usize + 1;
/// Fields of a host that this version knows.
pub const HOST_FIELDS: usize = HostField::Power as usize + 1;
/// Fields of a file system that this version knows.
pub const DISK_FIELDS: usize = DiskField::Worn as usize + 1;

/// Opens the vitals of a message: everything behind it was read at about this moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vitals {
    /// Milliseconds on the agent's monotonic clock, which starts with the agent.
    pub at_ms: u64,
    /// Milliseconds since 1970 by the host's clock, when the message was made.
    pub wall_ms: i64,
    /// Whether everything follows: what is not in it is not known. Otherwise it is what was last said.
    pub whole: bool,
    /// Of the host: fields of [`HostField`].
    pub host: Measured<{ limits::HOST_FIELDS }>,
}

/// How one container does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// The first bytes of its id. The server ignores one that fits none, or more than one, of the host's containers.
    pub id: [u8; 6],
    /// Fields of [`ContainerField`]. None at all: nothing is known of it any more.
    pub values: Measured<{ limits::CONTAINER_FIELDS }>,
}

/// How one file system of the host does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk<'a> {
    /// Where it is mounted on the host, such as `/`.
    pub path: &'a str,
    /// Fields of [`DiskField`]. None at all: nothing is known of it any more.
    pub values: Measured<{ limits::DISK_FIELDS }>,
}

/// Server to agent: how often to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pace {
    /// Milliseconds between two looks; 0: what the agent was started with; `u32::MAX`: never.
    pub interval_ms: u32,
}

/// Some of the fields of something.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Measured<const N: usize> {
    /// Bit *n*: the field of number *n* is here.
    pub fields: u32,
    /// One for each bit, lowest first. Signed ones are zigzag encoded: see [`signed`].
    pub values: Vec<u64, N>,
}

impl<const N: usize> Measured<N> {
    /// Adds a field. They are added in the order of their numbers; one out of order, or beyond `N`, is left out.
    pub fn push(&mut self, field: u8, value: u64) {
        let bit = 1_u32.checked_shl(field.into()).unwrap_or(0);
        if bit > self.fields && self.values.push(value).is_ok() {
            self.fields |= bit;
        }
    }

    /// The fields and their values, as far as both are there. Numbers that the receiver does not know are to be skipped.
    pub fn iter(&self) -> impl Iterator<Item = (u8, u64)> + '_ {
        let fields = self.fields;
        (0..32).filter(move |field| fields & (1 << field) != 0).zip(self.values.iter().copied())
    }

    /// Whether nothing is here.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// A number that may be below zero, as a value: small ones stay small.
pub fn signed(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The number that [`signed`] made a value of.
pub fn to_signed(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}

/// What is measured of a container. Numbers are the wire format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ContainerField {
    /// Processor time since its start, in milliseconds.
    Cpu = 0,
    /// Memory in use without what is only cached, in KiB.
    Memory = 1,
    /// What it may use at most, in KiB; 0 for no limit.
    MemoryLimit = 2,
    /// Received over all of its network interfaces but `lo` since its start, in KiB.
    Received = 3,
    /// Sent likewise.
    Sent = 4,
    /// Read from block devices since its start, in KiB.
    Read = 5,
    /// Written likewise.
    Written = 6,
    /// Processes and threads.
    Pids = 7,
    /// Time that it was held back by its processor limit since its start, in milliseconds.
    Throttled = 8,
}

/// What is measured of a host. Numbers are the wire format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum HostField {
    /// Processor time spent not idle since its start, all processors together, in milliseconds.
    Cpu = 0,
    /// Processors.
    Cpus = 1,
    /// Load average of one minute, in hundredths.
    Load = 2,
    /// Memory, in KiB.
    MemoryTotal = 3,
    /// Of it available to programs without swapping, in KiB.
    MemoryAvailable = 4,
    /// Swap, in KiB.
    SwapTotal = 5,
    /// Of it in use, in KiB.
    SwapUsed = 6,
    /// Since its start, in seconds.
    Uptime = 7,
    /// The hottest of its processors, in tenths of a degree Celsius, [`signed`].
    Temperature = 8,
    /// What a Pi's firmware says of its power: see [`power`].
    Power = 9,
}

/// Bits of [`HostField::Power`], as the Pi's firmware numbers them (`vcgencmd get_throttled`).
pub mod power {
    /// The voltage is too low now.
    pub const UNDER_VOLTAGE: u64 = 1;
    /// The frequency is capped now.
    pub const CAPPED: u64 = 1 << 1;
    /// The processor is throttled now.
    pub const THROTTLED: u64 = 1 << 2;
    /// The soft temperature limit is reached now.
    pub const HOT: u64 = 1 << 3;
    /// The voltage was too low at some time since the start.
    pub const WAS_UNDER_VOLTAGE: u64 = 1 << 16;
    /// The processor was throttled at some time since the start.
    pub const WAS_THROTTLED: u64 = 1 << 18;
}

/// What is measured of a file system. Numbers are the wire format: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum DiskField {
    /// Its size, in MiB.
    Total = 0,
    /// Of it free for programs, in MiB.
    Free = 1,
    /// Of its inodes in use, in percent.
    InodesUsed = 2,
    /// Of its flash worn, in percent, as the device estimates it: eMMC and some SD cards say so in steps of ten.
    Worn = 3,
}
