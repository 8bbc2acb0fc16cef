//! Alerts, and what is set of them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Something that is not as it should be, or was not.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// Grows with every alert of the fleet.
    pub id: u64,
    /// `host_away`, `crashed`, `oom`, `restart_loop`, `unhealthy`, `disk`, `hot`, `undervoltage` or `conflict`.
    pub rule: String,
    /// `critical` or `warning`.
    pub severity: String,
    /// The host's name.
    pub host: String,
    /// The host's id.
    pub host_id: String,
    /// The container's name, if it is about one.
    pub container: Option<String>,
    /// The container's full id, if it is about one.
    pub container_id: Option<String>,
    /// When it began: by the host's clock for what an event told, else by the server's.
    pub since: String,
    /// When it was over, by the server's clock; null while it fires.
    pub until: Option<String>,
    /// One sentence for people.
    pub text: String,
    /// Details, such as `exit_code`, `percent`, `times`; for one that is over `ended`: why.
    pub attributes: BTreeMap<String, String>,
    /// The labels that the host and the container had.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// A silence keeps it from being told.
    pub silenced: bool,
    /// What became of its notices, the newest of each target.
    pub delivered: Vec<AlertDelivery>,
}

/// What became of an alert's newest notice to one target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertDelivery {
    /// The target's name.
    pub to: String,
    /// `waiting`, `delivered` or `failed`.
    pub state: String,
}

/// What is set of one rule. What is left out is what it is by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertRule {
    /// Whether it is looked after.
    #[serde(default = "yes")]
    pub enabled: bool,
    /// Seconds for which it has to be so before it is an alert.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub for_s: Option<u64>,
    /// Seconds for which it has to be well before the alert is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear_s: Option<u64>,
    /// `disk`: from how many percent on; `hot`: from how many degrees Celsius on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<f64>,
    /// `disk`, `hot`: below what it is well again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clear_at: Option<f64>,
    /// `restart_loop`: how many ends make one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<u32>,
    /// `restart_loop`: within how many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within_s: Option<u64>,
}

fn yes() -> bool {
    true
}

impl Default for AlertRule {
    fn default() -> AlertRule {
        AlertRule { enabled: true, for_s: None, clear_s: None, at: None, clear_at: None, times: None, within_s: None }
    }
}

/// Hours in which nothing is sent. What began in them and still is so at their end is told then.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// Such as `22:00`.
    pub from: String,
    /// Such as `07:00`.
    pub to: String,
    /// Of which time zone they are: such as `+01:00`. It does not know of summer time.
    #[serde(default = "utc")]
    pub zone: String,
    /// What becomes of alerts that began and ended in them: `summarise` (they are told at the end) or `drop`.
    #[serde(default = "summarise")]
    pub ended: String,
}

fn utc() -> String {
    "+00:00".into()
}

fn summarise() -> String {
    "summarise".into()
}

/// What is set of alerts. What is left out is what it is by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertSettings {
    /// By the rule's word.
    #[serde(default)]
    pub rules: BTreeMap<String, AlertRule>,
    /// Null: none.
    #[serde(default)]
    pub quiet: Option<QuietHours>,
    /// For how many seconds what else happens is awaited, to be told in the same notice.
    #[serde(default = "group_wait")]
    pub group_wait_s: u64,
    /// After a notice of many alerts the next one waits for so many seconds.
    #[serde(default = "group_interval")]
    pub group_interval_s: u64,
}

fn group_wait() -> u64 {
    5
}

fn group_interval() -> u64 {
    60
}

impl Default for AlertSettings {
    fn default() -> AlertSettings {
        AlertSettings {
            rules: BTreeMap::new(),
            quiet: None,
            group_wait_s: group_wait(),
            group_interval_s: group_interval(),
        }
    }
}

/// Where alerts are sent: never with its secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertTarget {
    /// Unique among targets.
    pub name: String,
    /// `webhook`, `ntfy` or `email`.
    pub kind: String,
    /// A webhook's URL, without what may be a secret in it; for ntfy the server's; for e-mail `HOST:PORT`.
    pub address: String,
    /// How it begins: for ntfy the topic, for e-mail the address of each who gets it (`o...@example.org`).
    pub to: Vec<String>,
    /// Whether it has a secret, token or password.
    pub has_secret: bool,
    /// Whether it goes without TLS: unless it is `local`, it can be read on the way.
    pub plain: bool,
    /// Whether it goes to the server's own machine, by a loopback address.
    pub local: bool,
    /// Notices that wait.
    pub waiting: u32,
    /// Notices that were delivered.
    pub delivered: u64,
    /// Notices that were given up, being too many, too old, or refused for good.
    pub dropped: u64,
    /// When one was last delivered, since the server's start.
    pub last_delivered: Option<String>,
    /// Why the last attempt failed, if it did: one line.
    pub problem: Option<String>,
}

/// Asks for a target, or for another one in the place of the one with that name.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAlertTarget {
    /// Letters, digits, `-`, `_`, `.`; at most 32.
    pub name: String,
    /// `webhook`, `ntfy` or `email`.
    pub kind: String,
    /// `webhook`: where to send it; `ntfy`: its server, `https://ntfy.sh` if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// `webhook`: what the body is signed with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<String>,
    /// `ntfy`: the topic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub topic: Option<String>,
    /// `ntfy`: an access token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// `ntfy`: 1 to 5, for all notices; left out: 5 for critical ones, 3 for warnings, 2 for what is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
    /// `email`: the SMTP server: `HOST` or `HOST:PORT`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// `email`: `starttls` (which must succeed), `tls`, or `none`, which is for a server on the same machine only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// `email`: who logs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// `email`: with which password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// `email`: who it is from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// `email`: who gets it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
}

/// What may be secret is left out.
impl std::fmt::Debug for NewAlertTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewAlertTarget").field("name", &self.name).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// What is not to be told for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertSilence {
    /// Eight hexadecimal digits.
    pub id: String,
    /// Alerts of this host: its name or id.
    pub host: Option<String>,
    /// Alerts of containers with this name or id.
    pub container: Option<String>,
    /// Alerts of hosts and containers with this label: `KEY` or `KEY=VALUE`.
    pub label: Option<String>,
    /// Alerts of this rule.
    pub rule: Option<String>,
    /// When it began.
    pub since: String,
    /// When it ends.
    pub until: String,
    /// Why.
    pub why: String,
    /// Whose token made it.
    pub by: String,
}

/// Asks for a silence: of alerts for which all that is given holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAlertSilence {
    /// A host's name or id.
    #[serde(default)]
    pub host: Option<String>,
    /// A container's name or id.
    #[serde(default)]
    pub container: Option<String>,
    /// `KEY` or `KEY=VALUE`.
    #[serde(default)]
    pub label: Option<String>,
    /// A rule's word.
    #[serde(default)]
    pub rule: Option<String>,
    /// When it ends, as RFC 3339; or give `for_s`.
    #[serde(default)]
    pub until: Option<String>,
    /// After how many seconds it ends.
    #[serde(default)]
    pub for_s: Option<u64>,
    /// Why.
    #[serde(default)]
    pub why: String,
}

/// Asks for a notice that says that it is a test.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct TestAlert {
    /// To which target; left out: to all.
    #[serde(default)]
    pub to: Option<String>,
}

/// What became of a test.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct AlertTest {
    /// The target's name.
    pub to: String,
    /// Whether it took it.
    pub delivered: bool,
    /// Why it did not: one line.
    pub problem: Option<String>,
    /// How long it took.
    pub milliseconds: u64,
}
