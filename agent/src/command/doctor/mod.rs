//! `muster-agent doctor`: what of this host is well, and what to do about the rest.
//!
//! Groups of checks run beside one another, each in a thread of its own. One that hangs, on a name server or a dead
//! network mount, leaves its own lines unanswered and no others.

mod accounts;
mod cgroup;
mod clock;
mod engine;
mod finding;
mod process;
mod server;
mod storage;

use crate::command::exit::{Exit, Trouble};
use crate::command::options::Options;
use crate::join;
use crate::join::identity::Identity;
pub use clock::system_clock;
pub use finding::{Check, Finding, State};
use serde_json::{Value, json};
use std::fmt;
use std::path::PathBuf;
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

/// For all checks together. Each has its own limits, which are far below.
const LIMIT: Duration = Duration::from_secs(25);

/// What to look at.
#[derive(Debug, Clone)]
pub struct Subject {
    /// As the agent was told.
    pub options: Options,
    /// Where this host's files are: `/` in earnest.
    pub root: PathBuf,
    /// This host's clock: milliseconds since 1970.
    pub clock: fn() -> i64,
}

/// All that was found, in the order in which it is shown. Prints as a line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report(Vec<Finding>);

/// Checks that belong together, and the work that answers them.
struct Group {
    checks: &'static [Check],
    work: Box<dyn FnOnce() -> Vec<Finding> + Send>,
}

/// Looks at everything. Takes less than half a minute, whatever hangs.
pub fn examine(subject: &Subject) -> Report {
    let Subject { options, root, clock } = subject.clone();
    let identity = Identity::load(&options.state_dir);
    let mut findings = Vec::new();
    findings.extend(options.trouble.as_ref().map(|trouble| Finding::of_trouble(Check::Settings, trouble)));
    let socket = options.docker_socket(&root);
    let (state_dir, spool) = (options.state_dir.clone(), options.spool);
    let has_joined = matches!(&identity, Ok(Some(identity)) if identity.host.is_some());
    let target = server::Target::of(identity, join_string(&options));
    let groups = vec![
        Group::new(&[Check::Socket, Check::Engine, Check::Calls, Check::Disk], {
            let (root, state_dir) = (root.clone(), state_dir.clone());
            move || engine::look(&socket, &root, &state_dir)
        }),
        Group::new(&[Check::Memory], {
            let root = root.clone();
            move || vec![cgroup::look(&root)]
        }),
        Group::new(&[Check::Server, Check::Pin, Check::Credential, Check::Clock], {
            let state_dir = state_dir.clone();
            move || server::look(target, &state_dir, clock)
        }),
        Group::new(&[Check::State, Check::Spool], {
            let state_dir = state_dir.clone();
            move || storage::look(&state_dir, spool)
        }),
        Group::new(&[Check::Agent], move || vec![process::look(&root, &state_dir, has_joined)]),
    ];
    findings.extend(beside(groups, LIMIT));
    findings.sort_by_key(|finding| finding.check);
    Report(findings)
}

/// What this host would join by.
fn join_string(options: &Options) -> Result<Option<muster_dial::JoinString>, Trouble> {
    match &options.join {
        Some(string) => Ok(Some(string.clone())),
        None => join::string_in(&options.state_dir),
    }
}

impl Group {
    fn new(checks: &'static [Check], work: impl FnOnce() -> Vec<Finding> + Send + 'static) -> Group {
        Group { checks, work: Box::new(work) }
    }
}

/// Does the work of all groups at the same time, and waits no longer than `limit`.
fn beside(groups: Vec<Group>, limit: Duration) -> Vec<Finding> {
    let until = Instant::now() + limit;
    let (say, heard) = channel();
    let mut open: Vec<&'static [Check]> = Vec::new();
    for (number, Group { checks, work }) in groups.into_iter().enumerate() {
        let say = say.clone();
        open.push(checks);
        // One that cannot be started is not answered, like one that hangs.
        let _ = thread::Builder::new().spawn(move || say.send((number, work())));
    }
    drop(say);
    let mut findings = Vec::new();
    while let Ok((number, found)) = heard.recv_timeout(until.saturating_duration_since(Instant::now())) {
        findings.extend(found);
        open[number] = &[];
    }
    let unanswered = open.into_iter().flatten().map(|check| {
        let what = format!("there was no answer within {} seconds", limit.as_secs());
        Finding::failure(*check, Exit::Failed, what, "see whether the host is overloaded or a mount hangs")
    });
    findings.extend(unanswered);
    findings
}

