//! `POST /agent/v1/join`

use super::{one_record, revoked, says};
use crate::access::secret::number;
use crate::fleet::Fleet;
use crate::fleet::enlist::{Enlisted, NotEnlisted};
use crate::listen::Response;
use muster_protocol::join::{Join, Joined};
use muster_protocol::limits;
use muster_protocol::record::{Kind, Reader};

/// The longest join token that is looked at.
const TOKEN: usize = 128;

pub(super) async fn answer(fleet: &Fleet, credential: [u8; 32], body: &[u8]) -> Response {
    let join = Reader::message(body).and_then(|mut reader| reader.expect::<Join<'_>>(Kind::Join));
    let join = match join {
        Ok(join) if join.token.len() <= TOKEN && join.name.len() <= 4 * limits::HOST_NAME => join,
        Ok(_) => return says(400, "a token or name that long is none of ours"),
        Err(malformed) => return says(400, &malformed.to_string()),
    };
    match fleet.enlist(credential, &join).await {
        Ok(Enlisted { id: host, name, is_new }) => {
            // An agent that cannot read our answer repeats its join for ever.
            if is_new {
                log::info!("host {host} ({name}) has joined");
            }
            one_record(Kind::Joined, &Joined { host, name: &name }).known(number(&credential))
        }
        Err(NotEnlisted::Token(refusal)) => says(403, &refusal.to_string()),
        Err(NotEnlisted::Revoked) => revoked(),
        Err(NotEnlisted::Store(error)) => says(503, &format!("the server cannot store it now: {error}")),
    }
}
