//! `/api/v1/tokens`

use super::page::Paging;
use super::problem::{problem, read_body, shown};
use super::query::Query;
use super::types::{ApiToken, MadeApiToken, NewApiToken, Page, Problem};
use super::{ApiAnswer, ApiRequest, Handled, Role};
use crate::fleet::Fleet;

/// Bytes of what a token can be called.
const NAME: usize = 64;

/// API tokens
///
/// Oldest first. None of them shows the token itself.
#[utoipa::path(
    get,
    path = "/api/v1/tokens",
    tag = "tokens",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of API tokens", body = Page<ApiToken>)),
)]
pub fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["cursor", "limit"])?;
    let paging = Paging::read(&query, "tokens")?;
    Ok(ApiAnswer::json(200, &paging.page(fleet.api_tokens(), |token| [&token.created_at, &token.id])))
}

/// Make an API token
#[utoipa::path(
    post,
    path = "/api/v1/tokens",
    tag = "tokens",
    request_body = NewApiToken,
    responses((status = 201, description = "The token: shown only now", body = MadeApiToken)),
)]
pub async fn make(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let new: NewApiToken = read_body(request.body)?;
    check(&new)?;
    Ok(ApiAnswer::json(201, &fleet.make_api_token(request.by()?, new).await?))
}

/// Revoke an API token
#[utoipa::path(
    delete,
    path = "/api/v1/tokens/{id}",
    tag = "tokens",
    params(("id" = String, Path, description = "Its id: not the token itself")),
    responses((status = 204, description = "It can no longer be used")),
)]
pub async fn revoke(fleet: &Fleet, request: &ApiRequest<'_>, id: &str) -> Handled {
    Query::new(request.query, &[])?;
    fleet.revoke_api_token(request.by()?, id).await?;
    Ok(ApiAnswer::empty(204))
}

fn check(new: &NewApiToken) -> Result<(), Problem> {
    if Role::parse(&new.role).is_none() {
        return Err(problem(422, format!("role: '{}' is none; give viewer or admin", shown(&new.role))));
    }
    if new.name.len() > NAME || new.name.chars().any(char::is_control) {
        return Err(problem(422, format!("name: at most {NAME} bytes, without control characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_and_names_are_checked() {
        let new = |role: &str, name: &str| NewApiToken { role: role.into(), name: name.into() };
        assert_eq!(check(&new("viewer", "the wall display")), Ok(()));
        for wrong in [new("root", ""), new("", ""), new("admin", "a\nb"), new("admin", &"a".repeat(NAME + 1))] {
            assert_eq!(check(&wrong).expect_err("a problem").status, 422);
        }
    }
}
