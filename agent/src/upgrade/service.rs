//! Other programs that an upgrade needs: the service manager, and the agents themselves. None may take for ever.

use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// For the manager to stop one agent and to start another.
const RESTART: Duration = Duration::from_secs(60);
/// For an agent to say its version.
const VERSION: Duration = Duration::from_secs(20);
/// For an agent to ask its server, at each address that it knows, and its engine.
const STATUS: Duration = Duration::from_secs(120);
/// How often it is looked whether a program has ended.
const LOOK: Duration = Duration::from_millis(50);
/// Of what a program prints.
const OUTPUT: u64 = 4096;

/// The service, whoever runs it.
const SERVICE: &str = "muster-agent";
/// That of the managed network, which not every host has.
const NETWORK: &str = "muster-network";

/// Who starts services here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manager {
    /// systemd.
    Systemd,
    /// OpenRC.
    OpenRc,
}

impl Manager {
    /// The one that runs on the system below this root (`/`) and has the service.
    pub fn find(root: &Path) -> Option<Manager> {
        Manager::having(root, SERVICE)
    }

    /// The one that has the service of the managed network.
    pub fn of_network(root: &Path) -> Option<Manager> {
        Manager::having(root, NETWORK)
    }

    fn having(root: &Path, service: &str) -> Option<Manager> {
        let has = |path: &str| root.join(path).exists();
        let units =
            ["etc", "usr/local/lib", "usr/lib", "lib"].map(|place| format!("{place}/systemd/system/{service}.service"));
        if has("run/systemd/system") && units.iter().any(|unit| has(unit)) {
            Some(Manager::Systemd)
        } else if has("run/openrc") && has(&format!("etc/init.d/{service}")) {
            Some(Manager::OpenRc)
        } else {
            None
        }
    }

    /// Stops the service if it runs, and starts it.
    pub fn restart(self) -> io::Result<()> {
        self.run(&["restart", SERVICE], &[SERVICE, "restart"])
    }

    /// The same for the managed network, but only if it runs: not every host that has it uses it.
    pub fn restart_network(self) -> io::Result<()> {
        self.run(&["try-restart", NETWORK], &["--ifstarted", NETWORK, "restart"])
    }

    fn run(self, systemd: &[&str], openrc: &[&str]) -> io::Result<()> {
        let (program, arguments) = match self {
            Manager::Systemd => ("systemctl", systemd),
            Manager::OpenRc => ("rc-service", openrc),
        };
        let mut command = Command::new(program);
        let status = ended(command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()), RESTART)?;
        if status.success() {
            Ok(())
        } else {
            Err(io::Error::other(format!("{:?} ended with {status}", command.get_program())))
        }
    }
}

/// What a program says that is asked for its version.
pub fn version_of(program: &Path) -> io::Result<String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let status = wait(&mut child, VERSION)?;
    let mut said = String::new();
    if let Some(output) = child.stdout.take() {
        output.take(OUTPUT).read_to_string(&mut said)?;
    }
    if status.success() {
        Ok(said.trim().to_string())
    } else {
        Err(io::Error::other(format!("it ended with {status}")))
    }
}

/// The exit code of `status` of this agent, for this state directory; `None` if it did not end by itself.
pub fn status_of(program: &Path, state_dir: &Path) -> io::Result<Option<i32>> {
    let mut command = Command::new(program);
    command.arg("status").arg("--state-dir").arg(state_dir);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    ended(&mut command, STATUS).map(|status| status.code())
}

fn ended(command: &mut Command, limit: Duration) -> io::Result<ExitStatus> {
    wait(&mut command.spawn()?, limit)
}

/// Waits for a program to end, and ends it when its time is over.
fn wait(child: &mut std::process::Child, limit: Duration) -> io::Result<ExitStatus> {
    let until = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if Instant::now() >= until {
            let _ = child.kill();
            let _ = child.wait();
            return Err(io::Error::new(
                io::ErrorKind::TimedOut,
                format!("it did not end within {} s", limit.as_secs()),
            ));
        }
        thread::sleep(LOOK);
    }
}

/// In which life of the machine this is.
pub fn boot_id(root: &Path) -> String {
    let text = fs::read_to_string(root.join("proc/sys/kernel/random/boot_id")).unwrap_or_default();
    text.trim().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::join::state_dir::TestDir;

    #[test]
    fn a_manager_counts_if_it_runs_and_has_the_service() {
        let root = TestDir::new();
        let make = |path: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        };
        assert_eq!(Manager::find(root.path()), None);
        make("etc/init.d/muster-agent");
        make("etc/systemd/system/muster-agent.service");
        assert_eq!(Manager::find(root.path()), None, "neither runs");
        make("run/openrc/softlevel");
        assert_eq!(Manager::find(root.path()), Some(Manager::OpenRc));
        fs::create_dir_all(root.path().join("run/systemd/system")).unwrap();
        assert_eq!(Manager::find(root.path()), Some(Manager::Systemd));
    }

    #[test]
    fn a_program_that_never_ends_is_ended() {
        let mut command = Command::new("sleep");
        let error = ended(command.arg("1000"), Duration::from_millis(1)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert!(ended(&mut Command::new("true"), RESTART).unwrap().success());
    }
}
