//! What the agent is asked to do, and how: flags, else the environment, else `STATE_DIR/agent.conf`, else defaults.
//! All three know the same [settings](Setting) by the same names.

use crate::docker::socket;
use crate::exit::{Exit, Trouble, one_line};
use crate::facts;
use crate::identity::Identity;
use crate::joining;
use crate::run::RunSettings;
use crate::state_dir;
use lexopt::Arg;
use log::LevelFilter;
use muster_dial::JoinString;
use muster_protocol::id::Fingerprint;
use muster_protocol::limits;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The file of settings in the state directory.
pub const FILE: &str = "agent.conf";
/// Far more than all settings together.
const FILE_LIMIT: usize = 16 * 1024;
const STATE_DIR: &str = "/var/lib/muster-agent";
const DOCKER_HOST: &str = "unix:///var/run/docker.sock";
const INTERVAL: Duration = Duration::from_secs(5);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest text that stands for a board.
const FINGERPRINT_LIMIT: usize = 256;
/// Of foreign text that is repeated in an error.
const SHOWN: usize = 60;

/// What `help` prints.
pub const HELP: &str = "\
Tells a Muster server what the containers of this host do.

  muster-agent join STRING|-   registers this host; - reads the string from standard input
  muster-agent run             reports until it is ended
  muster-agent status          says whether server and engine are reached
  muster-agent help

Settings, as flag, in the environment, or as a line `name = value` of STATE_DIR/agent.conf;
the first of them counts:
  --state-dir DIR     MUSTER_STATE_DIR    what the agent keeps (/var/lib/muster-agent); not in the file
  --docker-host URL   DOCKER_HOST         the engine's socket (unix:///var/run/docker.sock)
  --interval TIME     MUSTER_INTERVAL     between reports (5s), from 1s to 24h
  --join STRING       MUSTER_JOIN         for `run`: how to join if this host has not yet;
                                          else the file STATE_DIR/join is looked at
  --name NAME         MUSTER_NAME         what to call this host (its hostname)
  --fingerprint TEXT  MUSTER_FINGERPRINT  stands for the board instead of its serial number
  --log LEVEL         MUSTER_LOG          error, warn, info or debug (info)

Flags only:
  --run               for `join`: goes on as `run`
  --format FORMAT     for `status`: table or json (table)
  --version

Exit codes: 0 ok, 1 failure or not joined, 2 usage, 3 server unreachable, 4 credential or token refused,
5 not the pinned server, 7 host removed, 8 engine or the server's store unavailable.
";

/// What can be set, by whatever way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Setting {
    StateDir,
    DockerHost,
    Interval,
    Join,
    Name,
    Fingerprint,
    Log,
}

impl Setting {
    const ALL: [Setting; 7] = [
        Setting::StateDir,
        Setting::DockerHost,
        Setting::Interval,
        Setting::Join,
        Setting::Name,
        Setting::Fingerprint,
        Setting::Log,
    ];

    /// As a flag (behind `--`) and in the file.
    fn name(self) -> &'static str {
        match self {
            Setting::StateDir => "state-dir",
            Setting::DockerHost => "docker-host",
            Setting::Interval => "interval",
            Setting::Join => "join",
            Setting::Name => "name",
            Setting::Fingerprint => "fingerprint",
            Setting::Log => "log",
        }
    }

    fn variable(self) -> &'static str {
        match self {
            Setting::StateDir => "MUSTER_STATE_DIR",
            Setting::DockerHost => "DOCKER_HOST",
            Setting::Interval => "MUSTER_INTERVAL",
            Setting::Join => "MUSTER_JOIN",
            Setting::Name => "MUSTER_NAME",
            Setting::Fingerprint => "MUSTER_FINGERPRINT",
            Setting::Log => "MUSTER_LOG",
        }
    }

    fn named(name: &str) -> Option<Setting> {
        Setting::ALL.into_iter().find(|setting| setting.name() == name)
    }

    /// The state directory says where the file is, so the file cannot say it.
    fn is_for_file(self) -> bool {
        self != Setting::StateDir
    }
}

/// Where a value was given, as an error names it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Flag(Setting),
    Variable(Setting),
    Line(PathBuf, usize),
    Default,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(setting) => write!(f, "--{}", setting.name()),
            Origin::Variable(setting) => f.write_str(setting.variable()),
            Origin::Line(path, line) => write!(f, "{}:{line}", path.display()),
            Origin::Default => f.write_str("the default"),
        }
    }
}

