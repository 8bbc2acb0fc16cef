//! The engine: its socket, which one it is, and whether all that the agent asks for is answered.

use super::accounts::Accounts;
use super::finding::{Check, Finding};
use super::storage;
use crate::command::exit::{Exit, Trouble, one_line};
use crate::docker::address::EngineAddress;
use crate::docker::container::parse_list_element;
use crate::docker::engine::{Element, Engine, EngineError, Version};
use crate::docker::request::ApiVersion;
use crate::docker::socket::{Patience, within};
use muster_protocol::id::EngineId;
use serde::Deserialize;
use std::fs::{self, Metadata};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// For each call, beyond the limits that the engine has anyway.
const CALL: Duration = Duration::from_secs(4);
/// Whose name is asked for if there is no container: the answer that there is no such one is an answer.
const NOBODY: EngineId = EngineId([0xfd; 32]);
const ROOT_USER: u32 = 0;
const PROXY: &str = "let the proxy before the engine pass them: docs/engines.md has the list";

/// Socket, engine, calls, and the disk where the engine keeps its data.
pub(super) fn look(socket: &Result<EngineAddress, Trouble>, root: &Path, state_dir: &Path) -> Vec<Finding> {
    let address = match socket {
        Ok(address) => address,
        Err(trouble) => {
            let skipped = |check| Finding::skipped(check, "there is no socket to ask at");
            let rest = [Check::Engine, Check::Calls].map(skipped);
            return [Finding::of_trouble(Check::Socket, trouble)].into_iter().chain(rest).collect();
        }
    };
    let engine = Engine::new(address.clone());
    let mut pinged = Ok(());
    let answer = async_io::block_on(async {
        // First alone, to tell apart which of both calls is refused.
        pinged = match engine.ping().await {
            Err(error) if !error.is_forbidden() => return Err(error),
            pinged => pinged,
        };
        engine.negotiate().await
    });
    let user = User::of(state_dir, Accounts::below(root));
    let mut findings = vec![of_socket(address, answer.as_ref().err(), &user)];
    match answer {
        Ok(version) => {
            findings.push(of_engine(&version));
            let (calls, data_root) = async_io::block_on(ask_everything(&engine, pinged, &version));
            findings.push(of_calls(&calls));
            let data_root = data_root.map_or_else(|| PathBuf::from("/var/lib/docker"), PathBuf::from);
            // From within a container, or behind a proxy, it may be another machine's path.
            let below = root.join(data_root.strip_prefix("/").unwrap_or(&data_root));
            let room = data_root.is_absolute().then(|| storage::room(&below)).flatten();
            findings.extend(room.map(|room| storage::of_engine(&one_line(&data_root.to_string_lossy(), 200), room)));
        }
        Err(error) => {
            findings.push(match error {
                EngineError::Absent { .. } | EngineError::Denied { .. } => {
                    Finding::skipped(Check::Engine, "nobody could be asked")
                }
                EngineError::Refused { status, .. } => Finding::failure(
                    Check::Engine,
                    Exit::Unavailable,
                    format!("GET /_ping and GET /version are refused ({status})"),
                    PROXY,
                ),
                error => Finding::of_line(Check::Engine, Exit::Unavailable, &error.to_string()),
            });
            findings.push(Finding::skipped(Check::Calls, "nobody answers"));
        }
    }
    findings
}

fn of_engine(version: &Version) -> Finding {
    let Version { version: name, api, newest_api, os, arch, .. } = version;
    let name = if name.is_empty() { "of unknown version" } else { name };
    let platform = if os.is_empty() { String::new() } else { format!(", {os}/{arch}") };
    let newer = if *newest_api > ApiVersion::NEWEST { format!(" of up to {newest_api}") } else { String::new() };
    Finding::okay(Check::Engine, format!("{name}{platform}, API {api}{newer}"))
}

/// The user whose right to the socket matters: the owner of the state directory, for the agent will run as that one.
struct User {
    uid: u32,
    /// It is not the one who asks, whose own try tells nothing then.
    is_other: bool,
    accounts: Accounts,
}

impl User {
    fn of(state_dir: &Path, accounts: Accounts) -> User {
        let own = fs::metadata("/proc/self").map_or(ROOT_USER, |process| process.uid());
        let owner = fs::metadata(state_dir).ok().map(|metadata| metadata.uid());
        let uid = owner.filter(|_| own == ROOT_USER).unwrap_or(own);
        User { uid, is_other: uid != own, accounts }
    }

    /// Whether the socket's mode lets it connect.
    fn may_use(&self, socket: &Metadata) -> bool {
        let mode = socket.permissions().mode();
        if self.uid == ROOT_USER {
            true
        } else if self.uid == socket.uid() {
            mode & 0o200 != 0
        } else if self.accounts.is_member(self.uid, socket.gid()) {
            mode & 0o020 != 0
        } else {
            mode & 0o002 != 0
        }
    }

