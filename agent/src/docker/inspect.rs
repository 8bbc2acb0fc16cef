//! An inspect -> how a container's last run goes or went.
//!
//! Only what is needed is read: the environment, above all, is skipped over and never becomes a value.

use super::json::{ParseError, Text, nullable};
use super::{dialect, timestamp};
use muster_protocol::container::{Health, State};
use muster_protocol::id::EngineId;
use serde::Deserialize;
use std::borrow::Cow;

/// How a container's last run goes or went, from an inspect. Small, to be kept for each container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Details {
    /// Wins over the list's, for it is asked for later.
    pub state: State,
    /// What its health check says.
    pub health: Health,
    /// Of the last run; `None` while running or if never started.
    pub exit_code: Option<i32>,
    /// Whether the engine says that the last run ended for lack of memory.
    pub oom_killed: bool,
    /// How often the engine's restart policy started it again.
    pub restart_count: u32,
    /// Milliseconds since 1970; `None` if never.
    pub started_ms: Option<i64>,
    /// Milliseconds since 1970; `None` if no run has ended.
    pub finished_ms: Option<i64>,
    /// Its first process, as the host numbers it; 0 if it does not run or that is not known.
    pub pid: u32,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawInspect<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(default, deserialize_with = "nullable")]
    restart_count: i64,
    #[serde(borrow)]
    state: RawState<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawState<'a> {
    #[serde(borrow, default, deserialize_with = "nullable")]
    status: Text<'a>,
    #[serde(default, rename = "OOMKilled", deserialize_with = "nullable")]
    oom_killed: bool,
    #[serde(default, deserialize_with = "nullable")]
    exit_code: i64,
    #[serde(default, deserialize_with = "nullable")]
    pid: i64,
    #[serde(borrow, default, deserialize_with = "nullable")]
    started_at: Text<'a>,
    #[serde(borrow, default, deserialize_with = "nullable")]
    finished_at: Text<'a>,
    #[serde(borrow, default)]
    health: Option<RawHealth<'a>>,
    #[serde(borrow, default)]
    healthcheck: Option<RawHealth<'a>>,
}

#[derive(Deserialize)]
struct RawHealth<'a> {
    #[serde(borrow, default, rename = "Status", deserialize_with = "nullable")]
    status: Text<'a>,
}

/// Reads an inspect.
pub fn parse_inspect(json: &[u8]) -> Result<(EngineId, Details), ParseError> {
    let raw: RawInspect<'_> = serde_json::from_slice(json).map_err(|_| ParseError::Json)?;
    let id = EngineId::parse(&raw.id).ok_or(ParseError::Id)?;
    let state = dialect::state(&raw.state.status.0);
    let started_ms = timestamp::parse(&raw.state.started_at.0);
    // The engine says 127 for one that could not be started, and 0 for a running one.
    let has_ended = started_ms.is_some() && !matches!(state, State::Running | State::Paused | State::Created);
    let health = raw.state.health.as_ref().map(|health| &*health.status.0);
    let healthcheck = raw.state.healthcheck.as_ref().map(|health| &*health.status.0);
    let exit_code = raw.state.exit_code.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
    let details = Details {
        state,
        health: dialect::health(health, healthcheck),
        exit_code: has_ended.then_some(exit_code),
        oom_killed: raw.state.oom_killed,
        restart_count: raw.restart_count.clamp(0, i64::from(u32::MAX)) as u32,
        started_ms,
        finished_ms: timestamp::parse(&raw.state.finished_at.0),
        pid: u32::try_from(raw.state.pid).unwrap_or(0),
    };
    Ok((id, details))
}
