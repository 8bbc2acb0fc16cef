//! What agents ask of the server: to join, to say hello, to report. Bytes in, bytes out, one record or more.

#[cfg(test)]
pub(crate) mod harness;
mod hello;
mod join;
mod orders;
mod report;
#[cfg(test)]
mod tests;

use crate::access::secret::{hash, number};
use crate::fleet::host::Host;
use crate::fleet::{Fleet, HostCell};
use crate::listen::{Request, Response};
use muster_protocol::batch::{Reason, Refused};
use muster_protocol::record::{Full, Kind, VERSION, Writer};
use muster_protocol::{join::Joined, limits};
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Where agents find us.
pub const PREFIX: &str = "/agent/v1/";

/// An agent's connection may be silent for this many of its intervals and a bit: so a late report does not pay for a
/// new one.
const IDLE_INTERVALS: u32 = 3;
const IDLE_AT_LEAST: Duration = Duration::from_secs(600);

/// The longest body of a join: strangers send it, and a token, a name and a fingerprint are short.
const JOIN_BODY: usize = 4 * 1024;

/// Answers one request of an agent. The path begins with [`PREFIX`].
pub async fn answer(fleet: &Arc<Fleet>, mut request: Request) -> Response {
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
    let (turned_away, interval) = {
        let live = cell.live();
        (turned_away(&live), Duration::from_millis(live.row.interval_ms.into()))
    };
    if let Some(answer) = turned_away {
        return answer;
    }
    if let Err(error) = fleet.shown(&cell, &credential).await {
        log::debug!("host {}: that its new credential is in use is not stored yet: {error}", cell.id);
    }
    let idle = IDLE_AT_LEAST.max(interval.saturating_mul(IDLE_INTERVALS));
    let answer = match (request.method.as_str(), what.as_str()) {
        ("GET", "status") => {
            let name = cell.live().row.name.clone();
            one_record(Kind::Joined, &Joined { host: cell.id, name: &name })
        }
        ("POST", "hello" | "report") => message(fleet, &cell, &mut request, what == "hello").await,
        (_, "status" | "hello" | "report" | "join") => says(405, "this is not how it is asked"),
        _ => says(404, "there is nothing here"),
    };
    answer.keep_idle(idle).known(number(&credential))
}

/// One message of a host, in its turn.
async fn message(fleet: &Fleet, cell: &Arc<HostCell>, request: &mut Request, is_hello: bool) -> Response {
    let Some(_place) = cell.place() else { return refuse(cell, Reason::TooMany) };
    if cell.pace.is_over(fleet.now().monotonic_ms) {
        return refuse(cell, Reason::TooMany);
    }
    let body = match request.body.read(limits::MESSAGE).await {
        Ok(body) => body,
        Err(error) => return Response::empty(error.status()),
    };
    // A host that floods waits here, and nobody else does.
    match cell.pace.take(fleet.now().monotonic_ms, body.len()) {
        Some(wait) if wait.is_zero() => {}
        Some(wait) => drop(smol::Timer::after(wait).await),
        None => return refuse(cell, Reason::TooMany),
    }
    take(fleet, cell, &body, is_hello).await
}

async fn take(fleet: &Fleet, cell: &Arc<HostCell>, body: &[u8], is_hello: bool) -> Response {
    if !fleet.committer().may_try() {
        return keeps_nothing(fleet, cell);
    }
    let Ok(turn) = fleet.turn(cell).await else { return keeps_nothing(fleet, cell) };
    if let Some(answer) = turned_away(&turn.live()) {
        return answer; // While this waited.
    }
    if is_hello { hello::answer(fleet, turn, body).await } else { report::answer(fleet, turn, body).await }
}

/// The store cannot keep anything now. The host is there all the same.
fn keeps_nothing(fleet: &Fleet, cell: &HostCell) -> Response {
    cell.live().hear_in_passing(fleet.now());
    refuse(cell, Reason::Store)
}

/// What a host is told whom operators do not want any more.
fn turned_away(host: &Host) -> Option<Response> {
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
