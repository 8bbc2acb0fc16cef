//! The task that listens to the engine's events. It does nothing else, because an engine drops events for a
//! listener that does not drain for 100 ms.

use crate::docker::engine::{EngineError, EventStream, Line};
use crate::docker::event::{Touch, parse_event};
use crate::hub::Hub;
use crate::refused::{self, Call};
use async_io::Timer;
use futures_lite::future;
use log::{debug, warn};
use muster_protocol::event::Cause;
use muster_protocol::limits;
use muster_protocol::reporter::Taken;
use std::time::{Duration, Instant};

/// A stream that is quiet for this long has brought all that the engine had kept: it writes that at once.
const QUIET: Duration = Duration::from_millis(250);
/// Between two tries to reach an engine that is not there: at first, and in the end.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Listens for ever.
pub async fn watch(hub: &Hub) {
    let mut pause = FIRST_PAUSE;
    let mut cause = Cause::AgentDown;
    loop {
        match open(hub).await {
            Ok(stream) => {
                pause = FIRST_PAUSE;
                let ended = listen(hub, stream, cause).await;
                debug!("the stream of events has ended: {ended}");
                hub.subscribed.set(false);
                hub.reporter.borrow_mut().stream_closed();
                cause = Cause::StreamLost;
            }
            Err(error) if error.is_forbidden() => {
                // Then lists have to do.
                hub.read_all_soon();
                Timer::after(refused::AGAIN).await;
                continue;
            }
            Err(error) => {
                debug!("cannot subscribe to events: {error}");
                // A stream that broke, and then no engine: it was restarted.
                cause = Cause::EngineRestarted;
            }
        }
        Timer::after(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

async fn open(hub: &Hub) -> Result<EventStream, EngineError> {
    hub.health.borrow_mut().ask(Instant::now());
    let version = hub.engine.negotiate().await;
    if let Ok(version) = &version {
        hub.health.borrow_mut().know(version);
    }
    if hub.health.borrow_mut().hear(Instant::now(), version.as_ref().map(|_| ())) {
        hub.engine_changed();
    }
    version?;
    let opened = hub.engine.events().await;
    hub.refused.borrow_mut().note(Call::Events, &opened, Instant::now());
    opened
}

/// What a listener can hear.
enum Heard<'s> {
    Line(Result<Option<Line<'s>>, EngineError>),
    /// Nothing, for a while.
    Quiet,
    /// Another run of this agent has spoken to the server: where its history ends only a replay shows.
    ReplayWanted,
}

/// Takes events until the stream ends; answers why it did.
async fn listen(hub: &Hub, mut stream: EventStream, cause: Cause) -> String {
    hub.reporter.borrow_mut().stream_opened(cause);
    if cause != Cause::AgentDown {
        // Between the streams anything may have happened.
        hub.roster.borrow_mut().doubt_all();
    }
    let mut scratch = vec![0; limits::RECORD];
    loop {
        let replaying = hub.reporter.borrow().is_replaying();
        if !replaying && !hub.subscribed.replace(true) {
            hub.read_all_soon();
            hub.to_send.ring();
        }
        let quiet = async {
            if !replaying {
                future::pending::<()>().await;
            }
            Timer::after(QUIET).await;
            Heard::Quiet
        };
        let asked = async {
            hub.replay.wait().await;
            Heard::ReplayWanted
        };
        match future::or(async { Heard::Line(stream.next().await) }, future::or(quiet, asked)).await {
            Heard::Line(Ok(Some(Line::Whole(json)))) => take(hub, json, &mut scratch),
            Heard::Line(Ok(Some(Line::TooLarge))) => {
                warn!("an event was too large to keep");
                hub.reporter.borrow_mut().missed(Cause::TooLarge, 0);
                hub.to_send.ring();
            }
            Heard::Line(Ok(None)) => return "the engine closed it".into(),
            Heard::Line(Err(error)) => return error.to_string(),
            Heard::Quiet => hub.reporter.borrow_mut().replay_ended(),
            // A bell that was rung before this stream asks for nothing that it did not bring.
            Heard::ReplayWanted if hub.reporter.borrow().wants_replay() => return "it is to be replayed".into(),
            Heard::ReplayWanted => {}
        }
    }
}

fn take(hub: &Hub, json: &[u8], scratch: &mut [u8]) {
    let line = match parse_event(json) {
        Ok(line) => line,
        Err(error) => {
            warn!("cannot read an event: {error}");
            return hub.reporter.borrow_mut().missed(Cause::Unknown, 0);
        }
    };
    // Other kinds of events may pass an engine's filter.
    let Some(event) = line.event() else { return };
    let container = event.container_id();
    let mut reporter = hub.reporter.borrow_mut();
    let taken = match postcard::to_slice(&event, scratch) {
        Ok(body) => reporter.event(event.time_nano, body),
        Err(_) => {
            reporter.missed(Cause::TooLarge, event.time_nano);
            Taken::New
        }
    };
    if taken == Taken::New {
        hub.to_send.ring();
        let Some(id) = container else { return };
        match Touch::of(event.action) {
            Touch::Nothing => return,
            Touch::Shown => hub.roster.borrow_mut().mark_shown(id),
            // What the server was never told of, and cannot be told of now, it need not hear the end of: while it
            // is away, containers that come and go leave nothing here.
            Touch::Gone if !hub.online.get() && hub.roster.borrow_mut().forget_unsent(&id) => return,
            Touch::All | Touch::Gone => hub.roster.borrow_mut().mark_changed(id),
        }
        hub.to_read.ring();
    }
}
