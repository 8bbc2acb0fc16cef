//! How things are: whether this host has joined, whether its server answers, whether its engine does.

use crate::command::exit::{Exit, Trouble};
use crate::docker::address::EngineAddress;
use crate::docker::engine::Engine;
use crate::docker::error::EngineError;
use crate::join::identity::Identity;
use crate::join::{self, exit_of};
use muster_dial::{Address, Client, Failure, Settings};
use muster_protocol::join::Joined;
use muster_protocol::record::{Kind, Reader};
use serde_json::{Value, json};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

const STATUS: &str = "/agent/v1/status";
/// Largest answer that is read.
const ANSWER: usize = 16 * 1024;
/// For each address: someone waits at a terminal.
const CONNECT: Duration = Duration::from_secs(5);
const OVERALL: Duration = Duration::from_secs(10);

/// How things are. Prints as aligned lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Who this host is, if it has at least begun to join.
    pub identity: Option<Identity>,
    /// What its server says; `None` if it has not joined.
    pub server: Option<ServerView>,
    /// What its engine says: its version, or why not.
    pub engine: Result<String, EngineError>,
    /// Where the engine listens.
    pub docker_socket: EngineAddress,
    /// Where the identity is.
    pub state_dir: PathBuf,
    /// Between two reports.
    pub interval: Duration,
}

/// What the server says of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerView {
    /// The address that was asked: the one that answered, if any did.
    pub address: Address,
    /// How it went.
    pub state: ServerState,
    /// The host's name there, or why it did not go well.
    pub detail: String,
}

/// How the question to the server went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerState {
    /// It knows this host.
    Reachable,
    /// It does not answer.
    Unreachable,
    /// Another server answers.
    PinMismatch,
    /// It does not know the credential.
    Refused,
    /// It has removed this host.
    Removed,
    /// It cannot do its work now.
    Unavailable,
    /// It answers with something that is not expected.
    Unexpected,
}

impl ServerState {
    fn of_status(status: u16) -> ServerState {
        match status {
            200 => ServerState::Reachable,
            401 | 403 => ServerState::Refused,
            410 => ServerState::Removed,
            429 | 500..=599 => ServerState::Unavailable,
            _ => ServerState::Unexpected,
        }
    }

    pub(super) fn exit(self) -> Exit {
        match self {
            ServerState::Reachable => Exit::Ok,
            ServerState::Unreachable => Exit::Unreachable,
            ServerState::PinMismatch => Exit::PinMismatch,
            ServerState::Refused => Exit::Refused,
            ServerState::Removed => Exit::Removed,
            ServerState::Unavailable => Exit::Unavailable,
            ServerState::Unexpected => Exit::Failed,
        }
    }

    /// As JSON has it.
    fn word(self) -> &'static str {
        match self {
            ServerState::Reachable => "reachable",
            ServerState::Unreachable => "unreachable",
            ServerState::PinMismatch => "pin_mismatch",
            ServerState::Refused => "refused",
            ServerState::Removed => "host_removed",
            ServerState::Unavailable => "unavailable",
            ServerState::Unexpected => "unexpected",
        }
    }
}

/// Asks both, and waits for neither longer than some seconds.
pub fn look(
    identity: Option<Identity>,
    state_dir: PathBuf,
    docker_socket: EngineAddress,
    interval: Duration,
) -> Status {
    let server = identity.as_ref().filter(|identity| identity.host.is_some()).and_then(ask_server);
    let engine = async_io::block_on(async { Engine::new(docker_socket.clone()).negotiate().await });
    let engine = engine.map(|version| version.version);
    Status { identity, server, engine, docker_socket, state_dir, interval }
}

/// Asks at each address in turn, until one answers. If none does, the most telling failure counts.
fn ask_server(identity: &Identity) -> Option<ServerView> {
    let mut best: Option<ServerView> = None;
    for address in identity.all_addresses() {
        let view = ask_at(identity, address, CONNECT, OVERALL);
        if !matches!(view.state, ServerState::Unreachable | ServerState::PinMismatch) {
            return Some(view);
        }
        if best.as_ref().is_none_or(|best| best.state != view.state && view.state == ServerState::PinMismatch) {
            best = Some(view);
        }
    }
    best
}

/// Asks at one address, within these times.
pub(super) fn ask_at(identity: &Identity, address: &Address, connect: Duration, overall: Duration) -> ServerView {
    let mut body = Vec::new();
    let settings = identity.settings(address.clone());
    let settings = Settings { connect_timeout: connect, overall_timeout: overall, ..settings };
    let credential = identity.credential.hex();
    let answer = Client::new(settings).and_then(|client| client.get(STATUS, &credential, &mut body, ANSWER));
    match answer {
        Ok(status) => answered(address, status.0, &body),
        Err(failure) => unanswered(address, &failure),
    }
}

