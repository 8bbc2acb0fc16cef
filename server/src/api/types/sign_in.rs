//! Who signs in with a browser.

use crate::access::password::Password;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Signs in: with `token`, or with `name` and `password`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignIn {
    /// Of a sign-in link, which is used up by it, or an API token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub token: Option<Password>,
    /// A user's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// That user's password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub password: Option<Password>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Session {
    /// A user's name, or what a token is for.
    pub name: String,
    /// `admin` or `viewer`.
    pub role: String,
    /// When the session ends unless it is used; null for a token, which is used without one.
    pub expires_at: Option<String>,
}

/// Asks for a sign-in link.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewSignInLink {
    /// What whoever follows it may do: `admin` or `viewer`.
    pub role: String,
    /// For how long, in seconds; ten minutes if left out, a day at most.
    #[serde(default)]
    pub ttl: Option<u64>,
    /// Who it is for, as the audit log will say; whoever made it if left out.
    #[serde(default)]
    pub name: String,
}

/// A sign-in link at its making: the only time that it is shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct MadeSignInLink {
    /// To be opened in a browser, once.
    pub url: String,
    /// What in it is the secret.
    pub token: String,
    /// What it allows.
    pub role: String,
    /// When it ends.
    pub expires_at: String,
    /// SHA-256 of the certificate that the browser is shown, 64 hexadecimal digits: to be compared where it does not know
    /// who has made that. Null while the server starts.
    pub certificate: Option<String>,
}

/// Somebody who signs in with a password.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct User {
    /// Unique.
    pub name: String,
    /// `admin` or `viewer`.
    pub role: String,
    /// When the user was made.
    pub created_at: String,
    /// When the password was last set.
    pub password_set_at: String,
    /// Browsers that are signed in.
    pub sessions: u32,
}

/// Asks for a user.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    /// 1 to 64 letters, digits, `.`, `_`, `-`, `@` and `+`.
    pub name: String,
    /// `admin` or `viewer`.
    pub role: String,
    /// At least 10 characters.
    #[schema(value_type = String)]
    pub password: Password,
}

/// Changes a user: what is left out stays. Its sessions end.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ChangeUser {
    /// `admin` or `viewer`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    /// At least 10 characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub password: Option<Password>,
}
