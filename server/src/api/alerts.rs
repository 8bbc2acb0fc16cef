//! `/api/v1/alerts`: what is not as it should be, and whom to tell.

use super::problem::{problem, read_body};
use super::query::Query;
use super::types::{
    Alert, AlertSettings, AlertSilence, AlertTarget, AlertTest, NewAlertSilence, NewAlertTarget, Page, TestAlert,
};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::alerts::{AlertSelect, Rule};
use crate::fleet::Fleet;

/// Items of a page unless `limit` says otherwise, and the most that it may say.
const LIMITS: (usize, usize) = (100, 500);

/// Alerts
///
/// Newest first.
#[utoipa::path(
    get,
    path = "/api/v1/alerts",
    tag = "alerts",
    params(
        ("state" = Option<String>, Query, description = "`firing` (if left out), `ended` or `all`"),
        ("host" = Vec<String>, Query, description = "Names or ids of hosts"),
        ("container" = Vec<String>, Query, description = "Names or ids of containers"),
        ("rule" = Vec<String>, Query, description = "Words of rules"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
        ("before" = Option<u64>, Query, description = "`next` of the page before: ids below it"),
    ),
    responses((status = 200, description = "A page of alerts", body = Page<Alert>)),
)]
pub fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["state", "host", "container", "rule", "limit", "before"])?;
    let (firing, ended) = match query.one("state")? {
        None | Some("firing") => (true, false),
        Some("ended") => (false, true),
        Some("all") => (true, true),
        Some(_) => return Err(problem(400, "state: give firing, ended or all")),
    };
    let limit = match query.one("limit")? {
        None => LIMITS.0,
        Some(text) => text
            .parse()
            .ok()
            .filter(|limit| (1..=LIMITS.1).contains(limit))
            .ok_or_else(|| problem(400, format!("limit: give a number from 1 to {}", LIMITS.1)))?,
    };
    let before = match query.one("before")? {
        None => u64::MAX,
        Some(text) => text.parse().map_err(|_| problem(400, "before: give an alert's id"))?,
    };
    let select = AlertSelect {
        firing,
        ended,
        hosts: query.all("host"),
        containers: query.all("container"),
        rules: query.words("rule", &Rule::WORDS)?,
    };
    let (items, next) = fleet.alerts().list(&select, before, limit);
    Ok(ApiAnswer::json(200, &Page { items, next: next.map(|id| id.to_string()) }))
}

/// What is set of alerts
///
/// With all defaults filled in.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/settings",
    tag = "alerts",
    responses((status = 200, description = "What is set", body = AlertSettings)),
)]
pub fn settings(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.alerts().settings()))
}

/// Set alerts
///
/// All of it: what is left out becomes what it is by default.
#[utoipa::path(
    put,
    path = "/api/v1/alerts/settings",
    tag = "alerts",
    request_body = AlertSettings,
    responses((status = 200, description = "What is set now", body = AlertSettings)),
)]
pub async fn set(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let wanted: AlertSettings = read_body(request.body)?;
    fleet.set_alerts(request.by()?, wanted).await?;
    Ok(ApiAnswer::json(200, &fleet.alerts().settings()))
}

/// Where alerts are sent
///
/// Never with passwords, tokens or secrets.
#[utoipa::path(
    get,
    path = "/api/v1/alerts/targets",
    tag = "alerts",
    responses((status = 200, description = "All targets", body = Page<AlertTarget>)),
)]
pub fn targets(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &Page { items: fleet.alerts().targets(), next: None }))
}

/// Send alerts somewhere
///
/// It takes the place of a target with the same name; notices that wait go to the new one.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/targets",
    tag = "alerts",
    request_body = NewAlertTarget,
    responses((status = 201, description = "The target", body = AlertTarget)),
)]
pub async fn add_target(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let new: NewAlertTarget = read_body(request.body)?;
    Ok(ApiAnswer::json(201, &fleet.add_alert_target(request.by()?, new).await?))
}

/// Send alerts there no more
///
/// Notices that wait for it are dropped.
#[utoipa::path(
    delete,
    path = "/api/v1/alerts/targets/{name}",
    tag = "alerts",
    params(("name" = String, Path, description = "Its name")),
    responses((status = 204, description = "It is gone")),
)]
pub async fn remove_target(fleet: &Fleet, request: &ApiRequest<'_>, name: &str) -> Handled {
    Query::new(request.query, &[])?;
    fleet.remove_alert_target(request.by()?, name).await?;
    Ok(ApiAnswer::empty(204))
}

/// What is not told for a while
#[utoipa::path(
    get,
    path = "/api/v1/alerts/silences",
    tag = "alerts",
    responses((status = 200, description = "All silences that have not ended", body = Page<AlertSilence>)),
)]
pub fn silences(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &Page { items: fleet.alerts().silences(), next: None }))
}

/// Tell nothing of something for a while
///
/// Of alerts for which all that is given holds. What still fires when the silence ends is told then.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/silences",
    tag = "alerts",
    request_body = NewAlertSilence,
    responses((status = 201, description = "The silence", body = AlertSilence)),
)]
pub async fn silence(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let new: NewAlertSilence = read_body(request.body)?;
    Ok(ApiAnswer::json(201, &fleet.silence_alerts(request.by()?, new).await?))
}

/// End a silence
#[utoipa::path(
    delete,
    path = "/api/v1/alerts/silences/{id}",
    tag = "alerts",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "It has ended")),
)]
pub async fn end_silence(fleet: &Fleet, request: &ApiRequest<'_>, id: &str) -> Handled {
    Query::new(request.query, &[])?;
    fleet.end_silence(request.by()?, id).await?;
    Ok(ApiAnswer::empty(204))
}

/// Send a test
///
/// One attempt to each target, past quiet hours; answered when all are over.
#[utoipa::path(
    post,
    path = "/api/v1/alerts/test",
    tag = "alerts",
    request_body = TestAlert,
    responses((status = 200, description = "What became of it", body = Page<AlertTest>)),
)]
pub async fn test(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let wanted: TestAlert = if request.body.is_empty() { TestAlert::default() } else { read_body(request.body)? };
    let items = fleet.test_alerts(request.by()?, wanted.to.as_deref()).await?;
    Ok(ApiAnswer::json(200, &Page { items, next: None }))
}
