//! The rules: what they are called, how bad they are, and from when on.

use super::Refused;
use crate::api::types::{AlertRule, AlertSettings};
use serde::{Deserialize, Serialize};

/// What an alert can be about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rule {
    /// A host was not heard for the server's grace.
    HostAway,
    /// A container ended with an exit code that is not zero, and nobody had asked for that.
    Crashed,
    /// The kernel ended a process of a container for lack of memory.
    Oom,
    /// A container ends again and again.
    RestartLoop,
    /// A container's health check fails.
    Unhealthy,
    /// A file system is nearly full.
    Disk,
    /// A host is hot.
    Hot,
    /// A host gets too little voltage.
    Undervoltage,
    /// Two agents use one host's credential.
    Conflict,
}

/// From when on something is an alert.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limits {
    /// Whether the rule is looked after.
    pub enabled: bool,
    /// So long it has to be so first, in milliseconds.
    pub for_ms: u64,
    /// So long it has to be well before it is over, in milliseconds.
    pub clear_ms: u64,
    /// From this on (percent, degrees Celsius).
    pub at: f64,
    /// Below this it is well.
    pub clear_at: f64,
    /// So many ends make a loop.
    pub times: u32,
    /// Within so many milliseconds.
    pub within_ms: u64,
}

const fn limits(for_s: u64, clear_s: u64) -> Limits {
    Limits {
        enabled: true,
        for_ms: for_s * 1000,
        clear_ms: clear_s * 1000,
        at: 0.0,
        clear_at: 0.0,
        times: 0,
        within_ms: 0,
    }
}

/// The longest time that can be set, in seconds: a day.
const LONGEST_S: u64 = 86_400;
/// The most ends that a loop can be set to have: so many are kept of each container.
pub const MOST_TIMES: u32 = 50;

impl Rule {
    /// All of them, in the order in which they are listed.
    pub const ALL: [Rule; 9] = [
        Rule::HostAway,
        Rule::Crashed,
        Rule::Oom,
        Rule::RestartLoop,
        Rule::Unhealthy,
        Rule::Disk,
        Rule::Hot,
        Rule::Undervoltage,
        Rule::Conflict,
    ];

    /// Their words in the API, in the same order.
    pub const WORDS: [&'static str; 9] =
        ["host_away", "crashed", "oom", "restart_loop", "unhealthy", "disk", "hot", "undervoltage", "conflict"];

    /// The API's word.
    pub fn word(self) -> &'static str {
        Rule::WORDS[self as usize]
    }

    /// From the API's word.
    pub fn parse(word: &str) -> Option<Rule> {
        Rule::ALL.into_iter().find(|rule| rule.word() == word)
    }

    /// `critical` or `warning`.
    pub fn severity(self) -> &'static str {
        match self {
            Rule::HostAway | Rule::Crashed | Rule::Oom | Rule::RestartLoop | Rule::Conflict => "critical",
            Rule::Unhealthy | Rule::Disk | Rule::Hot | Rule::Undervoltage => "warning",
        }
    }

    /// Unless operators set something else.
    pub fn default_limits(self) -> Limits {
        match self {
            // The server's own grace is behind it already.
            Rule::HostAway => limits(0, 10),
            // So long a stop, an update or the kernel's word may come after the end that it explains.
            Rule::Crashed => limits(5, 60),
            Rule::Oom => limits(0, 60),
            Rule::RestartLoop => Limits { times: 5, within_ms: 600_000, ..limits(0, 300) },
            // Docker's check has retries of its own.
            Rule::Unhealthy => limits(0, 30),
            Rule::Disk => Limits { at: 90.0, clear_at: 87.0, ..limits(60, 60) },
            // Boards throttle from 80 degrees on.
            Rule::Hot => Limits { at: 80.0, clear_at: 75.0, ..limits(60, 60) },
            Rule::Undervoltage => limits(0, 300),
            // The server shows a conflict for ten minutes after the last sign of it.
            Rule::Conflict => limits(0, 0),
        }
    }
}

/// The limits of all rules.
#[derive(Debug, Clone, PartialEq)]
pub struct Rules([Limits; 9]);

impl Default for Rules {
    fn default() -> Rules {
        Rules(Rule::ALL.map(Rule::default_limits))
    }
}

impl Rules {
    /// Of one rule.
    pub fn of(&self, rule: Rule) -> &Limits {
        &self.0[rule as usize]
    }

    /// As operators have set them.
    ///
    /// # Errors
    /// Which setting makes no sense, and what would.
    pub fn read(settings: &AlertSettings) -> Result<Rules, Refused> {
        let mut rules = Rules::default();
        for (word, set) in &settings.rules {
            let Some(rule) = Rule::parse(word) else {
                return Err(Refused(format!("no rule is called {word:?}; there are {}", Rule::WORDS.join(", "))));
            };
            rules.0[rule as usize] = read(rule, set).map_err(|why| Refused(format!("{word}: {why}")))?;
        }
        Ok(rules)
    }

