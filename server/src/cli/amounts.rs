//! Amounts as `docker stats` words them.

use crate::api::types::{ContainerVitals, HostVitals};

/// What is not known.
pub const UNKNOWN: &str = "--";

const BINARY: [&str; 7] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
const DECIMAL: [&str; 7] = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];

/// Bytes of memory, such as `96.5MiB`.
pub fn memory(bytes: u64) -> String {
    in_units(bytes, 1024.0, &BINARY, 4)
}

/// Bytes of anything else, such as `1.23MB`.
pub fn size(bytes: u64) -> String {
    in_units(bytes, 1000.0, &DECIMAL, 3)
}

fn in_units(bytes: u64, base: f64, units: &[&str; 7], digits: usize) -> String {
    let (mut amount, mut unit) = (bytes as f64, 0);
    while amount >= base && unit + 1 < units.len() {
        (amount, unit) = (amount / base, unit + 1);
    }
    let before_point = if amount >= 1.0 { amount.log10() as usize + 1 } else { 1 };
    let text = format!("{amount:.*}", digits.saturating_sub(before_point));
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{text}{}", units[unit])
}

/// Such as `12.34%`.
pub fn percent(percent: Option<f64>) -> String {
    percent.map_or(UNKNOWN.to_string(), |percent| format!("{percent:.2}%"))
}

/// Two amounts, such as what came in and what went out.
pub fn pair(first: Option<u64>, second: Option<u64>, words: fn(u64) -> String) -> String {
    let word = |amount: Option<u64>| amount.map_or(UNKNOWN.to_string(), words);
    format!("{} / {}", word(first), word(second))
}

/// What a container uses, and what it can use.
pub fn container_memory(vitals: &ContainerVitals) -> String {
    pair(vitals.memory, vitals.memory_max, memory)
}

/// What a host's programs use, in bytes.
pub fn used_memory(vitals: &HostVitals) -> Option<u64> {
    vitals.memory_total.zip(vitals.memory_available).map(|(total, available)| total.saturating_sub(available))
}

/// How full a host's fullest file system is, in percent.
pub fn fullest(vitals: &HostVitals) -> Option<f64> {
    vitals.disks.iter().filter_map(|disk| disk.used_percent).max_by(f64::total_cmp)
}

/// What a Pi's firmware says is wrong with a host's power now.
pub fn power_problems(vitals: &HostVitals) -> Vec<&'static str> {
    let Some(power) = &vitals.power else { return Vec::new() };
    let problems = [
        (power.under_voltage, "under-voltage"),
        (power.throttled, "throttled"),
        (power.capped, "frequency capped"),
        (power.hot, "hot"),
    ];
    problems.into_iter().filter_map(|(is_so, word)| is_so.then_some(word)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_worded_as_docker_words_them() {
        for (bytes, as_memory, as_size) in [
            (0, "0B", "0B"),
            (999, "999B", "999B"),
            (1023, "1023B", "1.02kB"),
            (1024, "1KiB", "1.02kB"),
            (1_258_291, "1.2MiB", "1.26MB"),
            (101_187_584, "96.5MiB", "101MB"),
            (4 << 30, "4GiB", "4.29GB"),
            (1_048_571, "1024KiB", "1.05MB"),
            (u64::MAX, "16EiB", "18.4EB"),
        ] {
            assert_eq!((memory(bytes).as_str(), size(bytes).as_str()), (as_memory, as_size), "{bytes}");
        }
        assert_eq!((percent(Some(101.5)), percent(None)), ("101.50%".to_string(), "--".to_string()));
        assert_eq!(pair(Some(1_234_567), None, size), "1.23MB / --");
    }
}
