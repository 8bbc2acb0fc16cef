//! One container's files in its control group, and what they say.
//!
//! Files that are read at every look stay open as long as there are [descriptors](Descriptors) left: reading such a file
//! costs a tenth of opening it. A file of a group that was removed reads as an error and keeps nothing alive. What a
//! network namespace counts is opened each time: a descriptor would keep the namespace, and interfaces that were moved
//! into it, after the container has ended.

use super::cgroup::{Controller, Hierarchy};
use super::parse::{self, Bytes};
use muster_protocol::limits;
use muster_protocol::vitals::{ContainerField, Measured};
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Bytes of a file that are read: `memory.stat` is the longest, of some 2 KiB.
pub const FILE: usize = 8 * 1024;

/// A file of a control group that is read at every look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    Cpu,
    Memory,
    MemoryStat,
    Pids,
    Io,
    Throttled,
}

/// How many there are.
pub const SOURCES: usize = 6;

/// What is read of a container at every look.
#[derive(Debug, Default)]
pub struct Files {
    open: [Option<File>; SOURCES],
    /// Those that are not there.
    missing: u8,
}

/// Descriptors that may still be kept open.
#[derive(Debug)]
pub struct Descriptors {
    left: usize,
}

impl Descriptors {
    /// So many.
    pub fn new(cap: usize) -> Descriptors {
        Descriptors { left: cap }
    }
}

/// Of one container, what is looked at seldom.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Settings {
    /// The limit of its memory in bytes; 0 for none.
    memory_limit: Option<u64>,
    /// Its processor time has a limit, so that it may be held back.
    has_quota: bool,
}

impl Settings {
    /// Reads them.
    pub fn read(hierarchy: &Hierarchy, group: &str, buffer: &mut [u8]) -> Settings {
        let mut read = |controller: Controller, file: &str| {
            let path = hierarchy.directory(controller, group)?.join(file);
            read_file(&path, buffer).ok().map(String::from)
        };
        let memory_limit = if hierarchy.has(Controller::Memory) {
            read(Controller::Memory, "memory.limit_in_bytes").and_then(|text| parse::limit_v1(&text))
        } else {
            read(Controller::Unified, "memory.max").and_then(|text| parse::limit(&text))
        };
        let quota = read(Controller::Cpu, "cpu.cfs_quota_us");
        let has_quota = quota.is_some_and(|text| parse::number(&text).is_some_and(|quota| quota > 0));
        Settings { memory_limit, has_quota }
    }
}

impl Source {
    /// Where it is: of a controller of version 1 if that is in use.
    fn file(self, hierarchy: &Hierarchy) -> (Controller, &'static [&'static str]) {
        let (controller, old, new): (_, &[&str], &[&str]) = match self {
            Source::Cpu => (Controller::CpuAcct, &["cpuacct.usage"], &["cpu.stat"]),
            Source::Memory => (Controller::Memory, &["memory.usage_in_bytes"], &["memory.current"]),
            Source::MemoryStat => (Controller::Memory, &["memory.stat"], &["memory.stat"]),
            Source::Pids => (Controller::Pids, &["pids.current"], &["pids.current"]),
            Source::Io => (
                Controller::Blkio,
                &["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"],
                &["io.stat"],
            ),
            // In version 2 it is beside the processor time.
            Source::Throttled => (Controller::Cpu, &["cpu.stat"], &[]),
        };
        if hierarchy.has(controller) { (controller, old) } else { (Controller::Unified, new) }
    }
}

impl Files {
    /// Closes what is open.
    pub fn close(&mut self, descriptors: &mut Descriptors) {
        descriptors.left += self.open.iter().flatten().count();
        *self = Files::default();
    }

    /// Looks anew for what was not there.
    pub fn look_again(&mut self) {
        self.missing = 0;
    }

