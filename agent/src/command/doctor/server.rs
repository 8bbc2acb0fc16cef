//! The server: whether it can be reached, whether it is the pinned one, whether it knows this host, and its clock.

use super::clock;
use super::finding::{Check, Finding};
use crate::command::exit::{Exit, Trouble};
use crate::command::status::{self, ServerState, ServerView};
use crate::docker::timestamp;
use crate::join::identity::Identity;
use crate::join::{self, exit_of};
use muster_dial::{Address, Client, Failure, JoinString, Proxies, Settings};
use serde::Deserialize;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::path::Path;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// Asks for something that everybody may know.
const KNOCK: &str = "/healthz";
/// Largest answer that is read.
const ANSWER: usize = 16 * 1024;
/// For one address: to connect, and altogether.
const CONNECT: Duration = Duration::from_secs(6);
const OVERALL: Duration = Duration::from_secs(8);
/// To find out where it stopped, if it took longer: for the name, and again for the connection.
const STAGE: Duration = Duration::from_secs(2);

/// What the standard library says of a name that was not found.
const NO_SUCH_NAME: &str = "failed to lookup address information";

/// Whom to ask.
pub(super) enum Target {
    /// This host has joined.
    Joined(Box<Identity>),
    /// It has not, and this is by what it would.
    Joining(Box<JoinString>),
    /// Nobody.
    Nobody(Option<Trouble>),
}

impl Target {
    /// By what there is in the state directory.
    pub(super) fn of(identity: Result<Option<Identity>, Trouble>, join: Result<Option<JoinString>, Trouble>) -> Target {
        match (identity, join) {
            (Ok(Some(identity)), _) if identity.host.is_some() => Target::Joined(Box::new(identity)),
            (Err(trouble), _) => Target::Nobody(Some(trouble)),
            (Ok(_), Ok(Some(join))) => Target::Joining(Box::new(join)),
            (Ok(_), Err(trouble)) => Target::Nobody(Some(trouble)),
            (Ok(_), Ok(None)) => Target::Nobody(None),
        }
    }

    /// How to reach the server, at each address; and whether it is only a former one.
    fn settings(&self) -> Vec<(Settings, bool)> {
        match self {
            Target::Joined(identity) => {
                let former = identity.addresses.len();
                let settings = identity.all_addresses().map(|address| identity.settings(address.clone()));
                settings.enumerate().map(|(at, settings)| (settings, at >= former)).collect()
            }
            Target::Joining(join) => {
                let settings = |address: &Address| Settings::small(address.clone(), join.pins.clone());
                let generation = join.generation;
                let all =
                    join.addresses.iter().map(|address| Settings { least_generation: generation, ..settings(address) });
                all.map(|settings| (settings, false)).collect()
            }
            Target::Nobody(_) => Vec::new(),
        }
    }
}

/// What one address answered.
struct Knock {
    address: Address,
    is_former: bool,
    outcome: Result<Health, NoAnswer>,
}

/// Why there was no answer, and what to do.
struct NoAnswer {
    failure: Failure,
    what: String,
    advice: &'static str,
}

/// What a server says of itself.
#[derive(Debug, Default, Deserialize)]
struct Health {
    #[serde(default)]
    problem: Option<String>,
    #[serde(default)]
    version: String,
    #[serde(default)]
    time: String,
    /// This host's clock, when it was asked.
    #[serde(skip)]
    here_ms: i64,
}

/// Server, pin, credential and clock.
pub(super) fn look(target: Target, state_dir: &Path, clock: fn() -> i64) -> Vec<Finding> {
    if let Target::Nobody(trouble) = &target {
        let trouble = trouble.clone().unwrap_or_else(|| join::not_joined(state_dir));
        let skipped = |check| Finding::skipped(check, "this host has not joined");
        let nobody = [Check::Server, Check::Pin].map(skipped);
        let rest = [Finding::of_trouble(Check::Credential, &trouble), clock::judge(clock(), None)];
        return nobody.into_iter().chain(rest).collect();
    }
    let knocks = knock_everywhere(target.settings(), clock);
    let mut findings = of_addresses(&knocks);
    findings.push(of_pin(&knocks));
    findings.push(of_credential(&target, &knocks, state_dir));
    let heard = knocks.iter().find_map(|knock| knock.outcome.as_ref().ok());
    let there = heard.and_then(|health| timestamp::parse(&health.time));
    findings.push(clock::judge(heard.map_or_else(clock, |health| health.here_ms), there));
    findings
}

