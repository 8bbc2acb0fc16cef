//! `muster-agent run`: the tasks, tied together.

use crate::census::{census, look_after};
use crate::command::exit::{Exit, Trouble};
use crate::docker::address::EngineAddress;
use crate::docker::engine::Engine;
use crate::hub::Hub;
use crate::join::facts;
use crate::join::identity::{self, Identity};
use crate::join::{self, Again, Applicant, NotJoined, Registration};
use crate::spool::{self, Keeper};
use crate::uplink::backoff::Backoff;
use crate::uplink::sender::Sender;
use crate::uplink::way::Wanted;
use crate::uplink::{CLONE, Ended, Uplink};
use crate::watch::watch;
use async_io::Timer;
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use log::{info, warn};
use muster_dial::JoinString;
use muster_protocol::id::Fingerprint;
use muster_protocol::reporter::{Reporter, Room};
use smol::lock::Mutex;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// What waits for the server lies here, in pages that the system provides as they are needed.
static ROOM: std::sync::Mutex<Room> = std::sync::Mutex::new(Room::new());

/// A host whose join was refused asks again this often: an operator may have mended it.
const REFUSED: Duration = Duration::from_secs(600);

/// What `run` needs to know.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// Identity and epoch are kept here.
    pub state_dir: PathBuf,
    /// Where the engine listens. It need not be there.
    pub docker_socket: EngineAddress,
    /// Between reports.
    pub interval: Duration,
    /// Between looks at how the host and its containers do; `None` for never, whatever the server says.
    pub vitals_interval: Option<Duration>,
    /// How messages travel.
    pub uplink: Wanted,
    /// For a host that has not joined yet.
    pub join: Option<JoinString>,
    /// What the host calls itself when it joins; its hostname if not given.
    pub name: Option<String>,
    /// Of the board.
    pub fingerprint: Fingerprint,
    /// Bytes that events may take on disk while the server is away; 0 for none.
    pub spool: usize,
}

/// Reports until it is told to end.
pub fn run(settings: RunSettings) -> ExitCode {
    match live(&settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => trouble.complain(),
    }
}

fn live(settings: &RunSettings) -> Result<(), Trouble> {
    // As a container's first process the agent would not even notice a signal that it does not wait for.
    let mut signals = Signals::new([Signal::Term, Signal::Int]).map_err(|error| cannot(&error))?;
    let Some(mut identity) = identity_of(settings, &mut signals)? else { return Ok(()) };
    // Taken once, for good; one run after the other has it.
    let mut room: &'static mut Room = &mut *Box::leak(Box::new(ROOM.lock().map_err(|error| cannot(&error))?));
    let mut failed = false;
    loop {
        let ended;
        (ended, room) = report(settings, identity.clone(), room, &mut signals)?;
        match ended {
            None => return Ok(()),
            Some(Ended::Clone) => {
                // At first the server is told at once that it was in vain, so that operators see it.
                if failed && pause(&mut signals, CLONE).is_none() {
                    return Ok(());
                }
                let Some(left) = leave(settings, &identity, &mut signals) else { return Ok(()) };
                failed = left.is_none();
                // What could not be done here may have been mended by hand.
                identity = match left {
                    Some(own) => own,
                    None => Identity::load(&settings.state_dir)?.unwrap_or(identity),
                };
            }
        }
    }
}

fn cannot(why: &dyn std::fmt::Display) -> Trouble {
    Trouble::new(Exit::Failed, "cannot start", why, "see whether the host is out of memory or processes")
}

/// Reports, until a signal comes (`None`) or the server wants no more of this identity. Gives the memory back.
fn report(
    settings: &RunSettings,
    identity: Identity,
    room: &'static mut Room,
    signals: &mut Signals,
) -> Result<(Option<Ended>, &'static mut Room), Trouble> {
    let mut run = [0; 16];
    getrandom::fill(&mut run).map_err(|error| cannot(&error))?;
    let highest = identity::load_epoch(&settings.state_dir);
    let engine = Engine::new(settings.docker_socket.clone());
    let hub = Hub::new(engine, Reporter::new_in(room, run, highest), settings.interval);
    let hub = hub.with_vitals(settings.vitals_interval);
    let host = identity.host.unwrap_or_default();
    let spool = Keeper::open(&settings.state_dir, host, settings.spool, &mut hub.reporter.borrow_mut());
    let spool = spool.map(Mutex::new);
    info!("reporting as {} every {:?}", identity.name, settings.interval);
    let facts = facts::gather(Path::new("/"));
    let way = settings.uplink;
    let dial = Box::new(move |identity| Sender::start(identity, way));
    let uplink = Uplink::new(dial, identity, facts, settings.fingerprint, &settings.state_dir);
    let mut uplink = uplink.map_err(|error| cannot(&error))?;
    let executor = smol::LocalExecutor::new();
    executor.spawn(watch(&hub)).detach();
    executor.spawn(census(&hub)).detach();
    executor.spawn(look_after(&hub)).detach();
    let talk = executor.spawn(uplink.run(&hub));
    if let Some(keeper) = &spool {
        executor.spawn(spool::keep(&hub, keeper)).detach();
    }
    let told = async {
        signals.next().await;
        None
    };
    let ended = smol::block_on(executor.run(future::or(told, async { Some(talk.await) })));
    if let Some(keeper) = spool.as_ref().filter(|_| ended.is_none()) {
        // With the board the engine may end, too.
        smol::block_on(executor.run(async { keeper.lock().await.keep(&hub).await }));
    }
    if ended.is_none() {
        info!("ending: events that the server does not have yet are still with the engine");
    }
    drop(executor);
    let room = hub.reporter.into_inner().into_room();
    Ok((ended, room.unwrap_or_else(|| Box::leak(Box::default()))))
}

