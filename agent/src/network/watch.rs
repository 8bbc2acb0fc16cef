//! The task that listens to the engine's events. It does nothing but note which containers are to be looked at, because
//! an engine drops events for a listener that does not drain.

use super::hub::Hub;
use crate::docker::engine::{EngineError, EventStream, Line};
use crate::docker::event::parse_event;
use async_io::Timer;
use futures_lite::future;
use log::debug;
use std::time::Duration;

/// A stream that is quiet for this long has brought all that the engine had kept: it writes that at once.
const QUIET: Duration = Duration::from_millis(100);
/// Between two tries to reach an engine that is not there: at first, and in the end.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);

/// Listens for ever.
pub async fn watch(hub: &Hub) {
    let mut pause = FIRST_PAUSE;
    loop {
        match open(hub).await {
            Ok(stream) => {
                pause = FIRST_PAUSE;
                hub.note_engine(None);
                let ended = listen(hub, stream).await;
                debug!("the stream of events has ended: {ended}");
            }
            Err(error) => hub.note_engine(Some(error.to_string())),
        }
        Timer::after(pause).await;
        pause = (pause * 2).min(LAST_PAUSE);
    }
}

async fn open(hub: &Hub) -> Result<EventStream, EngineError> {
    hub.engine.negotiate().await?;
    hub.is_negotiated.set(true);
    // Whatever the engine was, it may be another now.
    hub.network.set(None);
    // It has made its bridges anew.
    hub.to_lay.ring();
    hub.engine.events().await
}

/// Until the stream ends; answers why it did.
async fn listen(hub: &Hub, mut stream: EventStream) -> String {
    let mut is_replay = true;
    loop {
        let quiet = async {
            if !is_replay {
                future::pending::<()>().await;
            }
            Timer::after(QUIET).await;
            None
        };
        match future::or(async { Some(stream.next().await) }, quiet).await {
            // Of what was before, the list tells more.
            Some(Ok(Some(_))) if is_replay => {}
            Some(Ok(Some(Line::Whole(json)))) => take(hub, json),
            Some(Ok(Some(Line::TooLarge))) => hub.look_at_all(),
            Some(Ok(None)) => return "the engine closed it".into(),
            Some(Err(error)) => return error.to_string(),
            None => {
                is_replay = false;
                hub.look_at_all();
            }
        }
    }
}

fn take(hub: &Hub, json: &[u8]) {
    let Ok(line) = parse_event(json) else { return };
    let Some(event) = line.event() else { return };
    let concerns = ["create", "start", "restart", "die", "destroy", "rename", "unpause", "connect", "disconnect"];
    if !concerns.contains(&event.action) {
        return;
    }
    let Some(id) = event.container_id() else { return };
    match event.action {
        "start" => hub.members.borrow_mut().started(id),
        "disconnect" => hub.members.borrow_mut().look_again(id),
        _ => {}
    }
    hub.dirty.borrow_mut().insert(id);
    hub.to_look.ring();
}