/// What the agent is asked to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// To register this host.
    Join {
        /// Where the join string is.
        string: JoinSource,
        /// And to go on as [`Command::Run`].
        run: bool,
    },
    /// To report until it is ended.
    Run,
    /// To say how things are.
    Status {
        /// As JSON, not as lines for people.
        json: bool,
    },
    /// To print what it can be asked.
    Help,
    /// To print its version.
    Version,
}

/// Where a join string is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JoinSource {
    /// On the command line.
    Given(JoinString),
    /// To be read from standard input, so that it is not in the list of processes.
    Stdin,
}

/// All that the agent was told. `Debug` hides the token of a join string.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to do.
    pub command: Command,
    /// Where the agent keeps what it has to remember.
    pub state_dir: PathBuf,
    /// Between two reports.
    pub interval: Duration,
    /// What to join by, if this host has not yet.
    pub join: Option<JoinString>,
    /// What to call this host, if not by its hostname.
    pub name: Option<String>,
    /// What to be logged.
    pub log: LevelFilter,
    fingerprint: Option<String>,
    /// Judged only when it is needed: joining needs no engine, whatever a shell's environment says.
    docker_host: (String, Origin),
}

impl Options {
    /// Reads arguments (without the program's name), variables, and the file.
    pub fn read(
        arguments: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Options, Trouble> {
        let Arguments { command, flags } = Arguments::read(arguments)?;
        let mut options = Options {
            command,
            state_dir: PathBuf::from(STATE_DIR),
            interval: INTERVAL,
            join: None,
            name: None,
            log: LevelFilter::Info,
            fingerprint: None,
            docker_host: (DOCKER_HOST.to_string(), Origin::Default),
        };
        if matches!(options.command, Command::Help | Command::Version) {
            return Ok(options);
        }
        let variables = Setting::ALL.into_iter().filter_map(|setting| {
            // Empty is how a compose file or a unit says that it is not set.
            let value = variable(setting.variable()).filter(|value| !value.is_empty())?;
            Some((setting, value, Origin::Variable(setting)))
        });
        let flags = flags.into_iter().map(|(setting, value)| (setting, value, Origin::Flag(setting)));
        let (place, above): (Vec<_>, Vec<_>) =
            variables.chain(flags).partition(|(setting, ..)| *setting == Setting::StateDir);
        for (setting, value, origin) in place {
            options.set(setting, &value, origin)?;
        }
        let below = read_file(&options.state_dir.join(FILE))?;
        for (setting, value, origin) in below.into_iter().chain(above) {
            options.set(setting, &value, origin)?;
        }
        Ok(options)
    }

    fn set(&mut self, setting: Setting, value: &OsStr, origin: Origin) -> Result<(), Trouble> {
        let bad = |why: &dyn fmt::Display, advice: &str| Trouble::new(Exit::Usage, &origin, why, advice);
        if value.is_empty() {
            return Err(bad(&"it has no value", "give one, or leave it out"));
        }
        if setting == Setting::StateDir {
            self.state_dir = PathBuf::from(value);
            return Ok(());
        }
        let text = value.to_str().ok_or_else(|| bad(&"it is no UTF-8 text", "write it in UTF-8"))?;
        match setting {
            Setting::StateDir => {}
            Setting::DockerHost => self.docker_host = (text.to_string(), origin),
            Setting::Interval => {
                let forms = "write seconds, minutes or hours, from 1s to 24h: 5s, 2m, 1h";
                self.interval = parse_interval(text).ok_or_else(|| {
                    bad(&format!("'{}' is no interval that can be used", one_line(text, SHOWN)), forms)
                })?;
            }
            Setting::Join => {
                let why = |error| bad(&format!("this is no join string: {error}"), joining::GET_STRING);
                self.join = Some(text.parse().map_err(why)?);
            }
            Setting::Name => {
                if text.trim() != text || text.len() > limits::HOST_NAME || text.contains(char::is_control) {
                    let advice = format!("use 1 to {} bytes of letters, digits, '-', '_' and '.'", limits::HOST_NAME);
                    return Err(bad(&"this is no name for a host", &advice));
                }
                self.name = Some(text.to_string());
            }
            Setting::Fingerprint => {
                if text.trim().is_empty() || text.len() > FINGERPRINT_LIMIT {
                    return Err(bad(&"it is empty or too long", "use a serial number or the like, up to 256 bytes"));
                }
                self.fingerprint = Some(text.to_string());
            }
            Setting::Log => {
                self.log = match text {
                    "error" => LevelFilter::Error,
                    "warn" => LevelFilter::Warn,
                    "info" => LevelFilter::Info,
                    "debug" => LevelFilter::Debug,
                    other => {
                        let why = format!("'{}' is no level of logging", one_line(other, SHOWN));
                        return Err(bad(&why, "known are error, warn, info and debug"));
                    }
                }
            }
        }
        Ok(())
    }

    /// The path of the engine's socket. Only Unix sockets can be used.
    pub fn docker_socket(&self) -> Result<PathBuf, Trouble> {
        let (url, origin) = &self.docker_host;
        socket::path_of(url).map_err(|_| {
            let why = format!("'{}' is no Unix socket", one_line(url, SHOWN));
            Trouble::new(Exit::Usage, origin, why, "write unix:// and an absolute path: unix:///var/run/docker.sock")
        })
    }

    /// What to call this host, below this root (`/`).
    pub fn host_name(&self, root: &Path) -> String {
        self.name.clone().unwrap_or_else(|| facts::hostname(root))
    }

    /// What stands for the board, below this root (`/`).
    pub fn fingerprint(&self, root: &Path) -> Fingerprint {
        self.fingerprint.as_deref().map_or_else(|| facts::fingerprint(root), facts::fingerprint_of)
    }

    /// What [`crate::run::run`] needs. Fails if the engine's address cannot be used, or if this host has neither
    /// joined nor been told how to.
    pub fn run_settings(&self) -> Result<RunSettings, Trouble> {
        let docker_socket = self.docker_socket()?;
        let identity = Identity::load(&self.state_dir)?;
        let has_joined = identity.is_some_and(|identity| identity.host.is_some());
        let join = match &self.join {
            // A string that nobody needs any more may be wrong.
            None if !has_joined => joining::string_in(&self.state_dir)?,
            join => join.clone(),
        };
        if join.is_none() && !has_joined {
            return Err(joining::not_joined(&self.state_dir));
        }
        Ok(RunSettings {
            state_dir: self.state_dir.clone(),
            docker_socket,
            interval: self.interval,
            join,
            name: self.name.clone(),
            fingerprint: self.fingerprint(Path::new("/")),
        })
    }
}

/// A number of whole seconds, minutes or hours.
fn parse_interval(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let unit = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    // `parse` alone would take a sign.
    let number = number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)?;
    let interval = Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(unit)?);
    (SHORTEST_INTERVAL..=LONGEST_INTERVAL).contains(&interval).then_some(interval)
}