    /// As the API shows them: nothing is left out that means something.
    pub fn describe(&self) -> impl Iterator<Item = (String, AlertRule)> {
        Rule::ALL.into_iter().map(|rule| {
            let limits = self.of(rule);
            let has_level = matches!(rule, Rule::Disk | Rule::Hot);
            let is_loop = rule == Rule::RestartLoop;
            let shown = AlertRule {
                enabled: limits.enabled,
                for_s: Some(limits.for_ms / 1000),
                clear_s: Some(limits.clear_ms / 1000),
                at: has_level.then_some(limits.at),
                clear_at: has_level.then_some(limits.clear_at),
                times: is_loop.then_some(limits.times),
                within_s: is_loop.then_some(limits.within_ms / 1000),
            };
            (rule.word().to_owned(), shown)
        })
    }
}

fn read(rule: Rule, set: &AlertRule) -> Result<Limits, String> {
    let default = rule.default_limits();
    let time = |name: &str, set: Option<u64>, default_ms: u64| match set {
        None => Ok(default_ms),
        Some(seconds) if seconds <= LONGEST_S => Ok(seconds * 1000),
        Some(_) => Err(format!("{name}: at most {LONGEST_S} seconds")),
    };
    let mut limits = Limits {
        enabled: set.enabled,
        for_ms: time("for_s", set.for_s, default.for_ms)?,
        clear_ms: time("clear_s", set.clear_s, default.clear_ms)?,
        ..default
    };
    let range = match rule {
        Rule::Disk => 1.0..=100.0,
        Rule::Hot => 20.0..=150.0,
        _ if set.at.is_some() || set.clear_at.is_some() => {
            return Err("at, clear_at: only disk and hot have them".into());
        }
        _ => 0.0..=0.0,
    };
    if let Some(at) = set.at {
        limits.at = at;
        // So far apart as they are by default.
        limits.clear_at = at - (default.at - default.clear_at);
    }
    limits.clear_at = set.clear_at.unwrap_or(limits.clear_at);
    if !range.contains(&limits.at) {
        return Err(format!("at: give {} to {}", range.start(), range.end()));
    }
    // Neither holds for what is no number.
    if limits.clear_at > limits.at || limits.clear_at.is_nan() {
        return Err("clear_at: give at most what `at` is".into());
    }
    if rule == Rule::RestartLoop {
        limits.times = set.times.unwrap_or(default.times);
        limits.within_ms = time("within_s", set.within_s, default.within_ms)?;
        if !(2..=MOST_TIMES).contains(&limits.times) {
            return Err(format!("times: give 2 to {MOST_TIMES}"));
        }
        if limits.within_ms == 0 {
            return Err("within_s: give at least 1".into());
        }
    } else if set.times.is_some() || set.within_s.is_some() {
        return Err("times, within_s: only restart_loop has them".into());
    }
    Ok(limits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn set(word: &str, rule: AlertRule) -> Result<Rules, Refused> {
        Rules::read(&AlertSettings { rules: BTreeMap::from([(word.to_owned(), rule)]), ..AlertSettings::default() })
    }

    #[test]
    fn every_rule_has_a_word_and_comes_back_from_it() {
        for rule in Rule::ALL {
            assert_eq!(Rule::parse(rule.word()), Some(rule));
            assert_eq!(serde_json::to_value(rule).expect("JSON"), rule.word(), "stored under the same word");
            assert!(rule.default_limits().enabled);
        }
        assert_eq!(Rule::parse("crash"), None);
    }

    #[test]
    fn what_is_shown_can_be_set_again() {
        let shown: BTreeMap<_, _> = Rules::default().describe().collect();
        assert_eq!(shown.len(), Rule::ALL.len());
        let again = Rules::read(&AlertSettings { rules: shown, ..AlertSettings::default() });
        assert_eq!(again, Ok(Rules::default()));
    }

    #[test]
    fn settings_that_make_no_sense_are_refused_by_name() {
        let rule = AlertRule::default;
        assert!(set("disk", AlertRule { at: Some(95.0), ..rule() }).is_ok_and(|it| it.of(Rule::Disk).clear_at == 92.0));
        for (word, wrong) in [
            ("disks", rule()),
            ("disk", AlertRule { at: Some(0.0), ..rule() }),
            ("disk", AlertRule { at: Some(f64::NAN), ..rule() }),
            ("disk", AlertRule { clear_at: Some(f64::NAN), ..rule() }),
            ("disk", AlertRule { clear_at: Some(99.0), ..rule() }),
            ("disk", AlertRule { times: Some(3), ..rule() }),
            ("hot", AlertRule { at: Some(1000.0), ..rule() }),
            ("crashed", AlertRule { at: Some(1.0), ..rule() }),
            ("crashed", AlertRule { for_s: Some(u64::MAX), ..rule() }),
            ("restart_loop", AlertRule { times: Some(1), ..rule() }),
            ("restart_loop", AlertRule { within_s: Some(0), ..rule() }),
        ] {
            let refused = set(word, wrong).expect_err(word);
            assert!(refused.0.contains(word), "{}", refused.0);
        }
    }
}
