//! Asking a SOCKS proxy for a connection (RFC 1928, and RFC 1929 for user and password).
//!
//! All its answers have a length that is known or told in one byte, so there is no limit to set.

use super::{Credentials, Refusal};
use std::io::{Read, Write};
use std::net::SocketAddr;

const VERSION: u8 = 5;
const NO_CREDENTIALS: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;
const NONE_OF_THESE: u8 = 0xff;
const CONNECT: u8 = 1;
const IPV4: u8 = 1;
const NAME: u8 = 3;
const IPV6: u8 = 4;

/// Where the proxy is to connect to.
pub(super) enum Target<'a> {
    Ip(SocketAddr),
    /// A name that the proxy looks up, and a port. At most 255 bytes.
    Name(&'a str, u16),
}

/// Asks for a connection to `target`. Reads no byte of what comes through it. The time limit is the stream's.
pub(super) fn connect(
    stream: &mut (impl Read + Write),
    credentials: Option<&Credentials>,
    target: &Target<'_>,
) -> Result<(), Refusal> {
    let offer: &[u8] = match credentials {
        Some(_) => &[VERSION, 2, NO_CREDENTIALS, USER_AND_PASSWORD],
        None => &[VERSION, 1, NO_CREDENTIALS],
    };
    send(stream, offer)?;
    match (receive(stream)?, credentials) {
        ([VERSION, NO_CREDENTIALS], _) => {}
        ([VERSION, USER_AND_PASSWORD], Some(credentials)) => log_in(stream, credentials)?,
        ([VERSION, NONE_OF_THESE], _) => return Err(Refusal::Credentials),
        _ => return Err(Refusal::Nonsense),
    }
    send(stream, &request(target)?)?;
    let [version, reply, _reserved, kind] = receive(stream)?;
    if version != VERSION {
        return Err(Refusal::Nonsense);
    }
    let why = match reply {
        0 => return skip_bound_address(stream, kind),
        2 => return Err(Refusal::Forbidden("its rules do not allow it".into())),
        1 => "it has failed, and does not say why",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "it took too many hops",
        8 => "it does not know this kind of address",
        _ => return Err(Refusal::Forbidden(format!("SOCKS error {reply}"))),
    };
    Err(Refusal::Unreachable(why.into()))
}

fn log_in(stream: &mut (impl Read + Write), Credentials { user, password }: &Credentials) -> Result<(), Refusal> {
    let mut request = vec![1];
    for text in [user, password] {
        // Their limit was checked when they were read.
        request.push(u8::try_from(text.len()).map_err(|_| Refusal::Credentials)?);
        request.extend_from_slice(text.as_bytes());
    }
    send(stream, &request)?;
    match receive(stream)? {
        [1, 0] => Ok(()),
        [1, _] => Err(Refusal::Credentials),
        _ => Err(Refusal::Nonsense),
    }
}

fn request(target: &Target<'_>) -> Result<Vec<u8>, Refusal> {
    let mut request = vec![VERSION, CONNECT, 0];
    let port = match target {
        Target::Ip(SocketAddr::V4(address)) => {
            request.push(IPV4);
            request.extend_from_slice(&address.ip().octets());
            address.port()
        }
        Target::Ip(SocketAddr::V6(address)) => {
            request.push(IPV6);
            request.extend_from_slice(&address.ip().octets());
            address.port()
        }
        Target::Name(name, port) => {
            let length = u8::try_from(name.len()).map_err(|_| Refusal::Forbidden("the name is too long".into()))?;
            request.extend_from_slice(&[NAME, length]);
            request.extend_from_slice(name.as_bytes());
            *port
        }
    };
    request.extend_from_slice(&port.to_be_bytes());
    Ok(request)
}

/// The address from which the proxy connects is of no use, but it is in the way.
fn skip_bound_address(stream: &mut impl Read, kind: u8) -> Result<(), Refusal> {
    let length = match kind {
        IPV4 => 4,
        IPV6 => 16,
        NAME => usize::from(receive::<1>(stream)?[0]),
        _ => return Err(Refusal::Nonsense),
    };
    let mut address_and_port = [0; 255 + 2];
    Ok(stream.read_exact(&mut address_and_port[..length + 2])?)
}

fn send(stream: &mut impl Write, bytes: &[u8]) -> Result<(), Refusal> {
    Ok(stream.write_all(bytes).and_then(|()| stream.flush())?)
}

fn receive<const LENGTH: usize>(stream: &mut impl Read) -> Result<[u8; LENGTH], Refusal> {
    let mut bytes = [0; LENGTH];
    stream.read_exact(&mut bytes)?;
    Ok(bytes)
}
