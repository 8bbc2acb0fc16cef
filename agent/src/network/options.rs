//! What the network process is asked to do, and how: flags, else the environment, else defaults.

use crate::command::exit::{Exit, Trouble, one_line};
use crate::docker::address::EngineAddress;
use crate::docker::detect::Surroundings;
use lexopt::Arg;
use log::LevelFilter;
use muster_protocol::id::HostId;
use muster_protocol::limits;
use muster_protocol::network::Prefix;
use std::ffi::OsString;
use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// What `help` prints.
pub const HELP: &str = "\
Gives the labelled containers of this host addresses that cross hosts. Runs as root.

  muster-agent network up            takes part until it is ended; what was made stays, so that a restart is hardly felt
  muster-agent network down          takes away what was made, and nothing else; not while `up` runs
  muster-agent network status        what there is now
  muster-agent network accept ID     takes what the peer comes with next, key, addresses and names: forgets what was seen first
                                     (`all` for ID: of all peers)
  muster-agent network help

Settings, as flag or in the environment; the first of them counts:
  --state-dir DIR      MUSTER_STATE_DIR         the agent's (/var/lib/muster-agent); its own is beside it, DIR-network
  --runtime-dir DIR    MUSTER_NETWORK_RUNTIME_DIR
                                                where `status` finds it (/run/muster-network)
  --docker-host URL    DOCKER_HOST              where the engine listens: unix:///path (the socket that is found)
  --accept RANGE       MUSTER_NETWORK_ACCEPT    the range that the server may use; routes outside of it are refused
                                                (10.0.0.0/8)
  --label KEY=VALUE    MUSTER_NETWORK_LABEL     the label that joins containers here, whatever the server says (the server's)
  --port PORT          MUSTER_NETWORK_PORT      the UDP port for other hosts (51820)
  --endpoint ADDRESS:PORT
                       MUSTER_NETWORK_ENDPOINT  by which everybody reaches that port, if it is not where the server
                                                sees this host
  --relay              MUSTER_NETWORK_RELAY     true: other hosts may send through this one (false)
  --log LEVEL          MUSTER_LOG               error, warn, info or debug (info)

Flags only:
  --format FORMAT      for `status`: table or json (table); --json is short for the latter
  --version

Exit codes: 0 ok, 1 failure or not running, 2 usage, 3 server unreachable, 6 no such peer, 7 host removed,
8 engine unavailable, 9 it runs, and something should be done.
";

const STATE_DIR: &str = "/var/lib/muster-agent";
const RUNTIME_DIR: &str = "/run/muster-network";
const ACCEPT: Prefix = Prefix { first: 0x0a00_0000, length: 8 };
const PORT: u16 = 51820;
/// Of foreign text that is repeated in an error.
const SHOWN: usize = 60;
const COMMANDS: &str = "the commands are up, down, status, accept and help";

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// To take part until it is ended.
    Up,
    /// To take away what was made.
    Down,
    /// To say what there is.
    Status {
        /// As JSON, not as lines for people.
        json: bool,
    },
    /// To forget what a peer was first seen with; `None`: what all were.
    Accept(Option<HostId>),
    /// To print what it can be asked.
    Help,
    /// To print its version.
    Version,
}

/// All that it was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to do.
    pub command: Command,
    /// What to be logged.
    pub log: LevelFilter,
    /// For all commands.
    pub settings: UpSettings,
}

/// How to take part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpSettings {
    /// The agent's.
    pub state_dir: PathBuf,
    /// For the socket of `status`.
    pub runtime_dir: PathBuf,
    /// Where the engine listens.
    pub docker_host: EngineAddress,
    /// What is outside is refused.
    pub accept: Prefix,
    /// The label that joins containers, as key and value, whatever the server says.
    pub label: Option<(String, String)>,
    /// The UDP port.
    pub port: u16,
    /// By which everybody reaches it.
    pub endpoint: Option<SocketAddr>,
    /// Others may send through this host.
    pub relay: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    StateDir,
    RuntimeDir,
    DockerHost,
    Accept,
    Label,
    Port,
    Endpoint,
    Relay,
    Log,
}

impl Setting {
    const ALL: [Setting; 9] = [
        Setting::StateDir,
        Setting::RuntimeDir,
        Setting::DockerHost,
        Setting::Accept,
        Setting::Label,
        Setting::Port,
        Setting::Endpoint,
        Setting::Relay,
        Setting::Log,
    ];

    fn name(self) -> &'static str {
        match self {
            Setting::StateDir => "state-dir",
            Setting::RuntimeDir => "runtime-dir",
            Setting::DockerHost => "docker-host",
            Setting::Accept => "accept",
            Setting::Label => "label",
            Setting::Port => "port",
            Setting::Endpoint => "endpoint",
            Setting::Relay => "relay",
            Setting::Log => "log",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Setting::StateDir => "MUSTER_STATE_DIR",
            Setting::RuntimeDir => "MUSTER_NETWORK_RUNTIME_DIR",
            Setting::DockerHost => "DOCKER_HOST",
            Setting::Accept => "MUSTER_NETWORK_ACCEPT",
            Setting::Label => "MUSTER_NETWORK_LABEL",
            Setting::Port => "MUSTER_NETWORK_PORT",
            Setting::Endpoint => "MUSTER_NETWORK_ENDPOINT",
            Setting::Relay => "MUSTER_NETWORK_RELAY",
            Setting::Log => "MUSTER_LOG",
        }
    }
}

