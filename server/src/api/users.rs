//! `/api/v1/users`

use super::page::Paging;
use super::problem::{problem, read_body};
use super::query::Query;
use super::types::{ChangeUser, NewUser, Page, User};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::Fleet;

/// Users
///
/// Who signs in with a password, by name.
#[utoipa::path(
    get,
    path = "/api/v1/users",
    tag = "sign in",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of users", body = Page<User>)),
)]
pub fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["cursor", "limit"])?;
    let paging = Paging::read(&query, "users")?;
    Ok(ApiAnswer::json(200, &paging.page(fleet.users(), |user| [&user.name])))
}

/// Make a user
#[utoipa::path(
    post,
    path = "/api/v1/users",
    tag = "sign in",
    request_body = NewUser,
    responses((status = 201, description = "The user", body = User)),
)]
pub async fn make(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let new: NewUser = read_body(request.body)?;
    Ok(ApiAnswer::json(201, &fleet.make_user(request.by()?, new).await?))
}

/// Change a user's password or role
///
/// All of its browsers have to sign in again.
#[utoipa::path(
    patch,
    path = "/api/v1/users/{user}",
    tag = "sign in",
    params(("user" = String, Path, description = "Its name")),
    request_body = ChangeUser,
    responses((status = 200, description = "The user as it is now", body = User)),
)]
pub async fn change(fleet: &Fleet, request: &ApiRequest<'_>, name: &str) -> Handled {
    Query::new(request.query, &[])?;
    let change: ChangeUser = read_body(request.body)?;
    if change == ChangeUser::default() {
        return Err(problem(422, "nothing to change: give `password` or `role`"));
    }
    Ok(ApiAnswer::json(200, &fleet.change_user(request.by()?, name, change).await?))
}

/// Remove a user
///
/// Its browsers are signed out at once.
#[utoipa::path(
    delete,
    path = "/api/v1/users/{user}",
    tag = "sign in",
    params(("user" = String, Path, description = "Its name")),
    responses((status = 204, description = "It can no longer sign in")),
)]
pub async fn remove(fleet: &Fleet, request: &ApiRequest<'_>, name: &str) -> Handled {
    Query::new(request.query, &[])?;
    fleet.remove_user(request.by()?, name).await?;
    Ok(ApiAnswer::empty(204))
}
