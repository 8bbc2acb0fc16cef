//! `/api/v1/backup`

use super::problem::problem;
use super::query::Query;
use super::{ApiAnswer, ApiRequest, Body, Handled};
use crate::fleet::Fleet;

/// A backup of the server
///
/// Everything but its keys and its admin token, which stay on its machine: hosts, containers, tokens (as hashes), the
/// audit log and the history, as they are now. For `muster restore`; `muster backup` adds the files. It is whole only
/// if it has its end. A backup that is begun ends one that is under way.
#[utoipa::path(
    get,
    path = "/api/v1/backup",
    tag = "server",
    params(("history" = Option<String>, Query, description = "`false`: without the events")),
    responses((status = 200, description = "A backup", body = Vec<u8>, content_type = "application/octet-stream")),
)]
pub async fn give(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["history"])?;
    let with_history = match query.one("history")? {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => return Err(problem(400, "history: give true or false")),
    };
    let parts = fleet.backup(request.by()?, with_history).await?;
    let body = Body::Parts(parts);
    Ok(ApiAnswer { status: 200, content_type: "application/octet-stream", headers: Vec::new(), body }.uncached())
}
