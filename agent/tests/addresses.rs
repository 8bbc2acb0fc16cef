//! A server with several addresses: the one that works is used, and the first one is preferred.

#[allow(dead_code, reason = "face.rs uses the rest")]
mod server;

use muster_agent::join::identity::{Credential, Identity};
use muster_agent::uplink::sender::{Sender, To};
use muster_agent::uplink::way::Wanted;
use server::{Server, closed_port};
use smol::block_on;
use std::net::SocketAddr;
use std::time::Duration;

fn identity(addresses: &[SocketAddr], servers: &[&Server]) -> Identity {
    Identity {
        host: None,
        name: "pi".into(),
        credential: Credential::random().unwrap(),
        spare: None,
        addresses: addresses.iter().map(|address| address.to_string().parse().unwrap()).collect(),
        pins: servers.iter().map(|server| server.pin).collect(),
        former: Vec::new(),
        revision: 0,
        generation: 0,
    }
}

/// The status of the answer, if there is one.
fn report(sender: &Sender) -> Option<u16> {
    // A hello: a report by a plain request waits for one.
    let sent = block_on(sender.exchange(To::Hello, b"report".to_vec(), true));
    assert_eq!(sent.body, b"report");
    sent.outcome.ok().map(|replies| replies[0].status)
}

#[test]
fn an_address_that_works_is_kept() {
    let server = Server::start();
    server.says(200, "");
    let sender = Sender::start(identity(&[closed_port(), server.address], &[&server]), Wanted::Plain).unwrap();
    assert_eq!(report(&sender), None);
    assert_eq!(report(&sender), Some(200));
    assert_eq!(report(&sender), Some(200));
    assert_eq!(server.heard().len(), 2);
    server.dies();
    assert_eq!(report(&sender), None);
    server.says(204, "");
    assert_eq!(report(&sender), None, "the first again");
    assert_eq!(report(&sender), Some(204));
}

#[test]
fn the_first_address_is_taken_again_when_it_answers() {
    let (first, second) = (Server::start(), Server::start());
    second.says(200, "");
    let identity = identity(&[first.address, second.address], &[&first, &second]);
    let sender = Sender::start_looking_back(identity, Wanted::Plain, Duration::ZERO).unwrap();
    assert_eq!(report(&sender), None);
    // The look back fails, and the message goes where it would have gone.
    assert_eq!(report(&sender), Some(200));
    assert_eq!(second.heard().len(), 1);
    first.says(204, "");
    first.heard();
    for _ in 0..3 {
        assert_eq!(report(&sender), Some(204));
    }
    assert_eq!((first.heard().len(), second.heard().len()), (3, 0));
}