    /// What the files of `group` say: all but the network. `None` if the group is gone.
    pub fn read(
        &mut self,
        hierarchy: &Hierarchy,
        group: &str,
        settings: Settings,
        network: Option<Bytes>,
        descriptors: &mut Descriptors,
        buffer: &mut [u8],
    ) -> Option<Measured<{ limits::CONTAINER_FIELDS }>> {
        let mut text = Texts { files: self, hierarchy, group, descriptors, buffer, gone: false };
        let (mut throttled_ms, mut measured) = (None, Measured::default());
        let mut push = |field: ContainerField, value: Option<u64>| {
            if let Some(value) = value {
                measured.push(field as u8, value);
            }
        };
        let cpu_ms = if hierarchy.has(Controller::CpuAcct) {
            text.of(Source::Cpu).and_then(parse::number).map(|nanoseconds| nanoseconds / 1_000_000)
        } else {
            text.of(Source::Cpu).and_then(|text| {
                throttled_ms = parse::named(text, "throttled_usec").map(|microseconds| microseconds / 1000);
                parse::named(text, "usage_usec").map(|microseconds| microseconds / 1000)
            })
        };
        push(ContainerField::Cpu, cpu_ms);
        let usage = text.of(Source::Memory).and_then(parse::number);
        let cached = if hierarchy.has(Controller::Memory) { "total_inactive_file" } else { "inactive_file" };
        let cached = usage.and(text.of(Source::MemoryStat)).and_then(|text| parse::named(text, cached));
        push(ContainerField::Memory, usage.map(|usage| usage.saturating_sub(cached.unwrap_or(0)) / KIB));
        push(ContainerField::MemoryLimit, settings.memory_limit.map(|limit| limit / KIB));
        push(ContainerField::Received, network.map(|network| network.into / KIB));
        push(ContainerField::Sent, network.map(|network| network.out_of / KIB));
        let sum = if hierarchy.has(Controller::Blkio) { parse::block_io_v1 } else { parse::block_io };
        let io = text.of(Source::Io).map(sum);
        push(ContainerField::Read, io.map(|io| io.into / KIB));
        push(ContainerField::Written, io.map(|io| io.out_of / KIB));
        push(ContainerField::Pids, text.of(Source::Pids).and_then(parse::number));
        if settings.has_quota {
            let of = |text: &str| parse::named(text, "throttled_time").map(|nanoseconds| nanoseconds / 1_000_000);
            throttled_ms = text.of(Source::Throttled).and_then(of);
        }
        push(ContainerField::Throttled, throttled_ms);
        (!text.gone).then_some(measured)
    }
}

/// Bytes in the unit in which amounts of data are said.
const KIB: u64 = 1024;

/// What the kernel says of a file whose group was removed (`ENODEV`).
const NO_DEVICE: i32 = 19;

/// The files of one group, while they are read.
struct Texts<'a> {
    files: &'a mut Files,
    hierarchy: &'a Hierarchy,
    group: &'a str,
    descriptors: &'a mut Descriptors,
    buffer: &'a mut [u8],
    /// A file that was open reads as an error: the group was removed.
    gone: bool,
}

impl Texts<'_> {
    fn of(&mut self, source: Source) -> Option<&str> {
        let bit = 1 << source as u8;
        if self.files.missing & bit != 0 || self.gone {
            return None;
        }
        let kept = &mut self.files.open[source as usize];
        let opened;
        let file = match kept {
            Some(file) => &*file,
            None => {
                let (controller, names) = source.file(self.hierarchy);
                let directory = self.hierarchy.directory(controller, self.group);
                let found = directory.and_then(|at| names.iter().find_map(|name| File::open(at.join(name)).ok()));
                let Some(file) = found else {
                    self.files.missing |= bit;
                    return None;
                };
                if self.descriptors.left > 0 {
                    self.descriptors.left -= 1;
                    &*kept.insert(file)
                } else {
                    opened = file;
                    &opened
                }
            }
        };
        // The kernel writes such a file anew for each reading from its beginning, and as a whole.
        match file.read_at(self.buffer, 0) {
            Ok(read) => std::str::from_utf8(self.buffer.get(..read)?).ok(),
            Err(error) if error.raw_os_error() == Some(NO_DEVICE) => {
                self.gone = true;
                None
            }
            Err(_) => {
                self.files.missing |= bit;
                None
            }
        }
    }
}

/// A small file as a whole, at most as much as the buffer holds.
pub fn read_file<'b>(path: &Path, buffer: &'b mut [u8]) -> io::Result<&'b str> {
    read_open(&mut File::open(path)?, buffer)
}

fn read_open<'b>(file: &mut File, buffer: &'b mut [u8]) -> io::Result<&'b str> {
    /// A file that comes in several pieces fills a page with each, but for less than a line.
    const PIECE: usize = 3072;
    let mut length = 0;
    loop {
        let read = file.read(&mut buffer[length..])?;
        length += read;
        if read < PIECE {
            break;
        }
    }
    let bytes = &buffer[..length];
    match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(error) => Ok(std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default()),
    }
}

/// Whether the file in which a process sees its network (`/proc/PID/net/dev`) is of another network namespace than the
/// host's, whose file has the number `host`: each namespace has a file of its own.
pub fn is_of_other_network(dev: &Path, host: Option<u64>) -> bool {
    fs::metadata(dev).is_ok_and(|dev| Some(dev.ino()) != host)
}
