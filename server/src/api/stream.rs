//! `/api/v1/stream`: every change as Server-Sent Events.

use super::problem::problem;
use super::query::Query;
use super::types::{Change, Problem};
use super::{ApiAnswer, ApiRequest, Body, Handled};
use crate::fleet::Fleet;
use crate::fleet::feed::{FeedSelect, Subscription};
use async_io::Timer;
use futures_lite::{Stream, StreamExt, future, stream};
use std::time::Duration;

/// How long a stream is silent at most. Proxies cut connections that are silent for a minute.
pub const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What can be asked for alone. `alert` is among them as soon as there are alerts.
const KINDS: [&str; 5] = ["host", "container", "container_gone", "event", "alert"];

/// Every change of the fleet
///
/// Server-Sent Events: `event:` is `host`, `container`, `container_gone` (`{"host_id", "id"}`) or `event`, `data:`
/// the object on one line. It continues without loss behind `Last-Event-ID`, or behind `last_event_id` in the query.
/// Where it cannot, and at the start, comes `event: reset` with `{"reason", "newest_event"}`: read the lists then,
/// and apply what follows to them. A client that does not read is cut, and one whose token is revoked.
#[utoipa::path(
    get,
    path = "/api/v1/stream",
    tag = "events",
    params(
        ("Last-Event-ID" = Option<String>, Header, description = "The last `id:` that was seen"),
        ("last_event_id" = Option<String>, Query, description = "The same, where headers cannot be set"),
        ("kind" = Option<Vec<String>>, Query, description = "Only this `event:`; may be repeated"),
        ("host" = Option<Vec<String>>, Query, description = "Only of this host, by id or name as it is now; may be repeated"),
    ),
    responses((status = 200, description = "A stream of changes", body = Change, content_type = "text/event-stream")),
)]
pub fn open(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    let query = Query::new(request.query, &["last_event_id", "kind", "host"])?;
    let resume = request.last_event_id.or(query.one("last_event_id")?);
    let by = request.by()?;
    let hosts = query.all("host").iter().map(|host| Ok(fleet.host(host)?.id)).collect::<Result<_, Problem>>()?;
    let select = FeedSelect { kinds: query.words("kind", &KINDS)?, hosts };
    let subscription = fleet.feed().subscribe_to(&by.token, resume, select).map_err(|_| {
        problem(429, "as many clients as possible already watch, or the server is stopping; try again later")
    })?;
    // A token that was revoked just now has not cut what was opened since.
    if !fleet.still_knows(by) {
        return Err(problem(401, "this token was revoked"));
    }
    let body = Body::Stream(EventStream { subscription });
    let answer = ApiAnswer { status: 200, content_type: "text/event-stream", headers: Vec::new(), body };
    Ok(answer.uncached())
}

/// The body of a stream. Dropping it ends the subscription.
#[derive(Debug)]
pub struct EventStream {
    subscription: Subscription,
}

impl EventStream {
    /// The next bytes to send: whole events, some 64 KiB at most, or a comment after 15 seconds of silence. `None`
    /// when the stream is over. May be dropped while it waits without losing anything.
    pub async fn next(&mut self) -> Option<Vec<u8>> {
        let silence = async {
            Timer::after(KEEP_ALIVE).await;
            None
        };
        match future::or(async { Some(self.subscription.next().await) }, silence).await {
            Some(next) => next,
            None => Some(format!("{}: keep-alive\n\n", self.subscription.place().unwrap_or_default()).into_bytes()),
        }
    }

    /// The same, as a stream.
    pub fn into_stream(self) -> impl Stream<Item = Vec<u8>> + Send + 'static {
        stream::unfold(self, |mut events| async { events.next().await.map(|bytes| (bytes, events)) }).boxed()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::feed::Feed;

    #[test]
    fn the_stream_ends_with_the_feed() {
        let feed = Feed::new("b".into());
        let subscription = feed.subscribe("t", None).expect("a place");
        feed.publish(Change::ContainerGone { host_id: "h".into(), id: "c".into() }, 0);
        feed.close();
        let chunks: Vec<Vec<u8>> = future::block_on(EventStream { subscription }.into_stream().collect());
        let text = String::from_utf8(chunks.concat()).expect("text");
        assert!(text.contains("event: reset\n"));
        assert!(text.ends_with("event: container_gone\ndata: {\"host_id\":\"h\",\"id\":\"c\"}\n\n"), "{text}");
    }
}
