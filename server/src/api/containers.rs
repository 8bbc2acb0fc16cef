//! `/api/v1/containers`

use super::page::Paging;
use super::problem::problem;
use super::query::Query;
use super::types::{Container, Page, Problem};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::{ContainerSelect, Fleet};
use muster_protocol::container::State;

/// Containers of all hosts
///
/// By host, then name. Those that never started only with `all`.
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
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of containers", body = Page<Container>)),
)]
pub async fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["all", "host", "state", "label", "name", "cursor", "limit"])?;
    let select = select(&query)?;
    for host in &select.hosts {
        fleet.host(host)?; // A misspelt name is an error and no empty list.
    }
    let paging: Paging<4> = Paging::read(&query, "containers")?;
    // One more than the page has shows whether there is a next one.
    let containers = fleet.containers(select, paging.after.clone(), paging.limit + 1).await;
    let page = paging.page(containers, |c| [&c.host, &c.name, &c.host_id, &c.id]);
    Ok(ApiAnswer::json(200, &page))
}

fn select(query: &Query<'_>) -> Result<ContainerSelect, Problem> {
    let labels = query.all("label");
    if labels.iter().any(|label| label.is_empty() || label.starts_with('=')) {
        return Err(problem(400, "label: give `key` or `key=value`"));
    }
    Ok(ContainerSelect {
        all: query.flag("all")?,
        hosts: query.all("host"),
        states: query.words("state", &State::WORDS.map(|(_, word)| word))?,
        labels,
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
