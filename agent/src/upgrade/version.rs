//! Versions, in the order of their age.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// The longest version that is read, in bytes.
const LIMIT: usize = 64;

/// `MAJOR.MINOR.PATCH`, with `-PRE` for what comes before it. As Semantic Versioning has them; build metadata (`+...`) is
/// none of ours.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Version {
    numbers: [u64; 3],
    /// Empty: none.
    pre: Vec<Part>,
}

/// Of a pre-release: a number is older than a word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Number(u64),
    Word(String),
}

impl FromStr for Version {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Version, &'static str> {
        const WRONG: &str = "it is no version such as 1.2.3";
        if text.len() > LIMIT {
            return Err(WRONG);
        }
        let (core, pre) = match text.split_once('-') {
            Some((core, pre)) => (core, Some(pre)),
            None => (text, None),
        };
        let mut numbers = [0; 3];
        let mut parts = core.split('.');
        for place in &mut numbers {
            *place = parts.next().and_then(number).ok_or(WRONG)?;
        }
        if parts.next().is_some() {
            return Err(WRONG);
        }
        let is_plain = |word: &str| word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let part = |text: &str| match number(text) {
            Some(number) => Some(Part::Number(number)),
            None => (!text.is_empty() && is_plain(text)).then(|| Part::Word(text.to_string())),
        };
        let pre = pre.map(|pre| pre.split('.').map(part).collect::<Option<Vec<_>>>().ok_or(WRONG)).transpose()?;
        Ok(Version { numbers, pre: pre.unwrap_or_default() })
    }
}

/// `parse` alone would take a sign.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

impl Ord for Version {
    fn cmp(&self, other: &Version) -> Ordering {
        let release = |version: &Version| version.pre.is_empty();
        self.numbers
            .cmp(&other.numbers)
            .then_with(|| release(self).cmp(&release(other)))
            .then_with(|| self.pre.cmp(&other.pre))
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Version) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        self.pre.iter().enumerate().try_for_each(|(place, part)| {
            f.write_str(if place == 0 { "-" } else { "." })?;
            match part {
                Part::Number(number) => write!(f, "{number}"),
                Part::Word(word) => f.write_str(word),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_have_the_order_of_their_age() {
        let ordered = [
            "0.0.9",
            "0.1.0-alpha",
            "0.1.0-alpha.1",
            "0.1.0-alpha.2",
            "0.1.0-alpha.10",
            "0.1.0-alpha.x",
            "0.1.0-beta",
            "0.1.0",
            "0.1.1",
            "0.2.0",
            "0.10.0",
            "1.0.0-rc.1",
            "1.0.0",
        ];
        let versions: Vec<Version> = ordered.iter().map(|text| text.parse().unwrap()).collect();
        assert!(versions.is_sorted_by(|a, b| a < b), "{versions:?}");
        for (version, text) in versions.iter().zip(ordered) {
            assert_eq!(version.to_string(), text);
        }
    }

    #[test]
    fn what_is_no_version_is_refused() {
        let long = "1".repeat(LIMIT);
        for text in ["", "1", "1.2", "1.2.3.4", "1.2.x", "+1.2.3", "1.2.3-", "1.2.3-a..b", "1.2.3-ä", "1.2.3+x", &long]
        {
            assert!(text.parse::<Version>().is_err(), "{text}");
        }
        assert!(env!("CARGO_PKG_VERSION").parse::<Version>().is_ok(), "our own");
    }
}
