//! `/api/v1/events`

use super::page::Paging;
use super::problem::{problem, shown};
use super::query::Query;
use super::types::{History, Problem};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::{EventSelect, Fleet};
use crate::time;

/// What an event can be about, by the API's words.
pub const SUBJECTS: [&str; 4] = ["container", "network", "host", "gap"];

/// The history of events
///
/// Oldest first unless `order` says otherwise. Old events are deleted: `history_begins` says from when on the history is whole. `next` is there as long as more events exist at the moment; who wants to go on later asks with
/// `after`, or follows `/api/v1/stream`.
#[utoipa::path(
    get,
    path = "/api/v1/events",
    tag = "events",
    params(
        ("since" = Option<String>, Query, description = "Not before this: RFC 3339, seconds since 1970, or a duration before now such as 10m"),
        ("until" = Option<String>, Query, description = "Not after this: as `since`"),
        ("after" = Option<u64>, Query, description = "Only events with a larger id; not together with `cursor`"),
        ("host" = Option<Vec<String>>, Query, description = "Only of this host, by id or name; may be repeated"),
        ("container" = Option<Vec<String>>, Query, description = "Only of this container, by the beginning of its id or name; may be repeated"),
        ("action" = Option<Vec<String>>, Query, description = "Only this action; may be repeated"),
        ("type" = Option<Vec<String>>, Query, description = "Only about this: container, network, host or gap; may be repeated"),
        ("label" = Option<Vec<String>>, Query, description = "Only with this attribute, `key` or `key=value`; all of several must match"),
        ("order" = Option<String>, Query, description = "oldest or newest: which of them comes first; oldest if left out"),
        ("before" = Option<u64>, Query, description = "Only events with a smaller id; with order=newest and not together with `cursor`"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of events", body = History)),
)]
pub async fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &KNOWN)?;
    let select = select(&query, time::now_ms())?;
    let newest = match query.one("order")? {
        None | Some("oldest") => false,
        Some("newest") => true,
        Some(other) => return Err(problem(400, format!("order={}: give oldest or newest", shown(other)))),
    };
    // A page's cursor leads on in the order of that page.
    let paging: Paging<1> = Paging::read(&query, if newest { "events.newest" } else { "events" })?;
    let page = match newest {
        true => fleet.events_before(before(&query, &paging)?, paging.limit, select).await?,
        false => fleet.events(after(&query, &paging)?, paging.limit, select).await?,
    };
    let next = page.next.map(|id| paging.cursor([&id.to_string()]));
    let history_begins = page.begins_ms.map(time::format_ms);
    Ok(ApiAnswer::json(200, &History { items: page.events, next, history_begins }))
}

/// What the list can be asked.
const KNOWN: [&str; 12] =
    ["since", "until", "after", "before", "order", "host", "container", "action", "type", "label", "cursor", "limit"];

fn number(text: &str, name: &str) -> Result<u64, Problem> {
    text.parse::<u64>().map_err(|_| problem(400, format!("{name}: this is not the id of an event")))
}

fn before(query: &Query<'_>, paging: &Paging<1>) -> Result<u64, Problem> {
    match (query.one("after")?, query.one("before")?, &paging.after) {
        (Some(_), _, _) => Err(problem(400, "give `before` with order=newest, not `after`")),
        (_, Some(_), Some(_)) => Err(problem(400, "give `before` or `cursor`, not both")),
        (_, Some(before), None) => number(before, "before"),
        (_, None, Some([id])) => number(id, "cursor"),
        (_, None, None) => Ok(u64::MAX),
    }
}

fn after(query: &Query<'_>, paging: &Paging<1>) -> Result<u64, Problem> {
    if query.one("before")?.is_some() {
        return Err(problem(400, "give order=newest with `before`"));
    }
    match (query.one("after")?, &paging.after) {
        (Some(_), Some(_)) => Err(problem(400, "give `after` or `cursor`, not both")),
        (Some(after), None) => number(after, "after"),
        (None, Some([id])) => number(id, "cursor"),
        (None, None) => Ok(0),
    }
}

fn select(query: &Query<'_>, now_ms: i64) -> Result<EventSelect, Problem> {
    let when = |name: &str| -> Result<Option<i64>, Problem> {
        let read = |text| time::parse_when(text, now_ms).map_err(|why| problem(400, format!("{name}: {why}")));
        query.one(name)?.map(read).transpose()
    };
    Ok(EventSelect {
        since_ms: when("since")?,
        until_ms: when("until")?,
        hosts: query.all("host"),
        containers: query.all("container"),
        actions: query.all("action"),
        subjects: query.words("type", &SUBJECTS)?,
        labels: query.all("label"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<(EventSelect, u64), Problem> {
        let pairs = crate::api::query::parse(text).expect("a query");
        let query = Query::new(&pairs, &["since", "until", "after", "type", "cursor", "limit"])?;
        let paging = Paging::read(&query, "events")?;
        Ok((select(&query, 1_000_000)?, after(&query, &paging)?))
    }

    #[test]
    fn times_and_places_are_read() {
        let (select, after) = read("since=10m&until=5&after=7&type=gap").expect("a selection");
        assert_eq!((select.since_ms, select.until_ms, after), (Some(400_000), Some(5_000), 7));
        let cursor =
            Paging::<1>::read(&Query::new(&[], &[]).expect("nothing"), "events").expect("paging").cursor(["9"]);
        assert_eq!(read(&format!("cursor={cursor}")).expect("a place").1, 9);
    }

    #[test]
    fn wrong_ones_are_named() {
        let cursor =
            Paging::<1>::read(&Query::new(&[], &[]).expect("nothing"), "events").expect("paging").cursor(["x"]);
        for (wrong, part) in [
            ("since=sometime", "since: 'sometime' is not a time"),
            ("after=-1", "after"),
            ("type=image", "one of container, network, host, gap"),
            (&format!("cursor={cursor}"), "cursor"),
            (&format!("cursor={cursor}&after=1"), "not both"),
        ] {
            let problem = read(wrong).expect_err(wrong);
            assert_eq!(problem.status, 400);
            assert!(problem.detail.contains(part), "{}", problem.detail);
        }
    }
}
