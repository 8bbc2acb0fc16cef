//! Silences: what is not to be told for a while.

use super::Refused;
use super::alert::Alert;
use super::rules::Rule;
use crate::api::types::{AlertSilence, NewAlertSilence};
use crate::time::{format_ms, parse_ms};
use serde::{Deserialize, Serialize};

/// The longest one: a year, in milliseconds.
const LONGEST_MS: i64 = 366 * 86_400_000;
/// Bytes of any text.
const TEXT: usize = 256;

/// A silence, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Silence {
    /// Its key.
    pub id: String,
    /// Name or id.
    pub host: Option<String>,
    container: Option<String>,
    label: Option<String>,
    rule: Option<Rule>,
    since_ms: i64,
    until_ms: i64,
    why: String,
    by: String,
}

impl Silence {
    /// As an operator asks for it. `id` is its key, `by` who asks.
    ///
    /// # Errors
    /// What makes no sense, and what would.
    pub fn new(asked: NewAlertSilence, id: String, by: String, now_ms: i64) -> Result<Silence, Refused> {
        let texts = [&asked.host, &asked.container, &asked.label, &asked.rule];
        if texts.iter().all(|text| text.is_none()) {
            return Err(Refused("say of what: a host, container, label or rule".into()));
        }
        let is_plain = |text: &str| text.len() <= TEXT && !text.chars().any(char::is_control);
        if !texts.into_iter().flatten().chain([&asked.why]).all(|text| is_plain(text)) {
            return Err(Refused(format!("texts have at most {TEXT} bytes and no control characters")));
        }
        if texts.into_iter().flatten().any(String::is_empty) {
            return Err(Refused("host, container, label and rule must not be empty".into()));
        }
        let rule = match asked.rule {
            None => None,
            Some(word) => match Rule::parse(&word) {
                Some(rule) => Some(rule),
                None => {
                    return Err(Refused(format!("no rule is called {word:?}; there are {}", Rule::WORDS.join(", "))));
                }
            },
        };
        let until_ms = match (asked.until, asked.for_s) {
            (Some(time), None) => {
                parse_ms(&time).ok_or_else(|| Refused(format!("until: {time:?} is no time; give RFC 3339")))?
            }
            (None, Some(seconds)) => {
                let ms = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
                now_ms.saturating_add(ms)
            }
            _ => return Err(Refused("say until when, or for how long: one of until and for_s".into())),
        };
        if until_ms <= now_ms || until_ms.saturating_sub(now_ms) > LONGEST_MS {
            return Err(Refused("a silence ends in the future, and within a year".into()));
        }
        let (host, container, label) = (asked.host, asked.container, asked.label);
        Ok(Silence { id, host, container, label, rule, since_ms: now_ms, until_ms, why: asked.why, by })
    }

    /// Whether it is over.
    pub fn is_over(&self, now_ms: i64) -> bool {
        now_ms >= self.until_ms
    }

    /// Whether it is about this alert.
    pub fn covers(&self, alert: &Alert) -> bool {
        let subject = &alert.subject;
        let host = |it: &String| *it == alert.host || *it == subject.host.to_string();
        let container = |it: &String| {
            let id = subject.container.map(|id| id.to_string());
            alert.container.as_ref() == Some(it) || id.is_some_and(|id| it.len() >= 12 && id.starts_with(it.as_str()))
        };
        let label = |it: &String| match it.split_once('=') {
            Some((key, value)) => alert.labels.get(key).is_some_and(|there| there == value),
            None => alert.labels.contains_key(it),
        };
        self.host.as_ref().is_none_or(host)
            && self.container.as_ref().is_none_or(container)
            && self.label.as_ref().is_none_or(label)
            && self.rule.is_none_or(|rule| rule == alert.rule)
    }

    /// What it is about, in words.
    pub fn subject(&self) -> String {
        let part = |name: &str, text: &Option<String>| text.as_ref().map(|text| format!("{name}={text}"));
        let rule = self.rule.map(|rule| rule.word().to_owned());
        let parts = [
            part("host", &self.host),
            part("container", &self.container),
            part("label", &self.label),
            part("rule", &rule),
        ];
        parts.into_iter().flatten().collect::<Vec<_>>().join(" ")
    }

    /// As the API shows it.
    pub fn view(&self) -> AlertSilence {
        AlertSilence {
            id: self.id.clone(),
            host: self.host.clone(),
            container: self.container.clone(),
            label: self.label.clone(),
            rule: self.rule.map(|rule| rule.word().to_owned()),
            since: format_ms(self.since_ms),
            until: format_ms(self.until_ms),
            why: self.why.clone(),
            by: self.by.clone(),
        }
    }
}
