//! Where a new agent comes from: the server, or a file. Neither is trusted.

use super::{CANNOT, cannot, manifest};
use crate::command::exit::{Exit, Trouble};
use crate::join::identity::Identity;
use crate::join::{exit_of, reason, state_dir};
use muster_dial::{Client, Failure, Settings};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What an answer that is no agent may have to say.
const ANSWER: usize = 16 * 1024;
/// To connect, at each address.
const CONNECT: Duration = Duration::from_secs(10);
/// Silence that ends the transfer of an agent. It may take its time otherwise.
const SILENCE: Duration = Duration::from_secs(60);
/// What can be done where the server does not answer.
const SEE_STATUS: &str = "see `muster-agent status`, and repeat the command";

/// Where a new agent comes from.
pub(super) enum Source {
    /// A file, with its signature beside it.
    File(PathBuf),
    /// The host's server: the first address of it that answers.
    Server(Box<Server>),
}

/// The host's server.
pub(super) struct Server {
    identity: Identity,
    found: Option<Client>,
}

impl Source {
    pub(super) fn file(path: &Path) -> Source {
        Source::File(path.to_path_buf())
    }

    pub(super) fn server(identity: &Identity) -> Source {
        Source::Server(Box::new(Server { identity: identity.clone(), found: None }))
    }

    /// As an error names it.
    pub(super) fn name(&self) -> String {
        match self {
            Source::File(path) => path.display().to_string(),
            Source::Server(server) => {
                let address = server.found.as_ref().map(|client| client.address().to_string());
                format!("what {} has", address.unwrap_or_else(|| "the server".into()))
            }
        }
    }

    /// What the maker of a program says of it, as it is built for this target: [`manifest::LIMIT`] bytes at most.
    pub(super) fn signature(&mut self, program: &str, target: &str) -> Result<Vec<u8>, Trouble> {
        match self {
            Source::File(path) => {
                let mut beside = of(path, program).into_os_string();
                beside.push(".sig");
                let beside = PathBuf::from(beside);
                let read = state_dir::read_bytes(&beside, manifest::LIMIT);
                let advice = "give an agent as ./dist.sh leaves it, with its .sig file beside it";
                let unread = |why: &dyn std::fmt::Display| cannot(format!("{}: {why}", beside.display()), advice);
                read.map_err(|error| unread(&error))?.ok_or_else(|| unread(&"there is no such file"))
            }
            Source::Server(server) => server.signature(program, target),
        }
    }

    /// Its content.
    pub(super) fn content(&mut self, program: &str, target: &str) -> Result<Box<dyn Read>, Trouble> {
        match self {
            Source::File(path) => {
                let path = of(path, program);
                let opened =
                    File::open(&path).map_err(|error| cannot(format!("{}: {error}", path.display()), "give a file"));
                Ok(Box::new(opened?))
            }
            Source::Server(server) => server.content(program, target),
        }
    }

    /// The content ended with an error.
    pub(super) fn broken(&self, error: &io::Error) -> Trouble {
        let exit = match self {
            Source::File(_) => Exit::Failed,
            Source::Server(_) => Exit::Unreachable,
        };
        Trouble::new(exit, CANNOT, format!("{}: {error}", self.name()), "nothing was changed; repeat the command")
    }
}

impl Server {
    fn signature(&mut self, program: &str, target: &str) -> Result<Vec<u8>, Trouble> {
        let credential = self.identity.credential.hex();
        let path = format!("/install/{target}/{program}.sig");
        let mut failed: Option<Failure> = None;
        for address in self.identity.all_addresses() {
            let settings = self.identity.settings(address.clone());
            let client = Client::new(Settings { connect_timeout: CONNECT, ..settings });
            let mut answer = Vec::new();
            let asked = client.and_then(|client| Ok((client.get(&path, &credential, &mut answer, ANSWER)?, client)));
            match asked {
                Ok((status, client)) if status.is_success() => {
                    answer.truncate(manifest::LIMIT);
                    self.found = Some(client);
                    return Ok(answer);
                }
                Ok((status, _)) => return Err(refused(status.0, &answer)),
                Err(failure) => {
                    log::debug!("{address}: {failure}");
                    failed = failed.or(Some(failure));
                }
            }
        }
        Err(match failed {
            Some(failure) => unreachable(&failure),
            None => cannot("the identity names no address", "join again"),
        })
    }

    fn content(&self, program: &str, target: &str) -> Result<Box<dyn Read>, Trouble> {
        let client = self.found.as_ref().ok_or_else(|| cannot("no server has answered", SEE_STATUS))?;
        let path = format!("/install/{target}/{program}");
        let stream = client.stream(&path, &self.identity.credential.hex(), None, SILENCE);
        let mut stream = stream.map_err(|failure| unreachable(&failure))?;
        if stream.status().is_success() {
            return Ok(Box::new(stream));
        }
        let (status, mut answer) = (stream.status().0, Vec::new());
        // Without the reason the status has to do.
        let _ = (&mut stream).take(ANSWER as u64).read_to_end(&mut answer);
        Err(refused(status, &answer))
    }
}

/// The file of a program, given the agent's: whatever that is called, others lie beside it by their names.
fn of(agent: &Path, program: &str) -> PathBuf {
    if program == manifest::NAME { agent.to_path_buf() } else { agent.with_file_name(program) }
}

fn unreachable(failure: &Failure) -> Trouble {
    Trouble::new(exit_of(failure), CANNOT, failure, SEE_STATUS)
}

fn refused(status: u16, answer: &[u8]) -> Trouble {
    let said = reason(answer);
    let (exit, advice) = match status {
        401 | 403 => (Exit::Refused, SEE_STATUS),
        404 => (Exit::NotFound, "nothing was changed"),
        429 | 500..=599 => (Exit::Unavailable, "repeat the command later"),
        _ => (Exit::Failed, "is the server of about the same version?"),
    };
    // The server may know better what to do.
    let (said, advice) = said.split_once("; ").unwrap_or((&said, advice));
    Trouble::new(exit, CANNOT, format!("the server answers {status}: {said}"), advice)
}