    fn advice(&self, address: &EngineAddress) -> String {
        let user = self.accounts.user(self.uid);
        let metadata = address.path().and_then(|path| fs::metadata(path).ok());
        let group = metadata.as_ref().filter(|socket| socket.permissions().mode() & 0o020 != 0 && socket.gid() != 0);
        match group
            .map(|socket| self.accounts.group(socket.gid()).map_or_else(|| socket.gid().to_string(), str::to_owned))
        {
            Some(group) => {
                format!("sudo usermod -aG {group} {user}, then restart the agent (a login needs to begin anew)")
            }
            // A directory above it is closed, or the socket is root's alone.
            None => "run the agent as the socket's owner, or as root".to_owned(),
        }
    }
}

fn of_socket(address: &EngineAddress, error: Option<&EngineError>, user: &User) -> Finding {
    let failure = |what: String, advice: &str| Finding::failure(Check::Socket, Exit::Unavailable, what, advice);
    match error {
        Some(EngineError::Absent { refused: false, .. }) => failure(
            format!("{address} does not exist"),
            "start Docker or Podman's socket (systemctl start docker, systemctl start podman.socket), or set DOCKER_HOST",
        ),
        Some(EngineError::Absent { refused: true, .. }) => {
            failure(format!("nobody listens at {address}"), "start the engine: systemctl start docker")
        }
        Some(EngineError::Denied { .. }) => {
            failure(format!("{} may not use {address}", user.accounts.user(user.uid)), &user.advice(address))
        }
        _ => match address.path().map(fs::metadata) {
            Some(Ok(metadata)) if metadata.file_type().is_socket() && user.is_other && !user.may_use(&metadata) => {
                let name = user.accounts.user(user.uid);
                failure(format!("the agent's user {name} may not use {address}"), &user.advice(address))
            }
            _ => Finding::okay(Check::Socket, address.to_string()),
        },
    }
}

/// A call, and how it went: refused with a status, failed otherwise, or answered.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Called {
    call: &'static str,
    /// Without it nothing can be reported.
    is_needed: bool,
    outcome: Result<(), String>,
}

/// Asks for everything that the agent does. Also gives the directory of the engine's data, if it says.
async fn ask_everything(
    engine: &Engine,
    pinged: Result<(), EngineError>,
    version: &Version,
) -> (Vec<Called>, Option<String>) {
    let mut calls = Vec::new();
    let mut note = |call, is_needed, outcome: Option<Result<(), EngineError>>| {
        let outcome = match outcome {
            None | Some(Err(EngineError::NotAnswering)) => Err("no answer in time".to_owned()),
            Some(Err(EngineError::Refused { status, .. })) => Err(format!("status {status}")),
            // What is too large is an answer.
            Some(Ok(()) | Err(EngineError::TooLarge)) => Ok(()),
            Some(Err(error)) => Err(error.to_string()),
        };
        calls.push(Called { call, is_needed, outcome });
    };
    let soon = || Patience::Until(Instant::now() + CALL);
    note("GET /_ping", false, Some(pinged));
    if version.version.is_empty() {
        note("GET /version", false, Some(Err(EngineError::Refused { status: 403, message: String::new() })));
    }
    let mut some = NOBODY;
    let listed = within(soon(), async {
        let mut list = engine.list().await?;
        if let Some(Element::Whole(json)) = list.next().await?
            && let Ok(element) = parse_list_element(json)
        {
            some = element.id;
        }
        Ok(())
    });
    let listed = listed.await;
    note("GET /containers/json", true, listed);
    let inspected = within(soon(), engine.inspect(some)).await;
    note("GET /containers/ID/json", false, inspected.map(|outcome| outcome.map(drop)));
    let heard = within(soon(), engine.events()).await;
    // Podman answers with the first event only.
    let heard = heard.map_or(Some(Ok(())), |outcome| Some(outcome.map(drop)));
    note("GET /events", false, heard);
    #[derive(Deserialize)]
    struct Info {
        #[serde(default, rename = "DockerRootDir")]
        data_root: String,
    }
    let info = within(soon(), engine.info()).await;
    let data_root = info.and_then(Result::ok).and_then(|json| serde_json::from_slice(&json).ok());
    (calls, data_root.map(|info: Info| info.data_root))
}

