//! `POST /agent/v1/hello`

use super::{one_record, refuse, says};
use crate::fleet::host::Outcome;
use crate::fleet::liveness::HostState;
use crate::fleet::{Fleet, HostCell};
use crate::listen::Response;
use crate::store::HostFacts;
use muster_protocol::batch::Reason;
use muster_protocol::hello::{Hello, Stream, Welcome};
use muster_protocol::limits;
use muster_protocol::mirror::Hail;
use muster_protocol::record::{Kind, Reader};

pub(super) async fn answer(fleet: &Fleet, cell: &HostCell, body: &[u8]) -> Response {
    let hello = Reader::message(body).and_then(|mut reader| reader.expect::<Hello<'_>>(Kind::Hello));
    let hello = match hello {
        Ok(hello) if hello.stream == Stream::Report as u8 => hello,
        Ok(_) => return says(400, "this server knows no such stream"),
        Err(malformed) => return says(400, &malformed.to_string()),
    };
    let facts = HostFacts {
        agent_version: fact(hello.agent_version),
        os: fact(hello.os),
        arch: fact(hello.arch),
        kernel: fact(hello.kernel),
    };
    if !fleet.committer().may_try() {
        return refuse(cell, Reason::Store);
    }
    let _turn = cell.turn.lock().await;
    let now = fleet.now();
    let mut outcome = Outcome::default();
    let hail = {
        let mut live = cell.live();
        let active = live.liveness.state() == HostState::Active;
        let hail = live.mirror.hello(hello.run, hello.highest_epoch, active);
        match hail {
            Hail::Superseded => live.conflict(now, &mut outcome),
            Hail::Welcome { new, .. } => live.greet(hello.interval_ms, facts, new, now, &mut outcome),
        }
        hail
    };
    if fleet.settle(cell, outcome).await.is_err() {
        return refuse(cell, Reason::Store);
    }
    match hail {
        Hail::Superseded => {
            log::warn!("host {}: an agent that another one has replaced came back: was its card copied?", cell.id);
            refuse(cell, Reason::Superseded)
        }
        Hail::Welcome { epoch, .. } => {
            let live = cell.live();
            let place = live.mirror.place();
            one_record(
                Kind::Welcome,
                &Welcome {
                    epoch,
                    acknowledged: place.acknowledged,
                    last_event: place.last_event,
                    kinds: Kind::ALL.iter().map(|kind| *kind as u8).collect(),
                },
            )
        }
    }
}

fn fact(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(limits::FACT).collect()
}
