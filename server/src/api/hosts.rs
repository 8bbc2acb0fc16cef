//! `/api/v1/hosts`

use super::page::{self, Paging};
use super::problem::{problem, read_body, shown};
use super::query::Query;
use super::types::{ChangeHost, ChangeHosts, Host, Listed, Page, Problem};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::{Fleet, HostChange, HostKey, HostOrder, HostSelect, INTERVALS_MS, NO_VITALS, Rhythm};
use muster_protocol::limits;

/// Hosts
///
/// By name unless `sort` says otherwise. Removed ones only on request. `offset` leads anywhere in the list as it is now;
/// pages by `cursor` stay true while hosts come and go.
#[utoipa::path(
    get,
    path = "/api/v1/hosts",
    tag = "hosts",
    params(
        ("removed" = Option<bool>, Query, description = "Also those that were removed"),
        ("name" = Option<Vec<String>>, Query, description = "Only with this in the name; may be repeated"),
        ("state" = Option<Vec<String>>, Query, description = "Only in this state; may be repeated"),
        ("engine" = Option<Vec<String>>, Query, description = "Only with an engine in this state: ok, not_answering or absent; may be repeated"),
        ("label" = Option<Vec<String>>, Query, description = "Only with this label, `key` or `key=value`; all of several must match"),
        ("sort" = Option<String>, Query, description = "name, last_seen, containers or attention (what needs it first); with - in front the other way round"),
        ("offset" = Option<u32>, Query, description = "Items to skip; not together with `cursor`"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of hosts", body = Listed<Host>)),
)]
pub fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let known = ["removed", "name", "state", "engine", "label", "sort", "offset", "cursor", "limit"];
    let query = Query::new(request.query, &known)?;
    let paging = Paging::<2>::read(&query, "hosts")?;
    let select = select(&query)?;
    let offset = page::offset(&query, paging.after.is_some())?;
    if paging.after.is_some() && select.order != HostOrder::default() {
        return Err(problem(400, "a `cursor` is for the order by name: give `offset` with another `sort`"));
    }
    let (items, total) = fleet.hosts_at(&select, paging.after.as_ref(), offset, paging.limit);
    let more = offset.saturating_add(items.len() as u64) < total;
    let next = items.last().filter(|_| more && select.order == HostOrder::default());
    let next = next.map(|host| paging.cursor([&host.name, &host.id]));
    let total = paging.after.is_none().then_some(total);
    Ok(ApiAnswer::json(200, &Listed { items, next, total }))
}

fn select(query: &Query<'_>) -> Result<HostSelect, Problem> {
    Ok(HostSelect {
        removed: query.flag("removed")?,
        names: query.all("name"),
        states: query.words("state", &STATES)?,
        engines: query.words("engine", &ENGINES)?,
        labels: page::labels(query)?,
        order: match query.one("sort")? {
            None => HostOrder::default(),
            Some(word) => order(word)
                .ok_or_else(|| problem(400, format!("sort={}: give one of {}", shown(word), ORDERS.join(", "))))?,
        },
    })
}

/// States of hosts and of engines, by the API's words.
const STATES: [&str; 4] = ["active", "reconnecting", "disconnected", "removed"];
const ENGINES: [&str; 3] = ["ok", "not_answering", "absent"];
const ORDERS: [&str; 4] = ["name", "last_seen", "containers", "attention"];

fn order(word: &str) -> Option<HostOrder> {
    let (backwards, word) = word.strip_prefix('-').map_or((false, word), |rest| (true, rest));
    let by = match word {
        "name" => HostKey::Name,
        "last_seen" => HostKey::LastSeen,
        "containers" => HostKey::Containers,
        "attention" => HostKey::Attention,
        _ => return None,
    };
    Some(HostOrder { by, backwards })
}

/// One host
#[utoipa::path(
    get,
    path = "/api/v1/hosts/{host}",
    tag = "hosts",
    params(("host" = String, Path, description = "Its id or name")),
    responses((status = 200, description = "The host", body = Host)),
)]
pub fn show(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.host(host)?))
}

