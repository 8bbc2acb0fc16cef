//! `/api/v1/audit`: what operators did.

use super::page::Paging;
use super::problem::{problem, shown};
use super::query::Query;
use super::types::{Audit, Page, Problem};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::{AuditSelect, Fleet};
use crate::time::parse_ms;

/// What operators did
///
/// Newest first: every change that was made through this API, by whom and from where, and what tokens were used for
/// that did not allow it. The newest 10,000 are kept.
#[utoipa::path(
    get,
    path = "/api/v1/audit",
    tag = "server",
    params(
        ("since" = Option<String>, Query, description = "Not before this time (RFC 3339), by the server's clock"),
        ("until" = Option<String>, Query, description = "Not after this time (RFC 3339), by the server's clock"),
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of the audit log", body = Page<Audit>)),
)]
pub async fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["since", "until", "cursor", "limit"])?;
    let paging = Paging::<1>::read(&query, "audit")?;
    let before = match &paging.after {
        None => u64::MAX,
        Some([id]) => id.parse().map_err(|_| problem(400, "cursor: this is not one that this list gave"))?,
    };
    let wanted = AuditSelect { since_ms: time(&query, "since")?, until_ms: time(&query, "until")? };
    let (items, next) = fleet.audit(before, paging.limit, wanted).await?;
    let next = next.map(|before| paging.cursor([&before.to_string()]));
    Ok(ApiAnswer::json(200, &Page { items, next }))
}

fn time(query: &Query<'_>, key: &str) -> Result<Option<i64>, Problem> {
    let Some(text) = query.one(key)? else { return Ok(None) };
    match parse_ms(text) {
        Some(ms) => Ok(Some(ms)),
        None => Err(problem(400, format!("{key}={}: give a time as RFC 3339 has it", shown(text)))),
    }
}
