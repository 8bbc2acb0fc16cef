//! `POST /agent/v1/hello`

use super::{Over, keeps_nothing, orders, records, refuse, says};
use crate::fleet::boards::Verdict;
use crate::fleet::host::Outcome;
use crate::fleet::liveness::HostState;
use crate::fleet::{Fleet, HostCell, Turn};
use crate::listen::Response;
use crate::store::HostFacts;
use muster_protocol::batch::Reason;
use muster_protocol::hello::{Hello, Stream, Welcome};
use muster_protocol::limits;
use muster_protocol::mirror::Hail;
use muster_protocol::record::{Kind, Reader};
use std::sync::Arc;

pub(super) async fn answer(fleet: &Fleet, turn: Turn, body: &[u8], over: Over<'_>) -> Response {
    let read = Reader::message(body)
        .and_then(|mut reader| Ok((reader.expect::<Hello<'_>>(Kind::Hello)?, orders::Confirmed::read(&mut reader)?)));
    let (hello, confirmed) = match read {
        Ok((hello, confirmed)) if hello.stream == Stream::Report as u8 => (hello, confirmed),
        Ok(_) => return says(400, "this server knows no such stream"),
        Err(malformed) => return says(400, &malformed.to_string()),
    };
    let offer = confirmed.renewed.filter(|offer| is_free(fleet, turn.cell(), &offer.hash));
    let facts = HostFacts {
        agent_version: fact(hello.agent_version),
        os: fact(hello.os),
        arch: fact(hello.arch),
        kernel: fact(hello.kernel),
    };
    let now = fleet.now();
    let mut outcome = Outcome::default();
    let judged = turn.live().judge(hello.fingerprint, now, &mut outcome);
    if let Some(reason) = refusal(&judged) {
        let cell = Arc::clone(turn.cell());
        if judged == (Verdict::Clone { again: false }) {
            log::warn!("host {}: another board uses its credential, and is told to join by itself", cell.id);
        }
        return match fleet.settle(turn, outcome).wait().await {
            Ok(()) => refuse(&cell, reason),
            Err(_) => refuse(&cell, Reason::Store),
        };
    }
    let (hail, place) = {
        let mut live = turn.live();
        let active = live.liveness.state() == HostState::Active;
        let hail = live.mirror.hello(hello.run, hello.highest_epoch, active);
        match hail {
            Hail::Superseded => {
                if !live.row.conflict {
                    log::warn!("host {}: two agents use its credential: was its card copied?", turn.id);
                }
                live.conflict(now, &mut outcome);
            }
            Hail::Welcome { new, .. } => {
                live.offered(offer, &mut outcome);
                live.greet(hello.interval_ms, facts, new, now, &mut outcome);
                live.confirm_trust(confirmed.trust_revision, &mut outcome);
            }
        }
        (hail, live.mirror.place().clone())
    };
    let cell = Arc::clone(turn.cell());
    if fleet.settle(turn, outcome).wait().await.is_err() {
        return keeps_nothing(fleet, &cell);
    }
    match hail {
        Hail::Superseded => {
            log::debug!("host {}: an agent that another one has replaced came back", cell.id);
            refuse(&cell, Reason::Superseded)
        }
        Hail::Welcome { epoch, .. } => {
            cell.lines.heard_over(over.line());
            let welcome = Welcome {
                epoch,
                acknowledged: place.acknowledged,
                last_event: place.last_event,
                kinds: Kind::ALL.iter().map(|kind| *kind as u8).collect(),
            };
            records(|writer| {
                writer.record(Kind::Welcome, &welcome)?;
                if let Over::Request(credential) = over
                    && let Some(session) = fleet.begin_session(*credential)
                {
                    writer.record(Kind::Session, &session)?;
                }
                orders::append(fleet, &cell, true, writer)
            })
        }
    }
}

/// Whether no other host has the credential with this hash.
fn is_free(fleet: &Fleet, cell: &HostCell, hash: &[u8; 32]) -> bool {
    fleet.by_credential(hash).is_none_or(|other| other.id == cell.id)
}

/// What a board is told that is not the one that the host is known by.
fn refusal(verdict: &Verdict) -> Option<Reason> {
    match verdict {
        Verdict::Same | Verdict::Moved => None,
        Verdict::Undecided => Some(Reason::Undecided),
        Verdict::Clone { .. } => Some(Reason::Clone),
    }
}

fn fact(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(limits::FACT).collect()
}