/// Change a host: its name, how often it reports, or how often it looks at its vitals
#[utoipa::path(
    patch,
    path = "/api/v1/hosts/{host}",
    tag = "hosts",
    params(("host" = String, Path, description = "Its id or name")),
    request_body = ChangeHost,
    responses((status = 200, description = "The host as it is now", body = Host)),
)]
pub async fn change(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    Query::new(request.query, &[])?;
    let change: ChangeHost = read_body(request.body)?;
    if change == ChangeHost::default() {
        return Err(problem(422, "nothing to change: give `name`, `interval` or `vitals_interval`"));
    }
    change.name.as_deref().map(check_name).transpose()?;
    let rhythm = rhythm(change.interval, change.vitals_interval)?;
    let change = HostChange { name: change.name, rhythm };
    Ok(ApiAnswer::json(200, &fleet.change_host(request.by()?, host, change).await?))
}

/// Change how often hosts with a label report, or look at their vitals
///
/// All hosts that have the labels now; those that join later are not changed. Nothing is skipped over: if the store
/// fails in the middle, repeat it.
#[utoipa::path(
    patch,
    path = "/api/v1/hosts",
    tag = "hosts",
    params(("label" = Vec<String>, Query, description = "`key=value`; all of them must match; at least one")),
    request_body = ChangeHosts,
    responses((status = 200, description = "All of these hosts as they are now, by name", body = Page<Host>)),
)]
pub async fn change_all(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["label"])?;
    let label = |text: &String| match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(problem(400, format!("label={}: give key=value", shown(text)))),
    };
    let labels = query.all("label").iter().map(label).collect::<Result<Vec<_>, _>>()?;
    if labels.is_empty() {
        return Err(problem(400, "give a `label`: without one this would change every host"));
    }
    let change: ChangeHosts = read_body(request.body)?;
    if change == ChangeHosts::default() {
        return Err(problem(422, "nothing to change: give `interval` or `vitals_interval`"));
    }
    let rhythm = rhythm(change.interval, change.vitals_interval)?;
    let hosts = fleet.set_rhythm_of(request.by()?, &labels, rhythm).await?;
    Ok(ApiAnswer::json(200, &Page { items: hosts, next: None }))
}

fn rhythm(interval: Option<Option<f64>>, vitals_interval: Option<Option<f64>>) -> Result<Rhythm, Problem> {
    let vitals_ms = |seconds: Option<f64>| match seconds {
        Some(0.0) => Ok(Some(NO_VITALS)),
        seconds => interval_ms("vitals_interval", seconds),
    };
    Ok(Rhythm {
        interval_ms: interval.map(|seconds| interval_ms("interval", seconds)).transpose()?,
        vitals_ms: vitals_interval.map(vitals_ms).transpose()?,
    })
}

/// In milliseconds.
fn interval_ms(name: &str, seconds: Option<f64>) -> Result<Option<u32>, Problem> {
    let Some(seconds) = seconds else { return Ok(None) };
    // A float that is no number or too large becomes one that is out of bounds.
    let ms = (seconds * 1000.0).round() as u32;
    match INTERVALS_MS.contains(&ms) {
        true => Ok(Some(ms)),
        false => {
            let (least, most) = (INTERVALS_MS.start() / 1000, INTERVALS_MS.end() / 1000);
            let off = if name == "vitals_interval" { ", 0 for never" } else { "" };
            Err(problem(
                422,
                format!("{name}: give {least} to {most} seconds{off}, or null for what the agent was started with"),
            ))
        }
    }
}

/// Remove a host
///
/// Its agent is refused from now on. Its history stays. For 30 days it can be restored.
#[utoipa::path(
    delete,
    path = "/api/v1/hosts/{host}",
    tag = "hosts",
    params(("host" = String, Path, description = "Its id or name")),
    responses((status = 200, description = "The host as it was removed", body = Host)),
)]
pub async fn remove(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.remove_host(request.by()?, host).await?))
}

