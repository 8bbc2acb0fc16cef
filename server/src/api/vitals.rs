//! How hosts and containers did, and which do the most: `/api/v1/hosts/{host}/vitals`,
//! `/api/v1/containers/{host}/{container}/vitals`, `/api/v1/top`.

use super::problem::problem;
use super::query::Query;
use super::types::{ContainerHistory, HostHistory, Problem, Sparklines, Top};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::{Fleet, VitalsSpan};
use crate::time;

/// Points of one answer: an hour by the second, two days by the minute.
const POINTS: i64 = 4000;

/// Of small plots: hosts in one answer, numbers of each, and how long ago they may begin.
const SPARK_HOSTS: usize = 100;
const SPARK_POINTS: i64 = 60;
const SPARK_POINTS_MOST: i64 = 120;
const SPARK_LONGEST_MS: i64 = 30 * 24 * 3_600_000;

/// What a time is cut into if nobody says, in milliseconds: the first that gives no more points than this.
const STEPS: [i64; 7] = [60_000, 300_000, 900_000, 3_600_000, 14_400_000, 86_400_000, 604_800_000];
const POINTS_UNASKED: i64 = 400;

/// If nobody says since when, in milliseconds.
const LAST_HOUR: i64 = 3_600_000;

/// Items of `/api/v1/top` unless `limit` says otherwise, and the most that it may say.
const TOP: usize = 50;
const TOP_LIMIT: usize = 500;

/// How a host was
///
/// Minutes are kept for about a day and hours for about a month, as far as `--vitals-history` has room. A step of an hour
/// or more is made from hours. Of a step in which the server did not run, or did not hear the host, there is no item.
#[utoipa::path(
    get,
    path = "/api/v1/hosts/{host}/vitals",
    tag = "hosts",
    params(
        ("host" = String, Path, description = "Its id or name"),
        ("since" = Option<String>, Query, description = "From this on: RFC 3339, seconds since 1970, or a duration before now such as 10m; an hour before `until` if left out"),
        ("until" = Option<String>, Query, description = "Up to this: as `since`; now if left out"),
        ("step" = Option<String>, Query, description = "What one item covers, such as 60, 5m or 1h; a minute at least; chosen by the length of the time if left out"),
    ),
    responses((status = 200, description = "How it was", body = HostHistory)),
)]
pub async fn host(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    let query = Query::new(request.query, &["since", "until", "step"])?;
    let span = span(&query, 60_000, time::now_ms())?;
    Ok(ApiAnswer::json(200, &fleet.host_history(host, span).await?))
}

/// How a container did lately
///
/// Kept in memory for hosts that somebody watches: from the first time on that this, the host's history, or
/// `/api/v1/top` with this host is asked for, and until 15 minutes after the last time.
#[utoipa::path(
    get,
    path = "/api/v1/containers/{host}/{container}/vitals",
    tag = "containers",
    params(
        ("host" = String, Path, description = "The host's id or name"),
        ("container" = String, Path, description = "The container's id, the beginning of it, or its name"),
        ("since" = Option<String>, Query, description = "From this on: RFC 3339, seconds since 1970, or a duration before now such as 10m; an hour before `until` if left out"),
        ("until" = Option<String>, Query, description = "Up to this: as `since`; now if left out"),
        ("step" = Option<String>, Query, description = "What one item covers, such as 15, 1m or 1h; a second at least; chosen by the length of the time if left out"),
    ),
    responses((status = 200, description = "How it did", body = ContainerHistory)),
)]
pub fn container(fleet: &Fleet, request: &ApiRequest<'_>, host: &str, container: &str) -> Handled {
    let query = Query::new(request.query, &["since", "until", "step"])?;
    let span = span(&query, 1000, time::now_ms())?;
    Ok(ApiAnswer::json(200, &fleet.container_history(host, container, span)?))
}

/// The busiest containers and hosts
///
/// By the processor time that they use now.
#[utoipa::path(
    get,
    path = "/api/v1/top",
    tag = "containers",
    params(
        ("host" = Option<Vec<String>>, Query, description = "Only of this host, by id or name; may be repeated"),
        ("limit" = Option<u32>, Query, description = "Hosts, and containers: 1 to 500; 50 if left out"),
    ),
    responses((status = 200, description = "The busiest first", body = Top)),
)]
pub async fn top(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["host", "limit"])?;
    let limit = match query.one("limit")? {
        None => TOP,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=TOP_LIMIT).contains(limit))
            .ok_or_else(|| problem(400, format!("limit: give a number from 1 to {TOP_LIMIT}")))?,
    };
    Ok(ApiAnswer::json(200, &fleet.top(&query.all("host"), limit).await?))
}

