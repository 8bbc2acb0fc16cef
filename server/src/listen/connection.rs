//! One connection: TLS, then requests one after the other, until one of them changes the protocol.

use super::activity::{Activity, Answering, Watched};
use super::admission::Place;
use super::line::Line;
use super::message::{Body, Content, Outgoing, Takeover, drain};
use super::registry::Handle;
use super::wire::{Socket, Wire};
use super::{KnownBy, Limits, Request, Response};
use futures_lite::{AsyncWriteExt, future};
use futures_rustls::TlsAcceptor;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use rustix::net::sockopt;
use smol::Timer;
use smol::net::TcpStream;
use smol_hyper::rt::FuturesIo;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// hyper's read buffer, in bytes. It starts with 8 KiB, grows for large bodies only, and stays what it was while the
/// connection is idle: larger bodies come in several pieces.
const READ_BUFFER: usize = 16 * 1024;

/// Probes that stay without an answer before a connection is given up.
const PROBES: u32 = 4;
/// Time between two of them.
const PROBE_EVERY: Duration = Duration::from_secs(15);

/// A client that has to ask for a change of protocols has not.
const UPGRADE_REQUIRED: u16 = 426;

/// What all connections of a port share.
pub(super) struct Port<H> {
    /// `None`: without TLS.
    pub acceptor: Option<TlsAcceptor>,
    pub limits: Limits,
    pub handler: H,
}

/// Serves a connection until either side ends it. How long it may take is the registry's business.
pub(super) async fn run<H, F>(
    port: Arc<Port<H>>,
    socket: Socket,
    peer: SocketAddr,
    activity: Arc<Activity>,
    place: Place,
    handle: Handle,
) where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    if let Socket::Tcp(tcp) = &socket
        && let Err(error) = prepare(tcp, &port.limits)
    {
        log::debug!("{peer}: {error}");
    }
    // Its own box, so that a connection that has changed its protocol keeps nothing of what was before.
    let place = Arc::new(place);
    let longest_idle = port.limits.longest_idle;
    let spoken = Box::pin(speak_http(port, socket, peer, activity.clone(), place.clone())).await;
    if let Some((wire, begun, takeover)) = spoken {
        takeover(Line::new(wire, begun, activity, handle, longest_idle)).await;
    }
    drop(place);
}

/// What the kernel is to do for a connection. Where it cannot, the connection is served all the same.
fn prepare(tcp: &TcpStream, limits: &Limits) -> io::Result<()> {
    // An answer is one small packet, and someone waits for it.
    tcp.set_nodelay(true)?;
    // Who is gone without a word is noticed long before an idle line would be at its end: by probes while nothing is
    // under way, by what is not acknowledged while something is. The time for the latter must not be shorter: the
    // kernel applies it to probes too, and one that is lost is no proof.
    sockopt::set_tcp_keepidle(tcp, limits.probe_after)?;
    sockopt::set_tcp_keepintvl(tcp, PROBE_EVERY)?;
    sockopt::set_tcp_keepcnt(tcp, PROBES)?;
    sockopt::set_socket_keepalive(tcp, true)?;
    let gone_after = limits.probe_after + PROBES * PROBE_EVERY;
    Ok(sockopt::set_tcp_user_timeout(tcp, u32::try_from(gone_after.as_millis()).unwrap_or(u32::MAX))?)
}

/// Who is at the other end.
#[derive(Clone)]
struct From {
    peer: SocketAddr,
    certificate: Option<Arc<[u8]>>,
}

/// Where a handler leaves what goes on with a connection.
type Slot = Arc<Mutex<Option<Box<Takeover>>>>;

/// Answers requests, until the connection ends or changes its protocol: then it is what remains.
async fn speak_http<H, F>(
    port: Arc<Port<H>>,
    socket: Socket,
    peer: SocketAddr,
    activity: Arc<Activity>,
    place: Arc<Place>,
) -> Option<(Wire, Vec<u8>, Box<Takeover>)>
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let socket = Watched::new(socket, activity.clone());
    let wire = match &port.acceptor {
        None => Wire::Plain(socket),
        Some(acceptor) => match acceptor.accept(socket).await {
            Ok(tls) => Wire::Tls(Box::new(tls)),
            Err(error) => {
                log::debug!("{peer}: no TLS: {error}");
                return None;
            }
        },
    };
    activity.secured();
    let from = From { peer, certificate: wire.certificate() };
    if let (Some(KnownBy(client)), Some(der)) = (&port.limits.known_by, &from.certificate)
        && let Some(who) = client(der)
    {
        place.known(who);
    }
    let slot = Slot::default();
    let service = service_fn(|request| {
        Box::pin(answer(port.clone(), request, from.clone(), activity.clone(), place.clone(), slot.clone()))
    });
    let served = http1::Builder::new()
        // The registry does this, and lets connections wait between requests.
        .header_read_timeout(None)
        .max_headers(port.limits.headers)
        .max_header_size(port.limits.head_bytes)
        .max_buf_size(READ_BUFFER.max(port.limits.head_bytes))
        // 37 bytes of every answer, and agents have no use for it.
        .auto_date_header(false)
        .serve_connection(FuturesIo::new(wire), service)
        .without_shutdown()
        .await;
    let (mut wire, begun) = match served {
        Ok(parts) => (parts.io.into_inner(), parts.read_buf.to_vec()),
        Err(error) => {
            log::debug!("{peer}: {error}");
            return None;
        }
    };
    let takeover = slot.lock().unwrap_or_else(PoisonError::into_inner).take();
    if takeover.is_none()
        && let Err(error) = wire.close().await
    {
        log::debug!("{peer}: {error}");
    }
    Some((wire, begun, takeover?))
}