/// Restore a removed host
///
/// With its history and its credential. If its name is taken meanwhile, it gets a number.
#[utoipa::path(
    post,
    path = "/api/v1/hosts/{host}/restore",
    tag = "hosts",
    params(("host" = String, Path, description = "Its id, or the name that it had")),
    responses((status = 200, description = "The host as it is now", body = Host)),
)]
pub async fn restore(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.restore_host(request.by()?, host).await?))
}

/// Ask a host for a new credential
///
/// Its agent makes it with its next report. The old one counts until the new one is first used.
#[utoipa::path(
    post,
    path = "/api/v1/hosts/{host}/credential/rotate",
    tag = "hosts",
    params(("host" = String, Path, description = "Its id or name")),
    responses((status = 200, description = "The host as it is now", body = Host)),
)]
pub async fn rotate_credential(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.rotate_credential(request.by()?, host).await?))
}

/// Revoke a host's credential
///
/// At once. Its agent has to join again, and is a new host then.
#[utoipa::path(
    post,
    path = "/api/v1/hosts/{host}/credential/revoke",
    tag = "hosts",
    params(("host" = String, Path, description = "Its id or name")),
    responses((status = 200, description = "The host as it is now", body = Host)),
)]
pub async fn revoke_credential(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.revoke_credential(request.by()?, host).await?))
}

/// Refuses what no host can be called.
pub fn check_name(name: &str) -> Result<(), Problem> {
    let fits = (1..=limits::HOST_NAME).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if fits {
        return Ok(());
    }
    let detail = format!(
        "'{}' cannot be a host's name: give 1 to {} letters, digits, '.', '_' and '-', beginning with a letter or digit",
        shown(name),
        limits::HOST_NAME,
    );
    Err(problem(422, detail))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals() {
        assert_eq!(interval_ms("interval", None), Ok(None));
        assert_eq!(interval_ms("interval", Some(1.0)), Ok(Some(1000)));
        assert_eq!(interval_ms("interval", Some(3600.0)), Ok(Some(3_600_000)));
        for bad in [0.0, 0.9, 3600.1, -5.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(interval_ms("interval", Some(bad)).expect_err("a problem").status, 422, "{bad}");
        }
        let vitals = |seconds| rhythm(None, Some(seconds)).map(|rhythm| rhythm.vitals_ms);
        assert_eq!(vitals(Some(0.0)), Ok(Some(Some(NO_VITALS))), "never");
        assert_eq!(vitals(Some(15.0)), Ok(Some(Some(15_000))));
        assert_eq!(vitals(None), Ok(Some(None)));
        assert!(vitals(Some(0.5)).expect_err("a problem").detail.contains("0 for never"));
        assert_eq!(rhythm(None, None), Ok(Rhythm::default()));
    }

    #[test]
    fn what_is_left_out_is_not_what_is_null() {
        let read = |body: &str| read_body::<ChangeHost>(body.as_bytes()).map_err(|problem| problem.status);
        assert_eq!(read("{}"), Ok(ChangeHost::default()));
        assert_eq!(read(r#"{"interval": null}"#).map(|change| change.interval), Ok(Some(None)));
        assert_eq!(read(r#"{"interval": 30}"#).map(|change| change.interval), Ok(Some(Some(30.0))));
        let many = |body: &[u8]| read_body::<ChangeHosts>(body).map_err(|problem| problem.status);
        assert_eq!(many(b"{}"), Ok(ChangeHosts::default()));
        assert_eq!(many(br#"{"vitals_interval": null}"#).map(|change| change.vitals_interval), Ok(Some(None)));
        assert_eq!(many(br#"{"name": "x"}"#), Err(422));
    }

    #[test]
    fn names() {
        for good in ["a", "7", "pi-4.attic_2", &"a".repeat(64)] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "é", &"a".repeat(65)] {
            assert_eq!(check_name(bad).expect_err(bad).status, 422);
        }
    }
}
