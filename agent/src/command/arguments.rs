//! The command line: what the agent can be asked, and how its settings are called.

use crate::command::exit::{Exit, Trouble, one_line};
use crate::command::options::parse_interval;
use crate::join;
use lexopt::Arg;
use muster_dial::JoinString;
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Of foreign text that is repeated in an error.
pub(crate) const SHOWN: usize = 60;
/// For a new agent to be welcomed by its server: several tries on a bad link.
const WITHIN: Duration = Duration::from_secs(120);

/// What `help` prints.
pub const HELP: &str = "\
Tells a Muster server what the containers of this host do.

  muster-agent join STRING|-   registers this host; - reads the string from standard input
  muster-agent run             reports until it is ended
  muster-agent status          says whether server and engine are reached
  muster-agent doctor          looks at everything that reporting needs, and says what to do
  muster-agent upgrade         goes over to the server's newest agent, if its maker has signed it; as root
  muster-agent network ...     the managed network, a program of its own: muster-agent network help
  muster-agent help

Settings, as flag, in the environment, or as a line `name = value` of STATE_DIR/agent.conf;
the first of them counts:
  --state-dir DIR     MUSTER_STATE_DIR    what the agent keeps (/var/lib/muster-agent); not in the file
  --docker-host URL   DOCKER_HOST         where the engine listens: unix:///path or tcp://HOST:PORT (the socket that
                                          is found: of Docker, of a rootless Docker, of Podman)
  --interval TIME     MUSTER_INTERVAL     between reports (5s), from 1s to 24h
  --vitals-interval TIME  MUSTER_VITALS_INTERVAL
                                          between looks at processors, memory and so on, which go along with
                                          reports (15s), from 1s to 24h, or off
  --join STRING       MUSTER_JOIN         for `run`: how to join if this host has not yet;
                                          else the file STATE_DIR/join is looked at
  --name NAME         MUSTER_NAME         what to call this host (its hostname)
  --uplink WAY        MUSTER_UPLINK       how reports travel: stream (one lasting connection), plain (a request
                                          each, about twice the bytes), or auto (auto): a stream, and plain
                                          where a proxy lets none through
  --fingerprint TEXT  MUSTER_FINGERPRINT  stands for the board instead of its serial number
  --spool SIZE        MUSTER_SPOOL        for `run`: keeps events that wait for the server on disk, so that
                                          a power cut does not take them (0: off), 16KiB to 128KiB
  --log LEVEL         MUSTER_LOG          error, warn, info or debug (info)

Flags only:
  --run               for `join`: goes on as `run`
  --format FORMAT     for `status` and `doctor`: table or json (table); --json is short for the latter
  --from FILE         for `upgrade`: the new agent is this file, its signature FILE.sig
  --within TIME       for `upgrade`: to go back if the new agent does not report so soon (2m)
  --version

Exit codes: 0 ok, 1 failure or not joined, 2 usage, 3 server unreachable, 4 credential or token refused,
5 not the pinned server, 6 muster-network is not installed, 7 host removed, 8 engine or the server's store unavailable,
9 `doctor` has warnings only.
";

/// What can be set, by whatever way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Setting {
    StateDir,
    DockerHost,
    Interval,
    VitalsInterval,
    Join,
    Name,
    Uplink,
    Fingerprint,
    Spool,
    Log,
}

impl Setting {
    pub(crate) const ALL: [Setting; 10] = [
        Setting::StateDir,
        Setting::DockerHost,
        Setting::Interval,
        Setting::VitalsInterval,
        Setting::Join,
        Setting::Name,
        Setting::Uplink,
        Setting::Fingerprint,
        Setting::Spool,
        Setting::Log,
    ];

