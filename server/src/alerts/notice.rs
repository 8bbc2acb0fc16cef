//! A notice: what is sent to one target at one time.

use super::alert::Alert;
use super::text::{clean, sentence};
use crate::api::types;
use crate::store::{NoticeRow, Write};
use crate::time::format_ms;
use serde::{Deserialize, Serialize};

/// Alerts that one notice tells in full; the others are counted.
const IN_FULL: usize = 100;
/// Bytes of JSON that they have together.
const BYTES: usize = 96 * 1024;
/// Bytes of a label, its key with its value: a longer one is left out.
const LABEL: usize = 1024;
/// Lines of a notice for people.
const LINES: usize = 20;

/// What an alert did since it was last told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Turn {
    /// It began.
    Began,
    /// It is over.
    Ended,
    /// Both.
    CameAndWent,
}

/// A notice that waits, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// Its key, and its place among those of its target.
    pub id: u64,
    /// The target's name.
    pub to: String,
    /// When it was made, in milliseconds since 1970.
    pub made_ms: i64,
    /// The ids of all alerts that it tells of, and what of them.
    pub turns: Vec<(u64, Turn)>,
    /// What is sent.
    pub body: Body,
}

/// What a webhook is sent: the format is documented, and fields are only ever added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Body {
    /// The same whenever the same notice is sent again: 32 hexadecimal digits.
    pub id: String,
    /// When it was made.
    pub time: String,
    /// `alerts` or `test`.
    pub kind: String,
    /// One line.
    pub title: String,
    /// Lines for people.
    pub text: String,
    /// `critical`, `warning`, or `none` if all that it tells of is over.
    pub severity: String,
    /// How many of its alerts began.
    pub began: usize,
    /// How many are over: those that came and went count here, too.
    pub ended: usize,
    /// The first hundred alerts, or fewer if they are long.
    pub alerts: Vec<Told>,
    /// How many more there are.
    pub more: usize,
}

/// An alert in a notice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// What became of it.
    pub turn: Turn,
    /// As the API shows it, without what became of its notices.
    #[serde(flatten)]
    pub alert: serde_json::Value,
}

impl Notice {
    /// Of these alerts, in their order. `key` is random.
    pub fn new(id: u64, key: &str, to: &str, now_ms: i64, alerts: &[(&Alert, Turn)]) -> Notice {
        let (began, ended): (Vec<_>, Vec<_>) = alerts.iter().copied().partition(|(_, turn)| *turn == Turn::Began);
        // By the alphabet, which is by how bad it is.
        let severity = began.iter().map(|(alert, _)| alert.rule.severity()).min().unwrap_or("none");
        let mut bytes = 0;
        let told: Vec<Told> = alerts
            .iter()
            .take(IN_FULL)
            .map(|(alert, turn)| Told { turn: *turn, alert: shown(alert) })
            .take_while(|told| {
                bytes += told.alert.to_string().len();
                bytes <= BYTES
            })
            .collect();
        Notice {
            id,
            to: to.to_owned(),
            made_ms: now_ms,
            turns: alerts.iter().map(|(alert, turn)| (alert.id, *turn)).collect(),
            body: Body {
                id: key.to_owned(),
                time: format_ms(now_ms),
                kind: "alerts".into(),
                title: title(&began, &ended),
                text: text(alerts),
                severity: severity.to_owned(),
                began: began.len(),
                ended: ended.len(),
                more: alerts.len().saturating_sub(told.len()),
                alerts: told,
            },
        }
    }

    /// One that says that it is a test.
    pub fn test(key: &str, to: &str, now_ms: i64) -> Notice {
        let mut notice = Notice::new(0, key, to, now_ms, &[]);
        notice.body.kind = "test".into();
        notice.body.title = "Muster: this is a test".into();
        notice.body.text = "An operator has asked for a test of alerts. Nothing is wrong.".into();
        notice
    }

    /// To be stored.
    pub fn write(&self) -> Write {
        Write::Notice(NoticeRow { id: self.id, json: serde_json::to_vec(self).unwrap_or_default() })
    }

    /// As it was stored; `None` if it cannot be read.
    pub fn read(row: &NoticeRow) -> Option<Notice> {
        serde_json::from_slice(&row.json).ok().filter(|notice: &Notice| notice.id == row.id)
    }
}

/// An alert as everybody is shown it.
pub fn view(alert: &Alert, delivered: Vec<types::AlertDelivery>) -> types::Alert {
    types::Alert {
        id: alert.id,
        rule: alert.rule.word().into(),
        severity: alert.rule.severity().into(),
        host: clean(&alert.host).into_owned(),
        host_id: alert.subject.host.to_string(),
        container: alert.container.as_deref().map(|name| clean(name).into_owned()),
        container_id: alert.subject.container.map(|id| id.to_string()),
        since: format_ms(alert.since_ms),
        until: alert.until_ms.map(format_ms),
        text: sentence(alert),
        attributes: alert.attributes.iter().map(|(key, it)| (key.clone(), clean(it).into_owned())).collect(),
        labels: alert.labels.clone(),
        silenced: alert.silenced,
        delivered,
    }
}

fn shown(alert: &Alert) -> serde_json::Value {
    let mut value = serde_json::to_value(view(alert, Vec::new())).unwrap_or_default();
    if let Some(object) = value.as_object_mut() {
        object.remove("delivered");
        object.remove("silenced");
        if let Some(labels) = object.get_mut("labels").and_then(serde_json::Value::as_object_mut) {
            labels.retain(|key, value| key.len() + value.as_str().map_or(0, str::len) <= LABEL);
        }
    }
    value
}

fn title(began: &[(&Alert, Turn)], ended: &[(&Alert, Turn)]) -> String {
    match (began, ended) {
        ([(alert, _)], []) | ([], [(alert, _)]) => sentence(alert),
        // One that took the place of others.
        ([(alert, _)], ended) if ended.iter().all(|(it, _)| it.subject == alert.subject) => sentence(alert),
        (began, []) => format!("{} alerts: {}", began.len(), kinds(began)),
        ([], ended) => format!("{} alerts are over: {}", ended.len(), kinds(ended)),
        (began, ended) => {
            let (s, are) = (if began.len() == 1 { "" } else { "s" }, if ended.len() == 1 { "is" } else { "are" });
            format!("{} alert{s}: {}; {} {are} over", began.len(), kinds(began), ended.len())
        }
    }
}

/// How many there are of each rule.
fn kinds(alerts: &[(&Alert, Turn)]) -> String {
    let of = |rule: super::Rule| alerts.iter().filter(|(alert, _)| alert.rule == rule).count();
    let counts = super::Rule::ALL.into_iter().map(|rule| (rule, of(rule))).filter(|(_, count)| *count > 0);
    counts.map(|(rule, count)| format!("{count} {}", rule.word())).collect::<Vec<_>>().join(", ")
}

fn text(alerts: &[(&Alert, Turn)]) -> String {
    let mut lines: Vec<String> = alerts
        .iter()
        .take(LINES)
        .map(|(alert, _)| format!("{} (since {})", sentence(alert), format_ms(alert.since_ms)))
        .collect();
    if alerts.len() > LINES {
        lines.push(format!("... and {} more: see `muster alerts`", alerts.len() - LINES));
    }
    lines.join("\n")
}
