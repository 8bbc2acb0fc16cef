//! `/api/v1/sign-in-links`

use super::problem::read_body;
use super::query::Query;
use super::types::{MadeSignInLink, NewSignInLink};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::Fleet;

/// Make a sign-in link
///
/// It signs in one browser, once. It ends with its time, with the token or user that made it, and when the server is
/// started again.
#[utoipa::path(
    post,
    path = "/api/v1/sign-in-links",
    tag = "sign in",
    request_body = NewSignInLink,
    responses((status = 201, description = "The link: shown only now", body = MadeSignInLink)),
)]
pub async fn make(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let new: NewSignInLink = read_body(request.body)?;
    if new.name.len() > NAME || new.name.chars().any(char::is_control) {
        return Err(super::problem::problem(422, format!("name: at most {NAME} bytes, without control characters")));
    }
    Ok(ApiAnswer::json(201, &fleet.make_sign_in_link(request.by()?, new).await?))
}

/// Bytes of whom a link can be for.
const NAME: usize = 64;
