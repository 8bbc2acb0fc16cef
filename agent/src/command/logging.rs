//! Log lines on stderr. Whoever collects them, journald or Docker, adds the time.

use log::{Level, LevelFilter, Log, Metadata, Record};
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// Where stderr can be looked at.
const STDERR: &str = "/proc/self/fd/2";
/// Our own crates' names begin with this.
const OURS: &str = "muster";

struct Stderr {
    journal: bool,
}

static STDERR_LOG: OnceLock<Stderr> = OnceLock::new();

/// Sends everything up to `level` to stderr from now on. The first call counts.
///
/// Other crates are only heard from warnings upwards: what they say below is about bytes, secret ones too.
pub fn install(level: LevelFilter) {
    let variable = std::env::var("JOURNAL_STREAM").ok();
    let stderr = std::fs::metadata(STDERR).ok().map(|stderr| (stderr.dev(), stderr.ino()));
    let logger = STDERR_LOG.get_or_init(|| Stderr { journal: is_journal(variable.as_deref(), stderr) });
    if log::set_logger(logger).is_ok() {
        log::set_max_level(level);
    }
}

/// Whether stderr, as (device, inode), is the journal's stream that systemd named. The variable alone proves
/// nothing: a service's children inherit it though their stderr may be a file.
fn is_journal(variable: Option<&str>, stderr: Option<(u64, u64)>) -> bool {
    let named = variable.and_then(|text| text.split_once(':'));
    let named = named.and_then(|(device, inode)| Some((device.parse().ok()?, inode.parse().ok()?)));
    named.is_some() && named == stderr
}

fn line(journal: bool, level: Level, message: &str) -> String {
    let message = message.replace(|c: char| c.is_control() && c != '\t', " ");
    match (journal, level) {
        (true, Level::Error) => format!("<3>{message}\n"),
        (true, Level::Warn) => format!("<4>{message}\n"),
        (true, Level::Info) => format!("<6>{message}\n"),
        (true, Level::Debug | Level::Trace) => format!("<7>{message}\n"),
        (false, level) => format!("{level} {message}\n"),
    }
}

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn || metadata.target().starts_with(OURS)
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let line = line(self.journal, record.level(), &record.args().to_string());
            // In one piece, so that lines of several threads do not mix. If stderr is gone, there is no one to tell.
            let _ = std::io::stderr().write_all(line.as_bytes());
        }
    }

    fn flush(&self) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_journal_gets_priorities_and_others_words() {
        assert_eq!(line(true, Level::Error, "a"), "<3>a\n");
        assert_eq!(line(true, Level::Warn, "a"), "<4>a\n");
        assert_eq!(line(true, Level::Info, "a"), "<6>a\n");
        assert_eq!(line(true, Level::Debug, "a"), "<7>a\n");
        assert_eq!(line(false, Level::Warn, "a"), "WARN a\n");
    }

    #[test]
    fn a_message_cannot_begin_a_second_line() {
        assert_eq!(line(true, Level::Info, "a\n<0>b\x1b[2J"), "<6>a <0>b [2J\n");
    }

    #[test]
    fn only_the_stream_that_is_named_is_the_journal() {
        assert!(is_journal(Some("9:1234"), Some((9, 1234))));
        assert!(!is_journal(Some("9:1234"), Some((9, 1235))));
        assert!(!is_journal(Some("9:1234"), None));
        assert!(!is_journal(Some("rubbish"), Some((9, 1234))));
        assert!(!is_journal(None, Some((9, 1234))));
        assert!(!is_journal(None, None));
    }

    #[test]
    fn other_crates_are_heard_only_when_something_is_wrong() {
        let log = Stderr { journal: false };
        let of = |target, level| log.enabled(&Metadata::builder().target(target).level(level).build());
        assert!(of("muster_agent::run", Level::Debug));
        assert!(of("rustls::client", Level::Warn));
        assert!(!of("ureq::run", Level::Debug));
    }
}
