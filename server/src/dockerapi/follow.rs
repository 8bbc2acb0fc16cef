//! `GET /events`: what has happened, then what happens, as long as the client stays.
//!
//! The feed is subscribed to before the history is read, so that nothing is missed between them; what the history has
//! shown is left out of the feed by the ids of events, which only grow.

use super::events::{self, Wanted};
use super::places::Place;
use super::query::Query;
use super::{DockerApi, Refused, Scope};
use crate::api::types::{Change, Event};
use crate::fleet::feed::Subscription;
use crate::fleet::{By, Fleet};
use crate::listen::Response;
use crate::time::now_ms;
use async_io::Timer;
use futures_lite::{future, stream};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

/// Events of the history that are read at once.
const PAGE: usize = 200;

/// The longest that one waits for an end: what is further away is as good as none.
const FAR: Duration = Duration::from_secs(366 * 24 * 3600);

/// Answers it.
pub fn open(api: &DockerApi, by: &By, query: &Query, scope: &Scope) -> Result<Response, Refused> {
    let now = now_ms();
    let wanted = Wanted::read(query, scope, now)?;
    for host in wanted.select.hosts.iter().chain(&wanted.nodes) {
        api.fleet.host(host)?;
    }
    let place = api.place_for_stream(&api.follows, by, "streams of events")?;
    let is_over = wanted.until_ms.is_some_and(|until| until <= now);
    let subscription = match is_over {
        true => None,
        false => Some(api.fleet.feed().subscribe(&by.token, None).map_err(|_| {
            Refused::new(429, "as many clients as possible already watch, or the server is stopping; try again later")
        })?),
    };
    // What was revoked just now has not cut what was opened since.
    if !api.who.still_knows(&api.fleet, by) {
        return Err(Refused::new(401, "this certificate was revoked"));
    }
    let has_past = wanted.since_ms.is_some() || wanted.until_ms.is_some();
    let end = wanted.until_ms.filter(|_| !is_over).map(|until| {
        let left = Duration::from_millis(u64::try_from(until.saturating_sub(now)).unwrap_or(0));
        Timer::after(left.min(FAR))
    });
    let follow = Follow {
        fleet: api.fleet.clone(),
        wanted,
        past: has_past.then_some(0),
        seen: 0,
        subscription,
        end,
        _place: place,
    };
    Ok(Response::stream(
        200,
        "application/json",
        stream::unfold(follow, |mut follow| async { follow.next().await.map(|part| (part, follow)) }),
    ))
}

struct Follow {
    fleet: Arc<Fleet>,
    wanted: Wanted,
    /// Behind which event the history is to be read on; `None`: it is read.
    past: Option<u64>,
    /// The newest event of the history that was told.
    seen: u64,
    /// `None`: what is to come is not wanted.
    subscription: Option<Subscription>,
    end: Option<Timer>,
    _place: Place,
}

impl Follow {
    /// The next lines, perhaps none; `None` at the end.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if let Some(after) = self.past {
            // The store's trouble ends the stream: to leave events out unsaid would be worse.
            let page = self.fleet.events(after, PAGE, self.wanted.past()).await.ok()?;
            self.past = page.next;
            let told = page.events.iter().filter(|event| self.wanted.matches(event));
            let mut lines = Vec::new();
            for event in told {
                self.seen = self.seen.max(event.id);
                lines.extend(events::line(event));
            }
            return Some(lines);
        }
        let subscription = self.subscription.as_mut()?;
        let end = async {
            match &mut self.end {
                Some(end) => drop(Pin::new(end).await),
                None => future::pending().await,
            }
            None
        };
        let frames = future::or(end, subscription.next()).await?;
        Some(self.lines(&frames))
    }

    /// What is wanted of the feed's frames.
    fn lines(&self, frames: &[u8]) -> Vec<u8> {
        let text = String::from_utf8_lossy(frames);
        let found =
            text.split("\n\n").filter_map(event).filter(|event| event.id > self.seen && self.wanted.matches(event));
        found.flat_map(|event| events::line(&event)).collect()
    }
}

/// The event of a frame; `None` if it is of something else.
fn event(frame: &str) -> Option<Event> {
    let (_, frame) = frame.split_once("\nevent: event\n")?;
    match Change::parse("event", frame.strip_prefix("data: ")?)? {
        Change::Event(event) => Some(event),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::samples;
    use crate::fleet::feed::Feed;

    #[test]
    fn the_feed_s_events_are_found_among_its_other_changes() {
        let feed = Feed::new("b".into());
        let mut subscription = feed.subscribe("t", None).expect("a place");
        feed.publish(Change::ContainerGone { host_id: "h".into(), id: "c".into() }, 0);
        feed.publish(Change::Event(samples::event(5, "die")), 5);
        feed.publish(Change::Event(samples::event(6, "start")), 6);
        let frames = [future::block_on(subscription.next()), future::block_on(subscription.next())];
        let text: Vec<u8> = frames.into_iter().flatten().flatten().collect();
        let text = String::from_utf8(text).expect("text");
        let found: Vec<String> = text.split("\n\n").filter_map(event).map(|event| event.action).collect();
        assert_eq!(found, ["die", "start"]);
    }
}