fn answered(address: &Address, status: u16, body: &[u8]) -> ServerView {
    let state = ServerState::of_status(status);
    let detail = match state {
        ServerState::Reachable => Reader::message(body)
            .and_then(|mut reader| reader.expect::<Joined<'_>>(Kind::Joined))
            .map(|joined| join::reason(joined.name.as_bytes()))
            .unwrap_or_default(),
        _ => format!("{status} {}", join::reason(body)).trim_end().to_string(),
    };
    ServerView { address: address.clone(), state, detail }
}

fn unanswered(address: &Address, failure: &Failure) -> ServerView {
    let state = match exit_of(failure) {
        Exit::PinMismatch => ServerState::PinMismatch,
        _ => ServerState::Unreachable,
    };
    ServerView { address: address.clone(), state, detail: failure.to_string() }
}

impl Status {
    /// The first thing that is not well: joining, then the server, then the engine.
    pub fn exit(&self) -> Exit {
        let Some(server) = &self.server else { return Exit::Failed };
        match (server.state.exit(), &self.engine) {
            (Exit::Ok, Ok(_)) => Exit::Ok,
            (Exit::Ok, Err(_)) => Exit::Unavailable,
            (exit, _) => exit,
        }
    }

    /// What the server calls this host, else what it called it when it joined.
    fn name(&self) -> Option<&str> {
        let of_server = self.server.as_ref().filter(|server| server.state == ServerState::Reachable);
        let current = of_server.map(|server| server.detail.as_str()).filter(|name| !name.is_empty());
        current.or(self.identity.as_ref().map(|identity| identity.name.as_str()))
    }

    /// The same as one object. `state` is `joined`, `pending` or `not_joined`; what is not known is null.
    pub fn to_json(&self) -> Value {
        let host = self.identity.as_ref().and_then(|identity| identity.host);
        let state = match (&self.identity, host) {
            (None, _) => "not_joined",
            (Some(_), None) => "pending",
            (Some(_), Some(_)) => "joined",
        };
        let server = self.server.as_ref().map(|server| {
            let detail = (server.state != ServerState::Reachable).then_some(&server.detail);
            json!({"address": server.address.to_string(), "state": server.state.word(), "detail": detail})
        });
        let (engine, version, detail) = match &self.engine {
            Ok(version) => ("ok", Some(version), None),
            Err(error) if error.is_absence() => ("absent", None, Some(error.to_string())),
            Err(error) => ("not_answering", None, Some(error.to_string())),
        };
        json!({
            "state": state,
            "id": host.map(|host| host.to_string()),
            "name": self.name(),
            "server": server,
            "engine": {
                "state": engine,
                "version": version,
                "socket": self.docker_socket.to_string(),
                "detail": detail,
            },
            "state_dir": self.state_dir.to_string_lossy(),
            "interval": self.interval.as_secs(),
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |key: &str, value: &dyn fmt::Display| writeln!(f, "{key:<9} {value}");
        let host = self.identity.as_ref().and_then(|identity| identity.host);
        match (self.name(), host) {
            (Some(name), Some(host)) => line("host", &format!("{name} ({host})"))?,
            (Some(name), None) => line("host", &format!("{name}, which has begun to join"))?,
            (None, _) => line("host", &"has not joined")?,
        }
        match &self.server {
            None => line("server", &"none")?,
            Some(ServerView { address, state, detail }) => match state {
                ServerState::Reachable => line("server", &format!("{address}: reachable"))?,
                ServerState::Refused => {
                    line("server", &format!("{address}: refuses this host's credential ({detail})"))?
                }
                ServerState::Removed => line("server", &format!("{address}: has removed this host ({detail})"))?,
                ServerState::Unavailable => line("server", &format!("{address}: cannot answer now ({detail})"))?,
                ServerState::Unexpected => line("server", &format!("{address}: answers strangely ({detail})"))?,
                ServerState::Unreachable | ServerState::PinMismatch => line("server", &format!("{address}: {detail}"))?,
            },
        }
        match &self.engine {
            Ok(version) => line("engine", &format!("{version} at {}", self.docker_socket))?,
            Err(error) => line("engine", error)?,
        }
        line("state dir", &self.state_dir.display())?;
        line("interval", &format!("{}s", self.interval.as_secs()))
    }
}

/// What to do if this host has not joined; `None` if it has.
pub fn how_to_join(status: &Status) -> Option<Trouble> {
    let state_dir: &Path = &status.state_dir;
    match &status.identity {
        None => Some(join::not_joined(state_dir)),
        Some(identity) if identity.host.is_none() => Some(Trouble::new(
            Exit::Failed,
            "this host has not joined",
            "it asked to, and no answer came",
            "repeat the same muster-agent join command",
        )),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use muster_protocol::id::HostId;

    const HEX: &str = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff";

    fn sample() -> Status {
        let address: Address = "fleet.example:7443".parse().unwrap();
        let identity = Identity {
            host: HostId::parse("0123456789abcdef"),
            name: "pi".into(),
            credential: HEX.parse().unwrap(),
            spare: None,
            addresses: vec![address.clone()],
            pins: vec![format!("sha256:{}", "a".repeat(64)).parse().unwrap()],
            former: Vec::new(),
            revision: 0,
            generation: 0,
        };
        Status {
            identity: Some(identity),
            server: Some(ServerView { address, state: ServerState::Reachable, detail: "pi-2".into() }),
            engine: Ok("20.10.24".into()),
            docker_socket: "/var/run/docker.sock".into(),
            state_dir: "/var/lib/muster-agent".into(),
            interval: Duration::from_secs(5),
        }
    }

    fn with_server(state: ServerState, detail: &str) -> Status {
        let mut status = sample();
        let server = status.server.as_mut().unwrap();
        (server.state, server.detail) = (state, detail.into());
        status
    }

    #[test]
    fn all_is_well() {
        let status = sample();
        assert_eq!(status.exit(), Exit::Ok);
        assert_eq!(how_to_join(&status), None);
        assert_eq!(
            status.to_string(),
            "host      pi-2 (0123456789abcdef)\n\
             server    fleet.example:7443: reachable\n\
             engine    20.10.24 at /var/run/docker.sock\n\
             state dir /var/lib/muster-agent\n\
             interval  5s\n"
        );
        let json = status.to_json();
        assert_eq!(json["server"]["state"], "reachable");
        assert_eq!(json["engine"]["version"], "20.10.24");
        assert!(!format!("{status:?}{status}{json}").contains(HEX));
    }

    #[test]
    fn the_first_thing_that_is_not_well_is_the_exit_code() {
        let absent = Err(EngineError::Absent { at: "/x".into(), refused: false });
        for (state, exit) in [
            (ServerState::Unreachable, Exit::Unreachable),
            (ServerState::Refused, Exit::Refused),
            (ServerState::PinMismatch, Exit::PinMismatch),
            (ServerState::Removed, Exit::Removed),
            (ServerState::Unavailable, Exit::Unavailable),
            (ServerState::Unexpected, Exit::Failed),
        ] {
            let status = Status { engine: absent.clone(), ..with_server(state, "why") };
            assert_eq!(status.exit(), exit);
            assert!(status.to_string().contains("why"));
            assert_eq!(status.to_json()["server"]["detail"], "why");
            assert_eq!(status.to_json()["name"], "pi");
        }
        let status = Status { engine: absent, ..sample() };
        assert_eq!(status.exit(), Exit::Unavailable);
        assert_eq!(status.to_json()["engine"]["state"], "absent");
        let silent = Status { engine: Err(EngineError::NotAnswering), ..sample() };
        assert_eq!(silent.to_json()["engine"]["state"], "not_answering");
    }

    #[test]
    fn who_has_not_joined_is_told_how() {
        let mut status = Status { server: None, ..sample() };
        status.identity.as_mut().unwrap().host = None;
        assert_eq!(status.exit(), Exit::Failed);
        assert_eq!(status.to_json()["state"], "pending");
        assert!(how_to_join(&status).unwrap().advice.contains("repeat"));
        status.identity = None;
        assert_eq!(status.to_json()["state"], "not_joined");
        assert!(how_to_join(&status).unwrap().advice.contains("muster join-command"));
    }

    #[test]
    fn answers_are_told_apart() {
        let address: Address = "a:1".parse().unwrap();
        let removed = answered(&address, 410, br#"{"detail":"gone"}"#);
        assert_eq!((removed.state, removed.detail.as_str()), (ServerState::Removed, "410 gone"));
        assert_eq!(answered(&address, 200, b"rubbish").detail, "");
        assert_eq!(answered(&address, 500, b"").detail, "500");
        assert_eq!(answered(&address, 404, b"").state, ServerState::Unexpected);
    }
}
