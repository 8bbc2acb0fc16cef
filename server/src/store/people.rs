//! Rows of people and their browsers. Times are milliseconds since 1970 by the server's clock.

use serde::{Deserialize, Serialize};

/// Somebody who signs in with a password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UserRow {
    /// Its key.
    pub name: String,
    /// `admin` or `viewer`.
    pub role: String,
    /// What is kept of the password.
    pub password: PasswordRow,
    /// When the user was made.
    pub created_ms: i64,
    /// When the password was last set.
    pub password_ms: i64,
}

/// A password by Argon2id, version 0x13, and what it was made with.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PasswordRow {
    /// Memory, in KiB.
    pub memory_kib: u32,
    /// Passes over it.
    pub passes: u32,
    /// Lanes of it.
    pub lanes: u32,
    /// Random, of this password only.
    pub salt: [u8; 16],
    /// The outcome.
    pub hash: [u8; 32],
}

impl std::fmt::Debug for PasswordRow {
    /// Without what could be guessed against.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("PasswordRow(..)")
    }
}

/// A browser that has signed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebSessionRow {
    /// Its key: made from its secret, and shows nothing of it.
    pub id: String,
    /// SHA-256 of its secret.
    pub hash: [u8; 32],
    /// By what right it was begun, and with what it ends.
    pub origin: SessionOrigin,
    /// Who it is, for people: a user's name, or what a token is for.
    pub name: String,
    /// `admin` or `viewer`.
    pub role: String,
    /// When it was begun.
    pub created_ms: i64,
    /// When it was last used; written seldom.
    pub seen_ms: i64,
}

/// By what right a browser has signed in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SessionOrigin {
    /// A user's password: the user's name.
    User(String),
    /// An API token, or a link made with it: the token's id.
    ApiToken(String),
    /// The token of the data directory, or a link made with it: an id of that token.
    AdminToken(String),
}
