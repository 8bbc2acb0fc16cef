//! What agents ask of the server: to join, to say hello, to report. Bytes in, bytes out, one record or more.

#[cfg(test)]
pub(crate) mod harness;
mod hello;
mod join;
mod line;
mod orders;
mod report;
mod session;
#[cfg(test)]
mod tests;

use crate::access::secret::{hash, number};
use crate::fleet::host::Host;
use crate::fleet::{Fleet, HostCell};
use crate::listen::{Handle, Request, Response};
use crate::network;
use muster_protocol::batch::{Reason, Refused};
use muster_protocol::record::{Full, Kind, VERSION, Writer};
use muster_protocol::{join::Joined, limits};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Where agents find us.
pub const PREFIX: &str = "/agent/v1/";

/// Where they report in as few bytes as requests can have.
pub const SHORT: &str = "/r";

/// An agent's connection may be silent for this many of its intervals and a bit: so a late report does not pay for a
/// new one.
const IDLE_INTERVALS: u32 = 3;
const IDLE_AT_LEAST: Duration = Duration::from_secs(600);

/// The longest body of a join: strangers send it, and a token, a name and a fingerprint are short.
const JOIN_BODY: usize = 4 * 1024;

/// Whether requests of this path are agents'.
pub fn is_asked(path: &str) -> bool {
    path.starts_with(PREFIX) || path == SHORT
}

/// Answers one request of an agent: one that [`is_asked`].
pub async fn answer(fleet: &Arc<Fleet>, mut request: Request) -> Response {
    if request.path == SHORT {
        return session::answer(fleet, request).await;
    }
    let Some(credential) = request.bearer().and_then(credential_hash) else {
        return says(401, "no credential: join first");
    };
    let what = request.path.get(PREFIX.len()..).unwrap_or_default().to_owned();
    if what == "join" && request.method == "POST" {
        return match request.body.read(JOIN_BODY).await {
            Ok(body) => join::answer(fleet, credential, &body).await,
            Err(error) => Response::empty(error.status()),
        };
    }
    let Some(cell) = fleet.by_credential(&credential) else {
        return says(401, "this credential is not known here: join again");
    };
    let turned_away = turned_away(&cell.live());
    if let Some(answer) = turned_away {
        return answer;
    }
    if let Err(error) = fleet.shown(&cell, &credential).await {
        log::debug!("host {}: that its new credential is in use is not stored yet: {error}", cell.id);
    }
    let idle = idle_of(&cell);
    let answer = match (request.method.as_str(), what.as_str()) {
        ("GET", "status") => {
            let name = cell.live().row.name.clone();
            one_record(Kind::Joined, &Joined { host: cell.id, name: &name })
        }
        ("POST", "hello" | "report") => {
            let over = Over::Request(&credential);
            message(fleet, &cell, &mut request, what == "hello", over).await
        }
        ("GET", "stream") => line::open(fleet, cell.clone(), credential),
        ("GET", "network") => network::line::open(fleet, cell.clone(), credential),
        (_, "status" | "hello" | "report" | "join" | "stream" | "network") => says(405, "this is not how it is asked"),
        _ => says(404, "there is nothing here"),
    };
    answer.keep_idle(idle).known(number(&credential))
}

/// How long a host's connection may be silent.
pub(crate) fn idle_of(cell: &HostCell) -> Duration {
    let interval = Duration::from_millis(cell.live().row.interval_ms.into());
    IDLE_AT_LEAST.max(interval.saturating_mul(IDLE_INTERVALS))
}

/// What a message came over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Over<'a> {
    /// A line.
    Line(&'a Handle),
    /// A request of its own, with the credential that has this hash.
    Request(&'a [u8; 32]),
    /// A request of its own, with a session in front of the message.
    Session,
}

impl<'a> Over<'a> {
    fn line(self) -> Option<&'a Handle> {
        match self {
            Over::Line(handle) => Some(handle),
            Over::Request(_) | Over::Session => None,
        }
    }
}

