//! Whether a host is there: decided from what was heard of it, and nothing else. No clock; times are given.

/// How the host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HostState {
    /// It reports.
    Active,
    /// Three of its reports are overdue.
    Reconnecting,
    /// It has not been heard for the longer of a minute and six of its intervals; or never.
    Disconnected,
    /// An operator removed it.
    Removed,
}

impl HostState {
    /// The API's word.
    pub fn word(self) -> &'static str {
        match self {
            HostState::Active => "active",
            HostState::Reconnecting => "reconnecting",
            HostState::Disconnected => "disconnected",
            HostState::Removed => "removed",
        }
    }

    /// From a store's row; an unknown word is a host that has to be heard again.
    pub fn from_word(word: &str) -> HostState {
        match word {
            "active" => HostState::Active,
            "reconnecting" => HostState::Reconnecting,
            "removed" => HostState::Removed,
            _ => HostState::Disconnected,
        }
    }
}

/// Reports that may be overdue before a host counts as reconnecting.
const MISSED: u64 = 3;
/// Intervals of silence before it counts as disconnected.
const GONE: u64 = 6;
/// But at least this long, in milliseconds: a short interval is no reason for haste.
const GONE_AT_LEAST_MS: u64 = 60_000;
/// An agent that announces nonsense is treated as if it had announced this, in milliseconds.
const LONGEST_INTERVAL_MS: u64 = 24 * 3600 * 1000;

/// One host's liveness. Times are milliseconds by the server's monotonic clock.
#[derive(Debug, Clone)]
pub struct Liveness {
    state: HostState,
    heard: u64,
    interval: u64,
}

impl Liveness {
    /// As it was stored. The server's own downtime does not count: silence begins `now`.
    pub fn restored(state: HostState, interval_ms: u32, now: u64) -> Liveness {
        let mut liveness = Liveness { state, heard: now, interval: 0 };
        liveness.announce(interval_ms);
        liveness
    }

    /// How it stands.
    pub fn state(&self) -> HostState {
        self.state
    }

    /// When the host was last heard.
    pub fn heard(&self) -> u64 {
        self.heard
    }

    /// The host was heard then, whatever that means for its state.
    pub fn was_heard(&mut self, at: u64) {
        self.heard = at;
    }

    /// The host says how often it will report.
    pub fn announce(&mut self, interval_ms: u32) {
        self.interval = u64::from(interval_ms).clamp(100, LONGEST_INTERVAL_MS);
    }

    /// The host is told to report this seldom, and may do so from now on without saying so first. What it does more
    /// often than it says does no harm.
    pub fn allow(&mut self, interval_ms: u32) {
        self.interval = self.interval.max(u64::from(interval_ms).min(LONGEST_INTERVAL_MS));
    }

    /// An operator takes a removal back: the host has to be heard first.
    pub fn restore(&mut self) {
        self.state = HostState::Disconnected;
    }

    /// The host was heard. Answers its new state if that is a change.
    pub fn hear(&mut self, now: u64) -> Option<HostState> {
        self.was_heard(self.heard.max(now));
        self.enter(HostState::Active)
    }

    /// Time has passed. Answers the host's new state if that is a change.
    pub fn pass(&mut self, now: u64) -> Option<HostState> {
        let silence = now.saturating_sub(self.heard);
        match self.state {
            HostState::Active if silence > self.interval * MISSED => self.enter(HostState::Reconnecting),
            HostState::Reconnecting if silence > (self.interval * GONE).max(GONE_AT_LEAST_MS) => {
                self.enter(HostState::Disconnected)
            }
            _ => None,
        }
    }

    /// An operator removes it.
    pub fn remove(&mut self) {
        self.state = HostState::Removed;
    }

    fn enter(&mut self, state: HostState) -> Option<HostState> {
        if self.state == state || self.state == HostState::Removed {
            return None;
        }
        self.state = state;
        Some(state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_happens_once_and_at_its_time() {
        let mut host = Liveness::restored(HostState::Disconnected, 5000, 0);
        assert_eq!(host.hear(1000), Some(HostState::Active));
        assert_eq!(host.hear(6000), None);
        assert_eq!(host.pass(21_000), None);
        assert_eq!(host.pass(21_001), Some(HostState::Reconnecting));
        assert_eq!(host.pass(30_000), None);
        assert_eq!(host.pass(66_000), None);
        assert_eq!(host.pass(66_001), Some(HostState::Disconnected));
        assert_eq!(host.pass(1_000_000), None);
        assert_eq!(host.hear(1_000_001), Some(HostState::Active));
    }

    #[test]
    fn a_long_interval_has_patience() {
        let mut host = Liveness::restored(HostState::Active, 300_000, 0);
        assert_eq!(host.pass(900_000), None);
        assert_eq!(host.pass(900_001), Some(HostState::Reconnecting));
        assert_eq!(host.pass(1_800_000), None);
        assert_eq!(host.pass(1_800_001), Some(HostState::Disconnected));
    }

    #[test]
    fn the_servers_own_downtime_does_not_count() {
        let mut host = Liveness::restored(HostState::Active, 5000, 1_000_000);
        assert_eq!(host.pass(1_015_000), None);
        assert_eq!(host.pass(1_015_001), Some(HostState::Reconnecting));
    }

    #[test]
    fn a_longer_interval_counts_as_soon_as_it_is_told_and_a_shorter_one_when_it_is_announced() {
        let mut host = Liveness::restored(HostState::Active, 5000, 0);
        host.allow(60_000);
        assert_eq!(host.pass(180_000), None);
        host.announce(60_000);
        host.allow(5000);
        assert_eq!(host.pass(180_000), None);
        host.announce(5000);
        assert_eq!(host.pass(180_000), Some(HostState::Reconnecting));
    }

    #[test]
    fn a_removed_host_stays_removed() {
        let mut host = Liveness::restored(HostState::Active, 5000, 0);
        host.remove();
        assert_eq!(host.hear(1), None);
        assert_eq!(host.pass(1_000_000), None);
        assert_eq!(host.state(), HostState::Removed);
    }
}
