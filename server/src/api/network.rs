//! `/api/v1/network`: the managed network.

use super::page::Paging;
use super::problem::read_body;
use super::query::Query;
use super::types::{
    AcceptNetworkKey, EnableNetwork, ManagedNetwork, NetworkHost, NetworkPath, NetworkPing, Page, PingNetwork,
};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::Fleet;
use crate::network::{host_key, path_key};

/// The managed network
///
/// What is set of it, and a page of its hosts with their labelled containers that could not be joined.
#[utoipa::path(
    get,
    path = "/api/v1/network",
    tag = "network",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Hosts of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "The network, and a page of its hosts by their names", body = ManagedNetwork)),
)]
pub fn show(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    page(fleet, &Query::new(request.query, &["cursor", "limit"])?)
}

fn page(fleet: &Fleet, query: &Query<'_>) -> Handled {
    let paging = Paging::<2>::read(query, "network_hosts")?;
    let mut network = fleet.network_page(paging.after.as_ref(), paging.limit);
    let page = paging.page(std::mem::take(&mut network.hosts), host_key);
    (network.hosts, network.next) = (page.items, page.next);
    Ok(ApiAnswer::json(200, &network))
}

/// Enable the managed network
///
/// Or change what is set of it. Another range or other blocks give all containers in it new addresses, which needs `force`
/// once hosts have some.
#[utoipa::path(
    post,
    path = "/api/v1/network",
    tag = "network",
    request_body = EnableNetwork,
    responses((status = 200, description = "The network as it is now, and the first page of its hosts", body = ManagedNetwork)),
)]
pub async fn enable(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &[])?;
    let body: &[u8] = if request.body.is_empty() { b"{}" } else { request.body };
    let wanted: EnableNetwork = read_body(body)?;
    fleet.enable_network(request.by()?, wanted).await?;
    page(fleet, &query)
}

/// Disable the managed network
///
/// Hosts take their containers out of it. Each keeps its addresses for when it is enabled again.
#[utoipa::path(
    delete,
    path = "/api/v1/network",
    tag = "network",
    responses((status = 200, description = "The network as it is now, and the first page of its hosts", body = ManagedNetwork)),
)]
pub async fn disable(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &[])?;
    fleet.disable_network(request.by()?).await?;
    page(fleet, &query)
}

/// List paths between hosts of the managed network
///
/// How each host reaches each other one, as it has said last: a host says what has changed at most twice a minute.
#[utoipa::path(
    get,
    path = "/api/v1/network/paths",
    tag = "network",
    params(
        ("host" = Option<String>, Query, description = "Only those from the host with this id or name"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of paths, by the names of both hosts", body = Page<NetworkPath>)),
)]
pub fn paths(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["host", "cursor", "limit"])?;
    let paging = Paging::<4>::read(&query, "network_paths")?;
    let host = query.one("host")?.map(|host| fleet.find_host(host)).transpose()?;
    let paths = fleet.network_paths(host.map(|cell| cell.id), paging.after.as_ref(), paging.limit);
    Ok(ApiAnswer::json(200, &paging.page(paths, path_key)))
}

/// Ask a host whether it reaches another one
///
/// By an echo through the tunnel between them. Takes at most ten seconds.
#[utoipa::path(
    post,
    path = "/api/v1/network/ping",
    tag = "network",
    request_body = PingNetwork,
    responses((status = 200, description = "What came of it", body = NetworkPing)),
)]
pub async fn ping(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let wanted: PingNetwork = read_body(request.body)?;
    Ok(ApiAnswer::json(200, &fleet.ping_network(&wanted).await?))
}

/// Take a host's place in the network away
///
/// Its blocks go to others last. If its network process still runs, it gets another place.
#[utoipa::path(
    delete,
    path = "/api/v1/network/hosts/{host}",
    tag = "network",
    params(("host" = String, Path, description = "Its id or name")),
    responses((status = 200, description = "The network as it is now, and the first page of its hosts", body = ManagedNetwork)),
)]
pub async fn remove(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    let query = Query::new(request.query, &[])?;
    fleet.remove_from_network(request.by()?, host).await?;
    page(fleet, &query)
}

/// Show one host of the managed network
#[utoipa::path(
    get,
    path = "/api/v1/network/hosts/{host}",
    tag = "network",
    params(("host" = String, Path, description = "Its id or name")),
    responses((status = 200, description = "The host", body = NetworkHost)),
)]
pub fn show_host(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.network_host(host)?))
}

/// Accept a host's new key
///
/// The one that it has come with last takes the place of the one that was seen first. The request says which one that is: a
/// host that has come with another one by now is answered 409, so that nobody accepts a key unseen.
#[utoipa::path(
    post,
    path = "/api/v1/network/hosts/{host}/accept",
    tag = "network",
    params(("host" = String, Path, description = "Its id or name")),
    request_body = AcceptNetworkKey,
    responses((status = 200, description = "The host as it is now", body = NetworkHost)),
)]
pub async fn accept(fleet: &Fleet, request: &ApiRequest<'_>, host: &str) -> Handled {
    Query::new(request.query, &[])?;
    let wanted: AcceptNetworkKey = read_body(request.body)?;
    Ok(ApiAnswer::json(200, &fleet.accept_network_key(request.by()?, host, &wanted).await?))
}
