//! Chromium on a server's page, driven by a script of `tests/page` with Playwright.
//!
//! What a script prints is shown. A line that begins with `?` is a question for the test, as JSON; the answer is a line of
//! JSON on the script's input. `{"muster": [...]}` runs the operator's command line, `{"server": "kill"}` and
//! `{"server": "start"}` do that; what else there is to ask is the test's own.

use crate::place::Place;
use crate::process::{Process, Ran, clean, program};
use crate::server::Server;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long a script may go without a word.
const PATIENCE: Duration = Duration::from_secs(180);

/// Debian's.
const CHROMIUM: &str = "/usr/bin/chromium";

/// What a script gets from the test that plays it.
pub struct Play<'a> {
    /// Where the page is served.
    pub server: &'a mut Server,
    /// More of the script's environment.
    pub environment: Vec<(String, String)>,
    /// Answers what is asked beside what every script can ask.
    pub answer: &'a mut dyn FnMut(&mut Server, &Value) -> Value,
}

impl std::fmt::Debug for Play<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Play").field("server", &self.server).finish_non_exhaustive()
    }
}

/// Plays `tests/page/SCRIPT.py` to its end; fails the test if it fails.
#[track_caller]
pub fn play(script: &str, play: Play<'_>) {
    let python = python();
    let Play { server, environment, answer } = play;
    let place = Place::new();
    let mut command = Command::new(&python);
    command.arg("-u").arg(path(&format!("{script}.py")));
    clean(&mut command).envs(environment);
    // Its profile is below here: so it is removed with the test, and its processes are known by it.
    command.env("TMPDIR", place.path()).env("HOME", place.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PAGE_URL", format!("https://127.0.0.1:{}", server.port())).env("PAGE_PIN", server.pin());
    command.env("CHROMIUM", CHROMIUM);
    let mut process = Process::start_read("the browser's script", &mut command, &place.join("script.log"));
    while let Some(line) = process.line(PATIENCE) {
        let Some(question) = line.strip_prefix('?') else {
            println!("{line}");
            continue;
        };
        let question: Value = serde_json::from_str(question).unwrap_or_else(|e| panic!("not a question: {e}: {line}"));
        let told = if let Some(arguments) = question["muster"].as_array() {
            let arguments: Vec<&str> = arguments.iter().filter_map(Value::as_str).collect();
            said(server, &arguments, question["input"].as_str())
        } else if question["server"] == "kill" {
            server.kill();
            Value::Null
        } else if question["server"] == "start" {
            server.start_again();
            Value::Null
        } else {
            answer(server, &question)
        };
        process.tell(&told.to_string());
    }
    let code = process.ended_within(Duration::from_secs(20));
    assert_eq!(code, Some(0), "{script}.py failed, or said nothing for {} s", PATIENCE.as_secs());
}

/// What the command line says, as JSON.
fn said(server: &Server, arguments: &[&str], input: Option<&str>) -> Value {
    let data = server.data_dir();
    let ran = Ran::with_input(&program("muster"), arguments, &[("MUSTER_DATA_DIR", &data)], 60, input);
    json!({ "code": ran.code, "stdout": ran.stdout, "stderr": ran.stderr })
}

/// A file of `tests/page`.
pub fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("page").join(name)
}

/// The Python that has Playwright: `MUSTER_TEST_BROWSER_PYTHON`, or that of the virtual environment in `MUSTER_TEST_DIR`.
fn python() -> PathBuf {
    let named = std::env::var_os("MUSTER_TEST_BROWSER_PYTHON").map(PathBuf::from);
    let beside = || std::env::var_os("MUSTER_TEST_DIR").map(|folder| PathBuf::from(folder).join("browser/bin/python"));
    let found = named.or_else(beside).filter(|path| path.is_file());
    assert!(
        PathBuf::from(CHROMIUM).is_file(),
        "these tests need Debian's package chromium ({CHROMIUM}): `./test.sh` installs it"
    );
    found.unwrap_or_else(|| {
        panic!(
            "these tests need Playwright: `./test.sh` installs it; or `python3 -m venv browser && browser/bin/pip install \
             -r tests/page/requirements.txt`, and MUSTER_TEST_BROWSER_PYTHON=browser/bin/python"
        )
    })
}