/// What hosts were like lately
///
/// For small plots: many hosts in one answer, few numbers each.
#[utoipa::path(
    get,
    path = "/api/v1/vitals",
    tag = "hosts",
    params(
        ("host" = Vec<String>, Query, description = "A host, by id or name; may be repeated up to 100 times. One that is not known is left out"),
        ("last" = Option<String>, Query, description = "How long ago it begins, such as 1h or 1d; an hour if left out, 30 days at most"),
        ("points" = Option<u32>, Query, description = "How many numbers: 1 to 120; 60 if left out. Each covers a minute at least"),
    ),
    responses((status = 200, description = "How they were", body = Sparklines)),
)]
pub async fn sparklines(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::with_many(request.query, &["host", "last", "points"], SPARK_HOSTS + 2)?;
    let hosts = query.all("host");
    if hosts.is_empty() || hosts.len() > SPARK_HOSTS {
        return Err(problem(400, format!("host: give 1 to {SPARK_HOSTS} of them")));
    }
    let last_ms = match query.one("last")? {
        None => LAST_HOUR,
        Some(text) => time::parse_duration(text)
            .ok()
            .and_then(|last| i64::try_from(last.as_millis()).ok())
            .filter(|last| (60_000..=SPARK_LONGEST_MS).contains(last))
            .ok_or_else(|| problem(400, "last: give a time from 1m to 30d"))?,
    };
    let points = match query.one("points")? {
        None => SPARK_POINTS,
        Some(text) => text
            .parse()
            .ok()
            .filter(|points| (1..=SPARK_POINTS_MOST).contains(points))
            .ok_or_else(|| problem(400, format!("points: give a number from 1 to {SPARK_POINTS_MOST}")))?,
    };
    Ok(ApiAnswer::json(200, &fleet.sparklines(&hosts, last_ms, points).await))
}

/// Reads which part of a history is wanted.
fn span(query: &Query<'_>, least_step_ms: i64, now_ms: i64) -> Result<VitalsSpan, Problem> {
    let when = |name: &str| -> Result<Option<i64>, Problem> {
        let read = |text| time::parse_when(text, now_ms).map_err(|why| problem(400, format!("{name}: {why}")));
        query.one(name)?.map(read).transpose()
    };
    let until_ms = when("until")?.unwrap_or(now_ms.saturating_add(1));
    let since_ms = when("since")?.unwrap_or(until_ms.saturating_sub(LAST_HOUR));
    let length = until_ms.saturating_sub(since_ms).max(0);
    let step_ms = match query.one("step")? {
        None => STEPS.into_iter().find(|step_ms| length / step_ms <= POINTS_UNASKED).unwrap_or(i64::MAX),
        Some(text) => step_ms(text)?,
    };
    if step_ms < least_step_ms {
        return Err(problem(400, format!("step: give at least {}s", least_step_ms / 1000)));
    }
    if length / step_ms > POINTS {
        return Err(problem(400, format!("this has more than {POINTS} steps: give a longer `step` or a shorter time")));
    }
    Ok(VitalsSpan { since_ms, until_ms, step_ms })
}

fn step_ms(text: &str) -> Result<i64, Problem> {
    let seconds = text.parse::<u32>().ok().map(|seconds| i64::from(seconds) * 1000);
    let duration = || time::parse_duration(text).map_err(|why| problem(400, format!("step: {why}")));
    match seconds {
        Some(ms) => Ok(ms),
        None => Ok(i64::try_from(duration()?.as_millis()).unwrap_or(i64::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn read(text: &str) -> Result<VitalsSpan, Problem> {
        let pairs = crate::api::query::parse(text).expect("a query");
        span(&Query::new(&pairs, &["since", "until", "step"])?, 60_000, NOW)
    }

    #[test]
    fn steps_fit_the_time_that_is_asked_for() {
        let step = |text: &str| read(text).map(|span| span.step_ms / 60_000).map_err(|problem| problem.status);
        assert_eq!(read(""), Ok(VitalsSpan { since_ms: NOW + 1 - LAST_HOUR, until_ms: NOW + 1, step_ms: 60_000 }));
        assert_eq!(step("since=1d"), Ok(5));
        assert_eq!(step("since=30d"), Ok(4 * 60));
        assert_eq!(step("since=1d&step=60"), Ok(1));
        assert_eq!(step("since=30d&step=1h"), Ok(60));
        assert_eq!(step("since=100000d"), Err(400), "longer than a duration can be");
        assert!(step("since=1970-01-01").is_ok());
        for wrong in ["since=30d&step=1m", "step=59", "step=0", "step=soon", "since=soon", "until=1&until=2"] {
            assert_eq!(step(wrong), Err(400), "{wrong}");
        }
        assert_eq!(read("since=1m&until=1h").map(|span| span.step_ms), Ok(60_000), "an empty time");
    }
}