/// The lines of the file, in order.
fn read_file(path: &Path) -> Result<Vec<(Setting, OsString, Origin)>, Trouble> {
    let text = state_dir::read(path, FILE_LIMIT).map_err(|error| {
        let is_unfit = error.kind() == std::io::ErrorKind::InvalidData;
        let exit = if is_unfit { Exit::Usage } else { Exit::Failed };
        Trouble::new(exit, format!("cannot read {}", path.display()), error, "put it right, or remove it")
    })?;
    let mut settings = Vec::new();
    for (number, line) in (1..).zip(text.as_deref().unwrap_or_default().lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let origin = Origin::Line(path.to_owned(), number);
        let bad = |why: String| {
            let names: Vec<&str> = Setting::ALL.into_iter().filter(|s| s.is_for_file()).map(Setting::name).collect();
            Trouble::new(Exit::Usage, &origin, why, format!("write `name = value`; known are {}", names.join(", ")))
        };
        // What has no name may be a join string on a line of its own: it is not repeated.
        let (name, value) = line.split_once('=').ok_or_else(|| bad("there is no =".into()))?;
        let name = name.trim();
        match Setting::named(name) {
            Some(setting) if setting.is_for_file() => settings.push((setting, value.trim().into(), origin)),
            Some(_) => return Err(bad(format!("{name} says where this file is, and cannot be set in it"))),
            None if name.contains("://") => return Err(bad("a value stands where a name belongs".into())),
            None => return Err(bad(format!("'{}' is not known", one_line(name, SHOWN)))),
        }
    }
    Ok(settings)
}

/// The command line, taken apart.
struct Arguments {
    command: Command,
    flags: Vec<(Setting, OsString)>,
}

/// As [`Arguments`], before it is known which command it is.
#[derive(Default)]
struct Found {
    positional: Vec<OsString>,
    flags: Vec<(Setting, OsString)>,
    run: bool,
    format: Option<OsString>,
}

fn usage(what: impl fmt::Display, why: impl fmt::Display) -> Trouble {
    Trouble::new(Exit::Usage, what, why, "see muster-agent help")
}

