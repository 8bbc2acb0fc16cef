//! `muster-agent upgrade`: another agent takes this one's place, if its maker has signed it, and gives it back if it cannot
//! report.
//!
//! The server only passes on what was signed elsewhere (`manifest.rs`). What is in the way of a bad agent: the signature;
//! name, target and version; the hash; that it runs at all; and that it reports (`trial.rs`) once it has taken over. Until
//! then the one from before lies beside it (`beside.rs`).

mod beside;
mod manifest;
mod network;
mod service;
mod source;
mod trial;
pub mod version;

use crate::command::exit::{Exit, Trouble};
use crate::join::identity::{self, Identity};
use beside::Beside;
use manifest::{Manifest, NAME, ReleaseKey};
use ring::digest::{Context, SHA256};
use service::Manager;
use source::Source;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;
use trial::Verdict;
use version::Version;

/// The largest agent: a static one has 1.5 MB, one that was built for debugging some dozens.
const LARGEST: u64 = 128 * 1024 * 1024;
/// Bytes that are read and written at a time.
const PIECE: usize = 16 * 1024;

/// What to upgrade.
#[derive(Debug, Clone)]
pub struct Upgrade<'a> {
    /// A file with the new agent, its signature beside it; else the server is asked.
    pub from: Option<&'a Path>,
    /// What the new agent has to report within.
    pub within: Duration,
    /// Of the agent that runs here.
    pub state_dir: &'a Path,
    /// Where the system is: `/`.
    pub root: &'a Path,
}

/// What this agent is built for, as releases call it: those are static.
fn target() -> String {
    env!("MUSTER_TARGET").replacen("-gnu", "-musl", 1)
}

/// What this build takes as signed.
fn release_keys() -> Result<Vec<ReleaseKey>, Trouble> {
    // Tests bring a key of their own. What boards get is built without debug assertions, and has no such door.
    #[cfg(debug_assertions)]
    let given = std::env::var("MUSTER_RELEASE_KEY").ok().or(option_env!("MUSTER_RELEASE_KEY").map(String::from));
    #[cfg(not(debug_assertions))]
    let given = option_env!("MUSTER_RELEASE_KEY").map(String::from);
    let advice = "install an agent that ./dist.sh built, by the line that `muster join-command --install` prints";
    let given = given.filter(|given| !given.is_empty());
    let given = given.ok_or_else(|| Trouble::new(Exit::Failed, CANNOT, "this build has no release key", advice))?;
    let malformed = || Trouble::new(Exit::Failed, CANNOT, "this build's release key is malformed", advice);
    ReleaseKey::list(&given).ok_or_else(malformed)
}

const CANNOT: &str = "cannot upgrade";

fn cannot(why: impl std::fmt::Display, advice: impl std::fmt::Display) -> Trouble {
    Trouble::new(Exit::Failed, CANNOT, why, advice)
}

/// Upgrades; what to say about it. Blocks for minutes at most, but for what a bad link takes for the new agent.
pub fn upgrade(upgrade: &Upgrade<'_>) -> Result<String, Trouble> {
    let keys = release_keys()?;
    let beside = Beside::of(own_program()?, service::boot_id(upgrade.root), upgrade.root);
    let identity = Identity::load(upgrade.state_dir)?.filter(|identity| identity.host.is_some());
    let mut source = match (upgrade.from, &identity) {
        (Some(file), _) => Source::file(file),
        (None, Some(identity)) => Source::server(identity),
        (None, None) => return Err(crate::join::not_joined(upgrade.state_dir)),
    };
    let be_root = |error: io::Error| {
        let advice = "run this as root, with room on the disk";
        cannot(format!("{}: {error}", beside.program().display()), advice)
    };
    let lock = beside.lock().map_err(be_root)?;
    let _lock = lock.ok_or_else(|| cannot("another upgrade is under way", "wait for its end"))?;
    if beside.on_trial() {
        let advice = "restart the service muster-agent, which puts the agent from before back, and repeat the command";
        return Err(cannot("an upgrade was cut off before", advice));
    }
    let said = upgrade_agent(upgrade, &keys, &beside, &mut source, identity.is_some())?;
    match network::follow(beside.program(), upgrade, &keys, &mut source) {
        Ok(network) => Ok(said + &network.unwrap_or_default()),
        Err(trouble) => {
            // What the agent has become is true all the same.
            eprint!("{said}");
            Err(trouble)
        }
    }
}

