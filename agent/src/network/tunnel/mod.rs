//! Packets to other hosts: a TUN device, WireGuard for each peer, one UDP socket. One thread of its own.

//!
//! The device hands over what the kernel routes to it; the `carrier` finds the peer by the packet's address, the
//! `peer`'s session encrypts it, and its [`path`] says where to send it: to an address that has been proven, or through a
//! relay, with which the `registrar` keeps in touch.

mod carrier;
mod checksum;
mod device;
mod echo;
mod keys;
mod outlet;
pub mod path;
mod peer;
mod registrar;
pub mod segments;
mod udp;

use carrier::Carrier;
use muster_protocol::id::HostId;
use muster_protocol::network::relay::Rate;
use muster_protocol::network::{Prefix, Reach, Way};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long an echo is waited for.
pub const ECHO_LIMIT: Duration = Duration::from_secs(5);

/// What the thread needs: buffers are elsewhere.
const STACK: usize = 256 * 1024;

/// What a tunnel is made with.
#[derive(Clone)]
pub struct Settings {
    /// The WireGuard private key. Never leaves this host.
    pub key: [u8; 32],
    /// The UDP port to listen on, on all addresses; 0: any.
    pub port: u16,
    /// The name of the TUN device.
    pub device: String,
    /// The largest packet inside, in bytes.
    pub mtu: u16,
}

/// Who the peers are and how they are reached. The whole of it: what is not in it is forgotten; peers that stay with the
/// same key keep their sessions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Table {
    /// This host's number on relays.
    pub slot: u32,
    /// This host's own addresses: packets to others are not taken from the tunnel.
    pub own: Vec<Prefix>,
    /// The peers.
    pub peers: Vec<Peer>,
    /// Who forwards for this host, the best one first.
    pub relays: Vec<Relay>,
    /// For whom this host forwards.
    pub guests: Vec<Guest>,
}

/// Another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Which one.
    pub host: HostId,
    /// Its WireGuard public key.
    pub key: [u8; 32],
    /// Its number on relays.
    pub slot: u32,
    /// Seconds between keepalives, 0 for none.
    pub keepalive_s: u16,
    /// What is sent to it, and what it may send from.
    pub blocks: Vec<Prefix>,
    /// Where to try it, in this order, before a relay.
    pub endpoints: Vec<(Reach, SocketAddr)>,
}

/// Forwards for this host.
#[derive(Clone, PartialEq, Eq)]
pub struct Relay {
    /// The host that relays; all zero: the server.
    pub host: HostId,
    /// Where it is.
    pub address: SocketAddr,
    /// Proves this host to it.
    pub secret: [u8; 16],
}

/// For whom this host forwards.
#[derive(Clone, PartialEq, Eq)]
pub struct Guest {
    /// The host.
    pub host: HostId,
    /// Its number.
    pub slot: u32,
    /// Proves it.
    pub secret: [u8; 16],
}

/// How a peer is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Path {
    /// The peer.
    pub host: HostId,
    /// In which way.
    pub way: Way,
    /// Where packets are sent to.
    pub endpoint: Option<SocketAddr>,
    /// Seconds since the last handshake.
    pub handshake_s: Option<u32>,
    /// Bytes of packets received from it.
    pub received: u64,
    /// Sent to it.
    pub sent: u64,
}

/// Packets that were not carried, since the tunnel was started.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dropped {
    /// From the device: for no peer, or too long.
    pub unroutable: u64,
    /// From a peer: the sender's address is not one of the peer's.
    pub foreign_source: u64,
    /// From a peer: not for one of the host's own addresses.
    pub foreign_destination: u64,
    /// From the socket: of no peer, or not to be decrypted.
    pub unknown: u64,
}

/// Carries packets until it is dropped. Its device ends with it.
pub struct Tunnel {
    shared: Arc<Shared>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    carrier: Mutex<Carrier>,
    wake: OwnedFd,
    ends: AtomicBool,
}

impl Tunnel {
    /// Makes the device and the socket, and starts to carry; nobody's packets yet.
    ///
    /// # Errors
    /// If there is a device of that name, the port is taken, or the kernel has no TUN devices.
    pub fn start(settings: Settings) -> io::Result<Tunnel> {
        Tunnel::start_with(settings, Rate::default())
    }

