//! `POST /r`: a report in as few bytes as a request can have. A session in front of the message says whose it is.

use super::line::is_worth_saying;
use super::{Over, idle_of, message, one_record, says, turned_away};
use crate::access::secret::number;
use crate::fleet::Fleet;
use crate::listen::{Content, Request, Response};
use muster_protocol::batch::{Reason, Refused};
use muster_protocol::frame;
use muster_protocol::orders::Session;
use muster_protocol::record::{Kind, VERSION};
use smol::Timer;
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a session's record.
pub(super) const RECORD: usize = 2 + size_of::<Session>();

/// A session that is not known is answered after this. An agent meets that once after the server's restart; one
/// address that guesses has as many tries in this time as it may have unknown connections.
const UNKNOWN: Duration = Duration::from_millis(250);

pub(super) async fn answer(fleet: &Arc<Fleet>, mut request: Request) -> Response {
    if request.method != "POST" {
        return says(405, "this is not how it is asked");
    }
    // Strangers are known by the first bytes; no more of theirs is kept.
    let session = match request.body.begin(1 + RECORD).await {
        Ok(begun) => session_of(begun),
        Err(error) => return Response::empty(error.status()),
    };
    let Some(session) = session else { return says(400, "a report here begins with a session") };
    let Some((cell, credential)) = fleet.by_session(&session) else {
        Timer::after(UNKNOWN).await;
        return one_record(Kind::Refused, &Refused { reason: Reason::HelloFirst as u8, epoch: 0 });
    };
    let turned_away = turned_away(&cell.live());
    let answer = match turned_away {
        Some(answer) => answer,
        None => message(fleet, &cell, &mut request, false, Over::Session).await,
    };
    answer.keep_idle(idle_of(&cell)).known(number(&credential))
}

fn session_of(begun: &[u8]) -> Option<Session> {
    match begun.split_first_chunk::<3>() {
        Some(([VERSION, kind, length], session)) if *kind == Kind::Session as u8 => {
            Session::try_from(session).ok().filter(|_| usize::from(*length) == size_of::<Session>())
        }
        _ => None,
    }
}

/// Takes the session off a message that [`answer`] has found one in.
pub(super) fn strip(body: &mut Vec<u8>) {
    body.drain(1..body.len().min(1 + RECORD));
}

/// Nothing at all, if that says as much.
pub(super) fn shortened(answer: Response, message: &[u8]) -> Response {
    match &answer.content {
        Content::Bytes(bytes)
            if answer.status == 200 && !frame::wants_answer(message) && !is_worth_saying(message, bytes) =>
        {
            Response::empty(204)
        }
        _ => answer,
    }
}
