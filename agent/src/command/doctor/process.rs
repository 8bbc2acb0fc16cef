//! Whether an agent runs on this host, for this state directory.

use super::finding::{Check, Finding};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The agent's name, as the kernel has it: at most 15 bytes.
const NAME: &str = "muster-agent";
/// Of a command line or an environment.
const LIMIT: u64 = 64 * 1024;
/// Processes that are looked at.
const MOST: usize = 100_000;
const STATE_DIR: &str = "/var/lib/muster-agent";

/// Looks below this root for an agent of this state directory.
pub(super) fn look(root: &Path, state_dir: &Path, has_joined: bool) -> Finding {
    let running = running(root, state_dir);
    let list = || running.iter().map(u32::to_string).collect::<Vec<_>>().join(" and ");
    match (&running[..], has_joined) {
        ([_], _) => Finding::okay(Check::Agent, format!("it runs (process {})", list())),
        ([], false) => Finding::skipped(Check::Agent, "it does not run, and this host has not joined"),
        ([], true) => Finding::warning(
            Check::Agent,
            "it does not run: nothing is reported",
            "start it: systemctl start muster-agent, rc-service muster-agent start, or muster-agent run",
        ),
        _ => Finding::warning(
            Check::Agent,
            format!("several run for {} (processes {})", state_dir.display(), list()),
            "end all but one",
        ),
    }
}

/// Numbers of processes that report for this state directory.
fn running(root: &Path, state_dir: &Path) -> Vec<u32> {
    let Ok(processes) = fs::read_dir(root.join("proc")) else { return Vec::new() };
    let mut found: Vec<u32> = processes
        .take(MOST)
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok())
        .filter(|number| reports_for(&root.join("proc").join(number.to_string()), state_dir))
        .collect();
    found.sort_unstable();
    found
}

fn reports_for(process: &Path, state_dir: &Path) -> bool {
    let name = read(&process.join("comm"));
    if name.trim_ascii_end() != NAME.as_bytes() {
        return false;
    }
    let line = read(&process.join("cmdline"));
    let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
    let runs = words.iter().skip(1).any(|word| matches!(*word, b"run" | b"--run"));
    runs && same(&state_dir_of(process, &words), state_dir)
}

/// As the agent itself finds it: by its flag, else its variable, else the usual place. Other users' environments cannot be
/// read; then the usual place is supposed.
fn state_dir_of(process: &Path, words: &[&[u8]]) -> PathBuf {
    let flag = words.iter().enumerate().rev().find_map(|(at, word)| match word.strip_prefix(b"--state-dir")? {
        b"" => words.get(at + 1).copied(),
        rest => rest.strip_prefix(b"="),
    });
    let environment = read(&process.join("environ"));
    let mut variables = environment.split(|byte| *byte == 0);
    let variable =
        || variables.find_map(|pair| pair.strip_prefix(b"MUSTER_STATE_DIR=")).filter(|value| !value.is_empty());
    let found = flag.or_else(variable).map(|bytes| String::from_utf8_lossy(bytes).into_owned());
    PathBuf::from(found.unwrap_or_else(|| STATE_DIR.to_owned()))
}

fn same(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    one == other || real(one) == real(other)
}

fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open(path) {
        // A process may end at any time.
        let _ = file.take(LIMIT).read_to_end(&mut bytes);
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::doctor::State;
    use crate::join::state_dir::TestDir;

    fn process(root: &TestDir, number: u32, comm: &str, line: &[&str], environ: &str) {
        let directory = root.path().join("proc").join(number.to_string());
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join("comm"), format!("{comm}\n")).unwrap();
        fs::write(directory.join("cmdline"), line.join("\0") + "\0").unwrap();
        fs::write(directory.join("environ"), environ).unwrap();
    }

    #[test]
    fn only_agents_that_run_for_this_directory_count() {
        let root = TestDir::new();
        let usual = Path::new(STATE_DIR);
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        process(&root, 7, NAME, &["muster-agent", "status"], "");
        process(&root, 8, NAME, &["muster-agent", "run", "--state-dir", "/x"], "");
        process(&root, 9, NAME, &["muster-agent", "run"], "A=1\0MUSTER_STATE_DIR=/x/y\0");
        process(&root, 10, "sh", &["sh", "run"], "");
        assert!(running(root.path(), usual).is_empty());
        assert_eq!(running(root.path(), Path::new("/x")), [8]);
        assert_eq!(running(root.path(), Path::new("/x/y")), [9]);
        assert_eq!(look(root.path(), usual, true).state, State::Warning);
        assert_eq!(look(root.path(), usual, false).state, State::Skipped);
        process(&root, 11, NAME, &["/usr/bin/muster-agent", "join", "muster://hush@a:1", "--run"], "");
        assert_eq!(look(root.path(), usual, true), Finding::okay(Check::Agent, "it runs (process 11)"));
        process(&root, 12, NAME, &["muster-agent", "run", "--state-dir=/var/lib/muster-agent"], "");
        let several = look(root.path(), usual, true);
        assert!(several.what.ends_with("(processes 11 and 12)"), "{several}");
    }
}
