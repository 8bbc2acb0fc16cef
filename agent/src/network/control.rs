//! What the running process tells `network status`: one JSON object to whoever connects to its socket.

use super::hub::{Hub, LineState};
use crate::command::exit::{Exit, Trouble};
use async_io::{Async, Timer};
use futures_lite::{AsyncWriteExt, future};
use log::debug;
use muster_protocol::id::EngineId;
use muster_protocol::network::{MemberState, Way};
use serde_json::{Value, json};
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

/// The socket's name in the runtime directory.
pub const SOCKET: &str = "status.sock";
/// Who does not read within this is left alone.
const READ: Duration = Duration::from_secs(5);

/// Makes the socket. Only this user may connect.
pub fn listen(directory: &Path) -> Result<Async<UnixListener>, Trouble> {
    let path = directory.join(SOCKET);
    let open = || -> io::Result<Async<UnixListener>> {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(directory)?;
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = Async::<UnixListener>::bind(&path)?;
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    open().map_err(|error| {
        let what = format!("cannot listen at {}", path.display());
        Trouble::new(Exit::Failed, what, error, "run this as root, or name another place by --runtime-dir")
    })
}

/// Answers for ever, one after the other.
pub async fn serve(hub: &Hub, listener: Async<UnixListener>) {
    loop {
        let answered = async {
            let (mut stream, _) = listener.accept().await?;
            let text = status(hub).to_string();
            let write = async { stream.write_all(text.as_bytes()).await };
            future::or(write, async {
                Timer::after(READ).await;
                Err(io::ErrorKind::TimedOut.into())
            })
            .await
        };
        if let Err(error) = answered.await {
            debug!("a status was not told: {error}");
            // Also an accept that fails for lack of descriptors.
            Timer::after(Duration::from_millis(100)).await;
        }
    }
}

/// Everything that is known now. Secrets are not part of it.
pub fn status(hub: &Hub) -> Value {
    let view = hub.view.borrow();
    let (server, detail) = match &*hub.line_state.borrow() {
        LineState::Unknown => ("connecting", None),
        LineState::Open => ("connected", None),
        LineState::Closed(why) => ("unreachable", Some(why.clone())),
        LineState::Removed => ("host_removed", Some("the server has removed this host".to_string())),
    };
    let members = hub.members.borrow();
    let containers: Vec<Value> = members
        .told
        .iter()
        .map(|(id, member)| {
            let state = if member.state == MemberState::Joined { "joined" } else { "refused" };
            json!({
                "id": id.to_string(),
                "name": member.name,
                "state": state,
                "address": (member.address != 0).then(|| Ipv4Addr::from_bits(member.address).to_string()),
                "reason": (!member.reason.is_empty()).then_some(&member.reason),
            })
        })
        .collect();
    let paths = hub.carrier.borrow().paths();
    let peers: Vec<Value> = view
        .table
        .peers
        .iter()
        .map(|peer| {
            let path = paths.iter().find(|path| path.host == peer.host);
            let way = match path.map_or(Way::None, |path| path.way) {
                Way::None => "none",
                Way::Direct => "direct",
                Way::Lan => "lan",
                Way::Relayed => "relayed",
                Way::Refused => "refused",
            };
            json!({
                "id": peer.host.to_string(),
                "name": view.peers.get(&peer.host),
                "blocks": texts(&peer.blocks),
                "path": way,
                "endpoint": path.and_then(|path| path.endpoint).map(|endpoint| endpoint.to_string()),
                "handshake_seconds": path.and_then(|path| path.handshake_s),
                "received": path.map_or(0, |path| path.received),
                "sent": path.map_or(0, |path| path.sent),
            })
        })
        .collect();
    let place = view.place.as_ref().map(|place| {
        json!({
            "range": place.range.to_string(),
            "blocks": texts(&place.blocks),
            "gateway": Ipv4Addr::from_bits(place.gateway()).to_string(),
            "label": format!("{}={}", place.label.0, place.label.1),
            "names": place.names,
            "mtu": place.mtu,
        })
    });
    json!({
        "state": if place.is_some() { "up" } else { "no_place" },
        "place": place,
        "key": EngineId(hub.key.public).to_string(),
        "port": hub.settings.port,
        "accepted": hub.settings.accept.to_string(),
        "server": {"state": server, "detail": detail},
        "engine": {
            "state": if hub.engine_trouble.borrow().is_none() { "ok" } else { "trouble" },
            "detail": *hub.engine_trouble.borrow(),
        },
        "host": {
            "state": if hub.ground_trouble.borrow().is_none() { "ok" } else { "trouble" },
            "detail": *hub.ground_trouble.borrow(),
        },
        "containers": containers,
        "containers_beyond": members.beyond(),
        "peers": peers,
        "refused_peers": view.refused_peers.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "changed_keys": view.changed_keys.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "refused": view.refused,
        "uptime_seconds": hub.began.elapsed().as_secs(),
    })
}

fn texts<T: ToString>(items: &[T]) -> Vec<String> {
    items.iter().map(ToString::to_string).collect()
}
