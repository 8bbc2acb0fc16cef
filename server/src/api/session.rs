//! `/api/v1/session`: browsers sign in and out.

use super::problem::{problem, read_body};
use super::query::Query;
use super::types::{Problem, Session, SignIn};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::access::browser;
use crate::access::secret::LONGEST;
use crate::access::web_sessions::LONGEST_MS;
use crate::fleet::{Fleet, NotSignedIn};
use crate::time::format_ms;

/// Where browsers sign in: the one place that reads a body of somebody who has shown nothing.
pub const PATH: &str = "/api/v1/session";

/// The longest such body, in bytes.
pub const BODY: usize = 4096;

/// Sign in with a browser
///
/// Sets the cookie that all other requests may show instead of a token. Requests with it that are not `GET` also need
/// the header `X-Muster: page`. After some failures it answers 429, and `Retry-After` says when to try again; a right
/// token never waits.
#[utoipa::path(
    post,
    path = "/api/v1/session",
    tag = "sign in",
    security(()),
    request_body = SignIn,
    responses(
        (status = 200, description = "Signed in", body = Session),
        (status = 429, description = "Too many attempts", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn begin(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    if request.body.len() > BODY {
        return Err(problem(413, format!("the body is longer than {BODY} bytes")));
    }
    let asked: SignIn = read_body(request.body)?;
    let has_token = asked.token.is_some();
    let outcome = match (asked.token, asked.name, asked.password) {
        (Some(token), None, None) => fleet.sign_in_by_token(request.peer, clipped(token.expose())).await,
        (None, Some(name), Some(password)) => {
            // Longer than any name: nobody's.
            let name = if name.len() > LONGEST { "" } else { &name };
            fleet.sign_in_by_password(request.peer, name, password).await
        }
        _ => return Err(problem(422, "give `token`, or `name` and `password`")),
    };
    let signed_in = match outcome {
        Ok(signed_in) => signed_in,
        Err(NotSignedIn::Wrong) => {
            let what = match has_token {
                true => {
                    "This link or token lets nobody in: a link works once and not for long. Make a new one with \
                         muster sign-in-link."
                }
                false => "Name or password is wrong.",
            };
            return Err(problem(401, what));
        }
        Err(NotSignedIn::Wait(ms)) => {
            let seconds = ms.div_ceil(1000).max(1);
            let what = format!("Too many attempts: try again in {seconds} seconds, or use muster sign-in-link.");
            let answer = ApiAnswer::problem(&problem(429, what));
            return Ok(answer.header("retry-after", seconds.to_string()));
        }
        Err(NotSignedIn::Refused(refusal)) => return Err(refusal.into()),
    };
    let visitor = &signed_in.visitor;
    let session = Session {
        name: visitor.name.clone(),
        role: visitor.role.as_str().into(),
        expires_at: Some(format_ms(visitor.ends_ms)),
    };
    let cookie = browser::set(signed_in.secret.expose(), LONGEST_MS / 1000);
    Ok(ApiAnswer::json(200, &session).header("set-cookie", cookie))
}

fn clipped(token: &str) -> &str {
    if token.len() > LONGEST { "" } else { token }
}

/// Who asks
///
/// Also with a token.
#[utoipa::path(
    get,
    path = "/api/v1/session",
    tag = "sign in",
    responses((status = 200, description = "Who asks", body = Session)),
)]
pub fn show(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let by = request.by()?;
    let visitor = fleet.visitor(&by.token);
    let session = Session {
        name: if by.name.is_empty() { by.token.clone() } else { by.name.clone() },
        role: by.role.as_str().into(),
        expires_at: visitor.map(|visitor| format_ms(visitor.ends_ms)),
    };
    Ok(ApiAnswer::json(200, &session))
}

/// Sign out
///
/// Ends the session and what it has open, and makes the browser forget its cookie. Does nothing to a token.
#[utoipa::path(
    delete,
    path = "/api/v1/session",
    tag = "sign in",
    responses((status = 204, description = "Signed out")),
)]
pub async fn end(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    fleet.sign_out(request.by()?).await?;
    Ok(ApiAnswer::empty(204).header("set-cookie", browser::unset()).uncached())
}