/// The agent itself.
fn upgrade_agent(
    upgrade: &Upgrade<'_>,
    keys: &[ReleaseKey],
    beside: &Beside,
    source: &mut Source,
    has_joined: bool,
) -> Result<String, Trouble> {
    let manifest = manifest_of(source, keys, NAME)?;
    let own: Version = env!("CARGO_PKG_VERSION").parse().map_err(|why| cannot(why, "build the agent again"))?;
    if !is_newer(&manifest, source, NAME, &own, upgrade.from.is_some())? {
        return Ok(format!("{NAME} {own} is the newest that the server has\n"));
    }
    let fetched = fetch(beside, source, &manifest, NAME);
    let swapped = fetched.and_then(|()| {
        let manager = Manager::find(upgrade.root);
        take_over(beside, &manifest, upgrade, manager, has_joined)
    });
    beside.drop_new();
    swapped
}

/// What is said of the program with this name, if it is signed.
fn manifest_of(source: &mut Source, keys: &[ReleaseKey], name: &'static str) -> Result<Manifest, Trouble> {
    let signature = source.signature(name, &target())?;
    Manifest::verified(&signature, keys, name)
        .map_err(|why| cannot(format!("{}: {why}", source.name()), "nothing was changed"))
}

/// The file of this program, which is to be replaced.
fn own_program() -> Result<PathBuf, Trouble> {
    let advice = "name the agent's file as it is started: /usr/local/bin/muster-agent upgrade";
    let program = std::env::current_exe().map_err(|error| cannot(error, advice))?;
    if !program.is_file() {
        return Err(cannot(format!("{} is not there any more", program.display()), advice));
    }
    if program.starts_with("/usr/bin") {
        let advice = "upgrade that, as with `apt-get install muster-agent`";
        return Err(cannot(format!("{} came with a package or an image", program.display()), advice));
    }
    Ok(program)
}

/// Whether it is for this board and newer than what there is, `own`. What is given by hand has to be.
fn is_newer(manifest: &Manifest, source: &Source, name: &str, own: &Version, was_given: bool) -> Result<bool, Trouble> {
    let refuse = |why: String| Err(cannot(format!("{}: {why}", source.name()), "nothing was changed"));
    let spoken = if name == NAME { "this agent" } else { name };
    if manifest.target != target() {
        return refuse(format!("it is for {}, and {spoken} for {}", manifest.target, target()));
    }
    let offered = &manifest.version;
    match offered.cmp(own) {
        std::cmp::Ordering::Greater => Ok(true),
        std::cmp::Ordering::Equal if !was_given => Ok(false),
        _ => refuse(format!("it is {offered}, no newer than {spoken}, which is {own}")),
    }
}

/// Writes the new program beside the one that there is, and sees that it is the one that was signed.
fn fetch(beside: &Beside, source: &mut Source, manifest: &Manifest, name: &str) -> Result<(), Trouble> {
    let write = |error: io::Error| {
        let advice = "run this as root, with room on the disk";
        cannot(format!("{}: {error}", beside.path("new").display()), advice)
    };
    let mut file = beside.make_new().map_err(write)?;
    let mut content = source.content(name, &target())?;
    let mut context = Context::new(&SHA256);
    let (mut piece, mut all) = ([0; PIECE], 0);
    loop {
        let length = content.read(&mut piece).map_err(|error| source.broken(&error))?;
        all += length as u64;
        match length {
            0 => break,
            _ if all > LARGEST => {
                return Err(cannot(format!("{}: it is too large", source.name()), "nothing was changed"));
            }
            length => {
                context.update(&piece[..length]);
                file.write_all(&piece[..length]).map_err(write)?;
            }
        }
    }
    if context.finish().as_ref() != manifest.sha256 {
        let why = format!("{}: its content is not what was signed", source.name());
        return Err(cannot(why, "nothing was changed; if it was being replaced right now, repeat the command"));
    }
    file.sync_all().map_err(write)?;
    drop(file);
    let said = service::version_of(&beside.path("new"));
    let expected = format!("{name} {}", manifest.version);
    let spoken = if name == NAME { "agent" } else { name };
    match said {
        Ok(said) if said == expected => Ok(()),
        Ok(_) => Err(cannot(format!("the new {spoken} does not call itself {expected}"), "nothing was changed")),
        Err(error) => Err(cannot(format!("the new {spoken} does not run here: {error}"), "nothing was changed")),
    }
}

