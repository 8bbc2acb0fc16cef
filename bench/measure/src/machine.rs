//! The machine of a measurement, and what else it was doing.

use std::fs;
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

/// The last lines of a result: date, kernel, processors, load.
pub fn describe() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let memory = read("/proc/meminfo").lines().next().and_then(|line| line.split_whitespace().nth(1)?.parse().ok());
    let model = read("/proc/cpuinfo");
    let model = model.lines().find_map(|line| line.strip_prefix("model name")?.split(": ").nth(1).map(str::to_owned));
    format!(
        "{}; Linux {}; {} CPUs ({}), {} MiB; {}",
        said("date", &["-u", "+%Y-%m-%d %H:%M UTC"]),
        read("/proc/sys/kernel/osrelease"),
        std::thread::available_parallelism().map_or(0, |count| count.get()),
        model.unwrap_or_else(|| "model unknown".into()),
        memory.unwrap_or(0_u64) / 1024,
        said("rustc", &["--version"]),
    )
}

/// The first line that a program prints; empty if it cannot be run.
pub fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}

/// The load averages as the kernel prints them.
pub fn load() -> String {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}

/// Time of all processors, to see how busy the machine is.
#[derive(Debug, Clone, Copy)]
pub struct Busy {
    busy: u64,
    all: u64,
}

impl Busy {
    /// So far.
    pub fn now() -> Busy {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = text.lines().next().unwrap_or_default();
        let ticks: Vec<u64> = line.split_whitespace().skip(1).take(8).map(|n| n.parse().unwrap_or(0)).collect();
        let all = ticks.iter().sum();
        // Idle, and idle because of the disk.
        let idle = ticks.get(3).unwrap_or(&0) + ticks.get(4).unwrap_or(&0);
        Busy { busy: all - idle, all }
    }

    /// Percent of the machine that was busy since then, by whomever.
    pub fn percent_since(self, earlier: Busy) -> f64 {
        100.0 * (self.busy - earlier.busy) as f64 / (self.all - earlier.all).max(1) as f64
    }
}

/// The version of a crate in this workspace's lock file.
pub fn version_of(name: &str) -> String {
    let lock = include_str!("../../Cargo.lock");
    let mut lines = lock.lines().skip_while(|line| *line != format!("name = \"{name}\"")).skip(1);
    let version = lines.next().and_then(|line| line.strip_prefix("version = \"")?.strip_suffix('"'));
    version.unwrap_or("unknown").to_owned()
}

/// Nanoseconds since 1970.
pub fn now_nano() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
