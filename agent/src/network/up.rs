//! `network up`: the tasks, tied together.

use super::control;
use super::hub::Hub;
use super::options::UpSettings;
use super::session::Session;
use super::store::Store;
use super::{joining, talk, upkeep, watch};
use crate::command::exit::{Exit, Trouble};
use async_signal::{Signal, Signals};
use futures_lite::{StreamExt, future};
use log::info;
use std::fmt;
use std::process::ExitCode;

/// Takes part until it is told to end. What was made stays: a restart finds it, and packets go on meanwhile as far as the
/// kernel carries them.
pub fn up(settings: UpSettings) -> Result<ExitCode, Trouble> {
    let mut signals = Signals::new([Signal::Term, Signal::Int]).map_err(|error| cannot(&error))?;
    let store = Store::new(&settings.state_dir);
    store.open()?;
    let _lock = hold(&store)?;
    let key = store.key()?;
    let remembered = store.remembered()?;
    let label = settings.label.as_ref().map(|(key, value)| format!("{key}={value}"));
    store.keep_label(label.as_deref()).map_err(|error| cannot(&error))?;
    let listener = control::listen(&settings.runtime_dir)?;
    let session = Session::start(settings.state_dir.clone()).map_err(|error| cannot(&error))?;
    info!("the managed network accepts {} on UDP port {}", settings.accept, settings.port);
    let hub = Hub::new(settings, store, key, remembered, session);
    // From what was saved, before the server is asked.
    hub.plan_changed();
    let executor = smol::LocalExecutor::new();
    executor.spawn(watch::watch(&hub)).detach();
    executor.spawn(joining::keep(&hub)).detach();
    executor.spawn(upkeep::keep(&hub)).detach();
    executor.spawn(talk::talk(&hub)).detach();
    executor.spawn(talk::answer_probes(&hub)).detach();
    let serve = executor.spawn(control::serve(&hub, listener));
    let told = async {
        signals.next().await;
    };
    smol::block_on(executor.run(future::or(told, serve)));
    hub.freed.borrow_mut().end();
    upkeep::save(&hub);
    info!("ending: containers keep their addresses; `muster-agent network down` takes everything away");
    let _ = std::fs::remove_file(hub.settings.runtime_dir.join(control::SOCKET));
    drop(executor);
    Ok(ExitCode::SUCCESS)
}

/// Keeps others from doing the same at the same time.
pub(super) fn hold(store: &Store) -> Result<std::fs::File, Trouble> {
    let held = store.lock().map_err(|error| cannot(&error))?;
    held.ok_or_else(|| {
        let advice = "stop it first: `systemctl stop muster-network`, or by its process";
        Trouble::new(Exit::Failed, "cannot start", "the network process runs already", advice)
    })
}

fn cannot(why: &dyn fmt::Display) -> Trouble {
    Trouble::new(Exit::Failed, "cannot start", why, "see whether the host is out of memory or processes")
}
