//! `GET /agent/v1/network`: a host's line for the managed network. What it says is taken in; changes of its plan are told
//! as soon as there are any.

use super::Network;
use super::basis::Told;
use super::plan::{Outline, Plan, plan};
use super::said::Said;
use crate::agents::{idle_of, turned_away};
use crate::fleet::{Fleet, HostCell};
use crate::listen::{Line, Response};
use futures_lite::future;
use muster_protocol::frame::{self, Head, HeadReader};
use muster_protocol::id::EngineId;
use muster_protocol::limits;
use muster_protocol::network::NetworkProbe;
use muster_protocol::record::{Kind, VERSION, Writer};
use smol::Timer;
use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A change goes out at once. If more follow, they are told together: after this, and the more hosts there are the later,
/// because each of them gets a plan of its own that has all others in it.
const PAUSE: Duration = Duration::from_millis(100);
/// What each host adds to the pause: a thousand of them, whose containers come and go, take some tenths of a processor.
const PAUSE_EACH: Duration = Duration::from_millis(4);

/// Containers that were known before a hello are told of again within this, or are gone. Until then they stay: their names
/// should not vanish whenever a host comes back.
const AGAIN: Duration = Duration::from_millis(if cfg!(test) { 500 } else { 10_000 });

/// Opens it.
pub(crate) fn open(fleet: &Arc<Fleet>, cell: Arc<HostCell>, credential: [u8; 32]) -> Response {
    let fleet = fleet.clone();
    Response::line(frame::PROTOCOL, move |line| serve(fleet, cell, credential, line))
}

async fn serve(fleet: Arc<Fleet>, cell: Arc<HostCell>, credential: [u8; 32], mut line: Line) {
    let _entered = cell.lines.enter_network(line.handle().clone());
    // Whoever ends a credential cuts its host's lines afterwards, so that one of both is seen.
    let is_good = fleet.by_credential(&credential).is_some_and(|known| known.id == cell.id);
    if !is_good || turned_away(&cell.live()).is_some() {
        return line.close().await;
    }
    let mut talk = Talk { fleet: &fleet, cell: &cell, told: None, told_at: None, listing: None };
    match talk.talk(&mut line).await {
        Ok(()) => line.close().await,
        Err(error) => log::debug!("host {}: its line for the network ended: {error}", cell.id),
    }
}

/// What a line waits for.
enum Next {
    /// The first byte of a frame; `None`: its end.
    Byte(Option<u8>),
    /// The network is another one.
    Changed,
    /// The host is to be asked something.
    Probe(NetworkProbe),
    /// The host has told of all of its containers.
    Listed,
    /// Another line has taken its place.
    Replaced,
}

struct Talk<'a> {
    fleet: &'a Fleet,
    cell: &'a HostCell,
    /// What the agent was told last; `None` before its hello.
    told: Option<Outline>,
    /// And when.
    told_at: Option<Instant>,
    /// The containers that it has told of since its last hello, and until when it may.
    listing: Option<(BTreeSet<EngineId>, Instant)>,
}

