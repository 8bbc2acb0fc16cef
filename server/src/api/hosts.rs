//! `/api/v1/hosts`

use super::page::Paging;
use super::problem::{problem, read_body, shown};
use super::query::Query;
use super::types::{ChangeHost, Host, Page, Problem};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::Fleet;
use muster_protocol::limits;

/// Hosts
///
/// By name. Removed ones only on request.
#[utoipa::path(
    get,
    path = "/api/v1/hosts",
    tag = "hosts",
    params(
        ("removed" = Option<bool>, Query, description = "Also those that were removed"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of hosts", body = Page<Host>)),
)]
pub fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["removed", "cursor", "limit"])?;
    let paging = Paging::read(&query, "hosts")?;
    let hosts = fleet.hosts(query.flag("removed")?);
    Ok(ApiAnswer::json(200, &paging.page(hosts, |host| [&host.name, &host.id])))
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

/// Rename a host
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
    let name = change.name.ok_or_else(|| problem(422, "nothing to change: give `name`"))?;
    check_name(&name)?;
    Ok(ApiAnswer::json(200, &fleet.rename_host(host, &name).await?))
}

/// Remove a host
///
/// Its agent is refused from now on. Its history stays.
#[utoipa::path(
    delete,
    path = "/api/v1/hosts/{host}",
    tag = "hosts",
    params(("host" = String, Path, description = "Its id or name")),
    responses((status = 200, description = "The host as it was removed", body = Host)),
)]
pub async fn remove(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.remove_host(host).await?))
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
    fn names() {
        for good in ["a", "7", "pi-4.attic_2", &"a".repeat(64)] {
            assert_eq!(check_name(good), Ok(()));
        }
        for bad in ["", "-a", ".a", "a b", "a/b", "é", &"a".repeat(65)] {
            assert_eq!(check_name(bad).expect_err(bad).status, 422);
        }
    }
}