/// All addresses at the same time, in their order.
fn knock_everywhere(all: Vec<(Settings, bool)>, clock: fn() -> i64) -> Vec<Knock> {
    let threads: Vec<_> = all
        .into_iter()
        .map(|(settings, is_former)| {
            let address = settings.address.clone();
            let settings = Settings { connect_timeout: CONNECT, overall_timeout: OVERALL, ..settings };
            let thread = thread::Builder::new().spawn(move || knock(settings, clock));
            (address, is_former, thread)
        })
        .collect();
    let join = |(address, is_former, thread): (Address, bool, std::io::Result<thread::JoinHandle<_>>)| {
        let outcome = thread.ok().and_then(|thread| thread.join().ok());
        let cannot = || Err(NoAnswer::of(&address, Failure::Protocol("it could not be asked".into())));
        Knock { outcome: outcome.unwrap_or_else(cannot), address, is_former }
    };
    threads.into_iter().map(join).collect()
}

fn knock(settings: Settings, clock: fn() -> i64) -> Result<Health, NoAnswer> {
    let address = settings.address.clone();
    let mut body = Vec::new();
    let asked = Client::new(settings).and_then(|client| {
        client.get(KNOCK, "", &mut body, ANSWER)?;
        // Again, over the connection that there is now: what making it took would count as an error of the clock.
        let before = clock();
        client.get(KNOCK, "", &mut body, ANSWER)?;
        Ok(before.midpoint(clock()))
    });
    match asked {
        Ok(here_ms) => Ok(Health { here_ms, ..serde_json::from_slice(&body).unwrap_or_default() }),
        Err(Failure::TimedOut) => Err(slow(&address)),
        Err(failure) => Err(NoAnswer::of(&address, failure)),
    }
}

impl NoAnswer {
    fn of(address: &Address, failure: Failure) -> NoAnswer {
        let advice = match &failure {
            Failure::Unreachable(why) if why.ends_with("no such host") || why.contains(NO_SUCH_NAME) => {
                "see that the name is right and that this host finds names (/etc/resolv.conf)"
            }
            Failure::Unreachable(_) => "see that `muster serve` runs there, and that no firewall stands between",
            Failure::Tls(_) | Failure::Protocol(_) | Failure::TooLarge => "see that address and port are the server's",
            Failure::PinMismatch { .. } | Failure::Outdated { .. } => "see the line on the pin",
            Failure::TimedOut => "try again, or look at the server's log",
        };
        NoAnswer { what: format!("{address}: {failure}"), advice, failure }
    }
}

/// It took too long. At what?
fn slow(address: &Address) -> NoAnswer {
    let says = |what: &str, advice| NoAnswer { failure: Failure::TimedOut, what: format!("{address}: {what}"), advice };
    if !Proxies::from_environment().is_direct(address) {
        return says("no answer in time through the proxy", "look at the proxy, or at the server's log");
    }
    let (say, heard) = channel();
    let (host, port) = (address.host().to_owned(), address.port());
    let _ = thread::Builder::new().spawn(move || {
        let found = (host.as_str(), port).to_socket_addrs().map(Vec::from_iter);
        say.send(found.unwrap_or_default())
    });
    let Ok(found) = heard.recv_timeout(STAGE) else {
        return says(
            "no name server answers in time",
            "see that this host has a name server (/etc/resolv.conf) and a link",
        );
    };
    let share = STAGE / u32::try_from(found.len().max(1)).unwrap_or(u32::MAX);
    let opens = |to: &SocketAddr| TcpStream::connect_timeout(to, share).is_ok();
    if found.iter().any(opens) {
        return says(
            "TCP connects, and then there is no answer in time",
            "look at the server's log: is it overloaded or hanging?",
        );
    }
    says(
        "TCP does not connect in time",
        "see that the address is right, that there is a link, and that no firewall drops it",
    )
}

