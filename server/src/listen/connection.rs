//! One connection: TLS, then requests one after the other.

use super::activity::{Activity, Answering, Watched};
use super::admission::Place;
use super::message::{Body, Outgoing, drain};
use super::{Limits, Request, Response};
use futures_lite::future;
use futures_rustls::TlsAcceptor;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use smol::Timer;
use smol::net::TcpStream;
use smol_hyper::rt::FuturesIo;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;

/// hyper's read buffer, in bytes. It starts with 8 KiB and grows for large bodies only.
const READ_BUFFER: usize = 64 * 1024;

/// What all connections of a port share.
pub(super) struct Port<H> {
    pub acceptor: TlsAcceptor,
    pub limits: Limits,
    pub handler: H,
}

/// Serves a connection until either side ends it. How long it may take is the registry's business.
pub(super) async fn run<H, F>(
    port: Arc<Port<H>>,
    tcp: TcpStream,
    peer: SocketAddr,
    activity: Arc<Activity>,
    place: Place,
) where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    // An answer is one small packet, and someone waits for it.
    if let Err(error) = tcp.set_nodelay(true) {
        log::debug!("{peer}: {error}");
    }
    let tls = match port.acceptor.accept(Watched::new(tcp, activity.clone())).await {
        Ok(tls) => tls,
        Err(error) => return log::debug!("{peer}: no TLS: {error}"),
    };
    activity.secured();
    let place = Arc::new(place);
    let service = service_fn(|request| answer(port.clone(), request, peer, activity.clone(), place.clone()));
    let served = http1::Builder::new()
        // The registry does this, and lets connections wait between requests.
        .header_read_timeout(None)
        .max_headers(port.limits.headers)
        .max_header_size(port.limits.head_bytes)
        .max_buf_size(READ_BUFFER.max(port.limits.head_bytes))
        // 37 bytes of every answer, and agents have no use for it.
        .auto_date_header(false)
        .serve_connection(FuturesIo::new(tls), service)
        .await;
    if let Err(error) = served {
        log::debug!("{peer}: {error}");
    }
}

async fn answer<H, F>(
    port: Arc<Port<H>>,
    request: hyper::Request<Incoming>,
    peer: SocketAddr,
    activity: Arc<Activity>,
    place: Arc<Place>,
) -> Result<hyper::Response<Outgoing>, Infallible>
where
    H: Fn(Request) -> F,
    F: Future<Output = Response>,
{
    activity.requested();
    let answering = Answering(activity.clone());
    let (head, incoming) = request.into_parts();
    let (body, unread) = Body::new(incoming, port.limits.body);
    let request = Request {
        path: head.uri.path().to_string(),
        query: head.uri.query().unwrap_or_default().to_string(),
        method: head.method,
        headers: head.headers,
        peer,
        body,
    };
    let response = (port.handler)(request).await;
    if let Ok(incoming) = unread.try_recv() {
        drain_in_time(incoming, &port.limits).await;
    }
    if let Some(who) = response.known {
        place.known(who);
    }
    if let Some(idle) = response.keep_idle {
        activity.keep_idle(idle.min(port.limits.longest_idle));
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
