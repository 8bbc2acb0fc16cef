//! The task that understands what the server says, and tells it what the host brings along.

use super::hub::{Hub, LineState};
use super::lan;
use super::members::Member;
use super::records::{Pending, Taken};
use super::session::Heard;
use super::tunnel::Path;
use async_io::Timer;
use futures_lite::future;
use log::{debug, warn};
use muster_protocol::id::{EngineId, HostId};
use muster_protocol::limits;
use muster_protocol::network::{MemberState, NetworkEcho, NetworkHello, NetworkMember, NetworkPath, NetworkProbe, Way};
use muster_protocol::record::{Full, Kind, Malformed, Reader, Writer};
use serde::Serialize;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// What a first hello waits for at most until the containers were looked at.
const FIRST_LIST: Duration = Duration::from_secs(10);
/// Plans in a row whose sum is not right, before the line is begun anew.
const DIFFER: u32 = 3;
/// Between two messages about paths.
const PATHS: Duration = Duration::from_secs(30);
/// Amounts alone are told this often while they change: keepalives and handshakes are not among them.
const AMOUNTS: Duration = Duration::from_secs(60);
/// Of a way that carries nothing, the age of its handshake is told this often.
const AGES: Duration = Duration::from_secs(600);
/// So many bytes are told sooner.
const MUCH: u64 = 256 * 1024;
/// A handshake that is older than this says that the way is not in use.
const STALE_S: u32 = 180;
/// One message of members or paths.
const MESSAGE: usize = 8 * 1024;

/// What the server was told on the line that is open.
#[derive(Debug, Default)]
pub struct Told {
    /// The hello without its sum.
    hello: Vec<u8>,
    members: BTreeMap<EngineId, Member>,
    paths: BTreeMap<HostId, (Path, Instant)>,
    paths_at: Option<Instant>,
}

/// Listens and speaks for ever.
pub async fn talk(hub: &Hub) {
    let mut pending = Pending::default();
    let mut differed = 0;
    loop {
        let asked = async {
            hub.to_greet.wait().await;
            None
        };
        match future::or(async { Some(hub.session.heard().await) }, asked).await {
            None => greet_again(hub),
            Some(Heard::Opened { line, server, local }) => {
                pending = Pending::default();
                differed = 0;
                hub.local.set(local);
                if let Some(server) = server.filter(|server| hub.server.get() != Some(*server)) {
                    hub.server.set(Some(server));
                    if let Err(error) = hub.store.keep_server(server) {
                        warn!("cannot save where the server is: {error}");
                    }
                    hub.plan_changed();
                }
                if hub.view.borrow().place.is_some() && !hub.is_listed.get() {
                    first_list(hub).await;
                }
                hub.line.set(line);
                hub.line_state.replace(LineState::Open);
                hub.carrier.borrow().register();
                greet(hub, hub.records.borrow().sum());
            }
            Some(Heard::Said { line, message }) if line == hub.line.get() => {
                match take(hub, &mut pending, &message, &mut differed) {
                    Ok(()) if differed < DIFFER => {}
                    Ok(()) => {
                        warn!("the server's plan does not add up; beginning the line anew");
                        hub.session.begin_anew();
                    }
                    Err(error) => {
                        warn!("the server says something that is not understood: {error}; beginning the line anew");
                        hub.session.begin_anew();
                    }
                }
            }
            Some(Heard::Said { .. }) => {}
            Some(Heard::Closed(why)) => {
                hub.line.set(0);
                if *hub.line_state.borrow() != LineState::Removed {
                    hub.line_state.replace(LineState::Closed(why));
                }
            }
            Some(Heard::Removed) => {
                hub.line.set(0);
                hub.line_state.replace(LineState::Removed);
                hub.records.replace(Default::default());
                hub.save_plan();
                hub.plan_changed();
            }
        }
    }
}

/// Waits until all containers were looked at, but not for an engine that is away.
async fn first_list(hub: &Hub) {
    let listed = async {
        while !hub.is_listed.get() {
            Timer::after(Duration::from_millis(50)).await;
        }
    };
    future::or(listed, async {
        Timer::after(FIRST_LIST).await;
    })
    .await;
}

fn take(hub: &Hub, pending: &mut Pending, message: &[u8], differed: &mut u32) -> Result<(), Malformed> {
    let mut reader = Reader::message(message)?;
    while let Some(record) = reader.next_record()? {
        if record.kind == Kind::NetworkProbe {
            probe(hub, record.decode()?);
            continue;
        }
        // Saved and meant once for a whole change.
        let taken = hub.records.borrow_mut().take(pending, record)?;
        match taken {
            Taken::Waits | Taken::Foreign => {}
            Taken::Same => *differed = 0,
            Taken::Changed => {
                *differed = 0;
                debug!("the plan has changed: {} bytes", message.len());
                let before = hub.records_of_weight();
                hub.is_unsaved.set(true);
                hub.plan_changed();
                // Names come and go with every container.
                if hub.records_of_weight() != before {
                    hub.save_plan();
                }
            }
            Taken::Differs => {
                *differed += 1;
                greet(hub, 0);
            }
        }
    }
    Ok(())
}

