//! `/metrics`: the fleet for Prometheus.

use super::problem::problem;
use super::query::Query;
use super::{ApiAnswer, ApiRequest, Body, Handled};
use crate::fleet::{Fleet, MetricSelect};

/// The text format of Prometheus.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Metrics for Prometheus
///
/// In its text format. Prometheus shows a viewer's token by `authorization`, or as the password of `basic_auth`, which
/// counts here and nowhere else. Vitals of hosts that are away are left out: see `muster_host_up`.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "server",
    params(
        ("host" = Option<Vec<String>>, Query, description = "Only of this host, by id or name; may be repeated"),
        ("containers" = Option<String>, Query, description = "`false`: without those of containers"),
    ),
    responses((status = 200, description = "Metrics", body = String, content_type = "text/plain")),
)]
pub async fn show(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["host", "containers"])?;
    let containers = match query.one("containers")? {
        None | Some("true") => true,
        Some("false") => false,
        Some(_) => return Err(problem(400, "containers: give true or false")),
    };
    let parts = fleet.metrics(MetricSelect { hosts: query.all("host"), containers }).await?;
    Ok(ApiAnswer { status: 200, content_type: TEXT, headers: Vec::new(), body: Body::Parts(parts) }.uncached())
}
