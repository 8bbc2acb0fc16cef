//! What is asked for to become of hosts.

use serde::{Deserialize, Deserializer, Serialize};
use utoipa::ToSchema;

/// Changes a host.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeHost {
    /// Its new name.
    #[serde(default)]
    pub name: Option<String>,
    /// Seconds between its reports, 1 to 3600; null: what its agent was started with.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub interval: Option<Option<f64>>,
    /// Seconds between looks at its vitals, 1 to 3600; 0: never; null: what its agent was started with.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub vitals_interval: Option<Option<f64>>,
}

/// Changes all hosts that have some labels.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeHosts {
    /// Seconds between their reports, 1 to 3600; null: what their agents were started with.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub interval: Option<Option<f64>>,
    /// Seconds between looks at their vitals, 1 to 3600; 0: never; null: what their agents were started with.
    #[serde(default, deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<f64>)]
    pub vitals_interval: Option<Option<f64>>,
}

/// A field that was given, null or not, is something else than one that was left out.
fn given<'de, D: Deserializer<'de>>(field: D) -> Result<Option<Option<f64>>, D::Error> {
    Option::deserialize(field).map(Some)
}