fn probe(hub: &Hub, probe: NetworkProbe) {
    hub.probes.borrow_mut().push_back(probe);
    if hub.probes.borrow().len() > limits::NETWORK_PEERS {
        hub.probes.borrow_mut().pop_front();
    }
    hub.to_probe.ring();
}

/// Answers probes for ever, one after the other.
pub async fn answer_probes(hub: &Hub) {
    loop {
        hub.to_probe.wait().await;
        loop {
            let Some(probe) = hub.probes.borrow_mut().pop_front() else { break };
            let took_us = hub.probe(probe.host).await;
            let echo = NetworkEcho { number: probe.number, took_us };
            send(hub, |writer| writer.record(Kind::NetworkEcho, &echo));
        }
    }
}

/// A hello with everything, if what one says has changed; else what of members has.
fn greet_again(hub: &Hub) {
    if hub.line.get() == 0 {
        return;
    }
    let hello = hello(hub, 0);
    if hello == hub.told.borrow().hello { tell_members(hub) } else { greet(hub, hub.records.borrow().sum()) }
}

fn hello(hub: &Hub, sum: u64) -> Vec<u8> {
    let found = lan::addresses(std::path::Path::new("/"), hub.local.get());
    let texts: Vec<String> = found.iter().map(ToString::to_string).collect();
    let endpoint = hub.settings.endpoint.map(|endpoint| endpoint.to_string()).unwrap_or_default();
    let hello = NetworkHello {
        key: hub.key.public,
        port: hub.settings.port,
        accepted: hub.settings.accept,
        endpoint: &endpoint,
        relays: hub.settings.relay,
        addresses: texts.iter().map(String::as_str).collect(),
        blocks: blocks(hub),
        sum,
    };
    message(|writer| writer.record(Kind::NetworkHello, &hello)).unwrap_or_default()
}

/// As many blocks as there are, and one more if a container has found no address. None is ever given back in a run: a
/// container may have any address of it.
fn blocks(hub: &Hub) -> u8 {
    let place = hub.place.borrow();
    let Some(place) = place.as_ref() else { return 1 };
    let members = hub.members.borrow();
    let wanted = place.blocks.len() + usize::from(members.is_full());
    wanted.clamp(1, limits::NETWORK_BLOCKS) as u8
}

/// Says hello, and who the members are.
fn greet(hub: &Hub, sum: u64) {
    let bytes = hello(hub, sum);
    {
        let mut told = hub.told.borrow_mut();
        *told = Told { hello: hello(hub, 0), ..Told::default() };
    }
    hub.session.send(hub.line.get(), bytes);
    tell_members(hub);
    tell_paths(hub);
}

/// Tells which members have changed.
pub fn tell_members(hub: &Hub) {
    let line = hub.line.get();
    if line == 0 {
        return;
    }
    let members = hub.members.borrow();
    let mut told = hub.told.borrow_mut();
    let mut batch = Batch::new();
    for (id, member) in members.told.iter().filter(|(id, member)| told.members.get(id) != Some(member)) {
        batch.add(hub, Kind::NetworkMember, &record(*id, member));
    }
    for (id, member) in told.members.iter().filter(|(id, _)| !members.told.contains_key(id)) {
        let gone = Member { state: MemberState::Gone, address: 0, reason: String::new(), ..member.clone() };
        batch.add(hub, Kind::NetworkMember, &record(*id, &gone));
    }
    batch.send(hub);
    told.members.clone_from(&members.told);
}

fn record(id: EngineId, member: &Member) -> NetworkMember<'_> {
    NetworkMember {
        container: id,
        name: &member.name,
        state: member.state as u8,
        address: member.address,
        reason: &member.reason,
    }
}

/// Tells which paths have changed, at most twice a minute.
pub fn tell_paths(hub: &Hub) {
    if hub.line.get() == 0 {
        return;
    }
    let now = Instant::now();
    let mut told = hub.told.borrow_mut();
    if told.paths_at.is_some_and(|at| now.duration_since(at) < PATHS) {
        return;
    }
    let mut batch = Batch::new();
    let paths = paths(hub);
    told.paths.retain(|host, _| paths.iter().any(|path| path.host == *host));
    for path in paths {
        // Of whom nothing was told, nobody thinks that it is reached.
        let is_due = match told.paths.get(&path.host) {
            None => path.way != Way::None,
            Some((before, at)) => is_worth_telling(before, &path, at.elapsed()),
        };
        if is_due {
            let endpoint = path.endpoint.as_ref().map(SocketAddr::to_string).unwrap_or_default();
            batch.add(
                hub,
                Kind::NetworkPath,
                &NetworkPath {
                    host: path.host,
                    way: path.way as u8,
                    endpoint: &endpoint,
                    handshake_s: path.handshake_s.unwrap_or(u32::MAX),
                    received: path.received,
                    sent: path.sent,
                },
            );
            told.paths_at = Some(now);
            told.paths.insert(path.host, (path, now));
        }
    }
    batch.send(hub);
}