impl Arguments {
    fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, Trouble> {
        let wrong = |error: lexopt::Error| match error {
            lexopt::Error::MissingValue { option } => {
                usage(option.as_deref().unwrap_or("the last flag"), "its value is missing")
            }
            // Its text would repeat the value.
            lexopt::Error::UnexpectedValue { option, .. } => usage(option, "it takes no value"),
            error => usage("the command line", one_line(&error.to_string(), SHOWN)),
        };
        let mut parser = lexopt::Parser::from_args(arguments);
        let mut found = Found::default();
        while let Some(argument) = parser.next().map_err(wrong)? {
            let setting = match argument {
                Arg::Short('h') | Arg::Long("help") => return Ok(Arguments::only(Command::Help)),
                Arg::Short('V') | Arg::Long("version") => return Ok(Arguments::only(Command::Version)),
                Arg::Long("run") => {
                    found.run = true;
                    continue;
                }
                Arg::Long("format") => {
                    found.format = Some(parser.value().map_err(wrong)?);
                    continue;
                }
                Arg::Long(name) => Setting::named(name).ok_or_else(|| unknown_flag(&format!("--{name}")))?,
                Arg::Short(letter) => return Err(unknown_flag(&format!("-{letter}"))),
                Arg::Value(value) => {
                    found.positional.push(value);
                    continue;
                }
            };
            found.flags.push((setting, parser.value().map_err(wrong)?));
        }
        found.understand()
    }

    fn only(command: Command) -> Arguments {
        Arguments { command, flags: Vec::new() }
    }
}

fn unknown_flag(flag: &str) -> Trouble {
    let known: Vec<String> = Setting::ALL.into_iter().map(|setting| format!("--{}", setting.name())).collect();
    let advice = format!("known are {}, --run, --format, --help and --version", known.join(", "));
    Trouble::new(Exit::Usage, one_line(flag, SHOWN), "this flag is not known", advice)
}

impl Found {
    fn understand(self) -> Result<Arguments, Trouble> {
        let Some((command, rest)) = self.positional.split_first() else {
            return Err(Trouble::new(Exit::Usage, "nothing to do", "there is no command", COMMANDS));
        };
        let command = match (command.to_str().unwrap_or_default(), rest) {
            ("join", [string]) => Command::Join { string: join_source(string)?, run: self.run },
            ("join", []) => {
                let why = "the join string is missing";
                return Err(Trouble::new(Exit::Usage, "join", why, joining::GET_STRING));
            }
            ("run", []) => Command::Run,
            ("status", []) => Command::Status { json: self.wants_json()? },
            ("help", _) => return Ok(Arguments::only(Command::Help)),
            // More than belongs there may be a join string: it is not repeated.
            (known @ ("join" | "run" | "status"), _) => return Err(usage(known, "there are too many arguments")),
            (other, _) if other.contains("://") => {
                return Err(Trouble::new(Exit::Usage, "the command line", "there is no command", COMMANDS));
            }
            (other, _) => {
                let what = format!("'{}'", one_line(other, SHOWN));
                return Err(Trouble::new(Exit::Usage, what, "this command is not known", COMMANDS));
            }
        };
        let has_join = self.flags.iter().any(|(setting, _)| *setting == Setting::Join);
        match command {
            Command::Join { .. } | Command::Status { .. } if has_join => Err(usage("--join", "it is for `run`")),
            Command::Run | Command::Status { .. } if self.run => Err(usage("--run", "it is for `join`")),
            Command::Run | Command::Join { .. } if self.format.is_some() => {
                Err(usage("--format", "it is for `status`"))
            }
            command => Ok(Arguments { command, flags: self.flags }),
        }
    }

    fn wants_json(&self) -> Result<bool, Trouble> {
        match self.format.as_ref().map(|format| format.to_string_lossy()).as_deref() {
            None | Some("table") => Ok(false),
            Some("json") => Ok(true),
            Some(other) => {
                let why = format!("'{}' is not known", one_line(other, SHOWN));
                Err(Trouble::new(Exit::Usage, "--format", why, "known are table and json"))
            }
        }
    }
}

const COMMANDS: &str = "the commands are join, run, status and help";

fn join_source(argument: &OsStr) -> Result<JoinSource, Trouble> {
    if argument == "-" {
        return Ok(JoinSource::Stdin);
    }
    joining::parse_string("the join string", argument.to_str().unwrap_or_default()).map(JoinSource::Given)
}

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
