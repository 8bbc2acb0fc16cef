//! Muster agents.

use crate::place::{self, Place};
use crate::process::{self, Process, Ran, command_inside, program};
use crate::{Engine, Server};

/// How many seconds one command of the agent may take.
const COMMAND_LIMIT: u32 = 60;

/// How often agents report in tests.
pub const INTERVAL: &str = "1s";

/// An agent with a state directory of its own. Dropping it ends it and removes its state.
#[derive(Debug)]
pub struct Agent {
    /// Ended first: a failing test still shows its log.
    process: Option<Process>,
    place: Place,
    docker_host: String,
    /// What it is started with as `--interval`.
    pub interval: String,
    /// More in the environment of all that it does, such as a clock of its own: see [`FakedTime`](crate::FakedTime).
    pub environment: Vec<(String, String)>,
    /// The network namespace that it lives in, if not the test's own; see [`Link::namespace`](crate::link::Link).
    pub network: Option<String>,
}

impl Agent {
    /// One that has not joined, for an engine that answers at `docker_host`.
    pub fn new(docker_host: &str) -> Agent {
        let interval = INTERVAL.to_owned();
        Agent {
            place: Place::new(),
            docker_host: docker_host.to_owned(),
            process: None,
            interval,
            environment: Vec::new(),
            network: None,
        }
    }

    /// Joins under the engine's name, starts, and waits until the server has its first report.
    #[track_caller]
    pub fn join(server: &Server, engine: &Engine) -> Agent {
        Agent::join_every(INTERVAL, server, engine)
    }

    /// The same with another interval: a host that must not be missed on a busy machine needs a longer one.
    #[track_caller]
    pub fn join_every(interval: &str, server: &Server, engine: &Engine) -> Agent {
        let mut agent = Agent::new(&engine.docker_host());
        interval.clone_into(&mut agent.interval);
        agent.join_with(&server.join_string(&["--name", engine.name()])).ok();
        agent.start();
        agent.wait_until_heard(server, engine.name());
        agent
    }

    /// Waits until the host is active and its engine is known.
    #[track_caller]
    pub fn wait_until_heard(&self, server: &Server, host: &str) {
        server.wait_for_host(host, "is active with an engine that is ok", |host| {
            host["state"] == "active" && host["engine"]["state"] == "ok"
        });
    }

    /// Runs `muster-agent join` with that string.
    pub fn join_with(&self, join: &str) -> Ran {
        self.command(&["join", join, "--state-dir", &self.state_dir()])
    }

    /// Runs `muster-agent join -` with that text as its input.
    pub fn join_from_input(&self, input: &str) -> Ran {
        let arguments = ["join", "-", "--state-dir", &self.state_dir()];
        Ran::with_input(&program("muster-agent"), &arguments, &[], COMMAND_LIMIT, Some(input))
    }

    /// Runs `muster-agent status`.
    pub fn status(&self) -> Ran {
        self.command(&["status", "--state-dir", &self.state_dir(), "--docker-host", &self.docker_host])
    }

    /// Runs `muster-agent doctor`.
    pub fn doctor(&self) -> Ran {
        self.command(&["doctor", "--state-dir", &self.state_dir(), "--docker-host", &self.docker_host])
    }

    /// Runs `muster-agent` with any arguments.
    pub fn command(&self, arguments: &[&str]) -> Ran {
        let environment: Vec<_> =
            self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        Ran::inside(self.network.as_deref(), &program("muster-agent"), arguments, &environment, COMMAND_LIMIT)
    }

    /// Starts `muster-agent run`.
    pub fn start(&mut self) {
        self.start_with(&[]);
    }

    /// Starts `muster-agent run` with more in its environment.
    pub fn start_with(&mut self, environment: &[(&str, &str)]) {
        assert!(self.process.is_none(), "the agent runs");
        let mut command = command_inside(self.network.as_deref(), &program("muster-agent"));
        command.args(["run", "--state-dir", &self.state_dir(), "--docker-host", &self.docker_host]);
        command.args(["--interval", &self.interval]);
        process::clean(&mut command).envs(self.environment.iter().cloned()).envs(environment.iter().copied());
        self.process = Some(Process::start("agent", &mut command, &self.place.join("agent.log")));
    }

    /// Starts `muster-agent join STRING --run`.
    pub fn start_joining(&mut self, join: &str) {
        assert!(self.process.is_none(), "the agent runs");
        let mut command = command_inside(self.network.as_deref(), &program("muster-agent"));
        command.args(["join", join, "--run", "--state-dir", &self.state_dir(), "--docker-host", &self.docker_host]);
        let command = process::clean(&mut command);
        self.process = Some(Process::start("agent", command, &self.place.join("agent.log")));
    }

    /// Ends it without a warning.
    pub fn kill(&mut self) {
        self.process.take().expect("the agent runs").kill();
    }

    /// Ends it as an operator does; its exit code.
    pub fn stop(&mut self) -> i32 {
        self.process.take().expect("the agent runs").stop()
    }

    /// Kills it and starts it again.
    pub fn crash(&mut self) {
        self.kill();
        self.start();
    }

    /// Stops it from running without ending it, as a board that hangs.
    pub fn freeze(&self) {
        self.process.as_ref().expect("the agent runs").signal("STOP");
    }

    /// Ends a [`Agent::freeze`].
    pub fn thaw(&self) {
        self.process.as_ref().expect("the agent runs").signal("CONT");
    }

    /// The process, while it runs.
    pub fn process(&mut self) -> &mut Process {
        self.process.as_mut().expect("the agent runs")
    }

    /// Its state directory, which `join` makes.
    pub fn state_dir(&self) -> String {
        self.place.join("state")
    }

    /// Whether its state directory is missing or empty.
    pub fn has_no_state(&self) -> bool {
        place::is_bare(&self.state_dir())
    }
}
