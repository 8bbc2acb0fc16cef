//! The UDP socket: both kinds of addresses where the kernel has both, datagrams in bundles where it can do that.

use muster_protocol::network::relay::canonical;
use nix::errno::Errno;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt, sockopt,
};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::sockopt as options;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

/// Bytes of one bundle: what a datagram can have at most.
pub const BUNDLE: usize = 65_507;
/// Datagrams in a bundle: what all kernels take.
const BUNDLED: usize = 64;
/// Kernel memory for datagrams that wait. Asked for; what is allowed is taken.
const WAITING: usize = 2 * 1024 * 1024;
/// How long to wait for room when the kernel's is full.
const ROOM: Timespec = Timespec { tv_sec: 0, tv_nsec: 5_000_000 };

/// A bound socket.
pub struct Socket {
    socket: UdpSocket,
    both_kinds: bool,
    bundles: bool,
    control: Vec<u8>,
}

/// What has come: datagrams of `each` bytes, but for the last one.
pub struct Received {
    /// Bytes of all of them.
    pub length: usize,
    /// Of each.
    pub each: usize,
    /// Where from.
    pub from: SocketAddr,
}

impl Socket {
    /// Binds a port on all addresses; 0: any.
    pub fn bind(port: u16) -> io::Result<Socket> {
        let (socket, both_kinds) = match UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port)) {
            Ok(socket) => (socket, true),
            // No IPv6 here. That the port is taken is told by the second one, too.
            Err(_) => (UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?, false),
        };
        socket.set_nonblocking(true)?;
        // Fragments rather than nothing where a path is narrower than this network's packets.
        let fragments = options::set_ip_mtu_discover(&socket, options::Ipv4PathMtuDiscovery::DONT);
        if both_kinds {
            options::set_ipv6_mtu_discover(&socket, options::Ipv6PathMtuDiscovery::DONT)?;
        } else {
            fragments?;
        }
        // More than the limit is allowed to root alone; else up to the limit.
        if options::set_socket_recv_buffer_size_force(&socket, WAITING).is_err() {
            options::set_socket_recv_buffer_size(&socket, WAITING)?;
        }
        // Kernels before 5.0 give datagrams one by one.
        let _ = setsockopt(&socket, sockopt::UdpGroSegment, &true);
        let bundles = setsockopt(&socket, sockopt::UdpGsoSegment, &0).is_ok();
        Ok(Socket { socket, both_kinds, bundles, control: nix::cmsg_space!(i32) })
    }

    /// The port that it is bound to.
    pub fn port(&self) -> io::Result<u16> {
        Ok(self.socket.local_addr()?.port())
    }

    /// Takes what has come. None: nothing.
    pub fn receive(&mut self, buffer: &mut [u8]) -> io::Result<Option<Received>> {
        loop {
            let mut into = [IoSliceMut::new(buffer)];
            let got = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut into,
                Some(&mut self.control),
                MsgFlags::empty(),
            );
            let message = match got {
                Ok(message) => message,
                Err(Errno::EAGAIN) => return Ok(None),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            let each = message.cmsgs().ok().and_then(|mut all| {
                all.find_map(|message| match message {
                    ControlMessageOwned::UdpGroSegments(each) => usize::try_from(each).ok(),
                    _ => None,
                })
            });
            let Some(from) = message.address.as_ref().and_then(address) else { continue };
            let length = message.bytes;
            return Ok(Some(Received { length, each: each.filter(|each| *each > 0).unwrap_or(length.max(1)), from }));
        }
    }

    /// Sends datagrams of `each` bytes to one address; the last one may be shorter. What cannot be sent is lost.
    pub fn send(&mut self, datagrams: &[u8], each: usize, to: SocketAddr) {
        let to = SockaddrStorage::from(self.as_the_kernel_wants(to));
        if datagrams.len() <= each {
            let _ = self.send_one(datagrams, None, &to);
            return;
        }
        if self.bundles
            && let Ok(size) = u16::try_from(each)
        {
            match self.send_one(datagrams, Some(size), &to) {
                // The device or path takes no bundles, or not of this size.
                Err(Errno::EIO | Errno::EINVAL | Errno::EMSGSIZE | Errno::EOPNOTSUPP) => {}
                _ => return,
            }
        }
        for datagram in datagrams.chunks(each) {
            let _ = self.send_one(datagram, None, &to);
        }
    }

    fn send_one(&self, datagram: &[u8], each: Option<u16>, to: &SockaddrStorage) -> Result<usize, Errno> {
        let from = [IoSlice::new(datagram)];
        let size = each.unwrap_or_default();
        let bundle = [ControlMessage::UdpGsoSegments(&size)];
        let control = if each.is_some() { &bundle[..] } else { &[] };
        let mut waited = false;
        loop {
            match sendmsg(self.socket.as_raw_fd(), &from, control, MsgFlags::empty(), Some(to)) {
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) if !waited => {
                    waited = true;
                    let _ = poll(&mut [PollFd::new(&self.socket, PollFlags::OUT)], Some(&ROOM));
                }
                done => return done,
            }
        }
    }

    fn as_the_kernel_wants(&self, to: SocketAddr) -> SocketAddr {
        match canonical(to) {
            SocketAddr::V4(to) if self.both_kinds => SocketAddr::new(to.ip().to_ipv6_mapped().into(), to.port()),
            // Keeps the zone of a link's address.
            SocketAddr::V6(_) => to,
            to => to,
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn address(from: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = || from.as_sockaddr_in().map(|v4| SocketAddr::new(v4.ip().into(), v4.port()));
    let v6 = || from.as_sockaddr_in6().map(|v6| SocketAddr::new(v6.ip().into(), v6.port()));
    v4().or_else(v6).map(canonical)
}

/// Datagrams that wait to go to one address together.
pub struct Batch {
    buffer: Vec<u8>,
    used: usize,
    each: usize,
    count: usize,
    /// The last one was shorter: nothing may follow it.
    closed: bool,
    to: Option<SocketAddr>,
}

impl Batch {
    /// Room for datagrams of up to `longest` bytes: a whole bundle of them.
    pub fn new(longest: usize) -> Batch {
        Batch { buffer: vec![0; BUNDLE + longest], used: 0, each: 0, count: 0, closed: false, to: None }
    }

    /// Room for one more.
    pub fn room(&mut self) -> &mut [u8] {
        &mut self.buffer[self.used..]
    }

    /// The first `length` bytes of the room are a datagram to an address. Sends what cannot go with it.
    pub fn push(&mut self, length: usize, to: SocketAddr, socket: &mut Socket) {
        let fits = self.to == Some(to)
            && !self.closed
            && length <= self.each
            && self.count < BUNDLED
            && self.used + length <= BUNDLE;
        if !fits {
            let start = self.used;
            self.flush(socket);
            self.buffer.copy_within(start..start + length, 0);
            (self.to, self.each) = (Some(to), length);
        }
        self.used += length;
        self.count += 1;
        self.closed = length < self.each;
    }

    /// Sends all.
    pub fn flush(&mut self, socket: &mut Socket) {
        if let Some(to) = self.to.take() {
            socket.send(&self.buffer[..self.used], self.each, to);
        }
        (self.used, self.each, self.count, self.closed) = (0, 0, 0, false);
    }
}