/// Does what blocks, in a thread of its own; `None` if the agent is told to end meanwhile.
fn unless_told<T: Send + 'static>(signals: &mut Signals, work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let told = async {
        signals.next().await;
        None
    };
    smol::block_on(future::or(told, async { Some(smol::unblock(work).await) }))
}

/// Waits; `None` if the agent is told to end meanwhile.
fn pause(signals: &mut Signals, time: Duration) -> Option<()> {
    let told = async {
        signals.next().await;
        None
    };
    smol::block_on(future::or(told, async {
        Timer::after(time).await;
        Some(())
    }))
}

/// Joins with these settings; `None` if the agent is told to end meanwhile.
fn join_by(
    settings: &RunSettings,
    string: &JoinString,
    signals: &mut Signals,
    how: fn(&Applicant<'_>, &JoinString) -> Result<Registration, NotJoined>,
) -> Option<Result<Registration, NotJoined>> {
    let (settings, string) = (settings.clone(), string.clone());
    unless_told(signals, move || {
        let hostname = facts::hostname(Path::new("/"));
        let applicant = Applicant {
            state_dir: &settings.state_dir,
            name: settings.name.as_deref().unwrap_or(&hostname),
            fingerprint: settings.fingerprint,
        };
        how(&applicant, &string)
    })
}

/// This board is a clone: it becomes a host of its own if its join string still allows that. Else (`Some(None)`) it stays
/// what it was, and asks again after a while: the other board may be gone by then. `None` if the agent is told to end.
fn leave(settings: &RunSettings, identity: &Identity, signals: &mut Signals) -> Option<Option<Identity>> {
    warn!("another board reports as {}: this card is a copy, and has to join as a host of its own", identity.name);
    let trouble = match settings.join.clone().map_or_else(|| join::string_in(&settings.state_dir), |it| Ok(Some(it))) {
        Ok(Some(string)) => match join_by(settings, &string, signals, join::join_anew)? {
            Ok(registration) => {
                info!("joined as {} at {}", registration.identity.name, registration.server);
                return Some(Some(registration.identity));
            }
            Err(not_joined) => not_joined.trouble,
        },
        Ok(None) => join::no_string(&settings.state_dir),
        Err(trouble) => trouble,
    };
    warn!("{trouble}; asking again in {} minutes", CLONE.as_secs() / 60);
    Some(None)
}

/// The host's identity. Without one it joins, and keeps trying for as long as that can help; `None` if it is told to end
/// before it has.
fn identity_of(settings: &RunSettings, signals: &mut Signals) -> Result<Option<Identity>, Trouble> {
    if let Some(identity) = Identity::load(&settings.state_dir)?.filter(|identity| identity.host.is_some()) {
        return Ok(Some(identity));
    }
    let Some(string) = &settings.join else { return Err(join::not_joined(&settings.state_dir)) };
    let mut backoff = Backoff::default();
    let mut told = String::new();
    loop {
        let NotJoined { trouble, again, .. } = match join_by(settings, string, signals, join::join) {
            None => return Ok(None),
            Some(Ok(registration)) => return Ok(Some(registration.identity)),
            Some(Err(not_joined)) => not_joined,
        };
        let mut random = [0; 8];
        let random = getrandom::fill(&mut random).map_or(u64::MAX, |()| u64::from_le_bytes(random));
        let (wait, when) = match again {
            Again::Never => return Err(trouble),
            Again::Soon => (backoff.fail(random), "trying again".to_string()),
            Again::Seldom => (REFUSED, format!("trying again in {} minutes", REFUSED.as_secs() / 60)),
        };
        let line = format!("{trouble}; {when}");
        if line != told {
            warn!("{line}");
            told = line;
        }
        if pause(signals, wait).is_none() {
            return Ok(None);
        }
    }
}
