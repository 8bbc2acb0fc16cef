//! `muster-network` follows the agent, where it is installed beside it: by the same key, and with the same care. It is not
//! tried out as the agent is; if it does not start, the one from before is put back.

use super::beside::Beside;
use super::manifest::ReleaseKey;
use super::service::{self, Manager};
use super::source::Source;
use super::version::Version;
use super::{Upgrade, cannot, fetch, is_newer, manifest_of};
use crate::command::exit::{Exit, Trouble};
use std::io;
use std::path::Path;

/// The program, its service, and what it calls itself.
const NAME: &str = "muster-network";

/// Upgrades it if it is there; what to say, if there is anything.
pub(super) fn follow(
    agent: &Path,
    upgrade: &Upgrade<'_>,
    keys: &[ReleaseKey],
    source: &mut Source,
) -> Result<Option<String>, Trouble> {
    let program = agent.with_file_name(NAME);
    let is_given = upgrade.from.is_none_or(|from| from.with_file_name(NAME).is_file());
    if !program.is_file() || !is_given {
        return Ok(None);
    }
    let old = service::version_of(&program).ok().and_then(|said| said.strip_prefix(NAME)?.trim().parse().ok());
    // What does not run can only become better.
    let old: Version = old.unwrap_or_default();
    let manifest = match manifest_of(source, keys, NAME) {
        Ok(manifest) => manifest,
        Err(trouble) if trouble.exit == Exit::NotFound => {
            return Ok(Some(format!("{NAME} stays as it is: {}\n", trouble.why)));
        }
        Err(trouble) => return Err(trouble),
    };
    // By hand, what is given is the agent: this need not be newer.
    if !is_newer(&manifest, source, NAME, &old, false)? {
        return Ok(None);
    }
    let beside = Beside::of(program, service::boot_id(upgrade.root), upgrade.root);
    let done = fetch(&beside, source, &manifest, NAME).and_then(|()| take_over(&beside, upgrade.root));
    beside.drop_new();
    done.map(|()| Some(format!("{NAME} {} is in place; {old} is kept beside it\n", manifest.version)))
}

fn take_over(beside: &Beside, root: &Path) -> Result<(), Trouble> {
    let swap = |error: io::Error| cannot(format!("{}: {error}", beside.program().display()), "run this as root");
    beside.swap(false).map_err(swap)?;
    let Some(manager) = Manager::of_network(root) else { return Ok(()) };
    manager.restart_network().map_err(|error| {
        let back = beside.go_back().and_then(|()| manager.restart_network());
        let then = if back.is_ok() { "the one from before is back in its place" } else { "see its log" };
        cannot(format!("the new {NAME} could not be started ({error})"), then)
    })
}
