//! The server's relay of the managed network: one UDP port, a thread of its own. It forwards what guests send each other,
//! which it cannot read.
//!
//! What is decided about a datagram is the [protocol](muster_protocol::network::relay)'s.

use muster_protocol::network::relay::{Action, Forwarder, Guest as Known, Rate, canonical};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fd::OwnedFd;
use std::collections::BTreeMap;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Instant;

pub use muster_protocol::network::relay::Counters;

/// Datagrams between two looks at whether to go on.
const BATCH: usize = 64;

/// The longest datagram: what does not fit is cut, and its tag is wrong then.
const DATAGRAM: usize = 64 * 1024;

/// One for whom the relay forwards.
#[derive(Clone, PartialEq, Eq)]
pub struct Guest {
    /// Its number.
    pub slot: u32,
    /// Proves it.
    pub secret: [u8; 16],
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// Forwards between its guests until it is dropped.
pub struct Relay {
    shared: Arc<Shared>,
    moved: async_channel::Receiver<()>,
    address: SocketAddr,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    socket: UdpSocket,
    wake: OwnedFd,
    ends: AtomicBool,
    state: Mutex<State>,
}

struct State {
    forwarder: Forwarder,
    /// Sorted by slot.
    guests: Vec<Known>,
    /// New addresses that nobody has asked for yet: one of each guest, so that none of them can push out those of others.
    observed: BTreeMap<u32, SocketAddr>,
}

impl Relay {
    /// Listens on an address, for no guests yet. Each of them may send 20 Mbit/s.
    ///
    /// # Errors
    /// If the address cannot be listened on, or the kernel gives no thread or no random numbers.
    pub fn bind(address: SocketAddr) -> io::Result<Relay> {
        Relay::bind_with(address, Rate::default())
    }

    /// Likewise, with what each guest may send.
    ///
    /// # Errors
    /// As [`bind`](Relay::bind).
    pub fn bind_with(address: SocketAddr, rate: Rate) -> io::Result<Relay> {
        let socket = UdpSocket::bind(address)?;
        socket.set_nonblocking(true)?;
        // Forwarded packets may be longer than a path takes: then they go in fragments.
        let fragment =
            rustix::net::sockopt::set_ip_mtu_discover(&socket, rustix::net::sockopt::Ipv4PathMtuDiscovery::DONT);
        fragment.or_else(|error| if address.is_ipv6() { Ok(()) } else { Err(error) })?;
        let address = socket.local_addr()?;
        let mut key = [0; 16];
        getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
        let state =
            Mutex::new(State { forwarder: Forwarder::new(key, rate), guests: Vec::new(), observed: BTreeMap::new() });
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { socket, wake, ends: AtomicBool::new(false), state });
        let (bell, moved) = async_channel::bounded(1);
        let thread = std::thread::Builder::new().name("relay".into()).spawn({
            let shared = shared.clone();
            move || shared.run(&bell)
        })?;
        Ok(Relay { shared, moved, address, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// For whom to forward from now on: all of them. Those that stay need not register again.
    pub fn set(&self, mut guests: Vec<Guest>) {
        guests.sort_by_key(|guest| guest.slot);
        guests.dedup_by_key(|guest| guest.slot);
        let mut state = self.shared.state();
        let mut known = std::mem::take(&mut state.guests).into_iter().peekable();
        let kept = guests.into_iter().map(|Guest { slot, secret }| {
            while known.next_if(|old| old.slot() < slot).is_some() {}
            known.next_if(|old| old.is(slot, &secret)).unwrap_or_else(|| Known::new(slot, secret))
        });
        state.guests = kept.collect();
        let State { guests, observed, .. } = &mut *state;
        observed.retain(|slot, _| guests.binary_search_by_key(slot, Known::slot).is_ok());
    }

    /// Rings when guests are at new addresses: [`observed`](Relay::observed) has them.
    pub fn moved(&self) -> &async_channel::Receiver<()> {
        &self.moved
    }

    /// Where guests are that are somewhere else than when this was last asked.
    pub fn observed(&self) -> BTreeMap<u32, SocketAddr> {
        std::mem::take(&mut self.shared.state().observed)
    }

    /// What it has done since it was bound.
    pub fn counters(&self) -> Counters {
        self.shared.state().forwarder.counters()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        // Cannot fail: the counter is far from its limit.
        let _ = rustix::io::write(&self.shared.wake, &1u64.to_ne_bytes());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self, bell: &async_channel::Sender<()>) {
        let started = Instant::now();
        let mut buffer = vec![0; DATAGRAM];
        while !self.ends.load(Ordering::Acquire) {
            let mut ready = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.wake, PollFlags::IN)];
            // Interrupted, or the kernel is out of memory: both pass.
            let _ = poll(&mut ready, None);
            // A socket's error, such as a guest whose port is closed, is taken from it by the first of these.
            for _ in 0..BATCH {
                match self.socket.recv_from(&mut buffer) {
                    Ok((length, from)) => self.handle(&mut buffer[..length], from, started, bell),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(_) => {}
                }
            }
        }
    }

    fn handle(&self, datagram: &mut [u8], from: SocketAddr, started: Instant, bell: &async_channel::Sender<()>) {
        let now_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
        let action = {
            let State { forwarder, guests, observed } = &mut *self.state();
            let action = forwarder.handle(guests, now_ms, from, datagram);
            if let Action::Send { moved: Some((slot, address)), .. } = action {
                observed.insert(slot, address);
            }
            action
        };
        let Action::Send { length, to, moved } = action else { return };
        if moved.is_some() {
            // Who has been rung and has not looked yet will see this, too.
            let _ = bell.try_send(());
        }
        // What cannot be sent is lost, as on any network.
        let _ = self.socket.send_to(&datagram[..length], self.mapped(to));
    }

    /// As a socket for both kinds of addresses wants it.
    fn mapped(&self, to: SocketAddr) -> SocketAddr {
        match (canonical(to), self.socket.local_addr()) {
            (SocketAddr::V4(v4), Ok(SocketAddr::V6(_))) => SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()),
            (other, _) => other,
        }
    }
}

#[cfg(test)]
mod tests;
