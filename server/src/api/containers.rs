//! `/api/v1/containers`

use super::page::{self, Paging};
use super::query::Query;
use super::types::{Container, Listed, Problem};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::{ContainerFind, ContainerSelect, Fleet};
use muster_protocol::container::State;

/// Containers of all hosts
///
/// By host, then name. Those that never started only with `all`. `offset` leads anywhere in the list as it is now;
/// pages by `cursor` stay true while containers come and go.
#[utoipa::path(
    get,
    path = "/api/v1/containers",
    tag = "containers",
    params(
        ("all" = Option<bool>, Query, description = "Also those that never started"),
        ("host" = Option<Vec<String>>, Query, description = "Only of this host, by id or name; may be repeated"),
        ("state" = Option<Vec<String>>, Query, description = "Only in this state; may be repeated"),
        ("label" = Option<Vec<String>>, Query, description = "Only with this label, `key` or `key=value`; all of several must match"),
        ("name" = Option<Vec<String>>, Query, description = "Only with this in the name; may be repeated"),
        ("health" = Option<Vec<String>>, Query, description = "Only of this health: starting, healthy, unhealthy or none; may be repeated"),
        ("image" = Option<Vec<String>>, Query, description = "Only with this in the image's name; may be repeated"),
        ("project" = Option<Vec<String>>, Query, description = "Only of this compose project; may be repeated"),
        ("offset" = Option<u32>, Query, description = "Items to skip; not together with `cursor`"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of containers", body = Listed<Container>)),
)]
pub async fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &KNOWN)?;
    let find = find_by(&query)?;
    for host in &find.select.hosts {
        fleet.host(host)?; // A misspelt name is an error and no empty list.
    }
    let paging: Paging<4> = Paging::read(&query, "containers")?;
    let offset = page::offset(&query, paging.after.is_some())?;
    if let Some(after) = &paging.after {
        // One more than the page has shows whether there is a next one.
        let items = fleet.containers_behind(find, after.clone(), paging.limit + 1).await;
        let page = paging.page(items, key);
        return Ok(ApiAnswer::json(200, &Listed { items: page.items, next: page.next, total: None }));
    }
    let (items, total) = fleet.containers_at(find, offset, paging.limit).await;
    let more = offset.saturating_add(items.len() as u64) < total;
    let next = items.last().filter(|_| more).map(|last| paging.cursor(key(last)));
    Ok(ApiAnswer::json(200, &Listed { items, next, total: Some(total) }))
}

fn key(container: &Container) -> [&str; 4] {
    [&container.host, &container.name, &container.host_id, &container.id]
}

/// What the list can be asked.
const KNOWN: [&str; 11] =
    ["all", "host", "state", "label", "name", "health", "image", "project", "offset", "cursor", "limit"];

/// The words of health, and one for those that have none.
const HEALTH: [&str; 4] = ["starting", "healthy", "unhealthy", "none"];

fn find_by(query: &Query<'_>) -> Result<ContainerFind, Problem> {
    Ok(ContainerFind {
        select: select(query)?,
        health: query.words("health", &HEALTH)?,
        images: query.all("image"),
        projects: query.all("project"),
    })
}

fn select(query: &Query<'_>) -> Result<ContainerSelect, Problem> {
    Ok(ContainerSelect {
        all: query.flag("all")?,
        hosts: query.all("host"),
        states: query.words("state", &State::WORDS.map(|(_, word)| word))?,
        labels: page::labels(query)?,
        names: query.all("name"),
    })
}

/// One container of one host
#[utoipa::path(
    get,
    path = "/api/v1/containers/{host}/{container}",
    tag = "containers",
    params(
        ("host" = String, Path, description = "The host's id or name"),
        ("container" = String, Path, description = "The container's id, the beginning of it, or its name"),
    ),
    responses((status = 200, description = "The container", body = Container)),
)]
pub fn show(fleet: &Fleet, request: &ApiRequest<'_>, host: &str, container: &str) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.container(host, container)?))
}

/// One container on whatever host
///
/// 409 with `candidates` if several hosts have it: copied cards copy the ids of containers too.
#[utoipa::path(
    get,
    path = "/api/v1/containers/{container}",
    tag = "containers",
    params(("container" = String, Path, description = "Its id, the beginning of it, or its name")),
    responses(
        (status = 200, description = "The container", body = Container),
        (status = 409, description = "Several hosts have it", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub fn find(fleet: &Fleet, request: &ApiRequest<'_>, container: &str) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.container_anywhere(container)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_and_checked() {
        let parse = |text| {
            let pairs = crate::api::query::parse(text).expect("a query");
            let query = Query::new(&pairs, &["all", "host", "state", "label", "name"])?;
            select(&query)
        };
        let select = parse("all=true&host=a&host=b&state=exited&label=x%3D1&name=web").expect("a selection");
        assert!(select.all);
        assert_eq!((select.hosts.len(), select.states.len()), (2, 1));
        assert_eq!((select.labels, select.names), (vec!["x=1".to_string()], vec!["web".to_string()]));
        for wrong in ["state=stopped", "label=", "label=%3Dx", "all=maybe"] {
            assert_eq!(parse(wrong).expect_err(wrong).status, 400);
        }
    }
}
