//! Who may do what, and how the server proves who it is.

pub mod admin;
pub mod attempts;
pub mod browser;
pub mod docker_ca;
pub mod fleet_key;
pub mod keys;
pub mod links;
pub mod operator_certificate;
pub mod password;
pub mod secret;
mod serving;
pub mod serving_key;
pub mod tokens;
pub mod trust;
pub mod users;
pub mod web_sessions;

/// It cannot be done: one line, for whoever asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessError {
    /// What happened, and what to do.
    pub message: String,
}

impl AccessError {
    fn new(message: String) -> AccessError {
        AccessError { message: message.replace(['\n', '\r'], " ") }
    }
}

impl std::fmt::Display for AccessError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for AccessError {}
