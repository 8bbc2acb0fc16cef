//! The JSON API: what a request means, and what is answered. It knows nothing of sockets.
//!
//! [`types`] has the objects, [`router`] the table of routes, and one file each resource. [`openapi`] describes them.

mod alerts;
mod audit;
mod backup;
mod containers;
mod docker_clients;
mod events;
mod fleet;
mod healthz;
mod hosts;
mod join_tokens;
mod keys;
mod metrics;
mod network;
pub mod openapi;
mod page;
mod problem;
pub mod query;
pub mod router;
#[cfg(test)]
pub mod samples;
pub mod select;
mod session;
mod sign_in_links;
mod stream;
mod tokens;
pub mod types;
mod users;
mod vitals;
#[cfg(test)]
mod vitals_tests;

pub use crate::access::tokens::Role;
pub use events::SUBJECTS as EVENT_SUBJECTS;
pub use router::{METRICS, answer};
pub use session::{BODY as SESSION_BODY, PATH as SESSION};
pub use stream::EventStream;

use crate::fleet::By;
use serde::Serialize;
use std::net::IpAddr;

/// A request, after the transport has bounded its size and looked up its token.
#[derive(Debug, Clone, Copy)]
pub struct ApiRequest<'a> {
    /// As it came, such as `GET`.
    pub method: &'a str,
    /// As it came, still percent-encoded, without the query.
    pub path: &'a str,
    /// Decoded: see [`query::parse`].
    pub query: &'a [(String, String)],
    /// All of it. Longer than [`BODY`] is refused.
    pub body: &'a [u8],
    /// Who asks; `None` without a valid token.
    pub by: Option<&'a By>,
    /// The header `Last-Event-ID`.
    pub last_event_id: Option<&'a str>,
    /// Where it came from: perhaps a proxy.
    pub peer: IpAddr,
}

impl<'a> ApiRequest<'a> {
    /// What its token allows.
    pub fn role(&self) -> Option<Role> {
        self.by.map(|by| by.role)
    }

    /// Who asks for a change. The router lets nobody else come so far.
    fn by(&self) -> Result<&'a By, types::Problem> {
        self.by.ok_or_else(|| problem::problem(401, "this needs a valid API token"))
    }
}

/// The longest body that a request can have: a join token's labels at their limits fit.
pub const BODY: usize = 64 * 1024;

/// What is answered.
#[derive(Debug)]
pub struct ApiAnswer {
    /// The HTTP status.
    pub status: u16,
    /// Of the body; empty if there is none.
    pub content_type: &'static str,
    /// Further headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Body,
}

/// The body of an answer.
#[derive(Debug)]
pub enum Body {
    /// All of it.
    Bytes(Vec<u8>),
    /// Server-Sent Events without an end of their own.
    Stream(EventStream),
    /// Parts, as they come.
    Parts(async_channel::Receiver<Vec<u8>>),
}

const JSON: &str = "application/json";
const PROBLEM_JSON: &str = "application/problem+json";

/// The answer to a request that a browser makes with its cookie, and that its user may know nothing of.
pub fn not_meant() -> ApiAnswer {
    let detail = "this does not come from the server's own page: with a session's cookie the header `X-Muster: page` is \
                  needed, and no other site may ask";
    ApiAnswer::problem(&problem::problem(403, detail))
}

/// The answer to a request that could not be read: too large, too slow, or not well formed.
pub fn failed(status: u16) -> ApiAnswer {
    let detail = match status {
        413 => "the body is larger than this server takes",
        408 => "the body came too slowly",
        _ => "the request is not well formed",
    };
    ApiAnswer::problem(&problem::problem(status, detail))
}

impl ApiAnswer {
    fn json<T: Serialize>(status: u16, object: &T) -> ApiAnswer {
        ApiAnswer::bytes(status, JSON, object)
    }

    fn problem(problem: &types::Problem) -> ApiAnswer {
        ApiAnswer::bytes(problem.status, PROBLEM_JSON, problem)
    }

    fn bytes<T: Serialize>(status: u16, content_type: &'static str, object: &T) -> ApiAnswer {
        match serde_json::to_vec(object) {
            Ok(bytes) => ApiAnswer { status, content_type, headers: Vec::new(), body: Body::Bytes(bytes) }
                .uncached()
                .header("x-content-type-options", "nosniff"),
            // Our own types always serialise; a later one that does not must not take the server down.
            Err(error) => {
                log::error!("an answer could not be serialised: {error}");
                ApiAnswer { status: 500, content_type: "", headers: Vec::new(), body: Body::Bytes(Vec::new()) }
            }
        }
    }

    fn empty(status: u16) -> ApiAnswer {
        ApiAnswer { status, content_type: "", headers: Vec::new(), body: Body::Bytes(Vec::new()) }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> ApiAnswer {
        self.headers.push((name, value.into()));
        self
    }

    /// Answers change any moment, and some hold tokens.
    fn uncached(self) -> ApiAnswer {
        self.header("cache-control", "no-store")
    }
}

/// What a handler gives: an answer, or a problem that becomes one.
type Handled = Result<ApiAnswer, types::Problem>;
