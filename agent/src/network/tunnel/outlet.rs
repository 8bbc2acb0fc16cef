//! The way out: datagrams to a peer's address, or to a relay for it.

use super::registrar::Registrar;
use super::udp::{Batch, Socket};
use muster_protocol::network::relay::{OVERHEAD, wrap};
use std::net::SocketAddr;

/// Where a datagram goes or has come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// An address of the peer.
    Direct(SocketAddr),
    /// A relay that knows the peer by this number.
    Relayed(u32),
}

/// Socket, what waits for it, and this host's relays.
pub struct Outlet {
    /// The socket.
    pub socket: Socket,
    /// Who forwards.
    pub registrar: Registrar,
    batch: Batch,
}

impl Outlet {
    /// For datagrams of up to `longest` bytes.
    pub fn new(socket: Socket, registrar: Registrar, longest: usize) -> Outlet {
        Outlet { socket, registrar, batch: Batch::new(longest + OVERHEAD) }
    }

    /// Sends what `write` puts into a buffer, of which it tells the length; 0: nothing. It goes with the next ones to the
    /// same address, or with [`flush`](Outlet::flush).
    pub fn send(&mut self, way: Way, now_ms: u64, write: impl FnOnce(&mut [u8]) -> usize) {
        let (to, through) = match way {
            Way::Direct(to) => (to, None),
            Way::Relayed(peer) => {
                let Some(relay) = self.registrar.usable() else { return };
                (relay.address, Some((relay.secret, peer)))
            }
        };
        let before = if through.is_some() { OVERHEAD } else { 0 };
        let room = self.batch.room();
        let length = match write(&mut room[before..]) {
            0 => return,
            length => before + length,
        };
        if let Some((secret, peer)) = through {
            wrap(&secret, self.registrar.slot(), peer, &mut room[..length]);
            self.registrar.sent(now_ms);
        }
        self.batch.push(length, to, &mut self.socket);
    }

    /// Sends bytes likewise.
    pub fn send_bytes(&mut self, way: Way, now_ms: u64, bytes: &[u8]) {
        self.send(way, now_ms, |room| match room.get_mut(..bytes.len()) {
            Some(room) => {
                room.copy_from_slice(bytes);
                bytes.len()
            }
            None => 0,
        });
    }

    /// Sends what waits.
    pub fn flush(&mut self) {
        self.batch.flush(&mut self.socket);
    }
}
