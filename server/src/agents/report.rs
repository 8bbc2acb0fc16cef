//! `POST /agent/v1/report`: events, readings and vitals of one host.

use super::{Over, keeps_nothing, one_record, orders, records, says};
use crate::fleet::host::Outcome;
use crate::fleet::{Fleet, Turn};
use crate::listen::Response;
use muster_protocol::mirror::Unwanted;
use muster_protocol::mirror::vitals::Said;
use muster_protocol::record::Kind;
use std::sync::Arc;

pub(super) async fn answer(fleet: &Fleet, turn: Turn, body: &[u8], over: Over<'_>) -> Response {
    let said = match Said::find(body) {
        Ok(said) => said,
        Err(malformed) => return says(400, &malformed.to_string()),
    };
    let now = fleet.now();
    let mut outcome = Outcome::default();
    let mut effects = Vec::new();
    let received = {
        let mut live = turn.live();
        match live.mirror.receive(body, &mut effects) {
            Ok(received) => {
                live.take(effects, now, &mut outcome);
                if let Some(said) = &said {
                    live.hear_vitals(said, now);
                }
                received
            }
            Err(Unwanted::Refused(refused)) => return one_record(Kind::Refused, &refused),
            Err(Unwanted::Malformed(malformed)) => return says(400, &malformed.to_string()),
        }
    };
    let cell = Arc::clone(turn.cell());
    match fleet.settle(turn, outcome).wait().await {
        Ok(()) => {
            cell.lines.heard_over(over.line());
            records(|writer| {
                writer.record(Kind::Answer, &received.answer)?;
                if let Some(differs) = &received.differs {
                    writer.record(Kind::Differs, differs)?;
                }
                orders::append(fleet, &cell, false, writer)
            })
        }
        Err(_) => keeps_nothing(fleet, &cell),
    }
}
