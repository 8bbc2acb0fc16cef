//! `/api/v1/fleet`

use super::query::Query;
use super::types::FleetSummary;
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::Fleet;

/// The fleet at a glance
///
/// How many hosts, engines and containers are in which state.
#[utoipa::path(
    get,
    path = "/api/v1/fleet",
    tag = "hosts",
    responses((status = 200, description = "How the fleet does", body = FleetSummary)),
)]
pub fn show(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.summary()))
}
