//! `muster-network`: flags in, exit code out.

#[path = "../one_heap.rs"]
mod one_heap;

use muster_agent::command::exit::{Exit, Trouble};
use muster_agent::command::logging;
use muster_agent::network::options::{Command, HELP, Options, UpSettings};
use muster_agent::network::store::Store;
use muster_agent::network::{down, status, up};
use muster_protocol::id::HostId;
use std::io::{self, Write};
use std::process::ExitCode;

fn main() -> ExitCode {
    one_heap::ask_for_it();
    let options = match Options::read(std::env::args_os().skip(1), |name| std::env::var_os(name)) {
        Ok(options) => options,
        Err(trouble) => return trouble.complain(),
    };
    logging::install(options.log);
    obey(options).unwrap_or_else(|trouble| trouble.complain())
}

fn obey(options: Options) -> Result<ExitCode, Trouble> {
    match options.command {
        Command::Help => Ok(say(HELP)),
        Command::Version => Ok(say(&format!("muster-network {}\n", env!("CARGO_PKG_VERSION")))),
        Command::Up => up::up(options.settings),
        Command::Down => Ok(say(&down::down(&options.settings)?)),
        Command::Status { json } => {
            let status = status::ask(&options.settings)?;
            say(&if json { format!("{status}\n") } else { status::show(&status) });
            Ok(status::exit_of(&status).into())
        }
        Command::Accept(host) => accept(&options.settings, host),
    }
}

/// Forgets a peer's key. The running process notices by itself.
fn accept(settings: &UpSettings, host: HostId) -> Result<ExitCode, Trouble> {
    let store = Store::new(&settings.state_dir);
    let trouble = |exit, why: &dyn std::fmt::Display, advice| {
        Trouble::new(exit, format!("cannot accept another key of {host}"), why, advice)
    };
    let mut peers = store.peers().map_err(|error| trouble(Exit::Failed, &error, "run this as root"))?;
    if peers.remove(&host).is_none() {
        return Err(trouble(Exit::NotFound, &"it was never seen", "`muster-agent network status` shows the peers"));
    }
    store.keep_peers(&peers).map_err(|error| trouble(Exit::Failed, &error, "run this as root"))?;
    Ok(say(&format!("the key of {host} that is seen next will be remembered\n")))
}

/// Prints. That nobody reads it any more is no error.
fn say(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    ExitCode::SUCCESS
}
