//! What processes and interfaces have used, read from /proc.

use std::collections::HashMap;
use std::fs;

/// CPU time of some processes, to the nanosecond.
///
/// The kernel counts it for each thread and forgets a thread that ends, so this has to be [looked
/// at](CpuMeter::look) often: what a thread used between the last look and its end is missing.
#[derive(Debug)]
pub struct CpuMeter {
    processes: Vec<u32>,
    threads: HashMap<(u32, u32), u64>,
}

impl CpuMeter {
    /// For these processes.
    pub fn new(processes: &[u32]) -> CpuMeter {
        let mut meter = CpuMeter { processes: processes.to_vec(), threads: HashMap::new() };
        meter.look();
        meter
    }

    /// Reads all threads; answers the nanoseconds used so far in the lives of all processes.
    pub fn look(&mut self) -> u64 {
        for process in &self.processes {
            for entry in fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
                let Some(thread) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
                let Ok(text) = fs::read_to_string(entry.path().join("schedstat")) else { continue };
                let used = text.split(' ').next().and_then(|number| number.parse().ok());
                if let Some(used) = used {
                    self.threads.insert((*process, thread), used);
                }
            }
        }
        self.threads.values().sum()
    }
}

/// Memory of a process, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory {
    /// Resident, shared pages of the program's file included.
    pub resident: u64,
    /// Resident and nobody else's: heap and stacks.
    pub anonymous: u64,
    /// The most that was ever resident.
    pub peak: u64,
}

impl Memory {
    /// Of a process; zeros if it has ended.
    pub fn of(process: u32) -> Memory {
        let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
            line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or(0)
        };
        Memory { resident: field("VmRSS:"), anonymous: field("RssAnon:"), peak: field("VmHWM:") }
    }
}

/// What an interface has carried, in the network namespace of a process.
#[derive(Debug, Clone, Copy, Default)]
pub struct Carried {
    /// IP bytes, headers included.
    pub bytes: u64,
    /// Packets.
    pub packets: u64,
}

impl Carried {
    /// By the loopback so far, which has no link header.
    pub fn by_loopback_of(process: u32) -> Carried {
        let [bytes, packets, ..] = counters(process, "lo");
        // Each packet is received once and sent once: the first two have both directions.
        Carried { bytes, packets }
    }

    /// By an interface so far, in both directions, without `link_header` bytes of each packet.
    pub fn by(process: u32, interface: &str, link_header: u64) -> Carried {
        let [received, packets_in, sent, packets_out] = counters(process, interface);
        let packets = packets_in + packets_out;
        Carried { bytes: (received + sent).saturating_sub(packets * link_header), packets }
    }
}

/// Bytes and packets received, bytes and packets sent.
fn counters(process: u32, interface: &str) -> [u64; 4] {
    let text = fs::read_to_string(format!("/proc/{process}/net/dev")).unwrap_or_default();
    let named = |line: &'_ str| line.trim_start().strip_prefix(interface)?.strip_prefix(':').map(str::to_owned);
    let line = text.lines().find_map(named).unwrap_or_default();
    let numbers: Vec<u64> = line.split_whitespace().map(|number| number.parse().unwrap_or(0)).collect();
    [0, 1, 8, 9].map(|field| numbers.get(field).copied().unwrap_or(0))
}
