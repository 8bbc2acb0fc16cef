//! `muster-agent`: flags in, exit code out.

mod one_heap;

use muster_agent::command::exit::Trouble;
use muster_agent::command::options::{Command, HELP, JoinSource, Options};
use muster_agent::command::{doctor, logging, network, status};
use muster_agent::join::identity::Identity;
use muster_agent::join::{self, Applicant};
use muster_agent::run;
use muster_agent::upgrade::{self, Upgrade};
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Where the facts about this host are.
const ROOT: &str = "/";

fn main() -> ExitCode {
    one_heap::ask_for_it();
    if let Some(arguments) = network::asked_for(std::env::args_os().skip(1)) {
        return network::hand_over(arguments).complain();
    }
    let options = match Options::read(std::env::args_os().skip(1), |name| std::env::var_os(name)) {
        Ok(options) => options,
        Err(trouble) => return trouble.complain(),
    };
    logging::install(options.log);
    obey(options).unwrap_or_else(|trouble| trouble.complain())
}

fn obey(options: Options) -> Result<ExitCode, Trouble> {
    match &options.command {
        Command::Help => Ok(say(HELP)),
        Command::Version => Ok(say(&format!("muster-agent {}\n", env!("CARGO_PKG_VERSION")))),
        Command::Join { string, run } => join(&options, string, *run),
        Command::Run => Ok(run::run(options.run_settings()?)),
        Command::Status { json } => show_status(&options, *json),
        Command::Doctor { json } => Ok(examine(&options, *json)),
        Command::Upgrade { from, within } => {
            let (state_dir, root) = (&options.state_dir, Path::new(ROOT));
            let wanted = Upgrade { from: from.as_deref(), within: *within, state_dir, root };
            upgrade::upgrade(&wanted).map(|said| say(&said))
        }
    }
}

fn join(options: &Options, string: &JoinSource, then_run: bool) -> Result<ExitCode, Trouble> {
    if then_run {
        // Before anything is done that would have to be done again.
        options.docker_socket(Path::new(ROOT))?;
    }
    let string = match string {
        JoinSource::Given(string) => string.clone(),
        JoinSource::Stdin => join::read_string(io::stdin().lock())?,
    };
    let root = Path::new(ROOT);
    let name = options.host_name(root);
    let applicant = Applicant { state_dir: &options.state_dir, name: &name, fingerprint: options.fingerprint(root) };
    let joined = match join::join(&applicant, &string) {
        // Whoever gives this command wants the host in the fleet, and the server does not want its credential.
        Err(not_joined) if not_joined.is_revoked => join::join_anew(&applicant, &string),
        joined => joined,
    };
    let joined = joined.map_err(|not_joined| not_joined.trouble)?;
    join::keep_string(&options.state_dir, &string);
    let host = joined.identity.host.unwrap_or_default();
    let said = say(&format!("joined as {} ({host}) at {}\n", joined.identity.name, joined.server));
    if then_run { Ok(run::run(options.run_settings()?)) } else { Ok(said) }
}

fn show_status(options: &Options, json: bool) -> Result<ExitCode, Trouble> {
    let docker_socket = options.docker_socket(Path::new(ROOT))?;
    let identity = Identity::load(&options.state_dir)?;
    let status = status::look(identity, options.state_dir.clone(), docker_socket, options.interval);
    say(&if json { format!("{}\n", status.to_json()) } else { status.to_string() });
    Ok(match status::how_to_join(&status) {
        Some(trouble) => trouble.complain(),
        None => status.exit().into(),
    })
}

fn examine(options: &Options, json: bool) -> ExitCode {
    let subject = doctor::Subject { options: options.clone(), root: ROOT.into(), clock: doctor::system_clock };
    let report = doctor::examine(&subject);
    say(&if json { format!("{}\n", report.to_json()) } else { report.to_string() });
    report.exit().into()
}

/// Prints. That nobody reads it any more is no error.
fn say(text: &str) -> ExitCode {
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    ExitCode::SUCCESS
}
