//! `/healthz`

use super::types::Healthz;
use super::{ApiAnswer, Handled};
use crate::fleet::Fleet;

/// How the server does
///
/// 503 while the store cannot keep what agents report.
#[utoipa::path(
    get,
    path = "/healthz",
    tag = "server",
    security(()),
    responses(
        (status = 200, description = "All is well", body = Healthz),
        (status = 503, description = "The store is failing", body = Healthz),
    ),
)]
pub fn show(fleet: &Fleet) -> Handled {
    let health = health(fleet.problem());
    Ok(ApiAnswer::json(if health.problem.is_none() { 200 } else { 503 }, &health))
}

fn health(problem: Option<String>) -> Healthz {
    let status = if problem.is_none() { "ok" } else { "failing" };
    Healthz { status: status.to_string(), problem, version: env!("CARGO_PKG_VERSION").to_string() }
}
