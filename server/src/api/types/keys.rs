//! Keys and addresses that agents know the server by.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The server's keys, and how far what was changed of them is known.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct KeyStatus {
    /// What the server is recognised by: `sha256:` and 64 hexadecimal digits.
    pub pin: String,
    /// The backup key's pin; null if there is no such key.
    pub backup_pin: Option<String>,
    /// Where the backup key lies on the server, while it has not been taken away; else null.
    pub backup_key_file: Option<String>,
    /// Pins of keys before, which agents still accept.
    pub former_pins: Vec<String>,
    /// The generation of serving certificates: agents accept none below it once they have confirmed.
    pub generation: u64,
    /// Grows with each change of keys, generation or addresses.
    pub revision: u64,
    /// Hosts that are not removed.
    pub hosts: u64,
    /// Those of them that have not confirmed this revision, by name.
    pub unconfirmed: Vec<UnconfirmedHost>,
}

/// A host that has not confirmed the last change of what the server is recognised and reached by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct UnconfirmedHost {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// As in the list of hosts.
    pub state: String,
    /// When it was last heard; null if never.
    pub last_seen: Option<String>,
    /// The revision that it holds; 0: what it joined with.
    pub revision: u64,
}

/// The public half of a key that was made and is not used yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PreparedKey {
    /// A point on P-256, uncompressed, as 130 hexadecimal digits.
    pub public_key: String,
    /// The least generation of the certificate that vouches for it.
    pub generation: u64,
}

/// Asks the server to go over to another key.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RotateKey {
    /// The key before may be in foreign hands: it vouches for nothing, and agents drop it as soon as they are told.
    #[serde(default)]
    pub compromised: bool,
    /// Certificates in PEM by which the backup key vouches for the key that was prepared; needed if `compromised`.
    #[serde(default)]
    pub voucher: Option<String>,
    /// Serve with a certificate of at least this generation: for a server that was restored, and is refused.
    #[serde(default)]
    pub generation: Option<u64>,
}

/// Asks the server to make agents forget the keys before.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct FinishRotation {
    /// Even if hosts have not confirmed the new key.
    #[serde(default)]
    pub force: bool,
}

/// An address that agents reach the server by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct AgentAddress {
    /// `HOST:PORT`; an IPv6 address in brackets.
    pub address: String,
}
