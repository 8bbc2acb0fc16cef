//! How the host itself does, from its files: processors, memory, disks, and what a board says of its temperature and
//! power.

use super::container::read_file;
use super::mounts::DiskMount;
use super::parse;
use muster_protocol::limits;
use muster_protocol::vitals::{DiskField, HostField, Measured, power, signed};
use std::fs;
use std::path::{Path, PathBuf};

/// Sensors that are read: a board has one or two, a server one for each of its packages.
const SENSORS: usize = 16;
/// Entries of a directory that are looked at.
const ENTRIES: usize = 256;
/// Bytes in a MiB.
const MIB: u128 = 1024 * 1024;

/// Where a board says how it does: found once in a while, and read at every look.
#[derive(Debug, Default)]
pub struct Board {
    sensors: Vec<PathBuf>,
    power: Option<Power>,
}

/// How a Pi tells of its power.
#[derive(Debug)]
enum Power {
    /// All of it, from the firmware.
    Firmware(PathBuf),
    /// Only that the voltage is too low, from the driver that warns of it.
    Alarm(PathBuf),
}

impl Board {
    /// Looks for what there is, below this root.
    pub fn find(root: &Path, buffer: &mut [u8]) -> Board {
        let zones = entries(&root.join("sys/class/thermal"), "thermal_zone").into_iter().map(|zone| zone.join("temp"));
        let sensors = zones.filter(|path| path.exists()).take(SENSORS).collect();
        // A Pi's firmware lies below its system on a chip, whose names have its address on some.
        let chips = entries(&root.join("sys/devices/platform"), "soc");
        let mut firmware = chips.iter().flat_map(|chip| entries(chip, "soc")).map(|at| at.join("get_throttled"));
        let firmware = firmware.find(|path| path.exists()).map(Power::Firmware);
        let mut alarm = || {
            let is_pi = |at: &PathBuf| read_file(&at.join("name"), buffer).is_ok_and(|name| name.trim() == "rpi_volt");
            let found = entries(&root.join("sys/class/hwmon"), "hwmon").into_iter().find(is_pi);
            found.map(|at| Power::Alarm(at.join("in0_lcrit_alarm")))
        };
        let power = firmware.or_else(&mut alarm);
        Board { sensors, power }
    }

    fn temperature(&self, buffer: &mut [u8]) -> Option<i64> {
        let mut of = |path: &PathBuf| parse::temperature(read_file(path, buffer).ok()?);
        self.sensors.iter().filter_map(&mut of).max()
    }

    fn power(&self, buffer: &mut [u8]) -> Option<u64> {
        match self.power.as_ref()? {
            Power::Firmware(path) => parse::throttled(read_file(path, buffer).ok()?),
            Power::Alarm(path) => {
                let is_low = parse::number(read_file(path, buffer).ok()?)? != 0;
                Some(if is_low { power::UNDER_VOLTAGE } else { 0 })
            }
        }
    }
}

/// Entries of a directory whose names begin so, sorted; none if it is not there.
fn entries(directory: &Path, beginning: &str) -> Vec<PathBuf> {
    let listed = fs::read_dir(directory).into_iter().flatten().take(ENTRIES).flatten();
    let begins = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(beginning));
    let mut found: Vec<PathBuf> = listed.filter(begins).map(|entry| entry.path()).collect();
    found.sort();
    found
}

/// Reads how the host does, below this root.
pub fn host(root: &Path, board: &Board, buffer: &mut [u8]) -> Measured<{ limits::HOST_FIELDS }> {
    let mut measured = Measured::default();
    let mut push = |field: HostField, value: Option<u64>| {
        if let Some(value) = value {
            measured.push(field as u8, value);
        }
    };
    let processors = read_file(&root.join("proc/stat"), buffer).ok().and_then(parse::processors);
    push(HostField::Cpu, processors.map(|processors| processors.busy_ms));
    push(HostField::Cpus, processors.map(|processors| processors.count));
    push(HostField::Load, read_file(&root.join("proc/loadavg"), buffer).ok().and_then(parse::load));
    let memory = read_file(&root.join("proc/meminfo"), buffer).map(parse::memory).unwrap_or_default();
    push(HostField::MemoryTotal, memory.total);
    push(HostField::MemoryAvailable, memory.available);
    push(HostField::SwapTotal, memory.swap_total);
    push(HostField::SwapUsed, memory.swap_total.zip(memory.swap_free).map(|(all, free)| all.saturating_sub(free)));
    push(HostField::Uptime, read_file(&root.join("proc/uptime"), buffer).ok().and_then(parse::uptime));
    push(HostField::Temperature, board.temperature(buffer).map(signed));
    push(HostField::Power, board.power(buffer));
    measured
}

/// Reads how a file system does that is mounted below this root.
pub fn disk(root: &Path, disk: &DiskMount, buffer: &mut [u8]) -> Measured<{ limits::DISK_FIELDS }> {
    let mut measured = Measured::default();
    if let Ok(stat) = rustix::fs::statvfs(root.join(disk.path.trim_start_matches('/'))) {
        let mib = |blocks: u64| u64::try_from(u128::from(blocks) * u128::from(stat.f_frsize) / MIB).unwrap_or(u64::MAX);
        measured.push(DiskField::Total as u8, mib(stat.f_blocks));
        measured.push(DiskField::Free as u8, mib(stat.f_bavail));
        // Some file systems make inodes as they need them, and count none.
        if let Some(used) = percent(stat.f_files.saturating_sub(stat.f_ffree), stat.f_files) {
            measured.push(DiskField::InodesUsed as u8, used);
        }
        if let Some(worn) = worn(root, &disk.device, buffer) {
            measured.push(DiskField::Worn as u8, worn);
        }
    }
    measured
}

fn percent(part: u64, all: u64) -> Option<u64> {
    let percent = (u128::from(part) * 100).checked_div(u128::from(all))?;
    u64::try_from(percent).ok()
}

/// What a card says of its wear; its partitions lie below it.
fn worn(root: &Path, device: &str, buffer: &mut [u8]) -> Option<u64> {
    let block = root.join("sys/dev/block").join(device);
    let mut of = |place: &str| parse::worn_percent(read_file(&block.join(place), buffer).ok()?);
    of("device/life_time").or_else(|| of("../device/life_time"))
}
