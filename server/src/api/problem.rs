//! Errors as RFC 9457 has them: what happened and what to do, in one line.

pub use crate::time::shown;

use super::types::Problem;
use crate::fleet::Refusal;
use serde::de::DeserializeOwned;

/// A problem with this status. The title is the status's own.
pub fn problem(status: u16, detail: impl Into<String>) -> Problem {
    let title = match status {
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        409 => "Conflict",
        413 => "Content Too Large",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        503 => "Service Unavailable",
        _ => "Error",
    };
    Problem { title: title.to_string(), status, detail: detail.into(), candidates: Vec::new() }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::NotFound(detail) => problem(404, detail),
            Refusal::Ambiguous(detail, candidates) => Problem { candidates, ..problem(409, detail) },
            Refusal::Conflict(detail) => problem(409, detail),
            Refusal::Invalid(detail) => problem(422, detail),
            Refusal::Store(error) => problem(
                503,
                format!("the store cannot do this now: {error}; look at /healthz and the server's log, and try again"),
            ),
        }
    }
}

/// Reads a request's body.
pub fn read_body<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    if body.len() > super::BODY {
        return Err(problem(413, format!("the body is longer than {} bytes", super::BODY)));
    }
    serde_json::from_slice(body).map_err(|error| {
        let detail =
            format!("the body is not the JSON object that is expected here: {error}; see /api/v1/openapi.json");
        problem(if error.is_data() { 422 } else { 400 }, detail)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::types::{ChangeHost, NewJoinToken};

    #[test]
    fn bodies_that_are_no_json_and_bodies_that_mean_nothing_differ() {
        let status = |body: &[u8]| read_body::<NewJoinToken>(body).map_err(|problem| problem.status);
        assert_eq!(status(b"{"), Err(400));
        assert_eq!(status(b""), Err(400));
        assert_eq!(status(br#"{"tll": 5}"#), Err(422), "a misspelt field is not passed over");
        assert_eq!(status(br#"{"ttl": -5}"#), Err(422));
        assert_eq!(status(b"{}"), Ok(NewJoinToken::default()));
        assert_eq!(status(&vec![b' '; crate::api::BODY + 1]), Err(413));
        assert_eq!(read_body::<ChangeHost>(br#"{"name":"a"}"#).map(|c| c.name), Ok(Some("a".into())));
    }
}