impl Report {
    /// The code of the most telling failure; [`Exit::Warned`] if there are warnings only.
    pub fn exit(&self) -> Exit {
        const TELLING: [Exit; 7] = [
            Exit::Usage,
            Exit::PinMismatch,
            Exit::Removed,
            Exit::Refused,
            Exit::Unreachable,
            Exit::Unavailable,
            Exit::Failed,
        ];
        let has = |state: State| self.0.iter().any(|finding| finding.state == state);
        let failed = TELLING.into_iter().find(|exit| has(State::Failure(*exit)));
        failed.unwrap_or(if has(State::Warning) { Exit::Warned } else { Exit::Ok })
    }

    /// The same as one object: `exit`, and `checks` with `check`, `state` (`ok`, `warning`, `failure` or `skipped`),
    /// `what` and `advice`, which is null if nothing is to be done.
    pub fn to_json(&self) -> Value {
        let checks: Vec<Value> = self.0.iter().map(Finding::to_json).collect();
        json!({"exit": self.exit() as u8, "checks": checks})
    }

    /// What was found.
    pub fn findings(&self) -> &[Finding] {
        &self.0
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|finding| writeln!(f, "{finding}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(states: &[State]) -> Report {
        let finding = |state: &State| Finding { check: Check::Server, state: *state, what: "x".into(), advice: None };
        Report(states.iter().map(finding).collect())
    }

    #[test]
    fn the_exit_code_is_that_of_the_most_telling_failure() {
        use State::{Failure, Okay, Skipped, Warning};
        assert_eq!(report(&[]).exit(), Exit::Ok);
        assert_eq!(report(&[Okay, Skipped]).exit(), Exit::Ok);
        assert_eq!(report(&[Okay, Warning]).exit(), Exit::Warned);
        assert_eq!(report(&[Warning, Failure(Exit::Failed), Okay]).exit(), Exit::Failed);
        assert_eq!(report(&[Failure(Exit::Failed), Failure(Exit::Unavailable)]).exit(), Exit::Unavailable);
        assert_eq!(report(&[Failure(Exit::Unavailable), Failure(Exit::Removed)]).exit(), Exit::Removed);
        assert_eq!(report(&[Failure(Exit::Unreachable), Failure(Exit::PinMismatch)]).exit(), Exit::PinMismatch);
    }

    #[test]
    fn a_group_that_hangs_or_dies_leaves_only_its_own_lines_unanswered() {
        let (hold, held) = channel::<()>();
        let groups = vec![
            Group::new(&[Check::Server, Check::Pin], move || {
                let _ = held.recv();
                Vec::new()
            }),
            Group::new(&[Check::Memory], || vec![Finding::okay(Check::Memory, "fine")]),
            Group::new(&[Check::State], || panic!("this is a test")),
        ];
        let mut findings = beside(groups, Duration::from_millis(200));
        drop(hold);
        findings.sort_by_key(|finding| finding.check);
        let seen: Vec<(Check, bool)> = findings.iter().map(|it| (it.check, it.state == State::Okay)).collect();
        let expected = [(Check::Memory, true), (Check::Server, false), (Check::Pin, false), (Check::State, false)];
        assert_eq!(seen, expected);
    }

    #[test]
    fn json_has_what_the_lines_have() {
        let json = report(&[State::Okay, State::Failure(Exit::Refused)]).to_json();
        assert_eq!(json["exit"], 4);
        assert_eq!(json["checks"][1]["state"], "failure");
        assert_eq!(json["checks"][0]["advice"], Value::Null);
    }
}