    /// As a flag (behind `--`) and in the file.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Setting::StateDir => "state-dir",
            Setting::DockerHost => "docker-host",
            Setting::Interval => "interval",
            Setting::VitalsInterval => "vitals-interval",
            Setting::Join => "join",
            Setting::Name => "name",
            Setting::Uplink => "uplink",
            Setting::Fingerprint => "fingerprint",
            Setting::Spool => "spool",
            Setting::Log => "log",
        }
    }

    pub(crate) fn variable(self) -> &'static str {
        match self {
            Setting::StateDir => "MUSTER_STATE_DIR",
            Setting::DockerHost => "DOCKER_HOST",
            Setting::Interval => "MUSTER_INTERVAL",
            Setting::VitalsInterval => "MUSTER_VITALS_INTERVAL",
            Setting::Join => "MUSTER_JOIN",
            Setting::Name => "MUSTER_NAME",
            Setting::Uplink => "MUSTER_UPLINK",
            Setting::Fingerprint => "MUSTER_FINGERPRINT",
            Setting::Spool => "MUSTER_SPOOL",
            Setting::Log => "MUSTER_LOG",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Setting> {
        Setting::ALL.into_iter().find(|setting| setting.name() == name)
    }

    /// The state directory says where the file is, so the file cannot say it.
    pub(crate) fn is_for_file(self) -> bool {
        self != Setting::StateDir
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
    /// To look at everything that reporting needs.
    Doctor {
        /// As JSON, not as lines for people.
        json: bool,
    },
    /// To let another agent take its place.
    Upgrade {
        /// A file that has it; else the server is asked.
        from: Option<PathBuf>,
        /// What the new agent has to report within.
        within: Duration,
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

/// The command line, taken apart.
pub(crate) struct Arguments {
    pub(crate) command: Command,
    /// As they came.
    pub(crate) flags: Vec<(Setting, OsString)>,
}

/// As [`Arguments`], before it is known which command it is.
#[derive(Default)]
struct Found {
    positional: Vec<OsString>,
    flags: Vec<(Setting, OsString)>,
    run: bool,
    format: Option<OsString>,
    from: Option<OsString>,
    within: Option<OsString>,
}

fn usage(what: impl fmt::Display, why: impl fmt::Display) -> Trouble {
    Trouble::new(Exit::Usage, what, why, "see muster-agent help")
}

impl Arguments {
    /// Understands arguments, without the program's name.
    pub(crate) fn read(arguments: impl IntoIterator<Item = OsString>) -> Result<Arguments, Trouble> {
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
                Arg::Long("json") => {
                    found.format = Some("json".into());
                    continue;
                }
                Arg::Long("format") => {
                    found.format = Some(parser.value().map_err(wrong)?);
                    continue;
                }
                Arg::Long("from") => {
                    found.from = Some(parser.value().map_err(wrong)?);
                    continue;
                }
                Arg::Long("within") => {
                    found.within = Some(parser.value().map_err(wrong)?);
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
    let advice =
        format!("known are {}, --run, --format, --json, --from, --within, --help and --version", known.join(", "));
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
                return Err(Trouble::new(Exit::Usage, "join", why, join::GET_STRING));
            }
            ("run", []) => Command::Run,
            ("status", []) => Command::Status { json: self.wants_json()? },
            ("doctor", []) => Command::Doctor { json: self.wants_json()? },
            ("upgrade", []) => Command::Upgrade { from: self.from.clone().map(PathBuf::from), within: self.within()? },
            ("help", _) => return Ok(Arguments::only(Command::Help)),
            // More than belongs there may be a join string: it is not repeated.
            (known @ ("join" | "run" | "status" | "doctor" | "upgrade"), _) => {
                return Err(usage(known, "there are too many arguments"));
            }
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
            Command::Join { .. } | Command::Status { .. } | Command::Doctor { .. } | Command::Upgrade { .. }
                if has_join =>
            {
                Err(usage("--join", "it is for `run`"))
            }
            Command::Run | Command::Status { .. } | Command::Doctor { .. } | Command::Upgrade { .. } if self.run => {
                Err(usage("--run", "it is for `join`"))
            }
            Command::Run | Command::Join { .. } | Command::Upgrade { .. } if self.format.is_some() => {
                Err(usage("--format", "it is for `status` and `doctor`"))
            }
            Command::Run | Command::Join { .. } | Command::Status { .. } | Command::Doctor { .. }
                if self.from.is_some() =>
            {
                Err(usage("--from", "it is for `upgrade`"))
            }
            Command::Run | Command::Join { .. } | Command::Status { .. } | Command::Doctor { .. }
                if self.within.is_some() =>
            {
                Err(usage("--within", "it is for `upgrade`"))
            }
            command => Ok(Arguments { command, flags: self.flags }),
        }
    }

    fn within(&self) -> Result<Duration, Trouble> {
        let Some(given) = &self.within else { return Ok(WITHIN) };
        parse_interval(&given.to_string_lossy()).ok_or_else(|| {
            let why = format!("'{}' is no time that can be used", one_line(&given.to_string_lossy(), SHOWN));
            Trouble::new(Exit::Usage, "--within", why, "write seconds, minutes or hours, from 1s to 24h: 90s, 5m")
        })
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

const COMMANDS: &str = "the commands are join, run, status, doctor, upgrade, network and help";

fn join_source(argument: &OsStr) -> Result<JoinSource, Trouble> {
    if argument == "-" {
        return Ok(JoinSource::Stdin);
    }
    join::parse_string("the join string", argument.to_str().unwrap_or_default()).map(JoinSource::Given)
}
