//! Join tokens and API tokens.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A join token as lists show it: never the token itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JoinToken {
    /// Shows nothing of the token.
    pub id: String,
    /// When it was made.
    pub created_at: String,
    /// When it ends.
    pub expires_at: String,
    /// How many hosts may still join with it; null: any number.
    pub uses_left: Option<u32>,
    /// How many have.
    pub used: u32,
    /// Given to hosts that join with it.
    pub labels: BTreeMap<String, String>,
    /// Given to the host that joins with it.
    pub name: Option<String>,
}

/// Asks for a join token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewJoinToken {
    /// For how long, in seconds; a day if left out.
    #[serde(default)]
    pub ttl: Option<u64>,
    /// For how many hosts; any number if left out.
    #[serde(default)]
    pub uses: Option<u32>,
    /// To give to hosts that join with it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// To give to the host that joins with it.
    #[serde(default)]
    pub name: Option<String>,
}

/// A join token at its making: the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MadeJoinToken {
    /// As lists show it.
    #[serde(flatten)]
    pub token: JoinToken,
    /// `muster://TOKEN@HOST:PORT?pin=sha256:...`
    pub join: String,
    /// The line to run on a host that has the agent.
    pub command: String,
    /// The line that fetches, installs and starts the agent on a host that has none, for root's shell.
    pub install: String,
}

/// An API token as lists show it: never the token itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ApiToken {
    /// Shows nothing of the token.
    pub id: String,
    /// What it is for.
    pub name: String,
    /// `admin` or `viewer`.
    pub role: String,
    /// When it was made.
    pub created_at: String,
}

/// Asks for an API token.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiToken {
    /// `admin` or `viewer`.
    pub role: String,
    /// What it is for.
    #[serde(default)]
    pub name: String,
}

/// An API token at its making: the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MadeApiToken {
    /// As lists show it.
    #[serde(flatten)]
    pub about: ApiToken,
    /// What to give as `Authorization: Bearer`.
    pub token: String,
}