/// Puts the new agent in place, starts it, and goes back if it does not report.
fn take_over(
    beside: &Beside,
    manifest: &Manifest,
    upgrade: &Upgrade<'_>,
    manager: Option<Manager>,
    has_joined: bool,
) -> Result<String, Trouble> {
    let (new, old) = (&manifest.version, env!("CARGO_PKG_VERSION"));
    let previous = beside.path("previous");
    let swap = |error: io::Error| cannot(format!("{}: {error}", beside.program().display()), "run this as root");
    let Some(manager) = manager else {
        beside.swap(false).map_err(swap)?;
        return Ok(format!(
            "{NAME} {new} is in place; restart the agent, and if it does not report, put {} back\n",
            previous.display()
        ));
    };
    if !has_joined {
        beside.swap(false).map_err(swap)?;
        manager.restart().map_err(|error| cannot(error, "restart the service muster-agent"))?;
        return Ok(format!("{NAME} {new} is started; whether it reports is not known, for this host has not joined\n"));
    }
    let before = Before {
        epoch: identity::load_epoch(upgrade.state_dir),
        status: service::status_of(beside.program(), upgrade.state_dir).ok().flatten(),
    };
    beside.swap(true).map_err(swap)?;
    match before.try_out(beside, upgrade, manager) {
        Ok(()) => {
            let kept = |error: io::Error| cannot(format!("{}: {error}", beside.path("trial").display()), "remove it");
            beside.keep().map_err(kept)?;
            Ok(format!("{NAME} {new} reports; {old} is kept as {}\n", previous.display()))
        }
        Err(why) => {
            let back = beside.go_back().and_then(|()| manager.restart());
            back.map_err(|error| {
                let advice = format!("move {} back to {}, and restart the service", previous.display(), NAME);
                cannot(format!("{new} {why}, and {old} cannot be put back ({error})"), advice)
            })?;
            Err(cannot(format!("{new} {why}"), format!("{old} is back in its place")))
        }
    }
}

/// How things were before the new agent was started.
struct Before {
    epoch: u64,
    status: Option<i32>,
}

impl Before {
    /// Starts the new agent and waits for it to report; why it is not good, if so.
    fn try_out(&self, beside: &Beside, upgrade: &Upgrade<'_>, manager: Manager) -> Result<(), String> {
        manager.restart().map_err(|error| format!("could not be started ({error})"))?;
        match trial::watch(upgrade.state_dir, self.epoch, upgrade.within) {
            Ok(Verdict::Reports) => {}
            Ok(Verdict::Silent) => return Err("did not report to the server".into()),
            Ok(Verdict::Unsteady) => return Err("did not keep running".into()),
            Ok(Verdict::Ended) => return Err("was given up when this command was told to end".into()),
            Err(error) => return Err(format!("could not be watched ({error})")),
        }
        // What was missing before, such as an engine, is not its fault.
        match service::status_of(beside.program(), upgrade.state_dir) {
            Ok(Some(0)) => Ok(()),
            Ok(code) if code.is_some() && code == self.status => Ok(()),
            Ok(Some(code)) => Err(format!("says by `{NAME} status` that not all is well (exit code {code})")),
            Ok(None) => Err(format!("was killed over `{NAME} status`")),
            Err(error) => Err(format!("could not be asked for its status ({error})")),
        }
    }
}
