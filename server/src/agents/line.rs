//! `GET /agent/v1/stream`: a connection for nothing but one host's messages, each in a frame.
//!
//! The credential is presented once, when it is opened. What ends the credential has to end the line:
//! [`Lines::cut`](crate::fleet::lines::Lines::cut).

use super::{Over, idle_of, paced, refuse, take, turned_away};
use crate::fleet::{Fleet, HostCell};
use crate::listen::{Content, Line, Response};
use muster_protocol::batch::{Answer, Digest, ListEnd, Reason};
use muster_protocol::frame::{self, Head, HeadReader};
use muster_protocol::record::{Kind, Malformed, Reader};
use std::io;
use std::sync::Arc;

/// Opens it.
pub(super) fn open(fleet: &Arc<Fleet>, cell: Arc<HostCell>, credential: [u8; 32]) -> Response {
    let fleet = fleet.clone();
    Response::line(frame::PROTOCOL, move |line| serve(fleet, cell, credential, line))
}

async fn serve(fleet: Arc<Fleet>, cell: Arc<HostCell>, credential: [u8; 32], mut line: Line) {
    let _entered = cell.lines.enter(line.handle().clone());
    // Whoever ends a credential cuts its host's lines afterwards, so that one of both is seen.
    let is_good = fleet.by_credential(&credential).is_some_and(|known| known.id == cell.id);
    if !is_good || turned_away(&cell.live()).is_some() {
        return line.close().await;
    }
    match talk(&fleet, &cell, &mut line).await {
        Ok(()) => line.close().await,
        Err(error) => log::debug!("host {}: its line ended: {error}", cell.id),
    }
}

async fn talk(fleet: &Fleet, cell: &Arc<HostCell>, line: &mut Line) -> io::Result<()> {
    while let Some(head) = next(line).await? {
        // In a box: between messages, which is nearly always, the line takes no room for it.
        if !Box::pin(message(fleet, cell, line, head)).await? {
            break;
        }
        line.keep_idle(idle_of(cell));
        line.waits();
    }
    Ok(())
}

/// The next frame's beginning; `None` at the line's end.
async fn next(line: &mut Line) -> io::Result<Option<Head>> {
    let mut head = HeadReader::default();
    loop {
        match line.next().await? {
            Some(byte) => {
                if let Some(head) = head.push(byte).map_err(|_| io::ErrorKind::InvalidData)? {
                    return Ok(Some(head));
                }
            }
            None if head.has_begun() => return Err(io::ErrorKind::UnexpectedEof.into()),
            None => return Ok(None),
        }
    }
}

/// One message, and its answer if it has one. Whether the line goes on.
async fn message(fleet: &Fleet, cell: &Arc<HostCell>, line: &mut Line, head: Head) -> io::Result<bool> {
    let (body, answer) = match cell.place() {
        None => {
            line.skip(head.length).await?;
            line.works();
            (Vec::new(), refuse(cell, Reason::TooMany))
        }
        Some(_place) => {
            let body = line.take(head.length).await?;
            line.works();
            let answer = match paced(fleet, cell, body.len()).await {
                Ok(()) => {
                    let first = Reader::message(&body).and_then(|mut records| records.next_record());
                    let is_hello = matches!(first, Ok(Some(record)) if record.kind == Kind::Hello);
                    take(fleet, cell, &body, is_hello, Over::Line(line.handle())).await
                }
                Err(refusal) => refusal,
            };
            (body, answer)
        }
    };
    let answer = match (answer.status, answer.content) {
        (200, Content::Bytes(bytes)) => bytes,
        (400, _) => match refuse(cell, Reason::Malformed).content {
            Content::Bytes(bytes) => bytes,
            _ => return Ok(false),
        },
        // What is to be told by a status is told when the agent asks for another line.
        _ => return Ok(false),
    };
    if head.flag || is_worth_saying(&body, &answer) {
        let head = Head { length: answer.len(), flag: head.flag };
        let (bytes, used) = head.encode().ok_or(io::ErrorKind::InvalidData)?;
        line.send(&[&bytes[..used], &answer].concat()).await?;
    }
    Ok(true)
}

/// Whether a bare message's answer is sent at all: whether it says more than that the message came.
pub(super) fn is_worth_saying(message: &[u8], answer: &[u8]) -> bool {
    says_more(message, answer).unwrap_or(true)
}

fn says_more(message: &[u8], answer: &[u8]) -> Result<bool, Malformed> {
    let mut records = Reader::message(answer)?;
    let answer: Answer = records.expect(Kind::Answer)?;
    if answer.unexplained > 0 || records.next_record()?.is_some() {
        return Ok(true);
    }
    let mut records = Reader::message(message)?;
    while let Some(record) = records.next_record()? {
        let shown = match record.kind {
            Kind::ListEnd => record.decode::<ListEnd>()?.seq,
            Kind::Digest => record.decode::<Digest>()?.seq,
            _ => 0,
        };
        if shown > answer.listed {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::harness::one_record;
    use muster_protocol::batch::{Differs, Refused};

    #[test]
    fn an_answer_goes_unsaid_only_if_it_says_no_more_than_that_all_is_well() {
        let digest = |seq| one_record(Kind::Digest, &Digest { seq, total: 0, hidden: 0, sum: [0; 8] });
        let answer =
            |listed, unexplained| one_record(Kind::Answer, &Answer { epoch: 1, acknowledged: 9, listed, unexplained });
        let with = |record: Vec<u8>| [&answer(7, 0)[..], &record[1..]].concat();
        let is = |message: &[u8], answer: &[u8], more| assert_eq!(says_more(message, answer), Ok(more));
        is(&digest(7), &answer(7, 0), false);
        is(&one_record(Kind::Engine, &1u8), &answer(0, 0), false);
        is(&digest(7), &with(one_record(Kind::Renew, &1u8)), true);
        is(&digest(7), &with(one_record(Kind::Trust, &1u8)), true);
        // The reading took no effect; a difference waits; the copy differs.
        is(&digest(8), &answer(7, 0), true);
        is(&digest(7), &answer(7, 1), true);
        is(&digest(7), &with(one_record(Kind::Differs, &Differs { seq: 7 })), true);
        assert!(says_more(&digest(7), &one_record(Kind::Refused, &Refused { reason: 2, epoch: 1 })).is_err());
        assert!(says_more(&digest(7), &[]).is_err());
    }
}
