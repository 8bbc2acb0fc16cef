//! What a connection runs over: TLS or not, over TCP or a Unix socket.

use super::activity::Watched;
use futures_lite::io::{AsyncRead, AsyncWrite};
use futures_rustls::server::TlsStream;
use rustls::ServerConfig;
use smol::net::unix::{UnixListener, UnixStream};
use smol::net::{TcpListener, TcpStream};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Where connections come in.
#[derive(Debug)]
pub enum Door {
    /// TLS over TCP.
    Tls(TcpListener, Arc<ServerConfig>),
    /// TCP without TLS: for the loopback address.
    Plain(TcpListener),
    /// A Unix socket, without TLS.
    Unix(UnixListener),
}

impl Door {
    /// The next connection, and where it came from: the loopback address and port 0 for a Unix socket.
    pub(super) async fn accept(&self) -> io::Result<(Socket, SocketAddr)> {
        match self {
            Door::Tls(listener, _) | Door::Plain(listener) => {
                let (tcp, peer) = listener.accept().await?;
                Ok((Socket::Tcp(tcp), peer))
            }
            Door::Unix(listener) => {
                let (unix, _) = listener.accept().await?;
                Ok((Socket::Unix(unix), SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
            }
        }
    }
}

/// A connection as the kernel gives it.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// A connection as HTTP is spoken over it.
#[derive(Debug)]
pub(super) enum Wire {
    /// In a box of its own, for it is much larger than the other.
    Tls(Box<TlsStream<Watched<Socket>>>),
    Plain(Watched<Socket>),
}

impl Wire {
    /// The certificate by which the other end has proven who it is, in DER.
    pub fn certificate(&self) -> Option<Arc<[u8]>> {
        match self {
            Wire::Tls(tls) => Some(tls.get_ref().1.peer_certificates()?.first()?.as_ref().into()),
            Wire::Plain(_) => None,
        }
    }
}

/// Passes on what is asked of an enum to what is in it.
macro_rules! pass_on {
    ($name:ty, $($variant:path),+) => {
        impl AsyncRead for $name {
            fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &mut [u8]) -> Poll<io::Result<usize>> {
                match &mut *self { $($variant(io) => Pin::new(io).poll_read(cx, bytes)),+ }
            }
        }

        impl AsyncWrite for $name {
            fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
                match &mut *self { $($variant(io) => Pin::new(io).poll_write(cx, bytes)),+ }
            }

            fn poll_write_vectored(
                mut self: Pin<&mut Self>,
                cx: &mut Context<'_>,
                parts: &[io::IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                match &mut *self { $($variant(io) => Pin::new(io).poll_write_vectored(cx, parts)),+ }
            }

            fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match &mut *self { $($variant(io) => Pin::new(io).poll_flush(cx)),+ }
            }

            fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
                match &mut *self { $($variant(io) => Pin::new(io).poll_close(cx)),+ }
            }
        }
    };
}

pass_on!(Socket, Socket::Tcp, Socket::Unix);
pass_on!(Wire, Wire::Tls, Wire::Plain);
