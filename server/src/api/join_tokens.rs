//! `/api/v1/join-tokens`

use super::hosts::check_name;
use super::page::Paging;
use super::problem::{problem, read_body, shown};
use super::query::Query;
use super::types::{JoinToken, MadeJoinToken, NewJoinToken, Page, Problem};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::fleet::Fleet;
use muster_protocol::limits;

/// Seconds that a join token can last at most: ten years, for cards that lie in a drawer.
const LONGEST: u64 = 10 * 366 * 24 * 3600;

/// Join tokens
///
/// Oldest first, those that can still be used. None of them shows the token itself.
#[utoipa::path(
    get,
    path = "/api/v1/join-tokens",
    tag = "tokens",
    params(
        ("cursor" = Option<String>, Query, description = "`next` of the page before"),
        ("limit" = Option<u32>, Query, description = "Items of a page: 1 to 500; 100 if left out"),
    ),
    responses((status = 200, description = "A page of join tokens", body = Page<JoinToken>)),
)]
pub fn list(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["cursor", "limit"])?;
    let paging = Paging::read(&query, "join-tokens")?;
    Ok(ApiAnswer::json(200, &paging.page(fleet.join_tokens(), |token| [&token.created_at, &token.id])))
}

/// Make a join token
#[utoipa::path(
    post,
    path = "/api/v1/join-tokens",
    tag = "tokens",
    request_body = NewJoinToken,
    responses((status = 201, description = "The join token, and the command that uses it: shown only now", body = MadeJoinToken)),
)]
pub async fn make(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let body: &[u8] = if request.body.is_empty() { b"{}" } else { request.body };
    let new: NewJoinToken = read_body(body)?;
    check(&new)?;
    Ok(ApiAnswer::json(201, &fleet.make_join_token(request.by()?, new).await?))
}

/// Revoke a join token
///
/// Hosts that joined with it stay.
#[utoipa::path(
    delete,
    path = "/api/v1/join-tokens/{id}",
    tag = "tokens",
    params(("id" = String, Path, description = "Its id: not the token itself")),
    responses((status = 204, description = "It can no longer be used")),
)]
pub async fn revoke(fleet: &Fleet, request: &ApiRequest<'_>, id: &str) -> Handled {
    Query::new(request.query, &[])?;
    fleet.revoke_join_token(request.by()?, id).await?;
    Ok(ApiAnswer::empty(204))
}

fn check(new: &NewJoinToken) -> Result<(), Problem> {
    if new.ttl.is_some_and(|ttl| !(1..=LONGEST).contains(&ttl)) {
        return Err(problem(422, "ttl: give seconds, from 1 to ten years"));
    }
    if new.uses == Some(0) {
        return Err(problem(422, "uses: give 1 or more, or leave it out for any number"));
    }
    if let Some(name) = &new.name {
        check_name(name)?;
    }
    if new.labels.len() > limits::LABELS {
        return Err(problem(422, format!("labels: at most {}", limits::LABELS)));
    }
    for (key, value) in &new.labels {
        let printable = !key.chars().chain(value.chars()).any(char::is_control);
        let sized = (1..=limits::LABEL_KEY).contains(&key.len()) && value.len() <= limits::LABEL_VALUE;
        if !printable || !sized || key.contains('=') {
            let detail = format!(
                "labels: '{}' does not fit: a key has 1 to {} bytes and no '=', a value up to {}, both without control characters",
                shown(key),
                limits::LABEL_KEY,
                limits::LABEL_VALUE,
            );
            return Err(problem(422, detail));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let label = |key: &str, value: &str| NewJoinToken {
            labels: [(key.to_string(), value.to_string())].into(),
            ..Default::default()
        };
        assert_eq!(check(&NewJoinToken::default()), Ok(()));
        assert_eq!(check(&label("site", "attic")), Ok(()));
        let many = (0..=limits::LABELS).map(|n| (n.to_string(), String::new())).collect();
        for (wrong, part) in [
            (NewJoinToken { ttl: Some(0), ..Default::default() }, "ttl"),
            (NewJoinToken { ttl: Some(u64::MAX), ..Default::default() }, "ttl"),
            (NewJoinToken { uses: Some(0), ..Default::default() }, "uses"),
            (NewJoinToken { name: Some("a b".into()), ..Default::default() }, "name"),
            (NewJoinToken { labels: many, ..Default::default() }, "at most"),
            (label("", "x"), "labels"),
            (label("a=b", "x"), "labels"),
            (label("a", "x\ny"), "labels"),
            (label("a", &"x".repeat(limits::LABEL_VALUE + 1)), "labels"),
        ] {
            let problem = check(&wrong).expect_err(part);
            assert!(problem.status == 422 && problem.detail.contains(part), "{}", problem.detail);
        }
    }
}