/// How peers are reached, those among them that are refused.
fn paths(hub: &Hub) -> Vec<Path> {
    let refused = hub.view.borrow().refused_peers.clone();
    let mut paths = hub.carrier.borrow().paths();
    for host in refused {
        match paths.iter_mut().find(|path| path.host == host) {
            Some(path) => path.way = Way::Refused,
            None => {
                paths.push(Path { host, way: Way::Refused, endpoint: None, handshake_s: None, received: 0, sent: 0 })
            }
        }
    }
    paths
}

fn is_worth_telling(before: &Path, now: &Path, since: Duration) -> bool {
    let is_stale = |path: &Path| path.handshake_s.is_none_or(|age| age > STALE_S);
    let amount = |path: &Path| path.received.wrapping_add(path.sent);
    before.way != now.way
        || (now.way != Way::None && before.endpoint != now.endpoint)
        || is_stale(before) != is_stale(now)
        || amount(now).abs_diff(amount(before)) >= MUCH
        || (since >= AMOUNTS && amount(before) != amount(now))
        || (since >= AGES && before != now)
}

/// Records in messages that are not too long.
struct Batch {
    buffer: RefCell<Vec<u8>>,
    used: usize,
}

impl Batch {
    fn new() -> Batch {
        Batch { buffer: RefCell::default(), used: 0 }
    }

    fn add<T: Serialize>(&mut self, hub: &Hub, kind: Kind, payload: &T) {
        for _ in 0..2 {
            let added = {
                let mut buffer = self.buffer.borrow_mut();
                buffer.resize(MESSAGE, 0);
                let writer = match self.used {
                    0 => Writer::message(&mut buffer),
                    used => Ok(Writer::resume(&mut buffer, used)),
                };
                writer.and_then(|mut writer| writer.record(kind, payload).map(|()| writer.len()))
            };
            match added {
                Ok(used) => {
                    self.used = used;
                    return;
                }
                Err(Full) => self.flush(hub),
            }
        }
        warn!("a {kind:?} is too large to be told");
    }

    fn flush(&mut self, hub: &Hub) {
        let mut message = self.buffer.take();
        message.truncate(std::mem::take(&mut self.used));
        if message.len() > 1 {
            hub.session.send(hub.line.get(), message);
        }
    }

    fn send(mut self, hub: &Hub) {
        self.flush(hub);
    }
}

fn message(write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) -> Result<Vec<u8>, Full> {
    let mut buffer = vec![0; 1024];
    let mut writer = Writer::message(&mut buffer)?;
    write(&mut writer)?;
    let used = writer.len();
    buffer.truncate(used);
    Ok(buffer)
}

fn send(hub: &Hub, write: impl FnOnce(&mut Writer<'_>) -> Result<(), Full>) {
    if let Ok(message) = message(write) {
        hub.session.send(hub.line.get(), message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_path_is_told_seldom_and_one_that_changes_soon() {
        let path = |way, handshake_s, sent| Path {
            host: HostId([1; 8]),
            way,
            endpoint: "192.0.2.1:51820".parse().ok(),
            handshake_s,
            received: 100,
            sent,
        };
        let told = path(Way::Direct, Some(10), 1000);
        let soon = Duration::from_secs(30);
        let idle = path(Way::Direct, Some(40), 1000);
        assert!(!is_worth_telling(&told, &idle, AMOUNTS), "only keepalives, and they are not counted");
        assert!(is_worth_telling(&told, &idle, AGES));
        assert!(!is_worth_telling(&told, &told, AGES));
        assert!(!is_worth_telling(&told, &path(Way::Direct, Some(40), 1001), soon), "not for a byte");
        assert!(is_worth_telling(&told, &path(Way::Direct, Some(40), 1001), AMOUNTS), "but once a minute");
        assert!(is_worth_telling(&told, &path(Way::Relayed, Some(40), 1032), soon));
        assert!(is_worth_telling(&told, &path(Way::Direct, Some(STALE_S + 1), 1032), soon));
        assert!(is_worth_telling(&told, &path(Way::Direct, None, 1032), soon));
        assert!(is_worth_telling(&told, &path(Way::Direct, Some(40), 1000 + MUCH), soon));
    }
}
