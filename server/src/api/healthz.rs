//! `/healthz`

use super::types::Healthz;
use super::{ApiAnswer, Handled};
use crate::fleet::Fleet;
use crate::time::{format_ms, now_ms};

/// How the server does
///
/// 503 while the store cannot keep what agents report. A warning alone, such as of an old file of the history that
/// cannot be read, is no reason for it.
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
    let health = health(fleet.problem(), fleet.warning());
    Ok(ApiAnswer::json(if health.problem.is_none() { 200 } else { 503 }, &health))
}

fn health(problem: Option<String>, warning: Option<String>) -> Healthz {
    let status = if problem.is_none() { "ok" } else { "failing" };
    let (time, version) = (format_ms(now_ms()), env!("CARGO_PKG_VERSION").to_string());
    Healthz { status: status.to_string(), problem, warning, version, time }
}