fn of_calls(calls: &[Called]) -> Finding {
    let failed = |needed: bool| -> Vec<String> {
        let of = calls.iter().filter(|called| called.is_needed == needed);
        of.filter_map(|called| Some(format!("{} ({})", called.call, called.outcome.as_ref().err()?))).collect()
    };
    let (fatal, degrading) = (failed(true), failed(false));
    let all = [&fatal[..], &degrading].concat().join(", ");
    match (fatal.is_empty(), degrading.is_empty()) {
        (true, true) => Finding::okay(Check::Calls, "all that the agent asks for is answered"),
        (false, _) => {
            Finding::failure(Check::Calls, Exit::Unavailable, format!("nothing can be reported without: {all}"), PROXY)
        }
        (true, false) => Finding::warning(Check::Calls, format!("less can be reported without: {all}"), PROXY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::doctor::State;
    use crate::join::state_dir::TestDir;
    use std::os::unix::net::UnixListener;

    fn other_user(passwd: &str, group: &str) -> (TestDir, User) {
        let root = TestDir::new();
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(root.path().join("etc/passwd"), passwd).unwrap();
        fs::write(root.path().join("etc/group"), group).unwrap();
        let accounts = Accounts::below(root.path());
        (root, User { uid: 4242, is_other: true, accounts })
    }

    #[test]
    fn who_may_not_use_the_socket_is_told_the_group() {
        let dir = TestDir::new();
        let path = dir.path().join("docker.sock");
        let _listener = UnixListener::bind(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o660)).unwrap();
        let gid = fs::metadata(&path).unwrap().gid();
        let (_root, outsider) = other_user("muster:x:4242:4242::/:\n", &format!("docker:x:{gid}:ann\n"));
        let address = EngineAddress::from(&path);
        let denied = EngineError::Denied { at: address.clone() };
        for error in [None, Some(&denied)] {
            let finding = of_socket(&address, error, &outsider);
            assert_eq!(finding.state, State::Failure(Exit::Unavailable), "{finding}");
            assert!(finding.what.contains("muster may not use /"), "{finding}");
            if gid != 0 {
                assert!(finding.advice.unwrap().starts_with("sudo usermod -aG docker muster, "));
            }
        }
        let (_root, member) = other_user("muster:x:4242:4242::/:\n", &format!("docker:x:{gid}:ann,muster\n"));
        assert_eq!(of_socket(&address, None, &member).state, State::Okay);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        let finding = of_socket(&address, None, &member);
        assert!(finding.advice.unwrap().contains("as the socket's owner"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o666)).unwrap();
        assert_eq!(of_socket(&address, None, &outsider).state, State::Okay);
    }

    #[test]
    fn a_socket_that_is_missing_or_deserted() {
        let dir = TestDir::new();
        let path = dir.path().join("docker.sock");
        let look = || look(&Ok(path.clone().into()), dir.path(), dir.path());
        let findings = look();
        assert!(findings[0].what.ends_with("does not exist"), "{findings:?}");
        assert_eq!(findings.iter().map(|one| one.state).filter(|one| *one == State::Skipped).count(), 2);
        drop(UnixListener::bind(&path).unwrap());
        assert!(look()[0].what.starts_with("nobody listens at /"));
        let trouble = Trouble::new(Exit::Usage, "DOCKER_HOST", "'tcp:' is none", "write another");
        assert_eq!(super::look(&Err(trouble), dir.path(), dir.path())[0].state, State::Failure(Exit::Usage));
    }

    #[test]
    fn calls_that_a_proxy_refuses_are_named() {
        let called = |call, is_needed, outcome: Result<(), &str>| Called {
            call,
            is_needed,
            outcome: outcome.map_err(str::to_owned),
        };
        let list = called("GET /containers/json", true, Ok(()));
        let events = called("GET /events", false, Err("status 403"));
        assert_eq!(of_calls(std::slice::from_ref(&list)).state, State::Okay);
        let finding = of_calls(&[list, events.clone()]);
        assert_eq!(
            (finding.state, finding.what.as_str()),
            (State::Warning, "less can be reported without: GET /events (status 403)")
        );
        let refused = called("GET /containers/json", true, Err("status 403"));
        let finding = of_calls(&[refused, events]);
        assert_eq!(finding.state, State::Failure(Exit::Unavailable));
        assert!(finding.what.ends_with("GET /containers/json (status 403), GET /events (status 403)"));
    }

    #[test]
    fn an_engine_is_named_with_what_is_known_of_it() {
        let api = |minor| ApiVersion { major: 1, minor };
        let mut version = Version {
            version: "28.5.2".into(),
            api: api(51),
            newest_api: api(51),
            os: "linux".into(),
            arch: "arm64".into(),
            kernel: String::new(),
        };
        assert_eq!(of_engine(&version).what, "28.5.2, linux/arm64, API 1.51");
        version.newest_api = api(60);
        assert_eq!(of_engine(&version).what, "28.5.2, linux/arm64, API 1.51 of up to 1.60");
        (version.version, version.os) = (String::new(), String::new());
        assert_eq!(of_engine(&version).what, "of unknown version, API 1.51 of up to 1.60");
    }
}
