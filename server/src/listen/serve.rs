//! One port: connections are let in, watched, and let out at the end.

use super::activity::Activity;
use super::admission::Admission;
use super::connection::{self, Port};
use super::registry::Registry;
use super::seldom::Seldom;
use super::wire::Door;
use super::{Limits, Request, Response};
use crate::spare_memory;
use futures_lite::future;
use futures_rustls::TlsAcceptor;
use rustls::ServerConfig;
use smol::net::TcpListener;
use smol::{Executor, Timer};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// After an error of `accept`: such as too many open files, which only time can heal.
const PAUSE: Duration = Duration::from_millis(200);
/// The least time between two looks for memory that can be given back.
const GIVE_BACK: Duration = Duration::from_secs(60);
/// How often the end looks whether the last requests are answered.
const LAST_LOOK: Duration = Duration::from_millis(20);

/// Serves a port with TLS: see [`serve_at`].
pub async fn serve<H, F>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    limits: Limits,
    executor: Arc<Executor<'static>>,
    handler: H,
    shutdown: impl Future<Output = ()>,
) where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    serve_at(Door::Tls(listener, tls), limits, executor, handler, shutdown).await;
}

/// Serves a port until `shutdown` is ready, then gives requests that are being answered
/// [a moment](Limits::grace), and returns when none is open, or cuts those that are.
///
/// The `handler` runs on the `executor`, once for each request and for as long as it likes; it is dropped when its
/// client leaves. It judges who the client is. Connections run on the executor too, so it must be driven by other
/// tasks or threads than one that blocks.
pub async fn serve_at<H, F>(
    door: Door,
    limits: Limits,
    executor: Arc<Executor<'static>>,
    handler: H,
    shutdown: impl Future<Output = ()>,
) where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let registry = Arc::new(Registry::default());
    let sweeper = executor.spawn({
        let (registry, limits) = (registry.clone(), limits.clone());
        async move {
            let mut given_back = Instant::now();
            loop {
                Timer::after(limits.sweep).await;
                registry.sweep(&limits);
                if given_back.elapsed() >= GIVE_BACK && registry.has_much_to_give_back() {
                    smol::unblock(spare_memory::give_back).await;
                    given_back = Instant::now();
                }
            }
        }
    });
    let grace = limits.grace;
    let acceptor = match &door {
        Door::Tls(_, tls) => Some(TlsAcceptor::from(tls.clone())),
        Door::Plain(_) | Door::Unix(_) => None,
    };
    let port = Arc::new(Port { acceptor, limits, handler });
    future::or(shutdown, accept(&door, port, &registry, &executor)).await;
    drop(door);
    drop(sweeper);
    let end = Instant::now() + grace;
    while registry.len() > 0 && Instant::now() < end {
        registry.cut_idle();
        Timer::after(LAST_LOOK).await;
    }
    registry.cut_all();
}

/// Lets connections in, for ever.
async fn accept<H, F>(door: &Door, port: Arc<Port<H>>, registry: &Arc<Registry>, executor: &Executor<'static>)
where
    H: Fn(Request) -> F + Send + Sync + 'static,
    F: Future<Output = Response> + Send + 'static,
{
    let admission = Admission::new(&port.limits);
    let (errors, refusals) = (Seldom::default(), Seldom::default());
    loop {
        let (socket, peer) = match door.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                errors.warn(&format_args!("cannot accept a connection: {error}"));
                Timer::after(PAUSE).await;
                continue;
            }
        };
        match admission.admit(peer.ip()) {
            Ok(place) => {
                let activity = Arc::new(Activity::new(port.limits.idle));
                registry.run(executor, activity.clone(), |handle| {
                    connection::run(port.clone(), socket, peer, activity, place, handle)
                });
            }
            Err(why) => refusals.warn(&format_args!("refused a connection from {}: {why}", peer.ip())),
        }
        // A flood of connections must not keep the end, or other tasks of this thread, waiting.
        future::yield_now().await;
    }
}
