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
use std::time::Duration;

/// Others hold what is remembered for a moment.
const PATIENCE: Duration = Duration::from_secs(5);

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

/// Forgets what a peer was first seen with. The running process notices by itself.
fn accept(settings: &UpSettings, host: Option<HostId>) -> Result<ExitCode, Trouble> {
    let store = Store::new(&settings.state_dir);
    let name = host.map_or_else(|| "all peers".to_owned(), |host| host.to_string());
    let trouble = |exit, why: &dyn std::fmt::Display, advice| {
        Trouble::new(exit, format!("cannot accept what {name} comes with"), why, advice)
    };
    if !store.exists() {
        return Err(trouble(Exit::NotFound, &"no peer was ever seen here", "name the agent's --state-dir"));
    }
    match store.accept(host, PATIENCE) {
        Ok(true) => {
            Ok(say(&format!("accepted: what comes next of {name} will be remembered: key, addresses and names\n")))
        }
        Ok(false) => {
            Err(trouble(Exit::NotFound, &"it was never seen", "`muster-agent network status` shows the peers"))
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(trouble(Exit::Failed, &"another process changes what is remembered", "repeat the command"))
        }
        Err(error) => Err(trouble(Exit::Failed, &error, "run this as root")),
    }
}

/// Prints. That nobody reads it any more is no error.
fn say(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    ExitCode::SUCCESS
}