    /// Likewise, with what each guest may send through this host.
    ///
    /// # Errors
    /// As [`start`](Tunnel::start).
    pub fn start_with(settings: Settings, rate: Rate) -> io::Result<Tunnel> {
        let carrier = Carrier::open(&settings, rate)?;
        let port = carrier.socket().port()?;
        let device = carrier.device().as_fd().try_clone_to_owned()?;
        let socket = carrier.socket().as_fd().try_clone_to_owned()?;
        let wake = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let shared = Arc::new(Shared { carrier: Mutex::new(carrier), wake, ends: AtomicBool::new(false) });
        let thread = std::thread::Builder::new().name("tunnel".into()).stack_size(STACK).spawn({
            let shared = shared.clone();
            move || shared.run(&device, &socket)
        })?;
        Ok(Tunnel { shared, port, thread: Some(thread) })
    }

    /// Takes over a table at once: the difference alone is changed.
    ///
    /// # Errors
    /// If the kernel gives no random numbers. Then a part of the peers may be missing.
    pub fn set(&self, table: &Table) -> io::Result<()> {
        let done = self.shared.carrier().set(table);
        self.shared.wake();
        done
    }

    /// Registers with the relays at once, as when one of them may have started anew: packets through it are lost until it
    /// knows where its guests are, and those that send nothing do so each 25 s alone.
    pub fn register(&self) {
        self.shared.carrier().register();
        self.shared.wake();
    }

    /// How each peer is reached.
    pub fn paths(&self) -> Vec<Path> {
        self.shared.carrier().paths()
    }

    /// Sends an echo request through the tunnel to an address of a peer, from one of this host's, and tells how long the
    /// peer's kernel took to answer. Waits for up to [`ECHO_LIMIT`]. None: it did not answer, or there is no such peer.
    pub fn probe(&self, host: HostId, from: u32, to: u32) -> Option<Duration> {
        let (done, answer) = sync_channel(1);
        let asked = self.shared.carrier().echo(host, from, to, done);
        self.shared.wake();
        asked.then(|| answer.recv_timeout(ECHO_LIMIT).ok()).flatten()
    }

    /// The UDP port that it listens on.
    pub fn local_port(&self) -> u16 {
        self.port
    }

    /// Whether the device is gone, as when somebody has deleted it: then nothing is carried, and the tunnel has to be
    /// started anew.
    pub fn failed(&self) -> bool {
        self.shared.carrier().failed()
    }

    /// What was not carried.
    pub fn dropped(&self) -> Dropped {
        self.shared.carrier().dropped()
    }
}

impl Drop for Tunnel {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::Release);
        self.shared.wake();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn carrier(&self) -> MutexGuard<'_, Carrier> {
        self.carrier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake(&self) {
        // Cannot fail but for a full counter, and then the thread wakes as well.
        let _ = rustix::io::write(&self.wake, &1u64.to_ne_bytes());
    }

    fn run(&self, device: &OwnedFd, socket: &OwnedFd) {
        let (mut from_device, mut from_socket) = (true, true);
        while !self.ends.load(Ordering::Acquire) {
            let (wait, failed) = {
                let mut carrier = self.carrier();
                (carrier.work(from_device, from_socket), carrier.failed())
            };
            let wait = wait.and_then(|wait| Timespec::try_from(wait).ok());
            let mut all = [
                PollFd::new(&self.wake, PollFlags::IN),
                PollFd::new(socket, PollFlags::IN),
                PollFd::new(device, PollFlags::IN),
            ];
            // A device that is gone is ready for ever.
            let waited_for = if failed { &mut all[..2] } else { &mut all[..] };
            // Interrupted, or the kernel is out of memory: both pass.
            let _ = poll(waited_for, wait.as_ref());
            if !all[0].revents().is_empty() {
                let _ = rustix::io::read(&self.wake, &mut [0; 8]);
            }
            (from_socket, from_device) = (!all[1].revents().is_empty(), !all[2].revents().is_empty());
        }
    }
}

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("host", &self.host).field("address", &self.address).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Guest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guest").field("host", &self.host).field("slot", &self.slot).finish_non_exhaustive()
    }
}