fn usage(what: impl fmt::Display, why: impl fmt::Display) -> Trouble {
    Trouble::new(Exit::Usage, what, why, "see muster-agent network help")
}

impl Options {
    /// Reads arguments (without the program's name; a leading `network` is skipped) and variables.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Options, Trouble> {
        let mut settings = UpSettings {
            state_dir: STATE_DIR.into(),
            runtime_dir: RUNTIME_DIR.into(),
            docker_host: Surroundings::of(&variable).engine(Path::new("/")),
            accept: ACCEPT,
            label: None,
            port: PORT,
            endpoint: None,
            relay: false,
        };
        let mut log = LevelFilter::Info;
        let (mut words, mut flags, mut format, mut only) = (Vec::new(), Vec::new(), None, None);
        let wrong = |error: lexopt::Error| match error {
            lexopt::Error::MissingValue { option } => {
                usage(option.as_deref().unwrap_or("the last flag"), "its value is missing")
            }
            lexopt::Error::UnexpectedValue { option, .. } => usage(option, "it takes no value"),
            error => usage("the command line", one_line(&error.to_string(), SHOWN)),
        };
        let mut parser = lexopt::Parser::from_args(arguments);
        while let Some(argument) = parser.next().map_err(wrong)? {
            match argument {
                Arg::Short('h') | Arg::Long("help") => only = Some(Command::Help),
                Arg::Short('V') | Arg::Long("version") => only = Some(Command::Version),
                Arg::Long("json") => format = Some("json".into()),
                Arg::Long("format") => format = Some(parser.value().map_err(wrong)?),
                Arg::Long("relay") => {
                    let value = parser.optional_value().unwrap_or_else(|| "true".into());
                    flags.push((Setting::Relay, value, "--relay".to_string()));
                }
                Arg::Long(name) => {
                    let setting = Setting::ALL.into_iter().find(|setting| setting.name() == name);
                    let flag = one_line(&format!("--{name}"), SHOWN);
                    let setting = setting.ok_or_else(|| usage(&flag, "this flag is not known"))?;
                    flags.push((setting, parser.value().map_err(wrong)?, flag));
                }
                Arg::Short(letter) => return Err(usage(format!("-{letter}"), "this flag is not known")),
                Arg::Value(value) => words.push(value.to_string_lossy().into_owned()),
            }
        }
        if words.first().is_some_and(|word| word == "network") {
            words.remove(0);
        }
        let command = match only {
            Some(command) => command,
            None => understand(&words, format.as_deref().map(|format| format.to_string_lossy()).as_deref())?,
        };
        if matches!(command, Command::Help | Command::Version) {
            return Ok(Options { command, log, settings });
        }
        let variables = Setting::ALL.into_iter().filter_map(|setting| {
            let value = variable(setting.variable()).filter(|value| !value.is_empty())?;
            Some((setting, value, setting.variable().to_string()))
        });
        for (setting, value, origin) in variables.collect::<Vec<_>>().into_iter().chain(flags) {
            match setting {
                Setting::StateDir => settings.state_dir = value.into(),
                Setting::RuntimeDir => settings.runtime_dir = value.into(),
                _ => {
                    let text = value.to_str().unwrap_or_default();
                    set(&mut settings, &mut log, setting, text).map_err(|(why, advice)| {
                        let why = format!("'{}' is no {why}", one_line(text, SHOWN));
                        Trouble::new(Exit::Usage, origin, why, advice)
                    })?;
                }
            }
        }
        Ok(Options { command, log, settings })
    }
}

fn understand(words: &[String], format: Option<&str>) -> Result<Command, Trouble> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let json = match format {
        None | Some("table") => false,
        Some("json") => true,
        Some(other) => return Err(usage("--format", format!("'{}' is not known", one_line(other, SHOWN)))),
    };
    let command = match &words[..] {
        ["up"] => Command::Up,
        ["down"] => Command::Down,
        ["status"] => return Ok(Command::Status { json }),
        ["accept", "all"] => Command::Accept(None),
        ["accept", host] => {
            let why = || {
                Trouble::new(
                    Exit::Usage,
                    "accept",
                    "that is no host's id",
                    "give the id that `muster hosts` shows, or all",
                )
            };
            Command::Accept(Some(HostId::parse(host).ok_or_else(why)?))
        }
        ["help", ..] => Command::Help,
        [] => return Err(Trouble::new(Exit::Usage, "nothing to do", "there is no command", COMMANDS)),
        ["accept"] => return Err(usage("accept", "the host is missing")),
        [known @ ("up" | "down" | "status" | "accept"), ..] => {
            return Err(usage(known, "there are too many arguments"));
        }
        [other, ..] => {
            let what = format!("'{}'", one_line(other, SHOWN));
            return Err(Trouble::new(Exit::Usage, what, "this command is not known", COMMANDS));
        }
    };
    if format.is_some() && command != Command::Help {
        return Err(usage("--format", "it is for `status`"));
    }
    Ok(command)
}

