//! The engine, as it is changed: a second fixed list of [`request`]s, over the same sockets as reading.

pub mod request;

use self::request::Request;
use crate::docker::address::EngineAddress;
use crate::docker::engine::EngineError;
use crate::docker::exchange::Exchange;
use crate::docker::request::ApiVersion;
use crate::docker::socket::{Connection, Patience};
use std::time::{Duration, Instant};

/// What the engine may take for a change. It sets up interfaces and rules, one change after the other; on a busy board
/// that takes seconds.
const CHANGE_TIME: Duration = Duration::from_secs(20);
/// An answer: the largest is the inspect of a network with a thousand containers.
const ANSWER: usize = 512 * 1024;

/// Sends one request on a connection of its own, and reads the answer.
///
/// Fails as reading does; what the engine refuses is [`EngineError::Refused`] with its own words.
pub async fn change(address: &EngineAddress, api: ApiVersion, request: Request<'_>) -> Result<Vec<u8>, EngineError> {
    let patience = Patience::Until(Instant::now() + CHANGE_TIME);
    let mut bytes = Vec::new();
    request.write(api, &mut bytes);
    let connection = Connection::open(address, patience).await?;
    let mut exchange = Exchange::begin(connection, &bytes, patience).await?;
    let head = exchange.head(patience).await?;
    if !(200..300).contains(&head.status) {
        return Err(exchange.refusal(head.status, patience).await);
    }
    let mut body = Vec::new();
    exchange.read_all(&mut body, ANSWER, patience).await?;
    Ok(body)
}
