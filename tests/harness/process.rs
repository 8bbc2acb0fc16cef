//! Programs: started with a log, signalled and ended by their process id.

use crate::wait::PATIENCE;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, mpsc};
use std::time::{Duration, Instant};

/// How many lines of a program's log a failing test shows.
const LOG_LINES: usize = 60;

/// A program that runs beside the test and ends with it.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: String,
    lines: Option<Mutex<mpsc::Receiver<String>>>,
}

impl Process {
    /// Starts it with its output and errors added to the file `log`.
    pub fn start(name: &str, command: &mut Command, log: &str) -> Process {
        let file = open_log(log);
        command.stdin(Stdio::null()).stdout(file.try_clone().expect("duplicating a log's descriptor")).stderr(file);
        Process::spawn(name, command, log)
    }

    /// Starts it with its errors added to the file `log`, and its output kept for [`Process::line`].
    ///
    /// Its input is a pipe that ends with the test, however the test ends.
    pub fn start_read(name: &str, command: &mut Command, log: &str) -> Process {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(open_log(log));
        let mut process = Process::spawn(name, command, log);
        let output = process.child.stdout.take().expect("the output was asked for");
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        process.lines = Some(Mutex::new(lines));
        process
    }

    fn spawn(name: &str, command: &mut Command, log: &str) -> Process {
        let child =
            command.spawn().unwrap_or_else(|e| panic!("cannot start {name} ({:?}): {e}", command.get_program()));
        Process { name: name.to_owned(), child, log: log.to_owned(), lines: None }
    }

    /// The next line of its output; `None` if it ended, or if none came within `limit`.
    pub fn line(&mut self, limit: Duration) -> Option<String> {
        let lines = self.lines.as_mut().expect("its output is not read").get_mut();
        lines.expect("nobody panics with the lock").recv_timeout(limit).ok()
    }

    /// Gives a line to its input. It must have been started with [`Process::start_read`].
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("its input is nobody's");
        // In one piece, so that it is read in one.
        let line = format!("{line}\n");
        input.write_all(line.as_bytes()).unwrap_or_else(|e| panic!("telling {}: {e}", self.name));
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal, by name and without `SIG`.
    pub fn signal(&self, signal: &str) {
        assert!(send(self.id(), signal), "cannot send {signal} to {} ({})", self.name, self.id());
    }

    /// Its exit code if it ended by itself; -1 if a signal ended it.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().expect("asking for a child's state").map(|status| status.code().unwrap_or(-1))
    }

    /// Its exit code, if it ends by itself within a time.
    pub fn ended_within(&mut self, limit: Duration) -> Option<i32> {
        let started = Instant::now();
        loop {
            match self.ended() {
                None if started.elapsed() < limit => std::thread::sleep(Duration::from_millis(20)),
                ended => return ended,
            }
        }
    }

    /// Ends it at once, without asking.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Asks it to end, and waits for that; returns its exit code.
    pub fn stop(&mut self) -> i32 {
        if self.ended().is_none() {
            self.signal("TERM");
        }
        let started = Instant::now();
        loop {
            if let Some(code) = self.ended() {
                return code;
            }
            assert!(started.elapsed() < PATIENCE, "{} did not end {} s after SIGTERM", self.name, PATIENCE.as_secs());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        let mut text = String::new();
        if let Ok(mut file) = File::open(&self.log) {
            let _ = file.read_to_string(&mut text);
        }
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let shown = &lines[lines.len().saturating_sub(LOG_LINES)..];
            eprintln!("--- the end of the log of {}:\n{}\n---", self.name, shown.join("\n"));
        }
    }
}

/// What a program that has ended said.
#[derive(Debug, Clone)]
pub struct Ran {
    /// The command line, for messages.
    pub what: String,
    /// Its exit code; -1 if a signal ended it; 124 if it took longer than its limit.
    pub code: i32,
    /// Its output.
    pub stdout: String,
    /// Its errors.
    pub stderr: String,
}

impl Ran {
    /// Runs a program to its end, in a network namespace (or the test's own) and for `limit` seconds at most.
    pub fn inside(
        namespace: Option<&str>,
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        limit: u32,
    ) -> Ran {
        let Some(namespace) = namespace else { return Ran::of(program, arguments, environment, limit) };
        let enter = format!("--net={namespace}");
        let all: Vec<&str> = [enter.as_str(), program].iter().chain(arguments).copied().collect();
        Ran::of("nsenter", &all, environment, limit)
    }