impl Talk<'_> {
    fn network(&self) -> &Network {
        self.fleet.network()
    }

    async fn talk(&mut self, line: &mut Line) -> io::Result<()> {
        let network = self.fleet.network();
        let attached = network.attach(self.cell.id);
        let mut is_due = false;
        loop {
            line.keep_idle(idle_of(self.cell));
            let pause = is_due.then(|| self.pause());
            let changed = async {
                match pause {
                    // What is due is told with what comes meanwhile.
                    Some(pause) => drop(Timer::after(pause).await),
                    None => {
                        if attached.changed.recv().await.is_err() {
                            return Ok(Next::Replaced);
                        }
                    }
                }
                Ok(Next::Changed)
            };
            let probe = async {
                match attached.probes.recv().await {
                    Ok(probe) => Ok(Next::Probe(probe)),
                    // The other one says so.
                    Err(_) => future::pending().await,
                }
            };
            let until = self.listing.as_ref().map(|(_, until)| *until);
            let listed = async {
                match until {
                    Some(until) => drop(Timer::at(until).await),
                    None => future::pending().await,
                }
                Ok(Next::Listed)
            };
            // Only the wait for a frame's first byte is ever given up, and that takes none.
            let byte = async { line.next().await.map(Next::Byte) };
            match future::or(byte, future::or(listed, future::or(probe, changed))).await? {
                Next::Byte(None) | Next::Replaced => return Ok(()),
                Next::Byte(Some(first)) => {
                    // In a box: between messages, which is nearly always, the line takes no room for it.
                    Box::pin(self.message(line, first)).await?;
                    line.waits();
                }
                Next::Probe(probe) => send(line, false, &message_of(Kind::NetworkProbe, &probe)?).await?,
                Next::Listed => {
                    if let Some((containers, _)) = self.listing.take() {
                        network.keep(self.cell.id, &containers).await.map_err(io::Error::other)?;
                    }
                }
                Next::Changed if !is_due && !self.pause().is_zero() => is_due = true,
                Next::Changed => {
                    is_due = false;
                    // Rung meanwhile for what is told now.
                    let _ = attached.changed.try_recv();
                    Box::pin(self.tell_changes(line)).await?;
                }
            }
        }
    }

    /// How long the next change waits for others.
    fn pause(&self) -> Duration {
        let Some(told_at) = self.told_at else { return Duration::ZERO };
        let hosts = u32::try_from(self.network().basis().members().count()).unwrap_or(u32::MAX);
        PAUSE.saturating_add(PAUSE_EACH.saturating_mul(hosts)).saturating_sub(told_at.elapsed())
    }

    /// One message, which has begun.
    async fn message(&mut self, line: &mut Line, first: u8) -> io::Result<()> {
        let head = head(line, first).await?;
        let body = line.take(head.length).await?;
        line.works();
        match self.cell.network_pace.take(self.fleet.now().monotonic_ms, body.len()) {
            Some(wait) if wait.is_zero() => {}
            Some(wait) => drop(Timer::after(wait).await),
            None => return Err(io::Error::other("the host says too much")),
        }
        let said = Said::read(&body).map_err(|malformed| io::Error::new(io::ErrorKind::InvalidData, malformed))?;
        drop(body);
        if self.told.is_none() && said.hello.is_none() && said != Said::default() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "a hello comes first"));
        }
        let name = || {
            let live = self.cell.live();
            turned_away(&live).is_none().then(|| live.row.name.clone())
        };
        self.network().hear(self.cell.id, name, &said).await.map_err(io::Error::other)?;
        self.note_containers(&said);
        if let Some(hello) = &said.hello {
            self.tell_all(line, hello.sum).await?;
        }
        if head.flag {
            send(line, true, &[VERSION]).await?;
        }
        Ok(())
    }

    fn note_containers(&mut self, said: &Said) {
        if said.hello.is_some() {
            self.listing = Some((BTreeSet::new(), Instant::now() + AGAIN));
        }
        let Some((containers, _)) = &mut self.listing else { return };
        for told in &said.told {
            match told {
                // More than are kept need not be remembered.
                Told::Is(container) if containers.len() < limits::CONTAINERS => drop(containers.insert(container.id)),
                Told::Is(_) => {}
                Told::Gone(id) => drop(containers.remove(id)),
            }
        }
    }

    /// Tells the plan to an agent that holds one with this sum.
    async fn tell_all(&mut self, line: &mut Line, sum: u64) -> io::Result<()> {
        let plan = plan(&self.network().basis(), self.cell.id);
        let known = self.told.as_ref().filter(|told| told.sum() == sum);
        let messages = match known {
            _ if plan.sum() == sum => plan.confirmation(),
            Some(told) => plan.changes(told),
            None => plan.whole(),
        };
        self.tell(line, &plan, messages).await
    }

    async fn tell_changes(&mut self, line: &mut Line) -> io::Result<()> {
        let Some(told) = &self.told else { return Ok(()) };
        let plan = plan(&self.network().basis(), self.cell.id);
        let messages = plan.changes(told);
        if messages.is_empty() { Ok(()) } else { self.tell(line, &plan, messages).await }
    }

    async fn tell(&mut self, line: &mut Line, plan: &Plan, messages: Vec<Vec<u8>>) -> io::Result<()> {
        for message in messages {
            send(line, false, &message).await?;
        }
        self.told = Some(plan.outline());
        self.told_at = Some(Instant::now());
        Ok(())
    }
}

/// The beginning of a frame, whose first byte is this.
async fn head(line: &mut Line, first: u8) -> io::Result<Head> {
    let mut reader = HeadReader::default();
    let mut byte = first;
    loop {
        if let Some(head) = reader.push(byte).map_err(|_| io::ErrorKind::InvalidData)? {
            return Ok(head);
        }
        byte = line.next().await?.ok_or(io::ErrorKind::UnexpectedEof)?;
    }
}

fn message_of(kind: Kind, record: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut buffer = [0; limits::NETWORK_MESSAGE];
    let written = Writer::message(&mut buffer).and_then(|mut writer| {
        writer.record(kind, record)?;
        Ok(writer.as_bytes().to_vec())
    });
    written.map_err(|_| io::Error::other("a record is too long"))
}

async fn send(line: &mut Line, is_answer: bool, message: &[u8]) -> io::Result<()> {
    let head = Head { length: message.len(), flag: is_answer };
    let (bytes, used) = head.encode().ok_or(io::ErrorKind::InvalidData)?;
    line.send(&[&bytes[..used], message].concat()).await
}