/// What it should have been, and how to write it.
type Wrong = (&'static str, &'static str);

fn set(settings: &mut UpSettings, log: &mut LevelFilter, setting: Setting, text: &str) -> Result<(), Wrong> {
    match setting {
        Setting::StateDir | Setting::RuntimeDir => {}
        Setting::DockerHost => {
            let wrong = ("address of an engine that can be used", "write unix:// and an absolute path");
            settings.docker_host = EngineAddress::parse(text).map_err(|_| wrong)?;
        }
        Setting::Accept => {
            settings.accept = Prefix::parse(text).ok_or(("range", "write an address and a length: 10.0.0.0/8"))?;
        }
        Setting::Label => {
            settings.label = Some(label(text).ok_or(("label", "write its key and its value: KEY=VALUE"))?);
        }
        Setting::Port => {
            let port = text.parse().ok().filter(|port| *port != 0);
            settings.port = port.ok_or(("port", "write a number from 1 to 65535"))?;
        }
        Setting::Endpoint => {
            let wrong = ("address and port", "write them as 198.51.100.7:51820 or [2001:db8::7]:51820");
            let endpoint = text.parse::<SocketAddr>().ok().filter(|endpoint| endpoint.port() != 0);
            settings.endpoint = Some(endpoint.ok_or(wrong)?);
        }
        Setting::Relay => {
            settings.relay = match text {
                "true" | "1" | "yes" => true,
                "false" | "0" | "no" => false,
                _ => return Err(("yes or no", "write true or false")),
            };
        }
        Setting::Log => {
            *log = match text {
                "error" => LevelFilter::Error,
                "warn" => LevelFilter::Warn,
                "info" => LevelFilter::Info,
                "debug" => LevelFilter::Debug,
                _ => return Err(("level of logging", "known are error, warn, info and debug")),
            };
        }
    }
    Ok(())
}

/// Reads `KEY=VALUE`, or `KEY` for a label without a value.
pub fn label(text: &str) -> Option<(String, String)> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    let fits = !key.is_empty() && text.len() <= limits::NETWORK_LABEL && !text.chars().any(char::is_control);
    fits.then(|| (key.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str, variables: &[(&str, &str)]) -> Result<Options, Trouble> {
        let variable = |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| value.into());
        Options::read(line.split_whitespace().map(OsString::from), variable)
    }

    #[test]
    fn flags_go_before_the_environment_and_that_before_defaults() {
        let options = read("up", &[]).expect("a command");
        assert_eq!((options.settings.accept.to_string().as_str(), options.settings.port), ("10.0.0.0/8", 51820));
        let variables = [("MUSTER_NETWORK_PORT", "7000"), ("MUSTER_NETWORK_RELAY", "true"), ("MUSTER_STATE_DIR", "/a")];
        let options = read("network up --port 7001 --accept 172.16.0.0/12", &variables).expect("a command");
        assert_eq!(options.command, Command::Up);
        assert_eq!((options.settings.port, options.settings.relay), (7001, true));
        assert_eq!(options.settings.accept.to_string(), "172.16.0.0/12");
        assert_eq!(options.settings.state_dir, Path::new("/a"));
        let options = read("up --label a.b=c=d", &[("MUSTER_NETWORK_LABEL", "x")]).expect("a command");
        assert_eq!(options.settings.label, Some(("a.b".into(), "c=d".into())));
        let options = read("up --relay --endpoint 198.51.100.7:1", &[]).expect("a command");
        assert!(options.settings.relay && options.settings.endpoint.is_some());
        assert_eq!(read("status --json", &[]).expect("a command").command, Command::Status { json: true });
        let host = HostId([0xab; 8]);
        assert_eq!(read(&format!("accept {host}"), &[]).expect("a command").command, Command::Accept(Some(host)));
        assert_eq!(read("accept all", &[]).expect("a command").command, Command::Accept(None));
    }

    #[test]
    fn what_is_wrong_is_said_with_the_exit_code_for_usage() {
        for line in [
            "",
            "dance",
            "up down",
            "up --port 0",
            "up --port x",
            "up --accept 10.0.0.1/8",
            "up --endpoint 1.2.3.4",
            "up --label =on",
            "up --frobnicate",
            "up --port",
            "up --json",
            "status --format yaml",
            "accept",
            "accept x",
            "up --relay=maybe",
        ] {
            let trouble = read(line, &[]).expect_err(line);
            assert_eq!(trouble.exit, Exit::Usage, "{line}: {trouble}");
        }
        let trouble = read("up", &[("MUSTER_NETWORK_ACCEPT", "all")]).expect_err("no range");
        assert!(trouble.to_string().starts_with("MUSTER_NETWORK_ACCEPT: 'all' is no range"), "{trouble}");
    }
}
