//! What the agent is asked to do, and how: flags, else the environment, else `STATE_DIR/agent.conf`, else defaults.
//! All three know the same settings by the same names.

use crate::command::arguments::{Arguments, SHOWN, Setting};
use crate::command::exit::{Exit, Trouble, one_line};
use crate::docker::address::EngineAddress;
use crate::docker::detect::Surroundings;
use crate::join;
use crate::join::facts;
use crate::join::identity::Identity;
use crate::join::state_dir;
use crate::run::RunSettings;
use crate::uplink::way::Wanted;
use log::LevelFilter;
use muster_dial::JoinString;
use muster_protocol::id::Fingerprint;
use muster_protocol::{limits, spool};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use crate::command::arguments::{Command, HELP, JoinSource};

/// The file of settings in the state directory.
pub const FILE: &str = "agent.conf";
/// Far more than all settings together.
const FILE_LIMIT: usize = 16 * 1024;
const STATE_DIR: &str = "/var/lib/muster-agent";
const INTERVAL: Duration = Duration::from_secs(5);
const VITALS_INTERVAL: Duration = Duration::from_secs(15);
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);
const LONGEST_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);
/// Longest text that stands for a board.
const FINGERPRINT_LIMIT: usize = 256;

/// Where a value was given, as an error names it.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Origin {
    Flag(Setting),
    Variable(Setting),
    Line(PathBuf, usize),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Flag(setting) => write!(f, "--{}", setting.name()),
            Origin::Variable(setting) => f.write_str(setting.variable()),
            Origin::Line(path, line) => write!(f, "{}:{line}", path.display()),
        }
    }
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
    /// Between two looks at how the host and its containers do; `None` for never.
    pub vitals_interval: Option<Duration>,
    /// What to join by, if this host has not yet.
    pub join: Option<JoinString>,
    /// What to call this host, if not by its hostname.
    pub name: Option<String>,
    /// How messages travel.
    pub uplink: Wanted,
    /// Bytes that events may take on disk while the server is away; 0 for none.
    pub spool: usize,
    /// What to be logged.
    pub log: LevelFilter,
    /// For [`Command::Doctor`]: what is wrong with the file. What stands in it from there on does not count.
    pub trouble: Option<Trouble>,
    fingerprint: Option<String>,
    /// Judged only when it is needed: joining needs no engine, whatever a shell's environment says. `None`: it is looked for.
    docker_host: Option<(String, Origin)>,
    surroundings: Surroundings,
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
            vitals_interval: Some(VITALS_INTERVAL),
            join: None,
            name: None,
            uplink: Wanted::Auto,
            spool: 0,
            log: LevelFilter::Info,
            trouble: None,
            fingerprint: None,
            docker_host: None,
            surroundings: Surroundings::of(&variable),
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
        let below = read_file(&options.state_dir.join(FILE));
        let below =
            below.and_then(|lines| lines.into_iter().try_for_each(|(name, text, at)| options.set(name, &text, at)));
        match (below, &options.command) {
            // Who looks for what is wrong wants to hear of the rest, too.
            (Err(trouble), Command::Doctor { .. }) => options.trouble = Some(trouble),
            (below, _) => below?,
        }
        for (setting, value, origin) in above {
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
            Setting::DockerHost => self.docker_host = Some((text.to_string(), origin)),
            Setting::Interval => {
                let forms = "write seconds, minutes or hours, from 1s to 24h: 5s, 2m, 1h";
                self.interval = parse_interval(text).ok_or_else(|| {
                    bad(&format!("'{}' is no interval that can be used", one_line(text, SHOWN)), forms)
                })?;
            }
            Setting::VitalsInterval => {
                let forms = "write seconds, minutes or hours, from 1s to 24h, or off: 15s, 2m, off";
                self.vitals_interval = match text {
                    "off" | "0" => None,
                    time => Some(parse_interval(time).ok_or_else(|| {
                        bad(&format!("'{}' is no interval that can be used", one_line(time, SHOWN)), forms)
                    })?),
                };
            }
            Setting::Join => {
                let why = |error| bad(&format!("this is no join string: {error}"), join::GET_STRING);
                self.join = Some(text.parse().map_err(why)?);
            }
            Setting::Name => {
                if text.trim() != text || text.len() > limits::HOST_NAME || text.contains(char::is_control) {
                    let advice = format!("use 1 to {} bytes of letters, digits, '-', '_' and '.'", limits::HOST_NAME);
                    return Err(bad(&"this is no name for a host", &advice));
                }
                self.name = Some(text.to_string());
            }
            Setting::Uplink => {
                self.uplink = Wanted::parse(text).ok_or_else(|| {
                    let why = format!("'{}' is no way for reports", one_line(text, SHOWN));
                    bad(&why, "known are auto, stream and plain")
                })?;
            }
            Setting::Fingerprint => {
                if text.trim().is_empty() || text.len() > FINGERPRINT_LIMIT {
                    return Err(bad(&"it is empty or too long", "use a serial number or the like, up to 256 bytes"));
                }
                self.fingerprint = Some(text.to_string());
            }
            Setting::Spool => {
                self.spool = parse_size(text).ok_or_else(|| {
                    let why = format!("'{}' is no size that can be used", one_line(text, SHOWN));
                    bad(&why, "write 0 for none, or from 16KiB to 128KiB: 64KiB")
                })?;
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

    /// Where the engine listens: as was said, else where it is found below this root (`/`).
    pub fn docker_socket(&self, root: &Path) -> Result<EngineAddress, Trouble> {
        let Some((url, origin)) = &self.docker_host else { return Ok(self.surroundings.engine(root)) };
        EngineAddress::parse(url).map_err(|_| {
            let why = format!("'{}' is no address of an engine that can be used", one_line(url, SHOWN));
            let advice = "write unix:// and an absolute path, unix:///var/run/docker.sock, or tcp://HOST:PORT";
            Trouble::new(Exit::Usage, origin, why, advice)
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
        let docker_socket = self.docker_socket(Path::new("/"))?;
        let identity = Identity::load(&self.state_dir)?;
        let has_joined = identity.is_some_and(|identity| identity.host.is_some());
        let join = match &self.join {
            // A string that nobody needs any more may be wrong.
            None if !has_joined => join::string_in(&self.state_dir)?,
            join => join.clone(),
        };
        if join.is_none() && !has_joined {
            return Err(join::not_joined(&self.state_dir));
        }
        Ok(RunSettings {
            state_dir: self.state_dir.clone(),
            docker_socket,
            interval: self.interval,
            vitals_interval: self.vitals_interval,
            uplink: self.uplink,
            join,
            name: self.name.clone(),
            fingerprint: self.fingerprint(Path::new("/")),
            spool: self.spool,
        })
    }
}

/// A number of bytes, or of KiB; 0, or within what a spool may have.
fn parse_size(text: &str) -> Option<usize> {
    let (number, unit) = text.strip_suffix("KiB").map_or((text, 1), |number| (number, 1024));
    let digits = number.bytes().all(|byte| byte.is_ascii_digit());
    let size: usize = number.parse().ok().filter(|_| digits)?;
    let size = size.checked_mul(unit)?;
    (size == 0 || (spool::SMALLEST..=spool::LARGEST).contains(&size)).then_some(size)
}

/// A number of whole seconds, minutes or hours.
pub(super) fn parse_interval(text: &str) -> Option<Duration> {
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
        let (exit, advice) = match error.kind() {
            std::io::ErrorKind::InvalidData => (Exit::Usage, "put it right, or remove it"),
            _ => (Exit::Failed, state_dir::BE_THE_OWNER),
        };
        Trouble::new(exit, format!("cannot read {}", path.display()), error, advice)
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

#[cfg(test)]
#[path = "options_tests.rs"]
mod tests;