    /// Runs a program to its end, for `limit` seconds at most.
    pub fn of(program: &str, arguments: &[&str], environment: &[(&str, &str)], limit: u32) -> Ran {
        Ran::with_input(program, arguments, environment, limit, None)
    }

    /// The same, with a text as its input.
    pub fn with_input(
        program: &str,
        arguments: &[&str],
        environment: &[(&str, &str)],
        limit: u32,
        input: Option<&str>,
    ) -> Ran {
        let what = format!("{} {}", program.rsplit('/').next().unwrap_or(program), arguments.join(" "));
        let mut command = Command::new("timeout");
        command.args(["-k", "5", &limit.to_string(), program]).args(arguments);
        clean(&mut command).envs(environment.iter().copied());
        command.stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|e| panic!("cannot start {what}: {e}"));
        if let (Some(text), Some(mut pipe)) = (input, child.stdin.take()) {
            let _ = std::io::Write::write_all(&mut pipe, text.as_bytes());
        }
        let output = child.wait_with_output().unwrap_or_else(|e| panic!("cannot wait for {what}: {e}"));
        Ran {
            what,
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Its output without the last line end, if it ended well.
    #[track_caller]
    pub fn ok(&self) -> String {
        self.exits(0);
        self.stdout.trim_end().to_owned()
    }

    /// Checks its exit code.
    #[track_caller]
    pub fn exits(&self, code: i32) -> &Ran {
        assert_eq!(self.code, code, "`{}` said:\n{}{}", self.what, self.stdout, self.stderr);
        self
    }

    /// Checks its exit code, and that it says why on its error output without a backtrace, and nothing else.
    #[track_caller]
    pub fn refuses(&self, code: i32) -> &Ran {
        self.exits(code);
        assert!(!self.stderr.trim().is_empty(), "`{}` exits {code} and does not say why", self.what);
        assert!(!self.stderr.contains("panicked"), "`{}` panicked:\n{}", self.what, self.stderr);
        assert!(self.stdout.trim().is_empty(), "`{}` exits {code} and still prints:\n{}", self.what, self.stdout);
        self
    }

    /// Its output, one JSON object a line, if it ended well.
    #[track_caller]
    pub fn json(&self) -> Vec<serde_json::Value> {
        self.ok()
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|e| panic!("`{}` prints no JSON: {e}: {line}", self.what))
            })
            .collect()
    }
}

/// Takes out of a command's environment what would lead it to the machine's own engine, server or proxy.
pub fn clean(command: &mut Command) -> &mut Command {
    for (key, _) in std::env::vars_os() {
        if let Some(key) = key.to_str()
            && (key.starts_with("MUSTER_")
                || key.starts_with("DOCKER_")
                || key.to_ascii_lowercase().ends_with("_proxy"))
        {
            command.env_remove(key);
        }
    }
    command
}

/// A command that runs in a network namespace, or in the test's own. `nsenter` becomes the program, so signals reach it.
pub fn command_inside(namespace: Option<&str>, program: &str) -> Command {
    let Some(namespace) = namespace else { return Command::new(program) };
    let mut command = Command::new("nsenter");
    command.arg(format!("--net={namespace}")).arg(program);
    command
}

/// Sends a signal to a process; whether there was one.
pub fn send(id: u32, signal: &str) -> bool {
    let text = format!("kill -{signal} {id}");
    Command::new("sh").args(["-c", &text]).stderr(Stdio::null()).status().is_ok_and(|status| status.success())
}

/// Where Muster's own programs are: `MUSTER_BIN_DIR`, or beside the test's own.
pub fn program(name: &str) -> String {
    let directory = std::env::var_os("MUSTER_BIN_DIR").map_or_else(
        || {
            let own = std::env::current_exe().expect("the test's own path");
            own.parent().and_then(|deps| deps.parent()).expect("a test lies in target/PROFILE/deps").to_path_buf()
        },
        PathBuf::from,
    );
    let path = directory.join(name);
    assert!(
        path.is_file(),
        "there is no {}: run `cargo build --workspace --bins` first, or set MUSTER_BIN_DIR",
        path.display()
    );
    path.display().to_string()
}

fn open_log(path: &str) -> File {
    File::options().create(true).append(true).open(path).unwrap_or_else(|e| panic!("cannot open the log {path}: {e}"))
}
