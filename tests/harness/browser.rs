//! Chromium on a server's page, driven by a script of `tests/page` with Playwright.
//!
//! What a script prints is shown. A line that begins with `?` is a question for the test, as JSON; the answer is a line of
//! JSON on the script's input. `{"muster": [...]}` runs the operator's command line, `{"server": "kill"}` and
//! `{"server": "start"}` do that; what else there is to ask is the test's own.

use crate::node::Node;
use crate::place::Place;
use crate::process::{Process, Ran, clean, program};
use crate::server::Server;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// How long a script may go without a word.
const PATIENCE: Duration = Duration::from_secs(180);

/// Debian's.
const CHROMIUM: &str = "/usr/bin/chromium";

/// Plays `tests/page/SCRIPT.py` on a server's page to its end; fails the test if it fails. `answer` answers what is asked
/// beside what every script can ask.
#[track_caller]
pub fn play(script: &str, server: &mut Server, environment: &[(&str, &str)], answer: &mut dyn FnMut(&Value) -> Value) {
    play_with(Command::new(python()), script, server, environment, answer);
}

/// The same with a browser on another machine, from which the server can be reached.
#[track_caller]
pub fn play_on(node: &Node, script: &str, server: &mut Server, answer: &mut dyn FnMut(&Value) -> Value) {
    let python = python();
    let python = python.to_str().unwrap_or_else(|| panic!("{} is no UTF-8", python.display()));
    play_with(node.command(python), script, server, &[], answer);
}

#[track_caller]
fn play_with(
    python: Command,
    script: &str,
    server: &mut Server,
    environment: &[(&str, &str)],
    answer: &mut dyn FnMut(&Value) -> Value,
) {
    let (url, pin) = (format!("https://{}:{}", server.address(), server.port()), server.pin().to_owned());
    let mut all = |question: &Value| match question {
        asked if asked["muster"].is_array() && asked["input"].is_null() => {
            let ran = server.muster(&words(&asked["muster"]));
            json!({ "code": ran.code, "stdout": ran.stdout, "stderr": ran.stderr })
        }
        asked if asked["muster"].is_array() => said(&server.data_dir(), asked),
        asked if asked["server"] == "kill" => {
            server.kill();
            Value::Null
        }
        asked if asked["server"] == "start" => {
            server.start_again();
            Value::Null
        }
        other => answer(other),
    };
    run_with(python, &path(&format!("{script}.py")), &url, &pin, environment, &mut all);
}

/// Runs a script for the page at `url`, of the server with that pin, to its end; fails the test if it fails.
#[track_caller]
pub fn run(script: &Path, url: &str, pin: &str, environment: &[(&str, &str)], answer: &mut dyn FnMut(&Value) -> Value) {
    run_with(Command::new(python()), script, url, pin, environment, answer);
}

#[track_caller]
fn run_with(
    mut command: Command,
    script: &Path,
    url: &str,
    pin: &str,
    environment: &[(&str, &str)],
    answer: &mut dyn FnMut(&Value) -> Value,
) {
    let place = Place::new();
    command.arg("-u").arg(script);
    clean(&mut command).envs(environment.iter().copied());
    // Its profile is below here: so it is removed with the test, and its processes are known by it.
    command.env("TMPDIR", place.path()).env("HOME", place.path()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.env("PAGE_URL", url).env("PAGE_PIN", pin).env("CHROMIUM", CHROMIUM);
    let mut process = Process::start_read("the browser's script", &mut command, &place.join("script.log"));
    while let Some(line) = process.line(PATIENCE) {
        let Some(question) = line.strip_prefix('?') else {
            println!("{line}");
            continue;
        };
        let question = serde_json::from_str(question).unwrap_or_else(|e| panic!("not a question: {e}: {line}"));
        process.tell(&answer(&question).to_string());
    }
    let code = process.ended_within(Duration::from_secs(20));
    let (name, log) = (script.display(), process.log());
    assert_eq!(code, Some(0), "{name} failed, or said nothing for {} s; its log:\n{log}", PATIENCE.as_secs());
}

/// What the operator's command line says to `{"muster": [...], "input": "..."}`, as JSON.
pub fn said(data_dir: &str, question: &Value) -> Value {
    let arguments = words(&question["muster"]);
    let environment = [("MUSTER_DATA_DIR", data_dir)];
    let ran = Ran::with_input(&program("muster"), &arguments, &environment, 60, question["input"].as_str());
    json!({ "code": ran.code, "stdout": ran.stdout, "stderr": ran.stderr })
}

fn words(list: &Value) -> Vec<&str> {
    list.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
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