fn of_addresses(knocks: &[Knock]) -> Vec<Finding> {
    let somebody = knocks.iter().any(|knock| knock.outcome.is_ok());
    let mut findings = Vec::new();
    for Knock { address, is_former, outcome } in knocks {
        findings.push(match outcome {
            Ok(Health { problem: Some(problem), .. }) => Finding::warning(
                Check::Server,
                format!("{address} answers, but stores nothing: {problem}"),
                "look at its log; meanwhile this host keeps its events",
            ),
            Ok(health) if health.version.is_empty() => Finding::okay(Check::Server, format!("{address} answers")),
            Ok(health) => {
                Finding::okay(Check::Server, format!("{address} answers (version {})", short(&health.version)))
            }
            // It moved away from there.
            Err(_) if *is_former && somebody => continue,
            Err(NoAnswer { what, advice, .. }) if somebody => Finding::warning(Check::Server, what, *advice),
            Err(NoAnswer { what, advice, failure }) => Finding::failure(Check::Server, exit_of(failure), what, *advice),
        });
    }
    findings
}

fn of_pin(knocks: &[Knock]) -> Finding {
    let wrong = knocks.iter().find_map(|knock| match &knock.outcome {
        Err(NoAnswer { failure: failure @ (Failure::PinMismatch { .. } | Failure::Outdated { .. }), .. })
            if !knock.is_former =>
        {
            Some((&knock.address, failure))
        }
        _ => None,
    });
    let somebody = knocks.iter().any(|knock| knock.outcome.is_ok());
    match wrong {
        None if somebody => Finding::okay(Check::Pin, "the server has the pinned key"),
        None => Finding::skipped(Check::Pin, "no server answers"),
        Some((address, failure)) => {
            let advice = "is it the right address? If something on the way opens TLS, it is not to be trusted; if the server \
                          was made anew without its keys, `muster join-command` there prints a join string with the new pin";
            Finding::failure(Check::Pin, Exit::PinMismatch, format!("{address}: {failure}"), advice)
        }
    }
}

fn of_credential(target: &Target, knocks: &[Knock], state_dir: &Path) -> Finding {
    let Target::Joined(identity) = target else {
        let what = "this host has not joined, and has a join string";
        return Finding::failure(Check::Credential, Exit::Failed, what, "muster-agent run joins with it");
    };
    let Some(knock) = knocks.iter().find(|knock| knock.outcome.is_ok()) else {
        return Finding::skipped(Check::Credential, "no server answers");
    };
    let ServerView { state, detail, .. } = status::ask_at(identity, &knock.address, CONNECT, OVERALL);
    let failure = |what: String, advice: String| Finding::failure(Check::Credential, state.exit(), what, advice);
    match state {
        ServerState::Reachable => {
            let name = if detail.is_empty() { &identity.name } else { &detail };
            let host = identity.host.unwrap_or_default();
            Finding::okay(Check::Credential, format!("the server knows this host as {name} ({host})"))
        }
        ServerState::Refused => failure(
            format!("the server refuses this host's credential ({detail})"),
            format!("muster-agent join STRING makes it a new host; {}", join::GET_STRING),
        ),
        ServerState::Removed => failure(
            format!("this host was removed on the server ({detail})"),
            format!(
                "`muster hosts restore {}` there takes it back; or remove {} and join again",
                identity.name,
                state_dir.display()
            ),
        ),
        ServerState::Unavailable => {
            failure(format!("the server cannot tell now ({detail})"), "look at the server's log, and try again".into())
        }
        _ => failure(detail, "try again, or look at the server's log".into()),
    }
}

/// Foreign text on a line of ours.
fn short(text: &str) -> String {
    crate::command::exit::one_line(text, 40)
}

#[cfg(test)]
#[path = "server_tests.rs"]
mod tests;
