//! Clients of the Docker API.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A client of the Docker API: whoever holds the key of a certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DockerClient {
    /// 12 hexadecimal digits.
    pub id: String,
    /// What its docker context is called.
    pub name: String,
    /// `viewer`.
    pub role: String,
    /// The name or address that it reaches the server by.
    pub host: String,
    /// Of its certificate: `sha256:` and 64 hexadecimal digits.
    pub fingerprint: String,
    /// When it was made.
    pub created_at: String,
    /// When it ends.
    pub expires_at: String,
}

/// Asks for a certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDockerClient {
    /// What its docker context is called.
    pub name: String,
    /// The client's public key: an uncompressed point on P-256 in 130 hexadecimal digits.
    pub public_key: String,
    /// Where it reaches the server: `HOST:PORT`; as agents do if left out.
    #[serde(default)]
    pub docker_host: Option<String>,
    /// `viewer`, which is also what is meant if it is left out.
    #[serde(default)]
    pub role: Option<String>,
    /// For how many days; a year if left out.
    #[serde(default)]
    pub days: Option<u32>,
}

/// A certificate, at its making.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MadeDockerClient {
    /// As lists show it.
    #[serde(flatten)]
    pub client: DockerClient,
    /// Where it reaches the server: `tcp://HOST:PORT`.
    pub docker_host: String,
    /// What it knows the server by: `ca.pem`.
    pub ca: String,
    /// Its certificate: `cert.pem`.
    pub certificate: String,
}