/// One message of a host, in its turn.
async fn message(
    fleet: &Fleet,
    cell: &Arc<HostCell>,
    request: &mut Request,
    is_hello: bool,
    over: Over<'_>,
) -> Response {
    let Some(_place) = cell.place() else { return refuse(cell, Reason::TooMany) };
    if cell.pace.is_over(fleet.now().monotonic_ms) {
        return refuse(cell, Reason::TooMany);
    }
    let in_front = if matches!(over, Over::Session) { session::RECORD } else { 0 };
    let mut body = match request.body.read(limits::MESSAGE + in_front).await {
        Ok(body) => body,
        Err(error) => return Response::empty(error.status()),
    };
    if matches!(over, Over::Session) {
        session::strip(&mut body);
    }
    let answer = match paced(fleet, cell, body.len()).await {
        Ok(()) => take(fleet, cell, &body, is_hello, over).await,
        Err(refusal) => refusal,
    };
    if matches!(over, Over::Session) { session::shortened(answer, &body) } else { answer }
}

/// A host that floods waits here, and nobody else does; too much is refused.
async fn paced(fleet: &Fleet, cell: &HostCell, bytes: usize) -> Result<(), Response> {
    match cell.pace.take(fleet.now().monotonic_ms, bytes) {
        Some(wait) if wait.is_zero() => Ok(()),
        Some(wait) => {
            smol::Timer::after(wait).await;
            Ok(())
        }
        None => Err(refuse(cell, Reason::TooMany)),
    }
}

async fn take(fleet: &Fleet, cell: &Arc<HostCell>, body: &[u8], is_hello: bool, over: Over<'_>) -> Response {
    if !fleet.committer().may_try() {
        return keeps_nothing(fleet, cell);
    }
    let Ok(turn) = fleet.turn(cell).await else { return keeps_nothing(fleet, cell) };
    if let Some(answer) = turned_away(&turn.live()) {
        return answer; // While this waited.
    }
    if is_hello { hello::answer(fleet, turn, body, over).await } else { report::answer(fleet, turn, body, over).await }
}

/// The store cannot keep anything now. The host is there all the same.
fn keeps_nothing(fleet: &Fleet, cell: &HostCell) -> Response {
    cell.live().hear_in_passing(fleet.now());
    refuse(cell, Reason::Store)
}

/// What a host is told whom operators do not want any more.
pub(crate) fn turned_away(host: &Host) -> Option<Response> {
    let gone = host.is_removed().then(|| says(410, "this host was removed on the server"));
    gone.or_else(|| host.is_revoked().then(revoked))
}

fn revoked() -> Response {
    says(401, "this credential was revoked: join again with a new join string")
}

/// A credential is 64 hexadecimal digits; its hash is of the text.
fn credential_hash(credential: &str) -> Option<[u8; 32]> {
    let is_one = credential.len() == 64 && credential.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_one.then(|| hash(credential.as_bytes()))
}

/// A line of text, for whoever looks with other tools than an agent.
fn says(status: u16, line: &str) -> Response {
    Response::bytes(status, "text/plain; charset=utf-8", format!("{line}\n").into_bytes())
}

/// The largest answer: a welcome, or an answer, with everything that may go along.
const ANSWER: usize = 2048;

/// A message of one record.
fn one_record<T: Serialize>(kind: Kind, payload: &T) -> Response {
    records(|writer| writer.record(kind, payload))
}

/// A message of the records that `write` writes.
fn records(write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) -> Response {
    let mut buffer = [VERSION; ANSWER];
    let written = Writer::message(&mut buffer).and_then(|mut writer| {
        write(&mut writer)?;
        Ok(writer.as_bytes().to_vec())
    });
    match written {
        Ok(bytes) => Response::bytes(200, "", bytes),
        Err(_) => says(500, "the answer is too long"),
    }
}

fn refuse(cell: &HostCell, reason: Reason) -> Response {
    let epoch = cell.live().mirror.place().epoch;
    one_record(Kind::Refused, &Refused { reason: reason as u8, epoch })
}