async fn answer<H, F>(
    port: Arc<Port<H>>,
    request: hyper::Request<Incoming>,
    from: From,
    activity: Arc<Activity>,
    place: Arc<Place>,
    slot: Slot,
) -> Result<hyper::Response<Outgoing>, Infallible>
where
    H: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    activity.requested();
    let answering = Answering(activity.clone());
    let (head, incoming) = request.into_parts();
    // hyper has looked whether a change of protocols is possible at all.
    let wanted = head.extensions.get::<OnUpgrade>().and_then(|_| head.headers.get(UPGRADE).cloned());
    let (body, unread) = Body::new(incoming, port.limits.body);
    let request = Request {
        path: head.uri.path().to_string(),
        query: head.uri.query().unwrap_or_default().to_string(),
        method: head.method,
        headers: head.headers,
        peer: from.peer,
        certificate: from.certificate,
        body,
    };
    let mut response = (port.handler)(request).await;
    if let Ok(incoming) = unread.try_recv() {
        drain_in_time(incoming, &port.limits).await;
    }
    if let Some(who) = response.known {
        place.known(who);
    }
    if let Some(idle) = response.keep_idle {
        activity.keep_idle(idle.min(port.limits.longest_idle));
    }
    if let Content::Line(protocol, takeover) = response.content {
        let agreed = wanted.is_some_and(|wanted| wanted.as_bytes().eq_ignore_ascii_case(protocol.as_bytes()));
        response.content = Content::Bytes(Vec::new());
        response.headers.extend([("connection", "upgrade".to_owned()), ("upgrade", protocol.to_owned())]);
        if agreed {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(takeover);
        } else {
            response.status = UPGRADE_REQUIRED;
        }
    }
    Ok(outgoing(response, answering))
}

/// Most clients send all before they read, and would take a closed connection for a broken one.
async fn drain_in_time(mut incoming: Incoming, limits: &Limits) {
    let too_slow = async {
        Timer::after(limits.drain).await;
        false
    };
    if !future::or(drain(&mut incoming, limits.drain_bytes), too_slow).await {
        log::debug!("a client sends more than is wanted");
    }
}

fn outgoing(response: Response, answering: Answering) -> hyper::Response<Outgoing> {
    let Response { status, content_type, headers, content, .. } = response;
    let mut outgoing = hyper::Response::new(Outgoing::new(content, answering));
    match hyper::StatusCode::from_u16(status) {
        Ok(status) => *outgoing.status_mut() = status,
        Err(_) => *outgoing.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR,
    }
    if !content_type.is_empty() {
        outgoing.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    }
    for (name, value) in headers {
        match (name.parse::<hyper::header::HeaderName>(), HeaderValue::try_from(value)) {
            (Ok(name), Ok(value)) => {
                outgoing.headers_mut().append(name, value);
            }
            _ => log::warn!("the header '{name}' of an answer cannot be sent"),
        }
    }
    outgoing
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_lite::future::block_on;
    use smol::net::TcpListener;
    use std::net::Ipv4Addr;

    #[test]
    fn the_kernel_gives_up_who_is_silent_after_several_probes_and_not_after_one() {
        block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
            let client = TcpStream::connect(listener.local_addr().expect("its address")).await.expect("a connection");
            let limits = Limits::default();
            prepare(&client, &limits).expect("a TCP socket");
            assert_eq!(sockopt::socket_keepalive(&client), Ok(true));
            assert_eq!(sockopt::tcp_keepidle(&client), Ok(limits.probe_after));
            let probes = sockopt::tcp_keepcnt(&client).expect("how many");
            let every = sockopt::tcp_keepintvl(&client).expect("how often");
            let gone = Duration::from_millis(sockopt::tcp_user_timeout(&client).expect("when").into());
            assert_eq!((probes, gone), (4, limits.probe_after + probes * every));
            assert!(gone < limits.idle);
        });
    }
}
