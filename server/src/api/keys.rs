//! `/api/v1/keys` and `/api/v1/addresses`: what agents recognise and reach the server by.

use super::problem::{problem, read_body, shown};
use super::query::Query;
use super::types::{AgentAddress, FinishRotation, KeyStatus, Page, PreparedKey, Problem, RotateKey};
use super::{ApiAnswer, ApiRequest, Handled};
use crate::access::keys::VOUCHER;
use crate::fleet::Fleet;
use muster_dial::Address;

/// The server's keys
///
/// And which hosts have not confirmed what was last changed of them, or of the addresses.
#[utoipa::path(
    get,
    path = "/api/v1/keys",
    tag = "trust",
    responses((status = 200, description = "The keys", body = KeyStatus)),
)]
pub fn status(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(200, &fleet.key_status()))
}

/// Make the next key
///
/// For whoever holds the backup key to vouch for, before `rotate`. It is forgotten when the server ends.
#[utoipa::path(
    post,
    path = "/api/v1/keys/prepare",
    tag = "trust",
    responses((status = 201, description = "Its public half", body = PreparedKey)),
)]
pub async fn prepare(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(201, &fleet.prepare_key(request.by()?).await?))
}

/// Go over to another key
///
/// At once. Hosts follow when they next connect: the key before vouches for the new one, the backup key too if it did.
#[utoipa::path(
    post,
    path = "/api/v1/keys/rotate",
    tag = "trust",
    request_body = RotateKey,
    responses((status = 200, description = "The keys as they are now", body = KeyStatus)),
)]
pub async fn rotate(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let wanted: RotateKey = read_body(or_empty(request.body))?;
    if wanted.voucher.as_ref().is_some_and(|voucher| voucher.len() > VOUCHER) {
        return Err(problem(422, format!("voucher: at most {VOUCHER} bytes")));
    }
    Ok(ApiAnswer::json(200, &fleet.rotate_key(request.by()?, wanted).await?))
}

/// Make agents forget the keys before
#[utoipa::path(
    post,
    path = "/api/v1/keys/finish",
    tag = "trust",
    request_body = FinishRotation,
    responses((status = 200, description = "The keys as they are now", body = KeyStatus)),
)]
pub async fn finish(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let wanted: FinishRotation = read_body(or_empty(request.body))?;
    Ok(ApiAnswer::json(200, &fleet.finish_rotation(request.by()?, wanted.force).await?))
}

/// Make another backup key
///
/// In the server's data directory, to be taken away from there. The one before counts no more.
#[utoipa::path(
    post,
    path = "/api/v1/keys/backup",
    tag = "trust",
    responses((status = 201, description = "The keys as they are now", body = KeyStatus)),
)]
pub async fn replace_backup(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    Ok(ApiAnswer::json(201, &fleet.replace_backup_key(request.by()?).await?))
}

/// Where agents reach the server
///
/// The best first. All of them are on the first page.
#[utoipa::path(
    get,
    path = "/api/v1/addresses",
    tag = "trust",
    responses((status = 200, description = "The addresses", body = Page<AgentAddress>)),
)]
pub fn addresses(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &["cursor", "limit"])?;
    let items = fleet.addresses().iter().map(|address| AgentAddress { address: address.to_string() }).collect();
    Ok(ApiAnswer::json(200, &Page { items, next: None }))
}

/// Add an address
///
/// Behind the others: agents try them in turn. Four are the most.
#[utoipa::path(
    post,
    path = "/api/v1/addresses",
    tag = "trust",
    request_body = AgentAddress,
    responses((status = 201, description = "It was added", body = AgentAddress)),
)]
pub async fn add_address(fleet: &Fleet, request: &ApiRequest<'_>) -> Handled {
    Query::new(request.query, &[])?;
    let wanted: AgentAddress = read_body(request.body)?;
    let address = read_address(&wanted.address)?;
    fleet.add_address(request.by()?, &address).await?;
    Ok(ApiAnswer::json(201, &AgentAddress { address: address.to_string() }))
}

/// Remove an address
///
/// Agents that use it go on to another one, and try it last from then on.
#[utoipa::path(
    delete,
    path = "/api/v1/addresses/{address}",
    tag = "trust",
    params(("address" = String, Path, description = "As the list shows it: HOST:PORT")),
    responses((status = 204, description = "It was removed")),
)]
pub async fn remove_address(fleet: &Fleet, request: &ApiRequest<'_>, address: &str) -> Handled {
    Query::new(request.query, &[])?;
    fleet.remove_address(request.by()?, &read_address(address)?).await?;
    Ok(ApiAnswer::empty(204))
}

fn read_address(text: &str) -> Result<Address, Problem> {
    let wrong = |why: &dyn std::fmt::Display| problem(422, format!("address: '{}' cannot be used: {why}", shown(text)));
    let address: Address = text.parse().map_err(|error| wrong(&error))?;
    if address.port() == 0 {
        return Err(wrong(&"agents need to know the port"));
    }
    Ok(address)
}

fn or_empty(body: &[u8]) -> &[u8] {
    if body.is_empty() { b"{}" } else { body }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_cannot_be_dialled_are_refused() {
        for good in ["fleet.example:7443", "[2001:db8::1]:1", "192.0.2.1:65535"] {
            assert_eq!(read_address(good).map(|address| address.to_string()), Ok(good.to_string()));
        }
        for bad in ["", "a", "a:0", "a:65536", "::1:1", "a b:1", "https://a:1"] {
            assert_eq!(read_address(bad).expect_err(bad).status, 422);
        }
    }
}
