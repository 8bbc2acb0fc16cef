//! `muster-agent run`: the tasks, tied together.

use crate::census::{census, look_after};
use crate::command::exit::{Exit, Trouble};
use crate::docker::engine::Engine;
use crate::hub::Hub;
use crate::join::facts;
use crate::join::identity::{self, Identity};
use crate::join::{self, Again, Applicant, NotJoined};
use crate::spool::{self, Keeper};
use crate::uplink::Uplink;
use crate::uplink::backoff::Backoff;
use crate::uplink::sender::Sender;
use crate::uplink::way::Wanted;
use crate::watch::watch;
use async_signal::{Signal, Signals};
use futures_lite::StreamExt;
use log::{info, warn};
use muster_dial::JoinString;
use muster_protocol::id::Fingerprint;
use smol::lock::Mutex;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// A host whose join was refused asks again this often: an operator may have mended it.
const REFUSED: Duration = Duration::from_secs(600);

/// What `run` needs to know.
#[derive(Debug, Clone)]
pub struct RunSettings {
    /// Identity and epoch are kept here.
    pub state_dir: PathBuf,
    /// The engine's socket. It need not be there.
    pub docker_socket: PathBuf,
    /// Between reports.
    pub interval: Duration,
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
    let identity = match identity_of(&settings) {
        Ok(identity) => identity,
        Err(trouble) => return trouble.complain(),
    };
    match report(&settings, identity) {
        Ok(()) => ExitCode::SUCCESS,
        Err(trouble) => trouble.complain(),
    }
}

fn report(settings: &RunSettings, identity: Identity) -> Result<(), Trouble> {
    let cannot = |why: &dyn std::fmt::Display| {
        Trouble::new(Exit::Failed, "cannot start", why, "see whether the host is out of memory or processes")
    };
    let mut run = [0; 16];
    getrandom::fill(&mut run).map_err(|error| cannot(&error))?;
    let highest = identity::load_epoch(&settings.state_dir);
    let engine = Engine::new(&settings.docker_socket);
    let hub = Hub::new(engine, run, highest, settings.interval);
    let host = identity.host.unwrap_or_default();
    let spool = Keeper::open(&settings.state_dir, host, settings.spool, &mut hub.reporter.borrow_mut());
    let spool = spool.map(Mutex::new);
    info!("reporting as {} every {:?}", identity.name, settings.interval);
    let sender = Sender::start(identity.clone(), settings.uplink).map_err(|error| cannot(&error))?;
    let facts = facts::gather(Path::new("/"));
    let mut uplink = Uplink::new(sender, identity, facts, settings.fingerprint, &settings.state_dir);
    // As a container's first process the agent would not even notice a signal that it does not wait for.
    let mut signals = Signals::new([Signal::Term, Signal::Int]).map_err(|error| cannot(&error))?;
    let executor = smol::LocalExecutor::new();
    executor.spawn(watch(&hub)).detach();
    executor.spawn(census(&hub)).detach();
    executor.spawn(look_after(&hub)).detach();
    executor.spawn(uplink.run(&hub)).detach();
    if let Some(keeper) = &spool {
        executor.spawn(spool::keep(&hub, keeper)).detach();
    }
    smol::block_on(executor.run(signals.next()));
    if let Some(keeper) = &spool {
        // With the board the engine may end, too.
        smol::block_on(executor.run(async { keeper.lock().await.keep(&hub).await }));
    }
    info!("ending: events that the server does not have yet are still with the engine");
    Ok(())
}

/// The host's identity. Without one it joins, and keeps trying for as long as that can help.
fn identity_of(settings: &RunSettings) -> Result<Identity, Trouble> {
    if let Some(identity) = Identity::load(&settings.state_dir)?.filter(|identity| identity.host.is_some()) {
        return Ok(identity);
    }
    let Some(string) = &settings.join else { return Err(join::not_joined(&settings.state_dir)) };
    let hostname = facts::hostname(Path::new("/"));
    let applicant = Applicant {
        state_dir: &settings.state_dir,
        name: settings.name.as_deref().unwrap_or(&hostname),
        fingerprint: settings.fingerprint,
    };
    let mut backoff = Backoff::default();
    let mut told = String::new();
    loop {
        let NotJoined { trouble, again } = match join::join(&applicant, string) {
            Ok(registration) => return Ok(registration.identity),
            Err(not_joined) => not_joined,
        };
        let line = trouble.to_string();
        if line != told {
            warn!("{line}; trying again");
            told = line;
        }
        let mut random = [0; 8];
        let random = getrandom::fill(&mut random).map_or(u64::MAX, |()| u64::from_le_bytes(random));
        match again {
            Again::Never => return Err(trouble),
            Again::Soon => std::thread::sleep(backoff.fail(random)),
            Again::Seldom => std::thread::sleep(REFUSED),
        }
    }
}
