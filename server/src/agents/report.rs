//! `POST /agent/v1/report`: events and readings of one host, in its turn.

use super::{one_record, refuse, says};
use crate::fleet::host::Outcome;
use crate::fleet::{Fleet, HostCell};
use crate::listen::Response;
use muster_protocol::batch::Reason;
use muster_protocol::mirror::Unwanted;
use muster_protocol::record::Kind;

pub(super) async fn answer(fleet: &Fleet, cell: &HostCell, body: &[u8]) -> Response {
    let wait = match cell.pace.take(fleet.now().monotonic_ms) {
        Some(wait) => wait,
        None => return refuse(cell, Reason::TooMany),
    };
    if !wait.is_zero() {
        // A host that floods waits here, and nobody else does.
        smol::Timer::after(wait).await;
    }
    if !fleet.committer().may_try() {
        return refuse(cell, Reason::Store);
    }
    let _turn = cell.turn.lock().await;
    let now = fleet.now();
    let mut outcome = Outcome::default();
    let answer = {
        let mut live = cell.live();
        let mut effects = Vec::new();
        match live.mirror.receive(body, &mut effects) {
            Ok(answer) => {
                live.take(effects, now, &mut outcome);
                answer
            }
            Err(Unwanted::Refused(refused)) => return one_record(Kind::Refused, &refused),
            Err(Unwanted::Malformed(malformed)) => return says(400, &malformed.to_string()),
        }
    };
    match fleet.settle(cell, outcome).await {
        Ok(()) => one_record(Kind::Answer, &answer),
        Err(_) => refuse(cell, Reason::Store),
    }
}
