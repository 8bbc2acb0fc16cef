//! The kernel's text files -> numbers. Nothing here opens anything; what cannot be read gives `None`.

/// A processor tick of `/proc/stat` in milliseconds: user space sees a hundred a second on all of Linux's machines.
const TICK_MS: u64 = 10;

/// What `/proc/stat` says of the processors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Processors {
    /// Milliseconds since the start in which they were not idle, all together.
    pub busy_ms: u64,
    /// How many there are.
    pub count: u64,
}

/// Reads the beginning of `/proc/stat`.
pub fn processors(text: &str) -> Option<Processors> {
    let mut lines = text.lines();
    let all = lines.next()?.strip_prefix("cpu ")?;
    let ticks: heapless::Vec<u64, 8> =
        all.split_ascii_whitespace().map_while(|word| word.parse().ok()).take(8).collect();
    // User, nice, system, idle, waiting for a disk (idle, too), interrupts, soft interrupts, stolen. What guests take
    // is within user.
    let busy =
        [0, 1, 2, 5, 6, 7].iter().filter_map(|at| ticks.get(*at)).fold(0, |sum: u64, it| sum.saturating_add(*it));
    let count = lines.take_while(|line| line.starts_with("cpu")).count() as u64;
    (ticks.len() >= 4).then_some(Processors { busy_ms: busy.saturating_mul(TICK_MS), count: count.max(1) })
}

/// The load average of one minute in `/proc/loadavg`, in hundredths.
pub fn load(text: &str) -> Option<u64> {
    hundredths(text.split_ascii_whitespace().next()?)
}

/// `/proc/uptime`, in seconds.
pub fn uptime(text: &str) -> Option<u64> {
    Some(hundredths(text.split_ascii_whitespace().next()?)? / 100)
}

/// A number with two decimals.
fn hundredths(word: &str) -> Option<u64> {
    let (whole, part) = word.split_once('.')?;
    let part = part.get(..2)?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part.parse().ok()?)
}

/// What `/proc/meminfo` says, in KiB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// All of it.
    pub total: Option<u64>,
    /// What programs could have without swapping.
    pub available: Option<u64>,
    /// All swap.
    pub swap_total: Option<u64>,
    /// What of it is not in use.
    pub swap_free: Option<u64>,
}

/// Reads `/proc/meminfo`.
pub fn memory(text: &str) -> Memory {
    let mut memory = Memory::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let (Some(name), Some(value)) = (words.next(), words.next()) else { continue };
        let place = match name {
            "MemTotal:" => &mut memory.total,
            "MemAvailable:" => &mut memory.available,
            "SwapTotal:" => &mut memory.swap_total,
            "SwapFree:" => &mut memory.swap_free,
            _ => continue,
        };
        *place = value.parse().ok();
    }
    memory
}

/// The value behind a name, in a file of lines `name value`.
pub fn named(text: &str, name: &str) -> Option<u64> {
    let of = |line: &str| line.strip_prefix(name)?.strip_prefix(' ')?.trim_end().parse().ok();
    text.lines().find_map(of)
}

/// A file that has one number.
pub fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// A limit of memory in bytes, as version 2 says it: 0 for none.
pub fn limit(text: &str) -> Option<u64> {
    if text.trim() == "max" { Some(0) } else { number(text) }
}

/// From here on it is no limit, in version 1: that is written as the largest number of whole pages.
const NO_LIMIT: u64 = 1 << 62;
/// The same on machines of 32 bits.
const NO_LIMIT_32: u64 = (i32::MAX as u64) * 4096;

/// A limit of memory in bytes, as version 1 says it: 0 for none.
pub fn limit_v1(text: &str) -> Option<u64> {
    number(text).map(|limit| if limit >= NO_LIMIT || limit == NO_LIMIT_32 { 0 } else { limit })
}

/// Two sums of bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Bytes {
    /// Received, or read.
    pub into: u64,
    /// Sent, or written.
    pub out_of: u64,
}

/// What `io.stat` says of all devices together (version 2).
pub fn block_io(text: &str) -> Bytes {
    let mut sum = Bytes::default();
    for word in text.split_ascii_whitespace() {
        match word.split_once('=') {
            Some(("rbytes", bytes)) => sum.into = sum.into.saturating_add(bytes.parse().unwrap_or(0)),
            Some(("wbytes", bytes)) => sum.out_of = sum.out_of.saturating_add(bytes.parse().unwrap_or(0)),
            _ => {}
        }
    }
    sum
}

/// What `blkio.throttle.io_service_bytes` says of all devices together (version 1).
pub fn block_io_v1(text: &str) -> Bytes {
    let mut sum = Bytes::default();
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        // A line with a device's number first; the sum over all of them has none.
        let (Some(_), Some(what), Some(bytes)) = (words.next(), words.next(), words.next()) else { continue };
        let place = match what {
            "Read" => &mut sum.into,
            "Write" => &mut sum.out_of,
            _ => continue,
        };
        *place = place.saturating_add(bytes.parse().unwrap_or(0));
    }
    sum
}

/// What `/proc/PID/net/dev` says of all interfaces but `lo`, together.
pub fn network(text: &str) -> Option<Bytes> {
    let mut sum = Bytes::default();
    // Two lines of headings.
    for line in text.lines().skip(2) {
        let (name, counters) = line.split_once(':')?;
        if name.trim() == "lo" {
            continue;
        }
        let mut words = counters.split_ascii_whitespace().map(|word| word.parse::<u64>().ok());
        // Bytes come first, eight numbers of what was received before those of what was sent.
        let (into, out_of) = (words.next()??, words.nth(7)??);
        sum = Bytes { into: sum.into.saturating_add(into), out_of: sum.out_of.saturating_add(out_of) };
    }
    Some(sum)
}

/// The hottest that a processor is believed to be, in thousandths of a degree; and the coldest. Sensors that say more are
/// not connected.
const BELIEVED: std::ops::RangeInclusive<i64> = -60_000..=200_000;

/// A sensor's temperature in tenths of a degree Celsius.
pub fn temperature(text: &str) -> Option<i64> {
    text.trim().parse().ok().filter(|thousandths| BELIEVED.contains(thousandths)).map(|thousandths| thousandths / 100)
}

/// What a Pi's firmware says of its power, with or without `0x`.
pub fn throttled(text: &str) -> Option<u64> {
    let text = text.trim();
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16).ok()
}

/// An eMMC's or SD card's `life_time`: two estimates in steps of ten percent, of which the worse counts. 0 is not known,
/// 11 is worn beyond what was estimated.
pub fn worn_percent(text: &str) -> Option<u64> {
    let estimate = |word: &str| u64::from_str_radix(word.strip_prefix("0x")?, 16).ok();
    let worst = text.split_ascii_whitespace().filter_map(estimate).max()?;
    (1..=11).contains(&worst).then(|| worst * 10)
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
