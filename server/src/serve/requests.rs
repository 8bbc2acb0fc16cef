//! From a request at the server's port to whoever answers it.

use crate::agents;
use crate::api::{self, ApiRequest};
use crate::fleet::Fleet;
use crate::install::{self, Offers};
use crate::listen::{Request, Response};
use crate::page::Page;
use crate::page::asker::{self, Asker};
use std::sync::Arc;
use std::time::Duration;

/// A browser opens six connections for a moment and then needs one: what the others hold is given back so soon.
const BROWSER_IDLE: Duration = Duration::from_secs(30);

/// One request: an agent's, an installer's, a browser's, or the API's.
pub(super) async fn answer(fleet: Arc<Fleet>, offers: Arc<Offers>, page: Page, mut request: Request) -> Response {
    if agents::is_asked(&request.path) {
        return agents::answer(&fleet, request).await;
    }
    if install::is_asked(&request.path) {
        return install::answer(&fleet, &offers, &request).await;
    }
    if let Some(shown) = page.answer(&request).await {
        return shown.keep_idle(BROWSER_IDLE);
    }
    let Ok(Asker { who, is_browser, signs_in }) = asker::of(&fleet, &request) else { return adapt(api::not_meant()) };
    // Whoever has no token is answered without a look at what they sent, unless they come for one.
    let most = match &who {
        Some(_) => Some(api::BODY),
        None => signs_in.then_some(api::SESSION_BODY),
    };
    let body = match most {
        Some(most) => match request.body.read(most).await {
            Ok(body) => body,
            Err(error) => return adapt(api::failed(error.status())),
        },
        None => Vec::new(),
    };
    let Some(query) = api::query::parse(&request.query) else { return adapt(api::failed(400)) };
    let answer = api::answer(
        &fleet,
        &ApiRequest {
            method: request.method.as_str(),
            path: &request.path,
            query: &query,
            body: &body,
            by: who.as_ref().map(|(by, _)| by),
            last_event_id: request.header("last-event-id"),
            peer: request.peer.ip(),
        },
    )
    .await;
    let mut response = adapt(answer);
    if is_browser {
        response = response.keep_idle(BROWSER_IDLE);
    }
    match who {
        Some((_, number)) => response.known(number),
        None => response,
    }
}

fn adapt(answer: api::ApiAnswer) -> Response {
    let mut response = match answer.body {
        api::Body::Bytes(bytes) => Response::bytes(answer.status, answer.content_type, bytes),
        api::Body::Parts(parts) => Response::stream(answer.status, answer.content_type, parts),
        api::Body::Stream(stream) => Response::stream(answer.status, answer.content_type, stream.into_stream()),
    };
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response
}
