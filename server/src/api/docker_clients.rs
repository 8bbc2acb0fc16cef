//! `/api/v1/docker-clients`

use super::page::Paging;
use super::problem::{problem, read_body};
use super::query::Query;
use super::types::{DockerClient, MadeDockerClient, NewDockerClient, Page};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::Fleet;

/// Bytes of a name.
const NAME: usize = 64;

/// Clients of the Docker API
///
/// Oldest first.
#[utoipa::path(
    get,
    path = "/api/v1/docker-clients",
    tag = "docker",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of clients", body = Page<DockerClient>)),
)]
pub fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["cursor", "limit"])?;
    let paging = Paging::read(&query, "docker-clients")?;
    Ok(ApiAnswer::json(200, &paging.page(fleet.docker_clients(), |client| [&client.created_at, &client.id])))
}

/// Make a client of the Docker API
///
/// Certifies its public key. 409 unless the Docker API is served with TLS.
#[utoipa::path(
    post,
    path = "/api/v1/docker-clients",
    tag = "docker",
    request_body = NewDockerClient,
    responses((status = 201, description = "Its certificate", body = MadeDockerClient)),
)]
pub async fn make(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let new: NewDockerClient = read_body(request.body)?;
    if new.name.is_empty() || new.name.len() > NAME || new.name.chars().any(char::is_control) {
        return Err(problem(422, format!("name: 1 to {NAME} bytes, without control characters")));
    }
    Ok(ApiAnswer::json(201, &fleet.make_docker_client(request.by()?, new).await?))
}

/// Revoke a client of the Docker API
#[utoipa::path(
    delete,
    path = "/api/v1/docker-clients/{id}",
    tag = "docker",
    params(("id" = String, Path, description = "Its id")),
    responses((status = 204, description = "Its certificate can no longer be used")),
)]
pub async fn revoke(fleet: &Fleet, request: &ApiRequest<'_>, id: &str) -> Handled {
    Query::new(request.query, &[])?;
    fleet.revoke_docker_client(request.by()?, id).await?;
    Ok(ApiAnswer::empty(204))
}
